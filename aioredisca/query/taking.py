"""Changes that answer with the records which they changed: ``update`` and ``delete`` with ``returning=True``.

Up to 100 records are chosen and changed in one script call (``lua/take/``): no two callers choose the same,
and nobody comes in between. Where one script cannot do it, records are read, then changed if they are still
as they were read; as long as others were faster, more are asked for.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from aioredisca.compiler.changes import Change
from aioredisca.compiler.queries import ASK_WITHOUT_ORDER
from aioredisca.compiler.taking.calls import CHANGED, MOST_TAKEN, Taken, TakeRefused, take_call, take_outcome
from aioredisca.compiler.taking.judged import can_judge
from aioredisca.compiler.writes import Refusal
from aioredisca.errors import RediscaError
from aioredisca.persistence import executor, foreign, readiness
from aioredisca.query import execution, prefetch
from aioredisca.query.mutations import DELETE, Made, Work, begin, change_found, tell, update_work
from aioredisca.query.scan import Scan
from aioredisca.query.spec import QuerySpec
from aioredisca.types import Call, Changed, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")

LOOK_AT_THEM = "look at the records that are as this change makes them: which it chose, nobody can say"
"""The cure where nobody knows what came of a change that chooses its records."""

ANYBODY = "-"
"""The id in a change of records that only the server finds."""


async def update(spec: QuerySpec[R], values: Mapping[str, Any]) -> list[R]:
    """Set fields of every match; the records that were changed, as they are now, in order."""
    return await _take(spec, update_work(spec, values))


async def delete(spec: QuerySpec[R]) -> list[R]:
    """Delete every match; the records that there were, as they were, in order."""
    return await _take(spec, DELETE)


async def _take(spec: QuerySpec[R], work: Work) -> list[R]:
    spec = replace(spec, read_from="primary")
    made = await _at_once(spec, work)
    if made is None or (spec.limit is not None and len(made) < spec.limit and made.ask_again):
        made = await _choose_then_change(spec, work, made or _Takings())
    records = _records(made, work)
    await prefetch.load(spec, records)
    return records


class _Takings(list[Made]):
    """What was changed, and whether more is to be looked for in another way."""

    ask_again = False


# -- chosen and changed by one script ----------------------------------------------------------------------


async def _at_once(spec: QuerySpec[R], work: Work) -> _Takings | None:
    """Choose and change, by one call per partition and 2,000 candidates; None where no script can do it."""
    if spec.limit is None or spec.limit > MOST_TAKEN or spec.offset or spec.children:
        return None
    store = spec.mapper.store()
    schema = spec.mapper.schema(store)
    if schema.claimed or len(execution.parts_of(spec, store)) > 1:
        return None
    await readiness.ready_to_write(store, schema.all_parts[0])
    scans = await execution.scans_of(spec, spec.loads)
    first, change = scans[0], begin(scans[0], ANYBODY, {}, work)[1]
    if first.plan.walk is None or not first.fields or change.referrers or not can_judge(first.plan.condition):
        return None
    taken = _Takings()
    for scan in random.sample(scans, len(scans)):  # so that callers do not all begin with the same partition
        await _take_from(scan, replace(change, schema=scan.schema, skip=True), spec.limit, taken, work)
        if len(taken) >= spec.limit:
            break
    return taken


async def _take_from(scan: Scan[Any], change: Change, limit: int, taken: _Takings, work: Work) -> None:
    """Add to *taken* what one partition has, up to *limit* in all."""
    cursor, waiting, lost = b"", frozenset[str](), 0
    if work.mode != "delete":
        waiting = scan.mapper.waiting()
    while len(taken) < limit:
        before = scan.mapper.pending()
        left_out = {*waiting, *(one.change.id for one in taken if one.scan is scan)}
        try:
            found = await _call(scan, change, limit - len(taken), cursor, left_out)
        except Changed:
            lost += 1
            if lost > readiness.DECLARATIONS:
                raise readiness.restless(scan.schema.model) from None
            await scan.look_again()
            continue
        for (id, row), outcome in zip(found.rows, found.outcomes, strict=True):
            if outcome if work.mode == "delete" else outcome is not None:  # else it has just ended
                one = Made(scan, scan.raw(row), replace(change, id=id))
                if work.mode != "delete":
                    tell(scan.mapper.known(id), one.change, before)
                taken.append(one)
        cursor = found.cursor
        if cursor == ASK_WITHOUT_ORDER:
            taken.ask_again = True
        if cursor in (b"", ASK_WITHOUT_ORDER):
            return


async def _call(
    scan: Scan[Any], change: Change, limit: int, cursor: bytes, left_out: Collection[str]
) -> Taken:
    assert scan.proof is not None
    call = take_call(
        scan.plan, scan.fields, change, scan.proof, limit=limit, cursor=cursor, left_out=left_out
    )
    return await _send(scan.store, change, call, len(scan.fields), scan.mapper.detached)


async def _send(
    store: Store, change: Change, call: Call, width: int, named: Callable[[str], Record]
) -> Taken:
    """Send *call*, which makes *change* to records it chooses, and reads *width* fields. One round trip.

    Changed where the store is not what the call believes. *named* makes the record of an error from its id.
    """
    schemas = [change.schema]
    outcome: Taken | TakeRefused | Refusal
    try:
        with executor.told(LOOK_AT_THEM):
            outcome = await executor.settle(
                store, schemas, lambda: store.transport().send(call), lambda reply: take_outcome(width, reply)
            )
    except RediscaError as error:
        raise await foreign.explained(store, schemas, [change], error) from None
    if isinstance(outcome, Taken):
        return outcome
    if isinstance(outcome, TakeRefused) and outcome.refusal.code == CHANGED:
        raise Changed
    id, refusal = (outcome.id, outcome.refusal) if isinstance(outcome, TakeRefused) else ("", outcome)
    raise executor.error_of(replace(refusal, place=0), [(named(id), replace(change, id=id))])


# -- read, then changed if they are still the same ---------------------------------------------------------


async def _choose_then_change(spec: QuerySpec[R], work: Work, made: _Takings) -> _Takings:
    while True:
        done = {(one.scan.model, one.change.id) for one in made}
        wanted = (
            spec
            if spec.limit is None
            else replace(spec, limit=spec.limit + (0 if spec.offset else len(done)))
        )
        found = await execution.rows(wanted, bounded=False)
        found = [row for row in found if (row[2].model, row[0]) not in done]
        if spec.limit is not None:
            found = found[: spec.limit - len(done)]
        changed = await change_found(found, work)
        places = {(scan.model, id): place for place, (id, _, scan) in enumerate(found)}
        made += sorted(changed, key=lambda one: places[one.scan.model, one.change.id])
        if spec.limit is None or spec.offset or len(changed) == len(found) or len(made) >= spec.limit:
            return made


# -- what is answered --------------------------------------------------------------------------------------


def _records(made: Sequence[Made], work: Work) -> list[Any]:
    records = list[Any]()
    for one in made:
        scan, id = one.scan, one.change.id
        values = {**one.before, **one.change.sets, **dict.fromkeys(one.change.drops)}
        row = (id.encode("utf-8", "surrogateescape"), *(values[name] for name in scan.fields))
        if work.mode == "delete":  # of no session, which would take it for a record that is there
            found = {key: values[key] for key in scan.mapper.by_key if key in values}
            record = scan.mapper.detached(id)
            record.__state__.layers.be_found(found)
            records.append(record)
        else:
            records += scan.records([(id, row, scan)])
    return records
