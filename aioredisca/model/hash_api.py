"""``HashAPI``: the second way to look at a record. Attributes see values, the dict API sees the hash."""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any, cast

from aioredisca.errors import CorruptRecord, FieldUnset, ValidationError
from aioredisca.fields.access import assign, need_record, set_raw, touched
from aioredisca.frames import hide_values
from aioredisca.model.state import Stateful
from aioredisca.storage.codecs import as_text, plain, read_string
from aioredisca.storage.keys import bad_field
from aioredisca.types import MISSING, Raw

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.mapper import Mapper


class HashAPI(Stateful):
    """The dict API of a record, and what it exports. Base of Record."""

    __slots__ = ()

    __iter__ = None  # a record has len() and []; iterating it would never end

    if TYPE_CHECKING:
        __mapper__: Mapper

    def __getitem__(self, name: str) -> str | bytes | int | None:
        """The hash field *name* as it is stored: int, str, or bytes where it is no UTF-8; None if unset."""
        name = _key(self.__mapper__, name)
        raw = _stored(self, name)
        field = self.__mapper__.by_key.get(name)
        if raw is None:
            return None
        return field.view(raw) if field else as_text(raw)

    def __setitem__(self, name: str, value: str | bytes | int | float | None) -> None:
        """Set the hash field *name*. A declared one is checked by its field; None removes."""
        try:
            _set(self, name, value)
        except ValidationError as error:
            hide_values(error)
            del value
            raise

    def __delitem__(self, name: str) -> None:
        self[name] = None

    def __contains__(self, name: str) -> bool:
        return _stored(self, _key(self.__mapper__, name)) is not None

    def __len__(self) -> int:
        return len(self.raw_export())

    def pop(self, name: str, default: Any = None) -> Any:
        """Remove the hash field *name* and return what it held, or *default*. No I/O."""
        value = self[name]
        self[name] = None
        return default if value is None else value

    def getdiff(self) -> dict[str, Any]:
        """Return the changed hash fields; None marks one to be removed. No I/O."""
        need_record(self)
        return _shown(self, {**self.__state__.layers.diff, **touched(cast("Any", self))})

    def getorigin(self) -> dict[str, Any]:
        """Return the hash as it is stored, without local changes. NotLoaded unless loaded raw. No I/O."""
        need_record(self)
        _need_all(self, "getorigin()")
        return _shown(self, _held(self.__state__.layers.raw))

    def raw_export(self) -> dict[str, Any]:
        """Return the hash as a save would leave it. NotLoaded unless loaded raw. No I/O."""
        need_record(self)
        _need_all(self, "raw_export()")
        return _shown(self, _held({**self.__state__.layers.merged(), **touched(cast("Any", self))}))

    def export(self, keep_none: bool = False) -> dict[str, Any]:
        """Return the values of all fields by attribute name, secret ones left out. No I/O."""
        need_record(self)
        values = dict[str, Any]()
        for name, field in self.__mapper__.fields.items():
            if field.secret:
                continue
            try:
                value = field.__get__(self, type(self))
            except FieldUnset:
                value = None
            except CorruptRecord:
                values.clear()
                value = None
                raise
            if keep_none or value is not None:
                values[name] = value
        return values


def _set(record: Any, name: str, value: Any) -> None:
    mapper = record.__mapper__
    name = _key(mapper, name)
    field = mapper.by_key.get(name)
    if field is not None:
        text = None if value is None else _stored_text(mapper, field, value)
        assign(record, field, *field.__codec__.accept_stored(text, mapper))
    else:
        set_raw(record, name, None if value is None else _raw_value(mapper, name, value))


def _stored(record: Any, name: str) -> bytes | None:
    mapper = record.__mapper__
    raw, declared = record.__state__.layers.stored(name), name in mapper.by_key
    if raw is MISSING and (declared or not record.__state__.layers.complete):
        mapper.colour.load_missing(record, name, raw=not declared)
        raw = record.__state__.layers.stored(name)
    return None if raw is MISSING else raw


def _need_all(record: Any, name: str) -> None:
    if not record.__state__.layers.known(all_fields=True):
        record.__mapper__.colour.load_missing(record, name, raw=True)


def _held(raw: Raw) -> Raw:
    return {key: value for key, value in raw.items() if value is not None}


def _shown(record: HashAPI, raw: Raw) -> dict[str, Any]:
    fields = record.__mapper__.by_key
    return {
        key: None if value is None else fields[key].view(value) if key in fields else as_text(value)
        for key, value in raw.items()
    }


def _key(mapper: Mapper, name: Any) -> str:
    """The hash field that a program means. ValidationError for what names none."""
    key: str = plain(name)
    if reason := bad_field(key, indexed=False):
        raise ValidationError(mapper.name, str(key), reason)
    return key


def _raw_value(mapper: Mapper, name: str, value: object) -> bytes:
    """A value for an undeclared hash field."""
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, str | int | float | decimal.Decimal) and not isinstance(value, bool):
        try:
            return read_string(value).encode()
        except ValueError as error:  # a lone surrogate, or more digits than Python writes
            raise ValidationError(mapper.name, name, str(error)) from None
    raise ValidationError(
        mapper.name, name, f"a hash field takes text, bytes or a number, not {type(value).__name__}"
    )


def _stored_text(mapper: Mapper, field: Field[Any], value: object) -> str | bytes:
    """A raw value for a declared field, as text (bytes where it is none), for the field to read."""
    return as_text(_raw_value(mapper, field.name, int(value) if isinstance(value, bool) else value))
