"""Connections that break, and servers that do not answer, die and come back."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import pytest

from aioredisca import OutcomeUnknown, Unavailable
from aioredisca.types import Call

from ..conftest import _binary
from ..support.patience import limit, until
from ..support.proxy import Proxy
from ..support.servers import Server, free_port
from .support import Form, ask, command, every, incr, opened, ping, reads, shared, turns

pytestmark = pytest.mark.asyncio_only


# -- lost connections ----------------------------------------------------------------------------


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


# -- servers that do not answer, die, come back --------------------------------------------------


@pytest.mark.slow
@every
async def test_no_answer_in_time(own: Server, form: Form) -> None:
    async with opened(own.url, form, timeout=1) as database:
        await ask(database, ping("x"))
        os.kill(own.process.pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(OutcomeUnknown, match="no answer in time"):
                await ask(database, incr("n"))
            assert 0.95 < time.monotonic() - started < limit(2)
            with pytest.raises(Unavailable):  # the line is given up, and a new one is not answered
                await ask(database, ping("y"))
            assert time.monotonic() - started < limit(4)
        finally:
            os.kill(own.process.pid, signal.SIGCONT)
        assert await ask(database, ping("z")) == b"z"


@shared
async def test_one_late_answer_does_not_take_the_younger_calls_with_it(own: Server, form: Form) -> None:
    """Each call has its full time, also on a line that is given up because of an older one."""
    async with opened(own.url, form, timeout=1.6) as database:
        await ask(database, ping("x"))
        os.kill(own.process.pid, signal.SIGSTOP)
        old = asyncio.create_task(ask(database, incr("old")))
        await asyncio.sleep(1.2)
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
    async with opened(server.url, form, timeout=1) as database:
        await ask(database, ping("x"))
        task = asyncio.create_task(ask(database, incr("n")))
        await turns(3)
        time.sleep(1.5)
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

    async with opened(own.url, form, timeout=5) as database:
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
            await until(lambda: acked >= start + 100)
            stop = True
            await asyncio.gather(*tasks)
        finally:
            assert errors == []
        assert acked >= start + 100
        stored = int(await ask(database, Call(("GET", "n"))))
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
        assert time.monotonic() - started < limit(1)


@shared
async def test_a_server_that_is_away_for_days_is_still_told_at_once(form: Form) -> None:
    async with opened(f"redis://127.0.0.1:{free_port()}", form) as database:
        cast("Any", database.transport())._failures = 100_000
        started = time.monotonic()
        with pytest.raises(Unavailable, match="cannot connect"):
            await ask(database, ping("x"))
        assert time.monotonic() - started < limit(1)


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
        while not failures or time.monotonic() < end:
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
