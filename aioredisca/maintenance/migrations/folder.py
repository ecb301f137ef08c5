"""A folder of steps: ``migrations/0001_rename_mail.py`` ... Found by their names, read when they are run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

from aioredisca.errors import MigrationError, UsageError
from aioredisca.maintenance.migrations.operations import Operation
from aioredisca.maintenance.migrations.walking import Step
from aioredisca.types import Store

_NAME = re.compile(r"(\d{4,})_[a-z0-9_]+")

Function = Callable[[Step], Any]


@dataclass(frozen=True, slots=True)
class File:
    """One step as a file.

    ``name`` is that of the file without ``.py``, ``number`` what it begins with, ``digest`` the SHA-256 of
             it.
    """

    path: Path
    name: str
    number: int
    digest: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step does: operations, or functions; and the shapes that models have from here on."""

    operations: Sequence[Operation]
    up: Function | None
    down: Function | None
    models: Mapping[str, Any]

    @property
    def irreversible(self) -> str:
        """What cannot be undone of it; empty if all can."""
        if self.up is not None:
            return "" if self.down is not None else "it has no down()"
        return "; ".join(f"{one.title} cannot be undone" for one in self.operations if not one.reversible)

    def check(self, store: Store) -> None:
        """MigrationError where *store* is none for it. No I/O."""
        for one in self.operations:
            one.check(store)

    async def do(self, step: Step) -> None:
        if self.up is not None:
            await self.up(step)
        for one in self.operations:
            await one.up(step)

    async def undo(self, step: Step) -> None:
        if self.down is not None:
            await self.down(step)
        for one in reversed(self.operations):
            await one.down(step)


def files(folder: Path) -> list[File]:
    """The steps in *folder*, in order. UsageError where numbers are missing or come twice, or names mean
    nothing.

    Files that begin with ``_`` are passed over.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {str(folder)!r}: `aioredisca migrate new NAME` makes it")
    found = list[File]()
    for path in sorted(folder.glob("*.py")):
        if path.name.startswith("_"):
            continue
        matched = _NAME.fullmatch(path.stem)
        if matched is None:
            raise UsageError(f"{path.name} is no name of a step: it is called as 0001_rename_mail.py is")
        found.append(File(path, path.stem, int(matched[1]), hashlib.sha256(path.read_bytes()).hexdigest()))
    found.sort(key=lambda one: one.number)
    for place, one in enumerate(found, 1):
        if place > 1 and found[place - 2].number == one.number:
            raise UsageError(
                f"{found[place - 2].name} and {one.name} have one number: give one of them the next"
            )
        if one.number != place:
            raise UsageError(f"{one.name}: step {place:04} is missing before it")
    return found


@cache
def load(file: File) -> Plan:
    """What the step in *file* does, which runs its code, once: the digest tells whether it is still the same.

    UsageError where it cannot be loaded, or says nothing, or both.
    """
    names: dict[str, Any] = {"__name__": f"migration_{file.name}", "__file__": str(file.path)}
    try:
        exec(compile(file.path.read_bytes(), str(file.path), "exec"), names)
    except UsageError as error:
        raise UsageError(f"{file.name}: {error}") from error
    except Exception as error:
        raise UsageError(f"{file.name} cannot be loaded: {type(error).__name__}: {error}") from error
    operations, up, down = (names.get(name) for name in ("operations", "up", "down"))
    if (operations is None) == (up is None):
        raise UsageError(f"{file.name} has operations = [...], or a function up(step): one of the two")
    if operations is not None and down is not None:
        raise UsageError(f"{file.name}: operations know how they are undone: down() goes with up()")
    for one in operations or ():
        if not isinstance(one, Operation):
            raise UsageError(f"{file.name}: {one!r} in operations is none")
    for function in (up, down):
        if function is not None and not callable(function):
            raise UsageError(f"{file.name}: up and down are functions that take the step")
    models: Any = names.get("models", {})
    if not isinstance(models, dict):
        raise UsageError(f"{file.name}: models is the dict that `aioredisca migrate new --auto` wrote")
    return Plan(operations or (), up, down, cast("dict[str, Any]", models))


def named(found: Sequence[File], text: str) -> File:
    """The step that *text* means: its name, or its number. MigrationError where there is none such."""
    for one in found:
        if text == one.name or (text.isdecimal() and int(text) == one.number):
            return one
    last = f", the last is {found[-1].name}" if found else ""
    raise MigrationError("", f"there is no step {text!r}{last}")
