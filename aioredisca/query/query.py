"""Queries: frozen, lazy, and data until the moment somebody awaits them.

:class:`Select` holds the spec and all that shapes it, once for both colours; :class:`Query` gives it the
asyncio face, its sibling in sync/ the blocking one.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

from aioredisca.errors import UsageError
from aioredisca.fields.collections import Collection
from aioredisca.fields.times import EXPIRES_AT, refuse_moment
from aioredisca.frames import hiding
from aioredisca.query import aggregates, execution, explain, mutations, paging, samples, streaming, taking
from aioredisca.query.aggregates import Aggregate
from aioredisca.query.explain import Explanation, describe
from aioredisca.query.feeds.changes import Watch
from aioredisca.query.feeds.watching import Live
from aioredisca.query.paging import Page
from aioredisca.query.prefetch import path_of
from aioredisca.query.spec import Ordering, QuerySpec
from aioredisca.storage.codecs import whole_in
from aioredisca.storage.moments import NEVER, Duration, ending
from aioredisca.types import READ_FROM, ReadFrom

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.record import Record
    from aioredisca.query.columns import Output

R = TypeVar("R", bound="Record")
R_contra = TypeVar("R_contra", bound="Record", contravariant=True)
K = TypeVar("K")
N = TypeVar("N", int, float, decimal.Decimal)
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


class Asked(Generic[R_contra]):
    """A query seen as a condition: what ``where()``, ``&`` and ``|`` accept. A parent's fits its children."""

    __slots__ = ("_spec",)

    _spec: QuerySpec[Any]


def spec_of(condition: Any) -> QuerySpec[Any]:
    """What a condition asks for. UsageError for what is none."""
    if not isinstance(condition, Asked):
        hint = _OF_BOOL if isinstance(condition, bool) else ""
        kind = type(condition).__name__
        raise UsageError(f"a condition is made of columns, as in User.age >= 18; this is {kind}{hint}")
    return condition._spec  # pyright: ignore[reportPrivateUsage]  # same module


class Select(Asked[R]):
    """A class, a condition, an order, and how much of it.

    Order: as :meth:`order_by` says; else of its values (ties by id) for a condition that is one range, and
    of the ids, by bytes, for everything else.
    """

    __slots__ = ()

    def __init__(self, spec: QuerySpec[R]) -> None:
        self._spec = spec

    @property
    def model(self) -> type[R]:
        """The class whose records it finds."""
        return self._spec.model

    def _with(self, **changes: Any) -> Self:
        return type(self)(replace(self._spec, **changes))

    def __repr__(self) -> str:
        what = describe(self._spec.condition)
        return f"<{type(self).__name__} of {self._spec.model.__name__}: {what}>"

    def __bool__(self) -> None:  # None, so that checkers see `if query:`
        raise TypeError(
            "a query has no truth value: ask .exists() or .count(), or fetch it; "
            "join conditions with & | ~, and write a chained comparison as .between(low, high)"
        )

    def _asked(self, column: Any) -> Field[Any]:
        return asked_of(self._spec.model, column)

    # -- conditions --------------------------------------------------------------------------------

    def __and__(self, other: Asked[R]) -> Self:
        return type(self)(self._spec.joined(spec_of(other), either=False))

    def __or__(self, other: Asked[R]) -> Self:
        return type(self)(self._spec.joined(spec_of(other), either=True))

    def __invert__(self) -> Self:
        return type(self)(self._spec.inverted())

    def where(self, *conditions: Asked[R]) -> Self:
        """Narrow the query: every condition must hold. No I/O."""
        spec = self._spec
        for condition in conditions:
            spec = spec.where(spec_of(condition))
        return type(self)(spec)

    def scan(self) -> Self:
        """Allow parts of the condition that no index answers: their candidates are all read. No I/O."""
        return self._with(scan=True)

    def read_from(self, who: ReadFrom) -> Self:
        """Ask the primary or a replica of a cluster, whatever the Database says. No I/O.

        A replica lags: see docs/cluster.md. What is updated or deleted is found by the primary in any case.
        Without a cluster there is one server, which answers.
        """
        if who not in READ_FROM:
            raise UsageError(f"read_from() takes one of {', '.join(READ_FROM)}, not {who!r}")
        return self._with(read_from=who)

    # -- shape -------------------------------------------------------------------------------------

    def order_by(self, *columns: Output[R, Any]) -> Self:
        """Order by columns, indexed or not, each ``.desc()`` where it is to fall. No I/O.

        Records without a value come last in either direction; ties are broken by the id, in the direction
        of the last column. One column with a range or sorted index is ordered by the server; else all
        matches are read and sorted in the client. It comes before limits and slices: UsageError after them.
        """
        if not self._spec.whole:
            raise UsageError("order_by() comes before limit(), offset() and slices: they cut what it orders")
        return self._with(order=tuple(_ordering(self._spec.model, column) for column in columns))

    def limit(self, count: int) -> Self:
        """Take at most *count* records. No I/O. UsageError where a limit or a slice says that already."""
        if self._spec.limit is not None:
            raise UsageError("a limit is given already: take less of it by a slice, as in query[:n]")
        return self._with(limit=whole(count, "limit"))

    def offset(self, count: int) -> Self:
        """Pass over the first *count* records. No I/O.

        Before a limit, wherever it is written. UsageError where an offset or a slice says that already.
        """
        if self._spec.offset:
            raise UsageError("an offset is given already: pass over more of it by a slice, as in query[n:]")
        return self._with(offset=whole(count, "offset"))

    def _slice(self, wanted: slice) -> Self:
        """``query[a:b]``: counted from the start of what this query yields. No I/O."""
        start, stop = whole(wanted.start or 0, "slice"), wanted.stop
        if wanted.step not in (None, 1):
            raise UsageError("a query slices forward, step 1")
        return type(self)(self._spec.sliced(start, None if stop is None else whole(stop, "slice")))

    def only(self, *columns: Output[R, Any]) -> Self:
        """Load these fields alone; reading another one is NotLoaded (blocking records load it). No I/O."""
        if not columns:
            raise UsageError("only() takes at least one column")
        model = self._spec.model
        return self._with(only=tuple(field_of(model, column) for column in columns))

    def prefetch(self, *references: Output[R, Any] | str) -> Self:
        """Load referred records along: columns, or paths like ``"author.country"``. No I/O.

        HMGETs in one more round trip per level, however many records.
        """
        paths = (path_of(self._spec.model, given) for given in references)
        return self._with(prefetch=tuple(dict.fromkeys((*self._spec.prefetch, *paths))))


_OF_BOOL = (
    ": a chained comparison or `and` became a bool, or what was compared is no column, as an id is none: "
    "get() and get_many() find by ids"
)


def whole(count: Any, what: str) -> int:
    """*count*, if it is a whole number that is not negative."""
    if (number := whole_in(count, 0, math.inf)) is None:
        raise UsageError(f"{what} takes a whole number of at least 0, not {count!r}")
    return number


def field_of(model: type[Any], column: Any) -> Field[Any]:
    """The field of a column of *model*."""
    field: Field[Any] | None = model.__mapper__.field_of(column)
    if isinstance(column, property):
        name = model.__name__
        cure = "ids are the order where no other is asked, and get() and get_many() find by them"
        raise UsageError(f"a property of {name} is no column, nor is {name}.id: {cure}")
    if isinstance(column, Collection):
        cure = "it is a key of its own for each record, and read by its own verbs"
        raise UsageError(f"{model.__name__}.{column.name} is a collection and no column: {cure}")
    if field is None:
        refuse_moment(model.__name__, column)
        raise UsageError(f"{column!r} is no column of {model.__name__}")
    return field


def asked_of(model: type[Any], column: Any) -> Field[Any]:
    """The same of a column that is asked for and not loaded: the moment of the end, too."""
    given: object = getattr(column, "field", None)
    if given is not EXPIRES_AT:
        return field_of(model, column)
    owner: type[Any] = getattr(column, "column", column).model
    if not (issubclass(model, owner) or issubclass(owner, model)):
        raise UsageError(f"{column!r} is no column of {model.__name__}")
    model.__mapper__.lifetime.need_limit()
    return EXPIRES_AT


def _ordering(model: type[Any], column: Any) -> Ordering:
    field = asked_of(model, column)
    if field.mutable:
        raise UsageError(f"{column!r}: the values of a {type(field).__name__} field have no order")
    return Ordering(field, getattr(column, "descending", False))


class Query(Select[R]):
    """A lazy query of an asyncio model: ``await`` it for a list, or iterate it with ``async for``."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, list[R]]:
        """Return every match, in order. TooManyRows beyond ``conf.max_rows``, unless there is a limit.

        EVALSHA (SORT_RO for one value that few records hold), one round trip and one snapshot for up to 1,000
        records out of 2,000 candidates; then one per 1,000 records or 2,000 candidates.
        """
        return execution.records(self._spec).__await__()

    def __aiter__(self) -> AsyncIterator[R]:
        """Stream the matches, without any limit. EVALSHA, a round trip per 1,000 records.

        In the order of :meth:`order_by`; without one, in that of the index that is walked.
        """
        return streaming.stream(self._spec)

    def __iter__(self) -> None:  # None, so that checkers see `for user in query:`
        raise TypeError("a query is data until it is awaited: write `for user in await query` or `async for`")

    def __getitem__(self, wanted: slice) -> Self:
        """``query[a:b]``. No I/O."""
        if not isinstance(wanted, slice):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError("a query takes slices: write query[n:n + 1], or .offset(n).first()")
        return self._slice(wanted)

    def watch(self) -> Watch[R]:
        """Return what happens to the matches: ``async for kind, id, record in query.watch()``. No I/O.

        First all matches enter; then they change and exit and others enter, by the whole condition, as
        :class:`Watched` tells. It never ends. What changes several times in a moment may be told once, as it
        is then.

        UsageError for a class without ``conf(feed=)``, and for a query that is more than conditions and an
        order. TooManyRows beyond ``conf.max_rows``. The round trips of the query; then those of
        ``changes()``, and HMGETs in one more per batch of changes.
        """
        return Watch(Live(self._spec))

    async def first(self) -> R | None:
        """Return the first match, or None. EVALSHA, one round trip."""
        return await execution.first(self._spec)

    async def one(self) -> R:
        """Return the only match. NotFound without one, MultipleFound with several. One round trip."""
        return await execution.one(self._spec)

    async def one_or_none(self) -> R | None:
        """Return the only match, or None. MultipleFound with several. EVALSHA, one round trip."""
        return await execution.one_or_none(self._spec)

    async def exists(self) -> bool:
        """Return whether anything matches. EVALSHA, one round trip."""
        return await execution.exists(self._spec)

    async def count(self) -> int:
        """Return how many match, by the indexes.

        SCARD, ZCOUNT or ZCARD for one index, else EVALSHA; one round trip, or one per 2,000 candidates
        where no index tells the number.
        """
        return await execution.count(self._spec)

    async def ids(self) -> list[str]:
        """Return the ids of the matches in order. EVALSHA, one round trip per 1,000."""
        return await execution.ids(self._spec)

    @overload
    async def values(self, a: Output[R, A], /) -> list[A]: ...
    @overload
    async def values(self, a: Output[R, A], b: Output[R, B], /) -> list[tuple[A, B]]: ...
    @overload
    async def values(self, a: Output[R, A], b: Output[R, B], c: Output[R, C], /) -> list[tuple[A, B, C]]: ...
    @overload
    async def values(
        self, a: Output[R, A], b: Output[R, B], c: Output[R, C], d: Output[R, D], /, *more: Output[R, Any]
    ) -> list[tuple[A, B, C, D]]: ...
    async def values(self, *columns: Any) -> list[Any]:
        """Return the values of one column, or tuples of several, in order; no records are made.

        EVALSHA, one round trip per 1,000 matches.
        """
        return await aggregates.values(self._spec, [self._asked(column) for column in columns])

    async def random(self, count: int = 1) -> list[R]:
        """Return *count* random matches, each once; fewer where there are no more. At most 1,000.

        EVALSHA, one round trip where one index answers the condition; else all ids are read first.
        """
        return await samples.choice(self._spec, whole(count, "count"))

    @overload
    async def aggregate(self, column: Output[R, A] | None = None, /) -> Aggregate[A]: ...
    @overload
    async def aggregate(
        self, column: Output[R, A] | None = None, /, *, by: Output[R, K]
    ) -> dict[K, Aggregate[A]]: ...
    async def aggregate(self, column: Any = None, /, *, by: Any = None) -> Any:
        """Return count, sum, min, max and avg of a column; with ``by``, of each of its values.

        EVALSHA, one round trip per 1,000 matches, of which only these columns travel.
        """
        figure, group = (None if one is None else self._asked(one) for one in (column, by))
        return await aggregates.aggregate(self._spec, figure, group)

    @hiding
    async def page(self, size: int = 50, after: str | None = None) -> Page[R]:
        """Return *size* records behind the cursor *after*, and the cursor of the next page.

        Pages stay right while records come and go: no record that is left alone is missed or comes twice.
        ValidationError where *after* is no cursor of this very query. EVALSHA, one round trip.
        """
        return await paging.page(self._spec, whole(size, "size"), after)

    async def explain(self) -> Explanation:
        """Return how the query is answered: indexes, estimates, real counts, warnings. Two round trips."""
        return await explain.explain(self._spec)

    @overload
    async def update(self, /, *, returning: Literal[True], **values: Any) -> list[R]: ...
    @overload
    async def update(self, /, *, returning: Literal[False] = False, **values: Any) -> int: ...
    @hiding
    async def update(self, /, **values: Any) -> Any:
        """Set fields of every match; return how many records were changed, or, ``returning``, these records.

        Records are written in atomic batches of 100. One that no longer meets the condition when its turn
        comes is left alone. BulkError at the first batch that is refused, as by a unique field. EVALSHA,
        one round trip to read and one to write per batch.

        With ``limit(n).update(..., returning=True)``, n up to 100, the records are chosen, in the order of
        the query, and changed by one script call: no two callers choose the same. EVALSHA, one round trip,
        more where more than 2,000 candidates are looked at. What is otherwise where a class has partitions,
        or a condition is not judged by the server: docs/queries.md. In a class with a field ``returning``
        that is the field.
        """
        values, returning = mutations.asked_back(self._spec, values)
        if returning:
            return await taking.update(self._spec, values)
        return await mutations.update(self._spec, values)

    @overload
    async def delete(self, *, returning: Literal[True]) -> list[R]: ...
    @overload
    async def delete(self, *, returning: Literal[False] = False) -> int: ...
    async def delete(self, *, returning: bool = False) -> Any:
        """Delete every match; return how many there were, or, ``returning``, these records as they were.

        Batches, atomicity and round trips as in :meth:`update`. What is returned belongs to no session.
        """
        if returning:
            return await taking.delete(self._spec)
        return await mutations.delete(self._spec)

    async def expire(self, in_or_at: Duration | dt.datetime) -> int:
        """Let every match end in a while (a timedelta or seconds) or at a moment; return how many there were.

        Batches and round trips as in :meth:`update`.
        """
        self._spec.mapper.lifetime.need_limit()
        return await mutations.set_end(self._spec, ending(in_or_at))

    async def persist(self) -> int:
        """Let every match live for ever; return how many there were.

        Batches and round trips as in :meth:`update`.
        """
        self._spec.mapper.lifetime.need_limit()
        return await mutations.set_end(self._spec, NEVER)

    @hiding
    async def incr(self, column: Output[R, N | None], by: N | int = 1) -> int:
        """Add to a number of every match, None counting as 0; return how many records were changed.

        Exact under concurrency: no other change of a number is lost. Batches and round trips as in
        :meth:`update`.
        """
        return await mutations.incr(self._spec, field_of(self._spec.model, column), by)
