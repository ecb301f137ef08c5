"""Mending what :func:`check` finds: each fault by a script that looks once more whether it still is one.

Nothing that a record demands is taken away, and a claim is given only to a record that holds the value, so
that readers and writers go on meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aioredisca.compiler.changes import Change
from aioredisca.compiler.writes import Refusal, write_call, write_outcome
from aioredisca.errors import RediscaError, UsageError, WrongType
from aioredisca.maintenance.checking import claims
from aioredisca.maintenance.checking.faults import (
    KINDS,
    Fault,
    Finding,
    Kind,
    Release,
    Repaired,
    checked_kinds,
)
from aioredisca.maintenance.checking.places import Layout
from aioredisca.maintenance.checking.survey import Survey, look_at_whole, news, run_all, target_of
from aioredisca.maintenance.pacing import Pace
from aioredisca.maintenance.sweeping import make_room
from aioredisca.persistence import readiness
from aioredisca.persistence.claims import drain, send_all
from aioredisca.storage.entries import KeyType, contents
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Reply, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record


async def repair(
    model: type[Record],
    *,
    dry_run: bool = True,
    kinds: Iterable[Kind] | None = None,
    limit: int = 10,
    rate: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Repaired:
    """Look through *model* as :func:`check` does, and mend what is wrong.

    ``dry_run``   write nothing, and report what would be mended.
    ``kinds``     the kinds of faults to mend (docs/maintenance.md); by default all but ``not-canonical`` and
                  ``dangling``, whose cure changes records. UsageError for those that only a person can mend.
    ``limit``     how many examples of each kind the report has, and ``rate`` how many records and entries to
                  look at in a second, at most.
    ``progress``  called with the number of records looked at so far.

    Each is mended by a script that looks at it once more; what has changed by then is looked at again.
    SchemaMismatch where the store keeps indexes that the class does not know. The round trips of
    :func:`check`, and one more per 100 records or entries that have faults.
    """
    if not isinstance(dry_run, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"dry_run={dry_run!r}: it is True or False")
    asked = checked_kinds(kinds)
    store, schema = target_of(model, "repair()", limit)
    pace = Pace(store, rate)
    done = Repaired(schema.model, dry_run=dry_run)
    known = _Known()
    mender = _Mender(model, store, schema, done, asked, limit, known)
    await look_at_whole(store, schema, done, mender.deal)
    surveys = list[Survey]()
    for part in schema.all_parts:
        if not dry_run:
            await _ready(store, part, asked)
        mender = _Mender(model, store, part, done, asked, limit, known)
        surveys.append(Survey(model, store, part, done, mender.deal, pace, progress, limit))
    await run_all(surveys)
    return done


async def _ready(store: Store, schema: Schema, asked: frozenset[Kind]) -> None:
    """Writes are to be allowed by what the store says now, which the set of all ids is asked about, too."""
    readiness.forget(store, [schema])
    try:
        await readiness.ready_to_write(store, schema)
    except WrongType:
        if "foreign-type" not in asked:
            raise
        await make_room(store, schema, {schema.keys.ids.encode(): "zset"})
        await readiness.ready_to_write(store, schema)


@dataclass(slots=True)
class _Known:
    """The faults that were mended, and those that were left, in all partitions."""

    mended: set[int] = field(default_factory=set[int])
    left: set[int] = field(default_factory=set[int])


class _Mender:
    """Mends faults of the kinds *asked* for, and tells what was left and why."""

    def __init__(
        self,
        model: type[Record],
        store: Store,
        schema: Schema,
        done: Repaired,
        asked: frozenset[Kind],
        limit: int,
        known: _Known,
    ) -> None:
        self.mapper, self.known = model.__mapper__, known
        self.store, self.schema, self.done, self.asked, self.limit = store, schema, done, asked, limit

    async def deal(self, faults: Sequence[Fault]) -> Sequence[Fault]:
        """Mend *faults*; return those that were others by then."""
        curable, late = list[Fault](), list[Fault]()
        for fault in faults:
            if why := self._why_not(fault):
                self._leave(fault, why)
            elif self.done.dry_run:
                self._mend(fault)
            else:
                curable.append(fault)
        for fault, reply in zip(curable, await self._send(curable), strict=True):
            why = self._outcome(fault, reply)
            if why == _LATE:
                late.append(fault)
            elif why:
                self._leave(fault, why)
            else:
                self._mend(fault)
        return late

    def _why_not(self, fault: Fault) -> str:
        kind, about = fault.finding.kind, KINDS[fault.finding.kind]
        if about.mended == "never":
            return about.repair
        if kind not in self.asked:
            return f"not asked for: kinds=[{kind!r}]"
        return "" if fault.cure or kind == "owed" else "a person is to mend its record first"

    def _mend(self, fault: Fault) -> None:
        if news(self.known.mended, fault):
            self.done.mended.add(fault.finding, self.limit)

    def _leave(self, fault: Fault, why: str) -> None:
        if news(self.known.left, fault):
            one = fault.finding
            detail = f"{one.detail}: {why}" if one.detail else why
            self.done.left.add(Finding(one.kind, one.id, one.place, detail), self.limit)

    async def _send(self, faults: Sequence[Fault]) -> list[Reply]:
        if not faults:
            return []
        replies = await self._sent([fault.cure for fault in faults])
        for place, (fault, reply) in enumerate(zip(faults, replies, strict=True)):
            if isinstance(reply, WrongType) and isinstance(fault.cure, Change):
                replies[place] = await self._after_making_room(fault.cure, reply)
            elif isinstance(reply, RediscaError) and not isinstance(fault.cure, Release):
                raise reply
        return replies

    async def _sent(self, cures: Sequence[Change | Call | Release | None]) -> list[Reply]:
        """The replies to all cures; what writes records of a class with partitions claims before that."""
        calls = [one for one in cures if isinstance(one, Call)]
        changes = [one for one in cures if isinstance(one, Change)]
        releases = [one for one in cures if isinstance(one, Release)]
        sent = iter(await self.store.transport().send_all(calls) if calls else [])
        written = iter(await self._written(changes) if changes else [])
        released = iter(await claims.release(self.store, self.schema, releases))
        kinds = {Call: sent, Change: written, Release: released}
        owes = any(one is None for one in cures)
        drained = await drain(self.store, self.schema) if owes else 0
        return [drained + 1 if one is None else next(kinds[type(one)]) for one in cures]

    async def _written(self, changes: Sequence[Change]) -> list[Reply]:
        calls = [write_call([change]) for change in changes]
        if not self.schema.claimed:
            return await self.store.transport().send_all(calls)
        begun = [[(self.mapper.detached(change.id), change)] for change in changes]
        return await send_all(self.store, [*zip(begun, calls, strict=True)])

    async def _after_making_room(self, change: Change, error: WrongType) -> Reply:
        """Write again, once the keys that *change* needs hold nothing foreign."""
        if "foreign-type" not in self.asked:
            return error
        layout = Layout(self.mapper, self.schema, frozenset())
        needed = contents(self.schema, change.id, {**change.expect, **change.sets})
        kinds: dict[bytes, KeyType] = {key: layout.of(key).kind for key, _ in needed}
        kinds.update({key: place.kind for key, place in layout.fixed.items()})
        await make_room(self.store, self.schema, kinds)
        (reply,) = await self._written([change])
        return reply

    def _outcome(self, fault: Fault, reply: Reply) -> str:
        """Why *fault* is not mended; nothing if it is."""
        if isinstance(reply, RediscaError):
            return "a key that it needs holds another type: foreign-type"
        if not isinstance(fault.cure, Change):
            return "" if reply else _LATE
        outcome = write_outcome(reply)
        if not isinstance(outcome, Refusal):
            return ""
        if outcome.code == "UNIQUE":
            return f"{outcome.details[0]!r} holds its unique value too: {KINDS['shared-value'].repair}"
        if outcome.code == "SCHEMA":
            readiness.forget(self.store, [self.schema])
            raise readiness.unsettled(self.schema)
        return _LATE


_LATE = "changed meanwhile"
