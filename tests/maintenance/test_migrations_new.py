"""New steps: what differs is written down, and the commands that write, list, apply and undo."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aioredisca import (
    Database,
    Email,
    Integer,
    ListOf,
    Model,
    Reference,
    String,
    UsageError,
    ValidationError,
    conf,
    sync,
)
from aioredisca.cli import app
from aioredisca.maintenance.migrations import new, new_auto, status, upgrade

from ..support.drift import drift

MODULE = "models_of_the_shop"
METACLASS: Any = type(Model)
STRING: Any = String


def models(url: str, **classes: dict[str, Any]) -> list[Any]:
    """Classes of one release, as another process has them."""
    found = list[Any]()
    for name, members in classes.items():
        settings = {
            key: members.pop(key) for key in ("prefix", "tag", "namespace", "index") if key in members
        }
        kind = METACLASS(name, (Model,), {"__module__": MODULE, "__qualname__": name, **members})
        found.append(conf(db=Database(url), **settings)(kind))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "migrations"


async def auto(folder: Path, found: list[Any]) -> tuple[str, list[str]]:
    """The text of the step and the differences."""
    path, texts = await new_auto(folder, "it", found)
    return (path.read_text() if path else ""), texts


async def test_a_rename_that_has_begun_is_told_what_to_copy(url: str, db: Database, folder: Path) -> None:
    await auto(folder, models(url, User={"city": String(), "age": String()}))
    fields = {
        "town": String(field="city", also="town"),
        "age": String(also={"years": lambda text: text}),
    }
    text, texts = await auto(folder, models(url, User=fields))
    assert sorted(texts) == [
        "User.age was String and is String also=years",
        "User.city was String and is String also=town",
    ]
    assert '    # CopyField("user", "city", "town"),\n' in text
    assert '    # CopyField("user", "age", "years"),\n' in text
    assert "from aioredisca.maintenance.migrations import CopyField" in text
    assert await upgrade(folder, db) != []  # nothing but comments
    assert await auto(folder, models(url, User=fields)) == ("", [])


@pytest.mark.one_node
async def test_what_differs_is_written_down_for_a_person_to_read(
    url: str, db: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = models(
        url,
        User={"mail": Email(unique=True), "age": String(), "note": String(), "log": ListOf(String())},
        Pet={"name": String()},
        Shop={"name": String()},
    )
    text, texts = await auto(folder, first)
    assert texts == [f"{MODULE}:Pet is new", f"{MODULE}:Shop is new", f"{MODULE}:User is new"]
    assert "operations = []" in text
    assert await auto(folder, first) == ("", [])
    await first[0].new("1", mail="a@x.yz").save()

    second = models(
        url,
        User={"email": Email(unique=True), "age": Integer(index=True), "note": String(required=True)},
        Shop={"name": String(), "prefix": "store", "tag": True},
    )
    module: Any = types.ModuleType(MODULE)
    module.User = second[0]
    monkeypatch.setitem(sys.modules, MODULE, module)
    text, texts = await auto(folder, second)
    assert sorted(texts) == [
        'Shop moves from "shop" to At("store", tag=True)',
        "User.age was String and is Integer range",
        "User.email (Email unique) is new",
        "User.mail (Email unique) is gone",
        "User.note was String and is String required",
        "User: collections was {'log': 'ListOf'} and is None",
        "indexes of User: the store lacks n:age, r:age, u:email; the store still has u:mail",
        f"{MODULE}:Pet is declared no more",
    ]
    for line in (
        '    # CopyField("user", "mail", "email"),',
        '    # DropField("user", "mail", restore="email"),',
        '    # CopyField("user", "age", "age2", lambda text: ...),',
        '    # Fill(User, "note", ...),',
        '    # DeleteModel("pet"),',
        '    MoveModel("shop", At("store", tag=True)),',
        "    Reindex(User),",
        f"from {MODULE} import User",
        f" '{MODULE}:Pet': None,",
    ):
        assert line in text.replace("{", " ")
    assert await auto(folder, second) == ("", []) or "indexes of User" in (await auto(folder, second))[1][0]
    counted = await upgrade(folder, db, dry_run=True)  # it can be loaded and run
    assert [one.name for one in counted][:2] == ["0001_it", "0002_it"]


async def test_a_step_is_called_by_small_letters_and_numbered(db: Database, folder: Path) -> None:
    assert new(folder, "one").name == "0001_one.py"
    assert new(folder, "two").name == "0002_two.py"
    for name in ("Two", "a b", "", "../x", "x.py"):
        with pytest.raises(UsageError, match="a step is called by small letters"):
            new(folder, name)
    assert [one.done for one in await upgrade(folder, db)] == [True, True]  # empty ones do nothing
    assert {one.state for one in await status(folder, db)} == {"done"}


# -- also= ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: String(also="_"), "marks empty records"),
        (lambda: STRING(also=3), "also= takes the name of a hash field"),
        (lambda: STRING(also={"b": 3}), "also= takes the name of a hash field"),
        (lambda: String(also="b", ttl=3), "also= goes without ttl="),
        (lambda: Reference("A", index=True, on_delete="nullify", also="b"), "goes without also="),
        (lambda: METACLASS("A", (Model,), {"a": String(also="a")}), "A.a: also='a' is the hash field of a"),
        (lambda: METACLASS("A", (Model,), {"a": String(also="b"), "b": String()}), "is the hash field of b"),
        (lambda: METACLASS("A", (Model,), {"a": String(also="c"), "b": String(also="c")}), "also='c' is"),
    ],
)
def test_what_cannot_be_written_twice_is_refused_when_it_is_declared(declare: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        declare()
    assert told in str(caught.value)


async def test_every_way_to_write_writes_both(db: Database, raw: Any) -> None:
    @conf(prefix="both")
    class Both(Model):
        mail = Email(unique=True, also="email")
        age = Integer(index=True, also={"years": lambda text: f"{text}y" if text != "0" else None})

    def held(id: str) -> list[bytes | None]:
        return list(raw.hmget(f"both:{id}", "mail", "email", "age", "years"))

    one = await Both.new("1", mail="a@x.yz", age=1).save()
    assert held("1") == [b"a@x.yz", b"a@x.yz", b"1", b"1y"]
    one.age = 0
    await one.save(if_unchanged=True)
    assert held("1") == [b"a@x.yz", b"a@x.yz", b"0", None]
    await Both.save_many([Both.new(str(i), mail=f"{i}@x.yz", age=i) for i in range(2, 5)])
    await (Both.age >= 3).update(age=7)
    await (Both.age == 7).incr(Both.age, 1)
    assert held("3") == [b"3@x.yz", b"3@x.yz", b"8", b"8y"]
    two, _ = await Both.update_or_create(mail="2@x.yz", defaults={"age": 9})
    assert held(two.id)[2:] == [b"9", b"9y"]
    two["mail"] = "z@x.yz"
    two.age = None
    await two.save()
    assert held("2") == [b"z@x.yz", b"z@x.yz", None, None]
    assert await Both("4").incr(Both.age, 2) == 10
    assert held("4")[2:] == [b"10", b"10y"]
    assert drift(raw, [Both]) == []


async def test_a_form_that_cannot_be_made_refuses_the_write_without_its_value(db: Database, raw: Any) -> None:
    class Item(Model):
        size = String(also={"number": lambda text: str(int(text))})

    with pytest.raises(ValidationError, match="its form for 'number' cannot be made") as caught:
        await Item.new("1", size="secret").save()
    assert "secret" not in str(caught.value)
    assert raw.keys("item:*") == []


# -- the commands -----------------------------------------------------------------------------------


def migrate(*arguments: str) -> tuple[int, str]:
    """Exit code and text of ``aioredisca migrate``, lines joined."""
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, ["migrate", *arguments])
    return done.exit_code, " ".join(done.output.split())


def test_the_commands(db: Database, raw: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class User(sync.Model):
        mail = Email(unique=True)
        age = Integer()

    module: Any = types.ModuleType(MODULE)
    module.User = User
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    User.save_many([User.new(str(i), mail=f"{i}@x.yz", age=i) for i in range(3)])
    at = ("--dir", str(folder))
    code, text = migrate("new", "first", "--auto", "--models", f"{MODULE}:User", *at)
    assert (code, text.startswith(f"{__name__}:"), "0001_first.py is written" in text) == (0, True, True)
    assert migrate("new", "again", "--auto", "--models", f"{MODULE}:User", *at) == (
        0,
        "nothing differs: no step was written.",
    )
    assert migrate("new", "second", *at)[0] == 0
    (folder / "0002_second.py").write_text(
        "from aioredisca.maintenance.migrations import CopyField\n"
        "operations = [CopyField('user', 'age', 'half', lambda text: str(6 // int(text)))]\n"
    )
    assert migrate("status", *at) == (0, "0001_first pending 0002_second pending")
    code, text = migrate("up", "--dry-run", *at)
    assert (code, "copy age of user to half: 3 looked at, 2 would change" in text) == (2, True)
    code, text = migrate("up", *at)
    assert (code, "left out '0': ZeroDivisionError 0002_second: not applied to its end" in text) == (2, True)
    code, text = migrate("status", "--check", *at)
    assert (code, "0002_second running" in text, "left out '0': ZeroDivisionError" in text) == (2, True, True)
    raw.hset("user:0", "age", "1")
    assert migrate("up", *at)[0] == 0
    assert migrate("up", *at) == (0, "nothing to be applied.")
    code, text = migrate("status", "--check", "--json", *at)
    assert (code, [one["state"] for one in json.loads(text)]) == (0, ["done", "done"])
    assert migrate("down", "--to", "0", *at)[0] == 0
    assert raw.hget("user:1", "half") is None
    assert migrate("down", *at) == (0, "nothing to be undone.")


def test_a_step_may_import_models_that_set_the_database(
    db: Database, url: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    module = f"{MODULE}_{db.__class__.__name__}"
    declared = "@conf(prefix='usr')\nclass User(sync.Model):\n    age = Integer()\n"
    setting = f"conf.db = Database('redis://127.0.0.1:1/0')\n{declared}"  # another one than --url
    (tmp_path / f"{module}.py").write_text(f"from aioredisca import Database, Integer, conf, sync\n{setting}")
    folder.mkdir(exist_ok=True)
    (folder / "0001_fill.py").write_text(
        f"from {module} import User\n"
        "from aioredisca.maintenance.migrations import Fill\n"
        "operations = [Fill(User, 'age', 18)]\n"
    )
    at = ("--dir", str(folder), "--url", url)
    try:
        assert migrate("status", *at) == (0, "0001_fill pending")
        code, text = migrate("up", *at)
        assert (code, "0001_fill: applied." in text) == (0, True)
        sys.modules.pop(module)
        code, text = migrate("new", "again", "--auto", "--models", f"{module}:User", *at)
        assert (code, f"{module}:User is new" in text) == (0, True)
    finally:
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("up",), "error: there is no folder"),
        (("new", "Bad"), "error: 'Bad': a step is called by small letters"),
        (("new", "x", "--auto"), "error: no model is named"),
        (("new", "x", "--auto", "--models", "no_such"), "error: no_such: No module named"),
        (("new", "x", "--auto", "--models", "json"), "error: json declares no model class"),
    ],
)
def test_a_mistake_is_one_sentence(db: Database, folder: Path, arguments: tuple[str, ...], told: str) -> None:
    code, text = migrate(*arguments, "--dir", str(folder))
    assert code == 1
    assert text.startswith(told)
    assert "Traceback" not in text
    assert not folder.exists()
