"""How a query is answered: indexes, estimates, real counts, warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aioredisca.compiler.conditions import All, And, Condition, Not, Or
from aioredisca.compiler.planner import Plan, indexes
from aioredisca.compiler.queries import query_call, read_step
from aioredisca.fields.times import EXPIRES_AT
from aioredisca.query import execution
from aioredisca.query.scan import Scan, anew, together
from aioredisca.query.spec import QuerySpec
from aioredisca.storage.replies import reader
from aioredisca.types import Call

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")

_KINDS = {
    "S": "set",
    "Z": "sorted set, by score",
    "L": "sorted set, by text",
    "H": "hash",
    "A": "set of all ids",
    "I": "intersection of sets",
}
_WAYS = {
    "drive": "walk the cheapest indexes that cover the condition, and test the rest",
    "gather": "collect the few candidates, and sort them on the server",
    "walk": "walk the index of the order, and test each record",
    "ask": "collect all matches, and sort them in the client",
}


@dataclass(frozen=True, slots=True)
class Driver:
    """An index that a query enumerates: its kind, key, and how many ids it holds."""

    kind: str
    key: str
    size: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a query is answered; ``str()`` shows it.

    ``estimate`` is what the planner expects to match, ``count`` what the indexes say now.
    ``round_trips`` is about how many it takes to load all of it. Of a class with ``partitions`` the keys are
    those of the first; the figures are of all.
    """

    condition: str
    way: str
    drivers: tuple[Driver, ...]
    estimate: int
    count: int
    round_trips: int
    commands: tuple[str, ...]
    keys: tuple[str, ...]
    warnings: tuple[str, ...]
    partitions: int = 1

    def __str__(self) -> str:
        lines = [f"condition  {self.condition}", f"way        {self.way}"]
        lines += [f"driver     {one.kind} {one.key} ({one.size:,} ids)" for one in self.drivers]
        if self.partitions > 1:
            lines.append(f"partitions {self.partitions}, asked together; the keys are those of the first")
        lines.append(f"matches    {self.count:,}, estimated {self.estimate:,}")
        lines.append(f"commands   {', '.join(self.commands)}; round trips for all: {self.round_trips}")
        lines += [f"key        {key}" for key in self.keys]
        lines += [f"warning    {text}" for text in self.warnings]
        return "\n".join(lines)


@anew
async def explain(spec: QuerySpec[R]) -> Explanation:
    """How *spec* is answered in its own class."""
    scans = [scan for scan in await execution.scans_of(spec, ()) if scan.model is spec.model]
    scan, shown = scans[0], _Shown(scans[0])
    plan, call = scan.plan, _plan_call(scan)
    replies = await together(scans, _plan_call)
    plans = [_read_plan(shown, read_step(reply).found) for reply in replies]
    way, estimate = plans[0][0], sum(estimate for _, estimate, _ in plans)
    drivers = _summed(scans, [drivers for _, _, drivers in plans])
    count = await execution.count(spec)
    candidates = sum(driver.size for driver in drivers)
    return Explanation(
        describe(plan.condition),
        _WAYS[way],
        drivers,
        estimate,
        count,
        _round_trips(way, candidates, count),
        ("EVALSHA_RO" if scan.store.facts.read_only_scripts else "EVALSHA",),
        tuple(shown.key(key) for key in call.keys),
        tuple(_warnings(spec, plan, way, candidates, count)),
        len(scans),
    )


def _plan_call(scan: Scan[Any]) -> Call:
    spec, plan = scan.spec, scan.plan
    walk = None if spec.limit is None else plan.walk
    return query_call(plan, "plan", walk=walk, limit=spec.limit, offset=spec.offset)


def _summed(scans: Sequence[Scan[Any]], found: Sequence[tuple[Driver, ...]]) -> tuple[Driver, ...]:
    """The drivers of all partitions as if they were those of the first."""
    sizes, first = dict[tuple[str, str], int](), scans[0].schema.keys.base
    for scan, drivers in zip(scans, found, strict=True):
        base = scan.schema.keys.base
        for one in drivers:
            key = first + one.key.removeprefix(base) if one.key.startswith(base) else one.key
            sizes[one.kind, key] = sizes.get((one.kind, key), 0) + one.size
    return tuple(Driver(kind, key, size) for (kind, key), size in sizes.items())


@reader
def _read_plan(shown: _Shown, found: Any) -> tuple[str, int, tuple[Driver, ...]]:
    """The way, the estimate and the drivers that the server tells of."""
    way, estimate, *flat = found
    drivers = tuple(
        Driver(_KINDS[kind.decode()], shown.key(key), int(size))
        for kind, key, size in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    )
    name = way.decode()
    return name if name in _WAYS else _WAYS[name], int(estimate), drivers


def _round_trips(way: str, candidates: int, count: int) -> int:
    """About how many steps it takes to read all that matches."""
    if way == "walk":
        return max(1, -(-count // 1000))
    return max(1, -(-candidates // 2000), -(-count // 1000))


class _Shown:
    """Keys as text. The key of an index of a secret field may hold its value, so it is not shown."""

    def __init__(self, scan: Scan[Any]) -> None:
        names = {index.key: index.field for index in indexes(scan.plan.tree)}
        fields = scan.mapper.by_key
        self._secret = {_bytes(key) for key, name in names.items() if name and fields[name].secret}

    def key(self, key: Any) -> str:
        if _bytes(key) in self._secret:
            return "(an index of a secret field)"
        return _bytes(key).decode("utf-8", "backslashreplace")


def _bytes(key: str | bytes) -> bytes:
    return key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key


def _warnings(spec: QuerySpec[Any], plan: Plan, way: str, candidates: int, count: int) -> Iterable[str]:
    if not plan.exact:
        yield "a part of the condition has no index: every candidate is read, and judged in the client"
    if candidates > 2000 and candidates > 10 * max(1, count) and way == "drive":
        yield f"{candidates:,} candidates are examined for {count:,} matches: an index over both fields helps"
    if spec.order and plan.walk is None:
        yield "no index keeps this order: all matches are read and sorted in the client"
    elif way == "ask":
        yield "to walk the order would take longer than to read all matches and to sort them in the client"


def describe(condition: Condition) -> str:
    """A condition as text, without its operands: they may be secret."""
    match condition:
        case All():
            return "all"
        case And(parts):
            return "(" + " & ".join(map(describe, parts)) + ")"
        case Or(parts):
            return "(" + " | ".join(map(describe, parts)) + ")" if parts else "nothing"
        case Not(part):
            return f"~{describe(part)}"
        case _:
            key = EXPIRES_AT.name if condition.key == EXPIRES_AT.key else condition.key
            return f"{type(condition).__name__} {key}"
