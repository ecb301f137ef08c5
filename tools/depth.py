"""``python tools/depth.py``: how many calls an operation makes, in how many modules, how deep.

Each operation runs under asyncio on a real server, warm, and is profiled by ``sys.setprofile``: functions of
aioredisca alone count, a coroutine once however often it goes on. The package is the one of this repository,
or what PYTHONPATH names: ``PYTHONPATH=path/to/old python tools/depth.py`` counts an older one.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

if not os.environ.get("PYTHONPATH"):  # else a package that is installed would be found first
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import aioredisca
from aioredisca import Database, Email, Integer, Model, String, conf
from tests.support.servers import KINDS, Server

PACKAGE = str(Path(aioredisca.__file__).parent) + os.sep
WARM = 3
"""So often each operation runs before it is counted."""


@conf(prefix="depth")
class Person(Model):
    email = Email(unique=True)
    name = String()
    city = String(index=True)
    age = Integer(index=True)


@dataclass
class Count:
    """What one operation did; ``calls`` are those of each function, by module and name."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    resumed: int = 0
    deepest: int = 0

    @property
    def modules(self) -> set[str]:
        return {module for module, _ in self.calls}


class Profile:
    """Counts calls in a with block."""

    def __init__(self) -> None:
        self.count = Count()
        self._seen: set[FrameType] = set()  # held, so that no frame takes the place of another

    def __enter__(self) -> Count:
        sys.setprofile(self._note)
        return self.count

    def __exit__(self, *error: object) -> None:
        sys.setprofile(None)
        self._seen.clear()

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        if event != "call" or not frame.f_code.co_filename.startswith(PACKAGE):
            return
        if frame in self._seen:
            self.count.resumed += 1
            return
        self._seen.add(frame)
        module = frame.f_code.co_filename[len(PACKAGE) :].replace(os.sep, "/").removesuffix(".py")
        self.count.calls[module, frame.f_code.co_qualname] += 1
        self.count.deepest = max(self.count.deepest, _depth(frame))


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        depth += frame.f_code.co_filename.startswith(PACKAGE)
        frame = frame.f_back
    return depth


def person(number: int) -> Person:
    city = f"City {number % 5}"
    return Person.new(str(number), email=f"p{number}@example.com", name=f"P{number}", city=city, age=number)


async def operations() -> dict[str, Callable[[int], Awaitable[Any]]]:
    """By name, what does each for the nth time; what it needs is made ready here."""
    await Person.save_many([person(number) for number in range(100)])
    held, fresh = await Person.get("7"), [person(1000 + number) for number in range(WARM + 1)]

    async def update(number: int) -> None:
        held.age = 500 + number
        await held.save()

    async def composed(number: int) -> None:
        query = ((Person.city == "City 2") & (Person.age >= 20)).order_by(Person.age.desc()).limit(10)
        assert len(await query) == 10

    return {
        "update": update,
        "get": lambda number: Person.get("8"),
        "composed query": composed,
        "create": lambda number: fresh[number].save(),
    }


async def measure() -> dict[str, Count]:
    """The counts of each operation, the last of some runs."""
    counts = dict[str, Count]()
    for name, operation in (await operations()).items():
        for number in range(WARM):
            await operation(number)
        with Profile() as counts[name]:
            await operation(WARM)
    await conf.db.aclose()
    return counts


def table(counts: dict[str, Count]) -> list[str]:
    lines = [f"{'operation':<16}{'calls':>7}{'modules':>9}{'deepest':>9}{'resumed':>9}"]
    for name, count in counts.items():
        figures = (count.calls.total(), len(count.modules), count.deepest, count.resumed)
        lines.append(f"{name:<16}{figures[0]:>7}{figures[1]:>9}{figures[2]:>9}{figures[3]:>9}")
    return lines


def details(counts: dict[str, Count]) -> list[str]:
    """Which functions, in the order of their first call."""
    lines = list[str]()
    for name, count in counts.items():
        lines += ["", name]
        lines += [f"  {calls:4}  {module}: {function}" for (module, function), calls in count.calls.items()]
    return lines


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python tools/depth.py", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--url", help="an empty database; a server is started by default")
    parser.add_argument("--all", action="store_true", help="list every function that was called")
    options = parser.parse_args(words)
    with contextlib.ExitStack() as stack:
        if options.url is None:
            binary = next(filter(None, (kind.find() for kind in KINDS)))
            options.url = stack.enter_context(Server("depth", binary)).url
        conf.db = Database(options.url)
        counts = asyncio.run(measure())
    print("\n".join([*table(counts), *(details(counts) if options.all else ())]))


if __name__ == "__main__":
    main()
