"""One connection that carries the round trips of many tasks at once, in both directions at once.

Requests are sent in the order in which they come, and the server answers in that order. There are two forms,
which behave alike. ``SocketConnection`` lets redis-py connect, then takes over its socket with a protocol of
its own: no task, no stream in between. ``StreamConnection`` sends and reads by redis-py's public methods: for
connection classes with a reading or writing of their own, and what remains when redis-py changes.
"""

from __future__ import annotations

import asyncio
import contextvars
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any
from weakref import ref

from aioredisca.drivers import internals, translate
from aioredisca.drivers.address import Address
from aioredisca.drivers.aio.base import connect, read_reply
from aioredisca.drivers.aio.primary import Watch, located
from aioredisca.drivers.aio.requests import Owner, Proven, ProvenBatch, Request, Words
from aioredisca.drivers.sentinels import Node, Sentinels
from aioredisca.storage.facts import Peer
from aioredisca.types import Reply

HIGH_WATER = 256 * 1024
"""Bytes that may wait in a connection for the server to read them. Beyond that requests wait outside."""

PACKET = 512
"""Bytes that are sent before the turn of the loop ends, for the server to work on meanwhile.

Twice as many must have come together the next time in that turn: few packets carry many calls.
"""

STALE = 1.0
"""Seconds of silence after which two turns of the loop are given to notice that the server is gone."""

PATIENCE = 0.1
"""Seconds by which a timer must be late to show that the loop stood still, and seconds it then gets."""

_tasks: set[asyncio.Task[None]] = set()
"""Tasks of stream connections: a loop itself refers to its tasks weakly."""


class Closing(Exception):
    """The connection is closed on purpose: nothing is sent anew."""


class Deadlines:
    """One timer for a queue of requests, the oldest first: rings when the oldest may not wait any longer."""

    def __init__(self, requests: deque[Request], seconds: float, ring: Callable[[float], None]) -> None:
        self._requests, self._seconds, self._ring = requests, seconds, ring
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.running = False

    def start(self) -> None:
        """Look after the queue, which holds something now."""
        request = next(
            (request for request in self._requests if not request.future.done()), self._requests[0]
        )
        self._look_at(request.started + self._seconds)

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
        if self._requests and self._requests[0].started <= since:
            self._ring(since)
        if self._requests and not self.running:
            self.start()


class Connection(ABC):
    """Carries requests over a connection that redis-py made, the raw one.

    It knows its owner weakly, so that it does not keep it alive.

    ``usable``   it is connected and answers in time.
    ``accepts``  it is usable and has room for another request.
    ``proven``   it has answered at least once.
    """

    def __init__(self, owner: Owner, raw: Any, peer: Peer | None, address: Address) -> None:
        self.usable = self.accepts = True
        self.proven = False
        self._owner, self._raw, self._peer, self._address = ref(owner), raw, peer, address
        self._facts = owner.facts
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.Context()
        self._heard = self._loop.time()
        self._sent = deque[Request]()
        self._unsent = list[Request]()
        self._held: list[Request] | None = None
        self._shelf, self._metas = list[Proven | ProvenBatch](), set[str]()
        self._size = 0
        self._deadlines = Deadlines(self._sent, address.timeout, self._late)
        self._closed = self._loop.create_future()
        self._left = False
        self._watch = Watch(address)
        if address.sentinels is not None:
            address.sentinels.opened(self)
            self._watch.start()

    @abstractmethod
    def send(self, request: Request) -> None:
        """Send *request* after all that were given before. Only while it accepts."""

    def _leaving(self) -> bytes:
        """What was kept, and whose callers still wait, as bytes. It counts as sent from now on."""
        if self._held is not None:  # what is to be sent before is not known yet
            return b""
        requests = [request for request in self._unsent if not request.future.done()]
        self._unsent.clear()
        self._size = 0
        if requests:
            self._note_sent(requests)
        return b"".join([request.data for request in requests])

    def _note_sent(self, requests: list[Request]) -> None:
        """These *requests* wait for answers from now on."""
        self._sent.extend(requests)
        for request in requests:
            if isinstance(request, Proven | ProvenBatch):
                request.shelf = self._shelf
                self._metas.update(request.metas)
        self._facts.round_trips += len(requests)
        if not self._deadlines.running:
            self._deadlines.start()

    def _asking(self) -> bytes:
        """What asks for the words of the reads sent since the last; once per turn of the loop is enough."""
        if not self._metas:
            return b""
        words = Words([*self._metas], self._shelf, self._loop.time(), self._closed)
        self._metas.clear()
        self._sent.append(words)
        return words.data

    def _take(self, replies: Iterable[Reply]) -> None:
        """The next replies: they belong to the oldest requests, even where nobody waits for them any more."""
        self._heard, self.proven = self._loop.time(), True
        if self._address.sentinels is not None:
            replies = self._judged(replies, self._address.sentinels)
        sent = self._sent
        for reply in replies:
            if sent[0].take(reply) if self._held is None else self._take_held(sent[0], reply):
                sent.popleft()
                if self._held is not None and not sent:
                    self._send_held()

    # A server that says it is no primary is left. The answers to writes that are on the way are still taken,
    # for they say whether it happened. Those to reads are not believed, which are asked again elsewhere.

    def _judged(self, replies: Iterable[Reply], sentinels: Sentinels) -> Iterator[Reply]:
        for reply in replies:
            if not self._left and translate.is_no_primary(reply):
                self._left, self._held = True, self._held or []
                sentinels.closed(self)  # it ends by itself, once all is answered
                sentinels.left(self._address.node)
                self._retire()
            yield reply

    def leave(self, node: Node) -> None:
        """Lose the connection, if it is one to *node*. Called in any thread."""
        if node == self._address.node:
            with suppress(RuntimeError):  # its loop is closed
                self._loop.call_soon_threadsafe(self._lose, ConnectionError("the primary is another server"))

    # An unknown script goes once more, in full. What was sent after it was executed before it. So nothing
    # more is sent until all of that is answered, and what only reads among it is asked once more behind it.

    def hold_back(self, request: Request) -> bool:
        """Send *request*, just refused, once more before all else; whether it is of this connection."""
        if not (self.usable and self._sent and self._sent[0] is request):
            return False
        self._held = [*(self._held or ()), request]
        return True

    def _take_held(self, request: Request, reply: Reply) -> bool:
        if request.writes or request.future.done() or isinstance(request, Words):
            return request.take(reply)
        last = request.pass_over(reply)
        if last and self._held is not None:
            self._held.append(request)
        return last

    def _send_held(self) -> None:
        if self._left:
            self._lose(ConnectionError("the server is no primary"))
            return
        held, self._held = self._held or [], None
        now = self._loop.time()
        for request in held:
            request.started = now
            self._size += len(request.data)
        self._unsent[:0] = held
        self._send_kept()

    @abstractmethod
    def _send_kept(self) -> None:
        """Send what was kept, now."""

    def _has_room(self) -> None:
        """Take requests again."""
        if self.usable and not self.accepts:
            self.accepts = True
            if owner := self._owner():
                owner.changed()

    def _late(self, since: float) -> None:
        """Whatever was sent before *since* got no answer in time.

        It takes no new requests. What else is on the way has time left, and may still be answered.
        """
        for request in self._unanswered():
            if request.started <= since and not request.future.done():
                request.fail(translate.lost(self._address.place, TimeoutError(), writes=request.writes))
        self._give_up()
        self._retire()
        if all(request.future.done() for request in self._unanswered()):
            self._lose(TimeoutError())

    def _retire(self) -> None:
        if self.usable:
            self.usable = self.accepts = False
            if owner := self._owner():
                owner.changed()

    def _lose(self, error: BaseException) -> None:
        """The connection is of no more use: hand the requests back."""
        self.usable = self.accepts = False
        self._give_up()
        sent, unsent = self._unanswered(), [*(self._held or ()), *self._unsent]
        if self._left:  # what reads was answered, by a server that is not to be believed
            sent, unsent, self.proven = [*(self._held or ()), *sent], self._unsent[:], False
        self._held = None
        for kept in (self._sent, self._unsent, self._shelf, self._metas):
            kept.clear()
        self._deadlines.stop()
        self._hang_up()
        if owner := self._owner():
            owner.lost(self, sent, unsent, error)

    def _unanswered(self) -> list[Request]:
        """What was sent and is not settled: of what stands on the shelf the words are still to come."""
        return [*self._shelf, *(request for request in self._sent if not isinstance(request, Words))]

    def _give_up(self) -> None:
        """Whatever writes and was not answered must not happen any more, once others go on."""
        if self._peer is not None and any(request.writes for request in self._sent):
            self._facts.given_up.add(self._peer)

    def _hang_up(self) -> None:
        """Close the connection now, whatever is on the way."""
        self._watch.stop()
        internals.hang_up(self._raw)

    async def close(self) -> None:
        """Close the connection, and wait until it is. What is on the way is lost."""
        self._lose(Closing("closed by this process"))
        with suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(self._closed)

    def abandon(self) -> None:
        """Let go of the connection: its loop is closed already."""
        self._give_up()
        self._watch.stop()
        with suppress(RuntimeError):  # the loop cannot be told any more
            self._hang_up()


class SocketConnection(Connection, asyncio.Protocol):
    """Reads and writes the socket itself, the *stream*, once redis-py has connected and logged in."""

    def __init__(
        self, owner: Owner, raw: Any, peer: Peer | None, address: Address, stream: asyncio.Transport
    ) -> None:
        super().__init__(owner, raw, peer, address)
        self._transport = stream
        self._paused, self._packet = False, PACKET
        self._now = self._heard
        self._parser = internals.new_reader()
        stream.set_write_buffer_limits(HIGH_WATER)
        stream.set_protocol(self)

    def send(self, request: Request) -> None:
        if not self._unsent:
            self._now = now = self._loop.time()
            fresh = now - self._heard < STALE
            if fresh and not self._sent:  # nothing is on the way: go at once
                request.started = request.started or now
                self._note_sent([request])
                self._transport.write(request.data + self._asking() if self._metas else request.data)
                return
            next_step = self._end_turn if fresh or self._sent else self._look_first
            self._loop.call_soon(next_step, context=self._context)
        request.started = request.started or self._now
        self._unsent.append(request)
        self._size = size = self._size + len(request.data)
        if size > self._packet and self._sent:
            self._packet = min(2 * self._packet, HIGH_WATER)
            self._write(self._leaving())
        elif size > HIGH_WATER:
            self.accepts = False

    def _look_first(self) -> None:
        self._loop.call_soon(self._end_turn, context=self._context)

    def _end_turn(self) -> None:
        self._packet = PACKET
        self._flush()

    def _flush(self) -> None:
        self._write(self._leaving() + self._asking())

    _send_kept = _flush

    def _write(self, data: bytes) -> None:
        if data:  # nothing, if the connection was lost meanwhile
            self._transport.write(data)
        if not self._paused:
            self._has_room()

    def data_received(self, data: bytes) -> None:
        reader = self._parser
        try:
            reader.feed(data)
            self._take(iter(reader.gets, internals.NOTHING))
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


class StreamConnection(Connection):
    """Sends and reads by the public methods of redis-py's connection: one task writes, another reads."""

    def __init__(self, owner: Owner, raw: Any, peer: Peer | None, address: Address) -> None:
        super().__init__(owner, raw, peer, address)
        self._wake = asyncio.Event()
        self._jobs = [self._start(self._write()), self._start(self._read())]

    def _start(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = self._loop.create_task(work, context=contextvars.Context())
        _tasks.add(task)
        task.add_done_callback(_tasks.discard, context=self._context)
        return task

    def send(self, request: Request) -> None:
        request.started = request.started or self._loop.time()
        self._unsent.append(request)
        self._size += len(request.data)
        if self._size > HIGH_WATER:
            self.accepts = False
        self._wake.set()

    def _send_kept(self) -> None:
        self._wake.set()

    async def _write(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._notice_the_end()
                data = self._leaving() + self._asking()
                self._has_room()
                if data:
                    await self._raw.send_packed_command(data, check_health=False)
        except (asyncio.CancelledError, *translate.BROKEN) as error:
            self._lose(error)

    async def _notice_the_end(self) -> None:
        if not self._sent and self._loop.time() - self._heard > STALE:
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def _read(self) -> None:
        try:
            while True:
                self._take([await read_reply(self._raw)])
        except (asyncio.CancelledError, IndexError, *translate.BROKEN) as error:
            self._lose(error)

    def _hang_up(self) -> None:
        _tasks.difference_update(self._jobs)  # from here on the loop holds them, if it still lives
        for job in self._jobs:
            job.cancel()
        super()._hang_up()
        if not self._closed.done():
            self._closed.set_result(None)


async def open_connection(owner: Owner, address: Address) -> Connection:
    """A new connection, in the fastest form that its class allows."""
    address = await located(address)
    raw, peer = await connect(address, owner.facts)
    stream = internals.stream_of(raw) if address.transport != "public" else None
    if stream is None:
        return StreamConnection(owner, raw, peer, address)
    return SocketConnection(owner, raw, peer, address, stream)
