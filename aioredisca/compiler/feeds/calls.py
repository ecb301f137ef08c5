"""The calls that read the feed of a class, and what its entries say. Pure. docs/storage.md has their form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from aioredisca.compiler import positions
from aioredisca.compiler.scripts import small_script
from aioredisca.storage.keys import id_text
from aioredisca.storage.replies import reader, write_reader
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Raw, Reply

Kind = Literal["create", "update", "delete", "expire"]

_KINDS: dict[bytes, Kind] = {b"c": "create", b"u": "update", b"d": "delete", b"e": "expire"}

START = "0-0"
"""The place before all entries."""

COUNT = 100
"""Entries of one call."""


class Gap(Exception):
    """Entries that were to come next are there no more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the feed says of one change: the ``place`` of it, and the hash fields.

    ``hidden`` are those of secret fields, ``collections`` what changed beside the hash.
    """

    place: str
    kind: Kind
    id: str
    raw: Raw = field(repr=False)
    hidden: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()


def last_call(schema: Schema) -> Call:
    """Ask for the last entry that there is."""
    return Call(("XREVRANGE", schema.keys.feed, "+", "-", "COUNT", 1))


@reader
def read_last(reply: Reply) -> str:
    """Where it stands; the place before all where there is none."""
    return reply[0][0].decode() if reply else START


def read_call(schema: Schema, place: str, *, exact: bool) -> Call:
    """Ask for the entries behind *place*; *exact*: an entry stood there."""
    head = positions.FeedRead(place=place, exact=int(exact), most=COUNT, kept=schema.feed)
    return Call((*head,), small_script("feed_read"), (schema.keys.feed,))


@reader
def read_entries(reply: Reply) -> list[Entry]:
    """The entries. Gap where some are lost."""
    if reply[0] == b"GAP":
        raise Gap
    return [_entry(*one) for one in reply[1]]


@dataclass(frozen=True, slots=True)
class Taken:
    """What a consumer was given: entries, whether they were its ``own`` already, and the ``last`` of all."""

    last: str
    entries: list[Entry]
    own: bool


def group_call(schema: Schema, group: str, consumer: str, idle: int, own: str, start: str) -> Call:
    """Ask for entries for a consumer: see ``lua/small/feed_group.lua``."""
    head = positions.FeedGroup(group, consumer, COUNT, idle, own, start)
    return Call((*head,), small_script("feed_group"), (schema.keys.feed,), writes=True)


@write_reader
def read_taken(reply: Reply) -> Taken:
    """What was given. Gap where some are lost."""
    if reply[0] == b"GAP":
        raise Gap
    return Taken(reply[1].decode(), [_entry(*one) for one in reply[2]], reply[3] == 1)


def ack_call(feed: str, group: str, places: Sequence[str]) -> Call:
    """Acknowledge entries."""
    return Call(("XACK", feed, group, *places), writes=True)


def wait_call(places: Sequence[tuple[str, str]], seconds: float) -> Call:
    """Wait for an entry behind one of the *places* in feeds of one slot, each with its key."""
    keys, behind = zip(*places, strict=True)
    args = ("XREAD", "COUNT", 1, "BLOCK", int(seconds * 1000), "STREAMS", *keys, *behind)
    return Call(args, keys=keys[:1])


def _entry(place: bytes, pairs: Sequence[bytes]) -> Entry:
    told = dict(zip(pairs[::2], pairs[1::2], strict=True))
    raw, hidden, collections = dict[str, bytes | None](), list[str](), list[str]()
    for sign, text in told.items():
        name = id_text(sign[1:])
        if sign[:1] in (b"=", b"-") and len(sign) > 1:
            raw[name] = text if sign[:1] == b"=" else None
        elif sign[:1] == b"?":
            hidden.append(name)
        elif sign[:1] == b"@":
            collections.append(name)
    kind = _KINDS[told[b"k"]]
    return Entry(place.decode(), kind, id_text(told[b"i"]), raw, (*hidden,), (*collections,))
