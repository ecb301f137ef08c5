"""Where searches begin, what must hold in every state, and the controls: the same without a rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from typing import Any

from ..world import Violation
from .movers import Mover, Undoer, Writer
from .store import CLOSED, IDS, MOVED, OPEN, RESTING, Rules, Values, World

RULES, NOBODY = Rules(), (0,) * len(IDS)


@dataclass(frozen=True)
class Scenario:
    """``moved`` is not empty once a search has come to a state where the records have moved."""

    name: str
    processes: tuple[Any, ...]
    source: Values
    rules: Rules = RULES
    moved: list[bool] = field(default_factory=list[bool], compare=False)

    def starts(self) -> Iterator[World]:
        resting = (RESTING, 0, 0, 0)
        yield World(self.source, NOBODY, OPEN, 0, resting, (None,) * len(IDS), NOBODY, self.processes)

    def check(self, world: World) -> None:
        if world.whole[0] == MOVED:
            self.moved[:] = [True]
            if world.permit != CLOSED:
                raise Violation("records are written where they were, when they have moved")
            if world.copies != world.source:
                raise Violation(f"{world.source} moved, and {world.copies} is there")

    def check_end(self, world: World) -> None:
        """Whoever stops anywhere is right: the rest is what goes on."""


STARTS: tuple[Values, ...] = (("a", "b"), ("a", None), (None, None), ("", "a"))
WRITES = ((0, "a"), (0, "b"), (0, None), (1, "a"), (1, None), (1, ""))


def writing(count: int) -> Iterator[Writer]:
    for writes in product(WRITES, repeat=count):
        if all(one != other for one, other in pairwise(writes)):
            yield Writer(writes)


def alone(count: int) -> Iterator[Scenario]:
    """One who moves them beside a writer."""
    for source, writer in product(STARTS, writing(count)):
        yield Scenario(f"{source}, {writer.writes}", (writer, Mover()), source)


def two(count: int) -> Iterator[Scenario]:
    """Another comes at any moment, whatever became of the first."""
    for source, writer in product(STARTS[:2], writing(count)):
        yield Scenario(f"two movers, {source}, {writer.writes}", (writer, Mover(), Mover()), source)


def undone(count: int) -> Iterator[Scenario]:
    """Somebody gives it up, and another begins anew."""
    for source, writer in product(STARTS[:1], writing(count)):
        yield Scenario(f"undone, {source}, {writer.writes}", (writer, Mover(), Mover(), Undoer()), source)


def small() -> Iterator[Scenario]:
    """Some of each."""
    yield from [*alone(3)][::60]
    yield from [*two(1)][::5]


def full() -> Iterator[Scenario]:
    yield from alone(3)
    yield from two(2)
    yield from undone(1)


@dataclass(frozen=True)
class Control:
    """Scenarios of which at least one must fail without a rule."""

    name: str
    rules: Rules
    scenarios: Iterator[Scenario]

    def all(self) -> Iterator[Scenario]:
        return (replace(one, rules=self.rules) for one in self.scenarios)


def controls() -> Iterator[Control]:
    yield Control("writes mark nothing", Rules(writes_mark=False), alone(1))
    yield Control("marks go whatever was written since", Rules(unmarking_compares=False), alone(2))
    yield Control("copies are not taken away first", Rules(clears=False), alone(2))
    yield Control("somebody writes to the end", Rules(closes=False), alone(1))
    yield Control("nobody is kept from filling", Rules(prepares=False, opens_its_own=False), two(1))
    yield Control("what others filled is opened", Rules(opens_its_own=False), two(1))


def large_controls() -> Iterator[Control]:
    """What takes half a minute of the processor."""
    yield Control("whoever comes changes meta", Rules(asks_mover=False), undone(1))
