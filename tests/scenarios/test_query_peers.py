"""What the tests of other object mappers hold their queries to, as behaviours: Ohm, rom, walrus, redis-om."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest

from aioredisca import (
    Database,
    DateTime,
    Float,
    Integer,
    Model,
    NotFound,
    NotIndexed,
    String,
    UsageError,
    exclusive,
)

from ..support.drift import drift


class Entry(Model):
    number = Integer(index=True)
    exact = Integer(index="exact")
    ratio = Float(index=True)
    when = DateTime(index=True)
    name = String(index="sorted")
    word = String(index=True)
    plain = String()


async def entries(count: int, **make: Any) -> None:
    await Entry.save_many(
        [Entry.new(f"{i:04}", **{name: value(i) for name, value in make.items()}) for i in range(count)]
    )


async def ids(query: Any) -> list[int]:
    return [int(id) for id in await query.ids()]


# -- rom -------------------------------------------------------------------------------------------

BOUNDS = [None, -5, 0, 3, 9]


@pytest.mark.parametrize(("low", "high"), list(itertools.product(BOUNDS, BOUNDS)))
async def test_ranges_may_be_open_at_either_end(db: Database, low: int | None, high: int | None) -> None:
    """As rom's table of 26 cases: numbers and moments, both ends in, out or open."""
    start = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    numbers = [-5, -1, 0, 1, 3, 9, None]

    def moment(number: int | None) -> dt.datetime | None:
        return None if number is None else start + dt.timedelta(seconds=number)

    await entries(len(numbers), number=lambda i: numbers[i], when=lambda i: moment(numbers[i]))
    held = [(place, number) for place, number in enumerate(numbers) if number is not None]
    for low_out, high_out in itertools.product([False, True], repeat=2):
        expected = [
            place
            for place, number in held
            if (low is None or number > low or (number == low and not low_out))
            and (high is None or number < high or (number == high and not high_out))
        ]

        def ends(convert: Any, low_out: bool = low_out, high_out: bool = high_out) -> list[Any]:
            outs = ((low, low_out), (high, high_out))
            return [exclusive(convert(end)) if out and end is not None else convert(end) for end, out in outs]

        by_number = await Entry.number.range(*ends(lambda number: number))
        assert [int(entry.id) for entry in by_number] == expected
        assert [int(entry.id) for entry in await Entry.when.range(*ends(moment))] == expected


async def test_the_largest_floats_are_ends_like_others(db: Database) -> None:
    await entries(3, ratio=lambda i: [-1e308, 0.0, 1e308][i])
    assert await ids(Entry.ratio >= -1e308) == [0, 1, 2]
    assert await ids(Entry.ratio < 1e308) == [0, 1]
    assert await ids(Entry.ratio > 0) == [2]


async def test_big_integers_are_told_apart(db: Database) -> None:
    numbers = [2**53, 2**53 + 1, 2**256, -(2**256)]
    await entries(4, exact=lambda i: numbers[i])
    for place, number in enumerate(numbers):
        assert await ids(Entry.exact == number) == [place]
    assert await ids(Entry.exact.in_(numbers[1:3])) == [1, 2]
    assert await ids(Entry.exact == 2**256 + 1) == []


async def test_beginnings_of_any_script_are_found(db: Database) -> None:
    names = [
        "über",
        "uber",
        "ü",
        "日本語",
        "日本",
        "\x00\x01",
        "\x00",
        "\x01",
        "\x7f",
        "\U0010ffff",
        "u\u0308ber",
    ]
    await entries(len(names), name=lambda i: names[i])
    for prefix in ["", "ü", "u", "日", "日本語", "\x00", "\x01", "\U0010ffff", "q", *names]:
        expected = [place for place, name in enumerate(names) if name.startswith(prefix)]
        assert sorted(await ids(Entry.name.startswith(prefix))) == expected, prefix


async def test_iteration_goes_beyond_a_page_with_and_without_an_index(db: Database) -> None:
    await entries(1205, number=lambda i: i, plain=lambda i: "x")
    assert [int(entry.id) async for entry in Entry.number >= 0] == list(range(1205))
    assert [int(entry.id) async for entry in (Entry.number >= 0).limit(1100)] == list(range(1100))
    assert [int(entry.id) async for entry in (Entry.number >= 0)[100:1150]] == list(range(100, 1150))
    scanned = [int(entry.id) async for entry in (Entry.plain == "x").scan()]
    assert scanned == list(range(1205))


async def test_delete_by_query_in_blocks_leaves_the_rest_and_counts(db: Database, raw: Any) -> None:
    await entries(450, number=lambda i: i, word=lambda i: "odd" if i % 2 else "even", name=lambda i: f"n{i}")
    assert await (Entry.word == "odd").delete() == 225
    assert await ids(Entry.all()) == list(range(0, 450, 2))
    assert await Entry.word.find("odd") == []
    assert await (Entry.word == "odd").delete() == 0
    assert await (Entry.number > 10_000).delete() == 0
    assert drift(raw, [Entry]) == []


# -- Ohm -------------------------------------------------------------------------------------------


async def test_the_algebra_of_sets(db: Database) -> None:
    await entries(12, number=lambda i: i, word=lambda i: "xyz"[i % 3])
    x, small, none = Entry.word == "x", Entry.number < 6, Entry.word == "nowhere"
    assert await ids(x & small) == [0, 3]
    assert await ids(x | small) == [0, 1, 2, 3, 4, 5, 6, 9]
    assert await ids(small & ~x) == [1, 2, 4, 5]
    assert await ids(x & none) == await ids(none & none) == []
    assert await ids(x | none) == await ids(x & ~none) == [0, 3, 6, 9]
    assert len(await ids(~none)) == 12
    assert await ids(x & x & x) == await ids(x | x) == await ids(~~x) == await ids(x)
    assert await ids(small & ~x & ~(Entry.word == "y")) == [2, 5]
    assert await ids(~(x | small)) == await ids(~x & ~small) == [7, 8, 10, 11]


async def test_a_query_is_never_changed(db: Database) -> None:
    await entries(6, number=lambda i: i, word=lambda i: "xy"[i % 2])
    base = Entry.word == "x"
    before = repr(base)
    made = [
        base & (Entry.number > 2),
        base | (Entry.number > 2),
        ~base,
        base.where(Entry.number > 2),
        base.order_by(Entry.number.desc()),
        base.limit(1),
        base.offset(1),
        base[0:1],
        base.only(Entry.number),
        base.scan(),
        base.prefetch(),
    ]
    for query in made:
        assert query is not base
        await query.ids()
    assert repr(base) == before
    assert await ids(base) == [0, 2, 4]
    with pytest.raises(AttributeError):
        base.anything = 1  # type: ignore[attr-defined]


async def test_sorting_by_text_by_number_falling_and_of_nothing(db: Database) -> None:
    await entries(5, number=lambda i: [10, 9, None, 100, 9][i], name=lambda i: ["b", "a", "B", "aa", None][i])
    query = Entry.all()
    assert await ids(query.order_by(Entry.number)) == [1, 4, 0, 3, 2]
    assert await ids(query.order_by(Entry.number.desc())) == [3, 0, 4, 1, 2]
    assert await ids(query.order_by(Entry.name)) == [2, 1, 3, 0, 4]
    assert await ids(query.order_by(Entry.name.desc()).limit(2)) == [0, 3]
    assert await ids(query.order_by(Entry.number).offset(1).limit(3)) == [4, 0, 3]
    assert await ids(query.order_by(Entry.number).offset(5)) == []
    assert await ids(query.limit(0)) == []
    assert await (Entry.word == "nobody").order_by(Entry.number, Entry.name) == []


async def test_an_update_moves_the_entry(db: Database, raw: Any) -> None:
    await entries(1, number=lambda i: 1, word=lambda i: "old words", name=lambda i: "old")
    entry = await Entry.get("0000")
    entry.number, entry.word, entry.name = 2, "new words", "new"
    await entry.save()
    gone = [Entry.number == 1, Entry.word == "old words", Entry.name == "old", Entry.name.startswith("o")]
    here = [Entry.number == 2, Entry.word == "new words", Entry.name == "new", Entry.name.startswith("n")]
    assert [await query.count() for query in gone] == [0, 0, 0, 0]
    assert [await query.count() for query in here] == [1, 1, 1, 1]
    await entry.delete()
    assert [await query.count() for query in here] == [0, 0, 0, 0]
    assert drift(raw, [Entry]) == []


# -- walrus, redisco, limpyd, redis-om ----------------------------------------------------------------


async def test_a_query_asks_anew_each_time(db: Database) -> None:
    """Records that change between two awaits of one query are seen by the second."""
    await entries(3, number=lambda i: i)
    query = Entry.number < 10
    assert await ids(query) == [0, 1, 2]
    entry = await Entry.get("0001")
    entry.number = 50
    await entry.save()
    assert await ids(query) == [0, 2]
    assert await query.update(number=20) == 2
    assert await ids(query) == []


async def test_and_or_nest_as_written(db: Database) -> None:
    await entries(20, number=lambda i: i, word=lambda i: "abcd"[i % 4])
    n, w = Entry.number, Entry.word
    nested = ((w == "a") & ((n < 5) | (n >= 15))) | ((w == "b") & ~((n > 2) & (n < 18)))
    assert await ids(nested) == [i for i in range(20) if (i % 4 == 0 and (i < 5 or i >= 15)) or i in (1,)]


async def test_special_characters_are_values_like_others(db: Database) -> None:
    words = [
        "a-b",
        "a.b",
        "a:b",
        "@a",
        "a b",
        " ",
        "",
        "a,b",
        "<>",
        "{}",
        "[]",
        "()",
        "~",
        "%",
        "$",
        "'",
        "*",
        "?",
        "a/b",
    ]
    await entries(len(words), word=lambda i: words[i], name=lambda i: words[i])
    for place, word in enumerate(words):
        assert await ids(Entry.word == word) == [place]
        assert await ids(Entry.name == word) == [place]
        assert await ids(Entry.word.in_([word, "nothing"]) & (Entry.name == word)) == [place]
        assert place not in await ids(Entry.word != word)


async def test_none_or_several_where_one_was_asked_for_are_distinct_errors(db: Database) -> None:
    await entries(3, word=lambda i: "same" if i else "single")
    assert (await (Entry.word == "single").one()).id == "0000"
    with pytest.raises(NotFound):
        await (Entry.word == "nothing").one()
    with pytest.raises(UsageError, match="more than one Entry"):
        await (Entry.word == "same").one()


async def test_asking_what_no_index_knows_names_the_field(db: Database) -> None:
    with pytest.raises(NotIndexed, match=r"Entry\.plain") as caught:
        await (Entry.plain == "x")
    assert db.round_trips == 0
    assert "scan()" in str(caught.value)
