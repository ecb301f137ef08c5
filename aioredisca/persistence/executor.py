"""Writing records together: begun, sent as one script call, then finished or put back, whatever happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from aioredisca.compiler.batches import NoScore
from aioredisca.compiler.changes import COUNTING, MAX_BATCH, Change, referrers_in, schemas_of
from aioredisca.compiler.writes import (
    FoundOrCreated,
    Outcome,
    Refusal,
    collect_call,
    collect_outcome,
    field_end_call,
    get_or_create_call,
    get_or_create_outcome,
    sweep_call,
    sweep_outcome,
    write_call,
    write_outcome,
)
from aioredisca.errors import (
    AlreadyExists,
    CorruptRecord,
    Gone,
    NotIndexed,
    OutcomeUnknown,
    OutOfBounds,
    RediscaError,
    Restricted,
    StaleWrite,
    UniqueViolation,
    UsageError,
    ValidationError,
    WrongType,
)
from aioredisca.fields.access import decoded, to_be_deleted
from aioredisca.persistence import claims, foreign, pending, readiness
from aioredisca.persistence.pending import Begun
from aioredisca.storage.replies import of_kind, strange, write_reader
from aioredisca.storage.schema import Referrer, Schema
from aioredisca.types import Arg, Call, Lock, Overlap, Reply, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

ATTEMPTS = 3

FOUND_AGAIN = "called again, it finds the record that it has created or changed, but cannot say which"
"""The cure where nobody knows what came of a get-or-create."""


@asynccontextmanager
async def locked(store: Store, records: Sequence[Record]) -> AsyncGenerator[None]:
    """Hold the locks of *records*, taken in one global order, so that two saves never interleave."""
    transport = store.transport()
    held: list[Lock] = []
    try:
        for record in sorted(records, key=id):
            lock = record.__state__.lock(transport)
            await lock.acquire()
            held.append(lock)
        yield
    finally:
        for lock in held:
            lock.release()


@dataclass(slots=True)
class Prepared:
    """Begun changes of one database, and the call that carries them out."""

    begun: Begun
    referrers: Sequence[Referrer]
    schemas: Collection[Schema]
    call: Call
    claims: bool
    """Whether uniques of the class hold over all its partitions."""


def prepare(begun: Begun) -> Prepared:
    """Make the call that writes *begun*; where that fails, these changes are pending again.

    UsageError where they are too many for one.
    """
    try:
        changes = [change for _, change in begun]
        if len(changes) == 1 and not changes[0].referrers:  # as most often
            schema = changes[0].schema
            return Prepared(begun, (), (schema,), _call(begun, changes), bool(schema.claimed))
        if len(begun) > MAX_BATCH:
            raise UsageError(f"{len(begun):,} records in one atomic write, at most {MAX_BATCH:,} are allowed")
        referrers = referrers_in(changes)
        schemas = schemas_of(changes, referrers).values()
        claims = bool(changes and changes[0].schema.claimed)
        return Prepared(begun, referrers, schemas, _call(begun, changes), claims)
    except BaseException:
        pending.put_back_all(begun, NotSent())
        raise


def _call(begun: Begun, changes: Sequence[Change]) -> Call:
    """The call that makes *changes*. ValidationError where a number among them has no score."""
    try:
        return write_call(changes)
    except NoScore as error:
        record = next(record for record, change in begun if change is error.change)
        mapper = record.__mapper__
        refused = ValidationError(mapper.name, mapper.attribute(error.key), str(error))
        refused.instance = record
    raise refused


class NotSent(RediscaError):
    """Why changes were put back that never left this process."""


def write(store: Store, begun: Begun) -> Awaitable[list[Outcome]]:
    """Send begun changes of one database in one call; the outcome of each.

    EVALSHA, one round trip. Where it fails, every change is back in its record before the error leaves.
    """
    return carry_out(store, prepare(begun), finishes=True)


async def carry_out(
    store: Store, prepared: Prepared, overlap: Overlap | None = None, *, finishes: bool = False
) -> list[Outcome]:
    """The same for what is prepared already; without *finishes*, :func:`finish` is left to the caller.

    *overlap* may be called while the changes are on their way: see :meth:`Transport.send`.
    """
    schemas = prepared.schemas
    try:
        if prepared.referrers:
            await _ready_to_cascade(store, prepared.referrers)
        if readiness.declared(store, schemas):  # as nearly always
            outcomes = write_outcome(await _sent(store, prepared, overlap))
        else:
            outcomes = await settle(store, schemas, lambda: _sent(store, prepared, overlap), write_outcome)
        if isinstance(outcomes, Refusal):
            outcomes = await _refused(store, prepared, outcomes)
        _check_outcomes(prepared, outcomes)
    except BaseException as error:
        raise await _unwritten(store, prepared, error) from None
    if finishes:
        finish(prepared, outcomes)
    return outcomes


def _sent(store: Store, prepared: Prepared, overlap: Overlap | None = None) -> Awaitable[Reply]:
    """The reply to what was prepared, once what it needs was claimed."""
    if prepared.claims:
        return claims.send(store, prepared.begun, prepared.call)
    return store.transport().send(prepared.call, overlap)


def _all_sent(store: Store, several: Sequence[Prepared]) -> Awaitable[list[Reply]]:
    if any(prepared.claims for prepared in several):
        return claims.send_all(store, [(prepared.begun, prepared.call) for prepared in several])
    return store.transport().send_all([prepared.call for prepared in several])


async def carry_out_together(store: Store, several: Sequence[Prepared]) -> list[list[Outcome] | RediscaError]:
    """The same for several calls that do not need each other, in one round trip: the outcomes of each, whose
    records have learned of it, or why it failed. Raised is what hits all of them."""
    left = list(several)
    try:
        for prepared in several:
            await _ready_to_cascade(store, prepared.referrers)
            for schema in prepared.schemas:
                await readiness.ready_to_write(store, schema)
        replies = await _all_sent(store, several)
        results = list[list[Outcome] | RediscaError]()
        for prepared, reply in zip(several, replies, strict=True):
            results.append(await _result(store, prepared, reply))
            left.remove(prepared)
        return results
    except BaseException as error:
        for prepared in left[1:]:
            pending.put_back_all(prepared.begun, error)
        raise await _unwritten(store, left[0], error) from None


async def _result(store: Store, prepared: Prepared, reply: Reply) -> list[Outcome] | RediscaError:
    try:
        if isinstance(reply, RediscaError):
            raise reply
        outcomes = write_outcome(reply)
        if isinstance(outcomes, Refusal):
            outcomes = await _refused(store, prepared, outcomes)
        _check_outcomes(prepared, outcomes)
    except RediscaError as error:
        return await _unwritten(store, prepared, error)
    finish(prepared, outcomes)
    return outcomes


def _check_outcomes(prepared: Prepared, outcomes: Sequence[Outcome]) -> None:
    if len(outcomes) != len(prepared.begun):
        raise strange(writes=True)


async def _unwritten(store: Store, prepared: Prepared, error: E) -> E | RediscaError:
    """*error*, or a better one where foreign keys explain it. The changes are pending again."""
    pending.put_back_all(prepared.begun, error)
    if isinstance(error, OutcomeUnknown):
        error.cure = _cure(prepared.begun) or error.cure
    if isinstance(error, RediscaError):
        changes = [change for _, change in prepared.begun]
        return await foreign.explained(store, prepared.schemas, changes, error)
    return error


def _cure(begun: Begun) -> str:
    """What settles these changes, of which nobody knows whether they were made."""
    changes = [change for _, change in begun]
    if any(change.mode in COUNTING for change in changes):
        return "to count again may count twice: reload() the record and look first"
    if any(change.more and change.more.writes for change in changes):
        return (
            "to flush again may count or add twice: look at what is stored, then discard() what waits and do "
            "what is missing"
        )
    if any(change.skip for change in changes):
        return "each batch was changed as a whole or not at all: look at the records before you do it again"
    deletes = all(change.mode == "delete" for change in changes)
    return f"{'delete' if deletes else 'save'}() again settles it"


async def _refused(store: Store, prepared: Prepared, refusal: Refusal) -> list[Outcome]:
    """Raise what *refusal* means; but where another process has declared other indexes, try again."""
    outcomes: list[Outcome] | Refusal = refusal
    if refusal.code == "SCHEMA":
        readiness.forget(store, prepared.schemas)
        outcomes = await settle(store, prepared.schemas, lambda: _sent(store, prepared), write_outcome)
    if isinstance(outcomes, Refusal):
        if outcomes.code == "UNBUILT":  # since it was asked
            readiness.forget(store, [one.schema for one in prepared.referrers])
        raise error_of(outcomes, prepared.begun)
    return outcomes


def finish(prepared: Prepared, outcomes: Sequence[Outcome]) -> None:
    """These changes were written: the records learn of it."""
    for (record, change), outcome in zip(prepared.begun, outcomes, strict=True):
        pending.finish(record, change, outcome)


async def _ready_to_cascade(store: Store, referrers: Sequence[Referrer]) -> None:
    for one in referrers:
        await readiness.ready_to_write(store, one.schema)
        entry = one.schema.by_key[one.field].index_entry
        await readiness.ready_to_read(store, one.schema, {entry: one.field})


@contextmanager
def told(cure: str) -> Generator[None]:
    """Tell by *cure* what settles this, where nobody knows whether it was done."""
    try:
        yield
    except OutcomeUnknown as error:
        error.cure = cure
        raise


async def get_or_create(
    store: Store,
    record: Record,
    create: Change,
    update: Change | None,
    key: Mapping[str, bytes],
    entry: str,
    waiting: Collection[str],
) -> FoundOrCreated:
    """Create *record*, unless another one holds *key*: then update that one, unless it is one of *waiting*.

    NotIndexed while *entry*, the unique index of *key*, is not built; without a *key* the id is asked for.
    EVALSHA, one round trip.
    """
    names = ", ".join(map(record.__mapper__.attribute, key))
    await readiness.ready_to_write(store, create.schema)
    if entry:
        await readiness.ready_to_read(store, create.schema, {entry: names})
    call = get_or_create_call(create, update, key, waiting)
    try:
        with told(FOUND_AGAIN):
            outcome = await settle(
                store,
                [create.schema],
                lambda: store.transport().send(call),
                lambda reply: get_or_create_outcome(create.schema, reply),
            )
    except RediscaError as error:
        raise await foreign.explained(store, [create.schema], [create], error) from None
    if isinstance(outcome, Refusal) and outcome.code == "UNBUILT":  # since it was asked
        readiness.forget(store, [create.schema])
        raise NotIndexed(create.schema.model, names, readiness.not_built(create.schema))
    if isinstance(outcome, Refusal):
        raise error_of(outcome, [(record, create)])
    return outcome


async def sweep(store: Store, schema: Schema, most: int) -> tuple[int, int]:
    """Take away what is left of up to *most* records that are over; how many were seen, how many wait."""
    with told("sweep() again settles it"):
        call = sweep_call(schema, most)
        outcome = await settle(store, [schema], lambda: store.transport().send(call), sweep_outcome)
    assert not isinstance(outcome, Refusal)  # but for SCHEMA, which is settled, nothing is refused
    await claims.drain(store, schema)
    return outcome


async def collect(
    store: Store, record: Record, name: str, commands: Sequence[Arg], kinds: tuple[type, ...]
) -> Reply:
    """Run *commands* on the collection *name* of a record: what they answer, which is of one of *kinds*.

    Gone where there is no record. EVALSHA, one round trip.
    """
    schema = record.__mapper__.schema(store).of(record.__state__.id)
    call = collect_call(schema, record.__state__.id, name, commands)
    try:
        with told("to do it again may do it twice: read the collection first"):
            outcome = await settle(store, [schema], lambda: store.transport().send(call), collect_outcome)
    except WrongType as error:
        found = await foreign.explained(store, [schema], (), error)
        if isinstance(found, WrongType) and found.key == schema.keys.meta:
            raise found from None
        raise WrongType(schema.keys.collection(name, record.__state__.id), place="collection") from None
    if isinstance(outcome, Refusal):
        raise error_of(outcome, [(record, Change(schema, record.__state__.id, "update"))])
    return of_kind(outcome, kinds, call)


async def end_field(store: Store, record: Record, field: str, command: Sequence[Arg]) -> bool:
    """Run *command* on the end of a field of *record*; whether the field holds a value.

    Gone where there is no record. EVALSHA, one round trip.
    """
    id = record.__state__.id
    schema = record.__mapper__.schema(store).of(id)
    call = field_end_call(schema, id, field, command)
    try:
        with told("expire_field() again settles it"):
            outcome = await settle(store, [schema], lambda: store.transport().send(call), collect_outcome)
    except RediscaError as error:
        raise await foreign.explained(store, [schema], (), error) from None
    if isinstance(outcome, Refusal):
        raise error_of(outcome, [(record, Change(schema, id, "update"))])
    return bool(outcome)


async def settle(
    store: Store,
    schemas: Collection[Schema],
    send: Callable[[], Awaitable[Reply]],
    read: Callable[[Reply], T | Refusal],
) -> T | Refusal:
    """What came of what *send* sends, once the store keeps the indexes of all *schemas*."""
    for _ in range(ATTEMPTS):
        for schema in schemas:
            await readiness.ready_to_write(store, schema)
        outcome = read(await send())
        if not isinstance(outcome, Refusal) or outcome.code != "SCHEMA":
            return outcome
        readiness.forget(store, schemas)
    raise readiness.unsettled(next(iter(schemas)))


@write_reader
def error_of(refusal: Refusal, begun: Begun) -> RediscaError:
    record, change = begun[refusal.place]
    error = _plain_error(refusal, record, change)
    error.instance = record
    return error


def _shown(record: Record, key: str, stored: str) -> Any:
    """The value of a stored text for an error; None where there is none or it is secret."""
    field = record.__mapper__.by_key.get(key)
    if field is None or field.secret or not stored:
        return None
    return decoded(record, field, stored.encode())


def _plain_error(refusal: Refusal, record: Record, change: Change) -> RediscaError:
    model, names = change.schema.model, [record.__mapper__.attribute(key) for key in refusal.details]
    match refusal.code:
        case "EXISTS":
            return AlreadyExists(model, change.id)
        case "GONE":
            return Gone(model, change.id)
        case "STALE":
            return StaleWrite(model, change.id, names)
        case "UNMET":
            return StaleWrite(model, change.id, [*dict.fromkeys(names)], required=True)
        case "COUNTER":
            return OutOfBounds(model, change.id, names[0])
        case "UNIQUE":
            return UniqueViolation(model, ", ".join(names[1:]), refusal.details[0])
        case "BOUNDS":
            shown = _shown(record, refusal.details[0], refusal.details[1])
            return OutOfBounds(model, change.id, names[0], shown)
        case "NUMBER":
            key = change.schema.keys.record(change.id)
            return CorruptRecord(model, key, names[0], "is no number that can be counted on exactly")
        case "RESTRICTED":
            return Restricted(*refusal.details)
        case "WAITS":
            return to_be_deleted(model, refusal.details[0])
        case "UNBUILT":
            other, _, field = refusal.details[0].rpartition(".")
            return NotIndexed(other, field, readiness.NOT_BUILT)
        case "ORPHAN":
            shown = _shown(record, *refusal.details)
            name = "it" if shown is None else f"{type(shown).__name__}({shown.__state__.id!r})"
            cure = f"save {name} first, or in the same batch or flush"
            return ValidationError(model, names[0], "refers to a record that is not stored", shown, cure)
        case "MANY":
            return UsageError(
                f"more than {MAX_BATCH:,} records refer to {model}({change.id!r}), directly or by others: "
                f"delete or change them in batches first"
            )
        case "REQUIRED":
            return ValidationError(model, names[0], "is required: a record is not created without it")
        case _:
            return WrongType(change.schema.keys.record(change.id), place="record")
