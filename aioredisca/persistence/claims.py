"""Writing records whose uniques hold over all partitions: claimed first, written then, released at last.

docs/storage.md tells the protocol. A claim is fenced by the epoch of its record, which was known before: a
write passes only if that is still the same, and nobody can lose a claim without that it moves on.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar, cast

from aioredisca.compiler.changes import Change, Fence
from aioredisca.compiler.claims.calls import (
    MOST,
    Claim,
    Held,
    abort_call,
    claim_call,
    claim_outcome,
    holder_call,
    owed_call,
    owed_outcome,
    release_call,
    released_call,
    unclaimed_outcome,
    verify_call,
    verify_outcome,
)
from aioredisca.compiler.claims.wanted import wanted_by
from aioredisca.compiler.writes import write_call
from aioredisca.errors import OutcomeUnknown, RediscaError, Unavailable
from aioredisca.persistence.asking import read, read_together
from aioredisca.persistence.pending import Begun
from aioredisca.storage.keys import Owed, id_text, read_claim
from aioredisca.storage.partitions import bucket_of
from aioredisca.storage.replies import LIST, TEXT
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Reply, Store

T = TypeVar("T")

ATTEMPTS = 50
"""How often a write is sent, and a claim asked for, before it is given up: others keep being faster."""

PAUSE, LONGEST = 0.001, 0.02
"""Seconds. Racers wait a random while, of up to twice as long each time."""

DRAINED = 100
"""Claims that are released in one round trip where many wait."""

RESTLESS = f"others kept taking the same unique value, {ATTEMPTS} times: nothing was written, try it again"


@dataclass(slots=True)
class _Intent:
    """A change, and what it is to claim. ``claims`` are those that were made, whatever came of them."""

    place: int
    change: Change
    wants: dict[str, bytes]
    claims: dict[tuple[str, bytes], None] = field(default_factory=dict[tuple[str, bytes], None])
    epoch: int = 0
    claimed: bool = False

    @property
    def id(self) -> bytes:
        return self.change.id.encode("utf-8", "surrogateescape")

    @property
    def bucket(self) -> tuple[str, int]:
        return self.change.schema.keys.base, bucket_of(self.id)


@dataclass(slots=True)
class _Write:
    """Changes of one partition, and what came of them so far."""

    changes: Sequence[Change]
    call: Call
    intents: dict[int, _Intent]
    reply: Reply = None

    @property
    def schema(self) -> Schema:
        return self.changes[0].schema

    @property
    def is_over(self) -> bool:
        return self.reply is not None

    @property
    def was_refused(self) -> bool:
        """Whether its claims are to be handed back: where nobody knows, it may have been written."""
        if isinstance(self.reply, RediscaError):
            return not isinstance(self.reply, OutcomeUnknown)
        return _code_of(self.reply) not in (b"OK", None)

    def refuse(self, place: int, of: str, holder: bytes) -> None:
        """The value of a unique is another's: it is answered as the script would."""
        fields = self.schema.claimed[of]
        self.reply = [b"UNIQUE", place + 1, holder, *(name.encode() for name in fields)]

    def fenced_call(self) -> Call:
        fences = [
            Fence(intent.place, intent.epoch, [*intent.claims])
            for intent in self.intents.values()
            if intent.claims
        ]
        return write_call(self.changes, fences) if fences else self.call


@dataclass(slots=True)
class _Asked:
    """A claim on its way, and for which change of which write."""

    write: _Write
    intent: _Intent
    claim: Claim


async def send(store: Store, begun: Begun, call: Call) -> Reply:
    """The reply to *call*, which writes *begun*. What was refused by the server is raised.

    EVALSHA, one round trip where no unique value is set; two where one is, which nobody else claims; two more
    where one was given up.
    """
    (reply,) = await send_all(store, [(begun, call)])
    if isinstance(reply, RediscaError):
        raise reply
    return reply


async def send_all(store: Store, several: Sequence[tuple[Begun, Call]]) -> list[Reply]:
    """The same for several calls of the partitions of one class: the reply to each, or why there is none."""
    attempt = _Attempt(store, [_prepared(store, begun, call) for begun, call in several])
    await attempt.carry_out()
    return [write.reply for write in attempt.writes]


def _prepared(store: Store, begun: Begun, call: Call) -> _Write:
    intents = dict[int, _Intent]()
    for place, (record, change) in enumerate(begun):
        if wants := wanted_by(change, record.__state__.layers.raw):
            intent = intents[place] = _Intent(place, change, wants)
            intent.epoch = store.facts.epochs.get(intent.bucket, 0)  # the first one is 0
    return _Write([change for _, change in begun], call, intents)


class _Attempt:
    """Writes of the partitions of one class, on their way."""

    def __init__(self, store: Store, writes: Sequence[_Write]) -> None:
        self.writes = writes
        self._store = store
        self._owed = dict[tuple[Schema, bytes], Owed]()

    async def carry_out(self) -> None:
        self._refuse_twins()
        for tries in range(ATTEMPTS):
            if tries > 1:
                await pause(self._store, tries - 1)
            await self._claim()
            await self._write()
            if not self._left():
                break
        for write in self._left():
            write.reply = Unavailable(RESTLESS)
        await self._hand_back()
        with suppress(RediscaError):  # what is not released now will be by the next
            await release(self._store, self._owed)

    def _left(self) -> list[_Write]:
        return [write for write in self.writes if not write.is_over]

    def _refuse_twins(self) -> None:
        """Two changes that are to hold one value: the second is refused, whatever becomes of the first."""
        takers = dict[tuple[str, bytes], bytes]()
        for write in self.writes:
            for intent in write.intents.values():
                for of, value in intent.wants.items():
                    first = takers.setdefault((of, value), intent.id)
                    if first != intent.id and not write.is_over:
                        write.refuse(intent.place, of, first)

    # -- claims ------------------------------------------------------------------------------------

    async def _claim(self) -> None:
        """Claim all that is wanted and not claimed; writes are over that cannot have it."""
        asked = [
            _Asked(write, intent, Claim(of, value, intent.id, intent.epoch))
            for write in self._left()
            for intent in write.intents.values()
            if not intent.claimed
            for of, value in intent.wants.items()
        ]
        for tries in range(ATTEMPTS):
            held = await self._ask(asked)
            if not held:
                return
            if tries:
                await pause(self._store, tries)
            asked = await self._verify(held)
        for one in asked:
            one.write.reply = Unavailable(RESTLESS)

    async def _ask(self, asked: Sequence[_Asked]) -> list[tuple[_Asked, Held]]:
        """Send claims, those of a partition of values together; those that others have."""
        schema = self.writes[0].schema
        several = _by_place((schema.place_of_claim(one.claim.value), one) for one in asked)
        calls = [claim_call(place, [one.claim for one in some]) for place, some in several]
        held = list[tuple[_Asked, Held]]()
        for (_, some), reply in zip(several, await self._sent(calls), strict=True):
            if isinstance(reply, RediscaError):
                _fail(some, reply)
                continue
            for one, by in zip(some, claim_outcome(reply, some), strict=True):
                if by is None:
                    one.intent.claims[one.claim.of, one.claim.value] = None
                    one.intent.claimed = True  # all are, or the write is over
                elif not one.write.is_over:
                    held.append((one, by))
        return held

    async def _verify(self, held: Sequence[tuple[_Asked, Held]]) -> list[_Asked]:
        """Ask those that have claims whether their records hold the values; what may be taken from them."""
        schema = self.writes[0].schema
        several = _by_place((schema.place_of_record(id_text(by.id)), (one, by)) for one, by in held)
        calls = [
            verify_call(place, [(one.claim.of, one.claim.value, by) for one, by in some])
            for place, some in several
        ]
        free = list[_Asked]()
        for (_, some), reply in zip(several, await self._sent(calls), strict=True):
            if isinstance(reply, RediscaError):
                _fail([one for one, _ in some], reply)
                continue
            for (one, by), epoch in zip(some, verify_outcome(reply, some), strict=True):
                if not epoch:
                    one.write.refuse(one.intent.place, one.claim.of, by.id)
                else:
                    one.claim = replace(one.claim, holder=by.id, before=epoch)
                    free.append(one)
        return [one for one in free if not one.write.is_over]

    async def _sent(self, calls: Sequence[Call]) -> list[Reply]:
        """Replies to calls after which no record is another, whatever became of them."""
        if not calls:
            return []
        try:
            return await self._store.transport().send_all(calls)
        except OutcomeUnknown as error:
            unknown = error
        raise Unavailable(str(unknown)) from None

    # -- writes ------------------------------------------------------------------------------------

    async def _write(self) -> None:
        writes = self._left()
        if not writes:
            return
        calls = [write.fenced_call() for write in writes]
        try:
            replies = await self._store.transport().send_all(calls)
        except RediscaError as error:
            if len(writes) == len(self.writes):
                raise
            replies = [error] * len(writes)
        for write, reply in zip(writes, replies, strict=True):
            self._take(write, reply)

    def _take(self, write: _Write, reply: Reply) -> None:
        code = _code_of(reply)
        if code == b"CLAIM":
            self._learn(write, reply)
        elif code == b"OWES":
            self._owe(write.schema, reply[1])
            write.reply = [b"OK", *reply[2:]]
        else:
            write.reply = reply

    def _learn(self, write: _Write, reply: Reply) -> None:
        """Claims did not count, or were not those that are needed."""
        for told in unclaimed_outcome(reply):
            change = write.changes[told.place]
            intent = write.intents.setdefault(told.place, _Intent(told.place, change, {}))
            intent.epoch, intent.wants, intent.claimed = told.epoch, told.wants, False
            self._store.facts.epochs[intent.bucket] = told.epoch

    def _owe(self, schema: Schema, entries: Reply) -> None:
        for entry, owed in owed_outcome(entries).items():
            self._owed[schema, entry] = owed
            self._store.facts.epochs[schema.keys.base, bucket_of(owed.id)] = owed.epoch

    async def _hand_back(self) -> None:
        """Give up what was claimed for writes that were refused."""
        calls, places = list[Call](), list[Schema]()
        for write in self.writes:
            claims = [
                (of, value, intent.id) for intent in write.intents.values() for of, value in intent.claims
            ]
            for first in range(0, len(claims) if write.was_refused else 0, MOST):
                calls.append(abort_call(write.schema, claims[first : first + MOST]))
                places.append(write.schema)
        with suppress(RediscaError):  # a claim of nobody is taken by whoever wants it
            for place, reply in zip(places, await self._sent(calls), strict=True):
                if not isinstance(reply, RediscaError):
                    self._owe(place, reply)


def _code_of(reply: Reply) -> object:
    """What a reply of a write begins with; None where it is none."""
    return cast("list[object]", reply)[0] if type(reply) is list and reply else None


def _fail(some: Iterable[_Asked], error: RediscaError) -> None:
    """Nothing was written of these, whatever became of the claims."""
    failed = Unavailable(str(error)) if isinstance(error, OutcomeUnknown) else error
    for one in some:
        if not one.write.is_over:
            one.write.reply = failed


def _by_place(some: Iterable[tuple[Schema, T]]) -> list[tuple[Schema, list[T]]]:
    """What goes to each partition, in calls of at most MOST."""
    found = dict[Schema, list[T]]()
    for place, one in some:
        found.setdefault(place, []).append(one)
    return [
        (place, ones[first : first + MOST])
        for place, ones in found.items()
        for first in range(0, len(ones), MOST)
    ]


async def pause(store: Store, tries: int) -> None:
    """Let others be faster, who want the same."""
    longest = min(LONGEST, PAUSE * 2**tries)
    await store.transport().sleep(random.uniform(0, longest))


async def holder(store: Store, schema: Schema, of: str, value: bytes) -> str:
    """The id that claims the value of a unique; empty if none does. HGET, one round trip."""
    held = await read(store, holder_call(schema.place_of_claim(value), of, value), TEXT)
    return id_text(read_claim(held)[1]) if held else ""


# -- what was given up -----------------------------------------------------------------------------


async def release(store: Store, owed: dict[tuple[Schema, bytes], Owed]) -> None:
    """Release claims that were given up in partitions, and then forget that it was to be done.

    EVALSHA and LREM, two round trips; none where there is nothing.
    """
    if not owed:
        return
    several = _by_place(
        (place.place_of_claim(one.value), (place, entry, one)) for (place, entry), one in owed.items()
    )
    calls = [release_call(place, [one for _, _, one in some]) for place, some in several]
    replies = await store.transport().send_all(calls)
    done = [
        released_call(place, entry)
        for (_, some), reply in zip(several, replies, strict=True)
        if not isinstance(reply, RediscaError)
        for place, entry, _ in some
    ]
    await read_together(store, done)


async def drain(store: Store, place: Schema) -> int:
    """Release all claims that were given up in a partition and not released; how many there were.

    LRANGE, EVALSHA and LREM, three round trips per 100 claims.
    """
    total = 0
    while place.claimed:
        entries = await read(store, owed_call(place, DRAINED), LIST)
        if not entries:
            break
        await release(store, {(place, entry): one for entry, one in owed_outcome(entries).items()})
        total += len(entries)
    return total
