"""Breadth-first over every state that a scenario can come to: the first violation has a shortest trace."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from .world import Violation

MOST = 6_000_000
"""States of one scenario: more does not fit the memory of a small machine."""


@dataclass(frozen=True)
class Outcome:
    """What a search found: a violation and the steps to it, or none in so many states."""

    violation: str
    trace: tuple[str, ...]
    states: int
    ends: int

    def __str__(self) -> str:
        if not self.violation:
            return f"{self.states:,} states"
        return f"{self.violation} after {len(self.trace)} steps: {', '.join(self.trace)}"


Parents = dict[Any, "tuple[Any, int, str] | None"]


class Searched(Protocol):
    """Where a search begins, and what is right. Worlds have processes, which take steps."""

    @property
    def name(self) -> str: ...
    def starts(self) -> Iterable[Any]: ...
    def check(self, world: Any) -> None: ...
    def check_end(self, world: Any) -> None: ...


def search(scenario: Searched) -> Outcome:
    """Look at every state."""
    parents: Parents = dict.fromkeys(scenario.starts())
    queue, ends = deque(parents), 0
    while queue:
        world = queue.popleft()
        try:
            scenario.check(world)
            stuck = True
            for at, process in enumerate(world.processes):
                for label, after in process.steps(at, world, scenario):
                    stuck = False
                    if after not in parents:
                        parents[after] = (world, at, label)
                        queue.append(after)
            if stuck:
                ends += 1
                scenario.check_end(world)
        except Violation as violation:
            return Outcome(str(violation), _trace(parents, world), len(parents), ends)
        if len(parents) > MOST:
            raise MemoryError(f"{scenario.name}: more than {MOST:,} states")
    return Outcome("", (), len(parents), ends)


def _trace(parents: Parents, world: Any) -> tuple[str, ...]:
    steps = list[str]()
    while (come := parents[world]) is not None:
        world, at, label = come
        steps.append(f"{at}: {label}")
    return tuple(reversed(steps))
