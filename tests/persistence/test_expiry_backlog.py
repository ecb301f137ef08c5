"""Many records that are over: what it takes to ask beside them, and how they go."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, UniqueViolation, conf, sweep
from aioredisca.compiler.queries import query_call
from aioredisca.compiler.writes import write_call
from aioredisca.persistence import executor
from aioredisca.query import execution, scan

from ..support.altered import altered, replacing
from ..support.drift import drift


@conf(prefix="seat", ttl=None)
class Seat(Model):
    place = String(unique=True)
    row = Integer(index=True)
    name = String(index=True)


def due(raw: Any) -> int:
    seconds, micros = raw.time()
    return int(raw.zcount("seat/t", "-inf", f"({int(seconds) * 1000 + int(micros) // 1000}"))


async def leave(raw: Any, number: int) -> int:
    """So many records that are over, of which all but the key is left, as after their end."""
    ids = [str(n) for n in range(number)]
    await Seat.save_many([Seat.new(id, row=1, place=id, name="n") for id in ids], ttl=3600)
    raw.zadd("seat/t", dict.fromkeys(ids, 1))
    raw.delete(*[f"seat:{id}" for id in ids])
    assert due(raw) == number
    return number


async def test_writes_take_away_more_than_they_add(db: Database, raw: Any) -> None:
    left = await leave(raw, 20)
    await Seat.save_many([Seat.new(f"n{number}", place=f"n{number}") for number in range(3)], ttl=60)
    assert due(raw) == left - 6  # a batch: two for each
    for number in range(400):  # of single ones every fourth, by the clock, looks
        if not due(raw):
            break
        await Seat.new(f"one{number}").save(ttl=60)
    assert due(raw) == 0
    assert await Seat.all().count() == raw.zcard("seat/t") == raw.zcard("seat/ids")


async def test_what_has_piled_up_is_taken_away_faster(db: Database, raw: Any) -> None:
    left = await leave(raw, 300)
    await Seat.save_many([Seat.new("a"), Seat.new("b")], ttl=60)
    assert due(raw) == left - 98  # with the two that are written: a hundred
    for number in range(400):
        await Seat.new(f"one{number}").save(ttl=60)
        if due(raw) < left - 98:
            break
    assert due(raw) == left - 98 - 96  # of single ones, one takes as much for four
    await sweep(Seat)
    assert drift(raw, [Seat]) == []


# -- asking beside them ----------------------------------------------------------------------------


async def test_a_sample_takes_one_round_trip_and_holds_the_living_alone(db: Database, raw: Any) -> None:
    await Seat.save_many([Seat.new(f"live{n}", row=2, name="n") for n in range(5)], ttl=60)
    for query in (Seat.all(), Seat.row == 2, Seat.name == "n"):
        await query.random(1)
        before = db.facts.round_trips
        assert len({one.id for one in await query.random(3)}) == 3
        assert db.facts.round_trips == before + 1
    await leave(raw, 20)
    for query in (Seat.all(), Seat.row >= 0, Seat.name == "n"):
        assert {one.id for one in await query.random(25)} == {f"live{n}" for n in range(5)}
    assert await (Seat.row == 1).random(3) == []


def trips(db: Database) -> int:
    return int(db.facts.round_trips)


@pytest.mark.slow
async def test_the_first_of_nobody_is_not_walked_for(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index names some hundred records, all of which are over, among many others that are."""
    await Seat.save_many([Seat.new(f"live{n}") for n in range(1000)], ttl=3600)
    await leave(raw, 6000)
    for number in range(400):
        raw.sadd("seat/x/name/few", str(number))
    few = Seat.name == "few"
    assert await few.first() is None
    before = trips(db)
    assert (await few.first(), await few.exists()) == (None, False)
    assert trips(db) == before + 2
    control = replacing(("if candidates <= BUDGET then\nreturn 'gather', drivers", "if false then"))

    def alter(text: str) -> str:
        return control(text) if "usual_way" in text else text

    monkeypatch.setattr(scan, "query_call", altered(query_call, alter))
    before = trips(db)
    assert await few.first() is None
    assert trips(db) > before + 1


async def test_control_a_count_without_subtraction_counts_what_is_over(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Seat.new("live", row=1, name="n").save(ttl=60)
    await leave(raw, 20)

    async def counts() -> tuple[int, int, int]:
        return await Seat.all().count(), await (Seat.row == 1).count(), await (Seat.name == "n").count()

    assert await counts() == (1, 1, 1)
    wrong = replacing(("return size(part) - size(over)", "return size(part)"), ("all - dead", "all"))
    monkeypatch.setattr(execution, "query_call", altered(query_call, wrong))
    assert await counts() == (21, 21, 21)


async def test_control_a_claim_that_is_trusted_refuses_for_what_is_over(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await leave(raw, 3)
    trusted = ("return call('HGET', record, field) == value", "return true")
    lives = ("return left == -2", "return false")
    with monkeypatch.context() as patch:
        patch.setattr(executor, "write_call", altered(write_call, replacing(trusted, lives)))
        with pytest.raises(UniqueViolation):
            await Seat.new("new", place="2").save(ttl=60)
    await Seat.new("new", place="2").save(ttl=60)
