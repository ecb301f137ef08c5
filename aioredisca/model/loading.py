"""How records are loaded: one, many, or proved to be there. Colourless coroutines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from aioredisca.compiler.loads import (
    exists_call,
    load_all_call,
    load_call,
    read_all_fields,
    read_fields,
    record_call,
)
from aioredisca.errors import NotFound, WrongType
from aioredisca.fields.access import keep_touched, need_id
from aioredisca.model.unit_of_work import current
from aioredisca.persistence import asking, readiness
from aioredisca.storage.replies import NUMBER, check_row
from aioredisca.storage.schema import Schema
from aioredisca.types import Raw, Store, Stored

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")


async def load(record: R, *, raw: bool = False, strict: bool = False, anew: bool = False) -> R:
    """Load what is not known of *record*, or all of it *anew*, and return it; undeclared fields too if *raw*.

    NotFound where there is no record, if *strict*. HMGET or HGETALL, one round trip, unless all is known.
    """
    need_id(record)
    state = record.__state__
    if anew or not state.knows(all_fields=raw):
        store = record.__mapper__.store(state.unit)
        lock = state.lock(store.transport())
        await lock.acquire()  # of many tasks one loads, the others find it loaded
        try:
            if anew or not state.knows(all_fields=raw):
                await _fetch(record, store, raw=raw, anew=anew)
        except WrongType:
            raise _no_record(record.__mapper__.schema(store), state.id) from None
        finally:
            lock.release()
    if strict and state.absent:
        raise NotFound(record.__mapper__.name, state.id)
    return record


async def _fetch(record: Record, store: Store, *, raw: bool, anew: bool) -> None:
    schema, state = record.__mapper__.schema(store), record.__state__
    if raw or (anew and state.layers.complete and not state.layers.blank):
        reply = await asking.read(store, load_all_call(schema, state.id))
        take(record, read_all_fields(schema, reply), complete=True)
    elif anew:
        reply = await asking.read(store, load_call(schema, state.id, schema.read_fields))
        take(record, read_fields(schema.read_fields, reply), complete=False)
    else:
        take_row(record, schema, await store.transport().send(record_call(schema, state.id)))


def take_row(record: Record, schema: Schema, row: Stored) -> None:
    """Believe what a load of the declared fields has told."""
    check_row(row, schema.read_fields)
    state = record.__state__
    if state.untouched and not _is_nothing(row):
        state.fold(schema.places, row)
    else:
        take(record, read_fields(schema.read_fields, row), complete=False)


def take(record: Record, raw: Raw | None, *, complete: bool) -> None:
    """Believe what was just read; local changes stay on top of it."""
    keep_touched(record)
    record.__state__.layers.take(raw, complete=complete)


def _no_record(schema: Schema, id: str) -> WrongType:
    return WrongType(schema.keys.record(id), place="record")


def _is_nothing(row: Stored) -> bool:
    """Whether a load of the declared fields has found no record."""
    return row[0] is None and row.count(None) == len(row)


# -- by id -----------------------------------------------------------------------------------------


async def get(model: Any, model_id: str | int, /) -> Any:
    """Return the record of that id. NotFound without one.

    HMGET, one round trip; none where ``conf(cache=n)`` holds it.
    """
    mapper = model.__mapper__
    if not mapper.plain or current() is not None:  # as is_private() says
        return await load(mapper.handle(model_id), strict=True)
    id = mapper.record_id(model_id)
    # Nobody else can have this instance yet: no lock, and nothing to merge with.
    store = mapper.store_in(None)
    schema, transport = mapper.schema(store), store.transport()
    region = schema.cache_region
    row = transport.cached(region, schema.records + id) if region else None
    if row is None:
        try:
            row = await transport.send(record_call(schema, id))
        except WrongType:
            raise _no_record(schema, id) from None
        check_row(row, schema.read_fields)
    if row[0] is None and _is_nothing(row):
        raise NotFound(mapper.name, id)
    return mapper.hydrate(schema.places, id, row)


async def get_many(model: Any, ids: Sequence[str | int]) -> list[Any]:
    """The records of *ids* in that order, None for those that do not exist. One round trip."""
    mapper = model.__mapper__
    if not mapper.is_private():
        return await _load_many(mapper, [mapper.handle(given) for given in ids])
    names = [mapper.record_id(given) for given in ids]
    store = mapper.store()
    schema, hydrate = mapper.schema(store), mapper.hydrate
    rows = await readiness.rows(store, [(schema, names)])
    places = schema.places
    return [
        None if row[0] is None and _is_nothing(row) else hydrate(places, id, row)
        for id, row in zip(names, rows, strict=True)
    ]


async def _load_many(mapper: Any, records: Sequence[Any]) -> list[Any]:
    """Load those of *records* that are not known; None in the place of one that does not exist."""
    for record in records:
        need_id(record)
    unknown = list({id(record): record for record in records if not record.__state__.knows()}.values())
    if unknown:
        store = mapper.store()
        schema = mapper.schema(store)
        rows = await readiness.rows(store, [(schema, [record.__state__.id for record in unknown])])
        for record, row in zip(unknown, rows, strict=True):
            if not record.__state__.knows():
                take_row(record, schema, row)
    return [None if record.__state__.absent else record for record in records]


async def exists(record: Record) -> bool:
    """Whether *record* is stored. EXISTS, one round trip."""
    need_id(record)
    mapper, state = record.__mapper__, record.__state__
    store = mapper.store(state.unit)
    return bool(await asking.read(store, exists_call(mapper.schema(store), state.id), NUMBER))
