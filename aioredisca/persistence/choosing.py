"""Sending changes of records that only the server finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from aioredisca.compiler.changes import Change
from aioredisca.compiler.taking.calls import CHANGED, Taken, TakeRefused, take_outcome
from aioredisca.compiler.writes import Refusal
from aioredisca.errors import RediscaError
from aioredisca.persistence import executor, foreign
from aioredisca.types import Call, Changed, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

LOOK_AT_THEM = "look at the records that are as this change makes them: which it chose, nobody can say"
"""The cure where nobody knows what came of a change that chooses its records."""


async def take(store: Store, change: Change, call: Call, width: int, named: Callable[[str], Record]) -> Taken:
    """Send *call*, which makes *change* to records that it chooses, and reads *width* fields. One round trip.

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
