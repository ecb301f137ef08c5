"""``Feed``: a place in the changes of a class, and what comes behind it.

A read is a script call over the connection that all share. Where it finds nothing, a connection of its own
waits until there is something. What the server has forgotten is told by FeedGap, and a server that is away
for a while is waited for: the place is known.
"""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aioredisca.compiler.feeds import calls
from aioredisca.compiler.feeds.calls import START, Entry, Gap
from aioredisca.compiler.signature import meta_call
from aioredisca.errors import OutcomeUnknown, StoreError, Unavailable, UsageError, ValidationError
from aioredisca.persistence import asking, readiness
from aioredisca.query.feeds.change import Change, FeedGap, change_of
from aioredisca.storage.meta import READY, read_meta
from aioredisca.storage.moments import Duration, milliseconds
from aioredisca.storage.schema import FEED_ENTRY, Schema
from aioredisca.types import WAIT, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")

WAIT_IN_TURN = 0.1
"""Seconds of one wait where feeds are in several slots, of which one at a time can be waited for."""

PATIENCE = 60.0
"""Seconds for which a server may be away."""

_PLACE = re.compile(r"\d{1,20}-\d{1,20}")
_LAST = 2**64 - 1
_UNSURE = (Unavailable, OutcomeUnknown)

Since = str | dt.datetime | None


class Feed(Generic[R]):
    """The changes of one class from a place on, for one reader."""

    def __init__(
        self, model: type[R], since: Since, group: str | None, consumer: str | None, claim_after: Duration
    ) -> None:
        mapper: Any = model.__mapper__
        self.model, self.store = model, mapper.store()
        schema: Schema = mapper.schema(self.store)
        if not schema.feed:
            raise UsageError(f"{mapper.name} has no feed: declare the class with @conf(feed=True)")
        if (group is None) != (consumer is None) or group == "" or consumer == "":
            raise UsageError(
                f"{mapper.name}.changes(): group= and consumer= go together, and are not empty: the "
                f"consumers of a group share its changes, each under a name that it keeps"
            )
        self._schema, self.parts = schema, schema.all_parts
        self._since = since
        self._group, self._consumer = group or "", consumer or ""
        self._idle = milliseconds(claim_after, "changes(claim_after)")
        self.places = _places(mapper.name, since, len(self.parts))
        self._own = [START] * len(self.parts)
        self._begun = self._made = False
        self._turn = 0
        self._away_since: float | None = None

    @property
    def grouped(self) -> bool:
        """Whether a group keeps the place."""
        return bool(self._group)

    @property
    def cursor(self) -> str:
        """The place, as ``since=`` takes it; empty before it is known, and with a group."""
        return "" if self.grouped else _cursor(self.places)

    async def begin(self) -> None:
        """Find the place, and whether all changes are told. One round trip, or two.

        StoreError where versions of the class may write that know of no feed.
        """
        if self._begun:
            return
        await readiness.ready_to_load(self.store, self._schema)
        replies = await asking.read_together(self.store, [meta_call(part.keys) for part in self.parts])
        if any(read_meta(one).states.get(FEED_ENTRY, READY) != READY for one in replies):
            raise StoreError(
                f"not all changes of {self._schema.model} are told: versions of the class without a feed may "
                f"write still, until `aioredisca reindex` ends them"
            )
        if not self.places:
            lasts = await asking.read_together(self.store, [calls.last_call(part) for part in self.parts])
            self.places = [calls.read_last(one) for one in lasts]
        self._begun = True

    async def take(self) -> list[Change[R]]:
        """The changes that come next, as soon as there are some. FeedGap where some of them are lost.

        EVALSHA for each partition, one round trip; XREAD, which blocks, while there are none.
        """
        while True:
            try:
                await self.begin()
                found = await (self._take_as_consumer() if self.grouped else self._read())
                self._away_since = None
                if found:
                    return found
                await self._wait()
            except _UNSURE as error:
                await self._be_patient(error)

    async def _read(self) -> list[Change[R]]:
        wanted = [
            calls.read_call(part, place, exact=_is_exact(place))
            for part, place in zip(self.parts, self.places, strict=True)
        ]
        replies = await asking.read_together(self.store, wanted)
        try:
            found = [
                (number, entry) for number, reply in enumerate(replies) for entry in calls.read_entries(reply)
            ]
        except Gap:
            raise FeedGap(self._schema.model, self._cursor_of_the_rest(replies)) from None
        found.sort(key=_moment)
        changes = list[Change[R]]()
        for number, entry in found:
            self.places[number] = entry.place
            changes.append(self._change(number, entry, _cursor(self.places)))
        return changes

    def _cursor_of_the_rest(self, replies: Sequence[Any]) -> str:
        """Where that begins which is kept: of feeds that have lost nothing it is where they were."""
        places = list[str]()
        for place, reply in zip(self.places, replies, strict=True):
            try:
                calls.read_entries(reply)
                places.append(place)
            except Gap:
                places.append(START)
        return _cursor(places)

    async def _take_as_consumer(self) -> list[Change[R]]:
        begins = [""] * len(self.parts) if self._made else self.places
        wanted = [
            calls.group_call(part, self._group, self._consumer, self._idle, own, start)
            for part, own, start in zip(self.parts, self._own, begins, strict=True)
        ]
        try:
            replies = await asking.read_together(self.store, wanted)
        except OutcomeUnknown:  # what it was given meanwhile is its own
            self._own = [START] * len(self.parts)
            raise
        self._made = True
        found, lost = list[tuple[int, Entry]](), False
        for number, reply in enumerate(replies):
            try:
                taken = calls.read_taken(reply)
            except Gap:
                self._own[number], lost = START, True
                continue
            self.places[number] = taken.last
            self._own[number] = taken.entries[-1].place if taken.own and taken.entries else ""
            found += [(number, entry) for entry in taken.entries]
        if lost:
            self._own = [START] * len(self.parts)
            raise FeedGap(self._schema.model, "", "it was cut behind what the group has acknowledged")
        found.sort(key=_moment)
        return [self._change(number, entry, "") for number, entry in found]

    def _change(self, number: int, entry: Entry, cursor: str) -> Change[R]:
        return change_of(self.model, self.parts[number].keys.feed, entry, cursor)

    async def _wait(self) -> None:
        """Wait until something may have come, for a while."""
        store: Store = self.store
        feeds = [(part.keys.feed, place) for part, place in zip(self.parts, self.places, strict=True)]
        seconds = WAIT
        if store.clustered and len(feeds) > 1:
            self._turn, seconds = (self._turn + 1) % len(feeds), WAIT_IN_TURN
            feeds = [feeds[self._turn]]
        await store.waiting().send(calls.wait_call(feeds, seconds))

    async def _be_patient(self, error: StoreError) -> None:
        """Wait a moment for a server that is away; *error* is raised where it has been for too long."""
        now = time.monotonic()
        if self._away_since is None:
            self._away_since = now
        elif now - self._away_since > PATIENCE:
            self._away_since = None
            raise error
        pause = min(1.0, 0.05 + (now - self._away_since) / 4)
        await self.store.transport().sleep(pause)

    async def acknowledge(self, changes: Sequence[Change[R]]) -> int:
        """Tell the group that these are dealt with; how many it did not know so. XACK, one round trip."""
        if not self.grouped:
            raise UsageError(
                f"{self._schema.model}.changes(): ack() is for a group, which keeps its place by it"
            )
        entries = dict[str, list[str]]()
        for change in changes:
            entries.setdefault(change.feed, []).append(change.entry)
        wanted = [calls.ack_call(feed, self._group, places) for feed, places in entries.items()]
        return sum(await asking.read_together(self.store, wanted)) if wanted else 0


def _moment(one: tuple[int, Entry]) -> tuple[int, int]:
    time, _, count = one[1].place.partition("-")
    return int(time), int(count)


def _is_exact(place: str) -> bool:
    """Whether an entry stood at *place*, which is neither a moment nor before all."""
    return place != START and not place.endswith(f"-{_LAST}")


def _cursor(places: Sequence[str]) -> str:
    return places[0] if len(places) == 1 else ",".join(places)


def _places(model: str, since: Any, count: int) -> list[str]:
    """The places that *since* names, in each of *count* feeds; none where it is now.

    ValidationError for what is no cursor, FeedGap for one of another number of partitions.
    """
    if since is None:
        return []
    if isinstance(since, dt.datetime):
        if since.tzinfo is None:
            raise UsageError(
                f"{model}.changes(since=): a datetime needs a time zone, as datetime.now(UTC) has"
            )
        return [f"{max(int(since.timestamp() * 1000) - 1, 0)}-{_LAST}"] * count
    if since == "0":
        return [START] * count
    places = since.split(",") if isinstance(since, str) else []
    if not places or not all(_PLACE.fullmatch(place) for place in places):
        reason = 'takes the cursor of a change, a datetime, "0" for all that is kept, or None for now'
        raise ValidationError(model, "changes(since=)", reason)
    if len(places) != count:
        reason = f"the cursor is of {len(places)} partitions, and the class has {count}"
        raise FeedGap(model, _cursor([START] * count), reason)
    return places
