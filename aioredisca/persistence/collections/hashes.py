"""The handle of a hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic

from typing_extensions import TypeVar

from aioredisca.errors import CorruptRecord, UsageError
from aioredisca.fields.numbers import Integer
from aioredisca.frames import hiding
from aioredisca.persistence.collections.handle import MOST, CollectionHandle, number_in
from aioredisca.storage.codecs import plain
from aioredisca.storage.replies import LIST, NUMBER, TEXT, check_values, strange

V = TypeVar("V")

_OWN = ("coerce", "check", "to_db", "from_db")
"""What changes the meaning of a number where it is overridden: the server cannot know of it."""


class HashHandle(CollectionHandle, Generic[V]):
    """A hash of one record: values by name. Names are any text."""

    __slots__ = ()

    @hiding
    async def set(self, name: str, value: V) -> bool:
        """Give *name* this value; return whether the name is new. HSET in EVALSHA, one round trip."""
        return bool(await self._write(NUMBER, "HSET", self._named(name), self._raw(value)))

    @hiding
    async def add(self, name: str, value: V) -> bool:
        """Give *name* this value if it has none; return whether it has got it. HSETNX in EVALSHA."""
        return bool(await self._write(NUMBER, "HSETNX", self._named(name), self._raw(value)))

    @hiding
    async def update(self, values: Mapping[str, V]) -> int:
        """Give many names their values; return how many names are new. HSET in EVALSHA, one round trip."""
        if not isinstance(values, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{self!r}: update() takes values by name, as in {{'a': 1}}")
        names, raws = self._names([*values]), self._raws([*values.values()])
        pairs = [part for pair in zip(names, raws, strict=True) for part in pair]
        added: int = await self._write(NUMBER, "HSET", *pairs)
        return added

    @hiding
    async def incr(self, name: str, by: int = 1) -> int:
        """Add *by*, which may be negative, to the value of *name*, 0 where it is new; return the new value.

        Of ``HashOf(Integer())`` without bounds; UsageError of others. Numbers have 64 bits: StoreError where
        the sum has more. HINCRBY in EVALSHA, one round trip.
        """
        of = self._of.of
        bounded = isinstance(of, Integer) and (of.minval is not None or of.maxval is not None)
        if not isinstance(of, Integer) or bounded or not of.__codec__.keeps(*_OWN):
            cure = "it takes a HashOf(Integer()) without bounds, with no method overridden"
            raise UsageError(f"{self!r}: incr() must be exact: {cure}")
        raw = self._named(name)
        get = (TEXT, "HGET", raw)  # as that of a counter
        _, _, text = await self._write_all(get, (NUMBER, "HINCRBY", raw, self._whole(by)), get)
        return int(number_in(text, int, writes=True))

    @hiding
    async def pop(self, name: str) -> V | None:
        """Take *name* away and return its value; None where it has none. HGET and HDEL in EVALSHA."""
        raw = self._named(name)
        found, _ = await self._write_all((TEXT, "HGET", raw), (NUMBER, "HDEL", raw))
        value: V | None = self._values([found])[0]
        return value

    @hiding
    async def discard(self, *names: str) -> int:
        """Take *names* away; return how many there were. HDEL in EVALSHA, one round trip."""
        removed: int = await self._write(NUMBER, "HDEL", *self._names(names))
        return removed

    @hiding
    async def get(self, name: str) -> V | None:
        """Return the value of *name*, None where it has none. HGET, one round trip."""
        value: V | None = await self._value("HGET", self._named(name))
        return value

    @hiding
    async def get_many(self, *names: str) -> list[V | None]:
        """Return the values of *names* in their order, None for each that has none. HMGET, one round trip."""
        raws = self._names(names)
        return self._values(await self._read(LIST, "HMGET", *raws) or [None] * len(raws))

    @hiding
    async def contains(self, name: str) -> bool:
        """Return whether *name* has a value. HEXISTS, one round trip."""
        return bool(await self._read(NUMBER, "HEXISTS", self._named(name)))

    async def items(self) -> dict[str, V]:
        """Return all values by name. HGETALL, one round trip."""
        flat: Sequence[bytes] = await self._read(LIST, "HGETALL")
        if len(flat) % 2:
            raise strange()
        values = self._values(flat[1::2])
        return dict(zip(self._texts(flat[::2]), values, strict=True))

    async def keys(self) -> list[str]:
        """Return all names. HKEYS, one round trip."""
        return self._texts(await self._read(LIST, "HKEYS"))

    async def len(self) -> int:
        """Return how many names there are. HLEN, one round trip."""
        size: int = await self._read(NUMBER, "HLEN")
        return size

    # -- names -------------------------------------------------------------------------------------

    def _named(self, name: Any) -> bytes:
        """One name as it is stored."""
        name = plain(name)
        if not isinstance(name, str):
            raise self._refuse("calls its values by text")
        try:
            return name.encode()
        except UnicodeEncodeError:
            pass
        raise self._refuse("calls its values by text, without halves of surrogate pairs")

    def _names(self, names: Sequence[Any]) -> list[bytes]:
        if not 1 <= len(names) <= MOST:
            raise UsageError(f"{self!r}: one call takes 1 to {MOST:,} names, not {len(names):,}")
        return [self._named(name) for name in names]

    def _texts(self, raws: Sequence[bytes]) -> list[str]:
        check_values(raws)
        try:
            return [raw.decode() for raw in raws]
        except UnicodeDecodeError:
            pass
        del raws  # error trackers send away what frames hold
        raise CorruptRecord(self._mapper.name, self._record.getkey(), self._of.name)
