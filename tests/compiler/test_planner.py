"""Which index answers what: reads of the indexes, put together, give exactly the rows of the condition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioredisca import NotIndexed, UsageError
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
)
from aioredisca.compiler.planner import (
    EVERY,
    NOBODY,
    UNKNOWN,
    Index,
    Order,
    Plan,
    Tree,
    Walk,
    plan,
)
from aioredisca.storage.keys import Keys, joined, sortable
from aioredisca.storage.schema import Compound, FieldSpec, Schema
from aioredisca.types import Stored

from .trees import FIELDS, conditions, elements, holds, place, rows, score

KEYS = Keys("", "row")


def schema_of(*fields: FieldSpec, compounds: tuple[Compound, ...] = ()) -> Schema:
    return Schema("Row", KEYS, fields, compounds)


ROW = schema_of(
    FieldSpec("text", index="sorted"),
    FieldSpec("number", index="range", score=score),
    FieldSpec("tags", index="tags", elements=elements),
    FieldSpec("email", unique=True),
    FieldSpec("city", index="exact"),
    FieldSpec("code", index="exact", required=True),
    FieldSpec("bare"),
    compounds=(Compound(("city", "number")), Compound(("bare", "email"), unique=True)),
)


# -- one leaf, one index ---------------------------------------------------------------------------

SINGLE: list[tuple[Condition, Index]] = [
    (All(), EVERY),
    (Equals("city", b"x"), Index("S", KEYS.exact("city", b"x"), (), "x:city", "city")),
    (Equals("code", b"x" * 600), Index("S", KEYS.exact("code", b"x" * 600), (), "x:code", "code")),
    (Equals("email", b"x"), Index("H", KEYS.unique("email"), (b"x", "email"), "u:email", "email")),
    (Equals("number", b"07"), Index("Z", KEYS.range("number"), ("7", "7"), "r:number", "number")),
    (
        Equals("text", b"a\0"),
        Index("L", KEYS.sorted("text"), ("text", b"[a\1\1\0", b"(a\1\1\1"), "s:text", "text"),
    ),
    (IsNone("text"), Index("S", KEYS.none("text"), (), "n:text", "text")),
    (IsNone("tags"), Index("S", KEYS.none("tags"), (), "n:tags", "tags")),
    (Has("tags", b"x", elements), Index("S", KEYS.exact("tags", b"x"), (), "t:tags", "tags")),
    (
        Between("number", Bound("1"), Bound("2", inclusive=False), score),
        Index("Z", KEYS.range("number"), ("1", "(2"), "r:number", "number"),
    ),
    (
        Between("number", None, None, score),
        Index("Z", KEYS.range("number"), ("-inf", "+inf"), "r:number", "number"),
    ),
    (
        StartsWith("text", b"a"),
        Index("L", KEYS.sorted("text"), ("text", b"[a", b"(b"), "s:text", "text"),
    ),
    (StartsWith("text", b""), Index("L", KEYS.sorted("text"), ("text", b"-", b"+"), "s:text", "text")),
    (
        TextBetween("text", Edge(b"a", inclusive=False), Edge(b"b")),
        Index("L", KEYS.sorted("text"), ("text", b"[a\1", b"(b\1"), "s:text", "text"),
    ),
]


@pytest.mark.parametrize(("condition", "index"), SINGLE)
def test_each_leaf_is_answered_by_the_index_that_knows_it(condition: Condition, index: Index) -> None:
    found = plan(ROW, condition)
    assert found.tree == index
    assert found.single == index
    assert found.exact
    assert found.entries == {index.entry: index.field, **_of_walk(found)}


def _of_walk(found: Plan) -> dict[str, str]:
    walk = found.walk
    names = (walk.entry, walk.none_entry) if walk else ()
    return {entry: walk.field for entry in names if walk and entry}


def test_a_value_that_the_index_cannot_hold_is_nobody() -> None:
    assert plan(ROW, Equals("number", b"none")).tree == NOBODY
    assert plan(ROW, Not(Equals("number", b"none"))).tree == EVERY
    assert plan(ROW, AnyOf("number", (b"none", b"1"))).tree == plan(ROW, Equals("number", b"1")).tree
    assert plan(ROW, NOTHING).tree == NOBODY


def test_several_values_of_a_field_are_one_list() -> None:
    found = plan(ROW, Or((Equals("city", b"x"), Equals("city", b"y"))))
    parts = tuple(Index("S", KEYS.exact("city", value), (), "x:city", "city") for value in (b"x", b"y"))
    assert found.tree == Tree("+", parts, "city", (b"x", b"y"))
    negated = plan(ROW, Not(AnyOf("city", (b"x", b"y"))))
    assert negated.tree == Tree("+", parts, "city", (b"x", b"y"), negated=True)
    assert found.single is negated.single is None


def test_indexes_over_two_fields_take_over_what_they_know() -> None:
    both = And((Equals("city", b"x"), Between("number", Bound("1"), None, score)))
    found = plan(ROW, both)
    assert found.tree == Index(
        "Z", KEYS.compound("city", "number", b"x"), ("1", "+inf"), "c:4:city6:number", "number"
    )
    together = And((Equals("bare", b"s"), Equals("email", b"e")))
    key = KEYS.unique_together(("bare", "email"))
    assert plan(ROW, together).tree == Tree(
        "&",
        (
            Index("H", key, (joined([b"s", b"e"]), ""), "U:4:bare5:email", "bare"),
            Index("H", KEYS.unique("email"), (b"e", "email"), "u:email", "email"),
        ),
    )
    unbuilt = plan(ROW, both, unbuilt=frozenset({"c:4:city6:number"})).tree
    assert isinstance(unbuilt, Tree)
    assert [index.entry for index in unbuilt.parts if isinstance(index, Index)] == ["x:city", "r:number"]


# -- what has no index -----------------------------------------------------------------------------

SCAN = "; or allow reading every record by .scan()"
WHY: list[tuple[Condition, str]] = [
    (Equals("bare", b"x"), f"declare it with index=True or unique=True to query 'bare'{SCAN}"),
    (IsNone("bare"), f"declare it with index=True to ask for None{SCAN}"),
    (IsNone("email"), f"declare it with index=True to ask for None{SCAN}"),
    (IsNone("code"), "it is required: those stored before it was are found"),
    (Between("city", Bound("1"), None, score), f"its index has no order{SCAN}"),
    (Between("bare", Bound("1"), None, score), f"index=True or unique=True to query 'bare'{SCAN}"),
    (TextBetween("city", Edge(b"a"), None), 'index="sorted" to ask for its order or its beginning'),
    (StartsWith("bare", b"a"), 'index="sorted" to ask for its order or its beginning'),
    (Has("city", b"x", elements), f"declare it with index=True to ask for elements{SCAN}"),
    (Equals("tags", b"x"), "ask for its elements by has(), has_all() or has_any()"),
]


@pytest.mark.parametrize(("condition", "why"), WHY)
def test_what_no_index_answers_is_told_with_the_cure_and_scanned_if_allowed(condition: Any, why: str) -> None:
    with pytest.raises(NotIndexed) as caught:
        plan(ROW, condition, attribute=lambda key: f"the_{key}")
    assert why in str(caught.value)
    assert f"Row.the_{condition.key}" in str(caught.value)
    found = plan(ROW, condition, scan=True)
    assert (found.tree, found.exact, found.single) == (UNKNOWN, False, None)
    assert plan(ROW, Not(condition), scan=True).tree == UNKNOWN
    assert found.entries == {} if found.walk is None else set(found.entries) <= {"i:"}


def test_too_much_and_what_there_is_not() -> None:
    plan(ROW, Or(tuple(StartsWith("text", b"%d" % n) for n in range(1000))))
    with pytest.raises(UsageError, match="a query of Row takes at most 1,000 conditions, not 1,001"):
        plan(ROW, Or(tuple(StartsWith("text", b"%d" % n) for n in range(1001))))
    with pytest.raises(UsageError, match="at most 5,000 values, not 5,001"):
        plan(ROW, AnyOf("city", tuple(b"%d" % n for n in range(5001))))
    for asked in ({"condition": Equals("gone", b"x")}, {"condition": All(), "order": [Order("gone")]}):
        with pytest.raises(UsageError, match="Row has no hash field 'gone' to ask for"):
            plan(ROW, **asked)


# -- orders ----------------------------------------------------------------------------------------


def test_which_index_keeps_which_order() -> None:
    assert plan(ROW, All()).walk == Walk("id")
    by_number = Walk(
        "score", "number", KEYS.range("number"), KEYS.none("number"), "r:number", True, none_entry="n:number"
    )
    assert plan(ROW, Equals("city", b"x"), [Order("text")]).walk == Walk(
        "text", "text", KEYS.sorted("text"), KEYS.none("text"), "s:text", none_entry="n:text"
    )
    assert plan(ROW, All(), [Order("number", descending=True)]).walk == by_number
    assert plan(ROW, Equals("city", b"x"), [Order("number", descending=True)]).walk == Walk(
        "score",
        "number",
        KEYS.compound("city", "number", b"x"),
        KEYS.none("number"),
        "c:4:city6:number",
        descending=True,
        implies=KEYS.exact("city", b"x"),
        none_entry="n:number",
    )
    known = Between("number", Bound("1"), None, score)
    assert plan(ROW, known).walk == replace(by_number, descending=False, none_entry="")  # none is without
    for order in ([Order("city")], [Order("bare")], [Order("text"), Order("number")]):
        assert plan(ROW, All(), order).walk is None


def test_a_range_alone_is_in_the_order_of_its_values() -> None:
    assert plan(ROW, Between("number", Bound("1"), None, score)).order == (Order("number"),)
    assert plan(ROW, StartsWith("text", b"a")).order == (Order("text"),)
    assert plan(ROW, And((StartsWith("text", b"a"), Equals("city", b"x")))).order == ()


def test_what_must_be_read_to_judge_and_to_order() -> None:
    found = plan(ROW, And((Equals("city", b"x"), StartsWith("text", b"a"))), [Order("number"), Order("city")])
    assert found.read == ("city", "text", "number")


# -- against a store -------------------------------------------------------------------------------

Store = dict[Any, Any]

PLAIN = schema_of(
    FieldSpec("text", index="exact"),
    FieldSpec("number", index="range", score=score),
    FieldSpec("tags", index="tags", elements=elements),
    compounds=(Compound(("text", "number")),),
)
SORTED = schema_of(
    FieldSpec("text", index="sorted", unique=False),
    FieldSpec("number", index="exact"),
    FieldSpec("tags"),
    compounds=(Compound(("text", "number"), unique=True),),
)


def store_of(schema: Schema, some: list[Stored]) -> Store:
    """The indexes of rows whose ids are their places, as docs/storage.md lays them out."""
    found: Store = {}
    for id, row in enumerate(some):
        for spec in schema.fields:
            value, keys = row[place(spec.key)], schema.keys
            if value is None:
                if spec.nullable:
                    found.setdefault(keys.none(spec.key), set()).add(id)
                continue
            if spec.index == "exact":
                found.setdefault(keys.exact(spec.key, value), set()).add(id)
            elif spec.index == "range" and _scored(value) is not None:
                found.setdefault(keys.range(spec.key), {})[id] = _scored(value)
            elif spec.index == "sorted":
                found.setdefault(keys.sorted(spec.key), set()).add((sortable(value) + b"\0%d" % id, id))
            elif spec.index == "tags":
                for element in elements(value):
                    found.setdefault(keys.exact(spec.key, element), set()).add(id)
        for compound in schema.compounds:
            values = [row[place(name)] for name in compound.fields]
            if compound.unique and None not in values:
                key = schema.keys.unique_together(compound.fields)
                found.setdefault(key, {}).setdefault(joined([one or b"" for one in values]), set()).add(id)
            elif not compound.unique and None not in values and _scored(values[1]) is not None:
                first, second = compound.fields
                key_ = schema.keys.compound(first, second, values[0] or b"")
                found.setdefault(key_, {})[id] = _scored(values[1])
    return found


def _scored(value: bytes | None) -> float | None:
    try:
        return None if value is None else float(score(value))
    except ValueError:
        return None


def answer(tree: Tree | Index, store: Store, everybody: frozenset[int]) -> frozenset[int]:
    """What the server finds for a tree: sets, put together."""
    if isinstance(tree, Tree):
        parts = [answer(part, store, everybody) for part in tree.parts]
        found = everybody.intersection(*parts) if tree.op == "&" else frozenset[int]().union(*parts)
    else:
        found = frozenset(_read(tree, store, everybody))
    return everybody - found if tree.negated else found


def _read(index: Index, store: Store, everybody: frozenset[int]) -> Any:
    match index.kind:
        case "A" | "?":
            return everybody
        case "S":
            return store.get(index.key, ())
        case "H":
            return store.get(index.key, {}).get(index.args[0], ())
        case "Z":
            low, high = map(str, index.args)
            scores: dict[int, float] = store.get(index.key, {})
            return {id for id, value in scores.items() if _above(value, low) and _above(-value, _minus(high))}
        case "L":
            _, first, last = index.args
            members = store.get(index.key, ())
            return {id for member, id in members if _behind(member, first) and _before(member, last)}


def _above(value: float, low: str) -> bool:
    return value > float(low[1:]) if low.startswith("(") else value >= float(low)


def _minus(bound: str) -> str:
    return f"({-float(bound[1:])}" if bound.startswith("(") else str(-float(bound))


def _behind(member: bytes, first: Any) -> bool:
    return bool(first == b"-" or (member >= first[1:] if first[:1] == b"[" else member > first[1:]))


def _before(member: bytes, last: Any) -> bool:
    return bool(last == b"+" or (member < last[1:] if last[:1] == b"(" else member <= last[1:]))


@pytest.mark.parametrize("schema", [PLAIN, SORTED], ids=["exact", "sorted"])
@given(condition=conditions, some=st.lists(rows, max_size=12))
def test_reads_of_indexes_put_together_are_the_rows_of_the_condition(
    schema: Schema, condition: Condition, some: list[Stored]
) -> None:
    """All of them, and no other where the plan says that it is exact."""
    some = [(row[0], row[1] if schema is SORTED or row[1] != b"none" else None, row[2]) for row in some]
    found = plan(schema, condition, scan=True)
    everybody = frozenset(range(len(some)))
    answered = answer(found.tree, store_of(schema, some), everybody)
    meant = {id for id in everybody if holds(condition, some[id])}
    if found.exact:
        assert answered == meant
    else:
        assert UNKNOWN in _indexes(found.tree)
        assert answered >= meant
    assert {*found.read} <= {*FIELDS}


def _indexes(tree: Tree | Index) -> list[Index]:
    return [tree] if isinstance(tree, Index) else [one for part in tree.parts for one in _indexes(part)]


def test_a_long_chain_of_values_is_one_list() -> None:
    chain: Condition = NOTHING
    for number in range(90):
        chain = Or((chain, Equals("city", b"%d" % number)))
    tree = plan(ROW, chain).tree
    assert isinstance(tree, Tree)
    assert (tree.op, len(tree.parts)) == ("+", 90)
