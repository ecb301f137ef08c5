"""Writing the file of a new step: empty, or with what differs between the models and the steps before."""

from __future__ import annotations

import pprint
import re
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aioredisca.config import conf
from aioredisca.errors import UsageError
from aioredisca.maintenance.migrations.folder import files, load
from aioredisca.maintenance.migrations.places import kept
from aioredisca.maintenance.migrations.shapes import (
    Difference,
    Shape,
    differences,
    index_difference,
    path_of,
    shape_of,
)
from aioredisca.types import Store

_EMPTY = '''"""TODO: say what this step does."""

from aioredisca.maintenance.migrations import Step, each

# from app.models import User


async def up(step: Step) -> None:
    """Call each() for every model whose records change: see docs/migrations.md."""
    # await each(step, User, convert)


# Without down() it cannot be undone.
# async def down(step: Step) -> None:
#     await each(step, User, convert_back)
'''


def new(folder: str | Path, name: str) -> Path:
    """Write an empty step into *folder*, under the next number; where it is."""
    return _written(Path(folder), name, _EMPTY)


async def new_auto(
    folder: str | Path, name: str, models: Sequence[Any], db: Store | None = None
) -> tuple[Path | None, list[str]]:
    """Write a step with what differs; where it is, and the differences. No file where there are none.

    *models* are all classes that there are. What they declare is compared with the shapes that the steps in
    *folder* have recorded, and their indexes with those that the store keeps. HGETALL per model.

    Whatever only a person can know stands in it as a comment with TODO: read it before you run it.
    """
    place = Path(folder)
    store: Store = db or conf.db
    before = _recorded(place)
    after = {path_of(model): shape_of(model) for model in models}
    found = [*differences(before, after)]
    for model in models:
        schema = model.__mapper__.schema(model.__mapper__.store())
        there = await kept(store, schema.all_parts[0].keys)
        more = index_difference(model, schema, there.entries, there.unbuilt)
        found += [more] if more else []
    if not found:
        return None, []
    changed = {
        path: after.get(path) for path in sorted({*before, *after}) if before.get(path) != after.get(path)
    }
    return _written(place, name, _text(found, changed)), [one.text for one in found]


def _recorded(folder: Path) -> dict[str, Shape]:
    """The shapes that the steps in *folder* have recorded, the last of each model."""
    known = dict[str, Shape | None]()
    for file in files(folder) if folder.is_dir() else ():
        known.update(load(file).models)
    return {path: shape for path, shape in known.items() if shape is not None}


def _written(folder: Path, name: str, text: str) -> Path:
    if not re.fullmatch("[a-z0-9_]+", name):
        raise UsageError(f"{name!r}: a step is called by small letters, digits and _, as in rename_mail")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{len(files(folder)) + 1:04}_{name}.py"
    path.write_text(text, "utf-8")
    return path


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, 100, subsequent_indent="# ") if line.startswith("#") else [line]


def _text(found: Sequence[Difference], changed: dict[str, Shape | None]) -> str:
    texts = "\n".join(f"- {one.text}" for one in found)
    names = {name: module for one in found for name, module in one.names.items()}
    modules = sorted({*names.values()})
    imports = [
        f"from {at} import {', '.join(sorted(name for name in names if names[name] == at))}" for at in modules
    ]
    lines = [f"    {part}" for one in found for line in one.lines for part in _wrapped(line)]
    operations = "\n".join(["operations = [", *lines, "]"]) if lines else "operations = []"
    shapes = pprint.pformat(changed, width=100, sort_dicts=False)
    parts = [
        f'"""TODO: read this, and say in one sentence what it does. What has changed:\n\n{texts}\n"""',
        *(["\n".join(imports)] if imports else []),
        operations,
        "# The shapes of these models from here on, which the next `migrate new --auto` compares with.\n"
        f"models = {shapes}",
    ]
    return "\n\n".join(parts) + "\n"
