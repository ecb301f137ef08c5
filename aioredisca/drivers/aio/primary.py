"""Asking the sentinels of a service who its primary is, under asyncio."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis, SSLConnection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool

from aioredisca.drivers import internals, translate
from aioredisca.drivers.address import Address
from aioredisca.drivers.sentinels import CHECK, Answer, Node, Sentinels, State
from aioredisca.errors import RediscaError
from aioredisca.storage.replies import MISREAD, strange

new_manager: Any = Sentinel
"""Redis-py's, which carries no types."""

_tasks = set[asyncio.Task[None]]()
"""Those that watch: a loop itself refers to its tasks weakly."""


class Inquiry:
    """Asks the sentinels, over connections of its own, until it is closed."""

    def __init__(self, sentinels: Sentinels, seconds: float) -> None:
        """*seconds*: how long to wait for the answer of each."""
        self._sentinels, self._seconds = sentinels, seconds
        # No socket timeout: on Python 3.11 it swallows cancellations.
        options = {**sentinels.options, "socket_timeout": None, "socket_connect_timeout": seconds}
        options["single_connection_client"] = True
        self._manager = new_manager(sentinels.hosts, sentinels.others, options)
        self._clients: dict[Node, Any] = dict(zip(sentinels.hosts, self._manager.sentinels, strict=True))

    async def primary(self) -> Node:
        """The primary, as they name it."""
        answers = await self.answers(self._sentinels.asked())
        return self._sentinels.choose(answers, self._manager.check_master_state)

    async def answers(self, hosts: Sequence[Node]) -> dict[Node, Answer]:
        """What *hosts* say, all at once. SENTINEL MASTERS."""
        answers = await asyncio.gather(*(self._ask(self._clients[host]) for host in hosts))
        return dict(zip(hosts, answers, strict=True))

    async def _ask(self, sentinel: Any) -> Answer:
        try:
            async with asyncio.timeout(self._seconds):
                masters: Answer = await sentinel.sentinel_masters()
        except (*translate.BROKEN, *translate.NO_LOGIN) as error:
            return error
        except MISREAD:
            return strange()
        return masters

    def close(self) -> None:
        """Close the connections at once: the loop may be about to end."""
        for sentinel in self._clients.values():
            connection, sentinel.connection = sentinel.connection, None
            if connection is not None:
                internals.hang_up(connection)


async def located(address: Address) -> Address:
    """The address of the primary, asked for if sentinels are to name it. In a task with an empty context."""
    if address.sentinels is None:
        return address
    inquiry = Inquiry(address.sentinels, address.connect_timeout)
    try:
        return address.at(await inquiry.primary())
    finally:
        inquiry.close()


async def told(address: Address) -> dict[str, State | str]:
    """What each sentinel says of the service: see :meth:`Sentinels.told`."""
    sentinels = address.sentinels
    assert sentinels is not None
    inquiry = Inquiry(sentinels, address.connect_timeout)
    try:
        return sentinels.told(await inquiry.answers(sentinels.hosts))
    finally:
        inquiry.close()


class Watch:
    """Asks again every so often, between ``start`` and ``stop``, and tells the sentinels' word to all."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        sentinels = self._address.sentinels
        if sentinels is not None and (self._task is None or self._task.done()):
            loop = asyncio.get_running_loop()
            watching = _watch(sentinels, self._address.connect_timeout)
            self._task = task = loop.create_task(watching, context=contextvars.Context())
            _tasks.add(task)
            task.add_done_callback(_tasks.discard, context=contextvars.Context())

    def stop(self) -> None:
        if self._task is not None:
            _tasks.discard(self._task)  # from here on the loop holds it, if it still lives
            with suppress(RuntimeError):  # it does not
                self._task.cancel()


async def _watch(sentinels: Sentinels, seconds: float) -> None:
    inquiry = Inquiry(sentinels, seconds)
    try:
        while True:
            await asyncio.sleep(CHECK)
            if sentinels.due():
                with suppress(RediscaError):  # as long as nobody names another, the primary stays
                    sentinels.heard(await inquiry.primary())
    finally:
        inquiry.close()


def raw_client(address: Address) -> Redis:
    """A client of redis-py whose connections ask the sentinels."""
    sentinels = address.sentinels
    assert sentinels is not None
    manager = new_manager(sentinels.hosts, sentinels.others, dict(sentinels.options))
    tls = issubclass(address.async_class, SSLConnection)
    client: Redis = manager.master_for(
        sentinels.service, connection_pool_class=_Pool, ssl=tls, **address.async_options()
    )
    return client


class _Pool(SentinelConnectionPool):
    """One that closes what is open to the sentinels as well."""

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:
            manager: Any = self.sentinel_manager
            for sentinel in manager.sentinels:
                await sentinel.aclose()
