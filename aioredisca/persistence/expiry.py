"""When records end: asked, set, prolonged; and what is left of those that are over, taken away."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from aioredisca.compiler.changes import BATCH, Change
from aioredisca.compiler.writes import Refusal, write_call, write_outcome
from aioredisca.errors import NotFound, UsageError
from aioredisca.fields.access import check_changeable, need_id
from aioredisca.fields.times import refuse_moment
from aioredisca.persistence import asking, executor, readiness
from aioredisca.persistence.pending import refuse_waiting
from aioredisca.storage.moments import NEVER, Duration, ending, field_ending, moment
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Reply, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record


async def expire(record: Record, given: Duration | dt.datetime) -> None:
    """Let *record* end in a while or at a moment. Gone without one. EVALSHA, one round trip."""
    record.__mapper__.lifetime.need_limit()
    await set_end(record, ending(given), "expire()")


async def persist(record: Record) -> None:
    """Let *record* live for ever. Gone without one. EVALSHA, one round trip."""
    record.__mapper__.lifetime.need_limit()
    await set_end(record, NEVER, "persist()")


async def touch(record: Record) -> None:
    """Let *record* last as long as a new one. Gone without one. EVALSHA, one round trip."""
    await set_end(record, record.__mapper__.lifetime.of_touch(), "touch()")


async def expire_field(record: Record, column: object, given: Duration | dt.datetime | None) -> bool:
    """Let the value of a field end; None: never. Whether it holds one. Gone without a record.

    EVALSHA, one round trip.
    """
    mapper, state = record.__mapper__, record.__state__
    field = mapper.field_of(column)
    if field is None:
        refuse_moment(mapper.name, column)
        raise UsageError(f"expire_field() takes a column of {mapper.name}; not {column!r}")
    mapper.lifetime.need_field_limit(field)
    command = field_ending(given)
    check_changeable(record)
    need_id(record)
    store = mapper.store(state.unit)
    async with executor.locked(store, [record]):
        refuse_waiting(record, field, "expire_field() changes")
        return await executor.end_field(store, record, field.key, command)


async def set_end(record: Record, ends: str, verb: str) -> None:
    """Give *record* another end, as *verb* wants it. Its pending changes stay."""
    check_changeable(record)
    need_id(record)
    state, mapper = record.__state__, record.__mapper__
    store = mapper.store(state.unit)
    async with executor.locked(store, [record]):
        change = Change(mapper.schema(store).of(state.id), state.id, "update", ends=ends)
        with executor.told(f"{verb} again settles it"):
            await executor.write(store, [(record, change)])


async def prolonged(
    store: Store, schema: Schema, ids: Sequence[str], ends: str, reads: Sequence[Call]
) -> list[Reply]:
    """The replies to *reads*, after those of the records that are there were given their new end.

    An EVALSHA per 100 records (of one partition) and the reads, one round trip.
    """
    parts = dict[Schema, list[Change]]()
    for id in ids:
        change = Change(schema.of(id), id, "update", skip=len(ids) > 1, ends=ends)
        parts.setdefault(change.schema, []).append(change)
    writes = [
        write_call(changes[first : first + BATCH])
        for changes in parts.values()
        for first in range(0, len(changes), BATCH)
    ]
    for _ in range(executor.ATTEMPTS):
        for part in parts:
            await readiness.ready_to_write(store, part)
        with executor.told("to load again settles it"):
            replies = await asking.read_together(store, [*writes, *reads])
        refusals = [one for one in map(write_outcome, replies[: len(writes)]) if isinstance(one, Refusal)]
        if not any(one.code == "SCHEMA" for one in refusals):
            return replies[len(writes) :]  # without those that are gone, or are no record: the reads tell
        readiness.forget(store, parts)
    raise readiness.unsettled(schema)


async def ttl(record: Record) -> dt.timedelta | None:
    """How long *record* lasts from now on, None for ever. NotFound without one. PTTL, one round trip."""
    left, _ = await _asked(record)
    return None if left is None else dt.timedelta(milliseconds=left)


async def expires_at(record: Record) -> dt.datetime | None:
    """The moment at which *record* ends, None for never. NotFound without one.

    PTTL, ZSCORE and TIME, one round trip.
    """
    return (await _asked(record))[1]


def refuse_assigning(record: Record) -> NoReturn:
    """UsageError for a moment that was assigned."""
    raise UsageError(
        f"{record.__mapper__.name}.expires_at is no field: expire() or save(ttl=) say when a record ends"
    )


async def _asked(record: Record) -> tuple[int | None, dt.datetime | None]:
    need_id(record)
    state, mapper = record.__state__, record.__mapper__
    store = mapper.store(state.unit)
    keys = mapper.schema(store).of(state.id).keys
    calls = [
        Call(("PTTL", keys.record(state.id))),
        Call(("ZSCORE", keys.moments, state.id)),
        asking.time_call(keys),
    ]
    left, score, (seconds, micros) = await asking.read_together(store, calls)
    if left == -2:
        raise NotFound(mapper.name, state.id)
    if left == -1:
        return None, None
    known = float(score) if score else int(seconds) * 1000 + int(micros) // 1000 + left
    return left, moment(known)


SWEPT = 100
"""Records of one script call of :func:`sweep`: some milliseconds of the server."""


async def sweep(model: type[Record], *, progress: Callable[[int], None] | None = None) -> int:
    """Take away what is left of the records of *model* that are over; return how many.

    Answers are exact without it, and writes take away more than they add: it is for a model that is written
    rarely, or whose records end all at once.

    ``progress``  called with the number so far.

    UsageError for a class whose records never end. EVALSHA, one round trip per 100 records.
    """
    if not isinstance(model, type) or not hasattr(model, "__mapper__"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"sweep() takes a model class, not {model!r}")
    mapper = model.__mapper__
    mapper.lifetime.need_limit()
    store = mapper.store()
    total = 0
    for part in mapper.schema(store).all_parts:
        wait = 1
        while wait:
            seen, wait = await executor.sweep(store, part, SWEPT)
            total += seen
            if progress is not None:
                progress(total)
            if not seen:
                break
    return total
