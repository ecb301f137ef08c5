"""What the store says of the indexes of a class, and whether that fits it."""

from __future__ import annotations

from aioredisca.compiler.signature import meta_call
from aioredisca.errors import WrongType
from aioredisca.maintenance.checking.faults import Fault, Finding, Kind
from aioredisca.persistence import asking, readiness, refusals
from aioredisca.storage.meta import ACTIVE, BARRED, ENDED, READY, read_meta
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Store


async def unbuilt(store: Store, schema: Schema) -> tuple[frozenset[str], list[Fault]]:
    """The indexes of the class that the store has not built, and what is wrong with its meta.

    That the records are elsewhere is told once, of the class as a whole.
    """
    try:
        meta = read_meta(await asking.read(store, meta_call(schema.keys)))
    except WrongType:
        return schema.index_entries, [_fault(schema, "holds another type")]
    if not meta.known:
        there = await asking.read(store, Call(("EXISTS", schema.keys.ids)))
        return schema.index_entries, [_fault(schema, "is not there")] if there else []
    missing = frozenset(entry for entry in schema.index_entries if meta.states.get(entry) != READY)
    faults = list[Fault]()
    if meta.permits.get(schema.version) == ENDED:
        faults.append(_fault(schema, "says that this version of the class was ended"))
    if why := refusals.misplaced(meta, 1) if schema.part is None else "":
        return missing, [*faults, _fault(schema, f"says: {why}", "misplaced")]
    kept = {entry for entry, state in meta.states.items() if state in ACTIVE and not entry.startswith(BARRED)}
    if unknown := sorted(kept - schema.entries):
        faults.append(_fault(schema, f"names what the class does not know: {', '.join(unknown)}"))
    return missing, faults


async def of_whole(store: Store, schema: Schema) -> list[Fault]:
    """Whether the store keeps the records of a class with partitions in so many."""
    try:
        meta = read_meta(await asking.read(store, meta_call(schema.keys)))
    except WrongType:
        return [_fault(schema, "holds another type")]
    if not meta.known:
        return [_fault(schema, "is not there")] if await _known(store, schema) else []
    why = await readiness.misplaced(store, schema)
    return [_fault(schema, f"says: {why}", "misplaced")] if why else []


async def _known(store: Store, schema: Schema) -> bool:
    """Whether any partition has records."""
    calls = [Call(("EXISTS", part.keys.ids)) for part in schema.parts]
    return any(await asking.read_together(store, calls))


def _fault(schema: Schema, detail: str, kind: Kind = "meta") -> Fault:
    return Fault(Finding(kind, "", schema.keys.meta, detail), (kind, detail))
