"""Records as they are stored, and what they and their entries lack.

What looks wrong is looked at once more, with the record, by one script call: only what is wrong in one moment
is a fault, for records change meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aioredisca.compiler.changes import Change
from aioredisca.errors import RediscaError, WrongType
from aioredisca.maintenance.checking.faults import Fault, Finding, Kind
from aioredisca.maintenance.checking.places import Layout, Place
from aioredisca.maintenance.checking.together import Command, look_call, mend_call
from aioredisca.persistence import asking
from aioredisca.storage.entries import Entry, contents
from aioredisca.storage.keys import id_text, joined
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Raw, Reply, Store

TOLERANCE = 100
"""Milliseconds by which the end of a key and its moment may differ: both are read in whole ones."""

_PROBES = {"set": "SISMEMBER", "zset": "ZSCORE", "hash": "HGET"}


@dataclass(slots=True)
class State:
    """What is stored of a record.

    ``kind``    what TYPE says of its key.
    ``known``   whether it is in the set of all ids.
    ``raw``     its declared fields and the marker.
    ``left``    milliseconds that its key has left, -1 for ever; ``moment`` and ``note`` as they are known of
                one that ends; ``now`` by the clock of the server.
    """

    id: str
    kind: bytes
    known: bool
    raw: Raw = field(default_factory=dict[str, "bytes | None"], repr=False)
    left: int = -1
    moment: int | None = None
    note: bytes | None = field(default=None, repr=False)
    now: int = 0

    @property
    def blank(self) -> bool:
        """Whether nothing tells that it is a record of the class."""
        return all(value is None for value in self.raw.values())


def reads(schema: Schema, id: str) -> list[Command]:
    """What tells the :class:`State` of a record."""
    keys, key, member = schema.keys, schema.keys.record(id), id.encode("utf-8", "surrogateescape")
    found: list[Command] = [("TYPE", key), ("ZSCORE", keys.ids, member), ("HMGET", key, *schema.read_fields)]
    if schema.expires:
        found += [
            ("PTTL", key),
            ("ZSCORE", keys.moments, member),
            ("HGET", keys.notes, member),
            ("TIME", key),
        ]
    return found


def state_of(schema: Schema, id: str, replies: Sequence[Reply]) -> State:
    """What the *replies* to :func:`reads` say."""
    kind, score, row, *ends = (_held(reply) for reply in replies)
    values: list[Any] = [None] * len(schema.read_fields)
    if row is not None:
        values = row
    state = State(id, kind, score is not None, dict(zip(schema.read_fields, values, strict=True)))
    if schema.expires:
        left, moment, state.note, (seconds, micros) = ends
        state.left, state.now = left, int(seconds) * 1000 + int(micros) // 1000
        state.moment = None if moment is None else int(float(moment))
    return state


def _held(reply: Reply) -> Reply:
    """What is there; nothing where a key holds another type."""
    if isinstance(reply, RediscaError):
        if not isinstance(reply, WrongType):
            raise reply
        return None
    return reply


async def states_of(store: Store, schema: Schema, ids: Sequence[str]) -> list[State]:
    """What is stored of the records of *ids*, in one round trip."""
    commands = [reads(schema, id) for id in ids]
    now = asking.time_call(schema.keys)
    calls = [Call(one) if one[0] != "TIME" else now for some in commands for one in some]
    replies, width = await store.transport().send_all(calls) if calls else [], len(calls) // max(1, len(ids))
    return [
        state_of(schema, id, replies[first : first + width])
        for id, first in zip(ids, range(0, len(replies), width or 1), strict=True)
    ]


def rewrite(layout: Layout, state: State, other: Mapping[str, bytes]) -> Change | None:
    """Write all index entries of a record anew, and the *other* values, if it is still as it was read.

    None where a value cannot stand in its index.
    """
    schema = layout.schema
    sets, drops = dict[str, bytes](), list[str]()
    for name in schema.tracked_keys:
        raw = other.get(name, state.raw[name])
        if raw is None:
            drops.append(name)
            continue
        try:
            schema.check_indexable(name, raw)
        except ValueError:
            return None
        sets[name] = raw
    expect = {name: state.raw[name] for name in schema.tracked_keys}
    return Change(schema, state.id, "index", sets, tuple(drops), expect)


# -- entries ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Suspect:
    """A record, with those of its entries that are not as they must be, as the first look was."""

    state: State
    wanted: dict[Entry, bytes] = field(repr=False)
    seen: dict[Entry, Reply] = field(repr=False)


async def suspects(store: Store, layout: Layout, states: Sequence[State]) -> list[Suspect]:
    """Those of the records whose entries or ends do not look right, in one round trip."""
    wanted = [layout.compared(contents(layout.schema, state.id, state.raw)) for state in states]
    calls = [Call(_probe(layout, entry)) for some in wanted for entry in some]
    replies = iter(await store.transport().send_all(calls) if calls else [])
    found = list[Suspect]()
    for state, some in zip(states, wanted, strict=True):
        seen = {entry: _held(next(replies)) for entry in some}
        wrong = {entry: reply for entry, reply in seen.items() if not _as_wanted(layout, some, entry, reply)}
        if wrong or any(expiry_faults(layout, state)):
            found.append(Suspect(state, some, wrong))
    return found


def _probe(layout: Layout, entry: Entry) -> Command:
    key, member = entry
    return (_PROBES[layout.of(key).kind], key, member)


def _as_wanted(layout: Layout, wanted: Mapping[Entry, bytes], entry: Entry, reply: Reply) -> bool:
    kind = layout.of(entry[0]).kind
    if kind == "set":
        return bool(reply)
    if kind == "hash":
        return bool(reply == wanted[entry])
    return reply is not None and float(reply) == float(wanted[entry])


async def confirmed(store: Store, layout: Layout, some: Sequence[Suspect]) -> tuple[list[Fault], list[str]]:
    """The faults of *some* records by a second look at one moment each, and those that changed in between."""
    looks = [_second_look(layout, one) for one in some]
    replies = await asking.read_together(store, [look_call(commands) for commands in looks])
    faults, changed = list[Fault](), list[str]()
    for one, reply in zip(some, replies, strict=True):
        found = _judged(layout, one, reply)
        if found is None:
            changed.append(one.state.id)
        else:
            faults += found
    return faults, changed


def _second_look(layout: Layout, one: Suspect) -> list[Command]:
    schema = layout.schema
    commands = reads(schema, one.state.id) + [_probe(layout, entry) for entry in one.seen]
    for entry, holder in _claims(layout, one):
        key = schema.keys.record(id_text(holder))
        commands.append(("HMGET", key, *layout.of(entry[0]).fields))
    return commands


def _claims(layout: Layout, one: Suspect) -> list[tuple[Entry, bytes]]:
    """The values of a record that others claim, each with who does."""
    return [
        (entry, holder)
        for entry, holder in one.seen.items()
        if layout.of(entry[0]).claims and holder is not None
    ]


def _judged(layout: Layout, one: Suspect, replies: Sequence[Reply]) -> list[Fault] | None:
    """The faults of a record as it is now; None if it is not as it was."""
    width, claims = len(reads(layout.schema, one.state.id)), _claims(layout, one)
    state = state_of(layout.schema, one.state.id, replies[:width])
    tracked = layout.schema.tracked_keys
    if state.kind != b"hash" or any(state.raw[name] != one.state.raw[name] for name in tracked):
        return None
    now = dict(zip(one.seen, replies[width:], strict=False))
    if any(now[entry] != holder for entry, holder in claims):
        return None
    holders = {
        entry: (holder, values)
        for (entry, holder), values in zip(claims, replies[width + len(now) :], strict=True)
    }
    cure = rewrite(layout, state, {})
    wrong = [entry for entry in now if not _as_wanted(layout, one.wanted, entry, now[entry])]
    faults = [_of_entry(layout, state, entry, now[entry], holders.get(entry), cure) for entry in wrong]
    return faults + list(expiry_faults(layout, state))


def _of_entry(
    layout: Layout,
    state: State,
    entry: Entry,
    reply: Reply,
    holder: tuple[bytes, Reply] | None,
    cure: Change | None,
) -> Fault:
    place = layout.of(entry[0])
    kind: Kind = "no-entry"
    detail = "" if cure else "a value of the record cannot stand in its index"
    if place.claims:
        kind = "no-claim"
        if holder:
            kind = "shared-value" if _holds(place, holder[1], entry[1]) else "wrong-claim"
            detail = f"claimed by {id_text(holder[0])!r}"
    elif place.kind == "hash":
        kind = "digest" if reply is not None else kind
    elif place.kind == "zset" and reply is not None:
        kind = "score"
    elif place.ids:
        kind = "no-id"
    finding = Finding(kind, state.id, place.shown, detail)
    if kind == "shared-value":
        return Fault(finding, (*entry, state.id))
    return Fault(finding, entry, cure)


def _holds(place: Place, row: Reply, value: bytes) -> bool:
    """Whether a record with the values *row* of the fields of a unique index holds *value* there."""
    values: Any = row
    if not isinstance(row, list) or None in values:
        return False
    return bool(value == (joined(values) if len(place.fields) > 1 else values[0]))


# -- ends ------------------------------------------------------------------------------------------


def expiry_faults(layout: Layout, state: State) -> Iterator[Fault]:
    """What is wrong with the end of a record."""
    schema = layout.schema
    if not schema.expires or state.left == -2:
        return
    keys, key, member = schema.keys, schema.keys.record(state.id), state.id.encode("utf-8", "surrogateescape")
    end, was = None if state.left < 0 else state.now + state.left, state.moment
    known = (("ZSCORE", keys.moments, member), None if was is None else str(was).encode())
    cure: Change | Call | None
    if end is None and was is not None:
        forever = [known, (("PTTL", key), -1)]
        cure = mend_call(forever, [("ZREM", keys.moments, member), ("HDEL", keys.notes, member)])
        yield Fault(Finding("end", state.id, keys.moments, "lives for ever"), ("end", member), cure)
    elif end is not None and was is None:
        cure = rewrite(layout, state, {})
        yield Fault(Finding("no-end", state.id, keys.moments), ("end", member), cure)
    elif end is not None and was is not None:
        if abs(end - was) > TOLERANCE:
            ends = [("ZADD", keys.moments, end, member), ("PEXPIREAT", key, end)]
            cure = mend_call([known, (("EXISTS", key), 1)], ends)
            yield Fault(Finding("end", state.id, keys.moments), ("end", member), cure)
        if _pieces(state.note or b"") != _noted(layout, state) and (cure := rewrite(layout, state, {})):
            yield Fault(Finding("note", state.id, keys.notes), ("note", member), cure)
    elif state.note is not None:
        guards = [known, (("HGET", keys.notes, member), state.note)]
        cure = mend_call(guards, [("HDEL", keys.notes, member)])
        yield Fault(Finding("note", state.id, keys.notes, "lives for ever"), ("note", member), cure)


def _noted(layout: Layout, state: State) -> list[bytes]:
    """What the note of a record is to hold: each of its entries but that in the set of all ids."""
    found, base = list[bytes](), len(layout.schema.keys.base) + 1
    for key, member in contents(layout.schema, state.id, state.raw):
        place, name = layout.of(key), key[base:]
        text = b"%d:%b" % (len(name), name)
        if place.claims:
            found.append(b"u" + text + b"%d:%b" % (len(member), member))
        elif place.texts:
            found.append(b"m" + text + b"%d:%b" % (len(member), member))
        elif not place.ids:
            found.append({"set": b"s", "zset": b"z", "hash": b"h"}[place.kind] + text)
    return sorted(found)


def _pieces(note: bytes) -> list[bytes]:
    """The entries in a note; of one that is none, something that no note is to hold."""
    found, at = list[bytes](), 0
    try:
        while at < len(note):
            first, texts = at, 2 if note[at : at + 1] in b"um" else 1
            at += 1
            for _ in range(texts):
                colon = note.index(b":", at)
                at = colon + 1 + int(note[at:colon])
            found.append(note[first:at])
    except ValueError:
        return [note]
    return sorted(found)
