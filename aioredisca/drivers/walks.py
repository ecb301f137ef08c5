"""Walks, each step of which goes on from a cursor, which means something only to the node that gave it.

A cursor tells how far a walk is among keys or members as one server has laid them out, and no two lay them
out alike: with that of another, most would be named, and some passed over. So a cursor bears the name of its
node, whether that is a primary or a replica; of a service that sentinels watch, that of its primary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from aioredisca.drivers.sentinels import Sentinels
from aioredisca.drivers.urls import place_text
from aioredisca.storage.replies import LIST
from aioredisca.types import Astray, Call, Reply

_ENDS = (b"", b"0")
"""What stands for a cursor where there is nothing to go on with."""


def place_of(call: Call) -> str:
    """The name of the node that *call* is to go on at; empty where it begins, or does not walk."""
    return "" if call.cursor is None else _parted(call.args[call.cursor])[1]


def bound(call: Call, node: str) -> Call | Astray:
    """*call* as it goes to *node*."""
    if call.cursor is None:
        return call
    cursor, place = _parted(call.args[call.cursor])
    if not place:  # it begins
        return call
    if place != node:
        if call.script is not None:
            return Astray()
        cursor = b"0"
    args = (*call.args[: call.cursor], cursor, *call.args[call.cursor + 1 :])
    return replace(call, args=args)


def marked(calls: Sequence[Call], replies: Sequence[Reply], node: str) -> list[Reply]:
    """*replies* of *node*, with its name at the cursors."""
    return [
        reply if call.cursor is None else _marked(reply, node)
        for call, reply in zip(calls, replies, strict=True)
    ]


def _marked(reply: Reply, node: str) -> Reply:
    if type(reply) not in LIST or not reply or type(reply[0]) is not bytes or reply[0] in _ENDS:
        return reply
    return [b"%b@%b" % (reply[0], node.encode()), *reply[1:]]


def _parted(cursor: object) -> tuple[bytes, str]:
    raw = cursor if isinstance(cursor, bytes) else str(cursor).encode()
    before, at, node = raw.rpartition(b"@")
    return (before, node.decode()) if at else (raw, "")


async def followed(
    sentinels: Sentinels, calls: Sequence[Call], send_all: Callable[[Sequence[Call]], Awaitable[list[Reply]]]
) -> list[Reply]:
    """The replies to *calls*, some of which walk, from whoever is the primary, by *send_all*."""
    before = _primary(sentinels)
    sent = [bound(call, before) for call in calls]
    going = [call for call in sent if isinstance(call, Call)]
    replies = await send_all(going) if going else []
    after = _primary(sentinels)
    if after not in ("", before) and any(map(place_of, calls)):  # who has answered is not known
        return await followed(sentinels, calls, send_all)
    found = iter(marked(going, replies, before or after))
    return [next(found) if isinstance(call, Call) else call for call in sent]


def _primary(sentinels: Sentinels) -> str:
    primary = sentinels.primary
    return "" if primary is None else place_text(primary)
