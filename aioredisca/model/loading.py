"""``Reading``: how a record is loaded, alone and as a row of a query. Colourless; base of Record."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Self, cast

from aioredisca.compiler.loads import (
    exists_call,
    load_all_call,
    load_call,
    read_all_fields,
    read_fields,
    record_call,
)
from aioredisca.errors import NotFound, ValidationError
from aioredisca.model.access import Values
from aioredisca.model.sessions import current
from aioredisca.persistence import readiness as storage
from aioredisca.storage.schema import Schema
from aioredisca.types import Lock, Raw, Store, Stored, Transport

_set_id, _set_lock, _set_row, _set_places, _set_session, _set_values = (
    vars(Values)[name].__set__ for name in ("_id", "_lock", "_row", "_places", "_session", "_values")
)
"""The slots of a record, set without a look at the name: a query makes thousands of records."""

_get_lock: Callable[[Values], tuple[Transport, Lock] | None] = vars(Values)["_lock"].__get__


class Reading(Values):
    """The coroutines that load a record, and what makes records of rows."""

    __slots__ = ()

    @classmethod
    def _handle(cls, id: object) -> Self:
        """The handle of any id that a program may give."""
        return cls(cast("str", id))

    def _home(self) -> Store:
        """The database of this instance."""
        return type(self)._store(self._session)

    def _own_lock(self, transport: Transport) -> Lock:
        """The lock that orders loads and saves of this instance, of the transport now in use."""
        try:
            known = _get_lock(self)
        except AttributeError:
            known = None
        if known is None or known[0] is not transport:
            known = (transport, transport.lock())
            _set_lock(self, known)
        return known[1]

    def _need_id(self) -> None:
        if not self._id:
            raise ValidationError(type(self).__name__, "id", "an empty id names no record")

    async def _load(self, *, raw: bool = False, strict: bool = False, again: bool = False) -> Self:
        self._need_id()
        if again or not self._knows(all_fields=raw):
            store = self._home()
            lock = self._own_lock(store.transport())
            await lock.acquire()  # of many tasks one loads, the others find it loaded
            try:
                if again or not self._knows(all_fields=raw):
                    raw = raw or (again and self._memory.complete and not self._memory.blank)
                    await self._fetch(store, raw=raw, again=again)
            finally:
                lock.release()
        if strict and self._row is None and self._memory.absent:
            raise NotFound(type(self).__name__, self._id)
        return self

    def _knows(self, *, all_fields: bool = False) -> bool:
        """Whether a load would tell nothing new: of declared fields, or of all."""
        return (self._row is not None and not all_fields) or self._memory.known(all_fields=all_fields)

    async def _fetch(self, store: Store, *, raw: bool, again: bool) -> None:
        schema = type(self)._schema(store)
        if raw:
            reply = await storage.read(store, load_all_call(schema, self._id))
            self._take(read_all_fields(schema, reply), complete=True)
        elif again:
            reply = await storage.read(store, load_call(schema, self._id, schema.read_fields))
            self._take(read_fields(schema.read_fields, reply), complete=False)
        else:
            self._take_row(schema, await _row_of(store.transport(), schema, self._id))

    def _take_row(self, schema: Schema, row: Stored) -> None:
        """Believe what a load of the declared fields has told."""
        if self._row is None and self._memory.unknown and not _is_nothing(row):
            self._be_found(schema.places, row)
        else:
            self._take(read_fields(schema.read_fields, row), complete=False)

    def _take(self, raw: Raw | None, *, complete: bool) -> None:
        """Believe what was just read; local changes stay on top of it."""
        self._memory.diff.update(self._touched())
        self._memory.take(raw, complete=complete)

    @classmethod
    async def _get_one(cls, model_id: str | int, /) -> Self:
        """Return the record of that id. NotFound without one.

        HMGET, one round trip; none where ``conf(cache=n)`` holds it.
        """
        if not cls._plain or current() is not None:  # as _private() says
            return await cls._handle(model_id)._load(strict=True)
        id = cls._id_text(model_id)
        if not id:
            raise ValidationError(cls.__name__, "id", "an empty id names no record")
        # Nobody else can have this instance yet: no lock, and nothing to merge with.
        store = cls._store_in(None)
        schema, transport = cls._schema(store), store.transport()
        row = transport.cached(schema.cache_region, schema.records + id) if schema.cache_region else None
        if row is None:
            row = await _row_of(transport, schema, id)
        if row[0] is None and _is_nothing(row):
            raise NotFound(cls.__name__, id)
        return cls._made(schema.places, id, row)

    @classmethod
    def _private(cls) -> bool:
        """Whether what is read now becomes an instance that nobody can have already."""
        return cls._plain and current() is None

    @classmethod
    def _made_of_all(cls, places: Mapping[str, int], rows: Sequence[tuple[str, Stored]]) -> list[Self]:
        """Instances for the rows of a query, which hold all declared fields at these *places*."""
        if not cls._private():
            return [cls._found(places, id, row) for id, row in rows]
        new = object.__new__
        records: list[Self] = []
        for id, row in rows:  # as _made() does, without a call for each of thousands
            record = new(cls)
            _set_id(record, id)
            _set_row(record, row)
            _set_places(record, places)
            _set_session(record, None)
            _set_values(record, {})
            records.append(record)
        return records

    @classmethod
    def _made(cls, places: Mapping[str, int], id: str, row: Stored) -> Self:
        """A new instance, found with the declared fields that stand at *places* of *row*, in this order."""
        record = object.__new__(cls)
        _set_id(record, id)
        _set_row(record, row)
        _set_places(record, places)
        _set_session(record, None)
        _set_values(record, {})
        return record

    @classmethod
    def _found(cls, places: Mapping[str, int], id: str, row: Stored) -> Self:
        """An instance for a row of a query. What the session has loaded already stays as it is."""
        record = cls(id)
        if record._knows():
            return record
        if record._memory.unknown:
            record._be_found(places, row)
        else:
            raw = {key: row[place] for key, place in places.items()}
            fresh = {**raw, **record._memory.raw} if record._memory.mode == "update" else raw
            record._take(fresh, complete=False)
        return record

    @classmethod
    def _found_part(cls, id: str, raw: Raw) -> Self:
        """The same for a row of some fields: the others stay unknown, if they were."""
        record = cls(id)
        if not record._knows():
            record._memory.raw = {**raw, **record._memory.raw}
            record._memory.mode = "update"
        return record

    async def _exists(self) -> bool:
        self._need_id()
        store = self._home()
        return bool(await storage.read(store, exists_call(type(self)._schema(store), self._id)))

    @classmethod
    async def _get_many(cls, ids: Sequence[str | int]) -> list[Self | None]:
        if not cls._private():
            return await cls._load_many([cls._handle(given) for given in ids])
        names = [cls._id_text(given) for given in ids]
        if "" in names:
            raise ValidationError(cls.__name__, "id", "an empty id names no record")
        store = cls._store()
        schema, made = cls._schema(store), cls._made
        rows = await storage.rows(store, [(schema, names)])
        places = schema.places
        return [
            None if row[0] is None and _is_nothing(row) else made(places, id, row)
            for id, row in zip(names, rows, strict=True)
        ]

    @classmethod
    async def _load_many(cls, records: Sequence[Self]) -> list[Self | None]:
        """Load those of *records* that are not known; None in the place of one that does not exist."""
        for record in records:
            record._need_id()
        unknown = list({id(record): record for record in records if not record._knows()}.values())
        if unknown:
            store = cls._store()
            schema = cls._schema(store)
            rows = await storage.rows(store, [(schema, [record._id for record in unknown])])
            for record, reply in zip(unknown, rows, strict=True):
                if not record._knows():
                    record._take_row(schema, reply)
        return [None if record._row is None and record._memory.absent else record for record in records]


def _row_of(transport: Transport, schema: Schema, id: str) -> Awaitable[Stored]:
    """The declared fields of a record, as they are stored."""
    return transport.send(record_call(schema, id))


def _is_nothing(row: Stored) -> bool:
    """Whether a load of the declared fields has found no record."""
    return row[0] is None and row.count(None) == len(row)
