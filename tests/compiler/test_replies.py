"""The calls of a query and what their replies mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioredisca import StoreError
from aioredisca.compiler.conditions import And, Equals, Not, Or
from aioredisca.compiler.planner import Order, Walk, plan
from aioredisca.compiler.queries import (
    choose_call,
    cut,
    named,
    place_after,
    query_call,
    read_flat,
    read_rows,
    read_step,
    whole_index_call,
    whole_page,
)
from aioredisca.storage.keys import Keys, sortable
from aioredisca.storage.schema import FieldSpec, Schema

KEYS = Keys("", "row")
ROW = Schema(
    "Row",
    KEYS,
    (
        FieldSpec("city", index="exact"),
        FieldSpec("size", index="range", score=lambda raw: str(int(raw))),
        FieldSpec("name", index="sorted"),
    ),
)
VALUE = st.none() | st.binary(max_size=3)


# -- replies ---------------------------------------------------------------------------------------


@given(st.integers(0, 3), st.data())
def test_a_flat_reply_is_cut_into_rows_that_begin_with_the_id(width: int, data: Any) -> None:
    rows = data.draw(st.lists(st.tuples(st.binary(max_size=4), *[VALUE] * width), max_size=5))
    flat = [value for row in rows for value in row]
    ids = [row[0].decode("utf-8", "surrogateescape") for row in rows]
    assert cut(flat, width) == rows
    assert named(rows) == read_flat(flat, width) == list(zip(ids, rows, strict=True))
    in_pairs = [part for row in rows for part in (row[0], [*row[1:]])] if width else flat
    assert read_rows(in_pairs, width) == read_flat(flat, width)
    halves = [flat[: (width + 1) * 2], flat[(width + 1) * 2 :]]
    assert read_rows([*halves], width) == read_flat(flat, width)  # replies of SORT_RO


@pytest.mark.parametrize("reply", [[b"1"], [b"1", b"a", b"2"]])
def test_half_a_row_is_no_row(reply: list[bytes]) -> None:
    with pytest.raises(StoreError):
        cut(reply, 1)


def test_ids_that_are_no_utf8_are_told_apart() -> None:
    assert [id for id, _ in named([(b"a",), (b"\xff",), (b"\xfe",)])] == ["a", "\udcff", "\udcfe"]


def test_a_step_that_is_a_whole_page() -> None:
    assert whole_page([b"", 0, [[b"1", b"a"]]]) == [b"1", b"a"]
    assert whole_page([b"", 0, []]) == []
    assert whole_page([b"i1", 0, [[b"1", b"a"]]]) is None  # there are more
    assert whole_page([b"", 0, [b"1", [b"a"]]]) is None  # no reply of SORT_RO
    step = read_step([b"i1", 3, [b"x"]])
    assert (step.cursor, step.offset, step.found) == (b"i1", 3, [b"x"])


# -- where a page goes on --------------------------------------------------------------------------


def test_the_cursor_behind_a_row() -> None:
    by_size, by_name = Walk("score", "size"), Walk("text", "name")
    assert place_after(Walk("id"), ROW, b"ignored", "7") == b"i7"
    assert place_after(by_size, ROW, b"007", "7") == b"z7:7"
    assert place_after(by_name, ROW, b"a\0", "7") == b"ta\1\1\0" + b"7"
    for walk in (by_size, by_name):
        assert place_after(walk, ROW, None, "\udcff") == b"n\xff"
    with pytest.raises(ValueError):
        place_after(by_size, ROW, b"none", "7")


@pytest.mark.slow
@given(st.binary(max_size=5), st.binary(max_size=5), st.text(max_size=2), st.text(max_size=2))
def test_cursors_of_texts_stand_in_the_order_of_the_members(
    one: bytes, two: bytes, id: str, other: str
) -> None:
    places = [place_after(Walk("text", "name"), ROW, raw, name) for raw, name in ((one, id), (two, other))]
    members = [sortable(raw) + b"\0" + name.encode() for raw, name in ((one, id), (two, other))]
    assert (places[0] < places[1]) is (members[0] < members[1])


# -- calls -----------------------------------------------------------------------------------------


def test_each_key_is_sent_once_and_called_by_its_number() -> None:
    city, other = Equals("city", b"x"), Equals("city", b"y")
    found = plan(ROW, Or((And((city, Not(other))), And((other, Not(city))))))
    call = query_call(found, "rows", ["city"])
    assert call.keys == (KEYS.ids, KEYS.exact("city", b"x"), KEYS.exact("city", b"y"))
    assert call.args[-14:] == ("|", 2, "&", 2, "S", 2, "!S", 3, "&", 2, "S", 3, "!S", 2)
    assert not call.writes
    assert KEYS.records in call.args
    many = query_call(plan(ROW, Or((city, other))), "count")
    assert many.args[-10:] == ("+", 2, "city", 2, b"x", b"y", "S", 2, "S", 3)


def test_the_keys_of_a_walk_are_numbered_too() -> None:
    found = plan(ROW, Equals("city", b"x"), [Order("size")])
    call = query_call(found, "rows", walk=found.walk)
    assert call.keys == (KEYS.ids, KEYS.range("size"), KEYS.none("size"), KEYS.exact("city", b"x"))
    assert call.args[-2:] == ("S", 4)


def test_what_is_wanted_decides_the_script() -> None:
    found = plan(ROW, Equals("city", b"x"), [Order("size")])
    scripts = [query_call(found, want).script for want in ("rows", "count", "plan")]
    scripts.append(query_call(found, "rows", walk=found.walk).script)
    assert len({script.sha for script in scripts if script}) == 4


@pytest.mark.parametrize("schema", [ROW, replace(ROW, expires=True)])
@pytest.mark.parametrize("fields", [(), ("city", "name")])
def test_a_look_up_of_a_whole_index_is_the_same_call(fields: tuple[str, ...], schema: Schema) -> None:
    found = plan(schema, Equals("city", b"x"))
    lookup = whole_index_call(schema, fields)("S", KEYS.exact("city", b"x"))
    whole = query_call(found, "rows", fields, sort=True)
    assert (lookup.args, lookup.keys, lookup.script) == (whole.args, whole.keys, whole.script)


def test_random_choices_throw_their_dice_here() -> None:
    found = plan(ROW, Equals("size", b"5"))
    assert found.single is not None
    calls = [choose_call(found, found.single, ["city"], 3) for _ in range(5)]
    assert len({call.args for call in calls}) > 1
    assert all(call.keys == (KEYS.range("size"),) for call in calls)
    exact = plan(ROW, Equals("city", b"x"))
    assert exact.single is not None
    assert choose_call(exact, exact.single, [], 3) == choose_call(exact, exact.single, [], 3)
