"""The handle of a set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic

from typing_extensions import TypeVar

from aioredisca.errors import UsageError, WrongType
from aioredisca.frames import hiding
from aioredisca.persistence import asking
from aioredisca.persistence.collections.handle import CollectionHandle
from aioredisca.storage.replies import LIST, NUMBER, of_kind
from aioredisca.types import Call, Store

if TYPE_CHECKING:
    from collections.abc import Sequence

V = TypeVar("V")


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

    async def pop(self) -> V | None:
        """Take away any value and return it; None from an empty set. SPOP in EVALSHA, one round trip."""
        value: V | None = await self._value("SPOP", writes=True)
        return value

    @hiding
    async def contains(self, value: V) -> bool:
        """Return whether *value* is in the set. SISMEMBER, one round trip."""
        return bool(await self._read(NUMBER, "SISMEMBER", self._raw(value)))

    @hiding
    async def contains_many(self, *values: V) -> list[bool]:
        """Return of each of *values* whether it is in the set, in their order. SMISMEMBER, one round trip."""
        raws = self._raws(values)
        found = await self._read(LIST, "SMISMEMBER", *raws)
        return [bool(there) for there in found] or [False] * len(raws)

    async def random(self, count: int = 1) -> list[V]:
        """Return *count* random values, each once; fewer where there are no more. SRANDMEMBER."""
        return self._values(await self._read(LIST, "SRANDMEMBER", self._count(count)))

    async def members(self) -> set[V]:
        """Return all values. SMEMBERS, one round trip."""
        return {*self._values(await self._read(LIST, "SMEMBERS"))}

    async def union(self, *others: SetHandle[V]) -> set[V]:
        """Return what is in this set or in one of *others*, at one moment. SUNION, one round trip.

        UsageError where *others* hold values of another kind, or lie in another database, or in another slot
        of a cluster. Where records end and one of them is over, one more round trip reads what is left.
        """
        return await self._combined("SUNION", others)

    async def intersection(self, *others: SetHandle[V]) -> set[V]:
        """Return what is in this set and in all *others*, at one moment. SINTER; see union()."""
        return await self._combined("SINTER", others)

    async def difference(self, *others: SetHandle[V]) -> set[V]:
        """Return what is in this set and in none of *others*, at one moment. SDIFF; see union()."""
        return await self._combined("SDIFF", others)

    async def len(self) -> int:
        """Return how many values there are. SCARD, one round trip."""
        size: int = await self._read(NUMBER, "SCARD")
        return size

    # -- several sets ------------------------------------------------------------------------------

    async def _combined(self, command: str, others: Sequence[SetHandle[V]]) -> set[V]:
        store = self._store()
        handles = [self, *others]
        self._check_alike(store, others)
        schemas = [one._schema(store) for one in handles]
        keys = [one._key(schema) for one, schema in zip(handles, schemas, strict=True)]
        ending = [number for number, schema in enumerate(schemas) if schema.expires]
        asked = [handles[number]._exists(schemas[number]) for number in ending]
        call = Call((command, *keys))
        try:
            *there, reply = await asking.read_together(store, [*asked, call])
            # What stands in the place of a record that is over counts for nothing: see _read().
            over = {keys[number] for number, alive in zip(ending, there, strict=True) if not alive}
            if over:
                left = [key for key in keys if key not in over]
                if not left or command == "SINTER" or (command == "SDIFF" and keys[0] in over):
                    return set()
                call = Call((command, *left))
                reply = await asking.read(store, call)
        except WrongType:
            raise WrongType(keys[0], place="collection") from None
        return {*self._values(of_kind(reply, LIST, call))}

    def _check_alike(self, store: Store, others: Sequence[Any]) -> None:
        slot = self._schema(store).keys.slot
        for other in others:
            if not isinstance(other, SetHandle):
                raise UsageError(f"{self!r}: is combined with sets of records, not {type(other).__name__}")
            if type(other._of.of) is not type(self._of.of):
                raise UsageError(f"{self!r} and {other!r} hold values of different kinds")
            if other._store() is not store:
                raise UsageError(f"{self!r} and {other!r} lie in different databases")
            if store.clustered and other._schema(store).keys.slot != slot:
                raise UsageError(
                    f"{self!r} and {other!r} lie in different slots of the cluster: read members() of both"
                )
