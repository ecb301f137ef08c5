"""The matches of a query one by one: read step by step, so that there may be more of them than memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aioredisca.query import execution, prefetch
from aioredisca.query.execution import is_behind, scans_of, sort_rows
from aioredisca.query.scan import Found, Scan
from aioredisca.query.spec import QuerySpec
from aioredisca.types import Changed

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")


async def stream(spec: QuerySpec[R]) -> AsyncIterator[R]:
    """The matches one by one: step by step, unless the order is to be made on this side."""
    scans = [] if spec.children else await scans_of(spec, spec.loads)
    one_class = bool(scans) and len(scans) == len({scan.schema for scan in scans})
    steps = _Steps(spec, scans) if one_class and _by_steps(spec, scans) else None
    begun = False
    while steps is not None and not steps.done:
        try:
            found = await steps.take()
        except Changed:  # an index of the plan is lost
            if not begun:
                async for record in stream(spec):
                    yield record
                return
            await steps.need_indexes()
            continue
        if found is None:
            steps = None
            break
        begun = True
        batch = execution.made(found)
        await prefetch.load(spec, batch)
        for record in batch:
            yield record
    if steps is None:
        for record in await execution.records(spec, bounded=False):
            yield record


def _by_steps(spec: QuerySpec[R], scans: Sequence[Scan[R]]) -> bool:
    """Prepare *scans* to yield the matches in order, step by step; False where they cannot."""
    if not spec.order and spec.whole:
        return True
    alone = len(scans) == 1
    for scan in scans:
        walk = scan.plan.walk
        if walk is None or (spec.offset and alone and not scan.plan.exact):
            return False
        if alone:
            scan.in_order(walk, want=spec.limit, offset=spec.offset)
        else:
            scan.in_order(walk, want=None if spec.limit is None else spec.offset + spec.limit)
    return True


class _Steps(Generic[R]):
    """What the scans of one class find, one for each of its partitions.

    Where each keeps the order they are merged: rows are handed out that stand before the last of every scan
    which goes on, for what that finds next comes behind. Else one is read after the other.
    """

    def __init__(self, spec: QuerySpec[R], scans: Sequence[Scan[R]]) -> None:
        self._merged = len(scans) > 1 and all(scan.ordered or scan.sorted for scan in scans)
        self._stored: dict[Scan[R], list[Found[R]]] = {scan: [] for scan in scans}
        self._skip = spec.offset if len(scans) > 1 else 0
        self._limit = spec.limit

    @property
    def done(self) -> bool:
        """Whether all was handed out."""
        return self._limit == 0 or not (any(self._stored.values()) or self._going())

    def _going(self) -> list[Scan[R]]:
        return [scan for scan in self._stored if not scan.done]

    async def need_indexes(self) -> None:
        """NotIndexed unless the store has built every index of the plan as it is."""
        for scan in self._stored:
            await scan.need_indexes()

    async def take(self) -> list[Found[R]] | None:
        """The next rows, which may be none. None where to keep the order is too dear: nothing came yet.

        One round trip, or none.
        """
        hungry = [scan for scan in self._going() if not self._stored[scan]]
        hungry = hungry if self._merged else hungry[:1]
        await Scan.advance_all(hungry)
        if any(scan.gave_up for scan in hungry):
            return None
        for scan in hungry:
            if not scan.ordered and not scan.sorted:
                sort_rows(scan.rows)
            self._stored[scan], scan.rows = scan.rows, []
        return self._cut(self._next())

    def _next(self) -> list[Found[R]]:
        going = self._going() if self._merged else []
        if any(not self._stored[scan] for scan in going):
            return []
        lasts = [self._stored[scan][-1] for scan in going]
        sort_rows(lasts)
        found = list[Any]()
        for scan, rows in self._stored.items():
            ready = rows if not lasts else [row for row in rows if not is_behind(row, lasts[0])]
            self._stored[scan] = rows[len(ready) :]
            found += ready
        if self._merged:
            sort_rows(found)
        return found

    def _cut(self, rows: list[Found[R]]) -> list[Found[R]]:
        """Without those that the query passes over, and as many as it still wants."""
        kept = rows[self._skip :]
        self._skip -= len(rows) - len(kept)
        if self._limit is not None:
            kept = kept[: self._limit]
            self._limit -= len(kept)
        return kept
