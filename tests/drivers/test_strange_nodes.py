"""Sentinels and nodes of clusters that answer in another form, or name hosts that are none."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from aioredisca import Database, Model, StoreError, String, Unavailable, conf
from aioredisca.drivers.cluster.routing import PAUSE
from aioredisca.drivers.cluster.slots import slot_of_key
from aioredisca.types import Call

from ..support.cluster import Cluster, aclose
from ..support.oracle import Oracle
from ..support.patience import limit
from ..support.servers import Server
from .watched import READ, ask, opened


@conf(tag=True)
class Leaf(Model):
    name = String(unique=True)


class Strange(Oracle):
    """Answers what it is asked of a service or a cluster with *reply*."""

    def __init__(self, reply: bytes) -> None:
        self.reply = reply
        super().__init__()

    def answer(self, command: list[bytes]) -> bytes:
        known = command[0].upper() not in (b"SENTINEL", b"CLUSTER")
        return b"+OK\r\n" if known else self.reply


@pytest.fixture
def strange(reply: bytes) -> Iterator[Strange]:
    oracle = Strange(reply)
    yield oracle
    oracle.stop()


_STATE = b"*8\r\n$4\r\nname\r\n$4\r\nshop\r\n$2\r\nip\r\n$1\r\nh\r\n$4\r\nport\r\n$1\r\n%b\r\n$5\r\nflags\r\n$6\r\nmaster\r\n"


@pytest.mark.parametrize(
    "reply",
    [b":7\r\n", b"*-1\r\n", b"*1\r\n:1\r\n", b"*1\r\n*2\r\n$4\r\nname\r\n$4\r\nshop\r\n", b"hello\r\n"]
    + [b"*1\r\n" + _STATE % port for port in (b"1", b"x")],
)
async def test_a_sentinel_that_answers_strangely_is_left_out(
    strange: Strange, oracles: list[Oracle], old: Server
) -> None:
    async with opened(strange, oracles[0]) as database:
        assert await ask(database, READ) == b"old"
    async with opened(strange) as database:
        with pytest.raises(Unavailable):
            await ask(database, READ)


@pytest.mark.parametrize("host", ["a..b", "x" * 300])
async def test_a_host_that_is_none_cannot_be_reached(oracles: list[Oracle], old: Server, host: str) -> None:
    oracles[0].host = host
    async with opened(oracles[0]) as database:
        with pytest.raises(Unavailable, match="cannot connect"):
            await ask(database, READ)


_NODE = b"*1\r\n*3\r\n:0\r\n:16383\r\n%b"


@pytest.mark.parametrize(
    "reply",
    [b":7\r\n", b"*-1\r\n", b"*1\r\n:1\r\n"]
    + [
        _NODE % node
        for node in (b"*-1\r\n", b"*2\r\n$4\r\nhost\r\n$1\r\nx\r\n", b"*2\r\n$4\r\na..b\r\n:1\r\n")
    ],
)
async def test_a_node_that_answers_strangely(
    strange: Strange, monkeypatch: pytest.MonkeyPatch, reply: bytes
) -> None:
    database = Database(f"redis+cluster://127.0.0.1:{strange.port}")
    monkeypatch.setattr(conf, "_db", database)
    with pytest.raises(StoreError):
        await Leaf.get("1")
    await aclose(database)


_NAMELESS = (b"*2\r\n$-1\r\n:%d\r\n", b"*2\r\n$0\r\n\r\n:%d\r\n", b"*4\r\n$1\r\n?\r\n:%d\r\n$2\r\nid\r\n%b")
_ADDRESS = b"*2\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n"


@pytest.mark.parametrize("node", _NAMELESS)
async def test_a_cluster_of_one_that_tells_no_host_is_where_it_was_asked(node: bytes) -> None:
    oracle = Strange(b"")
    oracle.reply = _NODE % (node % ((oracle.port, _ADDRESS) if b"?" in node else oracle.port))
    database = Database(f"redis+cluster://127.0.0.1:{oracle.port}")
    assert await database.transport().send(Call(("PING",))) == b"OK"
    await aclose(database)
    oracle.stop()


@pytest.mark.parametrize(
    "reply", [b":7\r\n", b"*1\r\n:1\r\n", b"*0\r\n", _NODE % b"*2\r\n$1\r\nh\r\n$1\r\nx\r\n"]
)
async def test_after_a_strange_answer_another_node_is_asked(
    strange: Strange, cluster: Cluster, reply: bytes
) -> None:
    """In any order: of ten, half ask the strange one first."""
    for _ in range(10):
        database = Database(f"redis+cluster://127.0.0.1:{strange.port},{cluster.nodes[0].place}")
        assert await database.transport().send(Call(("GET", "a"))) is None
        await aclose(database)


class Ring(Strange):
    """A node that says of every key that it is at itself, and counts how often it was asked."""

    def answer(self, command: list[bytes]) -> bytes:
        if command[0].upper() != b"GET":
            return super().answer(command)
        self.asked += 1
        return b"-MOVED 15495 127.0.0.1:%d\r\n" % self.port


async def test_a_node_that_points_to_itself_is_not_asked_without_a_pause() -> None:
    """And all calls made together have one timeout."""
    ring = Ring(b"")
    ring.reply = _NODE % (_NAMELESS[0] % ring.port)
    database = Database(f"redis+cluster://127.0.0.1:{ring.port}", timeout=0.5)
    begun = time.monotonic()
    replies = await database.transport().send_all([Call(("GET", "a"))] * 4)
    took = time.monotonic() - begun
    assert [type(reply) for reply in replies] == [Unavailable] * 4
    assert 4 < ring.asked < 4 + 3 * took / PAUSE  # without one it would be many more
    assert took < limit(1.5)
    await aclose(database)
    ring.stop()


async def test_nodes_that_do_not_tell_their_host_are_where_the_url_is(
    cluster: Cluster, clustered: Database
) -> None:
    def prefer(kind: str) -> None:
        for node in cluster.nodes:
            node.ask("CONFIG SET", "cluster-preferred-endpoint-type", kind)

    class Twig(Leaf): ...

    class Root(Leaf): ...

    models: list[Any] = [Leaf, Twig, Root]
    prefer("unknown-endpoint")
    try:
        for model in models:
            await model.new("1", name="a").save()
        cluster.move(slot_of_key("{leaf}"))
        assert [(await (model.name == "a").one()).id for model in models] == ["1"] * 3
    finally:
        prefer("ip")
    await aclose(clustered)
