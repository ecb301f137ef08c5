"""Changes -> script arguments, replies -> values. Pure: nothing here awaits. Queries: planner.py."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

from aioredisca.compiler import batches as groups
from aioredisca.compiler.scripts import (
    WRITE_PARTS,
    Rendered,
    obtain_script,
    referrer,
    rendered,
    rendered_for_cascade,
    stored,
    write_script,
)
from aioredisca.storage.keys import MARKER, id_text, joined
from aioredisca.storage.schema import Referrer, Schema, entries_of
from aioredisca.types import Arg, Call, Raw, Reply, Script

Mode = Literal["create", "update", "upsert", "delete", "index", "incr"]

MAX_BATCH = 5000
"""Records of one atomic write."""


# -- writes ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Increment:
    """What to add to the number in the hash field *key*, and the bounds of the result.

    Numbers are whole: units of the last of *places* decimal places.
    """

    key: str
    by: int
    low: int | None = None
    high: int | None = None
    places: int = 0

    def arguments(self) -> list[Arg]:
        """The end of a row, as ``count.lua`` reads it."""
        return [self.by, *("" if bound is None else bound for bound in (self.low, self.high)), self.places]


@dataclass(slots=True)
class Change:
    """What one save or delete asks of the server.

    Mode "incr" goes with an *increment*, a delete with the *referrers* that it reaches.
    """

    schema: Schema
    id: str
    mode: Mode
    sets: dict[str, bytes] = field(default_factory=dict[str, bytes])
    drops: tuple[str, ...] = ()
    expect: Raw = field(default_factory=dict[str, "bytes | None"])
    again: bool = False
    skip: bool = False
    """Whether the server passes over a record that is not as expected, instead of refusing all."""
    increment: Increment | None = None
    referrers: tuple[Referrer, ...] = ()


def write_call(changes: Sequence[Change]) -> Call:
    """One script call that writes all *changes* of one database, or none."""
    if len(changes) == 1 and (single := groups.single(changes[0])):
        return single
    script, fixed, numbers, cascades = _composed(changes)
    records = [change.schema.keys.record(change.id) for change in changes]
    return _call(script, (*fixed, *records), groups.grouped(changes, numbers, alone=cascades), writes=True)


def obtain_call(create: Change, update: Change | None, key: Mapping[str, bytes]) -> Call:
    """One script call: *create*, unless a record holds the unique values of *key*; then *update* that one.

    A record that was there is answered with its ``read_fields``.
    """
    schema = create.schema
    changes = [create] if update is None else [create, update]
    script, fixed, numbers, _ = _composed(changes, obtains=True)
    arguments = groups.grouped(changes, numbers, alone=True)
    arguments += [*_unique_index(schema, key), *schema.read_fields]
    records = [schema.keys.record(create.id)] * len(changes)
    return _call(script, (*fixed, *records), arguments, writes=True)


def collect_call(schema: Schema, id: str, name: str, command: Sequence[Arg]) -> Call:
    """One script call: *command* on the collection *name* of a record, if there is that record."""
    keys = schema.keys
    arguments: list[Arg] = [schema.signature, *command]
    return _call(
        stored("collect"), (keys.meta, keys.record(id), keys.collection(name, id)), arguments, writes=True
    )


def collect_outcome(reply: Reply) -> Reply | Refusal:
    """What the command answered, or why it did not run."""
    return _refusal(reply) or reply[1]


def _unique_index(schema: Schema, key: Mapping[str, bytes]) -> list[Arg]:
    """The unique index of the fields in *key*, as ``obtain.lua`` reads it, with their values."""
    names = next((c.fields for c in schema.compounds if c.unique and {*c.fields} == {*key}), None)
    if names is None:
        ((name, value),) = key.items()
        return [schema.fixed_keys.index(schema.keys.unique(name)) + 1, value, 1, name, value]
    values = [key[name] for name in names]
    number = schema.fixed_keys.index(schema.keys.unique_together(names)) + 1
    return [number, joined(values), len(names), *names, *values]


def _composed(
    changes: Sequence[Change], *, obtains: bool = False
) -> tuple[Script, Sequence[Arg], dict[str, int], bool]:
    """The script for *changes*, its fixed keys, the numbers of classes by key base, whether it cascades."""
    referrers = referrers_in(changes)
    parts = _parts(changes, cascades=bool(referrers))
    schemas = [schema for _, schema in sorted(schemas_of(changes, referrers).items())]
    numbers = {schema.keys.base: number for number, schema in enumerate(schemas, 1)}
    fixed, classes = list[Arg](), list[Rendered]()
    for schema in schemas:
        first, base = len(fixed) + 1, schema.keys.base
        known = [referrer(one, numbers[one.schema.keys.base]) for one in referrers if one.base == base]
        classes.append(rendered_for_cascade(schema, first, known) if referrers else rendered(schema, first))
        fixed += schema.fixed_keys
    script = obtain_script(tuple(classes)) if obtains else write_script(tuple(classes), parts)
    return script, fixed, numbers, bool(referrers)


def _parts(changes: Sequence[Change], *, cascades: bool) -> tuple[str, ...]:
    """What the script needs beside what every write does."""
    counts = any(change.increment for change in changes)
    return tuple(name for name, wanted in zip(WRITE_PARTS, (counts, cascades), strict=True) if wanted)


def schemas_of(changes: Sequence[Change], referrers: Sequence[Referrer]) -> dict[str, Schema]:
    """The schemas of all classes that *changes* reach, by key base; *referrers* are those in them."""
    found = {change.schema.name[0]: change.schema for change in changes}
    return {one.schema.name[0]: one.schema for one in referrers} | found if referrers else found


def referrers_in(changes: Sequence[Change]) -> list[Referrer]:
    """The references that the deletes among *changes* reach, each once."""
    closures = {id(change.referrers): change.referrers for change in changes if change.referrers}
    return [*dict.fromkeys(chain(*closures.values()))] if closures else []


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the server wrote nothing: the code of ``write.lua``, the place of the change, the details."""

    code: str
    place: int
    details: tuple[str, ...]


Outcome = bool | bytes | None
"""What became of a change: whether it created (or deleted) something, or the new text of its number.

None where it was passed over.
"""

_OUTCOMES: dict[int, Outcome] = {0: False, 1: True, 2: None}


def write_outcome(reply: Reply) -> list[Outcome] | Refusal:
    """The outcome of each change, or why nothing was written."""
    return _refusal(reply) or [_OUTCOMES[flag] if type(flag) is int else flag for flag in reply[1:]]


def single_outcome(reply: Reply) -> Outcome | Refusal:
    """The same of one change that counts nothing."""
    return _refusal(reply) or _OUTCOMES[reply[1]]


@dataclass(frozen=True, slots=True)
class Obtained:
    """The record that holds a unique value: its id, whether it was created, else its fields."""

    id: str
    created: bool
    fields: Raw


def obtain_outcome(schema: Schema, reply: Reply) -> Obtained | Refusal:
    """The record that *reply* names, or why nothing was written."""
    if refusal := _refusal(reply):
        return refusal
    fields = read_fields(schema.read_fields, reply[3:]) if reply[1] == 0 else None
    return Obtained(id_text(reply[2]), reply[1] == 1, fields or {})


def _refusal(reply: Reply) -> Refusal | None:
    if reply[0] == b"OK":
        return None
    return Refusal(
        reply[0].decode(), reply[1] - 1, tuple(text.decode("utf-8", "replace") for text in reply[2:])
    )


# -- the storage signature -------------------------------------------------------------------------


def probe_call(schema: Schema) -> Call:
    """Ask for the stored signature and for missing rights. Writes nothing that stays."""
    token = "probe-" + secrets.token_hex(8)
    keys = schema.keys
    checks: list[Arg] = ["h", keys.record(token), "z", keys.ids, "h", keys.meta]
    kinds = {"unique": "h", "range": "z", "sorted": "z", "digests": "h", "none": "s"}
    for spec in schema.indexes:
        for name, key in schema.slots(spec):
            checks += [kinds[name], key]
        if spec.index in ("exact", "tags"):
            checks += ["s", keys.exact(spec.key, token.encode())]
    for compound in schema.compounds:
        if compound.unique:
            checks += ["h", keys.unique_together(compound.fields)]
        else:
            first, second = compound.fields
            checks += ["r", keys.range(second), "z", keys.compound(first, second, token.encode())]
    arguments: list[Arg] = [token, *checks]
    return _call(stored("probe"), schema.fixed_keys, arguments, writes=True)


@dataclass(frozen=True, slots=True)
class Probe:
    """What :func:`probe_call` found: the meta hash, and (command, key) of each missing right."""

    signature: str
    unbuilt: frozenset[str]
    missing: tuple[tuple[str, str], ...]


def read_probe(reply: Reply) -> Probe:
    texts = [text.decode("utf-8", "replace") for text in reply]
    return Probe(
        texts[0],
        entries_of("/" + texts[1]) if texts[1] else frozenset(),
        tuple(zip(texts[2::2], texts[3::2], strict=True)),
    )


def declare_call(schema: Schema, seen: Probe, *, legacy: bool) -> Call:
    """Write the signature of *schema* over the one that was *seen*.

    Indexes that the store did not keep so far are unbuilt while there are records: those in the set of
    ids, or *legacy* ones that stand in no index at all.
    """
    added = schema.with_dependents(schema.index_entries - entries_of(seen.signature))
    behind = "/".join(sorted(seen.unbuilt | (schema.index_entries if legacy else added)))
    ahead = behind if legacy else "/".join(sorted(seen.unbuilt))
    arguments = [seen.signature, schema.signature, behind, ahead]
    return _call(stored("declare"), (schema.keys.meta, schema.keys.ids), arguments, writes=True)


def build_call(schema: Schema, seen: Probe, unbuilt: frozenset[str]) -> Call:
    """Write the signature of *schema* over the one that was *seen*, with exactly these indexes unbuilt."""
    behind = "/".join(sorted(unbuilt))
    arguments = [seen.signature, schema.signature, behind, behind]
    return _call(stored("declare"), (schema.keys.meta, schema.keys.ids), arguments, writes=True)


def meta_call(schema: Schema) -> Call:
    """Read the stored signature and the unbuilt indexes."""
    return Call(("HMGET", schema.keys.meta, "signature", "unbuilt"))


def read_meta(reply: Reply) -> Probe:
    signature, unbuilt = (text.decode() if text else "" for text in reply)
    return Probe(signature, entries_of("/" + unbuilt) if unbuilt else frozenset(), ())


# -- reads -----------------------------------------------------------------------------------------


def load_call(schema: Schema, id: str, fields: Sequence[str]) -> Call:
    return Call(("HMGET", schema.keys.record(id), *fields))


def record_call(schema: Schema, id: str) -> Call:
    """Load the declared fields of a record; the reply may be remembered, if the class wants it."""
    if schema.cache_region is not None:
        return Call(("HMGET", schema.records + id, *schema.read_fields), cache_region=schema.cache_region)
    key = (schema.records + id).encode("utf-8", "surrogateescape")
    return Call((), packed=schema.load_form % (len(key), key))


def records_call(wanted: Sequence[tuple[Schema, Sequence[str]]]) -> Call:
    """Load the declared fields of many records, which nobody remembers: the replies are one list."""
    commands = list[bytes]()
    for schema, ids in wanted:
        load, stem = schema.load_form, schema.records
        keys = [(stem + id).encode("utf-8", "surrogateescape") for id in ids]
        commands += [load % (len(key), key) for key in keys]
    return Call((), packed=b"".join(commands), commands=len(commands))


def load_all_call(schema: Schema, id: str) -> Call:
    return Call(("HGETALL", schema.keys.record(id)))


def exists_call(schema: Schema, id: str) -> Call:
    return Call(("EXISTS", schema.keys.record(id)))


def read_fields(fields: Sequence[str], values: Sequence[bytes | None]) -> Raw | None:
    """The fields of one record by name, or None where there is no such record."""
    if values.count(None) == len(values):
        return None
    raw = dict(zip(fields, values, strict=True))
    raw.pop(MARKER, None)
    return raw


def read_all_fields(schema: Schema, reply: Sequence[bytes]) -> Raw | None:
    """Every field of one record by name, declared ones always, or None where there is no such record."""
    if not reply:
        return None
    raw: Raw = dict.fromkeys(schema.by_key)
    raw.update(
        (name.decode("utf-8", "surrogateescape"), value)
        for name, value in zip(reply[::2], reply[1::2], strict=True)
    )
    raw.pop(MARKER, None)
    return raw


def _call(script: Script, keys: Sequence[Arg], arguments: Sequence[Arg], *, writes: bool = False) -> Call:
    return Call((*arguments,), script, (*keys,), writes)
