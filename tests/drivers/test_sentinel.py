"""Whom a process believes to be the primary: what the sentinels say, what the server says, and when both change.

The servers are real, the sentinels say what the test wants them to. Real ones are in test_sentinel_failover.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import pytest

from aioredisca import OutcomeUnknown, Unavailable
from aioredisca.drivers import sentinels as believing
from aioredisca.drivers.aio import primary as asking
from aioredisca.drivers.run import run
from aioredisca.storage.facts import Peer
from aioredisca.types import CacheRegion, Call

from ..support.oracle import SERVICE, Oracle
from ..support.patience import limit, until
from ..support.servers import Server
from .support import Form, every, incr, shared
from .watched import READ, ask, becomes, both, in_loop, opened, pause


def _demote(old: Server, new: Server) -> None:
    """Make *old* a replica, and wait until it has what *new* has."""
    with old.client() as client:
        client.replicaof("127.0.0.1", new.port)
        end = time.monotonic() + limit(5)
        while client.role()[3] != b"connected":
            assert time.monotonic() < end
            time.sleep(0.01)


# -- who is believed ------------------------------------------------------------------------------


@both
async def test_the_primary_is_found(oracles: list[Oracle], old: Server, form: Form) -> None:
    async with opened(*oracles, form=form) as database:
        assert await ask(database, READ) == b"old"
        assert await ask(database, incr("n")) == 1
        assert database.round_trips == 2
        sentinels = database._address.sentinels
        assert sentinels is not None
        assert sentinels.primary == ("127.0.0.1", old.port)


@both
async def test_the_newest_word_counts_wherever_it_stands(
    oracles: list[Oracle], new: Server, form: Form
) -> None:
    """A sentinel that was stopped names the primary of before. The control: where only that answers."""
    for place in range(3):
        oracles[place].names, oracles[place].epoch = new.port, 2
        async with opened(*oracles, form=form) as database:
            assert await ask(database, READ) == b"new"
        alone = [oracle for oracle in oracles if oracle.epoch == 1][:1]
        async with opened(*alone, form=form) as database:
            assert await ask(database, READ) == b"old"
        oracles[place].names, oracles[place].epoch = oracles[place - 1].names, 1


@both
async def test_the_sentinel_that_leads_a_fail_over_is_the_last_to_name_the_new_one(
    oracles: list[Oracle], new: Server, form: Form
) -> None:
    async with opened(*oracles, form=form) as database:
        assert await ask(database, READ) == b"old"
        for oracle in oracles:
            oracle.epoch = 2
        oracles[0].flags, oracles[2].names = "master,failover_in_progress", new.port
        oracles[1].refusal = "ERR no"
        await becomes(lambda: ask(database, READ), b"new")


async def test_what_was_newer_once_is_denied_by_a_majority_only(oracles: list[Oracle], new: Server) -> None:
    for oracle in oracles:
        oracle.names, oracle.epoch = new.port, 5
    async with opened(*oracles) as database:
        sentinels = database._address.sentinels
        assert sentinels is not None
        state = {"ip": "a", "port": 1, "flags": "master", "num-other-sentinels": 2}
        states = [{SERVICE: {**state, "config-epoch": epoch}} for epoch in (5, 4, 4)]
        hosts = sentinels.hosts
        assert sentinels.choose(dict(zip(hosts, states, strict=True)), lambda *_: True) == ("a", 1)
        with pytest.raises(Unavailable, match="a fail-over may be under way"):
            sentinels.choose({hosts[1]: states[1]}, lambda *_: True)
        assert sentinels.choose(dict(zip(hosts[1:], states[1:], strict=True)), lambda *_: True) == ("a", 1)


@both
@pytest.mark.parametrize("verified", [True, False], ids=["verified", "control"])
async def test_a_replica_is_not_believed_whoever_names_it(
    oracles: list[Oracle],
    old: Server,
    new: Server,
    form: Form,
    verified: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The control: without a look at its role, what it holds is read."""
    _demote(old, new)
    if not verified:
        monkeypatch.setattr(believing.Sentinels, "verified", _unverified)
    async with opened(*oracles, form=form) as database:
        if not verified:
            assert await ask(database, READ) == b"new"
            return
        for call in (READ, incr("n")):
            with pytest.raises(Unavailable, match=rf":{old.port} says that it is no primary.*try again"):
                await ask(database, call)
        for oracle in oracles:
            oracle.names, oracle.epoch = new.port, 2
        assert await ask(database, READ) == b"new"


def _unverified(self: believing.Sentinels, node: believing.Node) -> Any:
    self.primary = node
    yield from ()
    return None


# -- when it changes ------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("watched", [True, False], ids=["watched", "control"])
async def test_a_primary_that_was_replaced_is_left_though_it_does_not_know(
    oracles: list[Oracle],
    new: Server,
    form: Form,
    watched: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was cut off, or stopped, and has come back. The control: nobody asks, and it is read for ever."""
    if not watched:
        monkeypatch.setattr(asking, "CHECK", 1000)
        monkeypatch.setattr(believing, "CHECK", 1000)
    async with opened(*oracles, form=form) as database:
        assert await ask(database, READ) == b"old"
        for oracle in oracles:
            oracle.names, oracle.epoch = new.port, 2
        if not watched:
            await pause(0.8)
            assert await ask(database, READ) == b"old"
            return
        await becomes(lambda: ask(database, READ), b"new")
        for _ in range(20):
            assert await ask(database, READ) == b"new"
        assert await ask(database, incr("n")) == 1
    with new.client() as client:
        assert client.get("n") == b"1"


@every
async def test_a_demoted_primary_is_left_as_soon_as_it_says_so(
    oracles: list[Oracle], old: Server, new: Server, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "CHECK", 1000)
    monkeypatch.setattr(believing, "CHECK", 1000)
    async with opened(*oracles, form=form) as database:
        assert await ask(database, incr("n")) == 1
        _demote(old, new)
        with pytest.raises(Unavailable, match="read-only replica"):
            await ask(database, incr("n"))
        with pytest.raises(Unavailable, match="says that it is no primary"):  # nor is it read any more
            await ask(database, READ)
        for oracle in oracles:
            oracle.names, oracle.epoch = new.port, 2
        assert await ask(database, READ) == b"new"
        assert await ask(database, incr("n")) == 1


@shared
@pytest.mark.asyncio_only
async def test_of_many_on_the_way_to_it_reads_come_back_and_writes_did_not_happen(
    oracles: list[Oracle], old: Server, new: Server, form: Form
) -> None:
    """A write that it refused did not happen, and is told so: it is not unknown."""
    async with opened(*oracles, form=form) as database:
        assert await ask(database, READ) == b"old"
        _demote(old, new)
        for oracle in oracles:
            oracle.names, oracle.epoch = new.port, 2
        calls = [incr("first"), *(incr("n") if i % 2 else READ for i in range(100))]
        replies = await asyncio.gather(*(ask(database, call) for call in calls), return_exceptions=True)
        assert isinstance(replies[0], Unavailable)
        assert {*replies[1::2]} == {b"new"}
        writes = replies[2::2]
        assert all(type(reply) is Unavailable or isinstance(reply, int) for reply in writes)
        assert await ask(database, Call(("GET", "n"))) in (
            None,
            b"%d" % sum(isinstance(reply, int) for reply in writes),
        )


@both
async def test_a_server_that_loads_its_data_is_left(
    oracles: list[Oracle], old: Server, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = ("LOADING", "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.")
    async with opened(*oracles, form=form) as database:
        for text in refused:
            await ask(database, READ)
            asked = oracles[0].asked
            script = f"return server.error_reply('{text.replace(chr(39), chr(34))}')"
            with pytest.raises(Unavailable, match="does not take this now"):
                await ask(database, Call(("EVAL", script, 0), writes=True))
            assert await ask(database, READ) == b"old"
            assert oracles[0].asked > asked


@both
async def test_a_lost_connection_asks_anew(
    oracles: list[Oracle], old: Server, new: Server, form: Form, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "CHECK", 1000)
    monkeypatch.setattr(believing, "CHECK", 1000)
    async with opened(*oracles, form=form) as database:
        await ask(database, READ)
        for oracle in oracles:
            oracle.names, oracle.epoch = new.port, 2
        with old.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        await pause(0.05)
        assert await ask(database, READ) == b"new"


@pytest.mark.asyncio_only
async def test_what_was_loaded_from_the_old_primary_is_forgotten(oracles: list[Oracle], new: Server) -> None:
    region = CacheRegion("who", 10)
    load = Call(("GET", "who"), cache_region=region)
    async with opened(*oracles) as database:
        transport = database.transport()
        assert await transport.send(load) == b"old"
        assert transport.cached(region, "who") == b"old"
        for oracle in oracles:
            oracle.names, oracle.epoch = new.port, 2
        await becomes(lambda: ask(database, READ), b"new")
        assert transport.cached(region, "who") is None
        assert await transport.send(load) == b"new"
        assert transport.cached(region, "who") == b"new"


@pytest.mark.asyncio_only
async def test_all_loops_of_a_process_leave_it(oracles: list[Oracle], old: Server, new: Server) -> None:
    """One of them has heard; the others need not ask."""
    async with opened(*oracles) as database:
        await ask(database, READ)
        seen, go_on = list[Any](), threading.Event()

        async def of_thread() -> None:
            seen.append(await ask(database, READ))
            await asyncio.to_thread(go_on.wait)
            await becomes(lambda: ask(database, READ), b"new")
            await database.aclose()

        thread = threading.Thread(target=lambda: asyncio.run(of_thread()))
        thread.start()
        await until(lambda: seen)
        for oracle in oracles:
            oracle.names, oracle.epoch = new.port, 2
        await becomes(lambda: ask(database, READ), b"new")
        go_on.set()
        await asyncio.to_thread(thread.join)
        assert seen == [b"old"]


@pytest.mark.blocking_only
async def test_a_child_process_opens_its_own(oracles: list[Oracle], old: Server) -> None:
    async with opened(*oracles) as database:
        await ask(database, READ)
        mine = old.clients()
        reader, writer = os.pipe()
        if (child := os.fork()) == 0:
            try:
                os.write(writer, await ask(database, READ))
            finally:
                os._exit(0)
        os.waitpid(child, 0)  # noqa: ASYNC222 - it runs in blocking code
        assert os.read(reader, 10) == b"old"
        assert await ask(database, READ) == b"old"
        assert mine <= old.clients()


@both
async def test_those_given_up_at_another_server_are_forgotten(
    oracles: list[Oracle], old: Server, form: Form
) -> None:
    """Else each call would look for them, for ever."""
    async with opened(*oracles, form=form) as database:
        database.facts.given_up.add(Peer("1", "127.0.0.1:1", "127.0.0.1:2"))
        await ask(database, READ)
        assert not database.facts.given_up
        database.facts.given_up.add(Peer("1", "127.0.0.1:1", f"127.0.0.1:{old.port}"))
        await ask(database, incr("n"))
        if form == "pool" or not in_loop():
            assert not database.facts.given_up


@both
async def test_a_primary_that_stands_still_is_left(
    oracles: list[Oracle], old: Server, new: Server, form: Form
) -> None:
    """Of a write on its way nobody knows; where a connection is shared, it is told as soon as sentinels name another.

    A call that has a connection to itself waits for its time limit.
    """
    async with opened(*oracles, form=form, timeout=limit(0.3)) as database:
        await ask(database, READ)
        os.kill(old.process.pid, signal.SIGSTOP)
        try:
            for oracle in oracles:
                oracle.names, oracle.epoch = new.port, 2
            if in_loop() and form != "pool":
                with pytest.raises(OutcomeUnknown, match="the connection was lost"):
                    await ask(database, incr("n"))
            else:
                await pause(1.1)
            assert await ask(database, READ) == b"new"
            assert await ask(database, incr("n")) == 1
        finally:
            os.kill(old.process.pid, signal.SIGCONT)
        await pause(0.1)
        with old.client() as client:
            assert client.get("who") == b"old"
        assert await ask(database, Call(("GET", "n"))) == b"1"


@both
async def test_many_that_connect_at_once_ask_once(oracles: list[Oracle], form: Form) -> None:
    async with opened(*oracles, form=form) as database:
        if in_loop():
            await asyncio.gather(*(ask(database, READ) for _ in range(40)))
        else:
            threads = [threading.Thread(target=lambda: run(ask(database, READ))) for _ in range(40)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert oracles[0].asked < 10
