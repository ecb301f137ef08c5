"""Conditions joined by and, or, not: what they find, and what cannot be joined."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import Database, Integer, Model, NotIndexed, UsageError, ValidationError

from ..support.drift import drift
from ..support.tagged import base_of
from .support import City, Row, ids, rows

# -- joining conditions --------------------------------------------------------------------------


async def test_conditions_compose_as_set_algebra(db: Database) -> None:
    await rows(10, size=lambda i: i, country=lambda i: "FI" if i % 2 else None, name=lambda i: "AB"[i // 5])
    odd, big = Row.country == "FI", Row.size >= 6
    assert ids(await (odd & big)) == ["00007", "00009"]
    assert ids(await (~odd & big)) == ["00006", "00008"]
    assert ids(await (odd | (Row.size < 2))) == ["00000", "00001", "00003", "00005", "00007", "00009"]
    assert ids(await Row.where(odd, big)) == ["00007", "00009"]
    assert ids(await Row.where(odd).where(big).order_by(Row.size.desc())) == ["00009", "00007"]
    assert ids(await (Row.country != "FI")) == ids(await (~odd)) == ids(await (Row.country == None))  # noqa: E711
    assert ids(await Row.country.not_none()) == ids(await odd)
    assert ids(await Row.size.in_([3, 4, 99, None])) == ["00003", "00004"]
    assert await Row.size.in_([]) == []
    assert len(await Row.size.not_in([])) == 10
    assert ids(await (Row.size.between(2, 4) & ~(Row.size == 3))) == ["00002", "00004"]
    assert ids(await ((Row.size >= 2) & (Row.size < 4))) == ["00002", "00003"]
    assert await ((Row.size > 5) & (Row.size < 5)) == []
    assert ids(await (odd & ~odd)) == []
    assert len(await (odd | ~odd)) == 10
    assert ids(await (Row.name.startswith("B") & odd)) == ["00005", "00007", "00009"]
    assert ids(await Row.where()) == ids(await Row.all())


async def test_a_value_that_no_index_can_hold_matches_nothing(db: Database) -> None:
    await rows(3, size=lambda i: i)
    assert await (Row.size == 2**60) == []
    assert len(await (Row.size != 2**60)) == 3
    assert await ((Row.size == 2**60) | (Row.size == 1)).count() == 1


async def test_tags_are_found_by_their_elements(db: Database) -> None:
    await rows(6, tags=lambda i: [None, set(), {"a"}, {"a", "b"}, {"b", "c"}, {"a", "b", "c"}][i])
    assert ids(await Row.tags.has("a")) == ["00002", "00003", "00005"]
    assert ids(await Row.tags.has_all(["a", "b"])) == ["00003", "00005"]
    assert ids(await Row.tags.has_any(["a", "c"])) == ["00002", "00003", "00004", "00005"]
    assert ids(await (Row.tags.has("b") & ~Row.tags.has("a"))) == ["00004"]
    assert ids(await Row.tags.is_none()) == ["00000"]
    assert len(await Row.tags.has_all([])) == 6
    assert await Row.tags.has_any([]) == []
    with pytest.raises(NotIndexed, match=r"has\(\), has_all\(\) or has_any\(\)"):
        await (Row.tags == {"a"})
    assert ids(await (Row.tags == {"b", "a"}).scan()) == ["00003"]
    with pytest.raises(UsageError, match="ask has"):
        Row.tags.has_all("ab")
    with pytest.raises(ValidationError):
        Row.tags.has("")
    with pytest.raises(NotIndexed, match="has no elements"):
        Row.name.has("x")  # type: ignore[misc]


async def test_what_cannot_be_joined_is_refused_with_the_cure(db: Database) -> None:
    big = Row.size >= 6
    with pytest.raises(UsageError, match="joined before they are ordered, limited or sliced"):
        big.limit(3) & big
    with pytest.raises(UsageError, match="inverted before"):
        ~big.order_by(Row.size)
    with pytest.raises(UsageError, match="where"):
        big.limit(3).where(big)
    with pytest.raises(UsageError, match="conditions on Row and City cannot be joined"):
        big & (City.name == "x")  # type: ignore[operator]
    with pytest.raises(UsageError, match="cannot be joined"):
        Row.where(City.name == "x")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="became a bool"):
        Row.where(Row.size == Row.size)  # type: ignore[operator]
    with pytest.raises(UsageError, match="a condition is made of columns"):
        Row.where("size > 3")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"join conditions with & \| ~"):
        big and big
    with pytest.raises(UsageError, match=r"<City\.name> is no column of Row"):
        big.order_by(City.name)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="have no order"):
        big.order_by(Row.note)
    with pytest.raises(UsageError, match="at most 1,000 values"):
        Row.size.in_(range(1001))
    with pytest.raises(ValidationError):
        Row.name.startswith(5)  # type: ignore[arg-type]
    with pytest.raises(NotIndexed, match="has no beginning"):
        Row.size.startswith("1")  # type: ignore[misc]
    assert db.round_trips == 0


async def test_a_condition_of_a_parent_fits_its_children(db: Database) -> None:
    class Base(Model):
        age = Integer(index=True)

    class Child(Base):
        level = Integer(index=True)

    await Child.new("1", age=5, level=1).save()
    await Child.new("2", age=5, level=2).save()
    await Base.new("3", age=5).save()
    assert ids(await Child.where(Base.age == 5, Child.level == 2)) == ["2"]
    assert ids(await ((Child.level == 1) & (Base.age == 5))) == ["1"]
    with pytest.raises(UsageError, match="a condition on Child does not fit Base"):
        Base.where(Child.level == 1)  # type: ignore[arg-type]


async def test_hostile_strings_never_change_what_a_query_means(db: Database) -> None:
    hostile = [
        "nothing | @age:[0 100]",
        "*",
        "a|b",
        "{x}",
        '"',
        "\\",
        "\x00",
        "-inf",
        "(",
        "[",
        "+",
        "!",
        "S 1",
    ]
    await rows(
        len(hostile), country=lambda i: hostile[i], name=lambda i: hostile[i], tags=lambda i: {hostile[i]}
    )
    for i, text in enumerate(hostile):
        for query in (Row.country == text, Row.name == text, Row.tags.has(text)):
            assert ids(await query) == [f"{i:05}"], text
            assert await (query & Row.all()).count() == 1
        expected = [f"{j:05}" for j, other in enumerate(hostile) if other.startswith(text)]
        assert await Row.name.startswith(text).order_by().ids() == sorted(
            expected, key=lambda id: hostile[int(id)]
        )


async def test_scan_answers_what_no_index_does(db: Database) -> None:
    await rows(50, size=lambda i: i, slug=lambda i: f"s{i % 5}" if i % 7 else None, ratio=lambda i: i / 4)
    query = (Row.slug == "s1") & (Row.size < 30)
    with pytest.raises(NotIndexed, match=r"allow reading every record by \.scan\(\)"):
        await query
    expected = [f"{i:05}" for i in range(30) if i % 5 == 1 and i % 7]
    assert ids(await query.scan()) == expected
    assert await query.scan().count() == len(expected)
    assert await query.scan()[1:3].ids() == expected[1:3]
    assert [row.id async for row in query.scan()[1:3]] == expected[1:3]
    assert await query.scan().exists()
    assert ids(await (Row.ratio >= 12).scan()) == [f"{i:05}" for i in range(48, 50)]
    assert len(await Row.slug.is_none().scan()) == 8
    assert len(await (~(Row.slug == "s1")).scan()) == 50 - len([i for i in range(50) if i % 5 == 1 and i % 7])
    assert db.stale_rows == {}


# -- several fields together ---------------------------------------------------------------------


@pytest.mark.on_cluster
async def test_indexes_over_two_fields_answer_what_they_are_for(db: Database, raw: Any) -> None:
    await rows(
        60,
        country=lambda i: "FI" if i % 3 else "SE",
        size=lambda i: i if i % 10 else None,
        owner=lambda i: i % 6,
        slug=lambda i: f"s{i // 6}",
    )
    within = (Row.country == "FI") & Row.size.between(10, 40)
    expected = [f"{i:05}" for i in range(11, 41) if i % 3 and i % 10]
    assert ids(await within) == expected
    assert await within.count() == len(expected)
    assert ids(await within.order_by(Row.size.desc()).limit(3)) == expected[::-1][:3]
    every = (Row.country == "FI").order_by(Row.size)
    full = [f"{i:05}" for i in range(60) if i % 3 and i % 10] + [f"{i:05}" for i in range(0, 60, 10) if i % 3]
    assert ids(await every) == full
    assert ids(await every[35:40]) == full[35:40]
    assert ids(await Row.where(Row.owner == 3, Row.slug == "s4")) == ["00027"]
    assert await Row.where(Row.owner == 3, Row.slug == "s99") == []
    with pytest.raises(NotIndexed):
        await (Row.owner == 3)
    shown = await within.explain()
    assert [driver.key for driver in shown.drivers] == [f"{base_of(Row)}/c/country/size/FI"]
    assert drift(raw, [Row]) == []
