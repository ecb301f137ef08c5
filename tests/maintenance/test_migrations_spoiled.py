"""Steps that meet what is no record, and runners that are killed when all but the tidying is done."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, Email, Integer, Model, String, conf
from aioredisca.maintenance.migrations import Report, downgrade, fields, upgrade
from aioredisca.maintenance.migrations.journal import Journal
from aioredisca.maintenance.migrations.records import read_records

from ..support.drift import drift

HEAD = "from aioredisca.maintenance.migrations import *\n"
METACLASS: Any = type(Model)
OF_FIELDS = {
    "copy": 'CopyField("user", "mail", "email")',
    "split": 'SplitField("user", "name", ["first", "last"], lambda text: text.split())',
    "join": 'JoinFields("user", ["name", "age"], "told", lambda name, age: f"{name} {age}")',
    "drop": 'DropField("user", "name", restore="alias")',
}
EACH = """
from models_for_spoiled import User

def renamed(user):
    user.name = "N"

async def up(step):
    await each(step, User, renamed)
"""
REASON = "WrongType: the key 'user:7' holds something that is no record: move it away, or take another id"


@pytest.fixture
def model(db: Database) -> Any:
    members = {"mail": Email(unique=True), "age": Integer(index=True), "name": String()}
    return conf(db=db, prefix="user")(METACLASS("User", (Model,), {"__module__": __name__, **members}))


async def filled(model: Any) -> None:
    await model.save_many([model.new(str(i), mail=f"{i}@x.yz", age=i, name="Ada B") for i in range(130)])


def step(folder: Path, text: str) -> Path:
    (folder / "0001_it.py").write_text(HEAD + text)
    return folder


def told(reports: list[Report]) -> list[tuple[bool, int, dict[str, str]]]:
    return [(one.done, counts.changed, counts.left) for one in reports for counts in one.counts]


@pytest.mark.parametrize("way", [*OF_FIELDS, "each"])
async def test_what_is_no_record_is_left_out_and_told_and_the_rest_goes_on(
    model: Any, raw: Any, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(model)
    module: Any = types.ModuleType("models_for_spoiled")
    module.User = model
    monkeypatch.setitem(sys.modules, module.__name__, module)
    raw.set("user:7", "mine")
    folder = step(tmp_path, EACH if way == "each" else f"operations = [{OF_FIELDS[way]}]\n")
    assert told(await upgrade(folder, dry_run=True)) == [(False, 129, {"7": REASON})]
    assert told(await upgrade(folder)) == [(False, 129, {"7": REASON})]
    assert raw.get("user:7") == b"mine"
    assert told(await upgrade(folder)) == [(False, 0, {"7": REASON})]
    raw.delete("user:7")
    await model("7").delete()
    assert told(await upgrade(folder)) == [(True, 0, {})]
    assert not [name for name in raw.hkeys("/migrations") if not name.startswith(b"step:")]


@pytest.mark.one_node
async def test_what_becomes_none_between_look_and_write_is_left_out_too(
    model: Any, raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(model)
    read = read_records

    async def and_then(*args: Any) -> Any:
        found = await read(*args)
        raw.set("user:7", "mine")
        return found

    monkeypatch.setattr(fields, "read_records", and_then)
    folder = step(tmp_path, f"operations = [{OF_FIELDS['copy']}]\n")
    assert told(await upgrade(folder)) == [(False, 129, {"7": REASON})]
    assert raw.hget("user:8", "email") == b"8@x.yz"


class Killed(BaseException):
    """What ends a process."""


@pytest.mark.one_node
@pytest.mark.parametrize("tidies", [True, False], ids=["tidied", "control"])
@pytest.mark.parametrize("verb", ["up", "down"])
async def test_what_a_runner_leaves_that_was_killed_when_it_was_done_goes_with_the_next(
    model: Any, raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, verb: str, tidies: bool
) -> None:
    await filled(model)
    run = {"up": upgrade, "down": downgrade}[verb]
    folder = step(tmp_path, f"operations = [{OF_FIELDS['copy']}]\n")
    if verb == "down":
        await upgrade(folder)

    async def forget(self: Journal, run: str) -> None:
        raise Killed

    async def nothing(self: Journal) -> None: ...

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "forget", forget)
        with pytest.raises(Killed):
            await run(folder)
    (cursor,) = [name for name in raw.hkeys("/migrations") if name.startswith(b"cursor:")]
    raw.hset("/migrations/left", cursor + b":7", "a reason")
    raw.delete("/migrations/lease")  # as time does
    if not tidies:
        monkeypatch.setattr(Journal, "tidy", nothing)
    assert await run(folder) == []
    steps = [b"step:0001_it"] if verb == "up" else []
    assert {*raw.hkeys("/migrations")} == {*steps, *([] if tidies else [cursor])}
    assert (cursor in raw.hkeys("/migrations"), raw.exists("/migrations/left")) == (not tidies, not tidies)
    assert [text for text in drift(raw, [model]) if "/migrations" not in text] == []


@pytest.mark.one_node
async def test_what_is_not_done_is_not_tidied_away(model: Any, raw: Any, tmp_path: Path) -> None:
    await filled(model)
    folder = step(tmp_path, 'operations = [CopyField("user", "age", "months", lambda text: text[1])]\n')
    (first,) = told(await upgrade(folder))
    assert (first[0], first[1], len(first[2])) == (False, 120, 10)
    before = raw.hgetall("/migrations/left")
    (again,) = told(await upgrade(folder))
    assert (again[1], len(again[2])) == (0, 10)
    assert raw.hgetall("/migrations/left") == before
