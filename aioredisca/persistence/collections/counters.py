"""The handle of a counter."""

from __future__ import annotations

from aioredisca.frames import hiding
from aioredisca.persistence.collections.handle import CollectionHandle, number_in
from aioredisca.storage.replies import NUMBER, TEXT


class CounterHandle(CollectionHandle):
    """A counter of one record."""

    __slots__ = ()

    @hiding
    async def incr(self, by: int = 1) -> int:
        """Add *by*, which may be negative; return the new number. INCRBY in EVALSHA, one round trip.

        Numbers have 64 bits: StoreError where the sum has more.
        """
        # As text, for a number in a script is exact up to 2^53 only; first so that it cannot fail afterwards.
        get = (TEXT, "GET")
        _, _, text = await self._write_all(get, (NUMBER, "INCRBY", self._whole(by)), get)
        return int(number_in(text, int, writes=True))

    async def get(self) -> int:
        """Return the number. GET, one round trip."""
        found = await self._read(TEXT, "GET")
        return 0 if found is None else int(number_in(found, int))
