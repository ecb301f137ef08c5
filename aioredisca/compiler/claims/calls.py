"""The calls by which uniques hold over all partitions, and what their replies mean. Pure.

``lua/claims/`` has the scripts. Each call is of one partition, given as the schema of the class there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aioredisca.compiler import positions
from aioredisca.compiler.rendering import rendered
from aioredisca.compiler.scripts import abort_script, claim_script, verify_script
from aioredisca.storage.keys import Owed, read_claim, read_owed
from aioredisca.storage.replies import write_reader
from aioredisca.storage.schema import Schema
from aioredisca.types import Arg, Call, Reply

MOST = 500
"""Claims of one call: some servers take less than 4,000 arguments."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim on the value of a unique for the record of *id*, whose *epoch* was known before.

    Given *holder*, it is taken from that one, if that had it before an epoch of its own.
    """

    of: str
    value: bytes
    id: bytes
    epoch: int
    holder: bytes = b""
    before: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """Who has a claim that was asked for, and since which epoch."""

    id: bytes
    epoch: int


def claim_call(place: Schema, claims: Sequence[Claim]) -> Call:
    """Claim values, where *place* is their partition."""
    keys = dict.fromkeys(one.of for one in claims)
    numbers = {of: number for number, of in enumerate(keys, 1)}
    arguments = list[Arg]()
    for one in claims:
        before = one.before if one.holder else ""
        arguments += positions.Claim(numbers[one.of], one.value, one.id, one.epoch, one.holder, before)
    return Call((*arguments,), claim_script("claims/claim"), (*map(place.keys.claims, keys),), writes=True)


@write_reader
def claim_outcome(reply: Reply, claims: Sequence[object]) -> list[Held | None]:
    """Who has each claim, None where it was made."""
    if len(reply) != len(claims):
        raise ValueError("an answer for each")
    return [None if one == 1 else _held(one) for one in reply]


def _held(text: bytes) -> Held:
    epoch, id = read_claim(text)
    return Held(id, epoch)


def holder_call(place: Schema, of: str, value: bytes) -> Call:
    """Who claims a value, where *place* is its partition."""
    return Call(("HGET", place.keys.claims(of), value))


def release_call(place: Schema, owed: Sequence[Owed]) -> Call:
    """Release claims that were given up, where *place* is the partition of their values."""
    keys = dict.fromkeys(one.of for one in owed)
    numbers = {of: number for number, of in enumerate(keys, 1)}
    arguments = list[Arg]()
    for of, value, id, epoch in owed:
        arguments += positions.Release(numbers[of], value, id, epoch)
    return Call((*arguments,), claim_script("claims/release"), (*map(place.keys.claims, keys),), writes=True)


def released_call(place: Schema, entry: bytes) -> Call:
    """Note that a claim was released that was given up in the partition *place*."""
    return Call(("LREM", place.keys.owed, 1, entry), writes=True)


def owed_call(place: Schema, most: int) -> Call:
    """The oldest claims that were given up in the partition *place* and are not released."""
    return Call(("LRANGE", place.keys.owed, 0, most - 1))


def verify_call(place: Schema, claims: Sequence[tuple[str, bytes, Held]]) -> Call:
    """Ask whether records hold what they claim (a unique, a value, whose it is), where *place* has these."""
    arguments, records = list[Arg](), list[Arg]()
    for of, value, held in claims:
        arguments += positions.Verify(of, value, held.id, held.epoch)
        records.append(_record(place, held.id))
    return Call((*arguments,), verify_script(rendered(place, 1)), (*place.fixed_keys, *records), writes=True)


@write_reader
def verify_outcome(reply: Reply, claims: Sequence[object]) -> list[int]:
    """Of each claim 0 where its record lives and holds the value, else the epoch before which it was made."""
    if len(reply) != len(claims):
        raise ValueError("an answer for each")
    return [int(one) for one in reply]


def abort_call(place: Schema, claims: Sequence[tuple[str, bytes, bytes]]) -> Call:
    """Hand back claims (a unique, a value, an id) of records that were not written, where *place* has these.

    Those of one record follow each other.
    """
    arguments, records = list[Arg](), list[Arg]()
    for of, value, id in claims:
        arguments += positions.Abort(of, value, id)
        records.append(_record(place, id))
    return Call((*arguments,), abort_script(rendered(place, 1)), (*place.fixed_keys, *records), writes=True)


def _record(place: Schema, id: bytes) -> bytes:
    return place.records.encode("utf-8", "surrogateescape") + id


@write_reader
def owed_outcome(reply: Reply) -> dict[bytes, Owed]:
    """Claims that are to be released, by how they stand in their list."""
    return {entry: read_owed(entry) for entry in reply}


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """A record of a write that was refused for what was claimed: its place, its epoch now, what to claim."""

    place: int
    epoch: int
    wants: dict[str, bytes]


@write_reader
def unclaimed_outcome(reply: Reply) -> list[Unclaimed]:
    """Why a write was refused whose reply begins with CLAIM."""
    return [_unclaimed(number - 1, epoch, rest) for number, epoch, *rest in reply[2:]]


def _unclaimed(place: int, epoch: bytes, rest: Sequence[bytes]) -> Unclaimed:
    wants = zip((of.decode() for of in rest[::2]), rest[1::2], strict=True)
    return Unclaimed(place, int(epoch), dict(wants))
