"""What queries give beside records: columns, some fields, figures, samples."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
from typing import Any

import pytest

from aioredisca import (
    AlreadyExists,
    CorruptRecord,
    Database,
    MultipleFound,
    NotFound,
    NotLoaded,
    UsageError,
    session,
)

from .support import City, Row, ids, rows

# -- columns and figures -------------------------------------------------------------------------


async def test_values_are_columns_in_order(db: Database) -> None:
    await rows(5, size=lambda i: 5 - i, name=lambda i: f"n{i}" if i != 2 else None)
    assert await Row.all().values(Row.size) == [5, 4, 3, 2, 1]
    assert await Row.all().order_by(Row.size).values(Row.name) == ["n4", "n3", None, "n1", "n0"]
    assert await (Row.size >= 4).values(Row.name, Row.size) == [("n1", 4), ("n0", 5)]
    assert await Row.all()[1:2].values(Row.size) == [4]
    with pytest.raises(UsageError, match="at least one column"):
        await Row.all().values()  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="no column of Row"):
        await Row.all().values(City.name)  # type: ignore[arg-type]


async def test_values_of_what_cannot_be_read_are_told(db: Database, raw: Any) -> None:
    await rows(1, ratio=lambda i: 1.5)
    raw.hset("row:00000", "ratio", "abc")
    with pytest.raises(CorruptRecord) as caught:
        await Row.all().values(Row.ratio)
    assert (caught.value.key, caught.value.field) == (Row("00000").getkey(), "ratio")


async def test_only_loads_some_fields(db: Database, driver: str) -> None:
    await rows(3, size=lambda i: i, name=lambda i: f"n{i}", country=lambda i: "FI")
    found = await (Row.country == "FI").only(Row.size)
    assert [row.size for row in found] == [0, 1, 2]
    assert not found[0].loaded()
    with pytest.raises(NotLoaded):
        _ = found[0].name
    found[0].name = "new"  # an update of what was not loaded is an update all the same
    await found[0].save()
    assert (await Row.get("00000")).name == "new"
    assert (await Row.get("00000")).size == 0
    async with session():
        whole = await Row.get("00001")
        (part,) = await (Row.size == 1).only(Row.size)
        assert part is whole
        assert part.name == "n1"


async def test_aggregates_are_exact(db: Database) -> None:
    big = 2**52 + 1
    await rows(
        12,
        size=lambda i: i if i else None,
        ratio=lambda i: 0.1,
        price=lambda i: decimal.Decimal("0.10"),
        owner=lambda i: big,
        country=lambda i: ["FI", "SE", None][i % 3],
        when=lambda i: dt.datetime(2020, 1, 1 + i, tzinfo=dt.UTC),
        name=lambda i: f"n{i}",
    )
    size = await Row.all().aggregate(Row.size)
    assert (size.count, size.sum, size.min, size.max, size.avg) == (11, 66, 1, 11, 6)
    owner = await Row.all().aggregate(Row.owner)
    assert owner.sum == 12 * big
    assert (await Row.all().aggregate(Row.ratio)).sum == math.fsum([0.1] * 12)
    assert (await Row.all().aggregate(Row.price)).sum == decimal.Decimal("1.2")
    when = await Row.all().aggregate(Row.when)
    assert (when.sum, when.min, when.max) == (
        None,
        dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
        dt.datetime(2020, 1, 12, tzinfo=dt.UTC),
    )
    assert (await Row.all().aggregate(Row.name)).max == "n9"
    groups = await Row.all().aggregate(Row.size, by=Row.country)
    assert {key: (one.count, one.sum) for key, one in groups.items()} == {
        "FI": (3, 18),
        "SE": (4, 22),
        None: (4, 26),
    }
    counts: dict[str | None, Any] = await Row.all().aggregate(by=Row.country)
    assert {key: one.count for key, one in counts.items()} == {"FI": 4, "SE": 4, None: 4}
    nothing = await (Row.size > 99).aggregate(Row.size)
    assert (nothing.count, nothing.sum, nothing.min, nothing.avg) == (0, None, None, None)
    assert (await Row.all().aggregate()).count == 12
    with pytest.raises(UsageError, match="have no order"):
        await Row.all().aggregate(Row.note)
    with pytest.raises(UsageError, match="have no order"):
        await Row.all().aggregate(by=Row.tags)


async def test_random_samples_are_distinct_and_reach_everybody(db: Database) -> None:
    await rows(30, size=lambda i: i, country=lambda i: "FI" if i % 2 else "SE", name=lambda i: f"n{i % 3}")
    for query, expected in [
        ((Row.country == "FI") & (Row.size < 10), {f"{i:05}" for i in range(1, 10, 2)}),
        (Row.name.startswith("n1"), {f"{i:05}" for i in range(1, 30, 3)}),
        (Row.size < 5, {f"{i:05}" for i in range(5)}),
    ]:
        drawn = await query.random(4)
        assert len(set(ids(drawn))) == 4
        assert set(ids(drawn)) <= expected
        seen = set[str]()
        for _ in range(60):
            seen |= set(ids(await query.random(3)))
        assert seen == expected
        assert set(ids(await query.random(99))) == expected
    assert await (Row.size > 99).random() == []
    with pytest.raises(UsageError, match="drawn of all that matches"):
        await Row.all().limit(3).random()


async def test_one_or_none(db: Database) -> None:
    await rows(3, size=lambda i: i // 2)
    assert (await (Row.size == 1).one_or_none() or Row("")).id == "00002"
    assert await (Row.size == 9).one_or_none() is None
    with pytest.raises(MultipleFound, match="more than one"):
        await (Row.size == 0).one_or_none()
    with pytest.raises(NotFound):
        await (Row.size == 9).one()


# -- changes by query ----------------------------------------------------------------------------


def test_names_of_the_figures_are_as_documented() -> None:
    from aioredisca import Aggregate, Explanation

    assert re.findall(r"``(\w+)``", Aggregate.__doc__ or "") == ["count", "sum", "avg", "min", "max"]
    assert Explanation.__doc__
    assert issubclass(AlreadyExists, Exception)
