"""The call that chooses records and changes them at once, and what its reply means. Pure: ``lua/take/``."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from aioredisca.compiler.changes import BATCH, Change
from aioredisca.compiler.planner import Plan
from aioredisca.compiler.positions import Take
from aioredisca.compiler.queries import Row, query_call, read_rows, read_step
from aioredisca.compiler.taking.judged import judged
from aioredisca.compiler.writes import Outcome, Refusal, one_group, write_outcome
from aioredisca.storage.keys import id_text
from aioredisca.storage.replies import strange, write_reader
from aioredisca.types import Arg, Call, Proof, Reply

MOST_TAKEN = BATCH
"""Records that one call chooses and changes: no more than any other call of many writes."""


def take_call(
    plan: Plan,
    fields: Sequence[str],
    change: Change,
    proof: Proof,
    *,
    limit: int,
    cursor: bytes,
    left_out: Collection[str],
) -> Call:
    """One script call that makes *change* to each of the first *limit* records of *plan* behind *cursor*.

    *limit* is at most MOST_TAKEN, and none of the ids *left_out* is chosen. Any id of *change* will do.
    """
    query = query_call(plan, "rows", fields, walk=plan.walk, limit=limit, cursor=cursor)
    written = one_group(change, MOST_TAKEN)
    condition = judged(plan.condition, left_out)
    head = Take(
        word=proof.ver,
        records=plan.schema.keys.records,
        query=len(query.args),
        query_keys=len(query.keys),
        judged=len(condition),
        fixed=len(written.fixed),
    )
    arguments: list[Arg] = [*head, *query.args, *condition, *written.arguments]
    keys = (proof.meta, *query.keys, *written.fixed, *written.parents)
    return Call((*arguments,), written.script, keys, writes=True, reaches=written.reaches)


@dataclass(frozen=True, slots=True)
class Taken:
    """What one call has done: the records it chose, as they were before, what became of each, and where the
    next call goes on (nothing: there are no more)."""

    cursor: bytes = field(repr=False)
    rows: list[Row] = field(repr=False)
    outcomes: list[Outcome]


@dataclass(frozen=True, slots=True)
class TakeRefused:
    """Why nothing was changed, and for which record."""

    id: str
    refusal: Refusal


CHANGED = "CHANGED"
"""The code where the store is not what the client believes it to be."""


@write_reader
def take_outcome(width: int, reply: Reply) -> Taken | TakeRefused | Refusal:
    """What came of it; *width* is how many fields of each record were asked for."""
    match reply:
        case [b"CHANGED"]:
            return TakeRefused("", Refusal(CHANGED, 0, ()))
        case [b"REFUSED", id, why]:
            refusal = write_outcome(why)
            if not isinstance(refusal, Refusal):
                raise strange(writes=True)
            return refusal if refusal.code == "SCHEMA" else TakeRefused(id_text(id), refusal)
        case [b"OK", found, written]:
            step, outcomes = read_step(found), write_outcome(written)
            rows = read_rows(step.found, width)
            if isinstance(outcomes, Refusal) or len(outcomes) != len(rows):
                raise strange(writes=True)
            return Taken(step.cursor, rows, outcomes)
        case _:
            raise strange(writes=True)
