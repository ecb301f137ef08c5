"""A master is killed: its replica takes over, and models go on without a word of their user."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import redis

from aioredisca import (
    Database,
    Integer,
    Model,
    OutcomeUnknown,
    RediscaError,
    String,
    Unavailable,
    UniqueViolation,
    check,
    conf,
    repair,
)
from aioredisca.drivers.cluster.slots import slot_of_key

from ..support.cluster import Cluster, Node, aclose
from ..support.patience import limit, wait_until


@conf(tag=True)
class Note(Model):
    name = String(unique=True)
    n = Integer(index=True)


@conf(prefix="elsewhere")
class Elsewhere(Note):
    """One whose node lives on."""


@pytest.fixture
def paired(pairs: Cluster) -> Iterator[Database]:
    pairs.empty()
    before, conf.db = conf.db, Database(pairs.plain_url, timeout=2, connect_timeout=limit(1))
    yield conf.db
    conf.db.close()
    conf.db = before


class Load:
    """Writers and readers, and what came of it. Each record is written once."""

    def __init__(self, pause: float) -> None:
        self._pause = pause
        self.acknowledged, self.doubtful = dict[str, float](), set[str]()
        self.errors, self.last_error, self.done = dict[str, int](), 0.0, False

    async def write(self, number: int) -> None:
        count = 0
        while not self.done:
            id = f"{number}-{count}"
            try:
                await Note.new(id, name=id, n=count).save()
            except (Unavailable, OutcomeUnknown) as error:
                self._note(error)
                if isinstance(error, OutcomeUnknown):
                    self.doubtful.add(id)
                    count += 1
                await asyncio.sleep(0.02)
            else:
                self.acknowledged[id] = time.monotonic()
                count += 1
                await asyncio.sleep(self._pause)

    async def read(self) -> None:
        while not self.done:
            try:
                assert all((one.n or 0) < 10 for one in await (Note.n < 10).limit(20))
            except (Unavailable, OutcomeUnknown) as error:
                self._note(error)
            await asyncio.sleep(0.01)

    def _note(self, error: RediscaError) -> None:
        name = type(error).__name__
        self.errors[name] = self.errors.get(name, 0) + 1
        self.last_error = time.monotonic()


class Marks(threading.Thread):
    """The control: a client that waits for the replica. What was acknowledged before its last mark is safe."""

    def __init__(self, master: Node) -> None:
        super().__init__()
        self._master, self.safe, self.done = master, 0.0, False

    def run(self) -> None:
        with self._master.client() as client, suppress(redis.RedisError):
            while not self.done:
                began = time.monotonic()
                client.set("{note}mark", 1)
                if client.wait(1, 1000):
                    self.safe = began
                time.sleep(0.005)


async def killed(cluster: Cluster, node: Node) -> float:
    """Kill a master; when the cluster is whole again, as it says itself."""
    await asyncio.to_thread(node.kill)
    while True:
        await asyncio.sleep(0.02)
        if await asyncio.to_thread(cluster.is_up) and node not in await asyncio.to_thread(
            cluster.find_masters
        ):
            return time.monotonic()


@pytest.mark.asyncio_only
@pytest.mark.slow
async def test_a_master_is_killed_under_load(
    pairs: Cluster, paired: Database, full: bool, record_property: Callable[[str, object], None]
) -> None:
    """Two errors alone are seen, until the cluster has recovered, and models on other nodes see none.

    What was acknowledged is there, but for what had not got to the replica, which is told by a client that waits.
    """
    for node in pairs.nodes:  # else the others serve nothing, either, until the replica has taken over
        node.ask("CONFIG", "SET", "cluster-require-full-coverage", "no")
    for number in range(20 if full else 1):
        pairs.empty()
        await Note.new("first", name="first", n=0).save()
        await Elsewhere.new("1", name="1", n=1).save()
        master = pairs.master_of(slot_of_key("{note}"))
        try:
            record_property(f"round {number}", await one_kill(pairs, master, full))
        finally:
            pairs.bring_back(master)  # in this thread, with which the server would end
    await paired.aclose()


async def one_kill(pairs: Cluster, master: Node, full: bool) -> str:
    """Kill *master* under load; what was seen, in words."""
    load, marks = Load(0 if full else 0.003), Marks(master)
    workers = 8 if full else 3
    tasks = [asyncio.create_task(load.write(n)) for n in range(workers)]
    tasks += [asyncio.create_task(load.read()) for _ in range(workers)]
    marks.start()
    await asyncio.sleep(0.5)
    recovering = asyncio.create_task(killed(pairs, master))
    while not recovering.done():
        assert (await Elsewhere.get("1")).n == 1
        await asyncio.sleep(0.02)
    recovered = recovering.result()
    await asyncio.sleep(1.2)
    load.done = marks.done = True
    await asyncio.gather(*tasks)
    marks.join()
    found = {one.id for one in await (Note.n >= 0).limit(1_000_000)}
    lost = load.acknowledged.keys() - found
    assert marks.safe
    assert not [id for id in lost if load.acknowledged[id] < marks.safe]
    assert not found - load.acknowledged.keys() - load.doubtful - {"first"}  # what was refused was not done
    assert load.errors
    late = load.last_error - recovered
    assert late < limit(0.05)  # a second of a busy machine
    await no_drift(found)
    mended = await mended_wholly(Note)
    counts = f"{len(load.acknowledged)} acknowledged, {len(lost)} lost"
    return f"{counts}, {load.errors}, the last {late:+.2f} s after recovery, {mended} mended by repair"


async def mended_wholly(model: type[Model]) -> int:
    """How much `repair` had to mend, behind which `check` finds nothing."""
    done = await repair(model, dry_run=False)
    assert not done.left, done.left
    assert (await check(model)).healthy
    return done.mended.total


@conf(prefix="spread", partitions=8)
class Spread(Model):
    name = String(unique=True)


class Race:
    """Writers who all want the same values, one after the other, and who got which as far as they were told."""

    def __init__(self) -> None:
        self.given, self.twice, self.done = dict[str, str](), list[str](), False

    async def gives(self, more: int) -> None:
        """Until so many values more are given."""
        end, wanted = time.monotonic() + limit(5), len(self.given) + more
        while len(self.given) < wanted:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)

    async def write(self, number: int) -> None:
        count = 0
        record = Spread.new(f"{number}-0", name="v0")
        while not self.done:
            try:
                await record.save()
            except (Unavailable, OutcomeUnknown):  # the same record once more settles it
                await asyncio.sleep(0.02)
                continue
            except UniqueViolation:
                await asyncio.sleep(0.002)
            else:
                if self.given.setdefault(f"v{count}", record.id) != record.id:
                    self.twice.append(f"v{count}")
            count += 1
            record = Spread.new(f"{number}-{count}", name=f"v{count}")


@pytest.mark.asyncio_only
@pytest.mark.slow
async def test_under_load_no_value_is_given_twice_where_writes_are_waited_for(
    pairs: Cluster, paired: Database, full: bool, record_property: Callable[[str, object], None]
) -> None:
    """And nothing of what was told as done is lost. test_wait.py has the control, a fail-over without a wait."""
    conf.db = database = Database(pairs.plain_url, timeout=2, connect_timeout=limit(1), wait=1)
    for number in range(20 if full else 1):
        pairs.empty()
        await Spread.save_many([Spread.new(f"first{n}", name=f"first{n}") for n in range(40)])
        record_property(f"round {number}", await one_race(pairs, pairs.masters[number % 3], full))
    await aclose(database)
    database.close()
    await aclose(paired)


async def one_race(pairs: Cluster, master: Node, full: bool) -> str:
    """Kill *master* in the middle of a race, and let it come back; what was seen, in words."""
    race = Race()
    tasks = [asyncio.create_task(race.write(n)) for n in range(8 if full else 3)]
    await race.gives(20)
    await killed(pairs, master)
    pairs.bring_back(master)  # else the one that took over has no replica, and nothing counts as done
    await race.gives(50)
    race.done = True
    await asyncio.gather(*tasks)
    found = await Spread.name.in_([*race.given]).limit(1_000_000)
    assert race.twice == []
    assert {one.name: one.id for one in found} == race.given
    assert len(found) == len(race.given)
    everybody = [one.name async for one in Spread.all()]
    assert len({*everybody}) == len(everybody)
    return f"{len(found)} values given once, {await mended_wholly(Spread)} mended by repair"


async def no_drift(ids: set[str]) -> None:
    """The unique index holds what the records do: another may have what was lost, and none that is there."""
    for id in sorted(ids)[-20:]:
        with pytest.raises(UniqueViolation):
            await Note.new(f"other {id}", name=id, n=1).save()
        assert (await (Note.name == id).one()).id == id


async def test_a_cluster_without_a_node_tells_and_comes_back(pairs: Cluster, paired: Database) -> None:
    """In both colours: errors are of two kinds, and the first call that can be served is.

    Of the cluster nothing else was named than the node that is gone, and no other was asked for a record.
    """
    master = pairs.master_of(slot_of_key("{note}"))
    conf.db = database = Database(f"redis+cluster://{master.place}", timeout=2, connect_timeout=limit(1))
    note = Note.new("1", name="1", n=1)
    await note.save()
    master.kill()
    errors, end = 0, time.monotonic() + limit(2)
    for n in range(2, 1000):
        note.n = n
        try:
            await note.save()
            break
        except (Unavailable, OutcomeUnknown):
            errors += 1
            assert time.monotonic() < end
            time.sleep(0.05)
    assert errors
    assert (await Note.get("1")).n == note.n
    pairs.bring_back(master)
    await aclose(database)


async def test_a_master_that_stands_still_does_not_write_later(pairs: Cluster, paired: Database) -> None:
    """What it had in its buffers when it was replaced is not done over what others have written since."""
    note = Note.new("1", name="first", n=1)
    await note.save()
    master = pairs.master_of(slot_of_key("{note}"))
    os.kill(master.process.pid, signal.SIGSTOP)
    try:
        note.name = "late"
        with pytest.raises(OutcomeUnknown):
            await note.save()
        end, errors = time.monotonic() + limit(2), 0
        while True:
            try:
                other = await Note.get("1")
                other.name = "acknowledged"
                await other.save()
                break
            except (Unavailable, OutcomeUnknown):
                errors += 1
                assert time.monotonic() < end
                time.sleep(0.05)
    finally:
        os.kill(master.process.pid, signal.SIGCONT)
        wait_until(lambda: master.role() == "slave" and pairs.is_up())
    assert (await Note.get("1")).name == "acknowledged"
    with pytest.raises(UniqueViolation):
        await Note.new("2", name="acknowledged", n=1).save()
    await Note.new("3", name="late", n=1).save()
    await aclose(paired)
