"""Changes as data: what one save, delete or increment asks of the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, NamedTuple, TypeAlias

from aioredisca.storage.codecs import EXACT_INTEGERS
from aioredisca.storage.schema import Referrer, Schema
from aioredisca.types import Arg, Raw

Parents: TypeAlias = tuple[tuple[str, str, str, bool], ...]
"""Hash fields of references, each with the key of the record that it names, what such keys start with, and
whether records of its class may end."""

Mode = Literal["create", "update", "upsert", "delete", "index", "incr", "incr_or_create", "check"]

COUNTING: tuple[Mode, ...] = ("incr", "incr_or_create")

BATCH = 100
"""Records of one script call where many are written: enough to be fast, few enough not to hold up others."""

MAX_BATCH = 5000
"""Records of one atomic write."""


MOST_COUNTED = 10**18
"""By how much a Counter changes in a flush at most: the sum of two such numbers has 64 bits."""


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

    def and_then(self, other: Increment) -> Increment:
        """Both at once: the sum of them, whose result lies within the bounds of both."""
        lows = [low for low in (self.low, other.low) if low is not None]
        highs = [high for high in (self.high, other.high) if high is not None]
        by = self.by + other.by
        return Increment(self.key, by, max(lows, default=None), min(highs, default=None), self.places)


class Requirement(NamedTuple):
    """A condition on what is stored: the fields it looks at, and its tokens."""

    fields: tuple[str, ...]
    tokens: tuple[Arg, ...]


class Add(NamedTuple):
    """A command that adds to the collection *name* of a record, and its arguments behind the key."""

    name: str
    command: str
    arguments: tuple[Arg, ...]


@dataclass(frozen=True, slots=True)
class More:
    """What is asked of a record beside the values that are set: in one call, or not at all.

    ``requires``  what it must meet as it is stored before the call.
    ``sums``      what is added to numbers, by hash field.
    ``adds``      what is added to its collections, in this order.
    """

    requires: tuple[Requirement, ...] = field(default=(), repr=False)
    sums: dict[str, Increment] = field(default_factory=dict[str, Increment], repr=False)
    adds: tuple[Add, ...] = field(default=(), repr=False)

    @property
    def too_much(self) -> str | None:
        """The number or counter to which more is added, by several, than the server can add exactly."""
        found = [key for key, one in self.sums.items() if abs(one.by) > EXACT_INTEGERS]
        found += [name for name, by in _counts(self.adds).items() if abs(by) >= MOST_COUNTED]
        return found[0] if found else None

    @property
    def writes(self) -> bool:
        """Whether anything changes, and would once more if it were asked twice."""
        return bool(self.sums or self.adds)

    def and_then(self, other: More) -> More:
        """Both, in this order."""
        sums = dict(self.sums)
        for key, one in other.sums.items():
            sums[key] = sums[key].and_then(one) if key in sums else one
        return More((*self.requires, *other.requires), sums, _summed((*self.adds, *other.adds)))


def _counts(adds: Sequence[Add]) -> dict[str, int]:
    """What *adds* add to counters."""
    counts = dict[str, int]()
    for one in adds:
        if one.command == "INCRBY":
            counts[one.name] = counts.get(one.name, 0) + int(one.arguments[0])
    return counts


def _summed(adds: Sequence[Add]) -> tuple[Add, ...]:
    """*adds* with one command for each counter, which cannot fail once the counter was looked at."""
    others = (one for one in adds if one.command != "INCRBY")
    return (*others, *(Add(name, "INCRBY", (by,)) for name, by in _counts(adds).items()))


NO_MORE = More()


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

    A delete goes with the *referrers* that it reaches. *parents* are references in *sets*, each with the key
    of the record that must be there when all is done. Modes "incr" and "incr_or_create" are an update
    and an upsert that the verb makes at once, "check" looks at a record and writes none of its fields.
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
    more: More | None = None
    """What it asks beside values; None for nearly all."""
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
