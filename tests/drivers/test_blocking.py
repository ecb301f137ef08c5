"""The transport of blocking code against the same contract, and among threads."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest

from aioredisca import Database, OutcomeUnknown, Unavailable, WrongType
from aioredisca.compiler.scripts import script_of
from aioredisca.drivers.blocking import connection as blocking
from aioredisca.drivers.blocking.connection import READ_SIZE
from aioredisca.drivers.run import run
from aioredisca.types import Call

from ..support.patience import wait_until
from ..support.proxy import Proxy
from ..support.servers import Server
from .support import LONG, Form, ask, command, incr, ping, reads

pytestmark = pytest.mark.asyncio_only


async def alone(database: Database, call: Call) -> Any:
    return await database.transport().send(call)


# -- blocking code, and importing ----------------------------------------------------------------


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
        assert (replies[0], type(replies[1]), replies[2]) == (b"a", WrongType, b"b")
        with pytest.raises(WrongType):
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
        with pytest.raises(WrongType):
            run(_load(database, command("HMGET", "text", "a")))
        with pytest.raises(WrongType):
            run(_load(database, command("ECHO", "a"), command("HMGET", "text", "a")))
        assert len(blocking_of(database)._idle) == 1


@peers
def test_a_blocking_call_is_on_its_way_while_other_work_is_done(
    server: Server, monkeypatch: pytest.MonkeyPatch, form: Form, kind: type[blocking.Connection]
) -> None:
    seen, read = list[Any](), kind.read
    with server.client() as other, opened_blocking(server.url, form, kind) as database:

        def meanwhile() -> None:
            wait_until(lambda: other.exists("number"))
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
    database = Database(proxy.url, timeout=0.8, transport=form)
    for call, error in ((ping("x"), Unavailable), (incr("n"), OutcomeUnknown)):
        proxy.delay = 0
        run(alone(database, ping("x")))  # connects
        assert [type(peer) for peer in blocking_of(database)._idle] == [kind]
        proxy.delay = 600
        with pytest.raises(error, match="no answer in time"):
            run(alone(database, call))
        assert blocking_of(database)._idle == []
    database.close()


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
    database = Database(server.url, max_connections=1, timeout=0.5)
    assert run(ask(database, ping("x"))) == b"x"
    slots = cast("Any", database._transports.blocking)._slots
    slot = slots.take(1)  # as if another thread used it
    with pytest.raises(Unavailable, match=r"came free within 0\.5 s: raise max_connections"):
        run(ask(database, ping("x")))
    slots.give(slot)
    assert run(ask(database, ping("x"))) == b"x"
    database.close()


def test_a_closed_pool_takes_nothing_back(server: Server) -> None:
    """A connection in use is closed by the thread that uses it; afterwards the database works again."""
    before = server.clients()
    database = Database(server.url)
    holder = threading.Thread(target=lambda: run(ask(database, Call(("BLPOP", "none", "0.5")))))
    holder.start()
    with server.client() as plain:
        wait_until(lambda: plain.info("clients")["blocked_clients"])
    database.close()
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
