"""Where the records of a model lie, whatever class there is of it now, and what is kept beside them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from aioredisca.compiler.positions import Finish
from aioredisca.compiler.scripts import migrate_script
from aioredisca.errors import MigrationError, UsageError
from aioredisca.persistence import asking
from aioredisca.storage import versions
from aioredisca.storage.keys import Keys, Tag, bad_namespace, bad_prefix, bad_tag, tag_in, tagged
from aioredisca.storage.meta import ANNOUNCED, BARRED, MOVED, READY, RETIRING, read_meta, word
from aioredisca.storage.partitions import tags
from aioredisca.storage.replies import LIST
from aioredisca.storage.schema import COLLECTION_ENTRY, IDS_ENTRY, UNBUILT, fields_of
from aioredisca.types import Call, Store

GONE, COMING = f"{BARRED}gone", f"{BARRED}coming"
"""Entries that no class keeps, so that none may write where they are: the records went, or are to come."""


@dataclass(frozen=True, slots=True)
class At:
    """The prefix of a model; its namespace, where the database has another; its tag, as for ``conf``."""

    prefix: str
    namespace: str | None = None
    tag: Tag | None = None

    def __post_init__(self) -> None:
        if reason := bad_prefix(self.prefix):
            raise UsageError(f"{self.prefix!r}: {reason}")
        if self.namespace is not None and (reason := bad_namespace(self.namespace)):
            raise UsageError(f"{self.namespace!r}: {reason}")
        if self.tag is not None and (reason := bad_tag(self.tag)):
            raise UsageError(f"{self.tag!r}: {reason}")

    def keys(self, store: Store) -> Keys:
        tag = tag_in(str(self), self.tag, clustered=store.clustered)
        return Keys(store.namespace if self.namespace is None else self.namespace, self.prefix, tag)

    def __str__(self) -> str:
        return (self.namespace or "") + tagged(self.prefix, self.tag or False)


Place = str | At


def place(given: Place) -> At:
    """What an operation was given for a model: its prefix, or an At."""
    if isinstance(given, At):
        return given
    if isinstance(given, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        return At(given)
    raise UsageError(f"takes the prefix of a model, as text or as At(...), not {given!r}")


@dataclass(frozen=True, slots=True)
class Kept:
    """What the meta of a prefix says.

    ``signature`` ``word``  as they are stored: what changes one of them changes what is kept.
    ``coming``              whether the place is kept free for records that move here.
    ``entries``             the indexes, collections and ends that the records have, or had when they moved.
    """

    signature: str
    word: bytes
    entries: frozenset[str]
    unbuilt: frozenset[str] = frozenset()
    coming: bool = False

    @property
    def indexed(self) -> frozenset[str]:
        """The hash fields that an index knows of."""
        found = set[str]()
        for entry in self.entries:
            kind, _, name = entry.partition(":")
            if kind in ("U", "c"):
                found.update(fields_of(entry))
            elif not entry.startswith((IDS_ENTRY, *UNBUILT)):
                found.add(name)
        return frozenset(found)

    @property
    def collections(self) -> list[str]:
        names = (entry.removeprefix(COLLECTION_ENTRY) for entry in self.entries)
        return sorted(name for name, entry in zip(names, self.entries, strict=True) if name != entry)


async def kept(store: Store, keys: Keys) -> Kept:
    """What the store keeps of a prefix. HGETALL, one round trip."""
    meta = read_meta(await asking.read(store, Call(("HGETALL", keys.meta)), LIST))
    states = {entry: state for entry, state in meta.states.items() if not entry.startswith(BARRED)}
    unbuilt = frozenset(entry for entry, state in states.items() if state not in (READY, RETIRING))
    coming = meta.states.get(COMING) == READY
    return Kept(meta.old, meta.ver, frozenset(states), unbuilt, coming)


async def parts_of(store: Store, keys: Keys) -> tuple[Keys, ...]:
    """The keys of each partition of a prefix, or *keys*, where its records are in one place.

    MigrationError while they move. HGETALL, one round trip.
    """
    states = read_meta(await asking.read(store, Call(("HGETALL", keys.meta)), LIST)).states
    if versions.under_way(states):
        raise MigrationError(
            "", f"the records of {keys.base!r} move: `aioredisca partition` is to be done first"
        )
    count = versions.partitions(states)
    return tuple(replace(keys, tag=tag) for tag in tags(keys.prefix, count)) if count else (keys,)


async def refuse_partitions(store: Store, *several: Keys) -> None:
    """MigrationError for a prefix whose records are in partitions."""
    for keys in several:
        if len(parts := await parts_of(store, keys)) > 1:
            raise MigrationError(
                "",
                f"the records of {keys.base!r} are in {len(parts)} partitions, each in a slot of its own, "
                "where nothing is copied in one step: export the records and import them into a class of the "
                "other prefix",
            )


async def listed(store: Store, keys: Keys) -> Kept:
    """The same; MigrationError where there are records that the set of all ids does not name."""
    found = await kept(store, keys)
    unknown = IDS_ENTRY in found.unbuilt
    if not found.entries:  # nobody has declared anything: there are no records, or others have written them
        async for page in asking.scan_keys(store, keys.records, "TYPE", "hash"):
            if page:
                unknown = True
                break
    if unknown:
        raise MigrationError("", f"the records of {keys.base!r} are not listed: `aioredisca reindex` first")
    return found


async def finish(store: Store, ended: Keys, reserved: Keys | None = None) -> None:
    """End all writing under a prefix, and keep another one free from writers. EVALSHA, one round trip.

    Writers get SchemaMismatch from here on. Who reads goes on.
    """
    call = Call((*Finish(word(), MOVED, GONE, COMING),), migrate_script("finish"), (ended.meta,), writes=True)
    if reserved is not None:
        call.keys = (ended.meta, reserved.meta)
    before = await kept(store, ended)
    if not before.word:  # of layout 1, whose entries stand in its signature alone
        states = {entry: ANNOUNCED if entry in before.unbuilt else READY for entry in before.entries}
        call.args = (*call.args, *(part for pair in states.items() for part in pair))
    await asking.read(store, call, LIST)
