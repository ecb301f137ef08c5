"""Where databases come from: URLs, clients, limits; and what they start in the background."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from typing import Any

import pytest
import redis
import redis.asyncio

from aioredisca import Database, UsageError, session, sync
from aioredisca.sync import allow_blocking

from ..support.blocking import Twin, User
from ..support.drift import drift
from ..support.servers import Server


def test_memory_databases_are_private_or_shared_by_name() -> None:
    one, two = Database("memory://"), Database("memory://")
    shared, again = Database("memory://shop"), Database("memory://shop")
    for first, second, seen in ((one, two, False), (shared, again, True)):
        with sync.session(first):
            User.new("1", name="Ada").save()
        with sync.session(second):
            assert User("1").exists() is seen
    for database in (one, two, shared, again):
        database.close()


@pytest.mark.parametrize("url", ["http://x", "redis:/x", "redis://", "localhost:6379", "redis://h:p/0", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Database(url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://localhost/shop", "what follows the host is no number of a database"),
        ("redis://localhost/0/1", "what follows the host is no number of a database"),
        (
            "redis://localhost/0?timeout=3&max_conections=5",
            "unknown option: did you mean max_connections and socket_timeout",
        ),
        ("redis://localhost/0?socket_timeout=soon", "invalid value for 'socket_timeout'"),
    ],
)
def test_a_slip_in_a_url_is_told_and_not_passed_over(url: str, text: str) -> None:
    """redis-py would write into database 0 and leave out the option."""
    with pytest.raises(UsageError, match=text):
        Database(url)
    assert Database("redis://localhost/0?decode_responses=True&client_name=shop")


def test_senseless_limits_are_refused() -> None:
    for name in ("max_connections", "timeout", "connect_timeout"):
        with pytest.raises(UsageError, match=rf"{name}=0\): must be more than 0"):
            Database("memory://", **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        Database("memory://", namespace="a b")
    with pytest.raises(UsageError, match="a database is a URL or a redis-py client, not int"):
        Database(5)


def test_urls_carry_databases_limits_and_unix_sockets(server: Server) -> None:
    port = server.port
    database = Database(f"valkey://127.0.0.1:{port}/3?max_connections=2&socket_timeout=1.5")
    with sync.session(database):
        User.new("1", name="Ada").save()
    with server.client() as client:
        client.select(3)
        assert client.exists("user:1")
    assert (database._address.max_connections, database._address.timeout) == (2, 1.5)
    database.close()
    assert repr(Database("unix:///run/redis.sock?db=2")).startswith("<Database unix:///run/redis.sock")


async def test_a_client_that_is_handed_in_is_read_and_not_used(server: Server, driver: str) -> None:
    port = server.port
    strange: list[Any] = [
        redis.Redis(port=port, db=1, decode_responses=True, protocol=3),
        redis.asyncio.Redis(port=port, db=1, decode_responses=True, protocol=3),
    ]
    for client in strange:
        database = Database(client)
        async with session(database):
            await Twin.new("1", name="\u00e4", age=1).save()
            assert (await Twin.get("1")).name == "\u00e4"
            assert await (Twin.age >= 0).count() == 1
        assert repr(database) == f"<Database localhost:{port}/1>"
        if driver == "asyncio":
            await database.aclose()
        database.close()
        if isinstance(client, redis.Redis):
            client.close()
        async with session(database):
            await Twin("1").delete()  # it can be used again
        await database.aclose() if driver == "asyncio" else database.close()
    await strange[1].aclose() if driver == "asyncio" else None


@pytest.mark.asyncio_only
async def test_connections_are_bounded_and_reused(server: Server) -> None:
    before = server.clients()
    database = Database(server.url, max_connections=3)
    async with session(database):
        await asyncio.gather(*(Twin(str(i)).exists() for i in range(200)))
    assert len(server.clients() - before) <= 3
    await database.aclose()


@pytest.mark.asyncio_only
async def test_a_storm_of_cancellations_mixes_nothing_up(db: Database, raw: Any) -> None:
    """Each answer names its id, so an answer that reached the wrong caller would show."""
    await Twin.save_many([Twin.new(str(i), name=f"n{i}", age=i) for i in range(50)])
    wrong = answered = 0

    async def ask(number: int) -> None:
        nonlocal wrong, answered
        twin = await Twin.get(str(number % 50))
        answered += 1
        wrong += twin.name != f"n{number % 50}"

    for wave in range(40):
        tasks = [asyncio.create_task(ask(wave * 50 + i)) for i in range(50)]
        await asyncio.sleep(0.0004 * (wave % 5))
        for task in tasks[:: 1 + wave % 3]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert wrong == 0
    assert answered > 100
    assert await Twin.all().count() == 50
    assert drift(raw, [Twin]) == []
    await db.aclose()


class Request:
    """What a context variable of a program may hold."""


_request: contextvars.ContextVar[Request] = contextvars.ContextVar("request")


@pytest.mark.asyncio_only
@pytest.mark.parametrize("control", [False, True])
async def test_no_task_is_pinned_to_the_first_request(url: str, control: bool) -> None:
    """What the library starts in the background must not inherit the context of whoever came first.

    A session would not show it, for it is cleared when it closes. The control is a task that does inherit.
    """
    database, stop = Database(url, timeout=0.5), asyncio.Event()
    token = _request.set(Request())
    reference = weakref.ref(_request.get())
    async with session(database):
        with allow_blocking():
            User("1").exists()
        await Twin("1")
    task = asyncio.create_task(stop.wait()) if control else None
    _request.reset(token)
    del token
    await asyncio.sleep(0.7)  # a deadline keeps its context until it is due
    gc.collect()
    assert (reference() is not None) is control
    stop.set()
    if task is not None:
        await task
    await database.aclose()
