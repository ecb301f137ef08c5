"""A Starlette app with every kind of answer, for the tests of AutosaveMiddleware.

Each path changes the note ``?id=`` to ``?slug=``, which is unique: the slug "taken" makes saving fail.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from aioredisca import Conflict, Integer, Model, String, conf
from aioredisca.asgi import KEY, AutosaveMiddleware
from aioredisca.model.sessions import BaseSession, Session, current_session


@conf(prefix="note")
class Note(Model):
    slug = String(unique=True)
    count = Integer()


def change(request: Request, suffix: str = "") -> Note:
    note = Note(request.query_params["id"] + suffix)
    note.slug = request.query_params["slug"] + (suffix if request.query_params["slug"] != "taken" else "")
    return note


async def plain(request: Request) -> Response:
    change(request)
    return PlainTextResponse("x" * 2000)


def in_thread(request: Request) -> Response:
    change(request)
    return PlainTextResponse("x" * 2000)


async def stream(request: Request) -> Response:
    change(request)

    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 700
            await asyncio.sleep(0)

    return StreamingResponse(body())


async def stream_from_thread(request: Request) -> Response:
    change(request)

    def body() -> Iterator[bytes]:
        yield from (b"x" * 700 for _ in range(3))

    return StreamingResponse(body())


async def background(request: Request) -> Response:
    change(request)
    return PlainTextResponse("x" * 2000, background=BackgroundTask(lambda: None))


async def file(request: Request) -> Response:
    change(request)
    return FileResponse(__file__)


async def redirect(request: Request) -> Response:
    change(request)
    return RedirectResponse("/plain", 303)


async def raised_redirect(request: Request) -> Response:
    change(request)
    raise HTTPException(303, headers={"location": "/plain"})


GOOD = {
    "plain": plain, "thread": in_thread, "stream": stream, "stream-thread": stream_from_thread,
    "background": background, "file": file, "redirect": redirect, "raised-redirect": raised_redirect,
}  # fmt: skip


async def raised(request: Request) -> Response:
    change(request)
    raise HTTPException(404)


async def returned(request: Request) -> Response:
    change(request)
    return PlainTextResponse("no", 404)


async def broken(request: Request) -> Response:
    change(request)
    raise ZeroDivisionError


async def server_error(request: Request) -> Response:
    change(request)
    return PlainTextResponse("no", 503)


BAD = {"raised": raised, "returned": returned, "broken": broken, "server-error": server_error}


async def keep(request: Request) -> Response:
    session = current_session()
    assert session is not None
    session.keep()
    change(request)
    if "broken" in request.query_params:
        raise ZeroDivisionError
    raise HTTPException(401)


async def discard(request: Request) -> Response:
    change(request)
    session = current_session()
    assert session is not None
    session.discard()
    return PlainTextResponse("fine")


async def saved(request: Request) -> Response:
    await change(request).save()
    change(request).count = 5
    raise HTTPException(404)


async def late_stream(request: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"one"
        change(request)
        if "broken" in request.query_params:
            raise ZeroDivisionError
        yield b"two"
        await asyncio.sleep(0)

    return StreamingResponse(body(), int(request.query_params.get("status", "200")))


async def late_background(request: Request) -> Response:
    def later() -> None:
        change(request)

    return PlainTextResponse("x", background=BackgroundTask(later))


async def forget(request: Request) -> Response:
    """A task that outlives the request and changes what belongs to it."""
    note, serving = change(request), asyncio.current_task()
    assert serving is not None

    async def later() -> None:
        await asyncio.wait({serving})
        note.count = 1

    tasks.append(asyncio.create_task(later()))
    del tasks[:-1]
    return PlainTextResponse("fine")


tasks = list[asyncio.Task[None]]()


async def whose(request: Request) -> Response:
    """Whether the session is that of this request, and new, and nobody else's."""
    body = await request.body()
    session = current_session()
    shared = session is not request.scope.get(KEY) or session in seen
    seen.append(session)
    del seen[:-64]
    change(request)
    await asyncio.sleep(0)
    shared = shared or current_session() is not session
    answer = {"shared": shared, "bytes": len(body)}
    return JSONResponse(
        answer, background=BackgroundTask(asyncio.sleep, 0.005)
    )  # the next one comes meanwhile


seen = list[Any]()


def sessions(request: Request) -> Response:
    """How many live sessions the process has, and its memory in KiB."""
    gc.collect()
    live = sum(isinstance(each, BaseSession) for each in gc.get_objects())
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return JSONResponse({"sessions": live, "kib": pages * os.sysconf("SC_PAGE_SIZE") // 1024})


async def websocket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_json({"session": current_session() is not None})
    await socket.close()


async def conflict(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": type(error).__name__}, 409)


def conflict_in_thread(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": type(error).__name__}, 409)


class PassOn(BaseHTTPMiddleware):
    """Does nothing, in the way that Starlette's own base class does it."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        response.headers["x-passed"] = "on"
        return response


class ChangeAfter(BaseHTTPMiddleware):
    """Changes a record after the endpoint, before the answer begins."""

    async def dispatch(self, request: Request, call_next: Any) -> Response:
        response: Response = await call_next(request)
        change(request, "+")
        return response


ROUTES = [
    *(Route(f"/{name}", endpoint, methods=["GET", "POST", "HEAD"]) for name, endpoint in GOOD.items()),
    *(Route(f"/{name}", endpoint) for name, endpoint in BAD.items()),
    *(
        Route(f"/{endpoint.__name__}", endpoint, methods=["GET", "POST"])
        for endpoint in (keep, discard, saved, late_stream, late_background, forget, whose, sessions)
    ),
    WebSocketRoute("/ws", websocket),
]

GZIP = Middleware(GZipMiddleware, minimum_size=10)
BASE = Middleware(PassOn)
AFTER = Middleware(ChangeAfter)
AUTOSAVE = Middleware(AutosaveMiddleware)


def make(*layers: Middleware, handler: Any = None, **options: Any) -> Starlette:
    """The app under *layers*, outermost first; AutosaveMiddleware alone if none is given."""
    handlers = {} if handler is None else {Conflict: handler}
    chosen = [*layers] or [Middleware(AutosaveMiddleware, **options)]
    return Starlette(
        routes=[*ROUTES, Mount("/sub", Starlette(routes=ROUTES, middleware=[AUTOSAVE]))],
        middleware=chosen,
        exception_handlers=handlers,
    )


# -- the known-bad ways, which the tests must find ---------------------------------------------------


class SaveAfter:
    """Saves when the app is done, as a dependency with ``yield`` or a teardown would."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        async with Session(autosave=True) as session:
            scope[KEY] = session
            await self.app(scope, receive, send)


class ReuseActive:
    """Takes the session that the context holds already, if there is one."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if current_session() is not None:
            scope[KEY] = current_session()
            await self.app(scope, receive, send)
            return
        await AutosaveMiddleware(self.app)(scope, receive, send)


class Leaking:
    """Never lets go of a session."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await AutosaveMiddleware(self.app)(scope, receive, send)
        leaked.append(scope.get(KEY))


leaked = list[Any]()


def _slow_flush(seconds: float, begun: str) -> None:
    """Saving takes so long; the file *begun* appears when it has begun."""

    def mark() -> None:
        if begun:
            Path(begun).touch()

    flush = Session.flush

    async def slow(self: Session) -> None:
        if self.dirty:
            mark()
            await asyncio.sleep(seconds)
        await flush(self)

    setattr(Session, "flush", slow)  # noqa: B010
    leave = Session.__aexit__

    async def slow_exit(self: Session, *error: Any) -> None:
        if self.dirty:
            mark()
            await asyncio.sleep(seconds)
        await leave(self, *error)

    setattr(Session, "__aexit__", slow_exit)  # noqa: B010


if "SLOW_FLUSH" in os.environ:
    _slow_flush(float(os.environ["SLOW_FLUSH"]), os.environ.get("SAVE_BEGUN", ""))

handled = make(AUTOSAVE, GZIP, handler=conflict)
bare = make(AUTOSAVE)
based = make(BASE, AUTOSAVE, BASE, handler=conflict)
reusing = make(Middleware(ReuseActive))
leaking = make(Middleware(Leaking))
after = make(Middleware(SaveAfter), handler=conflict)
