"""Quart, Litestar, Django and Celery, each with the real framework: saved, refused, dropped."""

from __future__ import annotations

import json
import os
import time
from typing import Any

import pytest
from litestar import Request
from litestar.response import Redirect, Stream

from aioredisca import Conflict, Database, NotFound, UsageError, conf, sync
from aioredisca.model.sessions import current_session

from ..support.django_site import configured
from ..support.patience import limit
from .apps import Note
from .support import Served, ask

pytestmark = pytest.mark.asyncio_only


@conf(prefix="note")
class BlockingNote(sync.Model):
    slug = sync.String(unique=True)
    count = sync.Integer()


def change(model: Any, query: Any) -> None:
    model(query["id"]).slug = query["slug"]


async def expect(app: Any, raw: Any, good: tuple[str, ...], bad: tuple[str, ...], refused: int) -> None:
    """Every answer of *good* saves before it begins or is refused whole, none of *bad* saves."""
    await Note.new("0", slug="taken").save()
    for kind in good:
        stored = list[Any]()

        def look(kind: str = kind, stored: list[Any] = stored) -> None:
            stored.append(raw.hget(f"note:{kind}", "slug"))

        answer = await ask(app, f"/{kind}?id={kind}&slug={kind}", at_start=look)
        assert (answer.status < 400, stored) == (True, [kind.encode()]), kind
        answer = await ask(app, f"/{kind}?id=x&slug=taken")
        assert answer.status == refused, (kind, answer)
        assert not raw.exists("note:x"), kind
    for kind in bad:
        answer = await ask(app, f"/{kind}?id={kind}&slug={kind}")
        assert answer.status >= 400, kind
        assert not raw.exists(f"note:{kind}"), kind


# -- Quart -----------------------------------------------------------------------------------------


def quart_app(handler: Any = None, **options: Any) -> Any:
    import quart

    from aioredisca.quart import QuartRedisca

    app = quart.Quart("shop")

    @app.get("/plain")
    async def plain() -> Any:
        change(Note, quart.request.args)
        return "fine"

    @app.get("/sync")
    def in_thread() -> Any:
        change(Note, quart.request.args)
        return "fine"

    @app.get("/stream")
    async def stream() -> Any:
        change(Note, quart.request.args)

        async def body() -> Any:
            yield b"one"
            yield b"two"

        return body()

    @app.get("/late")
    async def late() -> Any:
        id = quart.request.args["id"]

        async def body() -> Any:
            yield b"one"
            Note(id).slug = "late"
            yield b"two"

        return body()

    @app.get("/raised")
    async def raised() -> Any:
        change(Note, quart.request.args)
        quart.abort(404)

    @app.get("/broken")
    async def broken() -> Any:
        change(Note, quart.request.args)
        raise ZeroDivisionError

    @app.get("/keep")
    async def keep() -> Any:
        unit = current_session()
        assert unit is not None
        unit.keep()
        change(Note, quart.request.args)
        return "no", 401

    if handler:
        app.register_error_handler(Conflict, handler)
    QuartRedisca(app, True, **options)
    with pytest.raises(UsageError, match="has a QuartRedisca already"):
        QuartRedisca(app)
    return app


@pytest.mark.memory_only
@pytest.mark.parametrize("handled", [False, True])
async def test_quart(db: Database, raw: Any, handled: bool) -> None:
    async def conflict(error: Exception) -> Any:
        return {"detail": type(error).__name__}, 409

    app = quart_app(conflict if handled else None)
    await expect(app, raw, ("plain", "sync", "stream"), ("raised", "broken"), 409 if handled else 500)
    assert (await ask(app, "/late?id=late&slug=x")).status == 200
    assert raw.hget("note:late", "slug") == b"late"
    assert (await ask(app, "/keep?id=kept&slug=x")).status == 401
    assert raw.exists("note:kept")


# -- Litestar --------------------------------------------------------------------------------------


def litestar_app(handled: bool) -> Any:
    import litestar
    from litestar.exceptions import NotFoundException

    from aioredisca.litestar import HANDLERS, autosave

    @litestar.get("/plain")
    async def plain(request: Request[Any, Any, Any]) -> str:
        change(Note, request.query_params)
        return "fine"

    @litestar.get("/sync", sync_to_thread=True)
    def in_thread(request: Request[Any, Any, Any]) -> str:
        change(Note, request.query_params)
        return "fine"

    @litestar.get("/redirect")
    async def redirect(request: Request[Any, Any, Any]) -> Redirect:
        change(Note, request.query_params)
        return Redirect("/plain")

    @litestar.get("/stream")
    async def stream(request: Request[Any, Any, Any]) -> Stream:
        change(Note, request.query_params)

        async def body() -> Any:
            yield "one"
            yield "two"

        return Stream(body())

    @litestar.get("/raised")
    async def raised(request: Request[Any, Any, Any]) -> str:
        change(Note, request.query_params)
        raise NotFoundException

    @litestar.get("/broken")
    async def broken(request: Request[Any, Any, Any]) -> str:
        change(Note, request.query_params)
        raise ZeroDivisionError

    @litestar.get("/missing")
    async def missing(request: Request[Any, Any, Any]) -> str:
        await Note.get("nobody")
        return ""

    return litestar.Litestar(
        [plain, in_thread, redirect, stream, raised, broken, missing],
        middleware=[autosave()],
        exception_handlers=HANDLERS if handled else {},
        openapi_config=None,
        logging_config=None,
    )


@pytest.mark.memory_only
@pytest.mark.parametrize("handled", [False, True])
async def test_litestar(db: Database, raw: Any, handled: bool) -> None:
    app = litestar_app(handled)
    await expect(
        app, raw, ("plain", "sync", "redirect", "stream"), ("raised", "broken"), 409 if handled else 500
    )
    assert (await ask(app, "/missing?id=1&slug=a")).status == (404 if handled else 500)
    if handled:
        refused = json.loads((await ask(app, "/plain?id=x&slug=taken")).body)
        assert refused["detail"][0]["loc"] == ["query", "slug"]


# -- Django ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def django() -> Any:
    import django

    configured()
    return django


def _urlpatterns() -> list[Any]:
    from django.http import Http404, HttpResponse, StreamingHttpResponse
    from django.urls import path

    async def plain(request: Any) -> Any:
        change(Note, request.GET)
        return HttpResponse("fine")

    def blocking(request: Any) -> Any:
        change(BlockingNote if "wsgi.input" in request.META else Note, request.GET)
        return HttpResponse("fine")

    def stream(request: Any) -> Any:
        change(BlockingNote if "wsgi.input" in request.META else Note, request.GET)
        return StreamingHttpResponse(iter([b"one", b"two"]))

    def raised(request: Any) -> Any:
        change(BlockingNote, request.GET)
        raise Http404

    def returned(request: Any) -> Any:
        change(BlockingNote, request.GET)
        return HttpResponse("no", status=400)

    def broken(request: Any) -> Any:
        change(BlockingNote, request.GET)
        raise ZeroDivisionError

    def missing(request: Any) -> Any:
        change(BlockingNote, request.GET)
        raise NotFound("Note", "1")

    def keep(request: Any) -> Any:
        unit = current_session()
        assert unit is not None
        unit.keep()
        change(BlockingNote, request.GET)
        return HttpResponse("no", status=401)

    views = {"plain": plain, "sync": blocking, "stream": stream, "raised": raised, "returned": returned,
             "broken": broken, "missing": missing, "keep": keep}  # fmt: skip
    return [path(name, view) for name, view in views.items()]


def __getattr__(name: str) -> Any:  # this module is Django's ROOT_URLCONF too
    if name == "urlpatterns":
        found = globals()["urlpatterns"] = _urlpatterns()
        return found
    raise AttributeError(name)


@pytest.mark.memory_only
async def test_django_under_asgi(db: Database, raw: Any, django: Any) -> None:
    from django.core.asgi import get_asgi_application

    app = get_asgi_application()
    await expect(app, raw, ("plain", "sync"), ("raised", "returned", "broken", "missing"), 409)
    assert (await ask(app, "/keep?id=kept&slug=x")).status == 401
    assert raw.exists("note:kept")
    assert (await ask(app, "/missing?id=1&slug=a")).status == 404


@pytest.mark.memory_only
def test_django_under_wsgi(db: Database, raw: Any, django: Any) -> None:
    from django.test import Client

    web = Client(raise_request_exception=False)
    BlockingNote.new("0", slug="taken").save()
    for kind in ("sync", "stream"):
        assert web.get(f"/{kind}?id={kind}&slug={kind}").status_code == 200
        assert raw.hget(f"note:{kind}", "slug") == kind.encode()
        answer = web.get(f"/{kind}?id=x&slug=taken")
        assert answer.status_code == 409
        assert answer.json()["detail"][0]["loc"] == ["query", "slug"]
        assert not raw.exists("note:x")
    for kind in ("raised", "returned", "broken", "missing"):
        assert web.get(f"/{kind}?id={kind}&slug={kind}").status_code >= 400
        assert not raw.exists(f"note:{kind}")
    assert web.get("/keep?id=kept&slug=kept").status_code == 401
    assert raw.exists("note:kept")
    assert current_session() is None


@pytest.mark.memory_only
def test_django_settings(db: Database, raw: Any, django: Any) -> None:
    from django.test import Client
    from django.test.utils import override_settings

    with override_settings(REDISCA="memory://django", REDISCA_SAVE_IF=lambda status: status == 400):
        web = Client()
        web.get("/sync?id=1&slug=a")
        web.get("/returned?id=2&slug=b")
    assert not raw.keys("*")
    with sync.session("memory://django"):
        assert [note.id for note in BlockingNote.all()] == ["2"]


# -- Celery ----------------------------------------------------------------------------------------


def test_a_task_is_one_unit_of_work(db: Database, raw: Any) -> None:
    from celery import Celery, Task

    from aioredisca.celery import AutosaveTask

    app = Celery("shop", task_cls=AutosaveTask, broker="memory://")

    class Elsewhere(AutosaveTask):
        database = "memory://celery"

    def note(id: str, slug: str, fail: bool = False) -> str:
        change(BlockingNote, {"id": id, "slug": slug})
        if fail:
            raise ZeroDivisionError
        return "done"

    task = app.task(name="note")(note)
    other = app.task(name="other", base=Elsewhere)(note)
    assert task("1", "a") == "done"
    assert task.apply(("2", "b")).get() == "done"
    assert type(task.apply(("3", "c", True)).result) is ZeroDivisionError
    assert task.apply(("4", "a")).state == "FAILURE"  # the slug is taken: a save that fails, fails the task
    assert other("5", "e") == "done"
    app.task(name="plain", base=Task)(note)("6", "f")  # the control: nobody saves
    assert sorted(raw.keys("note:*")) == [b"note:1", b"note:2"]
    with sync.session("memory://celery"):
        assert BlockingNote("5").exists()
    assert current_session() is None


FULL = os.environ.get("REDISCA_FULL") == "1"
POOLS = ("prefork", "threads", "gevent") if FULL else ("prefork",)
TASKS = 100 if FULL else 30


@pytest.mark.slow
@pytest.mark.parametrize("pool", POOLS)
def test_celery_workers_save_every_task_and_mix_nothing(server: Any, raw: Any, pool: str) -> None:
    from celery import Celery

    from .tasks import write

    command = ["-m", "celery", "-A", "tests.web.tasks", "worker", "--pool", pool, "-c", "4", "-l", "WARNING",
               "--without-gossip", "--without-mingle", "--without-heartbeat"]  # fmt: skip
    broker = f"redis://127.0.0.1:{server.port}/3"
    worker = Served(*command, BROKER=broker, REDISCA_URL=server.url)
    # An app of this test: one that has sent something keeps to the broker it knows.
    sender = Celery("sender", broker=broker, backend=broker, set_as_current=False)
    try:
        tasks = [(number, number % 10 == 3) for number in range(TASKS)]
        results = [sender.send_task(write.name, (number, fails)) for number, fails in tasks]
        end = time.monotonic() + limit(10)
        while not all(result.ready() for result in results) and time.monotonic() < end:
            time.sleep(0.05)
        states = [result.state for result in results]
    finally:
        output = worker.stop()
        sender.close()
    failed = [number for number in range(TASKS) if number % 10 == 3]
    assert [n for n, state in enumerate(states) if state == "FAILURE"] == failed, output
    assert states.count("SUCCESS") == TASKS - len(failed), output
    for number in range(TASKS):
        stored = raw.hget(f"note:{number}", "slug")
        assert stored == (None if number in failed else f"slug-{number}".encode())
    pids = {raw.hget(f"note:{number}", "count") for number in range(TASKS)} - {None}
    assert (len(pids) > 1) == (pool == "prefork")
