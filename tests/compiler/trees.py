"""Conditions at random over three fields, rows to ask, and what a condition means, said another way."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from aioredisca.compiler.conditions import (
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
)
from aioredisca.types import Stored

FIELDS = ("text", "number", "tags")
WORDS = [b"", b"a", b"b", b"ab", b"a\0", b"a\0b", b"a\1", b"\xff", b"b\xff"]
NUMBERS = [b"-2", b"-1", b"0", b"1", b"2", b"10", b"none"]
TAGS = [b"x", b"y", b"x y", b"z x", b"y z x"]


def score(raw: bytes) -> str:
    """As a field of numbers has it: ValueError for what is none."""
    return str(int(raw))


def elements(raw: bytes) -> tuple[bytes, ...]:
    return tuple(raw.split())


def place(key: str) -> int:
    return FIELDS.index(key)


words = st.sampled_from(WORDS)
edges = st.none() | st.builds(Edge, words, st.booleans())
bounds = st.none() | st.builds(Bound, st.sampled_from(["-2", "-1.5", "0", "1", "2", "9"]), st.booleans())

rows: st.SearchStrategy[Stored] = st.tuples(
    st.none() | words, st.none() | st.sampled_from(NUMBERS), st.none() | st.sampled_from(TAGS)
)

leaf: st.SearchStrategy[Any] = st.one_of(
    st.builds(Equals, st.just("text"), words),
    st.builds(Equals, st.just("number"), st.sampled_from(NUMBERS[:-1])),
    st.builds(AnyOf, st.just("text"), st.lists(words, max_size=3, unique=True).map(tuple)),
    st.builds(
        AnyOf, st.just("number"), st.lists(st.sampled_from(NUMBERS[:-1]), max_size=3, unique=True).map(tuple)
    ),
    st.builds(IsNone, st.sampled_from(FIELDS)),
    st.builds(Between, st.just("number"), bounds, bounds, st.just(score)),
    st.builds(TextBetween, st.just("text"), edges, edges),
    st.builds(StartsWith, st.just("text"), words),
    st.builds(Has, st.just("tags"), st.sampled_from([b"x", b"y", b"z", b"w"]), st.just(elements)),
)

conditions: st.SearchStrategy[Condition] = st.recursive(
    leaf | st.just(All()) | st.just(Or(())),
    lambda inner: st.one_of(
        st.builds(And, st.lists(inner, min_size=1, max_size=4).map(tuple)),
        st.builds(Or, st.lists(inner, max_size=4).map(tuple)),
        st.builds(Not, inner),
    ),
    max_leaves=12,
)


def holds(condition: Condition, row: Stored) -> bool:
    """What a condition means for a row, without a thought of speed."""
    match condition:
        case All():
            return True
        case And(parts):
            return all(holds(part, row) for part in parts)
        case Or(parts):
            return any(holds(part, row) for part in parts)
        case Not(part):
            return not holds(part, row)
    value = row[place(condition.key)]
    match condition:
        case IsNone():
            return value is None
        case Equals(_, wanted):
            return value == wanted
        case AnyOf(_, several):
            return any(value == one for one in several)
        case Between(_, low, high):
            number = _number(value)
            return number is not None and _within(number, _end(low), _end(high))
        case TextBetween(_, first, last):
            return value is not None and _within(value, _end(first), _end(last))
        case StartsWith(_, prefix):
            return value is not None and value[: len(prefix)] == prefix
        case Has(_, element):
            return value is not None and element in value.split()


def _number(value: bytes | None) -> int | None:
    try:
        return None if value is None else int(value)
    except ValueError:
        return None


End = tuple[Any, bool] | None
"""A value, and whether it belongs to the range."""


def _end(bound: Bound | Edge | None) -> End:
    if bound is None:
        return None
    return (float(bound.score) if isinstance(bound, Bound) else bound.value, bound.inclusive)


def _within(value: Any, low: End, high: End) -> bool:
    above = low is None or bool(value >= low[0] if low[1] else value > low[0])
    return above and (high is None or bool(value <= high[0] if high[1] else value < high[0]))
