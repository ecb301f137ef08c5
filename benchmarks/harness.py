"""Runs contenders in turns: each round runs all of them on the same work, and its ratios are its own.

A busy machine slows a whole round down, not one contender; so ratios within rounds stay, where absolute
figures do not. Their median over the rounds is the result.
"""

from __future__ import annotations

import ast
import json
import os
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

HERE = Path(__file__).parent
RECORDS = 1000


@dataclass(frozen=True)
class Work:
    """One line of the results: *count* operations by so many *tasks*."""

    operation: str
    tasks: int
    count: int

    @property
    def title(self) -> str:
        if self.operation == "bulk":
            return f"bulk of {self.count:,}"
        return f"{self.operation}, {self.tasks:,} task{'s' if self.tasks > 1 else ''}"


WORKS = (
    *(Work("get", tasks, count) for tasks, count in ((1, 1500), (10, 3000), (100, 5000), (1000, 5000))),
    *(Work("create", tasks, count) for tasks, count in ((1, 1000), (10, 2000), (100, 4000), (1000, 4000))),
    *(Work("update", tasks, count) for tasks, count in ((1, 1000), (100, 4000))),
    *(Work("delete", tasks, count) for tasks, count in ((1, 1000), (100, 4000))),
    Work("bulk", 1, 5000),
)


@dataclass
class Result:
    """Seconds per operation of each contender, round by round; and who failed, with what."""

    work: Work
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def microseconds(self, name: str) -> float:
        return statistics.median(self.seconds[name]) * 1e6

    def ratios(self, name: str, base: str) -> list[float]:
        """How many times as fast as *base* it was, round by round, sorted."""
        pairs = zip(self.seconds[base], self.seconds[name], strict=True)
        return sorted(theirs / own for theirs, own in pairs)

    def ratio(self, name: str, base: str) -> float:
        return statistics.median(self.ratios(name, base))


def facts_of(file: Path) -> dict[str, Any]:
    """The capitals of a contender's file, read without running it: its packages may not be here."""
    facts = dict[str, Any]()
    for node in ast.parse(file.read_text("utf-8")).body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and target.id.isupper() and value is not None:
            try:
                facts[target.id] = ast.literal_eval(value)
            except ValueError:  # made of parts
                continue
    return facts


class Contender:
    """A contender in a process of its own, pinned to one core."""

    def __init__(self, file: Path, environments: Path, port: int, core: int | None) -> None:
        facts = facts_of(file)
        self.name: str = facts["NAME"]
        python = _python_for(facts.get("PACKAGES", []), environments / file.stem)
        # In the same process group as we are, so that whoever ends us ends all.
        self._process = subprocess.Popen(
            [python, str(HERE / "worker.py"), str(file), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        pin(self._process.pid, core)
        about = self.ask(do="describe")
        self.operations: list[str] = about["operations"]
        self.concurrent: bool = about["concurrent"]
        self.versions: dict[str, str] = about["versions"]

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} has ended: {order}")
        return json.loads(answer)

    def takes(self, work: Work) -> bool:
        return work.operation in self.operations and (work.tasks == 1 or self.concurrent)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def _python_for(packages: Sequence[str], place: Path) -> str:
    """The Python that has *packages*: ours, or one of an environment that is made if it is not there."""
    if not packages:
        return sys.executable
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=True)
    return str(python)


def pin(pid: int, core: int | None) -> None:
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, {core})


def measure(work: Work, contenders: Sequence[Contender], port: int, rounds: int) -> Result:
    """Run *work* by all contenders, *rounds* times, in an order that is turned round every time."""
    result = Result(work)
    taking = [contender for contender in contenders if contender.takes(work)]
    for number in range(rounds):
        for contender in taking if number % 2 else reversed(taking):
            answer = _block(work, contender, port)
            if "error" in answer:
                result.failed[contender.name] = answer["error"]
                continue
            result.seconds.setdefault(contender.name, []).append(answer["seconds"] / work.count)
            result.cpu.setdefault(contender.name, []).append(answer["cpu"] / work.count)
    for name in result.failed:
        result.seconds.pop(name, None)
        result.cpu.pop(name, None)
    return result


def _block(work: Work, contender: Contender, port: int) -> Any:
    with redis.Redis(port=port) as client:
        client.flushall()
    prepared = contender.ask(do="prepare", operation=work.operation, count=work.count, records=RECORDS)
    return (
        prepared
        if "error" in prepared
        else contender.ask(do="run", operation=work.operation, count=work.count, tasks=work.tasks)
    )


def found(names: Sequence[str]) -> Iterator[Path]:
    """The files of contenders, ours first; only those of *names* if there are any."""
    files = sorted((HERE / "contenders").glob("[!_]*.py"), key=lambda file: (file.stem != "ours", file.stem))
    for file in files:
        if "NAME" in facts_of(file) and (not names or file.stem in names):
            yield file
