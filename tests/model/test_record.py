"""One record: new(), the dict API, and Python's own protocols."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest

from aioredisca import (
    Bool,
    Bytes,
    Database,
    DateTime,
    Gone,
    Integer,
    Model,
    NotLoaded,
    String,
    ValidationError,
    conf,
    session,
)

from ..support.drift import drift
from .support import User

# -- new -----------------------------------------------------------------------------------------


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


# -- dict API ------------------------------------------------------------------------------------


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


# -- Python's protocols --------------------------------------------------------------------------


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
        assert await client.hget(User("1").getkey(), "name") == b"Ada"
        await client.aclose()
        if not db.clustered:
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
        return [weakref.ref(Passing), weakref.ref(Passing.__mapper__.schema(db))]

    gone = await use()
    for _ in range(3):
        gc.collect()
    assert [reference() for reference in gone] == [None, None]


async def test_words_that_say_where_an_id_goes_and_what_is_not_stored(db: Database) -> None:
    with pytest.raises(
        ValidationError, match=r"there is no such field; the id is the first argument of new\(\)"
    ):
        User.new(id="5")
    with pytest.raises(
        Gone, match=r"User\('nobody'\) is not stored, or not any more: save\(\) would create it"
    ):
        await User("nobody").incr(User.age)
