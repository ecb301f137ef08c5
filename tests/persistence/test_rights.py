"""Database users that lack a right: PermissionDenied names the rule to add, and nothing is half-written."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from aioredisca import (
    Counter,
    Database,
    Integer,
    ListOf,
    Model,
    PermissionDenied,
    Reference,
    SetOf,
    SortedSet,
    String,
    session,
)

from ..support.drift import drift
from ..support.models import User
from ..support.servers import Server

WRITES = ["exists", "hget", "hmget", "hset", "hdel", "unlink", "sadd", "srem", "zadd", "zrem", "evalsha"]
PATTERNS = "~user:* ~user/*"


READS: list[tuple[str, Callable[[], object]]] = [
    ("hmget", lambda: User.get("1")),
    ("hgetall", lambda: User("1").load(raw=True)),
    ("exists", lambda: User("1").exists()),
    ("zcard", lambda: User.all().count()),
    ("zcount", lambda: (User.age > 1).count()),
    ("scard", lambda: (User.name == "Ada").count()),
    ("scard", lambda: User.name.find("Ada")),
    ("hget", lambda: User.email.find("a@x.yz")),
    ("zrange", lambda: User.age.choice()),
    ("srandmember", lambda: User.name.choice("Ada")),
]


@pytest.fixture
def admin(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client
        client.acl_deluser("app")


def restrict(server: Server, admin: Any, *rules: str) -> Database:
    """The database as a user sees it who has everything but what *rules* take."""
    admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">secret", *rules)
    return Database(f"redis://app:secret@127.0.0.1:{server.port}/0")


async def a_record() -> User:
    return await User.new("1", email="a@x.yz", name="Ada", age=3).save()


async def close(database: Database, driver: str) -> None:
    database.close() if driver == "blocking" else await database.aclose()


@pytest.mark.parametrize("command", WRITES)
async def test_a_missing_command_is_named_before_anything_is_written(
    server: Server, db: Database, admin: Any, driver: str, command: str
) -> None:
    await a_record()
    before = {key: admin.dump(key) for key in admin.keys("*")}
    restricted = restrict(server, admin, "~*", "&*", "+@all", f"-{command}")
    async with session(restricted):
        user = User.new("2", email="b@x.yz", name="Bob", age=4)
        for attempt in (user.save, lambda: User.save_many([user]), User("1").delete):
            with pytest.raises(PermissionDenied) as caught:
                await attempt()
            assert f"+{command}" in caught.value.rule.split()
            assert "add the rule" in str(caught.value)
        assert user.getdiff() == {"email": "b@x.yz", "name": "Bob", "age": 4}
    await close(restricted, driver)
    assert {key: admin.dump(key) for key in admin.keys("*")} == before
    assert drift(admin, [User]) == []


async def test_control_without_a_probe_a_script_stops_half_way(server: Server, admin: Any) -> None:
    """The known-bad way: a right that is missed in the middle of a script."""
    restricted = restrict(server, admin, "~*", "&*", "+@all", "-sadd")
    client = restricted.sync_client
    script = "redis.call('HSET', KEYS[1], 'a', '1') redis.call('SADD', KEYS[2], '1')"
    with pytest.raises(redis.exceptions.ResponseError):
        client.eval(script, 2, "user:1", "user/x/a/1")
    assert admin.keys("*") == [b"user:1"]
    client.close()
    client.connection_pool.disconnect()


@pytest.mark.parametrize("missing", ["~user:*", "~user/*"])
async def test_a_missing_key_pattern_is_named_before_anything_is_written(
    server: Server, db: Database, admin: Any, driver: str, missing: str
) -> None:
    await a_record()
    before = {key: admin.dump(key) for key in admin.keys("*")}
    patterns = [pattern for pattern in PATTERNS.split() if pattern != missing]
    restricted = restrict(server, admin, *patterns, "&*", "+@all")
    async with session(restricted):
        with pytest.raises(PermissionDenied) as caught:
            await User.new("2", email="b@x.yz", name="Bob", age=4).save()
        assert caught.value.rule.endswith(PATTERNS)
        with pytest.raises(PermissionDenied) as caught:
            await (User.name == "Ada")
        assert PATTERNS in caught.value.rule or "~<prefix>" in caught.value.rule
    await close(restricted, driver)
    assert {key: admin.dump(key) for key in admin.keys("*")} == before


class Boss(Model):
    name = String()


class Worker(Model):
    boss = Reference(Boss, check=True)


@pytest.mark.parametrize("given", [(), ("%R~boss:*",)], ids=["none", "read"])
async def test_a_checked_reference_names_the_keys_of_the_other_class(
    server: Server, db: Database, admin: Any, driver: str, given: tuple[str, ...]
) -> None:
    await Boss.new("1").save()
    restricted = restrict(server, admin, "~worker:*", "~worker/*", *given, "&*", "+@all")
    async with session(restricted):
        worker = Worker.new("1", boss="1")
        with pytest.raises(PermissionDenied) as caught:
            await worker.save()
        assert caught.value.rule == "~boss:*"
        admin.execute_command("ACL", "SETUSER", "app", caught.value.rule)  # as it says
        await worker.save()
    await close(restricted, driver)


@pytest.mark.parametrize(("command", "read"), READS)
async def test_a_read_without_its_right_names_it(
    server: Server,
    db: Database,
    admin: Any,
    driver: str,
    command: str,
    read: Callable[[], object],
) -> None:
    await a_record()
    restricted = restrict(server, admin, "~*", "&*", "+@all", f"-{command}")
    async with session(restricted):
        with pytest.raises(PermissionDenied) as caught:
            await read()  # type: ignore[misc]
    await close(restricted, driver)
    error = caught.value
    if server.kind.startswith("redis") and "script" in error.detail:
        assert error.rule == "+@read +@write"  # Redis does not say which command of a script it was
    else:
        assert error.rule == f"+{command}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    assert "user_script" not in str(error)


@pytest.mark.parametrize("command", ["sort_ro", "sintercard"])
async def test_queries_do_without_what_only_makes_them_faster(
    server: Server, db: Database, admin: Any, driver: str, command: str
) -> None:
    """Control: any other read that is denied is named, as the test above says."""
    if server.kind == "redis62":
        pytest.skip("Redis 6.2 has no such command")
    await User.save_many([User.new(str(i), name="Ada" if i % 2 else "Bob") for i in range(9)])
    restricted = restrict(server, admin, "~*", "&*", "+@all", f"-{command}")
    async with session(restricted):
        assert len(await (User.name == "Ada")) == 4
        assert len(await User.name.in_(["Ada", "Bob"])) == 9
        assert await (User.age.is_none() & (User.name == "Ada")).count() == 4  # sets in common
    await close(restricted, driver)


async def test_a_right_that_is_granted_later_is_used_without_a_restart(
    server: Server, db: Database, admin: Any, driver: str
) -> None:
    restricted = restrict(server, admin, "~*", "&*", "+@all", "-sadd")
    async with session(restricted):
        user = User.new("1", email="a@x.yz", name="Ada", age=3)
        with pytest.raises(PermissionDenied):
            await user.save()
        admin.execute_command("ACL", "SETUSER", "app", "+sadd")
        await user.save()
    await close(restricted, driver)
    assert drift(admin, [User]) == []


class Cart(Model):
    count = Integer()
    lines = ListOf(String(), maxlen=3)
    tags = SetOf(String())
    best = SortedSet(String())
    visits = Counter()


@pytest.mark.parametrize("command", ["rpush", "ltrim", "sadd", "zadd", "incrby"])
async def test_a_flush_that_may_not_add_writes_nothing(
    server: Server, db: Database, admin: Any, driver: str, command: str
) -> None:
    """The rights to add are not probed for with the first write: few who write use them."""
    await Cart.new("1", count=1).save()
    before = {key: admin.dump(key) for key in admin.keys("*")}
    restricted = restrict(server, admin, "~*", "&*", "+@all", f"-{command}")
    async with session(restricted) as unit:
        cart = await Cart.get("1")
        cart.count = 2
        unit.append(cart, Cart.lines, "a")
        unit.add(cart, Cart.tags, "b")
        unit.set_scores(cart, Cart.best, {"c": 1})
        unit.incr(cart, Cart.visits)
        with pytest.raises(PermissionDenied):
            await unit.flush()
        assert {key: admin.dump(key) for key in admin.keys("*")} == before
        unit.discard()
    await close(restricted, driver)
