"""``aioredisca migrate``: steps that change stored data."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from aioredisca.cli.app import app, console, failure, shown, warn
from aioredisca.drivers.run import run
from aioredisca.maintenance import migrations
from aioredisca.maintenance.migrations import Report, Status
from aioredisca.model.record import Record

migrate = typer.Typer(no_args_is_help=True, help="Steps that change stored data, each applied once.")
app.add_typer(migrate, name="migrate")

Folder = Annotated[str, typer.Option("--dir", help="the folder of steps")]
Url = Annotated[str, typer.Option(help="the database, before conf.db")]
Json = Annotated[bool, typer.Option("--json", help="for machines")]
To = Annotated[str, typer.Option(help="the last step, by its name or its number")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="count what would be done, and write nothing")]
Rate = Annotated[int, typer.Option(min=0, help="records per second at most")]

HERE = "migrations"


@migrate.command("new")
def new_command(
    name: Annotated[str, typer.Argument(help="what it does, as in rename_mail")],
    auto: Annotated[bool, typer.Option("--auto", help="with what differs from the steps so far")] = False,
    models: Annotated[list[str] | None, typer.Option(help="a module with models, for --auto")] = None,
    folder: Folder = HERE,
    url: Url = "",
) -> None:
    """Write the file of a new step.

    Example: aioredisca migrate new rename_mail --auto --models app.models
    """
    with shown("comparing", url):
        if auto:
            path, found = run(migrations.new_auto(folder, name, _models(models or [])))
        else:
            path, found = _plain(folder, name)
    if path is None:
        console.print("nothing differs: no step was written.")
        return
    for text in found:
        console.print(f"  {escape(text)}", highlight=False)
    console.print(
        f"{escape(str(path))} is written: read it before you run it.", highlight=False, soft_wrap=True
    )


@migrate.command("status")
def status_command(
    folder: Folder = HERE,
    url: Url = "",
    check: Annotated[bool, typer.Option("--check", help="exit with 2 unless all are applied")] = False,
    as_json: Json = False,
) -> None:
    """List the steps, and which are applied.

    Example: aioredisca migrate status --check
    """
    with shown("looking", url):
        found = run(migrations.status(folder))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
    else:
        _list(found)
    if check and any(one.state != "done" for one in found):
        raise typer.Exit(2)


@migrate.command("up")
def up_command(
    to: To = "",
    dry_run: DryRun = False,
    rate: Rate = 0,
    folder: Folder = HERE,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Apply the steps that this store has not seen. What was cut short goes on where it stopped.

    Example: aioredisca migrate up --dry-run
    """
    sys.path.insert(0, "")
    with shown("migrating", url) as progress:
        done = run(migrations.upgrade(folder, to=to, dry_run=dry_run, rate=rate, progress=progress))
    _tell(done, "applied", dry_run, as_json)


@migrate.command("down")
def down_command(
    to: To = "",
    dry_run: DryRun = False,
    rate: Rate = 0,
    folder: Folder = HERE,
    url: Url = "",
    as_json: Json = False,
) -> None:
    """Undo the step that was applied last, or all behind --to (0 for all).

    Example: aioredisca migrate down --to 0003
    """
    sys.path.insert(0, "")
    with shown("undoing", url) as progress:
        done = run(migrations.downgrade(folder, to=to, dry_run=dry_run, rate=rate, progress=progress))
    _tell(done, "undone", dry_run, as_json)


def _plain(folder: str, name: str) -> tuple[Path | None, list[str]]:
    return migrations.new(folder, name), []


def _models(paths: Sequence[str]) -> list[type[Any]]:
    """The model classes that these modules define or import, one for each prefix."""
    if not paths:
        raise failure("--auto compares models: name their module by --models app.models")
    sys.path.insert(0, "")
    found = dict[str, type[Any]]()
    for path in paths:
        try:
            module = importlib.import_module(path)
        except (ImportError, ValueError) as error:
            raise failure(f"{path}: {error}") from None
        for one in vars(module).values():
            if isinstance(one, type) and issubclass(one, Record) and one.__mapper__.fields:
                found.setdefault(one.__mapper__.prefix(), one)
    if not found:
        raise failure(f"{', '.join(paths)}: there is no model")
    return list(found.values())


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
        for id, reason in one.left.items():
            warn("  left out", f"{id!r}: {reason}")


def _tell(done: Sequence[Report], verb: str, dry_run: bool, as_json: bool) -> None:
    left = any(not one.done for one in done)
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in done]))
    elif not done:
        console.print(f"nothing to be {verb}.")
    for one in done if not as_json else ():
        for counts in one.counts:
            would = "would change" if dry_run else "changed"
            line = f"  {counts.title}: {counts.looked:,} looked at, {counts.changed:,} {would}"
            console.print(escape(line), highlight=False, soft_wrap=True)
            for id, reason in counts.left.items():
                warn("  left out", f"{id!r}: {reason}")
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
