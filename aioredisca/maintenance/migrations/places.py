"""Where the records of a model lie, whatever class there is of it now, and what is kept beside them."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aioredisca.compiler.scripts import migrate_script
from aioredisca.errors import MigrationError, UsageError
from aioredisca.persistence import asking
from aioredisca.storage.keys import Keys, bad_namespace, bad_prefix
from aioredisca.storage.replies import LIST
from aioredisca.storage.schema import COLLECTION_ENTRY, EXPIRY_ENTRY, IDS_ENTRY, entries_of, fields_of
from aioredisca.types import Arg, Call, Raw, Store

MOVED, MOVING = "2/!:moved", "2/!:moving"
"""Stand in the place of a signature: no version of a class knows them, so none may write."""


@dataclass(frozen=True, slots=True)
class At:
    """The prefix of a model; its namespace, where it is not that of the database; whether it has a tag."""

    prefix: str
    namespace: str | None = None
    tag: bool = False

    def __post_init__(self) -> None:
        if reason := bad_prefix(self.prefix):
            raise UsageError(f"{self.prefix!r}: {reason}")
        if self.namespace is not None and (reason := bad_namespace(self.namespace)):
            raise UsageError(f"{self.namespace!r}: {reason}")

    def keys(self, store: Store) -> Keys:
        return Keys(store.namespace if self.namespace is None else self.namespace, self.prefix, self.tag)

    def __str__(self) -> str:
        return (self.namespace or "") + (f"{{{self.prefix}}}" if self.tag else self.prefix)


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
    ``entries``             the indexes, collections and ends that the records have, or had when they moved.
    """

    signature: str
    word: str
    entries: frozenset[str]
    unbuilt: frozenset[str] = frozenset()

    @property
    def indexed(self) -> frozenset[str]:
        """The hash fields that an index knows of."""
        found = set[str]()
        for entry in self.entries:
            kind, _, name = entry.partition(":")
            if kind in ("U", "c"):
                found.update(fields_of(entry))
            elif not entry.startswith((IDS_ENTRY, COLLECTION_ENTRY, EXPIRY_ENTRY)):
                found.add(name)
        return frozenset(found)

    @property
    def collections(self) -> list[str]:
        names = (entry.removeprefix(COLLECTION_ENTRY) for entry in self.entries)
        return sorted(name for name, entry in zip(names, self.entries, strict=True) if name != entry)


async def kept(store: Store, keys: Keys) -> Kept:
    """What the store keeps of a prefix. HGETALL, one round trip."""
    reply = await asking.read(store, Call(("HGETALL", keys.meta)), LIST)
    raw: Raw = {
        key.decode("utf-8", "replace"): value for key, value in zip(reply[::2], reply[1::2], strict=True)
    }
    signature, word, ended = (_text(raw.get(name)) for name in ("signature", "ver", "ended"))
    states = {key.removeprefix("e:") for key in raw if key.startswith("e:")}
    unready = {
        key.removeprefix("e:") for key, state in raw.items() if key.startswith("e:") and state != b"ready"
    }
    unbuilt = entries_of("/" + _text(raw.get("unbuilt"))) - {""} | unready
    listed = entries_of(ended if signature in (MOVED, MOVING) else signature)
    return Kept(signature, word, listed | states, unbuilt)


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


def _text(raw: bytes | None) -> str:
    return (raw or b"").decode("utf-8", "replace")


async def finish(store: Store, ended: Keys, reserved: Keys | None = None) -> None:
    """End all writing under a prefix, and keep another one free from writers. EVALSHA, one round trip.

    Writers get SchemaMismatch from here on. Who reads goes on.
    """
    metas: list[Arg] = [keys.meta for keys in (ended, reserved) if keys is not None]
    marks = [MOVED, MOVING][: len(metas)]
    script = migrate_script("finish")
    await asking.read(store, Call((*marks, secrets.token_hex(4)), script, (*metas,), writes=True), LIST)
