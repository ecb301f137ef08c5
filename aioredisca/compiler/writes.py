"""The calls that write, and what their replies mean. Pure: nothing here awaits. Batches: batches.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from aioredisca.compiler import batches, positions
from aioredisca.compiler.changes import NO_MORE, Add, Change, Fence, referrers_in, schemas_of
from aioredisca.compiler.loads import read_fields
from aioredisca.compiler.rendering import Rendered, referrer, rendered, rendered_for_cascade
from aioredisca.compiler.scripts import (
    WriteExtra,
    build_script,
    collect_script,
    field_end_script,
    get_or_create_script,
    sweep_script,
    take_script,
    write_script,
)
from aioredisca.storage.keys import id_text, joined
from aioredisca.storage.meta import STATE
from aioredisca.storage.replies import MISREAD, strange, write_reader
from aioredisca.storage.schema import Referrer, Schema
from aioredisca.types import Arg, Call, Raw, Reply, Script


def write_call(changes: Sequence[Change], fences: Sequence[Fence] = ()) -> Call:
    """One script call that writes all *changes* of one database, or none.

    *fences*: what was claimed for them, of a class whose uniques hold over all its partitions.
    """
    if len(changes) == 1 and len(fences) < 2:
        call = batches.fast_call(changes[0], *fences)
        if call is not None:
            return call
    referrers = referrers_in(changes)
    scope = _scope(changes, referrers)
    records = [change.schema.keys.record(change.id) for change in changes]
    parents = _numbered(changes, len(scope.fixed) + len(records))
    arguments = batches.grouped(changes, scope.numbers, parents, alone=bool(referrers))
    if changes and changes[0].schema.claimed:
        arguments += batches.fenced(fences)
    keys: list[Arg] = [*scope.fixed, *records, *parents]
    if after := [command for change in changes for command in change.after]:
        arguments += batches.afterwards(after, len(arguments), len(keys))
        keys += [command.key for command in after]
    if adds := [(number, add) for number, one in enumerate(changes, 1) if one.more for add in one.more.adds]:
        arguments += batches.collected(adds, len(arguments), len(keys))
        keys += [_collection(changes[number - 1], add) for number, add in adds]
    script = write_script(scope.classes, _extras(changes, referrers, parents))
    reaches = _reached([one.schema for one in referrers if one.action != "restrict"])
    return Call((*arguments,), script, (*keys,), writes=True, reaches=reaches)


def _collection(change: Change, add: Add) -> str:
    return change.schema.keys.collection(add.name, change.id)


def get_or_create_call(
    create: Change, update: Change | None, key: Mapping[str, bytes], waiting: Collection[str] = ()
) -> Call:
    """One script call: *create*, unless a record holds the unique values of *key*; then *update* that one.

    A record that was there is answered with its ``read_fields``. One of the ids *waiting* is not updated.
    """
    schema = create.schema
    changes = [create] if update is None else [create, update]
    scope = _scope(changes, ())
    records = [schema.keys.record(create.id)] * len(changes)
    parents = _numbered(changes, len(scope.fixed) + len(records))
    arguments = batches.grouped(changes, scope.numbers, parents, alone=True)
    held = waiting if update else ()
    arguments += [*_unique_index(schema, key, len(held)), *held, *schema.read_fields]
    script = get_or_create_script(scope.classes, _extras(changes, (), parents))
    reaches = _reached([schema] if update else ())
    return Call((*arguments,), script, (*scope.fixed, *records, *parents), writes=True, reaches=reaches)


@dataclass(frozen=True, slots=True)
class OneGroup:
    """The change of records that only the server finds: the arguments of one, and the keys beside theirs."""

    script: Script
    arguments: list[Arg] = field(repr=False)
    fixed: Sequence[Arg] = field(repr=False)
    parents: Sequence[Arg] = field(repr=False)
    reaches: tuple[str, ...]


def one_group(change: Change, most: int) -> OneGroup:
    """*change* for each of up to *most* records that the same script finds; see ``lua/take/take.lua``."""
    scope = _scope([change], ())
    parents = _numbered([change], len(scope.fixed) + most)
    _, *arguments = batches.grouped([change], scope.numbers, parents, alone=True)
    script = take_script(scope.classes, _extras([change], (), parents))
    return OneGroup(script, arguments, scope.fixed, (*parents,), _reached([change.schema]))


def build_call(schema: Schema, changes: Sequence[Change], step: Build) -> Call:
    """One script call that indexes records anew, as a *step* of a building."""
    one, fixed = rendered(schema, 1), schema.fixed_keys
    records = [schema.keys.record(change.id) for change in changes]
    arguments = batches.grouped(changes, {schema.keys.base: 1}, {}, alone=False)
    expects, entries = step.expects, sorted(step.entries)
    arguments += positions.Build(len(expects), len(entries), step.cursor, len(step.mended))
    arguments += [part for pair in expects.items() for part in pair]
    arguments += [*entries, *step.mended, *step.missing]
    keys = (*fixed, *records, schema.keys.bad)
    return Call((*arguments,), build_script(one), keys, writes=True, reaches=_reached([schema]))


@dataclass(frozen=True, slots=True)
class Build:
    """What a call of a building does beside indexing records.

    ``expects``  what meta must hold.
    ``entries``  those that are built.
    ``cursor``   how far they are now; empty to leave that.
    ``mended``   members of the set of what is missing that go from there.
    ``missing``  members that come.
    """

    expects: Mapping[str, str | bytes]
    entries: frozenset[str] = frozenset()
    cursor: bytes = b""
    mended: Sequence[bytes] = field(default=(), repr=False)
    missing: Sequence[bytes] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A value of a record that another one holds: the place of its change, the *holder*, the fields."""

    place: int
    holder: str
    fields: tuple[str, ...]


@write_reader
def build_outcome(reply: Reply) -> list[Duplicate] | Refusal:
    """What could not be claimed, or why nothing was written."""
    if refusal := _refusal(reply):
        return refusal
    return [
        Duplicate(number - 1, id_text(holder), tuple(name.decode() for name in fields))
        for number, holder, *fields in reply[1:]
    ]


def _reached(schemas: Iterable[Schema]) -> tuple[str, ...]:
    """The regions of the cache that hold records of *schemas*, some of which only the server finds."""
    return tuple({schema.cache_region.name: None for schema in schemas if schema.cache_region})


def _numbered(changes: Sequence[Change], before: int) -> dict[str, int]:
    """The keys of the parents in *changes*, each once, with their numbers after so many keys *before*."""
    keys = dict.fromkeys(key for change in changes for _, key, _, _ in change.parents)
    return {key: number for number, key in enumerate(keys, before + 1)}


def collect_call(schema: Schema, id: str, name: str, commands: Sequence[Arg]) -> Call:
    """One script call: *commands* on the collection *name* of a record, if there is that record.

    Each is its name, how many arguments follow behind its key, and these.
    """
    keys = schema.keys
    arguments = (*positions.Collect(permit=schema.permit), *commands)
    places = [keys.meta, keys.record(id), keys.collection(name, id), *([keys.feed] if schema.tells else [])]
    return Call(arguments, collect_script(schema.expires, schema.tells), (*places,), writes=True)


def field_end_call(schema: Schema, id: str, field: str, command: Sequence[Arg]) -> Call:
    """One script call: *command* on the end of a field of a record, if there is that record."""
    head = positions.FieldEnd(permit=schema.permit, field=field, command=command[0])
    places = (schema.keys.meta, schema.keys.record(id))
    return Call((*head, *command[1:]), field_end_script(schema.expires), places, writes=True)


def sweep_call(schema: Schema, most: int) -> Call:
    """One script call: take away what is left of up to *most* records that are over."""
    script = sweep_script(rendered(schema, 1))
    return Call((most,), script, schema.fixed_keys, writes=True)


def sweep_outcome(reply: Reply) -> tuple[int, int] | Refusal:
    """How many records were looked at, and how many wait."""
    return _refusal(reply) or (reply[1], reply[2])


@write_reader
def collect_outcome(reply: Reply) -> Reply | Refusal:
    """What the command answered, or why it did not run."""
    return _refusal(reply) or reply[1]


def _unique_index(schema: Schema, key: Mapping[str, bytes], waiting: int) -> list[Arg]:
    """The unique index of the fields in *key*, with them and their values."""
    if not key:  # the id of the record to create is asked for
        return [*positions.Unique(index_key=0, state="", value=b"", members=0, waiting=waiting)]
    compound = next((c for c in schema.compounds if c.unique and {*c.fields} == {*key}), None)
    if compound is None:
        ((name, value),) = key.items()
        number = schema.fixed_keys.index(schema.keys.unique(name)) + 1
        state = STATE + schema.by_key[name].unique_entry
        head = positions.Unique(index_key=number, state=state, value=value, members=1, waiting=waiting)
        return [*head, name, value]
    names, state = compound.fields, STATE + compound.entry
    values = [key[name] for name in names]
    number = schema.fixed_keys.index(schema.keys.unique_together(names)) + 1
    head = positions.Unique(number, state, value=joined(values), members=len(names), waiting=waiting)
    return [*head, *names, *values]


@dataclass(frozen=True, slots=True)
class _Scope:
    """The classes that a call writes: as Lua text, their numbers by key base, and all their fixed keys."""

    classes: tuple[Rendered, ...]
    numbers: dict[str, int]
    fixed: list[Arg] = field(repr=False)


def _scope(changes: Sequence[Change], referrers: Sequence[Referrer]) -> _Scope:
    schemas = [schema for _, schema in sorted(schemas_of(changes, referrers).items())]
    numbers = {schema.keys.base: number for number, schema in enumerate(schemas, 1)}
    fixed, classes = list[Arg](), list[Rendered]()
    for schema in schemas:
        first, base = len(fixed) + 1, schema.keys.base
        known = [referrer(one, numbers[one.schema.keys.base]) for one in referrers if one.base == base]
        classes.append(rendered_for_cascade(schema, first, known) if referrers else rendered(schema, first))
        fixed += schema.fixed_keys
    return _Scope(tuple(classes), numbers, fixed)


def _extras(
    changes: Sequence[Change], referrers: Sequence[Referrer], parents: Collection[str]
) -> tuple[WriteExtra, ...]:
    """What the script needs beside what every write does."""
    found = list[WriteExtra]()
    more = [change.more or NO_MORE for change in changes]
    if any(one.requires for one in more):
        found.append("requirements")
    if any(one.sums for one in more):
        found.append("increment")
    if referrers:
        found.append("cascade")
    if parents:
        found.append("parents")
    if any(change.after for change in changes):
        found.append("after")
    if any(one.adds for one in more):
        found.append("adds")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the server wrote nothing: the code (see ``lua/README.md``), the place of the change, details."""

    code: str
    place: int
    details: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lost:
    """A change that was made but for *fields*: what they were to refer to was deleted by the same call."""

    created: bool
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Counted(Lost):
    """A change that added to numbers: their new texts, in the order of its sums."""

    sums: tuple[bytes, ...] = field(repr=False)


Outcome = bool | Lost | None
"""What became of a change: whether it created (or deleted) something.

None where it was passed over, or went along with a record that was deleted.
"""

_OUTCOMES: dict[int, bool | None] = {0: False, 1: True, 2: None}


def _special(flag: Reply) -> Outcome:
    created, *rest = flag
    sums = rest.pop(0) if rest and type(rest[0]) is list else None
    lost = tuple(name.decode() for name in rest)
    if sums is None:
        return Lost(_OUTCOMES[created] is True, lost)
    return Counted(_OUTCOMES[created] is True, lost, tuple(map(bytes, sums)))


def write_outcome(reply: Reply) -> list[Outcome] | Refusal:
    """The outcome of each change, or why nothing was written."""
    try:
        if reply[0] == b"OWES":  # claims, which others may release
            reply = [b"OK", *reply[2:]]
        if reply[0] != b"OK":
            return _refused(reply)
        return [_OUTCOMES[flag] if type(flag) is int else _special(flag) for flag in reply[1:]]
    except MISREAD:
        pass
    raise strange(writes=True)


@dataclass(frozen=True, slots=True)
class FoundOrCreated:
    """The record that holds a unique value: its id, whether it was created, else its fields."""

    id: str
    created: bool
    fields: Raw = field(repr=False)


@write_reader
def get_or_create_outcome(schema: Schema, reply: Reply) -> FoundOrCreated | Refusal:
    """The record that *reply* names, or why nothing was written."""
    if refusal := _refusal(reply):
        return refusal
    fields = read_fields(schema.read_fields, reply[3:]) if reply[1] == 0 else None
    return FoundOrCreated(id_text(reply[2]), reply[1] == 1, fields or {})


def _refusal(reply: Reply) -> Refusal | None:
    return None if reply[0] == b"OK" else _refused(reply)


def _refused(reply: Reply) -> Refusal:
    details = tuple(text.decode("utf-8", "replace") for text in reply[2:])
    return Refusal(reply[0].decode(), reply[1] - 1, details)
