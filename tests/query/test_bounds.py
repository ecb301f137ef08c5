"""Bounds and values beyond what an index can hold: they are answered as the numbers that they are."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from typing import Any

import pytest

from aioredisca import (
    Database,
    Date,
    DateTime,
    Decimal,
    Float,
    Integer,
    Model,
    SortedSet,
    String,
    ValidationError,
    conf,
)
from aioredisca.compiler.conditions import exclusive

from .support import ids

UTC = dt.UTC
BIG = 2**60


@conf(index=[("group", "number")])
class Measure(Model):
    number = Integer(index=True)
    ratio = Float(index=True)
    price = Decimal(places=2, index=True)
    when = DateTime(index=True)
    day = Date(index=True)
    group = String(index=True)
    bare = Integer()
    exact = Integer(index="exact")
    plain = Decimal()
    loose = Float()
    old = DateTime()
    ranks = SortedSet(String())


M: Any = Measure


async def filled() -> None:
    first = dt.datetime(2000, 1, 1, tzinfo=UTC)
    await M.save_many(
        [
            M.new("1", number=-5, ratio=-0.5, price="-1.25", when=first, day=first.date(), group="a"),
            M.new("2", number=7, ratio=2.5, price="9.90", when=first.replace(2020), group="a"),
            M.new("3", group="a"),
        ]
    )


def far(*, above: bool) -> list[tuple[Any, Any]]:
    """Columns, and values beyond what their index holds."""
    sign = 1 if above else -1
    far_day = dt.datetime(2500, 1, 1) if above else dt.datetime(1700, 1, 1)
    return [
        *[(M.number, sign * value) for value in (BIG, 10**400, 10**5000, math.inf, 2.0**70)],
        (M.number, decimal.Decimal("Infinity") * sign),
        *[(M.ratio, sign * value) for value in (math.inf, decimal.Decimal("Infinity"))],
        *[
            (M.price, sign * value)
            for value in (BIG, math.inf, decimal.Decimal("1e30"), BIG + decimal.Decimal("0.001"))
        ],
        *[(M.when, value) for value in (far_day, far_day.replace(tzinfo=UTC), sign * math.inf)],
    ]


async def test_a_bound_beyond_the_index_is_an_open_end(db: Database) -> None:
    await filled()
    for column, value in far(above=True):
        assert ids(await (column <= value)) == ids(await (column < value)) == ["1", "2"]
        assert ids(await (column >= value)) == ids(await (column > value)) == []
        assert ids(await (~(column >= value))) == ["1", "2", "3"]
        assert ids(await (~(column <= value))) == ["3"]
        assert await (column <= value).count() == 2
        assert await ((column >= value) | (M.group == "a")).count() == 3
        assert ids(await column.range(value, None)) == []
        assert ids(await column.range(None, exclusive(value))) == ["1", "2"]
    for column, value in far(above=False):
        assert ids(await (column >= value)) == ids(await (column > value)) == ["1", "2"]
        assert ids(await (column <= value)) == ids(await (column < value)) == []
        assert await ((M.group == "a") & (column >= value)).count() == 2
    for column, value in [(M.number, math.inf), (M.ratio, math.inf), (M.price, math.inf), (M.number, BIG)]:
        assert ids(await column.between(-value, value)) == ["1", "2"]
        assert ids(await column.between(value, -value)) == []
    assert ids(await M.where(M.group == "a", M.number < BIG)) == ["1", "2"]


async def test_nothing_equals_what_no_index_holds(db: Database) -> None:
    await filled()
    far_day = dt.datetime(1700, 1, 1, tzinfo=UTC)
    cases = [(M.number, BIG, 7), (M.number, 10**400, 7), (M.ratio, math.inf, 2.5), (M.price, BIG, "9.9")]
    for column, value, held in [*cases, (M.when, far_day, far_day.replace(2020))]:
        assert ids(await (column == value)) == ids(await column.in_([value])) == []
        assert ids(await column.in_([value, held])) == ["2"]
        assert await (column != value).count() == 3
    with pytest.raises(ValidationError):
        _ = M.number == 10**5000


async def test_bounds_between_two_values_that_can_be_stored(db: Database) -> None:
    """Scores are doubles, and a bound of more places must not be rounded onto a value."""
    units = 2**53 - 1
    await M.new("1", price=decimal.Decimal(units) / 100).save()
    just = decimal.Decimal(units).scaleb(-2)
    for more in ("0.001", "0.005", "0.009", "0." + "0" * 40 + "1"):
        with decimal.localcontext(prec=80):
            above, below = just + decimal.Decimal(more), just - decimal.Decimal(more)
        for low, high, found in [
            (None, above, ["1"]), (None, exclusive(above), ["1"]), (above, None, []), (exclusive(above), None, []),
            (None, below, []), (None, exclusive(below), []), (below, None, ["1"]), (exclusive(below), None, ["1"]),
        ]:  # fmt: skip
            assert ids(await M.price.range(low, high)) == found, (more, low, high)


async def test_values_without_an_index_have_no_such_limits(db: Database) -> None:
    ages = dt.datetime(1066, 10, 14, tzinfo=UTC)
    await M.save_many(
        [
            M.new("1", bare=BIG, exact=BIG, plain="0.1", loose=math.inf, old=ages),
            M.new("2", bare=BIG + 1, exact=BIG + 1, plain="1e40", loose=1.5, old=ages.replace(9999)),
            M.new("3", bare=-1, exact=-1, plain="-2", loose=-math.inf),
        ]
    )

    async def found(condition: Any) -> str:
        return "".join(ids(await condition.scan().order_by(M.bare)))

    for column in (M.bare, M.exact):
        assert await found(column > BIG) == "2"
        assert await found(column >= BIG) == "12"
        assert await found(column <= BIG) == "31"
        assert await found(column > 5) == "12"
        assert await found(column.between(-math.inf, math.inf)) == "312"
        assert await found((column >= BIG) & (column < BIG + 1)) == "1"
    assert await found(M.plain >= decimal.Decimal("0.1")) == "12"
    assert await found(M.plain > decimal.Decimal("0.1")) == "2"
    assert await found(M.plain <= math.inf) == "312"
    assert await found(M.loose >= math.inf) == "1"
    assert await found(M.loose < math.inf) == "32"
    assert await found(M.loose.between(-math.inf, math.inf)) == "312"
    assert await found(M.old < ages.replace(1800)) == "1"
    assert await found(M.old <= ages.replace(9999, microsecond=999999)) == "12"
    assert await found(M.old < ages.replace(9999)) == "1"


async def test_a_bound_that_is_no_such_value_is_still_refused(db: Database) -> None:
    for column, value in [(M.number, math.nan), (M.number, 1.5), (M.ratio, math.nan), (M.price, math.nan)]:
        with pytest.raises(ValidationError):
            _ = column <= value
    refused: list[tuple[str, Any]] = [
        ("number", math.inf),
        ("number", BIG),
        ("ratio", math.inf),
        ("price", BIG),
    ]
    for name, value in refused:
        with pytest.raises(ValidationError):
            Measure.new(**{name: value})


async def test_scores_of_a_sorted_set(db: Database) -> None:
    record = await M.new("1").save()
    await record.ranks.update({"a": 1, "b": 2})
    assert await record.ranks.between(-math.inf, 1) == [("a", 1.0)]
    assert await record.ranks.between(1, 10**400) == [("a", 1.0), ("b", 2.0)]
    for score in (math.inf, 10**400):
        with pytest.raises(ValidationError):
            await record.ranks.add("c", score)
    with pytest.raises(ValidationError):
        await record.ranks.between(math.nan, 1)
