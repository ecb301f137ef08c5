"""What all commands share: how models and databases are named, what is told and where, how it ends."""

from __future__ import annotations

import json
import os
import platform
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

import aioredisca
from aioredisca import Database, UsageError, conf
from aioredisca.cli import app as the_app
from aioredisca.cli.app import emit, printable, use_database
from aioredisca.cli.settings import Settings, read_settings

from ..support.patience import limit
from ..support.servers import Server, free_port
from .conftest import MODULE, Call, lines_fit

COMMANDS = sorted(one.name or "" for one in the_app.registered_commands)


def project(folder: Path, table: str) -> None:
    (folder / "pyproject.toml").write_text(table)


# -- the project -----------------------------------------------------------------------------------


@pytest.mark.memory_only
def test_the_nearest_file_with_a_table_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "src" / "app"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    assert read_settings() == Settings()
    project(tmp_path, '[tool.aioredisca]\nurl = "memory://outer"\nmodels = ["a", "b.c:D"]\n')
    assert read_settings() == Settings("memory://outer", ("a", "b.c:D"), tmp_path)
    project(tmp_path / "src", "[project]\nname = 'x'\n")
    assert read_settings().url == "memory://outer"
    project(tmp_path / "src", "[tool.aioredisca]\n")
    assert read_settings() == Settings("", (), tmp_path / "src")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("modles = []", "there is no 'modles', did you mean 'models'?; there are url (text), models (a list"),
        ("url = ['redis://:hush@x']", "url is no text"),
        ("url = 5", "url is no text"),
        ("models = 'app'", 'models is no list of texts, as in ["app.models", "app.users:User"]'),
        ("models = ['app', 5]", "models is no list of texts"),
        ("url = 'redis://:hush@x'\nurl = 'x'", "cannot be read: Cannot overwrite a value (at line 3"),
    ],
)
@pytest.mark.memory_only
def test_a_table_that_cannot_be_read_is_told_without_its_values(
    call: Call, tmp_path: Path, table: str, text: str
) -> None:
    project(tmp_path, f"[tool.aioredisca]\n{table}\n")
    told = call("models")
    assert (told.code, told.out, told.err[:7]) == (1, "", "error: ")
    assert text in told.text
    assert "hush" not in told.text
    project(tmp_path, "tool = 5\n")
    assert "no model is named" in call("models").text
    project(tmp_path, "[tool]\naioredisca = 5\n")
    assert "is no table" in call("models").text


@pytest.mark.memory_only
def test_the_database_is_that_of_the_option_else_the_environment_else_the_project_else_conf(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: Database
) -> None:
    conf.db = Database("memory://of-conf", namespace="app:", eviction="allow")
    assert "of-conf" in repr(use_database())
    project(tmp_path, '[tool.aioredisca]\nurl = "memory://of-project"\n')
    assert "of-project" in repr(use_database())
    monkeypatch.setenv("AIOREDISCA_URL", "memory://of-environment")
    assert "of-environment" in repr(use_database())
    used = use_database("memory://of-option")
    assert "of-option" in repr(used)
    assert conf.db is used
    assert (used.namespace, used.eviction) == ("app:", "allow")


@pytest.mark.memory_only
def test_models_are_named_by_module_by_class_and_by_short_name(
    shop: Any, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(*names: str) -> list[str]:
        told = call("models", *names, "--json")
        assert told.code == 0, told.text
        return [json.loads(line)["model"].rpartition(":")[2] for line in told.out.splitlines()]

    assert found() == found(MODULE) == ["Language", "User", "Login"]
    assert found("User") == found(f"{MODULE}:User") == ["User"]
    assert found(f"{MODULE}:User", MODULE) == ["User", "Language", "Login"]
    for name, text in {
        "Usr": "'Usr' names no class of the project, which has Language, Login, User",
        "no_such_module": "No module named 'no_such_module'",
        "a-b": "'a-b' names no class and no module",
        f"{MODULE}:number": "is no model class",
        "json": "json declares no model class",
    }.items():
        told = call("show" if name == "Usr" else "models", name, *(["1"] if name == "Usr" else []))
        assert (told.code, text in told.text) == (1, True), told.text
    other: Any = type(sys)("another_module")
    other.User = type("User", (aioredisca.Model,), {"__module__": "another_module"})
    monkeypatch.setitem(sys.modules, "another_module", other)
    project(tmp_path, f'[tool.aioredisca]\nmodels = ["{MODULE}", "another_module"]\n')
    assert f"may be {MODULE}:User and another_module:User: write which" in call("show", "User", "1").text
    project(tmp_path, "")
    assert "no model is named: write it as package.module:Class" in call("models").text


@pytest.mark.memory_only
def test_a_module_is_found_from_the_folder_of_the_project_and_its_errors_name_their_line(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, db: Database
) -> None:
    project(tmp_path, '[tool.aioredisca]\nmodels = ["wares"]\n')
    (tmp_path / "wares").mkdir()
    (tmp_path / "wares" / "__init__.py").write_text("from wares.items import Item\nfrom json import loads\n")
    (tmp_path / "wares" / "items.py").write_text("from aioredisca import Model\nclass Item(Model): ...\n")
    (tmp_path / "broken_wares.py").write_text("x = 1\ny = x / 0\n")
    (tmp_path / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "deep")
    told = call("models", "--json")
    assert json.loads(told.out)["model"] == "wares.items:Item"
    told = call("models", "broken_wares")
    assert told.code == 1
    assert "broken_wares cannot be imported: ZeroDivisionError: division by zero (" in told.text
    assert "broken_wares.py, line 2)" in told.text
    for name in [name for name in sys.modules if name.startswith("wares")]:
        monkeypatch.delitem(sys.modules, name)


# -- help and versions -----------------------------------------------------------------------------


@pytest.mark.memory_only
def test_the_versions(call: Call) -> None:
    expected = f"aioredisca {aioredisca.__version__}, redis-py {redis.__version__}, Python {platform.python_version()}"
    assert call("--version").out.strip() == expected


@pytest.mark.parametrize("columns", [80, 140])
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.memory_only
def test_each_command_has_an_example_and_its_help_fits(call: Call, command: str, columns: int) -> None:
    told = call(command, "--help", columns=columns)
    assert told.code == 0
    assert f"Example: aioredisca {command}" in told.text.replace("Example, by cron:", "Example:")
    assert lines_fit(told.out, columns)
    assert "…" not in told.out
    assert f" {command} " in call("--help", columns=columns).out


# -- what is told, and where -----------------------------------------------------------------------


SECRET = "hush-hush"


@pytest.mark.parametrize(
    "arguments",
    [["models", MODULE], ["show", f"{MODULE}:User", "1"], ["query", "User.all()"], ["doctor"]],
    ids=lambda arguments: arguments[0],
)
@pytest.mark.memory_only
def test_no_password_of_a_url_is_told(shop: Any, call: Call, arguments: list[str]) -> None:
    option = [] if arguments == ["doctor"] else ["--url"]
    port = free_port()
    for url in (
        f"redis://user:{SECRET}@127.0.0.1:{port}/0",
        f"redis://:{SECRET}@127.0.0.1:{port}/x",
        f"redis://:{SECRET}#@127.0.0.1:{port}/0",
        f"rediss://127.0.0.1:{port}/0?password={SECRET}",
        f"http://{SECRET}@x",
    ):
        told = call(*arguments, *option, url)
        assert (told.code, SECRET in told.text, "Traceback" in told.text) == (1, False, False), told.text


@pytest.mark.memory_only
def test_warnings_of_the_library_are_a_sentence_on_stderr(
    shop: Any, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from aioredisca.cli import catalog

    def warned(*given: Any) -> Any:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("the disk is full", RuntimeWarning, stacklevel=1)
        raise UsageError("no more")

    monkeypatch.setattr(catalog, "summary", warned)
    told = call("models")
    assert (told.code, told.out) == (1, "")
    assert told.err.splitlines() == ["warning: the disk is full", "error: no more"]


def test_what_a_terminal_would_obey_is_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert printable("Zoë\t\x1b[31m\r") == "Zoë\\t\\x1b[31m\\r"
    assert printable("it's") == "it's"
    emit({"id": "Zoë \udc80"})
    assert json.loads(capsys.readouterr().out) == {"id": "Zoë \udc80"}


# -- how it ends -----------------------------------------------------------------------------------


def started(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    (folder / "wares.py").write_text(
        "from aioredisca import Model, String\nclass Item(Model):\n    name = String()\n"
    )
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "aioredisca", *arguments],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.memory_only
def interrupted(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What it has written, once it has ended. As a user does, press again: a callback may swallow the first."""
    for _ in range(10):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=limit(1))
    raise AssertionError("it goes on after Ctrl-C")


def test_ctrl_c_ends_it_without_a_traceback(tmp_path: Path) -> None:
    """While it waits for a server that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(limit(10))
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}/0?socket_timeout={limit(10):g}"
        process = started(tmp_path, "query", "Item.all()", "--model", "wares", "--url", url)
        line, _ = silent.accept()
        with line:
            line.settimeout(limit(10))
            assert line.recv(1)  # it has asked, and waits
            out, err = interrupted(process)
    assert (process.returncode, out, err) == (130, "", "")


def test_a_reader_that_goes_away_is_no_error_to_tell(server: Server, tmp_path: Path) -> None:
    with server.client() as client:
        pipeline = client.pipeline()
        for number in range(3000):
            pipeline.hset(f"item:{number}", "name", "x" * 100)
            pipeline.zadd("item/ids", {str(number): 0})
        pipeline.hset("item/meta", mapping={"signature": "1/i:", "unbuilt": ""})
        pipeline.execute()
    process = started(tmp_path, "query", "Item.all()", "--model", "wares", "--json", "--url", server.url)
    assert process.stdout is not None
    assert process.stderr is not None
    first = json.loads(process.stdout.readline())
    process.stdout.close()
    err = process.stderr.read()
    assert (first["name"], process.wait(limit(10)), err) == ("x" * 100, 1, "")
    process.stderr.close()
