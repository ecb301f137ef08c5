"""Walks, each step of which goes on from a cursor, which means something only to the node that gave it.

A cursor tells how far a walk is among keys or members as one server has laid them out, and no two lay them
out alike: with that of another, most would be named, and some passed over. So a cursor bears the name of its
node, whether that is a primary or a replica.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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
    if place not in ("", node):
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
