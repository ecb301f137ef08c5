"""Transports and what is around them: event loops that end, contexts, forks, closing."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import time
import warnings
import weakref
from contextlib import suppress
from typing import Any

import pytest

from aioredisca import Database, Model, OutcomeUnknown, String, Unavailable, conf
from aioredisca.types import Call

from ..support.patience import limit, until
from ..support.servers import Server
from .support import LONG, SHARED, Form, ask, every, incr, opened, ping, turns

pytestmark = pytest.mark.asyncio_only


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
        await ask(Database(server.url, transport=form, timeout=1), ping("x"))

    before = server.clients()
    await use()
    await until(lambda: gc.collect() >= 0 and server.clients() <= before)


@every
async def test_closing_tells_what_is_on_the_way_and_opens_again(server: Server, form: Form) -> None:
    async with opened(server.url, form) as database:
        await ask(database, ping("x"))
        write = asyncio.create_task(ask(database, Call(("BLPOP", "none", 0), writes=True)))
        read = asyncio.create_task(ask(database, ping("x"), Call(("BLPOP", "none", 0))))
        await until(lambda: blocked(server) >= (2 if form == "pool" else 1))
        started = time.monotonic()
        await database.aclose()
        with pytest.raises(OutcomeUnknown):
            await write
        if form != "pool":
            with pytest.raises(Unavailable):
                await read
        read.cancel()
        await asyncio.gather(read, return_exceptions=True)
        assert time.monotonic() - started < limit(1)
        assert await ask(database, ping("y")) == b"y"


def blocked(server: Server) -> int:
    """How many clients wait for a list."""
    with server.client() as plain:
        return int(plain.info("clients")["blocked_clients"])


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
        lock = record.__state__.lock(database.transport())
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
        await until(lambda: len(other.client_list()) <= before)


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


@pytest.mark.memory_only
def test_a_loop_closed_without_ceremony_does_no_harm_in_memory_which_has_no_socket() -> None:
    database, loop = Database("memory://"), asyncio.new_event_loop()
    assert loop.run_until_complete(ask(database, incr("n"))) == 1
    loop.close()
    assert asyncio.run(ask(database, incr("n"))) == 2
