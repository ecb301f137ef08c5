"""Changes by query: update, incr, delete, and what others changed meanwhile."""

from __future__ import annotations

import asyncio
import decimal
from typing import Any

import pytest

from aioredisca import (
    BulkError,
    Database,
    Model,
    Reference,
    Restricted,
    String,
    UniqueViolation,
    UsageError,
    ValidationError,
    conf,
)
from aioredisca.persistence import executor as writes

from ..support.drift import drift
from .support import Row, ids, rows

# -- changes by query ----------------------------------------------------------------------------


@pytest.mark.on_cluster
async def test_update_sets_fields_of_all_that_match(db: Database, raw: Any) -> None:
    await rows(250, size=lambda i: i, country=lambda i: "FI" if i % 2 else "SE")
    assert await (Row.country == "FI").update(country="NO", name="x") == 125
    assert await (Row.country == "NO").count() == 125
    assert await (Row.country == "FI").count() == 0
    assert await (Row.name == "x").count() == 125
    assert await (Row.country == "NO").update(country=None) == 125
    assert await Row.country.is_none().count() == 125
    assert await (Row.size > 1000).update(name="y") == 0
    assert await Row.all().order_by(Row.size.desc()).limit(3).update(name="top") == 3
    assert ids(await (Row.name == "top")) == ["00247", "00248", "00249"]
    assert drift(raw, [Row]) == []


async def test_update_refuses_bad_input_before_io(db: Database) -> None:
    before = db.round_trips
    for values in ({"nmae": "x"}, {"size": "abc"}, {"size": -(2**41)}, {"id": "x"}):
        with pytest.raises(ValidationError):
            await Row.all().update(**values)
    with pytest.raises(UsageError, match="takes the fields to set"):
        await Row.all().update()
    with pytest.raises(UsageError, match="name: incr\\(\\) counts Integer and Decimal fields"):
        await Row.all().incr(Row.name, 1)  # type: ignore[type-var]
    with pytest.raises(ValidationError, match="takes a whole number"):
        await Row.all().incr(Row.size, 1.5)
    assert db.round_trips == before


async def test_an_update_that_is_refused_says_how_far_it_came(db: Database, raw: Any) -> None:
    await rows(3, size=lambda i: i)
    with pytest.raises(BulkError) as caught:
        await Row.all().update(email="one@for.all")
    assert isinstance(caught.value.cause, UniqueViolation)
    assert caught.value.saved == 0
    assert await Row.email.find("one@for.all") == []
    assert await (Row.size == 1).update(email="one@for.all") == 1
    assert drift(raw, [Row]) == []


async def test_delete_by_query(db: Database, raw: Any) -> None:
    await rows(250, size=lambda i: i, email=lambda i: f"e{i}", tags=lambda i: {"a"})
    assert await (Row.size < 120).delete() == 120
    assert await Row.all().count() == 130
    assert await (Row.size < 120).delete() == 0
    assert await Row.all().delete() == 130
    assert raw.keys("*") == [b"row/meta"]


@pytest.mark.on_cluster
async def test_incr_by_query_moves_records_in_the_very_index_that_finds_them(db: Database, raw: Any) -> None:
    """The known-bad way, to walk the index while records move ahead in it, would count some twice."""
    await rows(300, size=lambda i: i if i % 3 else None)
    assert await (Row.size >= 0).incr(Row.size, 100) == 200
    assert await Row.all().order_by(Row.size).values(Row.size) == [
        *sorted(i + 100 for i in range(300) if i % 3),
        *[None] * 100,
    ]
    assert await Row.size.is_none().incr(Row.size, -5) == 100
    assert await (Row.size == -5).limit(2).incr(Row.price, decimal.Decimal("0.10")) == 2
    assert await (Row.size == -5).limit(2).incr(Row.price, decimal.Decimal("0.20")) == 2
    assert await Row.all().order_by(Row.price.desc()).limit(3).values(Row.price) == [
        decimal.Decimal("0.3"),
        decimal.Decimal("0.3"),
        None,
    ]
    assert await (Row.size == -5).count() == 100
    assert drift(raw, [Row]) == []


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_incr_by_query_loses_nothing_beside_others(db: Database, raw: Any, backend: str) -> None:
    times = 3 if backend == "memory" else 10
    await rows(50, size=lambda i: 0, country=lambda i: "FI")

    async def count() -> None:
        for _ in range(times):
            assert await (Row.country == "FI").incr(Row.size) == 50

    await asyncio.gather(*[count() for _ in range(8)])
    assert set(await Row.all().values(Row.size)) == {8 * times}
    assert drift(raw, [Row]) == []


@pytest.mark.asyncio_only
async def test_what_no_longer_meets_the_condition_is_left_alone(db: Database, raw: Any) -> None:
    """Two sides move the same records out of one condition: each record is moved by exactly one of them."""
    await rows(200, country=lambda i: "open", size=lambda i: 0)

    async def take(name: str) -> int:
        return await (Row.country == "open").update(country=name)

    taken = await asyncio.gather(*[take(f"worker-{n}") for n in range(8)])
    assert sum(taken) == 200
    for n, count in enumerate(taken):
        assert await (Row.country == f"worker-{n}").count() == count
    assert drift(raw, [Row]) == []


@pytest.mark.asyncio_only
async def test_delete_by_query_leaves_what_was_changed_meanwhile(db: Database, raw: Any) -> None:
    await rows(100, country=lambda i: "old")

    async def rescue() -> int:
        return await (Row.country == "old").limit(40).update(country="kept")

    deleted, rescued = await asyncio.gather((Row.country == "old").delete(), rescue())
    assert deleted + rescued == 100
    assert await Row.all().count() == rescued
    assert drift(raw, [Row]) == []


async def test_control_a_loop_of_saves_takes_from_another(db: Database) -> None:
    """The known-bad way: what was read is written without a look at what it is now."""
    await rows(1, country=lambda i: "open")
    (mine,), (theirs,) = await (Row.country == "open"), await (Row.country == "open")
    theirs.country = "theirs"
    await theirs.save()
    mine.country = "mine"
    await mine.save()
    assert (await Row.get("00000")).country == "mine"


@conf(prefix="mutated-author")  # the deletes of other pages know every live class that refers to theirs
class Author(Model):
    name = String(index=True)


@conf(prefix="mutated-book")
class Book(Model):
    author = Reference(Author, index=True, on_delete="cascade")


class CacheRegion(Model):
    author = Reference(Author, index=True, on_delete="nullify")


class Prize(Model):
    author = Reference(Author, index=True, on_delete="restrict")


@pytest.mark.one_slot
@pytest.mark.on_cluster
async def test_delete_by_query_minds_on_delete(db: Database, raw: Any) -> None:
    await Author.save_many([Author.new(str(i), name="a" if i < 120 else "b") for i in range(130)])
    await Book.save_many([Book.new(str(i), author=str(i % 130)) for i in range(260)])
    await CacheRegion.save_many([CacheRegion.new(str(i), author=str(i)) for i in range(130)])
    await Prize.new("1", author="125").save()
    assert await (Author.name == "a").delete() == 120
    assert await Book.all().count() == 20
    assert await CacheRegion.author.is_none().count() == 120
    with pytest.raises(BulkError) as caught:
        await (Author.name == "b").delete()
    assert isinstance(caught.value.cause, Restricted)
    assert caught.value.saved == 0
    assert await Author.all().count() == 10
    assert drift(raw, [Author, Book, CacheRegion, Prize]) == []


# -- limits --------------------------------------------------------------------------------------


async def test_a_record_that_changes_between_judging_and_deleting_is_left(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rows(3, country=lambda i: "old")
    write = writes.write

    async def after_a_rescue(*given: Any) -> Any:
        monkeypatch.setattr(writes, "write", write)
        assert await Row.where(Row.country == "old").limit(1).update(country="kept") == 1
        return await write(*given)

    monkeypatch.setattr(writes, "write", after_a_rescue)
    assert await (Row.country == "old").delete() == 2
    assert await Row.all().values(Row.country) == ["kept"]
