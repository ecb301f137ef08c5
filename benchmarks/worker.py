"""The process of one contender: runs blocks of operations on demand and answers how long each took.

Started as ``python worker.py CONTENDER_FILE PORT``; reads one JSON object a line, answers one a line. It may
run in another environment than the rest, so it needs nothing but Python.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import importlib.metadata
import inspect
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPERATIONS = (
    *("bulk", "create", "get", "get_many", "find", "range_"),
    *("cached", "cached_read", "update", "save", "delete", "own_ids"),
)
CHECKED = ("get", "get_many", "find", "range_", "cached_read")
"""Operations whose answer is compared with the right one before anything is timed."""

REPEATED = ("cached", "cached_read")
"""Operations that some do so quickly that a block of them is done again until it took a while."""

LEAST_SECONDS = 0.05
WARM = 20
"""So many operations at most come first, unmeasured."""


class Worker:
    """A contender, opened, with the loop that its coroutine functions run in."""

    def __init__(self, file: Path, port: int) -> None:
        sys.path.insert(0, str(file.parent))
        self._contender = importlib.import_module(file.stem)
        self._people = importlib.import_module("_people")
        self._runner = asyncio.Runner()
        self._held: list[Any] = []
        self._records = 0
        self._size = 0
        self._call("open", port)

    def _call(self, name: str, *arguments: Any) -> Any:
        found = getattr(self._contender, name, None)
        result = found(*arguments) if found else None
        return self._runner.run(result) if inspect.iscoroutine(result) else result

    def describe(self) -> dict[str, Any]:
        """What it can do, by how many tasks (True for many), and with what."""
        able = {name: getattr(self._contender, name, None) for name in OPERATIONS}
        return {
            "operations": {name: inspect.iscoroutinefunction(do) for name, do in able.items() if do},
            "versions": versions(
                ("redis", "hiredis", "coredis", "redis-om", "redisca", "walrus", "rom", "orredis")
            ),
        }

    def fill(self, records: int) -> dict[str, Any]:
        """Fill the store, which is empty."""
        self._call("prepare")
        self._call("fill" if hasattr(self._contender, "fill") else "bulk", 0, records)
        return {}

    def ready(
        self, operation: str, count: int, records: int, size: int, tasks: int, check: bool = True
    ) -> dict[str, Any]:
        """Make ready for *count* operations on a store of *records* persons; run a few of them unmeasured.

        Whoever wants a connection for each task has opened them all afterwards.
        """
        self._records, self._size = records, size
        hold = {"update": "hold", "save": "change"}.get(operation)
        warm = records if operation in REPEATED else min(WARM, max(count // 5, 1))
        self._held = [self._call(hold, i) for i in range(count + WARM)] if hold else []
        first = 10_000_000 if operation in ("create", "bulk") else count
        self._block(operation, warm, 1, first)
        if tasks > 1 and hasattr(self._contender, "get"):
            self._block("get", tasks, tasks, 0)
        wrong = self._wrong(operation) if check else ""
        return {"error": wrong} if wrong else {}

    def run(self, operation: str, count: int, tasks: int) -> dict[str, Any]:
        """Time *count* operations by *tasks* tasks: the mean of all blocks, and how many these were."""
        first = 1_000_000 if operation in ("create", "bulk") else 0
        gc.collect()
        blocks = 0
        wall, used = time.perf_counter(), time.process_time()
        while not blocks or (operation in REPEATED and time.perf_counter() - wall < LEAST_SECONDS):
            self._block(operation, count, tasks, first)
            blocks += 1
        wall, used = time.perf_counter() - wall, time.process_time() - used
        return {"seconds": wall / blocks, "cpu": used / blocks, "blocks": blocks}

    def own_ids(self, first: int, number: int) -> dict[str, Any]:
        """Create persons with ids that the contender makes."""
        self._call("prepare")
        self._call("own_ids", first, number)
        return {}

    def _block(self, operation: str, count: int, tasks: int, first: int) -> None:
        if operation == "bulk":
            self._call("bulk", first, count)
            return
        do = self._one(operation, first)
        if inspect.iscoroutinefunction(getattr(self._contender, operation)):
            self._runner.run(self._tasks(do, count, tasks))
        else:
            for number in range(count):
                do(number)

    async def _tasks(self, do: Callable[[int], Any], count: int, tasks: int) -> None:
        async def work(start: int) -> None:
            for number in range(start, count, tasks):
                await do(number)

        async with asyncio.TaskGroup() as group:
            for start in range(tasks):
                group.create_task(work(start))

    def _one(self, operation: str, first: int) -> Callable[[int], Any]:
        """What does the operation for the nth time of a block."""
        do, held, records = getattr(self._contender, operation), self._held, self._records
        if operation in ("create", "delete"):
            return lambda number: do(first + number)
        if operation == "update":  # each record once, so that there is something to write
            return lambda number: do(held[first + number], first + number)
        if operation == "save":
            return lambda number: do(held[first + number])
        if operation in ("find", "get_many"):
            return lambda number: do(self._size)
        if operation == "range_":
            return lambda number: do(number % (self._people.AGES - 1))
        return lambda number: do(number % records)

    def _wrong(self, operation: str) -> str:
        """What is wrong with the answer to this operation, if anything is."""
        if operation not in CHECKED:
            return ""
        asked = self._size or 7
        got = self._call(operation, asked)
        rows = sorted(tuple(row) for row in (got if isinstance(got, list) else [got]))
        right = self._people.answer(operation, asked)
        return "" if rows == right else f"wrong answer: {len(rows)} rows for {len(right)}: {rows[:1]}"

    def close(self) -> None:
        """Disconnect and end here and now: what a client does at the end of a loop is not our matter."""
        self._call("close")
        os._exit(0)


def _first(error: BaseException) -> BaseException:
    return _first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


def versions(names: tuple[str, ...]) -> dict[str, str]:
    found = dict[str, str]()
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def main() -> None:
    # Whatever a contender prints must not be taken for an answer.
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr
    try:
        worker = Worker(Path(sys.argv[1]), int(sys.argv[2]))
    except Exception as error:
        print(json.dumps({"error": repr(error)}), file=answers, flush=True)
        return
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(worker, order.pop("do"))(**order)
        except Exception as error:
            answer = {"error": repr(_first(error))}
        print(json.dumps(answer), file=answers, flush=True)
    worker.close()


if __name__ == "__main__":
    main()
