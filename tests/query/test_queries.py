"""Finding: one condition, in an order, in pages, over children, exact whatever the index says."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
from typing import Any

import pytest

from aioredisca import (
    Bool,
    Database,
    DateTime,
    Decimal,
    Email,
    Enum,
    Float,
    Integer,
    Model,
    NotFound,
    NotIndexed,
    String,
    TooManyRows,
    UsageError,
    ValidationError,
    conf,
    exclusive,
)

from ..support.drift import drift
from ..support.tagged import base_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Row(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    exact = Integer(index="exact")
    ratio = Float(index=True)
    price = Decimal(places=2, index=True)
    on = Bool(index=True)
    when = DateTime(index=True)
    colour = Enum(Colour, index=True)
    plain = String()
    both = Integer(index=True, unique=True)


class Child(Row):
    pass


class Other(Model):
    required = String(required=True, index=True)


def ids(found: Any) -> list[str]:
    return [row.id for row in found]


async def rows(count: int, **make: Any) -> None:
    await Row.save_many(
        [Row.new(f"{i:05}", **{name: value(i) for name, value in make.items()}) for i in range(count)]
    )


# -- conditions ------------------------------------------------------------------------------------


async def test_each_operator_finds_what_it_says(db: Database) -> None:
    await rows(10, age=lambda i: i if i < 9 else None)
    assert ids(await (Row.age == 3)) == ["00003"]
    assert ids(await (Row.age >= 7)) == ["00007", "00008"]
    assert ids(await (Row.age > 7)) == ["00008"]
    assert ids(await (Row.age <= 1)) == ["00000", "00001"]
    assert ids(await (Row.age < 1)) == ["00000"]
    assert ids(await (Row.age == None)) == ["00009"]  # noqa: E711
    assert ids(await Row.age.range(2, 4)) == ["00002", "00003", "00004"]
    assert ids(await Row.age.range(exclusive(2), exclusive(4))) == ["00003"]
    assert ids(await Row.age.range(minval=0, maxval=100, start=5, num=2)) == ["00005", "00006"]
    assert ids(await Row.age.range()) == [f"{i:05}" for i in range(9)]
    assert ids(await Row.age.range(5, 2)) == []
    assert ids(await Row.all()) == [f"{i:05}" for i in range(10)]
    assert await Row.age.find(77) == []


async def test_every_kind_of_index_finds_and_conditions_coerce_as_assignments_do(db: Database) -> None:
    when = dt.datetime(2020, 1, 1, 12, 0, 0, 250000, tzinfo=dt.UTC)
    row = await Row.new(
        "1",
        email="Foo@Bar.com",
        name="Ada",
        exact=2**60,
        ratio=0.1,
        price="19.90",
        on=False,
        when=when,
        colour="red",
        both=5,
    ).save()
    queries: list[Any] = [
        Row.email == "foo@BAR.com",
        Row.name == "Ada",
        Row.exact == 2**60,
        Row.ratio == 0.1,
        Row.ratio >= 0.1,
        Row.price == "19.9",
        Row.price <= decimal.Decimal(20),
        Row.on == 0,
        Row.on == "0",
        Row.on == False,  # noqa: E712
        Row.when == when.astimezone(dt.timezone(dt.timedelta(hours=5))),
        Row.when >= when,
        Row.when < dt.datetime(2021, 1, 1),
        Row.colour == Colour.RED,
        Row.colour == "red",
        Row.both == "5",
        Row.both <= 5,
    ]
    for query in queries:
        assert ids(await query) == ["1"], query
        assert await query.count() == 1
        assert await query.exists()
        assert await query.ids() == ["1"]
    misses: list[Any] = [
        Row.ratio > 0.1,
        Row.price < decimal.Decimal("19.9"),
        Row.on == 1,
        Row.when > when,
        Row.colour == "blue",
    ]
    for query in misses:
        assert not await query.exists(), query
        assert await query.count() == 0
        assert (await query) == []
    row.on = True
    await row.save()
    assert ids(await Row.on.find(True)) == ["1"]


async def test_what_cannot_be_asked_is_told_before_io(db: Database) -> None:
    before = db.round_trips
    queries: list[tuple[Any, str]] = [
        (Row.plain == "x", "declare it with index=True or unique=True to query"),
        (Row.email == None, "declare it with index=True to ask for None"),  # noqa: E711
        (Row.exact > 5, "its index has no order"),
        (Row.name >= "a", 'declare it with index="sorted" to ask for its order or its beginning'),
        (Row.name.startswith("a"), 'declare it with index="sorted" to ask for its order or its beginning'),
        ((Row.age > 3) & ~(Row.plain == "x"), r"Row\.plain is not indexed"),
    ]
    for query, reason in queries:
        with pytest.raises(NotIndexed, match=reason):
            await query
        with pytest.raises(NotIndexed, match=reason):
            await query.count()
    with pytest.raises(NotIndexed, match=r"Row\.on is not indexed: a Bool field has no order"):
        Row.on >= True
    with pytest.raises(NotIndexed, match=r"Other\.required is not indexed: it is required"):
        await Other.required.find(None)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        await Row.age.find("abc")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"None has no order; ask `Row\.age\.is_none\(\)`"):
        Row.age >= None
    assert db.round_trips == before


async def test_a_condition_may_ask_for_what_a_field_refuses_to_hold(db: Database) -> None:
    class Limited(Model):
        level = Integer(minval=0, maxval=10, index=True)

    await Limited.new("1", level=10).save()
    assert ids(await (Limited.level >= -5)) == ["1"]
    assert await (Limited.level > 100) == []


async def test_a_query_that_is_not_awaited_is_no_list(db: Database) -> None:
    uses: tuple[Any, ...] = (list, tuple, lambda query: [*query])
    for use in uses:
        with pytest.raises(TypeError, match=r"a query is data until it is awaited: write `for user in await"):
            use(Row.all())
    with pytest.raises(UsageError, match="a query takes slices"):
        Row.all()[0]  # type: ignore[index]


async def test_a_query_has_no_truth_value(db: Database) -> None:
    query = Row.age == 3
    for use in (lambda: bool(query), lambda: 0 <= Row.age <= 9):
        with pytest.raises(TypeError, match=r"ask \.exists\(\) or \.count\(\)"):
            use()
    assert repr(query) == "<Query of Row: Equals age>"
    assert repr((Row.age == 3) & ~(Row.name == "x")) == "<Query of Row: (Equals age & ~Equals name)>"
    assert repr(Row.all()) == "<Query of Row: all>"


async def test_values_of_any_bytes_are_found_and_only_they(db: Database, raw: Any) -> None:
    values = ["", "None", "a:b", "a/b", "{a}", "a*", "%", "\x00", "\n", "ä", "a" * 512, "a" * 513, "a" * 9000]
    values += [values[-1] + "b", "x/y/name/z", "*", "?", "[a]"]
    await Row.save_many([Row.new(str(i), name=value) for i, value in enumerate(values)])
    for i, value in enumerate(values):
        assert ids(await Row.name.find(value)) == [str(i)]
        assert await (Row.name == value).count() == 1
    assert drift(raw, [Row]) == []
    await Row.delete_many(map(str, range(len(values))))
    assert raw.keys("*") == [b"row/meta"]


# -- order and pages -------------------------------------------------------------------------------

BORDERS = [0, 1, 999, 1000, 1001, 2500]


@pytest.mark.slow
@pytest.mark.parametrize("count", BORDERS)
async def test_pages_have_no_seams(db: Database, count: int) -> None:
    await rows(count, age=lambda i: i // 7, name=lambda i: "same")
    everything = [f"{i:05}" for i in range(count)]
    for asked in (Row.all(), Row.age >= 0, Row.name == "same"):
        assert ids(await asked) == everything
        assert await asked.ids() == everything
        assert await asked.count() == count
        assert sorted([row.id async for row in asked]) == everything
        assert ids(await asked[990:1010]) == everything[990:1010]
        assert ids(await asked.offset(1).limit(1)) == everything[1:2]
        first = await asked.first()
        assert (first.id if first else None) == (everything[0] if everything else None)


async def test_ties_are_broken_by_id_by_bytes(db: Database) -> None:
    names = ["b", "a", "B", "ä", "10", "9", "\U0001f600"]
    await Row.save_many([Row.new(name, age=1, name="n") for name in names])
    expected = ["10", "9", "B", "a", "b", "ä", "\U0001f600"]
    for query in (Row.age == 1, Row.age >= 0, Row.name == "n", Row.all()):
        assert ids(await query) == expected


async def test_slices_compose_from_the_start_of_what_the_query_yields(db: Database) -> None:
    await rows(20, age=lambda i: i)
    query = Row.age >= 0
    numbers = [f"{i:05}" for i in range(20)]
    assert ids(await query[5:15][2:4]) == numbers[5:15][2:4]
    assert ids(await query[5:][:3]) == numbers[5:8]
    assert ids(await query[:5][3:100]) == numbers[3:5]
    assert ids(await query.limit(0)) == []
    assert ids(await query[7:3]) == []
    assert await query[5:15].count() == 10
    assert await query.offset(30).count() == 0
    assert await query.limit(3).count() == 3
    assert await query[18:].exists()
    assert not await query[20:].exists()
    assert await query[18:30].ids() == numbers[18:]
    assert ids([row async for row in query[3:6]]) == numbers[3:6]


async def test_senseless_pages_are_refused(db: Database) -> None:
    query = Row.age >= 0
    for wrong in (-1, 1.5, "2", True):
        with pytest.raises(UsageError, match="limit takes a whole number of at least 0"):
            query.limit(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        query[-1:]
    with pytest.raises(UsageError, match="step 1"):
        query[::2]
    with pytest.raises(UsageError, match="takes slices"):
        query[3]  # type: ignore[index]


async def test_first_and_one(db: Database) -> None:
    await rows(3, age=lambda i: i // 2)
    assert (await (Row.age == 1).one()).id == "00002"
    with pytest.raises(UsageError, match="more than one Row matches"):
        await (Row.age == 0).one()
    with pytest.raises(NotFound, match="no Row matches") as caught:
        await (Row.age == 9).one()
    assert caught.value.id is None
    assert await (Row.age == 9).first() is None


async def test_more_rows_than_a_list_may_hold_is_an_error_and_a_stream_has_no_limit(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rows(30, age=lambda i: i)
    monkeypatch.setattr(conf, "max_rows", 20)
    with pytest.raises(TooManyRows) as caught:
        await (Row.age >= 0)
    assert (caught.value.model, caught.value.limit) == ("Row", 20)
    assert len(await (Row.age >= 0).limit(25)) == 25
    assert len([row async for row in Row.age >= 0]) == 30
    assert await (Row.age >= 0).count() == 30
    monkeypatch.setattr(conf, "max_rows", None)
    assert len(await (Row.age >= 0)) == 30


async def test_a_page_of_a_big_exact_set_is_in_order_too(db: Database) -> None:
    await rows(3000, name=lambda i: "odd" if i % 2 else "even")
    odd = [f"{i:05}" for i in range(1, 3000, 2)]
    query = Row.name == "odd"
    assert ids(await query.limit(20)) == odd[:20]
    assert ids(await query[1400:1420]) == odd[1400:1420]
    assert ids(await query) == odd
    assert await query.count() == 1500


# -- random choice ---------------------------------------------------------------------------------


async def test_choice_gives_distinct_records_that_match(db: Database) -> None:
    await rows(50, age=lambda i: i % 5, name=lambda i: "x" if i < 10 else None)
    drawn = await Row.name.choice("x", count=3)
    assert drawn is not None
    assert len({row.id for row in drawn}) == 3
    assert all(row.name == "x" for row in drawn)
    assert len(await Row.name.choice("x", count=99) or []) == 10
    assert len(await Row.age.choice(3, 99) or []) == 10
    some = await Row.age.choice()
    assert some is not None
    assert len(some) == 1
    assert await Row.name.choice("nobody") is None
    assert await Row.age.choice(77) is None
    assert await Row.name.choice("x", 0) is None
    with pytest.raises(UsageError, match="count takes a whole number"):
        await Row.name.choice("x", -1)
    with pytest.raises(UsageError, match="at most 1,000 records are drawn at random, not 1,001"):
        await Row.age.choice(1, 1001)


async def test_choice_reaches_everybody(db: Database) -> None:
    await rows(5, age=lambda i: 1)
    seen = set[str]()
    for _ in range(200):
        for row in await Row.age.choice(1) or []:
            seen.add(row.id)
    assert len(seen) == 5  # missed with probability under 1e-18


# -- children --------------------------------------------------------------------------------------


async def test_children_are_merged_in_one_order(db: Database) -> None:
    await Row.save_many([Row.new(f"{i:02}", age=i, name="n") for i in range(0, 20, 2)])
    await Child.save_many([Child.new(f"{i:02}", age=i, name="n") for i in range(1, 20, 2)])
    merged = [f"{i:02}" for i in range(20)]
    assert ids(await Row.age.range(children=True)) == merged
    assert ids(await Row.name.find("n", children=True)) == merged
    assert ids(await Row.age.range(0, 100, 5, 4, children=True)) == merged[5:9]
    assert ids(await Row.age.range(0, 100)) == merged[::2]
    assert ids(await Child.age.range(children=True)) == merged[1::2]
    drawn = await Row.name.choice("n", 20, children=True)
    assert drawn is not None
    assert sorted(ids(drawn)) == merged
    assert {type(row) for row in drawn} == {Row, Child}
    before = db.round_trips
    await Row.age.range(children=True)
    assert db.round_trips - before <= (2 if db.clustered else 1)  # each at its node, side by side


# -- an index is a hint ----------------------------------------------------------------------------


async def test_a_row_whose_record_says_otherwise_is_dropped_and_counted(db: Database, raw: Any) -> None:
    await rows(6, age=lambda i: i, name=lambda i: "n", email=lambda i: f"{i}@x.yz")
    raw.hset("row:00001", mapping={"age": "50", "name": "other", "email": "z@x.yz"})
    raw.delete("row:00002")
    raw.sadd("row/x/name/n", "ghost")
    raw.zadd("row/r/age", {"ghost": 3})
    assert ids(await (Row.name == "n")) == ["00000", "00003", "00004", "00005"]
    assert ids(await Row.age.range(0, 4)) == ["00000", "00003", "00004"]
    assert ids(await Row.age.range(0, 9, num=3)) == ["00000", "00003", "00004"]
    assert await Row.email.find("1@x.yz") == []
    assert await (Row.email == "1@x.yz").count() == 0
    assert not await (Row.email == "2@x.yz").exists()
    assert "00002" not in await Row.all().ids()
    assert db.stale_rows[base_of(Row)] > 0
