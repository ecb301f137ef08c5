"""What the threads of a process share: attempts to connect while the server is away, and answers."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from aioredisca.drivers.limits import pause
from aioredisca.errors import RediscaError

T = TypeVar("T")


class Attempts:
    """From the first failure on one at a time, each after a pause that grows; what comes of it is for all."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._made = self._failures = 0
        self._error: RediscaError | None = None

    def make(self, connect: Callable[[], None]) -> None:
        """Let *connect* try, or raise what came of a try that somebody has just made."""
        if not self._failures:
            return self._try(connect)
        made = self._made
        with self._turn:
            if self._error is not None and self._made != made:
                raise copy.copy(self._error)
            if self._failures:
                time.sleep(pause(self._failures))
            return self._try(connect)

    def _try(self, connect: Callable[[], None]) -> None:
        try:
            connect()
        except RediscaError as error:
            self._failures, self._error = self._failures + 1, copy.copy(error)
            raise
        else:
            self._failures, self._error = 0, None
        finally:
            self._made += 1


class Once(Generic[T]):
    """What several threads want to know at the same time one of them asks; what comes of it is for all."""

    def __init__(self) -> None:
        self._turn, self._asked = threading.Lock(), 0
        self._answer: T | RediscaError | None = None

    def ask(self, question: Callable[[], T]) -> T:
        """The answer. Each has an error of its own."""
        asked = self._asked
        with self._turn:
            if self._asked == asked:
                try:
                    self._answer = question()
                except RediscaError as error:
                    self._answer = error.with_traceback(None)
                self._asked += 1
            answer = self._answer
        if isinstance(answer, RediscaError):
            raise copy.copy(answer)
        return cast("T", answer)
