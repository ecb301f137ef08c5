"""A server that reads slowly or not at all: who waits, for how long, and in how few packets all goes out."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import time
from typing import Any, cast

import pytest

from aioredisca import OutcomeUnknown, Unavailable
from aioredisca.drivers.aio.connection import HIGH_WATER, PACKET
from aioredisca.types import Call

from ..support.patience import limit
from ..support.proxy import Proxy
from ..support.servers import Server
from .support import Form, ask, command, connection_of, opened, ping, shared, turns

pytestmark = pytest.mark.asyncio_only


def flow_controlled() -> bool:
    own = vars(cast("Any", asyncio.selector_events)._SelectorSocketTransport).get("writelines")
    return own is None or "_maybe_pause" in inspect.getsource(own)


@pytest.mark.slow
@shared
async def test_a_call_that_was_never_sent_is_unavailable_even_if_it_writes(own: Server, form: Form) -> None:
    """The server reads nothing: what fills the socket is unknown, what waits behind it did not happen."""
    if form == "public" and not flow_controlled():
        pytest.skip("writelines() of this Python has no flow control, as in 3.12.1 and 3.13.0")
    async with opened(own.url, form, timeout=1.5) as database:
        await ask(database, ping("x"))
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
        assert "took no request within 1.5 s" in str(outcome[-1]) or "cannot connect" in str(outcome[-1])
        await asyncio.sleep(0.2)
        assert await ask(database, Call(("EXISTS", *(f"k{i}" for i in range(sent, 40))))) == 0


@shared
async def test_backpressure_lets_everybody_through_in_turn(proxy: Proxy, form: Form) -> None:
    """One task that writes megabytes does not keep the others waiting for all of them."""
    order = list[str]()

    async def work(name: str, text: str) -> None:
        await ask(database, Call(("SET", name, text), writes=True))
        order.append(name)

    async with opened(proxy.url, form, timeout=limit(20)) as database:
        await ask(database, ping("x"))
        names = [f"{'big' if i % 10 == 0 else 'small'}{i}" for i in range(100)]
        tasks = [
            asyncio.create_task(work(n, "x" * (4 * HIGH_WATER if n.startswith("big") else 10))) for n in names
        ]
        await asyncio.gather(*tasks)
        assert order == names
        assert connection_of(database).accepts


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
        line = connection_of(database)
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


@pytest.mark.slow
@shared
async def test_calls_that_come_back_unsent_keep_their_time(server: Server, form: Form) -> None:
    """The server hung up in an idle hour, and to connect anew takes longer than a turn of the loop."""
    async with opened(server.url, form, timeout=2) as database:
        await ask(database, ping("x"))
        await asyncio.sleep(2.1)  # no timer looks after anything any more
        transport, line = cast("Any", database.transport()), connection_of(database)
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
        assert connection_of(database) is not line


async def test_a_turn_of_the_loop_leaves_in_few_packets(server: Server) -> None:
    """The first goes at once, then ever larger ones: the server works meanwhile."""
    async with opened(server.url, "fast") as database:
        await ask(database, ping("x"))
        sizes, transport = list[int](), connection_of(database)._transport
        written = Spied(transport, sizes)
        connection_of(database)._transport = written
        texts = [f"{i:0100}" for i in range(500)]
        assert await asyncio.gather(*(ask(database, ping(text)) for text in texts)) == [
            t.encode() for t in texts
        ]
        each = len(command("ECHO", texts[0]))
        assert sum(sizes) == 500 * each
        assert sizes[0] == each
        packets = [PACKET << i for i in range(len(sizes) - 2)]
        assert all(most < size <= most + each for size, most in zip(sizes[1:-1], packets, strict=True))
        connection_of(database)._transport = transport


class Spied:
    """A transport that notes how much is written at once."""

    def __init__(self, of: Any, sizes: list[int]) -> None:
        self._of, self._sizes = of, sizes

    def write(self, data: bytes) -> None:
        self._sizes.append(len(data))
        self._of.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._of, name)
