"""The collections of a record that is over hold nothing, from the millisecond in which it ends."""

from __future__ import annotations

import re
from typing import Any

import pytest

from aioredisca import Counter, Database, Gone, ListOf, Model, SetOf, SortedSet, String, WrongType, conf

from ..support.ending import PAST
from ..support.tagged import base_of


@conf(ttl=3600)
class Basket(Model):
    owner = String(unique=True)
    lines = ListOf(String())
    marks = SetOf(String())
    prices = SortedSet(String())
    visits = Counter()


async def filled() -> Any:
    one: Any = await Basket.new("1", owner="ada").save()
    await one.lines.append("lamp")
    await one.marks.add("gift")
    await one.prices.add("lamp", 40)
    await one.visits.incr(3)
    return one


async def read(one: Any) -> tuple[Any, ...]:
    return (
        await one.lines.range(),
        await one.lines.get(0),
        await one.lines.len(),
        await one.marks.members(),
        await one.marks.contains("gift"),
        await one.marks.len(),
        await one.prices.top(5),
        await one.prices.bottom(5),
        await one.prices.between(0, 99),
        await one.prices.score("lamp"),
        await one.prices.rank("lamp"),
        await one.prices.len(),
        await one.visits.get(),
    )


FULL = (["lamp"], "lamp", 1, {"gift"}, True, 1, *[[("lamp", 40.0)]] * 3, 40.0, 0, 1, 3)
EMPTY: tuple[Any, ...] = ([], None, 0, set[str](), False, 0, [], [], [], None, None, 0, 0)


async def test_they_are_read_while_it_lives_and_no_longer(db: Database, raw: Any) -> None:
    one = await filled()
    before = db.facts.round_trips
    assert await read(one) == FULL
    assert db.facts.round_trips - before == len(FULL)  # one each
    assert raw.pexpireat("basket:1", 1)  # over, as by the clock: nothing that the library does took it away
    assert raw.lrange("basket/l/lines/1", 0, -1) == [b"lamp"]
    assert await read(one) == EMPTY == await read(Basket("1"))
    with pytest.raises(Gone):
        await one.lines.append("chair")


async def test_those_of_a_record_that_follows_are_its_own(db: Database, raw: Any) -> None:
    old = await filled()
    raw.pexpireat("basket:1", 1)
    new: Any = await Basket.new("1", owner="ada").save()
    assert await read(new) == EMPTY
    await new.lines.append("chair")
    assert await old.lines.range() == ["chair"]
    await new.expire(PAST)
    assert await read(new) == EMPTY


async def test_a_key_of_another_type_is_named(db: Database, raw: Any) -> None:
    one = await filled()
    raw.set("basket/l/marks/1", "x")
    with pytest.raises(WrongType, match=re.escape(f"{base_of(Basket)}/l/marks/1")):
        await one.marks.members()
