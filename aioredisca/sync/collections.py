"""The handles of collections for blocking code: the verbs of persistence/collections.py without ``await``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, cast

from typing_extensions import TypeVar

from aioredisca.drivers.run import run
from aioredisca.frames import hiding
from aioredisca.persistence import collections as handles

if TYPE_CHECKING:
    from aioredisca.fields.collections import Collection
    from aioredisca.model.record import Record

V = TypeVar("V")
H = TypeVar("H", bound="handles.CollectionHandle")


class CollectionHandle(Generic[H]):
    """What all handles share: the handle of asyncio models, whose verbs they run."""

    __slots__ = ("_handle",)

    def __init__(self, of: Collection, record: Record) -> None:
        self._handle = cast("H", handles.HANDLES[of.__kind__](of, record))

    def __repr__(self) -> str:
        return repr(self._handle)

    def clear(self) -> bool:
        """Empty the collection; return whether it held something. EVALSHA, one round trip."""
        return run(self._handle.clear())


class ListHandle(CollectionHandle["handles.ListHandle[V]"], Generic[V]):
    """A list of one record. Indexes count from 0, negative ones from the end."""

    __slots__ = ()

    @hiding
    def append(self, *values: V) -> int:
        """Add *values* at the end; return the new length. RPUSH in EVALSHA, one round trip."""
        return run(self._handle.append(*values))

    @hiding
    def prepend(self, *values: V) -> int:
        """Add *values* before the first, in this order; return the new length. LPUSH in EVALSHA."""
        return run(self._handle.prepend(*values))

    def pop(self) -> V | None:
        """Take away the last value and return it; None from an empty list. RPOP in EVALSHA."""
        return run(self._handle.pop())

    def pop_first(self) -> V | None:
        """Take away the first value and return it; None from an empty list. LPOP in EVALSHA."""
        return run(self._handle.pop_first())

    @hiding
    def remove(self, value: V) -> int:
        """Take away all that equals *value*; return how many there were. LREM in EVALSHA."""
        return run(self._handle.remove(value))

    def trim(self, start: int, stop: int) -> None:
        """Keep the values from *start* to *stop*, both included, and drop the rest. LTRIM in EVALSHA."""
        run(self._handle.trim(start, stop))

    def range(self, start: int = 0, stop: int = -1) -> list[V]:
        """Return the values from *start* to *stop*, both included. LRANGE, one round trip."""
        return run(self._handle.range(start, stop))

    def get(self, index: int) -> V | None:
        """Return the value at *index*, None beyond the ends. LINDEX, one round trip."""
        return run(self._handle.get(index))

    def len(self) -> int:
        """Return how many values there are. LLEN, one round trip."""
        return run(self._handle.len())


class SetHandle(CollectionHandle["handles.SetHandle[V]"], Generic[V]):
    """A set of one record."""

    __slots__ = ()

    @hiding
    def add(self, *values: V) -> int:
        """Add *values*; return how many are new. SADD in EVALSHA, one round trip."""
        return run(self._handle.add(*values))

    @hiding
    def discard(self, *values: V) -> int:
        """Take *values* away; return how many there were. SREM in EVALSHA, one round trip."""
        return run(self._handle.discard(*values))

    @hiding
    def contains(self, value: V) -> bool:
        """Return whether *value* is in the set. SISMEMBER, one round trip."""
        return run(self._handle.contains(value))

    def members(self) -> set[V]:
        """Return all values. SMEMBERS, one round trip."""
        return run(self._handle.members())

    def len(self) -> int:
        """Return how many values there are. SCARD, one round trip."""
        return run(self._handle.len())


class SortedHandle(CollectionHandle["handles.SortedHandle[V]"], Generic[V]):
    """A sorted set of one record. Equal scores are in the order of the stored bytes."""

    __slots__ = ()

    @hiding
    def add(self, value: V, score: float) -> bool:
        """Give *value* this score; return whether it is new. ZADD in EVALSHA, one round trip."""
        return run(self._handle.add(value, score))

    @hiding
    def update(self, scores: Mapping[V, float]) -> int:
        """Give many values their scores; return how many are new. ZADD in EVALSHA, one round trip."""
        return run(self._handle.update(scores))

    @hiding
    def incr(self, value: V, by: float = 1) -> float:
        """Add *by* to the score of *value*, 0 where it is new; return the score. ZINCRBY in EVALSHA."""
        return run(self._handle.incr(value, by))

    @hiding
    def discard(self, *values: V) -> int:
        """Take *values* away; return how many there were. ZREM in EVALSHA, one round trip."""
        return run(self._handle.discard(*values))

    @hiding
    def score(self, value: V) -> float | None:
        """Return the score of *value*, None where it is not there. ZSCORE, one round trip."""
        return run(self._handle.score(value))

    @hiding
    def rank(self, value: V) -> int | None:
        """Return how many stand above *value*, None where it is not there. ZREVRANK, one round trip."""
        return run(self._handle.rank(value))

    def top(self, count: int) -> list[tuple[V, float]]:
        """Return the values of the highest scores with these, highest first. ZREVRANGE, one round trip."""
        return run(self._handle.top(count))

    def bottom(self, count: int) -> list[tuple[V, float]]:
        """Return the values of the lowest scores with these, lowest first. ZRANGE, one round trip."""
        return run(self._handle.bottom(count))

    @hiding
    def between(self, low: float, high: float) -> list[tuple[V, float]]:
        """Return the values with scores from *low* to *high*, both included, lowest first. ZRANGEBYSCORE."""
        return run(self._handle.between(low, high))

    def len(self) -> int:
        """Return how many values there are. ZCARD, one round trip."""
        return run(self._handle.len())


class CounterHandle(CollectionHandle["handles.CounterHandle"]):
    """A counter of one record."""

    __slots__ = ()

    @hiding
    def incr(self, by: int = 1) -> int:
        """Add *by*, which may be negative; return the new number. INCRBY in EVALSHA, one round trip.

        Numbers have 64 bits: StoreError where the sum has more.
        """
        return run(self._handle.incr(by))

    def get(self) -> int:
        """Return the number. GET, one round trip."""
        return run(self._handle.get())


HANDLES: dict[str, type[Any]] = {
    "list": ListHandle,
    "set": SetHandle,
    "sorted": SortedHandle,
    "counter": CounterHandle,
}
"""By the kind of the collection, for blocking models."""
