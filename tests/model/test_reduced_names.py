"""Names and numbers of the library's own doors are reduced as values are: prefixes, hash fields, bounds, cursors."""

from __future__ import annotations

import enum
from typing import Any

import pytest

from aioredisca import (
    Counter,
    Database,
    Integer,
    ListOf,
    Model,
    Reference,
    SortedSet,
    String,
    UniqueViolation,
    ValidationError,
    conf,
)

from ..support.drift import drift


class Word(str, enum.Enum):  # noqa: UP042  # the old way, whose text is its name
    PREFIX = "usr"
    NAMESPACE = "app:"
    FIELD = "eml"
    FREE = "free"
    NAME = "name"
    AGE = "age"
    TARGET = "Reduced"
    CASCADE = "cascade"


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"

    def __format__(self, spec: str) -> str:
        return "LOUD"

    def encode(self, *arguments: Any) -> bytes:
        return b"LOUD"

    __repr__ = lower = __str__


class Odd(int):
    def __str__(self) -> str:
        return "odd"

    __repr__ = __str__

    def __int__(self) -> int:
        return 99

    __index__ = __int__


class Half(float):
    def __float__(self) -> float:
        return 99.0

    def __repr__(self) -> str:
        return "half"


class Mumbled(bytes):
    __slots__ = ()

    def decode(self, *arguments: Any) -> str:
        return "LOUD"


def model(named: str, /, **members: Any) -> Any:
    return type(named, (Model,), members)


@pytest.mark.one_node
@pytest.mark.parametrize("tag", [False, True])
@pytest.mark.parametrize(
    ("prefix", "namespace"),
    [(Word.PREFIX, Word.NAMESPACE), (Loud("usr"), Loud("app:"))],
    ids=["enum", "loud"],
)
async def test_prefixes_and_namespaces(
    db: Database, raw: Any, prefix: Any, namespace: Any, tag: bool
) -> None:
    thing = conf(prefix=prefix, namespace=namespace, tag=tag)(model("Reduced", name=String(index=True)))
    one = await thing.new("1", name="x").save()
    key = "app:{usr}:1" if tag else "app:usr:1"
    assert (one.getkey(), thing.getprefix(), type(thing.getprefix())) == (key, "usr", str)
    assert raw.exists(key)
    assert {k.decode().split("/")[0] for k in raw.scan_iter()} == {key, key.removesuffix(":1")}
    assert await (thing.name == "x") == [one]
    assert drift(raw, [thing]) == []


def test_the_namespace_of_a_database() -> None:
    for given in (Word.NAMESPACE, Loud("app:")):
        database = Database("memory://", namespace=given)
        assert (database.namespace, type(database.namespace)) == ("app:", str)
        assert "'app:'" in repr(database)


@pytest.mark.parametrize("key", [Word.FIELD, Loud("eml")], ids=["enum", "loud"])
async def test_hash_fields_and_collections(db: Database, raw: Any, key: Any) -> None:
    cascade: Any = Word.CASCADE
    thing = model(
        "Reduced",
        mail=String(field=key, index=True, unique=True),
        log=ListOf(String(), field=key),
        other=Reference(Word.TARGET, index=True, on_delete=cascade),
    )
    one = await thing.new("1", mail="a").save()
    await one.log.append("x")
    names = {
        b"reduced:1",
        b"reduced/u/eml",
        b"reduced/x/eml/a",
        b"reduced/l/eml/1",
        b"reduced/ids",
        b"reduced/meta",
    }
    assert {*raw.scan_iter()} == names | {b"reduced/n/other"}
    with pytest.raises(UniqueViolation) as caught:
        await thing.new("2", mail="a").save()
    assert caught.value.field == "mail"
    assert await thing.new("3", mail="c", other="1").save()
    assert await one.delete()
    assert not await thing("3").exists()
    assert drift(raw, [thing]) == []


@pytest.mark.parametrize("key", [Word.FREE, Loud("free")], ids=["enum", "loud"])
@pytest.mark.parametrize("declared", [Word.FIELD, Loud("eml")], ids=["enum", "loud"])
async def test_names_of_the_dict_api(db: Database, raw: Any, key: Any, declared: Any) -> None:
    thing = model("Reduced", mail=String(field="eml"))
    one = thing.new("1")
    one[key], one[declared] = "x", "m"
    assert {(name, type(name)) for name in one.getdiff()} == {("free", str), ("eml", str)}
    await one.save()
    assert raw.hgetall("reduced:1") == {b"free": b"x", b"eml": b"m"}
    one = await thing("1").load(raw=True)
    assert (one[key], one.get(key), key in one, one[declared], one.mail) == ("x", "x", True, "m", "m")
    assert one.pop(key) == "x"
    del one[declared]
    assert {(name, type(name)) for name in one.getdiff()} == {("free", str), ("eml", str)}
    await one.save()
    assert raw.hkeys("reduced:1") == [b"_"]
    for wrong in (Loud(""), Loud("_"), 5, b"x"):
        with pytest.raises(ValidationError):
            one[wrong] = "x"


async def test_names_of_attributes(db: Database, raw: Any) -> None:
    thing = conf(unique=[(Word.NAME, Word.AGE)], index=[(Word.NAME, Word.AGE)])(
        model("Reduced", **{Word.NAME: String(index=True), Word.AGE: Integer(index=True)})
    )
    thing.late = String()
    one = await thing.new("1", **{Word.NAME: "a", Word.AGE: 1}).save()
    setattr(thing, Loud("later"), String())
    assert {type(name) for name in thing.__mapper__.by_key} == {str}
    assert set(raw.hkeys("reduced:1")) == {b"name", b"age"}
    with pytest.raises(UniqueViolation, match="name, age are unique together"):
        await thing.new("2", name="a", age=1).save()
    with pytest.raises(ValidationError) as caught:
        thing.new("3", **{Word.FREE: 1})
    assert (caught.value.field, type(caught.value.field)) == ("free", str)
    assert await thing.where(thing.name == "a", thing.age == 1) == [one]
    assert drift(raw, [thing]) == []


async def test_numbers_and_cursors(db: Database) -> None:
    thing = model(
        "Reduced", age=Integer(index=True), log=ListOf(String()), top=SortedSet(String()), hits=Counter()
    )
    records = await thing.save_many([thing.new(str(n), age=n) for n in range(4)]) or await thing.all()
    assert await thing.all().limit(Odd(2)) == records[:2]
    assert await thing.all().offset(Odd(3)) == records[3:]
    page = await thing.all().page(Odd(2))
    assert page.items == records[:2]
    assert (await thing.all().page(2, after=Loud(page.next))).items == records[2:]
    one = records[1]
    assert await one.incr(thing.age, Odd(5)) == 6
    assert await one.hits.incr(Odd(3)) == 3
    await one.log.append("a", "b", "c", "d")
    assert await one.log.range(Odd(1), Odd(2)) == ["b", "c"]
    assert await one.log.get(Odd(3)) == "d"
    await one.log.trim(Odd(0), Odd(1))
    assert await one.log.len() == 2
    await one.top.add("x", Half(0.5))
    await one.top.add("y", Odd(2))
    assert await one.top.top(Odd(1)) == [("y", 2.0)]
    assert await one.top.between(Half(0.25), Odd(1)) == [("x", 0.5)]
    assert await one.top.incr("x", Half(0.25)) == 0.75
    assert thing(Mumbled(b"q")).id == "q"
