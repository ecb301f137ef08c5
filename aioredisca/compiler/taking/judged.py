"""A condition as ``lua/take/chosen.lua`` judges it, by what a record itself holds. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from aioredisca.compiler.conditions import (
    All,
    And,
    AnyOf,
    Between,
    Condition,
    Equals,
    Has,
    IsNone,
    Leaf,
    Not,
    Or,
    StartsWith,
    TextBetween,
    edge_text,
    keys_of,
    leaves,
)
from aioredisca.compiler.planner import score_bounds
from aioredisca.storage.keys import MOMENT
from aioredisca.types import Arg


def can_judge(condition: Condition) -> bool:
    """Whether the server can judge *condition* as exactly as the client does.

    Not the moment of an end, which no hash holds, and no range of numbers whose stored text is another number
    than that which orders them: of Decimal, Date, and fields with a score of their own.
    """
    return all(leaf.key != MOMENT and _is_plain(leaf) for leaf in leaves(condition))


def _is_plain(leaf: Leaf) -> bool:
    return not isinstance(leaf, Between) or (leaf.spelled and not leaf.exact)


def judged(condition: Condition, left_out: Collection[str]) -> list[Arg]:
    """*condition*, and the ids that are not to be chosen, as arguments."""
    fields = list(dict.fromkeys(keys_of(condition)))
    places = {key: place for place, key in enumerate(fields, 1)}
    return [len(left_out), *left_out, len(fields), *fields, *_tokens(condition, places)]


def _tokens(condition: Condition, places: dict[str, int]) -> Iterator[Arg]:
    match condition:
        case All():
            yield from ("&", 0)
        case And(parts) | Or(parts):
            yield from ("&" if isinstance(condition, And) else "|", len(parts))
            for part in parts:
                yield from _tokens(part, places)
        case Not(part):
            yield "!"
            yield from _tokens(part, places)
        case leaf:
            kind, *operands = _leaf(leaf)
            yield from (kind, places[leaf.key], *operands)


def _leaf(leaf: Leaf) -> tuple[Arg, ...]:
    match leaf:
        case Equals(_, value):
            return "=", value
        case AnyOf(_, values):
            return "+", len(values), *values
        case IsNone():
            return ("0",)
        case Between():
            return "n", *score_bounds(leaf)
        case TextBetween(_, low, high):
            return "t", edge_text(low), edge_text(high)
        case StartsWith(_, prefix):
            return "^", prefix
        case Has(_, element):
            return "#", element
