"""The blocking face: the same words without ``await``, for Flask, Celery and scripts.

``from aioredisca.sync import Model, String`` as in redisca: reading an attribute of a record that is not
loaded loads it. For one code base in both colours, use the asyncio models with :func:`run` instead.
"""

from __future__ import annotations

import decimal
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, Protocol, Self, TypeVar, cast, overload

from . import atomic, bulk, changes, fetch, figures, pages
from .blocking import allow_blocking, iterate, run
from .bulk import BATCH
from .codecs import utcnow
from .columns import BaseColumn, Output, page
from .config import conf
from .database import Database
from .descriptors import Field
from .errors import (
    AlreadyExists,
    BulkError,
    Conflict,
    CorruptRecord,
    DriverMisuse,
    FieldUnset,
    Gone,
    NotFound,
    NotIndexed,
    NotLoaded,
    OutcomeUnknown,
    OutOfBounds,
    PermissionDenied,
    RediscaError,
    Restricted,
    SchemaMismatch,
    SessionClosed,
    StaleWrite,
    StoreError,
    TooManyRows,
    Unavailable,
    UniqueViolation,
    UsageError,
    ValidationError,
)
from .expressions import exclusive
from .fields import UUID, Bool, Bytes, Email, Enum, Json, MD5Pass, String
from .figures import Aggregate, Explanation
from .ids import hexid, intid, listed
from .modeltype import ModelType
from .ordered import Date, DateTime, Decimal, Float, Integer
from .pages import Page
from .passwords import Hash, Password
from .query import Asked, Select, whole
from .record import Record, SaveMode
from .reference import Reference
from .search import Search
from .session import BaseSession, current
from .tags import Tags
from .types import MISSING, Missing

T = TypeVar("T")
A = TypeVar("A")
V = TypeVar("V")
C = TypeVar("C")
D = TypeVar("D")
K = TypeVar("K")
N = TypeVar("N", int, decimal.Decimal)
R = TypeVar("R", bound=Record)
B = TypeVar("B", bound="Model")
B_co = TypeVar("B_co", bound="Model", covariant=True)

_BOUND = re.compile(r"(\()?(.+)\Z", re.DOTALL)


class Query(Select[R]):
    """A query of a blocking model: fetched once, when it is first looked at, and kept.

    ``len(q)``, ``x in q``, ``q[0]``, ``q[1:3]`` and iteration fetch all of it; the other verbs ask the
    server only for what they need.
    """

    __slots__ = ("_found",)

    def __init__(self, search: Search[R]) -> None:
        super().__init__(search)
        self._found: list[R] | None = None

    def load(self) -> list[R]:
        """Fetch the matches, unless that was done already. One round trip per 1,000 records."""
        if self._found is None:
            self._found = run(fetch.records(self._search))
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
        return iterate(fetch.stream(self._search))

    def first(self) -> R | None:
        """Return the first match, or None. EVALSHA, one round trip."""
        return run(fetch.first(self._search))

    def one(self) -> R:
        """Return the only match. NotFound without one, UsageError with several. One round trip."""
        return cast("R", run(fetch.one(self._search)))

    def one_or_none(self) -> R | None:
        """Return the only match, or None. UsageError with several. EVALSHA, one round trip."""
        return run(fetch.one_or_none(self._search))

    def exists(self) -> bool:
        """Return whether anything matches. EVALSHA, one round trip."""
        return run(fetch.exists(self._search))

    def count(self) -> int:
        """Return how many match, by the indexes.

        SCARD, ZCOUNT or ZCARD for one index, else EVALSHA; one round trip, or one per 2,000 candidates
        where no index tells the number.
        """
        return run(fetch.count(self._search))

    def ids(self) -> list[str]:
        """Return the ids of the matches in order. EVALSHA, one round trip per 1,000."""
        return run(fetch.ids(self._search))

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
        return run(figures.values(self._search, [self._field(column) for column in columns]))

    def random(self, count: int = 1) -> list[R]:
        """Return *count* random matches, each once; fewer where there are no more. At most 1,000.

        EVALSHA, one round trip where one index answers the condition; else all ids are read first.
        """
        return run(fetch.choice(self._search, whole(count, "count")))

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
        figure, group = (None if one is None else self._field(one) for one in (column, by))
        return run(figures.aggregate(self._search, figure, group))

    def page(self, size: int = 50, after: str | None = None) -> Page[R]:
        """Return *size* records behind the cursor *after*, and the cursor of the next page.

        Pages stay right while records come and go: no record that is left alone is missed or comes twice.
        ValidationError where *after* is no cursor of this very query. EVALSHA, one round trip.
        """
        return run(pages.page(self._search, whole(size, "size"), after))

    def explain(self) -> Explanation:
        """Return how the query is answered: indexes, estimates, real counts, warnings. Two round trips."""
        return run(figures.explain(self._search))

    def update(self, **values: Any) -> int:
        """Set fields of every match; return how many records were changed.

        Records are written in atomic batches of 100. One that no longer meets the condition when its turn
        comes is left alone. BulkError at the first batch that is refused, as by a unique field. EVALSHA,
        one round trip to read and one to write per batch.
        """
        return run(changes.update(self._search, values))

    def delete(self) -> int:
        """Delete every match; return how many there were. Batches and round trips as in :meth:`update`."""
        return run(changes.delete(self._search))

    def incr(self, column: Output[R, N | None], by: N | int = 1) -> int:
        """Add to a number of every match, None counting as 0; return how many records were changed.

        Exact under concurrency: no other change of a number is lost. Batches and round trips as in
        :meth:`update`.
        """
        return run(changes.incr(self._search, self._field(column), by))


class Column(BaseColumn[B, T, Query[B]], Generic[B, T]):
    """A column of a blocking model."""

    __slots__ = ()

    def find(self, value: T, *, children: bool = False) -> list[B]:
        """Return the records that hold *value*, with ``children`` those of subclasses too.

        EVALSHA, one round trip per 1,000 records. NotIndexed without an index.
        """
        return self._equals(value, children).load()

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

    def choice(self, val: T | Missing = MISSING, count: int = 1, *, children: bool = False) -> list[B] | None:
        """Return up to *count* random records that hold *val* (any value if none is given), each once.

        None where there is no such record; UsageError above 1,000. EVALSHA, one round trip.
        """
        query = self._range(None, None, children) if val is MISSING else self._equals(val, children)
        return query.random(count) or None


class PasswordColumn(Column[B, T]):
    """``User.password`` of a blocking model, whose records take plain text too."""

    __slots__ = ()

    inline: ClassVar[bool] = True

    def hash(self, plain: str) -> Hash:
        """Return the hash of *plain*. ValidationError if the field refuses it. No I/O."""
        return run(cast("Password[Any]", self.field)._hash(self._model, plain))

    def verify(self, record: B | None, plain: str) -> bool:
        """Return whether *plain* is the password of *record*; False for None, in the same time.

        Where the stored hash is weaker than new ones, the right password puts a better one into the
        record; save it to keep that. No I/O, but for a record that is not loaded: HMGET, one round trip.
        """
        return run(cast("Password[Any]", self.field)._verify(self._model, record, plain))

    def upgrade(self, record: B) -> bool:
        """Put a strong hash over a bare MD5, whose plain text nobody knows; return whether there was one.

        Save the record to keep it. No I/O, but for a record that is not loaded.
        """
        return run(cast("Password[Any]", self.field)._upgrade(self._model, record))


def _bound(bound: Any) -> Any:
    """A bound as redisca took it: ``"(5"`` leaves 5 out, ``"-inf"`` and ``"+inf"`` are open ends."""
    if not isinstance(bound, str):
        return bound
    if bound in ("-inf", "+inf"):
        return None
    outside, value = cast("re.Match[str]", _BOUND.match(bound)).groups() if bound else (None, bound)
    return exclusive(value) if outside else value


class Loader(Protocol[B_co]):
    """``User.get``: loads a record by id."""

    def __call__(self, model_id: str | int, /) -> B_co: ...


class DictGet(Protocol):
    """``user.get``: reads a hash field, as ``dict.get`` does."""

    def __call__(self, name: str, default: Any = None, /) -> Any: ...


class Get:
    """``get`` has two meanings: a loader on the class, dict access on an instance."""

    @overload
    def __get__(self, obj: None, owner: type[B]) -> Loader[B]: ...
    @overload
    def __get__(self, obj: Model, owner: type[B]) -> DictGet: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        return owner._get if obj is None else obj._dict_get


class Model(Record):
    """A record of Redis, for blocking code. Reading what is not loaded loads it.

    ::

        class User(Model):
            email = Email(unique=True)

        user = User.new(email="foo@bar.com").save()
    """

    __slots__ = ()

    _column_type = Column
    _password_type = PasswordColumn
    _query_type = Query

    get = Get()

    def _load_hidden(self, name: str, *, raw: bool) -> None:
        run(self._load(raw=raw))

    @classmethod
    def _get(cls, model_id: str | int, /) -> Self:
        """Return the record of that id. NotFound without one. HMGET, one round trip."""
        return run(cls._handle(model_id)._load(strict=True))

    @classmethod
    def get_many(cls, ids: Iterable[str | int]) -> list[Self | None]:
        """Return the records of *ids* in that order, None for those that do not exist.

        One HMGET each, all in one round trip.
        """
        return run(cls._get_many(listed(ids)))

    @classmethod
    def all(cls) -> Query[Self]:
        """Return the query of all records of this class, in the order of their ids. No I/O."""
        return Query(Search(cls))

    @classmethod
    def where(cls, *conditions: Asked[Self]) -> Query[Self]:
        """Return the query of the records that meet every condition. No I/O."""
        return cls.all().where(*conditions)

    def load(self, *, raw: bool = False, strict: bool = False) -> Self:
        """Load the record unless it is known already, and return it.

        ``raw``     undeclared hash fields too.
        ``strict``  NotFound where there is no record, instead of an empty model.

        HMGET (HGETALL with ``raw``), one round trip.
        """
        return run(self._load(raw=raw, strict=strict))

    def reload(self) -> Self:
        """Load the record again, keeping local changes, and return it. HMGET or HGETALL, one round trip."""
        return run(self._load(again=True))

    def exists(self) -> bool:
        """Return whether the record is stored. EXISTS, one round trip."""
        return run(self._exists())

    def save(
        self,
        *,
        mode: SaveMode | None = None,
        if_unchanged: bool | Literal["record"] | Sequence[Output[Self, Any]] = False,
    ) -> Self:
        """Write what was changed, with all indexes and unique claims, in one atomic call; return self.

        ``mode``          "create" (AlreadyExists if the id is taken), "update" (Gone if there is no
                          record) or "upsert". By default: create after ``new()``, after a load that found
                          nothing and after ``delete()``; update after a load that found it and after a
                          save; upsert for a bare handle.
        ``if_unchanged``  True: StaleWrite if a changed field is stored otherwise than it was loaded. A
                          sequence of columns adds these; "record" compares all fields.

        EVALSHA, one round trip; none where nothing was changed. UniqueViolation, ValidationError for a
        required field without value, OutcomeUnknown where the answer was lost. Whenever it raises,
        nothing was written (but for OutcomeUnknown) and every change is kept.
        """
        return run(self._save(mode, if_unchanged))

    def delete(self) -> bool:
        """Delete the record with all its index entries and claims; return whether there was one.

        EVALSHA, one round trip.
        """
        return run(self._delete())

    def incr(
        self,
        column: Output[Self, N | None],
        by: N | int = 1,
        *,
        min: N | int | None = None,
        max: N | int | None = None,
    ) -> N:
        """Add *by* to the number in a field of the stored record, atomically; return the new number.

        ``min`` ``max``  bounds of the result, both included, beside those of the field: OutOfBounds.

        For Integer fields, and Decimal fields with ``places=``, up to 2**53 units either side of zero. No
        value counts as 0. Gone if there is no record. UsageError before any I/O while the field has a
        change that is not saved. EVALSHA, one round trip; OutcomeUnknown where the answer was lost, and
        then it is not known whether it counted: it is never sent twice.
        """
        return cast("N", run(atomic.incr(self, column, by, min, max)))

    @classmethod
    def get_or_create(cls, *, defaults: Mapping[str, Any] | None = None, **unique: Any) -> tuple[Self, bool]:
        """Return the record with these unique values, created if there is none, and whether it was created.

        ``defaults``  attributes of a new record, beside the unique values and the ``new=`` values.

        *unique* names one unique field, or all fields that are unique together: UsageError otherwise.
        A new record gets a random id. Of concurrent calls exactly one creates it. UniqueViolation where
        another record holds another unique value of it, NotIndexed before the index is built.

        EVALSHA, one round trip.
        """
        return run(atomic.obtain(cls, unique, defaults, update=False))

    @classmethod
    def update_or_create(
        cls, *, defaults: Mapping[str, Any] | None = None, **unique: Any
    ) -> tuple[Self, bool]:
        """As :meth:`get_or_create`, but give the *defaults* to a record that was there, too.

        Its other fields stay as they are.

        EVALSHA, one round trip.
        """
        return run(atomic.obtain(cls, unique, defaults, update=True))

    @classmethod
    def save_all(cls) -> None:
        """Save the changed records of this class and its subclasses in the session, atomically.

        UsageError outside a session. EVALSHA, one round trip per database.
        """
        run(cls._save_all())

    @classmethod
    def save_many(
        cls, objs: Iterable[Self], *, batch: int = BATCH, skip_conflicts: bool = False
    ) -> list[tuple[Self, RediscaError]]:
        """Save *objs* in atomic batches; return those refused, with their errors.

        The first refusal stops it with BulkError, and calling again resumes; with ``skip_conflicts`` the
        refused are left out instead and returned. EVALSHA, one round trip per *batch* records.
        """
        return run(bulk.save_many(cls, objs, batch, skip_conflicts))

    @classmethod
    def delete_many(cls, objs: Iterable[Self | str | int], *, batch: int = BATCH) -> int:
        """Delete records (or ids) in atomic batches; return how many there were.

        EVALSHA, one round trip per *batch* records.
        """
        return run(bulk.delete_many(cls, objs, batch))


class Session(BaseSession):
    """A session of blocking code: ``with session() as s:``. See :class:`aioredisca.Session`."""

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if self._saves(error):
                run(self._flush())
        finally:
            self._close()

    def flush(self) -> None:
        """Save every changed record and carry out deletes: EVALSHA, one atomic round trip per database.

        Where the server refuses, nothing of that database is written, every change is kept, and the
        error's ``instance`` is the record it is about. UsageError over 5,000 records.
        """
        run(self._flush())


class JoinedSession:
    """``session(join=True)`` inside another session: that session, which goes on after the block."""

    def __init__(self, outer: Session) -> None:
        self._outer = outer

    def __enter__(self) -> Session:
        return self._outer

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


def session(db: object = None, *, autosave: bool = False, join: bool = False) -> Session | JoinedSession:
    """Open a session: ``with session():``. No I/O until a flush. See :func:`aioredisca.session`."""
    outer = current()
    if join and outer is not None:
        if not isinstance(outer, Session):
            raise UsageError("the open session is an asyncio one: a blocking session cannot join it")
        return JoinedSession(outer)
    return Session(db, autosave=autosave)


__all__ = (
    "UUID",
    "Aggregate",
    "AlreadyExists",
    "Bool",
    "BulkError",
    "Bytes",
    "Column",
    "Conflict",
    "CorruptRecord",
    "Database",
    "Date",
    "DateTime",
    "Decimal",
    "DriverMisuse",
    "Email",
    "Enum",
    "Explanation",
    "Field",
    "FieldUnset",
    "Float",
    "Gone",
    "Hash",
    "Integer",
    "Json",
    "MD5Pass",
    "Model",
    "ModelType",
    "NotFound",
    "NotIndexed",
    "NotLoaded",
    "OutOfBounds",
    "OutcomeUnknown",
    "Page",
    "Password",
    "PermissionDenied",
    "Query",
    "RediscaError",
    "Reference",
    "Restricted",
    "SchemaMismatch",
    "Session",
    "SessionClosed",
    "StaleWrite",
    "StoreError",
    "String",
    "Tags",
    "TooManyRows",
    "Unavailable",
    "UniqueViolation",
    "UsageError",
    "ValidationError",
    "allow_blocking",
    "conf",
    "exclusive",
    "hexid",
    "intid",
    "iterate",
    "run",
    "session",
    "utcnow",
)
