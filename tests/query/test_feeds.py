"""Reading feeds: places, groups, what is lost, and queries that are watched, in both colours."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aioredisca import (
    Database,
    FeedGap,
    Integer,
    ListOf,
    Model,
    StoreError,
    String,
    UsageError,
    ValidationError,
    Watched,
    conf,
)


@conf(feed=True, ttl=None)
class Guest(Model):
    name = String(index=True)
    age = Integer(index=True)
    pin = String(secret=True)
    marks = ListOf(String())


@conf(feed=True, partitions=4)
class Part(Model):
    name = String(index=True)


@conf(feed=True)
class Fresh(Model):
    name = String()


class Plain(Model):
    name = String()


async def first(source: Any, count: int) -> list[Any]:
    """The first things that *source* yields."""
    found = list[Any]()
    steps: AsyncIterator[Any] = aiter(source)
    while len(found) < count:
        found.append(await anext(steps))
    await steps.aclose()  # type: ignore[attr-defined]
    return found


async def fill(count: int) -> None:
    for n in range(count):
        await Guest.new(str(n), name="a", age=n).save()


async def test_a_change_says_what_was_written(db: Database) -> None:
    guest = await Guest.new("1", name="Ada", age=36, pin="1234").save()
    guest.name = None
    await guest.save()
    await guest.marks.append("x")
    await guest.delete()
    created, updated, marked, deleted = await first(Guest.changes("0"), 4)
    assert (created.kind, created.id, created.model) == ("create", "1", Guest)
    assert (created.values, created.hidden) == ({"name": "Ada", "age": 36}, ("pin",))
    assert created.fields == ("name", "age", "pin")
    assert (updated.kind, updated.values, updated.collections) == ("update", {"name": None}, ())
    assert (marked.kind, marked.values, marked.collections) == ("update", {}, ("marks",))
    assert (deleted.kind, deleted.values) == ("delete", {})
    assert abs(dt.datetime.now(dt.UTC) - created.at) < dt.timedelta(minutes=5)
    assert "Ada" not in repr(created)
    assert "1234" not in repr((created, created.raw))


async def test_a_reader_goes_on_behind_a_cursor(db: Database) -> None:
    await fill(5)
    changes = Guest.changes("0")
    assert [one.id for one in await first(changes, 2)] == ["0", "1"]
    assert [one.id for one in await first(Guest.changes(changes.cursor), 3)] == ["2", "3", "4"]
    assert [one.id for one in await first(changes, 3)] == ["2", "3", "4"]
    assert [one.id for one in await first(Guest.changes(dt.datetime(2020, 1, 1, tzinfo=dt.UTC)), 1)] == ["0"]


async def test_a_reader_begins_now_unless_it_says_otherwise(db: Database) -> None:
    await fill(2)
    async with Guest.changes() as changes:
        await Guest.new("new").save()
        assert [one.id for one in await first(changes, 1)] == ["new"]
    async with Fresh.changes() as changes:  # of which there is no record yet
        await Fresh.new("first").save()
        assert [one.id for one in await first(changes, 1)] == ["first"]


async def test_partitions_are_read_together(db: Database) -> None:
    await Part.save_many([Part.new(str(n), name="a") for n in range(20)])
    changes = Part.changes("0")
    found = await first(changes, 12)
    assert changes.cursor.count(",") == 3
    found += await first(Part.changes(changes.cursor), 8)
    assert {one.id for one in found} == {str(n) for n in range(20)}
    assert len(found) == 20
    with pytest.raises(FeedGap, match="partitions"):
        Part.changes("1-1")


@pytest.mark.one_node
async def test_what_was_cut_is_told(db: Database, raw: Any) -> None:
    await fill(5)
    one, two = (await first(Guest.changes("0"), 5))[:2]
    raw.xtrim("guest/f", maxlen=3, approximate=False)
    with pytest.raises(FeedGap) as caught:
        await first(Guest.changes(one.cursor), 1)
    assert [each.id for each in await first(Guest.changes(caught.value.cursor), 3)] == ["2", "3", "4"]
    assert [each.id for each in await first(Guest.changes("0"), 3)] == ["2", "3", "4"]
    raw.delete("guest/f")
    with pytest.raises(FeedGap):
        await first(Guest.changes(two.cursor), 1)
    await Guest.new("anew").save()
    with pytest.raises(FeedGap):
        await first(Guest.changes(two.cursor), 1)


@pytest.mark.one_node
async def test_one_that_has_seen_all_has_lost_nothing_when_all_is_cut(db: Database, raw: Any) -> None:
    await fill(3)
    last = (await first(Guest.changes("0"), 3))[-1]
    raw.xtrim("guest/f", maxlen=0, approximate=False)
    async with Guest.changes(last.cursor) as changes:
        assert await changes._feed._read() == []


async def test_a_group_shares_changes_and_gives_again_what_nobody_acknowledged(db: Database) -> None:
    await fill(6)
    one = Guest.changes("0", group="g", consumer="one")
    begun = await first(one, 2)
    assert await one.ack(*begun) == 2
    assert await one.ack(*begun) == 0
    assert [each.cursor for each in begun] == ["", ""]
    again = Guest.changes("0", group="g", consumer="one")  # as after a crash: the place is the group's
    rest = await first(again, 4)
    assert [each.id for each in rest] == ["2", "3", "4", "5"]
    await Guest.new("6").save()
    other = Guest.changes("0", group="g", consumer="two")
    assert [each.id for each in await first(other, 1)] == ["6"]
    heir = Guest.changes("0", group="g", consumer="three", claim_after=0.001)
    time.sleep(0.05)
    inherited = await first(heir, 5)
    assert sorted(each.id for each in inherited) == ["2", "3", "4", "5", "6"]
    assert await heir.ack(*inherited) == 5


@pytest.mark.one_node
async def test_a_group_is_told_once_of_what_was_cut(db: Database, raw: Any) -> None:
    await fill(2)
    reader = Guest.changes("0", group="g", consumer="one")
    await reader.ack(*await first(reader, 2))
    await fill_more()
    raw.xtrim("guest/f", maxlen=2, approximate=False)
    with pytest.raises(FeedGap):
        await first(reader, 1)
    assert [each.id for each in await first(reader, 2)] == ["m3", "m4"]


async def fill_more() -> None:
    for n in range(5):
        await Guest.new(f"m{n}").save()


async def test_bad_input_is_refused_before_any_io(db: Database) -> None:
    with pytest.raises(UsageError, match="feed=True"):
        Plain.changes()
    with pytest.raises(UsageError, match="feed=True"):
        Plain.all().watch()
    for wrong in ("", "x", "1", 5, "1-1;2-2"):
        with pytest.raises(ValidationError):
            Guest.changes(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="time zone"):
        Guest.changes(dt.datetime(2020, 1, 1))
    for names in ({"group": "g"}, {"consumer": "c"}, {"group": "", "consumer": ""}):
        with pytest.raises(UsageError, match="consumer"):
            Guest.changes(**names)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="group"):
        await Guest.changes("0").ack()
    for query in (Guest.all().limit(1), Guest.all().only(Guest.name)):
        with pytest.raises(UsageError, match="watch"):
            query.watch()
    assert db.round_trips == 0


async def test_a_feed_that_others_write_around_is_refused(db: Database, raw: Any) -> None:
    await fill(1)
    raw.hset(Guest.__mapper__.schema(db).keys.meta, "e:F:", "announced")
    with pytest.raises(StoreError, match="reindex"):
        await first(Guest.changes("0"), 1)


async def test_a_query_is_watched_by_its_whole_condition(db: Database) -> None:
    await Guest.new("in", name="a", age=20).save()
    await Guest.new("out", name="a", age=3).save()
    watch = ((Guest.age >= 18) & (Guest.name == "a")).watch()
    assert await first(watch, 1) == [Watched("enter", "in", Guest("in"))]
    out = await Guest.get("out")
    await out.incr(Guest.age, 20)
    assert [(one.kind, one.id) for one in await first(watch, 1)] == [("enter", "out")]
    out.pin = "9"
    await out.save()
    assert [(one.kind, one.id) for one in await first(watch, 1)] == [("change", "out")]
    await Guest.new("other", name="b", age=99).save()  # which is no match
    out.name = "b"
    await out.save()
    await Guest("in").delete()
    seen = await first(watch, 2)
    assert [(one.kind, one.id, one.record) for one in seen] == [("exit", "out", None), ("exit", "in", None)]


@pytest.mark.one_node
async def test_a_watch_looks_at_all_where_changes_are_lost(db: Database, raw: Any) -> None:
    await fill(4)
    watch = (Guest.age >= 2).watch()
    assert len(await first(watch, 2)) == 2
    await Guest("2").delete()
    await Guest.new("new", age=5).save()
    raw.delete("guest/f")
    seen = {(one.kind, one.id) for one in await first(watch, 3)}
    assert seen == {("exit", "2"), ("change", "3"), ("enter", "new")}
