"""One record: handles, save modes, loading, the dict API, and Python's own protocols."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest

from aioredisca import (
    AlreadyExists,
    Bool,
    BulkError,
    Bytes,
    CorruptRecord,
    Database,
    DateTime,
    Email,
    FieldUnset,
    Gone,
    Integer,
    Json,
    Model,
    NotFound,
    NotLoaded,
    StaleWrite,
    String,
    UsageError,
    ValidationError,
    conf,
    session,
)

from ..support.drift import drift


class User(Model):
    email = Email(field="eml", unique=True)
    name = String(index=True)
    age = Integer(index=True)
    active = Bool()
    made = DateTime()
    data = Json[dict[str, int]]()


class Account(Model):
    owner = String(required=True)
    note = String()


# -- handles and loading ---------------------------------------------------------------------------


async def test_a_handle_does_no_io_until_it_is_awaited(db: Database) -> None:
    user = User("1")
    before = db.round_trips
    assert (user.id, user.getid(), user.getkey()) == ("1", "1", "user:1")
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
        (await Account.all())[0]._memory.nothing  # type: ignore[attr-defined]


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


# -- save modes ------------------------------------------------------------------------------------


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


# -- if_unchanged ----------------------------------------------------------------------------------


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


# -- required fields -------------------------------------------------------------------------------


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


# -- new -------------------------------------------------------------------------------------------


def test_new_takes_names_and_offers_the_nearest() -> None:
    with pytest.raises(ValidationError, match=r"there is no such field; did you mean 'email'\?") as caught:
        User.new(emial="a@b.cc")
    assert caught.value.field == "emial"
    with pytest.raises(ValidationError, match="there is no such field"):
        User.new(id="1")
    with pytest.raises(ValidationError, match="there is no such field"):
        User.new(eml="a@b.cc")  # the hash field's name is for the dict API
    assert User.new(model_id="1").id == "1"
    assert len(User.new().id) == 24
    user = User("1")
    with pytest.raises(AttributeError, match=r"User has no field 'nmae'; did you mean 'name'\?"):
        user.nmae = "x"  # type: ignore[attr-defined]


@conf(id=lambda: 42)
class Numbered(Model):
    name = String()


async def test_a_function_of_ones_own_makes_ids(db: Database, raw: Any) -> None:
    await Numbered.new(name="x").save()
    assert raw.exists("numbered:42")


# -- dict API --------------------------------------------------------------------------------------


class Loose(Model):
    age = Integer()
    active = Bool()
    made = DateTime()
    blob = Bytes()
    name = String(field="nm")


async def test_the_dict_api_shows_the_hash_as_it_is(db: Database, raw: Any) -> None:
    record = Loose.new("1", age=26, active=True, made=1400000000, blob=b"\xff", name="Ada")
    for _ in range(2):  # before and after a load alike
        shown = [record["age"], record["active"], record["made"], record["blob"], record["nm"]]
        assert shown == [26, 1, 1400000000, b"\xff", "Ada"]
        assert [type(value) for value in shown] == [int, int, int, bytes, str]
        await record.save()
        record = await Loose.get("1")


async def test_undeclared_fields_need_a_raw_load_to_be_read_and_nothing_to_be_written(
    db: Database, raw: Any
) -> None:
    record = await Loose.new("1", age=1).save()
    raw.hset("loose:1", "extra", "5")
    record = await Loose.get("1")
    with pytest.raises(NotLoaded, match=r"extra is not loaded: .* by `await record.load\(raw=True\)`"):
        record["extra"]
    with pytest.raises(NotLoaded):
        len(record)
    record["colour"] = "red"
    record["size"] = 2.5
    await record.save()
    assert raw.hgetall("loose:1") == {b"age": b"1", b"extra": b"5", b"colour": b"red", b"size": b"2.5"}
    await record.load(raw=True)
    assert record["extra"] == "5"
    assert "extra" in record
    assert "nothing" not in record
    assert len(record) == 4
    assert record.raw_export() == {"age": 1, "extra": "5", "colour": "red", "size": "2.5"}
    assert record.get("extra") == "5"
    assert record.get("nothing", 7) == 7
    assert record.pop("extra") == "5"
    del record["colour"]
    record["size"] = None
    assert record.getdiff() == {"extra": None, "colour": None, "size": None}
    assert record.getorigin() == {"age": 1, "extra": "5", "colour": "red", "size": "2.5"}
    await record.save()
    assert raw.hgetall("loose:1") == {b"age": b"1"}


def test_raw_writes_to_declared_fields_are_checked() -> None:
    record = Loose.new("1", age=5)
    for key, wrong in [("age", "abc"), ("made", "soon"), ("active", "yes"), ("age", object())]:
        with pytest.raises(ValidationError):
            record[key] = wrong  # type: ignore[assignment]
    assert record.age == 5
    record["age"] = "+07"
    record["active"] = True
    assert (record.age, record.active) == (7, True)
    for name in ("_", "", "x" * 513, "a\ud800"):
        with pytest.raises(ValidationError):
            record[name] = "x"
    for wrong in (["a"], True, "a\ud800"):
        with pytest.raises(ValidationError):
            record["extra"] = wrong  # type: ignore[assignment]
    user = User.new()
    user["eml"] = "Foo@Bar.com"
    assert user.email == "foo@bar.com"


async def test_export_shows_values_by_attribute_and_the_raw_export_the_hash(db: Database) -> None:
    record = await Loose.new("1", age=3, name="Ada").save()
    assert record.export() == {"age": 3, "name": "Ada"}
    assert record.export(keep_none=True) == {
        "age": 3,
        "active": None,
        "made": None,
        "blob": None,
        "name": "Ada",
    }
    assert record.raw_export() == {"age": 3, "nm": "Ada"}


# -- Python's protocols ----------------------------------------------------------------------------


class Admin(User):
    pass


async def test_records_are_equal_by_class_and_id(db: Database) -> None:
    assert User("1") == User("1")
    assert hash(User("1")) == hash(User("1"))
    assert User("1") != User("2")
    assert User("1") != Admin("1")
    assert User("1") != "1"
    assert User("1") in {User("1")}


async def test_truth_does_no_io_and_iteration_is_off(db: Database) -> None:
    before = db.round_trips
    assert User("1")  # not known: it may be there
    assert User.new("1")
    assert db.round_trips == before
    absent = await User("1")
    assert not absent
    absent.name = "Ada"
    assert absent
    with pytest.raises(TypeError):
        list(absent)  # type: ignore[call-overload]


async def test_the_repr_shows_state_and_never_values(db: Database) -> None:
    user = User.new("1", name="SECRET")
    assert repr(user) == "<User '1' new, 1 changed>"
    await user.save()
    assert repr(user) == "<User '1' loaded>"
    user.name, user.age = "X", 1
    assert repr(user) == "<User '1' loaded, 2 changed>"
    assert repr(User("2")) == "<User '2' handle>"
    assert repr(await User("2")) == "<User '2' absent>"
    assert repr(User.name) == "<User.name>"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda user: pickle.loads(pickle.dumps(user))])
async def test_copies_carry_data_and_changes_and_go_their_own_way(
    db: Database, raw: Any, copied: Any
) -> None:
    user = await User.new("1", name="Ada", data={"a": 1}).save()
    user.age = 4
    assert user.data is not None
    user.data["b"] = 2
    twin = copied(user)
    assert twin is not user
    assert twin == user
    assert (twin.name, twin.age, twin.data) == ("Ada", 4, {"a": 1, "b": 2})
    assert twin.getdiff() == user.getdiff() == {"age": 4, "data": '{"a":1,"b":2}'}
    twin.age = 5
    twin.data["c"] = 3
    assert user.age == 4
    await twin.save()
    assert raw.hgetall("user:1") == {b"name": b"Ada", b"age": b"5", b"data": b'{"a":1,"b":2,"c":3}'}
    twin.age = 6
    await twin.save(mode="update")
    assert drift(raw, [User]) == []


async def test_the_database_of_a_class_gives_raw_clients(db: Database, raw: Any, driver: str) -> None:
    assert User.getdb() is db
    await User.new("1", name="Ada").save()
    if driver == "asyncio":
        client = db.client
        assert await client.hget("user:1", "name") == b"Ada"
        await client.aclose()
        await client.connection_pool.disconnect()
        await db.aclose()


async def test_a_class_that_is_gone_is_kept_by_nothing(db: Database) -> None:
    """Else its references would stay in force, and notebooks would fill up."""

    async def use() -> list[weakref.ref[Any]]:
        class Own(Integer):
            def check(self, value: int) -> None:
                assert Passing.name  # its code knows the class, as that of one module does

        class Passing(Model):
            name = String(index=True)
            age = Integer(index=True)
            size = Own(index=True)

        await Passing.new("1", name="a", age=1, size=1).save()
        await Passing.save_many([Passing.new("2", name="a"), Passing.new("3", name="b")])
        async with session(autosave=True):
            (await Passing.get("1")).age = 5
        assert len(await ((Passing.name == "a") & (Passing.age >= 5))) == 1
        assert (len(await Passing.name.find("a")), len(await Passing.age.range(1, 9))) == (2, 1)
        assert await Passing.all().order_by(Passing.age.desc()).count() == 3
        await Passing("1").incr(Passing.age, 1)
        await Passing.all().delete()
        return [weakref.ref(Passing), weakref.ref(Passing._schema(db))]

    gone = await use()
    for _ in range(3):
        gc.collect()
    assert [reference() for reference in gone] == [None, None]
