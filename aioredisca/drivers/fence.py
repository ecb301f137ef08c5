"""The fence: a write that was given up does not happen later, over what others have written since.

A connection may be given up with a write on its way: no answer came in time, or it broke. The bytes may still
lie in some buffer of the network, and reach the server afterwards. So every connection asks what the server
calls it when it is opened (CLIENT INFO), and whatever sends next has the server end those that were given up
(CLIENT KILL): what the server has not read by then, it never will.

These are steps of a talk, for both colours to hold: each yields a command and is sent the answer to it.
"""

from __future__ import annotations

import re
from collections.abc import Generator

from aioredisca.storage.facts import Peer, StoreFacts
from aioredisca.types import Reply

Talk = Generator[tuple[str, ...], Reply, Peer | None]

_NAMES = re.compile(rb"(?:.* )?id=(\d+) (?:.* )?addr=(\S+) ")


def introduction(facts: StoreFacts, place: str) -> Talk:
    """What a new connection to *place* begins with: it learns its name, and ends those given up there."""
    if not facts.fences:
        return None
    found = _NAMES.match(_text((yield ("CLIENT", "INFO"))))
    if found is None:  # the server does not know it, or the user has no right to it
        _do_without(facts)
        return None
    yield from endings(facts, place)
    return Peer(found[1].decode(), found[2].decode(), place)


def forget_others(facts: StoreFacts, place: str) -> None:
    """A server at *place* has become the primary: those given up elsewhere need not be ended any more.

    Sentinels end all connections of a primary that they make a replica, and what it has written meanwhile is
    replaced by what the new one has.
    """
    facts.given_up.difference_update([peer for peer in facts.given_up if peer.place != place])


def endings(facts: StoreFacts, place: str) -> Talk:
    """End those to *place* that were given up. To end one twice does no harm: several may at once."""
    for peer in [peer for peer in facts.given_up if peer.place == place]:
        # The address beside it: a server that was started again gives the same ids to others.
        answer = yield ("CLIENT", "KILL", "ID", peer.id, "ADDR", peer.address)
        if not isinstance(answer, int):
            _do_without(facts)
            break
        facts.given_up.discard(peer)
    return None


def _text(answer: Reply) -> bytes:
    return answer if isinstance(answer, bytes) else b""


def _do_without(facts: StoreFacts) -> None:
    """This database has no fence."""
    facts.fences = False
    facts.given_up.clear()
