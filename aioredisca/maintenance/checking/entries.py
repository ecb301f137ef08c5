"""Index entries as they stand, and which of them no record bears out: each is looked at with its record.

What looks wrong is looked at once more by one script call, as in records.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

from aioredisca.errors import RediscaError, WrongType
from aioredisca.maintenance import sweeping
from aioredisca.maintenance.checking.faults import Fault, Finding, Kind
from aioredisca.maintenance.checking.places import Layout, Place
from aioredisca.maintenance.checking.together import Command, look_call
from aioredisca.maintenance.sweeping import Seen
from aioredisca.persistence import asking
from aioredisca.persistence.adoption import nested
from aioredisca.storage.entries import KeyType, contents_of
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Reply, Store

Judge = Callable[[Store, Layout, Sequence[Seen]], Awaitable[tuple[list[tuple[Fault, Seen]], list[Seen]]]]
"""What is wrong with entries, and which are to be looked at again."""

_PROBES: dict[KeyType, str] = {"set": "SISMEMBER", "zset": "ZSCORE", "hash": "HGET"}


async def of_type(store: Store, layout: Layout, keys: Sequence[bytes]) -> tuple[list[Fault], list[bytes]]:
    """Those of the *keys* of indexes that hold another type, and those that hold their own."""
    kinds: dict[bytes, KeyType] = {key: layout.of(key).kind for key in keys}
    shown = {key: layout.of(key).shown for key in keys}
    return await _of_type(store, layout.schema, kinds, shown)


async def _of_type(
    store: Store, schema: Schema, kinds: Mapping[bytes, KeyType], shown: Mapping[bytes, str]
) -> tuple[list[Fault], list[bytes]]:
    types = await asking.read_together(store, [Call(("TYPE", key)) for key in kinds])
    faults, right = list[Fault](), list[bytes]()
    for (key, kind), held in zip(kinds.items(), types, strict=True):
        if held == kind.encode():
            right.append(key)
        elif held != b"none":
            finding = Finding("foreign-type", "", shown[key], f"a {held.decode()}")
            faults.append(Fault(finding, (key,), sweeping.removal(schema, kind, key, [], {})))
    return faults, right


def no_record(schema: Schema, id: str) -> Fault:
    """An id that the library knows, at whose key there is no hash."""
    return Fault(Finding("record-type", id, schema.keys.record(id)), ("record-type", id))


# -- of indexes ------------------------------------------------------------------------------------


def pages(store: Store, layout: Layout, keys: Sequence[bytes]) -> AsyncIterator[list[Seen]]:
    """The entries in *keys*, a batch at a time."""
    return sweeping.pages(store, layout.schema, keys, {key: layout.of(key).kind for key in keys})


async def denied(
    store: Store, layout: Layout, found: Sequence[Seen]
) -> tuple[list[tuple[Fault, Seen]], list[Seen]]:
    """Those of the entries *found* that no record bears out, and those whose record changed in between."""
    schema = layout.schema
    faults, again = list[tuple[Fault, Seen]](), list[Seen]()
    suspects = await _unlikely(store, layout, found)
    wrong, states = await sweeping.denied(store, schema, suspects) if suspects else ([], {})
    if not wrong:
        return faults, again
    fields = tuple(schema.tracked_keys)
    looks = [_second_look(schema, layout.of(seen.key).kind, seen, fields) for seen in wrong]
    replies = await asking.read_together(store, [look_call(commands) for commands in looks])
    for seen, (type, row, entry, *ends) in zip(wrong, replies, strict=True):
        held, raw = states[seen.id]
        if _gone(layout.of(seen.key).kind, seen, entry) or (type == b"none" and over(ends)):
            continue
        if type != held or (held == b"hash" and fields and tuple(row) != raw):
            again.append(seen)
        else:
            faults.append((_fault(layout, seen, states), seen))
    return faults, again


async def _unlikely(store: Store, layout: Layout, found: Sequence[Seen]) -> list[Seen]:
    """Those of the entries *found* that may be wrong, by a look at no more of each record than it is of."""
    schema, places = layout.schema, [layout.of(seen.key) for seen in found]
    keys = [schema.keys.record(seen.id) for seen in found]
    calls = [
        Call(("HMGET", key, *place.fields) if place.fields else ("TYPE", key))
        for key, place in zip(keys, places, strict=True)
    ]
    unvalued = [key for key, place in zip(keys, places, strict=True) if place.unvalued]
    replies = await store.transport().send_all([*calls, *(Call(("TYPE", key)) for key in unvalued)])
    there = {key for key, kind in zip(unvalued, replies[len(keys) :], strict=True) if kind == b"hash"}
    strange = await nested(store, schema, [seen.id for seen in found])
    return [
        seen
        for key, seen, place, reply in zip(keys, found, places, replies, strict=False)
        if seen.id in strange or not _likely(schema, place, seen, reply, key in there)
    ]


def _likely(schema: Schema, place: Place, seen: Seen, reply: Reply, there: bool) -> bool:
    if place.index is None:
        return bool(reply == b"hash")
    if isinstance(reply, RediscaError):
        return False
    values: list[bytes | None] = reply
    if values.count(None) == len(values) and not there:
        return False
    member, stored = seen.id.encode("utf-8", "surrogateescape"), dict(zip(place.fields, values, strict=True))
    entries = dict(contents_of(schema, place.index, member, stored))
    return (seen.key, seen.member) in entries


def _second_look(schema: Schema, kind: KeyType, seen: Seen, fields: Sequence[str]) -> list[Command]:
    key = schema.keys.record(seen.id)
    commands: list[Command] = [
        ("TYPE", key),
        ("HMGET", key, *fields) if fields else ("EXISTS", key),
        (_PROBES[kind], seen.key, seen.member),
    ]
    return commands + end_of(schema, seen.id)


def end_of(schema: Schema, id: str) -> list[Command]:
    """What tells whether a record that is not there is over, and waits to be taken away."""
    member = id.encode("utf-8", "surrogateescape")
    moments = schema.keys.moments
    return [("ZSCORE", moments, member), ("TIME", moments)] if schema.expires else []


def over(ends: Sequence[Reply]) -> bool:
    """Whether it is, by the answers to :func:`end_of`."""
    if not ends or ends[0] is None:
        return False
    moment, (seconds, micros) = ends
    return float(moment) < int(seconds) * 1000 + int(micros) // 1000


def _gone(kind: KeyType, seen: Seen, entry: Reply) -> bool:
    """Whether an entry is no longer what it was."""
    return bool(entry != seen.content) if kind == "hash" else entry in (None, 0)


def _fault(layout: Layout, seen: Seen, states: Mapping[str, sweeping.State]) -> Fault:
    place, held = layout.of(seen.key), states[seen.id][0]
    if held not in (b"hash", b"none"):
        return no_record(layout.schema, seen.id)
    kind: Kind = "orphan-entry" if held == b"none" else "denied-entry"
    finding = Finding("stray-claim" if place.claims else kind, seen.id, place.shown)
    cure = sweeping.removal(layout.schema, place.kind, seen.key, [seen], states)
    return Fault(finding, (seen.key, seen.member), cure)


# -- of ends ---------------------------------------------------------------------------------------


async def waiting(store: Store, schema: Schema) -> int:
    """How many records are over, and not taken away yet."""
    seconds, micros = await asking.read(store, asking.time_call(schema.keys))
    now = int(seconds) * 1000 + int(micros) // 1000
    try:
        count: int = await asking.read(store, Call(("ZCOUNT", schema.keys.moments, "-inf", f"({now}")))
    except WrongType:
        return 0
    return count


async def ends_of_type(store: Store, schema: Schema) -> tuple[list[Fault], list[bytes]]:
    """Whether moments and notes hold another type; and which of them hold their own."""
    kinds = _kinds_of_ends(schema)
    return await _of_type(store, schema, kinds, {key: key.decode() for key in kinds})


def _kinds_of_ends(schema: Schema) -> dict[bytes, KeyType]:
    return {schema.keys.moments.encode(): "zset", schema.keys.notes.encode(): "hash"}


def ends(store: Store, schema: Schema, key: bytes) -> AsyncIterator[list[Seen]]:
    """The moments, or the notes, a batch at a time."""
    return sweeping.pages(store, schema, [key], _kinds_of_ends(schema))


async def unended(
    store: Store, layout: Layout, found: Sequence[Seen]
) -> tuple[list[tuple[Fault, Seen]], list[Seen]]:
    """Those of the moments and notes *found* that are of no record, neither of one that is over."""
    schema = layout.schema
    kinds = _kinds_of_ends(schema)
    types = await asking.read_together(store, [Call(("TYPE", schema.keys.record(one.id))) for one in found])
    suspects = [seen for seen, type in zip(found, types, strict=True) if type == b"none"]
    looks = [_second_look(schema, kinds[seen.key], seen, ()) for seen in suspects]
    replies = await asking.read_together(store, [look_call(one) for one in looks]) if looks else []
    faults = list[tuple[Fault, Seen]]()
    for seen, (type, _, entry, *ends) in zip(suspects, replies, strict=True):
        if type != b"none" or _gone(kinds[seen.key], seen, entry) or over(ends):
            continue
        kind: Kind = "orphan-entry" if kinds[seen.key] == "zset" else "note"
        cure = sweeping.removal(schema, kinds[seen.key], seen.key, [seen], {seen.id: (b"none", ())})
        finding = Finding(kind, seen.id, seen.key.decode(), "of no record")
        faults.append((Fault(finding, (seen.key, seen.member), cure), seen))
    return faults, []
