"""The figures that were to be reached, beside what was."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .facts import OPENED, Facts
from .harness import Result, Work
from .stage import Stage

BASE = "redis.asyncio, by hand"
OURS = "aioredisca"
SYNC, SYNC_BASE = "aioredisca.sync", "redis, blocking, by hand"
CACHE, SCRIPT = "aioredisca, cache", "aioredisca's EVALSHA by hand"
OM, REDISCA = "redis-om", "redisca, blocking"


@dataclass(frozen=True)
class Goal:
    """So many times as fast as somebody at some work; with *time*, at most so many times its time."""

    text: str
    least: float
    stretch: float | None = None
    operation: str = ""
    tasks: int = 1
    size: int = 0
    ours: str = OURS
    base: str = BASE
    time: bool = False
    fact: Callable[[Facts], float | None] | None = None

    def measures(self, work: Work) -> bool:
        return (work.operation, work.tasks, work.size) == (self.operation, self.tasks, self.size)

    def reached(self, results: Sequence[Result], facts: Facts) -> float | None:
        """The figure, or None if it was not measured."""
        if self.fact is not None:
            return self.fact(facts)
        for result in results:
            if self.measures(result.work) and {self.ours, self.base} <= set(result.seconds):
                ratio = result.ratio(self.ours, self.base)
                return 1 / ratio if self.time else ratio
        return None

    def met(self, figure: float, limit: float) -> bool:
        return figure <= limit if self.time else figure >= limit

    def verdict(self, figure: float) -> str:
        if not self.met(figure, self.least):
            return "**no**"
        return "yes, and the stretch" if self.stretch and self.met(figure, self.stretch) else "yes"


def _lazy(facts: Facts) -> float | None:
    return facts.hydrate_ratio("lazy") if facts.hydrate else None


def _eager(facts: Facts) -> float | None:
    return facts.hydrate_ratio("eager") if facts.hydrate else None


def _imports(facts: Facts) -> float | None:
    return facts.import_ratio() if facts.imports else None


def _opened(facts: Facts) -> float | None:
    return facts.import_ratio(OPENED) if facts.imports else None


def _bytes(facts: Facts) -> float | None:
    for found in facts.bytes.values():
        if OM in found and OURS in found:
            return found[OURS] / found[OM]
    return None


def _gets() -> Iterator[Goal]:
    for tasks, least, stretch in ((1, 1.1, 1.3), (10, 4, 5), (100, 9, 12), (1000, 12, 16)):
        text = f"get by id with fields read, {tasks:,} task{'s' if tasks > 1 else ''}"
        yield Goal(text, least, stretch, "get", tasks)


def _against(base: str, text: str, *goals: tuple[str, int, int, float, float | None]) -> Iterator[Goal]:
    for operation, tasks, size, least, stretch in goals:
        words = f"{operation.rstrip('_')}{f' {size:,}' if size else ''}"
        words += f", {tasks} tasks" if tasks > 1 else ""
        yield Goal(f"{text}: {words}", least, stretch, operation, tasks, size, base=base)


def _blocking() -> Iterator[Goal]:
    works = (
        *(("get", 0), ("create", 0), ("update", 0), ("delete", 0), ("bulk", 0)),
        *(("find", 1), ("find", 100), ("find", 1000), ("range_", 0), ("get_many", 1000)),
    )
    for operation, size in works:
        text = f"blocking API against redis-py by hand: {operation.rstrip('_')}{f' {size:,}' if size else ''}"
        yield Goal(text, 1.05, 1.0, operation, 1, size, ours=SYNC, base=SYNC_BASE, time=True)


_SAVE = "save against the same EVALSHA by hand on the same connection"

GOALS = (
    *_gets(),
    Goal("create with three indexes, 100 tasks, against MULTI that checks nothing", 8, 10, "create", 100),
    Goal(f"{_SAVE}, 1 task", 1.10, 1.05, "save", 1, base=SCRIPT, time=True),
    Goal(f"{_SAVE}, 100 tasks", 1.10, 1.05, "save", 100, base=SCRIPT, time=True),
    Goal("bulk of 5,000 with unique check, against a pipeline that checks nothing", 5.5, 7, "bulk"),
    Goal("find 100 loaded", 3.8, 5, "find", 1, 100),
    Goal("find 1,000 loaded", 3.8, 5, "find", 1, 1000),
    Goal("range, 100 of 5,000 loaded", 3, 4, "range_"),
    Goal("get_many of 1,000", 3.4, 5, "get_many", 1, 1000),
    *_against(
        OM,
        "against redis-om",
        ("get", 100, 0, 13, 16),
        ("create", 100, 0, 12, 15),
        ("bulk", 1, 0, 6, 8),
        ("find", 1, 1000, 6, 8),
        ("range_", 1, 0, 4.5, 6),
        ("update", 1, 0, 3.5, 5),
    ),
    *_against(
        REDISCA,
        "against redisca 1.3",
        ("find", 1, 100, 24, None),
        ("find", 1, 1000, 24, None),
        ("bulk", 1, 0, 24, None),
        ("create", 1, 0, 3, None),
        ("get", 1, 0, 1, None),
        ("find", 1, 1, 1, None),
        ("range_", 1, 0, 1, None),
        ("get_many", 1, 1000, 1, None),
        ("update", 1, 0, 1, None),
        ("delete", 1, 0, 1, None),
    ),
    Goal("cache hit, 1 task", 200, 300, "cached", 1, ours=CACHE),
    Goal("cache hit, 100 tasks", 80, 120, "cached", 100, ours=CACHE),
    Goal("cache hit with fields read, 1 task", 200, 300, "cached_read", 1, ours=CACHE),
    Goal("cache hit with fields read, 100 tasks", 80, 120, "cached_read", 100, ours=CACHE),
    *_blocking(),
    Goal("1,000 objects against pydantic's model_validate, fields unread", 5, 7, fact=_lazy),
    Goal("1,000 objects against pydantic's model_validate, fields read", 2, 3, fact=_eager),
    Goal("bytes per record against redis-om", 0.9, 0.7, time=True, fact=_bytes),
    Goal("`import aioredisca` against `import redis.asyncio`", 1.10, 1.05, time=True, fact=_imports),
    Goal("the same, with a Database opened", 1.10, 1.05, time=True, fact=_opened),
)


GATE = 0.8
"""The part of a goal that must be reached, for a machine and its noise differ from run to run."""


def misses(stages: Sequence[Stage], facts: Facts) -> list[str]:
    """What stayed below :data:`GATE` of its goal, of all that was measured."""
    results, lines = [result for stage in stages for result in stage.results], list[str]()
    for goal in GOALS:
        figure = goal.reached(results, facts)
        limit = goal.least / GATE if goal.time else goal.least * GATE
        if figure is not None and not goal.met(figure, limit):
            lines.append(f"{goal.text}: {figure:.2f}x, the gate is {'at most ' * goal.time}{limit:.2f}x")
    return lines


def table(stages: Sequence[Stage], facts: Facts) -> list[str]:
    """A row for each goal that was measured."""
    lines = list[str]()
    for goal in GOALS:
        results = [result for stage in stages for result in stage.results]
        figure = goal.reached(results, facts)
        if figure is not None:
            sign = "at most " if goal.time else ""
            stretch = "" if goal.stretch is None else f"{sign}{goal.stretch:g}x"
            cells = (goal.text, f"{sign}{goal.least:g}x", stretch, f"{figure:.2f}x", goal.verdict(figure))
            lines.append(f"| {' | '.join(cells)} |")
    if not lines:
        return []
    return ["| work | goal | stretch | reached | |", "|---|---|---|---|---|", *lines]
