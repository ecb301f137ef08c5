"""Random matches of a query."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from aioredisca.compiler.queries import SOME_OVER, choose_call, read_flat
from aioredisca.errors import UsageError
from aioredisca.query import execution, prefetch
from aioredisca.query.scan import Scan, anew, together
from aioredisca.query.spec import QuerySpec
from aioredisca.types import Call

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")

MAX_CHOICE = 1000
"""Records that one call draws at random: they come in one step of the server."""


@anew
async def choice(spec: QuerySpec[R], wanted: int) -> list[R]:
    """*wanted* random matches, each once, in random order; all of them where there are no more.

    One round trip where one index answers the condition, unless some of what it draws is over; two for
    several classes or partitions. Else all ids that match are read first.
    """
    if wanted > MAX_CHOICE:
        raise UsageError(f"at most {MAX_CHOICE:,} records are drawn at random, not {wanted:,}")
    if not wanted:
        return []
    if not spec.whole:
        raise UsageError("a random sample is drawn of all that matches: leave limit, offset and slices away")
    scans = await execution.scans_of(spec, spec.loads)
    found = await _drawn(scans, wanted) if all(scan.plan.drawn for scan in scans) else None
    if found is None:
        found = await _sampled(spec, wanted)
    await prefetch.load(spec, found)
    return found


async def _drawn(scans: list[Scan[R]], wanted: int) -> list[R] | None:
    """None where some of them are over."""
    shares = {scans[0]: wanted}
    if len(scans) > 1:
        shares = _shares(scans, await execution.counts(scans), wanted)

    def call_of(scan: Scan[Any]) -> Call:
        assert scan.plan.drawn is not None
        return choose_call(scan.plan, scan.plan.drawn, scan.fields, shares[scan])

    asked = [*shares]
    replies = await together(asked, call_of)
    if SOME_OVER in replies:
        return None
    found = list[R]()
    for scan, reply in zip(asked, replies, strict=True):
        found += scan.records(scan.judged(read_flat(reply, len(scan.fields))))
    return random.sample(found, min(wanted, len(found)))


def _shares(scans: Sequence[Scan[R]], sizes: Sequence[int], wanted: int) -> dict[Scan[R], int]:
    """How many of the *wanted* each scan is to draw, as if they were drawn of all that there are."""
    there = sum(sizes)
    return Counter(random.sample(scans, min(wanted, there), counts=sizes)) if there else {}


async def _sampled(spec: QuerySpec[R], wanted: int) -> list[R]:
    """Where some are gone by the time they are read, others take their place."""
    names = await execution.rows(spec, (), bounded=False)
    random.shuffle(names)
    found = list[R]()
    while names and len(found) < wanted:
        by_class = dict[type[R], list[str]]()
        for _ in range(min(wanted - len(found), len(names))):
            id, _, scan = names.pop()
            by_class.setdefault(scan.model, []).append(id)
        for model, some in by_class.items():
            records = await model.__mapper__.found_many(some, spec.read_from)
            found += [one for one in records if one is not None]
    return random.sample(found, len(found))
