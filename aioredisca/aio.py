"""The asyncio transport: a redis-py connection pool behind a semaphore, with deadlines of our own.

One transport belongs to one event loop. Its connections are owned by an async generator, which the loop
closes when it ends (``asyncio.run``) and when the transport is dropped before: no socket is left over.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, TypeVar

import anyio
import anyio.to_thread
import redis.asyncio as client

from . import wire
from .errors import StoreError
from .settings import Settings
from .types import Call, Reply

T = TypeVar("T")


class _Trip:
    """How far a round trip came: it decides what running out of time means."""

    stage = "wait"
    finished = False

    def meaning(self, settings: Settings, exchange: wire.Exchange, error: TimeoutError) -> StoreError:
        if self.stage == "wait":
            return wire.busy(settings.address, settings.timeout)
        if self.stage == "connect":
            return wire.no_connection(settings.address, error)
        return wire.lost(settings.address, exchange, error)


class AsyncTransport:
    """Carries calls over up to ``max_connections`` connections of one loop."""

    def __init__(self, settings: Settings, memory: dict[Any, Any]) -> None:
        self._settings, self._memory = settings, memory
        self._slots = asyncio.Semaphore(settings.max_connections)
        self._pool: Any = client.ConnectionPool(
            connection_class=settings.async_class,
            max_connections=settings.max_connections,
            **settings.async_options(),
        )
        self._workers = anyio.CapacityLimiter(os.cpu_count() or 1)  # password hashing takes 64 MiB at a time
        self.loop = asyncio.get_running_loop()
        self._keeper = _keep(self._pool)
        # An empty context: else the generator would pin the session of the first request for ever.
        contextvars.Context().run(_start, self._keeper)

    async def execute(self, calls: Sequence[Call]) -> list[Reply]:
        exchange = wire.Exchange(calls, self._memory)
        while exchange.pending:
            exchange.take(await self._trip(exchange))
        return exchange.replies

    def lock(self) -> AbstractAsyncContextManager[Any]:
        return asyncio.Lock()

    async def offload(self, function: Callable[..., T], *args: Any) -> T:
        return await anyio.to_thread.run_sync(function, *args, limiter=self._workers)

    async def _trip(self, exchange: wire.Exchange) -> list[Reply]:
        """Wait for a connection, send and read, all within one deadline."""
        settings, trip = self._settings, _Trip()
        try:
            async with asyncio.timeout(settings.timeout), self._slots:
                connection = await self._connect(trip)
                try:
                    return await self._talk(connection, exchange, trip)
                finally:
                    if not trip.finished:  # half a reply may be left in it: it is never used again
                        await connection.disconnect(nowait=True)
                    await self._pool.release(connection)
        except TimeoutError as error:
            raise trip.meaning(settings, exchange, error) from None

    async def _connect(self, trip: _Trip) -> Any:
        trip.stage = "connect"
        try:
            return await self._pool.get_connection()
        except wire.NO_LOGIN as error:
            raise wire.translated(error) from None
        except wire.BROKEN as error:
            raise wire.no_connection(self._settings.address, error) from None

    async def _talk(self, connection: Any, exchange: wire.Exchange, trip: _Trip) -> list[Reply]:
        trip.stage = "talk"
        try:
            commands = exchange.commands()
            await connection.send_packed_command(connection.pack_commands(commands))
            replies = [await self._read(connection) for _ in commands]
        except wire.BROKEN as error:
            raise wire.lost(self._settings.address, exchange, error) from None
        trip.finished = True
        return replies

    @staticmethod
    async def _read(connection: Any) -> Reply:
        try:
            return await connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except wire.NO_LOGIN as error:
            return error

    async def close(self) -> None:
        """Close all connections."""
        await self._keeper.aclose()

    def abandon(self) -> None:
        """Let go of the connections of a loop that is closed already."""
        for connection in [*self._pool._available_connections, *self._pool._in_use_connections]:
            writer, connection._writer = connection._writer, None
            if writer is not None and self.loop.is_closed():
                writer.transport.abort()


async def _keep(pool: Any) -> AsyncGenerator[None]:
    """Own the connections of *pool*: whoever closes this closes them."""
    try:
        yield
    finally:
        await pool.disconnect()


def _start(keeper: AsyncGenerator[None]) -> None:
    """Run *keeper* up to its ``yield``, which makes it known to the running loop."""
    with suppress(StopIteration):
        keeper.asend(None).send(None)
