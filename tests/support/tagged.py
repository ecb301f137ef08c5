"""Keys by the names that they have on one node, in a cluster: so a test that writes them by hand runs there, too.

In a cluster the key ``usr:1`` is ``{usr}:1``, for each model has a slot of its own. :class:`Names` knows both of
each, and :func:`new_raw` makes a client of redis-py that is asked by the first and asks by the second. What the
library itself says of keys (in errors, findings, plans) is as it is: tests take such keys from the mapper.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

import pytest

from aioredisca import Database
from aioredisca.drivers.cluster import routing
from aioredisca.drivers.cluster.slots import guarded
from aioredisca.maintenance.migrations import places
from aioredisca.model import mapper
from aioredisca.storage.keys import Keys, Tag, tag_in
from aioredisca.types import Call, Script

from .cluster import Cluster

_KEYLESS = {
    *("ACL", "CLIENT", "CLUSTER", "CONFIG", "DBSIZE", "FLUSHALL", "FLUSHDB", "HELLO", "INFO", "LATENCY"),
    *("MULTI", "EXEC", "PING", "SCRIPT", "SLOWLOG", "TIME", "WAIT"),
}
_COUNTED = {"DEL", "EXISTS", "TOUCH", "UNLINK"}
_SEVERAL = {*_COUNTED, "MGET", "RENAME", "SDIFF", "SINTER", "SUNION"}
_SECOND = {"DEBUG", "MEMORY", "OBJECT"}
_ANY = "any"
"""What stands in the braces of all models that a test wants in one slot."""


class _Own(int):
    """The tag of a model that says nothing of it; one that says ``tag=True`` is called so by tests."""


class _Shared(str):
    """The same where a test wants all in one slot."""


class Names:
    """How keys are called on one node, and where they lie here; *together*: all models in one slot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, together: bool) -> None:
        self._together = together
        self._bases = dict[str, str]()
        made = Keys.__post_init__

        def noted(keys: Keys) -> None:
            made(keys)
            if isinstance(keys.tag, _Own | _Shared):
                self._bases[keys.namespace + keys.prefix] = keys.base

        monkeypatch.setattr(Keys, "__post_init__", noted)
        monkeypatch.setattr(mapper, "tag_in", self._tag_in)
        monkeypatch.setattr(places, "tag_in", self._tag_in)

    def _tag_in(self, model: str, tag: Tag | None, *, clustered: bool, spread: bool = False) -> Any:
        found = tag_in(model, tag, clustered=clustered, spread=spread)
        if tag is not None or spread or not clustered:
            return found
        return _Shared(_ANY) if self._together else _Own(True)

    def real(self, key: Any) -> Any:
        """Where *key* lies, as bytes or text as it is given; what is none of a model stays."""
        if not isinstance(key, bytes | str):
            return key
        text = key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key
        base = self._longest(text, self._bases) or re.split("[:/]", text, maxsplit=1)[0]
        if "{" in base or len(base) in (0, len(text)):
            return key
        there = self._bases.setdefault(base, f"{{{_ANY}}}{base}" if self._together else f"{{{base}}}")
        named = there + text[len(base) :]
        return named.encode("utf-8", "surrogateescape") if isinstance(key, bytes) else named

    def called(self, key: bytes) -> bytes:
        """What the key that lies at *key* is called on one node."""
        text, names = (
            key.decode("utf-8", "surrogateescape"),
            {real: base for base, real in self._bases.items()},
        )
        there = self._longest(text, names)
        return (names[there] + text[len(there) :]).encode("utf-8", "surrogateescape") if there else key

    @staticmethod
    def _longest(text: str, bases: dict[str, str]) -> str:
        return max((base for base in bases if text.startswith((f"{base}:", f"{base}/"))), key=len, default="")

    def command(self, args: Sequence[Any]) -> list[Any]:
        """A command with its keys as they lie."""
        name, *rest = args
        word = str(name).upper()
        if word in ("EVAL", "EVALSHA"):
            keys = 1 + int(rest[1])
            return [name, *rest[:2], *map(self.real, rest[2 : keys + 1]), *rest[keys + 1 :]]
        if word in _SEVERAL:
            return [name, *map(self.real, rest)]
        if word.split(" ")[0] in _KEYLESS:
            return [*args]
        place = 1 if word in _SECOND else 0
        return [name, *rest[:place], *map(self.real, rest[place : place + 1]), *rest[place + 1 :]]


def judge_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on a node refuses a script that reaches for a key in another slot, declared or not.

    Redis and Valkey from 7 on look at that in scripts that begin with ``#!lua``, and in no others: else a key is
    missed only where another node has it.
    """

    def judged(call: Call) -> Call:
        call = guarded(call)
        if call.script is None:
            return call
        text = f"#!lua{'' if call.writes else ' flags=no-writes'}\n{call.script.text}"
        return replace(call, script=Script(text, hashlib.sha1(text.encode()).hexdigest()))

    monkeypatch.setattr(routing, "guarded", judged)


def base_of(model: Any) -> str:
    """What the keys of *model* begin with where the test runs."""
    base: str = model.__mapper__.keys(model.__mapper__.store()).base
    return base


def called(raw: Any, key: str) -> str:
    """What the library names, as :func:`new_raw` would call it; elsewhere it is that."""
    return raw.names.called(key.encode()).decode() if hasattr(raw, "names") else key


def place_of(raw: Any, key: str) -> str:
    """Where the key lies that :func:`new_raw` calls so."""
    return str(raw.names.real(key)) if hasattr(raw, "names") else key


def as_they_lie(raw: Any) -> Any:
    """The client that changes no key: for what others wrote."""
    return getattr(raw, "plain", raw)


def new_raw(cluster: Cluster, database: Database, names: Names) -> Any:
    """A plain client of *cluster*, which *database* is in, by the names that keys have on one node.

    ``plain`` of it is one by where they lie. Of a single node they are as those of a server without a cluster.
    """

    def new() -> Any:
        return cluster.nodes[0].client() if len(cluster.nodes) == 1 else database.sync_client

    client, plain = new(), new()
    client.plain, client.names = plain, names
    _name_commands(client, names, plain)
    _name_listings(client, names, plain)
    return client


def _name_commands(client: Any, names: Names, plain: Any) -> None:
    execute, pipeline = client.execute_command, client.pipeline

    def named(*args: Any, **options: Any) -> Any:
        if args[0] in _COUNTED:  # they may lie in several slots
            return sum(plain.execute_command(args[0], names.real(key)) for key in args[1:])
        return execute(*names.command(args), **options)

    def many(transaction: bool = False) -> Any:
        pipe = pipeline(transaction=False)  # as what lies in several slots is in any case
        send = pipe.execute_command
        pipe.execute_command = lambda *args, **options: send(*names.command(args), **options)
        return pipe

    client.execute_command, client.pipeline = named, many


def _name_listings(client: Any, names: Names, plain: Any) -> None:
    def keys(pattern: Any = "*") -> list[bytes]:
        glob = (pattern.decode() if isinstance(pattern, bytes) else pattern).replace("[^", "[!")
        found = map(names.called, dict.fromkeys(plain.scan_iter(count=1000)))
        return [key for key in found if fnmatchcase(key.decode("utf-8", "surrogateescape"), glob)]

    def scan_iter(match: str = "*", count: int = 0, _type: str = "") -> Iterator[bytes]:
        for key in keys(match):
            if not _type or plain.type(names.real(key)) == _type.lower().encode():
                yield key

    client.keys, client.scan_iter = keys, scan_iter


def hang_up(client: Any) -> None:
    """Close what :func:`new_raw` has made."""
    for one in (client, client.plain):
        one.close()
        if hasattr(one, "disconnect_connection_pools"):  # of a cluster that is one
            one.disconnect_connection_pools()
        else:
            one.connection_pool.disconnect()
