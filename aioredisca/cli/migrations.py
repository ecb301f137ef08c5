"""``aioredisca migrate``: steps that change stored data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from aioredisca.cli.app import (
    AsJson,
    Group,
    Rate,
    Url,
    app,
    console,
    emit,
    models_of,
    shown,
    tell_left_out,
    warn,
)
from aioredisca.cli.finding import find_modules
from aioredisca.cli.settings import migrations_folder, read_settings
from aioredisca.drivers.run import run
from aioredisca.errors import UsageError
from aioredisca.maintenance import migrations
from aioredisca.maintenance.migrations import Report, Status
from aioredisca.maintenance.migrations.folder import files, load

migrate = typer.Typer(
    cls=Group, no_args_is_help=True, help="Steps that change stored data, each applied once."
)
app.add_typer(migrate, name="migrate")

Folder = Annotated[
    str,
    typer.Option("--dir", help="the folder of steps, before that of pyproject.toml"),
]
To = Annotated[str, typer.Option(help="the last step, by its name or its number")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="count what would be done, and write nothing")]


@migrate.command("new", epilog="Example: aioredisca migrate new rename_mail --auto --models app.models")
def new_command(
    name: Annotated[str, typer.Argument(help="what it does, as in rename_mail")],
    auto: Annotated[bool, typer.Option("--auto", help="with what differs from the steps so far")] = False,
    models: Annotated[
        list[str] | None, typer.Option(help="for --auto: a module or a class, before those of the project")
    ] = None,
    folder: Folder = "",
    url: Url = "",
) -> None:
    """Write the file of a new step."""
    kinds = models_of(models or []) if auto else []
    with shown("comparing", url):
        if auto:
            path, found = run(migrations.new_auto(_in(folder), name, kinds))
        else:
            path, found = migrations.new(_in(folder), name), []
    if path is None:
        console.print("nothing differs: no step was written.")
        return
    for text in found:
        console.print(f"  {escape(text)}", highlight=False)
    console.print(
        f"{escape(str(path))} is written: read it before you run it.", highlight=False, soft_wrap=True
    )


@migrate.command("status", epilog="Example: aioredisca migrate status --check")
def status_command(
    folder: Folder = "",
    url: Url = "",
    check: Annotated[bool, typer.Option("--check", help="exit with 2 unless all are applied")] = False,
    as_json: AsJson = False,
) -> None:
    """List the steps, and which are applied."""
    _import_models(folder)
    with shown("looking", url):
        found = run(migrations.status(_in(folder)))
    if as_json:
        emit([asdict(one) for one in found])
    else:
        _list(found)
    if check and any(one.state != "done" for one in found):
        raise typer.Exit(2)


@migrate.command("up", epilog="Example: aioredisca migrate up --dry-run")
def up_command(
    to: To = "",
    dry_run: DryRun = False,
    mark_only: Annotated[
        bool,
        typer.Option("--mark-only", help="record them as applied, and do nothing: of data of this shape"),
    ] = False,
    rate: Rate = 0,
    folder: Folder = "",
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Apply the steps that this store has not seen. What was cut short goes on where it stopped."""
    _import_models(folder)
    with shown("migrating", url) as progress:
        work = migrations.upgrade(
            _in(folder), to=to, dry_run=dry_run, mark_only=mark_only, rate=rate, progress=progress
        )
        done = run(work)
    _tell(done, "marked" if mark_only else "applied", dry_run, as_json)


@migrate.command("down", epilog="Example: aioredisca migrate down --to 0003")
def down_command(
    to: To = "",
    dry_run: DryRun = False,
    rate: Rate = 0,
    folder: Folder = "",
    url: Url = "",
    as_json: AsJson = False,
) -> None:
    """Undo the step that was applied last, or all behind --to (0 for all)."""
    _import_models(folder)
    with shown("undoing", url) as progress:
        done = run(migrations.downgrade(_in(folder), to=to, dry_run=dry_run, rate=rate, progress=progress))
    _tell(done, "undone", dry_run, as_json)


def _import_models(folder: str) -> None:
    """Import the models, those of the project and those of the steps: they may set conf.db, before it is
    chosen.

    A step that cannot be loaded is told when it is run.
    """
    settings = read_settings()
    find_modules(settings)
    if settings.models:
        models_of([])
    if (steps := Path(_in(folder))).is_dir():
        for file in files(steps):
            with suppress(UsageError):
                load(file)


def _in(folder: str) -> str:
    return migrations_folder(folder, read_settings())


def _list(found: Sequence[Status]) -> None:
    if not found:
        console.print("there are no steps: `aioredisca migrate new NAME` writes one.")
    width = max((len(one.name) for one in found), default=0)
    for one in found:
        colour = {"done": "green", "pending": "yellow"}.get(one.state, "red")
        when = f"  {one.at}  by {one.by}" if one.at else ""
        line = f"{escape(one.name):{width}}  [{colour}]{one.state:7}[/{colour}]{escape(when)}"
        console.print(line, highlight=False, soft_wrap=True)
        for note in one.notes:
            warn("  note", note)
        tell_left_out(((repr(id), reason) for id, reason in one.left.items()), "  left out")


def _tell(done: Sequence[Report], verb: str, dry_run: bool, as_json: bool) -> None:
    left = any(not one.done for one in done)
    if as_json:
        emit([asdict(one) for one in done])
    elif not done:
        console.print(f"nothing to be {verb}.")
    for one in done if not as_json else ():
        for counts in one.counts:
            would = "would change" if dry_run else "changed"
            line = f"  {counts.title}: {counts.looked:,} looked at, {counts.changed:,} {would}"
            console.print(escape(line), highlight=False, soft_wrap=True)
            tell_left_out(((repr(id), reason) for id, reason in counts.left.items()), "  left out")
            if counts.empty:
                warn("  no records", f'at {counts.empty!r}: where a class has a tag, say At("...", tag=...)')
        ended = (
            f"would be {verb}"
            if dry_run
            else verb
            if one.done
            else f"not {verb} to its end: mend, run it again"
        )
        console.print(f"{escape(one.name)}: {ended}.", highlight=False, soft_wrap=True)
    if left:
        raise typer.Exit(2)
