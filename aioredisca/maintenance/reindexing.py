"""Building the indexes of a model from its records: after adding an index, or over data of redisca.

Readers and writers may go on meanwhile, as long as they know the same indexes. Nothing that is right is ever
taken away: what records deny is removed (sweeping.py), then what they demand is added, by writes that compare
what was read, so that a change in between makes them read again. Cut short at any moment, an index that was
built is no worse than before, and one that was not is still called unbuilt.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.changes import BATCH, Change
from aioredisca.compiler.loads import load_call, read_fields
from aioredisca.compiler.signature import Probe, build_call, meta_call, read_meta
from aioredisca.compiler.writes import Refusal, write_call, write_outcome
from aioredisca.errors import (
    CorruptRecord,
    RediscaError,
    StaleWrite,
    StoreError,
    UniqueViolation,
    UsageError,
    WrongType,
)
from aioredisca.maintenance import sweeping
from aioredisca.persistence import adoption, asking, readiness
from aioredisca.persistence.foreign import explained
from aioredisca.storage.entries import KeyType, places_of
from aioredisca.storage.keys import MARKER, id_text
from aioredisca.storage.replies import LIST, check_values
from aioredisca.storage.schema import COLLECTION_ENTRY, EXPIRY_ENTRY, IDS_ENTRY, Schema, entries_of
from aioredisca.types import Call, Raw, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

ATTEMPTS = 10

MAX_NAMED = 1000
"""How many records of each sort a report names."""


@dataclass
class Reindexed:
    """What :func:`reindex` did.

    ``records``     how many records were indexed.
    ``built``       the indexes that are built now, of those that it worked on.
    ``left_out``    how many records could not be indexed.
    ``problems``    (id, error) of the first 1,000 of these.
    ``incomplete``  how many records lack a required field, by attribute. They are indexed; but an index of
                    that field stays unbuilt, unless it was built already.
    ``foreign``     the ids of the first 1,000 hashes under the prefix that are not known to be records of
                    the model, and were left alone: see *is_record*.
    """

    records: int = 0
    built: tuple[str, ...] = ()
    left_out: int = 0
    problems: list[tuple[str, RediscaError]] = field(default_factory=list[tuple[str, RediscaError]])
    incomplete: dict[str, int] = field(default_factory=dict[str, int])
    foreign: list[str] = field(default_factory=list[str])


async def reindex(
    model: type[Record],
    *,
    everything: bool = False,
    canonical: bool = False,
    is_record: Callable[[str], bool] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Reindexed:
    """Build the indexes of *model* that the store calls unbuilt, and drop those the class no longer has.

    ``everything``  look through the built ones too: add what they lack, remove what is wrong. They stay
                    built, and right for whoever reads and writes meanwhile.
    ``canonical``   rewrite stored values of indexed fields that are not written as the library writes them
                    (``Ada@Example.com`` in an Email, ``007`` in an Integer). Else they are reported, for no
                    query by value would find them. It looks through the built indexes too, as *everything*
                    does.
    ``is_record``   whether an id is that of a record, where hashes of others stand under the prefix. It is
                    asked about hashes that hold a declared field and that the library has not written. By
                    default they are records, unless the id goes on behind that of another key, as
                    ``1:settings`` does behind ``1``.
    ``progress``    called with the number of records indexed so far.

    Records whose values cannot be indexed (unreadable, or one unique value twice) are left as they are and
    reported; an index that was not built then stays unbuilt. Two round trips per 100 records and per 100
    entries of the indexes to build; where the set of all ids is one of them, SCAN over the keyspace.
    """
    run = _Run(model, canonical, is_record)
    await run.announce(everything or canonical)  # such values stand in built indexes as well
    await run.clear()
    async for ids in run.ids():
        await run.look_at(ids)
        if progress is not None:
            progress(run.done.records)
    await run.finish()
    return run.done


class _Run:
    """One call of :func:`reindex`: ``building`` are the indexes to build, ``looked_at`` these and the built
    ones that are looked through."""

    def __init__(self, model: type[Any], canonical: bool, is_record: adoption.IsRecord | None) -> None:
        if not isinstance(model, type) or not hasattr(model, "__mapper__"):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"reindex() takes a model class, not {model!r}")
        self.model, self.canonical, self.is_record = model, canonical, is_record
        self.store: Store = model.__mapper__.store()
        self.schema: Schema = model.__mapper__.schema(self.store)
        self.building = self.looked_at = frozenset[str]()
        self.done = Reindexed()
        self.lacking = dict[str, list[str]]()
        """The required fields that a record lacks, of the records that are just looked at."""
        tracked = (spec.key for spec in self.schema.tracked)
        self.fields = tuple(dict.fromkeys((*tracked, *self.schema.required, MARKER)))

    # -- the signature -----------------------------------------------------------------------------

    async def announce(self, everything: bool) -> None:
        """Declare the indexes of the class, new ones as unbuilt, and drop those that it no longer has."""
        store, schema, wanted = self.store, self.schema, self.schema.index_entries
        for _ in range(readiness.DECLARATIONS):
            try:
                seen = read_meta(await asking.read(store, meta_call(schema)))
            except WrongType:
                raise WrongType(schema.keys.meta, place="meta") from None
            kept = entries_of(seen.signature)
            behind = seen.unbuilt | (wanted - kept)
            self.building = schema.with_dependents(behind & wanted)
            if await asking.read(store, build_call(schema, seen, self.building)):
                break
        else:
            raise readiness.unsettled(schema)
        self.looked_at = wanted if everything else self.building
        # a collection that the class no longer has keeps its data: nothing else holds it
        gone = frozenset(
            one for one in kept - schema.entries if not one.startswith((COLLECTION_ENTRY, EXPIRY_ENTRY))
        )
        left = places_of(schema.keys, gone).without(places_of(schema.keys, wanted))
        await sweeping.unlink(store, left)
        readiness.forget(store, [schema])

    async def clear(self) -> None:
        """Take away what records deny, and keys of another type."""
        store, schema, keys = self.store, self.schema, self.schema.keys
        if schema.expires and IDS_ENTRY in self.looked_at:
            kinds: dict[bytes, KeyType] = {keys.moments.encode(): "zset", keys.notes.encode(): "hash"}
            await sweeping.make_room(store, schema, kinds)
        await sweeping.sweep(store, schema, places_of(keys, self.looked_at))

    async def finish(self) -> None:
        """Call the indexes built, but for those that a record is missing from."""
        schema, done = self.schema, self.done
        lacking = frozenset(
            entry
            for spec in schema.indexes
            if spec.index and self.model.__mapper__.attribute(spec.key) in done.incomplete
            for entry in spec.entries[-1:]
        )
        behind = self.building if done.left_out else self.building & schema.with_dependents(lacking)
        if self.building:
            seen = Probe(schema.signature, self.building, ())
            if not await asking.read(self.store, build_call(schema, seen, behind)):
                raise self._overtaken()
        readiness.forget(self.store, [schema])
        if not done.left_out:
            done.built = tuple(sorted(self.looked_at - behind - {IDS_ENTRY}))

    def _overtaken(self) -> StoreError:
        return StoreError(
            f"another process declared other indexes of {self.schema.model} meanwhile: run reindex again"
        )

    # -- records -----------------------------------------------------------------------------------

    async def ids(self) -> AsyncIterator[list[str]]:
        """The ids of all records, in batches."""
        pages = self._found() if IDS_ENTRY in self.looked_at else self._known()
        async for ids in pages:
            for first in range(0, len(ids), BATCH):
                yield ids[first : first + BATCH]

    async def _known(self) -> AsyncIterator[list[str]]:
        """By the set of all ids. Nothing to index, nothing required: nothing to look at."""
        last: bytes | None = None
        while self.building or self.schema.required:
            after = b"-" if last is None else b"(" + last
            call = Call(("ZRANGEBYLEX", self.schema.keys.ids, after, "+", "LIMIT", "0", "1000"))
            found = await asking.read(self.store, call, LIST)
            check_values(found)
            if not found:
                return
            last = found[-1]
            yield [id_text(id) for id in found]

    async def _found(self) -> AsyncIterator[list[str]]:
        """By looking at the whole keyspace."""
        foreign = self.done.foreign
        async for ids in adoption.ids_of_hashes(self.store, self.schema):
            for first in range(0, len(ids), BATCH):
                some = ids[first : first + BATCH]
                ours, others = await adoption.records_among(self.store, self.schema, some, self.is_record)
                foreign += others[: MAX_NAMED - len(foreign)]
                yield ours

    async def look_at(self, ids: Sequence[str]) -> None:
        """Index records together, leaving out and reporting those that cannot be."""
        rest = await self._changes(ids)
        for _ in range(ATTEMPTS + len(ids)):
            if not rest or not self.looked_at:
                return self._note(rest)
            try:
                outcome = write_outcome(await asking.read(self.store, write_call(rest)))
            except RediscaError as error:
                raise await explained(self.store, [self.schema], rest, error) from None
            if not isinstance(outcome, Refusal):
                self.done.records += len(rest)
                return self._note(rest)
            if outcome.code == "SCHEMA":
                raise self._overtaken()
            if outcome.code != "STALE":  # a stale one is read again
                self._refused(rest.pop(outcome.place).id, outcome)
            rest = await self._changes([change.id for change in rest])
        for change in rest:
            self._leave_out(change.id, StaleWrite(self.schema.model, change.id, []))
        return None

    def _note(self, changes: Sequence[Change]) -> None:
        """Count the required fields that records lack."""
        for change in changes:
            for key in self.lacking[change.id]:
                name = self.model.__mapper__.attribute(key)
                self.done.incomplete[name] = self.done.incomplete.get(name, 0) + 1

    def _leave_out(self, id: str, error: RediscaError) -> None:
        self.done.left_out += 1
        if len(self.done.problems) < MAX_NAMED:
            self.done.problems.append((id, error))

    def _refused(self, id: str, refusal: Refusal) -> None:
        if refusal.code == "UNIQUE":
            holder, *keys = refusal.details
            names = ", ".join(self.model.__mapper__.attribute(key) for key in keys)
            self._leave_out(id, UniqueViolation(self.model.__name__, names, holder))
        elif refusal.code != "GONE":
            self._leave_out(id, StoreError(f"the record was refused: {refusal.code}"))

    async def _changes(self, ids: Sequence[str]) -> list[Change]:
        self.lacking.clear()
        calls = [load_call(self.schema, id, self.fields) for id in ids]
        changes = list[Change]()
        for id, reply in zip(ids, await asking.read_together(self.store, calls), strict=True):
            stored = read_fields(self.fields, reply) or dict.fromkeys(self.fields[:-1])
            self.lacking[id] = [key for key in self.schema.required if stored[key] is None]
            try:
                changes.append(self._change(id, stored))
            except CorruptRecord as error:
                self._leave_out(id, error)
        return changes

    def _change(self, id: str, stored: Raw) -> Change:
        """Write every indexed field of a record anew, if it is still as it was read."""
        sets, drops = dict[str, bytes](), list[str]()
        for spec in self.schema.tracked if self.looked_at else ():
            raw = stored[spec.key]
            if raw is None:
                drops.append(spec.key)
            else:
                sets[spec.key] = self._indexable(id, spec.key, raw)
        expect = {spec.key: stored[spec.key] for spec in self.schema.tracked}
        return Change(self.schema, id, "index", sets, tuple(drops), expect)

    def _indexable(self, id: str, key: str, raw: bytes) -> bytes:
        """A stored value in its canonical text. CorruptRecord where no index could hold it."""
        mapper = self.model.__mapper__
        codec = mapper.by_key[key].__codec__
        reason = "cannot be read"
        try:
            encoded = _canonical(codec, raw, mapper)
            self.schema.check_indexable(key, encoded)
            if encoded == raw or self.canonical:
                return encoded
            reason = (
                "is not written as the library writes it, so that no query would find it: "
                "reindex(..., canonical=True) or `aioredisca reindex --canonical` rewrites such values"
            )
        except ValueError:
            pass
        # raised out here, so that the error which may hold the stored value is not its context
        raise CorruptRecord(mapper.name, self.schema.keys.record(id), mapper.attribute(key), reason)


def _canonical(codec: Any, raw: bytes, mapper: Any) -> bytes:
    """Stored bytes as the field would write them. ValueError where they cannot be read."""
    value = codec.read(raw, mapper)
    with suppress(ValueError):  # nobody could write it any more, but it stands there and is read
        value = codec.coerce(value, mapper)
    encoded: bytes = codec.encode(value)
    return encoded
