"""Converting the records of a model, with all their indexes, by a function: ``each(step, User, convert)``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.changes import Change
from aioredisca.compiler.loads import load_all_call, read_all_fields
from aioredisca.compiler.writes import Refusal, write_call, write_outcome
from aioredisca.errors import CorruptRecord, RediscaError, UsageError, ValidationError, WrongType
from aioredisca.fields.access import is_changed
from aioredisca.maintenance.migrations.walking import Counts, Prepared, Refused, Step
from aioredisca.model import loading
from aioredisca.persistence import pending, readiness
from aioredisca.storage.keys import Keys
from aioredisca.storage.moments import AS_IT_WAS
from aioredisca.storage.schema import IDS_ENTRY, Schema
from aioredisca.types import Call, Reply, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

Convert = Callable[[Any], Any]
"""Changes a record in place. A function or a coroutine function; it must await nothing but this library."""


async def each(step: Step, model: type[Record], convert: Convert, title: str = "") -> Counts:
    """Let *convert* change every record of *model*, and write what it changed, with the indexes.

    It is given a record with all its hash fields: those that the class does not declare are
    ``record["name"]``. It changes that one, saves nothing and does nothing else, for it is called again where
    somebody else has changed the record meanwhile. A record for which it raises, or whose new values are
    refused, is left as it is and told. Records that are made while it runs may be passed over: they are to be
    right from the start.

    NotIndexed where the store does not know all ids. Two round trips for each 100 records.
    """
    if not isinstance(model, type) or not hasattr(model, "__mapper__"):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"each() takes a model class, not {model!r}")
    if not callable(convert):
        raise UsageError(f"each() takes a function of a record, not {convert!r}")
    mapper: Any = model.__mapper__
    if mapper.store(None) is not step.store:
        raise UsageError(
            f"{model.__name__} lives in another database than its migration is recorded in: run it there"
        )
    parts: tuple[Schema, ...] = mapper.schema(step.store).all_parts
    title = title or f"{getattr(convert, '__name__', 'function')} {model.__name__}"
    return await step.walk(
        title, *((part.keys, _Conversion(step.store, mapper, part, convert)) for part in parts)
    )


async def read_records(
    store: Store, keys: Keys, calls: Mapping[str, Call], left: dict[str, str]
) -> dict[str, Reply]:
    """The replies of what reads records, by id, in one round trip.

    Without those whose keys hold something that is no record: they go to *left*.
    """
    found = dict[str, Reply]()
    for id, reply in zip(calls, await store.transport().send_all([*calls.values()]), strict=True):
        if isinstance(reply, WrongType):
            left[id] = told(WrongType(keys.record(id), place="record"))
        elif isinstance(reply, RediscaError):
            raise reply
        else:
            found[id] = reply
    return found


class _Conversion:
    def __init__(self, store: Store, mapper: Any, schema: Schema, convert: Convert) -> None:
        self.mapper, self.convert, self.store, self.schema = mapper, convert, store, schema

    async def begin(self, *, dry_run: bool) -> None:
        await readiness.ready_to_read(self.store, self.schema, {IDS_ENTRY: ""})
        if not dry_run:
            await readiness.ready_to_write(self.store, self.schema)

    async def prepare(self, ids: Sequence[str], left: dict[str, str]) -> Prepared:
        calls = {id: load_all_call(self.schema, id) for id in ids}
        changes = list[Change]()
        for id, reply in (await read_records(self.store, self.schema.keys, calls, left)).items():
            raw = read_all_fields(self.schema, reply)
            if raw is None or id in left:
                continue
            record = self.mapper.detached(id)
            loading.take(record, raw, complete=True)
            try:
                changed = self.convert(record)
                if inspect.isawaitable(changed):
                    await changed
                change = pending.begin(record, self.store, "update") if is_changed(record) else None
            except Exception as error:
                left[id] = told(error)
                continue
            if change is not None and self._claims(change):
                left[id] = "what is unique over partitions is changed by a save alone, which claims it before"
            elif change is not None:
                change.expect = {name: value for name, value in raw.items() if _is_text(name)}
                change.ends = AS_IT_WAS  # a record lives no longer for having been converted
                changes.append(change)
        if not changes:
            return Prepared()
        return Prepared(write_call(changes), [change.id for change in changes], len(changes))

    def _claims(self, change: Change) -> bool:
        """Whether a change of what is unique over partitions is among it."""
        touched = {*change.sets, *change.drops}
        return any(not touched.isdisjoint(fields) for fields in self.schema.claimed.values())

    async def refused(self, reply: Reply, prepared: Prepared) -> Refused | None:
        if prepared.call is None:
            return None
        outcome = write_outcome(reply)
        if not isinstance(outcome, Refusal):
            return None
        if outcome.code == "SCHEMA":
            readiness.forget(self.store, [self.schema])
            await readiness.ready_to_write(self.store, self.schema)
            return Refused(again=True)
        if outcome.code in ("STALE", "GONE"):
            return Refused(again=True)
        return Refused(False, prepared.places[outcome.place], self._reason(outcome))

    def _reason(self, refusal: Refusal) -> str:
        if refusal.code == "UNIQUE":
            holder, *keys = refusal.details
            names = ", ".join(self.mapper.attribute(key) for key in keys)
            return f"UniqueViolation: {self.mapper.name}({holder!r}) holds the same {names}"
        names = f" of {self.mapper.attribute(refusal.details[0])}" if refusal.details else ""
        return f"refused by the server: {refusal.code}{names}"


def told(error: Exception) -> str:
    """What may be told of an error: never a value, which the text of any other may hold."""
    name = type(error).__name__
    if isinstance(error, ValidationError | CorruptRecord):
        return f"{name}: {error.field} {error.reason}"
    return f"{name}: {error}" if isinstance(error, RediscaError) else name


def _is_text(name: str) -> bool:
    """Whether a hash field is one that a program may ask for."""
    return not any("\udc80" <= one <= "\udcff" for one in name)
