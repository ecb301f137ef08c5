"""Subclasses of text, numbers and moments are stored as what they are, whatever they say of themselves."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from typing import Any

import pytest

from aioredisca import (
    UUID,
    Bool,
    Database,
    Date,
    DateTime,
    Decimal,
    Email,
    Float,
    Integer,
    Json,
    ListOf,
    Model,
    Reference,
    String,
    Tags,
    UniqueViolation,
)
from aioredisca.pydantic import Create, Read

from ..support.drift import drift
from ..support.tagged import base_of


class Color(str, enum.Enum):  # noqa: UP042  # the old way, whose text is its name
    RED = "red"
    MAIL = "a@b.cc"


class Level(int, enum.Enum):
    ONE = 1


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"

    __repr__ = lower = __str__


class Odd(int):
    def __str__(self) -> str:
        return "odd"

    def __int__(self) -> int:
        return 99

    __repr__ = __str__
    __index__ = __int__


class Half(float):
    def __str__(self) -> str:
        return "half"

    def __float__(self) -> float:
        return 99.0

    __repr__ = __str__


class Money(decimal.Decimal):
    def __str__(self, eng: bool = False, context: Any = None) -> str:
        return "money"


class Moment(dt.datetime):
    """As of pandas, pendulum or freezegun."""

    def isoformat(self, *arguments: Any) -> str:
        return "moment"


class Day(dt.date):
    def isoformat(self) -> str:
        return "day"


class Own(uuid.UUID):
    @property
    def hex(self) -> str:
        return "own"


class Thing(Model):
    text = String(unique=True, index="sorted")
    mail = Email(unique=True)
    size = Integer(index=True)
    part = Float(index=True)
    cost = Decimal(places=2, index=True)
    flag = Bool()
    made = DateTime(index=True)
    day = Date(index=True)
    key = UUID(index=True)
    tags = Tags(index=True)
    more = Json[Any]()
    other = Reference("Thing", index=True)
    log = ListOf(String())


MOMENT = Moment(2024, 5, 6, 7, 8, 9, 10, tzinfo=dt.timezone(dt.timedelta(hours=2)))
ID = uuid.UUID(int=7)

GIVEN: list[tuple[str, Any, Any, bytes]] = [
    ("text", Color.RED, "red", b"red"),
    ("text", Loud("x"), "x", b"x"),
    ("text", Level.ONE, "1", b"1"),
    ("text", Odd(5), "5", b"5"),
    ("text", Half(0.5), "0.5", b"0.5"),
    ("text", Money("1.50"), "1.50", b"1.50"),
    ("mail", Color.MAIL, "a@b.cc", b"a@b.cc"),
    ("mail", Loud("X@b.cc"), "x@b.cc", b"x@b.cc"),
    ("size", Level.ONE, 1, b"1"),
    ("size", Odd(5), 5, b"5"),
    ("size", Loud("7"), 7, b"7"),
    ("part", Half(0.5), 0.5, b"0.5"),
    ("part", Odd(5), 5.0, b"5.0"),
    ("cost", Money("1.50"), decimal.Decimal("1.5"), b"1.5"),
    ("cost", Half(0.5), decimal.Decimal("0.5"), b"0.5"),
    ("flag", Level.ONE, True, b"1"),
    ("made", MOMENT, dt.datetime(2024, 5, 6, 5, 8, 9, 10, tzinfo=dt.UTC), b"1714972089.00001"),
    ("made", Odd(5), dt.datetime(1970, 1, 1, 0, 0, 5, tzinfo=dt.UTC), b"5"),
    ("day", Day(2024, 5, 6), dt.date(2024, 5, 6), b"2024-05-06"),
    ("day", Loud("2024-05-06"), dt.date(2024, 5, 6), b"2024-05-06"),
    ("key", Own(int=7), ID, ID.hex.encode()),
    ("tags", [Color.RED, Loud("x")], {"red", "x"}, b'["red","x"]'),
    ("more", {"a": Color.RED, "b": Level.ONE}, {"a": "red", "b": 1}, b'{"a":"red","b":1}'),
]


@pytest.mark.parametrize(("name", "given", "value", "stored"), GIVEN)
async def test_a_subclass_is_reduced_at_the_door(
    db: Database, raw: Any, name: str, given: Any, value: Any, stored: bytes
) -> None:
    for id, made in (("1", Thing.new("1", **{name: given})), ("2", Thing("2"))):
        setattr(made, name, given)
        got = getattr(made, name)
        assert (got, type(got)) == (value, type(value))
        await made.save(mode="upsert")
        assert raw.hget(f"thing:{id}", name) == stored
        if name in ("text", "mail"):
            with pytest.raises(UniqueViolation):
                await Thing.new("3", **{name: value}).save()
        column = getattr(Thing, name)
        if name not in ("tags", "more", "flag"):
            assert [one.id for one in await (column == given)] == [id]
            assert [one.id for one in await column.in_([given])] == [id]
        if name in ("size", "part", "cost", "made", "day"):
            assert [one.id for one in await (column >= given)] == [id]
        got = getattr(await Thing.get(id), name)
        assert (got, type(got)) == (value, type(value))
        assert drift(raw, [Thing]) == []
        await made.delete()


@pytest.mark.parametrize(
    ("given", "id"), [(Color.RED, "red"), (Loud("x"), "x"), (Level.ONE, "1"), (Odd(5), "5")]
)
async def test_an_id_is_reduced_too(db: Database, raw: Any, given: Any, id: str) -> None:
    one = await Thing.new(given, text="t").save()
    assert (one.id, type(one.id), one.getkey()) == (id, str, f"{base_of(Thing)}:{id}")
    assert raw.exists(f"thing:{id}")
    assert Thing(given) == one == await Thing.get(given)
    assert await Thing.get_many([given]) == [one]
    child = await Thing.new("child", other=given).save()
    assert raw.hget("thing:child", "other") == id.encode()
    assert await Thing.other.find(given) == [child]
    assert await Thing.delete_many([given]) == 1
    assert drift(raw, [Thing]) == []


async def test_operands_and_raw_writes_are_reduced(db: Database, raw: Any) -> None:
    one = Thing.new("1", text="reddish", tags=["red"])
    one["free"], one["odd"], one["mail"] = Loud("x"), Odd(5), Color.MAIL
    await one.save()
    assert (raw.hget("thing:1", "free"), raw.hget("thing:1", "odd")) == (b"x", b"5")
    assert raw.hget("thing:1", "mail") == b"a@b.cc"
    assert await Thing.text.startswith(Color.RED) == [one]
    assert await Thing.text.startswith(Loud("red")) == [one]
    assert await Thing.tags.has(Color.RED) == [one]
    await one.log.append(Color.RED, Loud("x"))
    assert await one.log.range() == ["red", "x"]
    assert drift(raw, [Thing]) == []


def test_what_pydantic_shows_of_a_subclass() -> None:
    """Values of fields of one's own may be subclasses: they are shown as what they are."""

    class Day2(Date):
        def from_db(self, text: str) -> Any:
            return Day.fromisoformat(text)

        def coerce(self, value: Any) -> Any:
            return Day(value.year, value.month, value.day)

    class Own2(Model):
        day = Day2()

    shown = Read[Own2].model_validate(Own2.new("1", day=Day(2024, 5, 6))).model_dump(mode="json")
    assert shown == {"id": "1", "day": "2024-05-06"}
    create: Any = Create[Thing]
    body = create(made=MOMENT, text=Color.RED)
    assert body.model_dump(mode="json", exclude_unset=True) == {
        "made": "2024-05-06T05:08:09.000010Z",
        "text": "red",
    }
