"""Carries out a QuerySpec: its rows in order, and counts. Colourless."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aioredisca.compiler.conditions import divided
from aioredisca.compiler.planner import Plan, Walk
from aioredisca.compiler.queries import (
    place_after,
    query_call,
    read_step,
)
from aioredisca.config import conf
from aioredisca.errors import MultipleFound, NotFound, TooManyRows
from aioredisca.persistence import readiness
from aioredisca.query import lookup, prefetch
from aioredisca.query.scan import Found, Scan, anew, together
from aioredisca.query.spec import QuerySpec
from aioredisca.storage.facts import MAX_ARGUMENTS
from aioredisca.storage.replies import strange
from aioredisca.types import Call, Changed, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")

ARGUMENTS_OF_VALUE = 4
"""Arguments that a call has for each value of a list; half of all are left to the rest of the query."""

MANY_SCANS = 16
"""From so many on each is first asked for its share of a limit: most rows of the whole would be cut away."""


async def scans_of(spec: QuerySpec[R], fields: Sequence[str] | None) -> list[Scan[R]]:
    """A scan per class and partition, each checked to have its indexes, before the first row is read.

    More per class where its list of values is longer than one call holds, see :func:`parts_of`.
    """
    scans: list[Scan[R]] = []
    for model in _classes(spec):
        mapper = model.__mapper__
        store = mapper.store()
        schema = mapper.schema(store)
        if schema.parts:
            await readiness.ready_in_all(store, schema.parts)
        for part in parts_of(spec, store):
            first = Scan(part, model, fields, (store, schema.all_parts[0]))
            scans.append(first)
            scans += map(first.at, schema.parts[1:])
    for scan in scans:
        await scan.ready()
    return scans


def parts_of(spec: QuerySpec[R], store: Store) -> list[QuerySpec[R]]:
    """*spec*, in parts where a list of its values is longer than what the database takes in one call."""
    most = store.facts.max_arguments
    if most == MAX_ARGUMENTS:  # as nearly always: more than any query has
        return [spec]
    parts = divided(spec.condition, most // (2 * ARGUMENTS_OF_VALUE))
    return [replace(spec, condition=part) for part in parts]


def _classes(spec: QuerySpec[R]) -> list[type[R]]:
    if not spec.children:
        return [spec.model]
    return [spec.model, *sorted(spec.model.inheritors(), key=lambda model: model.__qualname__)]


# -- order -----------------------------------------------------------------------------------------


_id_of = itemgetter(0)


def sort_rows(rows: list[Found[R]]) -> None:
    """Sort by the order of the plan: None last, ties by id in the direction of the last field."""
    order = rows[0][2].plan.order if rows else ()
    rows.sort(key=_id_of, reverse=bool(order) and order[-1].descending)
    for one in reversed(order):
        ranked = [(rank(row, one.key), row) for row in rows]
        held = [pair for pair in ranked if pair[0] is not None]
        held.sort(key=_id_of, reverse=one.descending)
        rows[:] = [row for _, row in held] + [row for place, row in ranked if place is None]


def rank(row: Found[Any], key: str) -> Any:
    """What orders a row by a hash field, or None."""
    _, values, scan = row
    return scan.rank(values, key)


def is_behind(row: Found[R], other: Found[R]) -> bool:
    """Whether *row* comes after *other* in the order of the plan."""
    order = row[2].plan.order
    for one in order:
        mine, theirs = rank(row, one.key), rank(other, one.key)
        if mine is None or theirs is None:
            if mine is not theirs:
                return mine is None
        elif mine != theirs:
            return bool(mine > theirs) is not one.descending
    descending = bool(order) and order[-1].descending
    return row[0] < other[0] if descending else row[0] > other[0]


# -- rows ------------------------------------------------------------------------------------------


class OrderedRows(Generic[R]):
    """The rows of one scan as they come in, until there are enough of them.

    Three ways: the server keeps the whole order, the order by the first of several fields, or none.
    """

    def __init__(self, scan: Scan[R], need: int | None, after: Found[R] | None) -> None:
        self.scan, self.need, self.after = scan, need, after
        self.rows: list[Found[R]] = []
        self._asked: int | None = None
        """How many rows were asked for, if that is less than may be needed."""
        self.served = False
        """Whether the server passes over and limits, so that nothing is left to cut."""

    def choose_order(self, offset: int, limit: int, scans: int) -> None:
        """Let the server keep the order, if an index knows it; *scans*: how many there are of the query."""
        plan, scan = self.scan.plan, self.scan
        walk = plan.walk or plan.first_walk
        if walk is None:
            return
        whole = plan.walk is not None
        self.served = scans == 1 and whole and plan.exact
        want = limit if self.served else _share(offset + limit, scans)
        cursor = b"" if self.after is None else _place(scan, walk, self.after, exact=whole)
        scan.in_order(walk, want=want if whole else None, offset=offset if self.served else 0, cursor=cursor)
        self._asked = want if whole and want < offset + limit else None

    def goes_on_before(self, last: Found[R] | None) -> bool:
        """Whether rows may come that stand before *last* (None: any): then the next step asks for them."""
        walk = self.scan.plan.walk
        if walk is None or self.need is None or self._asked is None or len(self.rows) < self._asked:
            return False
        if last is not None and not is_behind(last, self.rows[-1]):
            return False
        place = _place(self.scan, walk, self.rows[-1], exact=True)
        self.scan.go_on(walk, want=self.need - len(self.rows), cursor=place)
        self._asked = None
        return True

    def take(self) -> None:
        """Add what the scan has just read, and end it where that is enough."""
        if self.scan.gave_up:
            self.served, self.rows, self._asked = False, [], None  # all come now, in no order
        after = self.after
        self.rows += self.scan.rows if after is None else [r for r in self.scan.rows if is_behind(r, after)]
        self.scan.rows = []
        if self.need is not None and len(self.rows) > self.need:
            self._end_or_trim(self.need)

    def _end_or_trim(self, need: int) -> None:
        if not self.scan.ordered:
            if len(self.rows) > 4 * need + 1000:  # keep the best, not all that there is
                sort_rows(self.rows)
                del self.rows[need:]
        elif need and self.scan.plan.walk is None:
            key = self.scan.plan.order[0].key
            self.scan.done = self.scan.done or rank(self.rows[-1], key) != rank(self.rows[need - 1], key)


def _share(need: int, scans: int) -> int:
    """How many of the *need* first rows one of many scans hardly has more of: the mean, and some more."""
    if scans < MANY_SCANS:
        return need
    mean = need / scans
    return min(need, math.ceil(mean + 2 * math.sqrt(mean)) + 3)


def _place(scan: Scan[Any], walk: Walk, after: Found[Any], *, exact: bool) -> bytes:
    """Where to go on: behind the row itself, or before all that are like it in the first field."""
    id, values, of = after
    raw = of.value(values, walk.field) if walk.field else None
    before_all = "\udcff" if walk.descending else ""  # the byte 255, which comes after every id
    return place_after(walk, scan.schema, raw, id if exact else before_all)


@anew
async def rows(
    spec: QuerySpec[R],
    fields: Sequence[str] | None = None,
    *,
    after: Found[R] | None = None,
    bounded: bool = True,
) -> list[Found[R]]:
    """All rows of a spec, merged over its classes, in order; those behind *after* if that is given.

    *fields* are the hash fields to read; None reads what the spec loads. TooManyRows beyond
    ``conf.max_rows``, unless there is a limit or it is not *bounded*.
    """
    scans = await scans_of(spec, spec.loads if fields is None else fields)
    return await _rows_of(spec, scans, after, bounded)


async def _rest(spec: QuerySpec[R], begun: Scan[R], bounded: bool) -> list[Found[R]]:
    """The same of a spec whose only scan has made its first step."""
    try:
        return await _rows_of(spec, [begun], None, bounded)
    except Changed:
        return await rows(spec, bounded=bounded)


async def _rows_of(
    spec: QuerySpec[R], scans: Sequence[Scan[R]], after: Found[R] | None, bounded: bool
) -> list[Found[R]]:
    need = None if spec.limit is None else spec.offset + spec.limit
    parts = [OrderedRows(scan, need, after) for scan in scans]
    if spec.limit is not None:
        for part in parts:
            part.choose_order(spec.offset, spec.limit, len(scans))
    await _read(parts, spec.model.__name__, conf.max_rows if bounded and need is None else None)
    if need and len(parts) >= MANY_SCANS:
        await _read_more(parts, need)
    return _merged(spec, parts, need)


async def _read(parts: list[OrderedRows[R]], model: str, most: int | None) -> None:
    while True:
        for part in parts:
            part.take()
        if most is not None and sum(len(part.rows) for part in parts) > most:
            raise TooManyRows(model, most)
        if all(part.scan.done for part in parts):
            return
        await Scan.advance_all([part.scan for part in parts])


async def _read_more(parts: list[OrderedRows[R]], need: int) -> None:
    """Ask those again whose share of the *need* first rows was more than they were asked for."""
    found = [row for part in parts for row in part.rows]
    sort_rows(found)
    last = found[need - 1] if len(found) >= need else None
    if [part for part in parts if part.goes_on_before(last)]:
        await Scan.advance_all([part.scan for part in parts])
        await _read(parts, "", None)


def _merged(spec: QuerySpec[R], parts: list[OrderedRows[R]], need: int | None) -> list[Found[R]]:
    if len(parts) == 1 and parts[0].served:
        return parts[0].rows
    found = [row for part in parts for row in part.rows]
    if len(parts) > 1 or not parts[0].scan.sorted:
        sort_rows(found)
    return found[spec.offset : need]


async def records(spec: QuerySpec[R], *, bounded: bool = True) -> list[R]:
    """Every match as a record, in order, with the references that were asked for."""
    found = await lookup.records(spec)
    if found is None:
        found = made(await rows(spec, bounded=bounded))
    elif not isinstance(found, list):
        found = made(await _rest(spec, found, bounded))
    elif bounded and conf.max_rows is not None and len(found) > conf.max_rows:
        raise TooManyRows(spec.model.__name__, conf.max_rows)
    await prefetch.load(spec, found)
    return found


def made(rows: Sequence[Found[R]]) -> list[R]:
    """Rows as records."""
    of = dict[Scan[R], "list[Found[R]]"]()
    for row in rows:
        of.setdefault(row[2], []).append(row)
    if len(of) == 1:
        return rows[0][2].records(rows)
    records = {scan: iter(scan.records(own)) for scan, own in of.items()}
    return [next(records[scan]) for _, _, scan in rows]


# -- one or none -------------------------------------------------------------------------------------------


async def first(spec: QuerySpec[R]) -> R | None:
    """The first match, or None."""
    found = await records(spec.least(1))
    return found[0] if found else None


async def one(spec: QuerySpec[R]) -> R:
    """The only match. NotFound without one, MultipleFound with several."""
    found = await one_or_none(spec)
    if found is None:
        raise NotFound(spec.model.__name__)
    return found


async def one_or_none(spec: QuerySpec[R]) -> R | None:
    """The only match, or None. MultipleFound with several."""
    found = await records(spec.least(2))
    if len(found) > 1:
        raise MultipleFound(spec.model.__name__)
    return found[0] if found else None


async def ids(spec: QuerySpec[R]) -> list[str]:
    """The ids of the matches, in order."""
    return [id for id, _, _ in await rows(spec, ())]


async def exists(spec: QuerySpec[R]) -> bool:
    """Whether anything matches."""
    return bool(await rows(spec.least(1), ()))


# -- counting --------------------------------------------------------------------------------------


@anew
async def count(spec: QuerySpec[R]) -> int:
    """How many match, by the indexes alone where these answer all of the condition."""
    scans = await scans_of(spec, ())
    if any(not scan.plan.exact for scan in scans):
        return len(await rows(spec, (), bounded=False))
    total = max(0, sum(await counts(scans)) - spec.offset)
    return total if spec.limit is None else min(total, spec.limit)


async def counts(scans: Sequence[Scan[Any]]) -> list[int]:
    """How many each of *scans* finds, whose indexes answer all of the condition. One round trip, more for
    conditions of many candidates."""
    replies = await together(scans, lambda scan: _count_call(scan.plan))
    return [
        reply if isinstance(reply, int) else await _count_on(scan, reply)
        for scan, reply in zip(scans, replies, strict=True)
    ]


async def _count_on(scan: Scan[Any], reply: Any) -> int:
    """Go on from the first step of a count to its end."""
    step = read_step(reply)
    total = _number(step.found)
    while step.cursor:
        (reply,) = await together([scan], partial(_count_from, step.cursor))
        step = read_step(reply)
        total += _number(step.found)
    return total


def _count_from(cursor: bytes, scan: Scan[Any]) -> Call:
    return query_call(scan.plan, "count", cursor=cursor)


def _number(found: Any) -> int:
    if not isinstance(found, int):
        raise strange()
    return found


def _count_call(plan: Plan) -> Call:
    """One plain command where that tells, else a step of the script."""
    index = plan.single
    if index is None or index.kind == "H":
        return query_call(plan, "count")
    if index.kind == "S":
        return Call(("SCARD", index.key))
    if index.kind == "Z":
        return Call(("ZCOUNT", index.key, *index.args))
    if index.kind == "L":
        return Call(("ZLEXCOUNT", index.key, *index.args[1:]))
    return Call(("ZCARD", plan.schema.keys.ids))
