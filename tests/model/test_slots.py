"""Models in a cluster: a tag for each or for several, units of work by slot, and what needs one slot is refused."""

from __future__ import annotations

from typing import Any

import pytest
from redis.exceptions import ResponseError

from aioredisca import (
    Conflict,
    Database,
    Integer,
    Model,
    NotIndexed,
    OutcomeUnknown,
    Reference,
    StoreError,
    String,
    UniqueViolation,
    UsageError,
    ValidationError,
    conf,
    reindex,
    session,
)
from aioredisca.compiler import loads
from aioredisca.drivers.aio.pool import PoolTransport
from aioredisca.persistence import bulk, by_slots, executor, readiness

from ..support.drift import drift
from ..support.slots import judge_slots

pytestmark = [pytest.mark.memory_only, pytest.mark.one_node]  # they make a cluster of their own


class Stock(Model):
    name = String(unique=True)
    count = Integer(index=True)


class Order(Model):
    stock = Reference(Stock, index=True)
    number = Integer(unique=True)


class Bill(Model):
    number = Integer(unique=True)


@conf(tag="shop")
class Shelf(Model):
    name = String(unique=True)


@conf(tag="shop")
class Item(Model):
    shelf = Reference(Shelf, index=True, on_delete="cascade")
    name = String(index=True)


@pytest.fixture
def judged(url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Database:
    judge_slots(monkeypatch)
    db: Database = request.getfixturevalue("db")
    return db


# -- tags ------------------------------------------------------------------------------------------


async def test_each_model_has_a_tag_of_its_own_in_a_cluster(judged: Database, raw: Any) -> None:
    order = await Order.new("{x}1", number=1).save()
    assert order.getkey() == "{order}:{x}1"
    assert {key.partition(b"}")[0] for key in raw.keys("*")} == {b"{order"}
    assert await Order.number.find(1) == [order]
    assert drift(raw, [Order]) == []


async def test_a_tag_stands_before_the_prefix(db: Database, raw: Any) -> None:
    """On any store: what has grown on one node goes to a cluster as it is."""
    shelf = await Shelf.new("1", name="upper").save()
    await Item.new("2", shelf=shelf, name="}{").save()
    assert (shelf.getkey(), Shelf.getprefix()) == ("{shop}shelf:1", "shelf")
    assert {key.partition(b":")[0].partition(b"/")[0] for key in raw.keys("*")} == {
        b"{shop}shelf",
        b"{shop}item",
    }
    assert drift(raw, [Shelf, Item]) == []
    assert await Shelf("1").delete()
    assert not await Item("2").exists()


async def test_without_a_tag_no_model_is_used_in_a_cluster(judged: Database) -> None:
    @conf(tag=False)
    class Loose(Model):
        name = String()

    before = judged.round_trips
    with pytest.raises(UsageError, match=r"Loose: .*leave tag=False out.*tag=\"shop\""):
        await Loose.new("1").save()
    with pytest.raises(UsageError, match=r"Loose: "):
        await Loose.get("1")
    assert judged.round_trips == before


@pytest.mark.parametrize("tag", ["", "a{b", "a}", "a/b", "a*", "a b", "x" * 129, 1, "\0", "\udc80"])
def test_a_tag_is_a_plain_text(tag: Any) -> None:
    with pytest.raises(UsageError, match=r"conf\(tag="):
        conf(tag=tag)


async def test_prefixes_that_meet_are_refused_behind_a_tag_too(db: Database) -> None:
    @conf(prefix="shop", tag=True)
    class Shop(Model):
        name = String()

    @conf(prefix=":x", tag="shop")
    class Under(Model):
        name = String()

    @conf(prefix="usr", tag="shop")
    class Beside(Model):
        name = String()

    await Shop.new("1", name="a").save()
    await Beside.new("1", name="a").save()
    with pytest.raises(UsageError, match="a key could belong to either"):
        await Under.new("1", name="a").save()


# -- one call, one slot ----------------------------------------------------------------------------


async def test_control_one_call_over_two_slots_is_refused(judged: Database, raw: Any) -> None:
    """What a node of a cluster refuses, and what the others of these tests rest on."""
    with pytest.raises(ResponseError, match="touches"):
        raw.delete("{order}:1", "{bill}:1")
    with pytest.raises(ResponseError, match="touches"):
        raw.eval("return redis.call('EXISTS', '{bill}:1')", 1, "{order}:1")
    assert raw.delete("{shop}item:1", "{shop}shelf:1") == 0


async def test_a_flush_over_several_slots_takes_one_call_for_each(judged: Database, raw: Any) -> None:
    await Stock.new("1", name="tea", count=9).save()
    await Order.new("0", number=0).save()
    async with session(autosave=True) as unit:
        order = Order.new("1", number=1, stock="1")
        stock = await Stock.get("1")
        stock.count = 8
        Bill.new("1", number=1)
        unit.delete(Order("0"))
        assert len(unit.dirty) == 4
    assert (await Stock.get("1")).count == 8
    assert (await Bill.get("1")).number == 1
    assert await Order.all() == [order]
    assert drift(raw, [Stock, Order, Bill]) == []


async def test_the_slots_come_in_the_order_in_which_the_work_was_given(judged: Database) -> None:
    await Bill.save_many([Bill.new("taken", number=7), Bill.new("old", number=1)])
    await Stock.new("1", name="tea").save()
    async with session() as unit:
        unit.delete(await Stock.get("1"))
        Bill.new("1", number=7)
        order = Order.new("1", number=1)
        with pytest.raises(UniqueViolation) as caught:
            await unit.flush()
        error = caught.value
        assert (error.written, error.unwritten) == ((("Stock", "1"),), (("Bill", "1"), ("Order", "1")))
        assert error.__notes__ == [
            "one call for each slot: written Stock('1'); not written Bill('1'), Order('1')"
        ]
        assert unit.dirty == (error.instance, order)
        assert not await Stock("1").exists()
        assert not await Order("1").exists()
        error.instance.number = 8
        await unit.flush()
        assert not unit.dirty
    assert (await Bill.get("1")).number == 8
    assert await Order("1").exists()


async def test_a_delete_that_came_last_is_carried_out_last(judged: Database) -> None:
    await Stock.new("1", name="tea").save()
    await Bill.new("taken", number=7).save()
    async with session() as unit:
        stock = await Stock.get("1")
        stock.count = 3
        Bill.new("1", number=7)
        unit.delete(stock)
        with pytest.raises(UniqueViolation) as caught:
            await unit.flush()
        assert (caught.value.written, caught.value.unwritten) == ((), (("Bill", "1"), ("Stock", "1")))
        assert await Stock("1").exists()


async def test_what_one_slot_refuses_alone_is_written_nowhere_before_it_is_sent(judged: Database) -> None:
    """What this side sees is seen before the first call."""

    class Whole(Model):
        name = String(required=True)

    before = judged.round_trips
    async with session() as unit:
        Order.new("1", number=1)
        Whole.new("1")
        with pytest.raises(ValidationError, match="required"):
            await unit.flush()
        assert len(unit.dirty) == 2
    assert judged.round_trips == before


@pytest.mark.asyncio_only
async def test_of_a_call_without_an_answer_nobody_says_that_it_was_not_written(
    judged: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in (Order, Bill, Stock):
        await model.new("0").save()
    send_all = PoolTransport.send_all
    calls = list[Any]()

    async def lost(self: Any, some: Any) -> Any:
        replies = await send_all(self, some)
        calls.extend(some)
        if len(calls) == 2:
            raise OutcomeUnknown("no answer came")
        return replies

    async with session() as unit:
        Order.new("1", number=1)
        Bill.new("1", number=1)
        stock = Stock.new("1", name="x")
        monkeypatch.setattr(PoolTransport, "send_all", lost)
        with pytest.raises(OutcomeUnknown) as caught:
            await unit.flush()
        assert (caught.value.written, caught.value.unwritten) == ((("Order", "1"),), (("Stock", "1"),))
        assert stock in unit.dirty
        await unit.flush()  # settles it
    assert len(calls) == 4
    assert await Bill("1").exists()
    assert await Stock("1").exists()


async def test_a_flush_over_slots_sends_no_delete_that_cannot_spread(
    judged: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in one slot: who refers is looked at before, and what is behind it waits."""
    sent = list[str]()
    send = executor._all_sent

    async def noted(store: Any, several: Any) -> Any:
        sent.extend(change.schema.model for prepared in several for _, change in prepared.begun)
        return await send(store, several)

    monkeypatch.setattr(executor, "_all_sent", noted)
    await Shelf.new("1", name="upper").save()
    raw.hset("{shop}item:1", mapping={"shelf": "1", "name": "of others"})  # no index knows of it
    sent.clear()
    async with session() as unit:
        Bill.new("1", number=1)
        unit.delete(Shelf("1"))
        Order.new("1", number=1)
        with pytest.raises(NotIndexed, match="reindex"):
            await unit.flush()
        assert sent == ["Bill"]
        assert await Shelf("1").exists()
        await reindex(Item)
        await unit.flush()
    assert sent == ["Bill", "Shelf", "Order"]
    assert drift(raw, [Shelf, Item, Bill, Order]) == []


@pytest.mark.parametrize("what", ["flush", "bulk"])
async def test_controls_without_a_call_for_each_slot_it_is_refused(
    judged: Database, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """As it was before, and is on one node."""

    class Lot(Stock):
        pass

    for model in (Stock, Lot, Order, Bill):
        await model.new("0").save()
    if what == "flush":
        monkeypatch.setattr(by_slots, "is_apart", lambda store, begun: False)
        with pytest.raises(StoreError, match="touches"):
            async with session(autosave=True):
                Order.new("1", number=1)
                Bill.new("1", number=1)
    else:
        monkeypatch.setattr(bulk, "_by_slot", lambda store, records: [records])
        with pytest.raises(StoreError, match="touches"):
            await Stock.save_many([Stock.new("1"), Lot.new("1")])


async def test_models_of_one_tag_are_one_call(judged: Database) -> None:
    async with session(autosave=True):
        Item.new("0", name="x")
        Shelf.new("0", name="taken")
    async with session() as unit:
        Item.new("1", name="x")
        Shelf.new("1", name="taken")
        before = judged.round_trips
        with pytest.raises(Conflict) as caught:
            await unit.flush()
        assert judged.round_trips == before + 1
        assert (caught.value.written, caught.value.unwritten) == ((), ())
    assert not await Item("1").exists()


async def test_bulk_writes_of_a_family_go_slot_by_slot(judged: Database, raw: Any) -> None:
    class Animal(Model):
        name = String(unique=True)

    class Dog(Animal):
        pass

    both = [kind.new(f"{number}", name=f"{number}") for number in range(5) for kind in (Animal, Dog)]
    await Animal.save_many(both, batch=4)
    assert (await Animal.all().count(), await Dog.all().count()) == (5, 5)
    assert await Animal.delete_many(both) == 10
    assert drift(raw, [Animal, Dog]) == []


async def test_references_to_other_slots_are_loaded_and_prefetched(
    judged: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of the calls loads records of two classes, as that of one node does."""
    made, classes = loads.records_call, list[int]()

    def counted(wanted: Any, read_from: Any) -> Any:
        classes.append(len(wanted))
        return made(wanted, read_from)

    monkeypatch.setattr(readiness, "records_call", counted)
    await Stock.new("1", name="tea").save()
    await Shelf.new("1", name="upper").save()

    class Line(Model):
        order = Reference(Order)
        stock = Reference(Stock)
        shelf = Reference(Shelf)

    await Order.new("1", number=1, stock="1").save()
    await Line.save_many([Line.new(f"{n}", order="1", stock="1", shelf="1") for n in range(3)])
    lines = await Line.all().prefetch("order.stock", "stock", "shelf")
    assert [line.stock.name for line in lines if line.stock] == ["tea"] * 3
    order, shelf = lines[0].order, lines[2].shelf
    assert order is not None
    assert order.stock is not None
    assert shelf is not None
    assert (order.stock.name, shelf.name) == ("tea", "upper")
    assert {*classes} <= {1}
    monkeypatch.setattr(Database, "clustered", property(lambda self: False))
    await Line.all().prefetch("order", "stock", "shelf")
    assert max(classes) == 3


# -- what needs one slot ---------------------------------------------------------------------------


async def test_on_delete_across_slots_is_refused_at_first_use(judged: Database) -> None:
    class Parent(Model):
        name = String()

    class Child(Model):
        parent = Reference(Parent, index=True, on_delete="cascade")

    before = judged.round_trips
    cure = r'Child\.parent: on_delete= needs both classes in one slot: give Child and Parent one tag, as in @conf\(tag="shop"\)'
    with pytest.raises(UsageError, match=cure):
        await Child.new("1", parent="1").save()
    with pytest.raises(UsageError, match=cure):
        await Child.get("1")
    with pytest.raises(UsageError, match=cure):
        await Parent("1").delete()
    assert judged.round_trips == before
    await Parent.new("1", name="x").save()


async def test_check_across_slots_is_refused_at_first_use(judged: Database) -> None:
    class Bought(Model):
        stock = Reference(Stock, check=True)

    before = judged.round_trips
    with pytest.raises(UsageError, match=r"Bought\.stock refers to another slot.*one tag.*check=False"):
        await Bought.new("1").save()
    assert judged.round_trips == before


async def test_behind_one_tag_both_are_kept(judged: Database, raw: Any) -> None:
    await Shelf.new("1", name="upper").save()
    await Item.save_many([Item.new("1", shelf="1"), Item.new("2", shelf="1")])
    with pytest.raises(ValidationError, match="not stored"):
        await Item.new("3", shelf="none").save()
    assert await Shelf("1").delete()
    assert await Item.all().count() == 0
    assert drift(raw, [Shelf, Item]) == []
