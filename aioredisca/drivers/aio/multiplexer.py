"""The multiplexer: one connection per event loop carries the calls of all tasks.

Calls are sent in the order in which they are made, all calls of one ``send_all`` in one block, without
waiting for the answers to those before. A task that is cancelled leaves its answer to nobody; the
connection goes on.

What was never sent is Unavailable when it fails. What was sent and lost its answer is sent once more if it
only reads, and is OutcomeUnknown if it writes.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import redis.exceptions

from aioredisca.drivers import translate, wire
from aioredisca.drivers.address import Address
from aioredisca.drivers.aio.base import AsyncTransport
from aioredisca.drivers.aio.connection import Closing, Connection, Deadlines, open_connection
from aioredisca.drivers.aio.requests import Batch, Proven, ProvenBatch, Request
from aioredisca.drivers.limits import pause
from aioredisca.drivers.walks import followed
from aioredisca.errors import RediscaError
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Call, Overlap, Reply


class Multiplexer(AsyncTransport):
    """Carries calls over one connection of one loop."""

    on_written: Callable[[Request], None] | None = None

    def __init__(self, address: Address, facts: StoreFacts) -> None:
        super().__init__(address, facts)
        self._connection: Connection | None = None
        self._connections = set[Connection]()
        self._waiting = deque[Request]()
        self._deadlines = Deadlines(self._waiting, address.timeout, self._late)
        self._opening: asyncio.Task[None] | None = None
        self._failures = 0

    def send_all(self, calls: Sequence[Call]) -> Awaitable[list[Reply]]:
        if not calls:
            return _nothing()
        sentinels = self._address.sentinels
        if sentinels is not None and any(call.cursor is not None for call in calls):
            return followed(sentinels, calls, self.request_all)
        if calls[0].cache_region is not None and None not in [call.cache_region for call in calls]:
            return self.load_all(calls)
        return self.request_all(calls)

    def load_all(self, calls: Sequence[Call]) -> Awaitable[list[Reply]]:
        """The same for loads whose replies may be remembered. Here none is."""
        return self.request_all(calls)

    def request_all(self, calls: Sequence[Call]) -> Awaitable[list[Reply]]:
        """Ask the server for all of it."""
        if len(calls) == 1 and (proof := calls[0].proof) is not None:
            request: Request = Proven(self, calls[0], proof, alone=False)
        else:
            metas = wire.metas_of(calls)
            request = ProvenBatch(self, calls, metas) if metas else Batch(self, calls)
        self.submit(request)
        return request.future

    def send(self, call: Call, overlap: Overlap | None = None) -> Awaitable[Reply]:
        if call.cache_region is not None or (call.cursor is not None and self._address.sentinels is not None):
            return self._alone(call)
        if call.proof is not None:
            request: Request = Proven(self, call, call.proof, alone=True)
        else:
            request = Batch(self, (call,)) if call.commands else Request(self, call)
        self.submit(request)
        if overlap is not None:
            overlap()
        return request.future

    async def _alone(self, call: Call) -> Reply:
        (reply,) = await self.send_all((call,))
        if isinstance(reply, RediscaError):
            raise reply
        return reply

    def submit(self, request: Request) -> None:
        """Send *request* now: hand it to the connection, or to the queue before it. The one way out."""
        if request.writes and self.on_written is not None:
            request.future.add_done_callback(partial(_tell_cancelled, self.on_written, request))
        if (connection := self._connection) is not None and connection.accepts and not self._waiting:
            connection.send(request)
        else:
            request.started = request.started or self.loop.time()
            self._waiting.append(request)
            self.changed()

    def ask_again(self, request: Request) -> None:
        if not any(connection.hold_back(request) for connection in self._connections):
            request.started = 0.0
            self.submit(request)

    def changed(self) -> None:
        """Send what waits, as far as there is a connection with room; open one where there is none."""
        if self._connection is not None and not self._connection.usable:
            self._connection = None
        while self._waiting and (
            self._waiting[0].future.done() or (self._connection and self._connection.accepts)
        ):
            request = self._waiting.popleft()
            if self._connection and not request.future.done():
                self._connection.send(request)
        if self._waiting and self._connection is None and self._opening is None:
            self._opening = self.loop.create_task(self._open(), context=contextvars.Context())
        if not self._waiting:
            self._deadlines.stop()  # a timer would keep a dropped transport alive, and its connection open
        elif not self._deadlines.running:
            self._deadlines.start()

    async def close(self) -> None:
        """Close the connection. What waits or is on the way is told so."""
        self._refuse(redis.exceptions.ConnectionError("closed by this process"))
        if self._opening is not None:
            self._opening.cancel()
        await super().close()

    def abandon(self) -> None:
        """Let go of the connections of a loop that is closed already."""
        for connection in self._connections:
            connection.abandon()

    # -- connecting --------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            if self._failures:
                await asyncio.sleep(pause(self._failures))
            async with asyncio.timeout(self._address.timeout):
                connection = await self._connect()
        except TimeoutError:
            self._failures += 1  # what waited as long is told by the timer; the rest has time for another try
        except Exception as error:
            self._failures += 1
            self._refuse(error)
        else:
            self._connection = connection
            self._connections.add(connection)
            self._own(partial(_close_all, self._connections))
        finally:
            self._opening = None
            self.changed()

    async def _connect(self) -> Connection:
        """A new connection."""
        return await open_connection(self, self._address)

    def _refuse(self, error: Exception) -> None:
        """There is no connection: all that waits is told so."""
        for request in self._waiting:  # each has an error of its own, for whoever catches it may write on it
            request.fail(copy.copy(translate.no_entry(self._address.place, error)))
        self._waiting.clear()

    def _late(self, since: float) -> None:
        """Whatever waits since before *since* was not sent in time."""
        address = self._address
        while self._waiting and self._waiting[0].started <= since:
            request = self._waiting.popleft()
            if self._connection is None:
                request.fail(translate.no_connection(address.place, TimeoutError()))
            else:
                request.fail(translate.stuck(address.place, address.timeout))

    def lost(
        self, connection: Connection, sent: Sequence[Request], unsent: Sequence[Request], error: BaseException
    ) -> None:
        """Take back what was on the way: reads are sent once more, of writes nobody knows."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._failures = 0 if connection.proven else self._failures + 1
        resent = [request for request in sent if self._is_resent(request, error)]
        self._waiting.extendleft(reversed([*resent, *unsent]))
        if isinstance(error, Closing):
            self._refuse(redis.exceptions.ConnectionError(str(error)))
        self.changed()

    def _is_resent(self, request: Request, error: BaseException) -> bool:
        if request.future.done():
            if request.writes and self.on_written is not None:
                self.on_written(request)
            return False
        if request.writes or request.resent or isinstance(error, Closing):
            request.fail(translate.lost(self._address.place, error, writes=request.writes))
            return False
        request.resend()
        return True


def _tell_cancelled(on_written: Callable[[Request], None], request: Request, future: Future[Any]) -> None:
    """A write that nobody waits for any more may happen yet: tell before its task goes on."""
    if future.cancelled():
        on_written(request)


async def _nothing() -> list[Reply]:
    return []


async def _close_all(connections: set[Connection]) -> None:
    await asyncio.gather(*(connection.close() for connection in connections))
