"""Conditions judge rows as they mean it, and their normal form means the same."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioredisca.compiler.conditions import (
    NOTHING,
    All,
    And,
    AnyOf,
    Between,
    Bound,
    Condition,
    Edge,
    Equals,
    Has,
    IsNone,
    Not,
    Or,
    StartsWith,
    TextBetween,
    join,
    judge,
    keys_of,
    leaves,
    normal,
)
from aioredisca.types import Stored

from .trees import FIELDS, NUMBERS, TAGS, WORDS, conditions, elements, holds, leaf, place, rows, score

ROWS: list[Stored] = [
    (text, number, tags) for text in (None, *WORDS) for number in (None, *NUMBERS) for tags in (None, TAGS[3])
]


@given(conditions, rows)
def test_a_judge_says_what_the_condition_means(condition: Condition, row: Stored) -> None:
    assert judge(condition, place)(row) is holds(condition, row)


@given(leaf)
@example(Between("number", None, Bound("0", inclusive=False), score))
@example(TextBetween("text", Edge(b"a", inclusive=False), Edge(b"a\0")))
def test_a_leaf_judges_each_row(condition: Condition) -> None:
    judges = judge(condition, place)
    assert [judges(row) for row in ROWS] == [holds(condition, row) for row in ROWS]


@given(conditions, st.lists(rows, min_size=5, max_size=5), st.booleans())
@example(Not(And((Equals("text", b"a"), Not(IsNone("tags"))))), ROWS[:5], True)
@example(Or((Not(AnyOf("text", ())), NOTHING)), ROWS[:5], False)
def test_the_normal_form_means_the_same(condition: Condition, some: list[Stored], negated: bool) -> None:
    found = normal(condition, negated)
    for row in some:
        assert holds(found, row) is (holds(condition, row) is not negated)
    assert normal(found) == found


@given(conditions)
def test_the_normal_form_is_flat_and_merged(condition: Condition) -> None:
    for part in _parts(normal(condition)):
        match part:
            case Not(inner):
                assert not isinstance(inner, Not | And | Or | All)
            case And(parts):
                assert len(parts) == len(set(parts)) > 1
                assert not any(isinstance(one, And | All) or one == NOTHING for one in parts)
                for kind in (Between, TextBetween):
                    assert sum(isinstance(one, kind) for one in parts) < 2  # there is one field of each
            case Or(parts):
                assert part == NOTHING or len(parts) == len(set(parts)) > 1
                assert not any(isinstance(one, Or | All) for one in parts)
                lists = [one.key for one in parts if isinstance(one, Equals | AnyOf)]
                assert len(lists) == len(set(lists))
            case AnyOf(_, values):
                assert len(values) == len(set(values)) > 1
            case _:
                pass


def _parts(condition: Condition) -> Iterator[Condition]:
    yield condition
    match condition:
        case And(parts) | Or(parts):
            for part in parts:
                yield from _parts(part)
        case Not(part):
            yield from _parts(part)
        case _:
            pass


A, B = Equals("text", b"a"), Equals("text", b"b")

NORMAL: list[tuple[Condition, Condition]] = [
    (Not(Not(A)), A),
    (Not(Or((A, IsNone("tags")))), And((Not(A), Not(IsNone("tags"))))),
    (Or((A, B)), AnyOf("text", (b"a", b"b"))),
    (Or((A, AnyOf("text", (b"b", b"a")))), AnyOf("text", (b"a", b"b"))),
    (AnyOf("text", (b"a",)), A),
    (AnyOf("text", ()), NOTHING),
    (Not(AnyOf("text", ())), All()),
    (And((A, All())), A),
    (And((All(), All())), All()),
    (And((A, NOTHING)), NOTHING),
    (Or((A, All())), All()),
    (Or((A, NOTHING)), A),
    (And((A, And((B, A)))), And((A, B))),
    (
        And(
            (
                Between("number", Bound("1"), None, score),
                Between("number", Bound("1", inclusive=False), Bound("9"), score),
            )
        ),
        Between("number", Bound("1", inclusive=False), Bound("9"), score),
    ),
    (
        And(
            (
                TextBetween("text", None, Edge(b"b")),
                TextBetween("text", Edge(b"a"), Edge(b"b", inclusive=False)),
            )
        ),
        TextBetween("text", Edge(b"a"), Edge(b"b", inclusive=False)),
    ),
]


@pytest.mark.parametrize(("given_", "expected"), NORMAL)
def test_normal_forms_by_hand(given_: Condition, expected: Condition) -> None:
    assert normal(given_) == expected


def test_a_thousand_joined_are_no_deeper_than_two() -> None:
    several: list[Condition] = [Equals("text", b"%d" % number) for number in range(1000)]
    for kind in (And, Or):
        assert functools.reduce(functools.partial(join, kind), several) == kind(tuple(several))
    mixed = join(Or, join(And, A, B), A)
    assert mixed == Or((And((A, B)), A))


@given(conditions)
def test_keys_are_those_of_the_leaves(condition: Condition) -> None:
    found = list(leaves(condition))
    assert list(keys_of(condition)) == [one.key for one in found]
    assert set(keys_of(condition)) <= set(FIELDS)
    assert not any(isinstance(one, All | And | Or | Not) for one in found)
    assert [part for part in _parts(condition) if not isinstance(part, All | And | Or | Not)] == found


def test_what_cannot_be_read_is_admitted_by_nothing_but_its_own_bytes() -> None:
    assert not Between("number", None, None, score).admits(b"none")
    assert not Has("tags", b"x", lambda raw: (_ for _ in ()).throw(ValueError())).admits(b"x")
    assert not StartsWith("text", b"").admits(None)
    assert Equals("number", b"none").admits(b"none")
    assert Has("tags", b"x", elements).admits(b"y x")


def test_plain_digits_are_their_own_score_up_to_fifteen() -> None:
    """The score is asked for whatever is longer, signed, or no digits."""
    asked = list[bytes]()

    def noting(raw: bytes) -> str:
        asked.append(raw)
        return str(float(raw))

    between = Between("number", Bound("1"), Bound("1e15", inclusive=False), noting, digits=True)
    assert between.admits(b"9" * 15)
    assert asked == []
    assert not between.admits(b"1" + b"0" * 15)
    assert not between.admits(b"-5")
    assert between.admits(b"1.5")
    assert asked == [b"1" + b"0" * 15, b"-5", b"1.5"]
