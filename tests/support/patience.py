"""Waiting on a machine of any speed: time limits in tests are for hangs, never for slowness.

A test that must not hang says ``limit(1)``: what takes a second at most where nothing else runs. One that waits
for something to happen says ``until(...)`` rather than how long it will take.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from aioredisca import Unavailable

T = TypeVar("T")

SLOWER = float(os.environ.get("REDISCA_PATIENCE", "20"))
"""How many times slower than a quiet machine one may be before it counts as a hang."""


def limit(seconds: float) -> float:
    """The time limit for what takes *seconds* at most on a quiet machine."""
    return seconds * SLOWER


async def becomes(look: Callable[[], Awaitable[Any]], wanted: Any) -> None:
    """Wait until *look* sees *wanted*."""
    end = time.monotonic() + limit(1)
    while (seen := await look()) != wanted:
        assert time.monotonic() < end, f"{seen!r} is not {wanted!r}"
        await asyncio.sleep(0.002)


async def until(look: Callable[[], object]) -> None:
    """Wait until *look* says yes."""
    end = time.monotonic() + limit(1)
    while not look():
        assert time.monotonic() < end, "it does not come about"
        await asyncio.sleep(0.002)


def wait_until(look: Callable[[], object]) -> None:
    """The same for code that has no loop."""
    end = time.monotonic() + limit(1)
    while not look():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.002)


async def insist(operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The result of *operation*, tried until the database could be reached: a busy machine may take its time."""
    while True:
        try:
            return await operation()
        except Unavailable:
            await asyncio.sleep(0.05)
