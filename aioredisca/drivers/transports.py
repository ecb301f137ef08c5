"""The transports that a process has opened to a database: one per event loop, and one of blocking code."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from aioredisca.storage.facts import StoreFacts

if TYPE_CHECKING:
    from aioredisca.drivers.address import Address
    from aioredisca.drivers.aio.base import AsyncTransport
    from aioredisca.drivers.blocking.pool import BlockingTransport
    from aioredisca.drivers.cluster.blocking import BlockingCluster

_all: WeakSet[Transports] = WeakSet()
"""All of this process: after a fork the child's must not use the connections of the parent."""

_inherited: list[Any] = []
"""Connections of parent processes: kept, since to free them would close what the parent still uses."""


class Transports:
    """What is open to one database.

    ``by_loop``   the transports of event loops.
    ``blocking``  that of blocking code, if it was opened.
    """

    def __init__(self, address: Address, facts: StoreFacts) -> None:
        self._address, self._facts = address, facts
        self._start()
        _all.add(self)

    def _start(self) -> None:
        """Start without connections."""
        self._lock = threading.Lock()
        self.by_loop: dict[asyncio.AbstractEventLoop, AsyncTransport] = {}
        self.blocking: BlockingTransport | BlockingCluster | None = None

    def leave_to_parent(self) -> None:
        """This process is a child: what is open belongs to its parent."""
        _inherited.append((self.by_loop, self.blocking))
        if self._address.sentinels is not None:
            self._address.sentinels.start()
        self._start()

    def open_blocking(self) -> BlockingTransport | BlockingCluster:
        """The transport of blocking code."""
        kind = self._blocking_kind()
        with self._lock:
            opened = self.blocking = self.blocking or kind(self._address, self._facts)
        return opened

    # Parts for clusters are imported by those who have one.

    def _blocking_kind(self) -> type[BlockingTransport | BlockingCluster]:
        if self._address.nodes:
            from aioredisca.drivers.cluster.blocking import BlockingCluster

            return BlockingCluster
        from aioredisca.drivers.blocking.pool import BlockingTransport

        return BlockingTransport

    def _kind(self) -> type[AsyncTransport]:
        if self._address.nodes:
            from aioredisca.drivers.cluster.aio import ClusterTransport

            return ClusterTransport
        from aioredisca.drivers.aio.pool import PoolTransport
        from aioredisca.drivers.aio.tracking import CachingMultiplexer

        return CachingMultiplexer if self._address.multiplexes else PoolTransport

    def open(self, loop: asyncio.AbstractEventLoop) -> AsyncTransport:
        """A new transport for *loop*, which is running and has none."""
        kind = self._kind()
        with self._lock:
            self._drop_dead()
            opened = self.by_loop[loop] = kind(self._address, self._facts)
        return opened

    def _drop_dead(self) -> None:
        """Let go of the transports whose loops are closed: nobody else will."""
        for loop, transport in list(self.by_loop.items()):
            if loop.is_closed():
                transport.abandon()
                del self.by_loop[loop]

    async def close_of(self, loop: asyncio.AbstractEventLoop) -> None:
        """Close the transport of *loop*, which is running, if it has one."""
        opened = self.by_loop.pop(loop, None)
        if opened is not None:
            await opened.close()

    def close_blocking(self) -> None:
        """Close the transport of blocking code, if it was opened."""
        opened, self.blocking = self.blocking, None
        if opened is not None:
            opened.close()


def _after_fork() -> None:
    for transports in list(_all):
        transports.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
