"""Threads and greenlets take turns: slots, attempts to connect, and what an exception must not break."""

from __future__ import annotations

import gc
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import Any, cast

import pytest

from aioredisca import Database, OutcomeUnknown, Unavailable
from aioredisca.drivers.blocking.slots import Slots
from aioredisca.drivers.run import run
from aioredisca.types import Call

from ..support.patience import limit
from ..support.servers import Server, free_port
from .support import LONG, ask, incr, ping

pytestmark = pytest.mark.blocking_only


def slots_of(database: Database) -> Slots:
    return cast("Any", database._transports.blocking)._slots  # type: ignore[no-any-return]


# -- slots -----------------------------------------------------------------------------------------


def test_slots_go_to_whoever_has_waited_longest() -> None:
    slots, order = Slots(1), list[int]()
    held = slots.take(1)
    assert held is not None
    assert slots.take(0) is None

    def work(number: int) -> None:
        slot = slots.take(limit(2))
        assert slot is not None
        order.append(number)
        slots.give(slot)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
    for number, thread in enumerate(threads):
        thread.start()
        while len(slots._waiting) <= number:
            time.sleep(0.001)
    slots.give(held)
    for thread in threads:
        thread.join()
    assert order == [*range(20)]


def test_a_slot_that_nobody_refers_to_is_free_again() -> None:
    slots = Slots(2)
    one, two = slots.take(1), slots.take(1)
    assert one is not None
    assert two is not None
    waited = list[Any]()
    thread = threading.Thread(target=lambda: waited.append(slots.take(limit(1))))
    thread.start()
    while not slots._waiting:
        time.sleep(0.001)
    del one  # goes to the one that waits
    thread.join()
    assert waited != [None]
    waited.clear()
    assert slots.take(0.01) is not None
    assert len(slots._free) == 1
    slots.give(two)
    assert len(slots._free) == 2


def test_whoever_gave_up_waiting_gets_none() -> None:
    slots = Slots(1)
    slot = slots.take(1)
    assert slots.take(0.01) is None
    assert slot is not None
    slots.give(slot)
    assert slots.take(0.01) is not None


class Interrupt(Exception):
    pass


def test_an_exception_of_a_signal_at_any_line_loses_no_slot(server: Server) -> None:
    """Raised at each line of the transport in turn, and of what it calls."""
    database = Database(server.url, max_connections=3, **LONG)
    run(ask(database, incr("n")))
    folder = sys.modules["aioredisca.drivers.blocking"].__path__[0]
    at, raised, left = 0, 0, 0
    before = sys.gettrace()  # that of coverage, which must go on counting afterwards

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal left, raised
        if not frame.f_code.co_filename.startswith(folder):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raised += 1
                raise Interrupt
        return trace

    while True:
        at += 1
        left = at
        sys.settrace(trace)
        try:
            with suppress(Interrupt):
                run(ask(database, incr("n")))
        finally:
            sys.settrace(before)
        if left > 0:
            break
    gc.collect()
    assert raised > 30
    assert len(slots_of(database)._free) == 3
    assert run(ask(database, ping("x"))) == b"x"
    database.close()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_an_alarm_while_waiting_for_an_answer(server: Server) -> None:
    """What is lost with it is a connection, not a slot; the write is fenced off."""
    database = Database(server.url, max_connections=2, **LONG)
    run(ask(database, ping("x")))

    def ring(*_: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for _ in range(5):
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            with pytest.raises(Interrupt):
                run(ask(database, Call(("BLPOP", "none", "1"), writes=True)))
            assert len(database.facts.given_up) == 1
            assert run(ask(database, ping("x"))) == b"x"
            assert not database.facts.given_up
    finally:
        signal.signal(signal.SIGALRM, before)
    assert len(slots_of(database)._free) == 2
    database.close()


@pytest.mark.slow
def test_two_hundred_greenlets_share_ten_connections(server: Server) -> None:
    """None of them starves while others come again and again."""
    pytest.importorskip("gevent")
    program = f"""
from gevent import monkey; monkey.patch_all()
import gevent, time
from aioredisca import Database
from aioredisca.drivers.run import run
from aioredisca.types import Call
database = Database({server.url!r}, max_connections=10, timeout={limit(2)})
done = [0] * 200
end = time.monotonic() + 2
async def ask(): return await database.transport().send(Call(("ECHO", "x")))
def work(number):
    while time.monotonic() < end:
        assert run(ask()) == b"x"
        done[number] += 1
gevent.joinall([gevent.spawn(work, number) for number in range(200)], raise_error=True)
print(min(done), max(done), len(database._transports.blocking._idle))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    least, most, connections = map(int, found.stdout.split())
    assert least > 0
    assert most <= least + 2, (least, most)
    assert connections == 10


# -- attempts --------------------------------------------------------------------------------------


def test_threads_share_the_attempts_to_connect_while_the_server_is_away() -> None:
    attempts, failures, end = 0, 0, time.monotonic() + 1.0
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        listener.settimeout(0.1)
        database = Database(f"redis://127.0.0.1:{listener.getsockname()[1]}", **LONG)

        def refuse() -> None:
            nonlocal attempts
            while not stop:
                with suppress(TimeoutError):
                    listener.accept()[0].close()
                    attempts += 1

        def insist() -> None:
            nonlocal failures
            while time.monotonic() < end:
                with suppress(Unavailable):
                    run(ask(database, ping("x")))
                failures += 1

        stop = False
        server = threading.Thread(target=refuse)
        threads = [threading.Thread(target=insist) for _ in range(30)]
        for thread in (server, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        stop = True
        server.join()
    assert failures > 30
    assert attempts < 30 + 40  # the first of each, before anybody knew
    database.close()


def test_a_server_that_comes_back_is_used_at_once_by_all(server: Server) -> None:
    database = Database(f"redis://127.0.0.1:{free_port()}", **LONG)
    for _ in range(3):
        with pytest.raises(Unavailable, match="cannot connect"):
            run(ask(database, ping("x")))
    transport: Any = database._transports.blocking
    transport._options["port"] = server.port
    replies = list[Any]()
    threads = [
        threading.Thread(target=lambda: replies.append(run(ask(database, ping("x"))))) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert replies == [b"x"] * 20
    database.close()


def test_looking_up_a_name_counts_in_the_time_limit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    look_up = socket.getaddrinfo

    def slowly(*args: Any, **kwargs: Any) -> Any:
        time.sleep(0.4)
        return look_up(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slowly)
    database = Database(server.url, timeout=0.2)
    with pytest.raises(Unavailable, match=r"cannot connect to .* \(no answer in time\)"):
        run(ask(database, incr("n")))
    database.close()
    database = Database(server.url, **LONG)
    assert run(ask(database, incr("n"))) == 1
    database.close()


# -- answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["fast", "public"])
def test_an_answer_that_nobody_asked_for_is_taken_by_nobody(form: Any) -> None:
    """Reads are asked again over another connection; of a write nobody knows."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        extra = list[bytes]()

        def serve(peer: socket.socket) -> None:
            with suppress(OSError), peer:
                while data := peer.recv(65536):
                    name = data.split(b"\r\n")[2].upper()
                    answer = (
                        b"$4\r\nmine\r\n" if name == b"ECHO" else b":7\r\n" if name == b"INCR" else b"+OK\r\n"
                    )
                    peer.sendall(
                        (answer * data.count(b"*") if name == b"CLIENT" else answer) + b"".join(extra)
                    )
                    if name != b"CLIENT":
                        extra.clear()

        def listen() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

        threading.Thread(target=listen, daemon=True).start()
        database = Database(f"redis://127.0.0.1:{listener.getsockname()[1]}", transport=form, **LONG)
        assert run(ask(database, ping("x"))) == b"mine"
        extra.append(b"$5\r\nother\r\n")
        assert run(ask(database, ping("x"))) == b"mine"
        time.sleep(0.05)
        assert run(ask(database, ping("x"))) == b"mine"
        extra.append(b"$5\r\nother\r\n")
        with suppress(OutcomeUnknown):  # the public form sees it when it asks next
            assert run(ask(database, incr("n"))) == 7
        assert run(ask(database, incr("n"))) == 7
        assert run(ask(database, ping("x"))) == b"mine"
        database.close()
        listener.shutdown(socket.SHUT_RDWR)
