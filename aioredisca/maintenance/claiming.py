"""Claiming for all records what is unique over the partitions of their class, where it was not so before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aioredisca.compiler.changes import BATCH, Change
from aioredisca.compiler.writes import Refusal, write_call, write_outcome
from aioredisca.errors import RediscaError, UniqueViolation
from aioredisca.maintenance.checking.claims import lacking
from aioredisca.maintenance.checking.places import Layout
from aioredisca.maintenance.checking.records import rewrite, states_of
from aioredisca.persistence import asking
from aioredisca.persistence.claims import send_all
from aioredisca.storage.keys import id_text
from aioredisca.storage.replies import LIST, check_values
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Store


async def claim_all(
    store: Store, mapper: Any, schema: Schema, between: Callable[[], Awaitable[None]]
) -> list[tuple[str, RediscaError]]:
    """Let all records of a partition claim what they hold; those that cannot, for another one holds it.

    What is claimed already is not written. Three round trips per 100 records, more for those that lack any.
    """
    layout, last = Layout(mapper, schema, frozenset()), b""
    refused = list[tuple[str, RediscaError]]()
    while True:
        after = b"(" + last if last else b"-"
        call = Call(("ZRANGEBYLEX", schema.keys.ids, after, "+", "LIMIT", 0, BATCH))
        ids: list[bytes] = await asking.read(store, call, LIST)
        check_values(ids)
        if not ids:
            return refused
        last = ids[-1]
        await between()
        refused += await _claim(store, layout, [id_text(id) for id in ids])


async def _claim(store: Store, layout: Layout, ids: Sequence[str]) -> list[tuple[str, RediscaError]]:
    states = [state for state in await states_of(store, layout.schema, ids) if state.kind == b"hash"]
    lack = {fault.finding.id for fault in await lacking(store, layout, states)}
    found = (rewrite(layout, state, {}) for state in states if state.id in lack)
    changes: list[Change] = [change for change in found if change is not None]
    if not changes:
        return []
    begun = [[(layout.mapper.detached(change.id), change)] for change in changes]
    calls = [write_call([change]) for change in changes]
    replies = await send_all(store, [*zip(begun, calls, strict=True)])
    refused = list[tuple[str, RediscaError]]()
    for change, reply in zip(changes, asking.unrefused(replies), strict=True):
        outcome = write_outcome(reply)
        if isinstance(outcome, Refusal) and outcome.code == "UNIQUE":  # else it was changed
            holder, *keys = outcome.details
            names = ", ".join(map(layout.mapper.attribute, keys))
            refused.append((change.id, UniqueViolation(layout.schema.model, names, holder)))
    return refused
