"""Queries and columns of blocking models."""

from __future__ import annotations

import datetime as dt
import decimal
import re
from collections.abc import Iterator
from typing import Any, Generic, Literal, TypeVar, cast, overload

from aioredisca.compiler.conditions import exclusive
from aioredisca.drivers.run import iterate, run
from aioredisca.fields import password
from aioredisca.fields.password import Hash
from aioredisca.frames import hiding
from aioredisca.model.record import Record
from aioredisca.query import aggregates, execution, explain, mutations, paging, samples, streaming, taking
from aioredisca.query.aggregates import Aggregate
from aioredisca.query.columns import BaseColumn, Limited, Output, page, password_field
from aioredisca.query.explain import Explanation
from aioredisca.query.feeds.watching import Live
from aioredisca.query.paging import Page
from aioredisca.query.query import Select, field_of, whole
from aioredisca.query.spec import QuerySpec
from aioredisca.storage.moments import NEVER, Duration, ending
from aioredisca.sync.feeds import Watch
from aioredisca.types import MISSING, Missing

T = TypeVar("T")
A = TypeVar("A")
V = TypeVar("V")
C = TypeVar("C")
D = TypeVar("D")
K = TypeVar("K")
N = TypeVar("N", int, float, decimal.Decimal)
R = TypeVar("R", bound=Record)
B = TypeVar("B", bound=Record)

_BOUND = re.compile(r"(\()?(.+)\Z", re.DOTALL)


class Query(Select[R]):
    """A query of a blocking model: fetched once, when it is first looked at, and kept.

    ``len(q)``, ``x in q``, ``q[0]``, ``q[1:3]`` and iteration fetch all of it; the other verbs ask the
    server only for what they need.
    """

    __slots__ = ("_found",)

    def __init__(self, spec: QuerySpec[R]) -> None:
        super().__init__(spec)
        self._found: list[R] | None = None

    def load(self) -> list[R]:
        """Fetch the matches, unless that was done already. One round trip per 1,000 records."""
        if self._found is None:
            self._found = run(execution.records(self._spec))
        return self._found

    def loaded(self) -> bool:
        """Return whether the matches were fetched. No I/O."""
        return self._found is not None

    def unload(self) -> None:
        """Forget what was fetched. No I/O."""
        self._found = None

    def __iter__(self) -> Iterator[R]:
        return iter(self.load())

    def __len__(self) -> int:
        return len(self.load())

    def __contains__(self, item: object) -> bool:
        return item in self.load()

    @overload
    def __getitem__(self, wanted: int) -> R: ...
    @overload
    def __getitem__(self, wanted: slice) -> list[R]: ...
    def __getitem__(self, wanted: int | slice) -> R | list[R]:
        return self.load()[wanted]

    def stream(self) -> Iterator[R]:
        """Yield the matches, a round trip per 1,000 records, without any limit and without keeping them."""
        return iterate(streaming.stream(self._spec))

    def watch(self) -> Watch[R]:
        """Return what happens to the matches: ``for kind, id, record in query.watch()``. No I/O.

        First all matches enter; then they change and exit and others enter, by the whole condition, as
        :class:`Watched` tells. It never ends. What changes several times in a moment may be told once, as it
        is then.

        UsageError for a class without ``conf(feed=)``, and for a query that is more than conditions and an
        order. TooManyRows beyond ``conf.max_rows``. The round trips of the query; then those of
        ``changes()``, and HMGETs in one more per batch of changes.
        """
        return Watch(Live(self._spec))

    def first(self) -> R | None:
        """Return the first match, or None. EVALSHA, one round trip."""
        return run(execution.first(self._spec))

    def one(self) -> R:
        """Return the only match. NotFound without one, MultipleFound with several. One round trip."""
        return cast("R", run(execution.one(self._spec)))

    def one_or_none(self) -> R | None:
        """Return the only match, or None. MultipleFound with several. EVALSHA, one round trip."""
        return run(execution.one_or_none(self._spec))

    def exists(self) -> bool:
        """Return whether anything matches. EVALSHA, one round trip."""
        return run(execution.exists(self._spec))

    def count(self) -> int:
        """Return how many match, by the indexes.

        SCARD, ZCOUNT or ZCARD for one index, else EVALSHA; one round trip, or one per 2,000 candidates
        where no index tells the number.
        """
        return run(execution.count(self._spec))

    def ids(self) -> list[str]:
        """Return the ids of the matches in order. EVALSHA, one round trip per 1,000."""
        return run(execution.ids(self._spec))

    @overload
    def values(self, a: Output[R, A], /) -> list[A]: ...
    @overload
    def values(self, a: Output[R, A], b: Output[R, V], /) -> list[tuple[A, V]]: ...
    @overload
    def values(self, a: Output[R, A], b: Output[R, V], c: Output[R, C], /) -> list[tuple[A, V, C]]: ...
    @overload
    def values(
        self, a: Output[R, A], b: Output[R, V], c: Output[R, C], d: Output[R, D], /, *more: Output[R, Any]
    ) -> list[tuple[A, V, C, D]]: ...
    def values(self, *columns: Any) -> list[Any]:
        """Return the values of one column, or tuples of several, in order; no records are made.

        EVALSHA, one round trip per 1,000 matches.
        """
        return run(aggregates.values(self._spec, [self._asked(column) for column in columns]))

    def random(self, count: int = 1) -> list[R]:
        """Return *count* random matches, each once; fewer where there are no more. At most 1,000.

        EVALSHA, one round trip where one index answers the condition; else all ids are read first.
        """
        return run(samples.choice(self._spec, whole(count, "count")))

    @overload
    def aggregate(self, column: Output[R, A] | None = None, /) -> Aggregate[A]: ...
    @overload
    def aggregate(
        self, column: Output[R, A] | None = None, /, *, by: Output[R, K]
    ) -> dict[K, Aggregate[A]]: ...
    def aggregate(self, column: Any = None, /, *, by: Any = None) -> Any:
        """Return count, sum, min, max and avg of a column; with ``by``, of each of its values.

        EVALSHA, one round trip per 1,000 matches, of which only these columns travel.
        """
        figure, group = (None if one is None else self._asked(one) for one in (column, by))
        return run(aggregates.aggregate(self._spec, figure, group))

    @hiding
    def page(self, size: int = 50, after: str | None = None) -> Page[R]:
        """Return *size* records behind the cursor *after*, and the cursor of the next page.

        Pages stay right while records come and go: no record that is left alone is missed or comes twice.
        ValidationError where *after* is no cursor of this very query. EVALSHA, one round trip.
        """
        return run(paging.page(self._spec, whole(size, "size"), after))

    def explain(self) -> Explanation:
        """Return how the query is answered: indexes, estimates, real counts, warnings. Two round trips."""
        return run(explain.explain(self._spec))

    @overload
    def update(self, /, *, returning: Literal[True], **values: Any) -> list[R]: ...
    @overload
    def update(self, /, *, returning: Literal[False] = False, **values: Any) -> int: ...
    @hiding
    def update(self, /, **values: Any) -> Any:
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
            return run(taking.update(self._spec, values))
        return run(mutations.update(self._spec, values))

    @overload
    def delete(self, *, returning: Literal[True]) -> list[R]: ...
    @overload
    def delete(self, *, returning: Literal[False] = False) -> int: ...
    def delete(self, *, returning: bool = False) -> Any:
        """Delete every match; return how many there were, or, ``returning``, these records as they were.

        Batches, atomicity and round trips as in :meth:`update`. What is returned belongs to no session.
        """
        if returning:
            return run(taking.delete(self._spec))
        return run(mutations.delete(self._spec))

    def expire(self, in_or_at: Duration | dt.datetime) -> int:
        """Let every match end in a while (a timedelta or seconds) or at a moment; return how many there were.

        Batches and round trips as in :meth:`update`.
        """
        self._spec.mapper.lifetime.need_limit()
        return run(mutations.set_end(self._spec, ending(in_or_at)))

    def persist(self) -> int:
        """Let every match live for ever; return how many there were.

        Batches and round trips as in :meth:`update`.
        """
        self._spec.mapper.lifetime.need_limit()
        return run(mutations.set_end(self._spec, NEVER))

    @hiding
    def incr(self, column: Output[R, N | None], by: N | int = 1) -> int:
        """Add to a number of every match, None counting as 0; return how many records were changed.

        Exact under concurrency: no other change of a number is lost. Batches and round trips as in
        :meth:`update`.
        """
        return run(mutations.incr(self._spec, field_of(self._spec.model, column), by))


class Column(BaseColumn[B, T, Query[B]], Generic[B, T]):
    """A column of a blocking model."""

    __slots__ = ()

    @hiding
    def find(self, value: T, *, children: bool = False) -> list[B]:
        """Return the records that hold *value*, with ``children`` those of subclasses too.

        EVALSHA or SORT_RO, one round trip per 1,000 records. NotIndexed without an index.
        """
        return self._equals(value, children).load()

    @hiding
    def range(
        self,
        minval: T | exclusive[T] | str | None = None,
        maxval: T | exclusive[T] | str | None = None,
        start: int | None = None,
        num: int | None = None,
        *,
        children: bool = False,
    ) -> list[B]:
        """Return the records whose value lies within the bounds, in its order (ties by id).

        Bounds are included unless given as ``exclusive(value)`` or, as in redisca, as text like ``"(5"``;
        None is an open end. ``start`` records are passed over and at most ``num`` returned. EVALSHA, one
        round trip per 1,000 records.
        """
        query = page(self._range(_bound(minval), _bound(maxval), children), start, num)
        return cast("list[B]", query.load())

    @hiding
    def choice(self, val: T | Missing = MISSING, count: int = 1, *, children: bool = False) -> list[B] | None:
        """Return up to *count* random records that hold *val* (any value if none is given), each once.

        None where there is no such record; UsageError above 1,000. EVALSHA, one round trip.
        """
        query = self._range(None, None, children) if val is MISSING else self._equals(val, children)
        return query.random(count) or None


class LimitedColumn(Limited[B, T, Query[B]], Column[B, T]):
    """``Login.expires_at`` of a blocking model."""

    __slots__ = ()


class PasswordColumn(Column[B, T]):
    """``User.password`` of a blocking model, whose records take plain text too."""

    __slots__ = ()

    def hash(self, plain: str) -> Hash:
        """Return the hash of *plain*. ValidationError if the field refuses it. No I/O."""
        work = password.make_hash(password_field(self), self._mapper, plain)
        del plain  # no frame of an error holds it
        return run(work)

    def verify(self, record: B | None, plain: str) -> bool:
        """Return whether *plain* is the password of *record*; False for None, in the same time.

        Where the stored hash is weaker than new ones, the right password puts a better one into the
        record; save it to keep that. No I/O, but for a record that is not loaded: HMGET, one round trip.
        """
        work = password.verify(password_field(self), self._mapper, record, plain)
        del plain  # no frame of an error holds it
        return run(work)

    def upgrade(self, record: B) -> bool:
        """Put a strong hash over a bare MD5, whose plain text nobody knows; return whether there was one.

        Save the record to keep it. No I/O, but for a record that is not loaded.
        """
        return run(password.upgrade(password_field(self), self._mapper, record))


def _bound(bound: Any) -> Any:
    """A bound as redisca took it: ``"(5"`` leaves 5 out, ``"-inf"`` and ``"+inf"`` are open ends."""
    if not isinstance(bound, str):
        return bound
    if bound in ("-inf", "+inf"):
        return None
    outside, value = cast("re.Match[str]", _BOUND.match(bound)).groups() if bound else (None, bound)
    return exclusive(value) if outside else value
