"""What the tests of sentinels share: databases of the service that some of them watch, and waiting in both colours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioredisca import Database
from aioredisca.types import Call

from ..support.oracle import Oracle, url_of
from ..support.patience import limit
from .support import LONG, Form

both = pytest.mark.parametrize("form", ["fast", "pool"])
"""The two kinds of transports of asyncio; blocking code has one."""

READ = Call(("GET", "who"))
"""Tells which server answers."""


@asynccontextmanager
async def opened(
    *oracles: Oracle, form: Form = "fast", options: str = "", **limits: Any
) -> AsyncIterator[Database]:
    database = Database(url_of(*oracles, options=options), transport=form, **LONG | limits)
    try:
        yield database
    finally:
        database.close()
        if in_loop():
            await database.aclose()


def in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def ask(database: Database, call: Call) -> Any:
    return await database.transport().send(call)


async def pause(seconds: float) -> None:
    """Wait, in either colour."""
    if in_loop():
        await asyncio.sleep(seconds)
    else:
        time.sleep(seconds)


async def becomes(look: Callable[[], Awaitable[Any]], wanted: Any) -> float:
    """Wait until *look* sees *wanted*; how long that took."""
    started = time.monotonic()
    while (seen := await look()) != wanted:
        assert time.monotonic() - started < limit(2), f"{seen!r} is not {wanted!r}"
        await pause(0.01)
    return time.monotonic() - started
