"""What the commands share: the application, the consoles, models and databases by name, how failure is told.

Results go to stdout, everything else (progress, warnings of what was left out of JSON, errors) to stderr.
"""

from __future__ import annotations

import inspect
import json
import platform
import sys
import warnings
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Annotated, Any

from aioredisca.cli.finding import model_named, models_named
from aioredisca.cli.settings import database_url, read_settings
from aioredisca.config import conf
from aioredisca.drivers.database import Database
from aioredisca.drivers.run import run
from aioredisca.errors import RediscaError, StoreError
from aioredisca.maintenance.inspecting import known_records

try:
    import typer
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn
    from rich.text import Text
    from typer.core import TyperGroup
except ImportError:
    sys.exit("the command line needs its extra: pip install 'aioredisca[cli]'")


class Group(TyperGroup):
    """Errors and warnings of the library are one sentence each, whichever command meets them."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        for command in self.commands.values():
            command.help = _flowing(command.help or "")

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands)

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = _one_sentence
            try:
                return super().invoke(ctx)
            except RediscaError as error:
                raise failure(str(error)) from None


def _flowing(text: str) -> str:
    """A docstring whose lines end where the terminal does."""
    return "\n\n".join(" ".join(part.split()) for part in inspect.cleandoc(text).split("\n\n"))


def _one_sentence(message: Warning | str, *where: Any, **more: Any) -> None:
    text = escape(printable(str(message)))
    errors.print(f"[yellow]warning:[/yellow] {text}", highlight=False, soft_wrap=True)


app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # they can show what a frame holds, a password among it
    context_settings={"help_option_names": ["-h", "--help"]},
)
console = Console(emoji=False)  # `shop:Book:` is a model
errors = Console(emoji=False, stderr=True)

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="the model class, as package.module:Class, or the name of one of the project"
    ),
]
Url = Annotated[
    str,
    typer.Option(
        "--url",
        metavar="URL",
        help="the database, before $AIOREDISCA_URL, pyproject.toml and conf.db; a class with conf(db=) keeps "
        "its own",
    ),
]
Rate = Annotated[
    int, typer.Option(min=0, help="records per second at most; 0 for no limit", show_default=False)
]
AsJson = Annotated[bool, typer.Option("--json", help="write JSON to stdout, and all else to stderr")]


def _version(asked: bool) -> None:
    if asked:
        import redis  # takes longer to import than all the rest

        ours = sys.modules["aioredisca"].__version__
        python = platform.python_version()
        sys.stdout.write(f"aioredisca {ours}, redis-py {redis.__version__}, Python {python}\n")
        raise typer.Exit


@app.callback(epilog=r"The project: \[tool.aioredisca] in pyproject.toml, with url and models.")
def main(
    version: Annotated[
        bool, typer.Option("--version", help="print the versions and end", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Tools for stores that aioredisca writes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # one that has no arrows shows their numbers
            stream.reconfigure(errors="backslashreplace")


# -- models and databases --------------------------------------------------------------------------


def use_database(url: str = "") -> Database:
    """Make conf.db the database that *url*, the environment or the project names, if one of them does.

    After the models were imported, which may set conf.db too: its namespace and eviction= are kept.
    """
    if named := database_url(url, read_settings()):
        conf.db = Database(named, namespace=conf.db.namespace, eviction=conf.db.eviction)
    return conf.db


def model_of(path: str) -> type[Any]:
    """The model class called *path*: ``package.module:Class``, or the name of one of the project."""
    return model_named(path, read_settings())


def models_of(paths: list[str]) -> list[type[Any]]:
    """The model classes that *paths* name, modules among them; those of the project if there are none."""
    return models_named(paths, read_settings())


# -- what is shown ---------------------------------------------------------------------------------


class _Pace(ProgressColumn):
    """How much is done, how fast, and how long the rest takes."""

    def render(self, task: Task) -> Text:
        known = task.total is not None and task.completed <= task.total  # some are looked at twice
        parts = [f"{int(task.completed):,}" + (f" of {int(task.total or 0):,}" if known else "") + " records"]
        if task.speed:
            parts.append(f"{task.speed:,.0f}/s")
        if known and task.time_remaining is not None:
            parts.append(f"{task.time_remaining:,.0f} s left")
        return Text(" · ".join(parts))


@contextmanager
def shown(title: str, url: str = "", model: Any = None) -> Generator[Callable[[int], None]]:
    """What is done, on the database that was named, with a count on a terminal; errors in one sentence.

    Gives a function to call with how many records are done: of those of *model*, if one is named.
    """
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(20), _Pace())
    bar = Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)
    try:
        use_database(url)
        with bar:
            task = bar.add_task(
                title, total=_size(model) if model is not None and errors.is_terminal else None
            )
            yield lambda done: bar.update(task, completed=done)
    except RediscaError as error:
        raise failure(str(error)) from None


def _size(model: Any) -> int | None:
    """How many records there are, where that is known."""
    store = model.__mapper__.store()
    try:
        return run(known_records(store, model.__mapper__.schema(store))) or None
    except StoreError:  # it is told by what needs it
        return None


def failure(text: str) -> typer.Exit:
    """What a command raises that cannot go on: the text on stderr, exit status 1."""
    errors.print(f"[red]error:[/red] {escape(printable(text))}", highlight=False, soft_wrap=True)
    return typer.Exit(1)


def warn(title: str, text: str) -> None:
    """A part of the report that somebody should look at."""
    console.print(f"[yellow]{title}[/yellow] {escape(printable(text))}", highlight=False)


NAMED = 10
"""How many of those that were left out for one reason are named."""


def tell_left_out(
    problems: Iterable[tuple[str, RediscaError | str]],
    title: str = "left out",
    tell: Callable[[str, str], None] = warn,
) -> None:
    """Name what was left out, each with its reason; but for the first ten of a reason only how many more."""
    seen = dict[object, list[str]]()
    for name, why in problems:
        reason = why if isinstance(why, str) else _reason_of(why)
        names = seen.setdefault(reason, [])
        names.append(name)
        if len(names) <= NAMED:
            tell(title, f"{name}: {why}")
    for names in seen.values():
        if (more := len(names) - NAMED) > 0:
            tell(title, f"{more:,} more, for the same reason as {names[0]}")


def _reason_of(error: RediscaError) -> object:
    """What is alike in errors of several records."""
    facts = (getattr(error, name, "") for name in ("model", "field", "reason", "cure"))
    return type(error), *facts


def note(text: str) -> None:
    """What is said beside the result, on stderr."""
    errors.print(escape(printable(text)), highlight=False)


def records_text(count: int) -> str:
    """So many records, in words."""
    return "1 record" if count == 1 else f"{count:,} records"


def emit(data: Any) -> None:
    """One line of JSON on stdout."""
    text = json.dumps(data, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding)
    except UnicodeEncodeError:  # a terminal of ASCII, or an id with bytes that are no text
        text = json.dumps(data)
    sys.stdout.write(f"{text}\n")


def printable(text: str) -> str:
    """*text* without what a terminal would obey: stored values may hold anything."""
    return text if text.isprintable() else repr(text)[1:-1]
