"""``Database``: one database, without a colour. It hands out the transport of whoever asks.

redis-py takes longer to import than all the rest, so it is imported by the first Database, not before.
"""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import get_running_loop
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet

from aioredisca.drivers.run import driving
from aioredisca.errors import DriverMisuse, UsageError
from aioredisca.storage.facts import StoreFacts
from aioredisca.storage.keys import bad_namespace
from aioredisca.types import Transport

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    from aioredisca.drivers.aio.base import AsyncTransport
    from aioredisca.drivers.blocking.pool import BlockingTransport
    from aioredisca.drivers.settings import Settings

DEFAULT_URL = "redis://localhost:6379/0"

TRANSPORTS = ("auto", "fast", "public", "pool")

_servers: dict[str, Any] = {}
"""The stores of ``memory://name``, shared by name within the process."""

_opening = threading.Lock()

_databases: WeakSet[Database] = WeakSet()
"""All of this process: after a fork the child's must not use the connections of the parent."""

_inherited: list[Any] = []
"""Connections of parent processes: kept, since to free them would close what the parent still uses."""


class Database:
    """A database: nothing connects before the first command.

    ``source``           a URL (``memory://`` private, ``memory://name`` shared in the process,
                         ``redis:// rediss:// unix:// valkey:// valkeys://``) or a redis-py client of
                         either colour, which is read and not used. Default: ``$REDISCA_URL``, else
                         ``redis://localhost:6379/0``.
    ``namespace``        goes before every key, as in ``app:``.
    ``max_connections``  of blocking code per process, and of ``transport="pool"`` per event loop (50).
    ``timeout``          seconds that one round trip may take, and that a call waits to be sent (5).
    ``connect_timeout``  seconds that connecting may take (1).
    ``transport``        how asyncio code connects. ``"auto"``: one connection per event loop carries the
                         calls of all tasks, in the fastest form that its class allows. ``"public"``: the
                         same over public methods of redis-py only. ``"pool"``: a connection per call.
    """

    def __init__(
        self,
        source: object = None,
        *,
        namespace: str = "",
        max_connections: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        transport: Literal["auto", "fast", "public", "pool"] = "auto",
    ) -> None:
        if reason := bad_namespace(namespace):
            raise UsageError(f"Database(namespace={namespace!r}): {reason}")
        limits = {"max_connections": max_connections, "timeout": timeout, "connect_timeout": connect_timeout}
        self._limits: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
        for name, value in self._limits.items():
            if value <= 0:
                raise UsageError(f"Database({name}={value!r}): must be more than 0")
        if transport not in TRANSPORTS:
            raise UsageError(f"Database(transport={transport!r}): is one of {', '.join(TRANSPORTS)}")
        self._limits["transport"] = transport
        self._namespace = namespace
        self._settings, self._name = self._read(
            os.environ.get("REDISCA_URL") or DEFAULT_URL if source is None else source
        )
        # What this process learns of the server; of fakeredis it is known.
        fake = "server" in self._settings.options
        self.facts = StoreFacts(read_only_scripts=not fake, sort_in_scripts=True if fake else None)
        self._reset()
        _databases.add(self)

    def _read(self, source: object) -> tuple[Settings, str]:
        from aioredisca.drivers.settings import Settings, memory_settings, read_source

        if isinstance(source, str) and source.startswith("memory://"):
            settings, name = memory_settings(_memory_server(source.removeprefix("memory://"))), source
        else:
            settings, name = read_source(source)
        return Settings(**{**vars(settings), **self._limits}), name

    def _reset(self) -> None:
        """Start without connections."""
        self._lock = threading.Lock()
        self._by_loop: dict[asyncio.AbstractEventLoop, AsyncTransport] = {}
        self._blocking: BlockingTransport | None = None

    @property
    def namespace(self) -> str:
        """What goes before every key."""
        return self._namespace

    @property
    def stale_rows(self) -> dict[str, int]:
        """How many rows of an index were dropped because their record said otherwise, by key prefix.

        More than none means that somebody else writes to this store.
        """
        return dict(self.facts.stale_rows)

    @property
    def round_trips(self) -> int:
        """How many round trips this process has made to it, connecting not counted."""
        return self.facts.round_trips

    def __repr__(self) -> str:
        return f"<Database {self._name}{f' namespace {self._namespace!r}' if self._namespace else ''}>"

    def __reduce__(self) -> Any:
        raise TypeError("a Database is not pickled: it holds connections and secrets")

    # -- transports --------------------------------------------------------------------------------

    @property
    def cached(self) -> dict[str, int]:
        """How many records the running event loop holds for classes with ``conf(cache=n)``, by key prefix."""
        transport = self._of_loop()
        return {} if transport is None else transport.held()

    def _of_loop(self) -> AsyncTransport | None:
        """The transport of the running event loop, if there are both."""
        try:
            return self._by_loop.get(get_running_loop())
        except RuntimeError:
            return None

    def transport(self) -> Transport:
        """The transport of the running event loop, or of blocking code under ``run``."""
        if driving():
            return self._blocking or self._open_blocking()
        try:
            loop = get_running_loop()
        except RuntimeError:
            raise DriverMisuse(
                "no asyncio event loop is running: await this under asyncio, "
                "or finish it with aioredisca.sync.run()"
            ) from None
        return self._by_loop.get(loop) or self._open(loop)

    def _open_blocking(self) -> BlockingTransport:
        from aioredisca.drivers.blocking.pool import BlockingTransport

        if self._settings.sync_class is None:
            raise DriverMisuse(
                f"{self!r} was made from an asyncio client that cannot be copied: use Database(url)"
            )
        with self._lock:
            self._blocking = self._blocking or BlockingTransport(self._settings, self.facts)
        return self._blocking

    def _open(self, loop: asyncio.AbstractEventLoop) -> AsyncTransport:
        from aioredisca.drivers.aio.pool import PoolTransport
        from aioredisca.drivers.aio.tracking import CachingMultiplexer

        if self._settings.async_class is None:
            raise DriverMisuse(
                f"{self!r} was made from a blocking client that asyncio cannot copy: use Database(url)"
            )
        kind = CachingMultiplexer if self._settings.multiplexes else PoolTransport
        with self._lock:
            self._drop_dead()
            opened = self._by_loop[loop] = kind(self._settings, self.facts)
        return opened

    def _drop_dead(self) -> None:
        """Let go of the transports whose loops are closed: nobody else will."""
        for loop, transport in list(self._by_loop.items()):
            if loop.is_closed():
                transport.abandon()
                del self._by_loop[loop]

    # -- raw clients and closing -------------------------------------------------------------------

    @property
    def client(self) -> redis.asyncio.Redis:
        """A new redis-py asyncio client of this database, for raw commands. Close it with ``aclose()``."""
        import redis.asyncio

        settings = self._settings
        pool = redis.asyncio.ConnectionPool(connection_class=settings.async_class, **settings.async_options())
        return redis.asyncio.Redis.from_pool(pool)

    @property
    def sync_client(self) -> redis.Redis:
        """A new redis-py blocking client of this database, for raw commands. Close it with ``close()``."""
        import redis

        settings = self._settings
        pool = redis.ConnectionPool(connection_class=settings.sync_class, **settings.sync_options())
        return redis.Redis.from_pool(pool)

    async def aclose(self) -> None:
        """Close the connections of the running event loop and of blocking code. It can be used again."""
        found = self._by_loop.pop(get_running_loop(), None)
        if found is not None:
            await found.close()
        self.close()

    def close(self) -> None:
        """Close the connections of blocking code. It can be used again."""
        held, self._blocking = self._blocking, None
        if held is not None:
            held.close()


def _after_fork() -> None:
    for database in list(_databases):
        _inherited.append((database._by_loop, database._blocking))
        database._reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _memory_server(name: str) -> Any:
    from aioredisca.drivers.settings import new_memory_server

    if not name:
        return new_memory_server()
    with _opening:
        if name not in _servers:
            _servers[name] = new_memory_server()
        return _servers[name]


def open_database(source: object) -> Database:
    """A Database as it is, or one made of whatever names it."""
    return source if isinstance(source, Database) else Database(source)
