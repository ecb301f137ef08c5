"""``aioredisca check`` and ``repair``: what they print, what they answer to the shell."""

from __future__ import annotations

import json
import sys
import types
from typing import Any

import pytest
from typer.testing import CliRunner

from aioredisca import Database, Email, Integer, Password, String, sync
from aioredisca.cli import app

from ..support.drift import drift

MODULE = "models_for_check_and_repair"
USER, ORDER = f"{MODULE}:User", f"{MODULE}:Order"


@pytest.fixture
def user(db: Database, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two models in a module of their own, with some records."""

    class User(sync.Model):
        email = Email(unique=True, secret=True)
        age = Integer(index=True)
        city = String(index=True, secret=True)
        password = Password()

    class Order(sync.Model):
        total = Integer(index=True)

    module: Any = types.ModuleType(MODULE)
    module.User, module.Order = User, Order
    monkeypatch.setitem(sys.modules, MODULE, module)
    monkeypatch.setattr(sys, "path", [*sys.path])
    User.save_many([User.new(str(i), email=f"s{i}@secret.xx", age=i, city=f"secret{i}") for i in range(3)])
    Order.new("1", total=7).save()
    return User


def told(*arguments: str) -> tuple[int, str]:
    """Exit code and text, lines joined."""
    done = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"}).invoke(app, [*arguments])
    return done.exit_code, " ".join(done.output.split())


@pytest.mark.blocking_only
def test_nothing_is_wrong(user: Any) -> None:
    code, text = told("check", USER, ORDER)
    assert (code, text) == (
        0,
        "User: 3 records, 12 entries; no fault. Order: 1 record, 2 entries; no fault.",
    )
    assert told("repair", USER) == (0, "User: 3 records, 12 entries; 0 faults to be mended, 0 left.")
    code, text = told("check", "--json", USER, ORDER)
    assert (code, [one["model"] for one in json.loads(text)]) == (0, ["User", "Order"])


@pytest.mark.blocking_only
def test_what_is_wrong_is_told_without_values_and_mended_when_asked(user: Any, raw: Any) -> None:
    raw.zrem("user/r/age", "1")
    raw.sadd("user/x/city/secret9", "2")
    raw.hset("user/u/email", "x@secret.xx", "0")
    raw.hset("user:0", "password", "secret")
    raw.set("user:2:[red]", "secret")
    code, text = told("check", USER)
    assert code == 2
    assert "User: 3 records, 13 entries; 4 faults:" in text
    for part in (
        "no-entry 1: an index lacks a record '1' user/r/age",
        "denied-entry 1: an index says of a record what that denies '2' user/x/city/*",
        "stray-claim 1: a claim of a record that does not hold the value '0' user/u/email",
        "unreadable 1: a value cannot be read, or no index could hold it '0' password",
        "foreign 1 key under the prefix, left alone: 'user:2:[red]'",
    ):
        assert part in text
    assert "secret" not in text

    code, text = told("repair", USER)
    assert (code, "3 faults to be mended, 1 left:" in text) == (2, True)
    assert "Nothing was written: --apply does." in text
    code, text = told("repair", USER, "--kind", "no-entry", "--apply", "--json")
    (report,) = json.loads(text)
    assert code == 2
    assert report["mended"]["counts"] == {"no-entry": 1}
    assert set(report["left"]["counts"]) == {"denied-entry", "stray-claim", "unreadable"}
    code, text = told("repair", USER, "--apply")
    assert (code, "2 faults mended, 1 left:" in text) == (2, True)
    assert "secret" not in text
    raw.hdel("user:0", "password")
    raw.delete("user:2:[red]")
    assert told("check", USER)[0] == 0
    assert drift(raw, [user, sys.modules[MODULE].Order]) == []


@pytest.mark.blocking_only
def test_mistakes_are_one_sentence(user: Any) -> None:
    for command in ("check", "repair"):
        assert told(command, f"{MODULE}:Nobody")[0] == 1
        code, text = told(command, USER, "--rate", "0")
        assert (code, text) == (1, "error: rate=0.0: it is a number of records a second, or None")
    code, text = told("repair", USER, "--kind", "shared-value")
    assert (code, text) == (1, "error: repair mends no 'shared-value': a person changes one of them")
    assert "there is no kind of fault 'x'" in told("repair", USER, "--kind", "x")[1]


@pytest.mark.blocking_only
def test_help_has_an_example(user: Any) -> None:
    for command in ("check", "repair"):
        code, text = told(command, "--help")
        assert (code, f"Example: aioredisca {command} app.models:User" in text) == (0, True)
