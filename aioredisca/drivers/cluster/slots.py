"""What a call says of its slot, and what guards a script while its slot moves from node to node.

While a slot moves the old way, key by key, some of its keys are on one node and the others on another. A
script would stop in the middle, after it has written, at a key that has gone or is to be made. So each names
one key more, in the slot of its others, which never exists: the node that gives the slot away refuses such a
call before it runs (TRYAGAIN or ASK), as long as the slot is on its way. The script does not see that key.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, cast

import hiredis
from redis.crc import key_slot

from aioredisca.errors import UsageError
from aioredisca.types import Arg, Call, Script

SLOTS = 16_384
"""How many there are."""

GUARD = b"\0moving"
"""What a key that never exists ends with: it is the first of the script, and this."""

_UNSEEN = "KEYS[#KEYS]=nil "
"""What a script begins with that does not see its last key."""

_FLAGS = re.compile(r"--!.*\n")
"""What stays before it, for Dragonfly reads it in the first line: what the script asks for."""

_KEYLESS = {
    *("ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "DBSIZE", "ECHO", "FLUSHALL", "FUNCTION", "HELLO"),
    *("INFO", "LATENCY", "PING", "SCAN", "SCRIPT", "SLOWLOG", "TIME", "WAIT"),
}
_SECOND = {"MEMORY", "OBJECT", "XINFO"}
"""Commands whose first argument says what is asked, and the second of which key."""


def slot_of(call: Call) -> int | None:
    """The slot that *call* touches, or None where it names no key. UsageError where it touches several."""
    keys = _keys_of(call)
    if not keys:
        return None
    slot = slot_of_key(keys[0])
    if len(keys) > 1 and any(slot_of_key(key) != slot for key in keys):
        raise UsageError(
            "one call names keys in several slots of the cluster: models that are changed or asked together "
            'lie in one slot with conf(tag="shop")'
        )
    return slot


def _keys_of(call: Call) -> Sequence[Arg]:
    if call.keys:
        return call.keys
    if call.script is not None:
        return ()
    args = cast("Sequence[Arg]", _first_of(call.packed)) if call.packed else call.args
    name = args[0]
    if name in _KEYLESS:
        return ()
    place = 2 if name in _SECOND else 1
    return args[place : place + 1]


def slot_of_key(key: Arg) -> int:
    """The slot of a key: that of what stands in its first braces, if something does."""
    raw = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else cast("bytes", key)
    return key_slot(raw)


def _first_of(packed: bytes) -> Sequence[str | bytes]:
    """The first command of what is laid out for the wire."""
    name, *rest = next(_commands(packed))
    return (name.decode(), *rest)


def _commands(packed: bytes) -> Iterator[list[bytes]]:
    reader = cast("Any", hiredis).Reader()
    reader.feed(packed)
    while (command := reader.gets()) is not False:
        yield command


def parts_of(call: Call) -> list[Call]:
    """The commands of a call that is several, each as a call."""
    return [Call((name.decode(), *rest)) for name, *rest in _commands(call.packed)]


def is_plain(call: Call) -> bool:
    """Whether a node that has the keys which *call* names has all it is about, and need not have it again."""
    return call.script is None and call.proof is None and call.commands < 2 and call.cursor is None


# -- the guard -------------------------------------------------------------------------------------


def guarded(call: Call) -> Call:
    """*call* so that a node refuses it while its slot is on its way.

    A script without a key has none to lose; one whose key has no tag touches no other.
    """
    script = call.script
    if script is None or not call.keys:
        return call
    if call.packed:
        _, _, count, *rest = next(_commands(call.packed))
        keys, args = tuple(rest[: int(count)]), tuple(rest[int(count) :])
        call = replace(call, packed=b"", args=args, keys=keys)
    first = call.keys[0]
    raw = first.encode("utf-8", "surrogateescape") if isinstance(first, str) else cast("bytes", first)
    if not _has_tag(raw):
        return call
    return replace(call, script=_unseeing(script), keys=(*call.keys, raw + GUARD))


def _has_tag(key: bytes) -> bool:
    start = key.find(b"{")
    return start >= 0 and key.find(b"}", start + 1) > start + 1


@lru_cache(maxsize=4096)
def _unseeing(script: Script) -> Script:
    """*script* as it is with a last key that it does not see."""
    flags = _FLAGS.match(script.text)
    place = flags.end() if flags else 0
    text = script.text[:place] + _UNSEEN + script.text[place:]
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())
