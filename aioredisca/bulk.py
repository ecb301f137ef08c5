"""Bulk writes: many records in atomic batches, one script call each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from . import writes
from .errors import BulkError, Conflict, RediscaError, UsageError, ValidationError
from .ids import listed
from .plan import MAX_BATCH, Mode, Outcome
from .types import Store

if TYPE_CHECKING:
    from .record import Record

R = TypeVar("R", bound="Record")

BATCH = 100
"""Records of one script call: long enough to be fast, short enough not to hold up others."""


async def save_many(
    model: type[R], objs: Iterable[R], batch: int, skip_conflicts: bool
) -> list[tuple[R, RediscaError]]:
    """Save *objs*; those that were refused, with their errors, where conflicts are to be skipped."""
    records = _checked(model, listed(objs), batch)
    _, refused = await _write(_store_of(model, records), records, None, batch, skip_conflicts)
    return cast("list[tuple[R, RediscaError]]", refused)


async def delete_many(model: type[R], objs: Iterable[R | str | int], batch: int) -> int:
    """Delete records, or the records of ids; how many there were."""
    handles = [model._handle(obj) if isinstance(obj, str | bytes | int) else obj for obj in listed(objs)]
    records = _checked(model, handles, batch)
    deleted, _ = await _write(_store_of(model, records), records, "delete", batch, False)
    return deleted


def _checked(model: type[R], objs: Sequence[R], batch: int) -> list[R]:
    """*objs*, each once. Before any I/O, all are refused if one of them is no good."""
    if not 1 <= batch <= MAX_BATCH:
        raise UsageError(f"batch is a number from 1 to {MAX_BATCH:,}")
    found: dict[tuple[type, str], R] = {}
    for record in objs:
        if not isinstance(record, model):
            raise UsageError(f"{model.__name__} writes its own records, not {type(record).__name__}")
        record._check_writable()
        record._need_id()
        if found.setdefault((type(record), record.id), record) is not record:
            name = f"{type(record).__name__}({record.id!r})"
            raise UsageError(f"two instances of {name} in one batch: which one counts?")
    return list(found.values())


def _store_of(model: type[R], records: Sequence[R]) -> Store:
    homes = {(type(record), record._session) for record in records}  # of many records, but few
    stores = {kind._store(session) for kind, session in homes}
    if len(stores) > 1:
        raise UsageError("the records of one bulk write must live in one database")
    return stores.pop() if stores else model._store()


async def _write(
    store: Store, records: Sequence[Any], mode: Mode | None, batch: int, skip_conflicts: bool
) -> tuple[int, list[tuple[Any, RediscaError]]]:
    """How many were written (or deleted), and which were refused.

    BulkError at the first refused batch, unless conflicts are to be skipped: then that batch is sent
    again without the refused record.
    """
    written, refused = 0, list[tuple[Any, RediscaError]]()
    for first in range(0, len(records), batch):
        rest = list(records[first : first + batch])
        while rest:
            try:
                flags = await _write_batch(store, rest, mode)
            except (Conflict, ValidationError) as error:
                if not skip_conflicts or error.instance is None:
                    raise BulkError(written, error) from None
                refused.append((error.instance, error))
                rest = [record for record in rest if record is not error.instance]
            else:
                written += sum(flag is True for flag in flags) if mode == "delete" else len(rest)
                break
    return written, refused


async def _write_batch(store: Store, records: Sequence[Any], mode: Mode | None) -> list[Outcome]:
    async with writes.locked(store, records):
        begun = writes.begin_all(store, records, mode)
        return await writes.write(store, begun) if begun else []
