"""What a URL of a cluster says, and what none of its errors tells."""

from __future__ import annotations

from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.cluster import ClusterNode

from aioredisca import Database, UsageError


def address_of(source: Any) -> Any:
    return Database(source)._address


@pytest.mark.parametrize(
    ("url", "nodes"),
    [
        ("redis+cluster://a", [("a", 6379)]),
        ("redis+cluster://a:7000", [("a", 7000)]),
        ("valkey+cluster://a:7000,b:7001,c/", [("a", 7000), ("b", 7001), ("c", 6379)]),
        ("redis+cluster://a:7000,b:7001/0", [("a", 7000), ("b", 7001)]),
        ("redis+cluster://[::1]:7000,10.0.0.1:7001", [("::1", 7000), ("10.0.0.1", 7001)]),
        ("rediss+cluster://u:p%40w@a:7000,b:7001/0?max_connections=7", [("a", 7000), ("b", 7001)]),
    ],
)
def test_nodes(url: str, nodes: list[tuple[str, int]]) -> None:
    database = Database(url)
    assert database.clustered
    assert address_of(database._address and url).nodes == tuple(nodes)
    assert address_of(url).at(nodes[0]).place == f"{nodes[0][0]}:{nodes[0][1]}"


def test_login_options_and_tls_are_those_of_each_node() -> None:
    url = "valkeys+cluster://us%40er:s3cret@a:7000,b:7001?socket_timeout=3&ssl_cert_reqs=none"
    address = address_of(url)
    one = address.at(("b", 7001))
    assert (one.options["username"], one.options["password"]) == ("us@er", "s3cret")
    assert (one.options["host"], one.options["port"], one.timeout) == ("b", 7001, 3)
    assert one.sync_class is redis.SSLConnection
    assert one.options["ssl_check_hostname"] is False
    assert "s3cret" not in repr(address) + repr(Database(url))
    assert repr(Database(url)) == "<Database valkeys+cluster://a:7000,b:7001>"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis+cluster://", "a host is missing"),
        ("unix+cluster:///s3cret.sock", "starts with one of"),
        ("redis+cluster://s3cret@", "a host is missing"),
        ("redis+cluster://u:s3cret@a:7000,,b", "a host is missing"),
        ("redis+cluster://u:s3cret@a:7000,", "a host is missing"),
        ("redis+cluster://u:s3cret@a:0,b", "its port is no number"),
        ("redis+cluster://u:s3cret@a,b:70000", "its port is no number"),
        ("redis+cluster://u:s3cret@a,b:x", "its port is no number"),
        ("redis+cluster://u:s3cret@a,b/1", "a cluster has no database but 0"),
        ("redis+cluster://u:s3cret@a,b?db=2", "a cluster has no database but 0"),
        ("redis+cluster://u:s3cret@a,b/x", "no number of a database"),
        ("redis+cluster://u:s3/cret@a,b", "its port is no number"),
        ("redis+cluster://us3:/cret@a,b", "an @ stands after"),
        ("redis+cluster://u:s3#cret@a,b", "it holds a #"),
        ("redis+cluster://u:s3cret@a,b?sockt_timeout=1", "did you mean socket_timeout"),
        ("redis+cluster://u:s3cret@a,b?ssl_cert_reqs=none", "is an option of TLS"),
        ("redis+cluster://u:s3cret@a,b c", "its host is no name"),
        ("redis+cluster://u:s3cret@a,b?socket_timeout=0", "must be more than 0"),
        ("redis+cluster://u:s3cret@a,u:s3cret@b", "stand once, before the first host"),
        ("redis+cluster://a:7000,u:s3cret@b", "stand once, before the first host"),
        ("redis+cluster://a,s3cret@b", "stand once, before the first host"),
        ("redis+cluster://a?read_from=s3cret", "read_from is an argument, as in Database"),
        ("redis://u:s3cret@a:7000,b:7001/0", "it names several hosts, as those of a cluster"),
        ("rediss://a,b", "it names several hosts, as those of a cluster"),
    ],
)
def test_bad_ones_are_refused_without_their_secrets(url: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as found:
        Database(url)
    assert "s3" not in str(found.value)
    assert found.value.__context__ is None


def test_the_same_nodes_are_the_same_database() -> None:
    first, second = (Database(f"redis+cluster://a:7000,b:7001{tail}") for tail in ("", "/0"))
    assert address_of("redis+cluster://a:7000,b:7001").database == first._address.database
    assert first.facts.neighbours is second.facts.neighbours
    assert not Database("redis://a:7000").clustered
    assert not Database("memory://").clustered


def test_clients_of_a_cluster_that_cannot_be_read() -> None:
    client = redis.asyncio.RedisCluster(startup_nodes=[ClusterNode("a b", 7000)], password="s3cret")
    with pytest.raises(UsageError, match="the client cannot connect: its host") as found:
        Database(client)
    assert "s3cret" not in str(found.value)


def test_a_client_brings_its_login_its_tls_and_its_map_of_addresses() -> None:
    client = redis.asyncio.RedisCluster(
        host="10.0.0.1",
        port=7000,
        username="u",
        password="s3cret",
        ssl=True,
        address_remap=lambda place: place,
    )
    address = address_of(client)
    assert address.nodes == (("10.0.0.1", 7000),)
    assert (address.options["username"], address.options["password"]) == ("u", "s3cret")
    assert (address.sync_class, address.async_class) == (redis.SSLConnection, redis.asyncio.SSLConnection)
    assert address.remap is not None
    assert "host" not in address.options
