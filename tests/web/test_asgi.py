"""The ASGI middleware: what is saved, when, and in whose session."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging
import weakref
from functools import partial
from typing import Any

import pytest
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from aioredisca import Database, SessionClosed, UniqueViolation, UsageError, session
from aioredisca.asgi import KEY, AutosaveMiddleware
from aioredisca.model.sessions import Session, current_session

from ..support.drift import drift
from . import apps
from .apps import AUTOSAVE, BAD, GOOD, Note, make
from .asgi_layers import LAYERS
from .support import Answer, ask, http

pytestmark = pytest.mark.asyncio_only


async def refused(app: Any, path: str, raw: Any) -> Answer:
    """A request whose save is refused: its answer, of which nothing is stored."""
    await Note("0").delete()
    await Note.new("0", slug="taken").save()
    answer = await ask(app, f"{path}?id=1&slug=taken")
    assert not raw.exists("note:1")
    assert drift(raw, [Note]) == []
    return answer


# -- what is saved, and when ---------------------------------------------------------------------


@pytest.mark.memory_only
@pytest.mark.parametrize("layers", LAYERS)
async def test_success_is_saved_before_the_answer_begins(db: Database, raw: Any, layers: str) -> None:
    def look(stored: list[Any], kind: str) -> None:
        stored.append(raw.hget(f"note:{kind}", "slug"))

    for kind in GOOD:
        stored = list[Any]()
        answer = await ask(
            make(*LAYERS[layers]),
            f"/{kind}?id={kind}&slug={kind}",
            at_start=partial(look, stored, kind),
        )
        assert (answer.error, answer.status < 400) == (None, True), kind
        assert stored == [kind.encode()], kind
        assert raw.exists(f"note:{kind}+") == layers.startswith("changed"), kind


async def test_the_known_bad_way_saves_after_the_answer(db: Database, raw: Any) -> None:
    stored = list[Any]()
    answer = await ask(
        apps.after, "/plain?id=1&slug=a", at_start=lambda: stored.append(raw.hget("note:1", "slug"))
    )
    assert (answer.status, stored, raw.hget("note:1", "slug")) == (200, [None], b"a")
    await Note.new("0", slug="taken").save()
    assert (await ask(apps.after, "/plain?id=2&slug=taken")).status == 200  # and the data is lost


@pytest.mark.memory_only
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # old Starlette leaves a file open
@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("handler", [None, apps.conflict, apps.conflict_in_thread])
async def test_a_refused_save_is_an_error_and_nothing_of_the_answer(
    db: Database, raw: Any, layers: str, handler: Any
) -> None:
    await Note.new("0", slug="taken").save()
    for kind in GOOD:
        answer = await refused(make(*LAYERS[layers], handler=handler), f"/{kind}", raw)
        if handler is None:
            assert answer.status == 500, kind
            assert isinstance(answer.error, UniqueViolation), kind
            assert answer.body in (b"", b"Internal Server Error"), kind
        else:
            assert (answer.error, answer.status) == (None, 409), kind
            assert b"UniqueViolation" in answer.body, kind


@pytest.mark.parametrize("kind", BAD)
async def test_an_answer_of_400_or_more_saves_nothing(db: Database, raw: Any, kind: str) -> None:
    answer = await ask(make(), f"/{kind}?id=1&slug=a")
    assert answer.status >= 400
    assert (answer.error is not None) == (kind == "broken")
    assert not raw.keys("*")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_every_method_has_the_same_rule(db: Database, raw: Any, method: str) -> None:
    assert (await ask(make(), "/plain?id=1&slug=a", method)).status == 200
    assert raw.hget("note:1", "slug") == b"a"


async def test_save_if_decides_by_status(db: Database, raw: Any) -> None:
    app = make(save_if=lambda status: status == 404)
    assert (await ask(app, "/returned?id=1&slug=a")).status == 404
    assert (await ask(app, "/raised?id=2&slug=b")).status == 404
    assert (await ask(app, "/plain?id=3&slug=c")).status == 200
    assert [raw.exists(f"note:{n}") for n in (1, 2, 3)] == [1, 1, 0]


async def test_keep_and_discard_override_the_status(db: Database, raw: Any) -> None:
    assert (await ask(make(), "/keep?id=1&slug=a")).status == 401
    assert raw.hget("note:1", "slug") == b"a"
    answer = await ask(make(), "/keep?id=2&slug=b&broken=1")
    assert (answer.status, type(answer.error)) == (500, ZeroDivisionError)
    assert raw.hget("note:2", "slug") == b"b"
    assert (await ask(make(), "/discard?id=3&slug=c")).status == 200
    assert not raw.exists("note:3")


async def test_an_explicit_save_stays_whatever_the_answer(db: Database, raw: Any) -> None:
    assert (await ask(make(), "/saved?id=1&slug=a")).status == 404
    assert raw.hgetall("note:1") == {b"slug": b"a"}


async def test_without_autosave_it_gives_identity_only(db: Database, raw: Any) -> None:
    app = make(autosave=False)
    assert (await ask(app, "/plain?id=1&slug=a")).status == 200
    assert (await ask(app, "/late_stream?id=1&slug=a")).status == 200
    assert not raw.keys("*")
    assert (await ask(app, "/keep?id=1&slug=a")).status == 401
    assert raw.exists("note:1")


async def test_the_database_may_be_given(db: Database, raw: Any) -> None:
    other = Database("memory://")
    await ask(make(db=other), "/plain?id=1&slug=a")
    assert not raw.keys("*")
    async with session(other):
        assert (await Note.get("1")).slug == "a"
    await other.aclose()


# -- after the answer began ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["late_stream", "late_background"])
async def test_late_changes_are_saved_at_the_end(db: Database, raw: Any, kind: str) -> None:
    answer = await ask(make(), f"/{kind}?id=1&slug=a")
    assert (answer.status, answer.error) == (200, None)
    assert raw.hget("note:1", "slug") == b"a"


@pytest.mark.parametrize("kind", ["late_stream", "late_background"])
async def test_a_late_save_that_fails_is_raised_into_the_server(db: Database, raw: Any, kind: str) -> None:
    answer = await refused(make(handler=apps.conflict), f"/{kind}", raw)
    assert answer.status == 200  # too late for another
    assert isinstance(answer.error, UniqueViolation)


async def test_late_changes_may_be_dropped_or_refused(
    db: Database, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask(make(late="discard"), "/late_stream?id=1&slug=a")
    assert (answer.status, answer.error) == (200, None)
    assert "changes of 1 records (Note) are dropped: they were changed after" in caplog.text
    answer = await ask(make(late="error"), "/late_stream?id=1&slug=a")
    assert isinstance(answer.error, UsageError)
    assert not raw.keys("*")


async def test_late_changes_of_an_answer_that_does_not_save_are_dropped_with_a_warning(
    db: Database, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask(make(), "/late_stream?id=1&slug=a&status=404")
    assert (answer.status, answer.error) == (404, None)
    assert "it does not save" in caplog.text
    assert not raw.keys("*")


async def test_a_stream_that_breaks_saves_nothing_late(db: Database, raw: Any) -> None:
    answer = await ask(make(), "/late_stream?id=1&slug=a&broken=1")
    assert answer.error is not None
    assert not raw.keys("*")


@pytest.mark.parametrize(("seen", "saved"), [(1, 0), (2, 1)])
async def test_a_stream_that_the_client_leaves_saves_what_it_did_if_the_app_ends_well(
    db: Database, raw: Any, seen: int, saved: int
) -> None:
    """Starlette stops the stream and returns as if all was sent."""
    answer = await ask(make(), "/late_stream?id=1&slug=a", gone_after=seen)
    assert answer.error is None
    assert raw.exists("note:1") == saved


async def test_a_stream_whose_server_raises_when_the_client_leaves_saves_nothing_late(
    db: Database, raw: Any
) -> None:
    """As servers do since version 2.4 of the specification."""

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def send(message: Any) -> None:
        if message.get("body") == b"two":
            raise OSError

    scope = {**http("/late_stream?id=1&slug=a"), "asgi": {"version": "3.0", "spec_version": "2.4"}}
    with pytest.raises((ClientDisconnect, OSError)):
        await make()(scope, receive, send)
    assert not raw.exists("note:1")


async def test_a_client_that_goes_away_from_a_plain_endpoint_changes_nothing(db: Database, raw: Any) -> None:
    await ask(make(), "/plain?id=1&slug=a", gone_after=0)
    assert raw.hget("note:1", "slug") == b"a"


# -- whose session it is -------------------------------------------------------------------------


async def test_a_session_that_the_context_holds_is_not_taken(db: Database) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(current_session())
        if scope["type"] == "http":
            assert scope[KEY] is current_session()
            await JSONResponse("fine")(scope, receive, send)

    seen = list[Any]()
    app_ = AutosaveMiddleware(app)

    async def nothing(*_: Any) -> Any: ...

    async with session() as leaked:
        for scope in (http("/"), {"type": "websocket"}, {"type": "lifespan"}, {"type": "new"}):
            await app_(scope, nothing, nothing)
            assert current_session() is leaked
    assert [type(each) for each in seen] == [Session, type(None), type(None), type(None)]
    assert seen[0] is not leaked
    assert seen[0].closed


async def test_inside_another_the_outer_session_serves(db: Database, raw: Any) -> None:
    twice = make(AUTOSAVE, AUTOSAVE, Middleware(AutosaveMiddleware, db="memory://"))
    assert (await ask(twice, "/plain?id=1&slug=a")).status == 200
    assert (await ask(make(), "/sub/plain?id=2&slug=b")).status == 200
    assert [raw.exists(f"note:{n}") for n in (1, 2)] == [1, 1]
    await Note.new("0", slug="taken").save()
    assert (await ask(make(handler=apps.conflict), "/sub/plain?id=3&slug=taken")).status == 409


async def test_the_mounted_app_answers_for_its_own_errors(db: Database) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    async def teapot(request: Any, error: Exception) -> Any:
        return JSONResponse("short and stout", 418)

    await Note.new("0", slug="taken").save()
    inner = Starlette(routes=apps.ROUTES, exception_handlers={UniqueViolation: teapot})
    outer = Starlette(
        routes=[Mount("/sub", inner)],
        middleware=[AUTOSAVE],
        exception_handlers={UniqueViolation: apps.conflict},
    )
    assert (await ask(outer, "/sub/plain?id=3&slug=taken")).status == 418


async def test_a_task_that_outlives_the_request_cannot_change_its_records(db: Database) -> None:
    await ask(make(), "/forget?id=1&slug=a")
    with pytest.raises(SessionClosed):
        await apps.tasks.pop()


async def test_no_record_outlives_its_request(db: Database) -> None:
    alive = list[Any]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        note = Note("1")
        note.slug = "a"
        alive.append(weakref.ref(note))
        await JSONResponse("fine")(scope, receive, send)

    for _ in range(20):
        await ask(AutosaveMiddleware(app), "/")
    gc.collect()
    assert [reference() for reference in alive] == [None] * 20


# -- other apps ----------------------------------------------------------------------------------


async def test_error_response_answers_for_apps_that_are_not_starlette(db: Database, raw: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        Note("1").slug = "taken"
        await JSONResponse("fine")(scope, receive, send)

    def plain(scope: Any, error: Exception) -> Any:
        assert scope["path"] == "/"
        return JSONResponse(type(error).__name__, 409) if isinstance(error, UniqueViolation) else None

    async def coroutine(scope: Any, error: Exception) -> Any:
        return plain(scope, error)

    for error_response in (plain, coroutine):
        answer = await refused(AutosaveMiddleware(app, error_response=error_response), "/", raw)
        assert (answer.status, answer.body, answer.error) == (409, b'"UniqueViolation"', None)
    answer = await refused(AutosaveMiddleware(app), "/", raw)
    assert (answer.messages, type(answer.error)) == ([], UniqueViolation)


async def test_an_inner_layer_that_swallows_the_error_cannot_report_success(db: Database, raw: Any) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        Note("1").slug = "taken"
        status = int(scope["path"][1:])
        try:
            await JSONResponse("fine")(scope, receive, send)
        except UniqueViolation:
            if status:
                await JSONResponse("mine", status)(scope, receive, send)
            else:
                await send({"type": "http.response.body", "body": b"fine"})

    app_ = AutosaveMiddleware(app)
    answer = await refused(app_, "/422", raw)
    assert (answer.status, answer.body, answer.error) == (422, b'"mine"', None)
    for status in (200, 0):
        answer = await refused(app_, f"/{status}", raw)
        assert (answer.messages, type(answer.error)) == ([], UniqueViolation)


async def test_an_app_that_never_answers_saves_nothing(
    db: Database, raw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        Note("1").slug = "a"

    caplog.set_level(logging.WARNING)
    await ask(AutosaveMiddleware(app), "/")
    assert not raw.keys("*")
    assert "are dropped" in caplog.text


def test_senseless_options_are_refused() -> None:
    with pytest.raises(UsageError, match="late is 'save', 'discard' or 'error'"):
        AutosaveMiddleware(make(), late="never")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="timeout=0"):
        AutosaveMiddleware(make(), timeout=0)


async def test_keep_and_discard_in_an_explicit_session(db: Database, raw: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async with session() as unit:
            assert isinstance(unit, Session)
            Note("1").slug = "a"
            unit.keep()
            raise ZeroDivisionError
    async with session(autosave=True) as unit:
        assert isinstance(unit, Session)
        Note("2").slug = "b"
        unit.keep()
        unit.discard()
        Note("3").slug = "c"
    assert [raw.exists(f"note:{n}") for n in (1, 2, 3)] == [1, 0, 1]


async def test_a_context_of_its_own_does_not_share(db: Database) -> None:
    async with session() as unit:
        assert current_session() is unit
        assert contextvars.Context().run(current_session) is None
