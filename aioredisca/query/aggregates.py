"""Figures of a search: the values of columns, aggregates, and the explanation of how it is answered."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aioredisca.compiler.conditions import All, And, Condition, Not, Or
from aioredisca.compiler.planner import Plan, indexes
from aioredisca.compiler.queries import query_call, read_step
from aioredisca.errors import CorruptRecord, UsageError
from aioredisca.fields.numbers import Decimal, Float, Integer
from aioredisca.persistence import readiness as storage
from aioredisca.query import execution as fetch
from aioredisca.query.scan import Found, Scan
from aioredisca.query.spec import Search

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")
T = TypeVar("T")


# -- values ----------------------------------------------------------------------------------------


async def values(search: Search[R], fields: Sequence[Field[Any]]) -> list[Any]:
    """The value of one field for every match, or tuples of several, in order."""
    if not fields:
        raise UsageError("values() takes at least one column")
    found = await fetch.rows(search, [field.key for field in fields])
    if len(fields) == 1:
        return [_value(row, fields[0]) for row in found]
    return [tuple(_value(row, field) for field in fields) for row in found]


def _value(row: Found[Any], field: Field[Any]) -> Any:
    id, values, scan = row
    raw = scan.value(values, field.key)
    if raw is None:
        return None
    try:
        return field.read(raw, scan.model)
    except ValueError as error:
        reason = "cannot be read" if field.secret or isinstance(error, UnicodeError) else str(error)
    key = scan.schema.keys.record(id)
    raise CorruptRecord(scan.model.__name__, key, field.name, reason)


def _raw(row: Found[Any], key: str) -> bytes | None:
    _, values, scan = row
    return scan.value(values, key)


# -- aggregates ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Aggregate(Generic[T]):
    """What is known of the values of one column.

    ``count``        how many records hold a value; of no column, how many records there are.
    ``sum`` ``avg``  of numbers; None for other kinds of value, and where there is none.
    ``min`` ``max``  None where there is none.

    Integers and Decimals are added exactly, floats without loss of precision (``math.fsum``).
    """

    count: int = 0
    sum: T | None = None
    min: T | None = None
    max: T | None = None
    avg: Any = None


async def aggregate(search: Search[R], field: Field[Any] | None, by: Field[Any] | None) -> Any:
    """The figures of *field* over all matches; by value of the field *by*, if that is given."""
    asked = [one for one in (field, by) if one is not None]
    for one in asked:
        if one.mutable:
            raise UsageError(f"{one.name}: the values of a {type(one).__name__} field have no order")
    found = await fetch.rows(search, [one.key for one in asked], bounded=False)
    if by is None:
        return _figures(found, field)
    groups: dict[bytes | None, list[Found[R]]] = {}
    for row in found:
        groups.setdefault(_raw(row, by.key), []).append(row)
    return {_value(rows[0], by): _figures(rows, field) for rows in groups.values()}


def _figures(rows: Iterable[Found[Any]], field: Field[Any] | None) -> Aggregate[Any]:
    if field is None:
        return Aggregate(sum(1 for _ in rows))
    key = field.key
    held = [row for row in rows if _raw(row, key) is not None]
    if not held:
        return Aggregate()
    least, most = (one(held, key=lambda row: fetch.rank(row, key)) for one in (min, max))
    total = _sum([_value(row, field) for row in held], field)
    average = None if total is None else total / len(held)
    return Aggregate(len(held), total, _value(least, field), _value(most, field), average)


def _sum(values: list[Any], field: Field[Any]) -> Any:
    if isinstance(field, Float):
        return math.fsum(values)
    return sum(values) if isinstance(field, Integer | Decimal) else None


# -- explaining ------------------------------------------------------------------------------------

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
    ``round_trips`` is about how many it takes to load all of it.
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

    def __str__(self) -> str:
        lines = [f"condition  {self.condition}", f"way        {self.way}"]
        lines += [f"driver     {one.kind} {one.key} ({one.size:,} ids)" for one in self.drivers]
        lines.append(f"matches    {self.count:,}, estimated {self.estimate:,}")
        lines.append(f"commands   {', '.join(self.commands)}; round trips for all: {self.round_trips}")
        lines += [f"key        {key}" for key in self.keys]
        lines += [f"warning    {text}" for text in self.warnings]
        return "\n".join(lines)


async def explain(search: Search[R]) -> Explanation:
    """How *search* is answered in its own class."""
    (scan, *_) = await fetch.scans_of(search, ())
    plan = scan.plan
    walk = None if search.limit is None else plan.walk
    call = query_call(plan, "plan", walk=walk, limit=search.limit, offset=search.offset)
    way, estimate, *flat = read_step(await storage.read(scan.store, call)).found
    shown = _Shown(scan)
    drivers = tuple(
        Driver(_KINDS[kind.decode()], shown.key(key), size)
        for kind, key, size in zip(flat[::3], flat[1::3], flat[2::3], strict=True)
    )
    count = await fetch.count(search)
    candidates = sum(driver.size for driver in drivers)
    return Explanation(
        describe(plan.condition),
        _WAYS[way.decode()],
        drivers,
        estimate,
        count,
        _round_trips(way.decode(), candidates, count),
        ("EVALSHA_RO" if scan.store.facts.read_only_scripts else "EVALSHA",),
        tuple(shown.key(key) for key in call.keys),
        tuple(_warnings(search, plan, way.decode(), candidates, count)),
    )


def _round_trips(way: str, candidates: int, count: int) -> int:
    """About how many steps it takes to read all that matches."""
    if way == "walk":
        return max(1, -(-count // 1000))
    return max(1, -(-candidates // 2000), -(-count // 1000))


class _Shown:
    """Keys as text. The key of an index of a secret field may hold its value, so it is not shown."""

    def __init__(self, scan: Scan[Any]) -> None:
        names = {index.key: index.field for index in indexes(scan.plan.tree)}
        fields = {field.key: field for field in scan.model._fields.values()}
        self._secret = {_bytes(key) for key, name in names.items() if name and fields[name].secret}

    def key(self, key: Any) -> str:
        if _bytes(key) in self._secret:
            return "(an index of a secret field)"
        return _bytes(key).decode("utf-8", "backslashreplace")


def _bytes(key: str | bytes) -> bytes:
    return key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key


def _warnings(search: Search[Any], plan: Plan, way: str, candidates: int, count: int) -> Iterable[str]:
    if not plan.exact:
        yield "a part of the condition has no index: every candidate is read, and judged in the client"
    if candidates > 2000 and candidates > 10 * max(1, count) and way == "drive":
        yield f"{candidates:,} candidates are examined for {count:,} matches: an index over both fields helps"
    if search.order and plan.walk is None:
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
            return f"{type(condition).__name__} {condition.key}"
