"""The scale of a Decimal: what is read has the places that were declared, what is stored is canonical."""

from __future__ import annotations

import decimal
from typing import Any

import pytest

from aioredisca import Database, Decimal, Model

D = decimal.Decimal


class Plain(Decimal):
    def to_db(self, value: decimal.Decimal) -> str:
        return str(value)


class Item(Model):
    price = Decimal(places=2, index=True)
    code = Decimal(places=3, unique=True)
    whole = Decimal(places=0)
    free_ = Decimal()
    own: Any = Plain(places=2, index="exact")


@pytest.mark.parametrize(
    ("given", "shown", "stored"),
    [
        *(("17.5", "17.50", "17.5"), ("17.50", "17.50", "17.5"), (17, "17.00", "17"), ("0", "0.00", "0")),
        *(
            ("-0", "0.00", "0"),
            ("1e3", "1000.00", "1000"),
            (0.1, "0.10", "0.1"),
            ("-17.5", "-17.50", "-17.5"),
        ),
        (D("1.10"), "1.10", "1.1"),
        ("9" * 15 + ".9", "9" * 15 + ".90", "9" * 15 + ".9"),
    ],
)
async def test_it_reads_with_its_places_and_is_stored_canonically(
    db: Database, raw: Any, given: Any, shown: str, stored: str
) -> None:
    item = await Item.new("1", price=given if len(shown) < 17 else None, code=given).save()
    loaded = await Item.get("1")
    assert str(item.code) == str(loaded.code) == shown + "0"
    assert (raw.hget("item:1", "code"), item["code"]) == (stored.encode(), stored)
    assert item.getdiff() == {}
    assert await Item.code.in_([given]).ids() == await Item.code.in_([D(shown)]).ids() == ["1"]
    if item.price is not None:
        assert str(item.price) == str(loaded.price) == shown
        assert loaded.export()["price"].as_tuple() == D(shown).as_tuple()
        assert (
            await Item.price.in_([D(shown)]).ids() == await Item.price.between(D(shown), given).ids() == ["1"]
        )
        assert [str(price) for price in await Item.all().values(Item.price)] == [shown]
        (figures,) = [await Item.all().aggregate(Item.price)]
        assert (figures.sum, str(figures.min)) == (D(shown), shown)


async def test_the_scale_survives_all_ways_in(db: Database, raw: Any) -> None:
    item = await Item.new("1", price="1", whole="7.0", free_="1.10").save()
    assert [str(value) for value in (item.price, item.whole, item.free_)] == ["1.00", "7", "1.1"]
    item["price"] = "2.5"
    assert (str(item.price), item["price"]) == ("2.50", "2.5")
    await item.save()
    assert str(await item.incr(Item.price, D("0.5"))) == "3.00"
    assert raw.hget("item:1", "price") == b"3"
    raw.hset("item:1", "price", "3.14159")  # of before there was a limit
    assert str((await Item.get("1")).price) == "3.14159"


async def test_a_field_that_writes_in_its_own_way_is_left_alone(db: Database, raw: Any) -> None:
    item = await Item.new("1", own="17.50").save()
    assert (str(item.own), raw.hget("item:1", "own")) == ("17.5", b"17.5")
    assert await (Item.own == "17.500").ids() == ["1"]
