"""The handle of a list."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Generic

from typing_extensions import TypeVar

from aioredisca.errors import Unavailable, UsageError
from aioredisca.frames import hiding
from aioredisca.persistence.collections.handle import STATUS, CollectionHandle
from aioredisca.storage.codecs import plain
from aioredisca.storage.replies import LIST, NUMBER, TEXT
from aioredisca.types import WAIT, Call

V = TypeVar("V")

_LEAST = 0.01
"""Seconds that a server is let wait at least: it takes none for ever."""


class ListHandle(CollectionHandle, Generic[V]):
    """A list of one record. Indexes count from 0, negative ones from the end.

    With ``maxlen=`` whatever adds to it drops what is too much, in the same script call.
    """

    __slots__ = ()

    @hiding
    async def append(self, *values: V) -> int:
        """Add *values* at the end; return the new length. RPUSH in EVALSHA, one round trip.

        What is beyond ``maxlen`` is dropped at the beginning.
        """
        return await self._added("RPUSH", self._raws(values))

    @hiding
    async def prepend(self, *values: V) -> int:
        """Add *values* before the first, in this order; return the new length. LPUSH in EVALSHA.

        What is beyond ``maxlen`` is dropped at the end.
        """
        return await self._added("LPUSH", self._raws(values)[::-1])

    @hiding
    async def push(self, *values: V, unique: bool = False) -> int:
        """Put each of *values* before the first, so that the last stands there; return the new length.

        With *unique* those that are in the list already move there, so that it holds each once: the last
        things seen, the latest first. What is beyond ``maxlen`` is dropped at the end. LPUSH, after an LREM
        for each, in EVALSHA, one round trip.
        """
        raws = self._raws(values)
        if unique:
            raws = [*dict.fromkeys(raws[::-1])][::-1]
        return await self._added("LPUSH", raws, *((NUMBER, "LREM", 0, raw) for raw in raws if unique))

    @hiding
    async def insert(self, value: V, *, before: V | None = None, after: V | None = None) -> int | None:
        """Put *value* beside the first that equals *before* or *after*; return the new length.

        None where the list does not hold that, and nothing is changed. What is beyond ``maxlen`` is dropped
        at the end with *before*, at the beginning with *after*. LINSERT in EVALSHA, one round trip.
        """
        if (before is None) == (after is None):
            raise UsageError(f"{self!r}: insert() takes before= or after=, a value of the list")
        where, beside, last = ("AFTER", after, True) if before is None else ("BEFORE", before, False)
        step = (NUMBER, "LINSERT", where, self._raw(beside), self._raw(value))
        length, *_ = await self._write_all(step, *self._cut(last=last))
        return self._bounded(length) if length > 0 else None

    @hiding
    async def set(self, index: int, value: V) -> bool:
        """Replace the value at *index*; return whether there is that place. LSET in EVALSHA."""
        done = await self._write(TEXT, "LSET", self._place(index), self._raw(value))
        return done is not None

    @hiding
    async def replace(self, *values: V) -> int:
        """Let the list hold *values* and nothing else; return its length. UNLINK and RPUSH in EVALSHA.

        Of more than ``maxlen`` the last ones. Without any it is empty.
        """
        raws = self._raws(values, least=0)
        raws = raws[-self._of.__maxlen__ :] if self._of.__maxlen__ else raws
        push = [(NUMBER, "RPUSH", *raws)] if raws else []
        # A key that holds no list is refused by the first.
        await self._write_all((NUMBER, "LLEN"), (NUMBER, "UNLINK"), *push)
        return len(raws)

    async def pop(self) -> V | None:
        """Take away the last value and return it; None from an empty list. RPOP in EVALSHA."""
        value: V | None = await self._value("RPOP", writes=True)
        return value

    async def pop_first(self) -> V | None:
        """Take away the first value and return it; None from an empty list. LPOP in EVALSHA."""
        value: V | None = await self._value("LPOP", writes=True)
        return value

    async def wait_pop(self, timeout: float | None = None) -> V | None:  # noqa: ASYNC109 (the server waits)
        """Take away the last value and return it, once there is one; None after *timeout* seconds.

        For ever without *timeout*; 0 does not wait. No value is lost where this is cancelled or breaks while
        it waits. A record that goes meanwhile is Gone, at most five seconds later. RPOP in EVALSHA; as long
        as the list is empty BLMOVE, over a connection of its own, and RPOP again: two round trips every five
        seconds, and two whenever a value was added.
        """
        return await self._waited(self.pop, timeout)

    async def wait_pop_first(self, timeout: float | None = None) -> V | None:  # noqa: ASYNC109
        """Take away the first value and return it, once there is one. LPOP in EVALSHA; see wait_pop()."""
        return await self._waited(self.pop_first, timeout)

    @hiding
    async def remove(self, value: V) -> int:
        """Take away all that equals *value*; return how many there were. LREM in EVALSHA."""
        removed: int = await self._write(NUMBER, "LREM", 0, self._raw(value))
        return removed

    async def trim(self, start: int, stop: int) -> None:
        """Keep the values from *start* to *stop*, both included, and drop the rest. LTRIM in EVALSHA."""
        await self._write(STATUS, "LTRIM", self._place(start), self._place(stop))

    async def range(self, start: int = 0, stop: int = -1) -> list[V]:
        """Return the values from *start* to *stop*, both included. LRANGE, one round trip."""
        return self._values(await self._read(LIST, "LRANGE", self._place(start), self._place(stop)))

    async def get(self, index: int) -> V | None:
        """Return the value at *index*, None beyond the ends. LINDEX, one round trip."""
        value: V | None = await self._value("LINDEX", self._place(index))
        return value

    @hiding
    async def contains(self, value: V) -> bool:
        """Return whether *value* is in the list, which is searched through. LPOS, one round trip."""
        return await self._read((int, type(None)), "LPOS", self._raw(value)) is not None

    async def len(self) -> int:
        """Return how many values there are. LLEN, one round trip."""
        length: int = await self._read(NUMBER, "LLEN")
        return length

    # -- no more than maxlen -----------------------------------------------------------------------

    async def _added(self, command: str, raws: list[bytes], *before: tuple[Any, ...]) -> int:
        """The length once *raws* were pushed, after the steps *before* that."""
        cut = self._cut(last=command == "RPUSH")
        answers = await self._write_all(*before, (NUMBER, command, *raws), *cut)
        return self._bounded(answers[len(before)])

    def _cut(self, *, last: bool) -> list[tuple[Any, ...]]:
        """What drops all beyond the first values, or the *last*; nothing where there is no bound."""
        most = self._of.__maxlen__
        if most is None:
            return []
        return [(STATUS, "LTRIM", -most, -1) if last else (STATUS, "LTRIM", 0, most - 1)]

    def _bounded(self, length: int) -> int:
        most = self._of.__maxlen__
        return length if most is None else min(length, most)

    # -- waiting -----------------------------------------------------------------------------------

    async def _waited(self, pop: Callable[[], Awaitable[V | None]], limit: float | None) -> V | None:
        """What *pop* takes away, once it finds something.

        Who waits has nothing taken away for it, which could get lost on its way: it looks, then takes. So the
        record is looked for, too, whenever something is taken.
        """
        end = None if limit is None else monotonic() + self._seconds(limit)
        failed = False
        while True:
            if (value := await pop()) is not None:
                return value
            left = WAIT if end is None else min(WAIT, end - monotonic())
            if left <= 0:
                return None
            try:
                await self._look(max(left, _LEAST))
                failed = False
            except Unavailable:  # nothing was taken, and another server may be the primary by now
                if failed:
                    raise
                failed = True

    async def _look(self, seconds: float) -> None:
        """Wait for up to *seconds* until the list holds something."""
        store = self._store()
        key = self._key(self._schema(store))
        if store.facts.waits:
            call = Call(("BLMOVE", key, key, "LEFT", "LEFT", f"{seconds:.3f}"))  # puts back what it takes
        else:
            call = Call(("BLPOP", f"{key}\0", str(_LEAST)))  # of nothing: time passes
        await store.waiting().send(call)

    def _seconds(self, timeout: Any) -> float:
        timeout = plain(timeout)
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0:
            raise UsageError(f"{self!r}: a timeout is a number of seconds, or None to wait for ever")
        return float(timeout)
