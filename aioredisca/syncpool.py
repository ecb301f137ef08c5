"""The blocking transport: the connections of one process, shared by its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis.exceptions

from . import wire
from .settings import Settings
from .types import Call, Lock, Reply

T = TypeVar("T")


class BlockingTransport:
    """Carries calls over up to ``max_connections`` connections; the one used last is used next."""

    def __init__(self, settings: Settings, memory: dict[Any, Any]) -> None:
        self._settings, self._memory = settings, memory
        self._options = settings.sync_options()
        self._slots = threading.Semaphore(settings.max_connections)
        self._idle = list[Any]()

    async def execute(self, calls: Sequence[Call]) -> list[Reply]:
        exchange = wire.Exchange(calls, self._memory)
        while exchange.pending:
            exchange.take(self._trip(exchange))
        return exchange.replies

    async def ask(self, call: Call) -> Reply:
        return wire.only(await self.execute((call,)))

    def lock(self) -> Lock:
        return BlockingLock()

    async def offload(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    def _trip(self, exchange: wire.Exchange) -> list[Reply]:
        settings = self._settings
        if not self._slots.acquire(timeout=settings.timeout):
            raise wire.busy(settings.address, settings.timeout)
        try:
            return self._send(exchange)
        except wire.BROKEN as error:
            raise wire.lost(settings.address, error, writes=exchange.writes) from None
        finally:
            self._slots.release()

    def _send(self, exchange: wire.Exchange) -> list[Reply]:
        """Send and read. Reads are sent once more if the connection breaks."""
        writes = exchange.writes
        try:
            return self._talk(self._borrow(check=writes), exchange)
        except redis.exceptions.TimeoutError:
            raise
        except wire.BROKEN:
            if writes:
                raise
            return self._talk(self._borrow(check=True), exchange)

    def _borrow(self, *, check: bool) -> Any:
        """A connection to use. *check* tells whether it must not be one that the server has closed."""
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._connected(self._settings.sync_class(**self._options))
        return self._connected(connection) if check and _is_dirty(connection) else connection

    def _connected(self, connection: Any) -> Any:
        connection.disconnect()
        try:
            connection.connect()
        except (*wire.NO_LOGIN, *wire.BROKEN) as error:
            raise wire.no_entry(self._settings.address, error) from None
        return connection

    def _talk(self, connection: Any, exchange: wire.Exchange) -> list[Reply]:
        finished, home = False, self._idle
        try:
            connection.send_packed_command([exchange.packed()])
            replies = [self._read(connection) for _ in exchange.pending]
            finished = True
            return replies
        finally:
            if finished and home is self._idle:
                home.append(connection)
            else:  # half a reply may be left in it, or the transport was closed meanwhile
                connection.disconnect()

    @staticmethod
    def _read(connection: Any) -> Reply:
        try:
            return connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except wire.ANSWERS as error:
            return error

    def close(self) -> None:
        """Close all connections; those in use when they are given back."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.disconnect()


def _is_dirty(connection: Any) -> bool:
    """Whether there is something to read before anything was asked: the end, above all."""
    try:
        return bool(connection.can_read())
    except wire.BROKEN:
        return True


class BlockingLock:
    """A lock of threads with the manners of an async one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.release = self._lock.release

    async def acquire(self) -> None:
        self._lock.acquire()
