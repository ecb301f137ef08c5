"""The asyncio faces: the changes of a class, and what happens to the matches of a query."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Generic, Protocol, Self, TypeVar

from aioredisca.query.feeds.change import Change
from aioredisca.query.feeds.reading import Feed
from aioredisca.query.feeds.watching import Live, Watched

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")
T = TypeVar("T")


class Source(Protocol[T]):
    """What yields things as they happen."""

    async def begin(self) -> None:
        """Find the place from which on they count."""
        ...

    async def take(self) -> list[T]:
        """The next ones, as soon as there are some."""
        ...


class BaseStream(Generic[T]):
    """What both colours of a stream share: where it comes from, and what is ready to be handed out."""

    def __init__(self, source: Source[T]) -> None:
        self._source = source
        self._ready = deque[T]()

    def _next(self) -> T:
        return self._ready.popleft()


class BaseChanges(BaseStream[Change[R]]):
    """What both colours of the changes of a class share."""

    def __init__(self, feed: Feed[R]) -> None:
        super().__init__(feed)
        self._feed = feed
        self._cursor: str | None = None

    @property
    def cursor(self) -> str:
        """Where it is: behind the change that was handed out last. ``changes(since=cursor)`` goes on there.

        Empty before the first step where it begins now, and with a group, which keeps its place.
        """
        return self._feed.cursor if self._cursor is None else self._cursor

    def _next(self) -> Change[R]:
        change = super()._next()
        self._cursor = change.cursor
        return change


class Stream(BaseStream[T]):
    """What happens, one by one, for ever.

    One that is broken off goes on where it was when it is iterated again. As a context manager it finds its
    place when it is entered.
    """

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            if not self._ready:
                self._ready.extend(await self._source.take())
            while self._ready:
                yield self._next()

    async def __aenter__(self) -> Self:
        await self._source.begin()
        return self

    async def __aexit__(self, *raised: object) -> None:
        pass


class Changes(BaseChanges[R], Stream[Change[R]]):
    """The changes of a class: ``async for change in User.changes()``."""

    async def ack(self, *changes: Change[Any]) -> int:
        """Tell the group that *changes* are dealt with; return how many it did not know so.

        XACK, one round trip.
        """
        return await self._feed.acknowledge(changes)


class Watch(Stream[Watched[R]]):
    """What happens to the matches of a query: ``async for kind, id, record in query.watch()``."""

    def __init__(self, live: Live[R]) -> None:
        super().__init__(live)
