"""What pydantic, and so FastAPI, makes of a model: schemas of its records, and input models for it.

::

    Create[User]  what makes a record: all fields but readonly ones; anything else is refused
    Update[User]  the same, each optional: what is left out is left as it is
    Read[User]    what a client may see: the id and all fields but secret ones

A record itself can be returned: ``-> User``, ``list[User]``, a field of another pydantic model. References
are ids. Nothing here does I/O: a record that was not loaded cannot be shown.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, overload
from weakref import WeakKeyDictionary

import pydantic
from pydantic import BaseModel, ConfigDict
from pydantic_core import core_schema

from aioredisca.drivers.run import run
from aioredisca.errors import UsageError
from aioredisca.fields.password import Password, make_hash
from aioredisca.model.record import Record
from aioredisca.model.sessions import no_session
from aioredisca.pydantic.values import shown, taken

if TYPE_CHECKING:
    from aioredisca import sync
    from aioredisca.model.model import Model

M = TypeVar("M", bound="Model")
B = TypeVar("B", bound="sync.Model")
R = TypeVar("R", bound=Record)

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

    @pydantic.model_validator(mode="before")
    @classmethod
    def _values_of(cls, given: Any) -> Any:
        """The values of a record, read here, where what cannot be read raises the error of its own."""
        if isinstance(given, Record):
            return {name: getattr(given, name) for name in cls.model_fields}
        return given


def _create_fields(model: type[Record]) -> dict[str, Any]:
    given = {name: field for name, field in model.__mapper__.fields.items() if not field.readonly}
    return {
        name: (taken(field, model), ... if _must_be_given(field) else _left_out())
        for name, field in given.items()
    }


def _update_fields(model: type[Record]) -> dict[str, Any]:
    given = {name: field for name, field in model.__mapper__.fields.items() if not field.readonly}
    return {name: (taken(field, model), _left_out()) for name, field in given.items()}


def _must_be_given(field: Any) -> bool:
    """Whether nothing else than the input gives a new record its value."""
    return field.required and field.new is None and field.on_save is None


def _left_out() -> Any:
    """A default that JSON Schema does not show: what is left out is not None, it is not given."""
    return pydantic.Field(default_factory=lambda: None)


def _read_fields(model: type[Record]) -> dict[str, Any]:
    seen = {name: field for name, field in model.__mapper__.fields.items() if not field.secret}
    return {"id": (str, ...), **{name: (shown(field, model), ...) for name, field in seen.items()}}


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

    def describe(schema: Any, inner: Any) -> dict[str, Any]:
        return cast("dict[str, Any]", inner(read.__pydantic_core_schema__))

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


def as_json(record: Record) -> dict[str, Any]:
    """The JSON form of a record, as ``Read`` of its class shows it, where no annotation names the class."""
    read: type[BaseModel] = generated("Read", type(record))
    return read.model_validate(record).model_dump(mode="json")
