"""Applying and undoing steps: ``status``, ``upgrade``, ``downgrade``."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from aioredisca.config import conf
from aioredisca.errors import AlreadyRunning, MigrationError, RediscaError
from aioredisca.maintenance.lease import Lease
from aioredisca.maintenance.migrations.folder import File, Plan, files, load, named
from aioredisca.maintenance.migrations.journal import Entry, Journal, busy, key_of, now
from aioredisca.maintenance.migrations.records import told
from aioredisca.maintenance.migrations.walking import Counts, Progress, Step, check_rate
from aioredisca.types import Store

LEASE = 30.0
"""Seconds for which a runner that is heard of no more keeps others out."""


@dataclass(frozen=True, slots=True)
class Status:
    """One step, and what the store knows of it.

    ``state``    "pending", "done", or "running" and "undoing" for one that was cut short or left records out.
    ``at`` ``by`` when and by whom that was recorded; empty while it is pending.
    ``notes``    what is not as it should be.
    ``left``     the records that it left as they are, with the reasons, by id.
    """

    name: str
    state: Literal["pending", "running", "done", "undoing"]
    at: str = ""
    by: str = ""
    notes: Sequence[str] = ()
    left: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Report:
    """What became of one step: ``counts`` of each thing that it did; ``done`` if nothing was left out."""

    name: str
    counts: list[Counts]
    done: bool = True


async def status(folder: str | Path, db: Store | None = None) -> list[Status]:
    """The steps of *folder* and those that the store knows of, in order. Nothing is loaded or run."""
    journal = _journal(db, LEASE)
    found, entries = files(Path(folder)), await journal.entries()
    names = [one.name for one in found]
    digests = {one.name: one.digest for one in found}
    listed = list[Status]()
    for name in (*names, *sorted(entries.keys() - {*names})):
        entry = entries.get(name)
        if entry is None:
            late = any(entries.get(after) for after in names[names.index(name) + 1 :])
            listed.append(Status(name, "pending", notes=[_LATE] if late else []))
            continue
        notes = list[str]()
        if name not in digests:
            notes.append(
                "there is no such file in this folder: this code is older than the store, or another's"
            )
        elif digests[name] != entry.digest:
            notes.append("the file was changed after it was applied: what it does now is not what was done")
        left = await journal.left(entry.run) if entry.state != "done" else {}
        ids = {id: reason for some in left.values() for id, reason in some.items()}
        listed.append(Status(name, entry.state, entry.at, entry.by, notes, ids))
    return listed


_LATE = "it comes before one that was applied already: give it the next number"


async def upgrade(
    folder: str | Path,
    db: Store | None = None,
    *,
    to: str = "",
    dry_run: bool = False,
    mark_only: bool = False,
    rate: int = 0,
    progress: Progress | None = None,
    lease: float = LEASE,
) -> list[Report]:
    """Apply the steps that the store has not seen, up to and with *to*; what each did.

    ``dry_run``   count what they would do, each on the data as it is now, and write nothing.
    ``mark_only`` record them as applied and do nothing else: for a store whose records have this shape
                  already, as those of an import of another store have.
    ``rate``      records per second at most.
    ``progress``  called with the number of records that were looked at.
    ``lease``     seconds for which this process keeps others out if it dies.

    One that was cut short goes on where it stopped. MigrationError where another runner is at work, where a
    step comes before one that was applied, or where one fails: those before it stay applied. A step that left
    records out ends the run, and tries these again the next time.
    """
    found = files(Path(folder))
    last = named(found, to).number if to else len(found)
    async with _working(db, lease, dry_run) as journal:
        entries = await journal.entries()
        waiting = _pending(found, entries)
        plans = _loaded(journal, [one for one in waiting if one.number <= last])
        reports = list[Report]()
        for file, plan in plans:
            before = entries.get(file.name)
            if mark_only:
                report = await _mark(journal, file, before, dry_run)
            else:
                report = await _apply(journal, file, plan, before, dry_run, check_rate(rate), progress)
            reports.append(report)
            if not report.done:
                break
        return reports


async def downgrade(
    folder: str | Path,
    db: Store | None = None,
    *,
    to: str = "",
    dry_run: bool = False,
    rate: int = 0,
    progress: Progress | None = None,
    lease: float = LEASE,
) -> list[Report]:
    """Undo the last step that was applied, or all behind *to* ("0000" for all); what each did.

    The other arguments are those of :func:`upgrade`. MigrationError before anything is done, where one of
    these cannot be undone, or is not in the folder.
    """
    found = files(Path(folder))
    first = 0 if to.strip("0") == "" and to else named(found, to).number if to else None
    async with _working(db, lease, dry_run) as journal:
        entries = await journal.entries()
        if missing := sorted(entries.keys() - {one.name for one in found}):
            raise MigrationError(missing[-1], "it was applied last, and there is no such file in this folder")
        applied = [one for one in reversed(found) if one.name in entries]
        wanted = applied[:1] if first is None else [one for one in applied if one.number > first]
        plans = _loaded(journal, wanted)
        for file, plan in plans:
            if entries[file.name].state == "running":
                raise MigrationError(
                    file.name, "it is not applied to its end: `aioredisca migrate up` goes on with it"
                )
            if plan.irreversible:
                raise MigrationError(file.name, plan.irreversible)
        reports = list[Report]()
        for file, plan in plans:
            report = await _undo(journal, file, plan, entries[file.name], dry_run, check_rate(rate), progress)
            reports.append(report)
            if not report.done:
                break
        return reports


def _loaded(journal: Journal, found: Sequence[File]) -> list[tuple[File, Plan]]:
    """What these steps do. MigrationError where one of them is nothing for the store."""
    plans = [(one, load(one)) for one in found]
    for file, plan in plans:
        try:
            plan.check(journal.store)
        except MigrationError as error:
            raise MigrationError(file.name, error.reason) from None
    return plans


# -- one step ----------------------------------------------------------------------------------------


def _journal(db: Store | None, lease: float) -> Journal:
    store: Store = db or conf.db
    return Journal(store, Lease(store, f"{key_of(store)}/lease", "", lease))


@asynccontextmanager
async def _working(db: Store | None, lease: float, dry_run: bool) -> AsyncGenerator[Journal]:
    """The journal, while this process is the only one that works on it."""
    journal = _journal(db, lease)
    if dry_run:
        yield journal
        return
    try:
        async with journal.lease:
            await journal.tidy()
            yield journal
    except AlreadyRunning as error:
        raise busy(error.holder) from None


def _pending(found: Sequence[File], entries: dict[str, Entry]) -> list[File]:
    """The steps to be applied. MigrationError where that would be out of order."""
    for one in found:
        entry = entries.get(one.name)
        if entry is not None and entry.state == "undoing":
            raise MigrationError(one.name, "it is being undone: `aioredisca migrate down` goes on with that")
    waiting = [one for one in found if one.name not in entries or entries[one.name].state != "done"]
    applied = [one.number for one in found if one.name in entries and one not in waiting]
    for one in waiting:
        if applied and one.number < max(applied):
            raise MigrationError(one.name, _LATE)
    return waiting


async def _apply(
    journal: Journal,
    file: File,
    plan: Plan,
    before: Entry | None,
    dry_run: bool,
    rate: int,
    progress: Progress | None,
) -> Report:
    entry = Entry("running", file.digest, before.run if before else secrets.token_hex(4), now(), _by(journal))
    step = Step(journal, entry.run, dry_run=dry_run, rate=rate, progress=progress)
    if not dry_run:
        await journal.record(file.name, before, entry)
    await _carried_out(file, plan.do(step))
    report = Report(file.name, step.counts, not any(one.left for one in step.counts))
    if not dry_run and report.done:
        await _record_done(journal, file, entry)
    return report


async def _mark(journal: Journal, file: File, before: Entry | None, dry_run: bool) -> Report:
    if not dry_run:
        await _record_done(journal, file, before)
    return Report(file.name, [])


async def _record_done(journal: Journal, file: File, before: Entry | None) -> None:
    run = before.run if before else secrets.token_hex(4)
    await journal.record(file.name, before, Entry("done", file.digest, run, now(), _by(journal)))
    await journal.forget(run)


async def _undo(
    journal: Journal,
    file: File,
    plan: Plan,
    before: Entry,
    dry_run: bool,
    rate: int,
    progress: Progress | None,
) -> Report:
    run = before.run if before.state == "undoing" else secrets.token_hex(4)
    entry = Entry("undoing", before.digest, run, now(), _by(journal))
    step = Step(journal, run, dry_run=dry_run, rate=rate, progress=progress)
    if not dry_run:
        await journal.record(file.name, before, entry)
    await _carried_out(file, plan.undo(step))
    report = Report(file.name, step.counts, not any(one.left for one in step.counts))
    if not dry_run and report.done:
        await journal.record(file.name, entry, None)
        await journal.forget(run)
    return report


def _by(journal: Journal) -> str:
    return journal.lease.name


async def _carried_out(file: File, work: Awaitable[None]) -> None:
    """MigrationError with the name of the step where it fails."""
    try:
        await work
    except MigrationError as error:
        raise MigrationError(error.step or file.name, error.reason) from None
    except RediscaError as error:
        raise MigrationError(file.name, f"it stopped: {error}") from error
    except Exception as error:
        raise MigrationError(file.name, f"it stopped: {told(error)}") from error
