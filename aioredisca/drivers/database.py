"""``Database``: one database, without a colour. It hands out the transport of whoever asks.

redis-py takes longer to import than all the rest, so it is imported by the first Database, not before.
"""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import get_running_loop
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal
from weakref import WeakSet, WeakValueDictionary

from aioredisca.drivers.limits import MIN_ARGUMENTS, check_limits, check_wait, max_arguments_at
from aioredisca.drivers.run import driving
from aioredisca.drivers.transports import Transports
from aioredisca.errors import DriverMisuse, UsageError
from aioredisca.frames import hiding
from aioredisca.storage.codecs import plain, whole_in
from aioredisca.storage.facts import MAX_ARGUMENTS, StoreFacts
from aioredisca.storage.keys import bad_namespace
from aioredisca.types import READ_FROM, WAIT, ReadFrom, Transport

if TYPE_CHECKING:
    import redis
    import redis.asyncio

    from aioredisca.drivers.address import Address
    from aioredisca.drivers.aio.base import AsyncTransport
    from aioredisca.drivers.blocking.pool import BlockingTransport
    from aioredisca.drivers.cluster.blocking import BlockingCluster

DEFAULT_URL = "redis://localhost:6379/0"

MAX_WAITING = 10_000
"""Calls of a process that stand on the server at once: as many connections as a server takes by default."""

TRANSPORTS = ("auto", "fast", "public", "pool")
EVICTION = ("warn", "refuse", "allow")

_servers: dict[str, Any] = {}
"""The stores of ``memory://name``, shared by name within the process."""

_known: WeakValueDictionary[object, WeakSet[StoreFacts]] = WeakValueDictionary()
"""What was learned of each database by all Databases of it."""

_opening = threading.Lock()


class Database:
    """A database: nothing connects before the first command.

    ``source``           a URL (``memory://`` private, ``memory://name`` shared in the process,
                         ``redis:// rediss:// unix:// valkey:// valkeys://``, for a cluster
                         ``redis+cluster://host:7000,host:7001``, see docs/cluster.md, and for sentinels
                         ``redis+sentinel://host1,host2,host3/service/0``, see docs/sentinel.md), as text or
                         as an object such as pydantic's ``RedisDsn``; or a redis-py client of either colour,
                         which is read and not used. Default: ``$REDISCA_URL``, else ``redis://localhost:6379/0``.
    ``namespace``        goes before every key, as in ``app:``.
    ``max_connections``  of blocking code per process, and of ``transport="pool"`` per event loop (50).
    ``timeout``          seconds that one round trip may take, and that a call waits to be sent (5).
    ``connect_timeout``  seconds that connecting may take (1).
    ``transport``        how asyncio code connects. ``"auto"``: one connection per event loop carries the
                         calls of all tasks, in the fastest form that its class allows. ``"public"``: the
                         same over public methods of redis-py only. ``"pool"``: a connection per call.
    ``eviction``         what to do where the server may throw records away when its memory is full, by a
                         ``maxmemory-policy`` of all keys, or a volatile one for classes whose records
                         end: ``"warn"`` once (EvictionWarning), ``"refuse"`` the first write of each
                         class (StoreError), or ``"allow"`` it. It is looked at where the user may INFO.
    ``read_from``        of a cluster: ``"replica"`` has replicas answer loads by id and queries. They lag:
                         see docs/cluster.md. Writes, and what they look at, are the primary's. A query
                         may say it for itself: ``User.all().read_from("replica")``.
    ``wait``             replicas that are to have each write before it counts as done (0): else it is
                         OutcomeUnknown. asyncio code takes a connection per call then.
    ``max_arguments``    arguments of one command that the server takes (1,048,576; of ElastiCache Serverless
                         3,999, which its address tells): batches and lists of values are cut by it.
    """

    @hiding
    def __init__(
        self,
        source: object = None,
        *,
        namespace: str = "",
        max_connections: int | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        transport: Literal["auto", "fast", "public", "pool"] = "auto",
        eviction: Literal["warn", "refuse", "allow"] = "warn",
        read_from: ReadFrom = "primary",
        wait: int = 0,
        max_arguments: int | None = None,
    ) -> None:
        namespace = plain(namespace)
        if reason := bad_namespace(namespace):
            raise UsageError(f"Database(namespace={namespace!r}): {reason}")
        self._namespace = namespace
        limits = _checked_limits(
            max_connections=max_connections, timeout=timeout, connect_timeout=connect_timeout
        )
        if max_arguments is not None and whole_in(max_arguments, MIN_ARGUMENTS, MAX_ARGUMENTS) is None:
            raise UsageError(
                f"Database(max_arguments={max_arguments!r}): must be a whole number from {MIN_ARGUMENTS:,} "
                f"to {MAX_ARGUMENTS:,}"
            )
        if transport not in TRANSPORTS:
            raise UsageError(f"Database(transport={transport!r}): is one of {', '.join(TRANSPORTS)}")
        if eviction not in EVICTION:
            raise UsageError(f"Database(eviction={eviction!r}): is one of {', '.join(EVICTION)}")
        if read_from not in READ_FROM:
            raise UsageError(f"Database(read_from={read_from!r}): is one of {', '.join(READ_FROM)}")
        self._eviction: Literal["warn", "refuse", "allow"] = eviction
        address, self._name = _read(
            os.environ.get("REDISCA_URL") or DEFAULT_URL if source is None else source
        )
        if read_from == "replica" and not address.nodes:
            raise UsageError(
                'Database(read_from="replica"): only a cluster tells of its replicas: write redis+cluster:// '
                "in the URL"
            )
        check_wait(wait, transport, memory="server" in address.options)
        self._address = replace(address, transport=transport, read_from=read_from, wait=wait, **limits)
        # What this process learns of the server; of fakeredis it is known.
        fake = "server" in address.options
        self.facts = StoreFacts(
            read_only_scripts=not fake,
            sort_in_scripts=True if fake else None,
            sort_alone=not self.clustered,  # only scripts are guarded while a slot moves
            fences=not fake,
            waits=not fake,
            whole=fake,
            max_arguments=max_arguments or max_arguments_at(self._address.hosts),
        )
        self.facts.neighbours = _known.setdefault(self._address.database, self.facts.neighbours)
        self.facts.neighbours.add(self.facts)
        self._transports = Transports(self._address, self.facts)
        self._waiting = Transports(_for_waiting(self._address), self.facts)

    @property
    def namespace(self) -> str:
        """What goes before every key."""
        return self._namespace

    @property
    def eviction(self) -> Literal["warn", "refuse", "allow"]:
        """What is done where the server may throw records away."""
        return self._eviction

    @property
    def clustered(self) -> bool:
        """Whether keys lie in slots of several nodes, so that one call may touch one slot only."""
        return bool(self._address.nodes)

    @property
    def read_from(self) -> ReadFrom:
        """Who answers loads and queries that say nothing else."""
        return self._address.read_from

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
        return {} if transport is None else transport.cached_counts()

    def _of_loop(self) -> AsyncTransport | None:
        """The transport of the running event loop, if there are both."""
        try:
            return self._transports.by_loop.get(get_running_loop())
        except RuntimeError:
            return None

    def transport(self) -> Transport:
        """The transport of the running event loop, or of blocking code under ``run``."""
        transports = self._transports
        if driving():
            return transports.blocking or self._open_blocking(transports)
        try:
            loop = get_running_loop()
        except RuntimeError:
            raise DriverMisuse(
                "no asyncio event loop is running: await this under asyncio, "
                "or finish it with aioredisca.sync.run()"
            ) from None
        return transports.by_loop.get(loop) or self._open(transports, loop)

    def waiting(self) -> Transport:
        """The same for calls that may stand on the server for a while: each has a connection of its own."""
        transports = self._waiting
        if driving():
            return transports.blocking or self._open_blocking(transports)
        loop = get_running_loop()
        return transports.by_loop.get(loop) or self._open(transports, loop)

    def _open_blocking(self, transports: Transports) -> BlockingTransport | BlockingCluster:
        if self._address.sync_class is None:
            raise DriverMisuse(
                f"{self!r} was made from an asyncio client that cannot be copied: use Database(url)"
            )
        return transports.open_blocking()

    def _open(self, transports: Transports, loop: asyncio.AbstractEventLoop) -> AsyncTransport:
        if self._address.async_class is None:
            raise DriverMisuse(
                f"{self!r} was made from a blocking client that asyncio cannot copy: use Database(url)"
            )
        return transports.open(loop)

    # -- raw clients and closing -------------------------------------------------------------------

    @property
    def client(self) -> redis.asyncio.Redis:
        """A new redis-py asyncio client of this database, for raw commands. Close it with ``aclose()``.

        That of a cluster is a ``RedisCluster``.
        """
        import redis.asyncio

        address = self._address
        if address.nodes:
            from aioredisca.drivers.cluster.topology import new_client

            client: redis.asyncio.Redis = new_client(address)
            return client
        if address.sentinels is not None:
            from aioredisca.drivers.aio.primary import raw_client

            return raw_client(address)
        pool = redis.asyncio.ConnectionPool(connection_class=address.async_class, **address.async_options())
        return redis.asyncio.Redis.from_pool(pool)

    @property
    def sync_client(self) -> redis.Redis:
        """A new redis-py blocking client of this database, for raw commands. Close it with ``close()``.

        That of a cluster is a ``RedisCluster``, which asks the cluster at once.
        """
        import redis

        address = self._address
        if address.nodes:
            from aioredisca.drivers.cluster.topology import new_blocking_client

            client: redis.Redis = new_blocking_client(address)
            return client
        if address.sentinels is not None:
            from aioredisca.drivers.blocking.primary import raw_client

            return raw_client(address)
        pool = redis.ConnectionPool(connection_class=address.sync_class, **address.sync_options())
        return redis.Redis.from_pool(pool)

    async def sentinels(self) -> dict[str, Mapping[str, Any] | str]:
        """What each sentinel of the URL says of the service, by its place, in either colour.

        As redis-py tells it (``flags``, ``quorum``, ``num-slaves`` ...); a text where it says nothing of it.
        Nothing without sentinels. SENTINEL MASTERS, one round trip to each.
        """
        if self._address.sentinels is None:
            return {}
        if driving():
            from aioredisca.drivers.blocking import primary as blocking

            return blocking.told(self._address)
        from aioredisca.drivers.aio import primary as asynchronous

        return await asynchronous.told(self._address)

    async def nodes(self) -> dict[str, Transport]:
        """What carries calls to each node of a cluster that serves slots, by its place, in either colour."""
        transport: Any = self.transport()
        return await transport.nodes() if self._address.nodes else {}

    async def aclose(self) -> None:
        """Close the connections of the running event loop and of blocking code. It can be used again."""
        for transports in (self._transports, self._waiting):
            await transports.close_of(get_running_loop())
        self.close()

    def close(self) -> None:
        """Close the connections of blocking code. It can be used again."""
        self._transports.close_blocking()
        self._waiting.close_blocking()


def _for_waiting(address: Address) -> Address:
    """The address for calls that stand on the server for a while: they share no connection."""
    return replace(address, transport="pool", timeout=address.timeout + WAIT, max_connections=MAX_WAITING)


def _checked_limits(**limits: float | None) -> dict[str, Any]:
    """Those that are given."""
    given = {name: value for name, value in limits.items() if value is not None}
    check_limits("Database({}={!r})", given)
    return given


def _read(source: object) -> tuple[Address, str]:
    """The address that *source* names, and a name without secrets."""
    from aioredisca.drivers.address import memory_address, read_source

    if hasattr(source, "scheme") and (hasattr(source, "host") or hasattr(source, "hosts")):
        # a URL as an object, such as pydantic's RedisDsn, and MultiHostUrl for a cluster
        source = str(source)
    if isinstance(source, str) and source.startswith("memory://"):
        name = source.removeprefix("memory://")
        return memory_address(_memory_server(name)), f"memory://{name.rpartition('@')[2]}"
    return read_source(source)


def _memory_server(name: str) -> Any:
    from aioredisca.drivers.address import new_memory_server

    if not name:
        return new_memory_server()
    with _opening:
        if name not in _servers:
            _servers[name] = new_memory_server()
        return _servers[name]


@hiding
def open_database(source: object) -> Database:
    """A Database as it is, or one made of whatever names it."""
    return source if isinstance(source, Database) else Database(source)
