"""A client of ASGI apps that keeps its own context, and servers in processes of their own."""

from __future__ import annotations

import asyncio
import contextvars
import gzip
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from ..support.patience import limit
from ..support.servers import free_port

ROOT = Path(__file__).parent.parent.parent
START_SECONDS = limit(5)
END_SECONDS = limit(2)


@dataclass
class Answer:
    """What an app sent, and what it raised into the server."""

    messages: list[Any] = field(default_factory=list[Any])
    error: BaseException | None = None

    @property
    def status(self) -> int:
        """As a server would answer: 500 where the app raised before its answer began."""
        return next((m["status"] for m in self.messages if m["type"] == "http.response.start"), 500)

    @property
    def body(self) -> bytes:
        body = b"".join(m.get("body", b"") for m in self.messages if m["type"] == "http.response.body")
        return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body


def http(path: str, method: str = "GET") -> dict[str, Any]:
    """The scope of an HTTP request."""
    path, _, query = path.partition("?")
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
        "path": path, "raw_path": path.encode(), "root_path": "", "query_string": query.encode(),
        "headers": [(b"host", b"test"), (b"accept-encoding", b"gzip")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2),
    }  # fmt: skip


async def ask(
    app: Any,
    path: str,
    method: str = "GET",
    *,
    at_start: Callable[[], Any] | None = None,
    gone_after: int | None = None,
    scope: dict[str, Any] | None = None,
    body: bytes = b"",
) -> Answer:
    """One request in a context of its own. The client goes away after *gone_after* messages."""
    answer, left = Answer(), asyncio.Event()
    sent = False

    async def receive() -> Any:
        nonlocal sent
        if not sent:
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and at_start:
            at_start()
        answer.messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            left.set()  # as servers say when the answer is complete
        if gone_after is not None and len(answer.messages) > gone_after:
            left.set()
            await asyncio.sleep(0.02)

    async def run() -> None:
        try:
            await app(scope or http(path, method), receive, send)
        except Exception as error:
            answer.error = error

    await asyncio.create_task(run(), context=contextvars.Context())
    return answer


class Served:
    """A server in a process of its own, on a free port of loopback. Use it in a with statement."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.port = free_port()
        words = [word.replace("{port}", str(self.port)) for word in command]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # not a pipe: a full one would stop the server
        self.output = ""
        self.process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "COVERAGE_PROCESS_START": "", **environment},
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def __enter__(self) -> Served:
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"the server does not start:\n{self.stop()}")

    def stop(self) -> str:
        """End it as a supervisor would; return what it wrote."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.seek(0)
        self.output = self._log.read().decode(errors="replace")
        self._log.close()
        return self.output

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if error is not None:
            error.add_note(self.output[-4000:])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


SERVERS = {
    "uvicorn-asyncio-h11": "-m uvicorn --loop asyncio --http h11 --no-access-log --port {port} APP",
    "uvicorn-asyncio-httptools": "-m uvicorn --loop asyncio --http httptools --no-access-log --port {port} APP",
    "uvicorn-uvloop-h11": "-m uvicorn --loop uvloop --http h11 --no-access-log --port {port} APP",
    "uvicorn-uvloop-httptools": "-m uvicorn --loop uvloop --http httptools --no-access-log --port {port} APP",
    "hypercorn": "-m hypercorn --bind 127.0.0.1:{port} APP",
}
PER_PUSH = ("uvicorn-asyncio-h11", "uvicorn-uvloop-httptools", "hypercorn")


def serve(server: str, app: str, url: str, **environment: str) -> Served:
    """*app* (``module:name``) on one of SERVERS, against the database *url*."""
    return Served(*SERVERS[server].replace("APP", app).split(), REDISCA_URL=url, **environment)


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare connection, to speak HTTP by hand."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """One HTTP/1.1 answer with a length or in chunks."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status = int(head.split()[1])
    lower = head.lower()
    if "transfer-encoding: chunked" in lower:
        body = b""
        while size := int(await reader.readuntil(b"\r\n"), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
        return status, body
    found = lower.partition("content-length: ")[2].split("\r\n")[0]
    return status, await reader.readexactly(int(found or 0))
