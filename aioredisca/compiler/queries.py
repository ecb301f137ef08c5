"""The calls of a query, step by step, and what their replies mean. Pure: see ``lua/read/leaves.lua``."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from aioredisca.compiler.planner import Index, Plan, Tree, Walk
from aioredisca.compiler.positions import Choose, Order, Query
from aioredisca.compiler.scripts import Answer, query_script, small_script
from aioredisca.storage.keys import MOMENT, id_text, sortable
from aioredisca.storage.replies import reader
from aioredisca.storage.schema import Schema
from aioredisca.types import Arg, Call, Proof, ReadFrom, Reply, Stored

PAGE = 1000
"""Rows of one round trip; more come in further pages."""


@dataclass(slots=True)
class _Keys:
    """The keys of one call, each once, by number."""

    numbers: dict[str | bytes, int] = field(default_factory=dict[str | bytes, int], repr=False)

    def number(self, key: str | bytes) -> int:
        return self.numbers.setdefault(key, len(self.numbers) + 1) if key else 0

    def tokens(self, tree: Tree | Index) -> Iterator[Arg]:
        """The tree as lua/read/leaves.lua tells."""
        if isinstance(tree, Tree):
            yield from (f"!{tree.op}" if tree.negated else tree.op, len(tree.parts))
            if tree.op == "+":
                yield tree.field
                yield len(tree.values)
                yield from tree.values
            for part in tree.parts:
                yield from self.tokens(part)
            return
        yield f"!{tree.kind}" if tree.negated else tree.kind
        if tree.key:
            yield self.number(tree.key)
        yield from tree.args


def query_call(
    plan: Plan,
    want: Literal["rows", "count", "plan"],
    fields: Sequence[str] = (),
    *,
    walk: Walk | None = None,
    limit: int | None = None,
    offset: int = 0,
    cursor: bytes = b"",
    sort: bool = False,
    prove: bool = False,
) -> Call:
    """One step of *plan*: rows with *fields* of each, a number, or how it would be done.

    ``walk``   the order to keep, if any.
    ``sort``   SORT_RO may fetch rows.
    ``prove``  *fields* alone do not tell that a record exists.
    """
    schema, keys = plan.schema, _Keys()
    keys.number(schema.keys.ids)
    head = _head(schema, fields, limit=limit, offset=offset, cursor=cursor, sort=sort, prove=prove)
    if walk is None:
        head += _NO_ORDER
    else:
        head += _order(walk, keys)
    tokens = list(keys.tokens(plan.tree))
    answer: Answer = "ordered" if want == "rows" and walk else want
    place = None if walk is not None or want == "plan" else _CURSOR  # in an order, a cursor is a value
    return Call((*head, *tokens), query_script(answer, schema.expires), (*keys.numbers,), cursor=place)


def _order(walk: Walk, keys: _Keys) -> Order:
    index, none, implies = [keys.number(key) for key in (walk.key, walk.none, walk.implies)]
    return Order(walk.kind, walk.field, int(walk.descending), index_key=index, none=none, implies=implies)


def _head(
    schema: Schema,
    fields: Sequence[str],
    *,
    limit: int | None = None,
    offset: int = 0,
    cursor: bytes = b"",
    sort: bool = False,
    prove: bool = False,
) -> list[Arg]:
    head = Query(
        limit=-1 if limit is None else limit,
        offset=offset,
        cursor=cursor,
        page=PAGE,
        may_sort=int(sort and not (schema.expires and MOMENT in fields)),
        prove=int(prove),
        records=schema.keys.records,
        width=len(fields),
    )
    return [*head, *fields]


_CURSOR = Query._fields.index("cursor")
_NO_ORDER = Order("none", "", descending=0, index_key=0, none=0, implies=0)


def whole_index_call(schema: Schema, fields: Sequence[str]) -> Callable[..., Call]:
    """What makes the first step for all records of one index, without an order: of its kind, key and bounds,
    and of what it believes.

    As :func:`query_call` makes it, from what is the same for all values.
    """
    head: list[Arg] = [*_head(schema, fields, sort=True), *_NO_ORDER]
    tail, more = list[Arg](), list[str]()
    if schema.expires:  # as the planner leaves out those that are over
        head += ("&", 2)
        tail, more = ["!D", 3], [schema.keys.moments]
    script, ids = query_script("rows", schema.expires), schema.keys.ids

    def call(
        kind: str,
        key: str | bytes,
        *bounds: str,
        proof: Proof | None = None,
        read_from: ReadFrom | None = None,
    ) -> Call:
        keys = (ids, key, *more)
        args = (*head, kind, 2, *bounds, *tail)
        return Call(args, script, keys, proof=proof, read_from=read_from, cursor=_CURSOR)

    return call


def choose_call(plan: Plan, index: Index, fields: Sequence[str], count: int) -> Call:
    """*count* random records of *index*, with *fields* of each; see :data:`SOME_OVER`."""
    dice = [secrets.randbelow(2**31) for _ in range(count if index.kind != "S" else 0)]
    low, high = [*index.args[-2:], "", ""][:2]
    head = Choose(index.kind, low, high, count, records=plan.schema.keys.records, width=len(fields))
    keys = plan.schema.keys
    ends = (keys.moments,) if plan.schema.expires else ()
    return Call((*head, *fields, *dice), small_script("choose"), (index.key or keys.ids, *ends))


SOME_OVER = 0
"""The reply to :func:`choose_call` where some of what was drawn is over."""


Row = tuple[str, Stored]
"""An id, and the id followed by the values of the fields that were asked for."""

ASK_WITHOUT_ORDER = b"?"
"""The cursor of a reply that says: to walk this order is too dear, sort it yourself."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step found; an empty cursor says that there is no more, ``offset`` what is still to skip."""

    cursor: bytes = field(repr=False)
    offset: int
    found: Reply = field(repr=False)


@reader
def read_step(reply: Reply) -> Step:
    cursor, offset, found = reply
    if type(cursor) is not bytes or type(offset) is not int:
        raise TypeError
    return Step(cursor, offset, found)


@reader
def whole_page(reply: Reply) -> Sequence[bytes | None] | None:
    """What SORT_RO has answered, if a step is no more than that and there is no other."""
    cursor, _, found = reply
    if cursor or (found and not isinstance(found[0], list)):
        return None
    return found[0] if found else []


@reader
def shows_values(reply: Reply, width: int) -> bool:
    """Whether a step found rows, of which one at least has a value in its *width* fields."""
    return any(value for _, row in read_rows(read_step(reply).found, width) for value in row[1:])


@reader
def is_sorted(reply: Reply) -> bool:
    """Whether a step found rows by SORT_RO."""
    found = read_step(reply).found
    return bool(found) and isinstance(found[0], list)


@reader
def read_rows(reply: Sequence[Any], width: int) -> list[Row]:
    """The rows in a reply: ids, each followed by a list of its *width* values, or replies of SORT_RO."""
    if not reply:
        return []
    if isinstance(reply[0], list):
        return [row for part in reply for row in read_flat(part, width)]
    if not width:
        return [(id, (raw,)) for id, raw in zip(_texts(reply), reply, strict=True)]
    names = reply[::2]
    rows = [(raw, *values) for raw, values in zip(names, reply[1::2], strict=True)]
    return list(zip(_texts(names), rows, strict=True))


@reader
def read_flat(reply: Sequence[Any], width: int) -> list[Row]:
    """The rows in a flat reply of ids, each followed by its *width* values."""
    return named(cut(reply, width))


@reader
def cut(reply: Sequence[Any], width: int) -> list[Stored]:
    """The same without ids as text."""
    # As many at once from one iterator: no slice for each row.
    return list(zip(*[iter(reply)] * (width + 1), strict=True))


@reader
def named(rows: Sequence[Stored]) -> list[Row]:
    """Rows that begin with the id, each with that as text."""
    ids: list[Any] = [row[0] for row in rows]
    return list(zip(_texts(ids), rows, strict=True))


def _texts(ids: Sequence[bytes]) -> list[str]:
    try:
        return [id.decode() for id in ids]
    except UnicodeDecodeError:  # somebody else's
        return [id_text(id) for id in ids]


def place_after(walk: Walk, schema: Schema, raw: bytes | None, id: str) -> bytes:
    """The cursor behind a row, given what it is ordered by. ValueError where *raw* has no score."""
    name = id.encode("utf-8", "surrogateescape")
    if walk.kind == "id":
        return b"i" + name
    if raw is None:
        return b"n" + name
    if walk.kind == "text":
        return b"t" + sortable(raw) + b"\0" + name
    score = schema.asked[walk.field].score
    assert score is not None
    return b"z" + score(raw).encode() + b":" + name


# -- partitions ------------------------------------------------------------------------------------


def plan_at(plan: Plan, schema: Schema) -> Plan:
    """The same plan for another partition of the class, whose keys differ in what they start with."""
    move = _mover(plan.schema.keys.base, schema.keys.base)
    walk, first = (one and _moved_walk(one, move) for one in (plan.walk, plan.first_walk))
    tree = _moved(plan.tree, move)
    return Plan(schema, plan.condition, plan.order, tree, walk, plan.exact, first)


_Mover: TypeAlias = "Callable[[str | bytes], str | bytes]"


def _mover(old: str, new: str) -> _Mover:
    """What makes of a key that starts with *old* one that starts with *new*; none stays none."""
    length, raw_length, raw = len(old), len(old.encode()), new.encode()

    def move(key: str | bytes) -> str | bytes:
        if isinstance(key, bytes):
            return raw + key[raw_length:]
        return new + key[length:] if key else key

    return move


def _moved(tree: Tree | Index, move: _Mover) -> Tree | Index:  # without replace(), which takes thrice as long
    if isinstance(tree, Index):
        return Index(tree.kind, move(tree.key), tree.args, tree.entry, tree.field, tree.negated)
    parts = tuple(_moved(part, move) for part in tree.parts)
    return Tree(tree.op, parts, tree.field, tree.values, tree.negated)


def _moved_walk(walk: Walk, move: _Mover) -> Walk:
    return replace(walk, key=move(walk.key), none=move(walk.none), implies=move(walk.implies))
