"""Calls that are sent as they are, for whoever wants no more than the reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aioredisca.errors import RediscaError
from aioredisca.storage.keys import glob_literal
from aioredisca.types import Arg, Call, Reply, Store


async def read(store: Store, call: Call) -> Reply:
    """The reply to one call in one round trip; a refusal is raised."""
    return await store.transport().send(call)


async def read_together(store: Store, calls: Sequence[Call]) -> list[Reply]:
    """The replies to several calls in one round trip; the first refusal is raised."""
    return unrefused(await store.transport().send_all(calls))


def unrefused(replies: list[Reply]) -> list[Reply]:
    """Replies as they are; the first refusal is raised."""
    for reply in replies:
        if isinstance(reply, RediscaError):
            raise reply
    return replies


async def scan_keys(store: Store, stem: str, *of_type: str) -> AsyncIterator[list[bytes]]:
    """The keys that start with *stem*: the pages of a SCAN of the keyspace, 1,000 keys looked at for each."""
    cursor: Arg = "0"
    while True:
        call = Call(("SCAN", cursor, "MATCH", glob_literal(stem) + "*", "COUNT", 1000, *of_type))
        cursor, found = await read(store, call)
        yield found
        if cursor == b"0":
            return
