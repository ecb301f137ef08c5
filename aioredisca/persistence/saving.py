"""What a save and a delete of one record do, from the verb to the reply."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from aioredisca.errors import UsageError
from aioredisca.fields.access import need_record
from aioredisca.persistence import executor
from aioredisca.persistence.pending import begin, begin_delete
from aioredisca.types import MISSING

if TYPE_CHECKING:
    from aioredisca.model.record import Record
    from aioredisca.persistence.pending import IfUnchanged, SaveMode
    from aioredisca.storage.moments import Duration
    from aioredisca.types import Missing

R = TypeVar("R", bound="Record")


async def save(
    record: R,
    mode: SaveMode | None = None,
    if_unchanged: IfUnchanged | Missing = MISSING,
    ttl: Duration | Missing | None = MISSING,
) -> R:
    """Write what was changed in *record*, if anything was, and return it. EVALSHA, one round trip."""
    need_record(record)
    if mode not in (None, "create", "update", "upsert"):
        raise UsageError(f"mode is 'create', 'update' or 'upsert'; not {mode!r}")
    state = record.__state__
    if state.unit is not None:
        state.unit.refuse_required(record)
    store = record.__mapper__.store(state.unit)
    lock = state.lock(store.transport())
    await lock.acquire()  # what is closed meanwhile is opened anew: the transport is asked for once more
    try:
        change = begin(record, store, mode, if_unchanged, ttl)
        if change is not None:
            await executor.write(store, [(record, change)])
    finally:
        lock.release()
    return record


async def delete(record: Record) -> bool:
    """Delete *record*; whether there was one. EVALSHA, one round trip."""
    need_record(record)
    state = record.__state__
    if state.unit is not None:
        state.unit.refuse_required(record)
    store = record.__mapper__.store(state.unit)
    lock = state.lock(store.transport())
    await lock.acquire()
    try:
        (deleted,) = await executor.write(store, [(record, begin_delete(record, store))])
        return deleted is True
    finally:
        lock.release()
