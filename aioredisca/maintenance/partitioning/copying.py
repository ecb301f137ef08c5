"""Records on their way into other places, while they are written where they are.

Each write marks its record in ``P/d`` of its place (lua/shared/permit.lua), whatever it does. So this holds
after each step: *a record that is not marked, and stands before the cursor, is where it is to be as it is
where it was, or in neither place*. A record is marked until it was copied once more, and stays so if it was
written again meanwhile.

A copy may stand in the way of another: it holds a unique value that its record has given up since. Then both
are marked. What is marked is taken away before it is copied, so once nobody writes nothing stands in the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.changes import Change
from aioredisca.errors import RediscaError, UniqueViolation, ValidationError
from aioredisca.maintenance.checking.together import Command, Guard, mend_call
from aioredisca.maintenance.dumping import Export
from aioredisca.maintenance.importing import Entry, Import, Imported
from aioredisca.maintenance.lines import PAGE, Reader, bytes_of
from aioredisca.maintenance.partitioning import steps
from aioredisca.maintenance.partitioning.guards import overtaken
from aioredisca.persistence import asking, executor
from aioredisca.storage.keys import id_text
from aioredisca.storage.meta import CURSOR
from aioredisca.storage.replies import check_values
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Store

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper

PATIENCE = 20
"""How often on end a record may find its value with another, before a person is to look: two records that
really hold one value do so for ever."""


@dataclass
class Passed:
    """How many records were copied, and how many were in each other's way; those that cannot be copied."""

    copied: int = 0
    seen: int = 0
    blocked: int = 0
    problems: list[tuple[str, RediscaError]] = field(default_factory=list[tuple[str, RediscaError]])


class Copying:
    """The records of a class, from *source* into *target*, by the *mover* of that name."""

    def __init__(self, mapper: Mapper, source: Schema, target: Schema, mover: bytes) -> None:
        self.mapper, self.source, self.target, self.mover = mapper, source, target, mover
        self.store: Store = mapper.store()
        self.export = Export(mapper, source)
        self.writer = Import((), "skip", strict=False, checks=False, dry_run=False)
        self.writer.reader = self.reader = Reader(mapper, target, False, {})
        self._refusals = dict[str, int]()

    async def copy(self, ids: Sequence[bytes], *, anew: bool) -> Passed:
        """Write a page of records where they are to be; *anew* where some of them may be there already.

        Those that another is in the way of are marked, and so is that.
        """
        if anew:
            await self._clear([id_text(id) for id in ids])
        passed, blocked = await self._write(await self.export.records(ids))
        await self._mark(blocked)
        return passed

    async def waiting(self) -> int:
        """How many records are marked. ZCARD, one round trip."""
        calls = [Call(("ZCARD", place.keys.dirty)) for place in self.source.all_parts]
        return sum(await asking.read_together(self.store, calls))

    async def catch_up(self) -> Passed:
        """Copy up to a page of what is marked once more, in each place what waits longest first."""
        parts = self.source.all_parts
        most = max(PAGE // len(parts), 10)
        calls = [Call(("ZRANGE", place.keys.dirty, 0, most - 1, "WITHSCORES")) for place in parts]
        marks = dict[bytes, bytes]()
        for reply in await asking.read_together(self.store, calls):
            check_values(reply)
            marks |= dict(zip(reply[::2], reply[1::2], strict=True))
        total = Passed()
        ids = [*marks]
        for first in range(0, len(ids), PAGE):
            page = ids[first : first + PAGE]
            texts = [id_text(id) for id in page]
            await self._clear(texts)
            passed, blocked = await self._write(await self.export.records(page))
            left = {*blocked, *(id for id, _ in passed.problems)}
            done = [(id, raw) for id, raw in zip(texts, page, strict=True) if id not in left]
            calls = [self._unmarking(id, marks[raw]) for id, raw in done]
            await asking.read_together(self.store, calls)
            await self._mark(blocked)
            total.copied += passed.copied
            total.seen += len(page)
            total.blocked += passed.blocked
            total.problems += passed.problems
        return total

    # -- writing -----------------------------------------------------------------------------------

    async def _clear(self, ids: Iterable[str]) -> None:
        """Take copies away. EVALSHA for each partition, one round trip; more where values are unique."""
        begun = dict[Schema, list[tuple[Any, Change]]]()
        for id in ids:
            place = self.target.of(id)
            begun.setdefault(place, []).append((self.mapper.detached(id), Change(place, id, "delete")))
        prepared = [executor.prepare(some) for some in begun.values()]
        for result in await executor.carry_out_together(self.store, prepared):
            if isinstance(result, RediscaError):
                raise result

    async def _write(self, records: Sequence[dict[str, Any]]) -> tuple[Passed, list[str]]:
        """Write what was read; what became of it, and the ids of records that are in each other's way."""
        passed, blocked = Passed(), dict[str, None]()
        writer = self.writer
        writer.done = Imported()
        entries = list[Entry]()
        for number, record in enumerate(records):
            try:
                entries.append(Entry(number, self.reader.change(record)))
            except ValidationError as error:
                writer.bad(number, error)
        await writer.write(entries)
        if writer.done.skipped:
            raise overtaken(self.source.model)
        passed.copied = writer.done.records
        refused = dict(writer.done.problems)
        for number, record in enumerate(records):
            id = id_text(bytes_of(record["id"]))
            refusal = refused.get(number)
            if refusal is None:
                self._refusals.pop(id, None)
            elif isinstance(refusal, UniqueViolation) and self._is_patient(id):
                blocked |= {id: None, refusal.holder: None}
            else:
                passed.problems.append((id, refusal))
        passed.blocked = len(blocked)
        return passed, [*blocked]

    def _is_patient(self, id: str) -> bool:
        self._refusals[id] = self._refusals.get(id, 0) + 1
        return self._refusals[id] <= PATIENCE

    # -- marks -------------------------------------------------------------------------------------

    async def _mark(self, ids: Sequence[str]) -> None:
        """StoreError where another one moves the records by now."""
        places = [(id, self.source.of(id).keys.dirty) for id in ids]
        calls = [self._call(id, [], [("ZADD", dirty, "INCR", 1, id)]) for id, dirty in places]
        if not all(await asking.read_together(self.store, calls)):
            raise overtaken(self.source.model)

    def _unmarking(self, id: str, seen: bytes) -> Call:
        """The mark goes, unless the record was written again since it was *seen*."""
        dirty = self.source.of(id).keys.dirty
        return self._call(id, [(("ZSCORE", dirty, id), seen)], [("ZREM", dirty, id)])

    def _call(self, id: str, guards: Sequence[Guard], commands: Sequence[Command]) -> Call:
        own: Guard = (("HGET", self.source.of(id).keys.meta, CURSOR + steps.MOVER), self.mover)
        return mend_call([own, *guards], commands)
