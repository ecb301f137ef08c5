"""How records are loaded: one, many, or proved to be there. Colourless coroutines."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from aioredisca.compiler.loads import (
    exists_call,
    load_all_call,
    load_call,
    read_all_fields,
    read_fields,
    record_call,
)
from aioredisca.errors import NotFound, PermissionDenied, WrongType
from aioredisca.fields.access import keep_touched, need_id
from aioredisca.model.unit_of_work import current
from aioredisca.persistence import asking, expiry, readiness
from aioredisca.storage.moments import AS_IT_WAS
from aioredisca.storage.replies import NUMBER, check_row
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Raw, ReadFrom, Reply, Store, Stored

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")


async def load(
    record: R, *, raw: bool = False, strict: bool = False, anew: bool = False, ends: str = AS_IT_WAS
) -> R:
    """Load what is not known of *record*, or all of it *anew*, and return it; undeclared fields too if *raw*.

    With *ends* it is prolonged as well, and so asked for in any case.

    NotFound where there is no record, if *strict*. HMGET or HGETALL, one round trip, unless all is known.
    """
    need_id(record)
    state = record.__state__
    if anew or ends or not state.knows(all_fields=raw):
        store = record.__mapper__.store(state.unit)
        lock = state.lock(store.transport())
        await lock.acquire()  # of many tasks one loads, the others find it loaded
        try:
            if anew or ends or not state.knows(all_fields=raw):
                await _fetch(record, store, raw=raw, anew=anew or bool(ends), ends=ends)
        except WrongType:
            raise _no_record(record.__mapper__.schema(store).of(state.id), state.id) from None
        finally:
            lock.release()
    if strict and state.absent:
        raise await _not_found(record.__mapper__, record.__mapper__.store(state.unit), state.id)
    return record


async def _fetch(record: Record, store: Store, *, raw: bool, anew: bool, ends: str) -> None:
    mapper, state = record.__mapper__, record.__state__
    schema = mapper.schema(store)
    if schema.parts:
        await readiness.ready_to_load(store, schema)
        schema = schema.of(state.id)
    if schema.expires:
        ends = ends or mapper.lifetime.of_load()
    if raw or (anew and state.layers.complete and not state.layers.blank):
        reply = await _asked(store, schema, state.id, ends, load_all_call(schema, state.id))
        take(record, read_all_fields(schema, reply), complete=True)
    elif anew:
        call = load_call(schema, state.id, schema.read_fields)
        reply = await _asked(store, schema, state.id, ends, call)
        take(record, read_fields(schema.read_fields, reply), complete=False)
    else:
        row = await _asked(store, schema, state.id, ends, record_call(schema, state.id))
        take_row(record, schema, row)


async def _asked(store: Store, schema: Schema, id: str, ends: str, call: Call) -> Reply:
    if not ends:
        return await store.transport().send(call)
    (reply,) = await expiry.prolonged(store, schema, [id], ends, [call])
    return reply


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


async def _not_found(mapper: Any, store: Store, id: str) -> NotFound:
    """The error for a record that is not there.

    A node of a cluster that was called by a plain URL has records by other keys. So the first time, unless a
    class was used by its indexes before, it is asked for keys of two slots, which it refuses (StoreError).
    EXISTS, one round trip.
    """
    keys, facts = mapper.keys(store), store.facts
    if not (keys.slot or facts.index_states or facts.whole):
        with suppress(PermissionDenied):
            await asking.read(store, Call(("EXISTS", keys.record(id), keys.meta)), NUMBER)
        facts.whole = True
    return NotFound(mapper.name, id)


def _no_record(schema: Schema, id: str) -> WrongType:
    return WrongType(schema.keys.record(id), place="record")


def _is_nothing(row: Stored) -> bool:
    """Whether a load of the declared fields has found no record."""
    return row[0] is None and row.count(None) == len(row)


# -- by id -----------------------------------------------------------------------------------------


async def get(model: Any, model_id: str | int, /, *, touch: bool = False) -> Any:
    """Return the record of that id. NotFound without one.

    ``touch``  let it last ``conf(ttl=)`` from now on: EVALSHA in the same round trip.

    HMGET, one round trip; none where ``conf(cache=n)`` holds it.
    """
    mapper = model.__mapper__
    ends = mapper.lifetime.of_touch() if touch else AS_IT_WAS
    if not mapper.plain or ends or current() is not None:  # as is_private() says
        return await load(mapper.handle(model_id), strict=True, ends=ends)
    id = mapper.record_id(model_id)
    # Nobody else can have this instance yet: no lock, and nothing to merge with.
    store = mapper.store_in(None)
    schema, transport = mapper.schema(store), store.transport()
    if schema.parts:
        await readiness.ready_to_load(store, schema)
        schema = schema.of(id)
    if schema.expires and mapper.lifetime.of_load():
        return await load(mapper.handle(id), strict=True)
    region = schema.cache_region
    row = transport.cached(region, schema.records + id) if region else None
    if row is None:
        try:
            row = await transport.send(record_call(schema, id))
        except WrongType:
            raise _no_record(schema, id) from None
        check_row(row, schema.read_fields)
    if row[0] is None and _is_nothing(row):
        raise await _not_found(mapper, store, id)
    return mapper.hydrate(schema.places, id, row)


async def get_many(
    model: Any, ids: Sequence[str | int], *, slide: bool = True, read_from: ReadFrom | None = None
) -> list[Any]:
    """The records of *ids* in that order, None for those that do not exist. One round trip.

    ``slide``      whether they are prolonged where a load does that: for a query it does not.
    ``read_from``  who answers, in a cluster.
    """
    mapper = model.__mapper__
    if not mapper.is_private():
        return await _load_many(mapper, [mapper.handle(given) for given in ids], slide, read_from)
    names = [mapper.record_id(given) for given in ids]
    store = mapper.store()
    schema, hydrate = mapper.schema(store), mapper.hydrate
    rows = await _rows(mapper, store, schema, names, slide, read_from)
    places = schema.places
    return [
        None if row[0] is None and _is_nothing(row) else hydrate(places, id, row)
        for id, row in zip(names, rows, strict=True)
    ]


async def _load_many(
    mapper: Any, records: Sequence[Any], slide: bool, read_from: ReadFrom | None
) -> list[Any]:
    """Load those of *records* that are not known; None in the place of one that does not exist."""
    for record in records:
        need_id(record)
    unknown = list({id(record): record for record in records if not record.__state__.knows()}.values())
    if unknown:
        store = mapper.store()
        schema = mapper.schema(store)
        names = [record.__state__.id for record in unknown]
        rows = await _rows(mapper, store, schema, names, slide, read_from)
        for record, row in zip(unknown, rows, strict=True):
            if not record.__state__.knows():
                take_row(record, schema, row)
    return [None if record.__state__.absent else record for record in records]


async def _rows(
    mapper: Any,
    store: Store,
    schema: Schema,
    ids: Sequence[str],
    slide: bool,
    read_from: ReadFrom | None,
) -> list[Stored]:
    if slide and schema.expires and ids and (ends := mapper.lifetime.of_load()):
        reads = [record_call(schema.of(id), id) for id in ids]
        return await expiry.prolonged(store, schema, ids, ends, reads)
    return await readiness.rows(store, [(schema, ids)], read_from)


async def exists(record: Record) -> bool:
    """Whether *record* is stored. EXISTS, one round trip."""
    need_id(record)
    mapper, state = record.__mapper__, record.__state__
    store = mapper.store(state.unit)
    schema = mapper.schema(store)
    await readiness.ready_to_load(store, schema)
    return bool(await asking.read(store, exists_call(schema.of(state.id), state.id), NUMBER))
