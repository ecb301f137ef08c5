"""Verbs that read and write one record in a single atomic call: counting, and finding or creating."""

from __future__ import annotations

import decimal
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from aioredisca.compiler.changes import Change, Increment, Mode, More
from aioredisca.compiler.claims.wanted import claims_of
from aioredisca.compiler.loads import exists_call, load_call
from aioredisca.compiler.writes import FoundOrCreated, Lost
from aioredisca.errors import AlreadyExists, Gone, OutOfBounds, Unavailable, UniqueViolation, UsageError
from aioredisca.fields.access import check_changeable, decoded, keep_touched, need_id, to_be_deleted
from aioredisca.fields.numbers import Number, increment
from aioredisca.persistence import asking, claims, executor, readiness
from aioredisca.persistence.pending import (
    as_required,
    counted,
    counted_in_python,
    learn,
    number_field,
    refuse_waiting,
    split,
    stamps,
    supersede,
)
from aioredisca.storage import codecs
from aioredisca.storage.moments import Duration
from aioredisca.storage.replies import MISREAD, check_row, strange
from aioredisca.storage.schema import Schema
from aioredisca.types import MISSING, Missing, Raw, Store

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")


async def incr(
    record: Record,
    column: Any,
    by: Any,
    low: Any,
    high: Any,
    create: bool = False,
    ttl: Duration | Missing | None = MISSING,
) -> Any:
    """Add *by* to the number in *column* on the server, within the bounds; the new number.

    With *create* a record that is not there is made; *ttl* as of a save.
    """
    mapper, state = record.__mapper__, record.__state__
    field = number_field(mapper, column)
    check_changeable(record)
    need_id(record)
    wanted = increment(field, by, low, high, mapper)
    store = mapper.store(state.unit)
    schema = mapper.schema(store).of(state.id)
    async with executor.locked(store, [record]):
        refuse_waiting(record, field, "incr() counts in")
        ends = mapper.lifetime.of_save(ttl)
        mode: Mode = "incr_or_create" if create else "incr"
        stamped = stamps(mapper)
        sets, drops = split(schema, stamped)
        change = Change(schema, state.id, mode, sets, drops, more=More(sums={field.key: wanted}), ends=ends)
        if field.key in schema.mirrors:
            if create:
                raise counted_in_python(mapper, field)
            text = await _counted_twice(store, record, field, by, change, wanted)
        else:
            (outcome,) = await executor.write(store, [(record, as_required(record, change))])
            text = counted(change, outcome)[field.key]
            if stamped:
                learn(record, stamped)
    with suppress(*MISREAD):
        return field.__codec__.read(text, mapper)
    raise strange(writes=True)


async def _counted_twice(
    store: Store, record: Any, field: Number[Any], by: Any, counting: Change, wanted: Increment
) -> bytes:
    """Count where the sum is written to other fields as well, by what ``also=`` makes of it here.

    Compared with what was read, and done again where another was faster. HMGET and EVALSHA, two round trips.
    """
    mapper, schema, id = record.__mapper__, counting.schema, counting.id
    codec = field.__codec__
    while True:
        raw = (await asking.read(store, load_call(schema, id, [field.key])))[0]
        before = None if raw is None else decoded(record, field, raw)
        total = codec.operand(by, mapper) + (before or 0)
        units = codecs.scaled(decimal.Decimal(total), wanted.places)
        if (wanted.low is not None and units < wanted.low) or (
            wanted.high is not None and units > wanted.high
        ):
            raise OutOfBounds(mapper.name, id, field.name, None if field.secret else before)
        text = codec.accept(total, mapper)[1]
        changes = {**stamps(mapper), field.key: text}
        sets, drops = split(schema, changes)
        expect = {field.key: raw}
        change = Change(schema, id, "update", sets, drops, expect, skip=True, ends=counting.ends)
        (outcome,) = await executor.write(store, [(mapper.detached(id), change)])
        if outcome is not None:
            learn(record, changes)
            return sets[field.key]
        if not await asking.read(store, exists_call(schema, id)):
            raise Gone(mapper.name, id)


async def get_or_create(
    model: type[R],
    key: Mapping[str, Any],
    defaults: Mapping[str, Any] | None,
    *,
    update: bool,
    ttl: Duration | Missing | None = MISSING,
) -> tuple[R, bool]:
    """The record with the unique values *key*, created if there was none, and whether it was.

    With *update* a record that was there is given the *defaults*, else they are for a new one alone.
    """
    if not isinstance(defaults, Mapping | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("defaults= takes attributes with their values, as in defaults={'name': 'Ada'}")
    mapper, values = model.__mapper__, dict(defaults or {})
    key, id = dict(key), None
    if "id" in key:
        id = mapper.record_id(key.pop("id"))
        if key:
            raise UsageError(f"{mapper.name}: a record is found by its id alone, or by what is unique")
    store = mapper.store()
    schema = mapper.schema(store) if id is None else mapper.schema(store).of(id)
    if twice := key.keys() & values.keys():
        raise UsageError(f"{', '.join(sorted(twice))}: given as a key and in defaults")
    for name in (*key, *values):
        mapper.field(name)
    entry, wanted = _unique_key(mapper, schema, key) if id is None else ("", {})
    fresh = mapper.detached(mapper.new_id() if id is None else id)
    fresh.__state__.layers.become_new()
    mapper.fill(fresh, {**values, **key})
    ends = mapper.lifetime.of_save(ttl)
    stamped = stamps(mapper)
    create = _change(schema, fresh, store, "create", {**fresh.__state__.layers.diff, **stamped}, ends)
    overlay = mapper.detached("")
    for name, value in values.items() if update else ():
        setattr(overlay, name, value)
    changed = overlay.__state__.layers.diff
    changed = {**changed, **stamped} if changed else changed
    updates = (
        _change(schema, overlay, store, "update", changed, ends) if changed or (update and ends) else None
    )
    before = mapper.pending() if changed else {}
    waiting = mapper.waiting()
    if id is not None and schema.claimed:
        found = await _by_id_in_partition(store, fresh, create, updates, waiting)
    elif id is None and schema.parts:
        found = await _in_partitions(store, fresh, create, updates, wanted, entry, waiting)
    else:
        found = await executor.get_or_create(store, fresh, create, updates, wanted, entry, waiting)
    record = mapper.handle(found.id)
    layers = record.__state__.layers
    if changed and not found.created:
        supersede(record, changed, before.get(found.id, {}))
    if found.created:
        _believe(record, {**dict.fromkeys(schema.by_key), **create.sets}, complete=True)
    elif layers.blank or not layers.known():
        _believe(record, found.fields, complete=False)
    else:
        learn(record, changed)
    return record, found.created


async def _by_id_in_partition(
    store: Store, fresh: Record, create: Change, update: Change | None, waiting: Collection[str]
) -> FoundOrCreated:
    """The same by id where uniques hold over all partitions. HMGET where it is found, one round trip; three
    where it is created."""
    with executor.told(executor.FOUND_AGAIN):
        for tries in range(claims.ATTEMPTS):
            if tries:
                await claims.pause(store, tries)
            found = await _held(store, fresh, create.schema, create.id, update, {}, waiting)
            if found:
                return found
            with suppress(AlreadyExists):
                await executor.write(store, [(fresh, create)])
                return FoundOrCreated(create.id, True, {})
    raise Unavailable(claims.RESTLESS)


async def _in_partitions(
    store: Store,
    fresh: Record,
    create: Change,
    update: Change | None,
    key: Mapping[str, bytes],
    entry: str,
    waiting: Collection[str],
) -> FoundOrCreated:
    """The same where uniques hold over all partitions: looked up, and created where nobody holds *key*, again
    and again as long as others are faster.

    HGET and HMGET where it is found, two round trips; three where it is updated, and where it is created.
    """
    schema, mapper = create.schema, fresh.__mapper__
    names = [mapper.attribute(name) for name in key]
    await readiness.ready_in_all(store, schema.parts)
    for part in schema.parts:
        await readiness.ready_to_read(store, part, {entry: ", ".join(names)})
    of = next(of for of, fields in schema.claimed.items() if {*fields} == {*key})
    value = claims_of({of: schema.claimed[of]}, {**key})[of]
    create = replace(create, schema=schema.of(create.id))
    refused: UniqueViolation | None = None
    with executor.told(executor.FOUND_AGAIN):
        for tries in range(claims.ATTEMPTS):
            if tries:
                await claims.pause(store, tries)
            holder = await claims.holder(store, schema, of, value)
            found = holder and await _held(store, fresh, schema, holder, update, key, waiting)
            if found:
                return found
            if refused:
                raise refused
            try:
                await executor.write(store, [(fresh, create)])
                return FoundOrCreated(create.id, True, {})
            except UniqueViolation as error:
                if {*error.fields} != {*names}:
                    refused = error  # unless it holds the key as well
    raise Unavailable(claims.RESTLESS)


async def _held(
    store: Store,
    fresh: Record,
    schema: Schema,
    holder: str,
    update: Change | None,
    key: Mapping[str, bytes],
    waiting: Collection[str],
) -> FoundOrCreated | None:
    """The record of *holder*, updated if that is wanted; None where it does not hold *key*."""
    place, mapper = schema.of(holder), fresh.__mapper__
    if update is not None:
        if holder in waiting:
            raise to_be_deleted(mapper.name, holder)
        change = replace(update, schema=place, id=holder, expect=dict(key), skip=True)
        (outcome,) = await executor.write(store, [(mapper.detached(holder), change)])
        if outcome is None:
            return None
    row = await asking.read(store, load_call(place, holder, place.read_fields))
    check_row(row, place.read_fields)
    if row.count(None) == len(row):
        return None
    fields = dict(zip(place.read_fields, row, strict=True))
    if update is None and any(fields.get(name) != value for name, value in key.items()):
        return None
    return FoundOrCreated(holder, False, {name: fields[name] for name in schema.by_key})


async def upsert(
    model: type[R],
    model_id: object,
    values: Mapping[str, Any],
    counts: Mapping[Any, Any] | None,
    ttl: Duration | Missing | None = MISSING,
) -> R:
    """The record of that id, whether it is there or not, with these values set and these numbers added to."""
    if not isinstance(counts, Mapping | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("incr= takes columns with numbers, as in incr={Hits.n: 1}")
    mapper = model.__mapper__
    id = mapper.record_id(model_id)
    store = mapper.store()
    schema = mapper.schema(store).of(id)
    overlay: Any = mapper.detached(id)
    for name, value in values.items():
        mapper.field(name)
        setattr(overlay, name, value)
    sums = _sums(mapper, values, counts or {})
    if id in mapper.waiting():
        raise to_be_deleted(mapper.name, id)
    before = mapper.pending().get(id, {})
    if waits := before.keys() & sums.keys():
        where = f"{mapper.name}({id!r}).{mapper.attribute(min(waits))}"
        raise UsageError(f"{where} has a change that is not saved: save() or revert() it first")
    changed = {**overlay.__state__.layers.diff, **stamps(mapper)}
    change = _change(schema, overlay, store, "upsert", changed, mapper.lifetime.of_save(ttl))
    change.more = More(sums=sums) if sums else None
    (outcome,) = await executor.write(store, [(overlay, change)])
    told: Raw = {**changed, **(counted(change, outcome) if sums else {})}
    record: R = mapper.handle(id)
    if outcome is True or (isinstance(outcome, Lost) and outcome.created):
        _believe(record, {**dict.fromkeys(schema.by_key), **told}, complete=True)
    else:
        supersede(record, changed, before)
        learn(record, told)
    return record


def _sums(mapper: Mapper, values: Mapping[str, Any], counts: Mapping[Any, Any]) -> dict[str, Increment]:
    """What is to be added, by hash field. UsageError for a field that is set as well."""
    found = dict[str, Increment]()
    for column, by in counts.items():
        field = number_field(mapper, column)
        if field.name in values:
            raise UsageError(f"{mapper.name}.{field.name} is set and counted in one call: do one of them")
        if field.also:
            raise counted_in_python(mapper, field)
        found[field.key] = increment(field, by, None, None, mapper)
    return found


def _believe(record: Any, raw: Raw, *, complete: bool) -> None:
    keep_touched(record)
    record.__state__.layers.take(raw, complete=complete)


def _change(schema: Schema, record: Any, store: Store, mode: Mode, changes: Raw, ends: str) -> Change:
    sets, drops = split(schema, changes)
    parents = record.__mapper__.parents(sets, store, None)
    return Change(schema, record.__state__.id, mode, sets, drops, ends=ends, parents=parents)


def _unique_key(mapper: Mapper, schema: Schema, key: Mapping[str, Any]) -> tuple[str, dict[str, bytes]]:
    """The unique index of the attributes in *key*, as the signature names it, and their stored values."""
    fields = [mapper.field(name) for name in key]
    raw: Raw = {field.key: field.__codec__.accept(key[field.name], mapper)[1] for field in fields}
    values = {name: value for name, value in raw.items() if value is not None}
    if len(values) < len(key):
        raise UsageError(f"{mapper.name}: None claims nothing, so no record can be found by it")
    entries = {c.fields: c.entry for c in schema.compounds if c.unique}
    entries |= {(spec.key,): f"u:{spec.key}" for spec in schema.fields if spec.unique}
    found = next((entry for one, entry in entries.items() if {*one} == {*values}), None)
    if found is None:
        choices = " or ".join(", ".join(map(mapper.attribute, one)) for one in entries)
        raise UsageError(
            f"{mapper.name}: a record is found by one unique field, or by all fields that are unique "
            f"together: {choices or 'this class has none'}"
        )
    return found, values
