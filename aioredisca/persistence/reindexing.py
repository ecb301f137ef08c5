"""Building the indexes of a model from its records: after adding an index, or over data of redisca.

Writers may go on meanwhile, as long as they know the same indexes: each record is indexed by a write that
compares what it read, so a change in between makes it read again and nothing is lost.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.changes import BATCH, Change
from aioredisca.compiler.loads import load_call, read_fields
from aioredisca.compiler.signature import Probe, build_call, meta_call, read_meta
from aioredisca.compiler.writes import Refusal, write_call, write_outcome
from aioredisca.errors import CorruptRecord, RediscaError, StaleWrite, StoreError, UniqueViolation
from aioredisca.persistence import foreign, readiness
from aioredisca.storage.keys import glob_literal
from aioredisca.storage.schema import COLLECTION_ENTRY, IDS_ENTRY, Schema, entries_of, fields_of
from aioredisca.types import Call, Raw, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

ATTEMPTS = 10


@dataclass
class Reindexed:
    """What :func:`reindex` did: records indexed, indexes built, and (id, error) of records it left out."""

    records: int = 0
    built: tuple[str, ...] = ()
    problems: list[tuple[str, RediscaError]] = field(default_factory=list[tuple[str, RediscaError]])


async def reindex(
    model: type[Record], *, everything: bool = False, progress: Callable[[int], None] | None = None
) -> Reindexed:
    """Build the indexes of *model* that the store calls unbuilt, and drop those the class no longer has.

    ``everything``  build all of them anew, built or not.
    ``progress``    called with the number of records indexed so far.

    Records whose values cannot be indexed (unreadable, or one unique value twice) are left as they are and
    reported; an index with such a record stays unbuilt. SCAN over the keyspace, then two round trips per
    100 records.
    """
    store = model.__mapper__.store()
    schema = model.__mapper__.schema(store)
    building = await _announce(store, schema, everything)
    done = Reindexed()
    if building:
        await _wipe(store, schema, building)
        async for ids in _ids(store, schema):
            await _index_batch(store, schema, model, ids, done)
            if progress is not None:
                progress(done.records)
        await _finish(store, schema, building, done)
    return done


async def _announce(store: Store, schema: Schema, everything: bool) -> frozenset[str]:
    """Declare the indexes of the class, those to build as unbuilt; which these are."""
    while True:
        seen = read_meta(await readiness.read(store, meta_call(schema)))
        kept = entries_of(seen.signature)
        wanted = schema.index_entries
        behind = wanted if everything or not kept else seen.unbuilt | (wanted - kept)
        behind = schema.with_dependents(behind & wanted)
        if await readiness.read(store, build_call(schema, seen, behind)):
            break
    # a collection that the class no longer has keeps its data: nothing else holds it
    gone = {entry for entry in kept - schema.entries if not entry.startswith(COLLECTION_ENTRY)}
    await _unlink(store, schema, frozenset(gone))
    readiness.forget(store, [schema])
    return behind


async def _wipe(store: Store, schema: Schema, entries: frozenset[str]) -> None:
    """Remove what stands in the indexes to build: nobody knows what it is worth."""
    await _unlink(store, schema, entries)
    if IDS_ENTRY in entries:
        await readiness.read(store, Call(("UNLINK", schema.keys.ids), writes=True))


async def _unlink(store: Store, schema: Schema, entries: frozenset[str]) -> None:
    keys = schema.keys
    for entry in entries - {IDS_ENTRY}:
        kind, _, name = entry.partition(":")
        fixed, stems = list[str](), list[str]()
        if kind == "u":
            fixed = [keys.unique(name)]
        elif kind == "U":
            fixed = [keys.unique_together(fields_of(entry))]
        elif kind == "c":
            first, second = fields_of(entry)
            stems = [keys.compound(first, second, b"").decode()]
        else:
            fixed = [keys.range(name), keys.sorted(name), keys.none(name), keys.digests(name)]
            stems = [f"{keys.base}/{letter}/{name}/" for letter in ("x", "y") if kind[0] in "xt"]
        await _unlink_keys(store, fixed, stems)


async def _unlink_keys(store: Store, fixed: list[str], stems: list[str]) -> None:
    if fixed:
        await readiness.read(store, Call(("UNLINK", *fixed), writes=True))
    for stem in stems:
        async for found in _scan(store, stem):
            await readiness.read(store, Call(("UNLINK", *found), writes=True))


async def _scan(store: Store, stem: str, *of_type: str) -> AsyncIterator[list[bytes]]:
    """The keys that start with *stem*, as the pages of a SCAN yield them."""
    cursor: bytes | str = "0"
    while True:
        call = Call(("SCAN", cursor, "MATCH", glob_literal(stem) + "*", "COUNT", 1000, *of_type))
        cursor, found = await readiness.read(store, call)
        if found:
            yield found
        if cursor == b"0":
            return


async def _ids(store: Store, schema: Schema) -> AsyncIterator[list[str]]:
    """All ids in batches; SCAN may name one twice, which does no harm."""
    stem = len(schema.keys.records.encode())
    async for keys in _scan(store, schema.keys.records, "TYPE", "hash"):
        ids = [key[stem:].decode("utf-8", "surrogateescape") for key in keys]
        for first in range(0, len(ids), BATCH):
            yield ids[first : first + BATCH]


async def _index_batch(
    store: Store, schema: Schema, model: type[Any], ids: list[str], done: Reindexed
) -> None:
    """Index records together, leaving out and reporting those that cannot be."""
    rest = ids
    for _ in range(ATTEMPTS + len(ids)):
        changes = await _changes(store, schema, model, rest, done)
        if not changes:
            return
        try:
            outcome = write_outcome(await readiness.read(store, write_call(changes)))
        except RediscaError as error:
            raise await foreign.explained(store, [schema], changes, error) from None
        if not isinstance(outcome, Refusal):
            done.records += len(changes)
            return
        rest = [change.id for change in changes]
        if outcome.code == "SCHEMA":
            raise StoreError(f"another process declared other indexes of {schema.model} meanwhile")
        if outcome.code != "STALE":  # a stale one is read again
            _report(done, model, rest.pop(outcome.place), outcome)
    for id in rest:
        done.problems.append((id, StaleWrite(schema.model, id, [])))


def _report(done: Reindexed, model: type[Any], id: str, refusal: Refusal) -> None:
    if refusal.code == "UNIQUE":
        holder, *keys = refusal.details
        names = ", ".join(model.__mapper__.attribute(key) for key in keys)
        done.problems.append((id, UniqueViolation(model.__name__, names, holder)))
    elif refusal.code != "GONE":
        done.problems.append((id, StoreError(f"the record was refused: {refusal.code}")))


async def _changes(
    store: Store, schema: Schema, model: type[Any], ids: list[str], done: Reindexed
) -> list[Change]:
    fields = tuple(spec.key for spec in schema.tracked) or schema.read_fields
    replies = await readiness.read_together(store, [load_call(schema, id, fields) for id in ids])
    changes = list[Change]()
    for id, reply in zip(ids, replies, strict=True):
        stored = read_fields(fields, reply) or dict.fromkeys(spec.key for spec in schema.tracked)
        try:
            changes.append(_change(schema, model, id, stored))
        except CorruptRecord as error:
            done.problems.append((id, error))
    return changes


def _change(schema: Schema, model: type[Any], id: str, stored: Raw) -> Change:
    """Write every indexed field of a record anew, in its canonical text, if it is still as it was read."""
    sets, drops = dict[str, bytes](), list[str]()
    for spec in schema.tracked:
        raw = stored.get(spec.key)
        if raw is None:
            drops.append(spec.key)
        else:
            sets[spec.key] = _canonical(schema, model, id, spec.key, raw)
    expect: Raw = {spec.key: stored.get(spec.key) for spec in schema.tracked}
    return Change(schema, id, "index", sets, tuple(drops), expect)


def _canonical(schema: Schema, model: type[Any], id: str, key: str, raw: bytes) -> bytes:
    name = model.__mapper__.attribute(key)
    codec = model.__mapper__.by_key[key].__codec__
    try:
        value = codec.read(raw, model.__mapper__)
        encoded: bytes = codec.encode(value)
        schema.check_indexable(key, encoded)
    except ValueError:
        raise CorruptRecord(model.__name__, schema.keys.record(id), name) from None
    return encoded


async def _finish(store: Store, schema: Schema, building: frozenset[str], done: Reindexed) -> None:
    """Call the indexes built, but for those that a record is missing from."""
    behind = building if done.problems else frozenset[str]()
    await readiness.read(store, build_call(schema, Probe(schema.signature, building, ()), behind))
    readiness.forget(store, [schema])
    done.built = tuple(sorted(building - behind - {IDS_ENTRY}))
