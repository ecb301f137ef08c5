"""What keeps a store in order works on a class with partitions as on one without: the same faults planted in both are
found and mended in both."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aioredisca import (
    Database,
    Integer,
    MigrationError,
    Model,
    SchemaMismatch,
    String,
    check,
    conf,
    export_records,
    health,
    import_records,
    reindex,
    repair,
    sweep,
)
from aioredisca.maintenance.adopting.sampling import adopt
from aioredisca.maintenance.diagnosing import diagnose
from aioredisca.maintenance.inspecting import inspect, summary
from aioredisca.maintenance.migrations import upgrade
from aioredisca.maintenance.server_report import Finding
from aioredisca.storage.partitions import partition_of_id
from aioredisca.storage.schema import Schema

from ..support.drift import drift
from ..support.planting import PLANTS, Lang, Live, Plant, Strict, fill

PARTITIONS = 8


@conf(prefix="live8", partitions=PARTITIONS)
class Live8(Live):
    """The same in partitions."""


class Within:
    """A plain client whose keys of ``Live`` are those of a partition of ``Live8``."""

    def __init__(self, raw: Any, base: str) -> None:
        self._raw, self._base = raw, base

    def __getattr__(self, name: str) -> Callable[..., Any]:
        command: Callable[..., Any] = getattr(self._raw, name)
        return lambda key, *more: command(self._base + key.removeprefix("live"), *more)


def parts_of(model: Any) -> tuple[Schema, ...]:
    parts: tuple[Schema, ...] = model.__mapper__.schema(model.__mapper__.store()).all_parts
    return parts


def victims() -> list[tuple[Plant, int]]:
    """A record for each plant, of those that end, or do not, as it wants; beside ``blank`` where it needs that."""
    with_blank = partition_of_id("blank", PARTITIONS)
    found, left = list[tuple[Plant, int]](), list(range(400))
    for one in PLANTS:
        if one.model is Strict:
            continue
        near = one.kind == "shared-value" or "of one" in one.where
        i = next(
            i
            for i in left
            if one.only in (None, i % 2) and (not near or partition_of_id(f"v{i}", PARTITIONS) == with_blank)
        )
        left.remove(i)
        found.append((one, i))
    return found


async def plant_in_both(raw: Any) -> set[int]:
    """Plant one fault of each kind in both classes; which partitions have some."""
    chosen, touched = victims(), set[int]()
    for live in (Live, Live8):
        await fill(max(i for _, i in chosen) + 1, live)
    for one, i in chosen:
        one.do(raw, i, f"v{i}")
        part = Live8.__mapper__.schema(Live8.__mapper__.store()).of(f"v{i}")
        one.do(Within(raw, part.keys.base), i, f"v{i}")
        touched.add(parts_of(Live8).index(part))
    return touched


CLAIMS = {"no-claim", "stray-claim", "wrong-claim"}


def assert_alike(spread: dict[Any, int], whole: dict[Any, int]) -> None:
    """The same faults. Where values were spoiled, claims over partitions are not right, either."""
    assert {**spread, **dict.fromkeys(CLAIMS, 0)} == {**whole, **dict.fromkeys(CLAIMS, 0)}
    assert all(spread.get(kind, 0) >= whole.get(kind, 0) for kind in CLAIMS)


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_faults_are_found_and_mended_as_without_partitions(db: Database, raw: Any) -> None:
    touched = await plant_in_both(raw)
    assert touched == {*range(PARTITIONS)}
    seen = list[int]()
    whole, spread = [await check(live, limit=1000, progress=seen.append) for live in (Live, Live8)]
    assert_alike(spread.found.counts, whole.found.counts)
    assert spread.records == whole.records == seen[-1]
    assert {(one.kind, one.id) for one in spread.found.examples} >= {
        (one.kind, one.id) for one in whole.found.examples
    }

    told = [await repair(live) for live in (Live, Live8)]
    assert_alike(told[1].mended.counts, told[0].mended.counts)
    for kinds in (("not-canonical", "dangling"), None):
        done = [await repair(live, dry_run=False, kinds=kinds) for live in (Live, Live8)]
        assert_alike(done[1].left.counts, done[0].left.counts)
    left = [(await check(live)).found.counts for live in (Live, Live8)]
    assert left[0] == left[1]
    assert {*left[1]} == {one.kind for one in PLANTS if not one.mended and one.model is Live}


def _only(some: slice) -> Callable[[Any], Any]:
    def parts(schema: Any) -> Any:
        return schema.parts[some] or (schema,)

    return parts


@pytest.mark.asyncio_only
@pytest.mark.memory_only
async def test_who_looks_at_some_partitions_only_misses_faults(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plant_in_both(raw)
    there = (await check(Live8)).found.total
    for some in (slice(0, 1), slice(1, None)):
        monkeypatch.setattr(Schema, "all_parts", property(_only(some)))
        assert 0 < (await check(Live8)).found.total < there
        monkeypatch.undo()


async def test_reindex_mends_all_partitions(db: Database, raw: Any) -> None:
    await fill(60, Live8)
    for number, part in enumerate(parts_of(Live8)):
        raw.delete(f"{part.keys.base}/r/age")
        raw.zadd(f"{part.keys.base}/ids", {f"no{number}": 0})
    seen = list[int]()
    done = await reindex(Live8, everything=True, progress=seen.append)
    assert (done.records, done.unbuilt, seen[-1]) == (61, (), 61)
    assert "r:age" in done.built
    assert drift(raw, (Live8, Lang, Strict)) == []


@conf(prefix="changing", partitions=4)
class Before(Model):
    name = String(index=True)
    age = Integer(index=True)


@conf(prefix="changing", partitions=4)
class After(Model):
    name = String()
    age = Integer(index=True)
    town = String(index=True)


async def test_indexes_come_and_go_in_all_partitions(url: str, raw: Any) -> None:
    first, second = Database(url), Database(url)
    conf.db = first
    await Before.save_many([Before.new(f"{n}", name="x", age=n) for n in range(40)])
    conf.db = second
    with pytest.raises(SchemaMismatch, match="reindex --before"):
        await After.new("a", town="Turku").save()
    assert (await reindex(After, before=True)).built == ()
    await After.new("a", town="Turku").save()
    done = await reindex(After)
    assert (done.records, done.built, done.dropped) == (41, ("n:town", "x:town"), ("n:name", "x:name"))
    assert [one.id for one in await After.where(After.town == "Turku")] == ["a"]
    assert drift(raw, (After,)) == []
    conf.db = first
    with pytest.raises(SchemaMismatch):
        await Before.save_many([Before.new(f"b{n}", name="x") for n in range(20)])
    first.close()
    second.close()


@conf(prefix="kept")
class Kept(Live):
    """Where dumps come from."""


async def lines_of(model: Any) -> list[Any]:
    """What a dump holds of the records."""
    return [json.loads(line) for line in [line async for line in export_records(model)][1:]]


@pytest.mark.slow
async def test_a_dump_goes_from_one_place_to_partitions_and_back(db: Database, raw: Any) -> None:
    await fill(500, Live8)
    lines = [line async for line in export_records(Live8)]
    ids = [json.loads(line)["id"] for line in lines[1:-1]]
    assert ids == sorted(ids)
    assert len(ids) == 501
    whole = [line.replace('"Live8"', '"Kept"', 1) for line in lines]
    done = await import_records(whole, Kept)
    assert (done.records, done.left_out, done.complete) == (501, 0, True)
    assert [json.loads(line) for line in whole[1:]] == await lines_of(Kept)
    await Live8.all().delete()
    back = [line.replace('"Kept"', '"Live8"', 1) async for line in export_records(Kept)]
    seen = list[int]()
    done = await import_records(back, Live8, progress=seen.append)
    assert (done.records, done.left_out, done.complete, seen[-1]) == (501, 0, True, 500)
    assert [json.loads(line) for line in lines[1:]] == await lines_of(Live8)
    assert drift(raw, (Live8, Kept, Lang, Strict)) == []


@conf(prefix="many8", partitions=PARTITIONS)
class Many8(Model):
    n = Integer(index=True)


async def test_an_import_fills_the_calls_of_all_partitions(db: Database) -> None:
    """A hundred lines at a time were a dozen for each of eight: four times as many round trips."""
    await Many8.save_many([Many8.new(f"first{n}", n=n) for n in range(80)])  # which declares all partitions
    header = {"aioredisca": 1, "model": "Many8", "prefix": "many8", "fields": {}, "collections": {}}

    def stream(count: int) -> list[str]:
        lines = [{"id": str(n), "fields": {"n": str(n)}} for n in range(1000 - count, 1000)]
        return [json.dumps(line) for line in (header, *lines, {"end": "Many8", "records": count})]

    await import_records(stream(1), Many8)  # and what else a process asks once
    await Many8("999").delete()
    before = db.round_trips
    assert (await import_records(stream(400), Many8)).records == 400
    assert db.round_trips - before == 4  # where the records are, what this user may, all, their notes
    assert await Many8.all().count() == 480


async def test_an_import_leaves_out_what_is_taken_in_any_partition(db: Database, raw: Any) -> None:
    await fill(50, Live8)
    lines = [line async for line in export_records(Live8)]
    await Live8.where(Live8.age < 25).delete()
    await Live8.new("other", email="v3@x.xx").save()
    done = await import_records(lines, Live8, on_conflict="skip")
    assert (done.skipped, done.records, done.left_out) == (26, 24, 1)
    done = await import_records(lines, Live8, on_conflict="replace")
    assert (done.records, done.left_out) == (50, 1)
    assert drift(raw, (Live8, Lang, Strict)) == []


@pytest.mark.slow
async def test_what_is_shown(db: Database) -> None:
    await fill(50, Live8)
    found = await summary(Live8)
    assert found.records == 51
    assert {one.state for one in found.indexes} == {"ready"}
    assert {one.entry for one in found.indexes} >= {"i:", "u:email", "r:age"}
    shown = await inspect(Live8, "v7")
    assert all(one.present for one in shown.entries)
    assert shown.key == f"{Live8.__mapper__.schema(db).of('v7').keys.base}:v7"


@conf(prefix="ending", partitions=4, ttl=0.05)
class Ending(Model):
    name = String(index=True)


async def test_sweep_takes_away_what_is_over_in_all_partitions(db: Database, raw: Any) -> None:
    await Ending.save_many([Ending.new(f"{n}", name="x") for n in range(100)])
    time.sleep(0.2)
    assert (await check(Ending)).waiting > 0
    swept = await sweep(Ending)
    assert 0 < swept <= 100
    assert (await check(Ending)).waiting == 0
    assert drift(raw, (Ending,)) == []


async def test_probes_and_proposals_know_partitions(db: Database, raw: Any) -> None:
    await fill(30, Live8)
    await health.check(db)
    assert [one for one in await diagnose(db, [Live8.__mapper__.schema(db)]) if "rights" in one.topic] == [
        Finding("rights for Live8", "ok", "all that is needed")
    ]
    found = await adopt(db)
    assert not [plan for plan in found.models if "live8" in plan.base]
    assert any("live8: 31 hashes in 8 partitions" in text for text in found.problems)


@conf(prefix="priced8", partitions=8)
class Priced8(Model):
    price = Integer(index=True)
    code = String(unique=True)


STEP = """
from aioredisca.maintenance.migrations import CopyField, MoveModel, each
from tests.maintenance.test_partitions import Priced8

async def dearer(step):
    await each(step, Priced8, convert)

def convert(record):
    if record.price == 30:
        raise ValueError
    record.price += 1000

async def up(step):
    await dearer(step)
    await CopyField("priced8", "code", "copy").up(step)
"""


async def test_migrations_of_fields_go_through_all_partitions(db: Database, raw: Any, tmp_path: Path) -> None:
    await Priced8.save_many([Priced8.new(f"{n:02}", price=n, code=f"c{n}") for n in range(60)])
    (tmp_path / "0001_step.py").write_text(STEP)
    (report,) = await upgrade(tmp_path)
    assert (report.done, [one.changed for one in report.counts]) == (False, [59, 60])
    await Priced8.where(Priced8.price == 30).update(price=31)
    (report,) = await upgrade(tmp_path)
    assert report.done
    assert {one.price for one in await Priced8.all()} == {1000 + n for n in range(60) if n != 30} | {1031}
    copies = [raw.hget(part.keys.record(f"{n:02}"), "copy") for n in range(60) for part in parts_of(Priced8)]
    assert {one for one in copies if one} == {b"c%d" % n for n in range(60)}
    assert (await check(Priced8)).healthy

    (tmp_path / "0002_step.py").write_text(
        "from aioredisca.maintenance.migrations import MoveModel\noperations = [MoveModel('priced8', 'other')]"
    )
    with pytest.raises(MigrationError, match="are in two slots" if db.clustered else "are in 8 partitions"):
        await upgrade(tmp_path)
    (tmp_path / "0002_step.py").write_text(
        "from aioredisca.maintenance.migrations import DeleteModel\noperations = [DeleteModel('priced8')]"
    )
    await upgrade(tmp_path)
    assert [key for key in raw.scan_iter() if b"priced8" in key] == []
