"""``Record``: one record, colourless, with all verbs that do no I/O.

Model and sync.Model add those that do, each in its colour. What the library knows of an instance stands at
``__state__``, what it keeps of the class at ``__mapper__``: all other names belong to models.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from aioredisca.config import hooks
from aioredisca.errors import UsageError, ValidationError
from aioredisca.fields.access import keep_touched, need_record, touched
from aioredisca.frames import hide_values
from aioredisca.model import declaration
from aioredisca.model.hash_api import HashAPI
from aioredisca.model.metaclass import ModelType
from aioredisca.model.state import State, set_state
from aioredisca.model.unit_of_work import current

if TYPE_CHECKING:
    from aioredisca.model.mapper import Colour, Mapper


class DictGet(Protocol):
    """``user.get``: reads a hash field, as ``dict.get`` does."""

    def __call__(self, name: str, default: Any = None) -> Any: ...


def dict_get(record: HashAPI, /, name: str, default: Any = None) -> Any:
    """The hash field *name* as ``record[name]`` shows it, or *default* where it is unset."""
    value = record[name]
    return default if value is None else value


class Record(HashAPI, metaclass=ModelType):
    """Core of a record. Use Model, or sync.Model."""

    __slots__ = ()

    if TYPE_CHECKING:  # no annotations that get_type_hints() of a model would have to find
        __colour__: ClassVar[Colour]
        __mapper__: Mapper

    def __init__(self, model_id: str | None = None, /) -> None:
        set_state(self, State.of_handle(model_id or ""))

    if not TYPE_CHECKING:

        def __setattr__(self, name, value):
            cls = type(self)
            mapper = cls.__mapper__
            if (field := mapper.fields.get(name)) is not None:
                try:
                    field.__set__(self, value)
                except ValidationError as error:
                    hide_values(error)
                    del value
                    raise
                return
            if name[:1] != "_" and not hasattr(cls, name):
                del value
                raise AttributeError(f"{cls.__name__} has no field {name!r}{mapper.nearest(name)}")
            if name in declaration.RESERVED and callable(getattr(cls, name, None)) and not callable(value):
                del value
                raise UsageError(declaration.no_field(cls.__name__, name))
            object.__setattr__(self, name, value)

    # -- who it is ---------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id, as :meth:`getid` answers it."""
        return self.__state__.id

    def getid(self) -> str:
        """Return the id. No I/O."""
        need_record(self)
        return self.__state__.id

    def getkey(self) -> str:
        """Return the key of the record's hash. No I/O."""
        need_record(self)
        mapper, state = self.__mapper__, self.__state__
        return mapper.key(mapper.store(state.unit), state.id)

    @classmethod
    def getprefix(cls) -> str:
        """Return what the keys of this class start with. No I/O."""
        return cls.__mapper__.prefix()

    @classmethod
    def getfields(cls) -> dict[str, Any]:
        """Return the columns of all fields by attribute name. No I/O."""
        return {name: getattr(cls, name) for name in cls.__mapper__.fields}

    @classmethod
    def inheritors(cls) -> set[type[Self]]:
        """Return all subclasses, of any depth. No I/O."""
        return cls.__mapper__.inheritors()

    @classmethod
    def getdb(cls) -> Any:
        """Return the Database of this class; its ``client`` sends raw commands. No I/O."""
        return cls.__mapper__.store()

    @classmethod
    def depends(cls, parameter: str = "id") -> Any:
        """Return a dependency of FastAPI that loads the record whose id is the path parameter.

        ``user: Annotated[User, User.depends("user_id")]``; NotFound without one. HMGET, one round trip.
        """
        return hooks.fastapi_loader(cls, parameter)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """How pydantic shows and takes a record: see aioredisca.pydantic."""
        return hooks.pydantic_schema(cls, handler)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self is other or (type(self) is type(other) and self.__state__.id == other.__state__.id)

    def __hash__(self) -> int:
        return hash((type(self), self.__state__.id))

    def __bool__(self) -> bool:
        """False only for a record known to be absent, with nothing set. No I/O."""
        return not self.__state__.layers.empty

    def __repr__(self) -> str:
        layers = self.__state__.layers
        known = (
            "new" if layers.fresh else "absent" if layers.blank else "loaded" if layers.loaded else "handle"
        )
        changes = len(layers.diff) + len(layers.inflight)
        shown = f", {changes} changed" if changes else ""
        return f"<{type(self).__name__} {self.__state__.id!r} {known}{shown}>"

    def __reduce__(self) -> tuple[Any, ...]:
        layers = self.__state__.layers
        changed = {**layers.inflight, **layers.diff, **touched(self)}
        known = {**layers.snapshot(), "raw": dict(layers.raw), "diff": changed, "inflight": {}}
        return _restore, (type(self), self.__state__.id, known, dict(getattr(self, "__dict__", {})))

    # -- what is known of it -----------------------------------------------------------------------

    def loaded(self) -> bool:
        """Return whether the stored values of all declared fields are known. No I/O."""
        need_record(self)
        return self.__state__.layers.known()

    def unload(self) -> None:
        """Forget what is stored; keep local changes. No I/O."""
        need_record(self)
        keep_touched(self)
        self.__state__.layers.forget()

    def revert(self) -> None:
        """Forget local changes, and what the session was to require of it, count or add. No I/O."""
        need_record(self)
        state = self.__state__
        state.layers.revert()
        if state.unit is not None:
            state.unit.ask_no_more(self)

    def free(self) -> None:
        """Take the instance out of its session: the next use of its id makes a new one. No I/O.

        UsageError outside a session.
        """
        need_record(self)
        unit = self.__state__.unit
        if unit is None:
            raise UsageError("free() outside a session: there is nothing to take the record out of")
        unit.forget(self)

    @classmethod
    def free_all(cls) -> None:
        """Take all instances of this class and its subclasses out of the session, if there is one. No I/O."""
        unit = current()
        for record in list(unit.mapped.values()) if unit else []:
            if isinstance(record, cls):
                record.free()

    # -- new ones ----------------------------------------------------------------------------------

    @classmethod
    def new(cls, model_id: str | int | None = None, /, **values: Any) -> Self:
        """Return an unsaved record with a random id (or *model_id*) and the ``new=`` values. No I/O.

        *values* sets fields by attribute name (``model_id=`` is the id, where no field is called so);
        unknown names are a ValidationError with the nearest one. Its first save is a create: AlreadyExists
        if the id is taken.
        """
        mapper = cls.__mapper__
        if model_id is None and "model_id" in values and "model_id" not in mapper.fields:
            model_id = values.pop("model_id")
        try:
            id = mapper.new_id() if model_id is None else mapper.record_id(model_id)
            if not values.keys() <= mapper.fields.keys():
                for name in values:
                    mapper.field(name)
            record: Self = mapper.fresh(id)
            mapper.fill(record, values)
        except ValidationError as error:
            hide_values(error)
            del values, model_id
            raise
        return record

    def fill_new(self) -> Self:
        """Give every field its ``new=`` value, and None where it has none. No I/O; returns self."""
        need_record(self)
        for name, field in self.__mapper__.fields.items():
            value = field.__codec__.default()
            if value is not None or not field.required:
                setattr(self, name, value)
        return self


def _restore(model: Any, id: str, known: dict[str, Any], extra: dict[str, Any]) -> Any:
    """Make a copied or unpickled record. It belongs to no session."""
    record = model.__mapper__.detached(id)
    record.__state__.layers.restore(known)
    if extra:
        record.__dict__.update(extra)
    return record
