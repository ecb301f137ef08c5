"""Load on a service of sentinels while its primary is replaced, in both colours at once, and what came of it.

Writers create records of which each has a name of its own; readers read a count that only grows. Whatever was
acknowledged and is on a replica (WAIT) must be there afterwards, and no reader may see less than was there so
before it asked. What was acknowledged only, asynchronous replication may lose.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aioredisca import (
    Database,
    Integer,
    Model,
    NotFound,
    OutcomeUnknown,
    String,
    Unavailable,
    check,
    conf,
    repair,
)
from aioredisca.drivers.run import run
from aioredisca.types import Call

from .drift import drift
from .patience import limit, wait_until
from .sentinels import Node, Watched

SECONDS = 8.0
"""How long the load goes on at most once the primary is replaced, on a quiet machine."""

PAUSE = 0.01
"""Seconds that each client rests between two calls, so that a small machine can run all of them."""


class Order(Model):
    name = String(unique=True)
    n = Integer(index=True)


@dataclass
class Outcome:
    """What came of it.

    ``errors``    how often what was raised, by type; those of ``strange`` should not have been.
    ``stale``     what was read though newer was known to be on a replica.
    ``back``      seconds from the moment that sentinels name another until each colour has written there.
    ``acked``     records whose creation was acknowledged, and ``safe`` those on a replica by then.
    ``missing``   those of ``acked`` that are gone, and ``lost`` those of ``safe``.
    ``faults``    of the indexes, after ``repair()``; ``twice`` the names that two records have.
    """

    errors: Counter[str] = field(default_factory=Counter[str])
    strange: list[str] = field(default_factory=list[str])
    stale: list[str] = field(default_factory=list[str])
    back: dict[str, float] = field(default_factory=dict[str, float])
    acked: set[str] = field(default_factory=set[str])
    safe: set[str] = field(default_factory=set[str])
    missing: set[str] = field(default_factory=set[str])
    lost: set[str] = field(default_factory=set[str])
    faults: list[str] = field(default_factory=list[str])
    twice: list[str] = field(default_factory=list[str])

    @property
    def wrong(self) -> list[str]:
        """Everything that must not be, as sentences."""
        found = [f"raised: {text}" for text in self.strange] + [f"stale: {text}" for text in self.stale]
        found += [f"{colour} does not come back" for colour in COLOURS if colour not in self.back]
        found += [f"{id} is lost, though a replica had it" for id in sorted(self.lost)]
        return found + self.faults + [f"two records are called {name}" for name in self.twice]


COLOURS = ("asyncio", "blocking")


class Load:
    """Writers and readers over one Database, in both colours, from :meth:`start` to :meth:`finish`."""

    def __init__(self, database: Database, watched: Watched, replicas: int = 1) -> None:
        """What has reached so many *replicas* must not be lost."""
        self._replicas = replicas
        self.outcome, self._database, self._watched = Outcome(), database, watched
        self._over, self._numbers = threading.Event(), itertools.count(1)
        self._floor = self._new = 0
        self._named = 0.0
        self._threads = [
            threading.Thread(target=lambda: asyncio.run(self._loop())),
            *(threading.Thread(target=run, args=(self._write("blocking", n),)) for n in range(3)),
            *(threading.Thread(target=run, args=(self._read(),)) for _ in range(2)),
        ]

    def start(self) -> None:
        run(Order.new("count", name="count", n=0).save(mode="upsert"))
        for thread in self._threads:
            thread.start()
        wait_until(lambda: len(self.outcome.safe) > 20 and self._floor)

    async def _loop(self) -> None:
        writers = [self._write("asyncio", number) for number in range(5)]
        try:
            await asyncio.gather(*writers, *(self._read() for _ in range(6)))
        finally:
            await self._database.aclose()

    # -- the clients -------------------------------------------------------------------------------

    async def _write(self, colour: str, number: int) -> None:
        port = 0
        while not self._over.is_set():
            id = f"{colour}-{number}-{next(self._numbers)}"
            created = await self._told(Order.new(id, name=f"of {id}", n=1).save(mode="create"))
            value = await self._told(Order("count").incr(Order.n)) if number == 0 else None
            before, (port, replicas) = port, await self._whereabouts()
            if created is not None:
                self.outcome.acked.add(id)
            if port == before and replicas >= self._replicas:  # all of it was written to one server
                self._floor = max(self._floor, value or 0)
                if created is not None:
                    self.outcome.safe.add(id)
            if port and port == self._new and colour not in self.outcome.back:
                self.outcome.back[colour] = time.monotonic() - self._named
            await self._rest()

    async def _whereabouts(self) -> tuple[int, int]:
        """The port of the primary, and how many replicas have all that was written to it so far."""
        port, marker = Call(("CONFIG", "GET", "port")), Call(("INCR", "marker"), writes=True)
        wait = Call(("WAIT", self._replicas, 100))
        replies = await self._told(self._database.transport().send_all([port, marker, wait]))
        if replies is None or any(isinstance(reply, Exception) for reply in replies):
            return 0, 0
        return int(replies[0][1]), replies[2]

    async def _read(self) -> None:
        while not self._over.is_set():
            floor = self._floor
            try:
                record = await self._told(Order.get("count"))
            except NotFound:
                self.outcome.stale.append("the count is gone")
                record = None
            if record is not None and (record.n or 0) < floor:
                self.outcome.stale.append(f"{record.n}, but {floor} was on a replica")
            await self._rest()

    async def _told(self, operation: Any) -> Any:
        """What comes of *operation*; None for the errors that may be."""
        try:
            return await operation
        except (Unavailable, OutcomeUnknown) as error:
            self.outcome.errors[type(error).__name__] += 1
        except NotFound:
            raise
        except Exception as error:
            self.outcome.strange.append(f"{type(error).__name__}: {error}")
        return None

    async def _rest(self) -> None:
        if threading.current_thread() in self._threads[1:]:
            time.sleep(PAUSE)
        else:
            await asyncio.sleep(PAUSE)

    # -- from outside ------------------------------------------------------------------------------

    def replace(self, act: Callable[[Node], None]) -> None:
        """Have the primary replaced by what *act* does to it, and wait until both colours have come back."""
        old = self._watched.primary
        act(old)
        while (port := self._watched.named_port()) in (None, old.port):
            time.sleep(0.005)
        self._named, self._new = time.monotonic(), port or 0
        end = time.monotonic() + limit(SECONDS / 20)
        while len(self.outcome.back) < len(COLOURS) and time.monotonic() < end:
            time.sleep(0.01)

    def return_of_the_old(self) -> None:
        """Servers that stand still go on: what was the primary takes itself for it, until it is told."""
        for node in self._watched.nodes:
            node.answer_again()
        time.sleep(1.5)

    def finish(self) -> Outcome:
        """End the load, have all servers up again, and look at what is there."""
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._watched.all_up()
        with self._watched.primary.client() as raw:
            self._judge(raw)
        return self.outcome

    def _judge(self, raw: Any) -> None:
        outcome = self.outcome
        there = {id for id in outcome.acked if raw.exists(f"order:{id}")}
        outcome.missing = outcome.acked - there
        outcome.lost = outcome.safe - there
        before, conf.db = conf.db, Database(self._watched.url)
        try:
            run(repair(Order, dry_run=False))
            checked = run(check(Order))
            outcome.faults = [] if checked.healthy else [str(checked.as_json())]
        finally:
            conf.db.close()
            conf.db = before
        raw.delete("marker")
        outcome.faults += drift(raw, [Order])
        names = Counter(raw.hget(key, "name") for key in raw.scan_iter("order:*"))
        outcome.twice = [f"{name!r}" for name, count in names.items() if count > 1]
