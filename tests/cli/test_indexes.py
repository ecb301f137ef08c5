"""The command line: what it prints, what it answers to the shell, and that mistakes are one sentence."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import types
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from aioredisca import Database, Email, Integer, NotIndexed, String, conf, sync
from aioredisca.cli import app

from ..support.drift import drift
from ..support.patience import limit
from ..support.servers import Server, free_port

MODULE = "models_for_the_command_line"


@pytest.fixture
def user(db: Database, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model in a module of its own, over records that no index knows of."""

    class User(sync.Model):
        email = Email(unique=True)
        age = Integer(index=True)

    module: Any = types.ModuleType(MODULE)
    module.User, module.number = User, 5
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with db.sync_client as client:
        for i in range(3):
            client.hset(f"user:{i}", mapping={"email": f"{i}@x.yz", "age": str(i)})
        client.connection_pool.disconnect()
    return User


def reindex(*arguments: str) -> tuple[int, str]:
    """Exit code and text of ``aioredisca reindex``, lines joined."""
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["reindex", *arguments])
    return done.exit_code, " ".join(done.output.split())


def swept(*arguments: str) -> tuple[int, str]:
    """The same of ``aioredisca sweep``."""
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["sweep", *arguments])
    return done.exit_code, " ".join(done.output.split())


def test_reindex_builds_says_what_and_is_quick_when_there_is_nothing_to_do(user: Any, raw: Any) -> None:
    with pytest.raises(NotIndexed):
        list(user.age >= 1)
    assert reindex(f"{MODULE}:User") == (0, "User: 3 records indexed; built: n:age, r:age, u:email")
    assert [found.id for found in user.age >= 1] == ["1", "2"]
    assert drift(raw, [user]) == []
    assert reindex(f"{MODULE}:User") == (0, "User: every index is built.")
    assert reindex(f"{MODULE}:User", "--everything")[1].startswith("User: 3 records indexed")


def test_ten_records_are_named_for_each_reason(user: Any, raw: Any) -> None:
    for n in range(10, 40):
        raw.hset(f"user:{n}", mapping={"age": "abc", "email": "none" if n % 10 == 0 else f"{n}@x.yz"})
    code, text = reindex(f"{MODULE}:User")
    assert code == 2
    assert text.count("User.age in") == 10
    assert text.count("User.email is unique") == 2
    assert "left out 20 more, for the same reason as '10' " in text
    assert text.count("for the same reason") == 1


def test_records_that_cannot_be_indexed_are_listed_without_their_values(user: Any, raw: Any) -> None:
    raw.hset("user:1", "email", "2@x.yz")
    raw.hset("user:2", "age", "abc[red]")
    code, text = reindex(f"{MODULE}:User")
    assert code == 2
    assert "left out '2': the stored value of User.age in 'user:2' cannot be read" in text
    assert "abc" not in text
    raw.hset("user:2", "age", "7")
    code, text = reindex(f"{MODULE}:User")
    assert (code, "is unique and User(" in text) == (2, True)
    raw.hset("user:1", "email", "1@x.yz")
    assert reindex(f"{MODULE}:User")[0] == 0
    assert drift(raw, [user]) == []


def test_what_it_does_not_take_over_and_what_records_lack_is_told(
    user: Any, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Item(sync.Model):
        name = String(index=True)
        note = String(required=True)

    monkeypatch.setattr(sys.modules[MODULE], "Item", Item, raising=False)
    raw.hset("item:1", "name", "tea")
    raw.hset("item:1:[red]", "name", "of another")
    code, text = reindex(f"{MODULE}:Item")
    assert code == 2
    assert "incomplete 1 record lacks note, which is required: Item.note.is_none().scan() finds them" in text
    assert "passed over not known to be records: '1:[red]'" in text


def test_values_written_otherwise_are_rewritten_on_demand(user: Any, raw: Any) -> None:
    raw.hset("user:1", "email", "1@X.yz")
    code, text = reindex(f"{MODULE}:User")
    assert (code, "--canonical` rewrites such values" in text) == (2, True)
    assert reindex(f"{MODULE}:User", "--canonical")[0] == 0
    assert raw.hget("user:1", "email") == b"1@x.yz"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("no_such_module:Book:", "no_such_module:Book:: "),
        ("no_such_module:User", "No module named 'no_such_module'"),
        (f"{MODULE}:Usr", "has no attribute 'Usr'"),
        (f"{MODULE}:number", f"{MODULE}:number is no model class"),
        ("models", "'models' names no class: write it as package.module:Class"),
        ("models.User", "'models.User' names no class"),
        (":User", "':User' names no class"),
        ("..models:User", "'..models:User' names no class"),
    ],
)
def test_a_model_that_is_not_there_is_told_in_one_sentence(user: Any, path: str, text: str) -> None:
    for code, told in (reindex(path), swept(path)):
        assert code == 1
        assert told.startswith("error: ")
        assert text in told
        assert "Traceback" not in told


def test_the_database_may_be_named_and_its_absence_is_told(user: Any, url: str) -> None:
    conf.db = "memory://"
    assert reindex(f"{MODULE}:User", "--url", url)[1].startswith("User: 3 records indexed")
    code, text = reindex(f"{MODULE}:User", "--url", f"redis://:secret@127.0.0.1:{free_port()}/0")
    assert (code, "error: cannot connect to 127.0.0.1:" in text, "secret" in text) == (1, True, False)
    code, text = reindex(f"{MODULE}:User", "--url", "http://x")
    assert (code, "error: a database URL starts with" in text) == (1, True)


def test_the_command_itself_finds_models_of_the_folder_it_runs_in(
    server: Server, db: Database, tmp_path: Any
) -> None:
    (tmp_path / "shop.py").write_text(
        "from aioredisca import Model, String\n\n\nclass Item(Model):\n    name = String(index=True)\n"
    )
    with db.sync_client as client:
        client.hset("item:1", "name", "tea")
        client.connection_pool.disconnect()
    command = [sys.executable, "-W", "error", "-c", "from aioredisca.cli import app; app()"]
    done = subprocess.run(
        [*command, "reindex", "shop:Item", "--url", server.url],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        capture_output=True,
        text=True,
        timeout=limit(10),
    )
    assert (done.returncode, done.stderr, done.stdout.strip()) == (
        0,
        "",
        "Item: 1 record indexed; built: n:name, x:name",
    )

    class Item(sync.Model):
        name = String(index=True)

    assert Item.name.find("tea") == [Item("1")]


# -- sweep -----------------------------------------------------------------------------------------


@pytest.fixture
def visit(user: Any, raw: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A model whose records end, three of which are over."""

    @conf(ttl=3600)
    class Visit(sync.Model):
        page = String(index=True)

    monkeypatch.setattr(sys.modules[MODULE], "Visit", Visit, raising=False)
    Visit.save_many([Visit.new(str(number), page="x") for number in range(4)])
    for number in range(3):
        raw.delete(f"visit:{number}")
        raw.zadd("visit/t", {str(number): 1})
    return Visit


def test_sweep_takes_away_what_is_over_and_says_how_much(visit: Any, raw: Any) -> None:
    assert swept(f"{MODULE}:Visit") == (0, "Visit: 3 records swept.")
    assert raw.smembers("visit/x/page/x") == {b"3"}
    assert swept(f"{MODULE}:Visit") == (0, "Visit: 0 records swept.")
    raw.zadd("visit/t", {"3": 1})
    raw.delete("visit:3")
    assert swept(f"{MODULE}:Visit") == (0, "Visit: 1 record swept.")
    assert raw.keys("visit*") == [b"visit/meta"]


def test_what_cannot_be_swept_is_told(visit: Any, url: str) -> None:
    code, text = swept(f"{MODULE}:User")
    assert (code, text.startswith("error: records of User do not end by themselves: declare")) == (1, True)
    code, text = swept(f"{MODULE}:Visit", "--url", f"redis://:secret@127.0.0.1:{free_port()}/0")
    assert (code, "error: cannot connect to 127.0.0.1:" in text, "secret" in text) == (1, True, False)
    assert swept(f"{MODULE}:Visit", "--url", url) == (0, "Visit: 3 records swept.")


@pytest.mark.parametrize("path", ["shop:Cart", "shop:Box", "shop"])
def test_cron_gets_errors_only(tmp_path: Any, path: str) -> None:
    """As the page says: with >/dev/null, what is left to be mailed is an error."""
    (tmp_path / "shop.py").write_text(
        "from aioredisca import Model, conf\n\n\n@conf(ttl=60)\nclass Cart(Model): ...\n\n\nclass Box(Model): ...\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from aioredisca.cli import app; app()", "sweep", path, "--url", "memory://"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
        capture_output=True,
        text=True,
        timeout=limit(10),
    )
    if path == "shop:Cart":
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "Cart: 0 records swept.\n")
    else:
        assert (done.returncode, done.stdout, done.stderr[:7]) == (1, "", "error: ")


@pytest.mark.parametrize("command", ["reindex --everything", "check", "repair"])
def test_a_terminal_shows_how_much_is_done_of_how_much(
    user: Any, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    reindex(f"{MODULE}:User")
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=140, color_system=None)
    monkeypatch.setattr(sys.modules["aioredisca.cli.app"], "errors", terminal)
    done = CliRunner().invoke(app, [*command.split(), f"{MODULE}:User"])
    assert done.exit_code == 0, done.output
    assert "3 of 3 records" in screen.getvalue()


def moved(*arguments: str) -> tuple[int, str]:
    """The same of ``aioredisca partition``."""
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["partition", *arguments])
    text = " ".join(done.output.split())
    return done.exit_code, re.sub(r" Nobody could write for [0-9.]+ seconds\.$", "", text)


@pytest.mark.blocking_only
def test_partition_asks_moves_and_goes_back(user: Any, raw: Any) -> None:
    name = f"{MODULE}:User"
    code, text = moved(name, "--to", "4", "--yes")
    assert (code, "not listed: `aioredisca reindex` first" in text) == (1, True)
    reindex(name)
    code, text = moved(name, "--to", "4")
    assert (code, "--yes says that this is wanted" in text) == (1, True)
    assert moved(name, "--to", "4", "--dry-run") == (0, "User: 3 records can be moved into 4 partitions.")
    assert user("0").exists()
    assert moved(name, "--to", "3", "--yes")[0] == 1
    raw.hset("user:1", "age", "secret")
    code, text = moved(name, "--to", "4", "--yes")
    assert code == 2
    assert "left out '1': User.age" in text
    assert "secret" not in text
    raw.hset("user:1", "age", "1")
    assert moved(name, "--to", "4", "--yes") == (0, "User: 3 records moved into 4 partitions.")
    assert not raw.exists("user:1")
    assert moved(name, "--to", "4", "--yes") == (0, "User: the records are in 4 partitions.")
    assert moved(name, "--undo") == (0, "User: the records are in 4 partitions.")
    assert moved(name, "--yes") == (0, "User: 3 records moved into one place.")
    assert sorted(one.id for one in user.age >= 0) == ["0", "1", "2"]
