"""Whether a database will do, and how well: each probe by itself, so that none hides another by failing."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aioredisca.compiler.scripts import small_script
from aioredisca.compiler.signature import probe_call, read_probe
from aioredisca.errors import PermissionDenied, RediscaError
from aioredisca.maintenance.server_report import Finding, Level, listed, node_findings, server_findings
from aioredisca.persistence import readiness, refusals
from aioredisca.storage.keys import Keys
from aioredisca.storage.schema import Compound, FieldSpec, Schema
from aioredisca.types import Call, Reply, Store

PINGS = 20

SLOW, FAR = 0.002, 0.010
"""Seconds of a round trip that are worth a note, and a warning."""

NOBODY = "aioredisca-doctor"
"""The id of a record that there is none of."""

NEEDED: dict[str, str] = {
    "records and indexes": "HGET HMGET HGETALL HSET HDEL EXISTS TYPE UNLINK SADD SREM SMEMBERS SCARD "
    "SMISMEMBER SRANDMEMBER SSCAN ZADD ZREM ZCARD ZCOUNT ZRANGE ZRANGEBYLEX ZLEXCOUNT ZSCORE",
    "building of indexes": "SCAN HSCAN ZSCAN SET",
    "collections": "RPUSH LPUSH RPOP LPOP LREM LTRIM LRANGE LINDEX LLEN LSET LINSERT LPOS BLMOVE SISMEMBER "
    "SPOP SUNION SINTER SDIFF ZINCRBY ZREVRANK ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZPOPMIN ZPOPMAX "
    "ZREMRANGEBYRANK ZREMRANGEBYSCORE HSETNX HINCRBY HEXISTS HKEYS HLEN INCRBY GET",
    "unique values over partitions": "RPUSH LRANGE LLEN LREM",
    "records that end": "TIME PTTL PERSIST PEXPIREAT ZMSCORE ZRANGEBYSCORE",
}
"""What the library calls, by what it is for: docs/storage.md."""


@dataclass(frozen=True, slots=True)
class _Ability:
    """Something that a server may do and need not, found out by a call that changes nothing.

    ``command``  with _KEY in the place of a key that nothing has.
    ``without``  what happens where it is absent or denied; ``rule`` allows it, ``cure`` says who has it.
    """

    name: str
    command: tuple[str | int, ...]
    rule: str
    without: str
    cure: str


_KEY = "{key}"

_ABILITIES = (
    _Ability(
        "read-only scripts",
        ("EVAL_RO", "return 1", 1, _KEY),
        "+eval_ro +evalsha_ro",
        "queries run as scripts that may write",
        "Redis from 7.0 and Valkey have EVAL_RO",
    ),
    _Ability(
        "SORT_RO",
        ("SORT_RO", _KEY, "BY", "nosort", "GET", "#", "GET", f"{_KEY}*->x"),
        "+sort_ro %R~*",
        "queries read their rows by more commands",
        "Redis from 7.0 and Valkey have SORT_RO",
    ),
    _Ability(
        "fields that end",
        ("HPTTL", _KEY, "FIELDS", 1, "x"),
        "+hpexpire +hpexpireat +hpersist +hpttl",
        "fields declared with ttl= are refused",
        "Redis from 7.4 and Valkey from 9 have HPEXPIRE",
    ),
    _Ability(
        "client tracking",
        ("CLIENT", "TRACKINGINFO"),
        "+client|tracking",
        "conf(cache=) remembers nothing",
        "Redis from 6.2 and Valkey have it",
    ),
    _Ability(
        "fence",
        ("CLIENT", "KILL", "ID", "1", "ADDR", "0.0.0.0:1"),
        "+client|info +client|kill",
        "a write whose answer was lost may still happen after later ones",
        "Redis from 6.2 and Valkey have CLIENT INFO and KILL",
    ),
    _Ability(
        "memory figures",
        ("MEMORY", "USAGE", _KEY),
        "+memory|usage",
        "`aioredisca models` shows no memory",
        "",
    ),
)


async def diagnose(store: Store, schemas: Sequence[Schema] = ()) -> list[Finding]:
    """Probe a database for the models of *schemas*; without any, for one that has all kinds of indexes.

    Changes nothing that stays. PING 21 times, then some thirty commands in three round trips, and HGETALL
    for each of the models.
    """
    try:
        latency = await _latency(store)
    except RediscaError as error:
        return [Finding("connection", "failure", str(error))]
    probed = [part for schema in schemas for part in schema.all_parts]
    probed = probed or [_everything(Keys(store.namespace, NOBODY, store.clustered))]
    ends = any(schema.expires for schema in probed)
    findings = [latency, *await server_findings(store, probed[0].keys.ids, ends)]
    findings += [*await _sentinels(store), *await _nodes(store, findings, ends)]
    findings += await _abilities(store, probed[0].keys.record(NOBODY))
    if status_of(findings) != 1:  # without scripts there is none to ask
        findings += await _rights(store, probed, known=bool(schemas))
        for schema in schemas:
            findings += await _whereabouts(store, schema)
    return [*dict.fromkeys(findings)]  # what holds for all partitions is told once


def status_of(findings: Iterable[Finding]) -> int:
    """What to tell a shell: 0 if all is well, 2 for warnings, 1 where the library cannot work."""
    levels = {finding.level for finding in findings}
    return 1 if "failure" in levels else 2 if "warning" in levels else 0


async def _latency(store: Store) -> Finding:
    transport = store.transport()
    await transport.send(Call(("PING",)))  # which connects
    spans = list[float]()
    for _ in range(PINGS):
        begun = time.perf_counter()
        await transport.send(Call(("PING",)))
        spans.append(time.perf_counter() - begun)
    median = statistics.median(spans)
    text = (
        f"a round trip takes {median * 1000:.2g} ms (median of {PINGS}, longest {max(spans) * 1000:.2g} ms)"
    )
    if median < SLOW:
        return Finding("connection", "ok", text)
    cure = "every await waits so long: run the program in the same network, and read and write many at once"
    return Finding("connection", "note" if median < FAR else "warning", text, cure)


# -- who watches it --------------------------------------------------------------------------------


async def _sentinels(store: Store) -> list[Finding]:
    """What they say who name the primary, and what it does once they name another. One command to each."""
    told = await store.sentinels()
    if not told:
        return []
    setting = listed(await _asked(store, Call(("CONFIG", "GET", "min-replicas-to-write"))))
    silent = {place: text for place, text in told.items() if isinstance(text, str)}
    return [
        *(Finding("sentinels", "warning", f"{place}: {text}", _AWAY) for place, text in silent.items()),
        *_agreement([state for state in told.values() if not isinstance(state, str)]),
        *([Finding("sentinels", "note", _CUT_OFF, _ENOUGH)] if setting[1:] == [b"0"] else []),
    ]


async def _nodes(store: Store, told: Sequence[Finding], ends: bool) -> list[Finding]:
    """What the nodes of a cluster say beyond what one of them has *told*. One round trip to each."""
    nodes = await store.nodes()
    if not nodes:
        return []
    text = (
        f"nodes that serve slots: {len(nodes)}; one is told of above, others where something is to be changed"
    )
    findings = [Finding("cluster", "ok", text)]
    known = {(one.topic, one.text) for one in told}
    for place, transport in nodes.items():
        try:
            found = await node_findings(transport, ends)
        except RediscaError as error:
            findings.append(Finding("cluster", "failure", str(error)))
        else:
            new = [one for one in found if (one.topic, one.text) not in known]
            findings += [replace(one, text=f"{place}: {one.text}") for one in new]
    return findings


_AWAY = "have it run, or take it out of the URL: a fail-over needs a majority of all sentinels"
_CUT_OFF = "a primary that is cut off goes on taking writes, which are lost once another has its place"
_ENOUGH = (
    "set min-replicas-to-write 1 and min-replicas-max-lag 10 on all servers, where there are two replicas"
)


def _agreement(states: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    primaries = sorted({f"{state['ip']}:{state['port']}" for state in states})
    sentinels = max((state["num-other-sentinels"] + 1 for state in states), default=0)
    replicas = max((state["num-slaves"] for state in states), default=0)
    quorum = max((state["quorum"] for state in states), default=0)
    text = f"{sentinels}, of which {quorum} must agree, and {replicas} replicas"
    if len(primaries) > 1:
        cure = "a fail-over is under way, or some are cut off: see their logs"
        yield Finding("sentinels", "warning", f"they name several primaries: {', '.join(primaries)}", cure)
    elif sentinels < 3:
        cure = (
            "run three, on machines of their own: fewer cannot replace a primary that takes one of them along"
        )
        yield Finding("sentinels", "warning", text, cure)
    elif not replicas:
        yield Finding("sentinels", "warning", text, "give the primary a replica: nobody can take its place")
    else:
        yield Finding("sentinels", "ok", text)


async def _asked(store: Store, call: Call) -> Reply:
    """The reply to one call; its refusal in the place of it."""
    (reply,) = await store.transport().send_all([call])
    return reply


# -- what it can do, and what this user may --------------------------------------------------------


async def _abilities(store: Store, key: str) -> list[Finding]:
    commands = [tuple(_with_key(part, key) for part in one.command) for one in _ABILITIES]
    replies = await store.transport().send_all([Call(command) for command in commands])
    return [_found(one, reply) for one, reply in zip(_ABILITIES, replies, strict=True)]


def _with_key(part: str | int, key: str) -> str | int:
    return part.replace(_KEY, key) if isinstance(part, str) else part


def _found(one: _Ability, reply: Reply) -> Finding:
    if not isinstance(reply, RediscaError):
        return Finding(one.name, "ok", "there")
    text = str(reply)
    if isinstance(reply, PermissionDenied) and not reply.of_command:
        return Finding(one.name, "note", "not told: the key is denied that it was asked for")
    if isinstance(reply, PermissionDenied) or "denied" in text:  # SORT_RO has a refusal of its own
        return Finding(one.name, "note", f"denied: {one.without}", f"add the rule {one.rule!r}")
    if "unknown" in text.lower():
        return Finding(one.name, "note", f"absent: {one.without}", one.cure)
    return Finding(one.name, "note", f"not told: {text}")


async def _whereabouts(store: Store, schema: Schema) -> list[Finding]:
    """Why the records are not where the class has them, if that is known."""
    try:
        why = await readiness.misplaced(store, schema)
    except RediscaError:  # which the rights tell
        return []
    return [Finding(f"records of {schema.model}", "failure", f"refused: {why}")] if why else []


async def _rights(store: Store, probed: Sequence[Schema], *, known: bool) -> list[Finding]:
    names = [name for commands in NEEDED.values() for name in commands.split()]
    calls = [probe_call(schema) for schema in probed]
    calls += [Call((*names,), small_script("rights"), (schema.keys.record(NOBODY),)) for schema in probed]
    replies = await store.transport().send_all(calls)
    findings = list[Finding]()
    for schema, probe, rights in zip(probed, replies, replies[len(probed) :], strict=False):
        findings += _of_model(schema, probe, rights, known=known)
    return findings


def _of_model(schema: Schema, probe: Reply, rights: Reply, *, known: bool) -> Iterator[Finding]:
    topic = f"rights for {schema.model}" if known else "rights"
    if isinstance(probe, PermissionDenied) and not known:
        cure = "list the models in pyproject.toml, so that their own keys are asked for"
        yield Finding(topic, "note", "this user may not touch every key: which ones it may is not told", cure)
        return
    if isinstance(probe, RediscaError):
        yield Finding(topic, "failure", str(probe))
        return
    seen, denied = read_probe(probe), {*_words(rights)}
    if (why := refusals.refusal(schema, seen.meta, empty=not seen.size)) and schema.auto_build is None:
        yield Finding(f"records of {schema.model}", "failure", f"refused: {why.reason}")
    missing = [(command, key) for command, key in seen.missing if command not in denied]
    for command, key in missing[:1]:  # which the second list does not name: Redis 6.2 has none
        yield Finding(topic, "failure", str(readiness.denied(schema, command, key, f"+{command.lower()}")))
    must = {"records and indexes"}
    must |= {"unique values over partitions"} if schema.claimed else set()
    must |= {"records that end"} if schema.expires and known else set()
    for purpose, commands in NEEDED.items():
        if lacking := [name.lower() for name in commands.split() if name in denied]:
            level: Level = "failure" if purpose in must else "note"
            rule = " ".join(f"+{name}" for name in lacking)
            yield Finding(topic, level, f"{purpose} need commands that are denied", f"add the rule {rule!r}")
    if not missing and not denied:
        yield Finding(topic, "ok", "all that is needed")


def _words(reply: Reply) -> list[str]:
    """The denied commands, as far as the server tells."""
    return [name for part in listed(reply) for name in part.decode().split()]


def _everything(keys: Keys) -> Schema:
    """A model that has all kinds of indexes, and no records."""
    fields = (
        FieldSpec("u", unique=True),
        FieldSpec("x", index="exact"),
        FieldSpec("n", index="range"),
        FieldSpec("s", index="sorted"),
        FieldSpec("t", index="tags"),
    )
    compounds = (Compound(("u", "x"), unique=True), Compound(("x", "n")))
    return Schema("doctor", keys, fields, compounds, expires=True)
