"""A pool of redis-py connections: each call has one to itself while it lasts.

For connections that many calls cannot share at once (see :mod:`aioredisca.drivers.aio.multiplexer`), and for
whoever asks.
"""

from __future__ import annotations

import asyncio
import copy
from contextlib import suppress
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from aioredisca.drivers import internals, translate
from aioredisca.drivers.address import Address
from aioredisca.drivers.aio.base import AsyncTransport, connect, hold, read_reply
from aioredisca.drivers.aio.once import Once
from aioredisca.drivers.aio.primary import Watch, located
from aioredisca.drivers.fence import endings
from aioredisca.drivers.limits import pause
from aioredisca.drivers.pooled import PooledTransport
from aioredisca.errors import RediscaError, StoreError
from aioredisca.storage.facts import Peer, StoreFacts
from aioredisca.types import Overlap, Reply


class _Progress:
    """How far a round trip came: it decides what running out of time means."""

    stage = "wait"

    def meaning(self, address: Address, error: TimeoutError, *, writes: bool) -> StoreError:
        if self.stage == "wait":
            return translate.busy(address.place, address.timeout)
        if self.stage == "connect":
            return translate.no_connection(address.place, error)
        return translate.lost(address.place, error, writes=writes)


class PoolTransport(PooledTransport, AsyncTransport):
    """Carries calls over up to ``max_connections`` connections; the one used last is used next."""

    def __init__(self, address: Address, facts: StoreFacts) -> None:
        super().__init__(address, facts)
        self._slots, self._turn = asyncio.Semaphore(address.max_connections), asyncio.Lock()
        self._made = self._failures = 0
        self._error: RediscaError | None = None
        self._all, self._idle = set[Any](), list[Any]()
        self._peers = WeakKeyDictionary[Any, Peer]()
        self._watch, self._once = Watch(address), Once[Address]()
        # In the process's own memory nothing is waited for: the loop would get no turn, nor a time limit.
        self._travels = "server" not in address.options

    async def _round_trip(
        self, data: bytes, count: int, writes: bool, overlap: Overlap | None
    ) -> list[Reply]:
        """Wait for a connection, send and read, all within one deadline."""
        progress = _Progress()
        try:
            async with asyncio.timeout(self._address.timeout), self._slots:
                replies = await self._exchange(data, count, writes, progress)
        except TimeoutError as error:
            raise progress.meaning(self._address, error, writes=writes) from None
        finally:
            data = b""
        if not self._travels:
            await asyncio.sleep(0)
        return replies

    async def _exchange(self, data: bytes, count: int, writes: bool, progress: _Progress) -> list[Reply]:
        """Send and read. Reads are sent once more if the connection breaks."""
        try:
            return await self._talk(data, count, writes, progress)
        except translate.BROKEN as error:
            if writes:
                data = b""
                raise translate.lost(self._address.place, error, writes=True) from None
        try:
            return await self._talk(data, count, writes, progress)
        except translate.BROKEN as error:
            raise translate.lost(self._address.place, error, writes=False) from None
        finally:
            data = b""

    async def _talk(self, data: bytes, count: int, writes: bool, progress: _Progress) -> list[Reply]:
        connection, finished = await self._borrow(progress), False
        try:
            if self.facts.given_up:
                await self._end_others(connection)
            progress.stage = "talk"
            self.facts.round_trips += 1
            await connection.send_packed_command(data)
            replies = [await read_reply(connection) for _ in range(count)]
            finished = True
            if self._address.sentinels is not None and any(map(translate.is_no_primary, replies)):
                self._address.sentinels.left((connection.host, connection.port))
            return replies
        finally:
            if finished and connection in self._all:
                self._idle.append(connection)
            else:  # half a reply may be left in it, or the transport was closed meanwhile
                if writes and not finished and progress.stage == "talk":
                    self._give_up(connection)
                await self._drop(connection)

    def _place_of(self, connection: Any) -> str:
        peer = self._peers.get(connection)
        return self._address.place if peer is None else peer.place

    async def _end_others(self, connection: Any) -> None:
        try:
            await hold(connection, endings(self.facts, self._place_of(connection)))
        except translate.BROKEN as error:
            raise translate.no_connection(self._address.place, error) from None

    def _give_up(self, connection: Any) -> None:
        """What was on its way over *connection* must not happen any more, once others go on."""
        if peer := self._peers.get(connection):
            self.facts.given_up.add(peer)

    async def _borrow(self, progress: _Progress) -> Any:
        progress.stage = "connect"
        return await self._ready() or await self._connect()

    async def _ready(self) -> Any:
        """An idle connection that the server has not closed, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(*translate.BROKEN):
                if self._is_primary(connection) and not await internals.has_data(connection):
                    return connection
            await self._drop(connection)
        return None

    def _is_primary(self, connection: Any) -> bool:
        """Whether *connection* leads where it should."""
        sentinels = self._address.sentinels
        return sentinels is None or sentinels.primary == (connection.host, connection.port)

    async def _connect(self) -> Any:
        """A new connection. While the server is away one task tries at a time, for all."""
        if not self._failures:
            return await self._try()
        made = self._made
        async with self._turn:
            if self._error is not None and self._made != made:
                raise copy.copy(self._error)
            if self._failures:
                await asyncio.sleep(pause(self._failures))
            return await self._try()

    async def _try(self) -> Any:
        try:
            connection = await self._opened()
        except RediscaError as error:
            self._failures, self._error = self._failures + 1, copy.copy(error)
            raise
        else:
            self._failures, self._error = 0, None
            return connection
        finally:
            self._made += 1

    async def _opened(self) -> Any:
        try:
            connection, peer = await connect(await self._located(), self.facts)
        except (*translate.NO_LOGIN, *translate.BROKEN) as error:
            raise translate.no_entry(self._address.place, error) from None
        self._all.add(connection)
        if peer is not None:
            self._peers[connection] = peer
        self._watch.start()
        self._own(partial(_close_all, self._all, self._watch))
        return connection

    async def _located(self) -> Address:
        """The address to connect to. If many want to at once, one asks the sentinels for all."""
        if self._address.sentinels is None:
            return self._address
        return await self._once.ask(partial(located, self._address))

    async def _drop(self, connection: Any) -> None:
        self._all.discard(connection)
        await connection.disconnect(nowait=True)

    async def close(self) -> None:
        """Close all connections. What is on the way is told that they are lost."""
        self._once.stop()
        self._idle.clear()
        await super().close()

    def abandon(self) -> None:
        """Let go of the connections of a loop that is closed already."""
        self._watch.stop()
        for connection in self._all:
            with suppress(RuntimeError):  # the loop cannot be told any more
                internals.hang_up(connection)


async def _close_all(connections: set[Any], watch: Watch) -> None:
    watch.stop()
    while connections:
        await connections.pop().disconnect()
