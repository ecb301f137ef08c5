"""Queries: frozen, lazy, and data until the moment somebody awaits them.

:class:`Select` holds the plan and everything that runs it, once for both colours; :class:`Query` gives it
the asyncio face, its sibling in sync.py the blocking one.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Generator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from . import storage
from .config import conf
from .errors import NotFound, TooManyRows, UsageError
from .expressions import All, Condition
from .plan import choose_call, count_call, read_rows
from .scan import Scan, by_id

if TYPE_CHECKING:
    from .record import Record

R = TypeVar("R", bound="Record")

MAX_CHOICE = 1000
"""Records that one call draws at random: they come in one step of the server."""


class Select(Generic[R]):
    """What to read: a class, a condition, how many to pass over and how many to take.

    Order: of the range index (score, then id) for a range, else of the ids, by bytes.
    """

    __slots__ = ("_children", "_condition", "_limit", "_model", "_offset")

    def __init__(
        self,
        model: type[R],
        condition: Condition,
        *,
        offset: int = 0,
        limit: int | None = None,
        children: bool = False,
    ) -> None:
        self._model, self._condition, self._children = model, condition, children
        self._offset, self._limit = offset, limit

    def __repr__(self) -> str:
        what = (
            "all"
            if isinstance(self._condition, All)
            else f"{type(self._condition).__name__} {self._condition.key}"
        )
        return f"<{type(self).__name__} of {self._model.__name__}: {what}>"

    def __bool__(self) -> None:  # None, so that checkers see `if query:`
        raise TypeError(
            "a query has no truth value: ask .exists() or .count(), or fetch it; "
            "write a chained comparison as .range(minval, maxval)"
        )

    def _copy(self, offset: int, limit: int | None) -> Self:
        return type(self)(self._model, self._condition, offset=offset, limit=limit, children=self._children)

    def limit(self, count: int) -> Self:
        """Take at most *count* records. No I/O."""
        return self._copy(self._offset, _whole(count, "limit"))

    def offset(self, count: int) -> Self:
        """Pass over the first *count* records. No I/O."""
        return self._copy(_whole(count, "offset"), self._limit)

    def _slice(self, wanted: slice) -> Self:
        """``query[a:b]``: counted from the start of what this query yields. No I/O."""
        start, stop = wanted.start or 0, wanted.stop
        if wanted.step not in (None, 1):
            raise UsageError("a query slices forward, step 1")
        _whole(start, "slice")
        limit = None if stop is None else max(0, _whole(stop, "slice") - start)
        if self._limit is not None:
            rest = max(0, self._limit - start)
            limit = rest if limit is None else min(limit, rest)
        return self._copy(self._offset + start, limit)

    # -- running it --------------------------------------------------------------------------------

    def _targets(self) -> list[type[R]]:
        if not self._children:
            return [self._model]
        return [self._model, *sorted(self._model.inheritors(), key=lambda model: model.__qualname__)]

    async def _scans(self, limit: int | None, fields: Sequence[str] | None = None) -> list[Scan[R]]:
        """A scan per class, each checked to have its index, before the first row is read."""
        merged = len(self._targets()) > 1
        scans = list[Scan[R]]()
        for model in self._targets():
            # Classes are merged here, so each must yield what the others may not fill.
            offset, most = (0, _plus(self._offset, limit)) if merged else (self._offset, limit)
            scan = Scan(model, self._condition, fields, offset=offset, limit=most)
            await storage.ready_to_read(scan.store, scan.schema, scan.source.entry, scan.field)
            scans.append(scan)
        return scans

    async def _rows(
        self, limit: int | None, fields: Sequence[str] | None = None
    ) -> list[tuple[Scan[R], str, Any]]:
        """All rows, merged over the classes, in order."""
        scans = await self._scans(limit, fields)
        found = list[tuple[Scan[R], str, Any]]()
        await Scan.first_pages(scans)
        for scan in scans:
            while True:
                found += [(scan, id, raw) for id, raw in scan.rows]
                self._refuse_too_many(len(found), limit)
                if scan.done:
                    break
                await scan.advance()
        if len(scans) > 1:
            found.sort(key=lambda row: row[0].rank(row[1], row[2]))
            return found[self._offset : _plus(self._offset, limit)]
        if scans[0].unordered:
            found.sort(key=lambda row: by_id(row[1:]))
        return found

    def _refuse_too_many(self, rows: int, limit: int | None) -> None:
        most = conf.max_rows
        if limit is None and most is not None and rows > most:
            raise TooManyRows(self._model.__name__, most)

    async def _all(self, limit: int | None = None) -> list[R]:
        rows = await self._rows(_least(limit, self._limit))
        return [scan.record(id, raw) for scan, id, raw in rows]

    async def _first(self) -> R | None:
        found = await self._all(1)
        return found[0] if found else None

    async def _one(self) -> R:
        found = await self._all(2)
        if not found:
            raise NotFound(self._model.__name__)
        if len(found) > 1:
            raise UsageError(f"more than one {self._model.__name__} matches where one was asked for")
        return found[0]

    async def _exists(self) -> bool:
        return bool(await self._rows(_least(1, self._limit), fields=()))

    async def _ids(self) -> list[str]:
        return [id for _, id, _ in await self._rows(self._limit, fields=())]

    async def _count(self) -> int:
        scans = await self._scans(None, fields=())
        calls = [call for scan in scans if (call := count_call(scan.source))]
        if len(calls) < len(scans):
            return len(await self._rows(self._limit, fields=()))  # a unique value: only records can tell
        counts = await Scan.together([(scan.store, call) for scan, call in zip(scans, calls, strict=True)])
        total = max(0, sum(counts) - self._offset)
        return total if self._limit is None else min(total, self._limit)

    async def _choice(self, count: int) -> list[R] | None:
        if _whole(count, "count") > MAX_CHOICE:
            raise UsageError(f"choice() draws at most {MAX_CHOICE:,} records, not {count:,}")
        if not count:
            return None
        scans = await self._scans(None)
        calls = [(scan.store, choose_call(scan.schema, scan.source, scan.fields, count)) for scan in scans]
        found = list[R]()
        for scan, reply in zip(scans, await Scan.together(calls), strict=True):
            found += [scan.record(id, raw) for id, raw in scan.judge(read_rows(reply, len(scan.fields)))]
        return shuffled(found)[:count] or None

    async def _stream(self) -> AsyncIterator[R]:
        if self._children:
            for record in await self._all():
                yield record
            return
        (scan,) = await self._scans(self._limit)
        await scan.advance()
        while True:
            for id, raw in scan.rows:
                yield scan.record(id, raw)
            if scan.done:
                return
            await scan.advance()


class Query(Select[R]):
    """A lazy query of an asyncio model: ``await`` it for a list, or iterate it with ``async for``."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, list[R]]:
        """Return every match. EVALSHA, one round trip and one snapshot to 1,000 records, then per 1,000.

        TooManyRows beyond ``conf.max_rows``, unless there is a limit.
        """
        return self._all().__await__()

    def __aiter__(self) -> AsyncIterator[R]:
        """Stream the matches, a round trip per 1,000 records, without any limit.

        More than 1,000 records of one exact value come in no particular order.
        """
        return self._stream()

    def __iter__(self) -> None:  # None, so that checkers see `for user in query:`
        raise TypeError("a query is data until it is awaited: write `for user in await query` or `async for`")

    def __getitem__(self, wanted: slice) -> Self:
        """``query[a:b]``. No I/O."""
        if not isinstance(wanted, slice):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("a query takes slices: write query[n:n + 1], or .offset(n).first()")
        return self._slice(wanted)

    async def first(self) -> R | None:
        """Return the first match, or None. EVALSHA, one round trip."""
        return await self._first()

    async def one(self) -> R:
        """Return the only match. NotFound without one, UsageError with several. One round trip."""
        return await self._one()

    async def exists(self) -> bool:
        """Return whether anything matches. EVALSHA, one round trip."""
        return await self._exists()

    async def count(self) -> int:
        """Return how many match, by the index: SCARD, ZCOUNT or ZCARD, one round trip."""
        return await self._count()

    async def ids(self) -> list[str]:
        """Return the ids of the matches in order. EVALSHA, one round trip per 1,000."""
        return await self._ids()


def _whole(count: Any, what: str) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise UsageError(f"{what} takes a whole number of at least 0, not {count!r}")
    return count


def _plus(offset: int, limit: int | None) -> int | None:
    return None if limit is None else offset + limit


def _least(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else min(a, b)


def shuffled(records: list[R]) -> list[R]:
    """In random order: records of several classes must not come class by class."""
    return random.sample(records, len(records))
