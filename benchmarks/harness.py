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
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Timer
from typing import Any

import redis

from .contenders._people import NEEDED
from .worker import WARM

HERE = Path(__file__).parent
RECORDS = 1000
PATIENCE = 120.0
"""Seconds after which a contender that does not answer is ended."""


@dataclass(frozen=True)
class Work:
    """One line of the results: *count* operations by so many *tasks*; *size* is how many each one loads."""

    operation: str
    tasks: int
    count: int
    size: int = 0

    @property
    def name(self) -> str:
        return self.operation.rstrip("_")

    @property
    def title(self) -> str:
        if self.operation == "bulk":
            return f"bulk of {self.count:,}"
        if self.operation == "range_":
            return f"range, 100 of {NEEDED['range_']:,} loaded"
        if self.size:
            return f"{self.name}, {self.size:,} loaded"
        return f"{self.name.replace('_', ' and ')}, {self.tasks:,} task{'s' if self.tasks > 1 else ''}"

    @property
    def records(self) -> int:
        """How many persons the store holds before."""
        spare = self.count + WARM if self.operation in ("update", "save", "delete") else 0
        return max(NEEDED.get(self.operation, RECORDS), spare)

    def quick(self) -> Work:
        """The same with a fifth of the work."""
        return replace(self, count=max(self.count // 5, self.tasks))


WORKS = (
    *(Work("get", *each) for each in ((1, 1500), (2, 2000), (10, 3000), (100, 5000), (1000, 5000))),
    *(Work("create", *each) for each in ((1, 1000), (2, 1000), (10, 2000), (100, 4000), (1000, 4000))),
    *(Work("update", *each) for each in ((1, 1000), (100, 4000))),
    *(Work("save", *each) for each in ((1, 1000), (100, 4000))),
    *(Work("delete", *each) for each in ((1, 1000), (100, 4000))),
    Work("bulk", 1, 5000),
    *(Work("find", 1, count, size) for count, size in ((500, 1), (50, 100), (8, 1000))),
    Work("range_", 1, 40),
    Work("get_many", 1, 8, 1000),
    *(Work("cached", *each) for each in ((1, 1000), (100, 10_000))),
    *(Work("cached_read", *each) for each in ((1, 1000), (100, 10_000))),
)


@dataclass
class Result:
    """Seconds per operation of each contender, round by round; and who failed, with what.

    ``cpu`` and ``server`` are the processor time of the client and of the server.
    """

    work: Work
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)
    server: dict[str, list[float]] = field(default_factory=dict)
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


class Absent(Exception):
    """A contender cannot be had, for that reason."""


class Contender:
    """A contender in a process of its own, pinned to one core."""

    def __init__(self, file: Path, environments: Path, port: int, core: int | None) -> None:
        facts = facts_of(file)
        self.file = file
        self.name: str = facts["NAME"]
        self.note: str = facts.get("NOTE", "")
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
        if "error" in about:
            self.close()
            raise Absent(about["error"])
        self.operations: dict[str, bool] = about["operations"]
        self.versions: dict[str, str] = about["versions"]

    def ask(self, **order: Any) -> Any:
        """Its answer; an error if it has ended, or does not answer in time and is ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = Timer(PATIENCE, self._process.kill)
        timer.start()
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:  # ended before; what it said of that is still there
            answer = self._process.stdout.readline()
        finally:
            timer.cancel()
        return json.loads(answer) if answer else {"error": f"ended at {order}"}

    def takes(self, work: Work) -> bool:
        return work.operation in self.operations and (work.tasks == 1 or self.operations[work.operation])

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            self._process.wait(30)
        except BrokenPipeError:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _python_for(packages: Sequence[str], place: Path) -> str:
    """The Python that has *packages*: ours, or one of an environment that is made if it is not there."""
    if not packages:
        return sys.executable
    python, made = place / ("Scripts" if os.name == "nt" else "bin") / "python", place / "packages"
    if not made.exists() or made.read_text("utf-8").split() != list(packages):
        venv.create(place, with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", *packages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Absent(f"pip install {' '.join(packages)}: {done.stderr.strip().splitlines()[-1]}")
        made.write_text("\n".join(packages), "utf-8")
    return str(python)


def pin(pid: int, core: int | None) -> None:
    """Keep a process, and all the threads that it has, on one core; Linux alone can."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        for task in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(task.name), {core})


def measure(work: Work, contenders: Sequence[Contender], port: int, rounds: int) -> Result:
    """Run *work* by all contenders, *rounds* times, in an order that is turned round every time."""
    result = Result(work)
    taking = [contender for contender in contenders if contender.takes(work)]
    for number in range(rounds):
        for contender in taking if number % 2 else reversed(taking):
            if contender.name in result.failed:
                continue
            answer = _block(work, contender, port)
            if "error" in answer:
                result.failed[contender.name] = answer["error"]
                continue
            for kind in ("seconds", "cpu", "server"):
                figures: dict[str, list[float]] = getattr(result, kind)
                figures.setdefault(contender.name, []).append(answer[kind] / work.count)
    for name in result.failed:
        for figures in (result.seconds, result.cpu, result.server):
            figures.pop(name, None)
    return result


def _block(work: Work, contender: Contender, port: int) -> Any:
    """What the contender answers, with the processor time that the server spent meanwhile."""
    with redis.Redis(port=port) as client:
        client.flushall()
        for order in ({"do": "fill", "records": work.records}, ready(work)):
            answer = contender.ask(**order)
            if "error" in answer:
                return answer
        before = server_cpu(client)
        answer = contender.ask(do="run", operation=work.operation, count=work.count, tasks=work.tasks)
        if "error" not in answer:
            answer["server"] = (server_cpu(client) - before) / answer["blocks"]
    return answer


def server_cpu(client: redis.Redis) -> float:
    """The processor time that a server has used, in seconds."""
    used: Any = client.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def ready(work: Work) -> dict[str, Any]:
    """The order that makes a contender ready for this work."""
    return {
        "do": "ready",
        "operation": work.operation,
        "count": work.count,
        "records": work.records,
        "size": work.size,
        "tasks": work.tasks,
    }


def found(names: Sequence[str]) -> Iterator[Path]:
    """The files of contenders, ours first; only those of *names* if there are any."""
    files = sorted((HERE / "contenders").glob("[!_]*.py"), key=lambda file: (file.stem != "ours", file.stem))
    for file in files:
        if "NAME" in facts_of(file) and (not names or file.stem in names):
            yield file
