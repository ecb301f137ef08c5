"""``aioredisca show``: one record as it is stored."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from aioredisca.cli.app import AsJson, ModelName, Url, app, console, emit, model_of, printable, use_database
from aioredisca.cli.values import SECRET, Unreadable, as_json, as_text, index_text, span_text, value_of
from aioredisca.drivers.run import run
from aioredisca.maintenance.inspecting import Inspection, Standing, inspect


@app.command("show", epilog="Example: aioredisca show app.models:User ada")
def show_command(
    model: ModelName,
    id: Annotated[str, typer.Argument(metavar="ID", help="the id of the record")],
    url: Url = "",
    machine: AsJson = False,
) -> None:
    """Show one record: its values, when it ends, its collections, and its entries in the indexes.

    Secret values are hidden. Of what cannot be read the stored bytes are shown. Changes nothing. Exit
    status 2 where something cannot be read, or an entry is missing.
    """
    kind = model_of(model)
    use_database(url)
    mapper: Any = kind.__mapper__
    found = run(inspect(kind, mapper.record_id(id)))
    values = {name: value_of(mapper, field, found.raw[field.key]) for name, field in mapper.fields.items()}
    if machine:
        emit(_data(mapper, found, values))
    else:
        console.print(_tree(mapper, found, values))
    if any(isinstance(value, Unreadable) for value in values.values()) or not all(
        one.present for one in found.entries
    ):
        raise typer.Exit(2)


def _undeclared(mapper: Any, found: Inspection) -> dict[str, int]:
    """The hash fields that the class does not declare, and how many bytes each holds: they may be secret."""
    return {name: len(raw or b"") for name, raw in found.raw.items() if name not in mapper.by_key}


def _data(mapper: Any, found: Inspection, values: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": mapper.name,
        "id": found.id,
        "key": found.key,
        "values": {
            name: as_json(mapper.fields[name], value)
            for name, value in values.items()
            if not mapper.fields[name].secret
        },
        "secret": [name for name, value in values.items() if value is SECRET],
        "unreadable": {
            name: None if value.raw is None else value.raw.decode("utf-8", "backslashreplace")
            for name, value in values.items()
            if isinstance(value, Unreadable)
        },
        "undeclared": _undeclared(mapper, found),
        "ttl": None if found.ttl is None else found.ttl / 1000,
        "field_ttls": {mapper.attribute(key): left / 1000 for key, left in found.field_ttls.items()},
        "collections": {
            name: {"kind": kind, "value" if kind == "counter" else "size": size}
            for name, (kind, size) in found.collections.items()
        },
        "entries": [
            {"index": one.entry, "kind": one.kind, "fields": list(one.fields), "present": one.present}
            for one in found.entries
        ],
    }


def _tree(mapper: Any, found: Inspection, values: dict[str, Any]) -> Tree:
    title = Text.assemble((f"{mapper.name} {found.id!r}", "bold"), (f"  {printable(found.key)}", "dim"))
    if found.ttl is not None:
        title.append(f"  ends in {span_text(found.ttl)}")
    tree = Tree(title, guide_style="dim")
    for heading, grid in (
        ("values", _values(mapper, found, values)),
        ("not declared", _sizes(mapper, found)),
        ("collections", _collections(found)),
        ("entries", _entries(found)),
    ):
        if grid.row_count:
            tree.add(heading, style="cyan").add(grid, style="none")
    return tree


def _grid() -> Table:
    return Table.grid(padding=(0, 2, 0, 0))


def _values(mapper: Any, found: Inspection, values: dict[str, Any]) -> Table:
    grid = _grid()
    for name, value in values.items():
        field = mapper.fields[name]
        style = "yellow" if isinstance(value, Unreadable) else "dim" if value is None else ""
        left = found.field_ttls.get(field.key)
        ends = "" if left is None else f"ends in {span_text(left)}"
        grid.add_row(Text(name, "bold"), Text(as_text(field, value), style, overflow="fold"), ends)
    return grid


def _sizes(mapper: Any, found: Inspection) -> Table:
    grid = _grid()
    for name, size in _undeclared(mapper, found).items():
        grid.add_row(Text(printable(name), "bold"), f"{size:,} bytes")
    return grid


def _collections(found: Inspection) -> Table:
    grid = _grid()
    for name, (kind, size) in found.collections.items():
        unit = "" if kind == "counter" else " item" if size == 1 else " items"
        grid.add_row(Text(name, "bold"), kind, f"{size:,}{unit}")
    return grid


def _entries(found: Inspection) -> Table:
    grid = _grid()
    for one in found.entries:
        style = "green" if one.present else "yellow"
        grid.add_row(Text(index_text(one.fields), "bold"), one.kind, Text(_state(one), style))
    return grid


def _state(one: Standing) -> str:
    if one.present:
        return "there"
    return "missing" if one.holder is None else f"held by {one.holder!r}"
