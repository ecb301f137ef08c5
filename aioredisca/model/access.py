"""The two ways to look at a record in memory: attributes see values, the dict API the hash."""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

from aioredisca.errors import CorruptRecord, FieldUnset, NotLoaded, SessionClosed, ValidationError
from aioredisca.fields.base import Field, as_text
from aioredisca.model.metaclass import ModelType
from aioredisca.model.sessions import BaseSession
from aioredisca.model.state import Memory
from aioredisca.storage.keys import bad_field
from aioredisca.types import MISSING, Lock, Raw, Stored, Transport


class Values(metaclass=ModelType):
    """State of a record, attributes and dict API. Base of Record."""

    # A record that was found is no more than the values of its row, ``_row``, the places where these stand by
    # hash field, and what was decoded of them, ``_values``: of many, no more is ever asked.
    __slots__ = ("__weakref__", "_id", "_kept", "_lock", "_places", "_row", "_session", "_values")

    __iter__ = None  # a record has len() and []; iterating it would never end

    def __init__(self, model_id: str | None = None, /) -> None:
        values: dict[str, Any] = {}
        _set_id(self, model_id or "")
        _set_row(self, None)
        _set_values(self, values)
        _set_kept(self, Memory(values))
        _set_session(self, None)
        _set_lock(self, None)

    @classmethod
    def _newly_made(cls, id: str) -> Self:
        """An unsaved record that nobody else can have: what ``cls(id)`` and its ``become_new()`` come to."""
        record = object.__new__(cls)
        Values.__init__(record, id)
        memory = _get_kept(record)
        memory.mode, memory.fresh = "create", True
        return record

    if TYPE_CHECKING:
        _id: str
        _kept: Memory
        _row: Stored | None
        _places: Mapping[str, int]
        _values: dict[str, Any]
        _session: BaseSession | None
        _lock: tuple[Transport, Lock] | None

        def getkey(self) -> str: ...

    # -- values ------------------------------------------------------------------------------------

    if not TYPE_CHECKING:

        def __setattr__(self, name, value):
            cls = type(self)
            if (field := cls._fields.get(name)) is not None:
                field.__set__(self, value)
                return
            if name[:1] != "_" and not hasattr(cls, name):
                raise AttributeError(f"{cls.__name__} has no field {name!r}{cls._nearest(name)}")
            object.__setattr__(self, name, value)

    @property
    def _memory(self) -> Memory:
        """What is known of the record beyond its row. (A ``__getattr__`` would make all attributes slow.)"""
        try:
            return _get_kept(self)  # and not by name: the class may have a __getattr__ of its own
        except AttributeError:
            return self._remember()

    def _be_found(self, places: Mapping[str, int], row: Stored) -> None:
        """Become no more than a row: nothing else is known of the record."""
        self._values.clear()
        _set_places(self, places)
        _set_row(self, row)
        with suppress(AttributeError):  # another thread was faster
            _forget_kept(self)

    def _remember(self) -> Memory:
        """Begin to keep more of a found record than its row."""
        if (row := self._row) is None:  # another thread was faster
            return _get_kept(self)
        memory = Memory.found({key: row[place] for key, place in self._places.items()}, self._values)
        try:
            memory = _get_kept(self)
        except AttributeError:
            _set_kept(self, memory)  # the interpreter lets no other thread come between the two
        _set_row(self, None)  # last: another thread may be reading
        return memory

    def _value(self, field: Field[Any]) -> Any:
        """The value of a field that was not decoded yet."""
        row = self._row
        if row is not None and field.key in self._places:
            raw = row[self._places[field.key]]
        else:
            raw = self._known(field)
        if raw is None:
            return self._nothing(field)
        value = self._values[field.name] = self._decoded(field, raw)
        if field.mutable:
            self._hold_mutable()
        return value

    def _known(self, field: Field[Any]) -> bytes | None:
        """What a field holds; loaded in blocking code, where that is not known."""
        raw = self._memory.stored(field.key)
        if raw is MISSING:
            self._load_hidden(field.name, raw=False)
            raw = self._memory.stored(field.key)
        return None if raw is MISSING else raw

    def _hold_mutable(self) -> None:
        """A value that may change in place is seen only when its record is saved: keep that alive."""
        if self._session is not None and not self._session.closed:
            self._session._hold(self)

    def _nothing(self, field: Field[Any]) -> None:
        if not field.required:
            return
        if self._memory.blank or self._memory.mode == "create":
            raise FieldUnset(type(self).__name__, field.name)
        raise CorruptRecord(
            type(self).__name__, self.getkey(), field.name, "is missing, though the field is required"
        )

    def _decoded(self, field: Field[Any], raw: bytes) -> Any:
        try:
            return field.read(raw, self.__class__)
        except ValueError as error:
            reason = "cannot be read" if field.secret or isinstance(error, UnicodeError) else str(error)
        # Raised out here, so that the error which may hold the stored value is not its context.
        raise CorruptRecord(type(self).__name__, self.getkey(), field.name, reason)

    def _load_hidden(self, name: str, *, raw: bool) -> None:
        """A value was asked for that is not known. Async code must not do hidden I/O; blocking code does."""
        cure = "hash fields that are not declared come by `await record.load(raw=True)`" if raw else ""
        raise NotLoaded(type(self).__name__, self._id, name, cure)

    def _check_writable(self) -> None:
        if self._session is not None and self._session.closed:
            raise SessionClosed(type(self).__name__, self._id)

    def _assign(self, field: Field[Any], value: Any, raw: bytes | None) -> None:
        self._set_raw(field.key, raw)
        if value is None or field.mutable:
            self._values.pop(field.name, None)  # a mutable value is read back, so nobody shares it
        else:
            self._values[field.name] = value

    def _set_raw(self, key: str, raw: bytes | None) -> None:
        self._check_writable()
        self._memory.set(key, raw)
        if self._session is not None:
            self._session._hold(self)

    def _touched(self) -> Raw:
        """Mutable values that changed in place since they were read."""
        changed: Raw = {}
        for name, field in type(self)._mutable.items():
            if (value := self._values.get(name)) is not None:
                raw = self._accepted(field, value)
                if raw is not None and not self._holds(field, raw):
                    changed[field.key] = raw
        return changed

    def _accepted(self, field: Field[Any], value: Any) -> bytes | None:
        """A value that may have changed in place, as it is stored. ValidationError where it cannot be."""
        try:
            return field.accept(value, type(self))[1]
        except ValidationError as error:
            error.instance = self
            raise

    def _holds(self, field: Field[Any], raw: bytes) -> bool:
        """Whether *raw* means what is stored, which others may have written in another form."""
        stored = self._memory.stored(field.key)
        return stored == raw or (
            isinstance(stored, bytes) and field.accept(self._decoded(field, stored), type(self))[1] == raw
        )

    def _changed(self) -> bool:
        """Whether there is something to save, which a value that cannot be saved is as well."""
        try:
            return bool(self._memory.diff) or self._memory.fresh or bool(self._touched())
        except Exception:  # whatever a field of the user's raises: to save it will tell
            return True

    @classmethod
    def _attribute(cls, key: str) -> str:
        """The attribute that stores the hash field *key*; an undeclared one is called as it is."""
        return next((name for name, field in cls._fields.items() if field.key == key), key)

    # -- dict API ----------------------------------------------------------------------------------

    @classmethod
    def _by_key(cls, key: str) -> Field[Any] | None:
        return next((field for field in cls._fields.values() if field.key == key), None)

    def _raw_of(self, name: str) -> bytes | None:
        raw = self._memory.stored(_hash_field(type(self), name))
        if raw is MISSING and (self._by_key(name) or not self._memory.complete):
            self._load_hidden(name, raw=self._by_key(name) is None)
            raw = self._memory.stored(name)
        return None if raw is MISSING else raw

    def __getitem__(self, name: str) -> str | bytes | int | None:
        """The hash field *name* as it is stored: int, str, or bytes where it is no UTF-8; None if unset."""
        raw = self._raw_of(name)
        field = self._by_key(name)
        if raw is None:
            return None
        return field.view(raw) if field else as_text(raw)

    def __setitem__(self, name: str, value: str | bytes | int | float | None) -> None:
        """Set the hash field *name*. A declared one is checked by its field; None removes."""
        _hash_field(type(self), name)
        field = self._by_key(name)
        if value is None and field is None:
            self._set_raw(name, None)
        elif field is None:
            self._set_raw(name, _raw_value(type(self), name, value))
        else:
            text = None if value is None else _stored_text(type(self), field, value)
            self._assign(field, *field.accept_stored(text, type(self)))

    def __delitem__(self, name: str) -> None:
        self[name] = None

    def __contains__(self, name: str) -> bool:
        return self._raw_of(name) is not None

    def __len__(self) -> int:
        return len(self.raw_export())

    def _dict_get(self, name: str, default: Any = None) -> Any:
        value = self[name]
        return default if value is None else value

    def pop(self, name: str, default: Any = None) -> Any:
        """Remove the hash field *name* and return what it held, or *default*. No I/O."""
        value = self._dict_get(name, default)
        self[name] = None
        return value

    def _views(self, raw: Raw) -> dict[str, Any]:
        fields = {field.key: field for field in type(self)._fields.values()}
        return {
            key: None if value is None else fields[key].view(value) if key in fields else as_text(value)
            for key, value in raw.items()
        }

    def getdiff(self) -> dict[str, Any]:
        """Return the changed hash fields; None marks one to be removed. No I/O."""
        return self._views({**self._memory.diff, **self._touched()})

    def getorigin(self) -> dict[str, Any]:
        """Return the hash as it is stored, without local changes. NotLoaded unless loaded raw. No I/O."""
        self._need_all("getorigin()")
        return self._views({key: value for key, value in self._memory.raw.items() if value is not None})

    def raw_export(self) -> dict[str, Any]:
        """Return the hash as a save would leave it. NotLoaded unless loaded raw. No I/O."""
        self._need_all("raw_export()")
        merged = {**self._memory.merged(), **self._touched()}
        return self._views({key: value for key, value in merged.items() if value is not None})

    def _need_all(self, name: str) -> None:
        if not self._memory.known(all_fields=True):
            self._load_hidden(name, raw=True)

    def export(self, keep_none: bool = False) -> dict[str, Any]:
        """Return the values of all fields by attribute name, secret ones left out. No I/O."""
        values = dict[str, Any]()
        for name, field in type(self)._fields.items():
            if field.secret:
                continue
            try:
                value = field.__get__(self, type(self))
            except FieldUnset:
                value = None
            if keep_none or value is not None:
                values[name] = value
        return values


_set_id, _set_kept, _set_lock, _set_places, _set_row, _set_session, _set_values = (
    vars(Values)[name].__set__ for name in ("_id", "_kept", "_lock", "_places", "_row", "_session", "_values")
)
_get_kept: Callable[[Values], Memory] = vars(Values)["_kept"].__get__
_forget_kept = vars(Values)["_kept"].__delete__
"""The slots, set without a look at the name, as they are thousands of times."""


def _hash_field(model: type[Values], name: object) -> str:
    if reason := bad_field(name, indexed=False):
        raise ValidationError(model.__name__, str(name), reason)
    return str(name)


def _raw_value(model: type[Values], name: str, value: object) -> bytes:
    """A value for an undeclared hash field."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, str | int | float | decimal.Decimal) and not isinstance(value, bool):
        try:
            return str(value).encode()
        except UnicodeEncodeError:
            raise ValidationError(
                model.__name__, name, "holds a lone surrogate, which UTF-8 cannot write"
            ) from None
    raise ValidationError(
        model.__name__, name, f"a hash field takes text, bytes or a number, not {type(value).__name__}"
    )


def _stored_text(model: type[Values], field: Field[Any], value: object) -> str | bytes:
    """A raw value for a declared field, as text (bytes where it is none), for the field to read."""
    raw = _raw_value(model, field.name, int(value) if isinstance(value, bool) else value)
    return as_text(raw)
