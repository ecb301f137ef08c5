"""``aioredisca doctor``: real servers of several kinds and users of few rights, and answers of others as made up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, IncompatibleServer, PermissionDenied, StoreError, conf, sync
from aioredisca.drivers.run import run
from aioredisca.maintenance.diagnosing import NEEDED, diagnose, status_of
from aioredisca.maintenance.server_report import Finding, server_findings

from ..support.servers import Server, free_port
from .conftest import Call, lines_fit


def examined(call: Call, url: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Exit status, and what was found first of each topic."""
    told = call("doctor", url, "--json")
    data = json.loads(told.out)
    assert data["status"] == told.code
    return told.code, {one["topic"]: one for one in reversed(data["findings"])}


def test_a_fresh_server_is_usable_and_nothing_stays_in_it(
    server: Server, call: Call, db: Database, raw: Any
) -> None:
    code, found = examined(call, server.url)
    assert code == 2
    levels = {topic: one["level"] for topic, one in found.items()}
    assert levels["disk"] == "warning"  # the servers of the tests write nothing to disk
    assert {"server", "role", "cluster", "scripts", "writes", "rights", "keys"} <= {
        topic for topic, level in levels.items() if level == "ok"
    }
    assert set(levels.values()) <= {"ok", "note", "warning"}
    old = "note" if server.kind == "redis62" else "ok"
    assert [levels[topic] for topic in ("read-only scripts", "SORT_RO", "fields that end")] == [old] * 3
    assert found["server"]["text"].split()[0] == ("Valkey" if server.kind == "valkey9" else "Redis")
    assert raw.dbsize() == 0


@pytest.mark.parametrize("columns", [80, 140])
def test_the_table_fits_and_names_the_cures(url: str, call: Call, db: Database, columns: int) -> None:
    told = call("doctor", url, columns=columns)
    assert lines_fit(told.out, columns)
    assert "…" not in told.out
    assert told.text.rstrip().endswith("is usable, with warnings." if told.code else "is usable.")
    assert "a round trip takes" in told.text


@pytest.fixture
def restricted(server: Server, raw: Any) -> Iterator[Any]:
    """Makes a user with some rights; gives the URL."""

    def made(*rules: str) -> str:
        raw.execute_command("ACL", "SETUSER", "few", "reset", "on", ">pw", *rules)
        return f"redis://few:pw@127.0.0.1:{server.port}/0"

    yield made
    raw.execute_command("ACL", "DELUSER", "few")


def test_rights_that_are_missing_are_named_each_by_itself(
    restricted: Any, call: Call, server: Server
) -> None:
    code, found = examined(call, restricted("~*", "+@all", "-sadd", "-info", "-config", "-lpush", "-memory"))
    assert (code, found["rights"]["level"]) == (1, "failure")
    text = call("doctor", restricted("~*", "+@all", "-sadd", "-info", "-lpush")).text
    assert "'+sadd" in text
    if server.kind != "redis62":  # which cannot be asked for commands that are not tried
        assert "collections need commands that are denied → add the rule '+lpush'" in text
    assert found["memory figures"]["level"] == "note"
    assert found["writes"]["level"] == "ok"
    code, found = examined(call, restricted("~*", "+@connection"))
    assert (code, found["scripts"]["level"], "+eval +evalsha" in found["scripts"]["cure"]) == (
        1,
        "failure",
        True,
    )
    assert found["server"]["level"] == "ok"  # HELLO tells it where INFO is denied
    code, found = examined(call, restricted("~usr:*", "~usr/*", "+@all"))
    assert (found["rights"]["level"], "list the models" in found["rights"]["cure"]) == ("note", True)


def test_rights_to_the_keys_of_the_models_are_asked_for(
    shop: Any, restricted: Any, call: Call, raw: Any
) -> None:
    keys = ("~usr:*", "~usr/*", "~lng:*", "~lng/*")
    code, found = examined(call, restricted(*keys, "+@all"))
    assert (code, found["rights for User"]["level"]) == (1, "ok")
    assert found["rights for Login"]["level"] == "failure"
    before = {key: raw.type(key) for key in raw.scan_iter()}
    code, found = examined(call, restricted(*keys, "~login:*", "~login/*", "+@all"))
    assert (code, found["rights for Login"]["level"]) == (2, "ok")
    assert {key: raw.type(key) for key in raw.scan_iter()} == before


def test_a_node_of_a_cluster_and_a_replica_are_not_usable(server: Server, call: Call, db: Database) -> None:
    with Server(server.kind, server._binary, "--cluster-enabled", "yes") as node:
        code, found = examined(call, node.url)
        assert (code, found["cluster"]["level"]) == (1, "failure")
        assert "rights" not in found
    with Server(server.kind, server._binary, "--replicaof", "127.0.0.1", str(server.port)) as replica:
        code, found = examined(call, replica.url)
        assert (code, found["role"]["level"]) == (1, "failure")
        assert f"127.0.0.1:{server.port}" in found["role"]["cure"]


def test_what_cannot_be_reached_is_told_at_once_and_without_the_password(
    server: Server, restricted: Any, call: Call, db: Database
) -> None:
    restricted("~*", "+@all")
    for url, text in (
        (f"redis://:hush@127.0.0.1:{free_port()}/0", "cannot connect to 127.0.0.1"),
        (f"redis://few:hush@127.0.0.1:{server.port}/0", "refuses the login"),
    ):
        code, found = examined(call, url)
        assert (code, list(found), text in found["connection"]["text"]) == (1, ["connection"], True)
        assert "hush" not in call("doctor", url).text


# -- what servers may say --------------------------------------------------------------------------


GOOD: dict[str, Any] = {
    "INFO": b"# Server\r\nserver_name:valkey\r\nredis_version:7.2.4\r\nvalkey_version:9.1.0\r\nrole:master\r\n"
    b"connected_slaves:1\r\ncluster_enabled:0\r\nused_memory:5000000\r\nmaxmemory:10000000\r\n"
    b"maxmemory_policy:noeviction\r\naof_enabled:1\r\naof_last_write_status:ok\r\n"
    b"connected_clients:3\r\nmaxclients:100\r\n",
    "HELLO": [b"server", b"valkey", b"version", b"9.1.0", b"modules", []],
    "ACL": b"default",
    "TIME": None,
    "DBSIZE": 5,
    "save": [b"save", b""],
    "databases": [b"databases", b"16"],
    "lua-time-limit": [b"lua-time-limit", b"5000"],
    "ZADD": 0,
    "script": b"",
}


class Made:
    """A store whose server answers as it is told."""

    clustered = False
    namespace = ""

    def __init__(self, **changes: Any) -> None:
        now = time.time()
        self.replies = {**GOOD, "TIME": [b"%d" % now, b"%d" % (now % 1 * 1e6)], **changes}

    def transport(self) -> Made:
        return self

    async def send_all(self, calls: Any) -> list[Any]:
        names = [
            "script" if call.script else call.args[2 if call.args[0] == "CONFIG" else 0] for call in calls
        ]
        return [self.replies[name] for name in names]


def info(**changes: str) -> bytes:
    lines = dict(line.split(":") for line in GOOD["INFO"].decode().split("\r\n")[1:-1])
    return "\r\n".join(f"{name}:{value}" for name, value in {**lines, **changes}.items()).encode()


def found(store: Made, ends: bool = True) -> dict[str, Finding]:
    return {one.topic: one for one in run(server_findings(store, "usr/ids", ends))}  # type: ignore[arg-type]


@pytest.mark.memory_only
def test_servers_that_cannot_do_are_told() -> None:
    both = found(Made(INFO=info(role="active-replica")))["role"]
    assert (both.level, "unique on each" in both.text) == ("failure", True)
    sites = found(Made(INFO=info(rlec_version="7.4.2-54")))["sites"]
    assert (sites.level, "Active-Active" in sites.text, "one site" in sites.cure) == ("note", True, True)
    none = found(Made(script=IncompatibleServer("runs no scripts")))["scripts"]
    assert (none.level, "docs/servers.md" in none.cure) == ("failure", True)


@pytest.mark.memory_only
def test_a_good_server_has_nothing_but_ok() -> None:
    assert {one.level for one in found(Made()).values()} == {"ok"}
    assert len(found(Made())) == 12


@pytest.mark.parametrize(
    ("changes", "topic", "level", "text"),
    [
        ({"INFO": info(server_name="redis", redis_version="5.0.14")}, "server", "warning", "Redis 5.0.14"),
        ({"INFO": info(role="slave", master_host="h", master_port="1")}, "role", "failure", "replica"),
        ({"INFO": info(cluster_enabled="1")}, "cluster", "failure", "cluster"),
        ({"INFO": info(used_memory="9500000")}, "memory", "warning", "10 MB used of 10 MB"),
        ({"INFO": info(maxmemory="0")}, "memory", "note", "without a limit"),
        ({"INFO": info(aof_enabled="0"), "save": [b"save", b"3600 1"]}, "disk", "note", "snapshots alone"),
        ({"INFO": info(aof_enabled="0")}, "disk", "warning", "nothing is written to disk"),
        ({"INFO": info(aof_enabled="0"), "save": StoreError("x")}, "disk", "note", "not told"),
        ({"INFO": info(aof_last_write_status="err")}, "disk", "warning", "aof_last_write_status"),
        ({"INFO": info(connected_clients="95")}, "clients", "warning", "95 of 100"),
        ({"INFO": StoreError("x"), "HELLO": StoreError("x")}, "server", "note", "of an unknown version"),
        ({"script": b"allkeys-lru"}, "eviction", "warning", "maxmemory-policy allkeys-lru"),
        ({"script": b"volatile-ttl"}, "eviction", "warning", "maxmemory-policy volatile-ttl"),
        ({"script": StoreError("unknown command 'EVALSHA'")}, "scripts", "failure", "EVALSHA"),
        ({"ZADD": StoreError("the database takes no writes")}, "writes", "failure", "takes no writes"),
        ({"TIME": [b"1000", b"0"]}, "clock", "warning", "behind the one here"),
        ({"TIME": [b"99999999999", b"0"]}, "clock", "warning", "ahead of the one here"),
        ({"lua-time-limit": []}, "scripts", "ok", "run by EVALSHA"),
    ],
)
@pytest.mark.memory_only
def test_each_trouble_is_found_and_hides_no_other(
    changes: dict[str, Any], topic: str, level: str, text: str
) -> None:
    one = found(Made(**changes))[topic]
    assert (one.level, text in one.text) == (level, True), one
    assert bool(one.cure) == (level != "ok" and topic != "writes"), one
    others = {name: it.level for name, it in found(Made(**changes)).items() if name != topic}
    assert set(others.values()) <= {"ok", "note"}


@pytest.mark.memory_only
def test_policies_of_what_ends_matter_where_records_end() -> None:
    assert found(Made(script=b"volatile-ttl"), ends=False)["eviction"].level == "ok"


@pytest.mark.memory_only
def test_a_server_that_refuses_everything_is_told_of_all_the_same() -> None:
    store = Made(**dict.fromkeys(GOOD, PermissionDenied("+x")))
    assert {topic: one.level for topic, one in found(store).items()} == {
        "server": "note",
        "scripts": "failure",
        "eviction": "note",
        "disk": "note",
    }


@pytest.mark.memory_only
def test_the_commands_that_are_asked_for_are_those_of_the_storage_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "storage.md").read_text("utf-8")
    rights = page.partition("\n## Rights\n")[2].partition("\n## ")[0]
    named = {word.strip("`.,").removeprefix("`") for word in rights.split()}
    allowed = {word[1:].upper() for word in named if word.startswith("+")}
    needed = {name for names in NEEDED.values() for name in names.split()}
    assert needed <= allowed
    assert allowed - needed <= {
        *("@CONNECTION", "EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO", "SORT_RO", "INFO"),
        *("HPEXPIRE", "HPEXPIREAT", "HPERSIST", "HPTTL"),
        *("ROLE", "WAIT"),  # with Sentinel, with wait=
        *"XLEN XADD XREAD XRANGE XREVRANGE XINFO XGROUP XREADGROUP XAUTOCLAIM XACK".split(),  # of feeds
    }


@pytest.mark.asyncio_only
async def test_it_works_under_asyncio_too(db: Database) -> None:
    findings = await diagnose(db)
    assert status_of(findings) in (0, 2)
    assert status_of([Finding("a", "ok", ""), Finding("b", "note", "")]) == 0


def test_a_class_with_a_database_of_its_own_is_left_out(
    shop: Any, call: Call, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    @conf(db=Database("memory://elsewhere"))
    class Item(sync.Model):
        pass

    Item.__module__ = shop.__name__
    monkeypatch.setattr(shop, "Item", Item, raising=False)
    assert "rights for Item" not in examined(call, url)[1]
