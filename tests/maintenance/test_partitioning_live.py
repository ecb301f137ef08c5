"""``partition`` while others write: whatever they write until nobody may is there afterwards, whoever dies where."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from aioredisca import (
    Database,
    ListOf,
    RediscaError,
    SchemaMismatch,
    String,
    check,
    conf,
    partition,
    repair,
    sync,
)
from aioredisca.maintenance import dumping
from aioredisca.maintenance.partitioning import copying, moving, steps
from aioredisca.maintenance.partitioning.copying import Copying
from aioredisca.maintenance.partitioning.moving import _Move
from aioredisca.persistence.asking import read
from aioredisca.types import Call

from ..support.claiming import IDS, Guest, disturb
from .test_partitioning import PREFIX, Died, dumped, misplaced

ANCHORS = [f"anchor{number}" for number in range(5)]


def guests(count: int, db: Database, ttl: int | None = None) -> Any:
    """The class of those guests in so many partitions, in a database of its own."""

    @conf(prefix=PREFIX, partitions=count, db=db, unique=[("owner", "slug")])
    class Guests(Guest):
        log = ListOf(String())

    return Guests


class Among:
    """The transport of who moves records: others work before each call and after it, and it dies after so many."""

    def __init__(self, transport: Any, storm: Storm) -> None:
        self._transport, self._storm = transport, storm

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def send(self, *given: Any) -> Any:
        await self._storm.step()
        reply = await self._transport.send(*given)
        await self._storm.step()
        return reply

    async def send_all(self, *given: Any) -> Any:
        await self._storm.step()
        replies = await self._transport.send_all(*given)
        await self._storm.step()
        return replies


class Storm:
    """One move under writers and readers, by operators who die."""

    def __init__(self, url: str, raw: Any, before: int, now: int, seed: int) -> None:
        self.url, self.raw, self.dice = url, raw, random.Random(seed)
        self.operator = Database(url)
        self.old, self.new = guests(before, Database(url)), guests(now, self.operator)
        self.left = self.writes = self.deaths = 0
        self.frozen: Any = None
        self.refused = False

    async def fill(self) -> None:
        await self.old.save_many([self.old.new(id, name="anchor") for id in ANCHORS])
        await disturb(self.old, 20, self.dice)

    async def step(self) -> None:
        """Somebody writes and somebody reads; then the operator may be no more."""
        if self.frozen is None:
            await self.write()
            found = await self.old.where(self.old.name == "anchor").count()
            assert found == len(ANCHORS)
            assert (await self.old.get(ANCHORS[0])).name == "anchor"
        self.left -= 1
        if self.left == 0:
            raise Died

    async def write(self) -> None:
        try:
            if self.dice.random() < 0.2:
                await self.old(self.dice.choice(IDS)).log.append("x")
            else:
                await disturb(self.old, 1, self.dice)
            self.writes += not self.refused
        except SchemaMismatch:
            self.refused = True
        except RediscaError:
            pass  # no such record, say

    @contextmanager
    def patched(self) -> Generator[None]:
        original, go_on = Database.transport, _Move.go_on
        among = Among(original(self.operator), self)

        async def frozen(move: Any, cursor: bytes) -> None:
            if cursor.startswith(steps.COPIED):  # nobody writes: what is there now is what is to be there
                self.left = 0
                self.frozen = []
                self.frozen = await dumped(self.old)
                self.left = self.dice.randrange(2, 12)
            await go_on(move, cursor)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Database, "transport", lambda db: among if db is self.operator else original(db))
            patch.setattr(_Move, "go_on", frozen)
            patch.setattr(copying, "PAGE", 4)
            patch.setattr(dumping, "PAGE", 4)
            patch.setattr(moving, "FEW", 2)
            yield

    async def move(self) -> None:
        with self.patched():
            while True:
                self.left = self.dice.choice([0, self.dice.randrange(1, 300)])
                try:
                    done = await partition(self.new)
                    break
                except Died:
                    self.deaths += 1
                    self.raw.delete(f"{PREFIX}/lease")  # as time does
        assert done.done, done.problems

    async def run(self) -> None:
        self.raw.flushall()
        await self.fill()
        await self.move()
        self.left = 0
        assert self.refused or await self.was_refused()
        now = await dumped(self.new)
        assert now == self.frozen
        await repair(self.new, dry_run=False)  # claims of an operator who died, which harm nobody
        assert misplaced(self.raw, (self.new,), len(self.old.__mapper__.schema(self.operator).parts)) == []
        await self.new.new("last", email="last").save()
        self.close()

    async def was_refused(self) -> bool:
        await self.write()
        return self.refused

    def close(self) -> None:
        self.operator.close()
        self.old.__mapper__.store().close()


MOVES = [(1, 4), (4, 2), (4, 1)]


@pytest.mark.parametrize(("before", "now"), MOVES)
async def test_nothing_is_lost_that_was_written_meanwhile(
    db: Database, raw: Any, url: str, before: int, now: int, full: bool
) -> None:
    writes = deaths = 0
    for _ in range(40 if full else 1):
        storm = Storm(url, raw, before, now, random.randrange(1 << 30))
        await storm.run()
        writes, deaths = writes + storm.writes, deaths + storm.deaths
    assert writes > 20


# -- at once ---------------------------------------------------------------------------------------


class Operator:
    """Who moves records beside others who do: it may stand still before any call, until it is let go on."""

    def __init__(self, url: str, now: int) -> None:
        self.db = Database(url)
        self.model = guests(now, self.db)
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.transport = self.db.transport()
        self.task: asyncio.Future[Any] = asyncio.ensure_future(partition(self.model))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    async def send(self, *given: Any) -> Any:
        await self.goes_on.wait()
        return await self.transport.send(*given)

    async def send_all(self, *given: Any) -> Any:
        await self.goes_on.wait()
        return await self.transport.send_all(*given)


@conf(prefix=PREFIX, unique=[("owner", "slug")])
class Blocking(sync.Model):
    """The same class, blocking."""

    email = sync.String(unique=True)
    number = sync.Integer(unique=True)
    owner = sync.String()
    slug = sync.String()
    name = sync.String(index=True)
    log = sync.ListOf(sync.String())


def write_blocking(model: Any, dice: random.Random, over: threading.Event) -> int:
    """Write until nobody may, or the test is over; how often."""
    written = 0
    while not over.is_set():
        try:
            record = model(f"b{dice.choice(IDS)}")
            if dice.random() < 0.2:
                record.delete()
            else:
                record.email, record.name = dice.choice("abcdefgh"), dice.choice("abc")
                record.save(mode="upsert")
            written += 1
        except SchemaMismatch:
            return written
        except RediscaError:
            pass
    return written


class Crowd:
    """Writers and readers of the old number, and operators of the new one."""

    def __init__(self, url: str, before: int, now: int) -> None:
        self.url, self.now, self.dice = url, now, random.Random()
        self.old = guests(before, Database(url))
        self.operators = dict[Database, Operator]()
        self.frozen: Any = None
        self.written = 0
        blocking: dict[str, Any] = {"partitions": before} if before > 1 else {}
        self.blocking: Any = conf(prefix=PREFIX, db=Database(url), **blocking)(
            type("Blocked", (Blocking,), {})
        )

    async def write(self) -> None:
        while True:
            try:
                if self.dice.random() < 0.2:
                    await self.old(self.dice.choice(IDS)).log.append("x")
                else:
                    await disturb(self.old, 1, self.dice)
                self.written += 1
                await asyncio.sleep(self.dice.uniform(0, 0.002))
            except SchemaMismatch:
                return
            except RediscaError:
                pass

    async def read(self) -> None:
        while self.frozen is None:
            try:
                found = await self.old.where(self.old.name == "anchor").count()
                first = await self.old.get(ANCHORS[0])
            except SchemaMismatch:  # they have moved, just now
                return
            assert found == len(ANCHORS)
            assert self.frozen is not None or first.name == "anchor"
            await asyncio.sleep(0.001)

    async def operate(self) -> None:
        """Order it again and again, until one of those who do it has done it."""
        db = self.old.__mapper__.store()
        lease = self.old.__mapper__.schema(db).keys.lease
        while True:
            operator = Operator(self.url, self.now)
            self.operators[operator.db] = operator
            patience = self.dice.uniform(0.05, 0.3) * 1.4 ** len(self.operators)  # machines are slow
            await asyncio.wait([operator.task], timeout=patience)
            if operator.task.done() and not operator.task.exception() and operator.task.result().done:
                return  # else values went from one record to another too fast: it is ordered again
            if self.dice.random() < 0.5:
                operator.goes_on.clear()  # it stands still, and wakes when all is done
            elif not operator.task.done():
                operator.task.cancel()
            await read(db, Call(("UNLINK", lease), writes=True))  # as time does

    @contextmanager
    def patched(self) -> Generator[None]:
        original, go_on = Database.transport, _Move.go_on

        async def frozen(move: Any, cursor: bytes) -> None:
            if cursor.startswith(steps.COPIED):
                self.frozen = await dumped(self.old)
            await go_on(move, cursor)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Database, "transport", lambda db: self.operators.get(db) or original(db))
            patch.setattr(_Move, "go_on", frozen)
            patch.setattr(copying, "PAGE", 10)
            patch.setattr(dumping, "PAGE", 10)
            yield

    async def run(self) -> None:
        await self.old.save_many([self.old.new(id, name="anchor") for id in ANCHORS])
        await self.old.save_many([self.old.new(f"x{number}", name="rest") for number in range(200)])
        others = [asyncio.ensure_future(self.write()) for _ in range(4)]
        others.append(asyncio.ensure_future(self.read()))
        over, dice = threading.Event(), random.Random(self.dice.random())
        with self.patched(), ExitStack() as at_the_end:
            at_the_end.callback(over.set)  # a thread that is not told goes on for ever
            blocked = asyncio.ensure_future(asyncio.to_thread(write_blocking, self.blocking, dice, over))
            await self.operate()
            await asyncio.gather(*others)
            await blocked
            new = guests(self.now, Database(self.url))
            assert await dumped(new) == self.frozen
            for operator in self.operators.values():  # those that stood still wake up
                operator.goes_on.set()
            tasks = [operator.task for operator in self.operators.values()]
            await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
            assert await dumped(new) == self.frozen
        assert (await check(new)).found.counts.keys() <= {
            "stray-claim"
        }  # of a writer that was refused: harmless
        assert self.written > 10


@pytest.mark.slow
@pytest.mark.asyncio_only
@pytest.mark.parametrize(("before", "now"), [(1, 8), (8, 4), (4, 1)])
async def test_writers_readers_and_operators_at_once_in_a_cluster(
    clustered: Database, cluster: Any, before: int, now: int, full: bool
) -> None:
    if not full:  # writers without a pause may keep the mover from its end for minutes
        pytest.skip("in the full session")
    await Crowd(cluster.url, before, now).run()


# -- controls --------------------------------------------------------------------------------------


async def _carelessly(self: Copying, ids: Any) -> None:
    """Takes away no copy."""


def unmarks(self: Copying, id: str, seen: bytes) -> Any:
    """Takes marks away, whoever has written the record again."""
    dirty = self.source.of(id).keys.dirty
    return self._call(id, [], [("ZREM", dirty, id)])


CONTROLS: dict[str, tuple[Any, str, Any]] = {
    "writes mark nothing": (steps, "MARKS", "1"),
    "marks go though the record was written again": (Copying, "_unmarking", unmarks),
    "copies are not taken away first": (Copying, "_clear", _carelessly),
}


@pytest.mark.memory_only
@pytest.mark.asyncio_only
@pytest.mark.parametrize("name", CONTROLS)
async def test_control_without_a_rule_it_is_found(db: Database, raw: Any, url: str, name: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*CONTROLS[name])
        for seed in range(60):
            storm = Storm(url, raw, 1, 4, seed)
            try:
                await storm.run()
            except (AssertionError, RediscaError):
                return
            finally:
                storm.close()
    pytest.fail("nothing is lost")
