"""What a record demands of the indexes of its class, and where each index lies: docs/storage.md as functions.

Writes make entries in Lua, from what changes. This is the same seen from the record as a whole, for what
compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from aioredisca.storage.keys import Keys, joined, long_digest, sortable
from aioredisca.storage.schema import IDS_ENTRY, Compound, FieldSpec, Schema, fields_of
from aioredisca.types import Raw

KeyType = Literal["set", "zset", "hash", "stream"]

Entry = tuple[bytes, bytes]
"""A key and a member of it (of a hash: a field of it)."""

_NO_SCORE = b"0"
"""Of the members of a sorted set that is in the order of their bytes."""


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
    return set(contents(schema, id, stored))


def contents(schema: Schema, id: str, stored: Raw) -> dict[Entry, bytes]:
    """The same, each with what stands there: a score, what a hash holds; of a set nothing."""
    member = id.encode("utf-8", "surrogateescape")
    found = {(schema.keys.ids.encode(), member): _NO_SCORE}
    indexes: tuple[FieldSpec | Compound, ...] = (*schema.indexes, *schema.compounds)
    for one in indexes:
        found.update(contents_of(schema, one, member, stored))
    return found


def contents_of(
    schema: Schema, one: FieldSpec | Compound, member: bytes, stored: Raw
) -> Iterator[tuple[Entry, bytes]]:
    """Those of one index, of the record with the id *member*; *stored* needs no other fields than its own."""
    if isinstance(one, FieldSpec):
        return _of_field(schema.keys, one, member, stored.get(one.key))
    return _of_compound(schema, one, member, stored)


def _of_compound(
    schema: Schema, compound: Compound, member: bytes, stored: Raw
) -> Iterator[tuple[Entry, bytes]]:
    values = [value for name in compound.fields if (value := stored.get(name)) is not None]
    if len(values) < len(compound.fields):
        return
    if compound.unique:
        yield (schema.keys.unique_together(compound.fields).encode(), joined(values)), member
    elif (score := _score(schema.by_key[compound.fields[1]], values[1])) is not None:
        first, second = compound.fields
        yield (schema.keys.compound(first, second, values[0]), member), score


def _of_field(
    keys: Keys, spec: FieldSpec, member: bytes, value: bytes | None
) -> Iterator[tuple[Entry, bytes]]:
    if value is None:
        if spec.nullable:
            yield (keys.none(spec.key).encode(), member), b""
        return
    if spec.unique:
        yield (keys.unique(spec.key).encode(), value), member
    if spec.index == "exact":
        yield (keys.exact(spec.key, value), member), b""
        if digest := long_digest(value):
            yield (keys.digests(spec.key).encode(), member), digest.encode()
    elif spec.index == "sorted":
        yield (keys.sorted(spec.key).encode(), sortable(value) + b"\0" + member), _NO_SCORE
    elif spec.index == "range" and (score := _score(spec, value)) is not None:
        yield (keys.range(spec.key).encode(), member), score
    elif spec.index == "tags":
        for element in _elements(spec, value):
            yield (keys.values(spec.key).encode() + element, member), b""


def _score(spec: FieldSpec, value: bytes) -> bytes | None:
    """What a range index orders *value* by; nothing where it cannot be read."""
    try:
        return (spec.extra(value) or value.decode()).encode()
    except ValueError:
        return None


def _elements(spec: FieldSpec, value: bytes) -> tuple[bytes, ...]:
    try:
        return spec.elements(value) if spec.elements else ()
    except ValueError:
        return ()
