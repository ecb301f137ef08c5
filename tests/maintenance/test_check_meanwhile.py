"""check and repair beside writers, beside what is somebody else's, and over records that end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from aioredisca import (
    Database,
    Integer,
    Model,
    RediscaError,
    SchemaMismatch,
    check,
    conf,
    reindex,
    repair,
    sweep,
)
from aioredisca.drivers.run import run
from aioredisca.maintenance import sweeping
from aioredisca.maintenance.checking import entries, records
from aioredisca.maintenance.checking.faults import Fault, Finding

from ..support.drift import drift
from ..support.planting import PLANTS, Lang, Live, Strict, fill, record
from ..support.tagged import called

MODELS = (Live, Lang, Strict)
WRITERS = 20


async def churn(place: int, turn: int) -> None:
    """Everything that may happen to a record: others write the same ones."""
    i = 1000 + (place * 7 + turn) % 40
    one = record(i)
    one.city, one.age, one.tags = f"C{turn % 9}", turn % 50, {"all", f"t{turn % 5}"}
    one.nick = None if turn % 2 else f"k{turn % 7}"
    try:
        await one.save(ttl=[None, 3600, 0.002][turn % 3])
        await one.likes.add(str(turn))
        one.bio, one.name, one.country, one.slug = f"{turn}-" + "y" * 600, f"m{turn}", "SE", f"s{i}-{turn}"
        await one.save(ttl=[3600, None, 3600][turn % 3])
        if turn % 4 == 0:
            await one.delete()
    except RediscaError:  # another was faster, or it is over
        pass


class Churning:
    """Writers that go on until the block ends."""

    def __init__(self, writers: int = WRITERS) -> None:
        self.writers, self.turns, self.over = writers, 0, False

    async def _write(self, place: int) -> None:
        turn = 0
        while not self.over:
            turn += 1
            await churn(place, turn)
            self.turns += 1

    async def __aenter__(self) -> Churning:
        self.tasks = [asyncio.create_task(self._write(place)) for place in range(self.writers)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.over = True
        await asyncio.gather(*self.tasks)


async def believed(store: Any, layout: Any, some: Sequence[Any]) -> tuple[list[Fault], list[str]]:
    """The control: what looks wrong is at fault, without a second look."""
    return [Fault(Finding("no-entry", one.state.id, ""), (one.state.id,)) for one in some], []


async def all_denied(store: Any, layout: Any, found: Sequence[Any]) -> Any:
    """The same of entries."""
    wrong, _ = await sweeping.denied(store, layout.schema, found)
    return [
        (Fault(Finding("denied-entry", seen.id, ""), (seen.key, seen.member)), seen) for seen in wrong
    ], []


@pytest.fixture(params=["safe", "control"])
def careless(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the second look is left out, which the test must see."""
    if request.param == "control":
        monkeypatch.setattr(records, "confirmed", believed)
        monkeypatch.setattr(entries, "denied", all_denied)
    return bool(request.param == "control")


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_what_writers_change_meanwhile_is_no_fault(
    server: Any, db: Database, raw: Any, full: bool, careless: bool
) -> None:
    await fill(5000 if full else 100)
    found, checked = dict[str, int](), 0
    async with Churning() as writers:
        while not (found if careless else writers.turns > (20_000 if full else 100) and checked > 2):
            report = await check(Live)
            found = {str(kind): count for kind, count in report.found.counts.items()}
            checked += 1
            assert careless or not found, report
    assert careless or (await check(Live)).healthy


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_repair_mends_beside_writers(server: Any, db: Database, raw: Any, full: bool) -> None:
    count = 300 if full else 60
    await fill(count)
    planted = [one for one in PLANTS if one.mended and one.kinds is None and one.model is Live]
    async with Churning():
        for number, one in enumerate(planted):
            i = 2 * number % count + (one.only or 0)
            one.do(raw, i, f"v{i}")
        for _ in range(4 if full else 2):
            await repair(Live, dry_run=False)
    left = (await repair(Live, dry_run=False)).left.counts
    report = await check(Live)
    assert (left, report.found.counts) == ({}, {})
    while await sweep(Live):
        pass
    assert drift(raw, MODELS) == []


async def test_what_is_over_and_waits_is_no_fault(db: Database, raw: Any) -> None:
    await fill(4)
    await Live.save_many([record(i) for i in range(10, 14)], ttl=0.001)
    for i in range(4):  # none of these is written once more, so what is over stays
        raw.pexpire(f"live:v{i + 10}", 1)
    while raw.exists(*(f"live:v{i}" for i in range(10, 14))):
        pass
    report = await check(Live)
    assert (report.healthy, report.waiting) == (True, 4)
    raw.sadd("live/l/likes/v10", "left")  # goes with the record
    assert (await check(Live)).healthy
    await sweep(Live)
    assert (await check(Live)).waiting == 0
    assert drift(raw, MODELS) == []


async def test_foreign_keys_and_nested_prefixes_are_told_and_left_alone(db: Database, raw: Any) -> None:
    await fill(4)
    raw.hset("live:old/meta", mapping={"signature": "1/i:/x?:name", "unbuilt": ""})
    raw.hset("live:old:7", "name", "theirs")
    raw.zadd("live:old/ids", {"7": 0})
    raw.sadd("live:old/x/name/theirs", "7")
    raw.set("live:lock", "x")
    raw.hset("live:v1:settings", "city", "theirs")
    raw.set("live/queue/1/2", "secret")
    raw.rpush("live/queue", "secret")
    theirs = [*raw.keys("live:old*"), b"live:lock", b"live:v1:settings", b"live/queue/1/2", b"live/queue"]
    before = {key: raw.dump(key) for key in theirs}
    assert len(before) == 8

    report = await check(Live)
    assert (report.healthy, report.foreign, report.nested) == (True, 4, 4)
    foreign = {called(raw, key) for key in report.foreign_keys}
    assert foreign == {"live:lock", "live:v1:settings", "live/queue", "live/queue/1/*"}
    assert all(called(raw, key).startswith("live:old") for key in report.nested_keys)
    raw.zrem("live/r/age", "v1")
    raw.sadd("live/x/city/Nowhere", "v2")
    done = await repair(Live, dry_run=False)
    assert (done.mended.total, done.foreign, done.nested) == (2, 4, 4)
    assert {key: raw.dump(key) for key in theirs} == before


async def test_meta_tells_what_is_compared(db: Database, raw: Any) -> None:
    await fill(3)
    raw.zrem("live/r/age", "v1")
    raw.hset("live/meta", mapping={"e:r:age": "announced", "e:c:7:country3:age": "pass"})
    report = await check(Live)
    assert (report.healthy, report.unbuilt) == (True, ("c:7:country3:age", "r:age"))
    raw.delete("live/meta")
    report = await check(Live)
    assert report.found.counts == {"meta": 1}
    assert "is not there" in str(report.found.examples[0])
    raw.set("live/meta", "x")
    assert (await check(Live)).found.counts == {"meta": 1}
    raw.delete("live/meta")
    raw.hset("live/meta", mapping={"ver": "a", "e:x:gone": "ready", "e:i:": "ready"})
    assert (await check(Live)).found.counts == {"meta": 1}
    with pytest.raises(SchemaMismatch):
        await repair(Live, dry_run=False)
    raw.delete("live/meta")
    await reindex(Live)
    assert (await check(Live)).healthy


async def test_a_limit_and_progress(db: Database, raw: Any) -> None:
    await fill(30)
    seen = list[int]()
    raw.delete("live/r/age")
    report = await check(Live, limit=3, rate=100_000, progress=seen.append)
    assert (report.found.counts, len(report.found.examples)) == ({"no-entry": 30}, 3)
    assert seen[-1] == report.records == 31
    assert report.as_json()["found"]["counts"] == {"no-entry": 30}
    assert report.as_json()["healthy"] is False


@pytest.mark.memory_only
@pytest.mark.blocking_only
def test_the_pace_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = list[float]()
    monkeypatch.setattr("time.sleep", slept.append)

    class Small(Model):
        age = Integer(index=True)

    with_own = conf(db=Database("memory://the-pace-is-kept"))(Small)
    run(with_own.save_many([with_own.new(str(i), age=i) for i in range(50)]))
    monkeypatch.setattr("time.monotonic", lambda: sum(slept))
    run(check(with_own, rate=100))
    assert 1 <= sum(slept) <= 3  # 50 records, and 100 entries
