"""The session of blocking code."""

from __future__ import annotations

from typing import Self

from aioredisca.drivers.run import run
from aioredisca.errors import UsageError
from aioredisca.frames import hiding
from aioredisca.model.sessions import BaseSession, current_session
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
