"""Meta, asked for and changed, and the rights that writes of a class take."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aioredisca.compiler.positions import ChangeMeta
from aioredisca.compiler.scripts import probe_script, small_script
from aioredisca.storage.keys import Keys
from aioredisca.storage.meta import Edit, Meta, read_meta
from aioredisca.storage.replies import reader
from aioredisca.storage.schema import Schema
from aioredisca.types import Arg, Call, Reply


def probe_call(schema: Schema) -> Call:
    """Ask for meta and for missing rights. Writes nothing that stays."""
    token = "probe-" + secrets.token_hex(8)
    keys = schema.keys
    checks: list[Arg] = ["h", keys.record(token), "z", keys.ids, "h", keys.meta]
    kinds = {"unique": "h", "range": "z", "sorted": "z", "digests": "h", "none": "s"}
    for spec in schema.indexes:
        for name, key in schema.slots(spec):
            checks += [kinds[name], key]
        if spec.index in ("exact", "tags"):
            checks += ["s", keys.exact(spec.key, token.encode())]
    for compound in schema.compounds:
        if compound.unique:
            checks += ["h", keys.unique_together(compound.fields)]
        else:
            first, second = compound.fields
            checks += ["r", keys.range(second), "z", keys.compound(first, second, token.encode())]
    if schema.claimed:
        checks += ["h", keys.epochs, "l", keys.owed]
        checks += [part for of in schema.claimed for part in ("h", keys.claims(of))]
    if schema.expires:
        checks += ["z", keys.moments, "h", keys.notes, "e", keys.record(token)]
    if schema.feed:
        checks += ["f", keys.feed, "a", keys.nothing]
    return Call((token, *checks), probe_script(bool(schema.field_ttls)), schema.fixed_keys, writes=True)


@dataclass(frozen=True, slots=True)
class Probe:
    """What :func:`probe_call` found: meta, and (command, key) of each missing right.

    The key is empty where the server does not know the command.

    ``size``      how many records the set of all ids names.
    ``eviction``  the policy by which the server may throw away keys of the library, or nothing.
    """

    meta: Meta
    size: int
    missing: tuple[tuple[str, str], ...] = ()
    eviction: str = ""


@reader
def read_probe(reply: Reply) -> Probe:
    meta, size, eviction, *rest = reply
    texts = [text.decode("utf-8", "replace") for text in rest]
    missing = tuple(zip(texts[::2], texts[1::2], strict=True))
    return Probe(read_meta(meta), int(size), missing, eviction.decode())


def eviction_call(key: str) -> Call:
    """Ask for the policy alone, see :class:`Probe`. *key* is not looked at, but some servers want one."""
    return Call((), small_script("evicts"), (key,))


@reader
def read_eviction(reply: Reply) -> str:
    """The policy that :func:`eviction_call` found, or nothing."""
    policy: str = reply.decode()
    return policy


def meta_call(keys: Keys) -> Call:
    """Ask for all of meta."""
    return Call(("HGETALL", keys.meta))


def change_meta_call(keys: Keys, change: Edit) -> Call:
    """Change meta, if it is still what *change* expects: 1, else 0."""
    named: tuple[Arg, ...] = (keys.meta, keys.bad, *change.absent, *change.unlink)
    head = ChangeMeta(len(change.absent), change.whole, len(change.expects), len(change.sets))
    pairs = [*change.expects.items(), *change.sets.items()]
    arguments: list[Arg] = [*head, *(part for pair in pairs for part in pair), *change.drops]
    return Call((*arguments,), small_script("change_meta"), named, writes=True)
