"""One connection that carries the round trips of many tasks at once, in both directions at once.

A line sends flights in the order in which they come, and the server answers in that order. There are two
forms, which behave alike. ``FastLine`` lets redis-py connect, then takes over its socket with a protocol of
its own: no task, no stream in between. ``PublicLine`` uses nothing but redis-py's public methods.
"""

from __future__ import annotations

import asyncio
import contextvars
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast
from weakref import ref

import hiredis
import redis.asyncio.connection as client
import redis.exceptions

from aioredisca.drivers import wire
from aioredisca.drivers.aio.base import connect
from aioredisca.drivers.aio.requests import Flight, Owner
from aioredisca.drivers.settings import Settings
from aioredisca.types import Reply

HIGH_WATER = 256 * 1024
"""Bytes that may wait in a line for the server to read them. Beyond that flights wait outside."""

PACKET = 512
"""Bytes that are sent before the turn of the loop ends, for the server to work on meanwhile.

Twice as many must have come together the next time in that turn: few packets carry many calls.
"""

STALE = 1.0
"""Seconds of silence after which a line is given two turns of the loop to notice that the server is gone."""

PATIENCE = 0.1
"""Seconds by which a timer must be late to show that the loop stood still, and seconds it then gets."""

_NOTHING = object()
_tasks: set[asyncio.Task[None]] = set()
"""Tasks of public lines: a loop itself refers to its tasks weakly."""


class Closing(Exception):
    """The line is closed on purpose: nothing is sent anew."""


class Watch:
    """One timer for a queue of flights, the oldest first: rings when the oldest may not wait any longer."""

    def __init__(self, flights: deque[Flight], seconds: float, ring: Callable[[float], None]) -> None:
        self._flights, self._seconds, self._ring = flights, seconds, ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.running = False

    def start(self) -> None:
        """Look after the queue, which holds something now."""
        flight = next((flight for flight in self._flights if not flight.future.done()), self._flights[0])
        self._look_at(flight.started + self._seconds)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self.running = None, False

    def _look_at(self, when: float, *, patient: bool = True) -> None:
        empty = contextvars.Context()
        self._timer = self._loop.call_at(when, self._look, when, patient, context=empty)
        self.running = True

    def _look(self, due: float, patient: bool) -> None:
        self.running = False
        now = self._loop.time()
        if patient and now - due > PATIENCE:  # the loop stood still: answers may lie there unread
            self._look_at(now + PATIENCE, patient=False)
            return
        since = now - self._seconds + 0.001  # a timer may ring a bit early
        if self._flights and self._flights[0].started <= since:
            self._ring(since)
        if self._flights and not self.running:
            self.start()


class Line(ABC):
    """A connection that redis-py made. It knows its owner weakly, so that it does not keep it alive.

    ``usable``   it is connected and answers in time.
    ``accepts``  it is usable and has room for another flight.
    ``proven``   it has answered at least once.
    """

    def __init__(self, owner: Owner, connection: Any, settings: Settings) -> None:
        self.usable = self.accepts = True
        self.proven = False
        self._owner, self._connection, self._settings = ref(owner), connection, settings
        self._facts = owner.facts
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.Context()
        self._heard = self._loop.time()
        self._sent = deque[Flight]()
        self._unsent = list[Flight]()
        self._size = 0
        self._watch = Watch(self._sent, settings.timeout, self._late)
        self._closed = self._loop.create_future()

    @abstractmethod
    def send(self, flight: Flight) -> None:
        """Send *flight* after all that were given before. Only while the line accepts."""

    def _leaving(self) -> bytes:
        """What was kept, and whose callers still wait, as bytes. It counts as sent from now on."""
        flights = [flight for flight in self._unsent if not flight.future.done()]
        self._unsent.clear()
        self._size = 0
        if flights:
            self._note_sent(flights)
        return b"".join([flight.data for flight in flights])

    def _note_sent(self, flights: list[Flight]) -> None:
        """These *flights* wait for answers from now on."""
        self._sent.extend(flights)
        wire.note_trips(self._facts, len(flights))
        if not self._watch.running:
            self._watch.start()

    def _take(self, replies: Iterable[Reply]) -> None:
        """The next replies: they belong to the oldest flights, even where nobody waits for them any more."""
        sent = self._sent
        for reply in replies:
            if sent[0].take(reply):
                sent.popleft()

    def _has_room(self) -> None:
        """Take flights again."""
        if self.usable and not self.accepts:
            self.accepts = True
            if owner := self._owner():
                owner.changed()

    def _late(self, since: float) -> None:
        """Whatever was sent before *since* got no answer in time.

        The line takes no new flights. What else is on the way has time left, and may still be answered.
        """
        for flight in self._sent:
            if flight.started <= since and not flight.future.done():
                flight.fail(wire.lost(self._settings.address, TimeoutError(), writes=flight.writes))
        self._retire()
        if all(flight.future.done() for flight in self._sent):
            self._lose(TimeoutError())

    def _retire(self) -> None:
        if self.usable:
            self.usable = self.accepts = False
            if owner := self._owner():
                owner.changed()

    def _lose(self, error: BaseException) -> None:
        """The connection is of no more use: hand the flights back."""
        self.usable = self.accepts = False
        sent, unsent = list(self._sent), list(self._unsent)
        self._sent.clear()
        self._unsent.clear()
        self._watch.stop()
        self._hang_up()
        if owner := self._owner():
            owner.lost(self, sent, unsent, error)

    @abstractmethod
    def _hang_up(self) -> None:
        """Close the connection now, whatever is on the way."""

    async def close(self) -> None:
        """Close the connection, and wait until it is. What is on the way is lost."""
        self._lose(Closing("closed by this process"))
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(self._closed)

    def abandon(self) -> None:
        """Let go of the connection: its loop is closed already."""
        with suppress(RuntimeError):  # the loop cannot be told any more
            self._hang_up()


class FastLine(Line, asyncio.Protocol):
    """A line that reads and writes the socket itself, once redis-py has connected and logged in."""

    def __init__(self, owner: Owner, connection: Any, settings: Settings) -> None:
        super().__init__(owner, connection, settings)
        self._transport: asyncio.Transport = connection._writer.transport
        self._paused, self._packet = False, PACKET
        self._now = self._heard
        self._reader = hiredis.Reader(
            protocolError=redis.exceptions.InvalidResponse,
            replyError=cast("Any", client.DefaultParser).parse_error,
            notEnoughData=_NOTHING,
        )
        self._transport.set_write_buffer_limits(HIGH_WATER)
        self._transport.set_protocol(self)

    @staticmethod
    def fits(connection: Any) -> bool:
        """Whether *connection* is what this class knows: redis-py's own reading and writing, over streams."""
        kind, known = cast("Any", type(connection)), cast("Any", client.AbstractConnection)
        writer = getattr(connection, "_writer", None)
        return (
            kind.read_response is known.read_response
            and kind.send_packed_command is known.send_packed_command
            and isinstance(writer, asyncio.StreamWriter)
            and isinstance(writer.transport.get_protocol(), asyncio.StreamReaderProtocol)
        )

    def send(self, flight: Flight) -> None:
        if not self._unsent:
            self._now = self._loop.time()
            fresh = self._now - self._heard < STALE
            if fresh and not self._sent:  # nothing is on the way: go at once
                flight.started = flight.started or self._now
                self._note_sent([flight])
                self._transport.write(flight.data)
                return
            next_step = self._end_turn if fresh or self._sent else self._look_first
            self._loop.call_soon(next_step, context=self._context)
        flight.started = flight.started or self._now
        self._unsent.append(flight)
        self._size += len(flight.data)
        if self._size > self._packet and self._sent:
            self._packet = min(2 * self._packet, HIGH_WATER)
            self._flush()
        elif self._size > HIGH_WATER:
            self.accepts = False

    def _look_first(self) -> None:
        self._loop.call_soon(self._end_turn, context=self._context)

    def _end_turn(self) -> None:
        self._packet = PACKET
        self._flush()

    def _flush(self) -> None:
        if data := self._leaving():  # nothing, if the line was lost meanwhile
            self._transport.write(data)
        if not self._paused:
            self._has_room()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self.proven = True
        reader = self._reader
        try:
            reader.feed(data)
            self._take(iter(reader.gets, _NOTHING))
        except Exception as error:  # no RESP, or a reply that nobody asked for
            self._lose(error)

    def pause_writing(self) -> None:
        self._paused, self.accepts = True, False

    def resume_writing(self) -> None:
        self._paused = False
        self._has_room()

    def eof_received(self) -> None:
        self._lose(ConnectionError("closed by the server"))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
        self._lose(exc or ConnectionError("closed by the server"))

    def _hang_up(self) -> None:
        self._transport.abort()
        self._connection._writer = self._connection._reader = None  # they have nothing to close any more


class PublicLine(Line):
    """A line over the public methods of a redis-py connection: one task writes, another reads."""

    def __init__(self, owner: Owner, connection: Any, settings: Settings) -> None:
        super().__init__(owner, connection, settings)
        self._wake = asyncio.Event()
        self._jobs = [self._start(self._write()), self._start(self._read())]

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work, context=contextvars.Context())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard, context=self._context)
        return task

    def send(self, flight: Flight) -> None:
        flight.started = flight.started or self._loop.time()
        self._unsent.append(flight)
        self._size += len(flight.data)
        if self._size > HIGH_WATER:
            self.accepts = False
        self._wake.set()

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._notice_the_end()
                data = self._leaving()
                self._has_room()
                if data:
                    await self._connection.send_packed_command(data, check_health=False)
        except (asyncio.CancelledError, *wire.BROKEN) as error:
            self._lose(error)

    async def _notice_the_end(self) -> None:
        if not self._sent and self._loop.time() - self._heard > STALE:
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _read(self) -> None:
        try:
            while True:
                reply = await self._next()
                self._heard = self._loop.time()
                self.proven = True
                self._take([reply])
        except (asyncio.CancelledError, IndexError, *wire.BROKEN) as error:
            self._lose(error)

    async def _next(self) -> Reply:
        try:
            return await self._connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except wire.ANSWERS as error:
            return error

    def _hang_up(self) -> None:
        _tasks.difference_update(self._jobs)  # from here on the loop holds them, if it still lives
        for job in self._jobs:
            job.cancel()
        writer, self._connection._writer = self._connection._writer, None
        if writer is not None:
            writer.close()
        if not self._closed.done():
            self._closed.set_result(None)


async def open_line(owner: Owner, settings: Settings) -> Line:
    """A new line."""
    connection = await connect(settings)
    form = FastLine if settings.transport != "public" and FastLine.fits(connection) else PublicLine
    return form(owner, connection, settings)
