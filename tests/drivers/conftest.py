"""A server that a test may stop and kill."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..conftest import _binary
from ..support.servers import Server


@pytest.fixture
def own(server: Server, backend: str) -> Iterator[Server]:
    """A server of this test alone, which it may stop and kill."""
    with Server(backend, _binary(backend)) as server:
        yield server
