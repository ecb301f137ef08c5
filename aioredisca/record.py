"""``Record``: one record, colourless: who it is, and the coroutines that load and save it.

Model and sync.Model drive these coroutines; nothing here knows which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from importlib import import_module  # the faces above are imported when they are asked for
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, cast

from . import storage, writes
from .descriptors import Field
from .errors import (
    Conflict,
    Gone,
    NotFound,
    NotLoaded,
    OutcomeUnknown,
    UsageError,
    ValidationError,
)
from .plan import (
    Change,
    Increment,
    Mode,
    Outcome,
    exists_call,
    load_all_call,
    load_call,
    read_all_fields,
    read_fields,
)
from .referrers import referrers_of
from .session import BaseSession, current
from .types import Raw, Store
from .values import Values

if TYPE_CHECKING:
    from .columns import BaseColumn, Output

SaveMode = Literal["create", "update", "upsert"]
IfUnchanged: TypeAlias = "bool | Literal['record'] | Sequence[Output[Any, Any]]"


class Record(Values):
    """Core of a record. Use Model, or sync.Model."""

    __slots__ = ()

    _column_type: ClassVar[type[BaseColumn[Any, Any, Any]] | None] = None
    _password_type: ClassVar[type[Any] | None] = None
    _query_type: ClassVar[type[Any]]

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
        return cls._keys(cls._store(session)).record(id)

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
        return not self._blank or self._fresh or bool(self._diff) or bool(self._inflight)

    def __repr__(self) -> str:
        state = "new" if self._fresh else "absent" if self._blank else "loaded" if self._loaded else "handle"
        changes = len(self._diff) + len(self._inflight)
        return f"<{type(self).__name__} {self._id!r} {state}{f', {changes} changed' if changes else ''}>"

    def __reduce__(self) -> tuple[Any, ...]:
        state = {
            "_raw": dict(self._raw),
            "_diff": {**self._inflight, **self._diff, **self._touched()},
            "_mode": self._mode,
            "_loaded": self._loaded,
            "_complete": self._complete,
            "_blank": self._blank,
            "_fresh": self._fresh,
            "_again": self._again,
        }
        extra = dict(getattr(self, "__dict__", {}))
        return _restore, (type(self), self._id, state, extra)

    # -- state -------------------------------------------------------------------------------------

    def loaded(self) -> bool:
        """Return whether the stored values of all declared fields are known. No I/O."""
        return self._loaded or self._blank or self._fresh

    def unload(self) -> None:
        """Forget what is stored; keep local changes. No I/O."""
        self._diff.update(self._touched())
        self._raw, self._values = {}, {}
        self._loaded = self._complete = self._blank = False
        if not self._fresh:
            self._mode = "upsert"

    def revert(self) -> None:
        """Forget local changes. No I/O."""
        self._diff, self._values = {}, {}
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
        for name in values:
            cls._field(name)
        record = cls(id)
        record._become_new()
        record._fill(values)
        return record

    def _fill(self, values: Mapping[str, Any]) -> None:
        """Set fields by attribute name, the others to their ``new=`` values."""
        for name, field in type(self)._fields.items():
            value = values[name] if name in values else field.default()
            if value is not None or (name in values and field.required):
                setattr(self, name, value)

    @classmethod
    def _apart(cls, id: str) -> Self:
        """An instance that belongs to no session, whatever is open."""
        record = cls.__new__(cls)
        Record.__init__(record, id)
        return record

    def _become_new(self) -> None:
        self._check_writable()
        self._raw, self._diff, self._values = {}, {}, {}
        self._mode, self._fresh, self._blank, self._loaded, self._complete = (
            "create",
            True,
            False,
            False,
            False,
        )
        if self._session is not None:
            self._session._hold(self)

    @classmethod
    def _handle(cls, id: object) -> Self:
        """The handle of any id that a program may give."""
        return cls(cast("str", id))

    # -- reading -----------------------------------------------------------------------------------

    def _home(self) -> Store:
        """The database of this instance."""
        return type(self)._store(self._session)

    def _own_lock(self, store: Store) -> AbstractAsyncContextManager[Any]:
        """The lock that orders loads and saves of this instance, of the transport now in use."""
        transport = store.transport()
        if self._lock is None or self._lock[0] is not transport:
            self._lock = (transport, transport.lock())
        return self._lock[1]

    def _need_id(self) -> None:
        if not self._id:
            raise ValidationError(type(self).__name__, "id", "an empty id names no record")

    async def _load(self, *, raw: bool = False, strict: bool = False, again: bool = False) -> Self:
        self._need_id()
        if again or not self._known(raw):
            store = self._home()
            async with self._own_lock(store):  # of many tasks one loads, the others find it loaded
                if again or not self._known(raw):
                    await self._fetch(store, raw or (again and self._complete and not self._blank))
        if strict and self._blank and not self._fresh:
            raise NotFound(type(self).__name__, self._id)
        return self

    def _known(self, raw: bool) -> bool:
        return self._blank or self._fresh or (self._complete if raw else self._loaded)

    async def _fetch(self, store: Store, raw: bool) -> None:
        schema = type(self)._schema(store)
        if raw:
            reply = await storage.read(store, load_all_call(schema, self._id))
            self._take(read_all_fields(schema, reply), complete=True)
        else:
            fields = schema.read_fields
            reply = await storage.read(store, load_call(schema, self._id, fields))
            self._take(read_fields(fields, reply), complete=False)

    def _take(self, raw: Raw | None, *, complete: bool) -> None:
        """Believe what was just read; local changes stay on top of it."""
        self._diff.update(self._touched())
        self._values = {}
        self._fresh = self._fresh and raw is None
        self._blank = raw is None and not self._fresh
        self._loaded = raw is not None
        self._complete = complete and raw is not None
        self._raw = raw or {}
        self._mode = "update" if raw is not None else "create"
        for key in [key for key, value in self._diff.items() if key in self._raw and self._raw[key] == value]:
            del self._diff[key]

    @classmethod
    def _found(cls, id: str, raw: Raw) -> Self:
        """An instance for a row of a query. What the session has loaded already stays as it is."""
        record = cls(id)
        if not record._known(raw=False):
            fresh = {**raw, **record._raw} if record._mode == "update" else raw
            record._take(fresh, complete=False)
        return record

    @classmethod
    def _found_part(cls, id: str, raw: Raw) -> Self:
        """The same for a row of some fields: the others stay unknown, if they were."""
        record = cls(id)
        if not record._known(raw=False):
            record._raw = {**raw, **record._raw}
            record._mode = "update"
        return record

    async def _exists(self) -> bool:
        self._need_id()
        store = self._home()
        return bool(await storage.read(store, exists_call(type(self)._schema(store), self._id)))

    @classmethod
    async def _get_many(cls, ids: Sequence[str | int]) -> list[Self | None]:
        records = [cls._handle(given) for given in ids]
        for record in records:
            record._need_id()
        unknown = list({id(record): record for record in records if not record._known(raw=False)}.values())
        if unknown:
            store = cls._store()
            schema = cls._schema(store)
            fields = schema.read_fields
            calls = [load_call(schema, record._id, fields) for record in unknown]
            for record, reply in zip(unknown, await storage.read_together(store, calls), strict=True):
                if not record._known(raw=False):
                    record._take(read_fields(fields, reply), complete=False)
        return [record if not record._blank or record._fresh else None for record in records]

    # -- writing -----------------------------------------------------------------------------------

    async def _save(self, mode: SaveMode | None = None, if_unchanged: IfUnchanged = False) -> Self:
        if mode not in (None, "create", "update", "upsert"):
            raise UsageError(f"mode is 'create', 'update' or 'upsert'; not {mode!r}")
        self._check_writable()
        self._need_id()
        store = self._home()
        async with self._own_lock(store):
            change = self._begin(mode, if_unchanged)
            if change is not None:
                await writes.write(store, [(self, change)])
        return self

    async def _delete(self) -> bool:
        self._check_writable()
        self._need_id()
        store = self._home()
        async with self._own_lock(store):
            change = self._begin("delete")
            return (await writes.write(store, [(self, cast("Change", change))]))[0] is True

    def _begin(self, mode: Mode | None, if_unchanged: IfUnchanged = False) -> Change | None:
        """Take the changes out, as a snapshot, before the first await; None where there are none."""
        self._check_writable()
        self._need_id()
        schema = type(self)._schema(self._home())
        if mode == "delete":
            referrers = referrers_of(schema, self._home(), self._session)
            self._inflight, self._diff = {**self._diff}, {}
            return Change(schema, self._id, "delete", referrers=referrers)
        changes = {**self._diff, **self._touched()}
        if not changes and not self._fresh:
            return None
        expect = self._expectation(changes, if_unchanged)
        sets = {key: raw for key, raw in changes.items() if raw is not None}
        drops = tuple(key for key, raw in changes.items() if raw is None)
        change = Change(schema, self._id, mode or self._mode, sets, drops, expect, self._again)
        self._need_required(change)
        self._inflight, self._diff = changes, {}
        return change

    def _need_required(self, change: Change) -> None:
        """A create without a required field need not travel to be refused."""
        missing = [key for key in change.schema.required if key not in change.sets]
        if missing and change.mode == "create":
            name, model = self._attribute(missing[0]), type(self).__name__
            error = ValidationError(model, name, "is required: a record is not created without it")
            error.instance = self
            raise error

    def _expectation(self, changes: Raw, if_unchanged: IfUnchanged) -> Raw:
        """What must still be stored for this save to be allowed."""
        if if_unchanged is False or self._fresh:
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
            if key in self._raw:
                expect[key] = self._raw[key]
            elif self._blank or self._complete:
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
        self._again = self._fresh = False
        if change.mode == "delete":
            self._inflight, self._raw, self._values = {}, {}, {}
            self._loaded = self._complete = False
            self._blank, self._mode = True, "create"
        else:
            self._raw.update(self._inflight)
            self._inflight = {}
            if outcome:  # it was created
                self._fill_unset()
            self._blank, self._mode = False, "update"
        if self._session is not None and not self._changed() and not self._holds_mutable():
            self._session._release(self)

    def _learn(self, raw: Raw) -> None:
        """Somebody wrote these fields just now: they are stored so. Local changes stay on top."""
        self._diff.update(self._touched())
        self._raw.update(raw)
        for name, field in type(self)._fields.items():
            if field.key in raw and field.key not in self._diff:
                self._values.pop(name, None)
        self._blank, self._mode = False, "update"

    def _shown(self, key: str, stored: str) -> Any:
        """The value of a stored text for an error; None where there is none or it is secret."""
        field = self._by_key(key)
        if field is None or field.secret or not stored:
            return None
        return self._decoded(field, stored.encode())

    def _fill_unset(self) -> None:
        """A record that was created holds nothing but what was sent: all of it is known."""
        self._raw = {**dict.fromkeys(f.key for f in type(self)._fields.values()), **self._raw}
        self._loaded = self._complete = True

    def _holds_mutable(self) -> bool:
        return any(type(self)._fields[name].mutable for name in self._values if name in type(self)._fields)

    def _put_back(self, change: Change, error: BaseException) -> None:
        """The write failed: its changes are pending again, below those made since."""
        if change.mode == "incr":
            return  # nothing was in flight, and nothing may count as done at the next save
        self._diff = {**self._inflight, **self._diff}
        self._inflight = {}
        if isinstance(error, Gone) and change.mode == "update":
            self._vanish(change)
        self._again = _unanswered(error) or (self._again and not isinstance(error, Conflict))

    def _vanish(self, change: Change) -> None:
        """Somebody deleted the record: the next save creates it, from all that is known of it."""
        known = {key: raw for key, raw in self._raw.items() if raw is not None}
        self._diff = {**known, **self._diff}
        self._raw, self._blank, self._mode = {}, True, "create"
        self._loaded = self._complete = False

    @classmethod
    async def _save_all(cls) -> None:
        session = current()
        if session is None:
            raise UsageError(
                "save_all() outside a session: records are only known within `async with session():`"
            )
        await session._flush(cls)


def _unanswered(error: BaseException) -> bool:
    """Whether a write may have happened: it was sent and lost, or cancelled on the way."""
    return isinstance(error, OutcomeUnknown) or not isinstance(error, Exception)


def _restore(model: type[Record], id: str, state: dict[str, Any], extra: dict[str, Any]) -> Record:
    """Make a copied or unpickled record. It belongs to no session."""
    record = model._apart(id)
    for name, value in state.items():
        setattr(record, name, value)
    if extra:
        vars(record).update(extra)
    return record
