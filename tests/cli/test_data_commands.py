"""``aioredisca export`` and ``import``: pipes, files, what is told and what the shell is answered."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aioredisca import Database, conf
from aioredisca.cli import app

from ..support.drift import drift
from ..support.patience import limit
from ..support.servers import Server

SOURCE = """
from aioredisca import Email, Integer, MD5Pass, Reference, String, sync

class Team(sync.Model):
    name = String(unique=True)

class Player(sync.Model):
    email = Email(unique=True)
    age = Integer(index=True)
    password = MD5Pass()
    team = Reference(Team, check=True)
"""


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> Any:
    """A module with two models, where a command line finds it, and three records."""
    name = f"models_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    yield name
    sys.modules.pop(name, None)


def called(*arguments: str, given: bytes = b"") -> Result:
    return CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, arguments, input=given)


def filled(name: str) -> Any:
    module: Any = __import__(name)
    team = module.Team.new("t", name="[red]").save()
    for n in range(3):
        module.Player.new(str(n), email=f"{n}@x.yz", age=n, password="pw", team=team).save()
    return module


def test_a_pipe_and_a_file_bring_all_back(models: str, db: Any, raw: Any, tmp_path: Path) -> None:
    module = filled(models)
    both = f"{models}:Player", f"{models}:Team"
    out = called("export", *both)
    assert out.exit_code == 0
    assert (
        out.stderr
        == "secrets are among what is written: Player.password; --without-secrets leaves them out\n"
    )
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    assert [line["model"] for line in lines if "model" in line] == ["Team", "Player"]
    done = called("export", *both, "--out", "all.jsonl.gz")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "4 records written to all.jsonl.gz." in done.stderr
    packed = gzip.decompress((tmp_path / "all.jsonl.gz").read_bytes()).decode()
    assert packed.splitlines()[1:3] == out.stdout.splitlines()[1:3]
    assert not list(tmp_path.glob("*.part"))
    before = raw.hgetall("player:1")
    for source in (("--from", "all.jsonl.gz"), ()):
        raw.flushdb()
        done = called("import", *both, *source, given=out.stdout_bytes)
        assert (done.exit_code, done.stdout, done.stderr) == (0, "", "4 records written.\n")
        assert raw.hgetall("player:1") == before
        assert drift(raw, [module.Player, module.Team]) == []
    again = called("import", *both, given=out.stdout_bytes)
    assert (again.exit_code, again.stderr.split(": ")[0:2]) == (1, ["error", "line 2"])
    assert "Team('t') exists already: on_conflict= (--on-conflict) skip" in again.stderr
    again = called("import", *both, "--on-conflict", "skip", given=out.stdout_bytes)
    assert again.stderr == "0 records written, 4 were there already.\n"
    again = called("import", *both, "--on-conflict", "replace", "--dry-run", given=out.stdout_bytes)
    assert again.stderr == "4 records would be written.\n"


def test_what_is_wrong_is_told_and_answered(models: str, db: Any, raw: Any, tmp_path: Path) -> None:
    filled(models)
    player = f"{models}:Player"
    header, *lines = called("export", player).stdout.splitlines()
    raw.flushdb()
    bad = '{"id":"9","fields":{"age":"secret","new":"x"}}'
    stream = "\n".join([header, bad, *lines[:1]]).encode()
    done = called("import", player, given=stream)
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "0 records written.",
        "left out line 2: Player.age: cannot be read, or the field would not write it like that",
        "left out line 3: Player.team: refers to a record that is not stored: "
        "save Team('t') first, or in the same batch or flush",
        "cut short the stream has not all the lines that were to come",
    ]
    done = called("import", player, "--unchecked", "--strict", given="\n".join([header, *lines]).encode())
    assert (done.exit_code, raw.zcard("player/ids")) == (0, 3)
    for options, told in (
        (("--strict",), "error: line 2: Player.age: cannot be read"),
        (("--on-conflict", "merge"), "error: on_conflict='merge': it is 'fail', 'skip' or 'replace'"),
        (("--from", "nowhere.jsonl"), "error: [Errno 2] No such file"),
    ):
        done = called("import", player, *options, given=stream)
        assert done.exit_code == 1
        assert done.stderr.startswith(told)
    (tmp_path / "bad.gz").write_bytes(b"no gzip")
    done = called("import", player, "--from", "bad.gz")
    assert (done.exit_code, done.stderr.startswith("error: Not a gzipped file")) == (1, True)
    assert "secret" not in done.stderr


def test_secrets_can_stay_at_home(models: str, db: Any) -> None:
    filled(models)
    out = called("export", f"{models}:Player", "--without-secrets")
    assert (out.stderr, "password" in out.stdout) == ("", False)
    out = called("export", f"{models}:Player", "--values")
    assert json.loads(out.stdout.splitlines()[2])["fields"] == {"email": "1@x.yz", "age": 1, "team": "t"}


@pytest.mark.slow
def test_a_reader_that_has_enough_ends_it_in_silence(models: str, server: Server, tmp_path: Path) -> None:
    client = server.client()
    for n in range(3000):
        client.hset(f"team:{n}", mapping={"name": f"name {n}" + "x" * 100})
    client.close()
    command = [sys.executable, "-m", "aioredisca"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    subprocess.run(
        [*command, "reindex", f"{models}:Team", "--url", server.url],
        check=True,
        capture_output=True,
        timeout=limit(5),
        env=env,
    )
    with subprocess.Popen(
        [*command, "export", f"{models}:Team", "--url", server.url],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith('{"aioredisca":1')
        process.stdout.close()
        told = process.stderr.read()
        assert (process.wait(limit(5)), told) == (1, "")


def test_the_database_and_the_models_are_found_as_by_the_other_commands(
    models: str, db: Any, url: str, raw: Any, tmp_path: Path
) -> None:
    filled(models)
    raw.hset("app:team:n", "name", "of a namespace")
    conf.db = Database("redis://127.0.0.1:1/0", namespace="app:")  # as an import of the models may set it
    (tmp_path / "pyproject.toml").write_text(f'[tool.aioredisca]\nurl = "{url}"\nmodels = ["{models}"]\n')
    called("reindex", "Team")
    out = called("export", "Team")
    assert (out.exit_code, '{"id":"n",' in out.stdout) == (0, True)
    conf.db = Database("redis://127.0.0.1:1/0")
    out = called("export")
    assert [json.loads(line).get("records") for line in out.stdout.splitlines() if '"end"' in line] == [1, 3]
    raw.delete("team:t")
    done = called(
        "import", "Team", "--on-conflict", "skip", given=b"\n".join(out.stdout_bytes.split(b"\n")[:3])
    )
    assert (done.exit_code, done.stderr) == (0, "1 record written.\n")
    assert raw.exists("team:t")
    found = called("adopt", "--match", "team:*")
    assert (found.exit_code, "class Team(Model)" in found.stdout) == (0, True)
    (tmp_path / "mine.py").write_text("mine")
    found = called("adopt", "--match", "none:*", "--out", "mine.py")
    assert (found.exit_code, (tmp_path / "mine.py").read_text()) == (1, "mine")


def test_a_stream_without_a_header_is_cut_short(models: str, db: Any) -> None:
    done = called("import", f"{models}:Team")
    assert (done.exit_code, "cut short" in done.stderr) == (2, True)


def test_nothing_of_a_stream_or_a_store_reaches_the_terminal(
    models: str, db: Any, raw: Any, url: str
) -> None:
    header = '{"aioredisca":1,"model":"Team","prefix":"team"}'
    lines = ('{"id":"a","fields":{"n\\u001b[31m":5}}', '{"id":"b","collections":{"\\u001b]0;x\\u0007":[]}}')
    done = called("import", f"{models}:Team", given="\n".join([header, *lines]).encode())
    assert done.exit_code == 2
    raw.hset(b"evil\x1b[31m\xff:1", "a", "1")
    raw.hset("good:1", "a", "1")
    found = called("adopt", url, "--json")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["keys"] == 2
    assert found.stdout.count("\n") == 1  # a line, as of every command
    assert "\x1b" not in done.stderr + found.stdout + found.stderr
    assert "n\\x1b[31m" in done.stderr


def test_a_file_that_was_damaged_is_told(models: str, db: Any, tmp_path: Path) -> None:
    filled(models)
    called("export", f"{models}:Team", "--out", "all.jsonl.gz")
    packed = bytearray((tmp_path / "all.jsonl.gz").read_bytes())
    packed[12] ^= 0xFF
    for content in (bytes(packed), bytes(packed[:20]), b"no gzip"):
        (tmp_path / "bad.jsonl.gz").write_bytes(content)
        done = called("import", f"{models}:Team", "--from", "bad.jsonl.gz")
        assert (done.exit_code, done.stdout) == (1, "")
        assert done.stderr.startswith("error: ")


def test_an_export_that_is_cut_short_leaves_no_file(models: str, db: Any, raw: Any, tmp_path: Path) -> None:
    filled(models)
    raw.delete("team:t")
    raw.set("team:t", "no hash")
    done = called("export", f"{models}:Team", "--out", "all.jsonl")
    assert done.exit_code == 1
    assert not list(tmp_path.glob("all*"))
