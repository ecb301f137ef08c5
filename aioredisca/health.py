"""Whether a database can be used: it answers, takes writes, runs scripts, and grants the rights they need.

A PING alone stays green while every script fails, and on a replica, where every write does.
"""

from __future__ import annotations

from collections.abc import Iterator

from aioredisca.compiler.signature import eviction_call, probe_call, read_eviction, read_probe
from aioredisca.config import conf
from aioredisca.drivers.database import Database
from aioredisca.errors import PermissionDenied, RediscaError
from aioredisca.persistence import readiness
from aioredisca.storage.schema import Schema
from aioredisca.types import Call

NOBODY = "aioredisca/health"
"""A key that nothing has, for where no model is in use."""


async def check(db: Database | None = None) -> None:
    """Raise unless the database (conf.db) answers, takes writes, runs scripts, and grants the rights of all
    models in use, in each of their partitions.

    Unavailable, PermissionDenied or another StoreError says what is wrong: a replica, full memory, too few
    replicas, a disk that cannot be written. A server that may throw records away is judged as
    ``Database(eviction=)`` says. PING, an EVALSHA, and an EVALSHA and a ZADD per model in use;
    one round trip. Changes nothing that stays.
    """
    store = db or conf.db
    schemas = list(_in_use(store))
    keys = [schema.keys.ids for schema in schemas] or [f"{store.namespace}{NOBODY}"]
    calls = [
        Call(("PING",)),
        eviction_call(keys[0]),
        *map(probe_call, schemas),
        *map(_idle_write, keys),
    ]
    replies = await store.transport().send_all(calls)
    if not schemas:  # nobody knows which keys this user may touch
        replies = [None if _is_of_key(reply) else reply for reply in replies]
    for reply in replies:
        if isinstance(reply, RediscaError):
            raise reply
    if replies[1] is not None:
        ends = any(schema.expires for schema in schemas)
        readiness.judge_eviction(store, read_eviction(replies[1]), ends)
    for schema, reply in zip(schemas, replies[2:], strict=False):
        for command, key in read_probe(reply).missing:
            raise readiness.denied(schema, command, key, f"+{command.lower()}")


def _is_of_key(reply: object) -> bool:
    """Whether a key was denied, and no command."""
    return isinstance(reply, PermissionDenied) and not reply.of_command


def _idle_write(key: str) -> Call:
    """A write that changes nothing, for the server to refuse as any: a score for what is not there."""
    return Call(("ZADD", key, "XX", 0, ""), writes=True)


def _in_use(store: Database) -> Iterator[Schema]:
    """The schemas of the models that this process has used with the database."""
    for reference in list(store.facts.classes.values()):
        model = reference()
        if model is not None:
            yield from model.__mapper__.schema(store).all_parts
