"""FastAPI: one call that installs sessions, error handlers, start-up and health; and what endpoints take.

::

    app = FastAPI()
    install(app, "redis://localhost:6379/0", health="/health")

    @app.post("/users", status_code=201)
    async def sign_up(body: Create[User]) -> User:
        return await body.new()  # saved before the answer leaves, or 409

    @app.get("/users/{id}")
    async def show(user: Annotated[User, User.depends("id")]) -> User:
        return user
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, cast

from fastapi import Depends, FastAPI, Header, HTTPException, Query
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from pydantic import StringConstraints
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response

from aioredisca.asgi import KEY, AutosaveMiddleware
from aioredisca.config import conf, hooks
from aioredisca.drivers.database import open_database
from aioredisca.errors import RediscaError, UsageError
from aioredisca.frames import hiding
from aioredisca.health import check
from aioredisca.model.record import Record
from aioredisca.model.sessions import Session
from aioredisca.pydantic import Create, Read, Update
from aioredisca.query.paging import MAX_SIZE
from aioredisca.storage.keys import MAX_ID
from aioredisca.web import STATUS, detail_of, etag_of, headers_of, log, matches, sent_in, status_of, writable

hooks.fastapi_encoder()  # which no class could do that was made before FastAPI was imported

HEALTH_SECONDS = 1.0
"""How long the health route waits for the database."""


@hiding
def install(
    app: FastAPI,
    db: object = None,
    *,
    autosave: bool = True,
    health: str | None = None,
    **options: Any,
) -> None:
    """Set up *app*: a session per request, error handlers, start and end, and a health route.

    ``db``        the database of all classes that name none by ``conf(db=)``; conf.db by default. For code
                  outside of requests set conf.db.
    ``autosave``  save the changes of a request before its answer leaves, if it is below 400.
    ``health``    the path of a route for load balancers: 200, or 503 while the database cannot be used.
    ``options``   ``save_if`` ``late`` ``timeout`` ``error_response`` of :class:`AutosaveMiddleware`.

    At the start the database is tried (see :func:`aioredisca.health.check`) before the app's own lifespan
    begins, and after that has ended its connections are closed.
    """
    database = None if db is None else open_database(db)
    app.add_middleware(cast("Any", AutosaveMiddleware), db=database, autosave=autosave, **options)
    add_handlers(app)
    router: Any = app.router
    router.lifespan_context = lifespan(database, router.lifespan_context)
    if health is not None:
        app.add_api_route(health, health_route(database), include_in_schema=False)


def add_handlers(app: FastAPI) -> None:
    """Answer errors of the library: 404, 409, 422, 503, with names of fields and without values.

    And 422 where a client sent what FastAPI would repeat and JSON cannot write: NaN, half a character.
    """
    for kind in STATUS:
        app.add_exception_handler(kind, cast("Any", answer_error))
    if app.exception_handlers.get(RequestValidationError) is request_validation_exception_handler:
        app.add_exception_handler(RequestValidationError, cast("Any", answer_invalid))


async def answer_error(request: Request, error: RediscaError) -> Response:
    """The answer of the library to an error of its own; for ``app.add_exception_handler``."""
    return JSONResponse({"detail": detail_of(error, sent_in(request))}, status_of(error), headers_of(error))


async def answer_invalid(request: Request, error: RequestValidationError) -> Response:
    """The answer of FastAPI to what it refuses; without the ``input`` where JSON cannot write that."""
    try:
        return await request_validation_exception_handler(request, error)
    except (ValueError, RecursionError):
        told = [
            {
                "type": item["type"],
                "loc": [writable(part) if isinstance(part, str) else part for part in item["loc"]],
                "msg": writable(item["msg"]),
            }
            for item in error.errors()
        ]
        return JSONResponse({"detail": told}, 422)


@hiding
def lifespan(db: object = None, inner: Callable[[Any], Any] | None = None) -> Callable[[Any], Any]:
    """A lifespan that tries the database at the start and closes its connections at the end.

    *inner* is the app's own, which runs in between and whose state is kept.
    """

    given = None if db is None else open_database(db)

    @asynccontextmanager
    async def around(app: Any) -> AsyncGenerator[Any]:
        database = given or conf.db
        try:
            await check(database)
            if inner is None:
                yield None
            else:
                async with inner(app) as state:
                    yield state
        finally:
            await database.aclose()

    return around


@hiding
def health_route(db: object = None) -> Callable[[], Awaitable[Response]]:
    """An endpoint that answers 200 while the database can be used, else 503; why not stands in the log."""

    database = None if db is None else open_database(db)

    async def health() -> Response:
        try:
            async with asyncio.timeout(HEALTH_SECONDS):
                await check(database)
        except (RediscaError, TimeoutError) as error:
            reason = str(error) or f"no answer within {HEALTH_SECONDS:g} s"
            log.warning("the database cannot be used: %s", reason)
            return JSONResponse({"status": "unavailable"}, 503)
        return JSONResponse({"status": "ok"})

    return health


# -- what endpoints take ---------------------------------------------------------------------------


async def request_session(connection: HTTPConnection) -> AsyncGenerator[Session]:
    """The session of the request: that of the middleware, else one of its own with autosave.

    Declare it by :data:`SessionDep`. On its own it saves when the endpoint has returned, before the answer
    is made, and drops the changes when the endpoint raises; an error answer that is returned saves.
    """
    if connection.scope["type"] != "http":
        raise UsageError("a websocket has no session of its own: open one for each message")
    outer: Session | None = connection.scope.get(KEY)
    if outer is not None:
        yield outer
    else:
        async with Session(autosave=True) as session:
            yield session


SessionDep = Annotated[Session, Depends(request_session, scope="function")]
"""``unit: SessionDep``. In the default scope a dependency would end after the answer: too late to save."""


IfMatch = Annotated[str | None, Header(alias="If-Match")]
"""``if_match: IfMatch = None``: the ETag by which a client says what it has seen, for :func:`check_match`."""


def check_match(record: Record, if_match: str | None, *, needed: bool = False) -> None:
    """Answer 412 unless *record*, as it was loaded, is what the client has seen; and 428 if that is *needed*.

    The ETag is that of ``etag_of(record)``, which answers give: ``response.headers["ETag"]``. Within a
    session its flush is refused (409) if the record has changed until then. Without a header nothing is
    asked. No I/O.
    """
    if if_match is None:
        if needed:
            raise HTTPException(428, "If-Match is needed: the ETag of what is to be changed")
        return
    if not matches(record, if_match):
        raise HTTPException(412, "it was changed by somebody else")
    unit = record.__state__.unit
    if unit is not None and unit.session is not None:
        unit.session.require_unchanged(record)


PageSize = Annotated[int, Query(ge=1, le=MAX_SIZE)]
"""``size: PageSize = 20``: how many records of a page a client asks for; 422 where no page has so many."""


def loader(model: type[Record], parameter: str) -> Any:
    """The dependency of :meth:`Record.depends`: loads by the path parameter, whose length it declares."""
    if not parameter.isidentifier():
        raise UsageError(f"depends({parameter!r}): a parameter is a Python name")
    get: Callable[[str], Any] = cast("Any", model).get

    async def load(**given: str) -> Any:
        return await get(given[parameter])

    def load_in_thread(**given: str) -> Any:
        return get(given[parameter])

    dependency: Any = load if inspect.iscoroutinefunction(get) else load_in_thread
    kind = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID)]
    wanted = inspect.Parameter(parameter, inspect.Parameter.KEYWORD_ONLY, annotation=kind)
    dependency.__signature__ = inspect.Signature([wanted])
    return Depends(dependency)


__all__ = (
    "AutosaveMiddleware",
    "Create",
    "IfMatch",
    "PageSize",
    "Read",
    "SessionDep",
    "Update",
    "add_handlers",
    "answer_error",
    "answer_invalid",
    "check_match",
    "etag_of",
    "health_route",
    "install",
    "lifespan",
    "loader",
    "request_session",
)
