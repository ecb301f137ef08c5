"""What stands behind an attribute: the value of a field in one record, read, assigned, compared.

Functions of a record, of which they use two things: ``__state__`` (what is known of it, model/state.py) and
``__mapper__`` (what the library keeps of its class, model/mapper.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aioredisca.errors import CorruptRecord, FieldUnset, NotLoaded, SessionClosed, UsageError, ValidationError
from aioredisca.frames import hide_values
from aioredisca.storage.replies import strange
from aioredisca.types import MISSING, Raw

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.record import Record

# -- reading ---------------------------------------------------------------------------------------


def value_of(record: Record, field: Field[Any]) -> Any:
    """The value of a field that was not decoded yet."""
    state = record.__state__
    row = state.row
    if row is not None and field.key in state.places:
        raw = row[state.places[field.key]]
    else:
        raw = _known(record, field)
    if raw is None:
        return _nothing(record, field)
    try:
        value = state.values[field.name] = decoded(record, field, raw)
    except CorruptRecord as error:
        hide_values(error)
        row = raw = None
        raise
    if field.mutable:
        _hold_mutable(record)
    return value


def _known(record: Record, field: Field[Any]) -> bytes | None:
    """What a field holds; loaded in blocking code, where that is not known."""
    raw = record.__state__.layers.stored(field.key)
    if raw is MISSING:
        record.__mapper__.colour.load_missing(record, field.name, raw=False)
        raw = record.__state__.layers.stored(field.key)
    return None if raw is MISSING else raw


def _hold_mutable(record: Record) -> None:
    """A value that may change in place is seen only when its record is saved: keep that alive."""
    unit = record.__state__.unit
    if unit is not None and not unit.closed:
        unit.hold(record)


def _nothing(record: Record, field: Field[Any]) -> Any:
    """What reading a field gives that holds no value."""
    if not field.required:
        return None
    model, layers = record.__mapper__.name, record.__state__.layers
    if layers.blank or layers.mode == "create":
        raise FieldUnset(model, field.name)
    if field.missing is not None:
        given = field.missing() if callable(field.missing) else field.missing
        return field.__codec__.accept(given, record.__mapper__)[0]
    raise CorruptRecord(model, record.getkey(), field.name, "is missing, though the field is required")


def decoded(record: Record, field: Field[Any], raw: bytes) -> Any:
    """The value of stored bytes. CorruptRecord where they cannot be read."""
    if type(raw) is not bytes:
        raise strange()
    try:
        return field.__codec__.read(raw, record.__mapper__)
    except ValueError as error:
        reason = "cannot be read" if field.secret or isinstance(error, UnicodeError) else str(error)
    # Raised out here, so that the error which may hold the stored value is not its context.
    raise CorruptRecord(record.__mapper__.name, record.getkey(), field.name, reason)


def not_loaded(record: Record, name: str, *, raw: bool) -> None:
    """A value was asked for that is not known. Async code must not do hidden I/O; blocking code does."""
    cure = "hash fields that are not declared come by `await record.load(raw=True)`" if raw else ""
    raise NotLoaded(record.__mapper__.name, record.__state__.id, name, cure)


# -- assigning -------------------------------------------------------------------------------------


def check_writable(record: Record) -> None:
    """SessionClosed for a record of a session that is closed: nobody would save it."""
    state = record.__state__
    if state.unit is not None and state.unit.closed:
        raise SessionClosed(record.__mapper__.name, state.id)


def check_changeable(record: Record) -> None:
    """The same, and UsageError for a record that its session is to delete."""
    check_writable(record)
    if (unit := record.__state__.unit) is not None:
        unit.refuse_deleted(record)


def need_record(record: object) -> None:
    """UsageError where a verb of records was called on their class, with an id."""
    if not hasattr(record, "__state__"):
        given = type(record).__name__
        raise UsageError(
            f'this is a verb of one record, and not of the class with a {given}: User("5").delete(), say'
        )


def to_be_deleted(model: str, id: str) -> UsageError:
    """Why a record takes no changes that the next flush deletes: what it is given now would go with it."""
    return UsageError(
        f"{model}({id!r}) is to be deleted by the next flush, and a change would go with it: "
        f"flush() first, or take the delete back by discard()"
    )


def need_id(record: Record) -> None:
    """ValidationError for a handle without an id, which names no record."""
    need_record(record)
    if not record.__state__.id:
        raise ValidationError(record.__mapper__.name, "id", "an empty id names no record")


def assign(record: Record, field: Field[Any], value: Any, raw: bytes | None) -> None:
    """Change a field to an accepted value and the bytes that store it."""
    set_raw(record, field.key, raw)
    values = record.__state__.values
    if value is None or field.mutable:
        values.pop(field.name, None)  # a mutable value is read back, so nobody shares it
    else:
        values[field.name] = value


def set_raw(record: Record, key: str, raw: bytes | None) -> None:
    """Change a hash field; None removes it."""
    state = record.__state__
    if state.unit is not None:
        check_changeable(record)
        state.unit.hold(record)
    state.layers.set(key, raw)


# -- what changed in place -------------------------------------------------------------------------


def touched(record: Record) -> Raw:
    """Mutable values that changed in place since they were read."""
    changed: Raw = {}
    for field in record.__mapper__.mutable.values():
        raw = _accepted(record, field)
        if raw is not None and not _holds(record, field, raw):
            changed[field.key] = raw
    return changed


def _accepted(record: Record, field: Field[Any]) -> bytes | None:
    """A value that may have changed in place, as it is stored. ValidationError where it cannot be."""
    value = record.__state__.values.get(field.name)
    if value is None:
        return None
    try:
        return field.__codec__.accept(value, record.__mapper__)[1]
    except ValidationError as error:
        hide_values(error)
        del value
        error.instance = record
        raise


def _holds(record: Record, field: Field[Any], raw: bytes) -> bool:
    """Whether *raw* means what is stored, which others may have written in another form."""
    stored = record.__state__.layers.stored(field.key)
    if stored == raw or not isinstance(stored, bytes):
        return stored == raw
    return field.__codec__.accept(decoded(record, field, stored), record.__mapper__)[1] == raw


def is_changed(record: Record) -> bool:
    """Whether there is something to save, which a value that cannot be saved is as well."""
    layers = record.__state__.layers
    return bool(layers.diff) or layers.fresh or changed_in_place(record)


def changed_in_place(record: Record) -> bool:
    """Whether a mutable value is not what it was when it was read, one that cannot be saved included."""
    try:
        return bool(touched(record))
    except Exception:  # whatever a field of the user's raises: to save it will tell
        return True


def holds_mutable(record: Record) -> bool:
    """Whether a value that may change in place was read: it is compared again at every save."""
    return not record.__mapper__.mutable.keys().isdisjoint(record.__state__.values)


def keep_touched(record: Record) -> None:
    """What changed in place counts as changed from now on, whatever is read over it."""
    record.__state__.layers.diff.update(touched(record))


def become_new(record: Any) -> Any:
    """*record*, which is not stored yet. UsageError where the session's own instance has changes."""
    check_changeable(record)
    state = record.__state__
    if state.layers.diff:  # of the session's own instance: they would be lost without a word
        name = f"{record.__mapper__.name}({state.id!r})"
        raise UsageError(
            f"{name} has changes in this session that are not saved: change it, or revert() it first"
        )
    state.layers.become_new()
    if state.unit is not None:
        state.unit.hold(record)
    return record
