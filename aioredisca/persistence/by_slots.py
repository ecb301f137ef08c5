"""Writing records of several slots: a call for each slot, atomic by itself.

Slots are written one after the other, in the order in which their records were given; the partitions of one
class together, in one round trip.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from aioredisca.compiler.writes import Outcome
from aioredisca.errors import OutcomeUnknown, RediscaError
from aioredisca.persistence import executor, pending
from aioredisca.persistence.executor import NotSent, Prepared
from aioredisca.persistence.pending import Begun
from aioredisca.types import Store


def is_apart(store: Store, begun: Begun) -> bool:
    """Whether one call may not write all of *begun*."""
    if not store.clustered and not any(change.schema.part for _, change in begun):
        return False
    return len({change.schema.keys.slot for _, change in begun}) > 1


async def write(store: Store, begun: Begun, slots: Sequence[str]) -> list[Outcome]:
    """Send begun changes of several *slots*: a call for each, in this order.

    Nothing is sent before all is prepared. Where a call fails, those behind it are not sent, what was not
    written is back in the records, and the error names that and what was written.
    """
    parts: dict[str, list[Any]] = {slot: [] for slot in slots}
    for pair in begun:
        parts[pair[1].schema.keys.slot].append(pair)
    left = _prepare_all([*parts.values()])
    written, outcomes = list[Prepared](), list[Outcome]()
    for wave in _waves(left):
        left = left[len(wave) :]
        try:
            results = await executor.carry_out_together(store, wave)
        except BaseException as error:
            _put_back_all(left)
            _tell(error, written, wave, left)
            raise
        failed = list[tuple[Prepared, RediscaError]]()
        for prepared, result in zip(wave, results, strict=True):
            if isinstance(result, RediscaError):
                failed.append((prepared, result))
            else:
                written.append(prepared)
                outcomes += result
        if failed:
            _put_back_all(left)
            first = failed[0][1]
            _tell(first, written, [prepared for prepared, _ in failed], left)
            raise first
    return outcomes


def _waves(several: Sequence[Prepared]) -> Iterator[list[Prepared]]:
    """Those that may go together: partitions of one class."""
    for _, wave in groupby(several, key=lambda one: one.begun[0][1].schema.part or id(one)):
        yield list(wave)


def _prepare_all(parts: Sequence[Begun]) -> list[Prepared]:
    """Make the call of each part; where one fails, the changes of all are pending again."""
    prepared = list[Prepared]()
    for place, part in enumerate(parts):
        try:
            prepared.append(executor.prepare(part))
        except BaseException:
            for other in (*parts[:place], *parts[place + 1 :]):
                pending.put_back_all(other, NotSent())
            raise
    return prepared


def _put_back_all(several: Sequence[Prepared]) -> None:
    for prepared in several:
        pending.put_back_all(prepared.begun, NotSent())


def _tell(
    error: BaseException, written: Sequence[Prepared], failed: Sequence[Prepared], left: Sequence[Prepared]
) -> None:
    """Let *error* say what was written and what was not; of what *failed* nobody may know."""
    if isinstance(error, RediscaError):
        known = left if isinstance(error, OutcomeUnknown) else [*failed, *left]
        error.written, error.unwritten = _names(written), _names(known)


def _names(several: Sequence[Prepared]) -> tuple[tuple[str, str], ...]:
    begun = (pair for prepared in several for pair in prepared.begun)
    return tuple((record.__mapper__.name, change.id) for record, change in begun)
