"""What a session counts and adds: with all its changes or not at all, and once. And blocks that run again."""

from __future__ import annotations

import asyncio
import decimal
from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import (
    Counter,
    Database,
    Decimal,
    Gone,
    Integer,
    ListOf,
    Model,
    OutcomeUnknown,
    OutOfBounds,
    Reference,
    SetOf,
    SortedSet,
    StaleWrite,
    String,
    UniqueViolation,
    UsageError,
    ValidationError,
    WrongType,
    conf,
    retry_on_conflict,
    session,
    sync,
)

from ..support.drift import drift
from ..support.proxy import Proxy

D = decimal.Decimal


@conf(index=[("kind", "stock")], unique=[("kind", "rank")])
class Product(Model):
    name = String(unique=True)
    kind = String(index=True)
    stock = Integer(index=True, minval=0)
    rank = Integer(unique=True)
    price = Decimal(places=2, index=True)
    sold = Integer()
    log = ListOf(String())
    last = ListOf(String(), maxlen=2)
    buyers = SetOf(String())
    best = SortedSet(String())
    views = Counter()


class Order(Model):
    product = Reference(Product, on_delete="cascade", index=True)
    count = Integer()
    lines = ListOf(String())


@conf(ttl=60)
class Hits(Model):
    n = Integer(index=True, maxval=100)
    of = String(index=True)
    seen = ListOf(String())


@conf(partitions=4)
class Spread(Model):
    name = String(unique=True)
    stock = Integer(index=True, minval=0)
    number = Integer(unique=True)
    log = ListOf(String())


def product(id: str = "1", **more: Any) -> Product:
    return Product.new(id, **{"name": id, "kind": "a", "stock": 5, "rank": 1, "price": "1.50", **more})


async def test_deltas_ride_in_the_flush_and_the_instances_learn_of_them(db: Database, raw: Any) -> None:
    await product().save()
    async with session() as unit:
        one = await Product.get("1")
        raw.hset("product:1", "sold", "7")  # what is stored counts, not what was loaded
        order = Order.new("1", product=one, count=2)
        one.kind = "b"  # the compound index moves along with the number
        unit.incr(one, Product.stock, -2, min=0)
        unit.incr(one, Product.sold, 1)
        unit.incr(one, Product.sold)
        unit.incr(one, Product.rank, 3)
        unit.incr(one, Product.price, D("0.25"))
        unit.append(one, Product.log, "x", "y")
        unit.append(one, Product.last, "x", "y", "z")
        unit.add(one, Product.buyers, "ada")
        unit.set_scores(one, Product.best, {"ada": 2.5, "bob": 1})
        unit.incr(one, Product.views, 4)
        unit.append(order, Order.lines, "first")
        assert (one.stock, {*unit.dirty}) == (5, {one, order})
        await unit.flush()
        assert (one.stock, one.sold, one.rank, one.price) == (3, 9, 4, D("1.75"))
        assert (unit.dirty, one.getdiff()) == ((), {})
        assert (await one.log.range(), await one.last.range()) == (["x", "y"], ["y", "z"])
        assert (await one.buyers.members(), await one.best.top(2)) == ({"ada"}, [("ada", 2.5), ("bob", 1)])
        assert (await one.views.get(), await order.lines.range()) == (4, ["first"])
        before = db.round_trips
        await unit.flush()
        assert db.round_trips == before  # nothing is left of it
    assert await Product.where(Product.kind == "b", Product.stock.between(3, 3)).ids() == ["1"]
    assert drift(raw, [Product, Order]) == []


async def test_a_delta_that_is_refused_refuses_all_and_waits(db: Database, raw: Any) -> None:
    await Product.save_many([product(), product("2", stock=1, rank=2)])
    async with session() as unit:
        one, two = Product("1"), Product("2")
        Order.new("1", product=one)
        unit.incr(one, Product.stock, -1)
        unit.append(one, Product.log, "x")
        unit.incr(two, Product.stock, -2)  # the field has minval=0
        with pytest.raises(OutOfBounds) as caught:
            await unit.flush()
        assert (caught.value.instance, caught.value.field, caught.value.value) == (two, "stock", 1)
        assert raw.hget("product:1", "stock") == b"5"
        assert not raw.exists("order:1", "product/l/log/1")
        unit.incr(two, Product.stock, 1)  # they are one from now on: -1
        await unit.flush()
        assert (one.stock, two.stock, await one.log.range()) == (4, 0, ["x"])
        unit.incr(one, Product.stock, 1)
        unit.append(one, Product.log, "y")
        unit.discard()
        unit.incr(two, Product.stock, 1)
        two.revert()
        assert unit.dirty == ()
        await unit.flush()
        with pytest.raises(OutOfBounds):
            await two.incr(Product.stock, -1)  # the verb at once: it does not wait for a flush
        assert unit.dirty == ()
        unit.incr(two, Product.rank, 2 - 3)
        with pytest.raises(UniqueViolation):
            await unit.flush()
        unit.discard()
    assert raw.lrange("product/l/log/1", 0, -1) == [b"x"]
    assert drift(raw, [Product, Order]) == []


async def test_what_is_set_deleted_new_or_gone_is_not_counted(db: Database, raw: Any) -> None:
    await Product.save_many([product(), product("2", rank=2)])
    async with session() as unit:
        one, two, new = await Product.get("1"), await Product.get("2"), product("3", rank=3)
        one.stock = 9
        with pytest.raises(UsageError, match="has a change that is not saved"):
            unit.incr(one, Product.stock)
        one.revert()
        unit.incr(one, Product.stock)
        one.stock = 9
        with pytest.raises(UsageError, match="is set and counted in one flush"):
            await unit.flush()
        assert one.getdiff() == {"stock": 9}
        one.revert()
        with pytest.raises(UsageError, match="is not saved yet"):
            unit.incr(new, Product.stock)
        unit.incr(two, Product.stock)
        unit.append(two, Product.log, "x")
        unit.delete(two)  # what was to be counted goes with it
        with pytest.raises(UsageError, match="is to be deleted"):
            unit.append(two, Product.log, "y")
        await unit.flush()
        assert not raw.exists("product:2", "product/l/log/2")
        any_unit: Any = unit  # what checkers refuse as well
        asks: list[Callable[[], None]] = [
            lambda: unit.incr(two, Product.stock),
            lambda: unit.append(two, Product.log, "x"),
        ]
        for ask in asks:
            ask()
            with pytest.raises(Gone):
                await unit.flush()
            unit.discard()
        wrong: list[tuple[Callable[[], None], str]] = [
            (lambda: any_unit.incr(one, Product.name), "counts Integer"),
            (lambda: any_unit.incr(one, Order.count), "takes a column of Product"),
            (lambda: unit.append(one, Order.lines, "x"), "takes a ListOf of Product"),
            (lambda: any_unit.add(one, Product.log, "x"), "takes a SetOf of Product"),
            (lambda: unit.append(one, Product.log), "1 to 1,000 values"),
            (lambda: any_unit.incr(one, Product.views, 1, min=0), "has no bounds"),
            (lambda: any_unit.append(one, Product.name, "x"), "takes a ListOf of Product"),
            (lambda: any_unit.incr(one, Product.log), "not <ListOf log>"),
            (lambda: unit.incr(one, Product.stock, min=5, max=1), "no number lies within"),
            (lambda: unit.incr(one, Product.stock, max=-1), "no number lies within"),  # of minval=0
            (lambda: any_unit.incr(Product, Product.stock), "takes a record, as in .* and not Product"),
            (lambda: any_unit.incr("1", Product.stock), "takes a record, as in .* and not str"),
        ]
        for refused, reason in wrong:
            with pytest.raises(UsageError, match=reason):
                refused()
        bad: list[Callable[[], None]] = [
            lambda: unit.set_scores(one, Product.best, {"a": float("nan")}),
            lambda: unit.incr(one, Product.views, 10**18),
            lambda: any_unit.append(one, Product.log, None),
        ]
        for refused in bad:
            with pytest.raises(ValidationError):
                refused()
        assert unit.dirty == ()
    assert drift(raw, [Product, Order]) == []


async def test_collections_of_another_type_and_counters_that_are_full_stop_the_flush(
    db: Database, raw: Any
) -> None:
    await product().save()
    raw.set("product/l/log/1", "foreign")
    async with session() as unit:
        one = Product("1")
        one.kind = "b"
        unit.append(one, Product.log, "x")
        with pytest.raises(WrongType):
            await unit.flush()
        assert raw.hget("product:1", "kind") == b"a"
        unit.discard()
        raw.set("product/l/views/1", str(10**18))
        one.kind = "b"
        unit.incr(one, Product.views)
        with pytest.raises(OutOfBounds):
            await unit.flush()
        assert raw.hget("product:1", "kind") == b"a"
        unit.discard()
        raw.set("product/l/views/1", str(1 - 10**18))  # 18 digits, whatever the sign
        unit.incr(one, Product.views)
        await unit.flush()
        assert await one.views.get() == 2 - 10**18


async def test_several_counts_are_one_that_is_exact_or_refused(db: Database, raw: Any) -> None:
    await product(rank=-(2**53)).save()
    most = 10**18 - 1
    raw.set("product/l/views/1", most)
    async with session() as unit:
        one = await Product.get("1")
        one.kind = "b"
        unit.incr(one, Product.rank, 2**53)
        unit.incr(one, Product.rank, 2**53 - 1)  # together no double: it would end at 2**53
        with pytest.raises(ValidationError, match="rank: is counted in one flush by more") as caught:
            await unit.flush()
        assert caught.value.instance is one
        unit.incr(one, Product.rank, 1 - 2**53)
        for _ in range(10):
            unit.incr(one, Product.views, most)  # ten of them overflow 64 bits
        with pytest.raises(ValidationError, match="views: is counted in one flush by more"):
            await unit.flush()
        assert raw.hget("product:1", "kind") == b"a"
        for _ in range(9):
            unit.incr(one, Product.views, -most)
        await unit.flush()
        assert (one.rank, await one.views.get()) == (0, 2 * most)
    assert drift(raw, [Product]) == []


async def test_what_a_delete_takes_along_gets_no_collection(db: Database, raw: Any) -> None:
    await product().save()
    await Order.new("1", product=Product("1"), count=1).save()
    async with session() as unit:
        order = await Order.get("1")
        unit.append(order, Order.lines, "x")
        unit.incr(order, Order.count)
        unit.delete(Product("1"))
        await unit.flush()
    assert raw.keys("order*") == [b"order/meta"]
    assert drift(raw, [Product, Order]) == []


async def test_over_partitions_guards_and_deltas_are_carried_too(db: Database, raw: Any) -> None:
    await Spread.save_many([Spread.new(str(n), name=str(n), stock=3, number=n) for n in range(6)])
    async with session() as unit:
        for n in range(6):
            one = await Spread.get(str(n))
            unit.require(one, Spread.stock >= 3)
            unit.incr(one, Spread.stock, -1)
            unit.incr(one, Spread.number, 100)
            unit.append(one, Spread.log, "x")
            one.name = f"n{n}"
        await unit.flush()
        assert (one.stock, one.number, await one.log.range()) == (2, 105, ["x"])
        unit.require(one, Spread.stock >= 3)
        unit.incr(one, Spread.stock, -1)
        with pytest.raises(StaleWrite):
            await unit.flush()
        unit.discard()
    assert sorted([one.number or 0 async for one in Spread.all()]) == [100, 101, 102, 103, 104, 105]
    assert [one.id for one in await Spread.number.find(103)] == ["3"]
    assert drift(raw, [Spread]) == []


async def test_records_that_end_are_counted_while_they_live(db: Database, raw: Any) -> None:
    hits = await Hits.new("1", n=1).save()
    raw.pexpire("hits:1", 60_000)
    async with session() as unit:
        one = await Hits.get("1")
        unit.incr(one, Hits.n)
        unit.append(one, Hits.seen, "x")
        unit.require(one, Hits.n == 1)
        await unit.flush()
        assert one.n == 2
        await hits.expire(0.001)
        await asyncio_sleep(0.02, db)
        unit.incr(one, Hits.n)
        unit.append(one, Hits.seen, "y")
        with pytest.raises(Gone):
            await unit.flush()
        unit.discard()
    assert not raw.exists("hits:1")
    assert drift(raw, [Hits]) == []


async def asyncio_sleep(seconds: float, db: Database) -> None:
    await db.transport().sleep(seconds)


# -- by id, in one trip ----------------------------------------------------------------------------


async def test_a_count_by_id_is_one_round_trip_created_or_not(db: Database, raw: Any) -> None:
    await Hits.upsert("0", incr={Hits.n: 1})
    await Hits.upsert("0", incr={Hits.n: 1})
    before = db.round_trips
    first = await Hits.upsert("1", incr={Hits.n: 1}, of="page", ttl=100)
    again = await Hits.upsert("1", incr={Hits.n: 2})
    assert db.round_trips == before + 2
    assert (first.n, first.of, first.loaded(), again.n) == (1, "page", True, 3)
    assert raw.hgetall("hits:1") == {b"n": b"3", b"of": b"page"}
    assert 60_000 < raw.pttl("hits:1") <= 100_000
    handle = Hits("2")
    with pytest.raises(Gone):
        await handle.incr(Hits.n)
    assert (await handle.incr(Hits.n, create=True), await handle.incr(Hits.n, create=True)) == (1, 2)
    assert (handle.n, await Hits.where(Hits.n >= 2).ids()) == (2, ["0", "2", "1"])
    with pytest.raises(OutOfBounds):
        await Hits.upsert("1", incr={Hits.n: 100}, of="other")
    assert raw.hget("hits:1", "of") == b"page"
    with pytest.raises(UsageError, match="is set and counted"):
        await Hits.upsert("1", incr={Hits.n: 1}, n=3)
    with pytest.raises(UsageError, match="takes columns with numbers"):
        await Hits.upsert("1", incr=[Hits.n])  # type: ignore[arg-type]
    await Spread.upsert("9", incr={Spread.stock: 2, Spread.number: 7}, name="nine")
    assert [one.stock for one in await Spread.number.find(7)] == [2]
    async with session() as unit:
        known = await Hits.get("1")
        known.of = "mine"
        assert await Hits.upsert("1", incr={Hits.n: 1}) is known
        assert (known.n, known.of) == (4, "mine")
        unit.delete(known)
        with pytest.raises(UsageError, match="is to be deleted"):
            await Hits.upsert("1", incr={Hits.n: 1})
        unit.discard()
    assert drift(raw, [Hits, Spread]) == []


async def test_get_or_create_by_id(db: Database, raw: Any) -> None:
    one, created = await Hits.get_or_create(id="1", defaults={"n": 1})
    assert (one.id, one.n, created) == ("1", 1, True)
    found, created = await Hits.get_or_create(id="1", defaults={"n": 9})
    assert (found.n, created) == (1, False)
    before = db.round_trips
    updated, created = await Hits.update_or_create(id="1", defaults={"n": 9})
    assert (updated.n, created, db.round_trips - before <= 2) == (9, False, True)
    for n in (1, 2):
        spread, created = await Spread.update_or_create(id="s", defaults={"name": "s", "stock": n})
        assert (spread.stock, created) == (n, n == 1)
    assert not (await Spread.get_or_create(id="s", defaults={"name": "t"}))[1]
    with pytest.raises(UsageError, match="by its id alone"):
        await Spread.get_or_create(id="s", name="s")
    raw.set("hits:7", "foreign")
    with pytest.raises(WrongType):
        await Hits.get_or_create(id="7")
    raw.delete("hits:7")
    assert drift(raw, [Hits, Spread]) == []


# -- nobody knows ----------------------------------------------------------------------------------


async def test_after_no_answer_a_unit_that_counts_is_not_sent_again(proxied: Database, proxy: Proxy) -> None:
    await product().save()
    async with session() as unit:
        one = await Product.get("1")
        unit.incr(one, Product.stock, -1)
        await unit.flush()
        proxy.lose_next_reply()
        unit.incr(one, Product.stock, -1)
        with pytest.raises(OutcomeUnknown, match="may count or add twice"):
            await unit.flush()
        with pytest.raises(UsageError, match="discard\\(\\) what waits"):
            await unit.flush()
        unit.discard()
        unit.incr(one, Product.stock, -1)
        await unit.flush()
        assert one.stock == 2  # all three were made


# -- again -----------------------------------------------------------------------------------------


async def test_a_block_runs_again_until_nobody_was_faster(db: Database, raw: Any) -> None:
    await product(stock=0, sold=0).save()

    async def buy() -> None:
        async for attempt in retry_on_conflict(100):
            async with attempt:
                one = await Product.get("1")
                one.sold = (one.sold or 0) + 1

    for _ in range(2):
        await buy()
    if db.transport().__class__.__module__.startswith("aioredisca.drivers.aio"):
        await asyncio.gather(*(buy() for _ in range(10)))
        assert (await Product.get("1")).sold == 12

        async def naive() -> None:  # the control: without a guard changes are lost
            async with session(autosave=True):
                one = await Product.get("1")
                await asyncio.sleep(0)
                one.sold = (one.sold or 0) + 1

        await asyncio.gather(*(naive() for _ in range(10)))
        assert ((await Product.get("1")).sold or 0) < 22
    else:
        assert (await Product.get("1")).sold == 2


async def test_attempts_end_with_the_last_refusal_or_any_other_error(db: Database, raw: Any) -> None:
    await product(sold=0).save()
    made = 0
    with pytest.raises(StaleWrite):
        async for attempt in retry_on_conflict(3):
            async with attempt as unit:
                made += 1
                one = await Product.get("1")
                raw.hincrby("product:1", "sold", 1)
                one.sold = 9
    assert (made, raw.hget("product:1", "sold")) == (3, b"3")
    for error in (ZeroDivisionError, OutOfBounds):
        made = 0
        with pytest.raises(error):
            async for attempt in retry_on_conflict():
                async with attempt as unit:
                    made += 1
                    one = await Product.get("1")
                    unit.incr(one, Product.stock, -9)
                    assert made / (0 if error is ZeroDivisionError else 1)
        assert made == 1
    with pytest.raises(UsageError, match="enter each attempt"):
        async for _ in retry_on_conflict():
            pass
    for wrong in (0, 101, True, "5"):
        with pytest.raises(UsageError, match="makes 1 to 100 attempts"):
            retry_on_conflict(wrong)  # type: ignore[arg-type]


async def test_a_block_that_is_left_by_return_tells_what_it_did_not_save(db: Database, raw: Any) -> None:
    await product(sold=0).save()

    async def sell(steal: bool) -> None:
        async for attempt in retry_on_conflict():
            async with attempt:
                one = await Product.get("1")
                one.sold = (one.sold or 0) + 1
                if steal:
                    raw.hset("product:1", "sold", 9)
                return

    await sell(steal=False)
    with pytest.warns(RuntimeWarning, match="nothing of the block was saved"):
        await sell(steal=True)
    assert raw.hget("product:1", "sold") == b"9"


class Plain(sync.Model):
    n = sync.Integer(index=True)
    log = sync.ListOf(sync.String())


@pytest.mark.blocking_only
async def test_blocking_code_has_all_of_it(db: Database, raw: Any) -> None:
    Plain.new("1", n=1).save()
    made = 0
    for attempt in sync.retry_on_conflict(5):
        with attempt as unit:
            made += 1
            one = Plain.get("1")
            unit.require(one, Plain.n >= 1)
            unit.append(one, Plain.log, "x")
            if made < 3:
                raw.hincrby("plain:1", "n", 1)
            one.n = (one.n or 0) + 1
    assert (made, raw.hget("plain:1", "n"), Plain("1").log.range()) == (3, b"4", ["x"])
    with sync.session(if_unchanged=True) as unit:
        one = Plain.get("1")
        unit.incr(one, Plain.n, 2)
        unit.flush()
        assert one.n == 6
    assert Plain.upsert("2", incr={Plain.n: 1}).n == 1
