"""The pending changes of a record: taken out when a write begins, finished or put back when it ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from aioredisca.compiler.changes import COUNTING, NO_MORE, Change, Mode, More
from aioredisca.compiler.writes import Counted, Lost, Outcome
from aioredisca.errors import (
    Conflict,
    Gone,
    NotLoaded,
    OutcomeUnknown,
    PermissionDenied,
    UsageError,
    ValidationError,
)
from aioredisca.fields.access import (
    check_changeable,
    check_writable,
    holds_mutable,
    is_changed,
    keep_touched,
    need_id,
    touched,
)
from aioredisca.fields.numbers import Number, countable
from aioredisca.fields.times import refuse_moment
from aioredisca.storage.moments import AS_IT_WAS, Duration
from aioredisca.storage.replies import check_values, strange
from aioredisca.storage.schema import Converter, Schema
from aioredisca.types import MISSING, Missing, Raw, Store

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record
    from aioredisca.query.columns import Output

TOO_MUCH = (
    "is counted in one flush by more than the server can add exactly: up to 2**53, a Counter up to 18 digits"
)

SaveMode = Literal["create", "update", "upsert"]
IfUnchanged: TypeAlias = "bool | Literal['record'] | Sequence[Output[Any, Any]]"
Begun: TypeAlias = "Sequence[tuple[Record, Change]]"
"""Records, each with what a write is to make of it."""

# -- before ----------------------------------------------------------------------------------------


def begin(
    record: Record,
    store: Store,
    mode: SaveMode | None = None,
    if_unchanged: IfUnchanged | Missing = MISSING,
    ttl: Duration | Missing | None = MISSING,
) -> Change | None:
    """Take the changes out, as a snapshot, before the first await; None where there are none."""
    mapper, state = record.__mapper__, record.__state__
    if state.unit is not None or not state.id:
        check_changeable(record)
        need_id(record)
    schema, layers = mapper.schema(store).of(state.id), state.layers
    changes = layers.changes(mode) if mode else layers.diff
    if mapper.mutable:
        changes = changes | touched(record)
    ends = mapper.lifetime.of_save(ttl) if schema.expires or ttl is not MISSING else AS_IT_WAS
    if not changes and not layers.fresh and ttl is MISSING and not _asked_outright(record, mode):
        return None
    guard = _guard_of(record) if if_unchanged is MISSING else if_unchanged
    expect = {} if guard is False else _expectation(record, changes, guard)
    if mapper.stamped:
        changes = _stamped(record, changes)
    sets, drops = split(schema, changes)
    change = Change(schema, state.id, mode or layers.mode, sets, drops, expect, layers.uncertain, ends=ends)
    if mapper.checked:
        change.parents = mapper.parents(sets, store, state.unit)
    if schema.required and change.mode == "create":
        _need_required(record, change)
    layers.depart(changes)
    return change


def _stamped(record: Record, changes: Raw) -> Raw:
    """*changes* of *record*, with what ``on_save=`` says; what may have been written is sent as it was."""
    state, found = record.__state__, stamps(record.__mapper__)
    for field in record.__mapper__.stamped:
        state.values.pop(field.name, None)
        if state.layers.uncertain and field.key in changes:
            found[field.key] = changes[field.key]
    return {**changes, **found}


def stamps(mapper: Mapper) -> Raw:
    """What ``on_save=`` gives the fields of a record that is written now."""
    found: Raw = {}
    for field in mapper.stamped:
        value = field.on_save() if callable(field.on_save) else field.on_save
        found[field.key] = field.__codec__.accept(value, mapper)[1]
    return found


def _asked_outright(record: Record, mode: SaveMode | None) -> bool:
    """Whether to ask the server without a change to write, for nobody knows whether the record is there.

    UsageError for one that was deleted, where nobody says what to make of that.
    """
    check_not_gone(record, mode)
    return mode is not None and record.__state__.layers.mode != "update"


def check_not_gone(record: Record, mode: SaveMode | None = None) -> None:
    """UsageError where a record was deleted and nothing was set since: there is nothing to make it of."""
    state = record.__state__
    if mode is None and state.row is None and state.layers.gone and not is_changed(record):
        name = record.__mapper__.name
        raise UsageError(
            f"{name}({state.id!r}) was deleted and nothing was set since, so there is nothing to save: "
            f"set its fields, or begin anew by {name}.new({state.id!r})"
        )


def not_yet_stored(record: Record, does: str) -> UsageError:
    """Why a verb is refused: what it *does* is of the stored record, and this one is none."""
    where = f"{record.__mapper__.name}({record.__state__.id!r})"
    return UsageError(f"{where} is not saved yet, and {does} the stored record: save() it first")


def refuse_waiting(record: Record, field: Field[Any], does: str) -> None:
    """UsageError where *field* waits to be saved, for what a verb *does* is of the stored record."""
    layers = record.__state__.layers
    where = f"{record.__mapper__.name}({record.__state__.id!r})"
    if layers.fresh:
        raise not_yet_stored(record, does)
    if field.key in layers.diff or (field.mutable and field.key in touched(record)):
        raise UsageError(f"{where}.{field.name} has a change that is not saved: save() or revert() it first")


def begin_delete(record: Record, store: Store) -> Change:
    """The delete of *record*, and of what goes with it. Its pending changes wait for what comes of it."""
    mapper, state = record.__mapper__, record.__state__
    if state.unit is not None or not state.id:
        check_writable(record)
        need_id(record)
    schema, layers = mapper.schema(store).of(state.id), state.layers
    referrers = mapper.referrers(schema, store, state.unit)
    whole = layers.loaded and _guard_of(record) == "record"  # of a handle nothing is known to compare with
    expect = _expectation(record, {}, "record") if whole else {}
    layers.depart({**layers.diff})
    return Change(schema, state.id, "delete", expect=expect, referrers=referrers)


def begin_all(
    store: Store, records: Sequence[Any], mode: Mode | None, ttl: Duration | Missing | None = MISSING
) -> list[tuple[Any, Change]]:
    """Begin every record that has something to write; where one cannot, none is."""

    def begin_one(record: Record) -> Change | None:
        change = begin_delete(record, store) if mode == "delete" else begin(record, store, ttl=ttl)
        return change and as_required(record, change)

    return _begun(records, begin_one)


def as_required(record: Record, change: Change) -> Change:
    """*change*, which asks what the session requires of *record*: its flush would find what this wrote."""
    unit = record.__state__.unit
    if unit is not None and unit.more and (requires := unit.take_requirements(record)):
        change.more = More(requires=requires).and_then(change.more or NO_MORE)
    return change


def begin_flush(
    store: Store, deleted: Sequence[Record], saved: Sequence[Record], more: dict[int, More]
) -> list[tuple[Any, Change]]:
    """All that a flush asks of one database: deletes first, then what is saved, with what is taken out of
    *more*, by the id of the object. Where one cannot begin, none does.

    A record that has vanished is Gone once more: nobody asked that it comes back.
    """

    def begin_one(record: Record) -> Change | None:
        asked = more.get(id(record))
        if id(record) in going:
            change: Change | None = begin_delete(record, store)
            asked = asked and replace(asked, sums={}, adds=())  # which go with it
        elif is_changed(record):
            vanished = record.__state__.layers.gone == "vanished"
            change = begin(record, store, "update" if vanished else None)
        else:
            change = None
        if asked is not None:
            change = with_more(record, store, change, asked)
            del more[id(record)]  # until it is known what came of it
        return change

    going = {id(record) for record in deleted}
    return _begun([*deleted, *saved], begin_one)


def with_more(record: Record, store: Store, change: Change | None, more: More) -> Change:
    """*change*, or one that sets nothing, which asks for *more* as well."""
    mapper, state = record.__mapper__, record.__state__
    if change is None:
        schema = mapper.schema(store).of(state.id)
        mode: Mode = "update" if more.sums else "check"
        change = Change(schema, state.id, mode, ends=mapper.lifetime.of_save() if more.sums else AS_IT_WAS)
        if more.sums and mapper.stamped:
            changes = _stamped(record, {})
            change.sets, change.drops = split(schema, changes)
            state.layers.depart(changes)
    change.more = more
    for key in more.sums:
        change.expect.pop(key, None)  # others may count there as well
        if key in change.sets or key in change.drops:
            where = f"{mapper.name}({state.id!r}).{mapper.attribute(key)}"
            state.layers.put_back()
            raise UsageError(f"{where} is set and counted in one flush: do one of them")
    if more.sums and change.mode == "create":
        state.layers.put_back()
        raise not_yet_stored(record, "incr() counts in")
    if (excess := more.too_much) is not None:
        state.layers.put_back()
        error = ValidationError(mapper.name, mapper.attribute(excess), TOO_MUCH)
        error.instance = record
        raise error
    return change


def _begun(records: Sequence[Any], begin_one: Callable[[Any], Change | None]) -> list[tuple[Any, Change]]:
    begun = list[tuple[Any, Change]]()
    try:
        for record in records:
            change = begin_one(record)
            if change is not None:
                begun.append((record, change))
    except BaseException as error:
        put_back_all(begun, error)
        raise
    return begun


def split(schema: Schema, changes: Raw) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The hash fields that *changes* set, and those that they remove."""
    if schema.mirrors:
        changes = {**changes, **mirrored(schema, changes)}
    sets: Any = changes
    if None not in changes.values():  # as nearly always
        return sets, ()
    drops = tuple(key for key, raw in changes.items() if raw is None)
    return {key: raw for key, raw in changes.items() if raw is not None}, drops


def mirrored(schema: Schema, changes: Raw) -> Raw:
    """What *changes* are in the other hash fields that hold the same: see ``Field(also=)``."""
    found: Raw = {}
    for key in changes.keys() & schema.mirrors.keys():
        raw = changes[key]
        for name, convert in schema.mirrors[key].items():
            if raw is None or convert is None:
                found[name] = raw
            else:
                found[name] = _converted(schema, key, name, raw, convert)
    return found


def _converted(schema: Schema, key: str, name: str, raw: bytes, convert: Converter) -> bytes | None:
    try:
        text = convert(raw.decode("utf-8", "surrogateescape"))
        return None if text is None else text.encode("utf-8", "surrogateescape")
    except Exception:  # whatever a function of the user's raises
        pass
    # raised out here: the text of that error may hold the value
    raise ValidationError(schema.model, key, f"its form for {name!r} cannot be made: see also= of the field")


def _need_required(record: Record, change: Change) -> None:
    """A create without a required field need not travel to be refused."""
    if missing := [key for key in change.schema.required if key not in change.sets]:
        mapper = record.__mapper__
        reason = "is required: a record is not created without it"
        error = ValidationError(mapper.name, mapper.attribute(missing[0]), reason)
        error.instance = record
        raise error


def _guard_of(record: Record) -> IfUnchanged:
    """What a write of *record* is compared with if its verb does not say: the stronger word of class and
    session."""
    guard: bool | Literal["record"] = record.__mapper__.setting("optimistic") or False
    unit = record.__state__.unit
    if unit is None or not unit.guard or guard == "record":
        return guard
    return unit.guard


def _expectation(record: Record, changes: Raw, if_unchanged: IfUnchanged) -> Raw:
    """What must still be stored for this save to be allowed."""
    mapper, layers = record.__mapper__, record.__state__.layers
    if layers.fresh:
        return {}
    expect: Raw = {}
    changed = changes.keys() - {field.key for field in mapper.stamped}  # which every save sets: no conflict
    for key in sorted({*changed, *_guarded(mapper, if_unchanged)}):
        if key in layers.raw:
            expect[key] = layers.raw[key]
        elif layers.blank or layers.complete:
            expect[key] = None
        else:
            cure = "if_unchanged compares with what was loaded: load() first"
            raise NotLoaded(mapper.name, record.__state__.id, mapper.attribute(key), cure)
    check_values(expect.values())
    return expect


def _guarded(mapper: Mapper, if_unchanged: IfUnchanged) -> list[str]:
    """The hash fields that are compared beside the changed ones."""
    if if_unchanged is True:
        return []
    if isinstance(if_unchanged, list | tuple | set | frozenset):
        return [own_field(mapper, column).key for column in if_unchanged]
    if isinstance(if_unchanged, str) and if_unchanged == "record":
        return [*mapper.by_key]
    raise UsageError(f"if_unchanged takes True, a list of columns, or 'record'; not {if_unchanged!r}")


def number_field(mapper: Mapper, column: object) -> Number[Any]:
    """The field of numbers that *column* is of. UsageError for any other."""
    field = mapper.field_of(column)
    if field is None:
        refuse_moment(mapper.name, column)
        raise UsageError(f"incr() takes a column of {mapper.name}; not {column!r}")
    return countable(mapper, field)


def counted_in_python(mapper: Mapper, field: Field[Any]) -> UsageError:
    """Why the server cannot count in a field by itself."""
    return UsageError(
        f"{mapper.name}.{field.name} has also=, by which the sum is written to other fields, and only Python "
        f"can do that: call incr() of a record that is there"
    )


def own_field(mapper: Mapper, column: object, takes: str = "if_unchanged takes 'record', True, or") -> Any:
    """The field of a column of the class. UsageError for what is none: what *takes* which columns."""
    field = mapper.field_of(column)
    if field is None:
        refuse_moment(mapper.name, column)
        raise UsageError(f"{takes} columns of {mapper.name}; not {column!r}")
    return field


# -- afterwards ------------------------------------------------------------------------------------


def finish(record: Record, change: Change, outcome: Outcome) -> None:
    """The server wrote *change*: what was on its way is stored now."""
    state = record.__state__
    if change.mode in COUNTING:
        learn(record, {**counted(change, outcome)})
    elif change.mode == "check":
        pass  # nothing was written
    elif change.mode == "delete" or (outcome is None and not change.skip):  # it went along with one
        state.layers.be_gone()
        if state.unit is not None:
            state.unit.was_deleted(record)
    else:
        lost = outcome.fields if isinstance(outcome, Lost) else ()
        created = outcome.created if isinstance(outcome, Lost) else outcome
        state.layers.arrive(created=change.schema.blank if created else None)
        if lost:
            learn(record, dict.fromkeys(lost))
        if change.more is not None and change.more.sums:
            learn(record, {**counted(change, outcome)})
    if state.unit is not None and not is_changed(record) and not holds_mutable(record):
        state.unit.release(record)


def counted(change: Change, outcome: Outcome) -> dict[str, bytes]:
    """The new texts of the numbers that *change* has added to."""
    assert change.more is not None
    if not isinstance(outcome, Counted) or len(outcome.sums) != len(change.more.sums):
        raise strange(writes=True)
    return dict(zip(change.more.sums, outcome.sums, strict=True))


def learn(record: Record, raw: Raw) -> None:
    """Somebody wrote these fields just now: they are stored so. Local changes stay on top."""
    state = record.__state__
    keep_touched(record)
    state.layers.learn(raw)
    for key in raw.keys() & record.__mapper__.by_key.keys():
        if key not in state.layers.diff:
            state.values.pop(record.__mapper__.by_key[key].name, None)


def supersede(record: Record, changed: Raw, before: Raw) -> None:
    """What waited in *record* when *changed* was sent is older than that. What was set since is not.

    Of a value that changed in place nobody knows when: it waited.
    """
    keep_touched(record)
    state, mapper = record.__state__, record.__mapper__
    for key in changed.keys() & state.layers.diff.keys():
        field = mapper.by_key[key]
        if field.mutable or state.layers.diff[key] is before.get(key, MISSING):
            del state.layers.diff[key]
            state.values.pop(field.name, None)


def put_back(record: Record, change: Change, error: BaseException) -> None:
    """The write failed: its changes are pending again, below those made since."""
    state = record.__state__
    if change.mode in COUNTING:  # nothing was on its way, and nothing may count as done at the next save
        if state.unit is not None and change.more is not None and change.more.requires:
            state.unit.take_back(record, More(requires=change.more.requires), asked=False)
        return
    layers = state.layers
    layers.put_back()
    if change.more is not None and state.unit is not None:
        state.unit.take_back(record, change.more, asked=_unanswered(change, error))
    if change.mode == "check":
        return
    if isinstance(error, Gone) and change.mode == "update" and error.instance in (None, record):
        layers.vanish()
    layers.uncertain = _unanswered(change, error) or (layers.uncertain and not isinstance(error, Conflict))


def put_back_all(begun: Begun, error: BaseException) -> None:
    """These changes were not written, or nobody knows, for *error*: they are pending again."""
    for record, change in begun:
        put_back(record, change, error)


def _unanswered(change: Change, error: BaseException) -> bool:
    """Whether a write may have happened: it was sent and lost, or cancelled on the way.

    Where a right was taken away meanwhile, a record may be written whose old entries could not be removed; a
    new one has none.
    """
    if isinstance(error, PermissionDenied):
        return change.mode != "create"
    return isinstance(error, OutcomeUnknown) or not isinstance(error, Exception)
