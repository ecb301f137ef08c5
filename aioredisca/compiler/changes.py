"""Changes as data: what one save, delete or increment asks of the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

from aioredisca.storage.schema import Referrer, Schema
from aioredisca.types import Arg, Raw

Parents: TypeAlias = tuple[tuple[str, str, str, bool], ...]
"""Hash fields of references, each with the key of the record that it names, what such keys start with, and
whether records of its class may end."""

Mode = Literal["create", "update", "upsert", "delete", "index", "incr"]

BATCH = 100
"""Records of one script call where many are written: enough to be fast, few enough not to hold up others."""

MAX_BATCH = 5000
"""Records of one atomic write."""


@dataclass(frozen=True, slots=True)
class Increment:
    """What to add to the number in the hash field *key*, and the bounds of the result.

    Numbers are whole: units of the last of *places* decimal places.
    """

    key: str
    by: int = field(repr=False)
    low: int | None = None
    high: int | None = None
    places: int = 0


class After(NamedTuple):
    """A command on a key of a record that was just written: on one of its collections, or on itself."""

    key: str
    command: str
    arguments: tuple[Arg, ...] = ()


NOTED = 600_000
"""Milliseconds for which it is known that a call was carried out."""


def noted(key: str, call: str) -> After:
    """The last of what comes after: notes at *key* that this *call* was carried out."""
    return After(key, "SET", (call, "PX", NOTED))


@dataclass(slots=True)
class Change:
    """What one save or delete asks of the server. Its repr, which debuggers send away, shows no values.

    Mode "incr" goes with an *increment*, a delete with the *referrers* that it reaches. *parents* are
    references in *sets*, each with the key of the record that must be there when all is done.
    """

    schema: Schema
    id: str
    mode: Mode
    sets: dict[str, bytes] = field(default_factory=dict[str, bytes], repr=False)
    drops: tuple[str, ...] = ()
    expect: Raw = field(default_factory=dict[str, "bytes | None"], repr=False)
    again: bool = False
    skip: bool = False
    """Whether the server passes over a record that is not as expected, instead of refusing all."""
    ends: str = ""
    """When the record ends, as ``lua/shared/ends.lua`` reads it; empty to leave that as it is."""
    increment: Increment | None = None
    referrers: tuple[Referrer, ...] = ()
    parents: Parents = ()
    after: tuple[After, ...] = field(default=(), repr=False)
    """What is done once all records are written, in the same call; none of it may fail.

    The last of all of a call is made by :func:`noted`, so that it is done once, however often it is sent.
    """


Claims = Sequence[tuple[str, bytes]]
"""Values of uniques, each called as :meth:`Keys.claims` does."""


class Fence(NamedTuple):
    """What was claimed for the change at *place*, when *epoch* was that of its id."""

    place: int
    epoch: int
    claims: Claims


def schemas_of(changes: Sequence[Change], referrers: Sequence[Referrer]) -> dict[str, Schema]:
    """The schemas of all classes that *changes* reach, by key base; *referrers* are those in them."""
    found = {change.schema.name[0]: change.schema for change in changes}
    return {one.schema.name[0]: one.schema for one in referrers} | found if referrers else found


def referrers_in(changes: Sequence[Change]) -> list[Referrer]:
    """The references that the deletes among *changes* reach, each once."""
    closures = {id(change.referrers): change.referrers for change in changes if change.referrers}
    return [*dict.fromkeys(chain(*closures.values()))] if closures else []
