"""Feeds: every way to write adds its entry in the call that writes, and the entries played back are the store."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import time
from typing import Any

import pytest

from aioredisca import (
    Conflict,
    Counter,
    Database,
    Email,
    Gone,
    Integer,
    ListOf,
    Model,
    PermissionDenied,
    Reference,
    String,
    UniqueViolation,
    UsageError,
    WrongType,
    check,
    conf,
    export_records,
    import_records,
    partition,
    reindex,
    session,
    sweep,
)

from ..support.feeds import replayed, stored, told
from ..support.servers import Server
from .test_rights import close, restrict


@conf(feed=True, ttl=None)
class Breeder(Model):
    name = String(index=True)
    age = Integer(index=True)
    email = Email(unique=True)
    pin = String(secret=True)
    marks = ListOf(String())
    visits = Counter()


@conf(feed=1000)
class Pet(Model):
    owner = Reference(Breeder, on_delete="cascade", index=True)
    name = String()


@conf(feed=1000)
class Toy(Model):
    owner = Reference(Breeder, on_delete="nullify", index=True)
    name = String()


@conf(partitions=4, feed=True, ttl=None)
class Spread(Model):
    name = String(index=True)
    code = Integer(unique=True)


PIN = "0000-SECRET"

pytestmark = pytest.mark.one_slot


async def test_every_way_to_write_is_told(db: Database, raw: Any) -> None:
    ada = await Breeder.new("ada", name="Ada", age=36, pin=PIN).save()
    ada.name, ada.pin = None, PIN + "2"
    await ada.save()
    await ada.incr(Breeder.age, 2)
    await Breeder.save_many([Breeder.new("bob", age=1), Breeder.new("eve", age=2)])
    await Breeder.get_or_create(email="new@example.com", defaults={"name": "New"})
    new, _ = await Breeder.update_or_create(email="new@example.com", defaults={"age": 9})
    await (Breeder.age <= 2).update(name="young")
    await (Breeder.age == 9).incr(Breeder.age)
    await (Breeder.age == 2).delete()
    await ada.marks.append("x")
    assert (await ada.marks.pop(), await ada.marks.pop()) == ("x", None)
    await ada.visits.incr()
    await ada.save()  # nothing is to be saved
    await Breeder.delete_many(["bob", "nobody"])
    async with session() as s:
        mine = await Breeder.get("ada")
        mine.age = 40
        await s.flush()
    assert told(raw, "breeder/f") == [
        ("create", "ada", {"=name": "Ada", "=age": "36", "?pin": ""}),
        ("update", "ada", {"?pin": "", "-name": ""}),
        ("update", "ada", {"=age": "38"}),
        ("create", "bob", {"=age": "1"}),
        ("create", "eve", {"=age": "2"}),
        ("create", new.id, {"=name": "New", "=email": "new@example.com"}),
        ("update", new.id, {"=age": "9"}),
        ("update", "bob", {"=name": "young"}),
        ("update", "eve", {"=name": "young"}),
        ("update", new.id, {"=age": "10"}),
        ("delete", "eve", {}),
        ("update", "ada", {"@marks": ""}),
        ("update", "ada", {"@marks": ""}),
        ("update", "ada", {"@visits": ""}),
        ("delete", "bob", {}),
        ("update", "ada", {"=age": "40"}),
    ]
    assert replayed(told(raw, "breeder/f")) == stored(raw, "breeder", without=("pin",))
    assert PIN.encode() not in repr(raw.xrange("breeder/f")).encode()


async def test_what_goes_along_with_a_delete_is_told_in_its_class(db: Database, raw: Any) -> None:
    ada = await Breeder.new("ada").save()
    await Pet.new("rex", owner=ada, name="Rex").save()
    await Toy.new("ball", owner=ada, name="Ball").save()
    await ada.delete()
    assert told(raw, "breeder/f")[-1] == ("delete", "ada", {})
    assert told(raw, "pet/f")[-1] == ("delete", "rex", {})
    assert told(raw, "toy/f")[-1] == ("update", "ball", {"-owner": ""})
    assert [told(raw, f"{key}/f")[1:] for key in ("breeder", "pet", "toy")] == [
        [("delete", "ada", {})],
        [("delete", "rex", {})],
        [("update", "ball", {"-owner": ""})],
    ]


async def test_the_end_of_a_record_is_told_when_it_is_taken_away(db: Database, raw: Any) -> None:
    await Breeder.new("past").save()
    await (await Breeder.get("past")).expire(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    await Breeder.new("swept").save(ttl=0.05)
    await Breeder.new("anew").save(ttl=0.05)
    await Breeder.new("stays").save(ttl=900)
    stays = await Breeder.get("stays")
    await stays.persist()  # when a record ends is no field of it
    time.sleep(0.1)
    await Breeder.new("anew", name="second").save(mode="create")
    await sweep(Breeder)
    await sweep(Breeder)
    assert [(kind, id) for kind, id, _ in told(raw, "breeder/f") if id != "stays"][:3] == [
        ("create", "past"),
        ("expire", "past"),
        ("create", "swept"),
    ]
    kinds = {
        id: [kind for kind, other, _ in told(raw, "breeder/f") if other == id]
        for id in ("swept", "anew", "stays")
    }
    assert kinds == {
        "swept": ["create", "expire"],
        "anew": ["create", "expire", "create"],
        "stays": ["create"],
    }


async def test_what_is_refused_is_not_told(db: Database, raw: Any) -> None:
    await Breeder.new("ada", email="a@example.com", age=1).save()
    before = told(raw, "breeder/f")
    with pytest.raises(UniqueViolation):
        await Breeder.new("bob", email="a@example.com").save()
    with pytest.raises(Gone):
        await Breeder("nobody").incr(Breeder.age)
    with pytest.raises(Gone):
        await Breeder("nobody").marks.append("x")
    assert not await Breeder("nobody").delete()
    assert told(raw, "breeder/f") == before


async def test_an_import_is_told_and_a_class_without_a_feed_has_none(db: Database, raw: Any) -> None:
    await Breeder.new("ada", name="Ada").save()
    await (await Breeder.get("ada")).marks.append("x")
    lines = [line async for line in export_records(Breeder)]
    await Breeder("ada").delete()
    await import_records(lines, Breeder)
    assert [one[:2] for one in told(raw, "breeder/f")][-3:] == [
        ("delete", "ada"),
        ("create", "ada"),
        ("update", "ada"),
    ]
    assert told(raw, "breeder/f")[-1][2] == {"@marks": ""}


async def test_a_feed_of_partitions_is_one_stream_in_each(db: Database, raw: Any) -> None:
    await Spread.save_many([Spread.new(str(n), name="a", code=n) for n in range(40)])
    await (Spread.name == "a").update(name="b")
    parts = Spread.__mapper__.schema(db).all_parts
    records = dict[str, dict[str, str]]()
    for part in parts:
        of_part = replayed(told(raw, part.keys.feed))
        assert of_part == stored(raw, part.keys.base)
        records |= of_part
    assert len(records) == 40
    assert sum(bool(told(raw, part.keys.feed)) for part in parts) == 4


@pytest.mark.one_node
async def test_a_foreign_key_in_the_place_of_the_feed_stops_a_write_before_it_begins(
    db: Database, raw: Any
) -> None:
    ada = await Breeder.new("ada", name="Ada").save()
    raw.delete("breeder/f")
    raw.set("breeder/f", "foreign")
    ada.name = "Bob"
    with pytest.raises(WrongType, match="breeder/f"):
        await ada.save()
    with pytest.raises(WrongType):
        await ada.marks.append("x")
    assert raw.hget("breeder:ada", "name") == b"Ada"
    assert not raw.exists("breeder/l/marks/ada")


async def test_settings_are_checked() -> None:
    for wrong in (0, -1, "100", 1.5):
        with pytest.raises(UsageError, match="feed="):
            conf(feed=wrong)  # type: ignore[arg-type]


async def test_repair_and_reindex_leave_the_feed_alone(db: Database, raw: Any) -> None:
    await Breeder.new("ada", name="Ada").save()
    before = raw.xrange("breeder/f")
    done = await check(Breeder)
    assert not done.found
    assert not done.foreign
    await reindex(Breeder, everything=True)
    assert raw.xrange("breeder/f") == before


class Steps:
    """Writes at random, by every verb."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.ids = [f"r{n}" for n in range(8)]

    async def step(self) -> None:
        verb = self.random.choice(
            [self.create, self.change, self.delete, self.incr, self.bulk, self.query, self.unit]
        )
        with contextlib.suppress(Conflict):
            await verb(self.random.choice(self.ids))

    async def create(self, id: str) -> None:
        await Breeder.new(id, name=self.random.choice("abc"), age=self.random.randrange(9), pin=PIN).save()
        await Pet.new(id, owner=id, name="x").save(mode="upsert")
        await Toy.new(id, owner=id).save(mode="upsert")

    async def change(self, id: str) -> None:
        owner = Breeder(id)
        owner.name, owner.email = self.random.choice(["a", None]), self.random.choice(["a@example.com", None])
        await owner.save(mode=self.random.choice(["update", "upsert"]))

    async def delete(self, id: str) -> None:
        await Breeder(id).delete()

    async def incr(self, id: str) -> None:
        await Breeder(id).incr(Breeder.age, self.random.randrange(-3, 4), min=0, max=9)

    async def bulk(self, id: str) -> None:
        some = [Breeder.new(one, age=1) for one in self.random.sample(self.ids, 3)]
        await Breeder.save_many(some, skip_conflicts=True)

    async def query(self, id: str) -> None:
        found = Breeder.age == self.random.randrange(9)
        await (found.update(name="q") if self.random.random() < 0.7 else found.delete())

    async def unit(self, id: str) -> None:
        async with session() as s:
            one, two = await Breeder.get_many(self.random.sample(self.ids, 2))
            if one is not None and two is not None:
                one.age, two.name = 5, "unit"
                if self.random.random() < 0.5:
                    s.delete(two)
            await s.flush()


async def test_a_feed_played_back_is_the_store(db: Database, raw: Any, full: bool) -> None:
    for seed in range(50 if full else 1):
        raw.flushall()
        steps = Steps(seed)
        for _ in range(60):
            await steps.step()
        for prefix in ("breeder", "pet", "toy"):
            assert replayed(told(raw, f"{prefix}/f")) == stored(raw, prefix, without=("pin",)), seed


async def test_control_one_entry_that_is_left_out_is_seen(db: Database, raw: Any) -> None:
    steps = Steps(0)
    for _ in range(30):
        await steps.step()
    entries, store = told(raw, "breeder/f"), stored(raw, "breeder", without=("pin",))
    assert replayed(entries) == store
    await Breeder.new("last", age=3).save()
    with pytest.raises(AssertionError):
        assert replayed(told(raw, "breeder/f")[:-1]) == stored(raw, "breeder", without=("pin",))


@pytest.mark.parametrize("command", ["xadd", "xlen"])
async def test_a_right_that_is_missing_is_named_before_anything_is_written(
    server: Server, raw: Any, db: Database, driver: str, command: str
) -> None:
    limited = restrict(server, raw, "~*", "&*", "+@all", f"-{command}")
    async with session(limited):
        with pytest.raises(PermissionDenied, match=command):
            await Breeder.new("1", name="x").save()
    await close(limited, driver)
    assert raw.keys("breeder*") == []


@pytest.mark.one_node
async def test_records_that_move_into_partitions_have_not_changed(db: Database, raw: Any) -> None:
    def declared(partitions: int) -> Any:
        class Mover(Model):
            name = String(index=True)

        return conf(feed=True, prefix="mover", partitions=partitions)(Mover)

    one = declared(1)
    await one.save_many([one.new(str(n), name="a") for n in range(12)])
    spread = declared(4)
    assert (await partition(spread)).done
    assert await spread.all().count() == 12
    feeds = [part.keys.feed for part in spread.__mapper__.schema(db).all_parts]
    assert [told(raw, feed) for feed in feeds] == [[], [], [], []]
    await spread.new("new").save()
    assert sum(len(told(raw, feed)) for feed in feeds) == 1
    assert not raw.exists("mover/f")


async def test_what_a_session_adds_is_told(db: Database, raw: Any) -> None:
    await Breeder.new("ada", age=1).save()
    async with session() as s:
        ada = await Breeder.get("ada")
        s.incr(ada, Breeder.age, 5)
        s.append(ada, Breeder.marks, "m", "n")
        await s.flush()
    assert told(raw, "breeder/f")[1:] == [("update", "ada", {"=age": "6"}), ("update", "ada", {"@marks": ""})]
    assert raw.lrange("breeder/l/marks/ada", 0, -1) == [b"m", b"n"]
    await Breeder.upsert("new", incr={Breeder.age: 2})
    assert told(raw, "breeder/f")[3:] == [("create", "new", {"=age": "2"})]


async def test_an_update_that_returns_is_told(db: Database, raw: Any) -> None:
    await Breeder.save_many([Breeder.new(str(n), age=n) for n in range(4)])
    taken = await Breeder.all().order_by(Breeder.age).limit(2).update(name="taken", returning=True)
    assert [one.id for one in taken] == ["0", "1"]
    gone = await (Breeder.age == 3).limit(1).delete(returning=True)
    assert [one.id for one in gone] == ["3"]
    assert told(raw, "breeder/f")[4:] == [
        ("update", "0", {"=name": "taken"}),
        ("update", "1", {"=name": "taken"}),
        ("delete", "3", {}),
    ]
    assert replayed(told(raw, "breeder/f")) == stored(raw, "breeder")
