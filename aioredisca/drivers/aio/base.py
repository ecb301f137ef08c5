"""What every asyncio transport is: it belongs to one event loop, which closes its connections at its end."""

from __future__ import annotations

import asyncio
import contextvars
import os
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from aioredisca.drivers import translate
from aioredisca.drivers.fence import Talk, forget_others, introduction
from aioredisca.storage.facts import Peer, StoreFacts
from aioredisca.types import CacheRegion, Call, Lock, Overlap, Reply

if TYPE_CHECKING:
    import anyio

    from aioredisca.drivers.address import Address

T = TypeVar("T")


class AsyncTransport(ABC):
    """Carries calls to one database for the tasks of one event loop.

    An async generator, its keeper, owns the connections. The loop closes it when it ends
    (``asyncio.run``) and when the transport is dropped before: no socket is left over. A task in its place
    would be cancelled too early: together with tasks that may still want to save something.
    """

    def __init__(self, address: Address, facts: StoreFacts) -> None:
        self._address, self.facts = address, facts
        self._keeper: AsyncGenerator[None] | None = None
        self._workers: anyio.CapacityLimiter | None = None
        self.loop = asyncio.get_running_loop()

    @abstractmethod
    def send_all(self, calls: Sequence[Call]) -> Awaitable[list[Reply]]:
        """See :class:`~aioredisca.types.Transport`."""

    @abstractmethod
    def send(self, call: Call, overlap: Overlap | None = None) -> Awaitable[Reply]:
        """See :class:`~aioredisca.types.Transport`."""

    def cached(self, region: CacheRegion, key: str) -> Reply:
        """What is held in memory of *key*, or None. Most transports hold nothing."""
        return None

    def cached_counts(self) -> dict[str, int]:
        """How many loads are held in memory, by key prefix."""
        return {}

    def lock(self) -> Lock:
        return asyncio.Lock()

    async def offload(self, function: Callable[..., T], *args: Any) -> T:
        import anyio.to_thread  # here, because only passwords need it

        if self._workers is None:
            self._workers = anyio.CapacityLimiter(os.cpu_count() or 1)  # hashing takes 64 MiB at a time
        return await anyio.to_thread.run_sync(function, *args, limiter=self._workers)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def _own(self, close: Callable[[], Awaitable[None]]) -> None:
        """Have *close* awaited when the loop ends or the transport is dropped; it must not refer to it."""
        if self._keeper is None:
            self._keeper = _keep(close)
            # An empty context: else the generator would pin the session of the first request for ever.
            contextvars.Context().run(_start, self._keeper)

    async def close(self) -> None:
        """Close all connections. What is on the way is told that they are lost."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            await keeper.aclose()

    @abstractmethod
    def abandon(self) -> None:
        """Let go of the connections of a loop that is closed already."""


async def connect(address: Address, facts: StoreFacts) -> tuple[Any, Peer | None]:
    """A new connection, and what the server calls it. redis-py connects, logs in and selects the database.

    Of a primary that sentinels have named it is known then that it is one.

    In a task with an empty context: what reads a socket runs in that of whoever connected it.
    """
    connection: Any = address.async_class(**address.async_options())
    loop = asyncio.get_running_loop()
    # One that stands still is waited for only so long: the sentinels may name another by then.
    limit = None if address.sentinels is None else address.connect_timeout
    try:
        async with asyncio.timeout(limit):
            await loop.create_task(connection.connect(), context=contextvars.Context())
            if address.sentinels is not None:
                await hold(connection, address.sentinels.verified(address.node))
                forget_others(facts, address.place)
            peer = await hold(connection, introduction(facts, address.place))
    except BaseException as error:
        await connection.disconnect(nowait=True)
        if address.sentinels is not None and isinstance(error, Exception):
            raise address.sentinels.unreachable(address.node, error) from None
        raise
    return connection, peer


async def hold(raw: Any, talk: Talk) -> Peer | None:
    """Say over a connection what *talk* says, and tell it the answers; what it comes to."""
    answer: Reply = None
    while True:
        try:
            command = talk.send(answer)
        except StopIteration as done:
            peer: Peer | None = done.value
            return peer
        await raw.send_command(*command, check_health=False)
        answer = await read_reply(raw)


async def read_reply(raw: Any) -> Reply:
    """The next reply by the public method of redis-py's connection; a refusal is an error in its place."""
    try:
        return await raw.read_response(disable_decoding=True, disconnect_on_error=False)
    except translate.ANSWERS as error:
        return error


async def _keep(close: Callable[[], Awaitable[None]]) -> AsyncGenerator[None]:
    """Own what *close* closes: whoever closes this closes it."""
    try:
        yield
    finally:
        await close()


def _start(keeper: AsyncGenerator[None]) -> None:
    """Run *keeper* up to its ``yield``, which makes it known to the running loop."""
    with suppress(StopIteration):
        keeper.asend(None).send(None)
