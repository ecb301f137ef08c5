"""Models on a real cluster of three masters: units of work by slot, tags, migrations, looking for keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, Model, Reference, UniqueViolation, ValidationError, check, reindex, session
from aioredisca.maintenance.adopting.sampling import adopt
from aioredisca.maintenance.migrations import downgrade, status, upgrade

from ..maintenance.test_migrations_slots import CONVERT, HEAD, Mover, Priced
from ..model.test_slots import Bill, Item, Order, Shelf, Stock
from ..support.scenario import carry_out


@pytest.mark.on_cluster
async def test_what_programs_do_is_done(db: Database) -> None:
    assert await carry_out(db, tag=True) == {}


async def test_a_flush_is_one_call_for_each_slot(clustered: Database) -> None:
    await Bill.new("taken", number=7).save()
    await Stock.new("1", name="tea").save()
    async with session() as unit:
        unit.delete(await Stock.get("1"))
        Bill.new("1", number=7)
        Order.new("1", number=1)
        with pytest.raises(UniqueViolation) as caught:
            await unit.flush()
        error = caught.value
        assert (error.written, error.unwritten) == ((("Stock", "1"),), (("Bill", "1"), ("Order", "1")))
        error.instance.number = 8
        await unit.flush()
    assert [await Stock("1").exists(), await Bill("1").exists(), await Order("1").exists()] == [0, 1, 1]
    for model in (Stock, Bill, Order):
        assert not (await check(model)).found.counts


async def test_behind_one_tag_a_cascade_and_a_check_are_kept(clustered: Database) -> None:
    class Line(Model):
        stock = Reference(Stock)
        item = Reference(Item)

    async with session(autosave=True):
        Shelf.new("1", name="upper")
        Item.new("1", shelf="1")
    with pytest.raises(ValidationError, match="not stored"):
        await Item.new("2", shelf="none").save()
    await Stock.new("1", name="tea").save()
    await Line.new("1", stock="1", item="1").save()
    (line,) = await Line.all().prefetch("stock", "item")
    assert line.stock is not None
    assert line.stock.name == "tea"
    assert await Shelf("1").delete()
    assert await Item.all().count() == 0
    assert (await reindex(Item, everything=True)).records == 0


async def test_migrations(clustered: Database, tmp_path: Path) -> None:
    await Priced.save_many([Priced.new(f"{n:03}", price=n) for n in range(250)])
    (tmp_path / "0001_step.py").write_text(HEAD + CONVERT)
    (report,) = await upgrade(tmp_path)
    assert not report.done
    (one,) = await status(tmp_path)
    assert one.left == {"150": "ValueError"}
    await Priced.where(Priced.price == 150).update(price=151)
    (report,) = await upgrade(tmp_path)
    assert report.done
    prices = {one.price for one in await Priced.all()}
    assert prices == {1000 + n for n in range(250) if n != 150} | {1151}


async def test_a_model_moves_within_its_slot(clustered: Database, tmp_path: Path) -> None:
    await Mover.save_many([Mover.new(f"{n}", name="x") for n in range(3)])
    move = 'operations = [MoveModel(At("mover", tag="shop"), At("moved", tag="shop"))]'
    (tmp_path / "0001_step.py").write_text(HEAD + move)
    await upgrade(tmp_path)
    await downgrade(tmp_path)
    assert all(await Mover.get_many(["0", "1", "2"]))


async def test_adopt_looks_at_all_nodes(clustered: Database) -> None:
    with clustered.sync_client as client:
        raw: Any = client
        for tag in "abc":
            for n in range(30):
                raw.hset(f"{{{tag}}}p{tag}:{n}", mapping={"x": "w w"})
    found = await adopt(clustered)
    assert sorted(plan.base for plan in found.models) == ["{a}pa", "{b}pb", "{c}pc"]
