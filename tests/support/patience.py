"""Trying again where nothing ran: on a busy machine a connection may not come about in time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from aioredisca import Unavailable

T = TypeVar("T")


async def insist(operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of *operation*, tried until the database could be reached."""
    while True:
        try:
            return await operation()
        except Unavailable:
            await asyncio.sleep(0.05)
