"""``run``: the core's coroutines finished here and now, without a loop.

The core awaits nothing but its transport. The blocking transport's coroutines block instead of suspending, so
one ``send(None)`` runs an operation to its end: no loop, no thread, nothing that a fork could break.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import AsyncIterator, Awaitable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from aioredisca.config import conf
from aioredisca.errors import DriverMisuse

T = TypeVar("T")

_driving: ContextVar[bool] = ContextVar("aioredisca_driving", default=False)
_allowed: ContextVar[bool] = ContextVar("aioredisca_allow_blocking", default=False)


driving = _driving.get
"""Whether the code that asks runs under :func:`run`."""


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
    # Every blocking verb asks. What raises where there is nothing takes as long as all the rest of it.
    if _allowed.get() or conf.allow_blocking or "__IPYTHON__" in vars(builtins):
        return False
    loop = asyncio._get_running_loop()
    # Under gevent a loop may run in another greenlet of this thread: only a task of ours counts.
    return loop is not None and asyncio.current_task(loop) is not None


def _close(operation: object, steps: object) -> None:
    """Close what will not be finished, so that nothing warns of a coroutine never awaited."""
    for unfinished in (steps, operation):
        close = getattr(unfinished, "close", None)
        if close is not None:
            close()
