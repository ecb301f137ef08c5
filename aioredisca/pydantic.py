"""What pydantic, and so FastAPI, makes of a model: schemas of its records, and input models for it.

::

    Create[User]  what makes a record: all fields but readonly ones; anything else is refused
    Update[User]  the same, each optional: what is left out is left as it is
    Read[User]    what a client may see: the id and all fields but secret ones

A record itself can be returned: ``-> User``, ``list[User]``, a field of another pydantic model. References
are ids. Nothing here does I/O: a record that was not loaded cannot be shown.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import enum
import math
import uuid
import warnings
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, TypeVar, cast, overload
from weakref import WeakKeyDictionary

import pydantic
from pydantic import BaseModel, ConfigDict
from pydantic_core import core_schema

from aioredisca.drivers.run import run
from aioredisca.errors import UsageError, ValidationError
from aioredisca.fields import numbers, scalars, text, times
from aioredisca.fields.base import Field
from aioredisca.fields.password import MD5Pass, Password, make_hash, plain_text
from aioredisca.fields.reference import Reference
from aioredisca.model.record import Record
from aioredisca.model.sessions import no_session
from aioredisca.storage.keys import MAX_ID

if TYPE_CHECKING:
    from aioredisca import sync
    from aioredisca.model.model import Model

M = TypeVar("M", bound="Model")
B = TypeVar("B", bound="sync.Model")
R = TypeVar("R", bound=Record)

Json = dict[str, Any]


# -- one field -------------------------------------------------------------------------------------


class _Kept:
    """A field in pydantic: the values that the field itself takes, under the JSON Schema of its kind."""

    def __init__(self, field: Field[Any], owner: type[Record], validate: Callable[[Any], Any]) -> None:
        self._field, self._owner, self._validate = field, owner, validate

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> core_schema.CoreSchema:
        shown = core_schema.plain_serializer_function_ser_schema(self._show, when_used="json-unless-none")
        return core_schema.no_info_plain_validator_function(self._validate, serialization=shown)

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> Json:
        shape, more = _shape(self._field)
        found = {**handler(shape), **more}
        return found if self._field.required else {"anyOf": [found, {"type": "null"}]}

    def _show(self, value: Any) -> Any:
        """The JSON form of a value."""
        if isinstance(value, bytes):
            return base64.b64encode(value).decode()
        if isinstance(value, enum.Enum):
            return value.value
        if isinstance(value, decimal.Decimal) and self._field.__codec__.keeps("to_db"):
            return format(value, "f")
        if isinstance(value, float) and value in _INFINITE:
            return _INFINITE[value]
        if isinstance(self._field, scalars.Json) or isinstance(value, _PLAIN):
            return value
        stored = self._field.to_db(value)
        return stored if isinstance(stored, str) else base64.b64encode(stored).decode()


_INFINITE = {math.inf: "Infinity", -math.inf: "-Infinity"}
"""What JSON has no number for, in the words that Float takes back; pydantic itself would say null."""

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


def _shape(field: Field[Any]) -> tuple[core_schema.CoreSchema, Json]:
    """The pydantic schema whose JSON Schema describes *field*, and what to add to it."""
    for kind, shape in _SHAPES.items():
        if isinstance(field, kind):
            return shape(field)
    return core_schema.any_schema(), {}


def _text(field: Any, **more: Any) -> tuple[core_schema.CoreSchema, Json]:
    limits: Any = getattr(field, "__limits__", field)  # passwords have limits of their plain text
    return core_schema.str_schema(min_length=limits.minlen, max_length=limits.maxlen), more


def _number(schema: Any) -> Callable[[Any], tuple[core_schema.CoreSchema, Json]]:
    return lambda field: (schema(ge=field.minval, le=field.maxval), {})


def _as_it_is(schema: Any, **more: Any) -> Callable[[Any], tuple[core_schema.CoreSchema, Json]]:
    return lambda field: (schema(), more)


def _members(of: type[enum.Enum]) -> core_schema.CoreSchema:
    if issubclass(of, enum.Flag):  # whose members may be combined
        return core_schema.int_schema()
    return core_schema.literal_schema([member.value for member in of])


_SHAPES: dict[type[Field[Any]], Callable[[Any], tuple[core_schema.CoreSchema, Json]]] = {
    text.String: _text,
    text.Email: _as_it_is(core_schema.str_schema, format="email", maxLength=254),
    MD5Pass: lambda field: _text(field, format="password", writeOnly=True),
    Password: lambda field: _text(field, format="password", writeOnly=True),
    scalars.Bool: _as_it_is(core_schema.bool_schema),
    scalars.UUID: _as_it_is(core_schema.uuid_schema),
    scalars.Enum: lambda field: (_members(field.of), {}),
    text.Bytes: _as_it_is(core_schema.str_schema, contentEncoding="base64"),
    numbers.Integer: _number(core_schema.int_schema),
    numbers.Float: _number(core_schema.float_schema),
    numbers.Decimal: _number(core_schema.decimal_schema),
    times.DateTime: _as_it_is(core_schema.datetime_schema),
    times.Date: _as_it_is(core_schema.date_schema),
    Reference: _as_it_is(core_schema.str_schema, minLength=1, maxLength=MAX_ID),
}


def _taken(field: Field[Any], owner: type[Record]) -> Any:
    """The annotation of *field* where a client gives its value."""

    def take(value: Any) -> Any:
        if isinstance(field, Password):
            return None if value is None and not field.required else plain_text(field, value)
        if isinstance(field, text.Bytes) and isinstance(value, str):
            value = _from_base64(value)
        try:
            coerced = field.__codec__.accept(value, owner.__mapper__)[0]
        except ValidationError as error:
            raise ValueError(error.reason) from None
        return value if isinstance(field, MD5Pass) else coerced  # which hashes once more when assigned

    return Annotated[Any, _Kept(field, owner, take)]


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("is no base64") from None


def _shown(field: Field[Any], owner: type[Record]) -> Any:
    """The annotation of *field* where a client sees its value, whatever is stored."""
    return Annotated[Any, _Kept(field, owner, lambda value: value)]


# -- generated models ------------------------------------------------------------------------------


class _Body(BaseModel):
    """What a client sent for a record of ``_model``."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=(), hide_input_in_errors=True)

    __record__: ClassVar[type[Record]]

    async def _values(self) -> dict[str, Any]:
        """What was given, by attribute, passwords hashed where that stalls no event loop."""
        mapper = type(self).__record__.__mapper__
        given = {name: self.__dict__[name] for name in self.__pydantic_fields_set__}
        for name, value in given.items():
            field = mapper.fields[name]
            if isinstance(field, Password) and value is not None:
                given[name] = await make_hash(field, mapper, value)
        return given


def _finished(model: type[Record], operation: Coroutine[Any, Any, Any]) -> Any:
    """A coroutine for asyncio models, its result for blocking ones."""
    return run(operation) if model.__mapper__.colour.hashes_inline else operation


class _Create(_Body):
    def new(self, model_id: str | int | None = None, /, **more: Any) -> Any:
        """Return an unsaved record: ``await body.new()``. *more* sets and overrides fields. No I/O."""

        async def made() -> Record:
            return model.new(model_id, **{**await self._values(), **more})

        model = type(self).__record__
        return _finished(model, made())


class _Update(_Body):
    def apply(self, record: Any) -> Any:
        """Assign what was given to *record* and return it: ``await body.apply(user)``. No I/O."""

        async def applied() -> Record:
            for name, value in (await self._values()).items():
                setattr(record, name, value)
            return cast("Record", record)

        model = type(self).__record__
        if not isinstance(record, model):
            raise UsageError(f"{type(self).__name__} changes records of {model.__name__}, not {record!r}")
        return _finished(model, applied())


class _Read(BaseModel):
    model_config = ConfigDict(from_attributes=True, protected_namespaces=())


def _create_fields(model: type[Record]) -> dict[str, Any]:
    given = {name: field for name, field in model.__mapper__.fields.items() if not field.readonly}
    return {
        name: (_taken(field, model), ... if field.required and field.new is None else _left_out())
        for name, field in given.items()
    }


def _update_fields(model: type[Record]) -> dict[str, Any]:
    given = {name: field for name, field in model.__mapper__.fields.items() if not field.readonly}
    return {name: (_taken(field, model), _left_out()) for name, field in given.items()}


def _left_out() -> Any:
    """A default that JSON Schema does not show: what is left out is not None, it is not given."""
    return pydantic.Field(default_factory=lambda: None)


def _read_fields(model: type[Record]) -> dict[str, Any]:
    seen = {name: field for name, field in model.__mapper__.fields.items() if not field.secret}
    return {"id": (str, ...), **{name: (_shown(field, model), ...) for name, field in seen.items()}}


_KINDS: dict[str, tuple[type[BaseModel], Callable[[type[Record]], dict[str, Any]]]] = {
    "Create": (_Create, _create_fields),
    "Update": (_Update, _update_fields),
    "Read": (_Read, _read_fields),
}


def generated(kind: str, model: Any) -> Any:
    """The pydantic class ``UserCreate``, ``UserUpdate`` or ``UserRead`` of *model*, made once."""
    if not isinstance(model, type) or not issubclass(model, Record):
        raise UsageError(f"{kind}[...] takes a model class, not {model!r}")
    made, version = _made.setdefault(model, {}), model.__mapper__.version
    if kind not in made or made[kind][0] != version:  # a field may have come late
        made[kind] = version, _generate(kind, model)
    return made[kind][1]


_made: WeakKeyDictionary[type[Any], dict[str, tuple[int, Any]]] = WeakKeyDictionary()
"""What was generated of each class, with the version of its fields. It lives as long as the class is used:
pydantic itself keeps what it generated."""


def _generate(kind: str, model: type[Record]) -> Any:
    base, make_fields = _KINDS[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a field may be called json or copy
        made: Any = pydantic.create_model(
            f"{model.__name__}{kind}", __base__=base, __module__=model.__module__, **make_fields(model)
        )
    made.__record__ = model
    return made


if TYPE_CHECKING:

    class Create(BaseModel, Generic[R]):
        """``Create[User]``: what a client may send to make a record. See :mod:`aioredisca.pydantic`."""

        @overload
        def new(self: Create[M], model_id: str | int | None = None, /, **more: Any) -> Coroutine[Any, Any, M]:
            """Return an unsaved record: ``await body.new()``. *more* sets and overrides fields. No I/O."""

        @overload
        def new(self: Create[B], model_id: str | int | None = None, /, **more: Any) -> B: ...
        def new(self, model_id: Any = None, /, **more: Any) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...

    class Update(BaseModel, Generic[R]):
        """``Update[User]``: what a client may send to change a record. See :mod:`aioredisca.pydantic`."""

        @overload
        def apply(self: Update[M], record: M) -> Coroutine[Any, Any, M]:
            """Assign what was given to *record* and return it: ``await body.apply(user)``. No I/O."""

        @overload
        def apply(self: Update[B], record: B) -> B: ...
        def apply(self, record: Any) -> Any: ...
        def __getattr__(self, name: str) -> Any: ...

    class Read(BaseModel, Generic[R]):
        """``Read[User]``: what a client may see of a record: ``Read[User].model_validate(user)``."""

        def __getattr__(self, name: str) -> Any: ...

else:

    class _Generated:
        def __class_getitem__(cls, model: Any) -> Any:
            return generated(cls.__name__, model)

    class Create(_Generated):
        """``Create[User]``: what a client may send to make a record. See :mod:`aioredisca.pydantic`."""

    class Update(_Generated):
        """``Update[User]``: what a client may send to change a record. See :mod:`aioredisca.pydantic`."""

    class Read(_Generated):
        """``Read[User]``: what a client may see of a record: ``Read[User].model_validate(user)``."""


# -- records themselves ----------------------------------------------------------------------------


def record_schema(model: type[Record], handler: Any) -> core_schema.CoreSchema:
    """The schema of a record of *model*: shown as Read, taken as it is, or made unsaved from Create.

    What is made so belongs to no session: nothing is stored unless it is saved.
    """
    read = generated("Read", model)

    def take(value: Any, inner: Any) -> Any:
        return value if isinstance(value, model) else _unsaved(model, inner(value))

    def show(record: Any, inner: Any) -> Any:
        return inner(read.model_validate(record))

    def describe(schema: Any, inner: Any) -> Json:
        return cast("Json", inner(read.__pydantic_core_schema__))

    reference = f"{read.__module__}.{read.__qualname__}:{id(read)}"  # as pydantic makes it: one name for both

    return core_schema.no_info_wrap_validator_function(
        take,
        handler.generate_schema(generated("Create", model)),
        # A wrap serializer hands include= and exclude= on, which a plain one would not. What it gives is
        # plain data already, only described as Read.
        serialization=core_schema.wrap_serializer_function_ser_schema(
            show,
            schema=handler.generate_schema(read),
            return_schema=core_schema.any_schema(
                ref=reference, metadata={"pydantic_js_functions": [describe]}
            ),
        ),
    )


def _unsaved(model: type[Record], body: Any) -> Record:
    given = {name: getattr(body, name) for name in body.__pydantic_fields_set__}
    blocking = model.__mapper__.colour.hashes_inline
    for name in given:
        if isinstance(model.__mapper__.fields[name], Password) and not blocking:
            raise ValueError(f"{name} cannot be taken here: use Create[{model.__name__}]")
    with no_session():
        return model.new(**given)
