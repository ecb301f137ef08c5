"""Round trips of records that end, as a proxy counts them: each verb costs what docs/expiry.md says, in both colours."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, conf, session, sweep

from ..support.proxy import Proxy
from ..support.servers import Server

HOUR = dt.timedelta(hours=1)
PAST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


@conf(prefix="pass", ttl=HOUR)
class Pass(Model):
    token = String(unique=True)
    user = String(index=True)
    row = Integer(index=True)
    note = String()


@conf(prefix="saved", ttl=HOUR, sliding="save")
class Saved(Model):
    user = String(index=True)
    note = String()


@conf(prefix="slides", ttl=HOUR, sliding="load")
class Slides(Model):
    user = String(index=True)
    note = String()


KINDS: tuple[Any, ...] = (Pass, Saved, Slides)


async def warm_up() -> None:
    """Let this process and the server learn what they learn once: schema, rights, scripts. Ten records each."""
    for kind in KINDS:
        await kind.save_many([kind.new(str(i), user="ada") for i in range(10)])
        for _ in range(2):
            await kind.new("warm", user="warm").save()
            await kind.get("warm")
            await (kind.user == "warm").ids()
            await (kind.user == "warm").expire(60)
            await (kind.user == "warm").count()
            await kind.get_many(["1", "2"])
            await sweep(kind)
            handle = kind("warm")
            handle.note = "x"
            await handle.save()
            await handle.delete()
    await Pass.new("warm", token="w").save()
    for _ in range(2):
        await Pass.get_or_create(token="w", ttl=60)
        await Pass.update_or_create(token="w", defaults={"row": 1}, ttl=60)


def changed(kind: Any, **values: Any) -> Any:
    record = kind("1")
    for name, value in values.items():
        setattr(record, name, value)
    return record


VERBS: dict[str, tuple[Callable[[], Awaitable[Any]], list[str]]] = {
    "create": (lambda: Pass.new("new", token="n", user="bob").save(), ["EVALSHA"]),
    "save(ttl=)": (lambda: changed(Pass, row=2).save(ttl=60), ["EVALSHA"]),
    "save(ttl=) of nothing else": (lambda: Pass("1").save(ttl=60, mode="update"), ["EVALSHA"]),
    "save(ttl=None)": (lambda: changed(Pass, note="x").save(ttl=None), ["EVALSHA"]),
    "save of a fixed end": (lambda: changed(Pass, note="x").save(), ["EVALSHA"]),
    "save that slides": (lambda: changed(Saved, note="x").save(), ["EVALSHA"]),
    "get_or_create that creates": (lambda: Pass.get_or_create(token="m", ttl=60), ["EVALSHA"]),
    "get_or_create that gets": (lambda: Pass.get_or_create(token="w", ttl=60), ["EVALSHA"]),
    "update_or_create": (
        lambda: Pass.update_or_create(token="w", defaults={"row": 5}, ttl=60),
        ["EVALSHA"],
    ),
    "expire in a while": (lambda: Pass("1").expire(60), ["EVALSHA"]),
    "expire at once": (lambda: Pass("5").expire(PAST), ["EVALSHA"]),
    "persist": (lambda: Pass("1").persist(), ["EVALSHA"]),
    "touch": (lambda: Pass("1").touch(), ["EVALSHA"]),
    "ttl": (lambda: Pass("1").ttl(), ["PTTL", "ZSCORE", "TIME"]),
    "expires_at": (lambda: Pass("1").expires_at(), ["PTTL", "ZSCORE", "TIME"]),
    "get": (lambda: Pass.get("1"), ["HMGET"]),
    "get(touch=True)": (lambda: Pass.get("1", touch=True), ["EVALSHA", "HMGET"]),
    "load that slides": (lambda: Slides.get("1"), ["EVALSHA", "HMGET"]),
    "many loads that slide": (
        lambda: Slides.get_many([str(i) for i in range(12)]),
        ["EVALSHA", *["HMGET"] * 12],
    ),
    "find of a class that slides": (lambda: (Slides.user == "ada").ids(), ["EVALSHA", "HGET"]),
    "delete": (lambda: Pass("6").delete(), ["EVALSHA"]),
    "count": (lambda: (Pass.user == "ada").count(), ["EVALSHA", "HGET"]),
    "find": (lambda: (Pass.user == "ada").ids(), ["EVALSHA", "HGET"]),
    "sweep": (lambda: sweep(Pass), ["EVALSHA"]),
}


async def test_one_round_trip_each(proxied: Database, proxy: Proxy) -> None:
    await warm_up()
    for verb, (act, commands) in VERBS.items():
        with proxy.count() as count:
            await act()
        seen = [name.removesuffix("_RO") for name in count.commands]
        assert (count.trips, seen) == (1, commands), verb


async def test_many_loads_that_slide_are_one_with_a_script_per_hundred(
    proxied: Database, proxy: Proxy
) -> None:
    """One for all would keep everybody else waiting: 0.7 s of the server for 20,000."""
    await warm_up()
    ids = [f"many{number}" for number in range(250)]
    await Slides.save_many([Slides.new(id, user="bob") for id in ids], ttl=5)
    with proxy.count() as count:
        assert all(await Slides.get_many(ids))
    assert (count.trips, count.commands) == (1, ["EVALSHA"] * 3 + ["HMGET"] * 250)
    for id in ("many0", "many100", "many249"):
        assert (await Slides(id).ttl() or HOUR * 0) > dt.timedelta(minutes=30)


async def test_batches_and_queries(proxied: Database, proxy: Proxy) -> None:
    """Per hundred records; of a query, one more that reads."""
    await warm_up()
    records = [Pass.new(f"b{i}", user="bob", row=i) for i in range(250)]
    with proxy.count() as saved:
        await Pass.save_many(records, ttl=60)
    assert saved.trips == 3
    with proxy.count() as count:
        assert await (Pass.user == "bob").expire(60) == 250
    assert count.trips == 1 + 3
    with proxy.count() as count:
        assert await (Pass.user == "bob").persist() == 250
    assert count.trips == 1 + 3
    assert await (Pass.user == "bob").expire(PAST) == 250
    with proxy.count() as empty:
        assert await sweep(Pass) == 0  # what ends at once leaves nothing
    assert empty.trips == 1


async def test_a_sweep_is_one_per_hundred(proxied: Database, proxy: Proxy, server: Server) -> None:
    await warm_up()
    await Slides.save_many([Slides.new(f"b{i}", user="bob") for i in range(250)])
    await (Slides.user == "bob").expire(dt.timedelta(milliseconds=1))
    with server.client() as raw:
        left = over(raw, "slides")
    with proxy.count() as count:
        assert await sweep(Slides) == left
    assert count.trips == -(-left // 100)


def over(raw: Any, prefix: str) -> int:
    """How many records of "bob" wait for the sweep, once the clock has passed them all."""
    last = raw.zrange(f"{prefix}/t", 0, -1, withscores=True)
    end = max(score for id, score in last if id.startswith(b"b"))
    while milliseconds(raw) <= end:
        pass
    return int(raw.zcount(f"{prefix}/t", "-inf", f"({milliseconds(raw)}"))


def milliseconds(raw: Any) -> int:
    seconds, micros = raw.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def test_a_unit_of_work_is_one(proxied: Database, proxy: Proxy) -> None:
    await warm_up()
    with proxy.count() as count:
        async with session(autosave=True) as unit:
            for number in range(30):
                Pass.new(f"s{number}", user="new", row=number)
            unit.delete(Pass("2"))
            handle = Pass("3")
            handle.row = 7
    assert count.trips == 1
    assert await (Pass.user == "new").count() == 30


@conf(prefix="kept", cache=10)
class Kept(Model):
    note = String()


@conf(prefix="asked", cache=10, ttl=HOUR)
class Asked(Model):
    note = String()


@pytest.mark.asyncio_only
@pytest.mark.parametrize(("kind", "trips"), [(Kept, 0), (Asked, 1)])
async def test_no_memory_outlives_a_record(server: Server, db: Database, kind: Any, trips: int) -> None:
    """The first is the control: what does not end is read from memory."""
    await kind.new("1", note="x").save()
    other = Database(server.url)  # which has written nothing itself
    async with session(other):
        await kind.get("1")
    before = other.round_trips
    async with session(other):
        await kind.get("1")
    assert other.round_trips - before == trips
    await other.aclose()


async def test_control_expire_after_a_save_is_two(proxied: Database, proxy: Proxy) -> None:
    """The known-bad way: a save, then its end; another process may look in between."""
    await warm_up()
    with proxy.count() as count:
        await Pass.new("two", user="bob").save()
        await Pass("two").expire(60)
    assert count.trips == 2
