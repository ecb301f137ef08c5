"""The session: one object per record within it (identity), and all changes saved together (unit of work).

The context holds one mutable unit of work. Tasks and threads that inherit the context share that object;
it is never looked up in a parent's place by a new session, and closing it clears it.
"""

from __future__ import annotations

import decimal
import random
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import Token
from typing import TYPE_CHECKING, Any, Self, TypeVar, overload

from aioredisca.config import conf, hooks
from aioredisca.errors import StaleWrite, UsageError
from aioredisca.fields.collections import Counter
from aioredisca.frames import hiding
from aioredisca.model.unit_of_work import Guard, UnitOfWork, current, open_unit
from aioredisca.persistence import units
from aioredisca.query.query import spec_of
from aioredisca.storage.codecs import whole_in

if TYPE_CHECKING:
    from aioredisca.fields.collections import ListOf, SetOf, SortedSet
    from aioredisca.model.record import Record
    from aioredisca.query.columns import Output
    from aioredisca.query.query import Asked

S = TypeVar("S", bound="BaseSession")
R = TypeVar("R", bound="Record")
N = TypeVar("N", int, decimal.Decimal)
V = TypeVar("V")


@contextmanager
def no_session() -> Generator[None]:
    """Hide the session of this context in the block: what is made there belongs to none. No I/O.

    For work that must not become part of a request, and for servers that let one request begin in the
    context of another.
    """
    token = open_unit.set(None)
    try:
        yield
    finally:
        _reset(token)


def _reset(token: Token[UnitOfWork | None]) -> None:
    try:
        open_unit.reset(token)
    except ValueError:  # made in another context, as by a generator that was left behind
        open_unit.set(None)


def current_session() -> BaseSession | None:
    """The session of this context, if it is open."""
    unit = current()
    session: BaseSession | None = None if unit is None else unit.session
    return session


class BaseSession:
    """What both colours of session share. See :class:`Session`."""

    @hiding
    def __init__(self, db: object = None, *, autosave: bool = False, if_unchanged: Guard = False) -> None:
        if if_unchanged not in (True, False, "record"):
            raise UsageError(f"session(if_unchanged={if_unchanged!r}): is True, 'record' or False")
        self._unit = UnitOfWork(None if db is None else hooks.open_database(db), if_unchanged)
        self.autosave = autosave
        self.kept = False
        self._token: Token[UnitOfWork | None] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._unit!r}>"

    @property
    def db(self) -> Any:
        """The database of all classes that name none by ``conf(db=)``, if it was given."""
        return self._unit.db

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._unit.closed

    @property
    def dirty(self) -> tuple[Record, ...]:
        """The records that a flush would write or delete."""
        return self._unit.dirty

    def delete(self, record: Record) -> None:
        """Delete *record* with the next flush, in the same atomic call as the changes. No I/O.

        Until then it takes no changes, and ``new()`` with its id makes none: UsageError.
        """
        self._unit.delete(record)

    @hiding
    def require(self, record: R, *conditions: Asked[R]) -> None:
        """Let the next flush write only if the stored *record* meets all *conditions*. No I/O.

        ::

            s.require(order, Order.status == "pending", Order.total <= 100)

        The server judges them in the call that writes, by what is stored before it, whether the record is
        written or not and whatever was loaded of it; no index is needed. StaleWrite (``required``) names
        the record and the fields, and nothing is written. Without conditions the record must be there: Gone.

        UsageError for a condition on another class, on ``expires_at``, and on the order of a field of your
        own. In a cluster it is asked for what is written in the slot of the record: docs/cluster.md. Where
        the record is saved, deleted or counted in by itself before the flush, that is asked in the flush's
        place.
        """
        self._unit.need_own(record)
        specs = [spec_of(condition) for condition in conditions]
        for spec in specs:
            if not spec.whole:
                raise UsageError("require() takes conditions, without limit(), offset() and slices")
            if not issubclass(type(record), spec.model):
                raise UsageError(f"a condition on {spec.model.__name__} does not fit {record!r}")
        self._unit.ask(record, units.required(record, [spec.condition for spec in specs]))

    def require_unchanged(self, record: R, *columns: Output[R, Any]) -> None:
        """Let the next flush write only if *record* holds in *columns*, or in all fields, what was loaded.

        As :meth:`require`, for records that are written and for others. NotLoaded if it was not. No I/O.
        """
        self._unit.need_own(record)
        self._unit.ask(record, units.required_unchanged(record, columns))

    @overload
    def incr(
        self,
        record: R,
        column: Output[R, N | None],
        by: N | int = 1,
        *,
        min: N | int | None = None,
        max: N | int | None = None,
    ) -> None: ...
    @overload
    def incr(self, record: Record, column: Counter, by: int = 1) -> None: ...
    @hiding
    def incr(self, record: Any, column: Any, by: Any = 1, *, min: Any = None, max: Any = None) -> None:
        """Add *by* to a number of *record*, or to a Counter, with the next flush. No I/O.

        ``min`` ``max``  bounds of the result, both included, beside those of the field: OutOfBounds, and
                         nothing of the flush is written.

        The server adds to what is stored then: see :meth:`Model.incr`. The instance shows the new number
        after the flush, and until then what was loaded. Several of one field are one, within the bounds of
        all. UsageError for a field that has a change which is not saved, and for a record that is not stored
        yet. A Counter may have up to 18 digits before it.
        """
        self._unit.need_own(record)
        if isinstance(column, Counter):
            if min is not None or max is not None:
                raise UsageError("a Counter has no bounds: count in an Integer field with min= and max=")
            more = units.counted_on(record, column, by)
        else:
            more = units.counting(record, column, by, min, max)
        self._unit.ask(record, more)

    @hiding
    def append(self, record: Record, collection: ListOf[V], *values: V) -> None:
        """Add *values* at the end of a list of *record*, as in ``append(cart, Cart.lines, line)``. No I/O.

        With the next flush; of a record that is not there then: Gone. New records may have them, too.
        """
        self._unit.need_own(record)
        self._unit.ask(record, units.appended(record, collection, values))

    @hiding
    def add(self, record: Record, collection: SetOf[V], *values: V) -> None:
        """Add *values* to a set of *record* with the next flush, as :meth:`append`. No I/O."""
        self._unit.need_own(record)
        self._unit.ask(record, units.added(record, collection, values))

    @hiding
    def set_scores(self, record: Record, collection: SortedSet[V], scores: Mapping[V, float]) -> None:
        """Give values of a sorted set of *record* scores with the next flush, as :meth:`append`. No I/O."""
        self._unit.need_own(record)
        self._unit.ask(record, units.scored(record, collection, scores))

    def keep(self) -> None:
        """Save the changes at the end of the session, whatever comes. No I/O.

        An exception that leaves the block and an answer of 400 or more would drop them. Count failed
        logins with it, for example. Cancellation still drops them.
        """
        self.kept = True

    def discard(self) -> None:
        """Forget all changes that are not saved: records show again what is stored. No I/O.

        What was to be required, counted and added is forgotten as well.

        What is changed afterwards counts again. Takes back :meth:`keep`.
        """
        self.kept = False
        self._unit.discard()

    # -- life --------------------------------------------------------------------------------------

    def _saves(self, error: object) -> bool:
        """Whether the end of the block saves, given the exception that leaves it, or None."""
        return self.autosave or self.kept if error is None else self.kept and isinstance(error, Exception)

    def _open(self) -> None:
        if self.closed or self._token is not None:
            raise UsageError("a session is entered once: call session() again for a new one")
        self._unit.session = self
        self._token = open_unit.set(self._unit)

    def _close(self) -> None:
        self._unit.clear()
        token, self._token = self._token, None
        if token is not None:
            _reset(token)


@contextmanager
def entered(session: S) -> Generator[S]:
    """Open *session* for the block, and close it without saving: whoever serves a request does that."""
    session._open()  # pyright: ignore[reportPrivateUsage]  # same module
    try:
        yield session
    finally:
        session._close()  # pyright: ignore[reportPrivateUsage]


class Session(BaseSession):
    """A session of asyncio code: ``async with session() as s:``.

    Within it ``User("1")`` is ``User("1")``: one object per record, loaded once. With ``autosave=True``
    everything that was changed is saved at the end in one atomic call per database, or, if the block
    raised, nothing is.
    """

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if self._saves(error):
                await self.flush()
        finally:
            self._close()

    async def flush(self) -> None:
        """Save every changed record and carry out deletes: EVALSHA, one atomic round trip per database.

        In a cluster one per slot, in the order in which the work was given: docs/cluster.md.

        Where the server refuses, nothing of that database is written, every change is kept, and the
        error's ``instance`` is the record it is about. UsageError over 5,000 records, and after an
        OutcomeUnknown of a flush that counts or adds: nobody knows whether it did.
        """
        await self._unit.flush()


class JoinedSession:
    """``session(join=True)`` inside another session: that session, which goes on after the block."""

    def __init__(self, outer: Session) -> None:
        self._outer = outer

    async def __aenter__(self) -> Session:
        return self._outer

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        return None


@hiding
def session(
    db: object = None, *, autosave: bool = False, join: bool = False, if_unchanged: Guard = False
) -> Session | JoinedSession:
    """Open a session: ``async with session():``. No I/O until a flush.

    ``db``        the database of all classes that name none by ``conf(db=)``.
    ``autosave``  save all changes at the end of the block, or nothing if it raises.
    ``join``      take part in the session that is open already, if there is one; the other settings then are
                  those of the outer one.
    ``if_unchanged``  compare each record that is saved with what was loaded of it, as by
                  ``save(if_unchanged=)``: its changed fields, or all with "record", which holds for deletes
                  too. StaleWrite. What is only counted or added is not compared: require() it.

    A session inside another is a new, independent one.
    """
    outer = current_session()
    if join and outer is not None:
        if not isinstance(outer, Session):
            raise UsageError("the open session is a blocking one: an asyncio session cannot join it")
        return JoinedSession(outer)
    return Session(db, autosave=autosave, if_unchanged=if_unchanged)


# -- trying again ----------------------------------------------------------------------------------

PAUSE, LONGEST = 0.002, 0.2
"""Seconds. Before another attempt a random while passes, of up to twice as long each time."""

MOST_ATTEMPTS = 100

LEFT = (
    "retry_on_conflict(): somebody else was faster, so nothing of the block was saved. It did not run again, "
    "for `return` or `break` has left the loop: leave the block by its end, and return behind the loop"
)
"""What is told where no error can be raised any more."""


class BaseRetry:
    """What both colours of :func:`retry_on_conflict` share: which attempt is on, and what came of it."""

    _state = "begun"

    def __init__(self, attempts: int, db: object, if_unchanged: Guard) -> None:
        if whole_in(attempts, 1, MOST_ATTEMPTS) is None:
            raise UsageError(f"retry_on_conflict({attempts!r}): makes 1 to {MOST_ATTEMPTS} attempts")
        self.db = None if db is None else hooks.open_database(db)
        self.if_unchanged: Guard = if_unchanged
        self._attempts, self._made = attempts, 0

    def __del__(self) -> None:
        if self._state == "again":
            warnings.warn(LEFT, RuntimeWarning, stacklevel=2)

    def begin(self) -> bool:
        """Whether there is to be one more attempt. UsageError where the last one was not entered."""
        if self._state == "waiting":
            raise UsageError("retry_on_conflict(): enter each attempt, as in `async with attempt as s:`")
        goes_on = self._state != "done"
        self._made += goes_on
        self._state = "waiting" if goes_on else "done"
        return goes_on

    def end(self, error: BaseException | None) -> bool:
        """What came of an attempt; whether its *error* is swallowed, for there is another attempt."""
        again = isinstance(error, StaleWrite) and self._made < self._attempts
        self._state = "again" if again else "done"
        return again

    @property
    def pause(self) -> float:
        """How long to wait before this attempt: none before the first one."""
        longest = min(LONGEST, PAUSE * 2**self._made) if self._made > 1 else 0
        return random.uniform(0, longest)

    async def wait(self) -> None:
        """Let others be faster."""
        if self._made > 1:
            store: Any = self.db or conf.db
            await store.transport().sleep(self.pause)


class Attempt:
    """One try of :func:`retry_on_conflict`: ``async with attempt as s:`` opens a session of its own."""

    def __init__(self, retry: BaseRetry) -> None:
        self._retry = retry
        self._session = Session(retry.db, autosave=True, if_unchanged=retry.if_unchanged)

    async def __aenter__(self) -> Session:
        return await self._session.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        try:
            await self._session.__aexit__(kind, error, trace)
        except BaseException as refused:
            if self._retry.end(refused):
                return True
            raise
        return self._retry.end(error)


class Retry(BaseRetry):
    """See :func:`retry_on_conflict`."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Attempt:
        if not self.begin():
            raise StopAsyncIteration
        await self.wait()
        return Attempt(self)


@hiding
def retry_on_conflict(attempts: int = 5, db: object = None, *, if_unchanged: Guard = True) -> Retry:
    """Run a block in a session of its own, and anew where somebody else was faster. No I/O by itself.

    ::

        async for attempt in retry_on_conflict(5):
            async with attempt as s:
                account = await Account.get("1")
                account.plan = next_plan(account.plan)

    Each attempt opens ``session(db, autosave=True, if_unchanged=...)``: records are loaded anew, and all
    changes are saved at the end of the block. On StaleWrite, by that flush or raised in the block, the
    session is dropped, a random while passes (up to 0.2 seconds), and the block runs again; the last
    StaleWrite leaves it. Every other error leaves it at once: OutOfBounds, UniqueViolation and Gone are
    answers, and after OutcomeUnknown nobody knows.

    Leave the block by its end: left by ``return`` or ``break`` it is saved as well, but cannot run again
    where that is refused (RuntimeWarning). What the block does beside its session is done again each time:
    send mails behind the loop. Records from outside of the block are of no use in it. For numbers ``incr()``
    of the session needs no second attempt.
    UsageError for less than 1 and more than 100 attempts.
    """
    return Retry(attempts, db, if_unchanged)
