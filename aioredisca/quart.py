"""``QuartRedisca``: AutosaveMiddleware around a Quart app, with the error handlers of the app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, cast

import quart

from aioredisca.asgi import AutosaveMiddleware, finish
from aioredisca.errors import UsageError
from aioredisca.model.sessions import Session, current_session
from aioredisca.web import database_of, succeeded

KEY = "aioredisca"


class QuartRedisca:
    """A session for every request of a Quart app: ``QuartRedisca(app, autosave=True)``, or ``init_app``.

    The database is ``app.config["REDISCA"]``, as for FlaskRedisca. The options are those of
    :class:`~aioredisca.asgi.AutosaveMiddleware`. A save that is refused is handed to the error handlers of
    the app; where there is none for it, it is a 500.
    """

    def __init__(
        self,
        app: quart.Quart | None = None,
        autosave: bool = False,
        *,
        save_if: Callable[[int], bool] = succeeded,
        late: Literal["save", "discard", "error"] = "save",
        timeout: float = 10.0,
    ) -> None:
        self.autosave, self.save_if, self.timeout = autosave, save_if, timeout
        self.late: Literal["save", "discard", "error"] = late
        if app is not None:
            self.init_app(app)

    def init_app(self, app: quart.Quart) -> None:
        """Serve *app*. Its other ``after_request`` functions run before the save. Nothing connects yet."""
        if KEY in app.extensions:
            raise UsageError(f"{app!r} has a QuartRedisca already")
        database = app.extensions[KEY] = database_of(cast("Any", app.config).get("REDISCA"))
        served: Any = app
        served.asgi_app = AutosaveMiddleware(
            served.asgi_app,
            database,
            autosave=self.autosave,
            save_if=self.save_if,
            late=self.late,
            timeout=self.timeout,
        )
        app.after_request(self._save)

    async def _save(self, response: Any) -> Any:
        """Save here already, where the app's handlers can be asked; the middleware then finds it done."""
        session = cast("Session", current_session())
        if not ((self.autosave and self.save_if(response.status_code)) or session.kept):
            return response
        try:
            await finish(session.flush(), self.timeout)
        except Exception as error:
            session.discard()
            app: Any = quart.current_app
            handler = app._find_error_handler(error, quart.request.blueprints)
            if handler is None:
                raise
            return await app.make_response(await app.ensure_async(handler)(error))
        return response
