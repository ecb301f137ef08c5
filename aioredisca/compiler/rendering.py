"""A class as Lua text: its declaration, the calls for its indexes, and the fast paths for it.

Only class declarations enter a script, each through :func:`aioredisca.compiler.parts.quote`;
data comes in ARGV.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from aioredisca.compiler.fast_single import collection_keys, entries_of, fast_paths, tracked, witness
from aioredisca.compiler.parts import Part, listed, maker, quote
from aioredisca.errors import UsageError
from aioredisca.storage.keys import Keys
from aioredisca.storage.schema import Compound, FieldSpec, Referrer, Schema


@dataclass(frozen=True, slots=True)
class Rendered:
    """A class as Lua text: its declaration, how many fixed keys it has, and the calls for its indexes.

    ``judges`` answer a refusal or nothing, ``writes`` change one index each: see ``lua/write/indexes.lua``.
    ``kinds`` are the parts that have the functions. ``fences`` note what becomes of uniques which hold over
    all partitions. ``tells``: it has a feed. ``fast`` is what a script of this one class begins with.
    """

    declaration: str
    fixed: int
    judges: tuple[str, ...]
    writes: tuple[str, ...]
    kinds: frozenset[str]
    expires: bool
    fields_end: bool
    fences: tuple[str, ...]
    tells: bool
    fast: tuple[Part, ...] = field(hash=False)  # scripts are looked up by this class: keep that short


def rendered(schema: Schema, first: int) -> Rendered:
    """The class as Lua text; its fixed keys are numbered from *first* on (KEYS counts from 1)."""
    known = schema.compiled.rendered
    if first not in known:  # to write it out takes longer than to save a record
        known[first] = _rendered(schema, first, "")
    return known[first]


def rendered_for_cascade(schema: Schema, first: int, referrers: Sequence[str]) -> Rendered:
    """The same with what ``cascade.lua`` must know, and the references to it, see :func:`referrer`."""
    more = f"name={quote(schema.model)},{tracked(schema)}"
    return _rendered(schema, first, more + (f"referrers={{{','.join(referrers)}}}," if referrers else ""))


def _rendered(schema: Schema, first: int, more: str) -> Rendered:
    keys = {key: f"KEYS[{number}]" for number, key in enumerate(schema.fixed_keys, first)}
    fast = fast_paths(schema) if first == 1 and not (more or schema.feed) else ()
    if schema.tells:
        more += _told(schema)
    if schema.expires:
        more += entries_of(schema)
    calls = _Calls()
    for spec in schema.tracked:
        _call_field(calls, spec, {name: keys[key] for name, key in schema.slots(spec)})
    for compound in schema.compounds:
        _call_compound(calls, schema.keys, compound, keys)
    calls.writes.append(f"write_ids(list, {keys[schema.keys.ids]})")
    return Rendered(
        _declaration(schema, first, more),
        len(keys),
        tuple(calls.judges),
        tuple(calls.writes),
        _kinds(schema),
        schema.expires,
        bool(schema.field_ttls),
        tuple(_fence(of, fields) for of, fields in schema.claimed.items()),
        bool(schema.tells),
        fast,
    )


@dataclass(slots=True)
class _Calls:
    """The calls for the indexes of a class, by when they are made: see :class:`Rendered`."""

    judges: list[str] = field(default_factory=list[str])
    writes: list[str] = field(default_factory=list[str])


def _call_field(calls: _Calls, spec: FieldSpec, slots: Mapping[str, str]) -> None:
    """What an index of one field takes; *slots* are its fixed keys."""
    name = quote(spec.key)
    if spec.unique:
        calls.judges.append(f"claim(list, {slots['unique']}, {name}, change)")
    if spec.index:
        key = "" if spec.index == "tags" else ", " + slots["digests" if spec.index == "exact" else spec.index]
        calls.writes.append(f"write_{spec.index}(list, {name}{key})")
    if spec.nullable:
        calls.writes.append(f"write_none(list, {name}, {slots['none']})")


def _call_compound(calls: _Calls, names: Keys, compound: Compound, keys: Mapping[str, str]) -> None:
    """What an index of several fields takes; *keys* are all fixed keys."""
    fields = ", ".join(map(quote, compound.fields))
    if compound.unique:
        key = keys[names.unique_together(compound.fields)]
        calls.judges.append(f"claim(list, {key}, {{{fields}}}, change_together, held_together)")
    else:
        scores = keys[names.range(compound.fields[1])]
        calls.writes.append(f"write_pair(list, {fields}, {scores})")


def _fence(of: str, fields: Sequence[str]) -> str:
    if len(fields) == 1:
        return f"fence(list, {quote(of)}, {quote(fields[0])}, change)"
    return f"fence(list, {quote(of)}, {{{listed(fields)}}}, change_together)"


def _kinds(schema: Schema) -> frozenset[str]:
    kinds: set[str] = {spec.index for spec in schema.indexes if spec.index}
    if schema.compounds:
        kinds.add("compounds")
    if any(spec.unique for spec in schema.indexes) or any(one.unique for one in schema.compounds):
        kinds.add("unique")
    return frozenset(kinds)


def _declaration(schema: Schema, first: int, more: str) -> str:
    """The class as a Lua table. What few changes need is made by functions, for each call builds all."""
    lists = _missing(schema.required)
    lists += "" if schema.required else maker("declared", tuple(schema.by_key))
    if schema.collections:
        lists += f"collections=function(base, id) return {{{','.join(collection_keys(schema))}}} end,"
    if schema.field_ttls:
        ttls = ",".join(f"{{{quote(key)},{ttl}}}" for key, ttl in schema.field_ttls.items())
        lists += f"ttls=function() return {{{ttls}}} end,"
    head = f"meta={first},permit={quote(schema.permit)},witness={quote(witness(schema))}"
    return f"{{{head},base=false,list=false,{lists}{more}}}"


MAX_TOLD = 1000
"""Fields that an entry of a feed has, which is added by one command."""


def _told(schema: Schema) -> str:
    """How long the feed of a class is, and how it tells each field: see ``lua/shared/feed.lua``."""
    if len(schema.fields) > MAX_TOLD:
        raise UsageError(f"{schema.model}: a class with conf(feed=) has at most {MAX_TOLD:,} fields")
    signs = ",".join(f"[{quote(one.key)}]={quote('?' if one.secret else '=')}" for one in schema.fields)
    return f"feed={quote(str(schema.tells))},shown=function() return {{{signs}}} end,"


def _missing(required: Sequence[str]) -> str:
    """A function that answers the first required field without a value, left out where there is none."""
    loop = f"for _, field in ipairs({{{listed(required)}}}) do"
    body = f"{loop} if not columns[field] then return field end end"
    return f"missing=function(columns) {body} end," if required else ""


def referrer(one: Referrer, number: int) -> str:
    """A reference to a class, for its declaration; *number* is that of the class that refers."""
    return (
        f"{{class={number},field={quote(one.field)},stem={quote(one.stem)},"
        f"act={quote(one.action)},label={quote(one.label)}}}"
    )
