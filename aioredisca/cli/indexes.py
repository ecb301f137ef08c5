"""``aioredisca reindex`` and ``sweep``: the indexes of a model."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from aioredisca.cli.app import app, console, model_of, shown, warn
from aioredisca.drivers.run import run
from aioredisca.maintenance.indexing import Reindexed
from aioredisca.maintenance.reindexing import reindex
from aioredisca.model.record import Record
from aioredisca.persistence.expiry import sweep


@app.command("reindex")
def reindex_command(
    model: Annotated[str, typer.Argument(help="the model class, as package.module:Class")],
    url: Annotated[
        str, typer.Option(help="the database, before conf.db; a class with conf(db=) keeps its own")
    ] = "",
    everything: Annotated[bool, typer.Option(help="look through built indexes too, and mend them")] = False,
    canonical: Annotated[
        bool, typer.Option(help="as --everything, and rewrite values that are not written as usual")
    ] = False,
) -> None:
    """Build the indexes of a model from its records, and drop those it no longer has.

    Run it once after an index was added or removed, and over data that redisca wrote.
    """
    kind = model_of(model)
    with shown(f"indexing {kind.__name__}", url) as progress:
        done = run(reindex(kind, everything=everything, canonical=canonical, progress=progress))
    _tell(kind, done)


@app.command("sweep")
def sweep_command(
    model: Annotated[str, typer.Argument(help="the model class, as package.module:Class")],
    url: Annotated[
        str, typer.Option(help="the database, before conf.db; a class with conf(db=) keeps its own")
    ] = "",
) -> None:
    """Take away what is left in the indexes of records that have ended.

    Answers are exact without it, and writes take away more than they add.
    Run it by cron where records end by the thousand and few are made.
    """
    kind = model_of(model)
    with shown(f"sweeping {kind.__name__}", url) as progress:
        total = run(sweep(kind, progress=progress))
    console.print(f"{kind.__name__}: {'1 record' if total == 1 else f'{total:,} records'} swept.")


def _tell(kind: type[Record], done: Reindexed) -> None:
    if not (done.records or done.built or done.left_out):
        console.print(f"{kind.__name__}: every index is built.")
    else:
        records = "1 record" if done.records == 1 else f"{done.records:,} records"
        built = escape(", ".join(done.built)) or "none"
        console.print(f"{kind.__name__}: {records} indexed; built: {built}", highlight=False)
    for id, error in done.problems:
        warn("left out", f"{id!r}: {error}")
    if (more := done.left_out - len(done.problems)) > 0:
        warn("left out", f"{more:,} more")
    for name, count in done.incomplete.items():
        cure = f"{kind.__name__}.{name}.is_none().scan() finds them, missing= lets them be read"
        warn("incomplete", f"{count:,} records lack {name}, which is required: {cure}")
    if done.foreign:
        warn("passed over", f"not known to be records: {', '.join(map(repr, done.foreign))}")
    if done.left_out or done.incomplete:
        raise typer.Exit(2)
