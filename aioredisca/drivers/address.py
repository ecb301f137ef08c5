"""How to reach a server: read off a URL or a redis-py client, and given to connections of both colours."""

from __future__ import annotations

import importlib
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel
from redis.asyncio import connection as async_connection
from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

from aioredisca.drivers import internals
from aioredisca.drivers.sentinels import Node as Node
from aioredisca.drivers.sentinels import Sentinels
from aioredisca.drivers.urls import (
    CLUSTERS,
    SCHEMES,
    SENTINELS,
    check_database,
    check_options,
    place_text,
    read_cluster_url,
    read_sentinel_url,
    read_url,
)
from aioredisca.errors import UsageError
from aioredisca.types import ReadFrom

_TWINS: dict[type[Any], type[Any]] = {
    Connection: async_connection.Connection,
    SSLConnection: async_connection.SSLConnection,
    UnixDomainSocketConnection: async_connection.UnixDomainSocketConnection,
}

_KEPT = {
    *("host", "port", "db", "path", "username", "password", "credential_provider", "client_name", "server"),
    *("socket_keepalive", "socket_keepalive_options", "socket_type"),
    *("ssl_keyfile", "ssl_certfile", "ssl_cert_reqs", "ssl_ca_certs", "ssl_ca_path", "ssl_ca_data"),
    *("ssl_check_hostname", "ssl_password", "ssl_min_version", "ssl_ciphers", "ssl_include_verify_flags"),
    *("ssl_exclude_verify_flags", "ssl_validate_ocsp", "ssl_validate_ocsp_stapled", "ssl_ocsp_context"),
    *("ssl_ocsp_expected_cert",),
}
"""Options of a connection that say where and as whom. Decoding, retries and timeouts are ours."""

_BLOCKING_ONLY = {
    *("ssl_validate_ocsp", "ssl_validate_ocsp_stapled", "ssl_ocsp_context", "ssl_ocsp_expected_cert"),
}
"""Checks that the asyncio connections of redis-py cannot make, and so must not be asked for by them."""

_SENTINEL_POOLS = (redis.sentinel.SentinelConnectionPool, redis.asyncio.sentinel.SentinelConnectionPool)

_PINNED = {"protocol": 2, "retry": None, "decode_responses": False, "health_check_interval": 0}
"""No retries: a client that sends a write twice cannot be made exact."""

_KINDS = {"redis": Connection, "rediss": SSLConnection, "unix": UnixDomainSocketConnection}


@dataclass(frozen=True)
class Address:
    """A server, with all that a connection to it is made of: its classes, options and limits.

    A class is None where its colour is not to be had. ``nodes`` are those that a cluster was named by: who
    serves it is asked of them. Only an address of one node, made by :meth:`at`, can be connected to then.
    With ``sentinels`` the host is missing until they are asked, and is that which they name.
    """

    async_class: Any
    sync_class: Any
    options: dict[str, Any] = field(repr=False)
    max_connections: int = 50
    timeout: float = 5.0
    connect_timeout: float = 1.0
    transport: str = "auto"
    protocol: int = 2
    nodes: tuple[Node, ...] = ()
    remap: Callable[[Node], Node] | None = None
    """Where a node of a cluster is reached that calls itself so, if it is elsewhere."""
    read_from: ReadFrom = "primary"
    wait: int = 0
    """Replicas that are to have a write before it counts as done."""
    sentinels: Sentinels | None = None

    def at(self, node: Node, *, replica: bool = False) -> Address:
        """The address of whom sentinels named, or of a node of a cluster; of a *replica* to be read."""
        options = {**self.options, "host": node[0], "port": node[1]}
        if replica:
            options["redis_connect_func"] = _log_in_to_replica
        return replace(self, options=options, nodes=())

    @property
    def node(self) -> Node:
        """The host and port of one server."""
        return self.options["host"], self.options["port"]

    @property
    def multiplexes(self) -> bool:
        """Whether asyncio tasks share one connection, rather than each borrowing one from a pool.

        Not by default in the process's own memory, where nothing travels and nothing is won; and not where
        writes wait for replicas, which all that comes behind them over the same connection would do, too.
        """
        shareable = issubclass(self.async_class, async_connection.AbstractConnection)
        return (
            self.transport != "pool"
            and not self.wait
            and shareable
            and (self.transport != "auto" or "server" not in self.options)
        )

    @property
    def hosts(self) -> list[str]:
        """The names of its hosts; none where it is no host, or not known yet."""
        return [host for host, _ in self.nodes] or [str(self.options.get("host") or "")]

    @property
    def place(self) -> str:
        """Where the server is, for people; never as whom."""
        if "server" in self.options:
            return "memory://"
        if self.nodes:
            return ",".join(map(place_text, self.nodes))
        if "path" in self.options:
            return f"unix://{self.options['path']}"
        if self.sentinels is not None and "host" not in self.options:
            return self.sentinels.place
        return f"{self.options.get('host', 'localhost')}:{self.options.get('port', 6379)}"

    @property
    def database(self) -> object:
        """Equal for addresses of one database, as far as they tell: another name of its host does not."""
        server = self.options.get("server")
        return (self.place if server is None else id(server), self.options.get("db") or 0)

    def async_options(self) -> dict[str, Any]:
        # No socket timeout: on Python 3.11 it swallows cancellations. The deadline is the transport's.
        return {**self._pinned(), "socket_timeout": None, "socket_connect_timeout": self.connect_timeout}

    def sync_options(self) -> dict[str, Any]:
        replica = "redis_connect_func" in self.options
        return {
            **self._pinned(),
            **({"redis_connect_func": _log_in_to_replica_blocking} if replica else {}),
            "socket_timeout": self.timeout,
            "socket_connect_timeout": self.connect_timeout,
        }

    def _pinned(self) -> dict[str, Any]:
        return {**self.options, **_PINNED, "protocol": self.protocol}


async def _log_in_to_replica(connection: Any) -> None:
    """Log in, and have a replica answer reads."""
    await connection.on_connect()
    await connection.send_command("READONLY")
    await connection.read_response()


def _log_in_to_replica_blocking(connection: Any) -> None:
    connection.on_connect()
    connection.send_command("READONLY")
    connection.read_response()


def read_source(source: object) -> tuple[Address, str]:
    """Address, and a name without secrets, for a URL or a redis-py client."""
    if isinstance(source, str):
        scheme = source.strip().partition("://")[0]
        if scheme in CLUSTERS:
            return _read_cluster_url(source)
        return _read_sentinel_url(source) if scheme in SENTINELS else _read_url(source)
    if isinstance(source, redis.RedisCluster | redis.asyncio.RedisCluster):
        return _read_cluster(source)
    if isinstance(source, redis.Redis | redis.asyncio.Redis):
        return _read_client(source)
    if isinstance(source, redis.sentinel.Sentinel | redis.asyncio.sentinel.Sentinel):
        raise UsageError("a database is one service of a Sentinel: take what its master_for(name) makes")
    raise UsageError(f"a database is a URL or a redis-py client, not {type(source).__name__}")


def _read_url(url: str) -> tuple[Address, str]:
    options, name = read_url(url)
    return _limited(_KINDS[SCHEMES[name.partition(":")[0]]], options), name


def _read_cluster_url(url: str) -> tuple[Address, str]:
    nodes, options, name = read_cluster_url(url)
    kind = _KINDS[CLUSTERS[name.partition(":")[0]]]
    return replace(_limited(kind, options), nodes=tuple(nodes)), name


def _read_cluster(source: Any) -> tuple[Address, str]:
    """A client of a cluster is read, not used, as one of a server is."""
    manager = source.nodes_manager
    options = dict(manager.connection_kwargs)
    for one in ("host", "port"):  # of the first node
        options.pop(one, None)
    kind = options.get("connection_class") or (SSLConnection if options.get("ssl") else Connection)
    nodes = tuple((node.host, int(node.port)) for node in manager.startup_nodes.values())
    for host, _ in nodes:
        check_options({**options, "host": host}, _no_way)
    check_database(options, _no_way)
    address = replace(_address(*_pair(kind), options), nodes=nodes, remap=manager.address_remap)
    return address, address.place


def _read_sentinel_url(url: str) -> tuple[Address, str]:
    hosts, service, own, options, name = read_sentinel_url(url)
    address = _limited(_KINDS[SENTINELS[name.partition(":")[0]]], options)
    return _watched(address, hosts, service, own), name


def _watched(
    address: Address, hosts: Sequence[Node], service: str, own: dict[str, Any], others: int = 0
) -> Address:
    """The *address* with sentinels, to which connections have the options *own*."""
    kind = SSLConnection if own["ssl"] else Connection  # which may differ from those of the servers
    asking = _address(kind, _TWINS[kind], own)
    options = {name: value for name, value in asking.options.items() if name not in ("db", "host", "port")}
    sentinels = Sentinels(hosts, service, {**options, **_PINNED, "ssl": own["ssl"]}, others)
    async_class = address.async_class if asking.async_class else None
    return replace(address, async_class=async_class, sentinels=sentinels)


def _limited(kind: Any, options: dict[str, Any]) -> Address:
    """The address that a URL means, with the limits that it names."""
    names = {"max_connections": "max_connections", "socket_timeout": "timeout"}
    names["socket_connect_timeout"] = "connect_timeout"
    limits = {ours: options[name] for name, ours in names.items() if name in options}
    return _address(kind, _TWINS.get(kind), options, **limits)


def _address(sync_class: Any, async_class: Any, options: dict[str, Any], **limits: Any) -> Address:
    kept = {n: value for n, value in options.items() if n in _KEPT and (value or n not in _BLOCKING_ONLY)}
    if kept.keys() & _BLOCKING_ONLY:
        async_class = None
    for name in [name for name in kept if name.startswith("ssl_")]:
        classes = [kind for kind in (async_class, sync_class) if kind is not None]
        if all(internals.takes(kind, name) for kind in classes):
            continue
        if kept[name] is None:  # as clients have what nobody has set
            del kept[name]
        elif async_class is not None and any(internals.takes(kind, name) for kind in classes):
            async_class = None
        else:
            raise UsageError(f"{name} takes a newer redis-py than {redis.__version__}")
    if kept.get("ssl_cert_reqs", "required") in ("none", None, ssl.CERT_NONE):
        kept["ssl_check_hostname"] = False  # without a certificate there is no name to check
    return Address(async_class, sync_class, kept, **limits)


def _read_client(source: Any) -> tuple[Address, str]:
    """A client is read, not used: its decoding, timeouts and retries would not do."""
    pool = source.connection_pool
    kind, options = pool.connection_class, dict(pool.connection_kwargs)
    if isinstance(pool, _SENTINEL_POOLS):
        return _read_sentinel_client(pool)
    if "server" not in options:  # of fakeredis, which reaches no host
        check_options(options, _no_way)
    address = _address(*_pair(kind), options)
    return address, f"{address.place}/{address.options.get('db') or 0}"


def _read_sentinel_client(pool: Any) -> tuple[Address, str]:
    """What ``Sentinel(...).master_for(...)`` has made."""
    manager, options = pool.sentinel_manager, dict(pool.connection_kwargs)
    if not pool.is_master:
        raise UsageError("reading from replicas is not supported: take the client that master_for() makes")
    if getattr(manager, "_force_master_ip", None) is not None:
        raise UsageError("a client with force_master_ip= is not copied: let sentinels announce the address")
    asked = [sentinel.connection_pool for sentinel in manager.sentinels]
    own = [dict(one.connection_kwargs) for one in asked]
    for every in (options, *own):
        check_options(every, _no_way)
    address = _address(*_pair(SSLConnection if _is_tls(pool) else Connection), options)
    address = _watched(
        address,
        [(one["host"], int(one["port"])) for one in own],
        pool.service_name,
        {**own[0], "ssl": _is_tls(asked[0])},
        manager.min_other_sentinels,
    )
    return address, f"{address.place}/{options.get('db') or 0}"


def _is_tls(pool: Any) -> bool:
    return issubclass(pool.connection_class, SSLConnection | async_connection.SSLConnection)


def _no_way(reason: str) -> UsageError:
    return UsageError(f"the client cannot connect: {reason}")


def _pair(kind: Any) -> tuple[Any, Any]:
    """A connection class and its twin of the other colour: known ones, and fakeredis by its server."""
    for sync_class, async_class in _TWINS.items():
        if kind in (sync_class, async_class):
            return sync_class, async_class
    if kind.__module__.partition(".")[0] == "fakeredis":
        return fake_classes()
    return (None, kind) if issubclass(kind, async_connection.AbstractConnection) else (kind, None)


def fake_classes() -> tuple[Any, Any]:
    """The connection classes of fakeredis. UsageError where it is not installed."""
    try:
        fake = importlib.import_module("fakeredis")
        importlib.import_module("lupa")
    except ImportError:
        raise UsageError("memory:// needs fakeredis: pip install 'aioredisca[memory]'") from None
    return fake.FakeRedisConnection, fake.FakeAsyncRedisConnection


def memory_address(server: object) -> Address:
    """The address of a store in this process."""
    sync_class, async_class = fake_classes()
    return Address(async_class, sync_class, {"server": server, "db": 0})


def new_memory_server() -> Any:
    """A store in this process, empty."""
    fake_classes()
    return importlib.import_module("fakeredis").FakeServer(version=(7,))
