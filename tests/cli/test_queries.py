"""``aioredisca query``: as a table of any width, as JSON, in bounded memory; and what must not be shown."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import pytest

from aioredisca import Model, String
from aioredisca.cli import queries
from aioredisca.drivers.run import run

from .conftest import MODULE, Call, lines_fit


def test_records_are_a_table_where_they_fit(shop: Any, call: Call) -> None:
    told = call("query", "User.age >= 20", "--only", "name,age,tags", "--order-by=-age", columns=80)
    assert told.code == 0
    assert [line.rstrip() for line in told.out.splitlines()] == [
        "id  name         age  tags",
        "2   Bob\\x1b[31m  22   a, t2",
        "1   Zoë          21   a, t1",
        "0   Ada          20   a, t0",
    ]
    assert told.err == "3 records\n"


@pytest.mark.parametrize("columns", [30, 80, 140])
def test_nothing_is_cut_off_at_any_width(shop: Any, call: Call, columns: int) -> None:
    user = shop.User.get("0")
    user.bio = "many words that do not fit " * 9
    user.save()
    told = call("query", "User.age == 20", columns=columns)
    assert lines_fit(told.out, columns)
    text = "".join(told.out.split())
    for value in ("0@x.yz", "Ada", "open", "2026-01-02T03:04:05Z", "a,t0", "manywordsthatdonotfit" * 9, "en"):
        assert value in text.replace("status", "")
    for name in shop.User.__mapper__.fields:
        assert name in text
    assert "…" not in told.out


def test_json_is_a_line_for_each_without_secret_fields(shop: Any, call: Call) -> None:
    told = call("query", "User.all()", "--json")
    first, *rest = map(json.loads, told.out.splitlines())
    assert (told.code, told.err, len(rest)) == (0, "", 2)
    assert first == {
        "id": "0",
        "email": "0@x.yz",
        "name": "Ada",
        "age": 20,
        "status": "open",
        "joined": "2026-01-02T03:04:05Z",
        "tags": ["a", "t0"],
        "bio": None,
        "lang": "en",
    }
    only = call("query", "User.all()", "--json", "--only", "name,token", "--limit", "1")
    assert json.loads(only.out) == {"id": "0", "name": "Ada"}


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_secret_values_are_never_shown(shop: Any, call: Call, raw: Any, more: list[str]) -> None:
    raw.hset("usr:1", "age", "hush-age")
    for arguments in (
        ["User.all()"],
        ["User.all()", "--only", "token"],
        ["User.token == 'hush1'", "--explain"],
    ):
        told = call("query", *arguments, *more)
        assert "hush" not in told.text, told.text


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_what_cannot_be_read_is_told_and_the_rest_is_shown(
    shop: Any, call: Call, raw: Any, more: list[str]
) -> None:
    raw.hset("usr:1", "age", "x")
    raw.hdel("usr:2", "name")
    told = call("query", "User.all()", *more)
    assert told.code == 2
    assert told.err.splitlines()[:2] == [
        "User('1').age cannot be read: see aioredisca show",
        "User('2').name cannot be read: see aioredisca show",
    ]
    assert "Zoë" in told.out
    if more:
        assert [json.loads(line)["age"] for line in told.out.splitlines()] == [20, None, 22]
    else:
        assert told.out.count("(cannot be read)") == 2


def test_numbers_explanations_and_mistakes(shop: Any, call: Call) -> None:
    assert call("query", "User.age > 20", "--count").out == "2\n"
    assert json.loads(call("query", "User.age > 20", "--count", "--json").out) == {"count": 2}
    assert "key usr/r/age" in call("query", "User.age > 20", "--explain").text
    told = json.loads(call("query", "User.age > 20", "--explain", "--json").out)
    assert (told["count"], told["condition"]) == (2, "Between age")
    for arguments, text in (
        (["User.bio == 'x'"], "User.bio is not indexed"),
        (["User.all()", "--order-by", "agee"], "User.agee: there is no such field; did you mean 'age'?"),
        (["User.all()", "--only", "nam"], "did you mean 'name'?"),
        (["User.all().limit(1)", "--limit", "2"], "a limit is given already"),
        (["User.all().delete()"], ".delete() of a query is not allowed"),
    ):
        failed = call("query", *arguments)
        assert (failed.code, failed.out, text in failed.text) == (1, "", True), failed.text
    assert shop.User.all().count() == 3
    assert call("query", "User.bio.is_none().scan()", "--count").out == "3\n"


def test_models_of_asyncio_are_asked_alike(call: Call, db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Item(Model):
        name = String(index=True)

    module: Any = types.ModuleType(MODULE)
    module.Item, Item.__module__ = Item, MODULE
    monkeypatch.setitem(sys.modules, MODULE, module)
    run(Item.save_many([Item.new(str(number), name="x") for number in range(5)]))
    asked = ["query", "Item.name == 'x'", "--model", MODULE]
    assert call(*asked, "--count").out == "5\n"
    assert [json.loads(line)["id"] for line in call(*asked, "--json").out.splitlines()] == list("01234")
    assert "key item/x/name/x" in call(*asked, "--explain").text


def test_long_answers_are_held_a_page_at_a_time(
    shop: Any, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the widths of the first page, under one head."""
    shop.User.save_many([shop.User.new(f"n{n}", name=f"name {n}", age=50) for n in range(20)])
    monkeypatch.setattr(queries, "PAGE", 4)
    held = list[int]()
    emit = queries._Sheet.add

    def counted(sheet: Any, rows: Any) -> None:
        held.append(len(rows))
        emit(sheet, rows)

    monkeypatch.setattr(queries._Sheet, "add", counted)
    told = call("query", "User.all()", "--only", "name,age")
    assert (held, told.err) == ([4, 4, 4, 4, 4, 3], "23 records\n")
    lines = told.out.splitlines()
    assert [line.split()[0] for line in lines][:5] == ["id", "0", "1", "2", "n0"]
    assert sum(line.startswith("id") for line in lines) == 1
    assert {line.index(age) for line in lines[1:] for age in ("50", "20", "21", "22") if age in line[10:]}
    assert call("query", "User.all().limit(1)", "--only", "name").err == "1 record\n"


def test_a_later_page_with_longer_values_is_folded(
    shop: Any, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        user = shop.User.get(str(number))
        user.name = "x" * (number + 1) * 8
        user.save()
    monkeypatch.setattr(queries, "PAGE", 1)
    told = call("query", "User.all()", "--only", "name", columns=40)
    assert "".join(told.out.split()).count("x") == 8 + 16 + 24
    assert lines_fit(told.out, 12)
