"""Long conditions, long lists, many rows: exact, in few steps, or told before any I/O."""

from __future__ import annotations

import functools
import itertools
import operator
from typing import Any

import pytest

from aioredisca import Database, UsageError

from ..support.proxy import Proxy
from .support import Row, ids, rows


@pytest.mark.slow
async def test_long_chains_are_flat_and_what_is_too_much_is_told_before_io(db: Database) -> None:
    await rows(20, size=lambda i: i, country=lambda i: "FI" if i % 2 else None)
    chain = functools.reduce(operator.or_, [(Row.size == i) & (Row.country == "FI") for i in range(400)])
    assert await chain.count() == 10
    assert len(await functools.reduce(operator.and_, [Row.size != i for i in range(10)])) == 10
    assert await functools.reduce(operator.or_, [Row.size == i for i in range(1000)]).count() == 20
    deep = Row.size >= 0
    for i in range(98):
        deep = deep & (Row.country != "x") if i % 2 else deep | (Row.size == i)
    assert await deep.count() == len(await deep.order_by(Row.name).limit(50)) == 20
    assert repr(deep)
    before = db.round_trips
    with pytest.raises(UsageError, match="at most 100 deep"):
        for _ in range(500):
            deep = ~(deep & (Row.size > 1))
    with pytest.raises(UsageError, match="at most 1,000 conditions, not 1,001"):
        await functools.reduce(operator.and_, [Row.size != i for i in range(1001)])
    with pytest.raises(UsageError, match="at most 5,000 values, not 6,000"):
        await functools.reduce(operator.or_, [Row.size == i for i in range(6000)]).count()
    assert db.round_trips == before


async def test_slips_in_lists_and_columns_are_told(db: Database) -> None:
    for wrong in ("FI", b"FI", None, 5):
        with pytest.raises(UsageError, match=r"in_\(\) takes several values"):
            Row.country.in_(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"only\(\) takes at least one column"):
        Row.all().only()
    with pytest.raises(UsageError, match="has no reference 'size': it is a Integer"):
        Row.all().prefetch("size")


@pytest.mark.slow
async def test_long_lists_and_their_negation_are_exact(db: Database, backend: str) -> None:
    """Lists are walked value by value, or tested by the field of the record: both ways, on each kind of index."""
    await rows(
        60,
        size=lambda i: i % 20 or None,
        country=lambda i: f"c{i % 15}" if i % 4 else None,
        name=lambda i: f"n{i % 12}",
        email=lambda i: f"e{i}",
        tags=lambda i: {f"t{i % 30}", f"u{i % 7}"},
    )
    end = 200 if backend == "memory" else 900  # more than there are records
    lists: list[tuple[Any, list[Any]]] = [
        (Row.size, [*range(1, end), 2**60]),
        (Row.country, [f"c{i}" for i in range(5, end)]),
        (Row.name, [f"n{i}" for i in range(3, end)]),
        (Row.email, [f"e{i}" for i in range(7, end)]),
    ]
    everything = await Row.all().order_by(Row.email)
    for column, some in lists:
        held = {row.id: getattr(row, column.field.name) for row in everything}
        inside = sorted(id for id, value in held.items() if value in some)
        outside = sorted(held.keys() - set(inside))
        assert (await column.in_(some).ids(), await column.not_in(some).ids()) == (inside, outside)
        assert (await column.in_(some).count(), await column.not_in(some).count()) == (
            len(inside),
            len(outside),
        )
        for other in (Row.name == "n5", Row.size < 4, Row.tags.has("u3")):
            both = sorted(set(await other.ids()) & set(inside))
            assert sorted(await (column.in_(some) & other).ids()) == both
            assert await (column.in_(some) & other).count() == len(both)
            assert sorted(await (other & ~column.in_(some)).ids()) == sorted(
                set(await other.ids()) - set(inside)
            )
            either = sorted(set(await other.ids()) | set(outside))
            assert await (other | column.not_in(some)).ids() == either
    many = [f"t{i}" for i in range(5, end)]
    tagged = [row.id for row in sorted(everything, key=lambda row: row.id) if int(row.id) % 30 >= 5]
    assert await Row.tags.has_any(many).ids() == tagged
    assert await Row.tags.has_any([*many, "u1", "u2"]).count() == len(
        [i for i in range(60) if i % 30 >= 5 or i % 7 in (1, 2)]
    )
    assert await (Row.tags.has_any(many) & (Row.name == "n6")).ids() == [f"{i:05}" for i in (6, 18, 42, 54)]
    assert await (~Row.tags.has_any(many)).count() == 60 - len(tagged)


@pytest.mark.slow
async def test_a_list_of_a_thousand_values_takes_few_steps(proxied: Database, proxy: Proxy, raw: Any) -> None:
    """Control of what it must not be: a look into every value for every record, 1,000,000 of them."""
    await rows(
        1000, size=lambda i: i, country=lambda i: f"c{i}", tags=lambda i: {f"t{i}"}, email=lambda i: f"e{i}"
    )
    await (Row.country == "c1").ids()
    queries: list[Any] = [
        Row.country.in_([f"c{i}" for i in range(1000)]),
        Row.size.in_(range(1000)),
        Row.email.in_([f"e{i}" for i in range(1000)]),
        Row.country.not_in([f"c{i}" for i in range(999)]),
        (Row.size >= 500) & Row.country.in_([f"c{i}" for i in range(1000)]),
        Row.tags.has_any([f"t{i}" for i in range(1000)]),
    ]
    for query in queries:
        raw.config_resetstat()
        with proxy.count() as count:
            await query.ids()
        stats = raw.info("commandstats")
        calls = sum(figures["calls"] for name, figures in stats.items() if "eval" not in name)
        assert count.trips <= 2, query
        assert calls < 8000, (query, calls)


async def test_what_several_indexes_yield_is_counted_once_over_many_steps(server: Any, db: Database) -> None:
    """Each index is walked in calls of its own: a later one must not count again what an earlier one did."""
    await rows(2600, size=lambda i: i, country=lambda i: "FI" if i % 2 else None, name=lambda i: "ab"[i % 2])
    wide = (Row.size >= 100) | (Row.country == "FI") & (Row.name == "b")
    assert await wide.count() == 2550
    assert len(await wide.ids()) == len({row.id async for row in wide}) == 2550
    assert await (~wide).count() == 50


async def test_many_records_without_a_value_are_walked_to_their_end(server: Any, db: Database) -> None:
    """More of them than one step examines, behind a few that hold one."""
    await rows(2300, size=lambda i: 9 - i if i < 10 else None, country=lambda i: "FI" if i % 2 else None)
    held, none = [f"{9 - i:05}" for i in range(10)], [f"{i:05}" for i in range(10, 2300)]
    rising, falling = Row.all().order_by(Row.size), Row.all().order_by(Row.size.desc())
    assert await rising[2250:2260].ids() == none[2240:2250]
    assert await falling[2250:2260].ids() == none[::-1][2240:2250]
    assert await rising.limit(5000).ids() == held + none
    assert await (Row.country == "FI").order_by(Row.size)[1100:1110].ids() == none[1::2][1095:1105]
    found, cursor = list[str](), None
    while cursor or not found:
        page = await falling.page(900, after=cursor)
        found, cursor = found + ids(page), page.next
    assert found == held[::-1] + none[::-1]


async def test_ranges_of_one_field_narrow_each_other_to_the_tighter_end(db: Database) -> None:
    await rows(4, size=lambda i: i, name=lambda i: "abcd"[i])
    words: list[Any] = [operator.ge, operator.gt, operator.le, operator.lt]
    for one, other in itertools.product(words, words):
        for a, b in [(1, 1), (1, 2), (2, 1)]:
            expected = [f"{i:05}" for i in range(4) if one(i, a) and other(i, b)]
            assert await (one(Row.size, a) & other(Row.size, b)).ids() == expected, (one, a, other, b)
            names = one(Row.name, "abcd"[a]) & other(Row.name, "abcd"[b])
            assert await names.ids() == expected, (one, a, other, b)
            assert await names.count() == len(expected), (one, a, other, b)


@pytest.mark.slow
async def test_an_order_within_one_value_is_exact_in_every_slice(db: Database) -> None:
    """Its index holds only records of that value, so they are not tested; those without a size are of any."""
    size: list[int | None] = [i % 7 if i % 5 else None for i in range(48)]
    country = ["FI" if i % 3 else "SE" for i in range(48)]
    await rows(48, size=lambda i: size[i], country=lambda i: country[i], name=lambda i: f"n{i % 4}")
    conditions: list[tuple[Any, Any]] = [
        (Row.country == "FI", lambda i: country[i] == "FI"),
        ((Row.country == "FI") & (Row.name != "n1"), lambda i: country[i] == "FI" and i % 4 != 1),
        ((Row.country == "FI") & (Row.country != "SE"), lambda i: country[i] == "FI"),
        ((Row.country == "FI") & Row.size.is_none(), lambda i: country[i] == "FI" and size[i] is None),
        ((Row.country == "FI") & (Row.country == "SE"), lambda i: False),
        ((Row.country == "FI") | (Row.name == "n1"), lambda i: country[i] == "FI" or i % 4 == 1),
        (Row.country != "FI", lambda i: country[i] != "FI"),
    ]
    for condition, holds in conditions:
        for falling in (False, True):
            found = [i for i in range(48) if holds(i)]
            held = sorted(((one, i) for i in found if (one := size[i]) is not None), reverse=falling)
            expected = [i for _, i in held] + sorted((i for i in found if size[i] is None), reverse=falling)
            query = condition.order_by(Row.size.desc() if falling else Row.size)
            for first, last in itertools.product(range(0, 36, 5), (1, 4, 30, 100)):
                assert [int(id) for id in await query[first : first + last].ids()] == expected[
                    first : first + last
                ]
            seen, cursor = list[str](), None
            while cursor or not seen:
                page = await query.page(5, after=cursor)
                seen, cursor = seen + ids(page), page.next
                if not page.items:
                    break
            assert list(map(int, seen)) == expected


@pytest.mark.slow
async def test_a_deep_slice_of_an_order_within_one_value_is_one_step(proxied: Database, proxy: Proxy) -> None:
    await rows(6000, size=lambda i: i, country=lambda i: "FI" if i % 6 else "SE")
    await (Row.country == "FI").first()
    finns = [i for i in range(6000) if i % 6]
    for query, expected in (
        ((Row.country == "FI").order_by(Row.size), finns),
        ((Row.country == "FI").order_by(Row.size.desc()), finns[::-1]),
    ):
        with proxy.count() as count:
            found = await query[4500:4510].ids()
        assert [int(id) for id in found] == expected[4500:4510]
        assert count.trips == 1


async def test_few_candidates_that_are_sorted_go_on_behind_a_page(server: Any, db: Database) -> None:
    await rows(4400, country=lambda i: "FI" if i % 4 == 0 else None, name=lambda i: f"n{i * 7919 % 4400:04}")
    expected = sorted(range(0, 4400, 4), key=lambda i: i * 7919 % 4400)
    query = (Row.country == "FI").order_by(Row.name)
    assert [int(id) for id in await query.limit(1090).ids()] == expected[:1090]
    assert [int(id) for id in await query[50:1090].ids()] == expected[50:1090]
