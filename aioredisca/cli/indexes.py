"""``aioredisca reindex`` and ``sweep``: the indexes of a model."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from aioredisca.cli.app import ModelName, Url, app, console, model_of, records_text, shown, warn
from aioredisca.drivers.run import run
from aioredisca.maintenance.indexing import Reindexed
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
    rate: Annotated[int, typer.Option(min=0, help="records per second at most; 0 for no limit")] = 0,
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
    for id, error in done.problems:
        warn("left out", f"{id!r}: {error}")
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
