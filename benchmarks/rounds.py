"""Side by side: contenders in processes of their own, asked in turn, compared round by round."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def cores() -> tuple[set[int], set[int]]:
    """The core of the server and the core of the clients. Both are all cores where there is but one."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return ({usable[0]}, {usable[1]}) if len(usable) > 1 else (set(usable), set(usable))


def pin(pid: int, to: Iterable[int]) -> None:
    """Keep a process, and all that its threads start later, on some cores; Linux alone can."""
    chosen = set(to)
    if chosen and hasattr(os, "sched_setaffinity"):
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), chosen)


class Contender:
    """A process that answers orders, one JSON object per line."""

    def __init__(self, name: str, command: Sequence[str], on: Iterable[int]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        pin(self._process.pid, on)

    def ask(self, **order: Any) -> dict[str, Any]:
        """The reply to an order. RuntimeError where the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with exit code {self._process.wait()}")
        reply: dict[str, Any] = json.loads(line)
        return reply

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def timings(
    contenders: Sequence[Contender], question: str, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """The seconds per call of each contender, a figure a round; the order turns every other round."""
    took: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for contender in contenders if number % 2 == 0 else list(reversed(contenders)):
            reply = contender.ask(do="time", question=question, seconds=seconds)
            if "seconds" in reply:
                took[contender.name].append(reply["seconds"])
    return took


def ratio(other: Sequence[float], base: Sequence[float]) -> tuple[float, float, float]:
    """Median, smallest and largest of the ratios other/base, round by round."""
    ratios = [one / two for one, two in zip(other, base, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios)
