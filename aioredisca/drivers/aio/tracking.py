"""Loads that are answered from memory, for classes with ``conf(cache=n)``, until somebody changes the record.

They go over a connection of their own, on which the server tracks what is read (CLIENT TRACKING, Redis 6
and later) and tells of every change, in between the replies. So a reply is put into memory where it is read
off the wire: a task that awaits it would come too late, for the word that it is out of date may follow in
the same packet. Silence proves nothing: after :data:`LEASE` seconds of it the next load asks the server, and
a connection that is lost takes along all that was read over it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, cast

import hiredis
import redis.exceptions

from aioredisca.drivers import wire
from aioredisca.drivers.aio.base import connect
from aioredisca.drivers.aio.connection import FastLine, Line
from aioredisca.drivers.aio.multiplexer import Multiplexer
from aioredisca.drivers.aio.requests import Flight, Owner, Trip
from aioredisca.drivers.settings import Settings
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import CacheRegion, Call, Overlap, Reply

LEASE = 5.0
"""Seconds of silence after which a connection has to prove that it would have told of changes."""


class Held:
    """The replies in memory, by region and by key of the record, those used last at the end.

    ``line``  over which the server tells of changes; nothing is held without one.

    A load that is under way is expected; its reply is kept only if nothing was heard of the record meanwhile.
    """

    def __init__(self) -> None:
        self.line: TrackedLine | None = None
        self._regions: dict[CacheRegion, OrderedDict[str, Reply]] = {}
        self._expected: dict[str, Call] = {}

    def get(self, region: CacheRegion, key: str) -> Reply:
        """What is held of *key*, or None where that is nothing, or may be out of date."""
        replies, line = self._regions.get(region), self.line
        if replies is None or line is None or (reply := replies.get(key)) is None or line.silent():
            return None
        replies.move_to_end(key)
        return reply

    def sizes(self) -> dict[str, int]:
        """How many replies there are, by region."""
        return {region.name: len(replies) for region, replies in self._regions.items()}

    def expect(self, calls: Iterable[Call]) -> None:
        """These calls are about to be sent."""
        for call in calls:
            self._expected[_key(call)] = call

    def give_up(self, calls: Iterable[Call]) -> None:
        """Nobody waits for these any more."""
        for call in calls:
            if self._expected.get(_key(call)) is call:
                del self._expected[_key(call)]

    def keep(self, call: Call, reply: Reply) -> None:
        """Remember what is still expected."""
        key = _key(call)
        if self._expected.get(key) is call and not isinstance(reply, Exception):
            del self._expected[key]
            self._put(call, key, reply)

    def _put(self, call: Call, key: str, reply: Reply) -> None:
        assert call.cache_region is not None
        replies = self._regions.setdefault(call.cache_region, OrderedDict())
        replies[key] = reply
        replies.move_to_end(key)
        if len(replies) > call.cache_region.size:
            replies.popitem(last=False)

    def forget(self, keys: Iterable[Any]) -> None:
        """These records are not what they were."""
        if not self._regions and not self._expected:
            return
        for key in keys:
            name = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key
            self._expected.pop(name, None)
            for replies in self._regions.values():
                replies.pop(name, None)

    def clear(self) -> None:
        """Forget everything."""
        self._regions.clear()
        self._expected.clear()


def _key(call: Call) -> str:
    """The key that a load reads."""
    return str(call.args[1])


class Untracked(Exception):
    """The server does not track, or does not let this user."""


class TrackedLine(FastLine):
    """A line on which the server tells of changes to what was read over it."""

    def __init__(self, owner: Owner, connection: Any, settings: Settings, held: Held) -> None:
        super().__init__(owner, connection, settings)
        self._held = held

    def silent(self) -> bool:
        """Whether nothing was heard for so long that changes may have gone untold."""
        return self._loop.time() - self._heard > LEASE

    def _take(self, replies: Iterable[Reply]) -> None:
        super()._take(self._kept(replies))

    def _kept(self, replies: Iterable[Reply]) -> Iterator[Reply]:
        """The replies that somebody has asked for, each kept; words of the server in between are heard."""
        for reply in replies:
            if isinstance(reply, hiredis.PushNotification):
                self._hear(reply)
                continue
            trip = self._sent[0]  # of loads alone, which are no scripts: all of them are answered at once
            self._held.keep(cast("Trip", trip).next_call, reply)
            yield reply

    def _hear(self, push: list[Any]) -> None:
        if push[0] == b"invalidate":
            if push[1] is None:  # FLUSHALL
                self._held.clear()
            else:
                self._held.forget(push[1])

    def _retire(self) -> None:
        self._end()
        super()._retire()

    def _lose(self, error: BaseException) -> None:
        self._end()
        super()._lose(error)

    def _end(self) -> None:
        """From here on nothing may be told any more."""
        if self._held.line is self:
            self._held.line = None
            self._held.clear()


class Tracker(Multiplexer):
    """Carries the loads that are remembered, over a tracked line."""

    def __init__(self, settings: Settings, facts: StoreFacts, held: Held) -> None:
        super().__init__(replace(settings, protocol=3), facts)
        self._held = held

    async def _connect(self) -> Line:
        connection = await connect(self._settings)
        try:
            if self._settings.transport == "public" or not FastLine.fits(connection):
                raise Untracked("redis-py's own reading hands on no word of the server")
            await connection.send_command("CLIENT", "TRACKING", "ON")
            await connection.read_response()
        except redis.exceptions.ResponseError as error:
            await connection.disconnect(nowait=True)
            raise Untracked(str(error)) from None
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        line = self._held.line = TrackedLine(self, connection, self._settings, self._held)
        return line


class CachingMultiplexer(Multiplexer):
    """A multiplexer that answers loads from memory where their class asks for it and the server tracks."""

    def __init__(self, settings: Settings, facts: StoreFacts) -> None:
        super().__init__(settings, facts)
        self._held = Held()
        self._tracker: Tracker | None = None

    def cached(self, region: CacheRegion, key: str) -> Reply:
        return self._held.get(region, key)

    def send_all(self, calls: Sequence[Call]) -> Awaitable[list[Reply]]:
        cacheable = calls and calls[0].cache_region and None not in [call.cache_region for call in calls]
        return self._load(calls) if cacheable and self._tracks else super().send_all(calls)

    def send(self, call: Call, overlap: Overlap | None = None) -> Awaitable[Reply]:
        return self._load_one(call) if call.cache_region and self._tracks else super().send(call, overlap)

    @property
    def _tracks(self) -> bool:
        """Whether the server tracks, as far as is known."""
        return self.facts.tracking

    def submit(self, flight: Flight) -> None:
        super().submit(flight)
        if self._tracker is not None and isinstance(flight, Trip) and flight.writes:
            calls = flight.calls
            flight.future.add_done_callback(lambda done: self._forget(calls) if done.cancelled() else None)

    def written(self, trip: Trip) -> None:
        # Whatever became of it: the server tells of a change a moment later than it answers.
        if self._tracker is not None:
            self._forget(trip.calls)

    def _forget(self, calls: Iterable[Call]) -> None:
        """What these calls write is not what it was, or will not be."""
        self._held.forget(key for call in calls if call.writes for key in call.keys)

    async def _load_one(self, call: Call) -> Reply:
        return wire.only(await self._load((call,)))

    async def _load(self, calls: Sequence[Call]) -> list[Reply]:
        if self._tracker is None:
            self._tracker = Tracker(self._settings, self.facts, self._held)
        held = [self._held.get(call.cache_region, _key(call)) for call in calls if call.cache_region]
        missing = [call for call, reply in zip(calls, held, strict=True) if reply is None]
        if not missing:
            return held
        self._held.expect(missing)
        try:
            replies = iter(await self._tracker.send_all(missing))
        except Untracked:
            self.facts.tracking = False
            return await super().send_all(calls)
        finally:
            self._held.give_up(missing)
        return [next(replies) if reply is None else reply for reply in held]

    def held(self) -> dict[str, int]:
        return self._held.sizes()

    async def close(self) -> None:
        if self._tracker is not None:
            await self._tracker.close()
        await super().close()

    def abandon(self) -> None:
        if self._tracker is not None:
            self._tracker.abandon()
        super().abandon()
