"""Writing the index entries of records anew, a batch at a time, and telling of what could not be indexed and
why.

Each batch is read, then written by a script that compares what was read. A value that no index can hold, or
that another record has claimed, is left out of the indexes that it is of, and of no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from aioredisca.compiler.changes import Change
from aioredisca.compiler.loads import load_call, read_fields
from aioredisca.compiler.writes import Build, Duplicate, Refusal, build_call, build_outcome
from aioredisca.errors import (
    CorruptRecord,
    RediscaError,
    StaleWrite,
    TooManyArguments,
    UniqueViolation,
    WrongType,
)
from aioredisca.maintenance.checking.values import canonical_text
from aioredisca.persistence import asking
from aioredisca.persistence.foreign import explained
from aioredisca.storage.keys import MARKER
from aioredisca.storage.schema import Schema
from aioredisca.types import Raw, Store

ATTEMPTS = 10

MAX_NAMED = 1000
"""How many records of each sort a report names."""


@dataclass
class Reindexed:
    """What ``reindex`` did.

    ``records``     how many records were indexed.
    ``built``       the indexes that are ready now, of those that it worked on.
    ``unbuilt``     those that are not, because records are left out of them.
    ``dropped``     the indexes that no version keeps any more.
    ``left_out``    how many records could not be indexed as a whole.
    ``problems``    (id, error) of the first 1,000 of these, one for each field that is not as it must be.
    ``incomplete``  how many records lack a required field, by attribute. An order by such a field would pass
                    them over, so an index that keeps one stays unbuilt.
    ``foreign``     the ids of the first 1,000 hashes under the prefix that are not known to be records of
                    the model, and were left alone: see *is_record*.
    """

    records: int = 0
    built: tuple[str, ...] = ()
    unbuilt: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    left_out: int = 0
    problems: list[tuple[str, RediscaError]] = field(default_factory=list[tuple[str, RediscaError]])
    incomplete: dict[str, int] = field(default_factory=dict[str, int])
    foreign: list[str] = field(default_factory=list[str])


def summed(reports: Sequence[Reindexed]) -> Reindexed:
    """What was done in all partitions: an index is built where it is in each of them."""
    if len(reports) == 1:
        return reports[0]
    whole = Reindexed(
        records=sum(one.records for one in reports),
        unbuilt=_entries(one.unbuilt for one in reports),
        dropped=_entries(one.dropped for one in reports),
        left_out=sum(one.left_out for one in reports),
        problems=[problem for one in reports for problem in one.problems][:MAX_NAMED],
        foreign=[id for one in reports for id in one.foreign][:MAX_NAMED],
    )
    built = _entries(one.built for one in reports)
    whole.built = tuple(entry for entry in built if entry not in whole.unbuilt)
    for one in reports:
        for name, count in one.incomplete.items():
            whole.incomplete[name] = whole.incomplete.get(name, 0) + count
    return whole


def _entries(several: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted({entry for some in several for entry in some}))


class Overtaken(Exception):
    """Meta is not any more what a step was to go on from."""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of a building: what meta must hold, the entries that are built, and how far they are then.

    ``again``  the records were left out before.
    ``tell``   report what is missing of them.
    """

    expects: Mapping[str, str | bytes]
    entries: frozenset[str] = frozenset()
    cursor: bytes = b""
    again: bool = False
    tell: bool = False


@dataclass(slots=True)
class _Looked:
    """A record as it was read: the change that indexes it, and why some of its hash fields cannot be."""

    change: Change
    refused: dict[str, RediscaError] = field(default_factory=dict[str, RediscaError], repr=False)
    lacking: tuple[str, ...] = ()


class Indexer:
    """Indexes records of one model, and keeps the report."""

    def __init__(self, model: Any, store: Store, schema: Schema, *, canonical: bool) -> None:
        self.model, self.store, self.schema, self.canonical = model, store, schema, canonical
        self.done = Reindexed()
        self._left_out, self._mended = set[str](), set[str]()
        self._lacking = set[tuple[str, str]]()
        self._passed = False
        tracked = (spec.key for spec in schema.tracked)
        self._asked = tuple(dict.fromkeys((*tracked, *schema.required, MARKER)))

    # -- batches -----------------------------------------------------------------------------------

    async def enlist(self, ids: Sequence[str], step: Step) -> None:
        """Put records into the set of all ids, and into no other index. Overtaken where meta is another."""
        left = [*ids]
        while True:
            looked = [_Looked(Change(self.schema, id, "index")) for id in left]
            outcome = await self._write(looked, step, (), ())
            if not isinstance(outcome, Refusal):
                return
            left.pop(outcome.place)

    async def index(self, ids: Sequence[str], step: Step) -> None:
        """Index records, and note from which entries of *step* they are missing. Overtaken where meta is
        another.

        HMGET of each and an EVALSHA, two round trips; in halves where that has more arguments than the
        database takes in one call.
        """
        try:
            await self._index(ids, step)
        except TooManyArguments:
            if len(ids) == 1:
                raise
            half = len(ids) // 2
            await self.index(ids[:half], replace(step, cursor=b""))
            await self.index(ids[half:], step)

    async def _index(self, ids: Sequence[str], step: Step) -> None:
        left, tries, stuck = [*ids], Counter[str](), list[str]()
        while True:
            looked = await self._look(left)
            outcome = await self._write(looked, step, stuck, ids if step.again else ())
            if not isinstance(outcome, Refusal):
                return self._note(looked, outcome, stuck, step)
            id = looked[outcome.place].change.id
            tries[id] += 1
            if outcome.code != "STALE":  # gone meanwhile
                left.remove(id)
            elif tries[id] > ATTEMPTS:
                left.remove(id)
                stuck.append(id)

    async def _write(
        self, looked: Sequence[_Looked], step: Step, stuck: Sequence[str], again: Sequence[str]
    ) -> list[Duplicate] | Refusal:
        missing = [
            _member(entry, one.change.id) for one in looked for entry in self._missing(one) & step.entries
        ]
        missing += [_member(entry, id) for id in stuck for entry in step.entries]
        mended = [_member(entry, id) for id in again for entry in step.entries]
        build = Build(step.expects, step.entries, step.cursor, mended, missing)
        changes = [one.change for one in looked]
        try:
            outcome = build_outcome(await asking.read(self.store, build_call(self.schema, changes, build)))
        except RediscaError as error:
            raise await explained(self.store, [self.schema], changes, error) from None
        if isinstance(outcome, Refusal) and outcome.code in ("FENCE", "SCHEMA"):
            raise Overtaken
        return outcome

    def _missing(self, one: _Looked) -> frozenset[str]:
        """The indexes that lack something of a record."""
        found = set[str]()
        for spec in self.schema.indexes:
            if spec.key in one.refused:
                found |= {spec.unique_entry, spec.index_entry}
            elif spec.key in one.lacking and spec.index in ("range", "sorted"):
                found.add(spec.index_entry)  # an order by it would pass the record over
        for compound in self.schema.compounds:
            if not one.refused.keys().isdisjoint(compound.fields):
                found.add(compound.entry)
        return self.schema.with_dependents(frozenset(found))

    # -- the report --------------------------------------------------------------------------------

    def _note(
        self, looked: Sequence[_Looked], duplicates: Sequence[Duplicate], stuck: Sequence[str], step: Step
    ) -> None:
        errors = {one.change.id: [*one.refused.values()] for one in looked}
        for duplicate in duplicates:
            id = looked[duplicate.place].change.id
            names = ", ".join(map(self.model.__mapper__.attribute, duplicate.fields))
            errors[id].append(UniqueViolation(self.model.__name__, names, duplicate.holder))
        for id in stuck:
            errors[id] = [StaleWrite(self.schema.model, id, [])]
        if step.again:
            self._mended |= {id for id, found in errors.items() if not found}
        else:
            if not self._passed:
                self._passed = True  # which looks at what was left out before, too
                self.done.incomplete.clear()
            self.done.records += sum(not found for found in errors.values())
        for one in looked if not (step.again and self._passed) else ():
            self._note_lacking(one, once=step.again)
        if step.tell:
            for id, found in errors.items():
                self.leave_out(id, found)

    def _note_lacking(self, one: _Looked, *, once: bool) -> None:
        """Count what a record lacks. One that was left out before is looked at for each of its entries."""
        for key in one.lacking:
            if once and (one.change.id, key) in self._lacking:
                continue
            if once:
                self._lacking.add((one.change.id, key))
            name = self.model.__mapper__.attribute(key)
            self.done.incomplete[name] = self.done.incomplete.get(name, 0) + 1

    def leave_out(self, id: str, errors: Sequence[RediscaError]) -> None:
        """Report a record, once."""
        if errors and id not in self._left_out:
            self._left_out.add(id)
            self.done.left_out += 1
            if self.done.left_out <= MAX_NAMED:
                self.done.problems += [(id, error) for error in errors]

    def begin_anew(self) -> None:
        """All records are looked at, whatever was looked at before."""
        self.done.records = 0
        self.done.incomplete.clear()
        self._mended.clear()
        self._lacking.clear()

    def close(self) -> None:
        """All was looked at. What was left out at first was counted with the others."""
        if not self._passed:
            self.done.records += len(self._mended - self._left_out)

    # -- reading -----------------------------------------------------------------------------------

    async def _look(self, ids: Sequence[str]) -> list[_Looked]:
        calls = [load_call(self.schema, id, self._asked) for id in ids]
        found = list[_Looked]()
        for id, reply in zip(ids, await self.store.transport().send_all(calls), strict=True):
            if isinstance(reply, WrongType):
                self.leave_out(id, [WrongType(self.schema.keys.record(id), place="record")])
            elif isinstance(reply, RediscaError):
                raise reply
            else:
                found.append(self._judged(id, read_fields(self._asked, reply) or {}))
        return found

    def _judged(self, id: str, stored: Raw) -> _Looked:
        """Write every indexed field of a record anew, if it is still as it was read."""
        sets, drops, refused = dict[str, bytes](), list[str](), dict[str, RediscaError]()
        for spec in self.schema.tracked:
            raw = stored.get(spec.key)
            if raw is None:
                drops.append(spec.key)
            elif isinstance(encoded := self._indexable(id, spec.key, raw), RediscaError):
                refused[spec.key] = encoded
            else:
                sets[spec.key] = encoded
        expect = {spec.key: stored.get(spec.key) for spec in self.schema.tracked}
        change = Change(self.schema, id, "index", sets, tuple(drops), expect)
        lacking = tuple(key for key in self.schema.required if stored.get(key) is None)
        return _Looked(change, refused, lacking)

    def _indexable(self, id: str, key: str, raw: bytes) -> bytes | CorruptRecord:
        """A stored value in its canonical text, or why no index can hold it. No error shows it."""
        mapper = self.model.__mapper__
        reason = "cannot be read"
        try:
            encoded = canonical_text(mapper.by_key[key].__codec__, raw, mapper)
            self.schema.check_indexable(key, encoded)
            if encoded == raw or self.canonical:
                return encoded
            reason = (
                "is not written as the library writes it, so that no query would find it: "
                "reindex(..., canonical=True) or `aioredisca reindex --canonical` rewrites such values"
            )
        except ValueError:
            pass
        return CorruptRecord(mapper.name, self.schema.keys.record(id), mapper.attribute(key), reason)


def _member(entry: str, id: str) -> bytes:
    """What stands in the set of what is missing."""
    return f"{entry}\0{id}".encode("utf-8", "surrogateescape")
