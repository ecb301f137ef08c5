"""Save modes, if_unchanged, and required fields."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from aioredisca import (
    AlreadyExists,
    BulkError,
    CorruptRecord,
    Database,
    FieldUnset,
    Gone,
    NotLoaded,
    StaleWrite,
    UsageError,
    ValidationError,
    session,
)

from ..support.drift import drift
from .support import Account, Titled, User

# -- save modes ----------------------------------------------------------------------------------


async def test_a_new_record_is_created_and_a_taken_id_refused(db: Database, raw: Any) -> None:
    await User.new("1", name="Ada").save()
    second = User.new("1", name="Bob")
    with pytest.raises(AlreadyExists) as caught:
        await second.save()
    assert (caught.value.model, caught.value.id, caught.value.instance) == ("User", "1", second)
    assert second.getdiff() == {"name": "Bob"}
    assert raw.hget("user:1", "name") == b"Ada"
    await second.save(mode="upsert")
    assert raw.hget("user:1", "name") == b"Bob"
    assert drift(raw, [User]) == []


@pytest.mark.parametrize("mode", ["update", "upsert"])
@pytest.mark.parametrize("way", ["new", "assigned", "taken back", "filled", "absent", "deleted", "copied"])
async def test_none_given_to_a_new_record_is_written_to_one_that_is_there(
    db: Database, raw: Any, mode: Any, way: str
) -> None:
    user = User.new("1", name="T", age=None) if way == "new" else User.new("1", name="T")
    if way == "absent":
        user = await User("1")
    if way == "deleted":
        user = await user.save()
        await user.delete()
    await User("1").save(mode="upsert")
    other = await User.get("1")
    other.name, other.age, other.data = "Old", 75, {"a": 1}
    await other.save()
    if way == "filled":
        user.fill_new()
    if way == "taken back":
        user.age = 5
    if way != "new":
        user.name, user.age = "T", None
    if way == "copied":
        user = copy.copy(user)
    assert user.getdiff() == {"name": "T"}
    if way == "new":
        with pytest.raises(AlreadyExists):
            await user.save()
    await user.save(mode=mode)
    kept = {} if way == "filled" else {b"data": b'{"a":1}'}
    assert {**raw.hgetall("user:1")} == {b"name": b"T"} | kept
    assert await User.age.find(75) == []
    assert [one.id for one in await User.age.is_none()] == ["1"]
    assert drift(raw, [User]) == []


async def test_none_given_to_a_new_record_is_nothing_to_a_create(db: Database, raw: Any) -> None:
    user = await User.new("1", name="T", age=None).save()
    assert (user.age, user.getdiff(), raw.hgetall("user:1")) == (None, {}, {b"name": b"T"})
    again = User.new("2", name="T", age=None)
    again.age = 7
    await again.save(mode="upsert")
    assert raw.hgetall("user:2") == {b"name": b"T", b"age": b"7"}
    taken_back = User.new("2", age=None)
    taken_back.revert()
    await taken_back.save(mode="upsert")
    assert raw.hget("user:2", "age") == b"7"
    assert drift(raw, [User]) == []


@pytest.mark.parametrize("way", ["reload", "unload"])
async def test_none_set_where_nothing_was_found_outlives_what_is_learned(
    db: Database, raw: Any, way: str
) -> None:
    user = await User("1")
    user.age = None
    assert (bool(user), user.getdiff()) == (False, {})
    await User.new("1", age=75).save()
    await (user.reload() if way == "reload" else user.exists())
    if way == "unload":
        user.unload()
    assert user.getdiff() == {"age": None}
    await user.save()
    assert raw.hget("user:1", "age") is None
    assert drift(raw, [User]) == []


@pytest.mark.parametrize("kind", [User, Titled])
async def test_a_mode_asks_the_server_without_a_change_too(db: Database, raw: Any, kind: Any) -> None:
    for nothing in (kind("404"), await kind("404")):
        with pytest.raises(Gone):
            await nothing.save(mode="update")
        with pytest.raises(UsageError, match="was deleted and nothing was set since"):
            await nothing.save()
    await kind("1").save()
    await (await kind("1")).save()
    assert await kind.all().ids() == []
    assert await (await kind("1").save(mode="upsert")).exists()
    with pytest.raises(AlreadyExists):
        await kind("1").save(mode="create")
    assert await (await kind("2").save(mode="create")).exists()
    found = await kind("1").save(mode="update")
    before = db.round_trips
    await found.save(mode="update")
    await found.save()
    assert db.round_trips == before
    assert raw.hgetall(kind("1").getkey()) == {b"_": b"1"}
    assert drift(raw, [kind]) == []


@pytest.mark.parametrize("way", ["delete", "delete_many", "flush"])
async def test_after_a_delete_a_save_of_nothing_says_why_not(db: Database, raw: Any, way: str) -> None:
    async with session() as unit:
        user = await User.new("1", name="Ada").save()
        if way == "flush":
            unit.delete(user)
            await unit.flush()
        else:
            await (user.delete() if way == "delete" else User.delete_many([user]))
        before = db.round_trips
        for verb in (user.save, lambda: User.save_many([User.new("2"), user])):
            with pytest.raises(UsageError, match=r"User\('1'\) was deleted .*begin anew by User\.new\('1'\)"):
                await verb()
        assert db.round_trips == before
        await unit.flush()  # it is no change
        assert not raw.exists("user:1")
        user.name = "Bob"
        await user.save()
        assert raw.hgetall("user:1") == {b"name": b"Bob"}
        await user.save()
    assert drift(raw, [User]) == []


async def test_a_load_that_found_nothing_makes_the_save_a_create(db: Database) -> None:
    absent = await User("1")
    absent.name = "Ada"
    await User.new("1", name="Bob").save()
    with pytest.raises(AlreadyExists):
        await absent.save()


async def test_a_record_that_vanished_is_gone_and_the_next_save_makes_it_anew(db: Database, raw: Any) -> None:
    user = await User.new("1", name="Ada", age=5, email="a@b.cc").save()
    await User("1").delete()
    user.age = 6
    with pytest.raises(Gone) as caught:
        await user.save()
    assert (caught.value.model, caught.value.id) == ("User", "1")
    assert raw.hgetall("user:1") == {}
    await user.save()
    assert raw.hgetall("user:1") == {b"eml": b"a@b.cc", b"name": b"Ada", b"age": b"6"}
    assert drift(raw, [User]) == []


@pytest.mark.parametrize("stored", ["abc", "1152921504606846976"])
async def test_what_others_stored_and_no_index_holds_is_not_made_anew(
    db: Database, raw: Any, stored: str
) -> None:
    """A record that vanished is made from what was loaded: all of it is judged before anything is sent."""
    await User.new("1", name="Ada", age=5, email="a@b.cc").save()
    raw.hset("user:1", "age", stored)
    user = await User.get("1")
    await User("1").delete()
    user.email = "b@b.cc"
    with pytest.raises(Gone):
        await user.save()
    with pytest.raises(ValidationError, match=r"User\.age"):
        await user.save()
    with pytest.raises(BulkError) as caught:
        await User.save_many([user, User.new("2", name="Bob")])
    assert (caught.value.saved, caught.value.failed) == (0, user)
    assert raw.keys("user:*") == []
    assert drift(raw, [User]) == []
    user.age = 7
    await user.save()
    assert raw.hget("user:1", "age") == b"7"
    assert drift(raw, [User]) == []


async def test_after_a_delete_the_same_instance_creates(db: Database, raw: Any) -> None:
    user = await User.new("1", name="Ada", age=5).save()
    await user.delete()
    user.name = "Eve"
    await user.save()
    assert raw.hgetall("user:1") == {b"name": b"Eve"}
    assert drift(raw, [User]) == []


async def test_a_bare_handle_creates_or_updates(db: Database, raw: Any) -> None:
    for name in ("Ada", "Bob"):
        handle = User("1")
        handle.name = name
        assert await handle.save() is handle
    assert await User.name.find("Bob") == [User("1")]
    assert await User.name.find("Ada") == []
    with pytest.raises(AlreadyExists):
        other = User("1")
        other.name = "Eve"
        await other.save(mode="create")
    with pytest.raises(Gone):
        other = User("2")
        other.name = "Eve"
        await other.save(mode="update")
    assert drift(raw, [User]) == []


async def test_nothing_changed_is_no_io_but_new_is_a_change_by_itself(db: Database, raw: Any) -> None:
    user = await User.new("1").save()
    assert raw.hgetall("user:1") == {b"_": b"1"}
    assert await User.get("1") == user
    before = db.round_trips
    await user.save()
    user.name = None
    await user.save()
    assert db.round_trips == before
    user.name = "Ada"
    await user.save()
    assert raw.hgetall("user:1") == {b"name": b"Ada"}
    user.name = None
    await user.save()
    assert raw.hgetall("user:1") == {b"_": b"1"}
    assert drift(raw, [User]) == []


async def test_none_clears_the_field_leaves_the_index_and_repeats_under_unique(
    db: Database, raw: Any
) -> None:
    first = await User.new("1", email="a@b.cc", name="Ada", age=1).save()
    await User.new("2", email=None, name=None).save()
    first.email = first.name = first.age = None
    first.active = True
    await first.save()
    assert raw.hgetall("user:1") == {b"active": b"1"}
    assert await User.name.find("Ada") == []
    assert await User.email.find("a@b.cc") == []
    assert await User.age.range() == []
    assert {user.id for user in await User.name.find(None)} == {"1", "2"}
    assert drift(raw, [User]) == []


async def test_only_what_was_changed_travels(db: Database, raw: Any) -> None:
    user = await User.new("1", name="Ada", age=1).save()
    raw.hset("user:1", "active", "1")
    user.age = 1
    assert user.getdiff() == {}
    user.age = 2
    assert user.getdiff() == {"age": 2}
    user.age = 1
    assert user.getdiff() == {}
    user.name = "Bob"
    await user.save()
    assert raw.hgetall("user:1") == {b"name": b"Bob", b"age": b"1", b"active": b"1"}


async def test_json_changed_in_place_is_saved(db: Database, raw: Any) -> None:
    user = User.new("1", data={"a": 1})
    await user.save()
    assert user.data is not None
    user.data["b"] = 2
    assert user.getdiff() == {"data": '{"a":1,"b":2}'}
    await user.save()
    assert raw.hget("user:1", "data") == b'{"a":1,"b":2}'
    again = await User.get("1")
    assert again.data is not None
    again.data["a"] = 1
    assert again.getdiff() == {}


# -- if_unchanged --------------------------------------------------------------------------------


async def test_if_unchanged_compares_the_changed_fields(db: Database, raw: Any) -> None:
    mine = await User.new("1", name="Ada", age=1).save()
    raw.hset("user:1", mapping={"name": "Bob"})
    mine.age = 2
    await mine.save(if_unchanged=True)  # the name is somebody else's business
    assert raw.hgetall("user:1") == {b"name": b"Bob", b"age": b"2"}
    raw.hset("user:1", "age", "7")
    mine.age = 3
    with pytest.raises(StaleWrite) as caught:
        await mine.save(if_unchanged=True)
    assert (caught.value.model, caught.value.id, caught.value.fields) == ("User", "1", ("age",))
    assert mine.getdiff() == {"age": 3}
    await mine.reload()
    await mine.save(if_unchanged=True)
    assert raw.hget("user:1", "age") == b"3"


async def test_if_unchanged_takes_columns_and_the_whole_record(db: Database, raw: Any) -> None:
    mine = await User.new("1", name="Ada", age=1).save()
    raw.hset("user:1", mapping={"name": "Bob", "eml": "x@y.zz"})
    mine.age = 2
    with pytest.raises(StaleWrite) as caught:
        await mine.save(if_unchanged=(User.name,))
    assert caught.value.fields == ("name",)
    with pytest.raises(StaleWrite) as caught:
        await mine.save(if_unchanged="record")
    assert sorted(caught.value.fields) == ["email", "name"]
    assert raw.hget("user:1", "age") == b"1"


async def test_if_unchanged_on_what_was_never_loaded_is_refused_before_io(db: Database) -> None:
    handle = User("1")
    handle.age = 5
    before = db.round_trips
    with pytest.raises(NotLoaded, match=r"if_unchanged compares with what was loaded: load\(\) first"):
        await handle.save(if_unchanged=True)
    for wrong in ("records", 5, User.age, (Account.owner,), ("name",)):
        with pytest.raises(UsageError, match="if_unchanged takes"):
            await handle.save(if_unchanged=wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="mode is 'create', 'update' or 'upsert'; not 'insert'"):
        await handle.save(mode="insert")  # type: ignore[arg-type]
    assert db.round_trips == before


async def test_absent_counts_as_a_value_for_if_unchanged(db: Database, raw: Any) -> None:
    mine = await User.new("1", name="Ada").save()
    raw.hset("user:1", "age", "1")
    mine.age = 1  # the very same value that somebody else wrote: the race is lost all the same
    with pytest.raises(StaleWrite):
        await mine.save(if_unchanged=True)


# -- required fields -----------------------------------------------------------------------------


async def test_a_record_without_a_required_field_is_not_created(db: Database, raw: Any) -> None:
    account = Account.new("1", note="x")
    with pytest.raises(FieldUnset, match=r"Account\.owner is required"):
        account.owner
    for attempt in (account, Account("2")):
        attempt.note = "y"
        with pytest.raises(ValidationError, match="is required") as caught:
            await attempt.save()
        assert caught.value.field == "owner"
        assert caught.value.instance is attempt
    assert raw.keys("account:*") == []
    with pytest.raises(ValidationError, match="is required and cannot be None"):
        account.owner = None  # type: ignore[assignment]
    account.owner = "Ada"
    await account.save()
    handle = Account("1")
    handle.note = "z"  # an update may go without what is stored already
    await handle.save()
    assert raw.hgetall("account:1") == {b"owner": b"Ada", b"note": b"z"}
    assert drift(raw, [Account]) == []


async def test_a_stored_record_without_its_required_field_is_corrupt_not_none(db: Database, raw: Any) -> None:
    await Account.new("1", owner="Ada", note="x").save()
    raw.hdel("account:1", "owner")
    account = await Account("1").load(raw=True)
    with pytest.raises(CorruptRecord, match="is missing, though the field is required"):
        account.owner
