"""Uniques of classes with partitions under many writers who die at any step: nobody holds what another holds."""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aioredisca import Database, UniqueViolation
from aioredisca.compiler import parts, scripts

from ..conftest import FULL
from ..support.claiming import Guest, Mortal, State, disturb, drained, state_of

WRITERS = 6

WORKER = """
import asyncio, sys
from aioredisca import Database, conf
from tests.scenarios.test_claims_storm import storm
conf.db = Database(sys.argv[1])
asyncio.run(storm(conf.db, int(sys.argv[2]), sys.argv[3], float(sys.argv[4])))
"""


async def storm(db: Database, rounds: int, seed: object, chance: float = 0) -> Counter[str]:
    """Several writers at once, who die with a *chance* before and after each round trip; what came of it."""
    make = Database.transport
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "transport", lambda self: Mortal(make(self), chance))
        writers = (disturb(Guest, rounds, random.Random(f"{seed}/{n}")) for n in range(WRITERS))
        return sum(await asyncio.gather(*writers), Counter[str]())


async def ended(db: Database) -> State:
    """What is left when all have stopped, before and after claims are released that wait for it."""
    state = await state_of(db)
    assert state.broken == []
    await drained(db)
    state = await state_of(db)
    assert state.broken == []
    assert state.owed == 0
    assert state.records > 0
    return state


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_of_racing_creators_of_one_value_exactly_one_wins(db: Database, backend: str) -> None:
    await racing(10 if backend == "memory" else 300 if FULL else 40)


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_the_same_in_a_cluster(clustered: Database) -> None:
    await racing(300 if FULL else 40)
    assert not (await state_of(clustered)).dead


async def racing(rounds: int) -> None:
    for number in range(rounds):
        guests = [Guest.new(f"{number}-{i}", email=f"{number}@x.yz", number=number) for i in range(10)]
        results = await asyncio.gather(*(guest.save() for guest in guests), return_exceptions=True)
        winners = [guest for guest, result in zip(guests, results, strict=True) if result is guest]
        losers = [result for result in results if isinstance(result, UniqueViolation)]
        assert (len(winners), len(losers)) == (1, 9)
        assert {loser.holder for loser in losers} == {winners[0].id}


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_of_100_callers_one_creates_and_all_get_the_same(db: Database, backend: str) -> None:
    for number in range(3 if backend == "memory" else 20):
        one: dict[str, Any] = {"email": f"{number}@x.yz"}
        calls = [Guest.get_or_create(**one, defaults={"name": str(i)}) for i in range(100)]
        found = await asyncio.gather(*calls)
        assert sum(created for _, created in found) == 1
        assert len({(guest.id, guest.name) for guest, _ in found}) == 1
        key: dict[str, Any] = {"owner": str(number), "slug": "s"}
        found = await asyncio.gather(
            *(Guest.update_or_create(**key, defaults={"name": str(i)}) for i in range(100))
        )
        assert sum(created for _, created in found) == 1
        assert len({guest.id for guest, _ in found}) == 1


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_a_storm_leaves_no_dead_claim(db: Database, backend: str) -> None:
    seen = await storm(db, 20 if backend == "memory" else 400 if FULL else 60, backend)
    assert min(seen["ok"], seen["UniqueViolation"]) > 10
    assert (await ended(db)).dead == []


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_a_storm_of_writers_who_die(db: Database, backend: str) -> None:
    seen = await storm(db, 20 if backend == "memory" else 400 if FULL else 60, backend, 0.03)
    assert seen["killed"] > 5
    await ended(db)


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_processes_whose_writers_die_in_a_cluster(clustered: Database, cluster: Any) -> None:
    for number in range(5 if FULL else 1):
        words = [sys.executable, "-c", WORKER, cluster.url, "400" if FULL else "60"]
        running = [await asyncio.create_subprocess_exec(*words, f"{number}/{n}", "0.03") for n in range(2)]
        assert [await one.wait() for one in running] == [0, 0]
        await ended(clustered)


# -- controls --------------------------------------------------------------------------------------

WRONG = {
    "no epoch compare in a write": ("write/fence", "epoch == known.epoch", "true"),
    "no bump where a holder is asked": (
        "claims/verify",
        "vacate(base, id, {}, epoch)",
        "epoch_of(base, id) + 1",
    ),
}
"""A rule of the protocol that is left out: where it stands, and what is there instead."""

CACHES: list[Any] = [parts.part, scripts.write_script, scripts.verify_script]


@contextmanager
def without(rule: str) -> Iterator[None]:
    """Scripts that lack a rule."""
    name, old, new = WRONG[rule]
    source = parts.source

    def changed(asked: str) -> str:
        text = source(asked)
        if asked != name:
            return text
        assert old in text
        return text.replace(old, new).replace("needs: CLASSES", "needs: epoch_of, CLASSES")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "source", changed)
        for cache in CACHES:
            cache.cache_clear()
        yield
    for cache in CACHES:
        cache.cache_clear()


@pytest.mark.slow
@pytest.mark.asyncio_only
@pytest.mark.parametrize("rule", WRONG)
async def test_control_without_a_rule_two_hold_one_value(server: Any, db: Database, rule: str) -> None:
    with without(rule):
        for seed in range(300):
            await storm(db, 60, seed)
            if (await state_of(db)).broken:
                return
    raise AssertionError("nothing broke")
