"""The places, and the scripts that change them: each a function, atomic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

IDS = (0, 1)
"""Each comes to a place of its own, which has its number."""

OPEN, MARKS, CLOSED = "open", "marks", "closed"
"""Whether the place that records leave may be written, and how."""

RESTING, COPYING, MOVING, MOVED = "resting", "copying", "moving", "moved"
NEW, BEGUN, ALL = 0, 1, 9
"""Cursors: what was there before is to go; nothing is copied; all is. Between: so many were copied once."""

OPENED = -1
"""A place that was filled, and that nobody fills any more."""

Values = tuple["str | None", ...]
"""The unique value of each record; empty where it has none, None where there is no record."""


class World(NamedTuple):
    """``whole`` is the meta of the class: phase, mover, cursor, who copied all. ``places``: of each place that
    records come to, who may write there; nobody where that is 0, whoever declares the class where it is -1."""

    source: Values
    marks: tuple[int, ...]
    permit: str
    mover: int
    whole: tuple[str, int, int, int]
    copies: Values
    places: tuple[int, ...]
    processes: tuple[Any, ...]
    moves: int = 0
    """How many moves began: each mover has a name of its own."""

    def after(self, at: int, process: Any, **changes: Any) -> World:
        """As it is when process *at* has gone on to *process*."""
        return self._replace(processes=(*self.processes[:at], process, *self.processes[at + 1 :]), **changes)


@dataclass(frozen=True)
class Rules:
    """The protocol as it is built. A control changes one of them, and must fail."""

    writes_mark: bool = True
    unmarking_compares: bool = True
    """Whether a mark goes only if the record was not written again since it was read."""
    clears: bool = True
    """Whether what is marked is taken away before it is copied once more."""
    prepares: bool = True
    """Whether who begins or goes on keeps others from writing where records come to, before it reads any."""
    asks_mover: bool = True
    """Whether each change of meta is made only by who began last."""
    closes: bool = True
    """Whether nobody writes while the last of it is copied."""
    opens_its_own: bool = True
    """Whether places are opened only that were filled by who has copied all."""


def put(values: Values, id: int, value: str | None) -> Values:
    return (*values[:id], value, *values[id + 1 :])


def numbered(values: tuple[int, ...], id: int, value: int) -> tuple[int, ...]:
    return (*values[:id], value, *values[id + 1 :])


def holder(values: Values, id: int, value: str | None) -> int | None:
    """Who has the value of another record."""
    return next((one for one in IDS if one != id and value and values[one] == value), None)


def written(world: World, rules: Rules, id: int, value: str | None) -> dict[str, Any] | None:
    """A write of the place that records leave; None where it is refused."""
    if world.permit == CLOSED:
        return None
    if holder(world.source, id, value) is not None:
        return {}
    changes: dict[str, Any] = {"source": put(world.source, id, value)}
    if world.permit == MARKS and rules.writes_mark:
        changes["marks"] = marked(world.marks, id)
    return changes


def marked(marks: tuple[int, ...], *ids: int) -> tuple[int, ...]:
    """One more than it was, and soon so many that more tell nothing."""
    return tuple(min(count + 1, 3) if id in ids else count for id, count in enumerate(marks))
