"""The commonest query, straight: all records of a class with one value, or with a number in one range.

What such queries of one field share is prepared once. They ask the server what a scan (scan.py) would ask,
and whatever comes back but one whole page is left to that. A value that few records held when it was last
looked up, a moment ago, is asked for without a script, which is there to keep SORT_RO from large sets. A scan
takes twice the CPU of client and server for 3 records, 1.4 and 1.6 times for 500 (benchmarks/fast_paths.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from aioredisca.compiler.conditions import Between, Equals
from aioredisca.compiler.planner import score_bounds
from aioredisca.compiler.queries import (
    PAGE,
    Row,
    cut,
    is_sorted,
    named,
    shows_values,
    whole_index_call,
    whole_page,
)
from aioredisca.errors import StoreError, Unavailable
from aioredisca.persistence import readiness
from aioredisca.query.scan import Scan
from aioredisca.storage.replies import LIST, MISREAD, check_values, of_kind
from aioredisca.storage.resp import layout
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Changed, Proof, ReadFrom, Reply, Store, Stored

if TYPE_CHECKING:
    from aioredisca.model.record import Record
    from aioredisca.query.spec import QuerySpec

R = TypeVar("R", bound="Record")

MAX_SMALL = 10_000
"""How many values a process remembers to be held by few records."""

FRESH = 10.0
"""Seconds for which that is believed: SORT_RO reads a set as a whole, whatever has become of it meanwhile."""

_raw_id = itemgetter(0)


async def records(spec: QuerySpec[R]) -> list[R] | Scan[R] | None:
    """What a simple *spec* finds, or a scan of it that has begun. None where it is not simple.

    EVALSHA or SORT_RO, one round trip; two for a value that few records held a moment ago, if more than a
    page of them do now.
    """
    condition, mapper = spec.condition, spec.mapper
    if not isinstance(condition, Equals | Between):
        return None
    if spec.order or spec.limit is not None or spec.offset or spec.children or spec.only:
        return None
    store = mapper.store()
    schema = mapper.schema(store)
    if schema.parts:
        return None
    lookup = _lookup_of(schema, condition)
    if lookup is None or not store.facts.may_sort or not (proof := readiness.complete(store, schema)):
        return None
    try:
        reply = await lookup.ask(store, condition, proof, spec.read_from)
    except Unavailable:
        raise
    except Changed:  # a scan looks again
        readiness.distrust(store, schema, proof)
        return None
    except StoreError:  # SORT_RO is refused, perhaps: a scan knows what to do
        return None
    if not store.facts.sort_proven:
        if is_sorted(reply) and not shows_values(reply, len(lookup.places)):
            return None  # a scan finds out whether there is none, or SORT_RO does not read them
        store.facts.sort_proven = is_sorted(reply)
    page = whole_page(reply)
    if page is None:
        scan = Scan(spec, spec.model)
        scan.begin(reply, proof)
        return scan
    return mapper.hydrate_many(lookup.places, lookup.matches(store, page, condition))


class Lookup:
    """What all look-ups of one field share.

    ``places``  where the declared fields stand in a row, whose first value is the id.
    """

    def __init__(self, schema: Schema, key: str) -> None:
        fields = tuple(schema.by_key)
        self.places = {name: place for place, name in enumerate(fields, 1)}
        self._at, self._keys = self.places[key], schema.keys  # without the schema, for which this is kept
        self._call = whole_index_call(schema, fields)
        gets = [part for name in fields for part in ("GET", f"{schema.records}*->{name}")]
        self._scripted = schema.expires  # only that tells who is over and not yet taken away
        limit = ("LIMIT", "0", str(PAGE + 1))
        self._command = layout(("SORT_RO", None, "BY", "nosort", *limit, "GET", "#", *gets))

    async def ask(
        self, store: Store, condition: Equals | Between, proof: Proof, read_from: ReadFrom | None
    ) -> Reply:
        """The first step of a scan for *condition*."""
        if isinstance(condition, Between):
            range_key = self._keys.range(condition.key)
            call = self._call("Z", range_key, *score_bounds(condition), proof=proof, read_from=read_from)
            return await store.transport().send(call)
        key, few, now = self._keys.exact(condition.key, condition.value), _small_values(store), monotonic()
        if few.get(key, 0.0) > now and store.facts.sort_alone and not self._scripted:
            try:
                call = Call((), packed=self._command % (len(key), key), proof=proof)
                flat = of_kind(await store.transport().send(call), LIST, call)
            except StoreError:  # perhaps it is refused as a command of its own
                store.facts.sort_alone = False
                raise
            if len(flat) <= PAGE * (1 + len(self.places)):
                few[key] = now + FRESH
                return (b"", 0, [flat])
            few.pop(key, None)
        reply = await store.transport().send(self._call("S", key, proof=proof, read_from=read_from))
        if whole_page(reply) is not None:
            few[key] = now + FRESH
        return reply

    def matches(self, store: Store, page: Sequence[bytes | None], condition: Equals | Between) -> list[Row]:
        """The rows of a flat reply that meet *condition*, in order, each with its id."""
        rows = cut(page, len(self.places))
        try:
            held = self._held(rows, condition)
        except MISREAD:
            for row in rows:
                check_values(row)
            raise
        if len(held) < len(rows):
            store.facts.count_stale(self._keys.base, len(rows) - len(held))
        return named(held)

    def _held(self, rows: list[Stored], condition: Equals | Between) -> list[Stored]:
        at = self._at
        if isinstance(condition, Equals):
            value = condition.value
            held = [row for row in rows if row[at] == value]
            held.sort(key=_raw_id)
            return held
        admits = condition.admits
        return [row for row in rows if admits(row[at])]


def _lookup_of(schema: Schema, condition: Equals | Between) -> Lookup | None:
    """What is prepared for *condition*; None where its field has no index of this kind."""
    kind = "exact" if isinstance(condition, Equals) else "range"
    known = schema.compiled.lookups
    found = known.get((kind, condition.key))
    if (
        found is None
        and (spec := schema.by_key.get(condition.key))
        and spec.index == kind
        and not spec.unique
    ):
        found = known[kind, condition.key] = Lookup(schema, condition.key)
    return found


def _small_values(store: Store) -> dict[bytes, float]:
    """The keys of the values that few records held, and how long that is believed."""
    few = store.facts.small_values
    if len(few) > MAX_SMALL:
        few.clear()
    return few
