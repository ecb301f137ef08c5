"""The ASGI middleware: a request that is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from starlette.responses import JSONResponse

from aioredisca import Database, OutcomeUnknown
from aioredisca.asgi import KEY, AutosaveMiddleware, finish
from aioredisca.model.sessions import Session

from .apps import Note, make
from .asgi_layers import LAYERS
from .support import ask, http

pytestmark = pytest.mark.asyncio_only


def slow_flush(monkeypatch: pytest.MonkeyPatch, begun: asyncio.Event, seconds: float = 0.1) -> None:
    flush = Session.flush

    async def slow(self: Session) -> None:
        begun.set()
        await asyncio.sleep(seconds)
        await flush(self)

    monkeypatch.setattr(Session, "flush", slow)


async def by_cancel(app: Any, begun: asyncio.Event) -> None:
    task = asyncio.create_task(app())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def when(begun: asyncio.Event, then: Callable[[], object]) -> None:
    """The save has begun: now the time is up."""
    await begun.wait()
    then()


WAIT = 0.4
"""Seconds within which a save begins, also where the machine is busy."""


async def by_timeout(app: Any, begun: asyncio.Event) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as time:
            ending = asyncio.create_task(when(begun, lambda: time.reschedule(0)))
            await app()
    await ending


async def by_wait_for(app: Any, begun: asyncio.Event) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(app(), WAIT)


async def by_scope(app: Any, begun: asyncio.Event) -> None:
    with anyio.CancelScope() as scope:  # after a shield the answer may still get out
        ending = asyncio.create_task(when(begun, scope.cancel))
        await app()
    await ending


@pytest.mark.memory_only
@pytest.mark.parametrize("how", [by_cancel, by_timeout, by_wait_for, by_scope])
@pytest.mark.parametrize("layers", ["plain", "base both sides", "gzip inside"])
async def test_a_cancellation_lets_a_save_that_began_finish(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, how: Any, layers: str
) -> None:
    begun = asyncio.Event()
    slow_flush(monkeypatch, begun, 2 * WAIT if how is by_wait_for else 0.1)
    sent = list[Any]()

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        sent.append(message)

    await how(lambda: make(*LAYERS[layers])(http("/plain?id=1&slug=a"), receive, send), begun)
    assert raw.hget("note:1", "slug") == b"a"


@pytest.mark.memory_only
@pytest.mark.parametrize("how", [by_cancel, by_timeout, by_wait_for])
async def test_the_known_bad_way_tears_a_save_in_spite_of_a_shield(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, how: Any
) -> None:
    begun = asyncio.Event()
    slow_flush(monkeypatch, begun, 2 * WAIT if how is by_wait_for else 0.1)

    async def app() -> None:
        async with Session() as unit:
            Note("1").slug = "a"
            with anyio.CancelScope(shield=True):
                await unit.flush()

    await how(app, begun)
    await asyncio.sleep(0.15 if how is not by_wait_for else 1.5 * WAIT)
    assert not raw.exists("note:1")


async def test_a_cancellation_before_the_answer_drops_the_changes(db: Database, raw: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        Note("1").slug = "a"
        scope[KEY].keep()
        begun.set()
        await asyncio.sleep(60)

    begun = asyncio.Event()
    await by_cancel(lambda: AutosaveMiddleware(app)(http("/"), None, None), begun)  # type: ignore[arg-type]
    assert not raw.keys("*")


async def test_an_app_that_answers_after_a_cancellation_may_do_so(db: Database, raw: Any) -> None:
    """As a middleware does that answers 504 when the time is up; what was saved by then stays."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        try:
            async with asyncio.timeout(0.01):
                Note("1").slug = "a"
                await asyncio.sleep(60)
        except TimeoutError:
            await JSONResponse("late", 504)(scope, receive, send)

    assert (await ask(AutosaveMiddleware(app), "/")).status == 504
    assert not raw.keys("*")


async def test_a_save_that_never_ends_is_ended() -> None:
    async def stuck() -> None:
        await asyncio.sleep(60)

    with pytest.raises(OutcomeUnknown, match=r"more than 0\.02 s"):
        await finish(stuck(), 0.02)


async def test_a_save_that_fails_in_a_cancelled_request_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        await asyncio.sleep(0.02)
        raise ZeroDivisionError

    task = asyncio.create_task(finish(fails(), 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "saving failed in a request that was cancelled" in caplog.text
