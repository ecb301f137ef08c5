"""examples/shop under buyers that race: nothing is sold that is not there, and each order is paid once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from aioredisca import Database, OutOfBounds, StaleWrite, session
from examples.shop.app import create_app
from examples.shop.checkout import check_out, pay
from examples.shop.models import Account, Order, Payment, Product

from ..support.drift import drift

BUYERS = 50
CART = {"a": 1, "b": 2, "c": 1}
STOCK = {"a": 30, "b": 45, "c": 22}  # b and c run out: 22 carts can be sold


async def open_shop() -> None:
    await Product.save_many([Product.new(id, name=id, price=10, stock=STOCK[id]) for id in STOCK])


async def sold() -> Counter[str]:
    """How many of each product the lines of all orders name."""
    found = Counter[str]()
    for order in await Order.all():
        for line in await order.lines.range():
            id, _, count = line.partition("*")
            found[id] += int(count)
    return found


@pytest.mark.asyncio_only
async def test_fifty_buyers_buy_what_is_there(db: Database) -> None:
    await open_shop()

    async def buy(n: int) -> str:
        try:
            order, created = await check_out(f"key{n}", f"buyer{n}", CART)
            again, twice = await check_out(f"key{n}", f"buyer{n}", CART)
            assert (again.id, created, twice) == (order.id, True, False)
            return order.id
        except OutOfBounds:
            return ""

    orders = [id for id in await asyncio.gather(*(buy(n) for n in range(BUYERS))) if id]
    assert len(orders) == len({*orders}) == await Order.all().count() == 22
    left = {product.id: product.stock for product in await Product.all()}
    assert left == {"a": 8, "b": 1, "c": 0}
    assert await sold() == {id: STOCK[id] - left[id] for id in STOCK}
    assert drift(db.sync_client, [Product, Order]) == []


@pytest.mark.asyncio_only
async def test_the_naive_checkout_sells_what_is_not_there(db: Database) -> None:
    """The control: read, decide, assign. The test above would find it out."""
    await open_shop()

    async def buy(n: int) -> None:
        async with session(autosave=True) as unit:
            Order.new(key=f"key{n}", buyer="b", total=0)
            for id, count in CART.items():
                product = await Product.get(id)
                await asyncio.sleep(0)
                if product.stock < count:
                    unit.discard()
                    return
                product.stock -= count

    await asyncio.gather(*(buy(n) for n in range(BUYERS)))
    left = (await Product.get("c")).stock
    assert await Order.all().count() > STOCK["c"] - left


@pytest.mark.asyncio_only
async def test_an_order_is_paid_once(db: Database) -> None:
    await open_shop()
    await Account.new("ada", balance=100).save()
    order, _ = await check_out("key", "ada", CART)
    results = await asyncio.gather(*(pay(order.id) for _ in range(20)), return_exceptions=True)
    assert results.count(True) == 1
    assert all(one in (True, False) or isinstance(one, StaleWrite) for one in results)
    assert ((await Account.get("ada")).balance, await Payment.all().count()) == (60, 1)

    async def naive(id: str) -> None:  # the control: all who have seen it pending take the money
        async with session(autosave=True):
            found = await Order.get(id)
            if found.status == "pending":
                found.status = "paid"
                await Account(found.buyer).incr(Account.balance, -found.total)

    other, _ = await check_out("other", "ada", {"a": 1})
    await asyncio.gather(*(naive(other.id) for _ in range(5)))
    assert (await Account.get("ada")).balance < 50


@pytest.fixture
def web(db: Database) -> Iterator[TestClient]:
    with TestClient(create_app(db)) as client:
        yield client


@pytest.mark.memory_only
@pytest.mark.asyncio_only
def test_the_shop_over_http(web: TestClient) -> None:
    made = web.post("/products", json={"name": "tea", "price": 3, "stock": 2}).json()
    shown = web.get(f"/products/{made['id']}")
    tag = shown.headers["ETag"]
    path = f"/products/{made['id']}"
    assert web.patch(path, json={"price": 4}).status_code == 428
    assert web.patch(path, json={"price": 4}, headers={"If-Match": '"other"'}).status_code == 412
    assert web.patch(path, json={"price": 4}, headers={"If-Match": f'"x", {tag}'}).json()["price"] == 4
    assert web.patch(path, json={"price": 5}, headers={"If-Match": tag}).status_code == 412
    assert web.get(path).headers["ETag"] != tag
    cart = {"buyer": "ada", "lines": {made["id"]: 2}}
    first = web.post("/orders", json=cart, headers={"Idempotency-Key": "1"})
    again = web.post("/orders", json=cart, headers={"Idempotency-Key": "1"})
    assert (first.status_code, again.status_code, again.json()["id"]) == (201, 200, first.json()["id"])
    assert first.json()["total"] == 8
    assert web.post("/orders", json=cart, headers={"Idempotency-Key": "2"}).status_code == 409
    assert web.get(path).json()["stock"] == 0
    assert web.post(f"/orders/{first.json()['id']}/payment").status_code == 409  # there is no account
