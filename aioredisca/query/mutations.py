"""Changing what a query finds: update, delete and incr by query, exact about which records are changed.

All matches are read first, so that a change which moves a record in an index cannot make it come again. Then
each batch is one atomic call, in which the server passes over every record whose fields are no longer as they
were judged; those are read and judged again, and tried again if they still match.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from aioredisca.compiler.changes import BATCH, Change, Mode
from aioredisca.compiler.loads import load_call, moment_call, read_moment
from aioredisca.errors import BulkError, Conflict, TooManyArguments, UsageError, ValidationError
from aioredisca.fields.access import to_be_deleted
from aioredisca.fields.numbers import Number
from aioredisca.persistence import asking, executor
from aioredisca.persistence.pending import begin_delete, learn, split, supersede
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
Work: TypeAlias = Callable[[Raw], Sets]
"""What to set in a record, given what it holds; None removes."""


async def update(spec: QuerySpec[R], values: Mapping[str, Any]) -> int:
    """Set fields of every match; how many records were changed."""
    if not values:
        raise UsageError("update() of a query takes the fields to set, as in update(age=3)")
    mapper = spec.mapper
    sets = dict[str, bytes | None]()
    for name, value in values.items():
        field = mapper.field(name)
        sets[field.key] = field.__codec__.accept(value, mapper)[1]
    return await _change(spec, (), "update", lambda raw: sets, mapper.lifetime.of_save())


async def set_end(spec: QuerySpec[R], ends: str) -> int:
    """Give every match another end; how many there were."""
    return await _change(spec, (), "update", lambda raw: {}, ends)


async def delete(spec: QuerySpec[R]) -> int:
    """Delete every match; how many there were."""
    return await _change(spec, (), "delete", lambda raw: {})


async def incr(spec: QuerySpec[R], field: Field[Any], by: Any) -> int:
    """Add *by* to a number of every match, None counting as 0; how many records were changed."""
    mapper, codec = spec.mapper, field.__codec__
    if not isinstance(field, Number):
        raise UsageError(f"incr() counts in a field of numbers; {field.name} is a {type(field).__name__}")
    step = codec.operand(by, mapper)

    def add(raw: Raw) -> Sets:
        stored = raw.get(field.key)
        total = step if stored is None else codec.decode(stored) + step
        return {field.key: codec.accept(total, mapper)[1]}

    return await _change(spec, (field.key,), "update", add, mapper.lifetime.of_save())


async def _change(
    spec: QuerySpec[R], fields: Sequence[str], mode: Mode, work: Work, ends: str = AS_IT_WAS
) -> int:
    found = await execution.rows(replace(spec, read_from="primary"), fields, bounded=False)
    if mode != "delete":
        _refuse_waiting(found, fields)
    changed = 0
    for scan in dict.fromkeys(scan for _, _, scan in found):
        mine = {id: scan.raw(values) for id, values, of in found if of is scan}
        names, size = deque(mine), BATCH
        while names:
            batch = {id: mine[id] for id in islice(names, size)}
            try:
                changed += await _change_batch(scan, batch, mode, work, ends)
            except TooManyArguments:
                if len(batch) == 1:
                    raise
                size = len(batch) // 2
                continue
            except (Conflict, ValidationError) as error:
                raise BulkError(changed, error) from None
            for _ in batch:
                names.popleft()
    return changed


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


async def _change_batch(scan: Scan[Any], batch: dict[str, Raw], mode: Mode, work: Work, ends: str) -> int:
    """Change the records of one batch, trying those again that were changed by others meanwhile."""
    changed = 0
    while batch:
        begun = [_begin(scan, id, raw, mode, work, ends) for id, raw in batch.items()]
        before = scan.mapper.pending()
        flags = await executor.write(scan.store, begun)
        for (_, change), flag in zip(begun, flags, strict=True):
            if mode != "delete" and flag is not None:
                _tell(scan.mapper.known(change.id), change, before)
        changed += sum(1 for flag in flags if (flag if mode == "delete" else flag is not None))
        passed = [change.id for (_, change), flag in zip(begun, flags, strict=True) if flag is None]
        batch = await _judged_again(scan, passed)
    return changed


def _tell(record: Any, change: Change, before: Mapping[str, Raw]) -> None:
    """The session's own instance of a record learns what was set, newer than what waited there *before*."""
    if record is not None:
        raw: Raw = {**change.sets, **dict.fromkeys(change.drops)}
        supersede(record, raw, before.get(change.id, {}))
        learn(record, raw)


def _begin(scan: Scan[Any], id: str, raw: Raw, mode: Mode, work: Work, ends: str) -> tuple[Record, Change]:
    record = scan.mapper.detached(id)
    expect = {name: raw.get(name) for name in scan.fields}
    if mode == "delete":
        return record, replace(begin_delete(record, scan.store), expect=expect, skip=True)
    try:
        wanted = work(raw)
    except ValidationError as error:
        error.instance = record
        raise
    sets, drops = split(scan.schema, {**wanted})
    parents = scan.mapper.parents(sets, scan.store, None)
    return record, Change(scan.schema, id, mode, sets, drops, expect, skip=True, ends=ends, parents=parents)


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
