"""What a class stores, as frozen data: the hash fields, their indexes, the keys and the signature.

A schema is made from a class once per version of the class and database (model/mapper.py), and is all that
the compiler knows of a class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, KeysView, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

from aioredisca.storage.keys import LONG_VALUE, MARKER, MOMENT, Keys, long_digest
from aioredisca.storage.moments import score
from aioredisca.storage.partitions import partition_of, partition_of_id, tags
from aioredisca.storage.resp import layout
from aioredisca.types import CacheRegion, Raw

if TYPE_CHECKING:
    from aioredisca.compiler.batches import WriteLayouts
    from aioredisca.compiler.rendering import Rendered
    from aioredisca.query.lookup import Lookup

LAYOUT = "2"
"""Version of the storage layout, first in every signature."""

IndexKind = Literal["exact", "range", "sorted", "tags"]
"""exact: a set per value. range: by score. sorted: text by its bytes. tags: a set per element."""

_LETTERS: dict[IndexKind, str] = {"exact": "x", "range": "r", "sorted": "s", "tags": "t"}

Converter = Callable[[str], "str | None"]
"""Makes the stored text of another hash field from that of one; None where it is to hold nothing."""

IDS_ENTRY = "i:"
"""The set of all ids, as signatures name it."""

COLLECTION_ENTRY = "l:"
"""What the entry of a collection starts with."""

EXPIRY_ENTRY = "e:"
"""That records may end, as signatures name it."""

FEED_ENTRY = "F:"
"""That changes are told in a stream, as signatures name it."""

UNBUILT = (COLLECTION_ENTRY, EXPIRY_ENTRY, FEED_ENTRY)
"""What entries begin with that are no indexes: nothing of them is built from the records."""

_FIELDS_END = "f:"
"""That fields may end, in the name of a schema."""


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One declared hash field.

    ``score`` gives the text of the number that a range index orders a stored value by, ``elements`` the
    encoded elements of a stored value that an index of elements knows it by. ``indexable`` tells whether
    there is an index that a field of its kind could have. ``ttl`` is how many milliseconds a value lasts, 0
    if until it is told to end, None if it never ends by itself. ``secret``: no feed has its values.
    """

    key: str
    unique: bool = False
    index: IndexKind | None = None
    required: bool = False
    score: Callable[[bytes], str] | None = field(default=None, compare=False, repr=False)
    elements: Callable[[bytes], tuple[bytes, ...]] | None = field(default=None, compare=False, repr=False)
    indexable: bool = field(default=True, compare=False, repr=False)
    ttl: int | None = field(default=None, compare=False, repr=False)
    secret: bool = field(default=False, compare=False, repr=False)
    also: Mapping[str, Converter | None] = field(
        default_factory=dict[str, Converter | None], compare=False, repr=False
    )
    """Other hash fields that each value is written to as well, and what makes the text that stands there."""
    nullable: bool = field(init=False, compare=False, repr=False)
    """Whether the index keeps a set of the ids without a value."""
    unique_entry: str = field(init=False, compare=False, repr=False)
    """The index of its claims as signatures name it, ``u:name``; empty if there is none."""
    index_entry: str = field(init=False, compare=False, repr=False)
    """That of its values, for example ``x:name``."""
    none_entry: str = field(init=False, compare=False, repr=False)
    """The set of the ids without a value, ``n:name``."""
    entries: tuple[str, ...] = field(init=False, compare=False, repr=False)
    """All of these that there are."""

    def __post_init__(self) -> None:
        """Every query asks for these."""
        nullable = self.index is not None and not self.required
        unique = f"u:{self.key}" if self.unique else ""
        index = f"{_LETTERS[self.index]}:{self.key}" if self.index else ""
        none = f"n:{self.key}" if nullable else ""
        object.__setattr__(self, "nullable", nullable)
        object.__setattr__(self, "unique_entry", unique)
        object.__setattr__(self, "index_entry", index)
        object.__setattr__(self, "none_entry", none)
        object.__setattr__(self, "entries", tuple(filter(None, (unique, index, none))))

    @property
    def indexed(self) -> bool:
        return self.unique or self.index is not None

    def extra(self, raw: bytes) -> str:
        """What a write sends along with a value: its score, the digest of a long value, or nothing."""
        if self.index == "range" and self.score:
            return self.score(raw)
        return long_digest(raw) if self.index == "exact" and len(raw) > LONG_VALUE else ""


ENDS = FieldSpec(MOMENT, index="range", score=score)
"""The moment at which a record ends, as queries ask for it. It stands in ``Keys.moments`` alone."""


@dataclass(frozen=True, slots=True)
class Compound:
    """An index over several hash fields, by ``conf(unique=[...])`` or ``conf(index=[...])``.

    Unique: no two records hold the same values together. Else: two fields, the records of one value of the
    first by the score of the second, which has a range index of its own.
    """

    fields: tuple[str, ...]
    unique: bool = False

    @property
    def entry(self) -> str:
        """As the signature names it: each field with its length, for any character may stand in a name."""
        return ("U:" if self.unique else "c:") + "".join(f"{len(name)}:{name}" for name in self.fields)


@dataclass(slots=True)
class Compiled:
    """What is made once of a schema, and dies with it.

    ``rendered``  the class as Lua text, by the number of its first fixed key.
    ``writes``    the layouts of its write calls.
    ``lookups``   its prepared look-ups, by kind of index and hash field.
    """

    rendered: dict[int, Rendered] = field(default_factory=dict[int, "Rendered"])
    writes: WriteLayouts | None = None
    lookups: dict[tuple[str, str], Lookup] = field(default_factory=dict[tuple[str, str], "Lookup"])


class Part(NamedTuple):
    """What a partition is one of: the keys of the class without partitions, and how many there are."""

    whole: Keys
    partitions: int


@dataclass(frozen=True, eq=False)
class Schema:
    """The storage of one class in one database. One object per version of the class, so it is its own key."""

    model: str
    keys: Keys
    fields: tuple[FieldSpec, ...]
    compounds: tuple[Compound, ...] = ()
    collections: tuple[str, ...] = ()
    cache: int = 0
    expires: bool = False
    """Whether records may end by themselves."""
    feed: int = 0
    """How many changes the feed keeps at least; 0 where there is none."""
    auto_build: int | None = None
    """How many records there may be for any process to build what is not ready."""
    parts: tuple[Schema, ...] = field(default=(), repr=False)
    """The class in each of its partitions, where it has such: then nothing but its meta is kept here."""
    part: Part | None = None
    """Of a partition: of what it is one."""
    moving: str = ""
    """An entry that only who moves the records here keeps, so that nobody else may write; empty as a rule."""
    compiled: Compiled = field(default_factory=lambda: Compiled(), repr=False)
    """What the floors above make of it once and keep as long as it lives."""

    def of(self, id: str) -> Schema:
        """The class where the record of *id* is: in its partition, if there are such."""
        parts = self.parts
        return parts[partition_of_id(id, len(parts))] if parts else self

    @property
    def tells(self) -> int:
        """How many changes the feed is to keep of those that writes tell; 0 where they tell none, as who
        moves records to another place does not: that changes none of them."""
        return 0 if self.moving else self.feed

    @property
    def all_parts(self) -> tuple[Schema, ...]:
        """The class in every place where it has records."""
        return self.parts or (self,)

    @cached_property
    def cache_region(self) -> CacheRegion | None:
        """Where loaded records may be remembered: nowhere, if they, or their fields, may end meanwhile."""
        ends = self.expires or self.field_ttls
        return CacheRegion(self.keys.base, self.cache) if self.cache and not ends else None

    @cached_property
    def field_ttls(self) -> dict[str, int]:
        """The fields that may end by themselves, each with its ``ttl``."""
        return {spec.key: spec.ttl for spec in self.fields if spec.ttl is not None}

    @cached_property
    def mirrors(self) -> dict[str, Mapping[str, Converter | None]]:
        """The fields whose values are written to other hash fields as well: see ``Field(also=)``."""
        return {spec.key: spec.also for spec in self.fields if spec.also}

    @cached_property
    def by_key(self) -> dict[str, FieldSpec]:
        return {spec.key: spec for spec in self.fields}

    @cached_property
    def asked(self) -> dict[str, FieldSpec]:
        """What queries may ask for, by hash field: the declared fields, and when records end, if they do."""
        return {**self.by_key, MOMENT: ENDS} if self.expires else self.by_key

    @cached_property
    def indexes(self) -> tuple[FieldSpec, ...]:
        return tuple(spec for spec in self.fields if spec.indexed)

    @cached_property
    def scores(self) -> dict[str, Callable[[bytes], str]]:
        """What scores the values of each field with a range index."""
        return {spec.key: spec.score or spec.extra for spec in self.fields if spec.index == "range"}

    @cached_property
    def exact(self) -> tuple[str, ...]:
        """The fields with an exact index."""
        return tuple(spec.key for spec in self.fields if spec.index == "exact")

    @cached_property
    def tracked(self) -> tuple[FieldSpec, ...]:
        """The fields whose changes the write script must know: indexed ones and members of compounds."""
        members = {name for compound in self.compounds for name in compound.fields}
        return tuple(spec for spec in self.fields if spec.indexed or spec.key in members)

    @cached_property
    def tracked_keys(self) -> KeysView[str]:
        """Their hash fields."""
        return dict.fromkeys(spec.key for spec in self.tracked).keys()

    @cached_property
    def short(self) -> frozenset[str]:
        """The fields whose values stand in members or key names as they are: at most 512 bytes."""
        firsts = {compound.fields[0] for compound in self.compounds if not compound.unique}
        return frozenset(firsts | {spec.key for spec in self.fields if spec.index == "sorted"})

    def check_indexable(self, key: str, raw: bytes) -> None:
        """ValueError where the indexes cannot hold the value *raw* of the hash field *key*."""
        spec = self.by_key[key]
        spec.extra(raw)
        names = spec.elements(raw) if spec.elements else (raw,) if key in self.short else ()
        if any(len(name) > LONG_VALUE for name in names):
            raise ValueError(f"has more than {LONG_VALUE} bytes")

    @cached_property
    def required(self) -> tuple[str, ...]:
        return tuple(spec.key for spec in self.fields if spec.required)

    @cached_property
    def read_fields(self) -> tuple[str, ...]:
        """What a load asks for: the declared fields, and the marker of records that hold none of them.

        A class with required fields, too: they may be younger than the record.
        """
        return (*(spec.key for spec in self.fields), MARKER)

    @cached_property
    def name(self) -> tuple[str, str]:
        """What two schemas share that are one to the store.

        That fields end is in no signature, for no index knows of it; but it takes a server that can do so.
        """
        return (self.keys.base, f"{self.signature}/{_FIELDS_END}" if self.field_ttls else self.signature)

    @cached_property
    def records(self) -> str:
        """What every record key starts with."""
        return self.keys.records

    @cached_property
    def places(self) -> dict[str, int]:
        """Where a load puts each declared field among the values that it reads."""
        return {spec.key: place for place, spec in enumerate(self.fields)}

    @cached_property
    def load_form(self) -> bytes:
        """The command that loads the declared fields of a record, but for its key."""
        return layout(("HMGET", None, *self.read_fields))

    @cached_property
    def blank(self) -> Raw:
        """The declared fields of a record that holds none."""
        return dict.fromkeys(self.by_key)

    @cached_property
    def entries(self) -> frozenset[str]:
        """What the store keeps beside the records: the indexes, the collections, when they end."""
        collections = {COLLECTION_ENTRY + name for name in self.collections}
        flags = {EXPIRY_ENTRY: self.expires, FEED_ENTRY: self.feed, self.moving: self.moving}
        return self.index_entries | collections | {entry for entry, there in flags.items() if there}

    @cached_property
    def index_entries(self) -> frozenset[str]:
        """What can be built from the records."""
        single = (entry for spec in self.indexes for entry in spec.entries)
        return frozenset([IDS_ENTRY, *single, *(compound.entry for compound in self.compounds)])

    @cached_property
    def signature(self) -> str:
        """Layout version and all indexes; ``/`` separates, because no indexed field holds one."""
        return "/".join([LAYOUT, *sorted(self.entries)])

    @cached_property
    def version(self) -> str:
        """What names the signature in meta: 16 hex digits of its SHA-256."""
        return hashlib.sha256(self.signature.encode()).hexdigest()[:16]

    @cached_property
    def permit(self) -> str:
        """The field of meta that tells whether this version may write."""
        return f"w:{self.version}"

    @cached_property
    def storage(self) -> tuple[object, ...]:
        """What two classes on one prefix must agree on."""
        mirrors = {key: [*also] for key, also in self.mirrors.items()}
        return (self.keys, self.signature, self.required, self.field_ttls.keys(), mirrors, len(self.parts))

    @cached_property
    def claimed(self) -> dict[str, tuple[str, ...]]:
        """The uniques of a class with partitions, which hold over all of these by claims: hash fields, by
        what :meth:`Keys.claims` calls them."""
        if not self.parts and self.part is None:
            return {}
        single = ((spec.key,) for spec in self.fields if spec.unique)
        together = (one.fields for one in self.compounds if one.unique)
        return {"/".join(fields): fields for fields in (*single, *together)}

    @cached_property
    def siblings(self) -> tuple[Schema, ...]:
        """The class in all of its partitions, of a partition as well."""
        return self.all_parts

    def place_of_claim(self, value: bytes) -> Schema:
        """The partition that has the claims on *value*."""
        return self.siblings[partition_of(value, len(self.siblings))]

    def place_of_record(self, id: str) -> Schema:
        """The partition that has the record of *id*: as :meth:`of`, of a partition as well."""
        return self.siblings[partition_of_id(id, len(self.siblings))]

    @cached_property
    def fixed_keys(self) -> tuple[str, ...]:
        """Every key that no value is part of, in the order that the write script numbers them."""
        single = (key for spec in self.tracked for _, key in self.slots(spec))
        together = (self.keys.unique_together(c.fields) for c in self.compounds if c.unique)
        claims = (self.keys.epochs, self.keys.owed) if self.claimed else ()
        feed = (self.keys.feed,) if self.feed else ()
        ends = (self.keys.moments, self.keys.notes) if self.expires else ()
        return (self.keys.meta, self.keys.ids, *single, *together, *claims, *feed, *ends)

    def with_dependents(self, entries: frozenset[str]) -> frozenset[str]:
        """*entries* and the compound indexes that take their scores from one of them."""
        return entries | {
            compound.entry
            for compound in self.compounds
            if not compound.unique and self.by_key[compound.fields[1]].index_entry in entries
        }

    def slots(self, spec: FieldSpec) -> tuple[tuple[str, str], ...]:
        """The fixed keys of one index, by what the write script calls them."""
        keys = self.keys
        found = [("unique", keys.unique(spec.key))] if spec.unique else []
        if spec.index == "range":
            found.append(("range", keys.range(spec.key)))
        if spec.index == "sorted":
            found.append(("sorted", keys.sorted(spec.key)))
        if spec.index == "exact":
            found.append(("digests", keys.digests(spec.key)))
        if spec.nullable:
            found.append(("none", keys.none(spec.key)))
        return tuple(found)


def spread(schema: Schema, partitions: int) -> Schema:
    """*schema* with so many partitions, which are alike but for their keys: the same scripts write them."""
    keys, alike, of = schema.keys, dict[int, "Rendered"](), Part(schema.keys, partitions)
    parts = [
        replace(schema, keys=replace(keys, tag=tag), part=of, compiled=Compiled(rendered=alike))
        for tag in tags(keys.prefix, partitions)
    ]
    for part in parts:
        part.__dict__["siblings"] = (*parts,)
        part.__dict__["cache_region"] = schema.cache_region  # so many records in all
    return replace(schema, parts=tuple(parts))


OnDelete = Literal["cascade", "restrict", "nullify"]
"""What becomes of a record when one that it refers to is deleted."""


@dataclass(frozen=True, slots=True)
class Referrer:
    """A reference that a delete must look at: its class and field, and what it is to do.

    ``base``   key base of the class that is referred to.
    ``stem``   what the stored value has before the id.
    ``label``  class and attribute, for errors.
    """

    base: str
    schema: Schema
    field: str
    stem: str
    action: OnDelete
    label: str


def entries_of(signature: str) -> frozenset[str]:
    """The indexes that a stored signature names."""
    return frozenset(signature.split("/")[1:]) if signature else frozenset()


def fields_of(entry: str) -> tuple[str, ...]:
    """The hash fields that the name of a compound index holds, each after its length."""
    found, rest = list[str](), entry[2:]
    while rest:
        size, _, rest = rest.partition(":")
        found.append(rest[: int(size)])
        rest = rest[int(size) :]
    return tuple(found)
