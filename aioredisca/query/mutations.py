"""Changing what a query finds: update, delete and incr by query, exact about which records are changed.

All matches are read first, so that a change which moves a record in an index cannot make it come again. Then
each batch is one atomic call, in which the server passes over every record whose fields are no longer as they
were judged; those are read and judged again, and tried again if they still match.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from aioredisca.compiler.changes import BATCH, Change, Mode
from aioredisca.compiler.loads import load_call, moment_call, read_moment
from aioredisca.errors import BulkError, Conflict, TooManyArguments, UsageError, ValidationError
from aioredisca.fields.access import to_be_deleted
from aioredisca.fields.numbers import countable
from aioredisca.persistence import asking, executor
from aioredisca.persistence.pending import begin_delete, learn, split, stamps, supersede
from aioredisca.query import execution
from aioredisca.query.scan import Found, Scan
from aioredisca.query.spec import QuerySpec
from aioredisca.storage.keys import MOMENT
from aioredisca.storage.moments import AS_IT_WAS
from aioredisca.storage.replies import check_rows
from aioredisca.types import Raw

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")

Sets: TypeAlias = "Mapping[str, bytes | None]"


@dataclass(frozen=True, slots=True)
class Work:
    """What to make of every record that is found.

    ``sets``     what to set in a record, given what it holds; None removes.
    ``ends``     when it ends, as ``lua/shared/ends.lua`` reads it.
    ``counted``  the fields that ``sets`` looks at.
    """

    mode: Mode
    sets: Callable[[Raw], Sets] = field(default=lambda raw: {}, repr=False)
    ends: str = AS_IT_WAS
    counted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """A record that was changed: what it held in the fields of *scan* before, and the change."""

    scan: Scan[Any]
    before: Raw = field(repr=False)
    change: Change


DELETE = Work("delete")


async def update(spec: QuerySpec[R], values: Mapping[str, Any]) -> int:
    """Set fields of every match; how many records were changed."""
    return await _change(spec, update_work(spec, values))


def asked_back(spec: QuerySpec[Any], values: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """The attributes among what update() was given, and whether the records are asked for."""
    if "returning" not in values or "returning" in spec.mapper.fields:
        return values, False
    rest = {**values}
    returning = rest.pop("returning")
    if not isinstance(returning, bool):
        raise UsageError(f"returning= takes True or False, not {returning!r}")
    return rest, returning


def update_work(spec: QuerySpec[R], values: Mapping[str, Any]) -> Work:
    """What sets these attributes."""
    if not values:
        raise UsageError("update() of a query takes the fields to set, as in update(age=3)")
    mapper = spec.mapper
    sets = dict[str, bytes | None]()
    for name, value in values.items():
        field = mapper.field(name)
        sets[field.key] = field.__codec__.accept(value, mapper)[1]
    sets |= stamps(mapper)
    return Work("update", lambda raw: sets, mapper.lifetime.of_save())


async def set_end(spec: QuerySpec[R], ends: str) -> int:
    """Give every match another end; how many there were."""
    return await _change(spec, Work("update", ends=ends))


async def delete(spec: QuerySpec[R]) -> int:
    """Delete every match; how many there were."""
    return await _change(spec, DELETE)


async def incr(spec: QuerySpec[R], field: Field[Any], by: Any) -> int:
    """Add *by* to a number of every match, None counting as 0; how many records were changed."""
    mapper, codec = spec.mapper, field.__codec__
    countable(mapper, field)
    step, stamped = codec.operand(by, mapper), stamps(mapper)

    def add(raw: Raw) -> Sets:
        stored = raw.get(field.key)
        total = step if stored is None else codec.decode(stored) + step
        return {**stamped, field.key: codec.accept(total, mapper)[1]}

    return await _change(spec, Work("update", add, mapper.lifetime.of_save(), (field.key,)))


async def _change(spec: QuerySpec[R], work: Work) -> int:
    found = await execution.rows(replace(spec, read_from="primary"), work.counted, bounded=False)
    return len(await change_found(found, work))


async def change_found(found: Sequence[Found[R]], work: Work) -> list[Made]:
    """Change the records of rows that were read, if they still meet the condition when their turn comes."""
    if work.mode != "delete":
        _refuse_waiting(found, work.counted)
    made = list[Made]()
    for scan in dict.fromkeys(scan for _, _, scan in found):
        mine = {id: scan.raw(values) for id, values, of in found if of is scan}
        names, size = deque(mine), BATCH
        while names:
            batch = {id: mine[id] for id in islice(names, size)}
            try:
                made += await _change_batch(scan, batch, work)
            except TooManyArguments:
                if len(batch) == 1:
                    raise
                size = len(batch) // 2
                continue
            except (Conflict, ValidationError) as error:
                raise BulkError(len(made), error) from None
            for _ in batch:
                names.popleft()
    return made


def _refuse_waiting(found: Sequence[Found[Any]], counted: Sequence[str]) -> None:
    """UsageError for a match that the open session is to delete, or to give a value that is *counted* on."""
    mappers = {scan.mapper: (scan.mapper.waiting(), scan.mapper.pending()) for _, _, scan in found}
    for id, _, scan in found:
        deleted, pending = mappers[scan.mapper]
        if id in deleted:
            raise to_be_deleted(scan.mapper.name, id)
        for key in pending.get(id, {}).keys() & {*counted}:
            where = f"{scan.mapper.name}({id!r}).{scan.mapper.attribute(key)}"
            raise UsageError(f"{where} has a change that is not saved: save() or revert() it first")


async def _change_batch(scan: Scan[Any], batch: dict[str, Raw], work: Work) -> list[Made]:
    """Change the records of one batch, trying those again that were changed by others meanwhile."""
    made = list[Made]()
    while batch:
        begun = [_begin(scan, id, raw, work) for id, raw in batch.items()]
        before = scan.mapper.pending()
        flags = await executor.write(scan.store, begun)
        passed = list[str]()
        for (_, change), flag in zip(begun, flags, strict=True):
            if work.mode != "delete" and flag is not None:
                tell(scan.mapper.known(change.id), change, before)
            if flag if work.mode == "delete" else flag is not None:
                made.append(Made(scan, batch[change.id], change))
            elif flag is None:
                passed.append(change.id)
        batch = await _judged_again(scan, passed)
    return made


def tell(record: Any, change: Change, before: Mapping[str, Raw]) -> None:
    """The session's own instance of a record learns what was set, newer than what waited there *before*."""
    if record is not None:
        raw: Raw = {**change.sets, **dict.fromkeys(change.drops)}
        supersede(record, raw, before.get(change.id, {}))
        learn(record, raw)


def _begin(scan: Scan[Any], id: str, raw: Raw, work: Work) -> tuple[Record, Change]:
    expect = {name: raw.get(name) for name in scan.fields}
    record, change = begin(scan, id, raw, work)
    return record, replace(change, expect=expect, skip=True)


def begin(scan: Scan[Any], id: str, raw: Raw, work: Work) -> tuple[Record, Change]:
    """What *work* makes of the record of that id, which holds *raw*."""
    record = scan.mapper.detached(id)
    if work.mode == "delete":
        return record, begin_delete(record, scan.store)
    try:
        wanted = work.sets(raw)
    except ValidationError as error:
        error.instance = record
        raise
    sets, drops = split(scan.schema, {**wanted})
    parents = scan.mapper.parents(sets, scan.store, None)
    return record, Change(scan.schema, id, work.mode, sets, drops, ends=work.ends, parents=parents)


async def _judged_again(scan: Scan[Any], ids: Sequence[str]) -> dict[str, Raw]:
    """Those of *ids* that still meet the condition, with what they hold now. One round trip."""
    if not ids:
        return {}
    fields = (*scan.fields, *scan.schema.read_fields)
    asked = ids if MOMENT in scan.fields else ()
    loads = [load_call(scan.schema, id, fields) for id in ids]
    more = [moment_call(scan.schema, id) for id in asked]
    replies = await asking.read_together(scan.store, [*loads, *more])
    held, moments = replies[: len(ids)], replies[len(ids) :]
    check_rows(held, len(fields))
    rows = {
        id: [b"", *values] for id, values in zip(ids, held, strict=True) if values.count(None) < len(values)
    }
    for id, reply in zip(asked, moments, strict=True):
        if id in rows:
            rows[id][1] = read_moment(reply)
    return {id: scan.raw(row) for id, row in rows.items() if scan.holds(row)}
