"""The processes of a roll-out, seen from the test: workers, and the commands of the operator."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...support.patience import limit
from .questions import OF_EACH

ROOT = Path(__file__).parents[3]

WRITERS, READERS = 10, 5
"""Tasks of one process."""

OF_EACH_PROCESS = WRITERS * OF_EACH
"""Records that the writers of one process have."""


class Running:
    """A process that was started, and what it says."""

    def __init__(self, process: subprocess.Popen[str], notes: Path) -> None:
        self.process, self.notes = process, notes

    def said(self) -> str:
        return self.notes.read_text()

    def end(self) -> str:
        """What it said, once it has ended well by itself."""
        assert self.process.wait(limit(30)) == 0, self.said()
        return self.said()


class Worker(Running):
    """A process that writes and asks until it is told to stop."""

    def told(self) -> Any:
        """What it did so far."""
        lines = self.said().splitlines(keepends=True)
        whole = [line for line in lines if line.startswith("{") and line.endswith("}\n")]
        return json.loads(whole[-1]) if whole else None

    def go_on(self, writes: int) -> None:
        """Wait for so many more writes, and for an answer or none to each question that it asks."""
        before = self._sums()
        end = time.monotonic() + limit(30)
        while any(now < was + writes for now, was in zip(self._sums(), before, strict=True)):
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, f"{self._sums()} since {before}: {self.said()[-2000:]}"
            time.sleep(0.1)

    def _sums(self) -> tuple[int, int]:
        told = self.told()
        if told is None:
            return 0, 0
        tried = told["writes"] + sum(told["refused"].values())
        return tried, sum(told["answers"].values()) + sum(told["unanswered"].values()) + len(told["wrong"])

    def stop(self) -> Any:
        """What it did, once it has ended what it was about."""
        self.process.send_signal(signal.SIGTERM)
        self.end()
        return self.told()


@dataclass(frozen=True)
class Site:
    """Where a roll-out takes place: the server, a folder for notes, and the library that runs there."""

    url: str
    folder: Path
    code: Path = ROOT
    started: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])

    def _start(self, deployed: str, *arguments: str) -> tuple[subprocess.Popen[str], Path]:
        """A process of Python that has a version of the class deployed."""
        paths = os.pathsep.join(map(str, dict.fromkeys([self.code, ROOT])))
        env = {**os.environ, "PYTHONPATH": paths, "DEPLOYED": deployed, "COLUMNS": "200", "NO_COLOR": "1"}
        notes = self.folder / f"{len([*self.folder.iterdir()])}"
        with notes.open("w") as out:
            command = [sys.executable, "-P", "-m", *arguments]
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, text=True, env=env, cwd=ROOT
            )
        self.started.append(process)
        return process, notes

    def _role(self, deployed: str, role: str, *words: object) -> tuple[subprocess.Popen[str], Path]:
        return self._start(deployed, "tests.scenarios.rolling.worker", role, self.url, *map(str, words))

    def fill(self, deployed: str, more: int = 0) -> None:
        """Write the records that stand still, and *more*."""
        Running(*self._role(deployed, "fill", more)).end()

    def drift(self, deployed: str) -> list[str]:
        """What is wrong with the store."""
        found: list[str] = json.loads(Running(*self._role(deployed, "drift")).end())
        return found

    def work(self, deployed: str, name: str, moving: int, *, contend: bool = False) -> Worker:
        """Ten writers and five readers; *moving*: how many records writers have, of all processes."""
        return Worker(*self._role(deployed, "work", name, WRITERS, READERS, moving, int(contend)))

    def operator(self, deployed: str, command: str, *options: str) -> Running:
        """A command line of ``aioredisca`` for the class."""
        model = "tests.scenarios.rolling.deployed:Item"
        return Running(*self._start(deployed, "aioredisca", command, model, "--url", self.url, *options))

    def close(self) -> None:
        """End what still runs."""
        for process in self.started:
            process.kill()
            process.wait()
