"""``aioredisca reindex`` and ``sweep``: the indexes of a model."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from aioredisca.cli.app import (
    ModelName,
    Rate,
    Url,
    app,
    console,
    errors,
    failure,
    model_of,
    records_text,
    shown,
    tell_left_out,
    warn,
)
from aioredisca.drivers.run import run
from aioredisca.maintenance.indexing import Reindexed
from aioredisca.maintenance.partitioning.moving import Partitioned, partition
from aioredisca.maintenance.reindexing import reindex
from aioredisca.model.record import Record
from aioredisca.persistence.expiry import sweep


@app.command("reindex", epilog="Example: aioredisca reindex app.models:User")
def reindex_command(
    model: ModelName,
    url: Url = "",
    before: Annotated[
        bool, typer.Option(help="only prepare the roll-out of this code, which takes an index away")
    ] = False,
    everything: Annotated[bool, typer.Option(help="look through what is ready, too, and mend it")] = False,
    canonical: Annotated[
        bool, typer.Option(help="as --everything, and rewrite values that are not written as usual")
    ] = False,
    exclude: Annotated[
        bool,
        typer.Option(
            help="make indexes ready without the records that they cannot hold, but for unique ones"
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option(help="end versions of the class that have just written, and would be refused")
    ] = False,
    rate: Rate = 0,
) -> None:
    """Take over the indexes of a model: build those that are not ready, drop those that it no longer has.

    After the roll-out of code that adds an index: aioredisca reindex app.models:User

    Where one is taken away, before the roll-out, too: aioredisca reindex app.models:User --before

    It may be stopped at any moment and goes on where it was.
    """
    kind = model_of(model)
    with shown(f"indexing {kind.__name__}", url, kind) as progress:
        done = run(
            reindex(
                kind,
                before=before,
                everything=everything,
                canonical=canonical,
                left_out="exclude" if exclude else "report",
                force=force,
                rate=rate or None,
                progress=progress,
            )
        )
    if before:
        console.print(f"{kind.__name__}: roll it out, then run `aioredisca reindex` without --before.")
    else:
        _tell(kind, done)


@app.command("partition", epilog="Example: aioredisca partition app.models:User --to 64 --yes")
def partition_command(
    model: ModelName,
    url: Url = "",
    to: Annotated[
        int | None,
        typer.Option(help="into how many, 1 for one place; by default as many as the class declares"),
    ] = None,
    dry_run: Annotated[bool, typer.Option(help="only look whether all records can be moved")] = False,
    undo: Annotated[
        bool, typer.Option(help="give up what was begun and is not done: the records stay where they were")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
    rate: Rate = 0,
) -> None:
    """Move the records of a model into another number of partitions, or back into one place.

    Who reads and writes it by the old number goes on, but that nobody writes for the last moments.

    It may be stopped at any moment and goes on where it was. Restart the processes of the old number when it
    is done: they are refused from then on.
    """
    kind = model_of(model)
    if not (dry_run or undo or yes):
        _ask(kind.__name__)
    with shown(f"moving {kind.__name__}", url, kind) as progress:
        job = partition(kind, to, dry_run=dry_run, undo=undo, rate=rate or None, progress=progress)
        done = run(job)
    _tell_move(done, dry_run=dry_run, undo=undo)


def _ask(name: str) -> None:
    """Go on only if somebody wants that."""
    if not errors.is_terminal:
        raise failure(
            "processes of the old number are refused once it has moved: --yes says that this is wanted"
        )
    text = f"Processes of the old number are refused once the records of {name} have moved. Go on?"
    if not typer.confirm(text, err=True):
        raise typer.Exit(1)


def _tell_move(done: Partitioned, *, dry_run: bool, undo: bool) -> None:
    into = "one place" if done.now == 1 else f"{done.now} partitions"
    if done.before == done.now:
        console.print(f"{done.model}: the records are in {into}.", highlight=False)
        if not done.done:
            warn("not done", "what they have left is still there: run it without --dry-run")
    elif undo or not done.left_out:
        verb = "can be moved" if dry_run else "moved"
        console.print(f"{done.model}: {records_text(done.records)} {verb} into {into}.", highlight=False)
        if dry_run and done.begun:
            warn("begun", "run it without --dry-run to go on, or with --undo")
        if done.unwritten:
            console.print(f"Nobody could write for {done.unwritten:.2f} seconds.", highlight=False)
    tell_left_out((repr(id), error) for id, error in done.problems)
    if done.left_out:
        cure = "mend these records and run it again; where the move has begun, --undo gives it up"
        warn("not moved", f"{records_text(done.left_out)} cannot be: {cure}")
        raise typer.Exit(2)


@app.command("sweep", epilog="Example, by cron: aioredisca sweep app.models:Login > /dev/null")
def sweep_command(
    model: ModelName,
    url: Url = "",
) -> None:
    """Take away what is left in the indexes of records that have ended.

    Answers are exact without it, and writes take away more than they add.
    Run it by cron where records end by the thousand and few are made.
    """
    kind = model_of(model)
    with shown(f"sweeping {kind.__name__}", url) as progress:
        total = run(sweep(kind, progress=progress))
    console.print(f"{kind.__name__}: {records_text(total)} swept.")


def _tell(kind: type[Record], done: Reindexed) -> None:
    if not (done.records or done.built or done.left_out or done.dropped):
        console.print(f"{kind.__name__}: every index is built.")
    else:
        built = escape(", ".join(done.built)) or "none"
        dropped = f"; dropped: {escape(', '.join(done.dropped))}" if done.dropped else ""
        console.print(
            f"{kind.__name__}: {records_text(done.records)} indexed; built: {built}{dropped}", highlight=False
        )
    tell_left_out((repr(id), error) for id, error in done.problems)
    if (more := done.left_out - len({id for id, _ in done.problems})) > 0:
        warn("left out", f"{more:,} more")
    if done.unbuilt:
        every_unique = all(entry.startswith(("u:", "U:")) for entry in done.unbuilt)
        instead = "" if every_unique else ", or use --exclude, which is not for unique ones"
        warn("not built", f"{', '.join(done.unbuilt)}: mend these records and run it again{instead}")
    for name, count in done.incomplete.items():
        cure = f"{kind.__name__}.{name}.is_none().scan() finds them, missing= lets them be read"
        lack = "1 record lacks" if count == 1 else f"{count:,} records lack"
        warn("incomplete", f"{lack} {name}, which is required: {cure}")
    if done.foreign:
        warn("passed over", f"not known to be records: {', '.join(map(repr, done.foreign))}")
    if done.left_out or done.incomplete:
        raise typer.Exit(2)
