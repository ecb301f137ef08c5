"""What the tests of the transports share: calls to send, and databases of each form."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal, cast

import hiredis
import pytest

from aioredisca import Database
from aioredisca.drivers.aio.multiplexer import Multiplexer
from aioredisca.types import Call

from ..support.patience import limit

Form = Literal["fast", "public", "pool"]
SHARED: tuple[Form, ...] = ("fast", "public")

LONG: Any = {"timeout": limit(3), "connect_timeout": limit(3)}
"""Limits that nothing on a slow machine reaches: where a test waits for a limit, it says so."""

shared = pytest.mark.parametrize("form", SHARED)
every = pytest.mark.parametrize("form", [*SHARED, "pool"])


def ping(text: str) -> Call:
    return Call(("ECHO", text))


def command(*args: str) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = cast("Any", hiredis).pack_command(args)
    return packed


def reads(*commands: bytes) -> Call:
    """Commands that only read, laid out beforehand: one call."""
    return Call((), packed=b"".join(commands), commands=len(commands))


def incr(key: str) -> Call:
    return Call(("INCR", key), writes=True)


@asynccontextmanager
async def opened(url: str, form: Form, **limits: Any) -> AsyncIterator[Database]:
    database = Database(url, transport=form, **LONG | limits)
    try:
        yield database
    finally:
        await database.aclose()


async def ask(database: Database, *calls: Call) -> Any:
    replies = await database.transport().send_all(calls)
    return replies[0] if len(calls) == 1 else replies


def connection_of(database: Database) -> Any:
    transport = database.transport()
    assert isinstance(transport, Multiplexer)
    return transport._connection


async def turns(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)
