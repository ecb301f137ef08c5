"""Building the indexes of a model from its records while others read and write: docs/deploy.md tells the
order.

Meta holds all that is known of it (storage/meta.py): each step is one script that goes on from what was read
there, or does nothing. Nothing that is ready is ever emptied. What is new is, then it is filled by writes
that compare what was read; what cannot be indexed is noted, and looked at once more in the end.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from aioredisca.compiler.changes import BATCH
from aioredisca.errors import StoreError, UsageError, WrongType
from aioredisca.maintenance import sweeping
from aioredisca.maintenance.claiming import claim_all
from aioredisca.maintenance.indexing import MAX_NAMED, Indexer, Overtaken, Reindexed, Step, summed
from aioredisca.maintenance.lease import Lease
from aioredisca.maintenance.pacing import Steps
from aioredisca.maintenance.taking_over import TakeOver, watch
from aioredisca.persistence import adoption, asking, readiness
from aioredisca.persistence.foreign import explained
from aioredisca.storage import versions
from aioredisca.storage.entries import KeyType, places_of
from aioredisca.storage.keys import id_text
from aioredisca.storage.meta import (
    CURSOR,
    PASS,
    READY,
    RETIRING,
    STATE,
    VER,
    WIPE,
    Edit,
    Meta,
    word,
)
from aioredisca.storage.replies import LIST, check_values
from aioredisca.storage.schema import IDS_ENTRY, Schema
from aioredisca.types import Call, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

_END = b"$"
"""The cursor of an entry that all records were looked at for."""

_ENTRIES = 1200
"""Index entries of one script at most, about: ten milliseconds of a server are as many."""

_UNIQUE = ("u:", "U:")

_SWEPT = (*_UNIQUE, IDS_ENTRY)
"""Indexes that are never emptied."""

_Fields = dict[str, str | bytes]

LeftOut = Literal["report", "exclude"]


async def reindex(
    model: type[Record],
    *,
    before: bool = False,
    everything: bool = False,
    canonical: bool = False,
    left_out: LeftOut = "report",
    force: bool = False,
    rate: int | None = None,
    is_record: Callable[[str], bool] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Reindexed:
    """Take over the indexes of *model*: build those that are not ready, drop those that the class no longer
    has.

    Versions of the class that do not keep all of these may not write any more (SchemaMismatch). Readers and
    writers of this one go on.

    ``before``      only prepare the roll-out of this code, which takes an index away: queries on it are
                    NotIndexed from now on, and processes of either code may write.
    ``everything``  look through what is ready, too: add what it lacks, remove what is wrong. It stays ready,
                    and right for whoever reads and writes meanwhile.
    ``canonical``   rewrite stored values of indexed fields that are not written as the library writes them
                    (``Ada@Example.com`` in an Email, ``007`` in an Integer). Else they are reported, for no
                    query by value would find them. It looks through what is ready, too, as *everything* does.
    ``left_out``    what becomes of an index that a record cannot be put into (unreadable, or one unique value
                    twice): "report", it stays unbuilt until the record is mended and this is run again;
                    "exclude", an index that is not unique is ready all the same, conditions on it do not
                    find these records, and an order shows them behind all others.
    ``force``       end versions that have written within the last ten minutes, and do not watch for five
                    seconds whether those write of which that is not known.
    ``rate``        records per second at most.
    ``is_record``   whether an id is that of a record, where hashes of others stand under the prefix. It is
                    asked about hashes that hold a declared field and that the library has not written. By
                    default they are records, unless the id goes on behind that of another key, as
                    ``1:settings`` does behind ``1``.
    ``progress``    called with the number of records looked at so far.

    It may be cut short, and goes on where it was when it is run again. AlreadyRunning where another process
    is at it, StoreError where another version took over meanwhile or one that would be ended still writes,
    SchemaMismatch where a migration moves the records. Three round trips per 100 records, or fewer of these
    where the class has more than twelve indexes, and two per 100 entries of a unique index; where the set of
    all ids is to be built, SCAN over the keyspace. Partitions are worked at one after the other.
    """
    _check(model, left_out, rate)
    mapper: Any = model.__mapper__
    store: Store = mapper.store()
    schema: Schema = mapper.schema(store)
    lease, pacing = Lease(store, schema.keys.lease, schema.model), Steps(rate, progress)
    wanted = _Wanted(canonical, left_out == "exclude", force, is_record)
    async with lease:
        await readiness.ready_to_load(store, schema, writes=True)
        runs = [Run(model, store, part, lease, wanted, pacing) for part in schema.all_parts]
        if not (before or force) and schema.parts:
            await watch([run.versions for run in runs])
        reports = [await run.carry_out(before=before, verifies=everything or canonical) for run in runs]
    return summed(reports)


def _check(model: object, left_out: str, rate: int | None) -> None:
    if not isinstance(model, type) or not hasattr(model, "__mapper__"):
        raise UsageError(f"reindex() takes a model class, not {model!r}")
    if left_out not in ("report", "exclude"):
        raise UsageError(f"reindex(left_out={left_out!r}): is 'report' or 'exclude'")
    if rate is not None and not rate > 0:
        raise UsageError(f"reindex(rate={rate!r}): is how many records per second, or None for no limit")


@dataclass(frozen=True)
class _Wanted:
    """What :func:`reindex` was asked for."""

    canonical: bool
    exclude: bool
    force: bool
    is_record: adoption.IsRecord | None


class Run:
    """One call of :func:`reindex`, in one place where the class has records."""

    def __init__(
        self, model: Any, store: Store, schema: Schema, lease: Lease, wanted: _Wanted, pacing: Steps
    ) -> None:
        self.store, self.schema, self.lease, self.pacing = store, schema, lease, pacing
        self.mapper = model.__mapper__
        self.exclude, self.is_record = wanted.exclude, wanted.is_record
        self.indexer = Indexer(model, store, schema, canonical=wanted.canonical)
        self.versions = TakeOver(store, schema, lease, wanted.force)
        self.built, self.unbuilt, self.dropped = set[str](), set[str](), set[str]()
        self._batch = min(BATCH, max(10, _ENTRIES // len(self.schema.index_entries)))
        self._flipped = False
        self._token = secrets.token_urlsafe(6)

    async def carry_out(self, *, before: bool, verifies: bool) -> Reindexed:
        """Only prepare a roll-out, or build what is not ready, and look through what is."""
        try:
            if before:
                await self.versions.prepare()
            elif verifies:  # values that are not canonical stand in what is ready as well
                await self.make_room()
                await self.build_in_any_place()
                await self.verify()
            else:
                await self.build()
            if self.schema.claimed and any(entry.startswith(_UNIQUE) for entry in self.built):
                await self.claim()
        except WrongType as error:
            raise await explained(self.store, [self.schema], (), error) from None
        return self.report()

    async def claim(self) -> None:
        """Claim over all partitions what is unique in this one; tell of records whose values are others'."""
        for id, error in await claim_all(self.store, self.mapper, self.schema, self.lease.keep):
            self.indexer.leave_out(id, [error])

    def report(self) -> Reindexed:
        done = self.indexer.done
        self.indexer.close()
        done.built, done.unbuilt, done.dropped = (
            tuple(sorted(entries - {IDS_ENTRY})) for entries in (self.built, self.unbuilt, self.dropped)
        )
        return done

    async def make_room(self) -> None:
        """Take away what stands in the place of keys that all steps rely on, and is none of ours.

        The set of all ids is not ready from then on.
        """
        keys = self.schema.keys
        kinds: dict[bytes, KeyType] = {keys.ids.encode(): "zset", keys.bad.encode(): "zset"}
        if self.schema.expires:
            kinds |= {keys.moments.encode(): "zset", keys.notes.encode(): "hash"}
        while not await self._distrusted():
            pass
        await sweeping.make_room(self.store, self.schema, kinds)

    async def _distrusted(self) -> bool:
        """Call the set of all ids unready, if it is none; whether that is said, where it is to be said."""
        meta = await self.versions.meta()
        held = await asking.read(self.store, Call(("TYPE", self.schema.keys.ids)))
        if held in (b"zset", b"none") or not meta.ver:
            return True
        try:
            await self.versions.change(Edit({VER: meta.ver}, {STATE + IDS_ENTRY: WIPE, VER: word()}))
        except Overtaken:  # by a version that came meanwhile
            return False
        return True

    # -- building ----------------------------------------------------------------------------------

    async def build_in_any_place(self) -> None:
        """The same as :meth:`build`; what stands in the place of an index, and is none, is taken away."""
        try:
            await self.build()
        except WrongType:
            await self._begin_anew()
            places = places_of(self.schema.keys, self.schema.index_entries)
            async for kinds in sweeping.keys_in(self.store, places):
                await self.lease.keep()
                await sweeping.make_room(self.store, self.schema, kinds)
            await self.build()

    async def _begin_anew(self) -> None:
        """Let all records be looked at once more for what is being built: it may have lost some."""
        while True:
            meta = await self.versions.meta()
            begun = _cursors([entry for entry in meta.cursors if meta.states.get(entry) == PASS])
            if not begun:
                return
            try:
                return await self.versions.change(Edit({VER: meta.ver}, {VER: word()}, begun))
            except Overtaken:
                continue

    async def build(self) -> None:
        """Step by step, until there is nothing to do."""
        parked, overtaken = set[str](), 0
        while True:
            try:
                if not await self._step(parked):
                    break
            except Overtaken:  # by one whose lease is over: two that begin anew at once never end
                overtaken += 1
                await self.lease.wait(random.uniform(0, 0.01 * 2 ** min(overtaken, 6)))
        self.unbuilt = parked
        readiness.forget(self.store, [self.schema])

    async def _step(self, parked: set[str]) -> bool:
        """Do the first that is to be done; whether there was something. *parked* are entries that lack
        records."""
        meta = await self.versions.meta()
        if versions.edit(meta, self.schema, versions.taken_over(meta, self.schema)):
            if self._flipped:
                raise self._superseded()
            self._flipped = await self.versions.take_over(meta)
            return True
        entries = sorted(meta.states, key=lambda entry: (entry != IDS_ENTRY, entry))
        wiped = [entry for entry in entries if meta.states[entry] == WIPE]
        passed = [entry for entry in entries if meta.states[entry] == PASS and entry not in parked]
        dropped = [entry for entry in entries if meta.states[entry] == RETIRING]
        swept = [entry for entry in wiped if entry.startswith(_SWEPT)]
        if swept:
            await self._sweep(meta, swept[0])
        elif wiped:
            await self._wipe(meta, wiped)
        elif passed:
            await self._pass(meta, passed, parked)
        elif dropped:
            await self._drop(meta, dropped)
        else:
            await self._look_again(meta, parked)
            return False
        return True

    def _superseded(self) -> StoreError:
        return StoreError(
            f"another version of {self.schema.model} took over meanwhile: run reindex again from the code "
            f"that is to stay"
        )

    # -- one step ----------------------------------------------------------------------------------

    async def _sweep(self, meta: Meta, entry: str) -> None:
        """Take away what records deny of claims, or of the set of all ids: the rest others rely on."""
        expects = await self._mark(_expected(meta, [entry]), [entry], 0)
        places = places_of(self.schema.keys, frozenset({entry}))
        await sweeping.sweep(self.store, self.schema, places, self.lease.keep)
        await self.versions.change(Edit(expects, {STATE + entry: PASS, VER: word()}, (CURSOR + entry,)))

    async def _wipe(self, meta: Meta, entries: list[str]) -> None:
        """Take away what may stand in indexes that nobody kept."""
        expects = await self._unlink(_expected(meta, entries), entries, meta)
        passing = {STATE + entry: PASS for entry in entries}
        await self.versions.change(Edit(expects, {**passing, VER: word()}, _cursors(entries)))

    async def _mark(
        self, expects: _Fields, entries: list[str], page: int, unlink: tuple[bytes, ...] = ()
    ) -> _Fields:
        marked: _Fields = dict.fromkeys(_cursors(entries), f"{self._token}:{page}".encode())
        await self.versions.change(Edit(expects, marked, unlink=unlink))
        return {**expects, **marked}

    async def _unlink(self, expects: _Fields, entries: list[str], meta: Meta) -> _Fields:
        """Remove the keys of indexes, a page at a time, but those that another one has as well."""
        kept = frozenset(
            one for one, state in meta.states.items() if one not in entries and state != RETIRING
        )
        places = places_of(self.schema.keys, frozenset(entries)).without(places_of(self.schema.keys, kept))
        page = 0
        async for kinds in sweeping.keys_in(self.store, places):
            expects = await self._mark(expects, entries, page, tuple(kinds))
            page += 1
        return expects

    async def _pass(self, meta: Meta, entries: list[str], parked: set[str]) -> None:
        """Look at all records for *entries*, or once more at those that were left out of the first of
        them."""
        looking = [entry for entry in entries if meta.cursors.get(entry) != _END]
        if IDS_ENTRY in looking:
            await self._list(meta)
        elif not looking or entries[0] == IDS_ENTRY:
            await self._settle(meta, entries[0], parked)
        else:
            await self._walk(meta, looking)

    async def _list(self, meta: Meta) -> None:
        """Find all records by looking at the whole keyspace."""
        expects, page = _expected(meta, [IDS_ENTRY]), 0
        async for ids in self._found():
            cursor = f"{self._token}:{page}".encode()
            await self.lease.keep()
            await self.indexer.enlist(ids, Step(expects, frozenset({IDS_ENTRY}), cursor))
            expects, page = {**expects, CURSOR + IDS_ENTRY: cursor}, page + 1
        await self.versions.change(Edit(expects, {CURSOR + IDS_ENTRY: _END}))

    async def _walk(self, meta: Meta, entries: list[str]) -> None:
        """Index all records, from where the last of *entries* is."""
        expects = _expected(meta, entries)
        last = min(meta.cursors.get(entry, b"") for entry in entries)
        while ids := await self._known(last):
            last = b"=" + ids[-1]
            await self._index(ids, Step(expects, frozenset(entries), last))
            expects |= {CURSOR + entry: last for entry in entries}
        await self.versions.change(Edit(expects, {CURSOR + entry: _END for entry in entries}))

    async def _known(self, last: bytes) -> list[bytes]:
        """The next ids behind the cursor *last*."""
        after = b"(" + last[1:] if last else b"-"
        call = Call(("ZRANGEBYLEX", self.schema.keys.ids, after, "+", "LIMIT", "0", self._batch))
        found: list[bytes] = await asking.read(self.store, call, LIST)
        check_values(found)
        return found

    async def _settle(self, meta: Meta, entry: str, parked: set[str]) -> None:
        """Look once more at the records that were left out, then call an index ready, if it lacks none."""
        expects = _expected(meta, [entry])
        await self._again(entry, expects)
        whole = "" if self.exclude and not entry.startswith(_UNIQUE) else entry
        try:
            await self.versions.change(
                Edit(expects, {STATE + entry: READY, VER: word()}, (CURSOR + entry,), whole=whole)
            )
        except Overtaken:
            if _expected(await self.versions.meta(), [entry]) != expects:
                raise
            parked.add(entry)
        else:
            self.built.add(entry)

    async def _again(self, entry: str, expects: _Fields) -> None:
        """Index the records that an entry lacks, and tell what is missing still."""
        stem = entry.encode("utf-8", "surrogateescape")
        after, stop = b"[" + stem + b"\0", b"(" + stem + b"\1"
        while True:
            call = Call(("ZRANGEBYLEX", self.schema.keys.bad, after, stop, "LIMIT", "0", self._batch))
            found = await asking.read(self.store, call, LIST)
            check_values(found)
            if not found:
                return
            after = b"(" + found[-1]
            ids = [id_text(member[len(stem) + 1 :]) for member in found]
            await self.lease.keep()
            await self.indexer.index(ids, Step(expects, frozenset({entry}), again=True, tell=True))

    async def _drop(self, meta: Meta, entries: list[str]) -> None:
        """Remove indexes that nobody keeps. Collections and the ends of records stay: nothing else holds
        them."""
        expects = _expected(meta, entries)
        if indexes := [entry for entry in entries if versions.is_index(entry)]:
            expects = await self._unlink(expects, indexes, meta)
        gone = tuple(STATE + entry for entry in entries)
        await self.versions.change(Edit(expects, {VER: word()}, (*gone, *_cursors(entries))))
        self.dropped.update(entries)

    async def _look_again(self, meta: Meta, parked: set[str]) -> None:
        """Look at the records that were left out of what is ready since an earlier run."""
        if await asking.read(self.store, Call(("EXISTS", self.schema.keys.bad))):
            for entry in self.schema.index_entries - parked:
                await self._again(entry, {VER: meta.ver})

    # -- records -----------------------------------------------------------------------------------

    async def verify(self) -> None:
        """Look through what is ready: take away what records deny, add what they demand."""
        schema = self.schema
        self.indexer.begin_anew()
        places = places_of(schema.keys, schema.index_entries)
        await sweeping.sweep(self.store, schema, places, self.lease.keep)
        try:
            async for ids in self._found():
                await self._index([id.encode("utf-8", "surrogateescape") for id in ids], Step({}, tell=True))
        except Overtaken:
            raise self._superseded() from None
        self.built = {*schema.index_entries - self.unbuilt}

    async def _found(self) -> AsyncIterator[list[str]]:
        """The ids of all records, in batches, by looking at the whole keyspace."""
        foreign = self.indexer.done.foreign
        foreign.clear()
        async for ids in adoption.ids_of_hashes(self.store, self.schema):
            await self.lease.keep()
            for first in range(0, len(ids), self._batch):
                some = ids[first : first + self._batch]
                ours, others = await adoption.records_among(self.store, self.schema, some, self.is_record)
                foreign += others[: MAX_NAMED - len(foreign)]
                if ours:
                    yield ours

    async def _index(self, ids: list[bytes], step: Step) -> None:
        """Index a batch, no faster than is wanted."""
        await self.lease.keep()
        await self.indexer.index([id_text(id) for id in ids], step)
        await self.pacing.passed(len(ids), self.lease)


def _expected(meta: Meta, entries: list[str]) -> _Fields:
    """What meta must hold for a step of *entries* to go on from it."""
    return {VER: meta.ver, **{CURSOR + entry: meta.cursors.get(entry, b"") for entry in entries}}


def _cursors(entries: list[str]) -> tuple[str, ...]:
    """The fields of meta that say how far they are."""
    return tuple(CURSOR + entry for entry in entries)
