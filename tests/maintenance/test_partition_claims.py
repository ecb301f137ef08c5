"""Claims over partitions: what spoils them is found and mended, beside writers as well, and by reindex."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import Database, Model, String, UniqueViolation, check, conf, reindex, repair
from aioredisca.maintenance.checking import claims as checking
from aioredisca.persistence import claims
from aioredisca.storage.keys import joined
from aioredisca.types import Call

from ..support.claiming import Guest, Mortal, disturb, drained, state_of
from ..support.drift import drift


def place(value: str) -> str:
    """The key of the claims on an address."""
    schema = Guest.__mapper__.schema(Guest.__mapper__.store())
    return schema.place_of_claim(value.encode()).keys.claims("email")


def part_of(id: str) -> Any:
    return Guest.__mapper__.schema(Guest.__mapper__.store()).of(id)


def _shared(raw: Any, i: int) -> None:
    """The record behind comes to hold the value of this one, by somebody who knows its own partition only."""
    other = next(f"{n:02}" for n in range(40, 80) if part_of(f"{n:02}") is not part_of(f"{i:02}"))
    keys = part_of(other).keys
    raw.hset(keys.record(other), "email", f"e{i}")
    raw.hset(keys.unique("email"), f"e{i}", other)
    raw.hdel(keys.unique("email"), f"e{int(other)}")
    raw.hdel(place(f"e{int(other)}"), f"e{int(other)}")


PLANTS: dict[str, tuple[str, Callable[[Any, int], Any]]] = {
    "no claim": ("no-claim", lambda raw, i: raw.hdel(place(f"e{i}"), f"e{i}")),
    "of another": ("wrong-claim", lambda raw, i: raw.hset(place(f"e{i}"), f"e{i}", "0:99")),
    "of nobody": ("wrong-claim", lambda raw, i: raw.hset(place(f"e{i}"), f"e{i}", "7:nobody")),
    "stray": ("stray-claim", lambda raw, i: raw.hset(place(f"s{i}"), f"s{i}", f"0:{i:02}")),
    "stray, of nobody": ("stray-claim", lambda raw, i: raw.hset(place(f"s{i}"), f"s{i}", "12:nobody")),
    "owed": (
        "owed",
        lambda raw, i: raw.rpush(
            part_of(f"{i:02}").keys.owed, joined([b"email", b"gone", b"%02d" % i, b"1"])
        ),
    ),
    "shared": ("shared-value", _shared),
}


async def fill() -> None:
    await Guest.save_many(
        [Guest.new(f"{n:02}", email=f"e{n}", number=n, owner="o", slug=f"s{n}", name="n") for n in range(100)]
    )
    await drained(conf.db)


@pytest.mark.parametrize("one", PLANTS)
@pytest.mark.asyncio_only
async def test_what_is_planted_is_found_and_mended(db: Database, raw: Any, one: str) -> None:
    kind, plant = PLANTS[one]
    await fill()
    assert drift(raw, (Guest,)) == []
    count = 1 if one == "shared" else 12
    for i in range(count):
        plant(raw, i)
    found = await check(Guest, limit=100)
    assert found.found.counts == {kind: count}
    told = await repair(Guest)
    assert (told.mended.total, told.left.total) == ((0, count) if one == "shared" else (count, 0))
    done = await repair(Guest, dry_run=False)
    assert done.left.total == (count if one == "shared" else 0)
    if one != "shared":
        assert (await check(Guest)).found.counts == {}
        assert drift(raw, (Guest,)) == []
        await drained(db)
        state = await state_of(db)
        assert (state.broken, state.dead, state.owed) == ([], [], 0)


async def test_keys_of_another_type_are_replaced(db: Database, raw: Any) -> None:
    await fill()
    keys = part_of("00").keys
    for key in (keys.epochs, keys.owed, keys.claims("email"), keys.claims("owner/slug")):
        raw.delete(key)
        raw.set(key, "not ours")
    assert (await check(Guest)).found.counts["foreign-type"] == 4
    assert (await repair(Guest, dry_run=False)).left.counts == {}
    assert (await check(Guest)).found.counts == {}
    assert drift(raw, (Guest,)) == []


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_repair_beside_writers_who_die(db: Database, raw: Any) -> None:
    dice = random.Random()
    done = await _storm(db, dice, 60)
    state = await state_of(db)
    assert (state.broken, state.dead, state.owed) == ([], [], 0), done
    assert drift(raw, (Guest,)) == []


async def _storm(db: Database, dice: random.Random, rounds: int) -> Any:
    """Writers who die at any step, and repair meanwhile and behind them."""
    patched = pytest.MonkeyPatch()
    mortal, plain = Mortal(db.transport(), 0.02), db.transport()
    repairing = asyncio.current_task()

    def transport(self: Database) -> Any:
        return plain if asyncio.current_task() is repairing else mortal

    patched.setattr(Database, "transport", transport)
    with patched.context():
        writers = [
            asyncio.ensure_future(disturb(Guest, rounds, random.Random(dice.random()))) for _ in range(5)
        ]
        while not all(writer.done() for writer in writers):
            await repair(Guest, dry_run=False)
        told = [await writer for writer in writers]
    patched.undo()
    assert sum(one["killed"] for one in told) > 5
    await repair(Guest, dry_run=False)
    return told


async def _bluntly(store: Any, schema: Any, several: Any) -> list[Any]:
    """Take claims away without a word to the records."""
    calls = [Call(("HDEL", schema.keys.claims(one.of), one.value), writes=True) for one in several]
    return list(await store.transport().send_all(calls)) if calls else []


@pytest.mark.asyncio_only
@pytest.mark.parametrize("blunt", [False, True], ids=["as it is", "control"])
async def test_a_claim_of_a_write_under_way_is_no_way_to_two_holders(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, blunt: bool
) -> None:
    """It has claimed, and stands still. Repair takes the claim for stray, another record gets the value."""
    await fill()
    claimed, go_on, write = asyncio.Event(), asyncio.Event(), claims._Attempt._write

    async def stand_still(self: Any) -> None:
        if not claimed.is_set():
            claimed.set()
            await go_on.wait()
        await write(self)

    monkeypatch.setattr(claims._Attempt, "_write", stand_still)
    if blunt:
        monkeypatch.setattr(checking, "release", _bluntly)
    first = asyncio.ensure_future(Guest.new("a", email="wanted").save())
    await asyncio.wait_for(claimed.wait(), 30)
    done = await repair(Guest, dry_run=False)
    assert done.mended.counts == {"stray-claim": 1}
    await Guest.new("b", email="wanted").save()
    go_on.set()
    (outcome,) = await asyncio.gather(first, return_exceptions=True)
    if blunt:
        assert (await state_of(db)).duplicates
    else:
        assert isinstance(outcome, UniqueViolation)
        assert (await state_of(db)).broken == []


@conf(prefix="growing", partitions=4)
class Before(Model):
    mail = String()


@conf(prefix="growing", partitions=4)
class After(Model):
    mail = String(unique=True)


async def test_a_unique_that_is_added_is_claimed_by_reindex(url: str, raw: Any) -> None:
    before = conf.db
    first, second = Database(url), Database(url)
    conf.db = first
    await Before.save_many([Before.new(f"{n:02}", mail=f"m{n}") for n in range(50)])
    await Before.new("twin", mail="m7").save()
    conf.db = second
    done = await reindex(After, force=True)
    assert [id for id, _ in done.problems] in (["twin"], ["07"])
    await After(done.problems[0][0]).delete()
    done = await reindex(After, everything=True)
    assert (done.left_out, done.unbuilt) == (0, ())
    assert drift(raw, (After,)) == []
    conf.db = before
    first.close()
    second.close()
