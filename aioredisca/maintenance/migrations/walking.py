"""``Step``: what a step of a migration works with. Records in batches, each compared and written at once.

A batch is refused as a whole where a record of it was changed meanwhile, and is then read and converted
again, in ever smaller parts; so writers go on, and no change of theirs is lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from aioredisca.compiler.changes import BATCH
from aioredisca.errors import AlreadyRunning, TooManyArguments, UsageError
from aioredisca.maintenance.migrations.journal import Batch, Cursor, Journal, busy, cursor_name
from aioredisca.persistence import asking
from aioredisca.storage.keys import Keys, id_text
from aioredisca.storage.replies import LIST, check_values
from aioredisca.types import Call, Reply, Store

ATTEMPTS = 3
"""How often a batch is tried that others change, before it is divided."""

PATIENCE = 1000
"""How often one record is."""

Progress = Callable[[int], None]


@dataclass
class Counts:
    """What became of the records of one walk.

    ``title``    what was done.
    ``looked``   how many records were looked at; ``changed`` how many were, or would be, changed.
    ``left``     the reasons for those that were left as they are, by id. They hold no stored values.
    ``empty``    where there are no records at all; nothing where there are some.
    """

    title: str
    looked: int = 0
    changed: int = 0
    left: dict[str, str] = field(default_factory=dict[str, str])
    empty: str = ""


@dataclass
class Prepared:
    """What is to be written of a batch: a call, unless there is nothing; the ids that places in a refusal
    mean; how many records it changes."""

    call: Call | None = None
    places: Sequence[str] = ()
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a batch was not written: ``again`` to be read again, else what is wrong with the record *id*."""

    again: bool
    id: str = ""
    reason: str = ""


class Work(Protocol):
    """What is done to records."""

    async def begin(self, *, dry_run: bool) -> None:
        """Make sure that it can be done."""
        ...

    async def prepare(self, ids: Sequence[str], left: dict[str, str]) -> Prepared:
        """Read these records, but for those in *left*, where those go that cannot be converted."""
        ...

    async def refused(self, reply: Reply, prepared: Prepared) -> Refused | None:
        """What the reply to that call means."""
        ...


class Step:
    """What the functions ``up`` and ``down`` of a step are given.

    ``store``    the database. ``dry_run``: whether nothing may be written.
    ``counts``   what was done so far, in the order of the calls.
    """

    def __init__(
        self,
        journal: Journal,
        run: str,
        *,
        dry_run: bool,
        rate: int = 0,
        progress: Progress | None = None,
    ) -> None:
        self.store: Store = journal.store
        self.dry_run = dry_run
        self.counts = list[Counts]()
        self._journal, self._run, self._rate, self._progress = journal, run, rate, progress
        self._walks = 0

    async def hold(self) -> None:
        """MigrationError unless this process is still the one that works on the migrations of the store."""
        if not self.dry_run:
            try:
                await self._journal.lease.keep()
            except AlreadyRunning as error:
                raise busy(error.holder) from None

    def note(self, title: str, looked: int = 0, changed: int = 0) -> None:
        """Count what was done otherwise than by a walk."""
        self.counts.append(Counts(title, looked, changed))

    async def walk(self, title: str, *works: tuple[Keys, Work]) -> Counts:
        """Do work to all records of a model, from where it stopped: one for the keys of each partition."""
        counts = Counts(title)
        self.counts.append(counts)
        self._walks += 1
        for number, (keys, work) in enumerate(works):
            section = f"{self._walks}.{number}" if len(works) > 1 else f"{self._walks}"
            name = cursor_name(self._run, section)
            async with self._journal.of_walk(keys, self._run, dry_run=self.dry_run) as journal:
                await _Walk(self, journal, name, counts, work).go(keys.ids)
        if not counts.looked:
            places = [keys for keys, _ in works]
            sizes = await asking.read_together(self.store, [Call(("ZCARD", keys.ids)) for keys in places])
            counts.empty = "" if any(sizes) else places[0].base
        return counts

    # -- for walks -----------------------------------------------------------------------------------

    @property
    def run(self) -> str:
        return self._run

    @property
    def page(self) -> int:
        """How many records are dealt with at once: fewer where they are to take long, for the lease ends."""
        return max(1, min(BATCH, self._rate // 4)) if self._rate else BATCH

    async def rest(self, records: int) -> None:
        """Tell of so many records more, and wait as long as the rate wants."""
        if self._progress is not None:
            self._progress(sum(one.looked for one in self.counts))
        if self._rate and not self.dry_run:
            await self.store.transport().sleep(records / self._rate)


class _Walk:
    """One walk over records."""

    def __init__(self, step: Step, journal: Journal, name: str, counts: Counts, work: Work) -> None:
        self.step, self.name, self.counts, self.work = step, name, counts, work
        self.journal = journal
        self.cursor = Cursor()

    async def go(self, key: str) -> None:
        self.cursor = await self.journal.cursor(self.name, self.counts.title)
        before = (await self.journal.left(self.step.run)).get(self.name, {})
        if self.cursor.ended and not before:
            return
        await self.work.begin(dry_run=self.step.dry_run)
        for some in _pages([*before], self.step.page):  # those that were left out the last time
            await self._deal_with(some, self.cursor.last, retried=True)
        if self.cursor.ended:
            return
        async for some in self._ids(key):
            await self._deal_with(some, some[-1], retried=False)
        if not self.step.dry_run:
            await self._send(None, self.cursor.moved(self.cursor.last, ended=True), Batch())

    async def _ids(self, key: str) -> AsyncIterator[list[str]]:
        last = self.cursor.last
        while True:
            after = b"(" + last.encode("utf-8", "surrogateescape") if last else b"-"
            call = Call(("ZRANGEBYLEX", key, after, "+", "LIMIT", "0", self.step.page))
            found = await asking.read(self.step.store, call, LIST)
            check_values(found)
            if not found:
                return
            ids = [id_text(id) for id in found]
            yield ids
            last = ids[-1]

    async def _deal_with(self, ids: Sequence[str], last: str, *, retried: bool) -> None:
        """Convert and write these records together, or in parts where others keep changing some of them, and
        where they have more arguments than the database takes in one call."""
        left, attempts = dict[str, str](), 0
        while True:
            prepared = await self.work.prepare(ids, left)
            if self.step.dry_run:
                break
            settles = [id for id in ids if id not in left] if retried else ()
            moved = self.cursor.moved(last, ended=self.cursor.ended)
            try:
                reply = await self._send(prepared.call, moved, Batch(left, settles))
            except TooManyArguments:
                if len(ids) == 1:
                    raise
                return await self._halve(ids, last, retried=retried)
            refused = await self.work.refused(reply, prepared)
            if refused is None:
                self.cursor = moved
                break
            attempts += 1
            if not refused.again:
                left[refused.id] = refused.reason
            elif attempts >= ATTEMPTS and len(ids) > 1:
                return await self._halve(ids, last, retried=retried)
            elif attempts >= PATIENCE:
                left |= dict.fromkeys(ids, "is changed by others all the time")
        self.counts.looked += len(ids)
        self.counts.changed += prepared.changed
        self.counts.left |= left
        return await self.step.rest(len(ids))

    async def _halve(self, ids: Sequence[str], last: str, *, retried: bool) -> None:
        half = len(ids) // 2
        await self._deal_with(ids[:half], last if retried else ids[half - 1], retried=retried)
        await self._deal_with(ids[half:], last, retried=retried)

    async def _send(self, call: Call | None, moved: Cursor, batch: Batch) -> Reply:
        if self.journal.beside:  # which prolongs no lease but its own
            await self.step.hold()
        return await self.journal.send(self.name, self.cursor.text, moved.text, call, batch)


def _pages(ids: Sequence[str], size: int) -> list[Sequence[str]]:
    return [ids[first : first + size] for first in range(0, len(ids), size)]


def check_rate(rate: Any) -> int:
    """UsageError unless *rate* is a number of records per second, or 0 for as many as can be."""
    if type(rate) is not int or rate < 0:
        raise UsageError(f"rate={rate!r}: it is a number of records per second")
    return rate
