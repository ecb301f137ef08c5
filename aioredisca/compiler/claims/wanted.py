"""What a write must claim, as far as it is known before it is sent. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from aioredisca.compiler.changes import Change
from aioredisca.storage.keys import joined
from aioredisca.types import Raw


def claims_of(claimed: Mapping[str, tuple[str, ...]], record: Raw) -> dict[str, bytes]:
    """The values that *record*, of which these hash fields are known, claims by its uniques."""
    found = dict[str, bytes]()
    for of, fields in claimed.items():
        values = [record.get(field) for field in fields]
        whole = [value for value in values if value is not None]
        if len(whole) == len(fields):
            found[of] = whole[0] if len(fields) == 1 else joined(whole)
    return found


def wanted_by(change: Change, known: Raw) -> dict[str, bytes]:
    """The values that *change* is to claim, given what is *known* of the record.

    Where too little is known of values that are unique together, or it is out of date, the server tells.
    """
    claimed = {
        of: fields
        for of, fields in change.schema.claimed.items()
        if not change.sets.keys().isdisjoint(fields)
    }
    if not claimed:
        return {}
    dropped = dict.fromkeys(change.drops)
    return claims_of(claimed, {**known, **change.expect, **change.sets, **dropped})
