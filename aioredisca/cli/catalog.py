"""``aioredisca models``: what the models are, and what the store holds of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from aioredisca.cli.app import AsJson, Url, app, console, emit, models_of, shown, warn
from aioredisca.cli.finding import name_of
from aioredisca.cli.values import index_text, size_text
from aioredisca.drivers.run import run
from aioredisca.fields.base import Field
from aioredisca.maintenance.inspecting import NO_VALUE, SAMPLE, IndexSummary, Summary, summary


@app.command("models", epilog="Example: aioredisca models app.models --json")
def models_command(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="modules and classes, as app.models and app.models:User; else those of the project",
        ),
    ] = None,
    url: Url = "",
    sample: Annotated[int, typer.Option(min=1, help="how many records memory is estimated by")] = SAMPLE,
    machine: AsJson = False,
) -> None:
    """Show models: fields, indexes and their states, how many records, and about how much memory they take.

    Reads a sample of the records, whatever their number. Changes nothing.
    """
    kinds = models_of(models or [])
    for place, kind in enumerate(kinds):
        with shown(f"looking at {kind.__name__}", url if not place else ""):
            found = run(summary(kind, sample))
        if machine:
            emit(_data(kind, found))
        else:
            console.print(_tree(kind, found))
        if found.misplaced and not machine:
            warn("misplaced", f"{name_of(kind)}: {found.misplaced}")


def _data(kind: Any, found: Summary) -> dict[str, Any]:
    mapper = kind.__mapper__
    fields = mapper.fields.values()
    return {
        "model": name_of(kind),
        "prefix": mapper.keys(mapper.store()).base,
        "partitions": mapper.setting("partitions") or 1,
        "misplaced": found.misplaced,
        "records": found.records,
        "memory": found.memory,
        "fields": [_field_data(field) for field in fields],
        "collections": {name: type(one).__name__ for name, one in mapper.collections.items()},
        "indexes": [asdict(one) for one in found.indexes],
    }


def _field_data(field: Field[Any]) -> dict[str, Any]:
    return {
        "name": field.name,
        "kind": type(field).__name__,
        "stored_as": field.key,
        "required": field.required,
        "unique": field.unique,
        "index": field.index,
        "secret": field.secret,
    }


def _tree(kind: Any, found: Summary) -> Tree:
    mapper = kind.__mapper__
    title = Text.assemble((name_of(kind), "bold"))
    partitions = mapper.setting("partitions") or 1
    spread = f" in {partitions:,} partitions" if partitions > 1 else ""
    title.append(f"  prefix {mapper.keys(mapper.store()).base}{spread}", "dim")
    records = "1 record" if found.records == 1 else f"{found.records:,} records"
    title.append(f"  {records}, {size_text(found.memory)}" if found.memory is not None else f"  {records}")
    tree = Tree(title, guide_style="dim")
    if mapper.fields:
        tree.add("fields", style="cyan").add(_fields_of(mapper), style="none")
    if mapper.collections:
        tree.add("collections", style="cyan").add(_collections(mapper), style="none")
    tree.add("indexes", style="cyan").add(_indexes(found.indexes), style="none")
    return tree


def _grid() -> Table:
    return Table.grid(padding=(0, 2, 0, 0))


def _fields_of(mapper: Any) -> Table:
    grid = _grid()
    for field in mapper.fields.values():
        words = [word for word in ("required", "unique", "readonly", "secret") if getattr(field, word)]
        if field.index:
            words.append(f"index {field.index}")
        if field.ttl is not None:
            words.append("ends")
        stored = "" if field.key == field.name else f"as {field.key}"
        grid.add_row(Text(field.name, "bold"), type(field).__name__, ", ".join(words), Text(stored, "dim"))
    return grid


def _collections(mapper: Any) -> Table:
    grid = _grid()
    for name, one in mapper.collections.items():
        of = getattr(one, "of", None)
        grid.add_row(Text(name, "bold"), type(one).__name__, "" if of is None else f"of {type(of).__name__}")
    return grid


def _indexes(indexes: Iterable[IndexSummary]) -> Table:
    grid = _grid()
    for one in _for_people(indexes):
        state = Text(one.state, "green" if one.state == "ready" else "yellow")
        grid.add_row(Text(index_text(one.fields), "bold"), one.kind, state, size_text(one.memory))
    return grid


def _for_people(indexes: Iterable[IndexSummary]) -> list[IndexSummary]:
    """The set of the ids without a value is a part of its index, unless it is in another state."""
    found = list[IndexSummary]()
    for one in sorted(indexes, key=lambda one: (one.fields, one.kind == NO_VALUE)):
        last = found[-1] if found else None
        if last and one.kind == NO_VALUE and (last.fields, last.state) == (one.fields, one.state):
            memory = None if last.memory is None or one.memory is None else last.memory + one.memory
            found[-1] = replace(last, memory=memory)
        else:
            found.append(one)
    return found
