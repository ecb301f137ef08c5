"""``UnitOfWork``: one object per record (identity map), and the changes to save together, of a session."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from weakref import WeakValueDictionary

from aioredisca.compiler.changes import MAX_BATCH, NO_MORE, More, Requirement
from aioredisca.errors import RediscaError, TooManyArguments, UsageError
from aioredisca.fields.access import (
    changed_in_place,
    check_writable,
    is_changed,
    keep_touched,
    to_be_deleted,
)
from aioredisca.persistence import by_slots, executor, pending
from aioredisca.types import Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record

MOST_NAMED = 20
"""Records that a note on an error names."""

UNCUT = (
    "a flush is written as a whole and cannot be cut: change fewer records in one session, or write them by "
    "save_many() and delete_many(), which cut their batches"
)
"""What to do about a flush of more than one call can hold."""

IN_DOUBT = (
    "the last flush got no answer, or was denied a right, and it counts or adds: to send it again may do so "
    "twice. Look at what is stored, discard() what waits, and do what is missing"
)
"""Why a unit is not flushed again of which nobody knows whether it was written."""

Guard: TypeAlias = Literal[True, False, "record"]

open_unit: ContextVar[UnitOfWork | None] = ContextVar("aioredisca_session", default=None)
"""The unit of work of this context, which may be closed by now. Tasks and threads inherit it."""


def current() -> UnitOfWork | None:
    """The unit of work of this context, if it is open."""
    unit = open_unit.get()
    return unit if unit is not None and not unit.closed else None


class UnitOfWork:
    """Of one session.

    ``db``      the database of all classes that name none, if it is given.
    ``closed``  the session is over: nobody would save what is changed now.
    ``mapped``  the identity map: records that somebody still holds, by database and key.
    ``session`` the session it is of, while that is open.
    ``guard``   what each save is compared with, as ``if_unchanged=`` of it says.
    ``more``    what the next flush asks of records beside their changes, by the id of the object.
    """

    def __init__(self, db: Any, guard: Guard = False) -> None:
        self.db = db
        self.guard: Guard = guard
        self.closed = False
        self.in_doubt = False
        self.more = dict[int, More]()
        self.session: Any = None
        self.mapped: WeakValueDictionary[tuple[Store, str], Record] = WeakValueDictionary()
        self._held: dict[int, Record] = {}
        self._deleted: dict[int, Record] = {}

    def __repr__(self) -> str:
        return "closed" if self.closed else f"{len(self.mapped)} records, {len(self._held)} held"

    # -- identity ----------------------------------------------------------------------------------

    def instance(self, model: Any, id: str, make: Callable[[], Any]) -> Any:
        """The one object for a record here, made if there is none yet."""
        mapper = model.__mapper__
        store = mapper.store_in(self)
        key = (store, mapper.stem(store) + id)
        found: Any = self.mapped.get(key)
        if found is None:
            found = self.mapped[key] = make()
            found.__state__.unit = self
        elif type(found) is not model:
            raise UsageError(
                f"{key[1]!r} is a {type(found).__qualname__} in this session: "
                f"one record has one class and one colour within a session"
            )
        return found

    def hold(self, record: Record) -> None:
        """Keep a changed record alive until it is saved: nobody else may hold it."""
        self._held[id(record)] = record

    def release(self, record: Record) -> None:
        """There is nothing to save in *record* any more."""
        if id(record) not in self._deleted and id(record) not in self.more:
            self._held.pop(id(record), None)

    def forget(self, record: Record) -> None:
        """*record* does not belong to this unit any more."""
        self._deleted.pop(id(record), None)
        self.ask_no_more(record)
        store = record.__mapper__.store(self)
        self.mapped.pop((store, record.__mapper__.stem(store) + record.__state__.id), None)
        record.__state__.unit = None

    # -- changes -----------------------------------------------------------------------------------

    @property
    def dirty(self) -> tuple[Record, ...]:
        """The records that a flush would write or delete."""
        changed = [record for record in list(self._held.values()) if is_changed(record) or self._adds(record)]
        return (*self._deleted.values(), *(record for record in changed if id(record) not in self._deleted))

    def _adds(self, record: Record) -> bool:
        """Whether the next flush counts in *record*, or adds to its collections."""
        return id(record) in self.more and self.more[id(record)].writes

    def need_own(self, record: Record) -> None:
        """UsageError for a record of another session, or of none, and SessionClosed when this one is over."""
        if isinstance(record, type) or not hasattr(record, "__state__"):
            given = record.__name__ if isinstance(record, type) else type(record).__name__
            raise UsageError(f'this verb of a session takes a record, as in User("5"), and not {given}')
        if record.__state__.unit is not self:
            cure = "load or name it anew inside of it"
            if self.closed:
                cure = "it is closed: open a new one, and load or name it there"
            raise UsageError(f"{record!r} does not belong to this session: {cure}")
        check_writable(record)

    def ask(self, record: Record, more: More) -> None:
        """Let the next flush ask *more* of *record*."""
        self.more[id(record)] = self.more.get(id(record), NO_MORE).and_then(more)
        self.hold(record)

    def ask_no_more(self, record: Record) -> None:
        """Forget what was to be asked of *record*, and let it go if nothing else is to be done."""
        self.more.pop(id(record), None)
        self.release(record)

    def take_requirements(self, record: Record) -> tuple[Requirement, ...]:
        """What is required of *record*, which another write than the flush asks now."""
        more = self.more.pop(id(record), NO_MORE)
        if more.writes:
            self.more[id(record)] = replace(more, requires=())
        return more.requires

    def take_back(self, record: Record, more: More, *, asked: bool) -> None:
        """*more* was not written, or nobody knows if *asked*: it waits again, before what came since."""
        if not self.closed:
            self.more[id(record)] = more.and_then(self.more.get(id(record), NO_MORE))
            self.hold(record)
            self.in_doubt = self.in_doubt or (asked and more.writes)

    def delete(self, record: Record) -> None:
        """Delete *record* with the next flush."""
        self.need_own(record)
        with suppress(Exception):  # what cannot be saved need not be
            keep_touched(record)  # what changed in place so far goes with it, and is told from what will
        self._deleted[id(record)] = record
        self._held.pop(id(record), None)  # in the order in which the work was given: this is the last so far
        self.hold(record)

    def refuse_deleted(self, record: Record) -> None:
        """UsageError for a record that the next flush deletes: what it is given now would go with it."""
        if id(record) in self._deleted:
            raise to_be_deleted(record.__mapper__.name, record.__state__.id)

    def _refuse_changed_in_place(self, only: type[Any] | None) -> None:
        """The same for a value that changed in place since the delete: only now can that be seen."""
        for record in self._deleted.values():
            if (only is None or isinstance(record, only)) and changed_in_place(record):
                name = f"{record.__mapper__.name}({record.__state__.id!r})"
                error = UsageError(
                    f"{name} is to be deleted by this flush, and a value in it changed in place after "
                    f"delete(), which would go with it: revert() lets it go, discard() takes the delete back"
                )
                error.instance = record
                raise error

    def waiting(self, model: type[Any]) -> frozenset[str]:
        """The ids of the records of a class that the next flush deletes."""
        return frozenset(one.__state__.id for one in self._deleted.values() if type(one) is model)

    def was_deleted(self, record: Record) -> None:
        """*record* was deleted: there is nothing left to delete with the next flush."""
        self._deleted.pop(id(record), None)

    def discard(self) -> None:
        """Forget all changes that are not saved: records show again what is stored."""
        self.more.clear()
        for record in list(self._held.values()):
            record.revert()
        self._held.clear()
        self._deleted.clear()
        self.in_doubt = False

    def clear(self) -> None:
        """End: a task which outlives the session keeps none of its records alive."""
        self.closed, self.session = True, None
        self.mapped.clear()
        self.more.clear()
        self._held.clear()
        self._deleted.clear()

    # -- writing -----------------------------------------------------------------------------------

    async def flush(self, only: type[Any] | None = None) -> None:
        """Save and delete all that is to be, or the records of one class.

        One atomic call per database; of a cluster, and of classes with partitions, one per slot, in the order
        in which the work was given.
        """
        if self.in_doubt:
            raise UsageError(IN_DOUBT)
        self._refuse_changed_in_place(only)
        groups = dict[Store, "list[Record]"]()
        for record in self._work():
            if only is None or isinstance(record, only):
                groups.setdefault(record.__mapper__.store(self), []).append(record)
        for store, records in groups.items():
            if len(records) > MAX_BATCH:
                raise UsageError(
                    f"{len(records):,} changed records of {store!r}: one flush writes up to {MAX_BATCH:,}"
                )
        waiting = [*groups.items()]
        for place, (store, records) in enumerate(waiting):
            try:
                await self._flush_store(store, records)
            except RediscaError as error:
                _tell(error, waiting[:place], waiting[place + 1 :])
                raise

    def _work(self) -> Iterable[Record]:
        """The records that a flush writes, deletes or looks at, each once."""
        asked = (self._held[one] for one in self.more)
        return {id(record): record for record in (*self.dirty, *asked)}.values()

    async def _flush_store(self, store: Store, records: list[Record]) -> None:
        async with executor.locked(store, records):
            deleted = [record for record in records if id(record) in self._deleted]
            others = (record for record in records if id(record) not in self._deleted)
            # another flush may have been first
            saved = [record for record in others if is_changed(record) or id(record) in self.more]
            begun = pending.begin_flush(store, deleted, saved, self.more)
            try:
                if by_slots.is_apart(store, begun):
                    await by_slots.write(store, begun, self._slots(begun))
                elif begun:
                    await executor.write(store, begun)
            except TooManyArguments as error:
                error.cure = UNCUT
                raise

    def _slots(self, begun: pending.Begun) -> list[str]:
        """The slots of these changes, in the order in which they were given."""
        of = {id(record): change.schema.keys.slot for record, change in begun}
        return [*dict.fromkeys(of[one] for one in (*self._held, *of) if one in of)]


Waiting: TypeAlias = "Sequence[tuple[Store, list[Record]]]"
"""Databases, each with the records that a flush is to write there."""


def _tell(error: RediscaError, before: Waiting, behind: Waiting) -> None:
    """Let the *error* of a flush of several calls say what was written and what was not."""
    by_slots = error.written or error.unwritten
    error.written = (*_names(before), *error.written)
    error.unwritten = (*error.unwritten, *_names(behind))
    if before:
        error.add_note(f"already written in this flush: {', '.join(repr(store) for store, _ in before)}")
    if by_slots:
        written, unwritten = _listed(error.written), _listed(error.unwritten)
        error.add_note(f"one call for each slot: written {written}; not written {unwritten}")


def _names(some: Waiting) -> list[tuple[str, str]]:
    return [(record.__mapper__.name, record.__state__.id) for _, records in some for record in records]


def _listed(names: Sequence[tuple[str, str]]) -> str:
    """Records for the text of a note: the first of them where they are many."""
    shown = [f"{model}({id!r})" for model, id in names[:MOST_NAMED]]
    more = [f"{len(names) - MOST_NAMED:,} more"] if len(names) > MOST_NAMED else []
    return ", ".join([*shown, *more]) or "none"


async def save_all(model: type[Any]) -> None:
    """Save the changed records of a class and its subclasses in the open session. UsageError without one."""
    unit = current()
    if unit is None:
        raise UsageError(
            "save_all() outside a session: records are only known within `async with session():`"
        )
    await unit.flush(model)
