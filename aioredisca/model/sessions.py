"""The session: one object per record within it (identity), and all changes saved together (unit of work).

The context holds one mutable unit of work. Tasks and threads that inherit the context share that object;
it is never looked up in a parent's place by a new session, and closing it clears it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import Token
from typing import TYPE_CHECKING, Any, Self, TypeVar

from aioredisca.config import hooks
from aioredisca.errors import UsageError
from aioredisca.frames import hiding
from aioredisca.model.unit_of_work import UnitOfWork, current, open_unit

if TYPE_CHECKING:
    from aioredisca.model.record import Record

S = TypeVar("S", bound="BaseSession")


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
    def __init__(self, db: object = None, *, autosave: bool = False) -> None:
        self._unit = UnitOfWork(None if db is None else hooks.open_database(db))
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

    def keep(self) -> None:
        """Save the changes at the end of the session, whatever comes. No I/O.

        An exception that leaves the block and an answer of 400 or more would drop them. Count failed
        logins with it, for example. Cancellation still drops them.
        """
        self.kept = True

    def discard(self) -> None:
        """Forget all changes that are not saved: records show again what is stored. No I/O.

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
        error's ``instance`` is the record it is about. UsageError over 5,000 records.
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
def session(db: object = None, *, autosave: bool = False, join: bool = False) -> Session | JoinedSession:
    """Open a session: ``async with session():``. No I/O until a flush.

    ``db``        the database of all classes that name none by ``conf(db=)``.
    ``autosave``  save all changes at the end of the block, or nothing if it raises.
    ``join``      take part in the session that is open already, if there is one; ``db`` and ``autosave``
                  then are those of the outer one.

    A session inside another is a new, independent one.
    """
    outer = current_session()
    if join and outer is not None:
        if not isinstance(outer, Session):
            raise UsageError("the open session is a blocking one: an asyncio session cannot join it")
        return JoinedSession(outer)
    return Session(db, autosave=autosave)
