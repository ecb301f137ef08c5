"""Bulk writes: many records in atomic batches, one script call each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from aioredisca.compiler.changes import MAX_BATCH, Change, Mode
from aioredisca.compiler.writes import Outcome
from aioredisca.errors import (
    BulkError,
    Conflict,
    RediscaError,
    TooManyArguments,
    UsageError,
    ValidationError,
)
from aioredisca.fields.access import check_changeable, check_writable, need_id
from aioredisca.fields.reference import stranger
from aioredisca.persistence import by_slots, executor, pending
from aioredisca.storage.codecs import whole_in
from aioredisca.storage.moments import Duration
from aioredisca.types import MISSING, Missing, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")
T = TypeVar("T")


async def save_many(
    model: type[R],
    objs: Iterable[R],
    batch: int,
    skip_conflicts: bool,
    ttl: Duration | Missing | None = MISSING,
) -> list[tuple[R, RediscaError]]:
    """Save *objs*; those that were refused, with their errors, where conflicts are to be skipped."""
    model.__mapper__.lifetime.of_save(ttl)  # refused before any record is looked at
    records = _checked(model, as_list(objs), batch, _check_savable)
    _, refused = await _write(_store_of(model, records), records, None, batch, skip_conflicts, ttl)
    return cast("list[tuple[R, RediscaError]]", refused)


async def delete_many(model: type[R], objs: Iterable[R | str | int], batch: int) -> int:
    """Delete records, or the records of ids; how many there were."""
    handles = [
        model.__mapper__.handle(obj) if isinstance(obj, str | bytes | int) else obj for obj in as_list(objs)
    ]
    records = _checked(model, handles, batch, check_writable)
    deleted, _ = await _write(_store_of(model, records), records, "delete", batch, False)
    return deleted


def as_list(items: Iterable[T]) -> list[T]:
    """What a verb takes many of, as a list. UsageError for one text: nobody means its characters."""
    if isinstance(items, str | bytes):
        raise UsageError("takes a list of records or ids: one id alone would be read letter by letter")
    if not isinstance(items, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"takes a list of records or ids, not {type(items).__name__}")
    return list(items)


def _checked(model: type[R], objs: Sequence[R], batch: int, check: Callable[[Record], None]) -> list[R]:
    """*objs*, each once. Before any I/O, all are refused if one of them is no good."""
    if whole_in(batch, 1, MAX_BATCH) is None:
        raise UsageError(f"batch is a number from 1 to {MAX_BATCH:,}")
    found: dict[tuple[type, str], R] = {}
    for record in objs:
        if not isinstance(record, model):
            raise UsageError(f"{model.__name__} writes its own records, not {stranger(model, record)}")
        check(record)
        need_id(record)
        if found.setdefault((type(record), record.__state__.id), record) is not record:
            name = f"{type(record).__name__}({record.__state__.id!r})"
            raise UsageError(f"two instances of {name} in one batch: which one counts?")
    return list(found.values())


def _check_savable(record: Record) -> None:
    check_changeable(record)
    pending.check_not_gone(record)


def _store_of(model: type[R], records: Sequence[R]) -> Store:
    # distinct (class, unit of work) pairs: few, however many records
    homes: set[tuple[type[Any], Any]] = {(type(record), record.__state__.unit) for record in records}
    stores = {kind.__mapper__.store(unit) for kind, unit in homes}
    if len(stores) > 1:
        raise UsageError("the records of one bulk write must live in one database")
    return stores.pop() if stores else model.__mapper__.store()


class _Batch:
    """Records of one call, which may be prepared while the batch before is on its way."""

    def __init__(
        self, store: Store, records: Sequence[Any], mode: Mode | None, ttl: Duration | Missing | None
    ) -> None:
        self.records, self._store, self._ttl = records, store, ttl
        self._spread = bool(records) and records[0].__mapper__.partitions > 1
        self._mode: Mode | None = mode
        self._prepared: executor.Prepared | None = None
        self._written: tuple[executor.Prepared, list[Outcome]] | None = None

    def prepare(self) -> executor.Prepared:
        if self._prepared is None:
            self._prepared = executor.prepare(self._begun())
        return self._prepared

    def _begun(self) -> list[tuple[Any, Change]]:
        return pending.begin_all(self._store, self.records, self._mode, self._ttl)

    def prepare_ahead(self) -> None:
        """Prepare it before its turn. What is wrong is told when its turn comes."""
        if not self._spread:
            with suppress(Exception):
                self.prepare()

    async def write(self, before: _Batch | None, following: _Batch | None) -> list[Outcome]:
        """Write it; the outcome of each changed record.

        Meanwhile the batch *before* is finished and the *following* one prepared.
        """

        def overlap() -> None:
            if before:
                before.finish()
            if following:
                following.prepare_ahead()

        try:
            if self._spread:
                return await self._write_spread()
            prepared = self.prepare()
            outcomes = await executor.carry_out(self._store, prepared, overlap) if prepared.begun else []
            self._written = prepared, outcomes
            return outcomes
        finally:
            self._prepared = None  # written, or put back
            if before:
                before.finish()

    async def _write_spread(self) -> list[Outcome]:
        begun = self._begun()
        slots = dict.fromkeys(change.schema.keys.slot for _, change in begun)
        return await by_slots.write(self._store, begun, [*slots])

    def finish(self) -> None:
        """It was written: its records learn of it."""
        if self._written:
            executor.finish(*self._written)
            self._written = None

    def leave_out(self, refused: Any) -> None:
        self.records = [record for record in self.records if record is not refused]

    def drop(self) -> None:
        """It will not be sent: its changes are pending again."""
        if self._prepared is not None:
            pending.put_back_all(self._prepared.begun, executor.NotSent())


async def _write(
    store: Store,
    records: Sequence[Any],
    mode: Mode | None,
    batch: int,
    skip_conflicts: bool,
    ttl: Duration | Missing | None = MISSING,
) -> tuple[int, list[tuple[Any, RediscaError]]]:
    """How many were written (or deleted), and which were refused.

    BulkError at the first refused batch, unless conflicts are to be skipped: then that batch is sent
    again without the refused record. Where a batch has more arguments than the database takes, it and all
    that follow are cut in halves.
    """

    def cut(some: Sequence[Any], size: int) -> deque[_Batch]:
        return deque(
            _Batch(store, part[first : first + size], mode, ttl)
            for part in _by_slot(store, some)
            for first in range(0, len(part), size)
        )

    written, refused = 0, list[tuple[Any, RediscaError]]()
    batches = cut(records, batch)
    before: _Batch | None = None
    async with executor.locked(store, records):
        while batches:
            one = batches.popleft()
            following = batches[0] if batches else None
            try:
                flags = await _write_batch(before, one, following, refused if skip_conflicts else None)
            except TooManyArguments:
                if len(one.records) == 1:
                    raise
                rest = [record for some in (one, *batches) for record in some.records]
                batches = cut(rest, len(one.records) // 2)
                continue
            except BaseException as error:
                if following:
                    following.drop()
                if isinstance(error, Conflict | ValidationError):
                    raise BulkError(written + len(error.written), error) from None
                raise
            written += sum(flag is True for flag in flags) if mode == "delete" else len(one.records)
            before = one
        if before:
            before.finish()
    return written, refused


def _by_slot(store: Store, records: Sequence[Any]) -> list[Sequence[Any]]:
    """The records of each slot: all of them together, unless the store is a cluster. Those of one class stay
    together where it has partitions."""
    mappers: set[Any] = {record.__mapper__ for record in records}
    if not store.clustered and all(mapper.partitions == 1 for mapper in mappers):
        return [records]
    slots: dict[Any, tuple[str, bool]] = {
        mapper: (mapper.keys(store).slot, mapper.partitions > 1) for mapper in mappers
    }
    found = dict[tuple[str, bool], list[Any]]()
    for record in records:
        found.setdefault(slots[record.__mapper__], []).append(record)
    return [*found.values()]


async def _write_batch(
    before: _Batch | None,
    one: _Batch,
    following: _Batch | None,
    refused: list[tuple[Any, RediscaError]] | None,
) -> list[Outcome]:
    """The outcomes of a batch; records that are refused go to *refused*, if that is a list."""
    while one.records:
        try:
            return await one.write(before, following)
        except (Conflict, ValidationError) as error:
            if refused is None or error.instance is None:
                raise
            refused.append((error.instance, error))
            one.leave_out(error.instance)
    return []
