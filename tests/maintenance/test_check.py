"""check finds every planted fault and nothing else, repair mends it, and an independent judge agrees."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import Checked, Database, UsageError, check, repair
from aioredisca.maintenance.checking.faults import KINDS

from ..support.drift import drift
from ..support.planting import PLANTS, Lang, Live, Plant, Strict, fill
from ..support.servers import Server

MODELS = (Live, Lang, Strict)


def plant(raw: Any, one: Plant, count: int) -> None:
    with raw.pipeline(transaction=False) as pipe:
        for i in one.victims(count):
            one.do(pipe, i, f"v{i}")
        pipe.execute()


async def health() -> list[Checked]:
    return [await check(model, limit=1000) for model in MODELS]


def test_each_kind_of_fault_is_planted() -> None:
    elsewhere = {"meta", "misplaced", "owed"}  # one at most of a class; and of those with partitions alone
    assert {one.kind for one in PLANTS} == {*KINDS} - elsewhere


@pytest.mark.asyncio_only
@pytest.mark.parametrize("one", PLANTS, ids=str)
async def test_a_hundred_of_a_hundred_are_found_and_mended(
    server: Server, db: Database, raw: Any, one: Plant, full: bool
) -> None:
    count = 1 if one.where == "range, of one" else 100 if full else 15
    await fill(max(one.victims(count)) + 2)
    plant(raw, one, count)

    found = await check(one.model, limit=1000)
    assert found.found.counts == {one.kind: count, **dict.fromkeys(one.also, count)}
    ids = {finding.id for finding in found.found.examples if finding.kind == one.kind}
    assert len(ids) == count or one.kind == "foreign-type"
    assert "secret" not in repr(found)

    told = await repair(one.model, kinds=one.kinds, limit=0)
    assert (told.mended.total, told.left.total) == (
        (found.found.total, 0) if one.mended else (0, found.found.total)
    )
    done = await repair(one.model, dry_run=False, kinds=one.kinds, limit=0)
    if one.mended:
        assert done.left.counts == {}
        assert done.mended.counts
        assert (await check(one.model)).found.counts == {}
        assert drift(raw, MODELS) == []
    else:
        assert done.mended.counts == {}
        assert (await check(one.model)).found.counts == found.found.counts


@pytest.mark.slow
async def test_all_kinds_at_once_in_both_colours(db: Database, raw: Any) -> None:
    await fill(2 * len(PLANTS) + 2)
    assert [report.found.counts for report in await health()] == [{}, {}, {}]
    assert drift(raw, MODELS) == []
    wanted = set[str]()
    for number, one in enumerate(PLANTS):
        i = 2 * number + (one.only or 0)
        one.do(raw, i, f"v{i}")
        wanted |= {one.kind, *one.also}
    assert set[str]().union(*(report.found.counts for report in await health())) >= wanted
    for model in MODELS:
        await repair(model, dry_run=False, kinds=("not-canonical", "dangling"))
        await repair(model, dry_run=False)
    left = set[str]().union(*(report.found.counts for report in await health()))
    assert left == {one.kind for one in PLANTS if not one.mended}


@pytest.mark.on_cluster
async def test_a_foreign_key_of_an_index_of_one_name_is_replaced(db: Database, raw: Any) -> None:
    await fill(7)
    for key in ("live/r/age", "live/ids", "live/t", "live/t/n", "live/u/email"):
        raw.delete(key)
        raw.set(key, "not ours")
    assert (await check(Live)).found.counts["foreign-type"] == 5
    done = await repair(Live, dry_run=False)
    assert (done.left.counts, (await check(Live)).found.counts) == ({}, {})
    assert drift(raw, MODELS) == []


async def test_bad_arguments_are_told_before_anything_is_asked(db: Database) -> None:
    wrong: Any
    for wrong in (7, Live("1"), "Live"):
        with pytest.raises(UsageError, match="takes a model class"):
            await check(wrong)
        with pytest.raises(UsageError, match="takes a model class"):
            await repair(wrong)
    for wrong in (-1, None, True, 1.5):
        with pytest.raises(UsageError, match="limit="):
            await check(Live, limit=wrong)
    for wrong in (0, -1, True, "7", float("nan"), float("inf")):
        with pytest.raises(UsageError, match="rate="):
            await check(Live, rate=wrong)
    for wrong in (("no-such",), "no-such", 7):
        with pytest.raises(UsageError, match="kind"):
            await repair(Live, kinds=wrong)
    with pytest.raises(UsageError, match="repair mends no 'shared-value': a person changes one of them"):
        await repair(Live, kinds=["shared-value"])
    with pytest.raises(UsageError, match="dry_run="):
        await repair(Live, dry_run=1)  # type: ignore[arg-type]
    assert db.facts.round_trips == 0
