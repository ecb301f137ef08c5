"""Whether the records of a class can be moved as they are kept."""

from __future__ import annotations

from aioredisca.compiler.signature import meta_call
from aioredisca.errors import SchemaMismatch, StoreError
from aioredisca.persistence import asking, readiness, refusals
from aioredisca.storage.meta import BARRED, ENDED, READY, read_meta
from aioredisca.storage.schema import IDS_ENTRY, Schema
from aioredisca.types import Store

_LOST = (
    "the store keeps what this class does not, and it would be lost: deploy the class that has it, or let go "
    "of it by `aioredisca reindex` first"
)


async def check(store: Store, schema: Schema, sources: Schema) -> None:
    """StoreError or SchemaMismatch where the records cannot be moved as they are kept."""
    places = sources.all_parts
    replies = await asking.read_together(store, [meta_call(place.keys) for place in places])
    for place, reply in zip(places, replies, strict=True):
        meta = read_meta(reply)
        if not meta.ver and await readiness.is_empty(store, place, meta):
            continue
        kept = {entry for entry in meta.states if not entry.startswith(BARRED)}
        if unknown := sorted(kept - schema.entries):
            raise SchemaMismatch(schema.model, unknown, _LOST)
        if meta.permits.get(schema.version) == ENDED:
            raise refusals.ended(schema)
        if meta.states.get(IDS_ENTRY) != READY or not meta.ver:
            raise StoreError(f"the records of {place.keys.base!r} are not listed: `aioredisca reindex` first")
