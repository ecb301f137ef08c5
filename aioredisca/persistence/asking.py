"""Calls that are sent as they are, for whoever wants no more than the reply."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from aioredisca.compiler.scripts import small_script
from aioredisca.errors import RediscaError
from aioredisca.storage.keys import Keys, glob_literal
from aioredisca.storage.replies import LIST, check_values, of_kind, reader
from aioredisca.types import Arg, Astray, Call, Reply, Store


async def read(store: Store, call: Call, kinds: tuple[type, ...] = ()) -> Reply:
    """The reply to one call in one round trip, of one of *kinds* if they are given; a refusal is raised."""
    reply = await store.transport().send(call)
    return of_kind(reply, kinds, call) if kinds else reply


async def read_together(store: Store, calls: Sequence[Call]) -> list[Reply]:
    """The replies to several calls in one round trip; the first refusal is raised."""
    return unrefused(await store.transport().send_all(calls))


def unrefused(replies: list[Reply]) -> list[Reply]:
    """Replies as they are; the first refusal is raised."""
    for reply in replies:
        if isinstance(reply, RediscaError):
            raise reply
    return replies


def time_call(keys: Keys) -> Call:
    """What asks for the clock of the server that has *keys*."""
    return Call(("TIME",), keys=(keys.meta,))


async def scan_keys(store: Store, stem: str, *of_type: str) -> AsyncIterator[list[bytes]]:
    """The keys that start with *stem*: the pages of a SCAN of the keyspace, 1,000 keys looked at for each."""
    async for keys in scan_matching(store, stem, glob_literal(stem) + "*", *of_type):
        yield keys


async def scan_matching(store: Store, place: str, pattern: str, *of_type: str) -> AsyncIterator[list[bytes]]:
    """The same for the keys that match *pattern*, all of them where *place* is."""
    cursor: Arg = "0"
    while True:
        args = (cursor, "MATCH", pattern, "COUNT", 1000, *of_type)
        if store.clustered:
            call = Call(args, small_script("scan"), (place,), cursor=0)
        else:
            call = Call(("SCAN", *args), cursor=1)
        try:
            cursor, found = _page(await read(store, call, LIST))
        except Astray:  # from the beginning: SCAN may show keys twice in any case
            cursor = "0"
            continue
        yield found
        if cursor == b"0":
            return


@reader
def _page(reply: Reply) -> tuple[bytes, list[bytes]]:
    """The next cursor and the keys that a SCAN answers with."""
    cursor, found = reply
    check_values([cursor, *found])
    return cursor, found
