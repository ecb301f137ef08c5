"""Asking the sentinels of a service who its primary is, in blocking code."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis import Redis, SSLConnection
from redis.sentinel import Sentinel, SentinelConnectionPool

from aioredisca.drivers import translate
from aioredisca.drivers.address import Address
from aioredisca.drivers.blocking.attempts import Once
from aioredisca.drivers.sentinels import Answer, Node, Sentinels, State
from aioredisca.errors import RediscaError
from aioredisca.storage.replies import MISREAD, strange

new_manager: Any = Sentinel
"""Redis-py's, which carries no types."""


class Inquiry:
    """Asks the sentinels, one after the other, over connections of its own, until it is closed."""

    def __init__(self, sentinels: Sentinels, seconds: float) -> None:
        """*seconds*: how long to wait for the answer of each."""
        self._sentinels, self._once = sentinels, Once[Node]()
        options = {**sentinels.options, "socket_timeout": seconds, "socket_connect_timeout": seconds}
        self._manager = new_manager(sentinels.hosts, sentinels.others, options)
        self._clients: dict[Node, Any] = dict(zip(sentinels.hosts, self._manager.sentinels, strict=True))

    def primary(self) -> Node:
        """The primary, as they name it. If many threads want to know at once, one asks for all."""
        return self._once.ask(self._primary)

    def _primary(self) -> Node:
        return self._sentinels.choose(self.answers(self._sentinels.asked()), self._manager.check_master_state)

    def answers(self, hosts: Sequence[Node]) -> dict[Node, Answer]:
        """What *hosts* say. SENTINEL MASTERS."""
        return {host: _ask(self._clients[host]) for host in hosts}

    def look(self) -> None:
        """Ask if it is time to: then nobody goes on with a primary that was replaced."""
        if self._sentinels.due():
            with suppress(RediscaError):  # as long as nobody names another, the primary stays
                self._sentinels.heard(self.primary())

    def close(self) -> None:
        """Close the connections. It can be used again."""
        for sentinel in self._clients.values():
            sentinel.close()


def told(address: Address) -> dict[str, State | str]:
    """What each sentinel says of the service: see :meth:`Sentinels.told`."""
    sentinels = address.sentinels
    assert sentinels is not None
    inquiry = Inquiry(sentinels, address.connect_timeout)
    try:
        return sentinels.told(inquiry.answers(sentinels.hosts))
    finally:
        inquiry.close()


def _ask(sentinel: Any) -> Answer:
    try:
        masters: Answer = sentinel.sentinel_masters()
    except (*translate.BROKEN, *translate.NO_LOGIN) as error:
        return error
    except MISREAD:
        return strange()
    return masters


def raw_client(address: Address) -> Redis:
    """A client of redis-py whose connections ask the sentinels."""
    sentinels = address.sentinels
    assert sentinels is not None
    manager = new_manager(sentinels.hosts, sentinels.others, dict(sentinels.options))
    tls = issubclass(address.sync_class, SSLConnection)
    client: Redis = manager.master_for(
        sentinels.service, connection_pool_class=_Pool, ssl=tls, **address.sync_options()
    )
    return client


class _Pool(SentinelConnectionPool):
    """One that closes what is open to the sentinels as well."""

    def disconnect(self, inuse_connections: bool = True) -> None:
        super().disconnect(inuse_connections)
        if inuse_connections:
            manager: Any = self.sentinel_manager
            for sentinel in manager.sentinels:
                sentinel.close()
