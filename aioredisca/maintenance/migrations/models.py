"""Operations on all records of a model: another prefix, namespace or tag, and the end of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from aioredisca.compiler.changes import BATCH
from aioredisca.compiler.scripts import migrate_script
from aioredisca.errors import MigrationError, UsageError
from aioredisca.maintenance.migrations.operations import Operation
from aioredisca.maintenance.migrations.places import (
    Place,
    finish,
    kept,
    listed,
    parts_of,
    place,
    refuse_partitions,
)
from aioredisca.maintenance.migrations.walking import Prepared, Refused, Step
from aioredisca.persistence import adoption, asking
from aioredisca.storage.entries import Places, places_of
from aioredisca.storage.keys import Keys
from aioredisca.storage.schema import IDS_ENTRY, UNBUILT, fields_of
from aioredisca.types import Arg, Call, Reply, Store


class MoveModel(Operation):
    """Copy all records to another prefix, namespace or tag, with their collections and the moments they end
    at.

    First all writing under the old prefix ends, for good: writers get SchemaMismatch, readers go on. Then the
    records are copied. Deploy the class with the new prefix when this is done, and let ``Reindex`` build its
    indexes; what it is deployed to sooner refuses its writes and its queries. The old records stay until
    ``DeleteModel``.

    Undone by copying all of it back, with what was written since, and deleting what was made.
    """

    def __init__(self, old: Place, new: Place) -> None:
        self.old, self.new = place(old), place(new)
        if self.old == self.new:
            raise UsageError(f"{self.old} and {self.new} are one place")
        self.title = f"copy {self.old} to {self.new}"

    def check(self, store: Store) -> None:
        if self.old.keys(store).slot != self.new.keys(store).slot and store.clustered:
            raise MigrationError(
                "",
                f"{self.old} and {self.new} are in two slots, where nothing is copied in one step: give both "
                'one tag, as in At(..., tag="shop"), or export the records and import them there',
            )

    async def up(self, step: Step) -> None:
        old, new = self.old.keys(step.store), self.new.keys(step.store)
        await refuse_partitions(step.store, old, new)
        await step.walk(self.title, (old, _Copy(step.store, old, new, fresh=True)))
        if not step.dry_run:
            await step.hold()
            if (await kept(step.store, new)).coming:
                await asking.read(step.store, Call(("UNLINK", new.meta), writes=True))

    async def down(self, step: Step) -> None:
        old, new = self.old.keys(step.store), self.new.keys(step.store)
        await refuse_partitions(step.store, old, new)
        await step.walk(f"compare {self.old} with {self.new}", (old, _Copy(step.store, new, old)))
        await step.walk(f"copy {self.new} to {self.old}", (new, _Copy(step.store, new, old)))
        await _delete(step, f"delete {self.new}", (new,), await _collections(step.store, old, new))
        if not step.dry_run:
            await step.hold()
            # without it all indexes count as unbuilt, which they are
            await asking.read(step.store, Call(("UNLINK", old.meta), writes=True))


async def _collections(store: Store, old: Keys, new: Keys) -> list[str]:
    """The collections that the records of either place have: one of them may not know."""
    return sorted({*(await kept(store, old)).collections, *(await kept(store, new)).collections})


async def _taken(store: Store, old: Keys, new: Keys) -> bool:
    """Whether others have written keys in the places of records of *new*: copies would replace them."""
    own = tuple(f"{old.base}{mark}".encode() for mark in ":/") if old.base.startswith(new.records) else ()
    async for page in asking.scan_keys(store, new.records):
        for key in page:
            if not key.startswith(own):
                return True
    return False


class _Copy:
    """Copies records from one prefix to another; *fresh*: to one that nobody has used so far."""

    def __init__(self, store: Store, old: Keys, new: Keys, *, fresh: bool = False) -> None:
        self.store, self.old, self.new, self.fresh = store, old, new, fresh
        self.names = list[str]()

    async def begin(self, *, dry_run: bool) -> None:
        there = await kept(self.store, self.new)
        if self.fresh and not there.coming:
            used = await asking.read(self.store, Call(("EXISTS", self.new.meta, self.new.ids)))
            if used or await _taken(self.store, self.old, self.new):
                raise MigrationError("", f"{self.new.base!r} is in use: move to a prefix that holds nothing")
            await listed(self.store, self.old)
        if not dry_run:
            await finish(self.store, self.old, self.new)
        self.names = await _collections(self.store, self.old, self.new)

    async def prepare(self, ids: Sequence[str], left: dict[str, str]) -> Prepared:
        keys: list[Arg] = [self.new.ids]
        for id in ids:
            for old, new in zip(self._keys(self.old, id), self._keys(self.new, id), strict=True):
                keys += [old, new]
        arguments: list[Arg] = [1 + len(self.names), *map(_raw, ids)]
        call = Call((*arguments,), migrate_script("move"), (*keys,), writes=True)
        return Prepared(call, ids, len(ids))

    def _keys(self, keys: Keys, id: str) -> list[bytes]:
        return keys_of(keys, self.names, id)

    async def refused(self, reply: Reply, prepared: Prepared) -> Refused | None:
        return None


class DeleteModel(Operation):
    """Delete all records of a model, their collections, its indexes and its meta.

    Run it when no process has the class any more: one that writes afterwards begins anew. Keys under the
    prefix that the library did not write, and those of a model with a longer prefix, are left alone and
    counted. It cannot be undone.
    """

    reversible = False

    def __init__(self, model: Place) -> None:
        self.place = place(model)
        self.title = f"delete {self.place}"

    async def up(self, step: Step) -> None:
        keys = self.place.keys(step.store)
        parts = await parts_of(step.store, keys)
        await _delete(step, self.title, parts, (await kept(step.store, parts[0])).collections)
        if not step.dry_run and parts != (keys,):
            await step.hold()
            await asking.read(step.store, Call(("UNLINK", keys.meta, keys.lease), writes=True))
        if not step.dry_run and (left := sum([await _foreign(step.store, part) for part in parts])):
            step.note(f"left alone: keys under {keys.records!r} that are no records of it", left)


async def _delete(step: Step, title: str, parts: Sequence[Keys], names: Sequence[str]) -> None:
    await step.walk(title, *((keys, _Purge(step.store, keys, names)) for keys in parts))
    for keys in parts if not step.dry_run else ():
        await step.hold()
        await unlink_indexes(step.store, keys, (await kept(step.store, keys)).entries, names)
        await step.hold()
        last = (*keys.beside, keys.lease, keys.meta)
        await asking.read(step.store, Call(("UNLINK", *last), writes=True))


class _Purge:
    def __init__(self, store: Store, keys: Keys, names: Sequence[str]) -> None:
        self.store, self.keys, self.names = store, keys, names

    async def begin(self, *, dry_run: bool) -> None:
        if not dry_run:
            await finish(self.store, self.keys)

    async def prepare(self, ids: Sequence[str], left: dict[str, str]) -> Prepared:
        others = await adoption.nested_under(self.store, self.keys, ids)
        keys: list[Arg] = [self.keys.ids]
        for id in ids:
            if id not in others:
                keys += keys_of(self.keys, self.names, id)
        call = Call((len(ids), *map(_raw, ids)), migrate_script("purge"), (*keys,), writes=True)
        return Prepared(call, ids, len(ids) - len(others))

    async def refused(self, reply: Reply, prepared: Prepared) -> Refused | None:
        return None


def _places(keys: Keys, entries: frozenset[str], names: Sequence[str]) -> Places:
    """Where the indexes lie, and the collections whose records went without the library."""
    beside = (*UNBUILT, IDS_ENTRY)
    places = places_of(keys, frozenset(one for one in entries if not one.startswith(beside)))
    for name in names:
        places.stems[keys.collection(name, "")] = "set"
    for entry in entries:  # claims over partitions, which no entry tells of
        if entry.startswith("u:"):
            places.fixed[keys.claims(entry.removeprefix("u:"))] = "hash"
        elif entry.startswith("U:"):
            places.fixed[keys.claims("/".join(fields_of(entry)))] = "hash"
    return places


async def unlink_indexes(
    store: Store,
    keys: Keys,
    entries: frozenset[str],
    names: Sequence[str],
    unlink: Callable[[Iterable[str | bytes]], Call] = lambda some: Call(("UNLINK", *some), writes=True),
) -> None:
    """Remove indexes as a whole by what *unlink* makes of their keys.

    UNLINK, 100 keys to a round trip, and a SCAN where keys name values.
    """
    places = _places(keys, entries, names)
    if places.fixed:
        await asking.read(store, unlink(places.fixed))
    for stem in places.stems:
        async for found in asking.scan_keys(store, stem):
            for first in range(0, len(found), BATCH):
                await asking.read(store, unlink(found[first : first + BATCH]))


async def _foreign(store: Store, keys: Keys) -> int:
    """How many keys there still are that begin as those of records do."""
    count = 0
    async for page in asking.scan_keys(store, keys.records):
        count += len(page)
    return count


def keys_of(keys: Keys, names: Sequence[str], id: str) -> list[bytes]:
    """The keys of a record: its own, and those of its collections."""
    return [_raw(key) for key in (keys.record(id), *(keys.collection(name, id) for name in names))]


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
