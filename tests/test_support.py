"""Tests of what the tests stand on."""

from __future__ import annotations

from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from aioredisca import Database, Email, Integer, Model, String

from .support.drift import drift
from .support.proxy import Proxy
from .support.servers import Server


class Person(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)


def test_a_pipeline_is_one_round_trip_and_two_commands_are_two(proxy: Proxy) -> None:
    with redis.Redis(port=proxy.port) as client:
        client.ping()
        with proxy.count() as count:
            pipe = client.pipeline(transaction=False)
            pipe.set("a", "x" * 100_000).get("a").get("b").execute()
        assert count.trips == 1
        assert [name for name in count.commands if name != "X"] == ["SET", "GET", "GET"]
        with proxy.count() as count:
            client.get("a")
            client.get("a")
        assert count.trips == 2
        client.connection_pool.disconnect()


def test_a_lost_reply_was_executed_and_a_refused_request_was_not(proxy: Proxy, server: Server) -> None:
    client = redis.Redis(port=proxy.port, retry=Retry(NoBackoff(), 0))
    plain = server.client()
    client.ping()
    proxy.lose_next_reply()
    with pytest.raises(redis.ConnectionError):
        client.execute_command("INCR", "n")
    assert plain.get("n") == b"1"
    proxy.refuse_next_request()
    with pytest.raises(redis.ConnectionError):
        client.execute_command("INCR", "n")
    assert plain.get("n") == b"1"
    client.close()
    plain.close()


async def test_a_right_store_shows_no_drift(db: Database, raw: Any) -> None:
    await Person.new("1", email="a@b.cc", name="x" * 600, age=3).save()
    await Person.new("2", name="short").save()
    await Person.new("3").save()
    assert drift(raw, [Person]) == []


@pytest.mark.parametrize(
    "plant",
    [
        ("hset", "person:1", "name", "other"),
        ("hdel", "person:1", "email"),
        ("del", "person:1"),
        ("hset", "person:9", "name", "strange"),
        ("hset", "person/u/email", "x@y.zz", "1"),
        ("zadd", "person/r/age", "4", "1"),
        ("zrem", "person/ids", "1"),
        ("sadd", "person/x/name/John", "2"),
        ("srem", "person/n/age", "2"),
        ("hset", "person:1", "_", "1"),
        ("set", "strange", "1"),
    ],
    ids=lambda plant: " ".join(plant),
)
async def test_every_planted_discrepancy_shows(db: Database, raw: Any, plant: tuple[str, ...]) -> None:
    await Person.new("1", email="a@b.cc", name="John", age=3).save()
    await Person.new("2", name="Mary").save()
    assert drift(raw, [Person]) == []
    raw.execute_command(*plant)
    assert drift(raw, [Person]) != []
