"""Round trips as a proxy sees them: what one operation costs, on a real server, in both colours."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import Database, session

from ..support.models import User
from ..support.proxy import Count, Proxy


async def warm_up() -> None:
    """Let this process and the server learn what they learn once: schema, rights, scripts."""
    await User.new("warm", email="warm@x.yz", name="warm", age=1).save()
    await User.all().ids()
    await (User.name == "warm")
    await (User.age == 1)
    await User.name.choice("warm")
    await User.age.range(1, 2, 0, 1)  # in an order
    await User("warm").delete()


async def ten(db: Database) -> None:
    await warm_up()
    await User.save_many([User.new(str(i), email=f"{i}@x.yz", name=f"n{i % 2}", age=i) for i in range(10)])


def one(count: Count, *commands: str) -> None:
    assert (count.trips, count.commands) == (1, [*commands])


async def test_writes_of_one_record_are_one_round_trip_each(proxied: Database, proxy: Proxy) -> None:
    await warm_up()
    with proxy.count() as create:
        user = await User.new("1", email="a@x.yz", name="Ada", age=3).save()
    one(create, "EVALSHA")
    user.email, user.name, user.age = "b@x.yz", "Bob", 4
    with proxy.count() as update:
        await user.save(if_unchanged="record")
    one(update, "EVALSHA")
    with proxy.count() as upsert:
        handle = User("2")
        handle.name = "Eve"
        await handle.save()
    one(upsert, "EVALSHA")
    with proxy.count() as delete:
        assert await user.delete()
    one(delete, "EVALSHA")


async def test_reads_of_records_are_one_round_trip_each(proxied: Database, proxy: Proxy) -> None:
    await ten(proxied)
    with proxy.count() as get:
        await User.get("3")
    one(get, "HMGET")
    with proxy.count() as awaited:
        await User("3")
    one(awaited, "HMGET")
    with proxy.count() as whole:
        await User("3").load(raw=True)
    one(whole, "HGETALL")
    with proxy.count() as exists:
        assert await User("3").exists()
    one(exists, "EXISTS")
    with proxy.count() as many:
        assert len(await User.get_many([str(i) for i in range(12)])) == 12
    assert (many.trips, many.commands) == (1, ["HMGET"] * 12)


async def test_queries_are_one_round_trip_each(proxied: Database, proxy: Proxy) -> None:
    await ten(proxied)
    queries: list[tuple[str, Any, int]] = [
        ("find by an exact index", lambda: User.name.find("n1"), 5),
        ("find by a unique value", lambda: User.email.find("3@x.yz"), 1),
        ("a condition", lambda: User.name == "n0", 5),
        ("None", lambda: User.name == None, 0),  # noqa: E711
        ("range", lambda: User.age.range(2, 6), 5),
        ("a page of a range", lambda: User.age.range(2, 6, 1, 2), 2),
        ("an open range", lambda: User.age > 3, 6),
        ("equality by a range index", lambda: User.age == 3, 1),
        ("all", lambda: User.all(), 10),
        ("a slice of all", lambda: User.all()[2:4], 2),
        ("ids", lambda: User.all().ids(), 10),
        ("choice", lambda: User.name.choice("n1", 3), 3),
    ]
    for name, query, rows in queries:
        with proxy.count() as count:
            assert len(await query()) == rows, name
        assert (count.trips, len(count.commands), count.commands[-1]) == (1, 2, "HGET"), name


async def test_counting_and_asking_are_one_round_trip_each(proxied: Database, proxy: Proxy) -> None:
    await ten(proxied)
    with proxy.count() as exact:
        assert await (User.name == "n0").count() == 5
    one(exact, "SCARD", "HGET")
    with proxy.count() as between:
        assert await (User.age >= 4).count() == 6
    one(between, "ZCOUNT", "HGET")
    with proxy.count() as everything:
        assert await User.all().count() == 10
    one(everything, "ZCARD", "HGET")
    for ask in ((User.name == "n0").exists, (User.name == "n0").first, (User.email == "3@x.yz").one):
        with proxy.count() as count:
            assert await ask()
        assert count.trips == 1


async def test_nothing_changed_is_no_round_trip(proxied: Database, proxy: Proxy) -> None:
    await ten(proxied)
    async with session():
        user = await User.get("3")
        with proxy.count() as count:
            await user.save()
            user.age = user.age
            await user.save()
            await user.load()
            await User.get("3")
            await User.save_many([user])
            await User.get_many(["3"])
            assert await User.all().limit(0) == []
    assert count.trips == 0


async def test_a_batch_is_one_round_trip_per_hundred(proxied: Database, proxy: Proxy) -> None:
    await warm_up()
    users = [User.new(str(i), name="x", age=i) for i in range(250)]
    with proxy.count() as saved:
        await User.save_many(users)
    assert saved.trips == 3
    with proxy.count() as deleted:
        assert await User.delete_many(users, batch=125) == 250
    assert deleted.trips == 2


async def test_a_unit_of_work_is_one_round_trip(proxied: Database, proxy: Proxy) -> None:
    await ten(proxied)
    with proxy.count() as count:
        async with session(autosave=True) as unit:
            for number in range(20, 70):
                User.new(str(number), name="new", age=number)
            for number in range(5):
                unit.delete(User(str(number)))
            handle = User("7")
            handle.age = 700
    assert count.trips == 1
    assert await User.all().count() == 10 + 50 - 5
    assert (await User.get("7")).age == 700


async def test_more_than_a_page_is_one_round_trip_per_thousand(proxied: Database, proxy: Proxy) -> None:
    await warm_up()
    await User.save_many([User.new(f"{i:04}", name="x", age=i) for i in range(2500)], batch=1000)
    for query in (User.all(), User.age >= 0):
        with proxy.count() as count:
            assert len(await query) == 2500
        assert count.trips == 3


async def test_what_a_process_must_learn_is_learned_once(
    proxied: Database, proxy: Proxy, driver: str
) -> None:
    await User.new("1", name="x").save()
    other = Database(proxy.url)
    with proxy.count() as first:
        async with session(other):
            await User.new("2", name="x").save()
    with proxy.count() as second:
        async with session(other):
            await User.new("3", name="x").save()
    other.close() if driver == "blocking" else await other.aclose()
    assert second.trips == 1
    assert first.trips == 2  # the probe, then the write: the server knows both scripts already


async def test_the_database_counts_what_the_proxy_counts(proxied: Database, proxy: Proxy) -> None:
    with proxy.count() as count:
        await ten(proxied)  # with the first scripts, which are sent twice
        await User.age.range(2, 6)
    assert proxied.round_trips == count.trips


@pytest.mark.parametrize("number", [1, 10])
async def test_control_a_loop_over_ids_is_seen_as_many_trips(
    proxied: Database, proxy: Proxy, number: int
) -> None:
    """The known-bad way: one load per id."""
    await ten(proxied)
    with proxy.count() as count:
        for i in range(number):
            await User.get(str(i))
    assert count.trips == number
