"""``aioredisca export`` and ``import``: records as lines of JSON; ``adopt``: a model file for hashes."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from aioredisca.cli.app import (
    Url,
    app,
    errors,
    failure,
    models_of,
    note,
    printable,
    records_text,
    tell_left_out,
    use_database,
)
from aioredisca.drivers.database import Database
from aioredisca.drivers.run import iterate, run
from aioredisca.errors import RediscaError
from aioredisca.maintenance.adopting.sampling import adopt
from aioredisca.maintenance.dumping import export_records
from aioredisca.maintenance.importing import Imported, OnConflict, import_records

Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[MODEL]...",
        help="modules and classes, as app.models and app.models:User; else those of the project",
    ),
]


@app.command("export")
def export_command(
    models: Models = None,
    out: Annotated[
        str, typer.Option(help="the file, compressed if its name ends in .gz; - is standard output")
    ] = "-",
    without_secrets: Annotated[bool, typer.Option(help="leave out fields declared secret=True")] = False,
    declared_only: Annotated[
        bool, typer.Option(help="leave out hash fields that the class does not declare")
    ] = False,
    values: Annotated[
        bool, typer.Option(help="values for people, by attribute, without secrets; nobody can import that")
    ] = False,
    url: Url = "",
) -> None:
    """Write the records of models as lines of JSON, exactly as they are stored.

    Example: aioredisca export app.models:User app.models:Post --out all.jsonl.gz
    """
    kinds = models_of(models or [])
    secrets = not (without_secrets or values)
    if secrets and (names := _secrets(kinds)):
        errors.print(
            f"[yellow]secrets[/yellow] are among what is written: {escape(', '.join(names))}; "
            "--without-secrets leaves them out",
            highlight=False,
        )
    written = 0
    with _counted("exporting", "records") as show, _written(out) as write:

        def progress(done: int) -> None:
            nonlocal written
            written = done
            show(done)

        use_database(url)
        for line in iterate(
            export_records(
                *kinds, secrets=secrets, undeclared=not declared_only, values=values, progress=progress
            )
        ):
            write(f"{line}\n".encode())
    if out != "-":  # who reads standard output counts for himself
        note(f"{records_text(written)} written to {out}.")


@app.command("import")
def import_command(
    models: Models = None,
    source: Annotated[
        str,
        typer.Option("--from", help="the file, decompressed if its name ends in .gz; - is standard input"),
    ] = "-",
    on_conflict: Annotated[
        str, typer.Option(help="where an id is taken: fail, skip (to go on after a stop), or replace")
    ] = "fail",
    strict: Annotated[bool, typer.Option(help="stop at the first line that is no good")] = False,
    unchecked: Annotated[bool, typer.Option(help="do not look whether references name a record")] = False,
    dry_run: Annotated[bool, typer.Option(help="look at each line, and write nothing")] = False,
    url: Url = "",
) -> None:
    """Write the records of an export, with all their indexes.

    Example: aioredisca import app.models:User --from users.jsonl.gz --on-conflict skip
    """
    kinds = models_of(models or [])
    with _counted("importing", "lines") as progress, _lines(source) as lines:
        use_database(url)
        done = run(
            import_records(
                lines,
                *kinds,
                on_conflict=_conflict(on_conflict),
                strict=strict,
                check_references=not unchecked,
                dry_run=dry_run,
                progress=progress,
            )
        )
    _tell(done, dry_run)


@app.command("adopt")
def adopt_command(
    url: Annotated[
        str,
        typer.Argument(
            metavar="[URL]", help="the database; else that of $AIOREDISCA_URL, or of pyproject.toml"
        ),
    ] = "",
    match: Annotated[str, typer.Option(help="the keys to look at, as SCAN matches them")] = "*",
    out: Annotated[str, typer.Option(help="the file to write; - is standard output")] = "-",
    sample: Annotated[int, typer.Option(help="hashes of each prefix that are read")] = 1000,
    limit: Annotated[int, typer.Option(help="keys of the database that are looked at")] = 200_000,
    blocking: Annotated[bool, typer.Option(help="a file for blocking code")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="what was found, for machines")] = False,
) -> None:
    """Propose a model file for hashes that others wrote, by hand, by redisca, by redis-om.

    Example: aioredisca adopt redis://localhost:6379/0 --match 'user:*' --out models.py
    """
    with _counted("looking at", "keys") as progress:
        db = Database(url) if url else use_database()
        found = run(adopt(db, match=match, sample=sample, limit=limit, blocking=blocking, progress=progress))
        text = json.dumps(found.as_json()) + "\n" if as_json else found.source
        if found.models or as_json:  # an empty file takes the place of no other
            with _written(out) as write:
                write(text.encode())
    for plan in found.models:
        base = escape(printable(plan.base))
        errors.print(f"{escape(plan.name)}: {plan.hashes:,} hashes below {base}:", highlight=False)
    for problem in found.problems:
        _warn("left out", problem)
    if not found.models:
        raise failure("no hashes were found of which a class could be made")


def _conflict(given: str) -> OnConflict:
    """What was asked for; what is none of these the function refuses."""
    return given  # type: ignore[return-value]


def _secrets(kinds: list[Any]) -> list[str]:
    fields = [(kind, field) for kind in kinds for field in kind.__mapper__.fields.values()]
    return [f"{kind.__name__}.{field.name}" for kind, field in fields if field.secret]


def _tell(done: Imported, dry_run: bool) -> None:
    """What was done, on stderr, as all else that is said here: standard output may be a pipe."""
    verb = "would be written" if dry_run else "written"
    skipped = f", {done.skipped:,} were there already" if done.skipped else ""
    errors.print(f"{records_text(done.records)} {verb}{skipped}.", highlight=False)
    tell_left_out(((f"line {number:,}", error) for number, error in done.problems), tell=_warn)
    if (more := done.left_out - len(done.problems)) > 0:
        _warn("left out", f"{more:,} lines more")
    for name, count in done.unknown.items():
        _warn("unknown", f"{count:,} records hold {name!r}, which the class does not declare: kept as it is")
    if not done.complete:
        _warn("cut short", "the stream has not all the lines that were to come")
    if done.left_out or not done.complete:
        raise typer.Exit(2)


def _warn(title: str, text: str) -> None:
    errors.print(f"[yellow]{title}[/yellow] {escape(printable(text))}", highlight=False)


@contextlib.contextmanager
def _counted(title: str, what: str) -> Generator[Callable[[int], None]]:
    """A count on stderr where that is a terminal; errors in one sentence."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TextColumn(f"{{task.completed:,}} {what}"))
    bar = Progress(
        *columns, TimeElapsedColumn(), console=errors, transient=True, disable=not errors.is_terminal
    )
    try:
        with bar:
            task = bar.add_task(title, total=None)
            yield lambda n: bar.update(task, completed=n)
    except RediscaError as error:
        raise failure(str(error)) from None
    except BrokenPipeError:  # whoever read has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(1) from None
    except (OSError, EOFError, zlib.error) as error:
        raise failure(str(error)) from None


@contextlib.contextmanager
def _written(out: str) -> Generator[Callable[[bytes], Any]]:
    """What writes to a file, which gets its name when it is complete; or to standard output, or a pipe."""
    if out == "-":
        yield sys.stdout.buffer.write
        sys.stdout.flush()
        return
    if Path(out).exists() and not Path(out).is_file():  # a device or a pipe stays what it is
        with _opened(Path(out), "wb", compressed=out.endswith(".gz")) as file:
            yield file.write
        return
    part = Path(f"{out}.part")
    try:
        with _opened(part, "wb", compressed=out.endswith(".gz")) as file:
            yield file.write
        part.replace(out)
    except BaseException:  # nobody asked for a part, and secrets may be in it
        part.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _lines(source: str) -> Generator[Iterator[bytes]]:
    if source == "-":
        yield iter(sys.stdin.buffer)
        return
    with _opened(Path(source), "rb", compressed=source.endswith(".gz")) as file:
        yield iter(file)


def _opened(path: Path, mode: str, *, compressed: bool) -> IO[bytes]:
    """A file of bytes. The same records make the same file: no time stands in a compressed one."""
    if not compressed:
        return path.open(mode)
    if mode == "rb":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return gzip.GzipFile(path, mode, mtime=0)  # type: ignore[return-value]
