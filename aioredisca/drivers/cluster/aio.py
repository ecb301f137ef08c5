"""A cluster under asyncio: a transport per node, for the tasks of one event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from aioredisca.drivers import translate
from aioredisca.drivers.address import Address
from aioredisca.drivers.aio.base import AsyncTransport
from aioredisca.drivers.aio.multiplexer import Multiplexer
from aioredisca.drivers.aio.once import Once
from aioredisca.drivers.aio.pool import PoolTransport
from aioredisca.drivers.cluster.routing import Part, Router
from aioredisca.drivers.cluster.topology import Topology, look
from aioredisca.errors import RediscaError, StoreError
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Reply


class ClusterTransport(Router[AsyncTransport], AsyncTransport):
    """Carries calls to one cluster, over one multiplexed connection per node, or a pool per node."""

    def __init__(self, address: Address, facts: StoreFacts) -> None:
        super().__init__(address, facts)
        self._begin(address)
        self._once = Once[Topology]()

    def _new_transport(self, address: Address) -> AsyncTransport:
        # None that remembers: a node that was cut off would go on telling of no change.
        return (Multiplexer if address.multiplexes else PoolTransport)(address, self.facts)

    async def _ask_topology(self) -> Topology:
        return await self._once.ask(self._asked)

    def _look_aside(self) -> None:
        if not self._is_fresh():
            self._once.begin(self._asked)

    async def _asked(self) -> Topology:
        try:
            async with asyncio.timeout(self._address.timeout):
                await asyncio.sleep(self._pause())
                return self._take(await look(self._address, self._known()))
        except RediscaError as error:
            raise self._failed(error) from None
        except TimeoutError as error:
            raise self._failed(translate.no_connection(self._address.place, error)) from None

    async def _sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _together(self, parts: Sequence[Part]) -> list[list[Reply] | StoreError]:
        return await asyncio.gather(*map(_settled, parts))

    async def close(self) -> None:
        """Close all connections. What is on the way is told that they are lost."""
        self._once.stop()
        await asyncio.gather(*(node.close() for node in self._let_go()))
        await super().close()

    def abandon(self) -> None:
        """Let go of the connections of a loop that is closed already."""
        for node in self._let_go():
            node.abandon()


async def _settled(part: Part) -> list[Reply] | StoreError:
    try:
        return await part()
    except StoreError as error:
        return error
