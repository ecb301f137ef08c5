"""Claims on unique values over the partitions of a class, compared with what records hold: both ways.

A record and a claim on its value lie in two slots, so no script sees both at one moment. What a record holds
before and after a claim was read, with the same epoch, it has held all the time: the claim must be its own.
A claim of a record that does not hold the value may be of a write that is under way: it is looked at again a
while later, and taken away only as docs/storage.md has it, so that such a write claims once more.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from aioredisca.compiler.changes import BATCH
from aioredisca.compiler.claims.calls import (
    Held,
    holder_call,
    owed_call,
    release_call,
    verify_call,
    verify_outcome,
)
from aioredisca.compiler.claims.wanted import claims_of
from aioredisca.errors import RediscaError, WrongType
from aioredisca.maintenance.checking.faults import Fault, Finding, Kind, Release
from aioredisca.maintenance.checking.places import Layout
from aioredisca.maintenance.checking.records import State, rewrite
from aioredisca.maintenance.checking.together import mend_call
from aioredisca.persistence import asking
from aioredisca.storage.keys import Owed, id_text, read_claim
from aioredisca.storage.partitions import bucket_of
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Reply, Store

WHILE = 0.05
"""Seconds after which a claim is looked at again whose record does not hold the value."""

_NOTHING: Reply = (b"0", [])
"""What HSCAN would answer where a key holds another type."""

MOST_OWED = 1000
"""Claims given up in one partition that are looked at."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A value that a record is to claim: of which unique."""

    state: State
    of: str
    value: bytes


async def of_type(store: Store, schema: Schema) -> list[Fault]:
    """Those of the keys beside claims, and of claims, that hold another type."""
    kinds = {schema.keys.epochs: b"hash", schema.keys.owed: b"list"}
    kinds |= {schema.keys.claims(of): b"hash" for of in schema.claimed}
    faults = list[Fault]()
    held = await asking.read_together(store, [Call(("TYPE", key)) for key in kinds])
    for (key, wanted), found in zip(kinds.items(), held, strict=True):
        if found not in (wanted, b"none"):
            finding = Finding("foreign-type", "", key, f"a {found.decode()}")
            faults.append(Fault(finding, (key,), mend_call([(("TYPE", key), found)], [("UNLINK", key)])))
    return faults


# -- what records lack -----------------------------------------------------------------------------


async def lacking(store: Store, layout: Layout, states: Sequence[State]) -> list[Fault]:
    """The values of records that others claim, or nobody does."""
    schema = layout.schema
    wanted = [
        _Wanted(state, of, value)
        for state in states
        for of, value in claims_of(schema.claimed, state.raw).items()
    ]
    first = await _claims(store, schema, wanted)
    suspects = [one for one, held in zip(wanted, first, strict=True) if not _is_of(held, one)]
    if not suspects:
        return []
    before = await _records(store, schema, suspects)
    claims = await _claims(store, schema, suspects)
    after = await _records(store, schema, suspects)
    faults = list[Fault]()
    for one, held, was, then in zip(suspects, claims, before, after, strict=True):
        if not _is_of(held, one) and was == then and _holds(schema, was[0], one):
            faults += await _fault(store, layout, one, held)
    return faults


async def _claims(store: Store, schema: Schema, wanted: Sequence[_Wanted]) -> list[Reply]:
    calls = [holder_call(schema.place_of_claim(one.value), one.of, one.value) for one in wanted]
    return await _rows(store, calls)


async def _records(store: Store, schema: Schema, wanted: Sequence[_Wanted]) -> list[tuple[Reply, Reply]]:
    """What each record holds of the fields of its unique, and its epoch, which is read behind that."""
    calls = list[Call]()
    for one in wanted:
        id = one.state.id
        calls.append(Call(("HMGET", schema.keys.record(id), *schema.claimed[one.of])))
        calls.append(Call(("HGET", schema.keys.epochs, bucket_of(id.encode("utf-8", "surrogateescape")))))
    replies = await _rows(store, calls)
    return [*zip(replies[::2], replies[1::2], strict=True)]


async def _rows(store: Store, calls: Sequence[Call]) -> list[Reply]:
    """The replies, nothing where a key holds another type."""
    return [None if isinstance(one, WrongType) else one for one in await _told(store, calls)]


async def _told(store: Store, calls: Sequence[Call]) -> list[Reply]:
    """The replies, WrongType among them; another refusal is raised."""
    replies = await store.transport().send_all(calls) if calls else []
    for one in replies:
        if isinstance(one, RediscaError) and not isinstance(one, WrongType):
            raise one
    return replies


def _is_of(held: Reply, one: _Wanted) -> bool:
    return held is not None and id_text(read_claim(held)[1]) == one.state.id


def _holds(schema: Schema, row: Reply, one: _Wanted) -> bool:
    return _value(schema, row, one.of) == one.value


def _value(schema: Schema, row: Reply, of: str) -> bytes | None:
    """What a record claims by a unique whose fields hold *row*."""
    fields = schema.claimed[of]
    if row is None:
        return None
    return claims_of({of: fields}, dict(zip(fields, row, strict=True))).get(of)


async def _fault(store: Store, layout: Layout, one: _Wanted, held: Reply) -> list[Fault]:
    schema, detail = layout.schema, ""
    cure = rewrite(layout, one.state, {})
    found: Kind = "no-claim"
    if held is not None:
        holder = id_text(read_claim(held)[1])
        key = schema.place_of_record(holder).keys.record(holder)
        (row,) = await _rows(store, [Call(("HMGET", key, *schema.claimed[one.of]))])
        found = "shared-value" if _holds(schema, row, one) else "wrong-claim"
        detail = f"claimed by {holder!r}"
        if found == "shared-value" and schema.place_of_record(holder) is schema:
            return []  # the claims within the partition tell of it
    place = schema.place_of_claim(one.value).keys.claims(one.of)
    finding = Finding(found, one.state.id, place, detail)
    if found == "shared-value":
        return [Fault(finding, (place, one.value, one.state.id))]
    return [Fault(finding, (place, one.value), cure)]


# -- what nobody holds -----------------------------------------------------------------------------


async def pages(store: Store, schema: Schema) -> AsyncIterator[list[Release]]:
    """The claims in a partition, a page at a time; HSCAN may name one twice."""
    for of in schema.claimed:
        cursor = b"0"
        while True:
            call = Call(("HSCAN", schema.keys.claims(of), cursor, "COUNT", BATCH), cursor=2)
            (reply,) = await _rows(store, [call])
            cursor, page = reply or _NOTHING
            if page:
                yield [
                    Release(of, value, *read_claim(held))
                    for value, held in zip(page[::2], page[1::2], strict=True)
                ]
            if cursor == b"0":
                break


async def stray(store: Store, schema: Schema, claims: Sequence[Release]) -> list[Fault]:
    """Those of the *claims* in a partition whose record does not hold the value, now and a while later."""
    suspects = await _unheld(store, schema, claims)
    if suspects:
        await store.transport().sleep(WHILE)
        calls = [Call(("HGET", schema.keys.claims(one.of), one.value)) for one in suspects]
        now = await asking.read_together(store, calls)
        same = [
            one for one, held in zip(suspects, now, strict=True) if held == b"%d:%b" % (one.epoch, one.id)
        ]
        suspects = await _unheld(store, schema, same)
    return [
        Fault(
            Finding("stray-claim", id_text(one.id), schema.keys.claims(one.of)),
            (schema.keys.claims(one.of), one.value),
            one,
        )
        for one in suspects
    ]


async def _unheld(store: Store, schema: Schema, claims: Sequence[Release]) -> list[Release]:
    """Those whose records do not hold the values, but for records that are over and wait to be taken away."""
    calls, ends = list[Call](), list[Call]()
    for one in claims:
        id = id_text(one.id)
        keys = schema.place_of_record(id).keys
        calls.append(Call(("HMGET", keys.record(id), *schema.claimed[one.of])))
        if schema.expires:
            ends.append(Call(("ZSCORE", keys.moments, one.id)))
    replies = await _rows(store, [*calls, *ends])
    moments = replies[len(calls) :] or [None] * len(calls)
    unheld = list[Release]()
    for one, row, moment in zip(claims, replies, moments, strict=False):
        if row is None or _value(schema, row, one.of) == one.value:  # of no hash another fault tells
            continue
        if moment is None or row.count(None) < len(row):
            unheld.append(one)
    return unheld


async def release(store: Store, schema: Schema, several: Sequence[Release]) -> list[Reply]:
    """Take away claims of a partition whose records do not hold the values: 1 for each, 0 where it does now,
    WrongType where the key of the record holds something else.

    Each record is asked where it is, and its epoch moves on: no write that counts on the claim passes.
    """
    asked = list[Call]()
    for one in several:
        claim = (one.of, one.value, Held(one.id, one.epoch))
        asked.append(verify_call(schema.place_of_record(id_text(one.id)), [claim]))
    told = list[Reply]()
    for one, reply in zip(several, await _told(store, asked), strict=True):
        told.append(reply if isinstance(reply, WrongType) else verify_outcome(reply, [one])[0])
    free = [place for place, epoch in enumerate(told) if epoch and not isinstance(epoch, WrongType)]
    calls = list[Call]()
    for place in free:
        one = several[place]
        calls.append(release_call(schema, [Owed(one.of, one.value, one.id, told[place])]))
    for place, reply in zip(free, await _told(store, calls), strict=True):
        told[place] = reply
    return told


# -- what was given up -----------------------------------------------------------------------------


async def owed(store: Store, schema: Schema) -> list[bytes]:
    """What was given up in a partition and not released."""
    (found,) = await _rows(store, [owed_call(schema, MOST_OWED)])
    return found or []


def overdue(schema: Schema, entries: Sequence[bytes]) -> list[Fault]:
    """Claims that were given up and are not released, long after that."""
    return [
        Fault(Finding("owed", "", schema.keys.owed), (schema.keys.owed, entry), None) for entry in entries
    ]
