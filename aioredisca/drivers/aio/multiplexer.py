"""The multiplexer: one connection per event loop carries the calls of all tasks.

Calls are sent in the order in which they are made, all calls of one ``execute`` in one block, without
waiting for the answers to those before. A task that is cancelled leaves its answer to nobody; the
connection goes on.

What was never sent is Unavailable when it fails. What was sent and lost its answer is sent once more if it
only reads, and is OutcomeUnknown if it writes.
"""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections import deque
from collections.abc import Awaitable, Sequence
from functools import partial

import redis.exceptions

from aioredisca.drivers import wire
from aioredisca.drivers.aio.base import AsyncTransport
from aioredisca.drivers.aio.connection import Closing, Line, Watch, open_line
from aioredisca.drivers.aio.requests import Flight, Flock, LoneTrip, Trip
from aioredisca.drivers.settings import Settings
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Call, Overlap, Reply

BACKOFF = 0.01
"""Seconds before the second try to connect, at most; they double with each failure, up to 64 times that."""


class Multiplexer(AsyncTransport):
    """Carries calls over one connection of one loop."""

    def __init__(self, settings: Settings, facts: StoreFacts) -> None:
        super().__init__(settings, facts)
        self._line: Line | None = None
        self._lines = set[Line]()
        self._waiting = deque[Flight]()
        self._watch = Watch(self._waiting, settings.timeout, self._late)
        self._opening: asyncio.Task[None] | None = None
        self._failures = 0

    def send_all(self, calls: Sequence[Call]) -> Awaitable[list[Reply]]:
        if not calls:
            return _nothing()
        trip = Trip(self, calls)
        self.submit(trip)
        return trip.future

    def send(self, call: Call, overlap: Overlap | None = None) -> Awaitable[Reply]:
        flight: Flight
        if call.script is None and call.packed:
            flight = Flock(self.loop, call) if call.commands else Flight(self.loop, call.packed)
        else:
            flight = LoneTrip(self, call)
        self.submit(flight)
        if overlap is not None:
            overlap()
        return flight.future

    def submit(self, flight: Flight) -> None:
        """Send *flight* now: hand it to the line, or to the queue before it. The one way out."""
        if (line := self._line) is not None and line.accepts and not self._waiting:
            line.send(flight)
        else:
            flight.started = flight.started or self.loop.time()
            self._waiting.append(flight)
            self.changed()

    def written(self, trip: Trip) -> None:
        """See :class:`~aioredisca.flights.Owner`."""

    def changed(self) -> None:
        """Send what waits, as far as there is a line with room; open one where there is none."""
        if self._line is not None and not self._line.usable:
            self._line = None
        while self._waiting and (self._waiting[0].future.done() or (self._line and self._line.accepts)):
            flight = self._waiting.popleft()
            if self._line and not flight.future.done():
                self._line.send(flight)
        if self._waiting and self._line is None and self._opening is None:
            self._opening = self.loop.create_task(self._open(), context=contextvars.Context())
        if self._waiting and not self._watch.running:
            self._watch.start()

    async def close(self) -> None:
        """Close the connection. What waits or is on the way is told so."""
        self._refuse(redis.exceptions.ConnectionError("closed by this process"))
        if self._opening is not None:
            self._opening.cancel()
        await super().close()

    def abandon(self) -> None:
        """Let go of the connections of a loop that is closed already."""
        for line in self._lines:
            line.abandon()

    # -- connecting --------------------------------------------------------------------------------

    async def _open(self) -> None:
        try:
            if self._failures:
                await asyncio.sleep(self._pause())
            async with asyncio.timeout(self._settings.timeout):
                line = await self._connect()
        except TimeoutError:
            self._failures += 1  # what waited as long is told by the watch; the rest has time for another try
        except Exception as error:
            self._failures += 1
            self._refuse(error)
        else:
            self._line = line
            self._lines.add(line)
            self._own(partial(_close_all, self._lines))
        finally:
            self._opening = None
            self.changed()

    async def _connect(self) -> Line:
        """A new line."""
        return await open_line(self, self._settings)

    def _pause(self) -> float:
        """Some time at random, so that many processes do not come back at the same moment."""
        return random.uniform(0, BACKOFF * 2 ** min(self._failures, 6))

    def _refuse(self, error: Exception) -> None:
        """There is no connection: all that waits is told so."""
        for flight in self._waiting:
            flight.fail(wire.no_entry(self._settings.address, error))
        self._waiting.clear()

    def _late(self, since: float) -> None:
        """Whatever waits since before *since* was not sent in time."""
        settings = self._settings
        while self._waiting and self._waiting[0].started <= since:
            flight = self._waiting.popleft()
            if self._line is None:
                flight.fail(wire.no_connection(settings.address, TimeoutError()))
            else:
                flight.fail(wire.stuck(settings.address, settings.timeout))

    def lost(
        self, line: Line, sent: Sequence[Flight], unsent: Sequence[Flight], error: BaseException
    ) -> None:
        """Take back what was on the way: reads are sent once more, of writes nobody knows."""
        if line in self._lines:
            self._lines.discard(line)
            self._failures = 0 if line.proven else self._failures + 1
        again = [flight for flight in sent if self._goes_again(flight, error)]
        self._waiting.extendleft(reversed([*again, *unsent]))
        if isinstance(error, Closing):
            self._refuse(redis.exceptions.ConnectionError(str(error)))
        self.changed()

    def _goes_again(self, flight: Flight, error: BaseException) -> bool:
        if flight.future.done():
            if isinstance(flight, Trip) and flight.writes:
                self.written(flight)
            return False
        if flight.writes or flight.again or isinstance(error, Closing):
            flight.fail(wire.lost(self._settings.address, error, writes=flight.writes))
            return False
        flight.renew()
        return True


async def _nothing() -> list[Reply]:
    return []


async def _close_all(lines: set[Line]) -> None:
    await asyncio.gather(*(line.close() for line in lines))
