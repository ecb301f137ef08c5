"""Why the store refuses a version of a class: it would break what others keep, or its records are elsewhere.

Pure: from meta as it was read (storage/meta.py).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from aioredisca.errors import SchemaMismatch
from aioredisca.storage import versions
from aioredisca.storage.meta import ENDED, MARKS, READY, STAMPS, WRITES, Meta
from aioredisca.storage.schema import EXPIRY_ENTRY, Schema

WRITERS = (WRITES, STAMPS, MARKS)
"""The permits of versions that may write."""

ENDS_DIFFER = (
    "its records end and those of another version that writes do not, or the other way round, so that one "
    "would break what the other keeps: `aioredisca reindex` from the new code, once no process of the other "
    "is left"
)
"""Why conf(ttl=) cannot come or go while others write."""

MOVING = (
    "the records move to another prefix, or have: deploy the class that reads them there, once "
    "`aioredisca migrate status` says that this is done"
)
"""Why nobody writes where records move, and nobody takes over there."""

NOT_SPREAD = (
    "its records stand in one place, and the class says that they are in partitions: move them by "
    "`aioredisca partition`, or deploy the class without partitions= until then"
)


def in_partitions(count: int) -> str:
    """What a class wants whose records are in so many partitions."""
    if count == 1:
        return "its records are kept in one place: deploy the class without partitions="
    return f"its records are kept in {count} partitions: deploy the class with @conf(partitions={count})"


def elsewhere(states: Mapping[str, str]) -> str:
    """Why nobody may write here: the records move, or have; empty where they stay."""
    if count := versions.under_way(states):
        return (
            f"its records move into {_places(count)}, and only who wrote them before writes them meanwhile, "
            "but for the last moments: `aioredisca partition` says when that is done, and goes on where it "
            "was cut short"
        )
    if versions.filled(states):
        return "its records move to here, and are not all here yet: `aioredisca partition` goes on with it"
    if count := versions.partitions(states):
        return in_partitions(count)
    return MOVING if versions.barred(states) else ""


def misplaced(meta: Meta, count: int) -> str:
    """Why a class with so many partitions, 1 for none, is not where its records are; empty where it is."""
    kept = versions.partitions(meta.states)
    if versions.under_way(meta.states):
        return elsewhere(meta.states)
    if (kept or 1) == count:
        return ""
    if kept:
        return in_partitions(kept)
    return NOT_SPREAD if meta.known else ""


def _places(count: int) -> str:
    return "one place" if count == 1 else f"{count} partitions"


def refusal(schema: Schema, meta: Meta, *, empty: bool) -> SchemaMismatch | None:
    """Why the store lets this version not write, if it does not. *empty*: there is no record."""
    permit = meta.permits.get(schema.version)
    if permit in WRITERS:
        return None
    if permit == ENDED:
        return ended(schema)
    if lacked := versions.lacked(meta, schema):
        return SchemaMismatch(schema.model, sorted(lacked), _lacking(lacked))
    if of_ends(schema, meta) and not empty:
        return SchemaMismatch(schema.model, [EXPIRY_ENTRY], ENDS_DIFFER)
    return None


def of_ends(schema: Schema, meta: Meta) -> bool:
    """Whether a refusal can be for conf(ttl=) alone, which nothing but the end of the others settles."""
    others = meta.permits.get(schema.version) == ENDED or versions.lacked(meta, schema)
    return not others and versions.ends_differ(meta, schema)


def ended(schema: Schema) -> SchemaMismatch:
    """Why a version writes no more."""
    return SchemaMismatch(
        schema.model,
        [],
        "another version of the class took its place by `aioredisca reindex`: deploy that one, or bring "
        "this one back by `aioredisca reindex --before` and `aioredisca reindex` from its code",
    )


def _lacking(entries: Collection[str]) -> str:
    if EXPIRY_ENTRY in entries:
        return ENDS_DIFFER
    return elsewhere(dict.fromkeys(entries, READY)) or (
        f"the store keeps indexes that this class does not ({', '.join(sorted(entries))}): deploy the class "
        f"that has them, or let go of them by `aioredisca reindex --before` from this code"
    )
