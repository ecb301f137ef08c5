"""The handles of collections for blocking code: the verbs of persistence/collections/ without ``await``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Generic, cast

from typing_extensions import TypeVar

from aioredisca.drivers.run import run
from aioredisca.errors import UsageError
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

    def getkey(self) -> str:
        """Return the key of the collection. No I/O."""
        return self._handle.getkey()

    def clear(self) -> bool:
        """Empty the collection; return whether it held something. EVALSHA, one round trip."""
        return run(self._handle.clear())


class ListHandle(CollectionHandle["handles.ListHandle[V]"], Generic[V]):
    """A list of one record. Indexes count from 0, negative ones from the end.

    With ``maxlen=`` whatever adds to it drops what is too much, in the same script call.
    """

    __slots__ = ()

    @hiding
    def append(self, *values: V) -> int:
        """Add *values* at the end; return the new length. RPUSH in EVALSHA, one round trip.

        What is beyond ``maxlen`` is dropped at the beginning.
        """
        return run(self._handle.append(*values))

    @hiding
    def prepend(self, *values: V) -> int:
        """Add *values* before the first, in this order; return the new length. LPUSH in EVALSHA.

        What is beyond ``maxlen`` is dropped at the end.
        """
        return run(self._handle.prepend(*values))

    @hiding
    def push(self, *values: V, unique: bool = False) -> int:
        """Put each of *values* before the first, so that the last stands there; return the new length.

        With *unique* those that are in the list already move there, so that it holds each once: the last
        things seen, the latest first. What is beyond ``maxlen`` is dropped at the end. LPUSH, after an LREM
        for each, in EVALSHA, one round trip.
        """
        return run(self._handle.push(*values, unique=unique))

    @hiding
    def insert(self, value: V, *, before: V | None = None, after: V | None = None) -> int | None:
        """Put *value* beside the first that equals *before* or *after*; return the new length.

        None where the list does not hold that, and nothing is changed. What is beyond ``maxlen`` is dropped
        at the end with *before*, at the beginning with *after*. LINSERT in EVALSHA, one round trip.
        """
        return run(self._handle.insert(value, before=before, after=after))

    @hiding
    def set(self, index: int, value: V) -> bool:
        """Replace the value at *index*; return whether there is that place. LSET in EVALSHA."""
        return run(self._handle.set(index, value))

    @hiding
    def replace(self, *values: V) -> int:
        """Let the list hold *values* and nothing else; return its length. UNLINK and RPUSH in EVALSHA.

        Of more than ``maxlen`` the last ones. Without any it is empty.
        """
        return run(self._handle.replace(*values))

    def pop(self) -> V | None:
        """Take away the last value and return it; None from an empty list. RPOP in EVALSHA."""
        return run(self._handle.pop())

    def pop_first(self) -> V | None:
        """Take away the first value and return it; None from an empty list. LPOP in EVALSHA."""
        return run(self._handle.pop_first())

    def wait_pop(self, timeout: float | None = None) -> V | None:
        """Take away the last value and return it, once there is one; None after *timeout* seconds.

        For ever without *timeout*; 0 does not wait. No value is lost where this is cancelled or breaks while
        it waits. A record that goes meanwhile is Gone, at most five seconds later. RPOP in EVALSHA; as long
        as the list is empty BLMOVE, over a connection of its own, and RPOP again: two round trips every five
        seconds, and two whenever a value was added.
        """
        return run(self._handle.wait_pop(timeout))

    def wait_pop_first(self, timeout: float | None = None) -> V | None:
        """Take away the first value and return it, once there is one. LPOP in EVALSHA; see wait_pop()."""
        return run(self._handle.wait_pop_first(timeout))

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

    @hiding
    def contains(self, value: V) -> bool:
        """Return whether *value* is in the list, which is searched through. LPOS, one round trip."""
        return run(self._handle.contains(value))

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

    def pop(self) -> V | None:
        """Take away any value and return it; None from an empty set. SPOP in EVALSHA, one round trip."""
        return run(self._handle.pop())

    @hiding
    def contains(self, value: V) -> bool:
        """Return whether *value* is in the set. SISMEMBER, one round trip."""
        return run(self._handle.contains(value))

    @hiding
    def contains_many(self, *values: V) -> list[bool]:
        """Return of each of *values* whether it is in the set, in their order. SMISMEMBER, one round trip."""
        return run(self._handle.contains_many(*values))

    def random(self, count: int = 1) -> list[V]:
        """Return *count* random values, each once; fewer where there are no more. SRANDMEMBER."""
        return run(self._handle.random(count))

    def members(self) -> set[V]:
        """Return all values. SMEMBERS, one round trip."""
        return run(self._handle.members())

    def union(self, *others: SetHandle[V]) -> set[V]:
        """Return what is in this set or in one of *others*, at one moment. SUNION, one round trip.

        UsageError where *others* hold values of another kind, or lie in another database, or in another slot
        of a cluster. Where records end and one of them is over, one more round trip reads what is left.
        """
        return run(self._handle.union(*self._behind(others)))

    def intersection(self, *others: SetHandle[V]) -> set[V]:
        """Return what is in this set and in all *others*, at one moment. SINTER; see union()."""
        return run(self._handle.intersection(*self._behind(others)))

    def difference(self, *others: SetHandle[V]) -> set[V]:
        """Return what is in this set and in none of *others*, at one moment. SDIFF; see union()."""
        return run(self._handle.difference(*self._behind(others)))

    def len(self) -> int:
        """Return how many values there are. SCARD, one round trip."""
        return run(self._handle.len())

    def _behind(self, others: tuple[SetHandle[V], ...]) -> list[handles.SetHandle[V]]:
        """The handles that others of this class run. UsageError for what is none."""
        for other in others:
            if not isinstance(other, SetHandle):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise UsageError(f"{self!r}: is combined with sets of records, not {type(other).__name__}")
        return [other._handle for other in others]


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

    def pop_min(self, count: int = 1) -> list[tuple[V, float]]:
        """Take away the values of the lowest scores; return them with these, lowest first.

        At most 1,000. ZPOPMIN in EVALSHA, one round trip.
        """
        return run(self._handle.pop_min(count))

    def pop_max(self, count: int = 1) -> list[tuple[V, float]]:
        """The same for the highest scores, highest first. ZPOPMAX in EVALSHA."""
        return run(self._handle.pop_max(count))

    def trim_by_rank(self, start: int, stop: int) -> int:
        """Keep the values of the ranks from *start* to *stop*, both included; return how many are dropped.

        Ranks are as rank() tells them, 0 for the highest score; negative ones count from the lowest:
        ``trim_by_rank(0, 99)`` keeps the top 100. ZREMRANGEBYRANK in EVALSHA, one round trip.
        """
        return run(self._handle.trim_by_rank(start, stop))

    @hiding
    def trim_by_score(self, low: float, high: float) -> int:
        """Keep the values with scores from *low* to *high*, both included; return how many are dropped.

        ZREMRANGEBYSCORE in EVALSHA, one round trip.
        """
        return run(self._handle.trim_by_score(low, high))

    @hiding
    def contains(self, value: V) -> bool:
        """Return whether *value* is there. ZSCORE, one round trip."""
        return run(self._handle.contains(value))

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
    def between(
        self, low: float, high: float, *, limit: int | None = None, reverse: bool = False
    ) -> list[tuple[V, float]]:
        """Return the values with scores from *low* to *high*, both included, lowest first.

        At most *limit* of them; with *reverse* highest first. ZRANGEBYSCORE, ZREVRANGEBYSCORE.
        """
        return run(self._handle.between(low, high, limit=limit, reverse=reverse))

    @hiding
    def count(self, low: float, high: float) -> int:
        """Return how many values have scores from *low* to *high*, both included. ZCOUNT, one round trip."""
        return run(self._handle.count(low, high))

    def len(self) -> int:
        """Return how many values there are. ZCARD, one round trip."""
        return run(self._handle.len())


class HashHandle(CollectionHandle["handles.HashHandle[V]"], Generic[V]):
    """A hash of one record: values by name. Names are any text."""

    __slots__ = ()

    @hiding
    def set(self, name: str, value: V) -> bool:
        """Give *name* this value; return whether the name is new. HSET in EVALSHA, one round trip."""
        return run(self._handle.set(name, value))

    @hiding
    def add(self, name: str, value: V) -> bool:
        """Give *name* this value if it has none; return whether it has got it. HSETNX in EVALSHA."""
        return run(self._handle.add(name, value))

    @hiding
    def update(self, values: Mapping[str, V]) -> int:
        """Give many names their values; return how many names are new. HSET in EVALSHA, one round trip."""
        return run(self._handle.update(values))

    @hiding
    def incr(self, name: str, by: int = 1) -> int:
        """Add *by*, which may be negative, to the value of *name*, 0 where it is new; return the new value.

        Of ``HashOf(Integer())`` without bounds; UsageError of others. Numbers have 64 bits: StoreError where
        the sum has more. HINCRBY in EVALSHA, one round trip.
        """
        return run(self._handle.incr(name, by))

    @hiding
    def pop(self, name: str) -> V | None:
        """Take *name* away and return its value; None where it has none. HGET and HDEL in EVALSHA."""
        return run(self._handle.pop(name))

    @hiding
    def discard(self, *names: str) -> int:
        """Take *names* away; return how many there were. HDEL in EVALSHA, one round trip."""
        return run(self._handle.discard(*names))

    @hiding
    def get(self, name: str) -> V | None:
        """Return the value of *name*, None where it has none. HGET, one round trip."""
        return run(self._handle.get(name))

    @hiding
    def get_many(self, *names: str) -> list[V | None]:
        """Return the values of *names* in their order, None for each that has none. HMGET, one round trip."""
        return run(self._handle.get_many(*names))

    @hiding
    def contains(self, name: str) -> bool:
        """Return whether *name* has a value. HEXISTS, one round trip."""
        return run(self._handle.contains(name))

    def items(self) -> dict[str, V]:
        """Return all values by name. HGETALL, one round trip."""
        return run(self._handle.items())

    def keys(self) -> list[str]:
        """Return all names. HKEYS, one round trip."""
        return run(self._handle.keys())

    def len(self) -> int:
        """Return how many names there are. HLEN, one round trip."""
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
    "hash": HashHandle,
    "counter": CounterHandle,
}
"""By the kind of the collection, for blocking models."""
