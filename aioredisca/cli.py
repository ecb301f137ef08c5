"""The command line: ``aioredisca reindex app.models:User`` and ``sweep``. Needs ``aioredisca[cli]``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Annotated, Any

from aioredisca.config import conf
from aioredisca.drivers.run import run
from aioredisca.errors import RediscaError
from aioredisca.model.record import Record
from aioredisca.persistence.expiry import sweep
from aioredisca.persistence.reindexing import Reindexed, reindex

try:
    import typer
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
except ImportError:
    sys.exit("the command line needs its extra: pip install 'aioredisca[cli]'")

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Tools for stores that aioredisca writes.")
console = Console(emoji=False)  # `shop:Book:` is a model
errors = Console(emoji=False, stderr=True)


@app.callback()
def main() -> None:
    """Tools for stores that aioredisca writes."""


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
    kind = _model(model)
    with _shown(f"indexing {kind.__name__}", url) as progress:
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
    kind = _model(model)
    with _shown(f"sweeping {kind.__name__}", url) as progress:
        total = run(sweep(kind, progress=progress))
    console.print(f"{kind.__name__}: {'1 record' if total == 1 else f'{total:,} records'} swept.")


@contextmanager
def _shown(title: str, url: str) -> Generator[Callable[[int], None]]:
    """What is done, on the database that was named, with a count on a terminal; errors in one sentence."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.completed:,} records"))
    bar = Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    )
    try:
        if url:
            conf.db = url
        with bar:
            task = bar.add_task(title, total=None)
            yield lambda n: bar.update(task, completed=n)
    except RediscaError as error:
        raise _failure(str(error)) from None


def _model(path: str) -> type[Any]:
    sys.path.insert(0, "")
    module, _, name = path.partition(":")
    if not (module and name) or module.startswith("."):
        raise _failure(f"{path!r} names no class: write it as package.module:Class, as in app.models:User")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise _failure(f"{path}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Record)):
        raise _failure(f"{path} is no model class")
    return found


def _failure(text: str) -> typer.Exit:
    errors.print(f"[red]error:[/red] {escape(text)}", highlight=False)
    return typer.Exit(1)


def _tell(kind: type[Record], done: Reindexed) -> None:
    if not (done.records or done.built or done.left_out):
        console.print(f"{kind.__name__}: every index is built.")
    else:
        records = "1 record" if done.records == 1 else f"{done.records:,} records"
        built = escape(", ".join(done.built)) or "none"
        console.print(f"{kind.__name__}: {records} indexed; built: {built}", highlight=False)
    for id, error in done.problems:
        _warn("left out", f"{id!r}: {error}")
    if (more := done.left_out - len(done.problems)) > 0:
        _warn("left out", f"{more:,} more")
    for name, count in done.incomplete.items():
        cure = f"{kind.__name__}.{name}.is_none().scan() finds them, missing= lets them be read"
        _warn("incomplete", f"{count:,} records lack {name}, which is required: {cure}")
    if done.foreign:
        _warn("passed over", f"not known to be records: {', '.join(map(repr, done.foreign))}")
    if done.left_out or done.incomplete:
        raise typer.Exit(2)


def _warn(title: str, text: str) -> None:
    console.print(f"[yellow]{title}[/yellow] {escape(text)}", highlight=False)
