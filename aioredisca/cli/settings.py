"""``[tool.aioredisca]`` in pyproject.toml: which models and which database a project has."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aioredisca.errors import UsageError

FILE, TABLE = "pyproject.toml", "[tool.aioredisca]"
VARIABLE = "AIOREDISCA_URL"

KEYS = {"url": "text", "models": "a list of texts", "migrations": "text"}
"""What the table may hold, and what each is."""


@dataclass(frozen=True)
class Settings:
    """What the nearest pyproject.toml with such a table says.

    ``url``     the database.
    ``models``  modules (``app.models``: all classes that they declare), and classes (``app.models:User``).
    ``migrations``  the folder of their steps, seen from where the file lies.
    ``folder``  where the file lies, from where modules are imported as well; None where there is none.
    """

    url: str = ""
    models: tuple[str, ...] = ()
    folder: Path | None = None
    migrations: str = "migrations"


def read_settings() -> Settings:
    """Of the working folder, or the nearest above it that has any. UsageError for what cannot be read."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        file = folder / FILE
        if file.is_file() and (table := _table(file)) is not None:
            return _checked(table, file)
    return Settings()


def database_url(given: str, settings: Settings) -> str:
    """The URL that was *given*, else that of the environment, else that of the project; or nothing."""
    return given or os.environ.get(VARIABLE, "") or settings.url


def migrations_folder(given: str, settings: Settings) -> str:
    """The folder of steps that was *given*, else that of the project."""
    return given or str((settings.folder or Path()) / settings.migrations)


def _table(file: Path) -> Any:
    """What stands in the file under that name; None for nothing."""
    try:
        found: Any = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    tools = found.get("tool")
    return tools.get("aioredisca") if _is(tools, dict) else None


def _checked(table: Any, file: Path) -> Settings:
    if problem := next(_problems(table), ""):
        there = ", ".join(f"{key} ({kind})" for key, kind in KEYS.items())
        raise UsageError(f"{TABLE} in {file}: {problem}; there are {there}")
    return Settings(
        table.get("url", ""),
        tuple(table.get("models", ())),
        file.parent,
        table.get("migrations", Settings.migrations),
    )


def _problems(table: Any) -> Iterator[str]:
    """What is wrong with it. No value is quoted: a URL may hold a password."""
    if not _is(table, dict):
        yield "is no table"
        return
    names: list[str] = [*table]
    for key in names:
        if key in KEYS:
            continue
        near = difflib.get_close_matches(key, KEYS, 1)
        yield f"there is no {key!r}" + (f", did you mean {near[0]!r}?" if near else "")
    if not _is(table.get("url", ""), str):
        yield "url is no text"
    if not _is(table.get("migrations", ""), str):
        yield "migrations is no text"
    models = table.get("models", [])
    if not _is(models, list) or not all(_is(one, str) for one in models):
        yield 'models is no list of texts, as in ["app.models", "app.users:User"]'


def _is(value: object, kind: type) -> bool:
    return isinstance(value, kind)
