"""The blocking transport: the connections of one process, shared by its threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import redis.exceptions

from aioredisca.drivers import wire
from aioredisca.drivers.blocking.connection import Peer, new_peer
from aioredisca.drivers.settings import Settings
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import CacheRegion, Call, Lock, Overlap, Reply

T = TypeVar("T")


class _Inside(threading.local):
    """Whether this thread has a call on its way, and does other work meanwhile."""

    overlap = False


_inside = _Inside()


class BlockingTransport:
    """Carries calls over up to ``max_connections`` connections; the one used last is used next."""

    def __init__(self, settings: Settings, facts: StoreFacts) -> None:
        self._settings, self._facts = settings, facts
        self._options = settings.sync_options()
        # One for each connection there may be. (To take one takes a tenth of the time of a Semaphore.)
        self._slots: queue.SimpleQueue[bool] = queue.SimpleQueue()
        for _ in range(settings.max_connections):
            self._slots.put(True)
        self._idle = list[Peer]()

    async def send_all(self, calls: Sequence[Call]) -> list[Reply]:
        return self._finish(wire.Exchange(calls, self._facts))

    async def send(self, call: Call, overlap: Overlap | None = None) -> Reply:
        replies = self._trip(wire.packed_one(call, self._facts), call.commands or 1, call.writes, overlap)
        if call.commands:
            return wire.answered(replies)
        if isinstance(replies[0], Exception):
            exchange = wire.Exchange((call,), self._facts)
            exchange.take(replies)
            replies = self._finish(exchange)
        return wire.only(replies)

    def _finish(self, exchange: wire.Exchange) -> list[Reply]:
        while exchange.pending:
            answers = self._trip(exchange.packed(), len(exchange.pending), exchange.writes)
            exchange.take(answers)
        return exchange.replies

    def cached(self, region: CacheRegion, key: str) -> Reply:
        return None  # nothing is held

    def lock(self) -> Lock:
        return BlockingLock()

    async def offload(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    def _trip(self, data: bytes, count: int, writes: bool, overlap: Overlap | None = None) -> list[Reply]:
        slot = self._slot()
        try:
            return self._send(data, count, writes, overlap)
        except wire.BROKEN as error:
            raise wire.lost(self._settings.address, error, writes=writes) from None
        finally:
            if slot:
                self._slots.put(slot)

    def _slot(self) -> bool:
        """A place for one connection, if need be waited for. False where there is none and no time to wait.

        Whoever holds one already must not wait for another: all might. It goes beyond the limit for once.
        """
        wait = 0 if _inside.overlap else self._settings.timeout
        try:
            return self._slots.get(timeout=wait)
        except queue.Empty:
            if _inside.overlap:
                return False
            raise wire.busy(self._settings.address, wait) from None

    def _send(self, data: bytes, count: int, writes: bool, overlap: Overlap | None) -> list[Reply]:
        """Send and read. Reads are sent once more if the connection breaks."""
        try:
            return self._talk(self._borrow(check=writes), data, count, overlap)
        except (redis.exceptions.TimeoutError, TimeoutError):
            raise
        except wire.BROKEN:
            if writes:
                raise
            return self._talk(self._borrow(check=True), data, count, None)

    def _borrow(self, *, check: bool) -> Peer:
        """A connection to use. *check* tells whether it must not be one that the server has closed."""
        try:
            peer = self._idle.pop()
        except IndexError:
            return self._connected(new_peer(self._settings, self._options))
        return self._connected(peer) if check and peer.is_dirty() else peer

    def _connected(self, peer: Peer) -> Peer:
        try:
            peer.connect()
        except (*wire.NO_LOGIN, *wire.BROKEN) as error:
            raise wire.no_entry(self._settings.address, error) from None
        return peer

    def _talk(self, peer: Peer, data: bytes, count: int, overlap: Overlap | None) -> list[Reply]:
        finished, home = False, self._idle
        try:
            wire.note_trips(self._facts)
            peer.send(data)
            if overlap is not None:
                _do(overlap)
            replies = peer.read(count)
            finished = True
            return replies
        finally:
            if finished and home is self._idle and len(home) < self._settings.max_connections:
                home.append(peer)
            else:  # half a reply may be left in it, the transport was closed meanwhile, or it is one too many
                peer.disconnect()

    def close(self) -> None:
        """Close all connections; those in use when they are given back."""
        idle, self._idle = self._idle, []
        for peer in idle:
            peer.disconnect()


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
