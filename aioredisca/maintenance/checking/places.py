"""Where a class keeps what: which key belongs to which of its indexes, and which are none of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aioredisca.fields.reference import Reference
from aioredisca.storage.entries import Entry, KeyType, places_of
from aioredisca.storage.schema import IDS_ENTRY, Compound, FieldSpec, Schema

_COLLECTIONS = {"list": b"list", "set": b"set", "sorted": b"zset", "hash": b"hash", "counter": b"string"}
"""What TYPE says of the keys of a collection, by what its handle is called."""


@dataclass(frozen=True, slots=True)
class Place:
    """A key of an index, or the keys that begin alike and end in a value.

    ``entry``   the index as signatures name it.
    ``shown``   the key, with ``*`` in the place of the value.
    ``index``   what makes its entries; None of the set of all ids.
    ``fields``  the hash fields that it is of.
    ``claims``  whether it holds claims on unique values.
    """

    entry: str
    shown: str
    kind: KeyType
    index: FieldSpec | Compound | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        if self.index is None:
            return ()
        return (self.index.key,) if isinstance(self.index, FieldSpec) else self.index.fields

    @property
    def claims(self) -> bool:
        return self.entry[0] in "uU"

    @property
    def unvalued(self) -> bool:
        """Whether it holds the ids of records without a value."""
        return self.kind == "set" and not self.shown.endswith("*")

    @property
    def ids(self) -> bool:
        return self.entry == IDS_ENTRY

    @property
    def texts(self) -> bool:
        """Whether members are values with an id behind them."""
        return self.entry[0] == "s" and self.kind == "zset"


class Layout:
    """The places of one class in one database, but for the indexes that the store calls *unbuilt*."""

    def __init__(self, mapper: Any, schema: Schema, unbuilt: frozenset[str]) -> None:
        self.mapper, self.schema = mapper, schema
        self.unbuilt = unbuilt & schema.index_entries
        self.fixed, self._stems = dict[bytes, Place](), list[tuple[bytes, Place]]()
        indexes: dict[str, FieldSpec | Compound] = {one.entry: one for one in schema.compounds}
        indexes.update({entry: one for one in schema.indexes for entry in one.entries})
        for entry in schema.index_entries:
            places = places_of(schema.keys, frozenset([entry]))
            for key, kind in places.fixed.items():
                self.fixed[key.encode()] = Place(entry, key, kind, indexes.get(entry))
            for stem, kind in places.stems.items():
                self._stems.append((stem.encode(), Place(entry, f"{stem}*", kind, indexes.get(entry))))
        self._base = schema.keys.base.encode()
        self._collections = {
            schema.keys.collection(one.key, "").encode(): _COLLECTIONS[one.__kind__]
            for one in mapper.collections.values()
        }
        self.references: list[Any] = [one for one in mapper.fields.values() if isinstance(one, Reference)]
        own = [schema.keys.meta, schema.keys.bad, schema.keys.lease, schema.keys.dirty]
        own += [f"{schema.keys.journal}{end}" for end in ("", "/left", "/lease")]
        if schema.feed:
            own.append(schema.keys.feed)
        if schema.expires:
            own += [schema.keys.moments, schema.keys.notes]
        if schema.claimed:
            own += [schema.keys.epochs, schema.keys.owed, *map(schema.keys.claims, schema.claimed)]
        self.own = frozenset(key.encode() for key in own)
        """The keys beside records, indexes and collections."""
        self._imports = schema.keys.imported("").encode()

    def is_own(self, key: bytes) -> bool:
        """Whether *key* is one of those that the library keeps beside them, for a while perhaps."""
        return key in self.own or key.startswith(self._imports)

    def of(self, key: bytes) -> Place:
        """The place that *key* is at. LookupError for what is none of an index."""
        found = self.find(key)
        if found is None:
            raise LookupError(key)
        return found

    def find(self, key: bytes) -> Place | None:
        """The same, None for what is none."""
        if place := self.fixed.get(key):
            return place
        return next((place for stem, place in self._stems if key.startswith(stem)), None)

    def owner(self, key: bytes) -> tuple[bytes, bytes] | None:
        """Of a key of a collection: the type that it must have, and the id of its record."""
        found = [stem for stem in self._collections if key.startswith(stem)]
        stem = max(found, key=len, default=b"")
        return (self._collections[stem], key[len(stem) :]) if stem else None

    def shown(self, key: bytes) -> str:
        """A key that is nobody's, without what may be a value in it."""
        text = key.decode("utf-8", "backslashreplace")
        parts = text[len(self._base.decode()) :].split("/")
        return text if len(parts) < 4 else f"{self._base.decode()}{'/'.join(parts[:3])}/*"

    def compared(self, wanted: Mapping[Entry, bytes]) -> dict[Entry, bytes]:
        """Those entries that stand in built indexes."""
        if not self.unbuilt:
            return {**wanted}
        return {one: held for one, held in wanted.items() if self.of(one[0]).entry not in self.unbuilt}
