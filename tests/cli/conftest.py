"""A project with models, and the command line as it is called there."""

from __future__ import annotations

import datetime as dt
import enum
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aioredisca import (
    Counter,
    Database,
    DateTime,
    Email,
    Enum,
    Integer,
    ListOf,
    Reference,
    String,
    Tags,
    conf,
    sync,
)
from aioredisca.cli import app
from aioredisca.cli.app import console, errors

MODULE = "models_of_a_project"


@dataclass(frozen=True)
class Told:
    """What a command has answered."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """What it has printed, as one line."""
        return " ".join((self.out + self.err).split())


Call = Callable[..., Told]


@pytest.fixture(autouse=True)
def any_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """The consoles measure by themselves: workers of xdist have a $COLUMNS, which rich reads on import."""
    for one in (console, errors):
        monkeypatch.setattr(one, "_width", None)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """Call the command line from an empty folder, on a terminal of so many columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AIOREDISCA_URL", raising=False)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def called(*arguments: str, columns: int = 200) -> Told:
        for one in (console, errors):
            monkeypatch.setattr(one, "_width", columns)
        done = CliRunner(env={"COLUMNS": str(columns), "NO_COLOR": "1"}).invoke(app, arguments)
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Told(done.exit_code, done.stdout, done.stderr)

    return called


class Status(enum.Enum):
    OPEN = "open"
    SHUT = "shut"


@pytest.fixture
def shop(call: Call, db: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A project whose pyproject.toml lists its models, over three users; its module."""
    module: Any = types.ModuleType(MODULE)

    @conf(prefix="lng")
    class Language(sync.Model):
        name = String(unique=True)

    @conf(prefix="usr", index=[("name", "age")])
    class User(sync.Model):
        email = Email(field="eml", unique=True)
        name = String(required=True, index=True)
        age = Integer(index=True)
        status = Enum(Status)
        joined = DateTime()
        tags = Tags(index=True)
        bio = String()
        lang = Reference(Language, index=True)
        token = String(secret=True, index=True)
        log = ListOf(String())
        visits = Counter()

    @conf(ttl=3600)
    class Login(sync.Model):
        ip = String(index="sorted")

    for kind in (Language, User, Login):
        kind.__module__ = MODULE
        setattr(module, kind.__name__, kind)
    module.number = 5
    monkeypatch.setitem(sys.modules, MODULE, module)
    (tmp_path / "pyproject.toml").write_text(f'[tool.aioredisca]\nmodels = ["{MODULE}"]\n')
    Language.new("en", name="English").save()
    names = ["Ada", "Zoë", "Bob\x1b[31m"]
    joined = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    users = [
        User.new(str(n), email=f"{n}@x.yz", name=names[n], age=20 + n, tags={"a", f"t{n}"}, token=f"hush{n}")
        for n in range(3)
    ]
    users[0].status, users[0].joined, users[0].lang = Status.OPEN, joined, Language("en")
    User.save_many(users)
    return module


def lines_fit(text: str, columns: int) -> bool:
    """Whether no line is longer than the terminal is wide."""
    return all(len(line.rstrip()) <= columns for line in text.splitlines())
