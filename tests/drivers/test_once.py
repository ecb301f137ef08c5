"""What many want to know at the same time is asked once, and what comes of it is for all of them."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest

from aioredisca import Database, RediscaError, Unavailable
from aioredisca.drivers.run import run
from aioredisca.types import Call

from ..support.patience import until
from .support import Form, every

MANY = 12

URLS = ["redis+cluster://127.0.0.1:{}", "redis+sentinel://127.0.0.1:{}/shop/0", "redis://127.0.0.1:{}"]
urls = pytest.mark.parametrize("url", URLS, ids=["cluster", "sentinel", "server"])


class Silent:
    """Takes connections, and answers nothing. ``port`` is where, ``taken`` how many."""

    def __init__(self) -> None:
        self._lines = list[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._take)
        self._thread.start()

    def _take(self) -> None:
        while True:
            line, _ = self._listener.accept()
            self._lines.append(line)
            if self._over:
                return

    _over = False

    @property
    def taken(self) -> int:
        return len(self._lines)

    def stop(self) -> None:
        self._over = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        for one in (self._listener, *self._lines):
            one.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    one = Silent()
    yield one
    one.stop()


async def _error_of(database: Database) -> RediscaError:
    with pytest.raises(RediscaError) as caught:
        await database.transport().send(Call(("GET", "a")))
    return caught.value


@urls
def test_threads_share_what_comes_of_one(silent: Silent, url: str) -> None:
    """Nobody waits for the others to wait before: the last would, for as long as all of them together."""
    database = Database(url.format(silent.port), timeout=0.3, connect_timeout=0.3)
    errors, begin = list[RediscaError](), threading.Barrier(MANY)

    def ask() -> None:
        begin.wait()
        errors.append(run(_error_of(database)))

    threads = [threading.Thread(target=ask) for _ in range(MANY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    database.close()
    assert {type(error) for error in errors} == {Unavailable}
    assert len({id(error) for error in errors}) == MANY
    if not url.startswith("redis://"):  # where each has a connection of its own
        assert silent.taken < MANY


@urls
@every
@pytest.mark.asyncio_only
async def test_tasks_share_what_comes_of_one(silent: Silent, url: str, form: Form) -> None:
    """Each has an error of its own: a flush writes on it what was written."""
    database = Database(url.format(silent.port), timeout=0.3, connect_timeout=0.2, transport=form)
    errors = await asyncio.gather(*(_error_of(database) for _ in range(MANY)))
    await database.aclose()
    assert {type(error) for error in errors} == {Unavailable}
    assert len({id(error) for error in errors}) == MANY
    if not url.startswith("redis://") or form != "pool":
        assert silent.taken < MANY


@urls
@every
@pytest.mark.asyncio_only
async def test_who_waits_is_told_that_it_is_closed(silent: Silent, url: str, form: Form) -> None:
    """By an error, not by a cancellation that nobody asked for."""
    database = Database(url.format(silent.port), transport=form)
    waiting = asyncio.create_task(_error_of(database))
    await until(lambda: silent.taken)
    await database.aclose()
    if url.startswith("redis://") and form == "pool":
        waiting.cancel()
        return
    assert type(await waiting) is Unavailable


@urls
@pytest.mark.asyncio_only
async def test_who_gives_up_leaves_it_to_the_others(silent: Silent, url: str) -> None:
    database = Database(url.format(silent.port), timeout=0.3, connect_timeout=0.2)
    waiting = [asyncio.create_task(_error_of(database)) for _ in range(2)]
    await until(lambda: silent.taken)
    waiting[0].cancel()
    assert type(await waiting[1]) is Unavailable
    await database.aclose()
