"""The session of blocking code."""

from __future__ import annotations

from typing import Self

from aioredisca.drivers.run import run
from aioredisca.errors import UsageError
from aioredisca.frames import hiding
from aioredisca.model.sessions import BaseRetry, BaseSession, current_session
from aioredisca.model.unit_of_work import Guard


class Session(BaseSession):
    """A session of blocking code: ``with session() as s:``. See :class:`aioredisca.Session`."""

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        try:
            if self._saves(error):
                self.flush()
        finally:
            self._close()

    def flush(self) -> None:
        """Save every changed record and carry out deletes: EVALSHA, one atomic round trip per database.

        In a cluster one per slot, in the order in which the work was given: docs/cluster.md.

        Where the server refuses, nothing of that database is written, every change is kept, and the
        error's ``instance`` is the record it is about. UsageError over 5,000 records, and after an
        OutcomeUnknown of a flush that counts or adds: nobody knows whether it did.
        """
        run(self._unit.flush())


class JoinedSession:
    """``session(join=True)`` inside another session: that session, which goes on after the block."""

    def __init__(self, outer: Session) -> None:
        self._outer = outer

    def __enter__(self) -> Session:
        return self._outer

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        return None


@hiding
def session(
    db: object = None, *, autosave: bool = False, join: bool = False, if_unchanged: Guard = False
) -> Session | JoinedSession:
    """Open a session: ``with session():``. No I/O until a flush. See :func:`aioredisca.session`."""
    outer = current_session()
    if join and outer is not None:
        if not isinstance(outer, Session):
            raise UsageError("the open session is an asyncio one: a blocking session cannot join it")
        return JoinedSession(outer)
    return Session(db, autosave=autosave, if_unchanged=if_unchanged)


class Attempt:
    """One try of :func:`retry_on_conflict`: ``with attempt as s:`` opens a session of its own."""

    def __init__(self, retry: BaseRetry) -> None:
        self._retry = retry
        self._session = Session(retry.db, autosave=True, if_unchanged=retry.if_unchanged)

    def __enter__(self) -> Session:
        return self._session.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        try:
            self._session.__exit__(kind, error, trace)
        except BaseException as refused:
            if self._retry.end(refused):
                return True
            raise
        return self._retry.end(error)


class Retry(BaseRetry):
    """See :func:`retry_on_conflict`."""

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Attempt:
        if not self.begin():
            raise StopIteration
        run(self.wait())
        return Attempt(self)


@hiding
def retry_on_conflict(attempts: int = 5, db: object = None, *, if_unchanged: Guard = True) -> Retry:
    """Run a block in a session of its own, and anew where somebody else was faster.

    ::

        for attempt in retry_on_conflict(5):
            with attempt as s:
                account = Account.get("1")
                account.plan = next_plan(account.plan)

    See :func:`aioredisca.retry_on_conflict`.
    """
    return Retry(attempts, db, if_unchanged)
