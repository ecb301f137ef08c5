"""Which nodes serve which slots, as redis-py's cluster code asks and reads it.

Of it NodesManager and ClusterNode are used. They are made for one look, and closed.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import redis.asyncio.cluster
import redis.cluster
import redis.exceptions
from redis.connection import SSLConnection

from aioredisca.drivers import internals, translate
from aioredisca.drivers.address import Address, Node
from aioredisca.errors import RediscaError, Unavailable, UsageError
from aioredisca.storage.replies import MISREAD, reader, strange
from aioredisca.types import Reply

_asynchronous: Any = redis.asyncio.cluster
_blocking: Any = redis.cluster
_clients: Any = redis
"""Parts of redis-py that carry few types."""

_UNTOLD = (redis.exceptions.RedisError, redis.exceptions.RedisClusterException, *MISREAD)
"""What it raises where no node told: IndexError where none serves a slot, else for strange answers."""

FRESH = 0.2
"""Seconds for which what the cluster said is not asked for again, whatever happens."""


class Topology:
    """Which nodes serve which slots, as the cluster said when it was asked; *slots* are the nodes of each.

    ``primaries``  those that serve slots, in order.
    ``nodes``      all that it named.
    """

    def __init__(self, slots: Mapping[int, Sequence[Node]]) -> None:
        self._slots = dict(slots)
        kinds = {id(nodes): nodes for nodes in slots.values()}.values()  # shared by the slots of a range
        self.primaries = sorted({nodes[0] for nodes in kinds})
        self.nodes = {node for nodes in kinds for node in nodes}

    def of(self, slot: int | None) -> Node:
        """The primary that serves *slot*, or any. Unavailable where none does."""
        if slot is None:
            return random.choice(self.primaries)
        nodes = self._slots.get(slot)
        if nodes is None:
            raise Unavailable("the cluster is not whole: no node serves the slot of this key now; try again")
        return nodes[0]

    def replicas_of(self, slot: int | None) -> Sequence[Node]:
        """The replicas of the node that serves *slot*."""
        return () if slot is None else self._slots.get(slot, ())[1:]

    def move(self, slot: int, node: Node) -> None:
        """A node said that *node* serves *slot* now."""
        nodes = self._slots.get(slot, ())
        if not nodes or nodes[0] != node:
            self._slots[slot] = (
                [node, *(other for other in nodes if other != node)] if node in nodes else [node]
            )
            self.nodes.add(node)
            self.primaries = sorted({*self.primaries, node})


async def look(address: Address, known: Iterable[Node]) -> Topology:
    """Ask the nodes that *address* names, and those *known*, one by one until one tells. CLUSTER SLOTS."""
    connections = list[Any]()

    def connect(**options: Any) -> Any:
        connections.append(address.async_class(**options))
        return connections[-1]

    options = {**address.async_options(), "socket_timeout": address.connect_timeout}
    options["connection_class"] = connect
    nodes = [
        _asynchronous.ClusterNode(*node, response_callbacks=_reading(node), **options)
        for node in _asked(address, known)
    ]
    manager = _asynchronous.NodesManager(
        nodes, require_full_coverage=False, connection_kwargs=options, address_remap=address.remap
    )
    trouble: RediscaError | None = None
    try:
        await manager.initialize()
    except _UNTOLD as error:
        trouble = _meaning(address, error)
    finally:
        for connection in connections:  # the manager needs a loop that lives on to close them
            internals.hang_up(connection)
    if trouble is not None:
        raise trouble
    return _read(manager)


def look_blocking(address: Address, known: Iterable[Node]) -> Topology:
    """The same for blocking code."""
    options = {**address.sync_options(), "socket_timeout": address.connect_timeout}
    options["connection_class"] = address.sync_class
    nodes = [
        _blocking.ClusterNode(*node, redis_connection=_asking(node, options))
        for node in _asked(address, known)
    ]
    manager: Any = None
    trouble: RediscaError | None = None
    try:  # it asks at once
        manager = _blocking.NodesManager(
            nodes, from_url=True, require_full_coverage=False, address_remap=address.remap, **options
        )
    except _UNTOLD as error:
        trouble = _meaning(address, error)
    finally:
        for node in [*nodes, *(manager.nodes_cache.values() if manager else ())]:
            if node.redis_connection is not None:
                node.redis_connection.connection_pool.disconnect()
    if trouble is not None:
        raise trouble
    return _read(manager)


def new_client(address: Address) -> Any:
    """A RedisCluster for asyncio."""
    nodes = [_asynchronous.ClusterNode(*node) for node in address.nodes]
    return _asynchronous.RedisCluster(startup_nodes=nodes, **_of_client(address, address.async_options()))


def new_blocking_client(address: Address) -> Any:
    """The same for blocking code."""
    nodes = [_blocking.ClusterNode(*node) for node in address.nodes]
    return _blocking.RedisCluster(startup_nodes=nodes, **_of_client(address, address.sync_options()))


def _of_client(address: Address, options: dict[str, Any]) -> dict[str, Any]:
    del options["retry"]  # of a client, not of its connections
    return {**options, "ssl": address.sync_class is SSLConnection, "address_remap": address.remap}


def _asking(node: Node, options: Mapping[str, Any]) -> Any:
    """A client that asks *node*."""
    host, port = node
    pool = _clients.ConnectionPool(**{**options, "host": host, "port": port})
    client = _clients.Redis.from_pool(pool)
    for command, callback in _reading(node).items():
        client.set_response_callback(command, callback)
    return client


def _reading(node: Node) -> dict[str, Any]:
    """What *node* answers is seen by this before redis-py reads it."""
    return {"CLUSTER SLOTS": partial(_told, node[0])}


@reader
def _told(asked: str, reply: Reply, **_: object) -> list[list[Any]]:
    """The answer of the node at *asked*, with a host for each node.

    StoreError for an answer of another form: redis-py asks the next node then.
    """
    return [
        [int(first), int(last), *(_with_host(asked, *node) for node in (primary, *replicas))]
        for first, last, primary, *replicas in reply
    ]


def _with_host(asked: str, host: bytes | None, port: int, *more: Any) -> list[Any]:
    """A node, which is where another was *asked* if none tells of its host (unknown-endpoint).

    "?" stands where it is to be told by its name, and has none: its address is told beside it.
    """
    name = host.decode() if host else asked
    if name == "?":
        beside = dict(zip(more[1][::2], more[1][1::2], strict=True)) if len(more) > 1 else {}
        name = beside.get(b"ip", asked.encode()).decode()
    return [name, int(port), *more]


def _asked(address: Address, known: Iterable[Node]) -> list[Node]:
    """In any order: else the first, if it is gone, would take the time of each look."""
    nodes = [*{*known, *address.nodes}]
    random.shuffle(nodes)
    return nodes


def _read(manager: Any) -> Topology:
    shared: dict[int, list[Node]] = {}
    slots: dict[int, list[Node]] = {}
    for slot, nodes in manager.slots_cache.items():
        if id(nodes) not in shared:
            shared[id(nodes)] = [(str(node.host), int(node.port)) for node in nodes]
        slots[slot] = shared[id(nodes)]
    return Topology(slots)


def _meaning(address: Address, error: Exception) -> RediscaError:
    """What it means that no node told: what the last has answered, or that it could not be reached."""
    if isinstance(error, IndexError):
        return Unavailable(f"{address.place}: no node serves a slot: the cluster is not made yet")
    if isinstance(error, MISREAD):
        return strange()
    cause = error
    while not isinstance(cause, RediscaError):  # below is what ended a wait
        deeper = cause.__cause__ or cause.__context__
        if not isinstance(deeper, Exception):
            break
        cause = deeper
    if isinstance(cause, redis.exceptions.ResponseError) and "cluster support disabled" in str(cause).lower():
        return UsageError(f"{address.place} is no cluster: write redis:// or rediss:// in its URL")
    meaning = translate.no_entry(address.place, cause)
    return meaning if isinstance(meaning, RediscaError) else Unavailable(f"{address.place}: {error}")
