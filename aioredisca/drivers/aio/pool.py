"""A pool of redis-py connections: each call has one to itself while it lasts.

For connections that many calls cannot share at once (see :mod:`aioredisca.mux`), and for whoever asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aioredisca.drivers import wire
from aioredisca.drivers.aio.base import AsyncTransport, connect
from aioredisca.drivers.settings import Settings
from aioredisca.errors import StoreError
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Call, Overlap, Reply


class _Trip:
    """How far a round trip came: it decides what running out of time means."""

    stage = "wait"

    def meaning(self, settings: Settings, error: TimeoutError, *, writes: bool) -> StoreError:
        if self.stage == "wait":
            return wire.busy(settings.address, settings.timeout)
        if self.stage == "connect":
            return wire.no_connection(settings.address, error)
        return wire.lost(settings.address, error, writes=writes)


class PoolTransport(AsyncTransport):
    """Carries calls over up to ``max_connections`` connections; the one used last is used next."""

    def __init__(self, settings: Settings, facts: StoreFacts) -> None:
        super().__init__(settings, facts)
        self._slots = asyncio.Semaphore(settings.max_connections)
        self._all, self._idle = set[Any](), list[Any]()

    async def send_all(self, calls: Sequence[Call]) -> list[Reply]:
        exchange = wire.Exchange(calls, self.facts)
        while exchange.pending:
            answers = await self._trip(exchange.packed(), len(exchange.pending), exchange.writes)
            exchange.take(answers)
        return exchange.replies

    async def send(self, call: Call, overlap: Overlap | None = None) -> Reply:
        if call.commands:
            return wire.answered(await self._trip(call.packed, call.commands, False))
        return wire.only(await self.send_all((call,)))

    async def _trip(self, data: bytes, count: int, writes: bool) -> list[Reply]:
        """Wait for a connection, send and read, all within one deadline."""
        trip = _Trip()
        try:
            async with asyncio.timeout(self._settings.timeout), self._slots:
                return await self._exchange(data, count, writes, trip)
        except TimeoutError as error:
            raise trip.meaning(self._settings, error, writes=writes) from None

    async def _exchange(self, data: bytes, count: int, writes: bool, trip: _Trip) -> list[Reply]:
        """Send and read. Reads are sent once more if the connection breaks."""
        try:
            return await self._talk(data, count, trip)
        except wire.BROKEN as error:
            if writes:
                raise wire.lost(self._settings.address, error, writes=True) from None
        try:
            return await self._talk(data, count, trip)
        except wire.BROKEN as error:
            raise wire.lost(self._settings.address, error, writes=False) from None

    async def _talk(self, data: bytes, count: int, trip: _Trip) -> list[Reply]:
        connection, finished = await self._borrow(trip), False
        try:
            wire.note_trips(self.facts)
            await connection.send_packed_command(data)
            replies = [await self._read(connection) for _ in range(count)]
            finished = True
            return replies
        finally:
            if finished and connection in self._all:
                self._idle.append(connection)
            else:  # half a reply may be left in it, or the transport was closed meanwhile
                await self._drop(connection)

    async def _borrow(self, trip: _Trip) -> Any:
        trip.stage = "connect"
        connection = await self._ready() or await self._connect()
        trip.stage = "talk"
        return connection

    async def _ready(self) -> Any:
        """An idle connection that the server has not closed, if there is one."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(*wire.BROKEN):
                if not await connection.can_read():
                    return connection
            await self._drop(connection)
        return None

    async def _connect(self) -> Any:
        try:
            connection = await connect(self._settings)
        except (*wire.NO_LOGIN, *wire.BROKEN) as error:
            raise wire.no_entry(self._settings.address, error) from None
        self._all.add(connection)
        self._own(partial(_close_all, self._all))
        return connection

    async def _drop(self, connection: Any) -> None:
        self._all.discard(connection)
        await connection.disconnect(nowait=True)

    @staticmethod
    async def _read(connection: Any) -> Reply:
        try:
            return await connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except wire.ANSWERS as error:
            return error

    async def close(self) -> None:
        """Close all connections. What is on the way is told that they are lost."""
        self._idle.clear()
        await super().close()

    def abandon(self) -> None:
        """Let go of the connections of a loop that is closed already."""
        for connection in self._all:
            writer, connection._writer = connection._writer, None
            if writer is not None:
                with suppress(RuntimeError):  # the loop cannot be told any more
                    writer.transport.abort()


async def _close_all(connections: set[Any]) -> None:
    while connections:
        await connections.pop().disconnect()
