"""The blocking transport, and ``run``: the core's coroutines finished here and now, without a loop.

The core awaits nothing but its transport. This transport's coroutines block instead of suspending, so one
``send(None)`` runs an operation to its end: no loop, no thread, nothing that a fork could break.
"""

from __future__ import annotations

import asyncio
import builtins
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import Any, TypeVar, cast

import redis

from . import wire
from .config import conf
from .errors import DriverMisuse
from .settings import Settings
from .types import Call, Reply

T = TypeVar("T")

_driving: ContextVar[bool] = ContextVar("aioredisca_driving", default=False)
_allowed: ContextVar[bool] = ContextVar("aioredisca_allow_blocking", default=False)


def driving() -> bool:
    """Whether the code that asks runs under :func:`run`."""
    return _driving.get()


def run(operation: Awaitable[T]) -> T:
    """Finish an operation of this library now, in this thread, over a blocking connection.

    ``run(User.get("1"))``, ``run(user.save())``, ``run(User.age >= 18)``: the async verbs, without a loop.
    DriverMisuse inside a running task, whose loop it would block (see :func:`allow_blocking`), and for
    anything that awaits more than the database.
    """
    steps = operation.__await__()
    if _inside_task():
        _close(operation, steps)
        raise DriverMisuse(
            "blocking code inside a running task would stop its event loop: await the asyncio model instead; "
            "or say that you mean it by `with allow_blocking():` or conf.allow_blocking = True"
        )
    token = _driving.set(True)
    try:
        next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
    finally:
        _driving.reset(token)
    _close(operation, steps)
    raise DriverMisuse(f"{operation!r} awaited something that is not this library's database")


def iterate(items: AsyncIterator[T]) -> Iterator[T]:
    """Yield what an async iterator of this library yields, each step finished as by :func:`run`."""
    while True:
        try:
            item = run(anext(items))
        except StopAsyncIteration:
            return
        yield item


@contextmanager
def allow_blocking() -> Generator[None]:
    """Let blocking models work inside a running task in this block. Its loop stands still meanwhile."""
    token = _allowed.set(True)
    try:
        yield
    finally:
        _allowed.reset(token)


def _inside_task() -> bool:
    if _allowed.get() or conf.allow_blocking or hasattr(builtins, "__IPYTHON__"):
        return False
    # Under gevent a loop may run in another greenlet of this thread: only a task of ours counts.
    try:
        return asyncio.current_task() is not None
    except RuntimeError:
        return False


def _close(operation: object, steps: object) -> None:
    """Close what will not be finished, so that nothing warns of a coroutine never awaited."""
    for unfinished in (steps, operation):
        close = getattr(unfinished, "close", None)
        if close is not None:
            close()


class BlockingTransport:
    """Carries calls over up to ``max_connections`` connections of one process, shared by its threads."""

    def __init__(self, settings: Settings, memory: dict[Any, Any]) -> None:
        self._settings, self._memory = settings, memory
        self._pool: Any = cast("Any", redis.BlockingConnectionPool)(
            connection_class=settings.sync_class,
            max_connections=settings.max_connections,
            timeout=settings.timeout,
            **settings.sync_options(),
        )

    async def execute(self, calls: Sequence[Call]) -> list[Reply]:
        exchange = wire.Exchange(calls, self._memory)
        while exchange.pending:
            exchange.take(self._trip(exchange))
        return exchange.replies

    def lock(self) -> AbstractAsyncContextManager[Any]:
        return BlockingLock()

    async def offload(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    def _trip(self, exchange: wire.Exchange) -> list[Reply]:
        connection = self._connect()
        try:
            return self._talk(connection, exchange)
        finally:
            self._pool.release(connection)

    def _connect(self) -> Any:
        settings = self._settings
        try:
            return self._pool.get_connection()
        except wire.NO_LOGIN as error:
            raise wire.translated(error) from None
        except wire.BROKEN as error:
            if "No connection available" in str(error):
                raise wire.busy(settings.address, settings.timeout) from None
            raise wire.no_connection(settings.address, error) from None

    def _talk(self, connection: Any, exchange: wire.Exchange) -> list[Reply]:
        finished = False
        try:
            commands = exchange.commands()
            connection.send_packed_command(connection.pack_commands(commands))
            replies = [self._read(connection) for _ in commands]
            finished = True
            return replies
        except wire.BROKEN as error:
            raise wire.lost(self._settings.address, exchange, error) from None
        finally:
            if not finished:
                connection.disconnect()

    @staticmethod
    def _read(connection: Any) -> Reply:
        try:
            return connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except wire.NO_LOGIN as error:
            return error

    def close(self) -> None:
        """Close all connections."""
        self._pool.disconnect()


class BlockingLock:
    """A lock of threads with the manners of an async one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    async def __aenter__(self) -> None:
        self._lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
