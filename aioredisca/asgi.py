"""``AutosaveMiddleware``: a session per HTTP request, whose changes are saved before the answer leaves.

Pure ASGI. A request that answers below 400 is saved, all or nothing per database (in a cluster per slot),
before its first byte is sent: a client that has the answer finds the data, and a save that is refused
becomes an error and no lie.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, MutableMapping
from typing import Any, Literal, TypeAlias, TypeVar, cast

import anyio
import anyio.to_thread

from aioredisca.drivers.database import open_database
from aioredisca.drivers.limits import check_limits
from aioredisca.errors import OutcomeUnknown, UsageError
from aioredisca.frames import hiding
from aioredisca.model.sessions import Session, no_session
from aioredisca.web import log, succeeded, warn_of_lost

T = TypeVar("T")

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
ErrorResponse: TypeAlias = Callable[[Scope, Exception], "App | Awaitable[App | None] | None"]

KEY = "aioredisca"
"""Where the session of a request stands in its scope."""


class AutosaveMiddleware:
    """Open a session per HTTP request, and save its changes before a successful answer leaves.

    ``db``              the database of all classes that name none by ``conf(db=)``; conf.db by default.
    ``autosave``        False: the session gives identity only, nothing is saved but what you save.
    ``save_if``         ``status -> bool``: which answers save; below 400 by default. ``keep()`` and
                        ``discard()`` of the session override it in a request.
    ``late``            what becomes of changes made after the answer began (in a stream, in a background
                        task): "save" them when the app is done, "discard" them with a warning, or "error".
    ``timeout``         seconds that a save may go on in a request that was cancelled.
    ``error_response``  ``(scope, error) -> ASGI app or None``: the answer when saving fails, also as a
                        coroutine. By default that of the handler which the Starlette or FastAPI app has
                        for this class of error; where there is none, the error is raised into the server.

    A save that fails sends nothing of the app's answer. An exception, a cancellation and an answer of 400 or
    more drop the changes. A request within another (a mounted app) belongs to the outer session. Websockets
    and the lifespan have no session: open one there for each message.
    """

    @hiding
    def __init__(
        self,
        app: App,
        db: object = None,
        *,
        autosave: bool = True,
        save_if: Callable[[int], bool] = succeeded,
        late: Literal["save", "discard", "error"] = "save",
        timeout: float = 10.0,
        error_response: ErrorResponse | None = None,
    ) -> None:
        if late not in ("save", "discard", "error"):
            raise UsageError(f"late is 'save', 'discard' or 'error'; not {late!r}")
        check_limits("{}={!r}", {"timeout": timeout})
        self.app = app
        self.db = None if db is None else open_database(db)
        self.autosave, self.save_if, self.late, self.timeout = autosave, save_if, late, timeout
        self.error_response = error_response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if KEY in scope:
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            with no_session():  # some servers let a request begin in the context of another
                await self.app(scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        outer = scope.get("app")
        async with Session(self.db) as session:  # a new one, whatever the context holds
            scope[KEY] = session
            answer = _Answer(self, session, send)
            try:
                await self.app(scope, receive, answer.send)
            except Exception:
                if not answer.refused:
                    raise
            except BaseException:
                session.discard()
                raise
            if answer.refused:
                await self._refuse(answer, scope, receive, outer)
            else:
                await answer.save_late()

    async def _refuse(self, answer: _Answer, scope: Scope, receive: Receive, outer: object) -> None:
        """Answer for the save that failed, instead of the app."""
        error = answer.error
        assert error is not None
        if self.error_response is None:
            response = await _starlette_response(scope, receive, error, outer)
        else:
            made = self.error_response(scope, error)
            response = await made if inspect.isawaitable(made) else made
        if response is None:
            raise error
        await response(scope, receive, answer.send_anyway)


class _Answer:
    """The answer of one request: how far it came, whether it saves, and the error that saving met."""

    def __init__(self, middleware: AutosaveMiddleware, session: Session, send: Send) -> None:
        self.middleware, self.session, self.send_anyway = middleware, session, send
        self.started = self.saves = False
        self.error: Exception | None = None

    @property
    def refused(self) -> bool:
        """Whether saving failed, and nobody has answered for it yet."""
        return self.error is not None and not self.started

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and not self.started:
            await self._before(message["status"])
            self.started = True
        elif self.refused:
            return  # the rest of the answer that was refused: an inner layer swallowed the error
        await self.send_anyway(message)

    async def _before(self, status: int) -> None:
        """Save, or drop what was changed, before the first byte of an answer of this status."""
        if self.error is not None and status < 400:
            raise self.error  # an inner layer swallowed it, and would now report success
        self.saves = (self.middleware.autosave and self.middleware.save_if(status)) or self.session.kept
        if self.saves:
            await self._save()
        elif self.middleware.autosave:
            self.session.discard()

    async def _save(self) -> None:
        try:
            await finish(self.session.flush(), self.middleware.timeout)
        except Exception as error:
            self.error = error
            self.session.discard()
            raise

    async def save_late(self) -> None:
        """What was changed since the answer began, at the end of the app's call."""
        changed, late = self.session.dirty, self.middleware.late
        if not changed or not (self.middleware.autosave or self.session.kept):
            return
        saves = self.started and (self.saves or self.session.kept)
        if saves and late == "save":
            await finish(self.session.flush(), self.middleware.timeout)
            return
        self.session.discard()
        if saves and late == "error":
            raise UsageError(f"{len(changed)} records were changed after the answer had begun: save() them")
        warn_of_lost(changed, "they were changed after the answer had begun" if saves else "it does not save")


async def finish(operation: Coroutine[Any, Any, T], seconds: float) -> T:
    """Run *operation* to its end in spite of cancellation, then pass the cancellation on.

    A task of its own and a wait that is taken up again: a shield holds against cancel scopes only, not
    against ``asyncio.timeout`` and ``task.cancel()``. OutcomeUnknown when *seconds* are over.
    """
    task = asyncio.ensure_future(operation)
    alarm = asyncio.get_running_loop().call_later(seconds, task.cancel)
    cancelled: BaseException | None = None
    with anyio.CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait({task})
            except asyncio.CancelledError as error:
                cancelled = error
    alarm.cancel()
    if cancelled is not None:
        if not task.cancelled() and (failure := task.exception()):
            log.error("saving failed in a request that was cancelled", exc_info=failure)
        raise cancelled
    if task.cancelled():
        raise OutcomeUnknown(f"saving took more than {seconds:g} s, so it may have happened or not")
    return task.result()


# -- the error handlers of Starlette ---------------------------------------------------------------


async def _starlette_response(scope: Scope, receive: Receive, error: Exception, outer: object) -> App | None:
    """The answer of the handler that the app, or the app it is mounted in, has for this error."""
    for handler in _handlers((scope.get("app"), outer), error):
        request = sys.modules["starlette.requests"].Request(scope, receive)
        if inspect.iscoroutinefunction(handler):
            response: App = await handler(request, error)
        else:
            response = await anyio.to_thread.run_sync(handler, request, error)
        return response
    return None


def _handlers(apps: tuple[object, object], error: Exception) -> Iterator[Callable[[Any, Exception], Any]]:
    """The handlers for the classes of *error* below Exception, the nearest first."""
    starlette = sys.modules.get("starlette.applications")
    kinds = type(error).__mro__[: type(error).__mro__.index(Exception)]
    for app in apps:
        if starlette is not None and isinstance(app, starlette.Starlette):
            handlers: dict[Any, Any] = cast("Any", app).exception_handlers
            yield from (handlers[kind] for kind in kinds if kind in handlers)
