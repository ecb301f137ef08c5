"""Which key a write stumbled over: one that holds another type of value than the library stores there.

A script stops there before anything is lost (``lua/write/indexes.lua``), and the server does not say at which
key. So it is looked for afterwards, in two round trips, by those who met the error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

from aioredisca.compiler.changes import Change
from aioredisca.compiler.loads import load_call, read_fields
from aioredisca.errors import PermissionDenied, RediscaError, WrongType
from aioredisca.persistence import readiness
from aioredisca.storage.entries import demanded, places_of
from aioredisca.storage.keys import MARKER, glob_literal
from aioredisca.storage.schema import Schema
from aioredisca.types import Arg, Call, Raw, Store

Place = tuple[str, Arg, str]
"""How errors call a key, the key itself, and the type that belongs there. Names show no values."""


async def explained(
    store: Store, schemas: Collection[Schema], changes: Sequence[Change], error: RediscaError
) -> RediscaError:
    """What a write that met *error* is to raise: it names the key. Missing rights are probed for anew."""
    if isinstance(error, PermissionDenied):
        readiness.forget(store, schemas)
        parents = dict.fromkeys(base for change in changes for _, _, base, _ in change.parents)
        if parents and not error.of_command:  # a key, and those of the classes were probed
            rule = " ".join(f"~{glob_literal(base)}:*" for base in parents)
            return PermissionDenied(rule, "a reference with check= looks at keys of another class")
    elif isinstance(error, WrongType) and not error.key:
        with suppress(RediscaError):  # what is told first is told in any case
            return await _named(store, schemas, changes) or error
    return error


async def _named(store: Store, schemas: Collection[Schema], changes: Sequence[Change]) -> WrongType | None:
    stored = [load_call(change.schema, change.id, _names(change)) for change in changes]
    places = [place for schema in schemas for place in _fixed(schema)]
    replies = await store.transport().send_all([*map(_type, places), *stored])
    if found := _first(places, replies):
        metas = {schema.keys.meta for schema in schemas}
        return WrongType(found.key, found.held, place="meta") if found.key in metas else found
    named = list[Place]()
    for change, reply in zip(changes, replies[len(places) :], strict=True):
        if isinstance(reply, WrongType):
            return WrongType(change.schema.keys.record(change.id), place="record")
        if not isinstance(reply, RediscaError):
            named += _of_values(change, read_fields(_names(change), reply) or {})
    return _first(named, await store.transport().send_all([*map(_type, named)]))


def _type(place: Place) -> Call:
    return Call(("TYPE", place[1]))


def _names(change: Change) -> list[str]:
    return [*change.schema.tracked_keys, MARKER]


def _first(places: Sequence[Place], replies: Sequence[object]) -> WrongType | None:
    """The error for the first of *places* that holds something else."""
    for (name, _, wanted), reply in zip(places, replies, strict=False):
        held = reply.decode() if isinstance(reply, bytes) else str(reply)
        if held not in (wanted, "none") and not isinstance(reply, RediscaError):
            return WrongType(name, held)
    return None


def _fixed(schema: Schema) -> Iterator[Place]:
    """The keys that no value is part of."""
    yield schema.keys.meta, schema.keys.meta, "hash"
    yield schema.keys.bad, schema.keys.bad, "zset"
    if schema.feed:
        yield schema.keys.feed, schema.keys.feed, "stream"
    if schema.expires:
        yield schema.keys.moments, schema.keys.moments, "zset"
        yield schema.keys.notes, schema.keys.notes, "hash"
    for key, kind in places_of(schema.keys, schema.index_entries).fixed.items():
        yield key, key, kind


def _of_values(change: Change, stored: Raw) -> Iterator[Place]:
    """The keys that the values of a record are part of, those before the change and those after it."""
    schema, id = change.schema, change.id
    stems = places_of(schema.keys, schema.index_entries).stems
    for key, _ in demanded(schema, id, stored) | demanded(schema, id, {**stored, **change.sets}):
        for stem, kind in stems.items():
            if key.startswith(stem.encode()):
                yield f"{stem}*", key, kind
    for one in change.referrers:
        names, value = one.schema.keys, (one.stem + id).encode("utf-8", "surrogateescape")
        yield f"{names.values(one.field)}*", names.exact(one.field, value), "set"
