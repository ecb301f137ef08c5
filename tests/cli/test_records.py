"""``aioredisca show`` and ``models``: what is stored, for people and for machines."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from aioredisca import Database, sync
from aioredisca.cli import catalog
from aioredisca.drivers.run import run
from aioredisca.maintenance.inspecting import NO_VALUE, IndexSummary, summary

from ..support.servers import Server
from .conftest import MODULE, Call, lines_fit

# -- show ------------------------------------------------------------------------------------------


def test_a_record_is_shown_with_all_that_is_stored_of_it(shop: Any, call: Call) -> None:
    user = shop.User.get("0")
    user.log.append("one", "two")
    user.visits.incr(7)
    told = call("show", "User", "0")
    assert told.code == 0
    shop.User.get("1").log.append("one")
    said = call("show", "User", "1").text
    assert ("log list 1 item" in said, "1 items" in said) == (True, False)
    for text in (
        "User '0' usr:0",
        "email 0@x.yz",
        "status open",
        "joined 2026-01-02T03:04:05Z",
        "bio – ",
        "token (secret)",
        "log list 2 items",
        "visits counter 7",
        "(all records) all ids there",
        "name, age compound there",
        "tags tags there",
        "email unique there",
    ):
        assert text in told.text, text
    assert "hush" not in told.text
    data = json.loads(call("show", f"{MODULE}:User", "0", "--json").out)
    assert data["values"]["age"] == 20
    assert (data["secret"], "token" in data["values"]) == (["token"], False)
    assert data["collections"] == {
        "log": {"kind": "list", "size": 2},
        "visits": {"kind": "counter", "value": 7},
    }
    indexes = [entry["index"] for entry in data["entries"]]
    assert {"i:", "u:eml", "x:name", "c:4:name3:age"} <= {*indexes}
    assert len(indexes) >= 8  # two of them are of tags
    assert all(entry["present"] for entry in data["entries"])


def test_what_is_wrong_with_a_record_is_shown(shop: Any, call: Call, raw: Any) -> None:
    raw.hset("usr:1", mapping={"age": "x\x1b", "joined": "y", "old_token": "hush-old"})
    raw.srem("usr/x/name/Zoë", "1")
    raw.hset("usr/u/eml", "1@x.yz", "2")
    raw.zadd("usr/r/age", {"1": 21})
    told = call("show", "User", "1")
    assert told.code == 2
    for text in (
        "age (cannot be read: b'x\\x1b')",
        "old_token 8 bytes",
        "name exact missing",
        "email unique held by '2'",
        "tags tags there",
    ):
        assert text in told.text, text
    assert "hush" not in told.text
    data = json.loads(call("show", "User", "1", "--json").out)
    assert data["unreadable"] == {"age": "x\x1b", "joined": "y"}
    assert data["undeclared"] == {"old_token": 8}
    assert {e["index"] for e in data["entries"] if not e["present"]} == {"x:name", "u:eml"}


def test_a_secret_value_that_cannot_be_read_is_named_and_not_shown(shop: Any, call: Call, raw: Any) -> None:
    raw.hset("usr:1", "token", b"hush\xff")
    told = call("show", "User", "1")
    assert (told.code, "token (cannot be read)" in told.text, "hush" in told.text) == (2, True, False)
    data = json.loads(call("show", "User", "1", "--json").out)
    assert data["unreadable"] == {"token": None}


def test_a_record_that_ends_and_one_that_is_not_there(shop: Any, call: Call) -> None:
    shop.Login.new("a", ip="10.0.0.1").save()
    told = call("show", "Login", "a")
    assert told.code == 0
    assert "login:a ends in 1:00:00" in told.text or "login:a ends in 0:59:" in told.text
    assert "(all records) ends of records there" in told.text
    assert 3000 < json.loads(call("show", "Login", "a", "--json").out)["ttl"] <= 3600
    missing = call("show", "Login", "b")
    assert (missing.code, missing.out, missing.err) == (1, "", "error: there is no Login('b')\n")
    assert "Login.id" in call("show", "Login", "").err


@pytest.mark.parametrize("columns", [80, 140])
def test_it_fits_any_width(shop: Any, call: Call, columns: int) -> None:
    user = shop.User.get("0")
    user.bio = "x" * 500
    user.save()
    for arguments in (["show", "User", "0"], ["models"]):
        told = call(*arguments, columns=columns)
        assert lines_fit(told.out, columns)
        assert "…" not in told.out
    assert call("show", "User", "0", columns=columns).out.count("x") >= 500


# -- models ----------------------------------------------------------------------------------------


def test_models_are_a_tree_of_fields_indexes_and_states(shop: Any, call: Call, raw: Any) -> None:
    told = call("models")
    assert told.code == 0
    for text in (
        f"{MODULE}:User prefix usr 3 records",
        "email Email unique as eml",
        "name String required, index exact",
        "token String secret, index exact",
        "log ListOf of String",
        "name, age compound ready",
        f"{MODULE}:Language prefix lng 1 record",
        f"{MODULE}:Login prefix login 0 records",
        "(all records) ends of records not declared yet",
    ):
        assert text in told.text, text
    assert "age range ready" in told.text
    raw.hset("usr/meta", "e:r:age", "pass")
    told = call("models", "User")
    assert "age range pass" in told.text
    assert "name exact ready" in told.text


@pytest.fixture
def measured(shop: Any, server: Server, raw: Any) -> Any:
    """500 users, and a function that tells how many bytes the keys of a pattern really take."""
    names = ["a", "b" * 40, "c"]
    users = [shop.User.new(f"u{n}", name=names[n % 3], age=n % 9, tags={f"t{n % 7}"}) for n in range(500)]
    shop.User.save_many(users)
    return lambda pattern: sum(raw.memory_usage(key, samples=0) for key in raw.scan_iter(pattern))


def test_memory_is_estimated_by_a_sample(shop: Any, measured: Any, raw: Any) -> None:
    for sample, off in ((1000, 0.1), (200, 0.4)):
        found = run(summary(shop.User, sample))
        sizes = {one.entry: one.memory for one in found.indexes}
        assert found.records == 503
        assert found.memory == pytest.approx(measured("usr:*"), rel=off)
        assert sizes["x:name"] == pytest.approx(measured("usr/x/name/*"), rel=off)
        assert sizes["t:tags"] == pytest.approx(measured("usr/x/tags/*"), rel=off)
        assert sizes["r:age"] == pytest.approx(raw.memory_usage("usr/r/age"), rel=0.2)


def test_where_memory_is_denied_or_unknown_the_rest_is_shown(
    shop: Any, call: Call, server: Server, raw: Any
) -> None:
    raw.execute_command("ACL", "SETUSER", "few", "on", ">pw", "~*", "+@all", "-memory")
    try:
        told = call("models", "User", "--url", f"redis://few:pw@127.0.0.1:{server.port}/0", "--json")
    finally:
        raw.execute_command("ACL", "DELUSER", "few")
    data = json.loads(told.out)
    assert (told.code, data["records"], data["memory"]) == (0, 3, None)
    assert {one["memory"] for one in data["indexes"]} == {None}


def test_the_set_without_values_is_a_part_of_its_index_unless_it_waits() -> None:
    ready = IndexSummary("x:age", "exact", ("age",), "ready", 100)
    none = IndexSummary("n:age", NO_VALUE, ("age",), "ready", 20)
    other = IndexSummary("n:bio", NO_VALUE, ("bio",), "ready", 5)
    assert catalog._for_people([none, other, ready]) == [replace(ready, memory=120), other]
    waits = replace(none, state="pass")
    assert catalog._for_people([waits, ready]) == [ready, waits]
    unknown = replace(none, memory=None)
    assert catalog._for_people([unknown, ready]) == [replace(ready, memory=None)]


@pytest.mark.asyncio_only
async def test_an_empty_store_has_no_memory(db: Database) -> None:
    class Box(sync.Model):
        pass

    found = await summary(Box)
    assert (found.records, [(one.entry, one.state) for one in found.indexes]) == (
        0,
        [("i:", "not declared yet")],
    )
    assert found.memory in (0, None)
