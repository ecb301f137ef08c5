"""A server that a test may stop and kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..conftest import _binary, chosen
from ..support.cluster import Cluster
from ..support.oracle import Oracle
from ..support.servers import Server


@pytest.fixture(autouse=True)
def distinct(request: pytest.FixtureRequest) -> None:
    """Blocking code has a pool in every form: "pool" is "fast" there."""
    if chosen(request.node, "form") == "pool" and chosen(request.node, "driver") == "blocking":
        pytest.skip("blocking code has a pool in every form")


@pytest.fixture
def own(server: Server, backend: str) -> Iterator[Server]:
    """A server of this test alone, which it may stop and kill."""
    with Server(backend, _binary(backend)) as server:
        yield server


@pytest.fixture(scope="session")
def pairs(backend: str) -> Iterator[Cluster]:
    """A cluster of three masters with a replica each, whose nodes a test may stop and kill, and starts again."""
    with Cluster(backend, _binary(backend), 3, 1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[Server, Server]]:
    binary = _binary("valkey9")
    quick = ("--repl-diskless-sync-delay", "0")
    with Server("valkey9", binary, *quick) as one, Server("valkey9", binary, *quick) as other:
        yield one, other


@pytest.fixture
def old(two: tuple[Server, Server]) -> Server:
    """The first primary; ``who`` tells the servers apart."""
    return _fresh(two[0], "old")


@pytest.fixture
def new(two: tuple[Server, Server]) -> Server:
    return _fresh(two[1], "new")


def _fresh(server: Server, name: str) -> Server:
    with server.client() as client:
        client.replicaof("NO", "ONE")
        client.flushall()
        client.set("who", name)
    return server


@pytest.fixture
def oracles(old: Server) -> Iterator[list[Oracle]]:
    """Three sentinels, which name the old server."""
    three = [Oracle(old.port) for _ in range(3)]
    yield three
    for oracle in three:
        oracle.stop()
