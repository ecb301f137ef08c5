"""reindex: nobody sees less while it runs or when it is cut short, and what it leaves out it tells."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioredisca import (
    AlreadyRunning,
    Database,
    Email,
    Integer,
    Model,
    NotIndexed,
    RediscaError,
    String,
    Tags,
    UniqueViolation,
    WrongType,
    conf,
    reindex,
)
from aioredisca.drivers.run import run
from aioredisca.maintenance import sweeping
from aioredisca.maintenance.lease import LASTS, Lease
from aioredisca.persistence import asking
from aioredisca.types import Call

from ..support.drift import drift

STABLE = 105
LONG = "x" * 600


def live(db: Database | None = None) -> Any:
    """A class with every kind of index; with a Database of its own it stands for another process."""

    @conf(prefix="live", unique=[("owner", "slug")], index=[("country", "age")])
    class Live(Model):
        email = Email(unique=True)
        city = String(index=True)
        age = Integer(index=True)
        name = String(index="sorted")
        tags = Tags(index=True)
        owner = String()
        slug = String()
        country = String(index=True, required=True)

    return conf(db=db)(Live) if db else Live


def stable(model: Any) -> list[Any]:
    """Records that nobody changes."""
    return [
        model.new(
            f"s{i}",
            email=f"s{i}@x.xx",
            city="Rome" if i % 2 else LONG,
            age=i % 10,
            name=f"name{i % 3}",
            tags={"all", f"t{i % 4}"},
            owner="o",
            slug=str(i),
            country="FI",
        )
        for i in range(STABLE)
    ]


async def shortfalls(model: Any) -> list[str]:
    """The questions whose answer lacks a stable record, or has one that does not belong there."""
    asked: dict[str, tuple[Any, Callable[[int], bool]]] = {
        "city": (model.city == "Rome", lambda i: i % 2 == 1),
        "long": (model.city == LONG, lambda i: i % 2 == 0),
        "age": (model.age >= 8, lambda i: i % 10 >= 8),
        "name": (model.name == "name1", lambda i: i % 3 == 1),
        "tags": (model.tags.has("t2"), lambda i: i % 4 == 2),
        "pair": ((model.country == "FI") & model.age.between(3, 4), lambda i: i % 10 in (3, 4)),
        "together": ((model.owner == "o") & (model.slug == "7"), lambda i: i == 7),
        "email": (model.email == "s9@x.xx", lambda i: i == 9),
        "all": (model.all(), lambda i: True),
    }
    found = list[str]()
    for name, (query, belongs) in asked.items():
        ids = {id for id in await query.ids() if id.startswith("s")}
        if ids != {f"s{i}" for i in range(STABLE) if belongs(i)}:
            found.append(name)
    return found


async def duplicates(model: Any) -> list[str]:
    """The values held by a stable record that another one was given."""
    found = list[str]()
    for i in (3, 77):
        for values in ({"email": f"s{i}@x.xx"}, {"owner": "o", "slug": str(i)}):
            try:
                await model.new(country="SE", **values).save()
                found.append(str(values))
            except UniqueViolation:
                pass
    return found


async def churn(model: Any, name: str, turn: int) -> None:
    """Creates, updates and deletes beside the stable records."""
    one = await model.new(f"{name}{turn}", email=f"{name}{turn}@x.xx", city="Rome", country="SE").save()
    one.city, one.age, one.tags = "Oslo", turn, {"all"}
    await one.save()
    if turn % 2:
        await one.delete()


async def wiped(store: Any, schema: Any, places: Any, between: Any) -> None:
    """The old way, for the control: what is to be built is emptied first."""
    async for kinds in sweeping.keys_in(store, places):
        await asking.read(store, Call(("UNLINK", *kinds), writes=True))


@pytest.fixture(params=["safe", "control"])
def old_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether indexes are emptied before they are built, which the test must see."""
    if request.param == "control":
        monkeypatch.setattr(sweeping, "sweep", wiped)
    return bool(request.param == "control")


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_others_read_and_write_meanwhile_and_see_all(
    url: str, db: Database, raw: Any, backend: str, old_way: bool
) -> None:
    own = live()
    await own.save_many(stable(own))
    others = [Database(url) for _ in range(2 if backend == "memory" else 6)]
    ended, wrong = asyncio.Event(), list[str]()

    async def other(place: int, model: Any) -> None:
        turn = 0
        while not ended.is_set():
            turn += 1
            await churn(model, f"w{place}-", turn)
            wrong.extend(await shortfalls(model) if place % 2 else await duplicates(model))

    tasks = [asyncio.create_task(other(place, live(one))) for place, one in enumerate(others)]
    for _ in range(3):
        done = await reindex(live(), everything=True)
        if not old_way:
            assert done.problems == []
            assert len(done.built) == 12
    ended.set()
    await asyncio.gather(*tasks)
    assert bool(wrong) is old_way
    if not old_way:
        assert drift(raw, [live()]) == []
    for one in others:
        await one.aclose()


@pytest.mark.slow
@pytest.mark.blocking_only
async def test_threads_read_and_write_meanwhile_and_see_all(
    url: str, db: Database, raw: Any, backend: str, old_way: bool
) -> None:
    own = live()
    await own.save_many(stable(own))
    ended, wrong = threading.Event(), list[str]()

    def other(place: int, model: Any) -> None:
        turn = 0
        while not ended.is_set():
            turn += 1
            run(churn(model, f"w{place}-", turn))
            wrong.extend(run(shortfalls(model) if place % 2 else duplicates(model)))

    others = [Database(url) for _ in range(2 if backend == "memory" else 4)]
    threads = [threading.Thread(target=other, args=(n, live(one))) for n, one in enumerate(others)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        await reindex(live(), everything=True)
    ended.set()
    for thread in threads:
        thread.join()
    assert bool(wrong) is old_way
    if not old_way:
        assert drift(raw, [live()]) == []
    for one in others:
        one.close()


# -- cut short -------------------------------------------------------------------------------------


class Cut(BaseException):
    """Cuts a coroutine short, as a cancellation does."""


def gone(raw: Any) -> None:
    """The lease of a process that was killed is over."""
    raw.delete("live/lease")


def cut_after(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """Let so many calls of reindex travel, and none after them."""
    left = [calls]

    def cutting(ask: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def asked(*arguments: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise Cut
            return await ask(*arguments)

        return asked

    monkeypatch.setattr(asking, "read", cutting(asking.read))
    monkeypatch.setattr(asking, "read_together", cutting(asking.read_together))


@pytest.mark.slow
async def test_cut_short_at_any_call_it_leaves_nothing_wrong(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, old_way: bool, full: bool
) -> None:
    model = live(Database(url))
    await model.save_many(stable(model))
    spoil(raw)
    wrong, calls, ended = list[str](), 0, False
    while not ended:
        with monkeypatch.context() as patch:
            cut_after(patch, calls)
            try:
                await reindex(live(), everything=True)
                ended = True
            except Cut:
                calls += 1 if full else 1 + calls // 3
                gone(raw)
        wrong += await shortfalls(model) + await duplicates(model)
        if old_way and wrong:
            return
    assert wrong == []
    assert calls > 15
    assert drift(raw, [model]) == []


@pytest.mark.slow
async def test_cut_short_while_it_builds_an_index_is_refused_until_it_is_built(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    """By a process that knows nothing yet, and by one that asked before."""
    for record in stable(live()):
        raw.hset(record.getkey(), mapping=record.raw_export())
    before, calls, refused = live(Database(url)), 0, 0
    while True:
        with monkeypatch.context() as patch:
            cut_after(patch, calls)
            try:
                await reindex(live())
                break
            except Cut:
                calls += 1 if full else 1 + calls // 3
                gone(raw)
        for model in (before, live(Database(url))):
            try:
                assert await shortfalls(model) == []
            except NotIndexed:
                refused += 1
    assert refused > 8
    assert await shortfalls(before) == []
    assert drift(raw, [before]) == []


# -- what stands there without right ---------------------------------------------------------------


def spoil(raw: Any) -> None:
    """Entries that no record demands, in every kind of index; the records are as they were."""
    for member in ("ghost", "s1"):
        raw.sadd("live/x/city/Bern", member)
        raw.sadd("live/y/city/" + "0" * 64, member)
        raw.sadd("live/n/city", member)
        raw.sadd("live/n/name", member)
        raw.sadd("live/x/tags/none", member)
        raw.zadd("live/c/country/age/NO", {member: 1})
        raw.zadd("live/s/name", {b"aaa\0" + member.encode(): 0})
        raw.hset("live/u/email", f"{member}@nowhere.xx", member)
        raw.hset("live/u/owner/slug", f"1:a1:{member[0]}", member)
    raw.hset("live/h/city", "ghost", "0" * 64)
    raw.hset("live/h/city", "s1", "0" * 64)
    raw.zadd("live/ids", {"ghost": 0})
    raw.zadd("live/r/age", {"ghost": 1})
    raw.set("live/x/city/Foreign", "no set")
    raw.zadd("live/x/city/Ordered", {"s1": 1})


@pytest.mark.on_cluster
async def test_it_removes_what_records_deny_and_adds_what_they_lack(db: Database, raw: Any) -> None:
    model = live()
    await model.save_many(stable(model))
    spoil(raw)
    raw.zadd("live/r/age", {"s2": 99})  # a wrong score
    raw.zadd("live/c/country/age/FI", {"s2": 99})
    raw.hset("live/h/city", "s4", "1" * 64)  # a wrong digest
    raw.hset("live/u/email", "s5@x.xx", "s6")  # a claim of the wrong record
    raw.zrem("live/ids", "s7")
    raw.srem("live/x/city/Rome", "s9")
    raw.hdel("live/u/owner/slug", "1:o2:11")
    assert len(drift(raw, [model])) > 15
    done = await reindex(model, everything=True)
    assert (done.records, done.left_out, done.foreign) == (STABLE, 0, [])
    assert drift(raw, [model]) == []


@pytest.mark.parametrize("key", ["u/email", "r/age", "s/name", "h/city", "n/city", "u/owner/slug"])
async def test_a_foreign_type_in_the_place_of_an_index_gives_way(db: Database, raw: Any, key: str) -> None:
    model = live()
    await model.save_many(stable(model)[:5])
    raw.delete(f"live/{key}")
    raw.rpush(f"live/{key}", "a list")
    await reindex(model, everything=True)
    assert drift(raw, [model]) == []


async def test_what_changes_between_look_and_removal_stays(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each record is changed so that it demands what was just judged to be too much."""
    model = live()
    await model.save_many(stable(model)[:3])
    raw.hset("live/u/email", "new@x.xx", "s0")
    raw.sadd("live/x/city/Bern", "s1")
    raw.zadd("live/ids", {"ghost": 0})
    sent = asking.read
    changed, removed = list[str](), list[int]()

    async def late(store: Any, call: Any, *kinds: Any) -> Any:
        if call.script is not None and call.args[0] in ("hash", "set", "zset"):
            name = str(call.keys[0])
            changed.append(name)
            if "u/email" in name:
                one = await model.get("s2")
                one.email = "new@x.xx"
                await one.save()
            elif "city/Bern" in name:
                one = await model.get("s1")
                one.city = "Bern"
                await one.save()
            elif "ids" in name:
                await model.new("ghost", country="SE").save()
        reply = await sent(store, call, *kinds)
        if call.script is not None and call.args[0] in ("hash", "set", "zset"):
            removed.append(reply)
        return reply

    monkeypatch.setattr(asking, "read", late)
    assert (await reindex(model, everything=True)).problems == []
    assert len(changed) == 3
    assert removed == [0, 0, 0]
    assert drift(raw, [model]) == []
    assert raw.hget("live/u/email", "new@x.xx") == b"s2"


async def test_an_index_that_only_becomes_required_stays_full(url: str, db: Database, raw: Any) -> None:
    """Its sets per value are those of the index before: whoever still reads them finds all."""

    @conf(prefix="kept")
    class Older(Model):
        city, age = String(index=True), Integer(index=True)

    @conf(prefix="kept")
    class Newer(Model):
        city, age = String(index=True, required=True), Integer(index=True, required=True)

    await Older.save_many([Older.new(str(i), city="Rome", age=i) for i in range(120)])
    newer = conf(db=Database(url))(Newer)
    seen = list[int]()

    def look(_: int) -> None:
        seen.append(raw.scard("kept/x/city/Rome") + raw.zcard("kept/r/age"))

    done = await reindex(newer)
    assert (done.built, done.dropped) == ((), ("n:age", "n:city"))
    look(0)
    assert set(seen) == {240}
    assert drift(raw, [newer]) == []


@pytest.mark.slow
@pytest.mark.asyncio_only
@pytest.mark.parametrize("everything", [False, True])
async def test_two_at_once_do_each_other_no_harm_though_no_lease_keeps_them_apart(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, everything: bool
) -> None:
    """Each goes on where the other is: the word and the cursors in meta tell."""

    async def granted(lease: Any, seconds: float) -> None:
        pass

    monkeypatch.setattr(Lease, "_ask", granted)
    models = [live(), live(Database(url)), live(Database(url))]
    for record in stable(models[0]):
        raw.hset(record.getkey(), mapping=record.raw_export())
    spoil(raw)
    done = await asyncio.gather(*(reindex(model, everything=everything) for model in models))
    assert [one.problems for one in done] == [[]] * 3
    assert drift(raw, [models[0]]) == []


async def test_the_second_is_told_who_is_at_it_and_until_when(url: str, db: Database, raw: Any) -> None:
    model = live()
    await model.save_many(stable(model)[:3])
    store = model.__mapper__.store()
    async with Lease(store, model.__mapper__.schema(store).keys.lease, "Live"):
        with pytest.raises(AlreadyRunning, match="is at work on the indexes of Live") as caught:
            await reindex(live(Database(url)))
    assert caught.value.holder.split(":")[1] == str(os.getpid())
    assert 0 < caught.value.seconds <= LASTS
    assert raw.exists("live/lease") == 0
    assert (await reindex(live(Database(url)))).problems == []
    assert raw.exists("live/lease") == 0


async def test_a_store_that_was_declared_anew_meanwhile_is_told(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for record in stable(live())[:3]:
        raw.hset(record.getkey(), mapping=record.raw_export())

    async def declared(store: Any, schema: Any, places: Any, between: Any) -> None:
        raw.hset("live/meta", mapping={"ver": "another", "e:x:city": "retiring"})

    monkeypatch.setattr(sweeping, "sweep", declared)
    with pytest.raises(RediscaError, match="run reindex again"):
        await reindex(live())


@pytest.mark.slow
@pytest.mark.parametrize("place", ["ids", "bad"])
async def test_what_stands_in_the_place_of_what_all_steps_rely_on_is_named_and_gives_way(
    url: str, db: Database, raw: Any, place: str
) -> None:
    model = live(Database(url))
    await model.save_many(stable(model))
    raw.hset("live:odd", mapping={"_": "1", "age": "no number", "country": "FI"})
    raw.zadd("live/ids", {"odd": 0})
    raw.delete(f"live/{place}")
    raw.lpush(f"live/{place}", "of somebody")
    raw.hset("live/meta", "e:r:age", "pass")
    with pytest.raises(WrongType, match=rf"'live/{place}' holds a list .*reindex --everything"):
        await reindex(model, force=True)
    assert raw.lrange(f"live/{place}", 0, -1) == [b"of somebody"]
    done = await reindex(model, force=True, everything=True)
    assert (done.unbuilt, [id for id, _ in done.problems]) == (("r:age",), ["odd"])
    assert raw.type(f"live/{place}") == b"zset"
    with pytest.raises(NotIndexed):
        await (model.age == 3)
    assert await (model.city == "Rome").count() == STABLE // 2


async def test_a_set_of_all_ids_that_is_none_is_not_ready_until_it_is_built(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks meanwhile is not answered short."""
    model, other = live(Database(url)), live(Database(url))
    await model.save_many(stable(model))
    assert await other.all().count() == STABLE
    raw.delete("live/ids")
    raw.set("live/ids", "of somebody")
    seen = list[Any]()
    listing = sweeping.make_room

    async def and_look(*arguments: Any) -> Any:
        found = await listing(*arguments)
        try:
            seen.append(await other.all().count())
        except RediscaError as error:
            seen.append(type(error))
        return found

    monkeypatch.setattr(sweeping, "make_room", and_look)
    await reindex(model, everything=True)
    assert seen
    assert {*seen} <= {NotIndexed, STABLE}
    assert await other.all().count() == STABLE
