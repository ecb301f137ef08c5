"""A primary, its replicas and three sentinels, on free loopback ports, each stopped by pid."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .patience import limit
from .servers import Server

SERVICE = "shop"

DOWN_AFTER = 1500
"""Milliseconds of silence after which a sentinel takes a server for down."""

_PERIODS = {"PUBLISH-PERIOD": 200, "INFO-PERIOD": 500, "TILT-TRIGGER": 60_000, "SLAVE-RECONF-TIMEOUT": 2_000}
"""Milliseconds: what sentinels do every few seconds, for tests they do at once."""

_QUICK_REPLICATION = (
    *("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"),
    *("--replica-serve-stale-data", "yes", "--protected-mode", "no"),
)


def low_port() -> int:
    """A free loopback port of those that no outgoing connection is given: a killed server finds it again."""
    while True:
        port = random.randrange(10_000, 22_768)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


class Node(Server):
    """A server that may be stopped and killed."""

    pick_port = staticmethod(low_port)

    def stop_answering(self) -> None:
        """As when its machine is overloaded or cut off."""
        os.kill(self.process.pid, signal.SIGSTOP)

    def answer_again(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.answer_again()
        super().stop()

    @property
    def role(self) -> str:
        with self.client() as client:
            role: bytes = client.role()[0]
            return role.decode()


class Watched:
    """A service that sentinels watch.

    ``nodes``      its servers: the first is the primary at the beginning.
    ``sentinels``  those who watch it.
    """

    def __init__(self, binary: Path, *, replicas: int = 1, options: Sequence[str] = ()) -> None:
        self._binary, self.nodes, self.sentinels = binary, list[Node](), list[Sentinel]()
        try:
            self._start(replicas, options)
        except BaseException:
            self.stop()
            raise

    def _start(self, replicas: int, options: Sequence[str]) -> None:
        self.nodes.append(Node("valkey9", self._binary, *_QUICK_REPLICATION, *options))
        of = ("--replicaof", "127.0.0.1", str(self.nodes[0].port))
        self.nodes += [
            Node("valkey9", self._binary, *_QUICK_REPLICATION, *of, *options) for _ in range(replicas)
        ]
        self.sentinels += [Sentinel(self._binary, self.nodes[0].port) for _ in range(3)]
        self.settled()

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}/0"

    def settled(self) -> None:
        """Wait until all sentinels know one primary, all of its replicas and each other."""
        end = time.monotonic() + limit(10)
        while not self._is_settled():
            assert time.monotonic() < end, f"the sentinels do not agree: {self._views()}"
            time.sleep(0.02)

    def _is_settled(self) -> bool:
        up = [sentinel for sentinel in self.sentinels if sentinel.process.poll() is None]
        views = [sentinel.view() for sentinel in up]
        ports = {view["port"] for view in views}
        links = [
            view["num-other-sentinels"] == 2
            and view["num-slaves"] >= len(self.nodes) - 1
            and view["flags"] == "master"
            for view in views
        ]
        replicas = [one for view in up[:1] for one in view.replicas()]
        linked = [one["flags"] == "slave" and one["master-link-status"] == "ok" for one in replicas]
        primaries = [
            node.port for node in self.nodes if node.process.poll() is None and node.role == "master"
        ]
        return all(links) and all(linked) and len(linked) == len(self.nodes) - 1 and {*primaries} == ports

    def _views(self) -> list[Any]:
        return [sentinel.view() for sentinel in self.sentinels if sentinel.process.poll() is None]

    @property
    def primary(self) -> Node:
        """Whom the sentinels name."""
        port = self.sentinels[0].view()["port"]
        return next(node for node in self.nodes if node.port == port)

    @property
    def replica(self) -> Node:
        """One of the others."""
        primary = self.primary
        return next(node for node in self.nodes if node is not primary)

    def named_port(self) -> int | None:
        """Whom the first sentinel names as a primary that works, if it does."""
        view = self.sentinels[0].view()
        return view["port"] if view["flags"] == "master" else None

    def all_up(self) -> None:
        """Have all up again, with one primary."""
        for node in (*self.nodes, *self.sentinels):
            if node.process.poll() is not None:
                node.restart()
            node.answer_again()
        self.settled()

    def empty(self) -> None:
        """The same, without any keys."""
        self.all_up()
        self.primary.empty()

    def switch(self, *how: str) -> None:
        """Have another server made the primary, as an operator does; the old one goes on meanwhile."""
        with self.sentinels[0].client() as client:
            client.execute_command("SENTINEL", "FAILOVER", SERVICE, *how)

    def stop(self) -> None:
        for node in (*self.sentinels, *self.nodes):
            node.stop()

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class Sentinel(Node):
    """One that watches the primary at *port*."""

    def __init__(self, binary: Path, port: int) -> None:
        self._watched = port
        super().__init__("valkey9", binary)

    def _command(self, binary: Path, options: tuple[str, ...]) -> list[str]:
        path = Path(self._folder.name, "sentinel.conf")
        if not path.exists():
            path.write_text(
                f"bind 127.0.0.1\nprotected-mode no\n"
                f"dir {self._folder.name}\n"
                f"sentinel monitor {SERVICE} 127.0.0.1 {self._watched} 2\n"
                f"sentinel down-after-milliseconds {SERVICE} {DOWN_AFTER}\n"
                f"sentinel failover-timeout {SERVICE} 3000\n"
                f"sentinel parallel-syncs {SERVICE} 5\n"
            )
        return [str(binary), str(path), "--sentinel", "--port", str(self.port), *options]

    def _start(self, binary: Path, options: tuple[str, ...]) -> bool:
        started = super()._start(binary, options)
        if started:
            with self.client() as client:
                for name, period in _PERIODS.items():
                    client.execute_command("SENTINEL", "DEBUG", name, period)
        return started

    def view(self) -> dict[str, Any]:
        """What it knows of the service."""
        with self.client() as client:
            masters: dict[str, dict[str, Any]] = client.sentinel_masters()
            return masters[SERVICE]

    def replicas(self) -> list[dict[str, Any]]:
        with self.client() as client:
            return [*client.sentinel_slaves(SERVICE)]


@contextmanager
def not_answering(*nodes: Node) -> Iterator[None]:
    """Let *nodes* stand still in this block."""
    for node in nodes:
        node.stop_answering()
    try:
        yield
    finally:
        for node in nodes:
            node.answer_again()
