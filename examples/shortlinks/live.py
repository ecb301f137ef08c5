"""Counters that move while you look at them, sent to browsers as server-sent events."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Collection
from typing import Any

from aioredisca import RediscaError

from .models import Link

TICK = 0.5
"""Seconds between two looks at the database."""

KEEP_ALIVE = 30
"""Ticks without news after which something is sent all the same: a proxy would hang up on silence."""

LEADERS = 10

log = logging.getLogger(__name__)

Change = dict[str, Any]
"""``{"clicks": {link id: number}, "leaders": [{"slug", "clicks"}, ...]}``."""


class Feed:
    """What all browsers of this process watch, read once a tick for all of them together.

    However many people look and click, the database is asked twice a tick, and not at all while nobody
    looks. Several processes need not know of each other.
    """

    def __init__(self) -> None:
        self._watched = Counter[str]()
        self._watchers = 0
        self._tick = asyncio.Condition()
        self._clicks: dict[str, int] = {}
        self._leaders: list[Change] = []
        self._closed = False

    async def follow(self, ids: Collection[str]) -> AsyncGenerator[Change]:
        """Yield how the links *ids* and the leaders stand, now and whenever that has changed.

        An empty change keeps the connection alive.
        """
        self._watched.update(ids)
        self._watchers += 1
        shown: Change = {}
        quiet = 0
        try:
            while await self._next():
                now = self._state(ids)
                quiet = 0 if now != shown else quiet + 1
                if quiet % KEEP_ALIVE == 0:
                    yield now if now != shown else {}
                shown = now
        finally:
            self._watchers -= 1
            self._watched = self._watched - Counter(ids)

    def _state(self, ids: Collection[str]) -> Change:
        clicks = {id: self._clicks[id] for id in ids if id in self._clicks}
        return {"clicks": clicks, "leaders": self._leaders}

    async def _next(self) -> bool:
        """Wait for the next tick; False when there is none."""
        async with self._tick:
            if not self._closed:
                await self._tick.wait()
        return not self._closed

    async def run(self) -> None:
        """Look at the database for as long as the service runs."""
        while not self._closed:
            await asyncio.sleep(TICK)
            if self._watchers:
                await self._look()

    async def _look(self) -> None:
        try:
            links = await Link.get_many(self._watched)
            leaders = await leaders_of_all()
        except RediscaError as error:
            log.warning("the counters stand still: %s", error)
            return
        self._clicks = {link.id: link.clicks or 0 for link in links if link is not None}
        self._leaders = [{"slug": link.slug, "clicks": link.clicks} for link in leaders]
        async with self._tick:
            self._tick.notify_all()

    async def close(self) -> None:
        """End all streams, so that the server need not wait for them."""
        self._closed = True
        async with self._tick:
            self._tick.notify_all()


async def leaders_of_all() -> list[Link]:
    """The links that were followed most: the end of one index, so ten records are read of any number."""
    return await Link.all().order_by(Link.clicks.desc()).limit(LEADERS)
