"""What a record demands of the indexes of its class, and where each index lies: docs/storage.md as functions.

Writes make entries in Lua, from what changes. This is the same seen from the record as a whole, for what
compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from aioredisca.storage.keys import Keys, joined, long_digest, sortable
from aioredisca.storage.schema import IDS_ENTRY, FieldSpec, Schema, fields_of
from aioredisca.types import Raw

KeyType = Literal["set", "zset", "hash"]

Entry = tuple[bytes, bytes]
"""A key and a member of it (of a hash: a field of it)."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where indexes lie: keys of one name each, and what the keys begin with that name values."""

    fixed: dict[str, KeyType] = field(default_factory=dict[str, KeyType])
    stems: dict[str, KeyType] = field(default_factory=dict[str, KeyType])

    def without(self, other: Places) -> Places:
        """Those that are not of the *other* ones too."""
        return Places(
            {key: kind for key, kind in self.fixed.items() if key not in other.fixed},
            {stem: kind for stem, kind in self.stems.items() if stem not in other.stems},
        )


def places_of(keys: Keys, entries: frozenset[str]) -> Places:
    """Where the indexes lie that a signature calls *entries*."""
    found = Places()
    for entry in entries:
        _add_places(keys, entry, found)
    return found


def _add_places(keys: Keys, entry: str, found: Places) -> None:
    kind, _, name = entry.partition(":")
    if entry == IDS_ENTRY:
        found.fixed[keys.ids] = "zset"
    elif kind == "u":
        found.fixed[keys.unique(name)] = "hash"
    elif kind == "U":
        found.fixed[keys.unique_together(fields_of(entry))] = "hash"
    elif kind == "c":
        first, second = fields_of(entry)
        found.stems[keys.compound(first, second, b"").decode()] = "zset"
    elif kind == "r":
        found.fixed[keys.range(name)] = "zset"
    elif kind == "s":
        found.fixed[keys.sorted(name)] = "zset"
    elif kind == "n":
        found.fixed[keys.none(name)] = "set"
    elif kind in ("x", "t"):
        found.stems[keys.values(name)] = "set"
    if kind == "x":
        found.fixed[keys.digests(name)] = "hash"
        found.stems[keys.long_values(name)] = "set"


def owner_of(schema: Schema, key: bytes, member: bytes, content: bytes) -> bytes:
    """The id of the record that an entry is of; *content* is what a hash holds at *member*."""
    base = schema.keys.base.encode()
    if key.startswith(base + b"/u/"):
        return content
    if key.startswith(base + b"/s/"):
        return member.partition(b"\0")[2]
    return member


def demanded(schema: Schema, id: str, stored: Raw) -> set[Entry]:
    """All entries that a record with these tracked values must have. What cannot be read has none."""
    keys, member = schema.keys, id.encode("utf-8", "surrogateescape")
    found = {(keys.ids.encode(), member)}
    for spec in schema.indexes:
        found.update(_of_field(keys, spec, member, stored.get(spec.key)))
    for compound in schema.compounds:
        values = [value for name in compound.fields if (value := stored.get(name)) is not None]
        if len(values) < len(compound.fields):
            continue
        if compound.unique:
            found.add((keys.unique_together(compound.fields).encode(), joined(values)))
        elif _has_score(schema.by_key[compound.fields[1]], values[1]):
            first, second = compound.fields
            found.add((keys.compound(first, second, values[0]), member))
    return found


def _of_field(keys: Keys, spec: FieldSpec, member: bytes, value: bytes | None) -> Iterator[Entry]:
    if value is None:
        if spec.nullable:
            yield keys.none(spec.key).encode(), member
        return
    if spec.unique:
        yield keys.unique(spec.key).encode(), value
    if spec.index == "exact":
        yield keys.exact(spec.key, value), member
        if long_digest(value):
            yield keys.digests(spec.key).encode(), member
    elif spec.index == "sorted":
        yield keys.sorted(spec.key).encode(), sortable(value) + b"\0" + member
    elif spec.index == "range" and _has_score(spec, value):
        yield keys.range(spec.key).encode(), member
    elif spec.index == "tags":
        for element in _elements(spec, value):
            yield keys.values(spec.key).encode() + element, member


def _has_score(spec: FieldSpec, value: bytes) -> bool:
    try:
        spec.extra(value)
    except ValueError:
        return False
    return True


def _elements(spec: FieldSpec, value: bytes) -> tuple[bytes, ...]:
    try:
        return spec.elements(value) if spec.elements else ()
    except ValueError:
        return ()
