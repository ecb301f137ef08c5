"""The transports of asyncio, each against the same contract; what only a shared connection can do or break."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
import weakref
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Literal, cast

import hiredis
import pytest
import redis.asyncio
from redis.asyncio import connection as client

from aioredisca import (
    Database,
    Model,
    OutcomeUnknown,
    StoreError,
    String,
    Unavailable,
    UsageError,
    conf,
)
from aioredisca.compiler.scripts import script_of
from aioredisca.drivers.aio.connection import HIGH_WATER, PACKET, SocketConnection, StreamConnection
from aioredisca.drivers.aio.multiplexer import Multiplexer
from aioredisca.drivers.aio.pool import PoolTransport
from aioredisca.drivers.blocking import connection as blocking
from aioredisca.drivers.blocking.connection import READ_SIZE
from aioredisca.drivers.run import run
from aioredisca.types import Call, Script

from .conftest import _binary
from .support.patience import insist
from .support.proxy import Proxy
from .support.servers import Server, free_port

LONG: Any = {"timeout": 60, "connect_timeout": 60}
"""Limits that nothing on a slow machine reaches: where these tests wait for a limit, they say so."""

HANG = 30.0
"""Seconds that only what hangs takes: half of the limits."""

Form = Literal["fast", "public", "pool"]
SHARED: tuple[Form, ...] = ("fast", "public")

pytestmark = pytest.mark.asyncio_only

shared = pytest.mark.parametrize("form", SHARED)
every = pytest.mark.parametrize("form", [*SHARED, "pool"])


def ping(text: str) -> Call:
    return Call(("ECHO", text))


def command(*args: str) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = cast("Any", hiredis).pack_command(args)
    return packed


def reads(*commands: bytes) -> Call:
    """Commands that only read, laid out beforehand: one call."""
    return Call((), packed=b"".join(commands), commands=len(commands))


def incr(key: str) -> Call:
    return Call(("INCR", key), writes=True)


@asynccontextmanager
async def opened(url: str, form: Form, **limits: Any) -> AsyncIterator[Database]:
    database = Database(url, transport=form, **LONG | limits)
    try:
        yield database
    finally:
        await database.aclose()


async def ask(database: Database, *calls: Call) -> Any:
    replies = await database.transport().send_all(calls)
    return replies[0] if len(calls) == 1 else replies


async def alone(database: Database, call: Call) -> Any:
    return await database.transport().send(call)


def line_of(database: Database) -> Any:
    transport = database.transport()
    assert isinstance(transport, Multiplexer)
    return transport._connection


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@pytest.fixture
def own(server: Server, backend: str) -> Iterator[Server]:
    """A server of this test alone, which it may stop and kill."""
    with Server(backend, _binary(backend)) as server:
        yield server


# -- which form is taken ---------------------------------------------------------------------------


async def test_the_fast_form_is_taken_where_the_connection_is_redis_pys_own(server: Server) -> None:
    async with opened(server.url, "fast") as fast, opened(server.url, "public") as public:
        for database, kind in (
            (fast, SocketConnection),
            (public, StreamConnection),
            (Database(server.url), SocketConnection),
        ):
            await ask(database, ping("x"))
            assert type(line_of(database)) is kind
            await database.aclose()


class Careful(client.Connection):
    """As Sentinel's connections do: it looks at each answer."""

    async def read_response(self, *args: Any, **kwargs: Any) -> Any:
        return await super().read_response(*args, **kwargs)


async def test_a_connection_class_with_its_own_reading_keeps_it(server: Server) -> None:
    pool = redis.asyncio.ConnectionPool(connection_class=Careful, host="127.0.0.1", port=server.port)
    database = Database(redis.asyncio.Redis.from_pool(pool))
    assert await ask(database, ping("x")) == b"x"
    assert type(line_of(database)) is StreamConnection
    await database.aclose()


async def test_memory_is_a_pool_and_can_be_shared() -> None:
    assert isinstance(Database("memory://").transport(), PoolTransport)
    async with opened("memory://", "public") as database:
        assert await asyncio.gather(*(ask(database, ping(str(i))) for i in range(100))) == [
            str(i).encode() for i in range(100)
        ]
        assert type(line_of(database)) is StreamConnection


def test_other_transports_are_refused() -> None:
    with pytest.raises(UsageError, match=r"transport='quick'\): is one of auto, fast, public, pool"):
        Database("memory://", transport="quick")  # type: ignore[arg-type]


# -- the contract ----------------------------------------------------------------------------------


@every
async def test_calls_are_answered_in_order_and_refusals_stand_in_their_place(
    server: Server, form: Form
) -> None:
    async with opened(server.url, form) as database:
        await ask(database, Call(("SET", "text", "x"), writes=True))
        replies = await ask(database, ping("a"), Call(("LPUSH", "text", 1), writes=True), ping("b"))
        assert (replies[0], type(replies[1]), replies[2]) == (b"a", StoreError, b"b")
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
        with pytest.raises(StoreError, match="WRONGTYPE"):
            await transport.send(Call((), packed=command("HMGET", "text", "a")))
        with pytest.raises(StoreError, match="WRONGTYPE"):
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


# -- cancellation ----------------------------------------------------------------------------------


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
        line_of(database)._sent.clear()
        replies = await asyncio.gather(*(ask(database, ping(str(i))) for i in range(3)))
        assert replies != [b"0", b"1", b"2"]


# -- lost connections ------------------------------------------------------------------------------


@every
async def test_reads_are_sent_again_once_and_writes_never(proxy: Proxy, form: Form) -> None:
    async with opened(proxy.url, form) as database:
        await ask(database, ping("x"))
        proxy.lose_next_reply()
        assert await ask(database, ping("again")) == b"again"
        proxy.lose_next_reply()
        with pytest.raises(OutcomeUnknown, match="the connection was lost"):
            await ask(database, incr("n"))
        assert await ask(database, Call(("GET", "n"))) == b"1"
        proxy.lose_next_reply()
        assert await database.transport().send(Call((), packed=command("GET", "n"))) == b"1"


@shared
async def test_of_many_on_the_way_reads_come_back_and_writes_are_unknown(proxy: Proxy, form: Form) -> None:
    async with opened(proxy.url, form) as database:
        await ask(database, ping("x"))
        proxy.lose_next_reply()
        calls = [incr(f"n{i}") if i % 2 else ping(str(i)) for i in range(100)]
        replies = await asyncio.gather(*(ask(database, call) for call in calls), return_exceptions=True)
        assert replies[::2] == [str(i).encode() for i in range(0, 100, 2)]
        assert all(isinstance(reply, OutcomeUnknown) for reply in replies[1::2])
        counts = await ask(database, *(Call(("GET", f"n{i}")) for i in range(1, 100, 2)))
        assert set(counts) <= {b"1", None}  # never sent twice


@every
async def test_half_a_reply_is_no_reply(server: Server, form: Form) -> None:
    async with (
        cutting(server.port, after=3) as (port, cut),
        opened(f"redis://127.0.0.1:{port}", form) as database,
    ):
        assert await ask(database, ping("whole")) == b"whole"
        cut.append(1)
        assert await ask(database, ping("a longer one")) == b"a longer one"
        cut.append(1)
        loads = [command("ECHO", text) for text in ("", "a", "b")]  # one answer gets through
        assert await database.transport().send(reads(*loads)) == [b"", b"a", b"b"]
        cut.append(1)
        with pytest.raises(OutcomeUnknown):
            await ask(database, Call(("SET", "k", "v", "GET"), writes=True), incr("n"))
        assert await ask(database, ping("after")) == b"after"


@every
async def test_what_is_no_protocol_at_all_ends_the_connection(server: Server, form: Form) -> None:
    async with cutting(server.port, garbage=b"HTTP/1.1 400 Bad Request\r\n\r\n") as (port, cut):
        async with opened(f"redis://127.0.0.1:{port}", form) as database:
            assert await ask(database, ping("x")) == b"x"
            cut.append(1)
            assert await ask(database, ping("y")) == b"y"
            cut.append(1)
            with pytest.raises(OutcomeUnknown):
                await ask(database, incr("n"))
            assert await ask(database, ping("z")) == b"z"


@asynccontextmanager
async def cutting(
    target: int, *, after: int = 0, garbage: bytes = b""
) -> AsyncIterator[tuple[int, list[int]]]:
    """A proxy that for each entry of its list spoils one reply: with *garbage*, or cut off *after* bytes."""
    cut = list[int]()
    writers = list[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", target)
        writers.extend((writer, server_writer))

        async def answers() -> None:
            while data := await server_reader.read(1 << 16):
                if cut:
                    cut.pop()
                    writer.write(garbage or data[:after])
                    await turns()
                    return
                writer.write(data)

        async def requests() -> None:
            while data := await reader.read(1 << 16):
                server_writer.write(data)

        tasks = {asyncio.create_task(answers()), asyncio.create_task(requests())}
        with suppress(asyncio.CancelledError, OSError):
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()
        server_writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listener.sockets[0].getsockname()[1], cut
    finally:
        listener.close()
        for writer in writers:
            writer.close()
        await asyncio.sleep(0.05)


@every
async def test_an_idle_connection_that_the_server_closed_is_noticed_before_a_write(
    server: Server, form: Form
) -> None:
    async with opened(server.url, form) as database:
        await ask(database, incr("n"))
        with server.client() as plain:
            plain.client_kill_filter(_type="normal", skipme=True)
        await turns()
        assert await ask(database, incr("n")) == 2


@shared
async def test_a_loop_that_stood_still_notices_too(server: Server, form: Form) -> None:
    """After a second of silence the line looks first; a write into the dead socket would be OutcomeUnknown."""
    async with opened(server.url, form) as database:
        await ask(database, incr("n"))
        with server.client() as plain:
            plain.client_kill_filter(_type="normal", skipme=True)
        time.sleep(1.1)
        assert await ask(database, incr("n")) == 2


# -- servers that do not answer, die, come back ----------------------------------------------------


@every
async def test_no_answer_in_time(own: Server, form: Form) -> None:
    async with opened(own.url, form, timeout=0.4) as database:
        await insist(lambda: ask(database, ping("x")))
        os.kill(own.process.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(OutcomeUnknown, match="no answer in time"):
                await ask(database, incr("n"))
            assert 0.35 < time.monotonic() - started < HANG
            with pytest.raises(Unavailable):  # the line is given up, and a new one is not answered
                await ask(database, ping("y"))
            assert time.monotonic() - started < HANG
        finally:
            os.kill(own.process.pid, signal.SIGCONT)
        assert await insist(lambda: ask(database, ping("z"))) == b"z"


@shared
async def test_one_late_answer_does_not_take_the_younger_calls_with_it(own: Server, form: Form) -> None:
    """Each call has its full time, also on a line that is given up because of an older one."""
    async with opened(own.url, form, timeout=1.5) as database:
        await ask(database, ping("x"))
        os.kill(own.process.pid, signal.SIGSTOP)
        old = asyncio.create_task(ask(database, incr("old")))
        await asyncio.sleep(1)
        young = asyncio.create_task(ask(database, incr("young")))
        await asyncio.wait([old])
        os.kill(own.process.pid, signal.SIGCONT)
        assert await young == 1
        with pytest.raises(OutcomeUnknown):
            await old
        assert await ask(database, Call(("GET", "young"))) == b"1"


@shared
async def test_a_loop_that_stood_still_reads_before_it_judges(server: Server, form: Form) -> None:
    """The answer lies in the socket while the process computes: that is no timeout."""
    async with opened(server.url, form, timeout=0.3) as database:
        await insist(lambda: ask(database, ping("x")))
        task = asyncio.create_task(ask(database, incr("n")))
        await turns(3)
        time.sleep(0.8)
        assert await task == 1


@every
async def test_a_killed_server_that_is_started_again(own: Server, form: Form) -> None:
    """20 tasks work through kill -9 and restart: each error is one of two, and no write is done twice."""
    acked, unknown, errors = 0, 0, list[BaseException]()
    stop = False

    async def work() -> None:
        nonlocal acked, unknown
        while not stop:
            try:
                await ask(database, incr("n"))
                acked += 1
            except OutcomeUnknown:
                unknown += 1
            except Unavailable:
                await asyncio.sleep(0.001)
            except BaseException as error:
                errors.append(error)
                return

    async with opened(own.url, form, timeout=2) as database:
        tasks = [asyncio.create_task(work()) for _ in range(20)]
        while acked < 100:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        own.process.kill()
        own.process.wait()
        await asyncio.sleep(0.1)
        again = Server.__new__(Server)
        again.kind, again._folder, again.port = own.kind, own._folder, own.port
        assert again._start(_binary(own.kind), ())
        try:
            own.process, start = again.process, acked
            deadline = time.monotonic() + HANG
            while acked < start + 100 and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            stop = True
            await asyncio.gather(*tasks)
        finally:
            assert errors == []
        assert acked >= start + 100
        stored = int(await insist(lambda: ask(database, Call(("GET", "n")))))
        assert acked - start - 20 <= stored <= acked - start + unknown + 20


@every
async def test_no_server_is_told_at_once_and_named(form: Form) -> None:
    port = free_port()
    async with opened(f"redis://:secret@127.0.0.1:{port}/0", form) as database:
        started = time.monotonic()
        for call in (ping("x"), incr("n")):
            with pytest.raises(Unavailable, match=f"cannot connect to 127.0.0.1:{port}.*start a server") as e:
                await ask(database, call)
            assert "secret" not in str(e.value)
        assert time.monotonic() - started < HANG


@shared
async def test_a_server_that_is_away_for_days_is_still_told_at_once(form: Form) -> None:
    async with opened(f"redis://127.0.0.1:{free_port()}", form) as database:
        cast("Any", database.transport())._failures = 100_000
        started = time.monotonic()
        with pytest.raises(Unavailable, match="cannot connect"):
            await ask(database, ping("x"))
        assert time.monotonic() - started < HANG


@shared
async def test_a_storm_of_calls_without_a_server_is_few_attempts(form: Form) -> None:
    """A thousand impatient tasks share each attempt, and each failure makes the next wait longer."""
    attempts = 0

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal attempts
        attempts += 1
        writer.close()

    listener = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]

    async def insist() -> int:
        failures = 0
        while time.monotonic() < end:
            with suppress(Unavailable):
                await ask(database, ping("x"))
            failures += 1
        return failures

    async with opened(f"redis://127.0.0.1:{port}", form) as database:
        end = time.monotonic() + 1.0
        failures = await asyncio.gather(*(insist() for _ in range(1000)))
    listener.close()
    assert all(failures)
    assert attempts < 40


def flow_controlled() -> bool:
    own = vars(cast("Any", asyncio.selector_events)._SelectorSocketTransport).get("writelines")
    return own is None or "_maybe_pause" in inspect.getsource(own)


@shared
async def test_a_call_that_was_never_sent_is_unavailable_even_if_it_writes(own: Server, form: Form) -> None:
    """The server reads nothing: what fills the socket is unknown, what waits behind it did not happen."""
    if form == "public" and not flow_controlled():
        pytest.skip("writelines() of this Python has no flow control, as in 3.12.1 and 3.13.0")
    async with opened(own.url, form, timeout=0.5) as database:
        await insist(lambda: ask(database, ping("x")))
        os.kill(own.process.pid, signal.SIGSTOP)
        try:
            value = "x" * 1_000_000
            writes = [Call(("SET", f"k{i}", value), writes=True) for i in range(40)]
            outcome = await asyncio.gather(*(ask(database, call) for call in writes), return_exceptions=True)
        finally:
            os.kill(own.process.pid, signal.SIGCONT)
        kinds = [type(error) for error in outcome]
        sent = kinds.count(OutcomeUnknown)
        assert 0 < sent < 40
        assert kinds == [OutcomeUnknown] * sent + [Unavailable] * (40 - sent)
        assert "took no request within 0.5 s" in str(outcome[-1]) or "cannot connect" in str(outcome[-1])
        await asyncio.sleep(0.2)
        unsent = Call(("EXISTS", *(f"k{i}" for i in range(sent, 40))))
        assert await insist(lambda: ask(database, unsent)) == 0


@shared
async def test_backpressure_lets_everybody_through_in_turn(proxy: Proxy, form: Form) -> None:
    """One task that writes megabytes does not keep the others waiting for all of them."""
    order = list[str]()

    async def work(name: str, text: str) -> None:
        await ask(database, Call(("SET", name, text), writes=True))
        order.append(name)

    async with opened(proxy.url, form) as database:
        await ask(database, ping("x"))
        names = [f"{'big' if i % 10 == 0 else 'small'}{i}" for i in range(100)]
        tasks = [
            asyncio.create_task(work(n, "x" * (4 * HIGH_WATER if n.startswith("big") else 10))) for n in names
        ]
        await asyncio.gather(*tasks)
        assert order == names
        assert line_of(database).accepts


@shared
@pytest.mark.parametrize("stale", [False, True], ids=["busy", "after a silence"])
async def test_a_server_that_reads_nothing_is_sent_no_more_than_has_room(
    own: Server, form: Form, stale: bool
) -> None:
    """However many calls are made in one turn: what is not sent has not happened."""
    if form == "public" and not flow_controlled():
        pytest.skip("writelines() of this Python has no flow control, as in 3.12.1 and 3.13.0")
    async with opened(own.url, form) as database:
        await ask(database, ping("x"))
        line = line_of(database)
        os.kill(own.process.pid, signal.SIGSTOP)
        try:
            if stale:
                line._heard -= 2
            writes = [Call(("SET", f"k{i}", "x" * 10_000), writes=True) for i in range(4000)]
            calls = [asyncio.ensure_future(database.transport().send(call)) for call in writes]
            assert sum(len(flight.data) for flight in line._unsent) <= 2 * HIGH_WATER
            await turns()
            sent = len(line._sent)
        finally:
            os.kill(own.process.pid, signal.SIGCONT)
        outcome = await asyncio.gather(*calls, return_exceptions=True)
        assert 0 < sent < 2000  # what the system itself takes, beside the library, is some megabytes
        assert outcome[:sent].count(b"OK") == sent


@shared
async def test_calls_that_come_back_unsent_keep_their_time(server: Server, form: Form) -> None:
    """The server hung up in an idle hour, and to connect anew takes longer than a turn of the loop."""
    async with opened(server.url, form, timeout=1.5) as database:
        await insist(lambda: ask(database, ping("x")))
        await asyncio.sleep(1.6)  # no timer looks after anything any more
        transport, line = cast("Any", database.transport()), line_of(database)
        connect = transport._connect

        async def slowly() -> Any:
            await asyncio.sleep(0.4)
            return await connect()

        transport._connect = slowly
        line._heard -= 10
        with server.client() as plain:
            plain.client_kill_filter(_type="normal", skipme=True)
        time.sleep(0.05)  # the end is here, and not read yet
        replies = await asyncio.gather(*(ask(database, ping(str(i))) for i in range(3)))
        assert replies == [b"0", b"1", b"2"]
        assert line_of(database) is not line


async def test_a_turn_of_the_loop_leaves_in_few_packets(server: Server) -> None:
    """The first goes at once, then ever larger ones: the server works meanwhile."""
    async with opened(server.url, "fast") as database:
        await ask(database, ping("x"))
        sizes, transport = list[int](), line_of(database)._transport
        written = Spied(transport, sizes)
        line_of(database)._transport = written
        texts = [f"{i:0100}" for i in range(500)]
        assert await asyncio.gather(*(ask(database, ping(text)) for text in texts)) == [
            t.encode() for t in texts
        ]
        each = len(command("ECHO", texts[0]))
        assert sum(sizes) == 500 * each
        assert sizes[0] == each
        packets = [PACKET << i for i in range(len(sizes) - 2)]
        assert all(most < size <= most + each for size, most in zip(sizes[1:-1], packets, strict=True))
        line_of(database)._transport = transport


class Spied:
    """A transport that notes how much is written at once."""

    def __init__(self, of: Any, sizes: list[int]) -> None:
        self._of, self._sizes = of, sizes

    def write(self, data: bytes) -> None:
        self._sizes.append(len(data))
        self._of.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)


# -- loops, contexts, ends -------------------------------------------------------------------------

mark: contextvars.ContextVar[Any] = contextvars.ContextVar("mark", default=None)


class Heavy:
    """Something of a request."""


@every
async def test_nothing_in_the_background_keeps_the_first_request_alive(server: Server, form: Form) -> None:
    async with opened(server.url, form) as database:
        heavy = Heavy()
        reference = weakref.ref(heavy)

        async def request(thing: Heavy) -> None:
            mark.set(thing)
            await asyncio.gather(*(ask(database, ping("x")) for _ in range(10)))

        await asyncio.create_task(request(heavy))
        del heavy
        await turns()
        gc.collect()
        assert reference() is None


@pytest.mark.parametrize("form", [*SHARED, "pool"])
def test_the_end_of_a_loop_leaves_nothing_behind(server: Server, form: Form) -> None:
    database = Database(server.url, transport=form, **LONG)
    before = server.clients()

    async def work() -> int:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.001):  # one is on the way when the loop ends
                await ask(database, ping("y"))
        task = asyncio.create_task(ask(database, Call(("BLPOP", "none", 3))))
        await asyncio.sleep(0.01)
        assert not task.done()
        return int(await ask(Database(server.url, transport=form, **LONG), incr("n")))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [asyncio.run(work()) for _ in range(3)] == [1, 2, 3]
        gc.collect()
    assert server.clients() <= before


@pytest.mark.parametrize("form", [*SHARED, "pool"])
def test_a_loop_that_is_closed_without_ceremony_is_let_go_of(server: Server, form: Form) -> None:
    """asyncio itself warns of what is left open; the next loop works, and nothing keeps the dead one."""
    database = Database(server.url, transport=form, **LONG)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(ask(database, incr("n"))) == 1
    loop.close()
    dead = weakref.ref(loop)
    del loop
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert asyncio.run(ask(database, incr("n"))) == 2
        asyncio.set_event_loop(None)
        for _ in range(3):
            gc.collect()
    assert dead() is None


@pytest.mark.memory_only
def test_so_is_a_closed_loop_in_memory_which_has_no_socket() -> None:
    database, loop = Database("memory://"), asyncio.new_event_loop()
    assert loop.run_until_complete(ask(database, incr("n"))) == 1
    loop.close()
    assert asyncio.run(ask(database, incr("n"))) == 2


@pytest.mark.parametrize("form", [*SHARED, "pool"])
def test_work_may_go_on_while_the_loop_cancels_its_tasks(server: Server, form: Form) -> None:
    """A connection that belonged to a task would be closed under those that want to save something."""
    database = Database(server.url, transport=form, **LONG)

    async def saver() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await ask(database, incr("saved"))

    async def work() -> None:
        await ask(database, ping("x"))
        tasks.extend(asyncio.create_task(saver()) for _ in range(3))
        await asyncio.sleep(0)

    tasks = list[asyncio.Task[None]]()
    asyncio.run(work())
    with server.client() as plain:
        assert plain.get("saved") == b"3"


@every
async def test_a_database_that_is_dropped_closes_its_connections(server: Server, form: Form) -> None:
    async def use() -> None:
        await ask(Database(server.url, transport=form, **LONG), ping("x"))

    before = server.clients()
    await use()
    deadline = time.monotonic() + HANG
    while server.clients() - before:
        assert time.monotonic() < deadline, "the connection is still open"
        gc.collect()
        await asyncio.sleep(0.02)


@every
async def test_closing_tells_what_is_on_the_way_and_opens_again(server: Server, form: Form) -> None:
    async with opened(server.url, form) as database:
        await ask(database, ping("x"))
        write = asyncio.create_task(ask(database, Call(("BLPOP", "none", 50), writes=True)))
        read = asyncio.create_task(ask(database, ping("x"), Call(("BLPOP", "none", 50))))
        await turns()
        await asyncio.sleep(0.02)
        started = time.monotonic()
        await database.aclose()
        with pytest.raises(OutcomeUnknown):
            await write
        if form != "pool":
            with pytest.raises(Unavailable):
                await read
        read.cancel()
        await asyncio.gather(read, return_exceptions=True)
        assert time.monotonic() - started < HANG
        assert await ask(database, ping("y")) == b"y"


class Slow(Model):
    note = String()


@every
async def test_a_save_that_waits_while_all_is_closed_leaves_no_connection_behind(
    own: Server, form: Form
) -> None:
    with own.client() as other:
        before = len(other.client_list())
    async with opened(own.url, form) as database:
        conf.db = database
        record = await Slow.new("1", note="a").save()
        lock = record._own_lock(database.transport())
        await lock.acquire()
        record.note = "b"
        saving = asyncio.create_task(record.save())
        await turns()
        await database.aclose()
        lock.release()
        await saving
        assert (await Slow.get("1")).note == "b"
        await database.aclose()
    with own.client() as other:
        deadline = time.monotonic() + HANG
        while len(other.client_list()) > before:
            assert time.monotonic() < deadline
            await turns()


@pytest.mark.parametrize("form", [*SHARED, "pool"])
def test_a_fork_inside_a_loop_opens_a_connection_of_its_own(server: Server, form: Form) -> None:
    database = Database(server.url, transport=form, **LONG)

    async def work() -> list[int]:
        await ask(database, ping("x"))
        pid = os.fork()
        if pid == 0:
            os._exit(child(database))
        mine = [int(await ask(database, incr("n"))) for _ in range(50)]
        while os.waitpid(pid, os.WNOHANG) == (0, 0):  # noqa: ASYNC222
            mine.append(int(await ask(database, incr("n"))))
        return mine

    mine = asyncio.run(work())
    assert mine == sorted(set(mine))
    with server.client() as plain:
        assert int(plain.get("n")) == len(mine) + 50


def child(database: Database) -> int:
    asyncio._set_running_loop(None)

    async def work() -> None:
        for _ in range(50):
            await ask(database, incr("n"))

    try:
        asyncio.run(work())
    except BaseException:
        return 1
    return 0


# -- blocking code, and importing ------------------------------------------------------------------


peers = pytest.mark.parametrize(
    ("form", "kind"), [("fast", blocking.SocketConnection), ("public", blocking.StreamConnection)]
)


@contextmanager
def opened_blocking(url: str, form: Form, kind: type[blocking.Connection]) -> Iterator[Database]:
    database = Database(url, transport=form, **LONG)
    try:
        yield database
        assert {type(peer) for peer in blocking_of(database)._idle} <= {kind}
    finally:
        database.close()


def blocking_of(database: Database) -> Any:
    return database._transports.blocking


@peers
def test_blocking_calls_are_answered_in_order_and_refusals_stand_in_their_place(
    server: Server, form: Form, kind: type[blocking.Connection]
) -> None:
    with opened_blocking(server.url, form, kind) as database:
        run(ask(database, Call(("SET", "text", "x"), writes=True)))
        replies = run(ask(database, ping("a"), Call(("LPUSH", "text", 1), writes=True), ping("b")))
        assert (replies[0], type(replies[1]), replies[2]) == (b"a", StoreError, b"b")
        with pytest.raises(StoreError, match="WRONGTYPE"):
            run(alone(database, Call(("LPUSH", "text", 1), writes=True)))
        assert run(alone(database, Call(("GET", "nothing")))) is None
        assert len(blocking_of(database)._idle) == 1


@peers
def test_blocking_loads_are_answered_and_refusals_raised(
    server: Server, form: Form, kind: type[blocking.Connection]
) -> None:
    with opened_blocking(server.url, form, kind) as database:
        run(ask(database, Call(("SET", "text", "x"), writes=True)))
        before = database.round_trips
        assert run(_load(database, command("GET", "text"))) == b"x"
        assert run(_load(database, command("ECHO", "a"), command("ECHO", "b"))) == [b"a", b"b"]
        assert database.round_trips == before + 2
        with pytest.raises(StoreError, match="WRONGTYPE"):
            run(_load(database, command("HMGET", "text", "a")))
        with pytest.raises(StoreError, match="WRONGTYPE"):
            run(_load(database, command("ECHO", "a"), command("HMGET", "text", "a")))
        assert len(blocking_of(database)._idle) == 1


@peers
def test_a_blocking_call_is_on_its_way_while_other_work_is_done(
    server: Server, monkeypatch: pytest.MonkeyPatch, form: Form, kind: type[blocking.Connection]
) -> None:
    seen, read = list[Any](), kind.read
    with server.client() as other, opened_blocking(server.url, form, kind) as database:

        def meanwhile() -> None:
            deadline = time.monotonic() + HANG
            while not other.exists("number") and time.monotonic() < deadline:
                time.sleep(0.001)
            seen.append(other.get("number"))

        def reading(peer: blocking.Connection, count: int) -> Any:
            seen.append("read")
            return read(peer, count)

        async def work() -> Any:
            return await database.transport().send(incr("number"), meanwhile)

        monkeypatch.setattr(kind, "read", reading)
        assert run(work()) == 1
    assert seen == [b"1", "read"]


async def _load(database: Database, *commands: bytes) -> Any:
    call = Call((), packed=commands[0]) if len(commands) == 1 else reads(*commands)
    return await database.transport().send(call)


@peers
def test_blocking_replies_and_requests_of_any_size(
    server: Server, form: Form, kind: type[blocking.Connection]
) -> None:
    with opened_blocking(server.url, form, kind) as database:
        for size in (0, 1, READ_SIZE - 8, READ_SIZE, 3 * READ_SIZE + 1, 5_000_000):
            assert run(alone(database, ping("x" * size))) == b"x" * size
        many = [ping(str(i)) for i in range(20_000)]
        assert run(ask(database, *many)) == [str(i).encode() for i in range(20_000)]


@peers
def test_a_script_that_is_unknown_is_sent_in_full_by_blocking_code(
    server: Server, form: Form, kind: type[blocking.Connection]
) -> None:
    text = f"return {random.randrange(10**9)} + #ARGV"
    call = Call(("x",), script_of(text), writes=True)
    with opened_blocking(server.url, form, kind) as database:
        before = database.round_trips
        assert run(alone(database, call)) == run(alone(database, call))
        assert database.round_trips == before + 3


@peers
def test_blocking_writes_notice_that_the_server_hung_up(
    server: Server, form: Form, kind: type[blocking.Connection]
) -> None:
    """The control: without a look at the connection nobody knows whether the write happened."""
    with opened_blocking(server.url, form, kind) as database, server.client() as plain:
        run(alone(database, ping("x")))
        kill_all(plain)
        assert run(alone(database, incr("n"))) == 1
        kill_all(plain)
        blocking_of(database)._idle[0].is_dirty = lambda: False
        with pytest.raises(OutcomeUnknown):
            run(alone(database, incr("n")))
        kill_all(plain)
        assert run(alone(database, ping("y"))) == b"y"


def kill_all(plain: Any) -> None:
    plain.client_kill_filter(_type="normal", skipme=True)
    time.sleep(0.05)


@peers
def test_a_blocking_call_without_answer_is_given_up_in_time(
    server: Server, proxy: Proxy, form: Form, kind: type[blocking.Connection]
) -> None:
    database = Database(proxy.url, timeout=0.2, transport=form)
    for call, error in ((ping("x"), Unavailable), (incr("n"), OutcomeUnknown)):
        proxy.delay = 0
        assert insisted(database, ping("x")) == b"x"  # connects
        assert [type(peer) for peer in blocking_of(database)._idle] == [kind]
        proxy.delay = 2
        with pytest.raises(error, match="no answer in time"):
            run(alone(database, call))
        assert blocking_of(database)._idle == []
    database.close()


def insisted(database: Database, call: Call) -> Any:
    """The reply to *call* in blocking code, which is asked until the limit of the database is long enough."""
    while True:
        with suppress(Unavailable):
            return run(alone(database, call))


def test_threads_share_a_bounded_number_of_connections(server: Server, proxy: Proxy) -> None:
    database = Database(proxy.url, max_connections=3, **LONG)
    proxy.delay = 0.01

    def work() -> None:
        for _ in range(3):
            assert run(ask(database, ping("x"))) == b"x"

    with proxy.count() as count:
        threads = [threading.Thread(target=work) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    database.close()
    assert (count.connections, len(count.commands)) == (3, 36)


def test_a_thread_that_gets_no_connection_is_told(server: Server) -> None:
    database = Database(server.url, max_connections=1, timeout=0.1)
    assert insisted(database, ping("x")) == b"x"
    slots = cast("Any", database._transports.blocking)._slots
    slots.get()  # as if another thread used it
    with pytest.raises(Unavailable, match=r"came free within 0\.1 s: raise max_connections"):
        run(ask(database, ping("x")))
    slots.put(True)
    assert insisted(database, ping("x")) == b"x"
    database.close()


def test_a_closed_pool_takes_nothing_back(server: Server) -> None:
    """A connection in use is closed by the thread that uses it; afterwards the database works again."""
    before = server.clients()
    database = Database(server.url, **LONG)
    holder = threading.Thread(target=lambda: run(ask(database, Call(("BLPOP", "none", 50)))))
    holder.start()
    with server.client() as plain:
        while not plain.info("clients")["blocked_clients"]:
            time.sleep(0.001)
        database.close()
        plain.rpush("none", "x")
    holder.join()
    assert server.clients() <= before
    assert run(ask(database, ping("x"))) == b"x"
    database.close()


def test_importing_the_library_does_not_import_redis() -> None:
    """redis-py takes longer to import than all of this library: the first Database does it."""
    program = (
        "import sys, aioredisca, aioredisca.sync as s; print('redis' in sys.modules); s.conf.db = 'redis://x'"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"{program}; print('redis' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True"]
