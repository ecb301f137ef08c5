"""A redis-py connection pool behind a semaphore: one call has one connection at a time.

For connections that many calls cannot share at once (see :mod:`aioredisca.mux`), and for whoever asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import redis.asyncio as client

from . import wire
from .aio import AsyncTransport
from .errors import StoreError
from .settings import Settings
from .types import Call, Reply


class _Trip:
    """How far a round trip came: it decides what running out of time means."""

    stage = "wait"
    finished = False

    def meaning(self, settings: Settings, error: TimeoutError, *, writes: bool) -> StoreError:
        if self.stage == "wait":
            return wire.busy(settings.address, settings.timeout)
        if self.stage == "connect":
            return wire.no_connection(settings.address, error)
        return wire.lost(settings.address, error, writes=writes)


class PoolTransport(AsyncTransport):
    """Carries calls over up to ``max_connections`` connections of one loop."""

    def __init__(self, settings: Settings, memory: dict[Any, Any]) -> None:
        super().__init__(settings, memory)
        self._slots = asyncio.Semaphore(settings.max_connections)
        self._pool: Any = client.ConnectionPool(
            connection_class=settings.async_class,
            max_connections=settings.max_connections,
            **settings.async_options(),
        )

    async def execute(self, calls: Sequence[Call]) -> list[Reply]:
        exchange = wire.Exchange(calls, self._memory)
        self._own(self._pool.disconnect)
        while exchange.pending:
            exchange.take(await self._trip(exchange))
        return exchange.replies

    async def _trip(self, exchange: wire.Exchange) -> list[Reply]:
        """Wait for a connection, send and read, all within one deadline."""
        trip = _Trip()
        try:
            async with asyncio.timeout(self._settings.timeout), self._slots:
                return await self._send(exchange, trip)
        except TimeoutError as error:
            raise trip.meaning(self._settings, error, writes=exchange.writes) from None

    async def _send(self, exchange: wire.Exchange, trip: _Trip) -> list[Reply]:
        """Send and read. Reads are sent once more if the connection breaks."""
        for last in (exchange.writes, True):
            connection = await self._connect(trip)
            try:
                return await self._talk(connection, exchange, trip)
            except wire.BROKEN as error:
                if last:
                    raise wire.lost(self._settings.address, error, writes=exchange.writes) from None
            finally:
                if not trip.finished:  # half a reply may be left in it: it is never used again
                    await connection.disconnect(nowait=True)
                await self._pool.release(connection)
        raise AssertionError  # the second try answers or raises

    async def _connect(self, trip: _Trip) -> Any:
        trip.stage = "connect"
        try:
            return await self._pool.get_connection()
        except (*wire.NO_LOGIN, *wire.BROKEN) as error:
            raise wire.no_entry(self._settings.address, error) from None

    async def _talk(self, connection: Any, exchange: wire.Exchange, trip: _Trip) -> list[Reply]:
        trip.stage = "talk"
        await connection.send_packed_command(exchange.packed())
        replies = [await self._read(connection) for _ in exchange.pending]
        trip.finished = True
        return replies

    @staticmethod
    async def _read(connection: Any) -> Reply:
        try:
            return await connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except wire.ANSWERS as error:
            return error

    def abandon(self) -> None:
        """Let go of the connections of a loop that is closed already."""
        for connection in [*self._pool._available_connections, *self._pool._in_use_connections]:
            writer, connection._writer = connection._writer, None
            if writer is not None:
                with suppress(RuntimeError):  # the loop cannot be told any more
                    writer.transport.abort()
