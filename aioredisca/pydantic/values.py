"""One field in pydantic: the type that a generated model gives it, and how its values go in and out as JSON.

The type is what schemas and factories read. What is taken and how it is shown is the field's own affair.
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import math
import types
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal, Optional, Union, cast, get_args, get_origin

import pydantic
from pydantic_core import PydanticCustomError, core_schema

from aioredisca.errors import ValidationError
from aioredisca.fields import numbers, scalars, text
from aioredisca.fields import times as moments
from aioredisca.fields.base import Field
from aioredisca.fields.password import MD5Pass, Password, plain_text
from aioredisca.fields.reference import Reference
from aioredisca.fields.tags import Tags
from aioredisca.model.record import Record
from aioredisca.storage.codecs import MAX_DIGITS
from aioredisca.storage.keys import LONG_VALUE, MAX_ID

# -- in and out -----------------------------------------------------------------------------------


class _Shown:
    """A field in pydantic where a client sees its value: whatever is stored, under the type of its kind."""

    def __init__(self, field: Field[Any], owner: type[Record]) -> None:
        self._field, self._owner = field, owner

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return core_schema.no_info_wrap_validator_function(  # what it stands around, describes it only
            self._take,
            handler(source),
            serialization=core_schema.plain_serializer_function_ser_schema(self._give, info_arg=True),
        )

    def _take(self, value: Any, described: Any) -> Any:
        return value

    def _give(self, value: Any, info: core_schema.SerializationInfo) -> Any:
        return value if value is None or info.mode == "python" else self._show(value)

    def _show(self, value: Any) -> Any:
        """The JSON form of a value."""
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, float) and math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"  # which JSON has no number for
        if isinstance(value, decimal.Decimal) and self._field.__codec__.keeps("to_db"):
            return format(value, "f")
        if isinstance(self._field, Tags):
            return sorted(cast("set[str]", value))
        if isinstance(self._field, scalars.Json) or isinstance(value, _PLAIN):
            return value
        stored = self._field.to_db(value)
        return stored if isinstance(stored, str) else base64.b64encode(stored).decode()


_PLAIN: tuple[Any, ...] = (
    str,
    int,
    float,
    bool,
    datetime.date,
    datetime.datetime,
    uuid.UUID,
    set,
    frozenset,
    list,
    tuple,
)
"""What pydantic writes as JSON by itself, as it should be."""


_WAYS = ("coerce", "coerce_stored", "from_db", "to_db")


class _Taken(_Shown):
    """A field in pydantic where a client gives its value: what the field takes, and what Read shows."""

    def _take(self, value: Any, described: Any) -> Any:
        try:
            return self._accepted(value)
        except ValueError as error:
            reason: Any = error.reason if isinstance(error, ValidationError) else str(error)
        raise PydanticCustomError("value_error", reason)

    def _accepted(self, value: Any) -> Any:
        field = self._field
        if isinstance(field, Password):
            return None if value is None and not field.required else plain_text(field, value)
        if isinstance(value, str):
            value = _from_base64(value) if isinstance(field, text.Bytes) else self._meant(value)
        coerced = field.__codec__.accept(value, self._owner.__mapper__)[0]
        return value if isinstance(field, MD5Pass) else coerced  # which hashes once more when assigned

    def _meant(self, given: str) -> Any:
        """The value that Read shows as the text *given*, being what is stored of it; else the text itself.

        So it is with fields of one's own, and with references that name the class of a record too.
        """
        codec = self._field.__codec__
        if codec.keeps(*_WAYS) and not isinstance(self._field, Reference):
            return given
        try:
            value = codec.coerce_stored(given, self._owner.__mapper__)
        except Exception:  # whatever a field of the user's raises: to take the text as it is will tell
            return given
        return value if self._show(value) == given else given


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ValueError("is no base64") from None


# -- types -----------------------------------------------------------------------------------------


class _As:
    """A type whose JSON form is another one than pydantic would make of it."""

    def __init__(self, shape: core_schema.CoreSchema, **more: Any) -> None:
        self._shape, self._more = shape, more

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        return self._shape

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler(schema), **self._more}


def _type_of(field: Field[Any]) -> Any:
    """The type of the values of *field*, with their limits, and with their JSON form where that differs."""
    made = next((made for kind, made in _TYPES.items() if isinstance(field, kind)), _of_ones_own)
    return made(field)


def _text(field: Any) -> Any:
    return Annotated[str, pydantic.Field(min_length=field.minlen, max_length=field.maxlen)]


def _password(field: Any) -> Any:
    limits = getattr(field, "__limits__", field)  # passwords have limits of their plain text
    shape = core_schema.str_schema(min_length=limits.minlen, max_length=limits.maxlen)
    plain = _text(limits)
    return Annotated[plain, _As(shape, format="password", writeOnly=True)]


def _number(kind: type) -> Callable[[Any], Any]:
    return lambda field: Annotated[kind, pydantic.Field(ge=field.minval, le=field.maxval)]


def _integer(field: Any) -> Any:
    if field.maxdigits == MAX_DIGITS:  # which no schema needs to write out
        return _number(int)(field)
    most = 10**field.maxdigits - 1
    least = -most if field.minval is None else max(-most, field.minval)
    most = most if field.maxval is None else min(most, field.maxval)
    return Annotated[int, pydantic.Field(ge=least, le=most)]


def _decimal(field: Any) -> Any:
    digits = None if field.maxdigits == numbers.MAX_DECIMAL_DIGITS else field.maxdigits
    limits = pydantic.Field(decimal_places=field.places, max_digits=digits)
    number = _number(decimal.Decimal)(field)
    return Annotated[number, limits]


def _tags(field: Any) -> Any:
    least, most = max(1, field.minlen or 1), min(LONG_VALUE, field.maxlen or LONG_VALUE)
    element = Annotated[str, pydantic.Field(min_length=least, max_length=most)]
    return Annotated[set[element], pydantic.Field(max_length=field.maxitems)]


def _member(field: Any) -> Any:
    values = tuple(member.value for member in field.of)
    if issubclass(field.of, enum.Flag):  # whose members may be combined
        return Annotated[int, pydantic.Field(ge=0, le=sum(values))]
    return Literal[values]  # pyrefly: ignore[not-a-type]


def _json(field: Any) -> Any:
    """What ``Json[...]`` says, where pydantic can describe it."""
    said = getattr(field, "__orig_class__", None)
    kind = get_args(said)[0] if said else Any
    try:
        described = pydantic.TypeAdapter(kind).json_schema()
    except Exception:  # a name that is not there yet, a class that pydantic does not know
        return Any
    return kind if described else Any


def _of_ones_own(field: Field[Any]) -> Any:
    """What a field of one's own says of its values: the T of ``Field[T]``, as text unless JSON has such."""
    bases = [base for kind in type(field).__mro__ for base in vars(kind).get("__orig_bases__", ())]
    said = next((get_args(base)[0] for base in bases if get_origin(base) is Field), Any)
    kinds = {*(get_args(said) if get_origin(said) in _UNIONS else (said,))} - {type(None)}
    kind = kinds.pop() if len(kinds) == 1 else Any
    plain: Any = get_origin(kind) or kind
    if plain is Any or not isinstance(plain, type):
        return Any
    return kind if issubclass(plain, _PLAIN) else Annotated[kind, _As(core_schema.str_schema())]


_UNIONS = (Union, types.UnionType)

_EMAIL = Annotated[pydantic.EmailStr, _As(core_schema.str_schema(max_length=254), format="email")]
_BYTES = Annotated[bytes, _As(core_schema.str_schema(), contentEncoding="base64")]
_ID = Annotated[str, pydantic.Field(min_length=1, max_length=MAX_ID)]

_TYPES: dict[type[Field[Any]], Callable[[Any], Any]] = {
    text.String: _text,
    text.Email: lambda field: _EMAIL,
    MD5Pass: _password,
    Password: _password,
    scalars.Bool: lambda field: bool,
    scalars.UUID: lambda field: uuid.UUID,
    scalars.Enum: _member,
    scalars.Json: _json,
    text.Bytes: lambda field: _BYTES,
    numbers.Integer: _integer,
    numbers.Float: _number(float),
    numbers.Decimal: _decimal,
    moments.DateTime: lambda field: datetime.datetime,
    moments.Date: lambda field: datetime.date,
    Tags: _tags,
    Reference: lambda field: _ID,
}


def taken(field: Field[Any], owner: type[Record]) -> Any:
    """The annotation of *field* where a client gives its value."""
    return _annotation(field, _Taken(field, owner))


def shown(field: Field[Any], owner: type[Record]) -> Any:
    """The annotation of *field* where a client sees its value, whatever is stored."""
    return _annotation(field, _Shown(field, owner))


def _annotation(field: Field[Any], way: _Shown) -> Any:
    kind = _type_of(field)
    if kind is not Any and not field.required:
        kind = Optional[kind]  # noqa: UP045  # it is a value, and may be no class
    return Annotated[kind, way]
