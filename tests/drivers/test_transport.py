"""The transports of asyncio, each against the same contract; what only a shared connection can do or break."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio import connection as client

from aioredisca import Database, UsageError, WrongType
from aioredisca.drivers.aio.connection import SocketConnection, StreamConnection
from aioredisca.drivers.aio.pool import PoolTransport
from aioredisca.types import Call, Script

from ..support.proxy import Proxy
from ..support.servers import Server
from .support import Form, ask, command, connection_of, every, incr, opened, ping, reads, shared, turns

pytestmark = pytest.mark.asyncio_only


# -- which form is taken -------------------------------------------------------------------------


async def test_the_fast_form_is_taken_where_the_connection_is_redis_pys_own(server: Server) -> None:
    async with opened(server.url, "fast") as fast, opened(server.url, "public") as public:
        for database, kind in (
            (fast, SocketConnection),
            (public, StreamConnection),
            (Database(server.url), SocketConnection),
        ):
            await ask(database, ping("x"))
            assert type(connection_of(database)) is kind
            await database.aclose()


class Careful(client.Connection):
    """As Sentinel's connections do: it looks at each answer."""

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        return await super().read_response(*args, **kwargs)


async def test_a_connection_class_with_its_own_reading_keeps_it(server: Server) -> None:
    pool = redis.asyncio.ConnectionPool(connection_class=Careful, host="127.0.0.1", port=server.port)
    database = Database(redis.asyncio.Redis.from_pool(pool))
    assert await ask(database, ping("x")) == b"x"
    assert type(connection_of(database)) is StreamConnection
    await database.aclose()


async def test_memory_is_a_pool_and_can_be_shared() -> None:
    assert isinstance(Database("memory://").transport(), PoolTransport)
    async with opened("memory://", "public") as database:
        assert await asyncio.gather(*(ask(database, ping(str(i))) for i in range(100))) == [
            str(i).encode() for i in range(100)
        ]
        assert type(connection_of(database)) is StreamConnection


def test_other_transports_are_refused() -> None:
    with pytest.raises(UsageError, match=r"transport='quick'\): is one of auto, fast, public, pool"):
        Database("memory://", transport="quick")  # type: ignore[arg-type]


# -- the contract --------------------------------------------------------------------------------


@every
async def test_calls_are_answered_in_order_and_refusals_stand_in_their_place(
    server: Server, form: Form
) -> None:
    async with opened(server.url, form) as database:
        await ask(database, Call(("SET", "text", "x"), writes=True))
        replies = await ask(database, ping("a"), Call(("LPUSH", "text", 1), writes=True), ping("b"))
        assert (replies[0], type(replies[1]), replies[2]) == (b"a", WrongType, b"b")
        assert await database.transport().send_all([]) == []
        assert await ask(database, Call(("NOSUCHCOMMAND",)), ping("c")) != [None, None]
        assert await ask(database, ping("d")) == b"d"


@every
async def test_loads_are_answered_and_refusals_raised(server: Server, form: Form) -> None:
    async with opened(server.url, form) as database:
        transport = database.transport()
        await ask(database, Call(("SET", "text", "x"), writes=True))
        before = database.round_trips
        assert await transport.send(Call((), packed=command("GET", "text"))) == b"x"
        assert await transport.send(Call((), packed=command("GET", "nothing"))) is None
        assert await transport.send(reads(*(command("ECHO", str(i)) for i in range(3)))) == [b"0", b"1", b"2"]
        assert await transport.send_all([]) == []
        assert database.round_trips == before + 3
        with pytest.raises(WrongType):
            await transport.send(Call((), packed=command("HMGET", "text", "a")))
        with pytest.raises(WrongType):
            await transport.send(
                reads(command("ECHO", "a"), command("HMGET", "text", "a"), command("ECHO", "b"))
            )
        assert await transport.send(Call((), packed=command("ECHO", "after"))) == b"after"


@every
async def test_an_unknown_script_is_sent_in_full_and_nothing_else_again(server: Server, form: Form) -> None:
    text = f"return redis.call('INCR', KEYS[1]) -- {random.random()}"
    script = Script(text, __import__("hashlib").sha1(text.encode()).hexdigest())
    call = Call((), script, ("n",), writes=True)
    async with opened(server.url, form) as database:
        assert await ask(database, incr("m"), call, incr("m")) == [1, 1, 2]
        assert database.round_trips == 2
        assert await ask(database, call, call) == [2, 3]
        assert database.round_trips == 3


@every
async def test_a_transaction_stays_in_one_piece(server: Server, form: Form) -> None:
    """The calls of one execute() are not mixed with those of other tasks."""
    block = [Call(("MULTI",)), incr("n"), incr("n"), Call(("EXEC",))]
    async with opened(server.url, form) as database:
        results = await asyncio.gather(
            *(ask(database, *block) if i % 2 else ask(database, incr("n")) for i in range(200))
        )
        assert all(reply[3][1] == reply[3][0] + 1 for reply in results[1::2])
        assert await ask(database, Call(("GET", "n"))) == b"300"


@shared
async def test_calls_run_in_the_order_in_which_they_were_made(server: Server, form: Form) -> None:
    """Also before there is a connection. A pool gives no such promise."""
    async with opened(server.url, form) as database:
        for _ in range(3):
            made = [
                asyncio.create_task(ask(database, Call(("RPUSH", "l", i), writes=True))) for i in range(500)
            ]
            await asyncio.gather(*made)
            assert await ask(database, Call(("LRANGE", "l", 0, -1))) == [str(i).encode() for i in range(500)]
            await ask(database, Call(("DEL", "l"), writes=True))


@shared
async def test_a_thousand_tasks_share_one_connection(server: Server, proxy: Proxy, form: Form) -> None:
    async with opened(proxy.url, form) as database:
        with proxy.count() as count:
            replies = await asyncio.gather(*(ask(database, ping(str(i))) for i in range(1000)))
        assert replies == [str(i).encode() for i in range(1000)]
        assert (count.connections, database.round_trips) == (1, 1000)


async def test_control_a_pool_opens_many_connections(server: Server, proxy: Proxy) -> None:
    """The known-bad way."""
    async with opened(proxy.url, "pool", max_connections=20) as database:
        with proxy.count() as count:
            await asyncio.gather(*(ask(database, ping(str(i))) for i in range(100)))
        assert count.connections == 20


@every
async def test_big_requests_and_replies_pass_whole(server: Server, form: Form) -> None:
    text = "x" * 5_000_000
    async with opened(server.url, form) as database:
        replies = await asyncio.gather(*(ask(database, ping(text if i % 4 else "y")) for i in range(12)))
        assert [len(reply) for reply in replies] == [1 if i % 4 == 0 else len(text) for i in range(12)]


# -- cancellation --------------------------------------------------------------------------------


@shared
async def test_a_thousand_cancellations_cost_no_connection(proxy: Proxy, form: Form) -> None:
    async with opened(proxy.url, form) as database:
        await ask(database, ping("first"))
        proxy.delay = 1
        with proxy.count() as count:
            tasks = [asyncio.create_task(ask(database, ping(str(i)))) for i in range(1000)]
            await turns()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert all(task.cancelled() for task in tasks)
            assert await ask(database, ping("last")) == b"last"
        assert count.connections == 0


@pytest.mark.slow
@every
async def test_four_thousand_random_cancellations_mix_nothing_up(server: Server, form: Form) -> None:
    """Every answer names its question. No cancellation is swallowed either, as asyncio.wait_for does on 3.11."""
    wrong = answered = cancelled = asked = 0
    rng = random.Random(7)

    async def question(number: int) -> None:
        nonlocal wrong, answered, cancelled
        texts = [f"{number}.{part}" for part in range(number % 3 + 1)]
        transport = database.transport()
        try:
            if number % 2:
                replies = await transport.send_all([ping(text) for text in texts])
            elif len(texts) > 1:
                replies = await transport.send(reads(*(command("ECHO", text) for text in texts)))
            else:
                replies = [await transport.send(Call((), packed=command("ECHO", *texts)))]
        except asyncio.CancelledError:
            cancelled += 1
            raise
        answered += 1
        wrong += replies != [text.encode() for text in texts]

    async def nuisance(number: int) -> None:
        nonlocal asked
        task = asyncio.create_task(question(number))
        if rng.random() < 0.6:
            await asyncio.sleep(rng.random() * 0.004)
            asked += task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async with opened(server.url, form) as database:
        for wave in range(0, 4000, 100):
            await asyncio.gather(*(nuisance(wave + i) for i in range(100)))
        assert (wrong, answered + cancelled) == (0, 4000)
        assert cancelled == asked > 200
        assert answered > 1000
        assert await ask(database, ping("after")) == b"after"


async def test_control_a_reply_given_to_the_next_in_line_is_seen(server: Server) -> None:
    """The known-bad way: to forget the place of a cancelled call in the queue of answers."""
    async with opened(server.url, "fast") as database:
        await ask(database, ping("first"))
        task = asyncio.create_task(ask(database, ping("cancelled")))
        await asyncio.sleep(0)
        task.cancel()
        connection_of(database)._sent.clear()
        replies = await asyncio.gather(*(ask(database, ping(str(i))) for i in range(3)))
        assert replies != [b"0", b"1", b"2"]
