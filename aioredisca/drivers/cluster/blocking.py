"""A cluster in blocking code: a pool per node, shared by the threads of a process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

from aioredisca.drivers.address import Address
from aioredisca.drivers.blocking.attempts import Once
from aioredisca.drivers.blocking.pool import BlockingManners, BlockingTransport
from aioredisca.drivers.cluster.routing import Part, Router
from aioredisca.drivers.cluster.topology import Topology, look_blocking
from aioredisca.errors import RediscaError, StoreError
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Reply

T = TypeVar("T")


class BlockingCluster(BlockingManners, Router[BlockingTransport]):
    """Carries calls to one cluster, over up to ``max_connections`` connections to each node."""

    def __init__(self, address: Address, facts: StoreFacts) -> None:
        self.facts = facts
        self._begin(address)
        self._once = Once[Topology]()

    def _new_transport(self, address: Address) -> BlockingTransport:
        return BlockingTransport(address, self.facts)

    async def _ask_topology(self) -> Topology:
        return self._once.ask(self._asked)

    def _asked(self) -> Topology:
        time.sleep(self._pause())
        try:
            return self._take(look_blocking(self._address, self._known()))
        except RediscaError as error:
            raise self._failed(error) from None

    def _look_aside(self) -> None:
        if not self._is_fresh():
            with suppress(StoreError):
                self._once.ask(self._asked)

    async def _sleep(self, seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 (there is no loop)

    async def _together(self, parts: Sequence[Part]) -> list[list[Reply] | StoreError]:
        found = list[list[Reply] | StoreError]()
        for part in parts:
            try:
                found.append(await part())
            except StoreError as error:
                found.append(error)
        return found

    def close(self) -> None:
        """Close all connections; those in use when they are given back."""
        for node in self._let_go():
            node.close()
