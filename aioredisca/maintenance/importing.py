"""Records from lines of JSON, as dumping.py writes them: each is checked, then written with all its indexes.

The records of a batch are written with their collections in one call, all or none. So wherever an import is
cut short, what is there is whole, and the same stream with ``on_conflict="skip"`` goes on behind it.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from aioredisca.compiler.changes import BATCH, Change, noted
from aioredisca.errors import (
    AlreadyExists,
    BadLine,
    Conflict,
    OutcomeUnknown,
    RediscaError,
    TooManyArguments,
    UsageError,
    ValidationError,
)
from aioredisca.frames import hiding
from aioredisca.maintenance.lines import FORMAT, Reader, models_of, parsed
from aioredisca.persistence import asking, executor, readiness
from aioredisca.storage.schema import Schema
from aioredisca.types import Call

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record

OnConflict = Literal["fail", "skip", "replace"]

MAX_WEIGHT = 1 << 20
"""Characters of one batch, unless a line has more."""

MOST_TOGETHER = 1000
"""Lines of one batch over partitions."""

MAX_NAMED = 1000
"""How many lines a report names."""

ATTEMPTS = 3
"""How often a batch is sent that gets no answer."""

MAX_WAITING = 10_000
"""How many records wait for one that they refer to."""


@dataclass
class Imported:
    """What :func:`import_records` did.

    ``records``   how many were written, or would have been.
    ``skipped``   how many were there already, and stayed as they were.
    ``left_out``  how many lines were no good, or hold a unique value that another record has.
    ``problems``  (number of the line, error) of the first 1,000 of these. No error shows a value.
    ``unknown``   how many records hold a field that the stream takes for declared and the class does not, by
                  name. They are written with it.
    ``complete``  whether the stream had all the lines that it was to have.
    """

    records: int = 0
    skipped: int = 0
    left_out: int = 0
    problems: list[tuple[int, RediscaError]] = field(default_factory=list[tuple[int, RediscaError]])
    unknown: dict[str, int] = field(default_factory=dict[str, int])
    complete: bool = True


@hiding
async def import_records(
    lines: Iterable[str | bytes] | AsyncIterable[str | bytes],
    *models: type[Record],
    on_conflict: OnConflict = "fail",
    strict: bool = False,
    check_references: bool = True,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Imported:
    """Write the records of *lines*, as :func:`export_records` makes them, into the stores of *models*.

    ``on_conflict``       what becomes of a record whose id is taken: "fail" stops by BadLine; "skip" leaves
                          the one that is there, so that an import that was cut short can go on; "replace"
                          puts the new one in its place, as a whole. Where another record holds a unique
                          value, "fail" stops, and the others leave the line out.
    ``strict``            stop by BadLine at the first line that is no good, instead of reporting it.
    ``check_references``  refuse what refers to no record, where the class checks that. A record that comes
                          before the one that it names waits for it. False checks nothing.
    ``dry_run``           write nothing: look at each line, and whether its id is taken.
    ``progress``          called with the number of lines read so far.

    A model is found by its name or its prefix in the header. UsageError for a header of another format or
    model. What was written before an error stays. EVALSHA, one round trip per 100 records, over partitions
    one for each of these per up to 1,000; one more with EXISTS to skip, HKEYS to replace; one per model and
    kind of collection, for the rights.
    """
    if on_conflict not in get_args(OnConflict):
        raise UsageError(f"on_conflict={on_conflict!r}: it is 'fail', 'skip' or 'replace'")
    if isinstance(lines, str | bytes):
        raise UsageError(
            "import_records() takes lines, an open file, say: one text would be read letter by letter"
        )
    run = Import(models_of(models, "import_records()"), on_conflict, strict, check_references, dry_run)
    async for number, line in _numbered(lines):
        await run.take(number, line)
        if progress is not None and number % BATCH == 0:
            progress(number)
    await run.finish()
    run.done.complete &= run.begun
    return run.done


async def _numbered(
    lines: Iterable[str | bytes] | AsyncIterable[str | bytes],
) -> AsyncIterator[tuple[int, str | bytes]]:
    number = 0
    if isinstance(lines, AsyncIterable):
        async for line in lines:
            number += 1
            yield number, line
    else:
        for line in lines:
            number += 1
            yield number, line


@dataclass(slots=True)
class Entry:
    """A record that is to be written, and the number of its line."""

    number: int
    change: Change


@dataclass(slots=True)
class _Sent:
    """The records of one call, its *name* among those of the import, and how often it may be sent."""

    entries: list[Entry]
    name: str
    attempts: int = ATTEMPTS
    begun: list[tuple[Any, Change]] = field(default_factory=list[tuple[Any, Change]])


class Import:
    """One call of :func:`import_records`, or another that writes lines."""

    def __init__(
        self, models: Sequence[Any], on_conflict: OnConflict, strict: bool, checks: bool, dry_run: bool
    ) -> None:
        self.models, self.on_conflict, self.strict = models, on_conflict, strict
        self.checks, self.dry_run = checks, dry_run
        self.done = Imported()
        self.reader: Reader | None = None
        self.begun = False
        """Whether there was a header: an export of no records has one all the same."""
        self.batch, self.waiting = dict[str, Entry](), list[tuple[Entry, RediscaError]]()
        self.most = BATCH
        """Lines that are written together: of many partitions more, else each would get one by one."""
        self.weight = self.lines = self.calls = 0
        """Of the batch, in characters; how many lines the model had so far, and how many calls there were."""
        self.run = secrets.token_hex(8)
        self.notes = dict[str, None]()
        """The keys that say which call was carried out last, one in each place."""

    async def take(self, number: int, text: str | bytes) -> None:
        """One line of the stream."""
        if not text.strip():
            return
        line = parsed(text)
        if line is None:
            self.bad(number, ValidationError(self._name(), "", "the line is no object of JSON"))
        elif "aioredisca" in line:
            await self.begin(line)
        elif "end" in line and "id" not in line:
            await self.end(line)
        elif self.reader is None:
            raise UsageError("the stream does not begin with a header, as export_records() makes it")
        else:
            self.lines += 1
            try:
                change = self.reader.change(line)
            except ValidationError as error:
                return self.bad(number, error)
            if change.id in self.batch:  # the second of them finds the first
                await self.flush()
            self.batch[change.id] = Entry(number, change)
            self.weight += len(text)
            if len(self.batch) == self.most or self.weight > MAX_WEIGHT:
                await self.flush()
        return None

    def _name(self) -> str:
        return self.reader.mapper.name if self.reader else "the stream"

    async def begin(self, header: dict[str, Any]) -> None:
        """The records of another model follow."""
        await self.finish()
        if header["aioredisca"] != FORMAT or header.get("values"):
            cure = (
                "export_records(values=False)"
                if header.get("values")
                else "the library that wrote it, or a newer one"
            )
            raise UsageError(f"nobody can import this: take what comes from {cure}")
        name, prefix = header.get("model"), header.get("prefix")
        found = [model for model in self.models if model.__name__ == name]
        found = found or [model for model in self.models if model.__mapper__.prefix() == prefix]
        if not found:
            given = ", ".join(model.__name__ for model in self.models)
            raise UsageError(
                f"the stream goes on with records of {name!r}, and was to be of {given}: name that class too"
            )
        self.begun = True
        mapper: Mapper = found[0].__mapper__
        schema = mapper.schema(mapper.store())
        await readiness.in_place(mapper.store(), schema)
        await readiness.ready_to_load(mapper.store(), schema, writes=not self.dry_run)
        self.reader = Reader(mapper, schema, self.checks, self.done.unknown)
        self.most = min(MOST_TOGETHER, max(BATCH, BATCH * len(schema.parts) // 2))
        self.done.complete = False

    async def end(self, line: dict[str, Any]) -> None:
        self.done.complete = line.get("records") == self.lines
        await self.finish()

    async def finish(self) -> None:
        """Write what is left of a model, those last that wait for others."""
        await self.flush()
        if self.waiting:
            await self.write_waiting()
        await self.forget()
        self.reader, self.lines = None, 0

    async def forget(self) -> None:
        """Nothing is sent again from here on: take the notes away, which else would end by themselves."""
        if self.notes:
            assert self.reader is not None
            await asking.read_together(
                self.reader.store, [Call(("UNLINK", key), writes=True) for key in self.notes]
            )
            self.notes.clear()

    async def write_waiting(self) -> None:
        """Write what refers to records that came behind it, in a circle perhaps; the rest is no good."""
        assert self.reader is not None
        waiting, self.waiting = self.waiting, []
        sound = await self.reader.with_parents([entry.change for entry, _ in waiting])
        kept = {change.id for change in sound}
        for change in sound:
            change.parents = ()
        entries = [entry for entry, _ in waiting if entry.change.id in kept]
        for first in range(0, len(entries), BATCH):
            await self.write(entries[first : first + BATCH])
        for entry, error in waiting:
            if entry.change.id not in kept:
                self.bad(entry.number, error)

    def bad(self, number: int, error: RediscaError) -> None:
        """A line that is no good."""
        if self.strict:
            raise BadLine(number, error)
        self.done.left_out += 1
        if len(self.done.problems) < MAX_NAMED:
            self.done.problems.append((number, error))

    # -- writing -----------------------------------------------------------------------------------

    async def flush(self) -> None:
        entries, self.batch, self.weight = [*self.batch.values()], {}, 0
        if entries and (self.dry_run or self.on_conflict != "fail"):
            entries = await self.without_conflicts(entries)
        if self.dry_run:
            self.done.records += len(entries)
        else:
            await self.write(entries)

    async def without_conflicts(self, entries: list[Entry]) -> list[Entry]:
        """Those of *entries* that are to be written, though records may be there already."""
        assert self.reader is not None
        if self.on_conflict == "replace":
            if not self.dry_run:
                await self.reader.replace([entry.change for entry in entries])
            return entries
        free = list[Entry]()
        taken = await self.reader.taken([entry.change for entry in entries])
        for entry, is_taken in zip(entries, taken, strict=True):
            if is_taken:
                self.conflict(entry, AlreadyExists(self._name(), entry.change.id))
            else:
                free.append(entry)
        return free

    def conflict(self, entry: Entry, error: RediscaError) -> None:
        """A record that others are in the way of."""
        if self.on_conflict == "fail":
            raise BadLine(entry.number, error)
        if isinstance(error, AlreadyExists) and self.on_conflict == "skip":
            self.done.skipped += 1
        else:
            self.bad(entry.number, error)

    async def write(self, entries: list[Entry]) -> None:
        """Write *entries*, those of a partition in one call (in more if they are too many).

        Those that the server refuses are left out.

        What got no answer is sent again, and done once: the server knows which call it has carried out.
        """
        parts = dict[Schema, list[Entry]]()
        for entry in entries:
            parts.setdefault(entry.change.schema, []).append(entry)
        left = [self.call_of(part) for part in parts.values()]
        while left:
            results = await self.sent(left)
            again = list[_Sent]()
            for one, error in zip(left, results, strict=True):
                if error is None:
                    self.done.records += len(one.entries)
                else:
                    again += self.after(one, error)
            left = [one for one in again if one.entries]

    def call_of(self, entries: list[Entry], attempts: int = ATTEMPTS) -> _Sent:
        self.calls += 1
        return _Sent(entries, f"{self.calls}", attempts)

    def begin_to_write(self, one: _Sent) -> None:
        """Let the changes of a call be those of records that nobody holds; the last one notes the call."""
        assert self.reader is not None
        changes = [entry.change for entry in one.entries]
        note = changes[-1].schema.keys.imported(self.run)
        self.notes[note] = None
        changes[-1] = replace(changes[-1], after=(*changes[-1].after, noted(note, one.name)))
        one.begun = [(self.reader.mapper.detached(change.id), change) for change in changes]

    async def sent(self, several: Sequence[_Sent]) -> list[RediscaError | None]:
        """Send each in a call of its own, in one round trip: why it was not written, or None."""
        assert self.reader is not None
        for one in several:
            self.begin_to_write(one)
        await self.reader.check_rights([change for one in several for _, change in one.begun])
        try:
            prepared = [executor.prepare(one.begun) for one in several]
            results = await executor.carry_out_together(self.reader.store, prepared)
        except ValidationError as error:  # a number without a score: nothing was sent
            at_fault = [any(record is error.instance for record, _ in one.begun) for one in several]
            return [error if is_at_fault else executor.NotSent() for is_at_fault in at_fault]
        except (OutcomeUnknown, TooManyArguments) as error:  # of all that were sent together
            return [error] * len(several)
        return [result if isinstance(result, RediscaError) else None for result in results]

    def after(self, one: _Sent, error: RediscaError) -> list[_Sent]:
        """What is to be sent again of *one*, which met *error*."""
        assert self.reader is not None
        if isinstance(error, Conflict | ValidationError):
            place = next((n for n, (record, _) in enumerate(one.begun) if record is error.instance), None)
            if place is not None:
                error.instance = None
                self.refused(one.entries.pop(place), error)
                return [one]
        elif isinstance(error, executor.NotSent):
            return [one]
        elif isinstance(error, TooManyArguments):
            if half := len(one.entries) // 2:
                return [self.call_of(some, one.attempts) for some in (one.entries[:half], one.entries[half:])]
        elif isinstance(error, OutcomeUnknown):
            one.attempts -= 1
            if one.attempts:
                return [one]
        raise error

    def refused(self, entry: Entry, error: RediscaError) -> None:
        if isinstance(error, Conflict):
            self.conflict(entry, error)
        elif entry.change.parents and len(self.waiting) < MAX_WAITING:
            self.waiting.append((entry, error))  # what it refers to may come behind it
        else:
            self.bad(entry.number, error)
