"""Taking away what stands in a place that the records have left, or never came to."""

from __future__ import annotations

from aioredisca.compiler.changes import BATCH
from aioredisca.maintenance.lease import Lease
from aioredisca.maintenance.migrations.models import keys_of, unlink_indexes
from aioredisca.maintenance.migrations.places import kept
from aioredisca.persistence import adoption, asking
from aioredisca.storage.keys import Keys, id_text
from aioredisca.storage.replies import LIST, check_values
from aioredisca.types import Call, Store


async def purge(store: Store, keys: Keys, lease: Lease) -> None:
    """Remove the records that the library knows there, their collections, all indexes and claims, not meta.

    UNLINK and ZREM, two round trips per 100 records; then UNLINK, 100 keys to a round trip, and a SCAN where
    keys name values. What others keep under the prefix stays.
    """
    there = await kept(store, keys)
    names = there.collections
    while ids := await asking.read(store, Call(("ZRANGE", keys.ids, 0, BATCH - 1)), LIST):
        check_values(ids)
        await lease.keep()
        texts = [id_text(id) for id in ids]
        others = await adoption.nested_under(store, keys, texts)
        gone = [key for id in texts if id not in others for key in keys_of(keys, names, id)]
        calls = [Call(("ZREM", keys.ids, *ids), writes=True)]
        if gone:  # before their ids, by which they are found
            calls.insert(0, Call(("UNLINK", *gone), writes=True))
        for call in calls:
            await asking.read(store, call)
    await unlink_indexes(store, keys, there.entries, names)
    await lease.keep()
    await asking.read(store, Call(("UNLINK", *keys.beside), writes=True))
