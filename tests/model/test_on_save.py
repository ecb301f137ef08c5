"""``on_save=``: set by every write of a record, on every path."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioredisca import (
    BulkError,
    Database,
    Integer,
    Model,
    OutcomeUnknown,
    OutOfBounds,
    StaleWrite,
    String,
    UsageError,
    ValidationError,
    conf,
    session,
)

from ..support.drift import drift
from ..support.proxy import Proxy

CLOCK = itertools.count(1)


@conf(index=[("name", "stamp")])
class Stamped(Model):
    name = String(index=True)
    serial = String(unique=True)
    number = Integer(index=True)
    stamp = Integer(index=True, required=True, on_save=lambda: next(CLOCK))
    kind = String(on_save="plain")


async def save(record: Stamped) -> None:
    record.name = "b"
    await record.save()


async def save_many(record: Stamped) -> None:
    record.name = "b"
    await Stamped.save_many([record])


async def flush(record: Stamped) -> None:
    async with session() as s:
        mine = await Stamped.get("1")
        mine.name = "b"
        await s.flush()


async def update_or_create(record: Stamped) -> None:
    await Stamped.update_or_create(serial="s", defaults={"name": "b"})


async def query_update(record: Stamped) -> None:
    assert await (Stamped.serial == "s").update(name="b") == 1


async def query_update_returning(record: Stamped) -> None:
    (found,) = await (Stamped.serial == "s").limit(1).update(name="b", returning=True)
    assert found.stamp == (await Stamped.get("1")).stamp


async def query_incr(record: Stamped) -> None:
    assert await (Stamped.serial == "s").incr(Stamped.number, 2) == 1


async def incr(record: Stamped) -> None:
    assert await record.incr(Stamped.number, 2) == 2
    assert record.stamp == (await Stamped.get("1")).stamp


async def incr_in_a_flush(record: Stamped) -> None:
    async with session() as s:
        mine = await Stamped.get("1")
        s.incr(mine, Stamped.number, 2)
        await s.flush()
        assert (mine.number, mine.stamp) == (2, (await Stamped.get("1")).stamp)


async def upsert(record: Stamped) -> None:
    mine = await Stamped.upsert("1", name="b")
    assert mine.stamp > record.stamp


async def dict_api(record: Stamped) -> None:
    record["name"] = "b"
    await record.save()


PATHS: list[Callable[[Stamped], Awaitable[None]]] = [
    save,
    save_many,
    flush,
    update_or_create,
    query_update,
    query_update_returning,
    query_incr,
    incr,
    incr_in_a_flush,
    upsert,
    dict_api,
]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.__name__)
async def test_every_write_sets_it(
    db: Database, raw: Any, path: Callable[[Stamped], Awaitable[None]]
) -> None:
    record = await Stamped.new("1", name="a", serial="s", number=0).save()
    first = record.stamp
    assert (first, record.kind) == ((await Stamped.get("1")).stamp, "plain")
    await path(record)
    found = await Stamped.get("1")
    assert found.stamp > first
    assert [one.stamp for one in await (Stamped.stamp == found.stamp)] == [found.stamp]
    assert drift(raw, [Stamped]) == []


async def test_creates_set_it(db: Database, raw: Any) -> None:
    made, created = await Stamped.get_or_create(serial="x")
    assert created
    assert made.stamp == (await Stamped.get(made.getid())).stamp
    again, created = await Stamped.get_or_create(serial="x")
    assert (again.stamp, created) == (made.stamp, False)
    async with session() as s:
        other = Stamped.new("flushed")
        await s.flush()
    assert (await Stamped.get("flushed")).stamp == other.stamp
    assert drift(raw, [Stamped]) == []


async def test_what_writes_nothing_sets_nothing(db: Database) -> None:
    record = await Stamped.new("1").save()
    before = db.round_trips
    first = record.stamp
    await record.save()
    assert (db.round_trips, record.stamp) == (before, first)


async def test_it_wins_over_what_was_assigned_and_is_not_compared(db: Database) -> None:
    await Stamped.new("1", name="a").save()
    one, other = await Stamped.get("1"), await Stamped.get("1")
    one.stamp, one.name = -5, "b"
    await one.save()
    assert one.stamp > 0
    other.number = 3
    await other.save(if_unchanged=True)  # another field than one has changed, though both set the stamp
    assert other.stamp > one.stamp
    other.name = "c"
    await one.reload()
    one.name = "d"
    await one.save()
    with pytest.raises(StaleWrite):
        await other.save(if_unchanged=True)
    await other.save()
    assert other.stamp == (await Stamped.get("1")).stamp > one.stamp


class Wrong(Model):
    name = String()
    stamp = Integer(on_save="no number")


async def test_a_value_that_the_field_refuses_is_refused_before_io(db: Database) -> None:
    record = Wrong.new("1", name="a")
    before = db.round_trips
    with pytest.raises(ValidationError, match="stamp"):
        await record.save()
    assert (db.round_trips, record.name) == (before, "a")
    with pytest.raises(BulkError, match="stamp"):  # there is still something to save
        await Wrong.save_many([record])


class Note(Model):
    text = String()
    other = String()
    number = Integer(index=True, minval=0)
    stamp = Integer(index=True, on_save=lambda: next(CLOCK))


async def test_what_every_save_sets_is_no_conflict_of_a_guard(db: Database, raw: Any) -> None:
    await Note.new("1", text="a", number=0).save()
    async with session(if_unchanged=True) as unit:
        note = await Note.get("1")
        async with session(autosave=True):
            (await Note.get("1")).other = "theirs"
        note.text = "b"
        raw.hset("note:1", "text", "theirs")
        with pytest.raises(StaleWrite) as caught:
            await unit.flush()
        assert caught.value.fields == ("text",)
        raw.hset("note:1", "text", "a")
        await unit.flush()
        handle = Note("1")
        unit.incr(handle, Note.number, -1)
        with pytest.raises(OutOfBounds):
            await unit.flush()
        unit.incr(handle, Note.number, 3)
        await unit.flush()
        assert (handle.number, handle.stamp) == (2, int(raw.hget("note:1", "stamp")))
    assert drift(raw, [Note]) == []


async def test_a_write_that_got_no_answer_is_sent_with_the_same_stamp(
    raw: Any, proxied: Database, proxy: Proxy
) -> None:
    await Note.new("0").save()
    async with session(if_unchanged=True) as unit:
        note = Note.new("1", text="a")
        for text in ("a", "b"):
            note.text = text
            proxy.lose_next_reply()
            with pytest.raises(OutcomeUnknown):
                await unit.flush()
            await unit.flush()
            assert note.stamp == int(raw.hget("note:1", "stamp"))
    assert drift(raw, [Note]) == []


async def test_nothing_counts_in_what_every_write_sets(db: Database) -> None:
    record = await Stamped.new("1").save()
    async with session() as unit:
        mine = await Stamped.get("1")
        counts: list[Callable[[], Any]] = [
            lambda: record.incr(Stamped.stamp, 5),
            lambda: Stamped.upsert("1", incr={Stamped.stamp: 5}),
            lambda: Stamped.all().incr(Stamped.stamp, 5),
        ]
        before = db.round_trips
        for count in counts:
            with pytest.raises(UsageError, match="has on_save="):
                await count()
        with pytest.raises(UsageError, match="has on_save="):
            unit.incr(mine, Stamped.stamp, 5)
        assert db.round_trips == before
    assert (await Stamped.get("1")).stamp == record.stamp
