"""Loads that are answered from memory, for classes with ``conf(cache=n)``, until somebody changes the record.

They go over a connection of their own, on which the server tracks what is read (CLIENT TRACKING, Redis 6
and later) and tells of every change, in between the replies. So a reply is put into memory where it is read
off the wire: a task that awaits it would come too late, for the word that it is out of date may follow in
the same packet. Silence proves nothing: after :data:`LEASE` seconds of it the next load asks the server, and
a connection that is lost takes along all that was read over it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import hiredis
import redis.exceptions

from aioredisca.drivers import internals
from aioredisca.drivers.address import Address
from aioredisca.drivers.aio.base import connect
from aioredisca.drivers.aio.connection import Connection, SocketConnection
from aioredisca.drivers.aio.multiplexer import Multiplexer
from aioredisca.drivers.aio.primary import located
from aioredisca.drivers.aio.requests import Batch, Owner, Request
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import CacheRegion, Call, Reply

LEASE = 5.0
"""Seconds of silence after which a connection has to prove that it would have told of changes."""


class ClientCache:
    """The replies in memory, by region and by key of the record, those used last at the end.

    ``connection``  over which the server tells of changes; nothing is held without one.

    A load that is under way is expected; its reply is kept only if nothing was heard of the record meanwhile.
    """

    def __init__(self) -> None:
        self.connection: TrackedConnection | None = None
        self._regions: dict[CacheRegion, OrderedDict[str, Reply]] = {}
        self._expected: dict[str, Call] = {}

    def get(self, region: CacheRegion, key: str) -> Reply:
        """What is held of *key*, or None where that is nothing, or may be out of date."""
        replies, connection = self._regions.get(region), self.connection
        if replies is None or connection is None or (reply := replies.get(key)) is None:
            return None
        if connection.silent():
            return None
        replies.move_to_end(key)
        return reply

    def sizes(self) -> dict[str, int]:
        """How many replies there are, by region."""
        return {region.name: len(replies) for region, replies in self._regions.items()}

    def expect(self, calls: Iterable[Call]) -> None:
        """These calls are about to be sent."""
        for call in calls:
            self._expected[_key(call)] = call

    def give_up(self, calls: Iterable[Call]) -> None:
        """Nobody waits for these any more."""
        for call in calls:
            if self._expected.get(_key(call)) is call:
                del self._expected[_key(call)]

    def keep(self, call: Call, reply: Reply) -> None:
        """Remember what is still expected."""
        key = _key(call)
        if self._expected.get(key) is call and not isinstance(reply, Exception):
            del self._expected[key]
            self._put(call, key, reply)

    def _put(self, call: Call, key: str, reply: Reply) -> None:
        assert call.cache_region is not None
        replies = self._regions.setdefault(call.cache_region, OrderedDict())
        replies[key] = reply
        replies.move_to_end(key)
        if len(replies) > call.cache_region.size:
            replies.popitem(last=False)

    def forget(self, keys: Iterable[Any]) -> None:
        """These records are not what they were."""
        if not self._regions and not self._expected:
            return
        for key in keys:
            name = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key
            self._expected.pop(name, None)
            for replies in self._regions.values():
                replies.pop(name, None)

    def forget_regions(self, names: Sequence[str]) -> None:
        """Any record of these regions may not be what it was."""
        if names:
            for region in [region for region in self._regions if region.name in names]:
                del self._regions[region]
            expected = list(self._expected.values())
            self.give_up(call for call in expected if call.cache_region and call.cache_region.name in names)

    def clear(self) -> None:
        """Forget everything."""
        self._regions.clear()
        self._expected.clear()


def _key(call: Call) -> str:
    """The key that a load reads."""
    return str(call.args[1])


class Untracked(Exception):
    """The server does not track, or does not let this user."""


class TrackedConnection(SocketConnection):
    """One on which the server tells of changes to what was read over it."""

    def __init__(
        self, owner: Owner, raw: Any, address: Address, stream: asyncio.Transport, cache: ClientCache
    ) -> None:
        super().__init__(owner, raw, None, address, stream)  # it carries no writes
        self._cache = cache

    def silent(self) -> bool:
        """Whether nothing was heard for so long that changes may have gone untold."""
        return self._loop.time() - self._heard > LEASE

    def _take(self, replies: Iterable[Reply]) -> None:
        super()._take(self._kept(replies))

    def _kept(self, replies: Iterable[Reply]) -> Iterator[Reply]:
        """The replies that somebody has asked for, each kept; words of the server in between are heard."""
        for reply in replies:
            if isinstance(reply, hiredis.PushNotification):
                self._hear(reply)
                continue
            batch = self._sent[0]  # of loads alone, which are no scripts: all of them are answered at once
            self._cache.keep(cast("Batch", batch).next_call, reply)
            yield reply

    def _hear(self, push: list[Any]) -> None:
        if push[0] == b"invalidate":
            if push[1] is None:  # FLUSHALL
                self._cache.clear()
            else:
                self._cache.forget(push[1])

    def _retire(self) -> None:
        self._end()
        super()._retire()

    def _lose(self, error: BaseException) -> None:
        self._end()
        super()._lose(error)

    def _end(self) -> None:
        """From here on nothing may be told any more."""
        if self._cache.connection is self:
            self._cache.connection = None
            self._cache.clear()


class TrackingMultiplexer(Multiplexer):
    """Carries the loads that are remembered, over a tracked connection."""

    def __init__(self, address: Address, facts: StoreFacts, cache: ClientCache) -> None:
        super().__init__(replace(address, protocol=3), facts)
        self._cache = cache

    async def _connect(self) -> Connection:
        address = await located(self._address)
        raw, _ = await connect(address, self.facts)
        try:
            stream = await self._tracked(raw)
        except BaseException:
            await raw.disconnect(nowait=True)
            raise
        opened = TrackedConnection(self, raw, address, stream, self._cache)
        self._cache.connection = opened
        return opened

    async def _tracked(self, raw: Any) -> asyncio.Transport:
        """The socket of a connection on which the server tracks from now on."""
        stream = internals.stream_of(raw) if self._address.transport != "public" else None
        if stream is None:
            raise Untracked("redis-py's own reading hands on no word of the server")
        try:
            await raw.send_command("CLIENT", "TRACKING", "ON")
            await raw.read_response()
        except redis.exceptions.ResponseError as error:
            raise Untracked(str(error)) from None
        return stream


class CachingMultiplexer(Multiplexer):
    """A multiplexer that answers loads from memory where their class asks for it and the server tracks."""

    def __init__(self, address: Address, facts: StoreFacts) -> None:
        super().__init__(address, facts)
        self._cache = ClientCache()
        self._tracker: TrackingMultiplexer | None = None

    def cached(self, region: CacheRegion, key: str) -> Reply:
        return self._cache.get(region, key)

    def _forget(self, request: Request) -> None:
        """What *request* writes is not what it was, or will not be.

        Whatever became of it: the server tells of a change a moment later than it answers.
        """
        for call in request.calls:
            if call.writes:
                self._cache.forget(call.keys)
                self._cache.forget_regions(call.reaches)

    async def load_all(self, calls: Sequence[Call]) -> list[Reply]:
        if not self.facts.tracking or self.facts.given_up:  # which the other connection ends first
            return await self.request_all(calls)
        if self._tracker is None:
            self._tracker = TrackingMultiplexer(self._address, self.facts, self._cache)
            self.on_written = self._forget
        held = [self._cache.get(call.cache_region, _key(call)) for call in calls if call.cache_region]
        missing = [call for call, reply in zip(calls, held, strict=True) if reply is None]
        if not missing:
            return held
        self._cache.expect(missing)
        try:
            replies = iter(await self._tracker.request_all(missing))
        except Untracked:
            self.facts.tracking = False
            return await self.request_all(calls)
        finally:
            self._cache.give_up(missing)
        return [next(replies) if reply is None else reply for reply in held]

    def cached_counts(self) -> dict[str, int]:
        return self._cache.sizes()

    async def close(self) -> None:
        if self._tracker is not None:
            await self._tracker.close()
        await super().close()

    def abandon(self) -> None:
        if self._tracker is not None:
            self._tracker.abandon()
        super().abandon()
