"""A server that a test may stop and kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..conftest import _binary, chosen
from ..support.cluster import Cluster
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
