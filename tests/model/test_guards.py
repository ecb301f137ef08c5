"""Units with guards: what was loaded is compared, and what is required is judged in the call that writes."""

from __future__ import annotations

import datetime as dt
import decimal
import pickle
from typing import Any

import pytest

from aioredisca import (
    BulkError,
    Database,
    Date,
    DateTime,
    Decimal,
    Float,
    Gone,
    Integer,
    Model,
    NotLoaded,
    Query,
    StaleWrite,
    String,
    Tags,
    UsageError,
    conf,
    session,
)

from ..support.drift import drift


class Order(Model):
    status = String(index=True)
    note = String()
    total = Integer(index=True)


class Part(Model):
    order = String(index=True)
    count = Integer()


@conf(optimistic=True)
class Careful(Model):
    name = String()
    size = Integer(index=True)


@conf(optimistic="record")
class Strict(Model):
    name = String()
    size = Integer(index=True)


async def test_a_guarded_session_compares_what_it_changes_with_what_it_loaded(db: Database, raw: Any) -> None:
    await Order.new("1", status="open", note="a", total=1).save()
    async with session(if_unchanged=True) as unit:
        order = await Order.get("1")
        raw.hset("order:1", "note", "theirs")  # another field: no matter
        order.total = 2
        await unit.flush()
        other = Part.new("1", count=1)
        order.note = "mine"
        with pytest.raises(StaleWrite) as caught:
            await unit.flush()
        error = caught.value
        assert (error.model, error.id, error.fields, error.required) == ("Order", "1", ("note",), False)
        assert error.instance is order
        assert not raw.exists("part:1")
        assert {*unit.dirty} == {order, other}
        await order.reload()
        assert order.note == "mine"
        await unit.flush()
    assert raw.hget("order:1", "note") == b"mine"
    assert raw.exists("part:1")
    async with session() as unit:  # the control: without a guard the last one wins
        order = await Order.get("1")
        raw.hset("order:1", "note", "theirs")
        order.note = "over it"
        await unit.flush()
    assert raw.hget("order:1", "note") == b"over it"
    assert drift(raw, [Order, Part]) == []


async def test_what_nothing_meets_refuses_all_though_it_names_no_field(db: Database, raw: Any) -> None:
    await Order.new("1", status="open", total=1).save()
    nothing = ~Order.all()
    for condition in (nothing, (Order.total == 1) & nothing, nothing | (Order.total > 5) | (Order.total < 0)):
        async with session() as unit:
            order = await Order.get("1")
            order.note = "mine"
            unit.require(order, condition)
            with pytest.raises(StaleWrite, match="is not as required") as caught:
                await unit.flush()
            assert len({*caught.value.fields}) == len(caught.value.fields)
            unit.discard()
    assert raw.hget("order:1", "note") is None


async def test_what_writes_a_record_by_itself_asks_what_is_required_of_it(db: Database, raw: Any) -> None:
    """The flush would find what that has written, and refuse it."""

    async def save(order: Order) -> None:
        order.total = 2
        await order.save()

    async def save_many(order: Order) -> None:
        order.total = 2
        await Order.save_many([order])

    writes = (save, save_many, lambda order: order.incr(Order.total), lambda order: order.delete())
    for write in writes:
        for theirs in (False, True):
            await Order.new("1", status="open", total=1).save(mode="upsert")
            async with session(autosave=True) as unit:
                order = await Order.get("1")
                unit.require_unchanged(order)
                if theirs:
                    raw.hset("order:1", "note", "theirs")
                    with pytest.raises((StaleWrite, BulkError)):
                        await write(order)
                    assert raw.hget("order:1", "total") == b"1"
                    with pytest.raises(StaleWrite):  # it waits with the changes
                        await unit.flush()
                    unit.discard()
                else:
                    await write(order)
                    assert unit.dirty == ()
            raw.hdel("order:1", "note")
    assert drift(raw, [Order]) == []


async def test_record_compares_all_fields_and_deletes_too(db: Database, raw: Any) -> None:
    await Order.save_many([Order.new(str(i), status="open", total=1) for i in range(3)])
    async with session(if_unchanged="record") as unit:
        order, going, handle = await Order.get("0"), await Order.get("1"), Order("2")
        raw.hset("order:0", "note", "theirs")
        order.total = 2
        with pytest.raises(StaleWrite) as caught:
            await unit.flush()
        assert caught.value.fields == ("note",)
        unit.discard()
        raw.hset("order:1", "note", "theirs")
        unit.delete(going)
        with pytest.raises(StaleWrite) as caught:
            await unit.flush()
        assert caught.value.instance is going
        unit.discard()
        unit.delete(handle)  # nothing was loaded of it to compare with
        await unit.flush()
    assert (raw.exists("order:1"), raw.exists("order:2")) == (1, 0)
    assert drift(raw, [Order]) == []


async def test_a_class_may_be_guarded_on_every_save(db: Database, raw: Any) -> None:
    await Careful.new("1", name="a", size=1).save()
    await Strict.new("1", name="a", size=1).save()
    careful, strict = await Careful.get("1"), await Strict.get("1")
    raw.hset("careful:1", "name", "theirs")
    raw.hset("strict:1", "name", "theirs")
    careful.size = strict.size = 2
    await careful.save()
    with pytest.raises(StaleWrite):
        await strict.save()
    careful.name = "mine"
    for refused in (careful.save(), Careful.save_many([careful])):
        with pytest.raises((StaleWrite, Exception), match="changed by somebody else in name"):
            await refused
    async with session() as unit:
        mine = await Strict.get("1")
        raw.hset("strict:1", "name", "once more")
        mine.size = 3
        with pytest.raises(StaleWrite):
            await unit.flush()
        unit.discard()
    await careful.save(if_unchanged=False)
    assert raw.hget("careful:1", "name") == b"mine"
    handle = Careful("1")
    handle.name = "blind"
    with pytest.raises(NotLoaded, match="load\\(\\) first"):
        await handle.save()
    assert await Careful.where(Careful.size == 2).update(size=7) == 1  # judged by the server: no guard
    assert drift(raw, [Careful, Strict]) == []


async def test_what_is_required_is_judged_where_it_is_written(db: Database, raw: Any) -> None:
    await Order.new("1", status="open", total=5).save()
    await Part.new("0").save()
    async with session() as unit:
        order, part = await Order.get("1"), Part.new("1", order="1", count=2)
        unit.require(order, Order.status == "open", Order.total >= 3)
        raw.hset("order:1", "total", 3)  # another value, and still as it is required
        await unit.flush()
        assert raw.exists("part:1")
        part.count = 3
        unit.require(order, Order.status == "open", Order.total > 3, Order.note.is_none())
        with pytest.raises(StaleWrite, match="is not as required in total") as caught:
            await unit.flush()
        error = caught.value
        assert (error.id, error.fields, error.required, error.instance) == ("1", ("total",), True, order)
        assert pickle.loads(pickle.dumps(error)).required
        assert raw.hget("part:1", "count") == b"2"
        raw.hset("order:1", "total", 9)
        before = db.round_trips
        await unit.flush()  # it is still required, and met now
        assert db.round_trips == before + 1
        assert raw.hget("part:1", "count") == b"3"
        raw.hset("order:1", "status", "gone")
        part.count = 4
        await unit.flush()  # what was required held for one flush


async def test_what_is_written_may_be_required_as_it_was(db: Database, raw: Any) -> None:
    await Order.save_many([Order.new("1", status="open"), Order.new("2", status="open")])
    async with session() as unit:
        first, second = Order("1"), Order("2")  # nothing was loaded
        unit.require(first, Order.status == "open")
        first.status = "paid"
        unit.require(second, Order.status == "open")
        unit.delete(second)
        await unit.flush()
        assert (raw.hget("order:1", "status"), raw.exists("order:2")) == (b"paid", 0)
        unit.require(first, Order.status == "open")
        first.status = "sent"
        with pytest.raises(StaleWrite):
            await unit.flush()
        unit.discard()
        unit.require(second)  # that it is there
        first.status = "sent"
        with pytest.raises(Gone) as caught:
            await unit.flush()
        assert caught.value.instance is second
        assert first.getdiff() == {"status": "sent"}
    assert raw.hget("order:1", "status") == b"paid"
    assert drift(raw, [Order]) == []


async def test_a_record_may_be_required_to_stay_as_it_was_loaded(db: Database, raw: Any) -> None:
    await Order.new("1", status="open", note="n").save()
    async with session() as unit:
        order = await Order.get("1")
        unit.require_unchanged(order, Order.status, Order.total)
        raw.hset("order:1", "note", "other")
        Part.new("1")
        await unit.flush()
        unit.require_unchanged(order)
        Part.new("2")
        with pytest.raises(StaleWrite) as caught:
            await unit.flush()
        assert caught.value.fields == ("note",)
        assert not raw.exists("part:2")
        with pytest.raises(NotLoaded):
            unit.require_unchanged(Order("7"))


class Thing(Model):
    whole = Integer()
    ranged = Integer(index=True)
    money = Decimal(places=2, index=True)
    loose = Decimal()
    real = Float()
    day = Date()
    moment = DateTime()
    text = String(index="sorted")
    tags = Tags()


D = decimal.Decimal
LATE = dt.datetime(2024, 3, 1, 12, 0, 0, 250000, dt.UTC)

CONDITIONS: dict[str, tuple[Query[Thing], Query[Thing]]] = {
    "equals": (Thing.whole == -5, Thing.whole == 5),
    "in": (Thing.text.in_(["x", "mid"]), Thing.text.in_(["x", "y"])),
    "none": (Thing.day.not_none(), Thing.day.is_none()),
    "not": (Thing.text != "x", Thing.text != "mid"),
    "whole": (Thing.ranged.between(10**15, 10**15 + 7), Thing.ranged < 10**15),
    "negative": ((Thing.ranged > -1) & (Thing.ranged > -(10**15)), Thing.ranged < -1),
    "money": (Thing.money.between(D("1.05"), D("1.50")), Thing.money > D("1.49")),
    "half units": (Thing.money > D("1.485"), Thing.money > D("1.495")),
    "loose": (Thing.loose > D("12345678901234567890.0"), Thing.loose > D("12345678901234567890.2")),
    "real": (Thing.real > 1e-8, Thing.real >= 1e16),
    "day": (Thing.day <= dt.date(2024, 2, 29), Thing.day > dt.date(2024, 2, 29)),
    "moment": (Thing.moment < LATE, Thing.moment > LATE),
    "text": (Thing.text.between("mi", "mie"), Thing.text < "mid"),
    "prefix": (Thing.text.startswith("mi"), Thing.text.startswith("x")),
    "tags": (Thing.tags.has_any(["z", "a"]), Thing.tags.has_all(["z", "a"])),
    "tree": (
        ((Thing.whole == 1) | (Thing.whole == -5)) & ~(Thing.text == "x"),
        ~((Thing.whole == 1) | (Thing.whole == -5)),
    ),
}


@pytest.mark.parametrize("name", CONDITIONS)
async def test_every_condition_is_judged_as_a_query_judges_it(db: Database, name: str) -> None:
    held = {
        "whole": -5,
        "ranged": 10**15 + 7,
        "money": "1.49",
        "loose": "12345678901234567890.1",
        "real": 1.5e-7,
        "day": "2024-02-29",
        "moment": LATE - dt.timedelta(microseconds=1),
        "text": "mid",
        "tags": {"a", "b"},
    }
    await Thing.new("1", **held).save()
    met, unmet = CONDITIONS[name]
    assert (await met.scan().count(), await unmet.scan().count()) == (1, 0)
    async with session() as unit:
        thing = Thing("1")
        unit.require(thing, met)
        await unit.flush()
        unit.require(thing, unmet)
        with pytest.raises(StaleWrite):
            await unit.flush()


async def test_what_cannot_be_required_is_refused_before_any_io(db: Database) -> None:
    class Odd(Integer):
        def score(self, value: int) -> str:
            return str(-value)

    @conf(ttl=60)
    class Own(Model):
        odd = Odd(index=True)

    async with session() as unit:
        own, order = Own("1"), Order("1")
        before = db.round_trips
        with pytest.raises(UsageError, match="does not know the order"):
            unit.require(own, Own.odd > 1)
        with pytest.raises(UsageError, match="expires_at is no field"):
            unit.require(own, Own.expires_at.is_none())
        with pytest.raises(UsageError, match="does not fit"):
            unit.require(order, Part.count == 1)  # type: ignore[misc]
        with pytest.raises(UsageError, match="made of columns"):
            unit.require(order, True)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="without limit"):
            unit.require(order, (Order.total == 1).limit(1))
        with pytest.raises(UsageError, match="is not saved yet"):
            unit.require(Order.new("9"), Order.total == 1)
        with pytest.raises(UsageError, match="does not belong"):
            unit.require(Order.__mapper__.detached("1"), Order.total == 1)
        with pytest.raises(UsageError, match=r"require_unchanged\(\) takes columns of Order"):
            unit.require_unchanged(order, "total")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="is True, 'record' or False"):
            session(if_unchanged="some")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="optimistic"):
            conf(optimistic="some")  # type: ignore[arg-type]
        assert db.round_trips == before
        unit.discard()
