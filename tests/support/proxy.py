"""A loopback TCP proxy that counts round trips and loses answers on demand.

It runs its own loop in its own thread, so blocking and asyncio clients may use it alike.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

HANDSHAKE = {"HELLO", "AUTH", "SELECT", "CLIENT", "PING", "READONLY"}


class Count:
    """What passed the proxy since the count began."""

    def __init__(self) -> None:
        self.trips = 0
        self.commands: list[str] = []
        self.connections = 0


class Proxy:
    """Forwards 127.0.0.1:port to a server on another port of 127.0.0.1."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.counted = Count()
        self.lose_replies = 0
        self.refuse_requests = 0
        self.swallow_replies = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @contextmanager
    def count(self) -> Iterator[Count]:
        """Count from here on. Handshakes do not count."""
        self.counted = Count()
        yield self.counted

    def lose_next_reply(self) -> None:
        """Let the next request reach the server, drop its answer and cut the connection."""
        self.lose_replies += 1

    def refuse_next_request(self) -> None:
        """Cut the connection instead of forwarding the next request."""
        self.refuse_requests += 1

    def swallow_next_reply(self) -> None:
        """Let the next request reach the server and never answer."""
        self.swallow_replies += 1

    def close(self) -> None:
        self._call(self._shut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    # -- in the proxy's thread ---------------------------------------------------------------------

    def _call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def _shut(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        try:
            self.counted.connections += 1
            await self._relay(reader, writer, server_reader, server_writer)
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            server_writer.close()
            self._tasks.discard(task)

    async def _relay(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server_reader: asyncio.StreamReader,
        server_writer: asyncio.StreamWriter,
    ) -> None:
        state = {"answered": True, "lose": False, "swallow": False}

        parser = _Requests()

        async def requests() -> None:
            while data := await reader.read(1 << 16):
                commands = [name for name in parser.feed(data) if name not in HANDSHAKE]
                if commands and self.refuse_requests:
                    self.refuse_requests -= 1
                    return
                if commands and state["answered"]:
                    self.counted.trips += 1
                if commands and self.lose_replies:
                    self.lose_replies -= 1
                    state["lose"] = True
                if commands and self.swallow_replies:
                    self.swallow_replies -= 1
                    state["swallow"] = True
                self.counted.commands += commands
                state["answered"] = False
                server_writer.write(data)
                await server_writer.drain()

        async def replies() -> None:
            while data := await server_reader.read(1 << 16):
                if state["lose"]:
                    return
                state["answered"] = True
                if state["swallow"]:
                    continue
                writer.write(data)
                await writer.drain()

        directions = [asyncio.create_task(requests()), asyncio.create_task(replies())]
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)


class _Requests:
    """Reads the names of commands off a stream of RESP, as soon as each name is there."""

    def __init__(self) -> None:
        self._rest = b""
        self._first = False
        self._skip = 0

    def feed(self, data: bytes) -> list[str]:
        names = list[str]()
        self._rest += data
        while self._step(names):
            pass
        return names

    def _step(self, names: list[str]) -> bool:
        if self._skip:
            skipped = min(self._skip, len(self._rest))
            self._rest, self._skip = self._rest[skipped:], self._skip - skipped
            return not self._skip
        end = self._rest.find(b"\r\n")
        if end < 0:
            return False
        number = int(self._rest[1:end])
        if self._rest[:1] == b"*":
            self._first, self._rest = True, self._rest[end + 2 :]
        elif self._first:
            if len(self._rest) < end + 4 + number:
                return False
            names.append(self._rest[end + 2 : end + 2 + number].decode().upper())
            self._first, self._rest = False, self._rest[end + 4 + number :]
        else:
            self._skip, self._rest = number + 2, self._rest[end + 2 :]
        return bool(self._rest)
