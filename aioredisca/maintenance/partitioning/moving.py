"""``aioredisca partition``: the records of a class go into another number of partitions, or into one place.

First the places that they leave are closed to writers. Then they are written where they are to be, by the
ordinary writes of these places, page by page in the order of their ids. When all are there, the meta of the
whole class says so, and what they have left is taken away. steps.py tells what meta holds meanwhile. Each
step finds what was done of it before, so whoever is cut short goes on there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.signature import change_meta_call, meta_call
from aioredisca.errors import RediscaError, SchemaMismatch, StoreError, UsageError, ValidationError
from aioredisca.maintenance.dumping import Export
from aioredisca.maintenance.importing import Entry, Import, OnConflict
from aioredisca.maintenance.indexing import MAX_NAMED
from aioredisca.maintenance.lease import Lease
from aioredisca.maintenance.lines import Reader, bytes_of
from aioredisca.maintenance.pacing import Steps
from aioredisca.maintenance.partitioning import steps
from aioredisca.maintenance.partitioning.purging import purge
from aioredisca.persistence import asking, readiness, refusals
from aioredisca.storage import versions
from aioredisca.storage.keys import id_text
from aioredisca.storage.meta import BARRED, ENDED, READY, Edit, Meta, read_meta
from aioredisca.storage.partitions import bad_partitions
from aioredisca.storage.replies import LIST
from aioredisca.storage.schema import IDS_ENTRY, Compiled, Schema, spread
from aioredisca.types import Store

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record


@dataclass
class Partitioned:
    """What :func:`partition` did.

    ``before`` ``now``  in how many partitions the records were, and are; 1 is one place.
    ``records``         how many were moved, or would be; in a run that went on, of those that were left.
    ``left_out``        how many cannot be: nothing is moved, or the move waits for them or for its undoing.
    ``problems``        (id, error) of the first 1,000 of these. No error shows a value.
    ``begun``           whether somebody has begun to move them before, and that is not done.
    ``done``            whether the records are where they are to be, and nothing is left where they were.
    """

    model: str
    before: int
    now: int
    records: int = 0
    left_out: int = 0
    problems: list[tuple[str, RediscaError]] = field(default_factory=list[tuple[str, RediscaError]])
    begun: bool = False
    done: bool = False


async def partition(
    model: type[Record],
    to: int | None = None,
    *,
    dry_run: bool = False,
    undo: bool = False,
    rate: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Partitioned:
    """Move the records of *model* into *to* partitions, by default as many as the class declares; 1 is one
    place.

    All records are looked at first; where one cannot be moved, nothing is. Then nobody writes
    (SchemaMismatch) until this is done. Processes that read where the records were go on until then; those of
    a class that declares *to* are refused until then, and those of any other number afterwards: restart them,
    for what they load by id would be gone.

    ``dry_run``   only look at all records.
    ``undo``      give up a move that was begun and is not done: the records stay where they were.
    ``rate``      records a second, at most.
    ``progress``  called with the number of records dealt with so far.

    It may be cut short at any moment, and goes on where it was when it is run again. AlreadyRunning where
    another process is at work on the class, StoreError where the records are not all listed (`aioredisca
    reindex`), SchemaMismatch where the store keeps what this class does not. Per 200 records: ZRANGEBYLEX,
    what :func:`export_records` reads of them, an EVALSHA for each partition, HGETALL of meta and an EVALSHA
    that changes it: five round trips, more where values are unique; one more with HKEYS after a stop.
    """
    if not isinstance(model, type) or not hasattr(model, "__mapper__"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"partition() takes a model class, not {model!r}")
    mapper: Any = model.__mapper__
    count = mapper.partitions if to is None else to
    if reason := bad_partitions(count):
        raise UsageError(f"partition(to={to!r}): {reason}")
    if rate is not None and not rate > 0:
        raise UsageError(f"partition(rate={rate!r}): is how many records per second, or None for no limit")
    if count > 1 and mapper.setting("tag") not in (None, mapper.store().clustered or None):
        raise UsageError(
            f"{mapper.name}: tag= keeps it in one slot, partitions= spreads it over many: move it to where "
            f"it has none first (MoveModel)"
        )
    move = _Move(mapper, count, Steps(rate, progress))
    if dry_run:
        return await move.rehearse()
    async with move.lease:
        return await (move.give_up() if undo else move.carry_out())


class _Move:
    """One call of :func:`partition`."""

    def __init__(self, mapper: Mapper, count: int, pacing: Steps) -> None:
        self.mapper, self.count, self.pacing = mapper, count, pacing
        self.store: Store = mapper.store()
        self.schema = replace(mapper.schema(self.store), parts=())
        self.lease = Lease(self.store, self.schema.keys.lease, self.schema.model)
        self.done = Partitioned(self.schema.model, 1, count)
        self.resumed = False

    def places(self, count: int, *, moving: str = "") -> tuple[Schema, ...]:
        """Where the records are in so many partitions; *moving* is what only who moves them keeps."""
        schema = replace(self.schema, moving=moving, compiled=Compiled())
        return (spread(schema, count) if count > 1 else schema).all_parts

    @property
    def targets(self) -> tuple[Schema, ...]:
        return self.places(self.count, moving=steps.moving(self.count))

    @property
    def _whole(self) -> Schema:
        """The class in one place, as who moves records there writes."""
        return replace(self.schema, moving=steps.moving(self.count), compiled=Compiled())

    # -- the order ---------------------------------------------------------------------------------

    async def rehearse(self) -> Partitioned:
        """Look at all records, and write nothing."""
        meta = await self.begin()
        if self.done.before != self.count:
            if not self.under_way(meta):
                await self.check()
            await self.look_through()
        self.done.done = self.done.before == self.count and not self.done.begun
        return self.done

    async def carry_out(self) -> Partitioned:
        meta = await self.begin()
        if count := steps.to_purge(meta):
            await self.purge(count)
        under_way = self.resumed = self.under_way(meta)
        if not under_way and self.done.before != self.count:
            await self.check()
            await self.look_through()
            if self.done.left_out:
                return self.done
            self.pacing.done, self.done.records = 0, 0
        if under_way or self.done.before != self.count:
            await self.move()
        self.done.done = not self.done.left_out
        return self.done

    def under_way(self, meta: Meta) -> bool:
        """Whether the records move by now. StoreError where that is into another number."""
        count = versions.moving(meta.states)
        if count and count != self.count:
            raise StoreError(
                f"the records of {self.schema.model} move into {count} partitions: let that be done by "
                f"`aioredisca partition --to {count}`, or given up by `--undo`"
            )
        return bool(count)

    async def move(self) -> None:
        """Move the records, from wherever that was cut short."""
        before = self.done.before
        await self.change(self.schema, self.begun)
        for place in self.places(before) if before > 1 else ():
            await self.change(place, partial(steps.barred, count=self.count))
        if steps.cursor_of(await self.meta(self.schema)) != steps.COPIED:  # else some may be open by now
            for place in self.targets:
                await self.change(place, partial(steps.prepared, schema=place))
            await self.copy()
            if self.done.left_out:
                return
            await self.go_on(steps.COPIED)
        if self.count > 1:
            for place in self.targets:
                await self.change(place, partial(steps.opened, schema=place))
        plan = partial(steps.flipped, schema=self._whole, before=before, now=self.count)
        await self.change(self.schema, plan)
        await self.purge(before)

    def begun(self, meta: Meta) -> Edit | None:
        """How the move begins, if the records are still where they were."""
        if (versions.partitions(meta.states) or 1) != self.done.before:
            raise self._overtaken()
        return steps.barred(meta, self.count)

    def _overtaken(self) -> StoreError:
        return StoreError(f"another process went on with {self.schema.model}: run it again")

    async def give_up(self) -> Partitioned:
        """Leave the records where they are, and take away what was copied."""
        meta = await self.begin()
        self.count = versions.moving(meta.states)
        if self.count:
            for place in self.places(self.done.before) if self.done.before > 1 else ():
                await self.change(place, steps.freed)
            plan = partial(steps.given_up, schema=self._whole, count=self.count)
            await self.change(self.schema, plan)
        if count := steps.to_purge(await self.meta(self.schema)):
            await self.purge(count)
        self.done.now, self.done.done = self.done.before, True
        return self.done

    async def begin(self) -> Meta:
        meta = await self.meta(self.schema)
        self.done.before = versions.partitions(meta.states) or 1
        self.done.begun = bool(versions.moving(meta.states) or steps.to_purge(meta))
        return meta

    async def purge(self, count: int) -> None:
        """Take away what is left in so many places, which the records have left or never came to."""
        now = versions.partitions((await self.meta(self.schema)).states) or 1
        for place in self.places(count):
            await purge(self.store, place.keys, self.lease)
            await self.change(place, partial(steps.left, now=now, whole=count == 1))
        if count > 1:
            await self.change(self.schema, partial(steps.done, before=count))

    # -- meta --------------------------------------------------------------------------------------

    async def meta(self, place: Schema) -> Meta:
        return read_meta(await asking.read(self.store, meta_call(place.keys), LIST))

    async def change(self, place: Schema, plan: Callable[[Meta], Edit | None]) -> None:
        """Make the change of meta that *plan* makes of what it is, once nobody else changes it meanwhile."""
        for _ in range(readiness.DECLARATIONS):
            await self.lease.keep()
            edit = plan(await self.meta(place))
            if edit is None or await asking.read(self.store, change_meta_call(place.keys, edit)):
                return
        raise readiness.unsettled(place)

    async def go_on(self, cursor: bytes) -> None:
        """The move is so far. StoreError where somebody else is at it."""
        await self.lease.keep()
        meta = await self.meta(self.schema)
        if versions.moving(meta.states) != self.count or not await asking.read(
            self.store, change_meta_call(self.schema.keys, steps.gone_on(meta, cursor))
        ):
            raise self._overtaken()

    async def check(self) -> None:
        """StoreError or SchemaMismatch where the records cannot be moved as they are kept."""
        places = self.places(self.done.before)
        replies = await asking.read_together(self.store, [meta_call(place.keys) for place in places])
        for place, reply in zip(places, replies, strict=True):
            meta = read_meta(reply)
            if not meta.ver and await readiness.is_empty(self.store, place, meta):
                continue
            kept = {entry for entry in meta.states if not entry.startswith(BARRED)}
            if unknown := sorted(kept - self.schema.entries):
                raise SchemaMismatch(self.schema.model, unknown, _LOST)
            if meta.permits.get(self.schema.version) == ENDED:
                raise refusals.ended(self.schema)
            if meta.states.get(IDS_ENTRY) != READY or not meta.ver:
                raise StoreError(
                    f"the records of {place.keys.base!r} are not listed: `aioredisca reindex` first"
                )

    # -- records -----------------------------------------------------------------------------------

    async def look_through(self) -> None:
        """Look whether each record can be written as it is stored."""
        reader = Reader(self.mapper, self.places(self.count)[0], False, {})
        for place in self.places(self.done.before):
            export = Export(self.mapper, place)
            async for ids in export.ids():
                for record in await export.records(ids):
                    try:
                        reader.change(record)
                        self.done.records += 1
                    except ValidationError as error:
                        self.leave_out(record["id"], error)
                await self.pacing.passed(len(ids), self.lease)

    async def copy(self) -> None:
        """Write all records where they are to be, from where the cursor is."""
        where, _, last = steps.cursor_of(await self.meta(self.schema)).partition(b":")
        first = int(where or 0)
        into = spread(self._whole, self.count) if self.count > 1 else self._whole
        mode: OnConflict = "replace" if self.resumed else "skip"  # what one that was cut short has left
        writer = Import((), mode, strict=False, checks=False, dry_run=False)
        writer.reader = Reader(self.mapper, into, False, {})
        for number, place in enumerate(self.places(self.done.before)):
            if number < first:
                continue
            export = Export(self.mapper, place)
            async for ids in export.ids(last if number == first else b""):
                await self.write(writer, await export.records(ids))
                if not self.done.left_out:  # else they are to be looked at once more
                    await self.go_on(b"%d:%b" % (number, ids[-1]))
                await self.pacing.passed(len(ids), self.lease)
        await writer.forget()

    async def write(self, writer: Import, records: Sequence[dict[str, Any]]) -> None:
        """Write a page. StoreError where somebody else has written it."""
        assert writer.reader is not None
        entries = list[Entry]()
        for number, record in enumerate(records):
            try:
                entries.append(Entry(number, writer.reader.change(record)))
            except ValidationError as error:
                writer.bad(number, error)
        before = writer.done.records
        if self.resumed:
            entries = await writer.without_conflicts(entries)
        await writer.write(entries)
        if writer.done.skipped:
            raise self._overtaken()
        self.done.records += writer.done.records - before
        for number, problem in writer.done.problems:
            self.leave_out(records[number]["id"], problem)
        writer.done.problems.clear()

    def leave_out(self, id: Any, error: RediscaError) -> None:
        self.done.left_out += 1
        if self.done.left_out <= MAX_NAMED:
            self.done.problems.append((id if isinstance(id, str) else id_text(bytes_of(id)), error))


_LOST = (
    "the store keeps what this class does not, and it would be lost: deploy the class that has it, or let go "
    "of it by `aioredisca reindex` first"
)
