"""Django: one middleware for WSGI and ASGI, ``MIDDLEWARE = [..., "aioredisca.django.autosave"]``.

Settings: ``REDISCA``, the database as for ``conf.db`` or as arguments of ``redis.Redis`` (conf.db by
default); ``REDISCA_SAVE_IF``, ``status -> bool``. Answers below 400 save before they leave. Errors of the
library that mean something to a client become JSON answers, 404, 409, 422 or 503, from views too.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from aioredisca import sync
from aioredisca.asgi import finish
from aioredisca.model.sessions import BaseSession, Session
from aioredisca.web import STATUS, Sent, database_of, detail_of, headers_of, status_of, succeeded

_django: Any = import_module("django.conf")
_asgiref: Any = import_module("asgiref.sync")
_http: Any = import_module("django.http")

SECONDS = 10.0
"""How long a save may go on in a request that was cancelled."""


def autosave(get_response: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Open a session per request, save its changes before a successful answer leaves.

    Async views have an asyncio session under an async server, all others a blocking one. A response that
    streams is made outside of the session: open one of your own there.
    """
    database = database_of(getattr(_django.settings, "REDISCA", None))

    async def serve(request: Any) -> Any:
        async with Session(database) as session:
            response = await get_response(request)
            if not _saves(session, response):
                return response
            try:
                await finish(session.flush(), SECONDS)
            except Exception as error:
                return _refused(session, request, response, error)
            return response

    def serve_blocking(request: Any) -> Any:
        with sync.Session(database) as session:
            response = get_response(request)
            if not _saves(session, response):
                return response
            try:
                session.flush()
            except Exception as error:
                return _refused(session, request, response, error)
            return response

    middleware: Any = serve if _asgiref.iscoroutinefunction(get_response) else serve_blocking
    middleware.process_exception = answer_error
    return middleware  # type: ignore[no-any-return]


_capable: Any = autosave
_capable.sync_capable = _capable.async_capable = True


def answer_error(request: Any, error: Exception) -> Any:
    """The JSON answer to an error of the library; None for any other, and for those of the server."""
    if not isinstance(error, tuple(STATUS)):
        return None
    known: Any = error
    path: Any = request.resolver_match.kwargs if request.resolver_match else {}
    sent: Sent = {"path": path, "query": request.GET, "cookie": request.COOKIES, "header": request.headers}
    body = {"detail": detail_of(known, sent)}
    return _http.JsonResponse(body, status=status_of(known), headers=headers_of(known))


def _saves(session: BaseSession, response: Any) -> bool:
    save_if = getattr(_django.settings, "REDISCA_SAVE_IF", succeeded)
    if save_if(response.status_code) or session.kept:
        return True
    session.discard()
    return False


def _refused(session: BaseSession, request: Any, response: Any, error: Exception) -> Any:
    session.discard()
    response.close()
    answer = answer_error(request, error)
    if answer is None:
        raise error
    return answer
