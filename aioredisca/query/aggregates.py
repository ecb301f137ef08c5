"""Values of columns, and what is known of them all: count, sum, min, max and avg."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aioredisca.errors import CorruptRecord, UsageError
from aioredisca.fields.numbers import Decimal, Float, Integer
from aioredisca.query import execution
from aioredisca.query.scan import Found
from aioredisca.query.spec import QuerySpec
from aioredisca.storage.replies import strange

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")
T = TypeVar("T")


# -- values ----------------------------------------------------------------------------------------


async def values(spec: QuerySpec[R], fields: Sequence[Field[Any]]) -> list[Any]:
    """The value of one field for every match, or tuples of several, in order."""
    if not fields:
        raise UsageError("values() takes at least one column")
    found = await execution.rows(spec, [field.key for field in fields])
    if len(fields) == 1:
        return [_value(row, fields[0]) for row in found]
    return [tuple(_value(row, field) for field in fields) for row in found]


def _value(row: Found[Any], field: Field[Any]) -> Any:
    id, values, scan = row
    raw = scan.value(values, field.key)
    if raw is None:
        return None
    if type(raw) is not bytes:
        raise strange()
    try:
        return field.__codec__.read(raw, scan.mapper)
    except ValueError as error:
        reason = "cannot be read" if field.secret or isinstance(error, UnicodeError) else str(error)
    key = scan.schema.keys.record(id)
    raise CorruptRecord(scan.mapper.name, key, field.name, reason)


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


async def aggregate(spec: QuerySpec[R], field: Field[Any] | None, by: Field[Any] | None) -> Any:
    """The figures of *field* over all matches; by value of the field *by*, if that is given."""
    asked = [one for one in (field, by) if one is not None]
    for one in asked:
        if one.mutable:
            raise UsageError(f"{one.name}: the values of a {type(one).__name__} field have no order")
    found = await execution.rows(spec, [one.key for one in asked], bounded=False)
    if by is None:
        return _aggregated(found, field)
    groups: dict[bytes | None, list[Found[R]]] = {}
    for row in found:
        groups.setdefault(_raw(row, by.key), []).append(row)
    return {_value(rows[0], by): _aggregated(rows, field) for rows in groups.values()}


def _aggregated(rows: Iterable[Found[Any]], field: Field[Any] | None) -> Aggregate[Any]:
    if field is None:
        return Aggregate(sum(1 for _ in rows))
    key = field.key
    held = [row for row in rows if _raw(row, key) is not None]
    if not held:
        return Aggregate()
    total = _sum([_value(row, field) for row in held], field)  # first, for it tells what cannot be read
    least, most = (one(held, key=lambda row: execution.rank(row, key)) for one in (min, max))
    average = None if total is None else total / len(held)
    return Aggregate(len(held), total, _value(least, field), _value(most, field), average)


def _sum(values: list[Any], field: Field[Any]) -> Any:
    if isinstance(field, Float):
        return math.fsum(values)
    return sum(values) if isinstance(field, Integer | Decimal) else None
