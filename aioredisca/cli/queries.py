"""``aioredisca query``: records by a condition, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from typing import Annotated, Any

import typer
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from aioredisca.cli import expressions
from aioredisca.cli.app import AsJson, Url, app, console, emit, models_of, note, printable, use_database
from aioredisca.cli.settings import read_settings
from aioredisca.cli.values import Unreadable, as_json, as_text, value_in
from aioredisca.drivers.run import iterate, run
from aioredisca.fields.base import Field
from aioredisca.query.explain import Explanation

GAP = 2
"""Blanks between two columns."""

PAGE = 200
"""How many records are held, and set in one table, at a time."""


@app.command("query", epilog="Example: aioredisca query 'User.age >= 18' --order-by=-age --limit 10")
def query_command(
    expression: Annotated[
        str, typer.Argument(metavar="QUERY", help="as in Python: (User.age >= 18) & (User.name == 'Ada')")
    ],
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="a model or module beside those of the project; repeatable"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=0, help="at most so many records")] = None,
    order_by: Annotated[
        str, typer.Option(metavar="FIELDS", help="fields to order by, as in name,-age: - is falling")
    ] = "",
    only: Annotated[str, typer.Option(metavar="FIELDS", help="load and show these fields alone")] = "",
    count: Annotated[bool, typer.Option("--count", help="show how many match")] = False,
    explain: Annotated[bool, typer.Option("--explain", help="show how it is answered")] = False,
    url: Url = "",
    machine: AsJson = False,
) -> None:
    """Find records by a condition, and show them as a table, or as JSON: a line each, without secret fields.

    The condition is read, and never run as a program: comparisons, & | ~, the methods of columns and queries
    (.in_() .between() .startswith() .has() .order_by() ...), and literals. Exit status 2 where a value cannot
    be read.
    """
    query: Any = expressions.parse(expression, _models(model or []))
    use_database(url)
    fields = [query.model.__mapper__.field(name) for name in expressions.names_in(only)]
    if order_by:
        query = query.order_by(*expressions.ordering(order_by, query.model))
    if limit is not None:
        query = query.limit(limit)
    if explain:
        _explain(_done(query.explain()), machine=machine)
    elif count:
        _count(_done(query.count()), machine=machine)
    else:
        _show(query, fields, machine=machine)


def _models(named: list[str]) -> list[type[Any]]:
    """Those of the project, and those that are *named*."""
    of_project = models_of([]) if read_settings().models or not named else []
    return [*dict.fromkeys((*of_project, *(models_of(named) if named else ())))]


def _done(result: Any) -> Any:
    """What a verb of either colour answers."""
    return run(result) if hasattr(result, "__await__") else result


def _stream(query: Any) -> Iterator[Any]:
    """The records, whatever colour their class has."""
    return query.stream() if hasattr(query, "stream") else iterate(aiter(query))


def _count(found: int, *, machine: bool) -> None:
    if machine:
        emit({"count": found})
    else:
        console.print(f"{found:,}", highlight=False)


def _explain(found: Explanation, *, machine: bool) -> None:
    if machine:
        emit(asdict(found))
    else:
        console.print(Text("\n".join(map(printable, str(found).splitlines()))))


def _show(query: Any, chosen: Sequence[Field[Any]], *, machine: bool) -> None:
    """Records as they come, a page at a time."""
    fields = chosen or [*query.model.__mapper__.fields.values()]
    if chosen:
        query = query.only(*(getattr(query.model, field.name) for field in chosen))
    sheet = _Sheet(fields)
    records, unread = _stream(query), 0
    total = 0
    while page := [*islice(records, PAGE)]:
        rows = [(record.id, [value_in(record, field) for field in fields]) for record in page]
        total += len(rows)
        unread += _tell_unread(query.model.__name__, fields, rows)
        if machine:
            _emit(fields, rows)
        else:
            sheet.add(rows)
    if not machine:
        note("1 record" if total == 1 else f"{total:,} records")
    if unread:
        raise typer.Exit(2)


def _emit(fields: Sequence[Field[Any]], rows: Iterable[tuple[str, list[Any]]]) -> None:
    for id, values in rows:
        given = zip(fields, values, strict=True)
        emit({"id": id, **{field.name: as_json(field, value) for field, value in given if not field.secret}})


def _tell_unread(model: str, fields: Sequence[Field[Any]], rows: Iterable[tuple[str, list[Any]]]) -> int:
    """Say which values cannot be read; how many there are."""
    found = [
        f"{model}({id!r}).{field.name} cannot be read: see aioredisca show"
        for id, values in rows
        for field, value in zip(fields, values, strict=True)
        if isinstance(value, Unreadable)
    ]
    for text in found:
        note(text)
    return len(found)


class _Sheet:
    """Records as a table, in the widths of its first page; one below the other where they do not fit."""

    def __init__(self, fields: Sequence[Field[Any]]) -> None:
        self.fields = fields
        self.names = ["id", *(field.name for field in fields)]
        self.widths: list[int] | None = None

    def add(self, rows: Iterable[tuple[str, list[Any]]]) -> None:
        texts = [[printable(id), *map(as_text, self.fields, values)] for id, values in rows]
        first = self.widths is None
        if self.widths is None:
            self.widths = [max(map(cell_len, column)) for column in zip(self.names, *texts, strict=True)]
        if sum(self.widths) + GAP * len(self.widths) <= console.width:
            self._print_table(texts, self.widths, header=first)
        else:
            self._print_blocks(texts)

    def _print_table(self, texts: list[list[str]], widths: list[int], *, header: bool) -> None:
        table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_header=header)
        for name, width in zip(self.names, widths, strict=True):
            table.add_column(Text(name), width=width, overflow="fold")
        for row in texts:
            table.add_row(*map(Text, row))
        console.print(table)

    def _print_blocks(self, texts: list[list[str]]) -> None:
        for row in texts:
            grid = Table.grid(padding=(0, GAP, 0, 0))
            grid.add_column(overflow="fold")
            grid.add_column(overflow="fold")
            for name, text in zip(self.names, row, strict=True):
                grid.add_row(Text(name, "bold"), Text(text))
            console.print(grid)
            console.print()
