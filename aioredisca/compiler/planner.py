"""Conditions -> script arguments: which index answers which part of a query. Pure: nothing here awaits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aioredisca.compiler.conditions import (
    All,
    And,
    AnyOf,
    Between,
    Condition,
    Edge,
    Equals,
    Has,
    IsNone,
    Leaf,
    Not,
    Or,
    StartsWith,
    TextBetween,
    keys_of,
    leaves,
    normal,
)
from aioredisca.errors import NotIndexed, UsageError
from aioredisca.storage.keys import joined, sortable
from aioredisca.storage.moments import score
from aioredisca.storage.schema import ENDS, IDS_ENTRY, Compound, FieldSpec, Schema
from aioredisca.types import Arg

MAX_CONDITIONS, MAX_QUERY_VALUES = 1000, 5000
"""Conditions of one query, and values in all its lists: a step of the server reads an index for each."""

Kind = Literal["S", "Z", "L", "H", "A", "?", "D", "M"]


@dataclass(frozen=True, slots=True)
class Index:
    """One index read: its kind and key, as lua/read/leaves.lua knows them, and what else that kind takes.

    Keys of values hold them: as in conditions, no repr shows an operand.
    """

    kind: Kind
    key: str | bytes = dataclasses.field(default="", repr=False)
    args: tuple[Arg, ...] = dataclasses.field(default=(), repr=False)
    entry: str = IDS_ENTRY
    field: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Tree:
    """An AND (``&``), an OR (``|``), or one of a list of *values* of a hash field (``+``)."""

    op: Literal["&", "|", "+"]
    parts: tuple[Tree | Index, ...]
    field: str = ""
    values: tuple[bytes, ...] = dataclasses.field(default=(), repr=False)
    negated: bool = False


EVERY = Index("A")
UNKNOWN = Index("?", entry="")
NOBODY = Tree("|", ())


@dataclass(frozen=True, slots=True)
class Order:
    """A hash field to order by."""

    key: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """The index that keeps an order: of ids, of scores or of texts. Those without a value are missing.

    ``none_entry`` is the index of those without a value, unless the condition says that there are none.
    ``implies`` is the key of the set in which all its members stand, where it is kept within one value of
    another field.
    """

    kind: Literal["id", "score", "text"]
    field: str = ""
    key: str | bytes = dataclasses.field(default="", repr=False)
    none: str | bytes = ""
    entry: str = IDS_ENTRY
    descending: bool = False
    implies: str | bytes = dataclasses.field(default="", repr=False)
    none_entry: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one class answers a condition in an order.

    ``walk`` keeps the order on the server; where it is None only the client can sort. ``first_walk`` keeps
    that by the first of several fields. ``exact`` says that indexes answer all of the condition: no row is
    read in vain.
    """

    schema: Schema
    condition: Condition
    order: tuple[Order, ...]
    tree: Tree | Index
    walk: Walk | None
    exact: bool
    first_walk: Walk | None = None

    @property
    def entries(self) -> dict[str, str]:
        """The indexes that must be built, each with the hash field it is of."""
        needed = {index.entry: index.field for index in indexes(self.tree)}
        for walk in (self.walk, self.first_walk):
            if walk is not None:
                needed |= dict.fromkeys((walk.entry, walk.none_entry), walk.field)
        return {entry: name for entry, name in needed.items() if entry}

    @property
    def read(self) -> tuple[str, ...]:
        """The hash fields that it takes to judge a row and to order it."""
        return tuple(dict.fromkeys([*keys_of(self.condition), *(one.key for one in self.order)]))

    @property
    def single(self) -> Index | None:
        """The index that answers all by itself."""
        return _alone(self.tree)

    @property
    def drawn(self) -> Index | None:
        """The index that answers all by itself, but for records that are over."""
        tree = self.tree
        if self.schema.expires and isinstance(tree, Tree) and len(tree.parts) == 2:
            return _alone(tree.parts[0])
        return _alone(tree)


def indexes(tree: Tree | Index) -> Iterator[Index]:
    """The leaves of a tree."""
    if isinstance(tree, Index):
        yield tree
    else:
        for part in tree.parts:
            yield from indexes(part)


def plan(
    schema: Schema,
    condition: Condition,
    order: Sequence[Order] = (),
    *,
    scan: bool = False,
    unbuilt: frozenset[str] = frozenset(),
    attribute: Callable[[str], str] = str,
) -> Plan:
    """How *schema* answers *condition*. NotIndexed for a part without an index, unless *scan* allows it.

    What a query may do without is done without where it is *unbuilt*: indexes over several fields, those that
    keep an order, claims on a unique value where its field has an index as well, and where *scan* allows it
    all but the set of ids. *attribute* tells what the class calls a
    hash field.
    """
    wanted = normal(condition)
    _check_size(schema, wanted)
    for key in {*keys_of(wanted), *(one.key for one in order)} - schema.asked.keys():
        raise UsageError(f"{schema.model} has no hash field {key!r} to ask for")
    planner = _Planner(schema, unbuilt, scan, attribute)
    tree = planner.tree(wanted)
    natural = tuple(order) or planner.natural_order(wanted)
    walk = planner.walk(wanted, natural)
    exact = UNKNOWN not in set(indexes(tree))
    first = planner.walk(wanted, natural[:1]) if len(natural) > 1 else None
    return Plan(schema, wanted, natural, _living(schema, tree), walk, exact, first)


def _alone(tree: Tree | Index) -> Index | None:
    return tree if isinstance(tree, Index) and not tree.negated and tree.kind not in "?M" else None


def _living(schema: Schema, tree: Tree | Index) -> Tree | Index:
    """*tree* without the records that are over, where there can be such."""
    if not schema.expires or tree == NOBODY:
        return tree
    over = Index("D", schema.keys.moments, entry="", negated=True)
    return Tree("&", (*(tree.parts if isinstance(tree, Tree) and tree.op == "&" else (tree,)), over))


def _check_size(schema: Schema, condition: Condition) -> None:
    found = list(leaves(condition))
    values = sum(len(leaf.values) for leaf in found if isinstance(leaf, AnyOf))
    limits = ((len(found), MAX_CONDITIONS, "conditions"), (values, MAX_QUERY_VALUES, "values"))
    for count, most, what in limits:
        if count > most:
            raise UsageError(f"a query of {schema.model} takes at most {most:,} {what}, not {count:,}")


class _Planner:
    """Finds an index for each leaf of one condition."""

    def __init__(
        self,
        schema: Schema,
        unbuilt: frozenset[str],
        scan: bool,
        attribute: Callable[[str], str],
    ) -> None:
        self.schema, self.unbuilt, self.scan, self.attribute = schema, unbuilt, scan, attribute
        self.compounds = schema.compounds
        if unbuilt:
            self.compounds = tuple(one for one in schema.compounds if one.entry not in unbuilt)

    # -- conditions --------------------------------------------------------------------------------

    def tree(self, condition: Condition) -> Tree | Index:
        match condition:
            case All():
                return EVERY
            case And(parts):
                found = tuple(self._and(parts))
                return found[0] if len(found) == 1 else Tree("&", found)
            case Or(parts):
                return Tree("|", tuple(map(self.tree, parts)))
            case Not(part):
                return self._negated(self.tree(part))
            case AnyOf():
                return self._any_of(condition)
            case _:
                return self._leaf(condition)

    def _any_of(self, any_of: AnyOf) -> Tree | Index:
        each = [Equals(any_of.key, value) for value in any_of.values]
        parts = tuple(leaf for leaf in dict.fromkeys(map(self._leaf, each)) if leaf != NOBODY)
        if len(parts) == 1:
            return parts[0]
        if any_of.key == ENDS.key:  # no hash tells which of the values it is
            return Tree("|", parts)
        return Tree("+", parts, any_of.key, any_of.values) if parts else NOBODY

    def _negated(self, tree: Tree | Index) -> Tree | Index:
        if tree == NOBODY:
            return EVERY
        if isinstance(tree, Tree) and tree.op == "|":
            return Tree("&", tuple(map(self._negated, tree.parts)))
        return tree if tree == UNKNOWN else replace(tree, negated=not tree.negated)

    def _and(self, parts: tuple[Condition, ...]) -> Iterator[Tree | Index]:
        rest = list(parts)
        values = {part.key: part for part in parts if isinstance(part, Equals)}
        ranges = {part.key: part for part in parts if isinstance(part, Between)}
        for compound in self.compounds:
            if compound.unique and all(name in values for name in compound.fields):
                yield self._together(compound, [values[name].value for name in compound.fields])
                rest = [part for part in rest if not self._covered(part, compound)]
            elif not compound.unique and compound.fields[0] in values and compound.fields[1] in ranges:
                first, second = values[compound.fields[0]], ranges[compound.fields[1]]
                yield self._range_within(compound, first, second)
                rest = [part for part in rest if part is not first and part is not second]
        for part in rest:
            yield self.tree(part)

    def _covered(self, part: Condition, compound: Compound) -> bool:
        """Whether only an index over several fields could answer *part*, and does."""
        return (
            isinstance(part, Equals)
            and part.key in compound.fields
            and self._found(self.schema.by_key[part.key], part) is None
        )

    def _together(self, compound: Compound, values: Iterable[bytes]) -> Index:
        key = self.schema.keys.unique_together(compound.fields)
        return Index("H", key, (joined(values), ""), compound.entry, compound.fields[0])

    def _range_within(self, compound: Compound, first: Equals, second: Between) -> Index:
        key = self.schema.keys.compound(compound.fields[0], compound.fields[1], first.value)
        return Index("Z", key, score_bounds(second), compound.entry, compound.fields[1])

    def _leaf(self, leaf: Leaf) -> Tree | Index:
        spec = self.schema.asked[leaf.key]
        try:
            found = self._found(spec, leaf)
        except ValueError:
            return NOBODY  # a value that the index cannot hold
        if found is None and not self.scan:
            raise NotIndexed(self.schema.model, self.attribute(leaf.key), _why(spec, leaf))
        if found is None or (self.scan and found.entry in self.unbuilt):
            return UNKNOWN
        return found

    def _found(self, spec: FieldSpec, leaf: Leaf) -> Index | None:
        match leaf:
            case Equals() | IsNone() | Between() if spec is ENDS:
                return self._of_moments(leaf)
            case Equals(_, value):
                return self._equal(spec, value)
            case IsNone() if spec.nullable:
                return Index("S", self.schema.keys.none(spec.key), (), spec.none_entry, spec.key)
            case Between() if spec.index == "range":
                return self._index("Z", spec, self.schema.keys.range(spec.key), score_bounds(leaf))
            case TextBetween() | StartsWith() if spec.index == "sorted":
                return self._texts(spec, *_text_ends(leaf))
            case Has(_, element) if spec.index == "tags":
                return self._index("S", spec, self.schema.keys.exact(spec.key, element))
            case _:
                return None

    def _equal(self, spec: FieldSpec, value: bytes) -> Index | None:
        keys, claim = self.schema.keys, None
        if spec.unique:
            claim = Index("H", keys.unique(spec.key), (value, spec.key), spec.unique_entry, spec.key)
            if spec.unique_entry not in self.unbuilt:
                return claim
        if spec.index == "exact":
            return self._index("S", spec, keys.exact(spec.key, value))
        if spec.index == "range" and spec.score:
            score = spec.score(value)
            return self._index("Z", spec, keys.range(spec.key), (score, score))
        if spec.index == "sorted":
            return self._texts(spec, *_text_ends(TextBetween(spec.key, Edge(value), Edge(value))))
        return claim

    def _of_moments(self, leaf: Equals | IsNone | Between) -> Index:
        """Who lives for ever stands not among those that end."""
        bounds = "-inf", "+inf"
        if isinstance(leaf, Between):
            bounds = score_bounds(leaf)
        elif isinstance(leaf, Equals):
            bounds = score(leaf.value), score(leaf.value)
        return Index("M", self.schema.keys.moments, bounds, entry="", negated=isinstance(leaf, IsNone))

    def _texts(self, spec: FieldSpec, low: bytes, high: bytes) -> Index:
        return self._index("L", spec, self.schema.keys.sorted(spec.key), (spec.key, low, high))

    @staticmethod
    def _index(kind: Kind, spec: FieldSpec, key: str | bytes, args: tuple[Arg, ...] = ()) -> Index:
        return Index(kind, key, args, spec.index_entry, spec.key)

    # -- order -------------------------------------------------------------------------------------

    def natural_order(self, condition: Condition) -> tuple[Order, ...]:
        """Of its values for one range; of the ids, which is no order by a field, for everything else."""
        if isinstance(condition, Between | TextBetween | StartsWith):
            return (Order(condition.key),)
        return ()

    def walk(self, condition: Condition, order: Sequence[Order]) -> Walk | None:
        if not order:
            return Walk("id")
        if len(order) > 1:
            return None
        walk = self._walk_within(condition, order[0]) or self._walk_of(order[0])
        if walk is not None and walk.none_entry and not _admits_none(condition, order[0].key):
            walk = replace(walk, none_entry="")
        return None if walk is None or not self.unbuilt.isdisjoint((walk.entry, walk.none_entry)) else walk

    def _walk_of(self, order: Order) -> Walk | None:
        spec, keys = self.schema.asked[order.key], self.schema.keys
        if spec is ENDS:  # its own set tells who has none
            return Walk("score", spec.key, keys.moments, keys.moments, "", order.descending)
        none = keys.none(spec.key) if spec.nullable else ""
        if spec.index == "range":
            key = keys.range(spec.key)
            return Walk(
                "score", spec.key, key, none, spec.index_entry, order.descending, none_entry=spec.none_entry
            )
        if spec.index == "sorted":
            key = keys.sorted(spec.key)
            return Walk(
                "text", spec.key, key, none, spec.index_entry, order.descending, none_entry=spec.none_entry
            )
        return None

    def _walk_within(self, condition: Condition, order: Order) -> Walk | None:
        """The order inside one value of another field, where an index over both keeps it."""
        parts = condition.parts if isinstance(condition, And) else (condition,)
        values = {part.key: part for part in parts if isinstance(part, Equals)}
        for compound in self.compounds:
            if not compound.unique and compound.fields[1] == order.key and compound.fields[0] in values:
                spec = self.schema.by_key[order.key]
                first = values[compound.fields[0]]
                key = self.schema.keys.compound(first.key, spec.key, first.value)
                none = self.schema.keys.none(spec.key) if spec.nullable else ""
                exact = self.schema.by_key[first.key].index == "exact"
                implied = self.schema.keys.exact(first.key, first.value) if exact else ""
                rest = (order.descending, implied, spec.none_entry)
                return Walk("score", spec.key, key, none, compound.entry, *rest)
        return None


def _admits_none(condition: Condition, key: str) -> bool:
    """Whether a record without a value of *key* may meet *condition*, as far as its parts tell."""
    parts = condition.parts if isinstance(condition, And) else (condition,)
    asked = [part for part in parts if isinstance(part, Equals | AnyOf | Between | TextBetween | StartsWith)]
    return all(part.key != key for part in asked)


def score_bounds(leaf: Between) -> tuple[str, str]:
    """Both ends as ZCOUNT takes them."""
    return leaf.low.text if leaf.low else "-inf", leaf.high.text if leaf.high else "+inf"


def _text_ends(leaf: TextBetween | StartsWith) -> tuple[bytes, bytes]:
    """Both ends as ZRANGEBYLEX takes them: a member is the sortable text, NUL, and the id."""
    if isinstance(leaf, StartsWith):
        stem = sortable(leaf.prefix)
        return (b"[" + stem if stem else b"-"), _behind_all(stem)
    low, high = leaf.low, leaf.high
    # Behind the NUL of a text come its own members; 1 is what stands in no member at that place but
    # after all of them, and before those of every longer text.
    first = b"-" if low is None else b"[" + sortable(low.value) + (b"\0" if low.inclusive else b"\1")
    last = b"+" if high is None else b"(" + sortable(high.value) + (b"\1" if high.inclusive else b"\0")
    return first, last


def _behind_all(stem: bytes) -> bytes:
    """The end of the members that begin with *stem*, as ZRANGEBYLEX takes it."""
    kept = stem.rstrip(b"\xff")
    return b"(" + kept[:-1] + bytes([kept[-1] + 1]) if kept else b"+"


def _why(spec: FieldSpec, leaf: Leaf) -> str:
    """What to do about a leaf without an index."""
    cure = "; or allow reading every record by .scan()"
    match leaf:
        case IsNone() if spec.required:
            return "it is required: those stored before it was are found by reading every record, .scan()"
        case _ if not spec.indexable:
            return "fields of this kind have none; allow reading every record by .scan()"
        case IsNone() if spec.unique:
            ask = "declare it with index=True to ask for None"
            return f"claims of unique values tell of no record without one: {ask}{cure}"
        case IsNone():
            return f"declare it with index=True to ask for None{cure}"
        case Between() if spec.indexed:
            return f"its index has no order{cure}"
        case TextBetween() | StartsWith():
            return f'declare it with index="sorted" to ask for its order or its beginning{cure}'
        case Has():
            return f"declare it with index=True to ask for elements{cure}"
        case _ if spec.elements is not None:
            return "ask for its elements by has(), has_all() or has_any()"
        case _:
            return f"declare it with index=True or unique=True to query {spec.key!r}{cure}"
