"""Handles, and how records are loaded, reloaded, forgotten, and told to be missing."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from aioredisca import Database, NotFound, NotLoaded, ValidationError, session

from ..support.tagged import base_of
from .support import Account, User


async def test_a_handle_does_no_io_until_it_is_awaited(db: Database) -> None:
    user = User("1")
    before = db.round_trips
    assert (user.id, user.getid(), user.getkey()) == ("1", "1", f"{base_of(User)}:1")
    assert not user.loaded()
    assert db.round_trips == before
    with pytest.raises(NotLoaded, match=r"await the handle first: record = await User\('1'\)"):
        user.name
    assert await user is user
    assert user.loaded()
    assert user.name is None


@pytest.mark.parametrize("how", ["get", "find", "first", "page", "handle"])
async def test_however_a_record_is_read_all_its_fields_are_known(db: Database, how: str) -> None:
    """With a required field nothing but declared fields is asked for, else a marker as well."""
    await Account.new("1", owner="Ada", note="last").save()
    await User.new("1", email="a@b.org", data={"a": 1}).save()
    for model, expected in (
        (Account, {"owner": "Ada", "note": "last"}),
        (User, {"email": "a@b.org", "data": {"a": 1}}),
    ):
        match how:
            case "get":
                record = await model.get("1")
            case "find":
                (record,) = await model.all()
            case "first":
                record = await model.all().first()  # type: ignore[assignment]
            case "page":
                (record,) = await model.all().page(5)
            case _:
                record = await model("1")
        before = db.round_trips
        assert record.loaded()
        assert record.export() == expected
        assert db.round_trips == before


@pytest.mark.parametrize(
    "look",
    [
        bool,
        repr,
        hash,
        copy.copy,
        pickle.dumps,
        Account.loaded,
        Account.getdiff,
        Account.revert,
        Account.export,
    ],
)
async def test_a_found_record_is_the_same_whatever_is_looked_at_first(db: Database, look: Any) -> None:
    """What a query found is laid out when it is first touched."""
    await Account.new("1", owner="Ada", note="x").save()
    (found,) = await Account.all()
    look(found)
    assert repr(found) == "<Account '1' loaded>"
    assert found.getdiff() == {}
    before = db.round_trips
    await found.save()
    assert db.round_trips == before
    found.note = "y"
    assert found.getdiff() == {"note": "y"}
    await found.save()
    assert (await Account.get("1")).export() == {"owner": "Ada", "note": "y"}
    assert pickle.loads(pickle.dumps((await Account.all())[0])).export() == {"owner": "Ada", "note": "y"}
    with pytest.raises(AttributeError):
        (await Account.all())[0].__state__.layers.nothing  # type: ignore[attr-defined]


@pytest.mark.parametrize("how", ["get", "await", "get_many", "query"])
async def test_what_a_session_loads_keeps_what_was_known_before(db: Database, how: str) -> None:
    """A load fills a handle; it leaves alone what was set, and what another load has brought."""
    for id in "123":
        await Account.new(id, owner="Ada", note="x").save()
    async with session():
        plain, changed, partly = Account("1"), Account("2"), Account("3")
        changed.note = "mine"
        (same,) = await Account.all()[2:].only(Account.note)
        assert same is partly
        for handle in (plain, changed, partly):
            match how:
                case "get":
                    found: Any = await Account.get(handle.id)
                case "await":
                    found = await handle
                case "get_many":
                    (found,) = await Account.get_many([handle.id])
                case _:
                    place = int(handle.id) - 1
                    (found,) = await Account.all()[place : place + 1]
            assert found is handle
        assert [one.export() for one in (plain, partly)] == [{"owner": "Ada", "note": "x"}] * 2
        assert changed.export() == {"owner": "Ada", "note": "mine"}
        assert [one.getdiff() for one in (plain, changed, partly)] == [{}, {"note": "mine"}, {}]
        plain.note = "y"
        assert (plain.owner, plain.getdiff()) == ("Ada", {"note": "y"})
        await changed.save()
        await plain.reload()
        assert (plain.note, plain.owner) == ("y", "Ada")
        plain.unload()
        assert plain.loaded() is False
        assert (await Account.get("1")).note == "y"
    assert (await Account.get("2")).note == "mine"


async def test_awaiting_what_is_known_is_no_io(db: Database) -> None:
    await User.new("1", name="Ada").save()
    loaded, absent, new = await User("1"), await User("no"), User.new("2")
    before = db.round_trips
    assert await loaded is loaded
    assert await absent is absent
    assert await new is new
    assert await loaded.load(strict=True) is loaded
    assert db.round_trips == before


async def test_get_raises_not_found_and_awaiting_gives_an_empty_model(db: Database) -> None:
    with pytest.raises(NotFound, match=r"there is no User\('no'\)") as caught:
        await User.get("no")
    assert (caught.value.model, caught.value.id) == ("User", "no")
    assert isinstance(caught.value, LookupError)
    empty = await User("no")
    assert not empty
    assert empty.export() == {}
    with pytest.raises(NotFound):
        await empty.load(strict=True)
    with pytest.raises(NotFound):
        await User("no").load(strict=True)


async def test_get_many_keeps_order_and_tells_the_missing(db: Database) -> None:
    await User.save_many([User.new(str(i), name=f"n{i}") for i in range(3)])
    found = await User.get_many(["2", "x", 0, "2"])
    assert [user and user.name for user in found] == ["n2", None, "n0", "n2"]
    assert await User.get_many([]) == []
    with pytest.raises(ValidationError, match="empty id"):
        await User.get_many(["1", ""])


async def test_ids_of_integers_are_their_digits_and_empty_ids_name_no_record(db: Database) -> None:
    await User.new(7, name="seven").save()
    assert (await User.get(7)).name == (await User.get("7")).name == "seven"
    handle = User(None)  # redisca's way of saying none
    assert handle.id == ""
    for operation in (handle.load, handle.save, handle.delete, handle.exists):
        with pytest.raises(ValidationError, match="empty id"):
            await operation()
    for wrong in ("x" * 513, "a\ud800", True, 1.5, ["a"]):
        with pytest.raises(ValidationError):
            User(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValidationError, match="empty id"):
        User.new("")


async def test_reload_keeps_local_changes_and_takes_theirs(db: Database, raw: Any) -> None:
    user = await User.new("1", name="Ada", age=1).save()
    raw.hset("user:1", mapping={"name": "Bob", "active": "1"})
    user.age = 2
    assert await user.reload() is user
    assert (user.name, user.active, user.age) == ("Bob", True, 2)
    assert user.getdiff() == {"age": 2}


async def test_unload_forgets_what_is_stored_and_revert_what_was_changed(db: Database) -> None:
    user = await User.new("1", name="Ada", age=1).save()
    user.age = 2
    user.unload()
    assert not user.loaded()
    assert user.age == 2
    with pytest.raises(NotLoaded):
        user.name
    await user.load()
    user.revert()
    assert (user.name, user.age, user.getdiff()) == ("Ada", 1, {})


async def test_exists_and_delete_answer_whether_there_was_something(db: Database, raw: Any) -> None:
    user = User.new("1", email="a@b.cc", name="Ada", age=3)
    assert not await user.exists()
    await user.save()
    assert await user.exists()
    assert await user.delete() is True
    assert await user.delete() is False
    assert await User("1").delete() is False
    assert raw.keys("*") == [b"user/meta"]
    assert not user


async def test_get_of_a_record_reads_a_hash_field_as_a_dict_would(db: Database) -> None:
    user = await User.new("1", name="Ada").save()
    assert (user.get("name"), user.get("age"), user.get("age", 3)) == ("Ada", None, 3)
    assert (user.get("age", default=4), user.get(name="age", default=5)) == (4, 5)
