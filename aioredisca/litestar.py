"""Litestar: AutosaveMiddleware with the exception handlers of the app, its routers and its routes.

::

    app = Litestar(routes, middleware=[autosave()], exception_handlers=HANDLERS)
"""

from __future__ import annotations

from typing import Any, cast

from litestar import Request, Response
from litestar.middleware import DefineMiddleware

from aioredisca.asgi import AutosaveMiddleware, Scope
from aioredisca.drivers.database import open_database
from aioredisca.errors import RediscaError
from aioredisca.frames import hiding
from aioredisca.web import STATUS, detail_of, headers_of, sent_in, status_of


@hiding
def autosave(db: object = None, **options: Any) -> DefineMiddleware:
    """The middleware for ``Litestar(middleware=[...])``; *options* are those of AutosaveMiddleware."""
    options.setdefault("error_response", error_response)
    database = None if db is None else open_database(db)
    return DefineMiddleware(cast("Any", AutosaveMiddleware), db=database, **options)


def answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    """The answer to an error of the library: names of fields, no values."""
    known = cast("RediscaError", error)
    detail = detail_of(known, sent_in(request))
    return Response({"detail": detail}, status_code=status_of(known), headers=headers_of(known))


HANDLERS: dict[Any, Any] = dict.fromkeys(STATUS, answer_error)
"""For ``Litestar(exception_handlers=...)``: 404, 409, 422 and 503."""


def error_response(scope: Scope, error: Exception) -> Any:
    """The answer of the handler that the route has for the error of a save, or None."""
    app, route = scope["litestar_app"], scope["route_handler"]
    handlers = {**app.exception_handlers, **route.resolve_exception_handlers()}
    for kind in type(error).__mro__[: type(error).__mro__.index(Exception)]:
        if kind in handlers:
            request = app.request_class(scope=scope)
            return handlers[kind](request, error).to_asgi_response(
                app=None, request=request, type_encoders=route.resolve_type_encoders()
            )
    return None
