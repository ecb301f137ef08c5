"""Servers that keep what they acknowledged, and sites where several processes work on one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..support import servers
from ..support.servers import Server
from .rolling.processes import Site


@pytest.fixture
def durable(backend: str) -> Iterator[Server]:
    """A server of its own that writes every change to its disk before it answers."""
    if backend == "memory":
        pytest.skip("processes share no memory")
    binary = next(kind.find() for kind in servers.KINDS if kind.name == backend)
    assert binary is not None
    with Server(backend, binary, "--appendonly", "yes", "--appendfsync", "always") as server:
        yield server


@pytest.fixture
def site(durable: Server, tmp_path: Path) -> Iterator[Site]:
    folder = tmp_path / "notes"
    folder.mkdir()
    site = Site(durable.url, folder)
    yield site
    site.close()
