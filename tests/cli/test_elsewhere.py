"""Commands of a class whose records are in another number of partitions, or on their way there."""

from __future__ import annotations

import json
import os
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, Integer, String, conf, partition, sync
from aioredisca.drivers.run import run
from aioredisca.maintenance.partitioning.moving import _Move

from ..support.patience import limit
from .conftest import Call, Told

MODULE = "models_elsewhere"
METACLASS: Any = type(sync.Model)
KEPT = "its records are kept in 8 partitions: deploy the class with @conf(partitions=8)"
MOVES = "its records move into 8 partitions, and only who wrote them before writes them meanwhile"


class Died(BaseException):
    """The process is no more."""


def as_another(url: str) -> None:
    """The database as a process sees it that has just begun."""
    conf.db.close()
    conf.db = Database(url)


@pytest.fixture
def told(call: Call, url: str) -> Call:
    """Call the command line as a process of its own."""

    def called(*arguments: str) -> Told:
        as_another(url)
        return call(*arguments)

    return called


@pytest.fixture
def classes(db: Database, url: str, call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A project with one class for each number of partitions, the records of which are those of the first."""
    module: Any = types.ModuleType(MODULE)
    for name, count in (("One", 1), ("Four", 4), ("Eight", 8)):

        class Base(sync.Model):
            name = String(index=True)
            age = Integer(index=True)

        more: dict[str, Any] = {"partitions": count} if count > 1 else {}
        kind = conf(prefix="user", **more)(METACLASS(name, (Base,), {"__module__": MODULE}))
        setattr(module, name, kind)
    monkeypatch.setitem(sys.modules, MODULE, module)
    module.One.save_many([module.One.new(str(n), name="x", age=n) for n in range(12)])
    return module


def move(classes: Any, url: str) -> None:
    """Move the records into eight, whoever was at it and is no more."""
    as_another(url)
    with conf.db.sync_client as client:
        client.delete(classes.Eight.__mapper__.schema(conf.db).keys.lease)
    run(partition(classes.Eight))


def cut_short(classes: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A move into eight that has begun, and nothing of it is done."""

    async def died(*arguments: object, **how: object) -> None:
        raise Died

    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(_Move, "copy", died)
        move(classes, url)


def test_each_command_says_where_the_records_are(classes: Any, told: Call, url: str, tmp_path: Path) -> None:
    dump = tmp_path / "none.jsonl"
    header = {"aioredisca": 1, "model": "", "prefix": "user", "fields": {}, "collections": {}}
    dump.write_text(f"{json.dumps(header)}\n{json.dumps({'end': 'One', 'records': 0})}\n")
    assert told("import", f"{MODULE}:One", "--from", str(dump)).code == 0  # the control
    move(classes, url)
    for name in ("One", "Four"):
        model = f"{MODULE}:{name}"
        for command in (["show", model, "3"], ["export", model], ["import", model, "--from", str(dump)]):
            answer = told(*command)
            assert (answer.code, answer.text) == (1, f"error: {name} is refused: {KEPT}"), command
        for command in (["check", model], ["repair", model], ["repair", model, "--apply"]):
            answer = told(*command)
            if "--apply" in command:
                assert (answer.code, answer.text) == (1, f"error: {name} is refused: {KEPT}")
            else:
                assert (answer.code, KEPT in answer.text, "reindex" in answer.text) == (2, True, False), (
                    answer.text
                )
        answer = told("models", model)
        assert KEPT in answer.text
        assert "!:" not in answer.text
    assert told("check", f"{MODULE}:Eight").text.endswith("no fault.")
    assert told("show", f"{MODULE}:Eight", "nobody").text == "error: there is no Eight('nobody')"


def test_no_records_are_nowhere_else(classes: Any, told: Call, url: str) -> None:
    """Where the class without partitions has left no record, the one with them begins."""
    classes.One.delete_many([classes.One(str(n)) for n in range(12)])
    answer = told("check", f"{MODULE}:Eight")
    assert (answer.code, "misplaced" in answer.text) == (0, False)
    assert "misplaced" not in told("models", f"{MODULE}:Eight").text
    as_another(url)
    classes.Eight.new("1", name="x", age=1).save()


def test_a_rehearsal_in_the_middle_of_a_move_says_so(
    classes: Any, told: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    eight = ("partition", f"{MODULE}:Eight", "--dry-run")
    assert told(*eight).text == "Eight: 12 records can be moved into 8 partitions."
    cut_short(classes, url, monkeypatch)
    answer = told(*eight)
    assert answer.code == 0
    assert "12 records can be moved into 8 partitions. begun run it" in answer.text
    assert (
        "move into 8 partitions: let that be done by" in told("partition", f"{MODULE}:Four", "--dry-run").text
    )
    answer = told("check", f"{MODULE}:Eight")
    assert (MOVES in answer.text, "!:moving" in answer.text, "reindex" in answer.text) == (True, False, False)
    assert "!:" not in told("models", f"{MODULE}:One").text
    assert told("show", f"{MODULE}:One", "3").code == 0
    assert told("show", f"{MODULE}:One", "nobody").text == "error: there is no One('nobody')"
    monkeypatch.setattr(_Move, "purge", lambda *arguments: (_ for _ in ()).throw(Died))
    with pytest.raises(Died):
        move(classes, url)
    answer = told(*eight)
    assert "the records are in 8 partitions. not done what they have left is still there" in answer.text


def test_a_class_that_the_store_refuses_is_not_usable(
    classes: Any, told: Call, tmp_path: Path, url: str
) -> None:
    def examined(name: str) -> tuple[int, list[str]]:
        settings = f'[tool.aioredisca]\nmodels = ["{MODULE}:{name}"]\n'
        (tmp_path / "pyproject.toml").write_text(settings)
        answer = told("doctor", url, "--json")
        found = json.loads(answer.out)["findings"]
        return answer.code, [one["text"] for one in found if one["topic"] == f"records of {name}"]

    assert examined("One") in ((0, []), (2, []))
    assert examined("Eight")[0] == 1
    assert "they are in partitions: move them by `aioredisca partition`" in examined("Eight")[1][0]
    classes.Less = conf(prefix="user")(METACLASS("Less", (sync.Model,), {"__module__": MODULE}))
    code, texts = examined("Less")
    assert (code, len(texts)) == (1, 1)
    assert "the store keeps indexes that this class does not" in texts[0]
    move(classes, url)
    assert examined("Eight") in ((0, []), (2, []))
    for name in ("One", "Four"):
        assert examined(name) == (1, [f"refused: {KEPT}"])


def test_help_shows_no_number_that_means_none(call: Call, db: Database) -> None:
    for command in ("partition", "reindex"):
        assert "[default: 0]" not in call(command, "--help").text


def test_an_export_to_a_pipe_leaves_it_one(classes: Any, told: Call, tmp_path: Path) -> None:
    """It was replaced by a file: so was /dev/null, of who may."""
    pipe, lines = tmp_path / "pipe", list[str]()
    os.mkfifo(pipe)

    def read() -> None:
        lines.extend(pipe.read_text().splitlines())

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert told("export", f"{MODULE}:One", "--out", str(pipe)).code == 0
    assert pipe.is_fifo()
    reader.join(limit(5))
    assert len(lines) == 14


def test_a_step_where_no_records_are_says_so(classes: Any, told: Call, tmp_path: Path) -> None:
    """A prefix without the tag of its class is another place, and empty."""
    step = "from aioredisca.maintenance.migrations import *\noperations = [CopyField({}, 'name', 'title')]\n"
    (tmp_path / "steps").mkdir()
    for place, where in (("'user'", ""), ("At('user', tag='shop')", "'{shop}user'")):
        (tmp_path / "steps" / "0001_copy.py").write_text(step.format(place))
        answer = told("migrate", "up", "--dry-run", "--dir", str(tmp_path / "steps"))
        assert answer.code == 0
        assert (f"no records at {where}" in answer.text) == bool(where)
        assert ("no records" in answer.text) == bool(where)
