"""The handle of a sorted set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic

from typing_extensions import TypeVar

from aioredisca.errors import CorruptRecord, UsageError
from aioredisca.frames import hiding
from aioredisca.persistence.collections.handle import (
    ENDLESS,
    MOST,
    CollectionHandle,
    number_in,
    score_text,
)
from aioredisca.storage.replies import LIST, NUMBER, TEXT, strange
from aioredisca.types import Arg

V = TypeVar("V")

_FAR = 2**32
"""Farther from the ends than any rank."""


class SortedHandle(CollectionHandle, Generic[V]):
    """A sorted set of one record. Equal scores are in the order of the stored bytes."""

    __slots__ = ()

    @hiding
    async def add(self, value: V, score: float) -> bool:
        """Give *value* this score; return whether it is new. ZADD in EVALSHA, one round trip."""
        return bool(await self._write(NUMBER, "ZADD", self._score(score), self._raw(value)))

    @hiding
    async def update(self, scores: Mapping[V, float]) -> int:
        """Give many values their scores; return how many are new. ZADD in EVALSHA, one round trip."""
        if not isinstance(scores, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{self!r}: update() takes values with their scores, as in {{'a': 1.5}}")
        values = self._raws(tuple(scores))
        pairs = zip(scores.values(), values, strict=True)
        added: int = await self._write(
            NUMBER, "ZADD", *(part for score, raw in pairs for part in (self._score(score), raw))
        )
        return added

    @hiding
    async def incr(self, value: V, by: float = 1) -> float:
        """Add *by* to the score of *value*, 0 where it is new; return the score. ZINCRBY in EVALSHA."""
        return number_in(await self._write(TEXT, "ZINCRBY", self._score(by), self._raw(value)), writes=True)

    @hiding
    async def discard(self, *values: V) -> int:
        """Take *values* away; return how many there were. ZREM in EVALSHA, one round trip."""
        removed: int = await self._write(NUMBER, "ZREM", *self._raws(values))
        return removed

    async def pop_min(self, count: int = 1) -> list[tuple[V, float]]:
        """Take away the values of the lowest scores; return them with these, lowest first.

        At most 1,000. ZPOPMIN in EVALSHA, one round trip.
        """
        return await self._popped("ZPOPMIN", count)

    async def pop_max(self, count: int = 1) -> list[tuple[V, float]]:
        """The same for the highest scores, highest first. ZPOPMAX in EVALSHA."""
        return await self._popped("ZPOPMAX", count)

    async def trim_by_rank(self, start: int, stop: int) -> int:
        """Keep the values of the ranks from *start* to *stop*, both included; return how many are dropped.

        Ranks are as rank() tells them, 0 for the highest score; negative ones count from the lowest:
        ``trim_by_rank(0, 99)`` keeps the top 100. ZREMRANGEBYRANK in EVALSHA, one round trip.
        """
        start, stop = (max(-_FAR, min(self._place(end), _FAR)) for end in (start, stop))
        if start < 0 <= stop:
            raise UsageError(f"{self!r}: trim_by_rank() takes no start from below with a stop from above")
        low, high = -1 - stop, -1 - start  # as places from the lowest score
        below = [(NUMBER, "ZREMRANGEBYRANK", 0, low - 1)] if low else []
        above = [(NUMBER, "ZREMRANGEBYRANK", high + 1, -1)] if high != -1 else []
        # What counts from one end comes before the other end is cut, which would shift it.
        steps = [*below, *above] if low < 0 else [*above, *below]
        return sum(await self._write_all(*steps)) if steps else 0

    @hiding
    async def trim_by_score(self, low: float, high: float) -> int:
        """Keep the values with scores from *low* to *high*, both included; return how many are dropped.

        ZREMRANGEBYSCORE in EVALSHA, one round trip.
        """
        below = (NUMBER, "ZREMRANGEBYSCORE", "-inf", f"({self._end(low)}")
        above = (NUMBER, "ZREMRANGEBYSCORE", f"({self._end(high)}", "inf")
        return sum(await self._write_all(below, above))

    @hiding
    async def contains(self, value: V) -> bool:
        """Return whether *value* is there. ZSCORE, one round trip."""
        return await self._read(TEXT, "ZSCORE", self._raw(value)) is not None

    @hiding
    async def score(self, value: V) -> float | None:
        """Return the score of *value*, None where it is not there. ZSCORE, one round trip."""
        found = await self._read(TEXT, "ZSCORE", self._raw(value))
        return None if found is None else number_in(found)

    @hiding
    async def rank(self, value: V) -> int | None:
        """Return how many stand above *value*, None where it is not there. ZREVRANK, one round trip."""
        rank: int | None = await self._read((int, type(None)), "ZREVRANK", self._raw(value))
        return rank

    async def top(self, count: int) -> list[tuple[V, float]]:
        """Return the values of the highest scores with these, highest first. ZREVRANGE, one round trip."""
        return self._scored(await self._read(LIST, "ZREVRANGE", 0, self._count(count) - 1, "WITHSCORES"))

    async def bottom(self, count: int) -> list[tuple[V, float]]:
        """Return the values of the lowest scores with these, lowest first. ZRANGE, one round trip."""
        return self._scored(await self._read(LIST, "ZRANGE", 0, self._count(count) - 1, "WITHSCORES"))

    @hiding
    async def between(
        self, low: float, high: float, *, limit: int | None = None, reverse: bool = False
    ) -> list[tuple[V, float]]:
        """Return the values with scores from *low* to *high*, both included, lowest first.

        At most *limit* of them; with *reverse* highest first. ZRANGEBYSCORE, ZREVRANGEBYSCORE.
        """
        ends = [self._end(low), self._end(high)]
        cut: list[Arg] = [] if limit is None else ["LIMIT", 0, self._count(limit)]
        command, first, last = ("ZREVRANGEBYSCORE", *ends[::-1]) if reverse else ("ZRANGEBYSCORE", *ends)
        return self._scored(await self._read(LIST, command, first, last, "WITHSCORES", *cut))

    @hiding
    async def count(self, low: float, high: float) -> int:
        """Return how many values have scores from *low* to *high*, both included. ZCOUNT, one round trip."""
        found: int = await self._read(NUMBER, "ZCOUNT", self._end(low), self._end(high))
        return found

    async def len(self) -> int:
        """Return how many values there are. ZCARD, one round trip."""
        size: int = await self._read(NUMBER, "ZCARD")
        return size

    async def _popped(self, command: str, count: Any) -> list[tuple[V, float]]:
        if self._count(count) > MOST:
            raise UsageError(f"{self!r}: one call takes away up to {MOST:,} values, not {count:,}")
        return self._scored(await self._write(LIST, command, self._count(count)), writes=True)

    def _score(self, score: Any) -> str:
        text = self._end(score)
        if text in ENDLESS:
            raise self._refuse("takes a finite int or float as score")
        return text

    def _end(self, score: Any) -> str:
        """One end of a range of scores, which may be infinite."""
        if (text := score_text(score)) is None:
            raise self._refuse("takes a finite int or float as score")
        return text

    def _scored(self, flat: list[bytes], *, writes: bool = False) -> list[tuple[V, float]]:
        if len(flat) % 2:
            raise strange(writes=writes)
        scores = [number_in(score, writes=writes) for score in flat[1::2]]
        try:
            return [*zip(self._values(flat[::2]), scores, strict=True)]
        except CorruptRecord:
            flat.clear()  # error trackers send away what frames hold
            raise
