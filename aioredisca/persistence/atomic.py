"""Verbs that read and write one record in a single atomic call: counting, and finding or creating."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from aioredisca.compiler.changes import Change
from aioredisca.errors import UsageError
from aioredisca.fields.numbers import Number
from aioredisca.persistence import executor as writes
from aioredisca.storage.schema import Schema
from aioredisca.types import Raw

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")


async def incr(record: Record, column: Any, by: Any, low: Any, high: Any) -> Any:
    """Add *by* to the number in *column* on the server, within the bounds; the new number."""
    model = type(record)
    field = record._own_field(column, "incr() takes a column")
    if not isinstance(field, Number):
        raise UsageError(f"{model.__name__}.{field.name}: incr() counts Integer and Decimal fields")
    record._check_writable()
    record._need_id()
    increment = field.increment(by, low, high, model)
    store = record._home()
    async with writes.locked(store, [record]):
        _refuse_pending(record, field)
        change = Change(model._schema(store), record.id, "incr", increment=increment)
        (text,) = await writes.write(store, [(record, change)])
    assert isinstance(text, bytes)
    return field.read(text, model)


def _refuse_pending(record: Record, field: Field[Any]) -> None:
    where = f"{type(record).__name__}({record.id!r})"
    if record._memory.fresh:
        raise UsageError(f"{where} is not saved yet: incr() counts in the stored record")
    if field.key in record._memory.diff:
        raise UsageError(f"{where}.{field.name} has a change that is not saved: save() or revert() it first")


async def obtain(
    model: type[R], key: Mapping[str, Any], defaults: Mapping[str, Any] | None, *, update: bool
) -> tuple[R, bool]:
    """The record with the unique values *key*, created if there was none, and whether it was.

    With *update* a record that was there is given the *defaults*, else they are for a new one alone.
    """
    store, values = model._store(), dict(defaults or {})
    schema = model._schema(store)
    if twice := key.keys() & values.keys():
        raise UsageError(f"{', '.join(sorted(twice))}: given as a key and in defaults")
    for name in (*key, *values):
        model._field(name)
    entry, wanted = _unique_key(model, schema, key)
    fresh = model._apart(model._new_id())
    fresh._become_new()
    fresh._fill({**values, **key})
    create = _change(schema, fresh, "create")
    overlay = model._apart("")
    for name, value in values.items() if update else ():
        setattr(overlay, name, value)
    changed = overlay._memory.diff
    found = await writes.obtain(
        store, fresh, create, _change(schema, overlay, "update") if changed else None, wanted, entry
    )
    record = model(found.id)
    if found.created:
        record._take({**dict.fromkeys(schema.by_key), **create.sets}, complete=True)
    elif record._memory.blank or not record._memory.known():
        record._take(found.fields, complete=False)
    else:
        record._learn(changed)
    return record, found.created


def _change(schema: Schema, record: Record, mode: Any) -> Change:
    sets = {key: raw for key, raw in record._memory.diff.items() if raw is not None}
    drops = tuple(key for key, raw in record._memory.diff.items() if raw is None)
    return Change(schema, record.id, mode, sets, drops)


def _unique_key(model: type[Any], schema: Schema, key: Mapping[str, Any]) -> tuple[str, dict[str, bytes]]:
    """The unique index of the attributes in *key*, as the signature names it, and their stored values."""
    fields = [model._field(name) for name in key]
    raw: Raw = {field.key: field.accept(key[field.name], model)[1] for field in fields}
    values = {name: value for name, value in raw.items() if value is not None}
    if len(values) < len(key):
        raise UsageError(f"{model.__name__}: None claims nothing, so no record can be found by it")
    entries = {c.fields: c.entry for c in schema.compounds if c.unique}
    entries |= {(spec.key,): f"u:{spec.key}" for spec in schema.fields if spec.unique}
    found = next((entry for one, entry in entries.items() if {*one} == {*values}), None)
    if found is None:
        choices = " or ".join(", ".join(map(model._attribute, one)) for one in entries)
        raise UsageError(
            f"{model.__name__}: a record is found by one unique field, or by all fields that are unique "
            f"together: {choices or 'this class has none'}"
        )
    return found, values
