"""Looking for what is wrong with a store while it is used: every record, and every entry of every index.

One SCAN of the keyspace finds the records, the keys of indexes and the collections; the indexes whose keys
are known are walked after it. What looks wrong is looked at once more with its record, by one script call, so
that writers who go on meanwhile are no fault. Nothing is written.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.changes import BATCH
from aioredisca.errors import UsageError
from aioredisca.maintenance.checking import claims, entries, links, meta, records, values
from aioredisca.maintenance.checking.faults import Checked, Fault, Surveyed
from aioredisca.maintenance.checking.places import Layout
from aioredisca.maintenance.checking.together import look_call
from aioredisca.maintenance.pacing import Pace
from aioredisca.maintenance.sweeping import Seen
from aioredisca.persistence import adoption, asking
from aioredisca.storage.keys import glob_literal, id_text
from aioredisca.storage.schema import Schema
from aioredisca.types import Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

ATTEMPTS = 10
"""How often a record or an entry is looked at that changes each time."""

MOST_KNOWN = 100_000
"""Faults that are known again, for SCAN may show a key twice."""

Deal = Callable[[Sequence[Fault]], Awaitable[Sequence[Fault]]]
"""What is done with faults. It returns those that are to be looked at again: they were others by then."""


async def check(
    model: type[Record],
    *,
    limit: int = 10,
    rate: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Checked:
    """Compare the records of *model* with everything that the store keeps of them. Writes nothing.

    ``limit``     how many examples of each kind of fault the report has.
    ``rate``      how many records and entries to look at in a second, at most.
    ``progress``  called with the number of records looked at so far.

    The report has counts and examples by kind (docs/maintenance.md), and tells what is somebody else's under
    the prefix. Readers and writers go on meanwhile: what they change is no fault. One SCAN of the keyspace,
    and two round trips per 100 records and per 100 entries, more where something looks wrong; all of it in
    each partition.
    """
    store, schema = target_of(model, "check()", limit)
    done = Checked(schema.model)
    known = set[int]()

    async def count(faults: Sequence[Fault]) -> Sequence[Fault]:
        for fault in faults:
            if news(known, fault):
                done.found.add(fault.finding, limit)
        return ()

    pace = Pace(store, rate)
    await look_at_whole(store, schema, done, count)
    surveys = [Survey(model, store, part, done, count, pace, progress, limit) for part in schema.all_parts]
    await run_all(surveys)
    return done


async def run_all(surveys: Sequence[Survey]) -> None:
    """Look at all partitions. Claims over these come behind all records: who holds a value is known then."""
    claiming = [one for one in surveys if one.schema.claimed]
    for one in claiming:
        await one.begin_claims()
    for one in surveys:
        await one.run()
    for one in claiming:
        await one.look_at_claims()


def target_of(model: Any, verb: str, limit: object) -> tuple[Store, Schema]:
    """Where the records of *model* are. UsageError for what is none, and for what is no limit."""
    mapper: Any = getattr(model, "__mapper__", None)
    if not isinstance(model, type) or mapper is None:
        raise UsageError(f"{verb} takes a model class, not {model!r}")
    if type(limit) is not int or limit < 0:
        raise UsageError(f"limit={limit!r}: it is the number of examples of each kind, 0 or more")
    store: Store = mapper.store()
    return store, mapper.schema(store)


def news(known: set[int], fault: Fault) -> bool:
    """Whether *fault* was not seen before, as far as that can be remembered."""
    what = hash(fault.what)
    if what in known:
        return False
    if len(known) < MOST_KNOWN:
        known.add(what)
    return True


async def look_at_whole(store: Store, schema: Schema, done: Surveyed, deal: Deal) -> None:
    """Deal with what is wrong with what the store says of the partitions of a class."""
    if schema.parts:
        faults = await meta.of_whole(store, schema)
        done.misplaced = says_elsewhere(faults)
        await deal(faults)


def says_elsewhere(faults: Sequence[Fault]) -> bool:
    """Whether one of *faults* is that the records are elsewhere."""
    return any(fault.finding.kind == "misplaced" for fault in faults)


class Survey:
    """One look at everything in one place; what is wrong is dealt with as it is found."""

    def __init__(
        self,
        model: type[Any],
        store: Store,
        schema: Schema,
        done: Surveyed,
        deal: Deal,
        pace: Pace,
        progress: Callable[[int], None] | None,
        limit: int,
    ) -> None:
        self.store, self.schema, self.done, self.deal = store, schema, done, deal
        self.mapper: Any = model.__mapper__
        self.pace, self.progress, self.limit = pace, progress, limit
        self.owed = list[bytes]()

    async def run(self) -> None:
        unbuilt, faults = await meta.unbuilt(self.store, self.schema)
        await self.deal(faults)
        self.layout = Layout(self.mapper, self.schema, unbuilt)
        self.done.misplaced = self.done.misplaced or says_elsewhere(faults)
        if not self.done.misplaced:  # else there is nothing to build here
            self.done.unbuilt = tuple(sorted(self.layout.unbuilt.union(self.done.unbuilt)))
        if self.schema.expires:
            self.done.waiting += await entries.waiting(self.store, self.schema)
            await self.deal((await entries.ends_of_type(self.store, self.schema))[0])
        fixed = [key for key, place in self.layout.fixed.items() if place.entry not in unbuilt]
        await self.deal((await entries.of_type(self.store, self.layout, fixed))[0])
        base = self.schema.keys.base
        async for keys in asking.scan_matching(self.store, base, glob_literal(base) + "[:/]*"):
            await self._sort(keys)
        for key in fixed:  # claims behind the records: who holds a value is known then
            await self._entries([key])
        if self.schema.expires:
            await self._ends()

    # -- keys --------------------------------------------------------------------------------------

    async def _sort(self, keys: Sequence[bytes]) -> None:
        """Look at a page of keys, each as what it is."""
        stem = self.schema.records.encode()
        ids, stems, owned, others = list[str](), list[bytes](), list[bytes](), list[bytes]()
        for key in keys:
            if key.startswith(stem):
                ids.append(id_text(key[len(stem) :]))
            elif self.layout.is_own(key) or key in self.layout.fixed:
                continue
            elif place := self.layout.find(key):
                if place.entry not in self.layout.unbuilt:
                    stems.append(key)
            elif self.layout.owner(key):
                owned.append(key)
            else:
                others.append(key)
        for first in range(0, len(ids), BATCH):
            await self._records(ids[first : first + BATCH])
        for first in range(0, len(stems), BATCH):
            await self._entries(stems[first : first + BATCH])
        for first in range(0, len(owned), BATCH):
            await self.deal(await links.collections(self.store, self.layout, owned[first : first + BATCH]))
        self._foreign([self.layout.shown(key) for key in others])

    def _foreign(self, keys: Sequence[str]) -> None:
        self.done.foreign += len(keys)
        self.done.foreign_keys += keys[: max(0, self.limit - len(self.done.foreign_keys))]

    def _nested(self, keys: Sequence[str]) -> None:
        self.done.nested += len(keys)
        self.done.nested_keys += keys[: max(0, self.limit - len(self.done.nested_keys))]

    # -- records -----------------------------------------------------------------------------------

    async def _records(self, ids: Sequence[str]) -> None:
        """Look at the records among *ids*, again where they change."""
        nested = await adoption.nested(self.store, self.schema, ids)
        self._nested([self.schema.keys.record(id) for id in ids if id in nested])
        states = await records.states_of(self.store, self.schema, [id for id in ids if id not in nested])
        states = await self._ours(states)
        self.done.records += len(states)
        for _ in range(ATTEMPTS):
            again = await self._judged(states)
            if not again:
                break
            seen = await records.states_of(self.store, self.schema, again)
            states = [state for state in seen if state.kind == b"hash"]
        else:
            self.done.unsettled += len(states)
        if self.progress is not None:
            self.progress(self.done.records)
        await self.pace.passed(len(ids))

    async def _judged(self, states: Sequence[records.State]) -> list[str]:
        """Deal with what is wrong with records; return the ids of those to be looked at again."""
        faults = [fault for state in states for fault in values.value_faults(self.layout, state)]
        faults += await links.dangling(self.store, self.layout, states)
        if self.schema.claimed:
            faults += await claims.lacking(self.store, self.layout, states)
        suspects = await records.suspects(self.store, self.layout, states)
        found, again = await records.confirmed(self.store, self.layout, suspects) if suspects else ([], [])
        late = await self.deal([*faults, *found])
        return list(dict.fromkeys([*again, *(fault.finding.id for fault in late)]))

    async def _ours(self, states: Sequence[records.State]) -> list[records.State]:
        """Those that are records; what is foreign is counted, what is gone is passed over."""
        hashes = [state for state in states if state.kind == b"hash"]
        unknown = [state.id for state in hashes if not state.known]
        ours, foreign = (
            await adoption.records_among(self.store, self.schema, unknown) if unknown else ([], [])
        )
        others = [state for state in states if state.kind not in (b"hash", b"none")]
        foreign = [*foreign, *(state.id for state in others if not state.known)]
        self._foreign([self.schema.keys.record(id) for id in foreign])
        await self._wrong_types([state.id for state in others if state.known])
        return [state for state in hashes if state.known or state.id in ours]

    async def _wrong_types(self, ids: Sequence[str]) -> None:
        """Ids that the library knows, at whose keys there is something else."""
        looks = [look_call(records.reads(self.schema, id)) for id in ids]
        replies = await asking.read_together(self.store, looks) if looks else []
        states = [records.state_of(self.schema, id, reply) for id, reply in zip(ids, replies, strict=True)]
        wrong = [state for state in states if state.known and state.kind not in (b"hash", b"none")]
        await self.deal([entries.no_record(self.schema, state.id) for state in wrong])

    # -- entries -----------------------------------------------------------------------------------

    async def _entries(self, keys: Sequence[bytes]) -> None:
        """Look at all entries in *keys*."""
        faults, right = await entries.of_type(self.store, self.layout, keys)
        await self.deal(faults)
        async for found in entries.pages(self.store, self.layout, right):
            await self._settle(found, entries.denied)

    async def _ends(self) -> None:
        """Look at the moments and notes of records that are not there."""
        for key in (await entries.ends_of_type(self.store, self.schema))[1]:
            async for found in entries.ends(self.store, self.schema, key):
                await self._settle(found, entries.unended)

    # -- claims over partitions --------------------------------------------------------------------

    async def begin_claims(self) -> None:
        """Look at the types of their keys, and at what is to be released by now."""
        await self.deal(await claims.of_type(self.store, self.schema))
        self.owed = await claims.owed(self.store, self.schema)

    async def look_at_claims(self) -> None:
        """Look at claims that nobody holds, and at those that were *owed* long ago, and still are."""
        async for page in claims.pages(self.store, self.schema):
            self.done.entries += len(page)
            await self.pace.passed(len(page))
            await self.deal(await claims.stray(self.store, self.schema, page))
        late = {*await claims.owed(self.store, self.schema)}
        await self.deal(claims.overdue(self.schema, [entry for entry in self.owed if entry in late]))

    async def _settle(self, found: Sequence[Seen], judge: entries.Judge) -> None:
        self.done.entries += len(found)
        await self.pace.passed(len(found))
        for _ in range(ATTEMPTS):
            faults, again = await judge(self.store, self.layout, found)
            late = await self.deal([fault for fault, _ in faults])
            found = [*again, *(seen for fault, seen in faults if fault in late)]
            if not found:
                return
        self.done.unsettled += len(found)
