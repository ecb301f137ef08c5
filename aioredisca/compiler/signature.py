"""The stored signature of a class: asked for, declared, and changed as indexes are built."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from aioredisca.compiler.positions import Declare
from aioredisca.compiler.scripts import probe_script, small_script
from aioredisca.storage.replies import reader
from aioredisca.storage.schema import Schema, entries_of
from aioredisca.types import Arg, Call, Reply


def probe_call(schema: Schema) -> Call:
    """Ask for the stored signature and for missing rights. Writes nothing that stays."""
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
    if schema.expires:
        checks += ["z", keys.moments, "h", keys.notes, "e", keys.record(token)]
    return Call((token, *checks), probe_script(bool(schema.field_ttls)), schema.fixed_keys, writes=True)


@dataclass(frozen=True, slots=True)
class Probe:
    """What :func:`probe_call` found: the meta hash, and (command, key) of each missing right.

    The key is empty where the server does not know the command.

    ``eviction``  the policy by which the server may throw away keys of the library, or nothing.
    ``ver``       the word for all of the meta hash, see :class:`~aioredisca.types.Proof`.
    """

    signature: str
    unbuilt: frozenset[str]
    missing: tuple[tuple[str, str], ...]
    eviction: str = ""
    ver: bytes = b""


@reader
def read_probe(reply: Reply) -> Probe:
    texts = [text.decode("utf-8", "replace") for text in reply]
    return Probe(
        texts[0],
        entries_of("/" + texts[1]) if texts[1] else frozenset(),
        tuple(zip(texts[4::2], texts[5::2], strict=True)),
        texts[2],
        reply[3],
    )


def eviction_call() -> Call:
    """Ask for the policy alone, see :class:`Probe`."""
    return Call((), small_script("evicts"))


@reader
def read_eviction(reply: Reply) -> str:
    """The policy that :func:`eviction_call` found, or nothing."""
    policy: str = reply.decode()
    return policy


def declare_call(schema: Schema, seen: Probe, *, legacy: bool) -> Call:
    """Write the signature of *schema* over the one that was *seen*.

    Indexes that the store did not keep so far are unbuilt while there are records: those in the set of
    ids, or *legacy* ones that stand in no index at all.
    """
    added = schema.with_dependents(schema.index_entries - entries_of(seen.signature))
    behind = "/".join(sorted(seen.unbuilt | (schema.index_entries if legacy else added)))
    ahead = behind if legacy else "/".join(sorted(seen.unbuilt))
    return _declare(schema, seen, if_records=behind, always=ahead)


def build_call(schema: Schema, seen: Probe, unbuilt: frozenset[str]) -> Call:
    """Write the signature of *schema* over the one that was *seen*, with exactly these indexes unbuilt."""
    behind = "/".join(sorted(unbuilt))
    return _declare(schema, seen, if_records=behind, always=behind)


def _declare(schema: Schema, seen: Probe, *, if_records: str, always: str) -> Call:
    """Write the signature; the indexes that are unbuilt if there are records, and those that are always."""
    ver = secrets.token_urlsafe(6)  # 8 characters
    arguments = Declare(seen.signature, schema.signature, if_records, always, ver)
    return Call((*arguments,), small_script("declare"), (schema.keys.meta, schema.keys.ids), writes=True)


def meta_call(schema: Schema) -> Call:
    """Read the stored signature, the unbuilt indexes, and the word for both."""
    return Call(("HMGET", schema.keys.meta, "signature", "unbuilt", "ver"))


@reader
def read_meta(reply: Reply) -> Probe:
    signature, unbuilt = (text.decode() if text else "" for text in reply[:2])
    return Probe(signature, entries_of("/" + unbuilt) if unbuilt else frozenset(), (), ver=reply[2] or b"")
