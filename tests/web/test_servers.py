"""Real servers: nothing bleeds from one request into another, and no answer lies about what is stored.

REDISCA_FULL=1 (``nox -s web-full``) runs every server with the full figures.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from aioredisca import Database, conf, sync

from ..support.patience import limit, until
from .apps import BAD, GOOD
from .support import PER_PUSH, SERVERS, Served, connected, read_answer, serve

pytestmark = [pytest.mark.asyncio_only, pytest.mark.slow]

FULL = os.environ.get("REDISCA_FULL") == "1"
CHOSEN = tuple(SERVERS) if FULL else PER_PUSH
BODY = b"x" * 200_000


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: test\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    return f"POST {path} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


async def fetch(port: int, path: str) -> tuple[int, bytes]:
    async with connected(port) as (reader, writer):
        writer.write(get(path))
        return await read_answer(reader)


async def keep_alive(port: int, round: int) -> int:
    """Two large bodies on one connection: how many of their sessions were not their own."""
    shared = 0
    async with connected(port) as (reader, writer):
        for number in (0, 1):
            writer.write(post(f"/whose?id=k{round}-{number}&slug=k{round}-{number}", BODY))
            await writer.drain()
            status, body = await read_answer(reader)
            assert status == 200, body
            assert json.loads(body)["bytes"] == len(BODY)
            shared += json.loads(body)["shared"]
    return shared


async def pipelined(port: int, round: int) -> int:
    """Four requests in one packet."""
    shared = 0
    async with connected(port) as (reader, writer):
        ids = [f"p{round}-{number}" for number in range(4)]
        writer.write(b"".join(get(f"/whose?id={id}&slug={id}") for id in ids))
        for _ in range(4):
            status, body = await read_answer(reader)
            assert status == 200, body
            shared += json.loads(body)["shared"]
    return shared


@pytest.mark.parametrize("kind", CHOSEN)
async def test_no_request_gets_the_session_of_another(server: Any, raw: Any, kind: str) -> None:
    """T14 of the plan. Large bodies and pipelines make some servers reuse the context of a request."""
    rounds = 1000 if FULL else 30
    with serve(kind, "tests.web.apps:bare", server.url) as web:
        shared = [await keep_alive(web.port, round) for round in range(rounds)]
        shared += [await pipelined(web.port, round) for round in range(rounds)]
    assert sum(shared) == 0
    saved = raw.dbsize() - len(raw.keys("note/*"))
    assert saved == rounds * 6


@pytest.mark.parametrize("kind", ["uvicorn-asyncio-h11"])
async def test_the_known_bad_way_shares_sessions(server: Any, kind: str) -> None:
    with serve(kind, "tests.web.apps:reusing", server.url) as web:
        shared = [await pipelined(web.port, round) for round in range(20)]
        shared += [await keep_alive(web.port, round) for round in range(20)]
    assert sum(shared) > 0


@pytest.mark.parametrize("kind", CHOSEN)
async def test_no_answer_lies(server: Any, raw: Any, kind: str) -> None:
    """T15: never a success without the data, never data with an error, for every kind of answer."""
    raw.hset("note/u/slug", "taken", "0")
    raw.hset("note:0", "slug", "taken")
    layerings = ("handled", "bare", "based") if FULL else ("handled",)
    for app in layerings:
        with serve(kind, f"tests.web.apps:{app}", server.url) as web:
            for name in GOOD:
                raw.delete("note:x")
                assert (await fetch(web.port, f"/{name}?id={app}-{name}&slug={app}-{name}"))[0] < 400
                assert raw.hget(f"note:{app}-{name}", "slug") == f"{app}-{name}".encode()
                status, _ = await fetch(web.port, f"/{name}?id=x&slug=taken")
                assert status == (500 if app == "bare" else 409), name
                assert not raw.exists("note:x"), name
            for name in BAD:
                assert (await fetch(web.port, f"/{name}?id=y&slug=y"))[0] >= 400
                assert not raw.exists("note:y"), name


async def reads_missed(web: Served, raw: Any, rounds: int) -> int:
    missed = 0
    async with connected(web.port) as (reader, writer):
        for number in range(rounds):
            writer.write(get(f"/plain?id={number}&slug={number}"))
            status, _ = await read_answer(reader)
            assert status == 200
            missed += raw.hget(f"note:{number}", "slug") != str(number).encode()
    return missed


@pytest.mark.parametrize("kind", CHOSEN if FULL else CHOSEN[-1:])
async def test_who_has_the_answer_reads_what_was_written(server: Any, raw: Any, kind: str) -> None:
    """T16, with a save that takes 20 ms."""
    with serve(kind, "tests.web.apps:bare", server.url, SLOW_FLUSH="0.02") as web:
        assert await reads_missed(web, raw, 1000 if FULL else 60) == 0


async def test_the_known_bad_way_is_read_too_early(server: Any, raw: Any) -> None:
    with serve("uvicorn-asyncio-h11", "tests.web.apps:after", server.url, SLOW_FLUSH="0.1") as web:
        assert await reads_missed(web, raw, 20) > 10


async def interrupted(web: Served, begun: Path, number: signal.Signals) -> bytes:
    """What comes back for a request that is saving when the server gets the signal *number*."""
    async with connected(web.port) as (reader, writer):
        writer.write(get("/plain?id=1&slug=a"))
        await writer.drain()
        await until(begun.exists)
        web.process.send_signal(number)
        return await reader.readline()


@pytest.mark.parametrize("kind", CHOSEN)
async def test_a_request_in_flight_at_sigterm_is_finished_and_saved(
    server: Any, raw: Any, kind: str, tmp_path: Path
) -> None:
    begun = tmp_path / "begun"
    with serve(kind, "tests.web.apps:bare", server.url, SLOW_FLUSH="0.5", SAVE_BEGUN=str(begun)) as web:
        assert (await interrupted(web, begun, signal.SIGTERM)).split()[1] == b"200"
        assert raw.hget("note:1", "slug") == b"a"
        assert await asyncio.to_thread(web.process.wait, limit(3)) is not None


async def test_the_known_bad_end_saves_nothing(server: Any, raw: Any, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    flush = {"SLOW_FLUSH": "1", "SAVE_BEGUN": str(begun)}
    with serve("uvicorn-asyncio-h11", "tests.web.apps:bare", server.url, **flush) as web:
        assert await interrupted(web, begun, signal.SIGKILL) == b""
    assert not raw.exists("note:1")


async def settled(port: int) -> dict[str, int]:
    """What the server says of its sessions when no more of them go away."""
    found, before = dict[str, int](), sys.maxsize
    while not found or found["sessions"] < before:
        before = found.get("sessions", before)
        await asyncio.sleep(0.3)
        found = json.loads((await fetch(port, "/sessions"))[1])
    return found


async def leak(port: int, requests: int) -> tuple[int, int]:
    """Live sessions, and KiB grown, after requests whose tasks outlive them."""

    async def some(first: int, last: int) -> None:
        async with connected(port) as (reader, writer):
            for number in range(first, last):
                writer.write(get(f"/forget?id=f{number}&slug=f{number}"))
                assert (await read_answer(reader))[0] == 200

    await asyncio.gather(*(some(part * 50, part * 50 + 50) for part in range(4)))
    before = await settled(port)
    share = requests // 4
    await asyncio.gather(*(some(200 + part * share, 200 + part * share + share) for part in range(4)))
    after = await settled(port)
    return after["sessions"], after["kib"] - before["kib"]


async def test_sessions_do_not_outlive_their_requests(server: Any) -> None:
    """T17, with tasks that do, and with the connection that the first request opened."""
    with serve("uvicorn-uvloop-httptools", "tests.web.apps:bare", server.url) as web:
        sessions, grown = await leak(web.port, 10_000 if FULL else 800)
    assert sessions <= 2  # one is of the request that asks
    assert grown < 5 * 1024


async def test_the_known_bad_way_leaks(server: Any) -> None:
    with serve("uvicorn-uvloop-httptools", "tests.web.apps:leaking", server.url) as web:
        sessions, _ = await leak(web.port, 200)
    assert sessions > 200


# -- Flask on gunicorn -----------------------------------------------------------------------------

GUNICORN = {
    "sync": "-w 2",
    "gthread": "-k gthread --threads 8",
    "gevent": "-k gevent",
    "preload": "-w 2 -k gthread --threads 4 --preload",
}


def gunicorn(kind: str, app: str, url: str, **environment: str) -> Served:
    command = (
        f"-m gunicorn -b 127.0.0.1:{{port}} --log-level warning {GUNICORN[kind]} tests.web.flask_apps:{app}"
    )
    return Served(*command.split(), REDISCA_URL=url, **environment)


@asynccontextmanager
async def _many(
    port: int, paths: list[str], ask: Callable[[str], Awaitable[Any]]
) -> AsyncIterator[list[Any]]:
    slots = asyncio.Semaphore(12)

    async def one(path: str) -> Any:
        async with slots:
            return await ask(path)

    yield await asyncio.gather(*(one(path) for path in paths))


async def statuses(port: int, paths: list[str]) -> list[tuple[int, Any]]:
    async def one(path: str) -> Any:
        status, body = await fetch(port, path)
        return status, json.loads(body) if body.startswith(b"{") else None

    async with _many(port, paths, one) as found:
        return found


@pytest.mark.parametrize("kind", GUNICORN if FULL else ["preload"])
async def test_flask_on_gunicorn_saves_all_and_mixes_nothing(server: Any, raw: Any, kind: str) -> None:
    """T23."""
    number = 500 if FULL else 100
    preloaded = {"PRELOADED": "1"} if kind == "preload" else {}
    with gunicorn(kind, "good", server.url, **preloaded) as web:
        answers = await statuses(web.port, [f"/note/{n}?slug={n}" for n in range(number)])
        assert [status for status, _ in answers] == [200] * number
        assert [answer["shared"] for _, answer in answers] == [False] * number
        assert [raw.hget(f"note:{n}", "slug") for n in range(number)] == [b"%d" % n for n in range(number)]
        for path, expected in (
            ("/note/x?slug=1", 409), ("/async/x?slug=1", 409), ("/stream/x?slug=1", 409),
            ("/abort/x?slug=x", 404), ("/stream/s?slug=s", 200), ("/async/a?slug=a", 200),
        ):  # fmt: skip
            assert (await fetch(web.port, path))[0] == expected, path
            assert not raw.exists("note:x")
    assert raw.exists("note:s", "note:a") == 2
    workers = {raw.hget(f"note:{n}", "count") for n in range(number)}
    assert (len(workers) > 1) == (kind in ("sync", "preload"))


async def test_the_known_bad_way_mixes_requests(server: Any) -> None:
    with gunicorn("gthread", "bad", server.url) as web:
        answers = await statuses(web.port, [f"/note/{n}?slug={n}" for n in range(60)])
    assert any(status != 200 or answer["shared"] for status, answer in answers)


# -- fork ------------------------------------------------------------------------------------------


@conf(prefix="note")
class Note(sync.Model):
    slug = sync.String(unique=True)
    count = sync.Integer()


def children(work: Callable[[int], int], number: int = 2) -> int:
    """Fork *number* processes that count wrong answers, up to 250; a child that breaks or hangs is 250."""
    pids = list[int]()
    for child in range(number):
        pid = os.fork()
        if pid == 0:
            alarm = threading.Timer(20, os._exit, (250,))
            alarm.daemon = True
            alarm.start()
            try:
                os._exit(min(work(child), 250))
            except BaseException:
                os._exit(250)
        pids.append(pid)
    return sum(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_workers_get_no_answers_of_each_other(server: Any, raw: Any) -> None:
    """T19: connected before the fork, both colours, two children at once."""
    database = Database(server.url)
    operations = 300

    def ask(child: int) -> int:
        wrong = 0
        with sync.session(database):
            for number in range(operations):
                note = Note.new(f"{child}-{number}", count=number).save()
                note.unload()
                wrong += note.count != number
        return wrong

    async def connect() -> None:
        with sync.allow_blocking():
            Note("warm").exists()

    for _ in range(50 if FULL else 3):
        raw.flushall()
        with sync.session(database):
            Note("warm").exists()
        asyncio.run(connect())
        assert children(ask) == 0
    database.close()


@pytest.mark.filterwarnings("ignore")
def test_the_known_bad_way_mixes_answers_after_a_fork(server: Any) -> None:
    """A redis.asyncio client that was connected before the fork."""
    loop = asyncio.new_event_loop()
    client = redis.asyncio.Redis(port=server.port, single_connection_client=True)
    gate = multiprocessing.get_context("fork").Barrier(2)

    async def ask(child: int) -> int:
        wrong = 0
        try:
            async with asyncio.timeout(5):
                for number in range(300):
                    if number % 10 == 0:
                        gate.wait(10)  # in step, also where one of them had to wait for a processor
                    wrong += await client.echo(f"{child}-{number}") != f"{child}-{number}".encode()
        finally:
            gate.abort()
        return wrong

    loop.run_until_complete(client.echo("warm"))
    # Once in a long while the children take turns so neatly that nothing is mixed.
    assert any(children(lambda child: loop.run_until_complete(ask(child))) for _ in range(5))
    loop.run_until_complete(client.aclose())
    loop.close()
