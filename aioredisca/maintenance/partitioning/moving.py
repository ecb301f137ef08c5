"""``aioredisca partition``: the records of a class go into another number of partitions, or into one place.

First they are copied, by the ordinary writes of the places where they are to be, page by page in the order
of their ids, while whoever wrote them writes on and marks what (copying.py). Then what is marked is copied
again, until it is little; then nobody writes, and the last of it is copied. The meta of the whole class says
that the records are there now, and what they have left is taken away. steps.py tells what meta holds
meanwhile. Each step finds what was done of it before, so whoever is cut short goes on there.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.signature import change_meta_call, meta_call
from aioredisca.errors import RediscaError, StoreError, UsageError, ValidationError
from aioredisca.maintenance.dumping import Export
from aioredisca.maintenance.indexing import MAX_NAMED
from aioredisca.maintenance.lease import Lease
from aioredisca.maintenance.lines import Reader, bytes_of
from aioredisca.maintenance.pacing import Steps
from aioredisca.maintenance.partitioning import guards, steps
from aioredisca.maintenance.partitioning.checking import check
from aioredisca.maintenance.partitioning.copying import Copying, Passed
from aioredisca.maintenance.partitioning.guards import Plan, overtaken
from aioredisca.maintenance.partitioning.purging import purge
from aioredisca.persistence import asking, readiness
from aioredisca.storage import versions
from aioredisca.storage.keys import id_text
from aioredisca.storage.meta import Edit, Meta, read_meta
from aioredisca.storage.partitions import bad_partitions
from aioredisca.storage.replies import LIST
from aioredisca.storage.schema import Compiled, Schema, spread
from aioredisca.types import Store

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record


FEW = 100
"""How many records may wait to be copied once more when nobody writes any more."""

CHANCES, ROUNDS = 3, 100
"""How often what waits may have become no less than half, and be copied at all, before nobody writes all the
same."""


@dataclass
class Partitioned:
    """What :func:`partition` did.

    ``before`` ``now``  in how many partitions the records were, and are; 1 is one place.
    ``records``         how many were moved, or would be; in a run that went on, of those that were left.
    ``left_out``        how many cannot be: nothing is moved, or the move waits for them or for its undoing.
    ``unwritten``       for how many seconds nobody could write, at the end of the move.
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
    unwritten: float = 0.0
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

    All records are looked at first; where one cannot be moved, nothing is. Processes that read and write
    where the records were go on, but that nobody writes (SchemaMismatch) in the last moments, until what was
    written last is copied. Those of a class that declares *to* are refused until the records have moved, and
    those of any other number afterwards: restart them, for what they load by id would be gone.

    ``dry_run``   only look at all records.
    ``undo``      give up a move that was begun and is not done: the records stay where they were.
    ``rate``      records a second, at most.
    ``progress``  called with the number of records dealt with so far.

    It may be cut short at any moment, and goes on where it was when it is run again. AlreadyRunning where
    another process is at work on the class, StoreError where the records are not all listed (`aioredisca
    reindex`), SchemaMismatch where the store keeps what this class does not. Per 200 records: ZRANGEBYLEX,
    what :func:`export_records` reads of them, an EVALSHA for each partition, HGETALL of meta and an EVALSHA
    that changes it: five round trips, more where values are unique. What was written meanwhile takes as many
    again: ZRANGE, an EVALSHA for each partition that takes copies away, reading, writing, and an EVALSHA for
    each record.
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
        self.mover = b"0-" + secrets.token_hex(4).encode()
        self.done = Partitioned(self.schema.model, 1, count)

    def places(self, count: int, *, moving: str = "") -> Schema:
        """The class in so many partitions; *moving* is what only who moves its records keeps."""
        schema = replace(self.schema, moving=moving, compiled=Compiled())
        return spread(schema, count) if count > 1 else schema

    @property
    def sources(self) -> Schema:
        return self.places(self.done.before)

    @property
    def targets(self) -> Schema:
        return self.places(self.count, moving=steps.filling(self.count, self.mover))

    # -- the order ---------------------------------------------------------------------------------

    async def rehearse(self) -> Partitioned:
        """Look at all records, and write nothing."""
        meta = await self.begin()
        if self.done.before != self.count:
            if not self.under_way(meta):
                await check(self.store, self.schema, self.sources)
            await self.look_through()
        self.done.done = self.done.before == self.count and not self.done.begun
        return self.done

    async def carry_out(self) -> Partitioned:
        meta = await self.begin()
        if count := steps.to_purge(meta):
            await self.take_over_purge()
            await self.purge(count)
        under_way = self.under_way(meta)
        if not under_way and self.done.before != self.count:
            await check(self.store, self.schema, self.sources)
            await self.look_through()
            if self.done.left_out:
                return self.done
            self.pacing.done, self.done.records = 0, 0
            for place in self.sources.all_parts:  # else nobody could write there for the first time
                await readiness.ready_to_write(self.store, place)
        if under_way or self.done.before != self.count:
            await self.move(resumed=under_way)
        self.done.done = not self.done.left_out
        return self.done

    def under_way(self, meta: Meta) -> bool:
        """Whether the records move by now. StoreError where that is into another number."""
        count = versions.under_way(meta.states)
        if count and count != self.count:
            raise StoreError(
                f"the records of {self.schema.model} move into {count} partitions: let that be done by "
                f"`aioredisca partition --to {count}`, or given up by `--undo`"
            )
        return bool(count)

    async def move(self, *, resumed: bool) -> None:
        """Move the records, from wherever that was cut short."""
        last = await self.take_over(resumed=resumed)
        targets = self.targets
        meta = await self.meta(self.schema)
        by = steps.copied_by(meta)
        copying = Copying(self.mapper, self.sources, targets, self.mover)
        if not by:  # else some may be open by now
            anew = await self.prepare(targets, last, steps.cursor_of(meta))
            if not versions.moving(meta.states) or anew is None:
                await self.copy(copying, anew=bool(anew))
                await self.catch_up(copying)
            if self.done.left_out:
                return
        began = monotonic()
        barred = self.mine(partial(steps.barred, count=self.count))
        await self.change(self.schema, barred)
        await self.change_all(self.sources, barred)
        if not by:
            await self.copy_rest(copying)
            if self.done.left_out:
                return
            by = self.mover
            await self.go_on(steps.COPIED + by)
        if self.count > 1:
            await self.change_all(targets, self.only(steps.opened, by))
        flipped = partial(steps.flipped, before=self.done.before, now=self.count)
        await self.change(self.schema, self.mine(flipped))
        self.done.unwritten = monotonic() - began
        await copying.writer.forget()
        await self.purge(self.done.before)

    async def take_over(self, *, resumed: bool) -> bytes:
        """Let nobody change meta any more who was at it before, and who that was."""
        last = b""

        def begun(meta: Meta) -> Edit:
            nonlocal last
            last = steps.mover_of(meta)
            self.be_next(meta)
            return self.begun(meta, resumed=resumed)

        await self.change(self.schema, begun)
        copied = partial(steps.copied, count=self.count, mover=self.mover)
        await self.change_all(self.sources, guards.newest(self.schema.model, self.mover, copied))
        return last

    async def take_over_purge(self) -> None:
        """The same where it is but to be taken away what a move has left."""

        def named(meta: Meta) -> Edit:
            self.be_next(meta)
            return steps.named(meta, self.mover)

        await self.change(self.schema, named)

    def be_next(self, meta: Meta) -> None:
        number = steps.number_of(steps.mover_of(meta)) + 1
        self.mover = b"%d-%b" % (number, self.mover.partition(b"-")[2])

    async def prepare(self, targets: Schema, last: bytes, cursor: bytes) -> bool | None:
        """Let nobody else write where records come to. Whether the move goes on where the *last* one was.

        None where it begins: then what is there goes. So it does where another one than the last came there
        meanwhile, who may have taken away what was copied.
        """
        places = targets.all_parts
        if cursor:
            metas = await asking.read_together(self.store, [meta_call(place.keys) for place in places])
            filling = steps.filling(self.count, last)
            if not all(filling in read_meta(reply).states for reply in metas):
                cursor = b""
                await self.go_on(cursor)
        for place in places:
            plan = partial(steps.prepared, schema=place)
            await self.change(
                place, self.only(plan, last, self.mover) if cursor else guards.free(self.schema.model, plan)
            )
        if cursor:
            return True
        for place in places:
            await self._purge(place)
        await self.go_on(b"0:")
        return None

    def mine(self, plan: Plan) -> Plan:
        return guards.mine(self.schema.model, self.mover, plan)

    def only(self, plan: Plan, *movers: bytes) -> Plan:
        return guards.only(self.schema.model, [steps.filling(self.count, mover) for mover in movers], plan)

    def begun(self, meta: Meta, *, resumed: bool) -> Edit:
        """How the move begins, or goes on, if the records are still where they were."""
        if (versions.partitions(meta.states) or 1) != self.done.before:
            raise overtaken(self.schema.model)
        if bool(versions.under_way(meta.states)) != resumed:
            raise overtaken(self.schema.model)
        return steps.copied(meta, self.count, self.mover)

    async def give_up(self) -> Partitioned:
        """Leave the records where they are, and take away what was copied."""
        meta = await self.begin()
        if count := versions.under_way(meta.states):
            self.count = count
            await self.take_over(resumed=True)
            if steps.copied_by(await self.meta(self.schema)):
                raise StoreError(f"all records of {self.schema.model} are copied: run it again without undo")
            for place in self.targets.all_parts:
                await self.change(place, partial(steps.taken_back, schema=place))
            given_up = partial(steps.given_up, schema=self.schema, count=count)
            await self.change(self.schema, self.mine(given_up))
        elif steps.to_purge(meta):
            await self.take_over_purge()
        if count := steps.to_purge(await self.meta(self.schema)):
            await self.purge(count)
        self.done.now, self.done.done = self.done.before, True
        return self.done

    async def begin(self) -> Meta:
        meta = await self.meta(self.schema)
        self.done.before = versions.partitions(meta.states) or 1
        self.done.begun = bool(versions.under_way(meta.states) or steps.to_purge(meta))
        return meta

    async def purge(self, count: int) -> None:
        """Take away what is left in so many places, which the records have left or never came to."""
        now = versions.partitions((await self.meta(self.schema)).states) or 1
        for place in self.places(now).all_parts if now > 1 else ():  # where a move was given up
            freed = partial(steps.freed, schema=place)
            await self.change(place, guards.newest(self.schema.model, self.mover, freed))
        targets = self.places(count, moving=steps.filling(count, self.mover))
        for place in targets.all_parts:
            await self.change(place, partial(steps.taken_back, schema=place))
            await self._purge(place)
            left = partial(steps.left, filling=place.moving, now=now, whole=count == 1)
            await self.change(place, left)
        if count > 1:
            await self.change(self.schema, partial(steps.done, before=count))

    async def _purge(self, place: Schema) -> None:
        """Take away what stands in a place, if that is nobody's."""
        meta = await self.meta(place)
        if steps.is_left(meta, place.moving):
            await purge(self.store, place.keys, meta.ver, self.lease)

    # -- meta --------------------------------------------------------------------------------------

    async def meta(self, place: Schema) -> Meta:
        return read_meta(await asking.read(self.store, meta_call(place.keys), LIST))

    async def change(self, place: Schema, plan: Plan) -> None:
        """Make the change of meta that *plan* makes of what it is, once nobody else changes it meanwhile."""
        for _ in range(readiness.DECLARATIONS):
            await self.lease.keep()
            edit = plan(await self.meta(place))
            if edit is None or await asking.read(self.store, change_meta_call(place.keys, edit)):
                return
        raise readiness.unsettled(place)

    async def change_all(self, schema: Schema, plan: Plan) -> None:
        """The same for all places of *schema*: two round trips where nobody else changes them."""
        places = schema.all_parts
        await self.lease.keep()
        metas = await asking.read_together(self.store, [meta_call(place.keys) for place in places])
        edits = [plan(read_meta(reply)) for reply in metas]
        planned = [(place, edit) for place, edit in zip(places, edits, strict=True) if edit is not None]
        calls = [change_meta_call(place.keys, edit) for place, edit in planned]
        for (place, _), made in zip(planned, await asking.read_together(self.store, calls), strict=True):
            if not made:
                await self.change(place, plan)

    async def go_on(self, cursor: bytes) -> None:
        """The move is so far. StoreError where somebody else is at it."""
        await self.lease.keep()
        edit = steps.gone_on(await self.meta(self.schema), self.mover, cursor)
        if edit is None or not await asking.read(self.store, change_meta_call(self.schema.keys, edit)):
            raise overtaken(self.schema.model)

    # -- records -----------------------------------------------------------------------------------

    async def look_through(self) -> None:
        """Look whether each record can be written as it is stored."""
        reader = Reader(self.mapper, self.places(self.count), False, {})
        for place in self.sources.all_parts:
            export = Export(self.mapper, place)
            async for ids in export.ids():
                for record in await export.records(ids):
                    try:
                        reader.change(record)
                        self.done.records += 1
                    except ValidationError as error:
                        self.leave_out(record["id"], error)
                await self.pacing.passed(len(ids), self.lease)

    async def copy(self, copying: Copying, *, anew: bool) -> None:
        """Write all records where they are to be, from where the cursor is."""
        cursor = steps.cursor_of(await self.meta(self.schema))
        if cursor.startswith((steps.ONCE, steps.COPIED)):
            return
        where, _, last = cursor.partition(b":")
        first = int(where or 0)
        for number, place in enumerate(self.sources.all_parts):
            if number < first:
                continue
            export = Export(self.mapper, place)
            async for ids in export.ids(last if number == first else b""):
                self.passed(await copying.copy(ids, anew=anew))
                if not self.done.left_out:  # else they are to be looked at once more
                    await self.go_on(b"%d:%b" % (number, ids[-1]))
                await self.pacing.passed(len(ids), self.lease)
        if not self.done.left_out:
            await self.go_on(steps.ONCE)

    async def catch_up(self, copying: Copying) -> None:
        """Copy what is written meanwhile, until little is left of it, or it becomes no less."""
        waits, chances = await copying.waiting(), CHANCES
        for _ in range(ROUNDS):
            blocked = await self._once_more(copying, waits)
            before, waits = waits, await copying.waiting()
            if waits > FEW:
                chances -= waits > before / 2
            if self.done.left_out or not chances or (waits <= FEW and not blocked):
                break

    async def _once_more(self, copying: Copying, count: int) -> int:
        """Copy so many records that wait; how many were in each other's way."""
        blocked = 0
        while count > 0 and not self.done.left_out:
            passed = await copying.catch_up()
            self.passed(passed)
            count -= max(passed.seen, 1)
            blocked += passed.blocked
            await self.lease.keep()
        return blocked

    async def copy_rest(self, copying: Copying) -> None:
        """Copy what was written before nobody could any more."""
        while await copying.waiting() and not self.done.left_out:
            self.passed(await copying.catch_up())
            await self.lease.keep()

    def passed(self, passed: Passed) -> None:
        self.done.records += passed.copied
        for id, error in passed.problems:
            self.leave_out(id, error)

    def leave_out(self, id: Any, error: RediscaError) -> None:
        self.done.left_out += 1
        if self.done.left_out <= MAX_NAMED:
            self.done.problems.append((id if isinstance(id, str) else id_text(bytes_of(id)), error))
