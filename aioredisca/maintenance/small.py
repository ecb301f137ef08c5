"""``conf(auto_build=)``: small stores are built by whatever process meets them first."""

from __future__ import annotations

from aioredisca.errors import StoreError
from aioredisca.maintenance.reindexing import reindex
from aioredisca.storage.schema import Schema
from aioredisca.types import Store


async def build_indexes(store: Store, schema: Schema) -> bool:
    """Build the indexes of a class, and end its other versions.

    False where that cannot be: another process is at it or took over, this is a replica, or the user may not.
    """
    for reference in list(store.facts.classes.values()):
        model = reference()
        if model is None or model.__mapper__.store() is not store:
            continue
        if schema in model.__mapper__.schema(store).all_parts:
            try:
                return not (await reindex(model, force=True)).unbuilt
            except StoreError:
                return False
    return False
