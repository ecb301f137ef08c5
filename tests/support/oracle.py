"""A sentinel that says what a test wants it to say."""

from __future__ import annotations

import socketserver
import threading
import time
from typing import Any

import hiredis

SERVICE = "shop"


class Oracle:
    """Answers SENTINEL MASTERS, on a loopback port.

    ``port``     where it listens.
    ``names``    the port of the server that it names as the primary, at ``host``.
    ``epoch``    of its word: the higher, the newer.
    ``flags``    what it says of that server beside.
    ``others``   how many sentinels it says there are beside it, and ``replicas`` of the primary.
    ``service``  what it calls the service.
    ``refusal``  an error that it answers instead.
    ``delay``    seconds that it takes for an answer.
    ``asked``    how often it was asked.
    """

    def __init__(self, names: int = 1, epoch: int = 1) -> None:
        self.names, self.epoch, self.flags, self.service = names, epoch, "master", SERVICE
        self.host = "127.0.0.1"
        self.others = self.replicas = 2
        self.refusal, self.delay, self.asked = "", 0.0, 0
        self._server = _Server(("127.0.0.1", 0), _Talk)
        self._server.oracle = self
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, command: list[bytes]) -> bytes:
        """The reply to *command*, as it goes over the wire."""
        if [word.upper() for word in command[:2]] != [b"SENTINEL", b"MASTERS"]:
            return b"+OK\r\n"
        self.asked += 1
        time.sleep(self.delay)
        if self.refusal:
            return f"-{self.refusal}\r\n".encode()
        state = {"name": self.service, "ip": self.host, "port": self.names, "flags": self.flags}
        state |= {"num-other-sentinels": self.others, "num-slaves": self.replicas, "quorum": 2}
        state["config-epoch"] = self.epoch
        words = [str(word) for pair in state.items() for word in pair]
        return f"*1\r\n*{len(words)}\r\n".encode() + b"".join(
            f"${len(word)}\r\n{word}\r\n".encode() for word in words
        )

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = allow_reuse_address = True
    block_on_close = False
    request_queue_size = 128
    oracle: Oracle


class _Talk(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        reader: Any = hiredis.Reader()
        oracle: Oracle = self.server.oracle  # type: ignore[attr-defined]
        while data := self.request.recv(1 << 16):
            reader.feed(data)
            while command := reader.gets():
                self.request.sendall(oracle.answer(command))


def url_of(*oracles: Oracle, options: str = "") -> str:
    """The URL of the service that *oracles* watch."""
    hosts = ",".join(f"127.0.0.1:{oracle.port}" for oracle in oracles)
    return f"redis+sentinel://{hosts}/{SERVICE}/0{options}"
