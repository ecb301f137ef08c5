"""What can go wrong on the way: lost answers, lost scripts, no server, a full one, a read-only one."""

from __future__ import annotations

import asyncio
import re
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import redis

from aioredisca import (
    AlreadyExists,
    Database,
    Email,
    Integer,
    Model,
    OutcomeUnknown,
    RediscaError,
    StoreError,
    String,
    Unavailable,
    conf,
    session,
)

from ..support.drift import drift
from ..support.patience import limit, until
from ..support.proxy import Proxy
from ..support.servers import Server, free_port


class User(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    note = String()


FORMS = ("fast", "public", "pool")


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest, driver: str) -> Any:
    """Each asyncio transport; blocking code has one."""
    if driver == "blocking" and request.param != "fast":
        pytest.skip("the transports differ under asyncio only")
    return request.param


@pytest.fixture
def proxied(proxy: Proxy, form: Any) -> Iterator[Database]:
    """The database behind the proxy, over each transport."""
    yield from behind(proxy, form)


@pytest.fixture
def impatient(proxy: Proxy, form: Any) -> Iterator[Database]:
    """The same for a test that waits for the time limit."""
    yield from behind(proxy, form, 2.5)


def behind(proxy: Proxy, form: Any, timeout: float | None = None) -> Iterator[Database]:
    before, conf.db = conf._db, Database(proxy.url, transport=form, timeout=timeout)
    yield conf.db
    conf.db.close()
    conf._db = before


@pytest.fixture
def plain(server: Server) -> Iterator[Any]:
    """A plain client that goes past the proxy."""
    with server.client() as client:
        yield client


async def learned(db: Database) -> User:
    """A record, in a database that process and server know what they learn once about."""
    user = await User.new("1", email="a@x.yz", name="Ada", age=1).save()
    await User.all().ids()
    return user


# -- scripts --------------------------------------------------------------------------------------


async def test_a_script_flush_between_any_two_calls_is_survived(
    server: Server, db: Database, plain: Any
) -> None:
    await learned(db)
    user = User.new("3", email="c@x.yz", name="Ada", age=1)
    for step in (
        user.save,
        lambda: User.name.find("Ada"),
        lambda: User.age.range(0, 9),
        lambda: User.name.choice("Ada"),
        lambda: User.save_many([User.new("2", name="Bob")]),
        user.delete,
    ):
        plain.script_flush()
        before = db.round_trips
        assert await step() is not None
        assert db.round_trips - before == 2  # by its hash, then in full
    assert await User.all().ids() == ["1", "2"]
    assert drift(plain, [User]) == []


async def test_control_evalsha_without_a_second_try_fails(server: Server, plain: Any) -> None:
    """The known-bad way."""
    sha = plain.script_load("return 1")
    plain.script_flush()
    with pytest.raises(redis.exceptions.NoScriptError):
        plain.evalsha(sha, 0)


# -- lost answers ----------------------------------------------------------------------------------


async def test_a_lost_answer_of_a_write_is_unknown_sent_once_and_settled_by_the_next_save(
    proxied: Database, proxy: Proxy, plain: Any
) -> None:
    await learned(proxied)
    user = User.new("2", email="b@x.yz", name="Bob", age=2)
    proxy.lose_next_reply()
    with proxy.count() as count, pytest.raises(OutcomeUnknown, match=r"save\(\) again settles it") as caught:
        await user.save()
    assert count.commands == ["EVALSHA"]
    assert f"127.0.0.1:{proxy.port}" in str(caught.value)
    assert plain.hgetall("user:2") == {b"email": b"b@x.yz", b"name": b"Bob", b"age": b"2"}
    with proxy.count() as count:
        assert await user.save() is user  # a create that meets its own record: no AlreadyExists
    assert count.trips == 1
    assert (user.name, user.age, user.getdiff()) == ("Bob", 2, {})
    assert drift(plain, [User]) == []


async def test_a_lost_create_does_not_swallow_somebody_elses_record(
    proxied: Database, proxy: Proxy, plain: Any
) -> None:
    """The known-bad way: to take any record under the id for one's own."""
    await learned(proxied)
    user = User.new("2", name="Bob", age=2)
    proxy.refuse_next_request()
    with pytest.raises(OutcomeUnknown):
        await user.save()
    await User.new("2", name="Eve", age=3).save()
    with pytest.raises(AlreadyExists):
        await user.save()
    assert plain.hget("user:2", "name") == b"Eve"


async def test_a_request_that_never_arrived_is_written_by_the_next_save(
    proxied: Database, proxy: Proxy, plain: Any
) -> None:
    user = await learned(proxied)
    user.age = 2
    proxy.refuse_next_request()
    with pytest.raises(OutcomeUnknown):
        await user.save()
    assert user.getdiff() == {"age": 2}
    assert plain.hget("user:1", "age") == b"1"
    await user.save(if_unchanged=True)
    assert plain.hget("user:1", "age") == b"2"


async def test_a_lost_update_with_if_unchanged_settles_too(
    proxied: Database, proxy: Proxy, plain: Any
) -> None:
    user = await learned(proxied)
    user.age = 2
    proxy.lose_next_reply()
    with pytest.raises(OutcomeUnknown):
        await user.save(if_unchanged=True)
    assert plain.hget("user:1", "age") == b"2"
    await user.save(if_unchanged=True)  # holds already what was meant: no StaleWrite
    assert user.getdiff() == {}


async def test_a_lost_delete_settles(proxied: Database, proxy: Proxy, plain: Any) -> None:
    user = await learned(proxied)
    proxy.lose_next_reply()
    with pytest.raises(OutcomeUnknown):
        await user.delete()
    assert not plain.exists("user:1")
    assert await user.delete() is False
    assert drift(plain, [User]) == []


async def test_a_lost_batch_settles(proxied: Database, proxy: Proxy, plain: Any) -> None:
    await learned(proxied)
    users = [User.new(f"b{i}", email=f"{i}@x.yz", age=i) for i in range(10)]
    proxy.lose_next_reply()
    with pytest.raises(OutcomeUnknown):
        await User.save_many(users)
    await User.save_many(users)
    assert await User.all().count() == 11
    assert drift(plain, [User]) == []


async def test_a_lost_flush_settles(proxied: Database, proxy: Proxy, plain: Any) -> None:
    await learned(proxied)
    async with session() as unit:
        User.new("2", name="Bob")
        unit.delete(await User.get("1"))
        proxy.lose_next_reply()
        with pytest.raises(OutcomeUnknown):
            await unit.flush()
        await unit.flush()
        assert unit.dirty == ()
    assert await User.all().ids() == ["2"]
    assert drift(plain, [User]) == []


async def test_a_read_that_lost_its_answer_is_sent_once_more_and_then_unavailable(
    proxied: Database, proxy: Proxy
) -> None:
    await learned(proxied)
    reads: list[Any] = [
        lambda: User.get("1"),
        lambda: User.get_many(["1"]),
        lambda: User.name.find("Ada"),
        lambda: (User.age > 0).count(),
    ]
    for read in reads:
        proxy.lose_next_reply()
        with proxy.count() as count:
            assert await read()
        assert (len({*count.commands} - {"HGET"}), count.trips) == (1, 2)  # which asks for the word of meta
        proxy.lose_next_reply()
        proxy.lose_next_reply()
        with proxy.count() as count, pytest.raises(Unavailable, match="only reads were on the way"):
            await read()
        assert count.trips == 2
        assert await read()


async def test_no_answer_in_time_is_unknown_for_a_write_and_unavailable_for_a_read(
    proxy: Proxy, driver: str
) -> None:
    async with session(Database(proxy.url, timeout=1)) as unit:
        user = await User.new("1", name="Ada").save()
        user.name = "Eve"
        proxy.swallow_next_reply()
        started = time.monotonic()
        with pytest.raises(OutcomeUnknown, match="no answer in time"):
            await user.save()
        proxy.swallow_next_reply()
        with pytest.raises(Unavailable, match="no answer in time"):
            await user.exists()
        assert time.monotonic() - started < limit(3)
        assert (await user.save()).getdiff() == {}
        unit.db.close() if driver == "blocking" else await unit.db.aclose()


@pytest.mark.asyncio_only
@pytest.mark.parametrize("arrives", [True, False])
async def test_a_cancelled_save_counts_as_unanswered(
    impatient: Database, proxy: Proxy, plain: Any, arrives: bool
) -> None:
    """Whether or not it was written: the known-bad way meets its own record as AlreadyExists."""
    await learned(impatient)
    user = User.new("2", email="b@x.yz", name="Bob")
    if arrives:
        proxy.swallow_next_reply()
    else:
        proxy.delay = 1.5
    with proxy.count() as count:
        task = asyncio.create_task(user.save())
        await until(lambda: plain.exists("user:2") if arrives else count.trips)
    assert bool(plain.exists("user:2")) is arrives
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    proxy.delay = 0.0
    assert user.getdiff() == {"email": "b@x.yz", "name": "Bob"}
    with suppress(OutcomeUnknown):  # a shared connection lives on, and is mute: the next save finds it out
        await user.save()
    await user.save()
    assert drift(plain, [User]) == []
    assert (await User.get("2")).name == "Bob"


# -- no server, or one that refuses ----------------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        lambda: User.new(name="x").save(),
        lambda: User.get("1"),
        lambda: User.name.find("x"),
        lambda: User.all().count(),
    ],
)
async def test_no_server_is_told_within_a_second(operation: Any) -> None:
    port = free_port()
    before, conf.db = conf._db, Database(f"redis://:secret-password@127.0.0.1:{port}/0")
    started = time.monotonic()
    try:
        with pytest.raises(Unavailable) as caught:
            await operation()
    finally:
        conf._db = before
    assert time.monotonic() - started < limit(1)
    text = str(caught.value)
    assert f"127.0.0.1:{port}" in text
    assert "start a server there, or set conf.db or $REDISCA_URL" in text
    assert "secret-password" not in text


async def test_a_wrong_password_is_told(server: Server, plain: Any) -> None:
    async with session(Database(f"redis://nobody:secret-password@127.0.0.1:{server.port}/0")) as unit:
        with pytest.raises(RediscaError, match="refuses the login") as caught:
            await User.get("1")
        assert "secret-password" not in str(caught.value)
        unit.db.close()


async def test_a_missing_password_is_told_by_every_operation(server: Server, plain: Any, driver: str) -> None:
    """Redis 7 answers the commands themselves, Valkey the handshake; a long command gets another error."""
    plain.config_set("requirepass", "secret-password")
    database = Database(server.url)
    try:
        async with session(database):
            for operation in (
                lambda: User.get("1"),
                lambda: User.all().count(),
                lambda: User.name.find("x"),
                lambda: User.new("1", email="a@x.yz", name="Ada", age=1).save(),
            ):
                with pytest.raises(Unavailable, match=r"refuses the login \(.*\): see user and password"):
                    await operation()
    finally:
        plain.config_set("requirepass", "")
        database.close() if driver == "blocking" else await database.aclose()


REFUSING = (
    b"-NOAUTH Authentication required.\r\n",
    b"-ERR Protocol error: unauthenticated multibulk length\r\n",
)


@pytest.mark.parametrize("answer", REFUSING, ids=["short", "long"])
async def test_a_login_asked_for_after_the_handshake_is_told(answer: bytes, driver: str) -> None:
    """As Redis 7 does. The known-bad way calls it a lost connection: the client has one class for both."""
    with stub(answer) as port:
        database = Database(f"redis://127.0.0.1:{port}/0")
        async with session(database):
            for operation in (User.get("2"), User.new("1", name="Ada").save()):
                with pytest.raises(Unavailable, match=r"refuses the login \(.*\): see user and password"):
                    await operation
        database.close() if driver == "blocking" else await database.aclose()


@contextmanager
def stub(answer: bytes) -> Iterator[int]:
    """The port of a server that answers nothing but *answer*, once per request."""

    class Answer(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while request := self.request.recv(65536):
                commands = len(re.findall(rb"(?:^|\r\n)\*\d+\r\n", request))
                self.request.sendall(answer * commands)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Answer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


async def test_a_server_that_never_answers_is_told_in_time(driver: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        database = Database(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.3)
        started = time.monotonic()
        async with session(database):
            with pytest.raises(
                Unavailable, match=r"cannot connect to 127\.0\.0\.1:\d+ \((no answer|Timeout)"
            ):
                await User.get("1")
        assert time.monotonic() - started < limit(1)
        database.close() if driver == "blocking" else await database.aclose()


async def test_a_server_that_comes_back_is_used_again(
    backend: str, server: Server, proxied: Database, plain: Any
) -> None:
    """Idle connections that the server closed are noticed: nothing is lost, and the next try works."""
    user = await learned(proxied)
    plain.client_kill_filter(_type="normal", skipme=True)
    for _ in range(3):
        with suppress(Unavailable, OutcomeUnknown):
            user.age = 5
            await user.save()
    assert plain.hget("user:1", "age") == b"5"


@pytest.mark.parametrize("field", ["name", "note"])  # one with an index, one without
async def test_a_full_server_is_unavailable_and_nothing_is_half_written(
    server: Server, db: Database, plain: Any, field: str
) -> None:
    user = await learned(db)
    before = plain.dbsize()
    plain.config_set("maxmemory", "1")
    try:
        setattr(user, field, "x" * 100)
        with pytest.raises(Unavailable, match="its memory is full"):
            await user.save()
        with pytest.raises(Unavailable, match="its memory is full"):
            await User.new("2", name="Bob").save()
        assert (await User.get("1")).name == "Ada"
    finally:
        plain.config_set("maxmemory", "0")
    assert plain.dbsize() == before
    assert (await user.save()).getdiff() == {}
    assert drift(plain, [User]) == []


async def test_a_replica_reads_and_refuses_writes(
    backend: str, server: Server, db: Database, plain: Any
) -> None:
    user = await learned(db)
    plain.execute_command("REPLICAOF", "127.0.0.1", free_port())
    try:
        user.age = 9
        with pytest.raises(Unavailable, match="read-only replica"):
            await user.save()
        assert user.getdiff() == {"age": 9}
        assert (await User.get("1")).age == 1
        assert await User.name.find("Ada") == [user]
        query = (User.name == "Ada") & ~(User.age == 5) | (User.age > 50)
        assert await query.order_by(User.age.desc()).limit(3) == [user]
        assert (await query.count(), await query.random(1), (await query.page()).items) == (1, [user], [user])
    finally:
        plain.execute_command("REPLICAOF", "NO", "ONE")
    await user.save()


async def test_a_key_of_another_type_is_told_and_left_alone(db: Database, raw: Any) -> None:
    await User.new("1", name="Ada").save()
    raw.set("user:2", "mine")
    with pytest.raises(
        StoreError, match=rf"'{re.escape(User('2').getkey())}' holds something that is no record"
    ):
        await User.new("2", name="Bob").save()
    raw.set("user/x/name/Eve", "mine")
    user = await User.get("1")
    user.name = "Eve"
    with pytest.raises(StoreError):
        await user.save()
    assert (raw.get("user:2"), raw.get("user/x/name/Eve")) == (b"mine", b"mine")
    assert raw.hgetall("user:1") == {b"name": b"Ada"}
    assert raw.smembers("user/x/name/Ada") == {b"1"}
