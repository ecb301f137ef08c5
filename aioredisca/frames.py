"""What the frames of errors hold: error trackers send it away, so no value stays there."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable
from typing import Any, TypeVar, cast

from aioredisca.errors import RediscaError

F = TypeVar("F", bound=Callable[..., Any])


def hide_values(error: BaseException) -> None:
    """Empty the frames that *error* has left: error trackers send away what they hold. Lines stay."""
    traceback.clear_frames(error.__traceback__)


def hiding(verb: F) -> F:
    """*verb*, whose errors hold nothing of what it was given: no frame of it, nor of what it called, does."""

    def hidden(*given: Any, **named: Any) -> Any:
        try:
            return verb(*given, **named)
        except RediscaError as error:
            hide_values(error)
            del given, named
            raise

    async def hidden_later(*given: Any, **named: Any) -> Any:
        try:
            return await verb(*given, **named)
        except RediscaError as error:
            hide_values(error)
            del given, named
            raise

    return cast("F", functools.wraps(verb)(hidden_later if inspect.iscoroutinefunction(verb) else hidden))
