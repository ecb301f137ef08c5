"""The values of one record in memory: what is stored, what was changed, and the two ways to look at both.

Three layers answer for a hash field: what was changed (``_diff``), what is being saved right now
(``_inflight``), and what is known to be stored (``_raw``). Attributes see values, the dict API the hash.
"""

from __future__ import annotations

import decimal
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any

from .descriptors import Field, as_text
from .errors import CorruptRecord, FieldUnset, NotLoaded, SessionClosed, ValidationError
from .keys import bad_field
from .modeltype import ModelType
from .plan import Mode
from .session import BaseSession
from .types import MISSING, Missing, Raw, Transport


class Values(metaclass=ModelType):
    """State of a record, attributes and dict API. Base of Record."""

    __slots__ = (
        "__weakref__",
        "_again",
        "_blank",
        "_complete",
        "_diff",
        "_fresh",
        "_id",
        "_inflight",
        "_loaded",
        "_lock",
        "_mode",
        "_raw",
        "_session",
        "_values",
    )

    __iter__ = None  # a record has len() and []; iterating it would never end

    _id: str
    _raw: Raw
    _diff: Raw
    _inflight: Raw
    _values: dict[str, Any]
    _mode: Mode
    _loaded: bool  # every declared field is known
    _complete: bool  # undeclared ones too
    _blank: bool  # nothing is stored: what is not set is None
    _fresh: bool  # made by new(): a change by itself
    _again: bool  # a write was sent and not answered
    _session: BaseSession | None
    _lock: tuple[Transport, AbstractAsyncContextManager[Any]] | None

    def __init__(self, model_id: str | None = None, /) -> None:
        self._begin_as(model_id or "", {}, "upsert", loaded=False)

    def _begin_as(self, id: str, raw: Raw, mode: Mode, *, loaded: bool) -> None:
        """Set every slot, past our own ``__setattr__``: a query makes records by the thousand."""
        put = object.__setattr__
        put(self, "_id", id)
        put(self, "_raw", raw)
        put(self, "_diff", {})
        put(self, "_inflight", {})
        put(self, "_values", {})
        put(self, "_mode", mode)
        put(self, "_loaded", loaded)
        put(self, "_complete", False)
        put(self, "_blank", False)
        put(self, "_fresh", False)
        put(self, "_again", False)
        put(self, "_session", None)
        put(self, "_lock", None)

    if TYPE_CHECKING:

        def getkey(self) -> str: ...

    # -- values ------------------------------------------------------------------------------------

    if not TYPE_CHECKING:

        def __setattr__(self, name, value):
            if name[:1] != "_" and not hasattr(type(self), name):
                hint = type(self)._nearest(name)
                raise AttributeError(f"{type(self).__name__} has no field {name!r}{hint}")
            object.__setattr__(self, name, value)

    def _stored(self, key: str) -> bytes | Missing | None:
        """The bytes of a hash field as this instance would save them, or MISSING where not known."""
        for layer in (self._diff, self._inflight, self._raw):
            if key in layer:
                return layer[key]
        known = self._blank or self._fresh or (self._complete and self._loaded)
        return None if known else MISSING

    def _value(self, field: Field[Any]) -> Any:
        if field.name in self._values:
            return self._values[field.name]
        raw = self._stored(field.key)
        if raw is MISSING:
            self._load_hidden(field.name, raw=False)
            raw = self._stored(field.key)
        if raw is None or raw is MISSING:
            return self._nothing(field)
        value = self._values[field.name] = self._decoded(field, raw)
        if field.mutable and self._session is not None and not self._session.closed:
            self._session._hold(self)  # it may change in place, seen only when it is saved
        return value

    def _nothing(self, field: Field[Any]) -> None:
        if not field.required:
            return
        if self._blank or self._mode == "create":
            raise FieldUnset(type(self).__name__, field.name)
        raise CorruptRecord(
            type(self).__name__, self.getkey(), field.name, "is missing, though the field is required"
        )

    def _decoded(self, field: Field[Any], raw: bytes) -> Any:
        try:
            return field.read(raw, type(self))
        except ValueError as error:
            reason = "cannot be read" if field.secret or isinstance(error, UnicodeError) else str(error)
        raise CorruptRecord(type(self).__name__, self.getkey(), field.name, reason)

    def _load_hidden(self, name: str, *, raw: bool) -> None:
        """A value was asked for that is not known. Async code must not do hidden I/O; blocking code does."""
        cure = f"await the record's load(raw=True) to read {name!r}" if raw else ""
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
        self._diff.pop(key, None)
        if self._stored(key) != raw or isinstance(self._stored(key), Missing):
            self._diff[key] = raw
        if self._session is not None:
            self._session._hold(self)

    def _touched(self) -> Raw:
        """Mutable values that changed in place since they were read."""
        changed: Raw = {}
        for name, value in self._values.items():
            field = type(self)._fields.get(name)
            if field is not None and field.mutable:
                _, raw = field.accept(value, type(self))
                if raw is not None and not self._holds(field, raw):
                    changed[field.key] = raw
        return changed

    def _holds(self, field: Field[Any], raw: bytes) -> bool:
        """Whether *raw* means what is stored, which others may have written in another form."""
        stored = self._stored(field.key)
        return stored == raw or (
            isinstance(stored, bytes) and field.accept(self._decoded(field, stored), type(self))[1] == raw
        )

    def _changed(self) -> bool:
        return bool(self._diff) or self._fresh or bool(self._touched())

    @classmethod
    def _attribute(cls, key: str) -> str:
        """The attribute that stores the hash field *key*; an undeclared one is called as it is."""
        return next((name for name, field in cls._fields.items() if field.key == key), key)

    # -- dict API ----------------------------------------------------------------------------------

    @classmethod
    def _by_key(cls, key: str) -> Field[Any] | None:
        return next((field for field in cls._fields.values() if field.key == key), None)

    def _raw_of(self, name: str) -> bytes | None:
        raw = self._stored(_hash_field(type(self), name))
        if raw is MISSING and (self._by_key(name) or not self._complete):
            self._load_hidden(name, raw=self._by_key(name) is None)
            raw = self._stored(name)
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
        return self._views({**self._diff, **self._touched()})

    def getorigin(self) -> dict[str, Any]:
        """Return the hash as it is stored, without local changes. NotLoaded unless loaded raw. No I/O."""
        self._need_all("getorigin()")
        return self._views({key: value for key, value in self._raw.items() if value is not None})

    def raw_export(self) -> dict[str, Any]:
        """Return the hash as a save would leave it. NotLoaded unless loaded raw. No I/O."""
        self._need_all("raw_export()")
        merged = {**self._raw, **self._inflight, **self._diff, **self._touched()}
        return self._views({key: value for key, value in merged.items() if value is not None})

    def _need_all(self, name: str) -> None:
        if not (self._blank or self._fresh or self._complete):
            self._load_hidden(name, raw=True)

    def export(self, keep_none: bool = False) -> dict[str, Any]:
        """Return the values of all fields by attribute name, secret ones left out. No I/O."""
        values = dict[str, Any]()
        for name, field in type(self)._fields.items():
            if field.secret:
                continue
            try:
                value = self._value(field)
            except FieldUnset:
                value = None
            if keep_none or value is not None:
                values[name] = value
        return values


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
