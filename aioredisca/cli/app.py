"""What the commands share: the application, the consoles, how a model is named, and how a failure is told."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from aioredisca.config import conf
from aioredisca.errors import RediscaError
from aioredisca.model.record import Record

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


@contextmanager
def shown(title: str, url: str) -> Generator[Callable[[int], None]]:
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
        raise failure(str(error)) from None


def model_of(path: str) -> type[Any]:
    sys.path.insert(0, "")
    module, _, name = path.partition(":")
    if not (module and name) or module.startswith("."):
        raise failure(f"{path!r} names no class: write it as package.module:Class, as in app.models:User")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise failure(f"{path}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Record)):
        raise failure(f"{path} is no model class")
    return found


def failure(text: str) -> typer.Exit:
    errors.print(f"[red]error:[/red] {escape(text)}", highlight=False)
    return typer.Exit(1)


def warn(title: str, text: str) -> None:
    console.print(f"[yellow]{title}[/yellow] {escape(text)}", highlight=False)
