"""``FlaskRedisca``: a blocking session per request of a Flask app, as in redisca, saved before the answer.

redisca saved at the teardown, where a refused save can only be a bare 500. Here saving is the last
``after_request`` function: a refusal goes to the app's own error handlers, and the teardown only closes.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any, cast

import flask

from aioredisca.drivers.run import allow_blocking
from aioredisca.errors import UsageError
from aioredisca.model.sessions import entered
from aioredisca.sync import Session
from aioredisca.web import database_of, succeeded, warn_of_lost

KEY = "aioredisca"
"""Where an app keeps its database, in ``app.extensions``, and a request its session, in its environ."""


class FlaskRedisca:
    """A session for every request of a Flask app: ``FlaskRedisca(app, autosave=True)``, or ``init_app``.

    ``autosave``  save the changes of a request whose answer is below 400, in one atomic call per database,
                  before the answer leaves. A save that is refused is handed to the app's error handlers;
                  where there is none for it, it is a 500. Other answers and exceptions drop the changes.
    ``save_if``   ``response -> bool``: which answers save. ``keep()`` and ``discard()`` of the session
                  override it in a request.

    The database is ``app.config["REDISCA"]``: a URL, keyword arguments for ``redis.Redis`` as redisca took
    them, a redis-py client or a Database; without it, conf.db. Several apps in one process may have one
    each. Blocking models work in async views too, whose loop serves nobody else.
    """

    def __init__(
        self,
        app: flask.Flask | None = None,
        autosave: bool = False,
        *,
        save_if: Callable[[flask.Response], bool] | None = None,
    ) -> None:
        self.autosave = autosave
        self.save_if: Callable[[flask.Response], bool] = save_if or _succeeded
        if app is not None:
            self.init_app(app)

    def init_app(self, app: flask.Flask) -> None:
        """Serve *app*. Its other ``after_request`` functions run before the save. Nothing connects yet."""
        if KEY in app.extensions:
            raise UsageError(f"{app!r} has a FlaskRedisca already")
        app.extensions[KEY] = database_of(cast("Any", app.config).get("REDISCA"))
        app.before_request(self._begin)
        app.after_request(self._save)
        app.teardown_request(self._end)

    def session(self, *, autosave: bool = False) -> Session:
        """A session on the database of ``current_app``, for commands and the shell. No I/O."""
        return Session(flask.current_app.extensions[KEY], autosave=autosave)

    def _begin(self) -> None:
        stack = ExitStack()
        stack.enter_context(allow_blocking())
        session = stack.enter_context(entered(Session(flask.current_app.extensions[KEY])))
        _environ()[KEY] = session, stack

    def _save(self, response: flask.Response) -> flask.Response:
        session: Session | None = _environ().get(KEY, (None, None))[0]
        if session is None:  # another before_request function answered first
            return response
        if not ((self.autosave and self.save_if(response)) or session.kept):
            if self.autosave:
                session.discard()
            return response
        try:
            session.flush()
        except Exception as error:
            session.discard()  # this function runs again for the answer to the error
            response.close()
            handler = _error_handler(error)
            if handler is None:
                raise
            return flask.current_app.make_response(flask.current_app.ensure_sync(handler)(error))
        return response

    def _end(self, error: BaseException | None) -> None:
        session, stack = _environ().pop(KEY, (None, None))
        if session is None:  # it never began, or the stream of the answer came to its end too
            return
        try:
            if error is not None and session.kept and isinstance(error, Exception):
                session.flush()  # the exception was propagated past after_request, as in tests
            elif error is None and self.autosave and session.dirty:
                warn_of_lost(session.dirty, "they were changed after the answer had begun")
        finally:
            with suppress(ValueError):  # a server may end a stream in another context than it began in
                stack.close()


def _succeeded(response: flask.Response) -> bool:
    return succeeded(response.status_code)


def _environ() -> dict[str, Any]:
    return cast("dict[str, Any]", cast("Any", flask.request).environ)


def _error_handler(error: Exception) -> Callable[[Any], Any] | None:
    """The handler of the app or of the blueprint for *error*.

    ``handle_user_exception`` would do more, and has another signature in Flask 3.2.
    """
    app: Any = flask.current_app
    found: Callable[[Any], Any] | None = app._find_error_handler(error, flask.request.blueprints)
    return found
