"""What a process must know of a store before it may trust it: its meta and its own rights.

The store's ``meta`` hash says which versions of a class may write and how far each index is
(storage/meta.py). Every write looks up its permit on the server, every query compares the word of meta; here
it is read once per process and model, and again when one of them was found to be another.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from aioredisca.compiler.loads import record_call, records_call
from aioredisca.compiler.signature import (
    Probe,
    change_meta_call,
    meta_call,
    probe_call,
    read_probe,
)
from aioredisca.config import hooks
from aioredisca.errors import (
    EvictionWarning,
    NotIndexed,
    PermissionDenied,
    SchemaMismatch,
    StoreError,
    Unsupported,
    WrongType,
)
from aioredisca.persistence import adoption, refusals
from aioredisca.persistence.asking import read, read_together, unrefused
from aioredisca.storage import versions
from aioredisca.storage.facts import IndexState
from aioredisca.storage.keys import Keys, glob_literal
from aioredisca.storage.meta import ANNOUNCED, READY, Meta, read_meta
from aioredisca.storage.replies import LIST, NUMBER, check_rows, strange
from aioredisca.storage.schema import IDS_ENTRY, Schema
from aioredisca.types import Call, Proof, ReadFrom, Store, Stored

NOT_BUILT = "the index is not built yet: `aioredisca reindex` builds it, or tells which records forbid that"

DECLARATIONS = 100
"""How often the indexes of a class may be found to be declared otherwise meanwhile, by a write or a read."""

SCAN_CALLS = 100
"""How many SCANs of 1,000 keys look for records that no index knows of."""


async def rows(
    store: Store, wanted: Sequence[tuple[Schema, Sequence[str]]], read_from: ReadFrom | None = None
) -> list[Stored]:
    """The declared fields of the *wanted* ids of each class, as they are stored, in one round trip.

    Classes in several slots, and partitions, are several calls: one round trip to each of their nodes.
    """
    transport = store.transport()
    apart = store.clustered and len({schema.keys.slot for schema, _ in wanted}) > 1
    if apart or any(schema.cache_region or schema.parts for schema, _ in wanted):
        for schema, _ in wanted:
            await ready_to_load(store, schema)
        calls = [record_call(schema.of(id), id, read_from) for schema, ids in wanted for id in ids]
        found: list[Stored] = unrefused(await transport.send_all(calls))
    else:
        call = records_call(wanted, read_from)
        found = await transport.send(call) if call.commands else []
    if type(found) is not list or len(found) != sum(len(ids) for _, ids in wanted):
        raise strange()
    rest = iter(found)
    for schema, ids in wanted:
        check_rows([*islice(rest, len(ids))], len(schema.read_fields))
    return found


# -- before a read ---------------------------------------------------------------------------------


async def ready_to_read(store: Store, schema: Schema, entries: Mapping[str, str]) -> Proof:
    """NotIndexed unless the store has built all *entries*: index -> what it is of, for the text.

    What a read by them believes.
    """
    missing, proof = await lacking(store, schema, entries)
    for name in missing.values():
        raise NotIndexed(schema.model, name, not_built(schema))
    return proof


def not_built(schema: Schema) -> str:
    """What an index that is not ready wants."""
    if schema.auto_build is None:
        return NOT_BUILT
    return (
        f"{NOT_BUILT}; conf(auto_build={schema.auto_build}) does where there are no more records than that, "
        "none forbids it, and no other process is at it"
    )


def complete(store: Store, schema: Schema) -> Proof | None:
    """What a read believes where the store is known to have built every index of *schema*, as it nearly
    always has; None where it is not."""
    known = store.facts.index_states.get(schema.name)
    return known.proof if known is not None and known.complete else None


async def ready_to_load(store: Store, schema: Schema, *, writes: bool = False) -> None:
    """SchemaMismatch where a class with partitions has its records somewhere else: asked once per process.

    Who *writes* says that they are here, where there are none yet.
    """
    if schema.parts:
        await _in_partitions(store, schema.parts[0], writes=writes)


async def in_place(store: Store, schema: Schema) -> None:
    """SchemaMismatch where the records are in another number of partitions, or move. HGETALL, one round
    trip."""
    if why := await misplaced(store, schema):
        raise SchemaMismatch(schema.model, [], why)


async def misplaced(store: Store, schema: Schema) -> str:
    """Why the records are not in as many partitions as the class declares; empty where they are.

    HGETALL, one round trip; one more where they are not.
    """
    meta = await _meta(store, schema.keys)
    why = refusals.misplaced(meta, len(schema.all_parts))
    whole = replace(schema, parts=())
    return "" if why == refusals.NOT_SPREAD and await is_empty(store, whole, meta) else why


async def ready_in_all(store: Store, parts: Sequence[Schema]) -> None:
    """Learn in one round trip what reads of all *parts* believe, as far as nothing is known of it yet."""
    states = store.facts.index_states
    unknown = [part for part in parts if part.name not in states]
    if not unknown or parts[0].part is None:
        return
    await _in_partitions(store, unknown[0])
    metas = await read_together(store, [meta_call(part.keys) for part in unknown])
    for part, reply in zip(unknown, metas, strict=True):
        states[part.name] = await _believed(store, part, read_meta(reply), declared=False)


async def lacking(store: Store, schema: Schema, entries: Mapping[str, str]) -> tuple[dict[str, str], Proof]:
    """Those of *entries* (index -> its field) that the store has not built, and what a read by the others
    believes. Asks only what it must."""
    known = store.facts.index_states.get(schema.name)
    if known is None or any(known.lacks(entry) for entry in entries):
        declared = known is not None and known.declared
        known = await _look(store, schema, declared=declared)
        if not known.complete and await _built(store, schema, known.states):
            known = await _look(store, schema, declared=declared)
        store.facts.index_states[schema.name] = known
    missing = {entry: field for entry, field in entries.items() if known.lacks(entry)}
    return missing, known.proof


def distrust(store: Store, schema: Schema, proof: Proof) -> None:
    """Look again before the next read: the store has changed since *proof* was believed."""
    known = store.facts.index_states.get(schema.name)
    if known is not None and known.proof == proof:  # else somebody has looked meanwhile
        del store.facts.index_states[schema.name]


async def _look(store: Store, schema: Schema, *, declared: bool) -> IndexState:
    await _in_partitions(store, schema)
    return await _believed(store, schema, await _meta(store, schema.keys), declared=declared)


async def _meta(store: Store, keys: Keys) -> Meta:
    try:
        return read_meta(await read(store, meta_call(keys), LIST))
    except WrongType:
        raise WrongType(keys.meta, place="meta") from None


async def _believed(store: Store, schema: Schema, meta: Meta, *, declared: bool) -> IndexState:
    if meta.known:
        return _state(schema, meta, declared=declared)
    state = ANNOUNCED if await _has_records(store, schema) else READY  # what is empty needs not be built
    return IndexState(Proof(schema.keys.meta, b""), dict.fromkeys(schema.index_entries, state))


async def _built(store: Store, schema: Schema, states: Mapping[str, str]) -> bool:
    """Build the indexes of a small store here and now, if the class asks for that; whether it was done.

    Where the set of all ids is not ready nobody knows how many records there are. Where they move nobody may.
    """
    if schema.auto_build is None or states.get(IDS_ENTRY) != READY or versions.barred(states):
        return False
    size = await read(store, Call(("ZCARD", schema.keys.ids)), NUMBER)
    size *= schema.part.partitions if schema.part else 1  # which have about as many each
    return size <= schema.auto_build and await hooks.build_indexes(store, schema)


def _state(schema: Schema, meta: Meta, *, declared: bool) -> IndexState:
    away = versions.partitions(meta.states) or versions.filled(meta.states)
    if away and not schema.moving:
        raise SchemaMismatch(schema.model, [], refusals.elsewhere(meta.states))
    own = {entry: meta.states.get(entry, "") for entry in schema.index_entries}
    return IndexState(Proof(schema.keys.meta, meta.ver), own, declared)


async def _in_partitions(store: Store, schema: Schema, *, writes: bool = False) -> None:
    """SchemaMismatch where the records of a class with partitions are kept otherwise. Asked once per process.

    Where there is none yet, whoever *writes* first says that they are kept so.
    """
    of = schema.part
    if of is None or schema.moving or (of.whole.base, of.partitions) in store.facts.spread:
        return
    for _ in range(DECLARATIONS):
        meta = await _meta(store, of.whole)
        count = versions.partitions(meta.states)
        if versions.moving(meta.states):
            if count == of.partitions and not writes:  # who reads goes on until they have moved
                return
            raise SchemaMismatch(schema.model, [], refusals.elsewhere(meta.states))
        if count == of.partitions:
            store.facts.spread.add((of.whole.base, of.partitions))
            return
        if count:
            raise SchemaMismatch(schema.model, [], refusals.in_partitions(count))
        if versions.under_way(meta.states):
            raise SchemaMismatch(schema.model, [], refusals.elsewhere(meta.states))
        if not await is_empty(store, replace(schema, keys=of.whole, part=None), meta):
            raise SchemaMismatch(schema.model, [], refusals.NOT_SPREAD)
        if not writes:
            return
        edit = versions.spread(meta, of.partitions, (of.whole.ids,))
        await read(store, change_meta_call(of.whole, edit))
    raise unsettled(schema)


async def is_empty(store: Store, schema: Schema, meta: Meta) -> bool:
    """Whether there is no record where *schema* has them, of which *meta* is known."""
    if meta.known:
        return not await read(store, Call(("ZCARD", schema.keys.ids)), NUMBER)
    return not await _has_records(store, schema)


async def _has_records(store: Store, schema: Schema) -> bool:
    """Whether records stand under the prefix of a model that nobody declared, as redisca left them."""
    if schema.part is not None:  # where it left none
        return False
    pages = 0
    async for ids in adoption.ids_of_hashes(store, schema):
        if ids and (await adoption.records_among(store, schema, ids))[0]:
            return True
        pages += 1
        if pages == SCAN_CALLS:
            break
    return False


# -- before a write --------------------------------------------------------------------------------


def declared(store: Store, schemas: Iterable[Schema]) -> bool:
    """Whether this process knows that the store keeps the indexes of *schemas*, as it nearly always does."""
    states = store.facts.index_states
    for schema in schemas:
        known = states.get(schema.name)
        if known is None or not known.declared:
            return False
    return True


async def ready_to_write(store: Store, schema: Schema) -> None:
    """Probe rights and declare this version of the class, once per process and model."""
    known = store.facts.index_states.get(schema.name)
    for _ in range(DECLARATIONS):
        if known is not None and known.declared:
            break
        known = await _declare(store, schema)
    else:
        raise unsettled(schema)
    store.facts.index_states[schema.name] = known


def unsettled(schema: Schema) -> SchemaMismatch:
    """Why nothing goes on: whatever is declared, it is another declaration the next moment."""
    return SchemaMismatch(schema.model, [], "another process keeps declaring other indexes")


def restless(model: str) -> StoreError:
    """Why no read comes to an end: whatever it goes by, that has changed when it is done."""
    return StoreError(
        f"the indexes of {model} changed {DECLARATIONS} times while they were asked: see which "
        f"processes keep declaring or reindexing it, and ask again"
    )


def forget(store: Store, schemas: Iterable[Schema]) -> None:
    """Ask again: the server found something else than this process believes in."""
    for schema in schemas:
        store.facts.index_states.pop(schema.name, None)


async def _declare(store: Store, schema: Schema) -> IndexState | None:
    await _in_partitions(store, schema, writes=True)
    seen = await _probe(store, schema)
    meta = seen.meta
    if meta.permits.get(schema.version) in refusals.WRITERS:
        known = _state(schema, meta, declared=True)
        if not known.complete and await _built(store, schema, meta.states):
            return None
        return known
    if schema.moving:  # who moves records to where they are already is late
        raise unsettled(schema)
    empty = not seen.size and (meta.known or not await _has_records(store, schema))
    if why := refusals.refusal(schema, meta, empty=empty):
        if not refusals.of_ends(schema, meta) and await _built(store, schema, meta.states):
            return None
        raise why
    absent = (schema.keys.ids,) if empty else ()
    change = versions.edit(meta, schema, versions.declared(meta, schema, empty=empty), absent)
    if change is not None:
        await read(store, change_meta_call(schema.keys, change))
    return None  # written, or somebody was faster: look again


async def _probe(store: Store, schema: Schema) -> Probe:
    try:
        seen = read_probe(await read(store, probe_call(schema)))
    except PermissionDenied as error:
        raise _sharper(error, schema) from None
    judge_eviction(store, seen.eviction, schema.expires)
    for command, key in seen.missing:
        raise denied(schema, command, key, f"+{command.lower()} {_pattern(schema)}")
    return seen


def denied(schema: Schema, command: str, key: str, rule: str) -> StoreError:
    """Why *command* cannot be: the server has none such if it was tried on no key, else *rule* is missing."""
    return (
        PermissionDenied(rule, f"{command} on {key!r} is denied")
        if key
        else Unsupported(schema.model, command)
    )


def judge_eviction(store: Store, policy: str, ends: bool) -> None:
    """Warn once, or raise, where the server may throw records away: see ``Database(eviction=)``."""
    text = eviction_risk(policy, ends)
    if not text or store.eviction == "allow":
        return
    if store.eviction == "refuse":
        raise StoreError(f"{text}, or allow it by Database(eviction='allow')")
    if not store.facts.eviction_told:
        store.facts.eviction_told = True
        warnings.warn(f"{text}, or silence this by Database(eviction='allow')", EvictionWarning, stacklevel=2)


def eviction_risk(policy: str, ends: bool) -> str:
    """What a server may throw away by that policy, and the cure; or nothing.

    *ends*: whether there are records that end, which a volatile policy throws away, too.
    """
    of_all = policy.startswith("allkeys")
    if not (of_all or (ends and policy.startswith("volatile"))):
        return ""
    which, until = ("records", "") if of_all else ("records that end", " until their moment")
    cure = "noeviction" if ends else "noeviction or volatile-lru"
    return (
        f"the database may throw away {which} when its memory is full (maxmemory-policy {policy}), and what "
        f"the indexes say of them stays{until}: set the policy to {cure}"
    )


def _sharper(error: PermissionDenied, schema: Schema) -> PermissionDenied:
    """A denied key names no rule: it takes the patterns of the whole model."""
    return error if error.of_command else PermissionDenied(_pattern(schema), error.detail)


def _pattern(schema: Schema) -> str:
    """The keys of the class, those of all partitions."""
    base = glob_literal(schema.keys.base)
    if schema.part is None:
        return f"~{base}:* ~{base}/*"
    tag = str(schema.keys.tag)
    base = base.replace(glob_literal(tag), f"{glob_literal(tag.rsplit('.', 2)[0])}.*")
    return f"~{base}:* ~{base}/* ~{glob_literal(schema.part.whole.base)}/*"
