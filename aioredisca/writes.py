"""Writing records together: begun, sent as one script call, then finished or put back, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from . import storage
from .errors import (
    AlreadyExists,
    Gone,
    RediscaError,
    SchemaMismatch,
    StaleWrite,
    StoreError,
    UniqueViolation,
    UsageError,
    ValidationError,
)
from .plan import MAX_BATCH, Change, Mode, Refusal, write_call, write_outcome
from .types import Store

if TYPE_CHECKING:
    from .record import Record

ATTEMPTS = 3

Begun: TypeAlias = "Sequence[tuple[Record, Change]]"


@asynccontextmanager
async def locked(store: Store, records: Sequence[Record]) -> AsyncGenerator[None]:
    """Hold the locks of *records*, taken in one global order, so that two saves never interleave."""
    async with AsyncExitStack() as stack:
        for record in sorted(records, key=id):
            await stack.enter_async_context(record._own_lock(store))
        yield


async def write(store: Store, begun: Begun) -> list[bool]:
    """Send begun changes of one database in one call; per change whether it created or deleted.

    EVALSHA, one round trip. Where it fails, every change is back in its record before the error leaves.
    """
    try:
        flags = [bool(flag) for flag in await send(store, begun)]
    except BaseException as error:
        for record, change in begun:
            record._put_back(change, error)
        raise
    for (record, change), flag in zip(begun, flags, strict=True):
        record._finish(change, flag)
    return flags


async def send(store: Store, begun: Begun) -> list[bool | None]:
    """The same for records whose state is nobody's concern; None for those that were passed over."""
    if len(begun) > MAX_BATCH:
        raise UsageError(f"{len(begun):,} records in one atomic write, at most {MAX_BATCH:,} are allowed")
    changes = [change for _, change in begun]
    schemas = {change.schema.keys.base: change.schema for change in changes}.values()
    for _ in range(ATTEMPTS):
        for schema in schemas:
            await storage.ready_to_write(store, schema)
        outcome = write_outcome(await storage.read(store, write_call(changes)))
        if not isinstance(outcome, Refusal):
            return outcome
        if outcome.code != "SCHEMA":
            raise _error(outcome, *begun[outcome.place])
        for schema in schemas:
            storage.forget(store, schema)
    raise SchemaMismatch(changes[0].schema.model, ["another process keeps declaring other indexes"])


def _error(refusal: Refusal, record: Record, change: Change) -> RediscaError:
    error = _plain_error(refusal, record, change)
    error.instance = record
    return error


def _plain_error(refusal: Refusal, record: Record, change: Change) -> RediscaError:
    model, names = change.schema.model, [record._attribute(key) for key in refusal.details]
    match refusal.code:
        case "EXISTS":
            return AlreadyExists(model, change.id)
        case "GONE":
            return Gone(model, change.id)
        case "STALE":
            return StaleWrite(model, change.id, names)
        case "UNIQUE":
            return UniqueViolation(model, ", ".join(names[1:]), refusal.details[0])
        case "REQUIRED":
            return ValidationError(model, names[0], "is required: a record is not created without it")
        case _:
            return StoreError(
                f"the key {change.schema.keys.record(change.id)!r} holds something that is no record"
            )


def begin_all(records: Sequence[Record], mode: Mode | None) -> list[tuple[Record, Change]]:
    """Begin every record that has something to write; where one cannot, none is."""
    begun = list[tuple[Any, Change]]()
    try:
        for record in records:
            if change := record._begin(mode):
                begun.append((record, change))
    except BaseException as error:
        for record, change in begun:
            record._put_back(change, error)
        raise
    return begun
