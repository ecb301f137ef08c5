"""``python -m benchmarks.before_after OLD NEW``: is the library in one source tree slower than in another?

Each tree runs in a process of its own, new in each round, and both on one server, flushed in each round, each
in a namespace of its own. Operation by operation they take turns with short blocks, OLD NEW NEW OLD. What
counts is processor time, the client's and the server's (``INFO cpu``), and of it the ratio NEW/OLD of the two
blocks of a pair: the median of a round, and the median of the rounds. In brackets stand the quartiles of the
rounds, and ! where the median is above the limit. Take such a line again by --only, with more rounds.

    python -m benchmarks.before_after path/to/old .     # about ten minutes
    python -m benchmarks.before_after . .               # the noise of the machine
    python -m benchmarks.before_after path/to/old . --only get --only composed --rounds 15
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.servers import KINDS, Server, version_of

from .harness import HERE, pin, server_cpu

LIMIT = 1.03
"""An operation that takes more than so many times its old time is slower."""

OPERATIONS = {
    "get": (40, 250, 50),
    "get_many": (8, 100, 8),
    "create": (25, 150, 30),
    "update_indexed": (30, 200, 40),
    "update_unindexed": (30, 200, 40),
    "delete": (30, 200, 40),
    "save_many": (2, 20, 2),
    "find_value": (20, 100, 20),
    "find_range": (20, 100, 20),
    "composed": (12, 100, 12),
    "count": (30, 200, 40),
    "incr": (30, 200, 40),
    "session": (5, 100, 5),
}
"""How many make a block: in one task, in a hundred (or that many), and in blocking code. It takes some
milliseconds, so what comes and goes on a busy machine meets both blocks of a pair."""

TITLES = {
    "get_many": "get_many of 100",
    "update_indexed": "update, indexed",
    "update_unindexed": "update, unindexed",
    "save_many": "save_many of 100",
    "find_value": "find by value, 20 rows",
    "find_range": "find by range, 40 rows",
    "composed": "composed, order, limit 10",
    "session": "session, flush of 10",
}


@dataclass
class Line:
    """One operation in one way, and what its blocks took, in seconds each: by round, then by pair."""

    operation: str
    face: str
    tasks: int
    count: int
    client: list[list[tuple[float, float]]] = field(default_factory=list[list[tuple[float, float]]])
    server: list[list[tuple[float, float]]] = field(default_factory=list[list[tuple[float, float]]])

    @property
    def title(self) -> str:
        way = "blocking" if self.face == "blocking" else f"{self.tasks} task{'s' if self.tasks > 1 else ''}"
        return f"{TITLES.get(self.operation, self.operation)}, {way}"


def lines(only: Sequence[str]) -> list[Line]:
    found = list[Line]()
    for operation, (one, hundred, blocking) in OPERATIONS.items():
        if not only or operation in only:
            found += [
                Line(operation, "asyncio", 1, one),
                Line(operation, "asyncio", min(hundred, 100), hundred),
                Line(operation, "blocking", 1, blocking),
            ]
    return found


class Tree:
    """The process of a source tree."""

    def __init__(self, tree: Path, port: int, namespace: str, core: int | None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(HERE / "before_after_worker.py"), str(port), namespace],
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        pin(self._process.pid, core)
        package = Path(self.ask(do="fill")["package"])
        if package.parent != tree:
            sys.exit(f"{tree} was asked for, and {package} is what runs")

    def ask(self, **order: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "it ended"}')
        if "error" in answer:
            sys.exit(f"{order}: {answer['error']}")
        return answer

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def play(number: int, trees: Sequence[Path], work: Sequence[Line], server: Server, options: Any) -> None:
    """One round."""
    with server.client() as client:
        client.flushall()
        turn = (0, 1) if number % 2 else (1, 0)
        started = {i: Tree(trees[i], server.port, f"{'on'[i]}:", options.core) for i in turn}
        for line in work:
            for tree in started.values():
                _block(line, tree, client, max(line.count // 5, line.tasks))
            client_pairs, server_pairs = list[tuple[float, float]](), list[tuple[float, float]]()
            for pair in range(options.pairs):
                took = {i: _block(line, started[i], client, line.count) for i in _order(turn, pair)}
                client_pairs.append((took[0][0], took[1][0]))
                server_pairs.append((took[0][1], took[1][1]))
            line.client.append(client_pairs)
            line.server.append(server_pairs)
        for tree in started.values():
            tree.close()


def _order(turn: tuple[int, int], pair: int) -> tuple[int, int]:
    return (turn[1], turn[0]) if pair % 2 else turn


def _block(line: Line, tree: Tree, client: Any, count: int) -> tuple[float, float]:
    """What one block took the client and the server, per operation."""
    tree.ask(do="ready", face=line.face, operation=line.operation, count=count)
    before = server_cpu(client)
    answer = tree.ask(do="run", face=line.face, operation=line.operation, count=count, tasks=line.tasks)
    return answer["cpu"] / count, (server_cpu(client) - before) / count


# -- the page --------------------------------------------------------------------------------------


@dataclass
class Figure:
    """NEW/OLD of one kind of time, and the median of OLD in µs."""

    old: float
    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        mark = "!" if self.slower else " "
        return f"{self.old:9,.1f}  {self.ratio:.3f} [{self.low:.3f}..{self.high:.3f}] {mark}"

    @property
    def slower(self) -> bool:
        return self.ratio > LIMIT


def figure(rounds: Sequence[Sequence[tuple[float, float]]]) -> Figure:
    ratios = sorted(statistics.median(new / old for old, new in pairs) for pairs in rounds)
    low, _, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3
    old = statistics.median(old for pairs in rounds for old, _ in pairs) * 1e6
    return Figure(old, statistics.median(ratios), low, high)


def table(work: Sequence[Line]) -> Iterator[str]:
    yield f"{'':<36}{'client':>9}{'':<24}{'server':>9}"
    yield f"{'operation':<36}" + f"{'µs OLD':>9}  NEW/OLD, quartiles    " * 2
    for line in work:
        yield f"{line.title:<36}{figure(line.client)}{figure(line.server)}"
    for kind in ("client", "server"):
        figures = [figure(getattr(line, kind)) for line in work]
        ratios = [each.ratio for each in figures]
        widest = max(abs(ratio - 1) for ratio in ratios)
        yield (
            f"{kind}: median of all lines {statistics.median(ratios):.3f}, "
            f"lowest {min(ratios):.3f}, highest {max(ratios):.3f}, farthest from 1 by {widest:.3f}; "
            f"{sum(each.slower for each in figures)} above {LIMIT}"
        )


def main(words: Sequence[str] | None = None) -> int:
    options = arguments().parse_args(words)
    trees = [path.resolve() for path in (options.old, options.new)]
    many = (os.cpu_count() or 1) > 1
    options.core = 1 if many else None
    work, begun = lines(options.only or ()), time.monotonic()
    with Server("before-after", options.server) as server:
        pin(server.process.pid, 0 if many else None)
        print(f"{options.server.name} {version_of(options.server)}, {options.rounds} rounds", flush=True)
        with contextlib.suppress(KeyboardInterrupt):  # what is there by then is shown
            for number in range(options.rounds):
                play(number, trees, work, server, options)
                print(f"round {number + 1}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    work = [line for line in work if line.server]
    if not work:
        return 1
    print("\n".join(table(work)))
    slower = any(figure(kind).slower for line in work for kind in (line.client, line.server))
    return 1 if options.check and slower else 0


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.before_after",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--pairs", type=int, default=16, help="blocks of each tree and operation in a round")
    parser.add_argument("--only", action="append", choices=OPERATIONS, help="an operation; repeatable")
    parser.add_argument("--check", action="store_true", help=f"fail where a median is above {LIMIT}")
    binary = next(filter(None, (kind.find() for kind in KINDS)), Path("redis-server"))
    parser.add_argument("--server", type=Path, default=binary, help="its binary")
    return parser


if __name__ == "__main__":
    sys.exit(main())
