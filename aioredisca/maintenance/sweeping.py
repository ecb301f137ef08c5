"""Removing what stands in indexes without right: each entry is looked at with the record that it is of.

Nothing that a record demands is ever removed, not for a moment, so readers and writers go on meanwhile. The
server removes an entry only if the record is still as it was when this process judged it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aioredisca.compiler.changes import BATCH
from aioredisca.compiler.positions import Sweep
from aioredisca.compiler.scripts import small_script
from aioredisca.errors import RediscaError
from aioredisca.persistence import asking
from aioredisca.persistence.adoption import nested
from aioredisca.storage.entries import Entry, KeyType, Places, demanded, owner_of
from aioredisca.storage.keys import id_text
from aioredisca.storage.schema import Schema
from aioredisca.types import Arg, Call, Reply, Store

MAX_ARGUMENTS = 3000
"""Arguments of one call, or half of what the database takes."""

_READ: dict[KeyType, str] = {"set": "SSCAN", "zset": "ZSCAN", "hash": "HSCAN"}


State = tuple[bytes, tuple[bytes | None, ...]]
"""What the key of a record holds, as TYPE says it, and the tracked fields of a hash."""


@dataclass(frozen=True, slots=True)
class Seen:
    """An entry, and the id of the record that it is of. Its repr shows no values."""

    key: bytes = field(repr=False)
    member: bytes = field(repr=False)
    content: bytes = field(repr=False)
    id: str


async def sweep(store: Store, schema: Schema, places: Places, between: Callable[[], Awaitable[None]]) -> None:
    """Remove the entries in *places* that their records deny, and keys there of another type.

    SCAN over the keyspace where keys name values; TYPE and SSCAN, ZSCAN or HSCAN of each index, and TYPE and
    HMGET of each record that stands in one, 100 to a round trip. *between* is awaited after each page.
    """
    async for kinds in keys_in(store, places):
        await _sweep_keys(store, schema, kinds, between)


async def keys_in(store: Store, places: Places) -> AsyncIterator[dict[bytes, KeyType]]:
    """All keys in *places* with the type that each must have, a batch at a time.

    One SCAN over the keyspace, however many stems there are.
    """
    if places.fixed:
        yield {key.encode(): kind for key, kind in places.fixed.items()}
    if not places.stems:
        return
    kinds: dict[bytes, KeyType] = {stem.encode(): kind for stem, kind in places.stems.items()}
    async for keys in asking.scan_keys(store, _common(places.stems)):
        found: dict[bytes, KeyType] = {
            key: kind for key in keys for stem, kind in kinds.items() if key.startswith(stem)
        }
        ours = [*found]
        for first in range(0, len(ours), BATCH):
            yield {key: found[key] for key in ours[first : first + BATCH]}


def _common(stems: Iterable[str]) -> str:
    """What all *stems* begin with."""
    least, most = min(stems), max(stems)
    length = len(least)
    while not most.startswith(least[:length]):
        length -= 1
    return least[:length]


async def make_room(store: Store, schema: Schema, kinds: Mapping[bytes, KeyType]) -> list[bytes]:
    """Remove keys of another type than *kinds* says; return those that hold what they must."""
    types = await asking.read_together(store, [Call(("TYPE", key)) for key in kinds])
    held = list[bytes]()
    for (key, wanted), found in zip(kinds.items(), types, strict=True):
        if found == wanted.encode():
            held.append(key)
        elif found != b"none":
            await asking.read(store, removal(schema, wanted, key, [], {}))
    return held


async def _sweep_keys(
    store: Store, schema: Schema, kinds: Mapping[bytes, KeyType], between: Callable[[], Awaitable[None]]
) -> None:
    held = await make_room(store, schema, kinds)
    async for entries in pages(store, schema, held, kinds):
        await _sweep(store, schema, kinds, entries)
        await between()


async def pages(
    store: Store, schema: Schema, keys: Iterable[bytes], kinds: Mapping[bytes, KeyType]
) -> AsyncIterator[list[Seen]]:
    """The entries in *keys*, a batch at a time. SSCAN, ZSCAN or HSCAN may name one twice."""
    cursors = dict.fromkeys(keys, b"0")
    while cursors:
        calls = [
            Call((_READ[kinds[key]], key, place, "COUNT", BATCH), cursor=2) for key, place in cursors.items()
        ]
        found = dict(zip(cursors, await asking.read_together(store, calls), strict=True))
        entries = [
            seen for key, page in found.items() for seen in _entries_in(schema, key, kinds[key], page[1])
        ]
        for first in range(0, len(entries), BATCH):
            yield entries[first : first + BATCH]
        cursors = {key: page[0] for key, page in found.items() if page[0] != b"0"}


def _entries_in(schema: Schema, key: bytes, kind: KeyType, page: Sequence[bytes]) -> list[Seen]:
    members = page if kind == "set" else page[::2]
    contents = page[1::2] if kind == "hash" else [b""] * len(members)
    return [
        Seen(key, member, content, id_text(owner_of(schema, key, member, content)))
        for member, content in zip(members, contents, strict=True)
    ]


async def _sweep(store: Store, schema: Schema, kinds: Mapping[bytes, KeyType], found: Sequence[Seen]) -> None:
    """Remove those of the entries *found* that their records deny."""
    wrong = dict[bytes, list[Seen]]()
    entries, states = await denied(store, schema, found)
    for seen in entries:
        wrong.setdefault(seen.key, []).append(seen)
    most = min(MAX_ARGUMENTS, store.facts.max_arguments // 2)
    size = max(1, most // (4 + len(schema.tracked)))
    for key, entries in wrong.items():
        for first in range(0, len(entries), size):
            call = removal(schema, kinds[key], key, entries[first : first + size], states)
            await asking.read(store, call)


async def denied(store: Store, schema: Schema, found: Sequence[Seen]) -> tuple[list[Seen], dict[str, State]]:
    """Those of the entries *found* that their records deny, and what all these records are."""
    ids = list(dict.fromkeys(seen.id for seen in found))
    states = await states_of(store, schema, ids)
    strange = await nested(store, schema, ids)
    rights: dict[str, set[Entry]] = {
        id: demanded(schema, id, dict(zip(schema.tracked_keys, raw, strict=True)))
        for id, (kind, raw) in states.items()
        if kind == b"hash" and id not in strange
    }
    return [seen for seen in found if (seen.key, seen.member) not in rights.get(seen.id, ())], states


async def states_of(store: Store, schema: Schema, ids: Sequence[str]) -> dict[str, State]:
    """What each record is."""
    fields = schema.tracked_keys
    calls = [Call(("TYPE", schema.keys.record(id))) for id in ids]
    reads = [Call(("HMGET", schema.keys.record(id), *fields)) for id in ids if fields]
    replies = await store.transport().send_all([*calls, *reads])
    kinds = asking.unrefused(replies[: len(ids)])
    values: list[Reply] = replies[len(ids) :] or [()] * len(ids)
    return {id: (kind, _values(kind, row)) for id, kind, row in zip(ids, kinds, values, strict=True)}


def _values(kind: bytes, row: Reply) -> tuple[bytes | None, ...]:
    if kind == b"hash" and isinstance(row, RediscaError):
        raise row
    return tuple(row) if kind == b"hash" else ()


def removal(
    schema: Schema, kind: KeyType, key: bytes, entries: Sequence[Seen], states: Mapping[str, State]
) -> Call:
    """Remove *entries* of the index at *key*, if their records are still as *states* say; if the key holds
    another type, remove that. Answers how many were removed.
    """
    fields = schema.tracked_keys
    rows = list[Arg]()
    for one in entries:
        held, raw = states[one.id]
        rows += [one.member, one.content, held]
        rows += [b"" if value is None else b"=" + value for value in raw or (None,) * len(fields)]
    head = Sweep(kind, len(fields))
    keys = (key, *(schema.keys.record(one.id).encode("utf-8", "surrogateescape") for one in entries))
    return Call((*head, *fields, *rows), small_script("sweep"), keys, writes=True)
