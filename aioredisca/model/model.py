"""``Model``: the asyncio face of a record. Every verb that does I/O is a coroutine."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Coroutine, Generator, Iterable, Mapping, Sequence
from types import MethodType
from typing import Any, Literal, Never, NoReturn, Protocol, Self, TypeVar, cast, overload

from aioredisca.compiler.changes import BATCH
from aioredisca.errors import RediscaError
from aioredisca.fields.access import not_loaded
from aioredisca.fields.times import EXPIRES_AT
from aioredisca.frames import hiding
from aioredisca.model import loading
from aioredisca.model.mapper import Colour
from aioredisca.model.record import DictGet, Record, dict_get
from aioredisca.model.unit_of_work import save_all
from aioredisca.persistence import atomic, bulk, expiry, saving
from aioredisca.persistence.bulk import as_list
from aioredisca.persistence.collections import HANDLES
from aioredisca.persistence.pending import SaveMode
from aioredisca.query.columns import Column, LimitedColumn, Output, PasswordColumn
from aioredisca.query.feeds.changes import Changes
from aioredisca.query.feeds.reading import Feed
from aioredisca.query.query import Asked, Query
from aioredisca.query.spec import QuerySpec
from aioredisca.storage.moments import Duration
from aioredisca.types import MISSING, Missing

M = TypeVar("M", bound="Model")
N = TypeVar("N", int, decimal.Decimal)
M_co = TypeVar("M_co", bound="Model", covariant=True)


class Loader(Protocol[M_co]):
    """``User.get``: loads a record by id."""

    def __call__(self, model_id: str | int, /, *, touch: bool = False) -> Coroutine[Any, Any, M_co]: ...


class Moment(Protocol):
    """``login.expires_at``: asks when a record ends."""

    def __call__(self) -> Coroutine[Any, Any, dt.datetime | None]: ...


class Get:
    """``get`` has two meanings: a loader on the class, dict access on an instance."""

    @overload
    def __get__(self, obj: None, owner: type[M]) -> Loader[M]: ...
    @overload
    def __get__(self, obj: Model, owner: type[M]) -> DictGet: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        return MethodType(loading.get, owner) if obj is None else MethodType(dict_get, obj)


class ExpiresAt:
    """``expires_at`` has two meanings: a column on the class, and on an instance a verb.

    ``Login.expires_at``  when records end, None for those that live for ever: asked, ordered and read by as a
    field with a range index is. UsageError for a condition of a class without ``conf(ttl=)``.

    ``await login.expires_at()``  the moment of this one. NotFound without a record. PTTL, ZSCORE and TIME,
    one round trip.
    """

    @overload
    def __get__(self, obj: None, owner: type[M]) -> Column[M, dt.datetime | None]: ...
    @overload
    def __get__(self, obj: Model, owner: type[M]) -> Moment: ...
    def __get__(self, obj: Any, owner: Any) -> Any:
        return LimitedColumn(EXPIRES_AT, owner) if obj is None else MethodType(expiry.expires_at, obj)

    def __set__(self, obj: Model, value: Never) -> NoReturn:
        expiry.refuse_assigning(obj)


class Model(Record):
    """A record of Redis, for asyncio.

    Declare fields in the class body, ``await`` the verbs::

        class User(Model):
            email = Email(unique=True)

        user = await User.new(email="foo@bar.com").save()

    Attributes never do I/O: a handle, ``User("1")``, must be awaited before its values are read.
    """

    __slots__ = ()

    __colour__ = Colour(
        column=Column,
        password_column=PasswordColumn,
        query=Query,
        handles=HANDLES,
        load_missing=not_loaded,
        hashes_inline=False,
    )

    get = Get()
    expires_at = ExpiresAt()

    def __await__(self) -> Generator[Any, None, Self]:
        """Load the record unless it is known; an empty model where there is none. See :meth:`load`."""
        return loading.load(self).__await__()

    @classmethod
    async def get_many(cls, ids: Iterable[str | int]) -> list[Self | None]:
        """Return the records of *ids* in that order, None for those that do not exist.

        One HMGET each, all in one round trip.
        """
        return await loading.get_many(cls, as_list(ids))

    @classmethod
    def all(cls) -> Query[Self]:
        """Return the query of all records of this class, in the order of their ids. No I/O."""
        return Query(QuerySpec(cls))

    @classmethod
    def changes(
        cls,
        since: str | dt.datetime | None = None,
        *,
        group: str | None = None,
        consumer: str | None = None,
        claim_after: Duration = 60,
    ) -> Changes[Self]:
        """Return the changes of this class: ``async for change in User.changes()``. No I/O.

        ``since``        behind what: the cursor of a change, a moment, "0" for all that is kept; None, the
                         default: from now on.
        ``group``        share them with the other consumers of the group, each change once. It keeps its
                         place, and begins at ``since`` if it is new.
        ``consumer``     the name of this one in the group. What it has not acknowledged by ``ack()`` it is
                         given again when it is started anew, and others once *claim_after* (a timedelta or
                         seconds) has passed.

        It never ends. FeedGap where changes are lost that were to come next; Unavailable where the server is
        away for a minute. UsageError for a class without ``conf(feed=)``, ValidationError for what is no
        cursor. EVALSHA for each partition, one round trip per 100 changes; XREAD, which blocks, on a
        connection of its own while there are none. See docs/feeds.md.
        """
        return Changes(Feed(cls, since, group, consumer, claim_after))

    @classmethod
    def where(cls, *conditions: Asked[Self]) -> Query[Self]:
        """Return the query of the records that meet every condition. No I/O."""
        return cls.all().where(*conditions)

    async def load(self, *, raw: bool = False, strict: bool = False) -> Self:
        """Load the record unless it is known already, and return it.

        ``raw``     undeclared hash fields too.
        ``strict``  NotFound where there is no record, instead of an empty model.

        HMGET (HGETALL with ``raw``), one round trip; concurrent loads of one instance are one.
        """
        return await loading.load(self, raw=raw, strict=strict)

    async def reload(self) -> Self:
        """Load the record again, keeping local changes, and return it. HMGET or HGETALL, one round trip."""
        return await loading.load(self, anew=True)

    async def exists(self) -> bool:
        """Return whether the record is stored. EXISTS, one round trip."""
        return await loading.exists(self)

    async def save(
        self,
        *,
        mode: SaveMode | None = None,
        if_unchanged: bool | Literal["record"] | Sequence[Output[Self, Any]] | Missing = MISSING,
        ttl: Duration | Missing | None = MISSING,
    ) -> Self:
        """Write what was changed, with all indexes and unique claims, in one atomic call; return self.

        ``mode``          "create" (AlreadyExists if the id is taken), "update" (Gone if there is no
                          record) or "upsert". By default: create after ``new()``, after a load that found
                          nothing and after ``delete()``; update after a load that found it and after a
                          save; upsert for a bare handle.
        ``ttl``           how long the record lasts from now on, a timedelta or seconds; None: for ever. By
                          default what ``conf(ttl=, sliding=)`` says; a record that was there keeps its end
                          unless it slides. With it there is something to write even if nothing was changed.
        ``if_unchanged``  True: StaleWrite if a changed field is stored otherwise than it was loaded. A
                          sequence of columns adds these; "record" compares all fields. By default what
                          ``conf(optimistic=)`` and ``session(if_unchanged=)`` say.

        EVALSHA, one round trip; none where nothing was changed, unless ``mode`` is given and it is not known
        that the record is stored. UsageError after a delete if nothing was set since. UniqueViolation,
        ValidationError for a required field without value, OutcomeUnknown where the answer was lost. Whenever
        it raises, nothing was written (but for OutcomeUnknown) and every change is kept.
        """
        return await saving.save(self, mode, if_unchanged, ttl)

    async def expire(self, in_or_at: Duration | dt.datetime) -> None:
        """Let the stored record end: in a while (a timedelta or seconds) or at a moment, past ones included.

        Gone if there is no record. EVALSHA, one round trip.
        """
        await expiry.expire(self, in_or_at)

    async def persist(self) -> None:
        """Let the stored record live for ever. Gone if there is none. EVALSHA, one round trip."""
        await expiry.persist(self)

    async def expire_field(self, column: Output[Self, Any], in_or_at: Duration | dt.datetime | None) -> bool:
        """Let the value of a field of the stored record end by itself: in a while (a timedelta or seconds) or
        at a moment, past ones included; None: never. Return whether the field holds a value.

        For fields with ``ttl=``; UsageError for others, and while the field has a change that is not saved.
        What this instance has loaded stays as it is. Gone if there is no record. EVALSHA, one round trip.
        """
        return await expiry.expire_field(self, column, in_or_at)

    async def touch(self) -> None:
        """Let the stored record last ``conf(ttl=)`` from now on. Gone without one. One round trip."""
        await expiry.touch(self)

    async def ttl(self) -> dt.timedelta | None:
        """Return how long the stored record lasts, None for ever. NotFound without one. One round trip."""
        return await expiry.ttl(self)

    async def delete(self) -> bool:
        """Delete the record with all its index entries and claims; return whether there was one.

        EVALSHA, one round trip.
        """
        return await saving.delete(self)

    @hiding
    async def incr(
        self,
        column: Output[Self, N | None],
        by: N | int = 1,
        *,
        min: N | int | None = None,
        max: N | int | None = None,
        create: bool = False,
        ttl: Duration | Missing | None = MISSING,
    ) -> N:
        """Add *by* to the number in a field of the stored record, atomically; return the new number.

        ``min`` ``max``  bounds of the result, both included, beside those of the field: OutOfBounds.
        ``create``       count from 0 in a record that is not there, and create it, without ``new=`` values.
        ``ttl``          how long the record lasts from now on, as of :meth:`save`.

        For Integer fields, and Decimal fields with ``places=``, up to 2**53 units either side of zero. No
        value counts as 0. Gone if there is no record. UsageError before any I/O while the field has a
        change that is not saved. EVALSHA, one round trip; OutcomeUnknown where the answer was lost, and
        then it is not known whether it counted: it is never sent twice.
        """
        return cast("N", await atomic.incr(self, column, by, min, max, create, ttl))

    @classmethod
    @hiding
    async def get_or_create(
        cls,
        /,
        *,
        defaults: Mapping[str, Any] | None = None,
        ttl: Duration | Missing | None = MISSING,
        **unique: Any,
    ) -> tuple[Self, bool]:
        """Return the record with these unique values, created if there is none, and whether it was created.

        ``defaults``  attributes of a new record, beside the unique values and the ``new=`` values.

        *unique* names one unique field, or all fields that are unique together, or is ``id=`` alone:
        UsageError otherwise. A field called ``defaults`` cannot be among them.
        A new record gets a random id, unless that is given. Of concurrent calls exactly one creates it.
        UniqueViolation where another record holds another unique value of it, NotIndexed before the index
        is built.

        EVALSHA, one round trip.
        """
        return await atomic.get_or_create(cls, unique, defaults, update=False, ttl=ttl)

    @classmethod
    @hiding
    async def update_or_create(
        cls,
        /,
        *,
        defaults: Mapping[str, Any] | None = None,
        ttl: Duration | Missing | None = MISSING,
        **unique: Any,
    ) -> tuple[Self, bool]:
        """As :meth:`get_or_create`, but give the *defaults* to a record that was there, too.

        Its other fields stay as they are. Changes of the same fields that wait in a record of the session are
        over: this write came later.

        EVALSHA, one round trip.
        """
        return await atomic.get_or_create(cls, unique, defaults, update=True, ttl=ttl)

    @classmethod
    @hiding
    async def upsert(
        cls,
        model_id: str | int,
        /,
        *,
        incr: Mapping[Output[Self, Any], decimal.Decimal | int] | None = None,
        ttl: Duration | Missing | None = MISSING,
        **values: Any,
    ) -> Self:
        """Set *values* in the record of that id and add to its numbers, created if there is none; return it.

        ``incr``  what to add, by column, as in ``Hits.upsert(page, incr={Hits.n: 1})``; no value counts as 0.
        ``ttl``   how long the record lasts from now on, as of :meth:`save`.

        The other fields of a record that was there stay as they are; a new one has none, ``new=`` values
        included: ValidationError where one is required. Neither compares with what was loaded. OutOfBounds
        outside the bounds of a field. After OutcomeUnknown nobody knows whether it counted.

        EVALSHA, one round trip.
        """
        return await atomic.upsert(cls, model_id, values, incr, ttl)

    @classmethod
    async def save_all(cls) -> None:
        """Save the changed records of this class and its subclasses in the session, atomically.

        UsageError outside a session. EVALSHA, one round trip per database.
        """
        await save_all(cls)

    @classmethod
    async def save_many(
        cls,
        objs: Iterable[Self],
        *,
        batch: int = BATCH,
        skip_conflicts: bool = False,
        ttl: Duration | Missing | None = MISSING,
    ) -> list[tuple[Self, RediscaError]]:
        """Save *objs* in atomic batches; return those refused, with their errors.

        The first refusal stops it with BulkError, and calling again resumes; with ``skip_conflicts`` the
        refused are left out instead and returned. What changes in one of them meanwhile may belong to the
        next save. EVALSHA, one round trip per *batch* records; batches are halved where the server takes
        fewer arguments (``Database(max_arguments=)``).
        """
        return await bulk.save_many(cls, objs, batch, skip_conflicts, ttl)

    @classmethod
    async def delete_many(cls, objs: Iterable[Self | str | int], *, batch: int = BATCH) -> int:
        """Delete records (or ids) in atomic batches; return how many there were.

        EVALSHA, one round trip per *batch* records, or per half of them as in :meth:`save_many`.
        """
        return await bulk.delete_many(cls, objs, batch)
