"""What reindex takes for a record of a model, and what it finds wrong with one."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
from typing import Any

import pytest

from aioredisca import (
    UUID,
    Bool,
    CorruptRecord,
    Database,
    Date,
    DateTime,
    Decimal,
    Email,
    Enum,
    Float,
    Integer,
    Model,
    NotIndexed,
    Reference,
    String,
    Tags,
    UniqueViolation,
    UsageError,
    conf,
    reindex,
)
from aioredisca.persistence import adoption

from ..support.drift import drift


@conf(prefix="profile")
class Profile(Model):
    name = String(index=True)
    lang = String()


@conf(prefix="user")
class User(Model):
    email = Email(unique=True)


# -- whose a hash is -------------------------------------------------------------------------------


async def test_what_belongs_to_a_record_of_others_is_not_taken_over(db: Database, raw: Any) -> None:
    raw.hset("profile:1", "name", "Ada")
    raw.hset("profile:1:settings", "theme", "dark")  # no field of ours
    raw.hset("profile:1:prefs", "lang", "en")  # one that is called as ours is, behind a record
    raw.hset("profile:9:stats", "views", "7")
    raw.hset("profile:2024:17", "name", "Bob")  # behind nothing
    raw.hset("profile:empty", "_", "1")
    raw.set("profile:text", "no hash")
    done = await reindex(Profile)
    assert sorted(done.foreign) == ["1:prefs", "1:settings", "9:stats"]
    assert (done.records, done.left_out) == (3, 0)
    assert [one.id for one in await Profile.all()] == ["1", "2024:17", "empty"]
    assert raw.hgetall("profile:1:prefs") == {b"lang": b"en"}
    again = await reindex(Profile, everything=True)
    assert sorted(again.foreign) == sorted(done.foreign)  # a SCAN has no order


async def test_who_knows_better_says_what_is_a_record(db: Database, raw: Any) -> None:
    for id in ("1", "1:2", "x"):
        raw.hset(f"profile:{id}", "name", id)
    done = await reindex(Profile, is_record=lambda id: id != "x")
    assert (done.records, done.foreign) == (2, ["x"])
    await reindex(Profile, everything=True)  # once written by the library, a record is known
    assert [one.id for one in await Profile.all()] == ["1", "1:2", "x"]


async def test_records_of_a_longer_prefix_are_those_of_another_model(
    url: str, db: Database, raw: Any
) -> None:
    @conf(prefix="user:profile", db=Database(url))
    class Nested(Model):
        email = Email(unique=True)
        city = String(index=True)

    # as another process has written them, which knows nothing of User
    raw.hset("user:profile/meta", mapping={"signature": "2/!:moved", "ver": "a"})
    raw.hset("user:profile/u/email", "p@x.xx", "7")
    raw.hset("user:profile:7", mapping={"email": "p@x.xx", "city": "Rome"})
    raw.hset("user:1", "email", "a@x.xx")
    raw.zadd("user/ids", {"profile:7": 0, "profile/meta": 0})  # which older versions took over
    done = await reindex(User, everything=True)
    assert (done.records, done.foreign) == (1, [])
    assert raw.zrange("user/ids", 0, -1) == [b"1"]
    assert raw.hgetall("user/u/email") == {b"a@x.xx": b"1"}
    assert raw.hgetall("user:profile/meta")[b"ver"] == b"a"


async def test_foreign_hashes_do_not_make_a_new_model_unbuilt(db: Database, raw: Any) -> None:
    raw.hset("profile:1:settings", "theme", "dark")
    raw.hset("profile:sub:1", "name", "of another")
    raw.hset("profile:sub/meta", "signature", "1/i:")
    assert await Profile.all() == []
    await Profile.new("1", name="Ada").save()
    assert [one.id for one in await (Profile.name == "Ada")] == ["1"]


async def test_records_that_vanish_meanwhile_are_no_foreign_ones(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.hset("profile:1", "name", "Ada")
    found = adoption.nested

    async def late(*arguments: Any) -> Any:
        raw.delete("profile:1")
        return await found(*arguments)

    monkeypatch.setattr(adoption, "nested", late)
    done = await reindex(Profile)
    assert (done.records, done.foreign) == (0, [])


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.one_node
async def test_keys_that_meet_in_two_databases_of_one_server_are_refused(
    url: str, db: Database, turned: bool
) -> None:
    settings: list[dict[str, Any]] = [
        {"prefix": "b", "db": Database(url, namespace="a:")},
        {"prefix": "usr", "db": Database(url, namespace="a:b:")},
    ]
    first: Any
    second: Any
    first, second = (type(name, (Model,), {"name": String()}) for name in ("First", "Second"))
    for model, one in zip((first, second), settings[::-1] if turned else settings, strict=True):
        conf(**one)(model)
    await first.new("usr:1" if not turned else "1").save()
    with pytest.raises(UsageError, match="'a:b:usr' starts with 'a:b:'"):
        await second.new("1").save()
    other: Any = type("Elsewhere", (Model,), {"name": String()})
    conf(prefix="usr", db=Database("memory://", namespace="a:b:"))(other)
    await other.new("1").save()  # another server


# -- values that no query would find ---------------------------------------------------------------


class Color(enum.Enum):
    RED = "red"


class Upper(String):
    def coerce(self, value: Any) -> str:
        return str(super().coerce(value)).upper()


STRANGE: dict[str, tuple[Any, str, Any, bytes]] = {
    "email": (Email(unique=True), "Ada@Example.com", "ada@example.com", b"ada@example.com"),
    "indexed email": (Email(index=True), "ADA@x.xx", "ada@x.xx", b"ada@x.xx"),
    "sorted": (Email(index="sorted"), "ADA@x.xx", "ada@x.xx", b"ada@x.xx"),
    "normalize": (String(index=True, normalize="NFC"), "e\u0301", "é", "é".encode()),
    "own coerce": (Upper(index=True), "ada", "ADA", b"ADA"),
    "integer": (Integer(index=True), "007", 7, b"7"),
    "exact integer": (Integer(index="exact"), "+7", 7, b"7"),
    "float": (Float(index=True), "1e0", 1.0, b"1.0"),
    "decimal": (Decimal(index="exact"), "1.50", decimal.Decimal("1.5"), b"1.5"),
    "places": (Decimal(index=True, places=2), "1.500", decimal.Decimal("1.5"), b"1.5"),
    "moment": (DateTime(index=True), "5.10", dt.datetime(1970, 1, 1, 0, 0, 5, 100_000), b"5.1"),
    "uuid": (
        UUID(unique=True),
        "6BA7B8109DAD11D180B400C04FD430C8",
        None,
        b"6ba7b8109dad11d180b400c04fd430c8",
    ),
}


@pytest.mark.parametrize("name", STRANGE)
async def test_values_written_otherwise_are_reported_or_rewritten(db: Database, raw: Any, name: str) -> None:
    field, stored, asked, canonical = STRANGE[name]
    model: Any = type("Thing", (Model,), {"value": copy.copy(field)})
    raw.hset("thing:1", "value", stored)
    done = await reindex(model)
    assert (done.records, "n:value" in done.unbuilt, done.left_out) == (0, False, 1)
    ((id, error),) = done.problems
    assert (id, type(error)) == ("1", CorruptRecord)
    assert stored not in str(error)
    assert raw.hget("thing:1", "value") == stored.encode()
    with pytest.raises(NotIndexed):
        await (model.value == (asked if asked is not None else canonical.decode()))
    done = await reindex(model, canonical=True)
    assert (done.records, done.problems) == (1, [])
    assert raw.hget("thing:1", "value") == canonical
    assert [
        one.id for one in await (model.value == (asked if asked is not None else canonical.decode()))
    ] == ["1"]
    assert drift(raw, [model]) == []


async def test_values_in_built_indexes_are_rewritten_too(db: Database, raw: Any) -> None:
    await User.new("1", email="ada@example.com").save()
    raw.hset("user:1", "email", "Ada@Example.com")  # by others, behind the library's back
    raw.hset("user:2", "email", "Bob@Example.com")
    done = await reindex(User, everything=True)
    assert sorted((id, type(error)) for id, error in done.problems) == [
        ("1", CorruptRecord),
        ("2", CorruptRecord),
    ]
    assert "canonical=True" in str(done.problems[0][1])
    done = await reindex(User, canonical=True)  # what the problem says
    assert (done.records, done.problems) == (2, [])
    assert [raw.hget(f"user:{n}", "email") for n in (1, 2)] == [b"ada@example.com", b"bob@example.com"]
    assert [one.id for one in await (User.email == "bob@example.com")] == ["2"]
    assert drift(raw, [User]) == []


async def test_values_that_mean_the_same_are_not_both_claimed(db: Database, raw: Any) -> None:
    raw.hset("user:1", "email", "Ada@Example.com")
    raw.hset("user:2", "email", "ada@example.com")
    done = await reindex(User)
    assert [(id, type(error)) for id, error in done.problems] == [("1", CorruptRecord)]
    done = await reindex(User, canonical=True)
    assert [type(error) for _, error in done.problems] == [UniqueViolation]
    with pytest.raises(NotIndexed):
        await (User.email == "ada@example.com")
    raw.delete("user:1")
    assert (await reindex(User)).problems == []
    assert [one.id for one in await (User.email == "Ada@Example.com")] == ["2"]


async def test_what_is_written_as_ever_and_what_nobody_could_write_is_indexed(db: Database, raw: Any) -> None:
    class Odd(Model):
        email = Email(index=True)
        flag = Bool(index=True)
        color = Enum(Color, index=True)
        day = Date(index=True)
        seen = DateTime(index=True)
        tags = Tags(index=True)
        boss = Reference("Odd", index=True)
        short = String(index=True, minlen=5)

    stored = {"email": "no address", "flag": "1", "color": "red", "day": "2024-02-29", "seen": "1700000000"}
    raw.hset("odd:1", mapping={**stored, "tags": '["a","b"]', "boss": "2", "short": "x"})
    done = await reindex(Odd)
    assert (done.records, done.problems) == (1, [])
    assert drift(raw, [Odd]) == []


# -- required fields that are younger than records -------------------------------------------------


def grown(url: str) -> tuple[Any, Any]:
    @conf(prefix="grown")
    class Before(Model):
        name = String(index=True)

    @conf(prefix="grown", db=Database(url))
    class Grown(Model):
        name = String(index=True)
        code = Integer(required=True, index=True)
        note = String(required=True)

    return Before, Grown


async def test_records_without_a_new_required_field_are_counted_and_found(
    url: str, db: Database, raw: Any
) -> None:
    before, model = grown(url)
    await before.save_many([before.new("1", name="a"), before.new("2", name="b"), before.new("3")])
    done = await reindex(model)
    assert (done.records, done.problems, done.built) == (3, [], ())
    assert done.incomplete == {"code": 3, "note": 3}
    with pytest.raises(NotIndexed):
        await (model.code >= 0)
    # its index would leave them out, so it is not used
    assert [one.id for one in await model.all().order_by(model.code).limit(5)] == ["1", "2", "3"]
    for condition in (model.note.is_none(), model.note != "x", ~(model.note == "x")):
        found = condition.scan()
        assert [one.id for one in await found] == await found.ids() == ["1", "2", "3"]
        assert (await found.count(), await found.exists()) == (3, True)
    assert [one.id for one in await model.all()] == ["1", "2", "3"]
    assert [one.id for one in await model.all().only(model.note)] == ["1", "2", "3"]
    with pytest.raises(NotIndexed, match="it is required: those stored before"):
        await model.code.is_none()
    blank = await model.get("3")  # which holds nothing but the marker
    with pytest.raises(CorruptRecord, match="is missing"):
        assert blank.code
    for place, one in enumerate(await model.all()):
        one.code, one.note = place, "x"
        await one.save()
    assert (await reindex(model)).built == ("r:code",)
    assert [one.id for one in await model.all().order_by(model.code.desc())] == ["3", "2", "1"]
    raw.hdel("grown:3", "_")  # a class with required fields writes no marker, and leaves that of old records
    assert drift(raw, [model]) == []


async def test_a_new_required_field_without_an_index_is_told_as_well(
    url: str, db: Database, raw: Any
) -> None:
    """The signature is as before: there is nothing to build."""

    @conf(prefix="plainly")
    class Before(Model):
        name = String(index=True)

    @conf(prefix="plainly", db=Database(url))
    class Later(Model):
        name = String(index=True)
        note = String(required=True)

    await Before.save_many([Before.new(str(i), name="a") for i in range(120)])
    await Later.new("new", note="x").save()
    done = await reindex(Later, everything=True)
    assert (done.records, done.incomplete) == (121, {"note": 120})
    assert await Later.note.is_none().scan().count() == 120
    assert [one.id for one in await (Later.note != "y").scan().limit(2)] == ["0", "1"]
