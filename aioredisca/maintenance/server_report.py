"""What a server says of itself, topic by topic, as findings. What it refuses to say hides nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from aioredisca.compiler.signature import eviction_call, read_eviction
from aioredisca.errors import IncompatibleServer, PermissionDenied, RediscaError
from aioredisca.persistence import readiness
from aioredisca.storage.replies import LIST
from aioredisca.types import Call, Reply, Store, Transport

Level = Literal["ok", "note", "warning", "failure"]

MAX_SKEW = 2.0
"""Seconds by which the clock of the server may differ."""

FULL = 0.9
"""The share of a limit, of memory or clients, from which on it is worth a warning."""

OLDEST = (6, 2)
"""The first version that is tested, of Redis."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe has found.

    ``level``  "ok"; "note" for what is absent and not needed; "warning" for what should be changed;
               "failure" where the library cannot work.
    ``cure``   what to change, if anything.
    """

    topic: str
    level: Level
    text: str
    cure: str = ""


async def server_findings(store: Store, ids: str, ends: bool) -> list[Finding]:
    """What the server says. Some ten commands, one round trip.

    *ids*: the key of a sorted set, to which something is written that changes nothing. *ends*: whether there
    are records that end.
    """
    calls = {
        "info": Call(("INFO",)),
        "hello": Call(("HELLO",)),
        "user": Call(("ACL", "WHOAMI")),
        "time": Call(("TIME",)),
        "keys": Call(("DBSIZE",)),
        "save": Call(("CONFIG", "GET", "save")),
        "databases": Call(("CONFIG", "GET", "databases")),
        "lua": Call(("CONFIG", "GET", "lua-time-limit")),
        "write": Call(("ZADD", ids, "XX", 0, ""), writes=True),
        "script": eviction_call(ids),
    }
    begun = time.time()
    replies = await store.transport().send_all([*calls.values()])
    answers = dict(zip(calls, replies, strict=True))
    server = _Server(answers, (begun + time.time()) / 2, ends, clustered=store.clustered)
    return [*server.findings()]


async def node_findings(transport: Transport, ends: bool) -> list[Finding]:
    """What is to be changed at one node of a cluster, by what it says of itself. One round trip."""
    calls = [Call(("INFO",)), Call(("TIME",)), Call(("CONFIG", "GET", "save"))]
    begun = time.time()
    info, now, saves = await transport.send_all(calls)
    told = _info(info)
    policy = told.get("maxmemory_policy", "") if told.get("maxmemory", "0") != "0" else ""
    replies: dict[str, Reply] = {"info": info, "time": now, "save": saves, "script": policy.encode()}
    server = _Server(replies, (begun + time.time()) / 2, ends, clustered=True)
    return [one for one in server.of_node() if one.level in ("warning", "failure")]


class _Server:
    """What the server has answered, told topic by topic. What it has refused is an exception here."""

    def __init__(self, replies: dict[str, Reply], now: float, ends: bool, *, clustered: bool) -> None:
        self._replies, self._now, self._ends, self._clustered = replies, now, ends, clustered
        self._info = _info(replies["info"])

    def findings(self) -> Iterator[Finding]:
        for topic in (self._version, self._sites, self._user, self._role, self._cluster, self._scripts):
            yield from topic()
        yield from self._writes()
        for topic in (self._eviction, self._memory, self._disk, self._clients, self._keys, self._clock):
            yield from topic()

    def of_node(self) -> Iterator[Finding]:
        """What each node of a cluster may say otherwise."""
        for topic in (self._eviction, self._memory, self._disk, self._clients, self._clock):
            yield from topic()

    def _number(self, name: str) -> int:
        text = self._info.get(name, "")
        return int(text) if text.isdecimal() else 0

    def _setting(self, name: str) -> str | None:
        """A setting of the server; None where nobody may ask."""
        return _text(reply[1]) if len(reply := listed(self._replies[name])) == 2 else None

    def _version(self) -> Iterator[Finding]:
        hello = listed(self._replies["hello"])
        said = {_text(name): _text(value) for name, value in zip(hello[::2], hello[1::2], strict=False)}
        name = self._info.get("server_name") or said.get("server") or ("redis" if self._info else "a server")
        of_info = self._info.get(f"{name}_version") or self._info.get("redis_version")
        version = of_info or said.get("version") or ""
        text = f"{name.capitalize()} {version or 'of an unknown version'}, asked in RESP2"
        if not version:
            yield Finding("server", "note", text, "the right +info tells it")
        elif name == "redis" and _parts(version) < OLDEST:
            yield Finding("server", "warning", text, "take Redis from 6.2 on, or Valkey: older is not tested")
        else:
            yield Finding("server", "ok", text)

    def _sites(self) -> Iterator[Finding]:
        if "rlec_version" in self._info:  # Redis Enterprise, whose INFO is the same for both kinds
            text = "Redis Enterprise does not tell whether this is an Active-Active database"
            cure = "if it is, let one site take all writes: what is unique is only unique on each"
            yield Finding("sites", "note", text, cure)

    def _user(self) -> Iterator[Finding]:
        name = _text(self._replies["user"])
        if name:
            yield Finding("user", "ok", name)

    def _role(self) -> Iterator[Finding]:
        if self._info.get("role") == "active-replica":  # KeyDB
            text = "one of several that take writes at once: what is unique is only unique on each"
            yield Finding("role", "failure", text, "let one take all writes: active-replica no")
        elif self._info.get("role") == "slave":
            primary = f"{self._info.get('master_host', '?')}:{self._info.get('master_port', '?')}"
            yield Finding(
                "role", "failure", "a replica, which takes no writes", f"name its primary, {primary}"
            )
        elif "role" in self._info:
            count = self._number("connected_slaves")
            yield Finding("role", "ok", f"primary, {'1 replica' if count == 1 else f'{count} replicas'}")

    def _cluster(self) -> Iterator[Finding]:
        if self._number("cluster_enabled") and not self._clustered:
            cure = "write redis+cluster:// or rediss+cluster:// in the URL"
            yield Finding("cluster", "failure", "a node of a cluster", cure)
        elif "cluster_enabled" in self._info and not self._clustered:
            yield Finding("cluster", "ok", "none")

    def _scripts(self) -> Iterator[Finding]:
        reply, limit = self._replies["script"], self._setting("lua")
        if isinstance(reply, RediscaError) and not _is_of_key(reply):
            cure = "every write and query is a script: allow +eval +evalsha"
            if isinstance(reply, IncompatibleServer):
                cure = "no right mends that: docs/servers.md tells which offerings will do"
            yield Finding("scripts", "failure", str(reply), cure)
        elif limit is None:
            yield Finding("scripts", "ok", "run by EVALSHA")
        else:
            yield Finding("scripts", "ok", f"run by EVALSHA, called slow after {int(limit):,} ms")

    def _writes(self) -> Iterator[Finding]:
        reply = self._replies["write"]
        if isinstance(reply, PermissionDenied):
            return  # of this key, or of the command, which the rights below tell
        if isinstance(reply, RediscaError):
            yield Finding("writes", "failure", str(reply))
        else:
            yield Finding("writes", "ok", "taken")

    def _eviction(self) -> Iterator[Finding]:
        reply = self._replies["script"]
        risk = (
            ""
            if isinstance(reply, RediscaError)
            else readiness.eviction_risk(read_eviction(reply), self._ends)
        )
        policy = self._info.get("maxmemory_policy")
        if risk:
            text, _, cure = risk.rpartition(": ")
            yield Finding("eviction", "warning", text, cure)
        elif policy is None:
            yield Finding("eviction", "note", "not told", "the right +info tells it")
        else:
            yield Finding("eviction", "ok", policy)

    def _memory(self) -> Iterator[Finding]:
        used, most = self._number("used_memory"), self._number("maxmemory")
        if not used:
            return
        text = f"{used / 1e6:,.0f} MB used"
        if not most:
            cure = "set maxmemory below what the machine has, with maxmemory-policy noeviction"
            yield Finding("memory", "note", f"{text}, without a limit", cure)
        elif used > FULL * most:
            yield Finding(
                "memory", "warning", f"{text} of {most / 1e6:,.0f} MB", "raise maxmemory, or delete data"
            )
        else:
            yield Finding("memory", "ok", f"{text} of {most / 1e6:,.0f} MB")

    def _disk(self) -> Iterator[Finding]:
        saves, appends = self._setting("save"), self._info.get("aof_enabled")
        states = ("aof_last_write_status", "rdb_last_bgsave_status")
        if bad := [name for name in states if self._info.get(name) == "err"]:
            text = f"the last write failed ({', '.join(bad)})"
            yield Finding("disk", "warning", text, "see the log of the server, and its disk")
        elif appends == "1":
            yield Finding("disk", "ok", "each write goes to the append-only file")
        elif saves is None or appends is None:
            text = "whether anything is written to disk is not told"
            yield Finding("disk", "note", text, "the rights +info and +config|get tell it")
        elif saves:
            text = "snapshots alone: a crash loses what was written since the last one"
            yield Finding("disk", "note", text, "set appendonly yes, where that must not be")
        else:
            text = "nothing is written to disk: when the server ends, all records are gone"
            yield Finding("disk", "warning", text, "set appendonly yes")

    def _clients(self) -> Iterator[Finding]:
        there, most = self._number("connected_clients"), self._number("maxclients")
        if there and most:
            text = f"{there:,} of {most:,}"
            full = there > FULL * most
            cure = "raise maxclients, or lower max_connections of the programs" if full else ""
            yield Finding("clients", "warning" if full else "ok", text, cure)

    def _keys(self) -> Iterator[Finding]:
        count, databases = self._replies["keys"], self._setting("databases")
        if isinstance(count, int) and self._clustered:
            yield Finding("keys", "ok", f"{count:,} at this node")
        elif isinstance(count, int):
            of = "" if databases is None else f"; the server has {databases} databases"
            yield Finding("keys", "ok", f"{count:,} in this database{of}")

    def _clock(self) -> Iterator[Finding]:
        if len(reply := listed(self._replies["time"])) != 2:
            return
        skew = int(reply[0]) + int(reply[1]) / 1e6 - self._now
        if abs(skew) <= MAX_SKEW:
            yield Finding("clock", "ok", "as the one here")
            return
        way = "ahead of" if skew > 0 else "behind"
        cure = "set both by NTP: records end by the clock of the server"
        yield Finding("clock", "warning", f"{abs(skew):,.1f} s {way} the one here", cure)


def _is_of_key(reply: Reply) -> bool:
    """Whether only the key was denied: the rights below tell."""
    return isinstance(reply, PermissionDenied) and not reply.of_command


def listed(reply: Reply) -> list[Any]:
    """A reply that is a list; an empty one for what was refused."""
    return reply if type(reply) in LIST else []


def _info(reply: Reply) -> dict[str, str]:
    """What INFO says, by name."""
    if not isinstance(reply, bytes):
        return {}
    lines = reply.decode("utf-8", "replace").splitlines()
    pairs = (line.partition(":") for line in lines if line[:1] != "#")
    return {name: value for name, _, value in pairs if value}


def _text(reply: Reply) -> str:
    return reply.decode("utf-8", "replace") if isinstance(reply, bytes) else ""


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdecimal())
