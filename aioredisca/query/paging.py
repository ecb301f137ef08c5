"""Keyset paging: a page and the cursor behind it, which stays good while records come and go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aioredisca.compiler import cursors
from aioredisca.compiler.conditions import spelled
from aioredisca.config import conf
from aioredisca.errors import UsageError, ValidationError
from aioredisca.query import execution, prefetch
from aioredisca.query.scan import Found, Scan
from aioredisca.query.spec import QuerySpec

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")

MAX_SIZE = 1000
"""Records of one page."""


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Some records of a query; ``next`` is the cursor of the page behind it, None at the end."""

    items: list[R]
    next: str | None

    def __iter__(self) -> Iterator[R]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


async def page(spec: QuerySpec[R], size: int, after: str | None) -> Page[R]:
    """*size* records of *spec* behind the cursor *after*."""
    if not spec.whole:
        raise UsageError("page() takes its own size: leave limit, offset and slices away")
    if not 1 <= size <= MAX_SIZE:
        raise UsageError(f"a page has 1 to {MAX_SIZE:,} records, not {size:,}")
    scan = Scan(spec, spec.model, ())
    if any(scan.mapper.asked[one.key].secret for one in scan.plan.order):
        raise UsageError("a cursor would show the values of a secret field: order the pages by another")
    last = None if after is None else _row_of(scan, after)
    rows = await execution.rows(replace(spec, limit=size + 1), after=last)
    items = execution.made(rows[:size])
    await prefetch.load(spec, items)
    return Page(items, _cursor(scan, rows[size - 1]) if len(rows) > size else None)


def _query_name(scan: Scan[Any]) -> str:
    """What a cursor is bound to: the class, its condition with all operands, and the order."""
    spec = scan.spec
    return spelled((scan.schema.keys.base, spec.children, scan.plan.condition, scan.plan.order))


def _cursor(scan: Scan[Any], row: Found[Any]) -> str:
    id, values, of = row
    ranks = [of.value(values, one.key) for one in scan.plan.order]
    return cursors.encode(_query_name(scan), conf.secret, ranks, id)


def _row_of(scan: Scan[R], after: str) -> Found[R]:
    """The row that a cursor stands behind, as far as the order goes."""
    order = scan.plan.order
    try:
        ranks, id = cursors.decode(_query_name(scan), conf.secret, after, len(order))
        for one, raw in zip(order, ranks, strict=True):
            _check_rank(scan, one.key, raw)
    except ValueError as error:
        raise ValidationError(scan.model.__name__, "cursor", str(error), after) from None
    known = {one.key: raw for one, raw in zip(order, ranks, strict=True)}
    return id, [None, *(known.get(key) for key in scan.fields)], scan


def _check_rank(scan: Scan[Any], key: str, raw: bytes | None) -> None:
    """BadCursor where *raw* is no value of the field: without a secret, digests can be made by anybody."""
    score = scan.schema.asked[key].score
    try:
        if raw is not None:
            scan.mapper.asked[key].__codec__.rank(raw)
            float(score(raw) if score else 0)
    except ValueError:
        raise cursors.BadCursor("it is no cursor of this query") from None
