"""The blocking faces: the changes of a class, and what happens to the matches of a query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, TypeVar

from aioredisca.drivers.run import run
from aioredisca.model.record import Record
from aioredisca.query.feeds.change import Change
from aioredisca.query.feeds.changes import BaseChanges, BaseStream
from aioredisca.query.feeds.watching import Live, Watched

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Stream(BaseStream[T]):
    """What happens, one by one, for ever.

    One that is broken off goes on where it was when it is iterated again. As a context manager it finds its
    place when it is entered.
    """

    def __iter__(self) -> Iterator[T]:
        while True:
            if not self._ready:
                self._ready.extend(run(self._source.take()))
            while self._ready:
                yield self._next()

    def __enter__(self) -> Self:
        run(self._source.begin())
        return self

    def __exit__(self, *raised: object) -> None:
        pass


class Changes(BaseChanges[R], Stream[Change[R]]):
    """The changes of a class: ``for change in User.changes()``."""

    def ack(self, *changes: Change[Any]) -> int:
        """Tell the group that *changes* are dealt with; return how many it did not know so.

        XACK, one round trip.
        """
        return run(self._feed.acknowledge(changes))


class Watch(Stream[Watched[R]]):
    """What happens to the matches of a query: ``for kind, id, record in query.watch()``."""

    def __init__(self, live: Live[R]) -> None:
        super().__init__(live)
