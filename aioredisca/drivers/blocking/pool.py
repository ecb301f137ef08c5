"""The blocking transport: the connections of one process, shared by its threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import redis.exceptions

from aioredisca.drivers import translate
from aioredisca.drivers.address import Address
from aioredisca.drivers.blocking.attempts import Attempts
from aioredisca.drivers.blocking.connection import Connection, new_connection
from aioredisca.drivers.blocking.primary import Inquiry
from aioredisca.drivers.blocking.slots import Slot, Slots
from aioredisca.drivers.fence import endings
from aioredisca.drivers.pooled import PooledTransport
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import CacheRegion, Lock, Overlap, Reply

T = TypeVar("T")


class _Inside(threading.local):
    """Whether this thread has a call on its way, and does other work meanwhile."""

    overlap = False


_inside = _Inside()


class BlockingManners:
    """What every transport of blocking code does alike. See :class:`~aioredisca.types.Transport`."""

    def cached(self, region: CacheRegion, key: str) -> Reply:
        return None  # nothing is held

    def lock(self) -> Lock:
        return BlockingLock()

    async def offload(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    async def sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 (there is no loop)


class BlockingTransport(BlockingManners, PooledTransport):
    """Carries calls over up to ``max_connections`` connections; the one used last is used next."""

    def __init__(self, address: Address, facts: StoreFacts) -> None:
        self._address, self.facts = address, facts
        self._options = address.sync_options()
        self._slots = Slots(address.max_connections)
        self._attempts = Attempts()
        self._idle = list[Connection]()
        self._sentinels = address.sentinels
        self._inquiry = Inquiry(address.sentinels, address.connect_timeout) if address.sentinels else None

    async def _round_trip(
        self, data: bytes, count: int, writes: bool, overlap: Overlap | None
    ) -> list[Reply]:
        slot = self._slot()
        try:
            return self._send(data, count, writes, overlap)
        except translate.BROKEN as error:
            raise translate.lost(self._address.place, error, writes=writes) from None
        finally:
            data = b""
            if slot is not None:
                self._slots.give(slot)

    def _slot(self) -> Slot | None:
        """A place for one connection, if need be waited for. None where there is none and no time to wait.

        Whoever holds one already must not wait for another: all might. It goes beyond the limit for once.
        """
        wait = 0 if _inside.overlap else self._address.timeout
        slot = self._slots.take(wait)
        if slot is None and wait:
            raise translate.busy(self._address.place, wait)
        return slot

    def _send(self, data: bytes, count: int, writes: bool, overlap: Overlap | None) -> list[Reply]:
        """Send and read. Reads are sent once more if the connection breaks."""
        try:
            return self._talk(self._borrow(), data, count, writes, overlap)
        except (redis.exceptions.TimeoutError, TimeoutError):
            raise
        except translate.BROKEN:
            if writes:
                raise
            return self._talk(self._borrow(), data, count, writes, None)

    def _borrow(self) -> Connection:
        """A connection to use: on which nothing is to be read that would count as the answer to come."""
        if self._inquiry is not None:
            self._inquiry.look()
        try:
            connection = self._idle.pop()
        except IndexError:
            return self._connected(new_connection(self._address, self._options, self.facts))
        if connection.is_dirty() or (self._sentinels and self._sentinels.primary != connection.node):
            return self._connected(connection)
        if self.facts.given_up:
            self._end_others(connection)
        return connection

    def _end_others(self, connection: Connection) -> None:
        try:
            connection.hold(endings(self.facts, connection.place))
        except translate.BROKEN as error:
            raise translate.no_connection(connection.place, error) from None

    def _connected(self, connection: Connection) -> Connection:
        self._attempts.make(lambda: self._connect(connection))
        return connection

    def _connect(self, connection: Connection) -> None:
        start, address = time.monotonic(), self._address
        if self._inquiry is not None:
            address = address.at(self._inquiry.primary())
        try:
            connection.connect(address)
            if time.monotonic() - start > self._address.timeout:  # by looking up the name, above all
                connection.disconnect()
                raise TimeoutError
        except (*translate.NO_LOGIN, *translate.BROKEN) as error:
            if self._sentinels:
                raise self._sentinels.unreachable(address.node, error) from None
            raise translate.no_entry(address.place, error) from None

    def _talk(
        self, connection: Connection, data: bytes, count: int, writes: bool, overlap: Overlap | None
    ) -> list[Reply]:
        finished, home = False, self._idle
        try:
            self.facts.round_trips += 1
            connection.send(data)
            if overlap is not None:
                _do(overlap)
            replies = connection.read(count)
            finished = True
            if self._sentinels and any(map(translate.is_no_primary, replies)):
                self._sentinels.left(connection.node)
            return replies
        finally:
            if finished and home is self._idle and len(home) < self._address.max_connections:
                home.append(connection)
            else:  # half a reply may be left in it, the transport was closed meanwhile, or it is one too many
                if writes and not finished and connection.peer:  # must not happen any more, once others go on
                    self.facts.given_up.add(connection.peer)
                connection.disconnect()

    def close(self) -> None:
        """Close all connections; those in use when they are given back."""
        idle, self._idle = self._idle, []
        for connection in idle:
            connection.disconnect()
        if self._inquiry is not None:
            self._inquiry.close()


def _do(work: Overlap) -> None:
    outer, _inside.overlap = _inside.overlap, True
    try:
        work()
    finally:
        _inside.overlap = outer


class BlockingLock:
    """A lock of threads with the manners of an async one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.release = self._lock.release

    async def acquire(self) -> None:
        self._lock.acquire()
