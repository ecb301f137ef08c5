"""conf(cache=n): loads from memory, right under own and foreign writes, off where the server does not track."""

from __future__ import annotations

import asyncio
import gc
import random
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import hiredis
import pytest

from aioredisca import (
    Database,
    DriverMisuse,
    Integer,
    Model,
    NotFound,
    Reference,
    StaleWrite,
    String,
    UsageError,
    conf,
    session,
)
from aioredisca.drivers.aio import tracking
from aioredisca.drivers.aio.tracking import ClientCache, TrackedConnection
from aioredisca.drivers.run import run
from aioredisca.types import CacheRegion, Call

from ..support.drift import drift
from ..support.patience import becomes, until
from ..support.proxy import Proxy
from ..support.servers import Server

pytestmark = pytest.mark.asyncio_only


class Country(Model):
    name = String()


@conf(cache=1000)
class User(Model):
    name = String(index=True)
    age = Integer()
    country = Reference(Country)


@conf(cache=3)
class Few(Model):
    name = String()


class Plain(Model):
    name = String()


def trips(db: Database) -> Callable[[], int]:
    before = db.round_trips
    return lambda: db.round_trips - before


async def named(id: str) -> str | None:
    return (await User.get(id)).name


# -- what is held ----------------------------------------------------------------------------------


async def test_a_second_load_is_no_round_trip(server: Server, db: Database) -> None:
    await User.save_many([User.new(str(i), name=f"n{i}", age=i) for i in range(3)])
    count = trips(db)
    assert (await User.get("1")).export() == {"name": "n1", "age": 1}
    assert (count(), db.cached) == (1, {"user": 1})
    first, second = await User.get("1"), await User.get(1)
    assert first is not second
    assert (first.name, (await User("1")).age, (await User.get_many(["1"]))[0].name) == ("n1", 1, "n1")  # type: ignore[union-attr]
    assert count() == 1
    assert [user.age for user in await User.get_many(["0", "1", "2"]) if user] == [0, 1, 2]
    assert (count(), db.cached) == (2, {"user": 3})
    await Plain.new("1", name="x").save()
    await Plain.get("1")
    assert db.cached == {"user": 3}


async def test_what_was_loaded_is_nobody_elses(server: Server, db: Database) -> None:
    await User.new("1", name="n").save()
    first = await User.get("1")
    first.name = "changed"
    first["extra"] = "x"
    assert await named("1") == "n"
    assert first.getdiff() == {"name": "changed", "extra": "x"}


async def test_those_used_last_stay(server: Server, db: Database) -> None:
    await Few.save_many([Few.new(str(i), name="n") for i in range(5)])
    for id in ("0", "1", "2", "0", "3"):
        await Few.get(id)
    assert db.cached == {"few": 3}
    count = trips(db)
    for id in ("2", "0", "3"):
        await Few.get(id)
    assert count() == 0
    await Few.get("1")
    assert (count(), db.cached) == (1, {"few": 3})


async def test_that_there_is_no_record_is_held_too(server: Server, db: Database) -> None:
    await User.new("0", name="n").save()
    for _ in range(3):
        with pytest.raises(NotFound):
            await User.get("1")
    count = trips(db)
    assert not await User("1")
    assert count() == 0
    await User.new("1", name="now").save()
    assert await named("1") == "now"


async def test_queries_and_reload_ask_the_server(server: Server, db: Database) -> None:
    await User.new("1", name="n").save()
    user = await User.get("1")
    await (User.name == "n")  # the server learns the script
    count = trips(db)
    await (User.name == "n")
    assert count() == 1
    await user.reload()
    assert count() == 2


async def test_in_a_session_and_by_prefetch(server: Server, db: Database) -> None:
    @conf(cache=5)
    class Land(Model):
        name = String()

    class Town(Model):
        land = Reference(Land)

    await Land.new("fi", name="Finland").save()
    await Town.save_many([Town.new(str(i), land="fi") for i in range(3)])
    await Land.get("fi")
    await Town.all()  # the server learns the script
    count = trips(db)
    async with session(db):
        one, other = await Land.get("fi"), await Land("fi")
        assert one is other
    towns = await Town.all().prefetch("land")
    assert [town.land.name for town in towns if town.land] == ["Finland"] * 3
    assert count() == 1  # the query


# -- writes ----------------------------------------------------------------------------------------


async def test_ones_own_writes_are_seen_at_once(server: Server, db: Database) -> None:
    await User.new("1", age=0).save()
    for number in range(1, 500):
        user = await User.get("1")
        assert user.age == number - 1
        user.age = number
        await user.save()
        assert (await User.get("1")).age == number
    await user.delete()
    with pytest.raises(NotFound):
        await User.get("1")


async def test_every_way_to_write_is_seen_at_once(server: Server, db: Database) -> None:
    await User.new("1", name="a", age=1).save()

    async def seen() -> tuple[str | None, int | None]:
        user = await User.get("1")
        return user.name, user.age

    assert await seen() == ("a", 1)
    await (await User.get("1")).incr(User.age, 5)
    assert await seen() == ("a", 6)
    await (User.name == "a").update(name="b")
    assert await seen() == ("b", 6)
    async with session(db, autosave=True):
        (await User.get("1")).age = 7
    assert await seen() == ("b", 7)
    await User.save_many([User("1")])
    async with session(db, autosave=True):
        (await User.get("1")).name = "c"
    assert await seen() == ("c", 7)
    await (User.name == "c").delete()
    assert not await User("1")


async def test_foreign_writes_are_seen_a_moment_later(server: Server, db: Database, raw: Any) -> None:
    await User.new("1", name="a").save()
    for number in range(100):
        await User.get("1")
        raw.hset("user:1", "name", f"n{number}")
        await becomes(lambda: named("1"), f"n{number}")
    raw.delete("user:1")
    await becomes(lambda: there("1"), False)
    raw.hset("user:1", mapping={"name": "back", "_": ""})
    await becomes(lambda: there("1"), True)
    assert await named("1") == "back"
    raw.flushall()
    await becomes(lambda: there("1"), False)


async def there(id: str) -> bool:
    return bool(await User(id))


async def test_a_stale_copy_is_told_and_a_new_try_reads_anew(server: Server, db: Database, raw: Any) -> None:
    await User.new("1", age=0).save()

    async def count() -> None:
        while True:
            user = await User.get("1")
            user.age = (user.age or 0) + 1
            try:
                await user.save(if_unchanged=[User.age])
            except StaleWrite:
                continue
            return

    await asyncio.gather(*(count() for _ in range(30)))
    assert raw.hget("user:1", "age") == b"30"


async def test_many_readers_and_writers_never_see_time_run_backwards(
    server: Server, db: Database, raw: Any
) -> None:
    """Two databases, as two processes: what one task has seen of a counter, it never sees less of."""
    ids = [str(i) for i in range(5)]
    await User.save_many([User.new(id, age=0) for id in ids])
    other = Database(server.url)
    until, reads = time.monotonic() + 1.5, 0

    def enough() -> bool:
        return reads > 1000 and time.monotonic() > until

    async def write(database: Database) -> None:
        dice = random.Random(id(database))
        async with session(database):
            while not enough():
                user = User.__mapper__.detached(dice.choice(ids))
                await user.incr(User.age, 1)
                await asyncio.sleep(0)

    async def read(database: Database) -> None:
        nonlocal reads
        seen = dict.fromkeys(ids, 0)
        while not enough():
            for one in ids:
                async with session(database):
                    age = (await User.get(one)).age or 0
                assert age >= seen[one]
                seen[one] = age
                reads += 1
            await asyncio.sleep(0)

    work = [write(db), write(other), *(read(each) for each in (db, other) for _ in range(10))]
    await asyncio.gather(*work)
    for database in (db, other):
        for one in ids:
            await becomes(partial(age_in, database, one), int(raw.hget(f"user:{one}", "age")))
    await other.aclose()
    assert drift(raw, [User]) == []


async def age_in(database: Database, id: str) -> int | None:
    async with session(database):
        return (await User.get(id)).age


# -- the race --------------------------------------------------------------------------------------


def held_after(order: bytes, *, expected: bool = True) -> Any:
    """What is held of a key after *order* came in one packet: the reply and the word that it is out of date."""
    held, call = ClientCache(), Call(("HMGET", "user:1", "name"), cache_region=CacheRegion("user", 10))
    held.connection = cast_line(held)
    if expected:
        held.expect([call])
    steps = {b"r": lambda: held.keep(call, [b"old"]), b"i": lambda: held.forget([b"user:1"])}
    for step in order:
        steps[bytes([step])]()
    assert call.cache_region
    return held.get(call.cache_region, "user:1")


def cast_line(held: ClientCache) -> Any:
    return type("Line", (), {"silent": lambda self: False})()


def test_a_reply_is_held_until_it_is_out_of_date() -> None:
    assert held_after(b"r") == [b"old"]
    assert held_after(b"ri") is None
    assert held_after(b"ir") is None  # an own write was answered meanwhile
    assert held_after(b"r", expected=False) is None


@pytest.mark.parametrize("late", [False, True], ids=["as it is", "control: kept by whoever awaits it"])
async def test_reply_and_invalidation_in_one_packet(
    server: Server, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    await User.new("1", name="old").save()
    with pytest.raises(NotFound):
        await User.get("nobody")  # connects
    if late:
        monkeypatch.setattr(TrackedConnection, "_kept", _keeping_late)
    packets = list[bytes]()
    receive = TrackedConnection.data_received
    monkeypatch.setattr(TrackedConnection, "data_received", lambda self, data: packets.append(data))
    load = asyncio.create_task(named("1"))
    await until(lambda: bool(packets))
    raw.hset("user:1", "name", "new")
    await until(lambda: b"invalidate" in packets[-1])
    monkeypatch.setattr(TrackedConnection, "data_received", receive)
    line = transport_of(db)._cache.connection
    line.data_received(b"".join(packets))
    assert await load == "old"  # it was true when it was read
    await asyncio.sleep(0.01)
    assert await named("1") == ("old" if late else "new")


def transport_of(db: Database) -> Any:
    return db.transport()


def _keeping_late(self: Any, replies: Iterable[Any]) -> Iterator[Any]:
    """The known-bad way: what a task awaits is put into memory when that task goes on."""
    for reply in replies:
        if isinstance(reply, hiredis.PushNotification):
            self._hear(reply)
            continue
        (call,) = self._sent[0].calls
        self._sent[0].future.add_done_callback(partial(_keep, self._cache, call, reply))
        yield reply


def _keep(held: ClientCache, call: Call, reply: Any, _: Any) -> None:
    held.expect([call])
    held.keep(call, reply)


async def test_a_save_that_is_cancelled_is_forgotten_before_its_task_goes_on(
    server: Server, db: Database, raw: Any
) -> None:
    """The known-bad way: to forget when the answer comes, which nobody waits for any more."""
    user = await User.new("1", name="old").save()
    assert await named("1") == "old"
    held = transport_of(db)._cache
    user.name = "new"
    raw.client_pause(60_000, all=False)  # no write is answered meanwhile
    try:
        task = asyncio.create_task(user.save())
        await until(lambda: len(transport_of(db)._connection._sent) == 1)
        assert held.sizes() == {"user": 1}
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert held.sizes() == {"user": 0}
    finally:
        raw.client_unpause()


# -- when nothing is told --------------------------------------------------------------------------


async def test_a_lost_connection_takes_along_what_was_read(server: Server, db: Database, raw: Any) -> None:
    await User.new("1", name="a").save()
    await User.get("1")
    for number in range(20):
        raw.client_kill_filter(_type="normal", skipme=True)
        raw.hset("user:1", "name", f"n{number}")
        await becomes(lambda: named("1"), f"n{number}")


async def test_after_a_silence_the_next_load_asks_the_server(
    proxy: Proxy, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "LEASE", 600)
    await User.new("1", name="a").save()
    await User.get("1")
    count = trips(db)
    await User.get("1")
    assert count() == 0
    monkeypatch.setattr(tracking, "LEASE", 0.01)
    await asyncio.sleep(0.02)
    await User.get("1")
    assert count() == 1


@pytest.mark.parametrize("transport", ["public", "pool", "memory"])
async def test_other_transports_hold_nothing(server: Server, transport: Any) -> None:
    memory = transport == "memory"
    await holds_nothing(Database("memory://") if memory else Database(server.url, transport=transport))


async def holds_nothing(database: Database) -> None:
    async with session(database):
        await User.new("1", name="a").save()
    for _ in range(3):
        async with session(database):
            before = database.round_trips
            assert await named("1") == "a"
            assert database.round_trips > before
    assert database.cached == {}
    await database.aclose()


async def test_a_user_who_may_not_track_loads_as_ever(server: Server, raw: Any) -> None:
    raw.acl_setuser(
        "reader", enabled=True, passwords=["+x"], keys=["*"], categories=["+@all"], commands=["-client"]
    )
    try:
        await holds_nothing(Database(server.url.replace("redis://", "redis://reader:x@")))
    finally:
        raw.acl_deluser("reader")


def test_blocking_code_holds_nothing(server: Server, db: Database) -> None:
    run(User.new("1", name="a").save())
    before = db.round_trips
    for _ in range(3):
        assert run(User.get("1")).name == "a"
    assert db.round_trips - before == 3
    assert db.cached == {}


def test_without_a_driver_the_mistake_is_named(server: Server, db: Database) -> None:
    with pytest.raises(DriverMisuse):
        User.get("1").send(None)


# -- connections -----------------------------------------------------------------------------------


async def test_a_thousand_cancelled_loads_leave_nothing_expected(server: Server, db: Database) -> None:
    await User.save_many([User.new(str(i), name="n") for i in range(50)])
    loads = [asyncio.create_task(named(str(i % 50))) for i in range(1000)]
    await asyncio.sleep(0)
    for load in loads[::2]:
        load.cancel()
    await asyncio.gather(*loads, return_exceptions=True)
    held = transport_of(db)._cache
    assert held._expected == {}
    assert {await named(str(i)) for i in range(50)} == {"n"}


async def test_a_dropped_database_closes_both_connections(server: Server) -> None:
    before = server.clients()

    async def use() -> None:
        database = Database(server.url)
        async with session(database):
            await User.new("1", name="a").save()
            await named("1")
        assert len(server.clients() - before) == 2

    await use()
    await until(lambda: gc.collect() >= 0 and server.clients() <= before)


@pytest.mark.parametrize("wrong", [-1, True, "many", 1.5])
def test_a_size_that_is_none_is_refused(wrong: Any) -> None:
    with pytest.raises(UsageError, match=r"conf\(cache="):
        conf(cache=wrong)
