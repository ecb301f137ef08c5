"""Taking away what stands in a place that the records have left, or never came to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aioredisca.compiler.changes import BATCH
from aioredisca.errors import StoreError
from aioredisca.maintenance.checking.together import Command, mend_call
from aioredisca.maintenance.lease import Lease
from aioredisca.maintenance.migrations.models import keys_of, unlink_indexes
from aioredisca.maintenance.migrations.places import kept
from aioredisca.persistence import adoption, asking
from aioredisca.storage.keys import Keys, id_text
from aioredisca.storage.meta import VER
from aioredisca.storage.replies import LIST, check_values
from aioredisca.types import Call, Store


async def purge(store: Store, keys: Keys, word: bytes, lease: Lease) -> None:
    """Remove the records that the library knows there, their collections, all indexes and claims, not meta.

    UNLINK and ZREM by EVALSHA, a round trip per 100 records; then UNLINK, 100 keys to one, and a SCAN
    where keys name values. What others keep under the prefix stays. Nothing is removed once the *word* of
    meta is another, for records may come there again by then: StoreError for who stood still meanwhile.
    """
    there = await kept(store, keys)
    names = there.collections
    while ids := await asking.read(store, Call(("ZRANGE", keys.ids, 0, BATCH - 1)), LIST):
        check_values(ids)
        await lease.keep()
        texts = [id_text(id) for id in ids]
        others = await adoption.nested_under(store, keys, texts)
        gone = [key for id in texts if id not in others for key in keys_of(keys, names, id)]
        commands: list[Command] = [
            ("UNLINK", key) for key in gone
        ]  # before their ids, by which they are found
        if not await asking.read(store, _if_still(word, keys, [*commands, ("ZREM", keys.ids, *ids)])):
            raise StoreError(f"another process went on with {keys.base!r}: run it again")

    def unlink(some: Iterable[str | bytes]) -> Call:
        return _if_still(word, keys, [("UNLINK", key) for key in some])

    await unlink_indexes(store, keys, there.entries, names, unlink)
    await lease.keep()
    await asking.read(store, unlink(keys.beside))


def _if_still(word: bytes, keys: Keys, commands: Sequence[Command]) -> Call:
    """The *commands*, if meta is still what it was."""
    return mend_call([(("HGET", keys.meta, VER), word)], commands)
