"""What a store holds of a model, and of one record of it, for people to look at. Reads only."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.loads import load_all_call, load_call, read_all_fields, read_fields
from aioredisca.compiler.signature import meta_call
from aioredisca.errors import NotFound, RediscaError
from aioredisca.persistence import asking, readiness
from aioredisca.storage.entries import Entry, KeyType, Places, demanded, places_of
from aioredisca.storage.keys import MARKER, Keys, id_text
from aioredisca.storage.meta import BARRED, READY, read_meta
from aioredisca.storage.replies import LIST, NUMBER, check_values, of_kind
from aioredisca.storage.schema import COLLECTION_ENTRY, EXPIRY_ENTRY, FEED_ENTRY, IDS_ENTRY, Schema, fields_of
from aioredisca.types import Arg, Call, Raw, Reply, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

WEIGHED = 8
"""Partitions that memory is estimated by, taken at random: they are alike."""

SAMPLE = 100
"""How many records the memory of a model is estimated by."""

NO_VALUE = "without a value"
"""The kind of the sets of ids that hold none."""

_KINDS = {
    "i": "all ids",
    "u": "unique",
    "U": "unique together",
    "x": "exact",
    "r": "range",
    "s": "sorted",
    "t": "tags",
    "c": "compound",
    "n": NO_VALUE,
    "e": "ends of records",
    "F": "feed of changes",
}
"""The indexes by the first letter of what signatures call them."""

_HOLDS: dict[KeyType, tuple[str, str]] = {
    "set": ("SISMEMBER", "SCARD"),
    "zset": ("ZSCORE", "ZCARD"),
    "hash": ("HGET", "HLEN"),
}
"""What asks a key of each type for a member, and for how many there are."""

_SIZES = {"list": "LLEN", "set": "SCARD", "sorted": "ZCARD", "hash": "HLEN", "counter": "GET"}
"""What tells the size of a collection of each kind, or the number of a counter."""


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """One index of a model.

    ``entry``   what signatures call it; ``fields`` the attributes that it is over.
    ``state``   "ready", or what queries on it wait for.
    ``memory``  about how many bytes it takes; None where the server does not tell.
    """

    entry: str
    kind: str
    fields: tuple[str, ...]
    state: str
    memory: int | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a store holds of a model: how many records are listed, about how many bytes they take, indexes.

    ``misplaced`` is why none of this is where the records are, in as many partitions as the class declares.
    """

    records: int
    memory: int | None
    indexes: tuple[IndexSummary, ...]
    misplaced: str = ""


async def known_records(store: Store, schema: Schema) -> int:
    """How many records of a model the set of all ids has. ZCARD of each partition, one round trip."""
    return sum(await _sizes(store, schema.all_parts))


async def _sizes(store: Store, parts: Sequence[Schema]) -> list[int]:
    calls = [Call(("ZCARD", part.keys.ids)) for part in parts]
    return [
        of_kind(reply, NUMBER, call)
        for reply, call in zip(await asking.read_together(store, calls), calls, strict=True)
    ]


async def summary(model: type[Record], sample: int = SAMPLE) -> Summary:
    """What is stored of *model*, its memory estimated by *sample* records taken at random.

    HGETALL of the metas; ZCARD; ZRANGE; HMGET and MEMORY USAGE of each sampled record; MEMORY USAGE and SCARD
    or ZCARD of the keys that name their values; MEMORY USAGE of the others, a round trip for each index.
    """
    mapper: Any = model.__mapper__
    store: Store = mapper.store()
    schema: Schema = mapper.schema(store)
    states = await index_states(store, schema)
    sizes = await _sizes(store, schema.all_parts)
    some = random.sample([*zip(schema.all_parts, sizes, strict=True)], min(WEIGHED, len(sizes)))
    share = sum(size for _, size in some) / sum(sizes) if sum(sizes) else 1.0
    weights = [_Weights(store, part, size) for part, size in some]
    for one in weights:
        await one.take(-(-sample // len(some)))
    indexes = list[IndexSummary]()
    for entry, state in states.items():
        memory = _scaled([await one.of(entry) for one in weights], share)
        indexes.append(IndexSummary(entry, kind_of(entry), _attributes(mapper, entry), state, memory))
    memory = _scaled([one.of_records() for one in weights], share)
    return Summary(sum(sizes), memory, tuple(indexes), await readiness.misplaced(store, schema))


def _scaled(found: Sequence[int | None], share: float) -> int | None:
    """The whole of which *found* is such a *share*; None where a server does not tell."""
    known = [one for one in found if one is not None]
    return round(sum(known) / (share or 1)) if len(known) == len(found) else None


async def index_states(store: Store, schema: Schema) -> dict[str, str]:
    """The state of each index in the store, in an order for people. HGETALL of meta, one round trip.

    Those that other versions of the class keep are among them. Of a class with partitions it is that of
    one which is not ready, if there is any.
    """
    metas = await asking.read_together(store, [meta_call(part.keys) for part in schema.all_parts])
    states = dict[str, str]()
    for reply in metas:
        of_part = read_meta(of_kind(reply, LIST, meta_call(schema.keys))).states
        states |= {entry: state for entry, state in of_part.items() if states.get(entry, READY) == READY}
    beside = schema.entries & {EXPIRY_ENTRY, FEED_ENTRY}
    wanted = schema.index_entries | beside | states.keys()
    return {
        entry: states.get(entry, "not declared yet")
        for entry in sorted(wanted, key=_for_people)
        if not entry.startswith((COLLECTION_ENTRY, BARRED))
    }


def kind_of(entry: str) -> str:
    """What people call an index."""
    return _KINDS.get(entry[0], entry)


def _for_people(entry: str) -> tuple[tuple[str, ...], str]:
    """Those of all records first, then by field."""
    return _hash_fields(entry), "" if entry == IDS_ENTRY else entry


def _hash_fields(entry: str) -> tuple[str, ...]:
    kind, _, name = entry.partition(":")
    return fields_of(entry) if kind in ("U", "c") else (name,) if name else ()


def _attributes(mapper: Any, entry: str) -> tuple[str, ...]:
    """The attributes that an index is over."""
    return tuple(mapper.attribute(key) for key in _hash_fields(entry))


class _Weights:
    """How much memory a model takes, by a sample of its records.

    The keys that name values are more than anybody wants to look at. A record that stands with others in such
    a key has its share of it; the mean share, times the records, is the whole.
    """

    def __init__(self, store: Store, schema: Schema, records: int) -> None:
        self._store, self._schema, self._records = store, schema, records
        self._shares: list[tuple[bytes, float]] = []
        self._sampled: list[int] = []
        self._asked = 0
        self._known = True

    async def take(self, sample: int) -> None:
        """Look at records."""
        ids = await self._some_ids(sample)
        keys, tracked = self._schema.keys, tuple(spec.key for spec in self._schema.tracked) or (MARKER,)
        loads = [load_call(self._schema, id, tracked) for id in ids]
        replies = await _each(self._store, [*loads, *(_memory(keys.record(id)) for id in ids)])
        self._sampled = [size for size in map(self._size, replies[len(ids) :]) if size]
        entries = list[Entry]()
        for id, reply in zip(ids, replies, strict=False):
            if type(reply) in LIST and (stored := read_fields(tracked, reply)) is not None:
                entries += demanded(self._schema, id, stored)
                self._asked += 1
        await self._share(entries)

    async def _some_ids(self, sample: int) -> list[str]:
        ids = self._schema.keys.ids
        if self._records <= sample:
            calls = [Call(("ZRANGE", ids, 0, -1))]
        else:
            ranks = random.sample(range(self._records), sample)
            calls = [Call(("ZRANGE", ids, rank, rank)) for rank in ranks]
        found = [id for reply in await asking.read_together(self._store, calls) for id in reply]
        check_values(found)
        return [id_text(id) for id in found]

    async def _share(self, entries: Iterable[Entry]) -> None:
        places = Places({}, places_of(self._schema.keys, self._schema.index_entries).stems)
        named: list[tuple[bytes, KeyType]] = [
            (key, kind) for key, _ in entries if (kind := _kind_at(places, key))
        ]
        keys: dict[bytes, KeyType] = dict(named)
        calls = [_memory(key) for key in keys]
        calls += [Call((_HOLDS[kind][1], key)) for key, kind in keys.items()]
        replies = await _each(self._store, calls)
        sizes = dict(zip(keys, map(self._size, replies), strict=False))
        counts = dict(zip(keys, replies[len(keys) :], strict=True))
        self._shares = [(key, sizes[key] / max(1, _number(counts[key]))) for key, _ in named if key in keys]

    def of_records(self) -> int | None:
        """Of the hashes of all records."""
        return self._whole(sum(self._sampled), len(self._sampled))

    async def of(self, entry: str) -> int | None:
        """Of one index."""
        places = _places(self._schema.keys, entry)
        fixed = await _each(self._store, [_memory(key) for key in places.fixed])
        found = sum(map(self._size, fixed))
        stems = tuple(stem.encode() for stem in places.stems)
        shares = sum(share for key, share in self._shares if key.startswith(stems))
        whole = self._whole(shares, self._asked)
        return None if whole is None else whole + found

    def _size(self, reply: Reply) -> int:
        """The answer to MEMORY USAGE: nothing for a key that is not there."""
        self._known = self._known and not isinstance(reply, RediscaError)
        return _number(reply)

    def _whole(self, part: float, of: int) -> int | None:
        if not self._known:
            return None
        return round(part / of * self._records) if of else 0


def _memory(key: Arg) -> Call:
    return Call(("MEMORY", "USAGE", key), keys=(key,))


def _number(reply: Reply) -> int:
    return reply if type(reply) in NUMBER else 0


def _places(keys: Keys, entry: str) -> Places:
    if entry == FEED_ENTRY:
        return Places({keys.feed: "stream"})
    if entry == EXPIRY_ENTRY:
        return Places({keys.moments: "zset", keys.notes: "hash"})
    return places_of(keys, frozenset([entry]))


def _kind_at(places: Places, key: bytes) -> KeyType | None:
    """The type of *key*, if it is one of *places*."""
    text = id_text(key)
    if text in places.fixed:
        return places.fixed[text]
    return next((kind for stem, kind in places.stems.items() if text.startswith(stem)), None)


async def _each(store: Store, calls: Sequence[Call]) -> list[Reply]:
    """The replies in one round trip, refusals among them."""
    return await store.transport().send_all(calls) if calls else []


# -- one record ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry that a record must have in an index.

    ``holder``  the id that has claimed a unique value; None where nobody has.
    """

    entry: str
    kind: str
    fields: tuple[str, ...]
    present: bool
    holder: str | None = None


@dataclass(frozen=True, slots=True)
class Inspection:
    """One record as it is stored.

    ``raw``          its hash: declared and undeclared fields, without the marker.
    ``ttl``          milliseconds until it ends; None if it lives for ever.
    ``field_ttls``   the same of fields that end, by hash field.
    ``collections``  kind and size by attribute, of a counter its number.
    """

    id: str
    key: str
    raw: Raw
    ttl: int | None
    field_ttls: dict[str, int] = field(default_factory=dict[str, int])
    collections: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    entries: tuple[Standing, ...] = ()


async def inspect(model: type[Record], id: str) -> Inspection:
    """A record, its collections, when it ends, and its entries in indexes. NotFound where there is none,
    SchemaMismatch where the records are in another number of partitions.

    HGETALL, PTTL, HPTTL where fields end, LLEN, SCARD, ZCARD, HLEN or GET of the collections; then SISMEMBER,
    ZSCORE or HGET of each entry: two round trips.
    """
    mapper: Any = model.__mapper__
    store: Store = mapper.store()
    whole: Schema = mapper.schema(store)
    await readiness.ready_to_load(store, whole)
    schema = whole.of(id)
    key = schema.keys.record(id)
    ends = [*schema.field_ttls]
    calls = [load_all_call(schema, id), Call(("PTTL", key))]
    calls += [
        Call((_SIZES[one.__kind__], schema.keys.collection(one.key, id)))
        for one in mapper.collections.values()
    ]
    if ends:
        calls.append(Call(("HPTTL", key, "FIELDS", len(ends), *ends)))
    found, ttl, *rest = await asking.read_together(store, calls)
    raw = read_all_fields(schema, found)
    if raw is None:
        await readiness.ready_to_read(store, schema, {})  # else it is somewhere else
        raise NotFound(mapper.name, id)
    sizes = {
        name: (one.__kind__, int(size or 0))
        for (name, one), size in zip(mapper.collections.items(), rest, strict=False)
    }
    lefts: list[int] = rest[-1] if ends else []
    field_ttls = {name: left for name, left in zip(ends, lefts, strict=True) if left > 0}
    entries = await _standings(store, mapper, schema, id, raw, ends=ttl > 0)
    return Inspection(id, key, raw, ttl if ttl > 0 else None, field_ttls, sizes, entries)


async def _standings(
    store: Store, mapper: Any, schema: Schema, id: str, raw: Raw, *, ends: bool
) -> tuple[Standing, ...]:
    wanted = demanded(schema, id, raw)
    if ends and schema.expires:
        wanted.add((schema.keys.moments.encode(), id.encode("utf-8", "surrogateescape")))
    by_entry = {entry: _places(schema.keys, entry) for entry in (*schema.index_entries, EXPIRY_ENTRY)}
    found = list[tuple[str, Entry, KeyType]]()
    for entry in sorted(by_entry, key=_for_people):
        for one in sorted(wanted):
            if (kind := _kind_at(by_entry[entry], one[0])) is not None:
                found.append((entry, one, kind))
    calls = [Call((_HOLDS[kind][0], key, member)) for _, (key, member), kind in found]
    replies = await asking.read_together(store, calls)
    return tuple(
        _standing(mapper, entry, id, reply) for (entry, *_), reply in zip(found, replies, strict=True)
    )


def _standing(mapper: Any, entry: str, id: str, reply: Reply) -> Standing:
    claims = entry[0] in "uU"
    holder = id_text(reply) if claims and reply is not None else None
    present = holder == id if claims else bool(reply)
    return Standing(entry, kind_of(entry), _attributes(mapper, entry), present, holder)
