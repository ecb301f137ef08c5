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
from pathlib import Path
from typing import Any


class Worker:
    """A contender, opened, with the loop that its coroutine functions run in."""

    def __init__(self, file: Path, port: int) -> None:
        sys.path.insert(0, str(file.parent))
        self._contender = importlib.import_module(file.stem)
        self._runner = asyncio.Runner()
        self._held: list[Any] = []
        self._records = 0
        self._call("open", port)

    def _call(self, name: str, *arguments: Any) -> Any:
        found = getattr(self._contender, name, None)
        result = found(*arguments) if found else None
        return self._runner.run(result) if inspect.iscoroutine(result) else result

    def describe(self) -> dict[str, Any]:
        """What it can do, and with what."""
        names = ("bulk", "create", "get", "update", "delete")
        return {
            "operations": [name for name in names if hasattr(self._contender, name)],
            "concurrent": inspect.iscoroutinefunction(self._contender.get),
            "versions": versions(("redis", "hiredis", "coredis", "redis-om", "redisca", "walrus", "rom")),
        }

    def prepare(self, operation: str, count: int, records: int) -> dict[str, Any]:
        """Fill the store, which is empty, for a block of *count* operations; run a few of them unmeasured."""
        self._call("prepare")
        self._records = records
        self._call("bulk", 0, max(records, count) if operation == "delete" else records)
        self._held = [self._call("hold", i % records) for i in range(count)] if operation == "update" else []
        self._block(operation, 20, 1, first=10_000_000)
        return {}

    def run(self, operation: str, count: int, tasks: int) -> dict[str, Any]:
        """Time *count* operations by *tasks* tasks."""
        gc.collect()
        wall, used = time.perf_counter(), time.process_time()
        self._block(operation, count, tasks, first=1_000_000)
        return {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - used}

    def _block(self, operation: str, count: int, tasks: int, first: int) -> None:
        if operation == "bulk":
            self._call("bulk", first, count)
        elif inspect.iscoroutinefunction(getattr(self._contender, operation)):
            self._runner.run(self._tasks(operation, count, tasks, first))
        else:
            for number in range(count):
                self._one(operation, number, first)

    async def _tasks(self, operation: str, count: int, tasks: int, first: int) -> None:
        async def work(start: int) -> None:
            for number in range(start, count, tasks):
                await self._one(operation, number, first)

        async with asyncio.TaskGroup() as group:
            for start in range(tasks):
                group.create_task(work(start))

    def _one(self, operation: str, number: int, first: int) -> Any:
        function = getattr(self._contender, operation)
        if operation == "create":
            return function(first + number)
        if operation == "update":
            return function(self._held[number % len(self._held)], number)
        if operation == "delete":  # the unmeasured ones have nothing to delete
            return function(number + (first if first > 1_000_000 else 0))
        return function(number % self._records)

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
    worker = Worker(Path(sys.argv[1]), int(sys.argv[2]))
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
