"""``Record``: one record, colourless: who it is, and the coroutines that save it (reading.py: that load it).

Model and sync.Model drive these coroutines; nothing here knows which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module  # the faces above are imported when they are asked for
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, cast

from aioredisca.compiler.changes import Change, Increment, Mode
from aioredisca.compiler.writes import Outcome
from aioredisca.errors import (
    Conflict,
    Gone,
    NotLoaded,
    OutcomeUnknown,
    UsageError,
    ValidationError,
)
from aioredisca.fields.base import Field
from aioredisca.model.loading import Reading
from aioredisca.model.referrers import referrers_of
from aioredisca.model.sessions import BaseSession, current
from aioredisca.persistence import executor as writes
from aioredisca.types import Raw, Store

if TYPE_CHECKING:
    from aioredisca.fields.collections import Collection
    from aioredisca.query.columns import BaseColumn, Output

SaveMode = Literal["create", "update", "upsert"]
IfUnchanged: TypeAlias = "bool | Literal['record'] | Sequence[Output[Any, Any]]"


class Record(Reading):
    """Core of a record. Use Model, or sync.Model."""

    __slots__ = ()

    _column_type: ClassVar[type[BaseColumn[Any, Any, Any]] | None] = None
    _password_type: ClassVar[type[Any] | None] = None
    _query_type: ClassVar[type[Any]]
    _view_kinds: ClassVar[Any]
    """The module with the views of collections, in this colour."""

    # -- who it is ---------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The id, as :meth:`getid` answers it."""
        return self._id

    def getid(self) -> str:
        """Return the id. No I/O."""
        return self._id

    def getkey(self) -> str:
        """Return the key of the record's hash. No I/O."""
        return self._record_key(self._id, self._session)

    @classmethod
    def _record_key(cls, id: str, session: BaseSession | None = None) -> str:
        return cls._stem(cls._store(session)) + id

    @classmethod
    def getprefix(cls) -> str:
        """Return what the keys of this class start with. No I/O."""
        return cls._prefix()

    @classmethod
    def getfields(cls) -> dict[str, Any]:
        """Return the columns of all fields by attribute name. No I/O."""
        return {name: getattr(cls, name) for name in cls._fields}

    @classmethod
    def depends(cls, parameter: str = "id") -> Any:
        """Return a dependency of FastAPI that loads the record whose id is the path parameter.

        ``user: Annotated[User, User.depends("user_id")]``; NotFound without one. HMGET, one round trip.
        """
        return import_module("aioredisca.fastapi").loader(cls, parameter)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        """How pydantic shows and takes a record: see aioredisca.pydantic."""
        return import_module("aioredisca.pydantic").record_schema(cls, handler)

    @classmethod
    def inheritors(cls) -> set[type[Self]]:
        """Return all subclasses, of any depth. No I/O."""
        return cls._inheritors()

    @classmethod
    def getdb(cls) -> Any:
        """Return the Database of this class; its ``client`` sends raw commands. No I/O."""
        return cls._store()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        return self is other or (type(self) is type(other) and self._id == other._id)

    def __hash__(self) -> int:
        return hash((type(self), self._id))

    def __bool__(self) -> bool:
        """False only for a record known to be absent, with nothing set. No I/O."""
        return not self._memory.empty

    def __repr__(self) -> str:
        memory = self._memory
        state = (
            "new" if memory.fresh else "absent" if memory.blank else "loaded" if memory.loaded else "handle"
        )
        changes = len(memory.diff) + len(memory.inflight)
        return f"<{type(self).__name__} {self._id!r} {state}{f', {changes} changed' if changes else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        memory = self._memory
        changed = {**memory.inflight, **memory.diff, **self._touched()}
        state = {**memory.state(), "raw": dict(memory.raw), "diff": changed, "inflight": {}}
        extra = dict(getattr(self, "__dict__", {}))
        return _restore, (type(self), self._id, state, extra)

    def _view(self, of: Collection) -> Any:
        return getattr(type(self)._view_kinds, of.view)(of, self)

    # -- state -------------------------------------------------------------------------------------

    def loaded(self) -> bool:
        """Return whether the stored values of all declared fields are known. No I/O."""
        return self._memory.known()

    def unload(self) -> None:
        """Forget what is stored; keep local changes. No I/O."""
        self._memory.diff.update(self._touched())
        self._memory.forget()

    def revert(self) -> None:
        """Forget local changes. No I/O."""
        self._memory.revert()
        if self._session is not None:
            self._session._release(self)

    def free(self) -> None:
        """Take the instance out of its session: the next use of its id makes a new one. No I/O.

        UsageError outside a session.
        """
        if self._session is None:
            raise UsageError("free() outside a session: there is nothing to take the record out of")
        self._session._forget(self)
        self._session = None

    @classmethod
    def free_all(cls) -> None:
        """Take all instances of this class and its subclasses out of the session, if there is one. No I/O."""
        session = current()
        for record in list(session._mapped.values()) if session else []:
            if isinstance(record, cls):
                record.free()

    def fill_new(self) -> Self:
        """Give every field its ``new=`` value, and None where it has none. No I/O; returns self."""
        for name, field in type(self)._fields.items():
            value = field.default()
            if value is not None or not field.required:
                setattr(self, name, value)
        return self

    @classmethod
    def new(cls, model_id: str | int | None = None, /, **values: Any) -> Self:
        """Return an unsaved record with a random id (or *model_id*) and the ``new=`` values. No I/O.

        *values* sets fields by attribute name (``model_id=`` is the id); unknown names are a
        ValidationError with the nearest one. Its first save is a create: AlreadyExists if the id is taken.
        """
        model_id = values.pop("model_id", None) if model_id is None else model_id
        id = cls._new_id() if model_id is None else cls._id_text(model_id)
        if not id:
            raise ValidationError(cls.__name__, "id", "an empty id names no record")
        if not values.keys() <= cls._fields.keys():
            for name in values:
                cls._field(name)
        record = cls._newly_made(id) if cls._private() else cls(id)._become_new()
        record._fill(values)
        return record

    def _fill(self, values: Mapping[str, Any]) -> None:
        """Set fields of a new record by attribute name, the others to their ``new=`` values."""
        cls, diff, known = type(self), self._memory.diff, self._values
        for name, key, short, field in cls._filling:
            value = values[name] if name in values else field.default()
            if value is None and not (field.required and name in values):
                continue
            if short is None:
                setattr(self, name, value)
                continue
            value, raw = short(value) or field.accept(value, cls)
            if raw is not None:
                diff[key], known[name] = raw, value

    @classmethod
    def _apart(cls, id: str) -> Self:
        """An instance that belongs to no session, whatever is open."""
        record = cls.__new__(cls)
        Record.__init__(record, id)
        return record

    def _become_new(self) -> Self:
        self._check_writable()
        self._memory.become_new()
        if self._session is not None:
            self._session._hold(self)
        return self

    # -- writing -----------------------------------------------------------------------------------

    async def _save(self, mode: SaveMode | None = None, if_unchanged: IfUnchanged = False) -> Self:
        if mode not in (None, "create", "update", "upsert"):
            raise UsageError(f"mode is 'create', 'update' or 'upsert'; not {mode!r}")
        store = self._home()
        lock = self._own_lock(store.transport())
        await lock.acquire()
        try:
            change = self._begin(store, mode, if_unchanged)
            if change is not None:
                await writes.write_one(store, self, change)
        finally:
            lock.release()
        return self

    async def _delete(self) -> bool:
        store = self._home()
        lock = self._own_lock(store.transport())
        await lock.acquire()
        try:
            change = cast("Change", self._begin(store, "delete"))
            return await writes.write_one(store, self, change) is True
        finally:
            lock.release()

    def _begin(self, store: Store, mode: Mode | None, if_unchanged: IfUnchanged = False) -> Change | None:
        """Take the changes out, as a snapshot, before the first await; None where there are none."""
        self._check_writable()
        self._need_id()
        schema, memory = type(self)._schema(store), self._memory
        if mode == "delete":
            referrers = referrers_of(schema, store, self._session)
            memory.depart({**memory.diff})
            return Change(schema, self._id, "delete", referrers=referrers)
        changes = memory.diff | self._touched() if type(self)._mutable else memory.diff
        if not changes and not memory.fresh:
            return None
        expect = {} if if_unchanged is False else self._expectation(changes, if_unchanged)
        sets, drops = _split(changes)
        change = Change(schema, self._id, mode or memory.mode, sets, drops, expect, memory.again)
        self._need_required(change)
        memory.depart(changes)
        return change

    def _need_required(self, change: Change) -> None:
        """A create without a required field need not travel to be refused."""
        if change.mode != "create" or not change.schema.required:
            return
        if missing := [key for key in change.schema.required if key not in change.sets]:
            name, model = self._attribute(missing[0]), type(self).__name__
            error = ValidationError(model, name, "is required: a record is not created without it")
            error.instance = self
            raise error

    def _expectation(self, changes: Raw, if_unchanged: IfUnchanged) -> Raw:
        """What must still be stored for this save to be allowed."""
        if self._memory.fresh:
            return {}
        keys = set(changes)
        if isinstance(if_unchanged, list | tuple | set | frozenset):
            keys |= {
                self._own_field(column, "if_unchanged takes 'record', True, or columns").key
                for column in if_unchanged
            }
        elif isinstance(if_unchanged, str) and if_unchanged == "record":
            keys |= {field.key for field in type(self)._fields.values()}
        elif if_unchanged is not True:
            raise UsageError(f"if_unchanged takes True, a list of columns, or 'record'; not {if_unchanged!r}")
        expect: Raw = {}
        for key in sorted(keys):
            if key in self._memory.raw:
                expect[key] = self._memory.raw[key]
            elif self._memory.blank or self._memory.complete:
                expect[key] = None
            else:
                raise NotLoaded(
                    type(self).__name__,
                    self._id,
                    self._attribute(key),
                    "if_unchanged compares with what was loaded: load() first",
                )
        return expect

    def _own_field(self, column: Any, wanted: str) -> Field[Any]:
        """The field of a column of this class; UsageError says what was *wanted*."""
        given: object = getattr(column, "field", None)
        for field in type(self)._fields.values():
            if field is given:
                return field
        raise UsageError(f"{wanted} of {type(self).__name__}; not {column!r}")

    def _finish(self, change: Change, outcome: Outcome) -> None:
        """The server wrote *change*: what was in flight is stored now."""
        if isinstance(outcome, bytes):
            self._learn({cast("Increment", change.increment).key: outcome})
            return
        if change.mode == "delete":
            self._memory.be_gone()
        else:
            self._memory.arrive(created=change.schema.blank if outcome else None)
        if self._session is not None and not self._changed() and not self._holds_mutable():
            self._session._release(self)

    def _learn(self, raw: Raw) -> None:
        """Somebody wrote these fields just now: they are stored so. Local changes stay on top."""
        memory = self._memory
        memory.diff.update(self._touched())
        memory.learn(raw)
        for name, field in type(self)._fields.items():
            if field.key in raw and field.key not in memory.diff:
                memory.values.pop(name, None)

    def _shown(self, key: str, stored: str) -> Any:
        """The value of a stored text for an error; None where there is none or it is secret."""
        field = self._by_key(key)
        if field is None or field.secret or not stored:
            return None
        return self._decoded(field, stored.encode())

    def _holds_mutable(self) -> bool:
        return not type(self)._mutable.keys().isdisjoint(self._values)

    def _put_back(self, change: Change, error: BaseException) -> None:
        """The write failed: its changes are pending again, below those made since."""
        if change.mode == "incr":
            return  # nothing was in flight, and nothing may count as done at the next save
        memory = self._memory
        memory.put_back()
        if isinstance(error, Gone) and change.mode == "update":
            memory.vanish()
        memory.again = _unanswered(error) or (memory.again and not isinstance(error, Conflict))

    @classmethod
    async def _save_all(cls) -> None:
        session = current()
        if session is None:
            raise UsageError(
                "save_all() outside a session: records are only known within `async with session():`"
            )
        await session._flush(cls)


def _split(changes: Raw) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """The hash fields that *changes* set, and those that they remove."""
    sets: Any = changes
    if None not in changes.values():  # as nearly always
        return sets, ()
    drops = tuple(key for key, raw in changes.items() if raw is None)
    return {key: raw for key, raw in changes.items() if raw is not None}, drops


def _unanswered(error: BaseException) -> bool:
    """Whether a write may have happened: it was sent and lost, or cancelled on the way."""
    return isinstance(error, OutcomeUnknown) or not isinstance(error, Exception)


def _restore(model: type[Record], id: str, state: dict[str, Any], extra: dict[str, Any]) -> Record:
    """Make a copied or unpickled record. It belongs to no session."""
    record = model._apart(id)
    record._memory.restore(state)
    if extra:
        vars(record).update(extra)
    return record
