"""Handles: the collections of one record, with the verbs that read and change them. One round trip each.

A change is refused by Gone where there is no record; a read finds nothing then. Both colours use these
coroutines: the blocking ones of sync/ run them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from aioredisca.errors import CorruptRecord, UsageError, ValidationError, WrongType
from aioredisca.fields.access import check_changeable, need_id
from aioredisca.frames import hiding
from aioredisca.persistence import asking, executor
from aioredisca.storage.codecs import plain, whole_in
from aioredisca.storage.replies import LIST, MISREAD, NUMBER, TEXT, check_values, of_kind, strange
from aioredisca.types import Arg, Call

if TYPE_CHECKING:
    from aioredisca.fields.collections import Collection
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record

V = TypeVar("V")

MOST = 1000
"""Values that one call adds or takes away."""

INT64 = 2**63

NOTHING: dict[tuple[type, ...], tuple[bytes, ...] | int] = {LIST: (), NUMBER: 0}
"""What a command answers that finds no key, by the kinds of its replies; None elsewhere."""


class CollectionHandle:
    """What all handles share."""

    __slots__ = ("_mapper", "_of", "_record")

    def __init__(self, of: Collection, record: Record) -> None:
        self._of: Any = of
        self._record = record
        self._mapper: Mapper = record.__mapper__

    def __repr__(self) -> str:
        return f"<{self._mapper.name}({self._record.__state__.id!r}).{self._of.name}>"

    async def clear(self) -> bool:
        """Empty the collection; return whether it held something. EVALSHA, one round trip."""
        return bool(await self._write(NUMBER, "UNLINK"))

    async def _write(self, kinds: tuple[type, ...], command: str, *arguments: Arg) -> Any:
        """What *command* answers, which is of one of *kinds*."""
        record = self._record
        check_changeable(record)
        need_id(record)
        if record.__state__.layers.fresh:
            raise UsageError(f"{self!r}: save() the record first, for its collections live with it")
        store = self._mapper.store(record.__state__.unit)
        return await executor.collect(store, record, self._of.key, (command, *arguments), kinds)

    async def _read(self, kinds: tuple[type, ...], command: str, *arguments: Arg) -> Any:
        record = self._record
        need_id(record)
        store, id = self._mapper.store(record.__state__.unit), record.__state__.id
        schema = self._mapper.schema(store).of(id)
        key = schema.keys.collection(self._of.key, id)
        call = Call((command, key, *arguments))
        try:
            if not schema.expires:
                return await asking.read(store, call, kinds)
            # One that is over may have left its collections. If it is there before they are read, it was when
            # they held that, whatever becomes of it in between: who comes after it empties them first.
            there, reply = await asking.read_together(store, [Call(("EXISTS", schema.keys.record(id))), call])
        except WrongType:
            raise WrongType(key, place="collection") from None
        return of_kind(reply, kinds, call) if there else NOTHING.get(kinds)

    def _refuse(self, reason: str) -> ValidationError:
        return ValidationError(self._mapper.name, self._of.name, reason)

    def _raw(self, value: Any) -> bytes:
        """One value as it is stored. ValidationError says why not."""
        raw: bytes | None = self._of.of.__codec__.accept(value, self._mapper)[1]
        if raw is None:
            raise self._refuse("holds values, and None is none")
        return raw

    def _raws(self, values: tuple[Any, ...]) -> list[bytes]:
        if not 1 <= len(values) <= MOST:
            raise UsageError(f"{self!r}: one call takes 1 to {MOST:,} values, not {len(values):,}")
        return [self._raw(value) for value in values]

    def _values(self, raws: Sequence[bytes | None]) -> list[Any]:
        read = self._of.of.__codec__.read
        try:
            return [None if raw is None else read(raw, self._mapper) for raw in raws]
        except MISREAD:
            check_values(raws)
        del raws  # error trackers send away what frames hold
        raise CorruptRecord(self._mapper.name, self._record.getkey(), self._of.name)

    async def _value(self, command: str, *arguments: Arg, writes: bool = False) -> Any:
        """The one value that a command answers, None where there is none."""
        return self._values([await (self._write if writes else self._read)(TEXT, command, *arguments)])[0]


class ListHandle(CollectionHandle, Generic[V]):
    """A list of one record. Indexes count from 0, negative ones from the end."""

    __slots__ = ()

    @hiding
    async def append(self, *values: V) -> int:
        """Add *values* at the end; return the new length. RPUSH in EVALSHA, one round trip."""
        length: int = await self._write(NUMBER, "RPUSH", *self._raws(values))
        return length

    @hiding
    async def prepend(self, *values: V) -> int:
        """Add *values* before the first, in this order; return the new length. LPUSH in EVALSHA."""
        length: int = await self._write(NUMBER, "LPUSH", *reversed(self._raws(values)))
        return length

    async def pop(self) -> V | None:
        """Take away the last value and return it; None from an empty list. RPOP in EVALSHA."""
        value: V | None = await self._value("RPOP", writes=True)
        return value

    async def pop_first(self) -> V | None:
        """Take away the first value and return it; None from an empty list. LPOP in EVALSHA."""
        value: V | None = await self._value("LPOP", writes=True)
        return value

    @hiding
    async def remove(self, value: V) -> int:
        """Take away all that equals *value*; return how many there were. LREM in EVALSHA."""
        removed: int = await self._write(NUMBER, "LREM", 0, self._raw(value))
        return removed

    async def trim(self, start: int, stop: int) -> None:
        """Keep the values from *start* to *stop*, both included, and drop the rest. LTRIM in EVALSHA."""
        await self._write((bytes,), "LTRIM", self._place(start), self._place(stop))

    async def range(self, start: int = 0, stop: int = -1) -> list[V]:
        """Return the values from *start* to *stop*, both included. LRANGE, one round trip."""
        return self._values(await self._read(LIST, "LRANGE", self._place(start), self._place(stop)))

    async def get(self, index: int) -> V | None:
        """Return the value at *index*, None beyond the ends. LINDEX, one round trip."""
        value: V | None = await self._value("LINDEX", self._place(index))
        return value

    def _place(self, index: Any) -> int:
        if (place := whole_in(index, -INT64, INT64 - 1)) is None:
            raise UsageError(f"{self!r}: a place in a list is a whole number of 64 bits, not {index!r:.50}")
        return place

    async def len(self) -> int:
        """Return how many values there are. LLEN, one round trip."""
        length: int = await self._read(NUMBER, "LLEN")
        return length


class SetHandle(CollectionHandle, Generic[V]):
    """A set of one record."""

    __slots__ = ()

    @hiding
    async def add(self, *values: V) -> int:
        """Add *values*; return how many are new. SADD in EVALSHA, one round trip."""
        added: int = await self._write(NUMBER, "SADD", *self._raws(values))
        return added

    @hiding
    async def discard(self, *values: V) -> int:
        """Take *values* away; return how many there were. SREM in EVALSHA, one round trip."""
        removed: int = await self._write(NUMBER, "SREM", *self._raws(values))
        return removed

    @hiding
    async def contains(self, value: V) -> bool:
        """Return whether *value* is in the set. SISMEMBER, one round trip."""
        return bool(await self._read(NUMBER, "SISMEMBER", self._raw(value)))

    async def members(self) -> set[V]:
        """Return all values. SMEMBERS, one round trip."""
        return {*self._values(await self._read(LIST, "SMEMBERS"))}

    async def len(self) -> int:
        """Return how many values there are. SCARD, one round trip."""
        size: int = await self._read(NUMBER, "SCARD")
        return size


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
        return _number(await self._write(TEXT, "ZINCRBY", self._score(by), self._raw(value)), writes=True)

    @hiding
    async def discard(self, *values: V) -> int:
        """Take *values* away; return how many there were. ZREM in EVALSHA, one round trip."""
        removed: int = await self._write(NUMBER, "ZREM", *self._raws(values))
        return removed

    @hiding
    async def score(self, value: V) -> float | None:
        """Return the score of *value*, None where it is not there. ZSCORE, one round trip."""
        found = await self._read(TEXT, "ZSCORE", self._raw(value))
        return None if found is None else _number(found)

    @hiding
    async def rank(self, value: V) -> int | None:
        """Return how many stand above *value*, None where it is not there. ZREVRANK, one round trip."""
        rank: int | None = await self._read((int, type(None)), "ZREVRANK", self._raw(value))
        return rank

    async def top(self, count: int) -> list[tuple[V, float]]:
        """Return the values of the highest scores with these, highest first. ZREVRANGE, one round trip."""
        return self._scored(await self._read(LIST, "ZREVRANGE", 0, self._last(count), "WITHSCORES"))

    async def bottom(self, count: int) -> list[tuple[V, float]]:
        """Return the values of the lowest scores with these, lowest first. ZRANGE, one round trip."""
        return self._scored(await self._read(LIST, "ZRANGE", 0, self._last(count), "WITHSCORES"))

    @hiding
    async def between(self, low: float, high: float) -> list[tuple[V, float]]:
        """Return the values with scores from *low* to *high*, both included, lowest first. ZRANGEBYSCORE."""
        return self._scored(
            await self._read(LIST, "ZRANGEBYSCORE", self._end(low), self._end(high), "WITHSCORES")
        )

    async def len(self) -> int:
        """Return how many values there are. ZCARD, one round trip."""
        size: int = await self._read(NUMBER, "ZCARD")
        return size

    def _last(self, count: Any) -> int:
        if (number := whole_in(count, 1, INT64 - 1)) is None:
            raise UsageError(f"{self!r}: a count is a whole number of at least 1, not {count!r:.50}")
        return number - 1

    def _score(self, score: Any) -> str:
        text = self._end(score)
        if text in ("inf", "-inf"):
            raise self._refuse("takes a finite number as score")
        return text

    def _end(self, score: Any) -> str:
        """One end of a range of scores, which may be infinite."""
        score = plain(score)
        if isinstance(score, bool) or not isinstance(score, int | float) or score != score:
            raise self._refuse("takes a finite number as score")
        try:
            return repr(float(score))
        except OverflowError:
            return "inf" if score > 0 else "-inf"

    def _scored(self, flat: list[bytes]) -> list[tuple[V, float]]:
        if len(flat) % 2:
            raise strange()
        scores = [_number(score) for score in flat[1::2]]
        try:
            return [*zip(self._values(flat[::2]), scores, strict=True)]
        except CorruptRecord:
            flat.clear()  # error trackers send away what frames hold
            raise


def _number(text: Any, kind: type[float] = float, *, writes: bool = False) -> float:
    """A number that the server answers as text."""
    try:
        return kind(text)
    except MISREAD:
        pass
    raise strange(writes=writes)


class CounterHandle(CollectionHandle):
    """A counter of one record."""

    __slots__ = ()

    @hiding
    async def incr(self, by: int = 1) -> int:
        """Add *by*, which may be negative; return the new number. INCRBY in EVALSHA, one round trip.

        Numbers have 64 bits: StoreError where the sum has more.
        """
        return int(_number(await self._write(TEXT, "INCRBY", self._whole(by)), int, writes=True))

    async def get(self) -> int:
        """Return the number. GET, one round trip."""
        found = await self._read(TEXT, "GET")
        return 0 if found is None else int(_number(found, int))

    def _whole(self, by: Any) -> int:
        if (number := whole_in(by, -INT64, INT64 - 1)) is None:
            raise self._refuse("counts in integers of 64 bits")
        return number


HANDLES: dict[str, type[Any]] = {
    "list": ListHandle,
    "set": SetHandle,
    "sorted": SortedHandle,
    "counter": CounterHandle,
}
"""By the kind of the collection, for asyncio models."""
