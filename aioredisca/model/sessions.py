"""The session: one object per record within it (identity), and all changes saved together (unit of work).

The ContextVar holds one mutable session. Tasks and threads that inherit the context share that object;
it is never looked up in a parent's place by a new session, and closing it clears it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakValueDictionary

from aioredisca.compiler.changes import MAX_BATCH, Change
from aioredisca.config import conf
from aioredisca.errors import RediscaError, UsageError
from aioredisca.persistence import executor as writes
from aioredisca.types import Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

_current: ContextVar[BaseSession | None] = ContextVar("aioredisca_session", default=None)


def current() -> BaseSession | None:
    """The session of this context, if it is open."""
    session = _current.get()
    return session if session is not None and not session.closed else None


@contextmanager
def no_session() -> Generator[None]:
    """Hide the session of this context in the block: what is made there belongs to none. No I/O.

    For work that must not become part of a request, and for servers that let one request begin in the
    context of another.
    """
    token = _current.set(None)
    try:
        yield
    finally:
        _reset(token)


def _reset(token: Token[BaseSession | None]) -> None:
    try:
        _current.reset(token)
    except ValueError:  # made in another context, as by a generator that was left behind
        _current.set(None)


class BaseSession:
    """What both colours of session share. See :class:`Session`."""

    def __init__(self, db: object = None, *, autosave: bool = False) -> None:
        self.db: Any = None if db is None else conf._open(db)
        self.autosave = autosave
        self.closed = False
        self.kept = False
        self._mapped: WeakValueDictionary[tuple[Store, str], Record] = WeakValueDictionary()
        self._held: dict[int, Record] = {}
        self._deleted: dict[int, Record] = {}
        self._token: Token[BaseSession | None] | None = None

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{len(self._mapped)} records, {len(self._held)} held"
        return f"<{type(self).__name__} {state}>"

    # -- identity ----------------------------------------------------------------------------------

    def _instance(self, model: type[Any], id: str, make: Callable[[], Any]) -> Any:
        """The one object of this session for a record, made if it is new here."""
        store = model._store(self)
        key = (store, model._stem(store) + id)
        found = self._mapped.get(key)
        if found is None:
            found = self._mapped[key] = make()
            found._session = self
        elif type(found) is not model:
            raise UsageError(
                f"{key[1]!r} is a {type(found).__qualname__} in this session: "
                f"one record has one class and one colour within a session"
            )
        return found

    def _hold(self, record: Any) -> None:
        """Keep a changed record alive until it is saved: nobody else may hold it."""
        self._held[id(record)] = record

    def _release(self, record: Record) -> None:
        self._held.pop(id(record), None)

    def _forget(self, record: Record) -> None:
        self._release(record)
        self._deleted.pop(id(record), None)
        self._mapped.pop((record._home(), record.getkey()), None)

    # -- unit of work ------------------------------------------------------------------------------

    @property
    def dirty(self) -> tuple[Record, ...]:
        """The records that a flush would write or delete."""
        changed = [record for record in list(self._held.values()) if record._changed()]
        return (*self._deleted.values(), *(record for record in changed if id(record) not in self._deleted))

    def delete(self, record: Record) -> None:
        """Delete *record* with the next flush, in the same atomic call as the changes. No I/O."""
        if getattr(record, "_session", None) is not self:
            raise UsageError(f"{record!r} does not belong to this session")
        record._check_writable()
        self._deleted[id(record)] = record

    def keep(self) -> None:
        """Save the changes at the end of the session, whatever comes. No I/O.

        An exception that leaves the block and an answer of 400 or more would drop them. Count failed
        logins with it, for example. Cancellation still drops them.
        """
        self.kept = True

    def _saves(self, error: object) -> bool:
        """Whether the end of the block saves, given the exception that leaves it, or None."""
        return self.autosave or self.kept if error is None else self.kept and isinstance(error, Exception)

    def discard(self) -> None:
        """Forget all changes that are not saved: records show again what is stored. No I/O.

        What is changed afterwards counts again. Takes back :meth:`keep`.
        """
        self.kept = False
        for record in list(self._held.values()):
            record.revert()
        self._held.clear()
        self._deleted.clear()

    async def _flush(self, only: type[Any] | None = None) -> None:
        groups = dict[Store, "list[Record]"]()
        for record in self.dirty:
            if only is None or isinstance(record, only):
                groups.setdefault(record._home(), []).append(record)
        for store, records in groups.items():
            if len(records) > MAX_BATCH:
                raise UsageError(
                    f"{len(records):,} changed records of {store!r}: one flush writes up to {MAX_BATCH:,}"
                )
        written = list[Store]()
        for store, records in groups.items():
            try:
                await self._flush_store(store, records)
            except RediscaError as error:
                if written:
                    error.add_note(f"already written in this flush: {', '.join(map(repr, written))}")
                raise
            written.append(store)

    async def _flush_store(self, store: Store, records: list[Record]) -> None:
        async with writes.locked(store, records):
            deleted = [record for record in records if id(record) in self._deleted]
            saved = [record for record in records if id(record) not in self._deleted]
            begun: list[tuple[Record, Change]] = writes.begin_all(store, deleted, "delete")
            try:
                begun += writes.begin_all(store, saved, None)
            except BaseException as error:
                writes.put_back(begun, error)
                raise
            if begun:
                await writes.write(store, begun)
        for record in deleted:
            self._deleted.pop(id(record), None)

    # -- life --------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self.closed or self._token is not None:
            raise UsageError("a session is entered once: call session() again for a new one")
        self._token = _current.set(self)

    def _close(self) -> None:
        """Clear everything, so that a task which outlives the session keeps none of its records alive."""
        self.closed = True
        self._mapped.clear()
        self._held.clear()
        self._deleted.clear()
        token, self._token = self._token, None
        if token is not None:
            _reset(token)


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
                await self._flush()
        finally:
            self._close()

    async def flush(self) -> None:
        """Save every changed record and carry out deletes: EVALSHA, one atomic round trip per database.

        Where the server refuses, nothing of that database is written, every change is kept, and the
        error's ``instance`` is the record it is about. UsageError over 5,000 records.
        """
        await self._flush()


class JoinedSession:
    """``session(join=True)`` inside another session: that session, which goes on after the block."""

    def __init__(self, outer: Session) -> None:
        self._outer = outer

    async def __aenter__(self) -> Session:
        return self._outer

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        return None


def session(db: object = None, *, autosave: bool = False, join: bool = False) -> Session | JoinedSession:
    """Open a session: ``async with session():``. No I/O until a flush.

    ``db``        the database of all classes that name none by ``conf(db=)``.
    ``autosave``  save all changes at the end of the block, or nothing if it raises.
    ``join``      take part in the session that is open already, if there is one; ``db`` and ``autosave``
                  then are those of the outer one.

    A session inside another is a new, independent one.
    """
    outer = current()
    if join and outer is not None:
        if not isinstance(outer, Session):
            raise UsageError("the open session is a blocking one: an asyncio session cannot join it")
        return JoinedSession(outer)
    return Session(db, autosave=autosave)
