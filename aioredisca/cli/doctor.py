"""``aioredisca doctor``: whether a database will do, and what to change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from aioredisca.cli.app import AsJson, app, console, emit, models_of, printable, use_database
from aioredisca.cli.settings import read_settings
from aioredisca.drivers.run import run
from aioredisca.maintenance.diagnosing import diagnose, status_of
from aioredisca.maintenance.server_report import Finding, Level

_MARKS: dict[Level, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("note", "cyan"),
    "warning": ("warning", "yellow"),
    "failure": ("FAILED", "bold red"),
}
_VERDICTS = {0: "usable", 2: "usable, with warnings", 1: "not usable"}


@app.command("doctor", epilog="Example: aioredisca doctor redis://localhost:6379/0")
def doctor_command(
    url: Annotated[
        str,
        typer.Argument(
            metavar="[URL]", help="the database; else that of $AIOREDISCA_URL, of pyproject.toml, or conf.db"
        ),
    ] = "",
    machine: AsJson = False,
) -> None:
    """Probe a database in seconds: what works, what is slower or missing, and what to change.

    Where the project lists models, this user's rights to their keys as well. Changes nothing that stays.
    Exit status 0 if all is well, 2 for warnings, 1 where it cannot be used.
    """
    kinds = models_of([]) if read_settings().models else []
    store = use_database(url)
    schemas = [kind.__mapper__.schema(store) for kind in kinds if kind.__mapper__.store() is store]
    findings = run(diagnose(store, schemas))
    status = status_of(findings)
    if machine:
        emit({"database": repr(store), "status": status, "findings": [asdict(one) for one in findings]})
    else:
        console.print(_table(findings))
        console.print(Text(f"{store!r} is {_VERDICTS[status]}."))
    raise typer.Exit(status)


def _table(findings: Iterable[Finding]) -> Table:
    """A row for each, and one below it for what to change."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for one in findings:
        word, style = _MARKS[one.level]
        table.add_row(Text(word, style), Text(one.topic, "bold"), Text(printable(one.text)))
        if one.cure:
            table.add_row("", "", Text(f"→ {printable(one.cure)}", style))
    return table
