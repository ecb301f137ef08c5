"""What several tasks want to know at the same time is asked once."""

from __future__ import annotations

import asyncio
import contextvars
import copy
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from aioredisca.errors import RediscaError, Unavailable

T = TypeVar("T")


class Once(Generic[T]):
    """Asks one question at a time, in a task of its own; what comes of it is for all who wait."""

    def __init__(self) -> None:
        self._task: asyncio.Task[T] | None = None

    def begin(self, question: Callable[[], Coroutine[Any, Any, T]]) -> asyncio.Task[T]:
        """Have it asked, unless it is being asked. In an empty context, which holds no session."""
        if self._task is None or self._task.done():
            loop, empty = asyncio.get_running_loop(), contextvars.Context()
            self._task = loop.create_task(question(), context=empty)
            self._task.add_done_callback(_note, context=empty)
        return self._task

    async def ask(self, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer. Who gives up leaves it to the others; each has an error of its own."""
        task = self.begin(question)
        await asyncio.wait((task,))
        if task.cancelled():
            raise Unavailable("closed by this process before anything was sent")
        error = task.exception()
        if isinstance(error, RediscaError):
            raise copy.copy(error)
        return task.result()

    def stop(self) -> None:
        """Give up what is being asked."""
        if self._task is not None:
            self._task.cancel()


def _note(task: asyncio.Task[Any]) -> None:
    """Nobody may have waited for it."""
    if not task.cancelled():
        task.exception()
