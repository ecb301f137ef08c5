"""A loopback TCP proxy that counts round trips and loses answers on demand.

It runs its own loop in its own thread, so blocking and asyncio clients may use it alike.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .patience import limit

HANDSHAKE = {"HELLO", "AUTH", "SELECT", "READONLY"}
"""Commands of connecting, which are no round trips; so are some CLIENT ones, and PING before all others."""

CLIENT_HANDSHAKE = {"SETINFO", "SETNAME", "MAINT_NOTIFICATIONS", "INFO", "KILL"}

SETTLE = 0.03
"""Seconds of silence after which what a client sent counts as one request.

A client sends a pipeline piece by piece. Were each piece forwarded at once, a quick server would answer the
first before the last is sent, and one round trip would look like several. Where nobody counts and no fault waits
for a request, each is.
"""


class Count:
    """What passed the proxy since the count began."""

    def __init__(self) -> None:
        self.trips = 0
        self.commands: list[str] = []
        self.connections = 0


class Proxy:
    """Forwards 127.0.0.1:port to a server on another port of 127.0.0.1.

    ``delay`` (seconds) holds back every request from now on.
    """

    def __init__(self, target: int, *, settle: float = SETTLE) -> None:
        self.target, self.settle, self.delay = target, settle, 0.0
        self.counted, self._is_counted = Count(), False
        self._counts: list[Count] = []
        self.lose_replies = 0
        self.refuse_requests = 0
        self.swallow_replies = 0
        self.hold_requests = 0
        self.held: list[_Held] = []
        self.answered_bytes = 0
        self.cut_at: int | None = None
        self.stall_at: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0?socket_connect_timeout={limit(1):g}"

    @contextmanager
    def count(self) -> Iterator[Count]:
        """Count in this block. Handshakes do not count; blocks may nest."""
        count = Count()
        self._counts.append(count)
        try:
            yield count
        finally:
            self._counts.remove(count)

    def reset(self) -> None:
        """Begin ``counted``, the count outside of all blocks, anew."""
        self.counted, self._is_counted = Count(), True

    def lose_next_reply(self) -> None:
        """Let the server execute the whole next request, drop its answer and cut the connection."""
        self.lose_replies += 1

    def refuse_next_request(self) -> None:
        """Cut the connection instead of forwarding the next request."""
        self.refuse_requests += 1

    def swallow_next_reply(self) -> None:
        """Let the server execute the next request and never answer on its connection again."""
        self.swallow_replies += 1

    def hold_next_request(self) -> None:
        """Keep the next request back, as a buffer of the network may, also when its client has gone."""
        self.hold_requests += 1

    def release(self) -> None:
        """Let the server have what was kept back, and wait until it has executed it, or hung up before."""
        self._call(self._let_go())

    def cut_after(self, size: int) -> None:
        """Cut the connection once, when *size* more bytes of answers have passed."""
        self.cut_at = self.answered_bytes + size

    def stall_after(self, size: int) -> None:
        """Let *size* more bytes of answers pass, then nothing more on that connection, which stays open."""
        self.stall_at = self.answered_bytes + size

    def close(self) -> None:
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- in the proxy's thread ---------------------------------------------------------------------

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(limit(2))

    def note_connection(self) -> None:
        for count in (self.counted, *self._counts):
            count.connections += 1

    def note_request(self, commands: list[str], *, trip: bool) -> None:
        for count in (self.counted, *self._counts):
            count.trips += trip
            count.commands += commands

    def passing(self, data: bytes) -> bytes:
        """What of an answer may pass."""
        if self.cut_at is not None and self.answered_bytes + len(data) > self.cut_at:
            data, self.cut_at = data[: self.cut_at - self.answered_bytes], None
        self.answered_bytes += len(data)
        return data

    def before_stall(self, data: bytes) -> tuple[bytes, bool]:
        """What of an answer comes before all is silence, and whether that begins."""
        if self.stall_at is None or self.answered_bytes + len(data) <= self.stall_at:
            return data, False
        data, self.stall_at = data[: self.stall_at - self.answered_bytes], None
        return data, True

    def silence(self) -> float:
        """How long nothing comes behind what counts as one request."""
        faults = self.lose_replies + self.refuse_requests + self.swallow_replies + self.hold_requests
        return self.settle if self._counts or self._is_counted or faults else 0.0

    def take(self, fault: str) -> bool:
        """Whether this fault is due for this request; it is due once."""
        due: int = getattr(self, fault)
        setattr(self, fault, max(due - 1, 0))
        return due > 0

    async def _let_go(self) -> None:
        held, self.held = self.held, []
        for one in held:
            one.go.set()
            await one.gone.wait()

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _shut(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)  # transports close their sockets one turn after they were told to

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):
                await self._relay(reader, writer)
        finally:
            _drop(writer)
            self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
        try:
            self.note_connection()
            await _Relay(self, reader, writer, server_reader, server_writer).run()
        finally:
            _drop(server_writer)


class _Held:
    """A request that is kept back: when it may go, and when it is no more."""

    def __init__(self) -> None:
        self.go, self.gone = asyncio.Event(), asyncio.Event()


def _drop(writer: asyncio.StreamWriter) -> None:
    """Close now. What nobody reads must not keep a socket open beyond the proxy's life."""
    if writer.transport.get_write_buffer_size():
        writer.transport.abort()
    else:
        writer.close()


class _Relay:
    """One connection through the proxy."""

    def __init__(
        self,
        proxy: Proxy,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        self._proxy, self._writer = proxy, writer
        self._server_reader, self._server_writer = server_reader, server_writer
        self._requests = _Requests(reader, proxy.silence)
        self._connecting = True
        self._answered = True
        self._mute = False

    async def run(self) -> None:
        """Relay until either side ends, or a fault cuts it."""
        directions = [asyncio.create_task(self._forward()), asyncio.create_task(self._answer())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)
            await self._requests.stop()

    async def _forward(self) -> None:
        while data := await self._requests.read():
            commands = self._counted(self._requests.names())
            if commands and self._proxy.take("refuse_requests"):
                return
            if commands:
                self._proxy.note_request(commands, trip=self._answered)
            self._answered = False
            await asyncio.sleep(self._proxy.delay)
            if commands and self._proxy.take("lose_replies"):
                return await self._execute_and_end(data)
            if commands and self._proxy.take("hold_requests"):
                return await self._keep_back(data)
            self._mute = self._mute or (bool(commands) and self._proxy.take("swallow_replies"))
            self._server_writer.write(data)
            await self._server_writer.drain()

    async def _keep_back(self, data: bytes) -> None:
        held = _Held()
        self._proxy.held.append(held)
        try:
            await held.go.wait()
            await self._execute_and_end(data)
        finally:
            held.gone.set()

    async def _execute_and_end(self, data: bytes) -> None:
        """Say goodbye to the server after the request: it ends the connection when all of it is executed."""
        self._mute = True
        self._server_writer.write(data)
        self._server_writer.write_eof()
        await asyncio.get_running_loop().create_future()  # until _answer() sees the server's end

    async def _answer(self) -> None:
        while data := await self._server_reader.read(1 << 16):
            self._answered = True
            if not self._mute:
                data, self._mute = self._proxy.before_stall(data)
                passing = self._proxy.passing(data)
                self._writer.write(passing)
                await self._writer.drain()
                if len(passing) < len(data):
                    return

    def _counted(self, commands: list[list[str]]) -> list[str]:
        """The names of those commands that belong to no handshake."""
        counted = list[str]()
        for name, word in commands:
            if name in HANDSHAKE or (name == "CLIENT" and word in CLIENT_HANDSHAKE):
                continue
            if name == "PING" and self._connecting:
                continue
            self._connecting = False
            counted.append(name)
        return counted


class _Requests:
    """What a client sends, request by request: whole commands, up to the silence after them."""

    def __init__(self, reader: asyncio.StreamReader, silence: Callable[[], float]) -> None:
        self._reader, self._silence = reader, silence
        self._parser = Parser()
        self._names: list[list[str]] = []
        self._next: asyncio.Task[bytes] | None = None

    async def read(self) -> bytes:
        """The next request; nothing at the end of the connection."""
        request = bytearray()
        while True:
            # A task that lives on, instead of a read that is cancelled: nothing that was read gets lost, and
            # data that came while this thread had to wait for its turn is seen before the silence is.
            self._next = self._next or asyncio.create_task(self._reader.read(1 << 16))
            settled = self._silence() if request and self._parser.whole else None
            await asyncio.wait({self._next}, timeout=settled)
            if not self._next.done() or not (data := self._next.result()):
                return bytes(request)
            self._next = None
            self._names += self._parser.feed(data)
            request += data

    def names(self) -> list[list[str]]:
        """Name and first argument of each command read since the last call."""
        names, self._names = self._names, []
        return names

    async def stop(self) -> None:
        if self._next is not None:
            self._next.cancel()
            await asyncio.gather(self._next, return_exceptions=True)


class Parser:
    """Reads name and first argument of each command off a stream of RESP, however it is cut."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._at = 0
        self._left = 0
        self._words: list[str] = []

    @property
    def whole(self) -> bool:
        """Whether the stream stands between two commands."""
        return not self._left and not self._rest

    def feed(self, data: bytes) -> list[list[str]]:
        commands = list[list[str]]()
        self._rest += data
        while self._element():
            if not self._left:
                commands.append([*self._words, ""][:2])
        del self._rest[: self._at]
        self._at = 0
        return commands

    def _element(self) -> bool:
        """Read one array header or one argument, if all of it is there."""
        end = self._rest.find(b"\r\n", self._at)
        if end < 0:
            return False
        number = int(self._rest[self._at + 1 : end])
        if self._rest[self._at] == ord("*"):
            self._left, self._words, self._at = number, [], end + 2
            return True
        if len(self._rest) < end + 4 + number:
            return False
        if len(self._words) < 2:
            self._words.append(self._rest[end + 2 : end + 2 + number].decode(errors="replace").upper())
        self._left, self._at = self._left - 1, end + 4 + number
        return True
