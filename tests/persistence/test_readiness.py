"""Rolling deploys, old data and foreign writers: an index is never silently wrong."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from aioredisca import (
    Database,
    Email,
    Integer,
    Model,
    NotIndexed,
    SchemaMismatch,
    String,
    UsageError,
    WrongType,
    conf,
    reindex,
)
from aioredisca.persistence.readiness import rows

from ..support.drift import drift
from ..support.tagged import base_of


def old_class() -> Any:
    @conf(prefix="user")
    class User(Model):
        email = Email(unique=True)
        city = String()

    return User


def new_class() -> Any:
    @conf(prefix="user")
    class User(Model):
        email = Email(unique=True)
        city = String(index=True)

    return User


async def test_an_old_process_beside_a_new_one_never_makes_a_wrong_row(url: str, db: Database) -> None:
    """The known-bad way: the old writer changes a value that the new one's index holds."""
    other = Database(url)  # another process: it shares the store and knows nothing of this one
    old, new = old_class(), new_class()
    conf(db=other)(old)
    await old.new("1", city="Rome").save()
    await new.new("2", city="Rome").save()
    with pytest.raises(NotIndexed, match="reindex"):
        await new.city.find("Rome")
    await old.new("3", city="Bern").save()
    first = await old.get("1")
    first.city = "Bern"
    await first.save()
    done = await reindex(new, force=True)
    assert (done.records, done.built, done.problems) == (3, ("n:city", "x:city"), [])
    assert [user.id for user in await new.city.find("Rome")] == ["2"]
    first.city = "Rome"
    with pytest.raises(SchemaMismatch, match="another version of the class took its place") as caught:
        await first.save()
    assert caught.value.indexes == ()
    assert await old.email.find("no@one.xx") == []  # reading by what it knows goes on
    assert [user.id for user in await new.city.find("Bern")] == ["1", "3"]
    other.close()


async def test_the_first_class_of_an_empty_store_has_all_its_indexes_built(db: Database, raw: Any) -> None:
    user = new_class()
    assert await user.city.find("Rome") == []
    await user.new("1", city="Rome").save()
    assert len(await user.city.find("Rome")) == 1
    states = {name: value for name, value in raw.hgetall("user/meta").items() if name[:2] == b"e:"}
    assert states == dict.fromkeys((b"e:i:", b"e:n:city", b"e:u:email", b"e:x:city"), b"ready")


async def test_an_index_added_to_a_store_without_records_waits_for_others_to_end(
    url: str, db: Database
) -> None:
    """A store may be empty for a moment: whoever wrote it before may do so again."""
    old, new = old_class(), new_class()
    record = await old.new("1", city="Rome").save()
    await record.delete()
    conf(db=Database(url))(new)
    with pytest.raises(NotIndexed):  # processes of the old class may write at any moment
        await new.city.find("Rome")
    await new.new("2", city="Rome").save()
    await old.new("3", city="Rome").save()
    with pytest.raises(NotIndexed):
        await new.city.find("Rome")
    await reindex(new, force=True)
    assert len(await new.city.find("Rome")) == 2


async def test_data_of_redisca_is_readable_at_once_and_queryable_after_reindex(
    db: Database, raw: Any
) -> None:
    class User(Model):
        email = Email(unique=True, field="eml")
        age = Integer(index=True)
        name = String(index=True)

    for i in range(250):
        raw.hset(f"user:{i}", mapping={"eml": f"{i}@x.xx", "age": str(i % 7)})
        raw.sadd(f"user:eml:{i}@x.xx", str(i))
    assert (await User.get("3")).email == "3@x.xx"
    for query in (User.all(), User.age == 3, User.name == "x", User.email == "3@x.xx"):
        with pytest.raises(NotIndexed, match="reindex"):
            await query
    user = await User.get("3")
    user.age = 100
    await user.save()
    with pytest.raises(NotIndexed):
        await (User.age == 100)
    done = await reindex(User)
    assert (done.records, done.problems) == (250, [])
    assert [found.id for found in await (User.age == 100)] == ["3"]
    assert len(await (User.name == None)) == 250  # noqa: E711
    assert await User.all().count() == 250
    for key in raw.scan_iter("user:eml:*"):
        raw.delete(key)
    assert drift(raw, [User]) == []


async def test_reindex_reports_what_it_cannot_index_and_leaves_the_index_unbuilt(
    db: Database, raw: Any
) -> None:
    class User(Model):
        email = Email(unique=True)
        age = Integer(index=True)

    raw.hset("user:1", mapping={"email": "a@b.cc", "age": "5"})
    raw.hset("user:2", mapping={"email": "a@b.cc", "age": "6"})
    raw.hset("user:3", mapping={"email": "c@b.cc", "age": "abc"})
    done = await reindex(User)
    assert (done.records, done.left_out, done.built) == (1, 2, ("n:age",))
    assert sorted(type(error).__name__ for _, error in done.problems) == ["CorruptRecord", "UniqueViolation"]
    with pytest.raises(NotIndexed):
        await (User.age == 5)
    raw.hset("user:2", "email", "d@b.cc")
    raw.hset("user:3", "age", "7")
    assert (await reindex(User)).records == 3
    assert drift(raw, [User]) == []


async def test_an_index_taken_away_is_dropped_by_reindex(url: str, db: Database, raw: Any) -> None:
    await new_class().new("1", city="Rome", email="a@b.cc").save()
    old = old_class()
    conf(db=Database(url))(old)
    with pytest.raises(SchemaMismatch, match="reindex --before") as caught:
        await old.new("2").save()
    assert caught.value.indexes == ("n:city", "x:city")
    done = await reindex(old)
    assert done.dropped == ("n:city", "x:city")
    await old.new("2", city="Bern").save()
    assert drift(raw, [old]) == []


async def test_reindex_everything_mends_what_foreign_writers_broke(db: Database, raw: Any) -> None:
    user = new_class()
    for i in range(5):
        await user.new(str(i), city="Rome", email=f"{i}@x.xx").save()
    raw.sadd("user/x/city/Rome", "ghost")
    raw.hset("user:1", "city", "Bern")
    raw.zrem("user/ids", "2")
    assert drift(raw, [user]) != []
    done = await reindex(user, everything=True)
    assert done.records == 5
    assert drift(raw, [user]) == []


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_reindex_goes_on_beside_writers_who_know_the_indexes(db: Database, raw: Any) -> None:
    user = new_class()
    await user.save_many([user.new(str(i), city="Rome", email=f"{i}@x.xx") for i in range(400)])
    counts = list[int]()

    async def write(first: int) -> None:
        for i in range(first, 400, 4):
            one = await user.get(str(i))
            if i % 5 == 0:
                await one.delete()
            elif i % 5 == 1:
                one.city, one.email = None, f"new{i}@x.xx"
                await one.save()
            else:
                one.city = f"Bern{i % 7}"
                await one.save()
            await user.new(f"late{i}", city="Oslo").save()

    writers = [asyncio.create_task(write(first)) for first in range(4)]
    done = await reindex(user, everything=True, progress=counts.append)
    again = await reindex(user, everything=True)
    await asyncio.gather(*writers)
    assert done.problems == again.problems == []
    assert counts == sorted(counts)
    assert counts[-1] >= done.records > 200  # some went meanwhile
    assert drift(raw, [user]) == []
    assert await user.city.find("Oslo")
    await db.aclose()


async def test_foreign_writes_are_detected_and_never_handed_out(db: Database, raw: Any) -> None:
    user = new_class()
    for i in range(4):
        await user.new(str(i), city="Rome").save()
    raw.hset("user:0", "city", "Bern")
    raw.delete("user:1")
    raw.sadd("user/x/city/Rome", "ghost")
    assert [found.id for found in await user.city.find("Rome")] == ["2", "3"]
    assert db.stale_rows == {base_of(user): 3}
    assert [found.id for found in await (user.city == "Rome").limit(2)] == ["2", "3"]
    assert [found.id for found in await user.all()] == ["0", "2", "3"]
    assert await (user.city == "Bern") == []


async def test_two_classes_with_other_storage_on_one_prefix_are_refused(db: Database) -> None:
    with pytest.raises(UsageError, match=r"share the prefix '\{?shared\}?'"):
        await SharedTwo.new("1").save() if await SharedOne.new("1").save() else None


@conf(prefix="shared")
class SharedOne(Model):
    name = String(index=True)


@conf(prefix="shared")
class SharedTwo(Model):
    name = String()


@conf(prefix="nest")
class Nest(Model):
    name = String()


@conf(prefix="nest:ed")
class Nested(Model):
    name = String()


@pytest.mark.one_node
async def test_a_prefix_that_continues_another_is_refused(db: Database) -> None:
    await Nest.new("1").save()
    with pytest.raises(UsageError, match="starts with 'nest:'"):
        await Nested.new("1").save()


async def test_a_store_that_was_flushed_is_declared_again(db: Database, raw: Any) -> None:
    user = new_class()
    await user.new("1", city="Rome").save()
    raw.flushall()
    await user.new("2", city="Rome").save()
    assert [found.id for found in await user.city.find("Rome")] == ["2"]
    assert drift(raw, [user]) == []


async def test_asking_for_no_rows_asks_nobody(db: Database) -> None:
    before = db.round_trips
    schema = new_class().__mapper__.schema(db)
    assert await rows(db, []) == await rows(db, [(schema, [])]) == []
    assert db.round_trips == before


async def test_a_foreign_type_beside_the_records_is_named(url: str, db: Database, raw: Any) -> None:
    model = new_class()
    await model.new("1", city="Rome").save()
    raw.rpush("user/lease", "mine")
    with pytest.raises(WrongType, match=rf"'{re.escape(base_of(model))}/lease'.*rename or delete it$"):
        await reindex(model)
    raw.delete("user/lease", "user/meta")
    raw.rpush("user/meta", "mine")
    with pytest.raises(WrongType, match=rf"'{re.escape(base_of(model))}/meta'.*rename or delete it"):
        await conf(db=Database(url))(new_class()).city.find("Rome")
