"""Which hashes under the prefix of a model are its records, where others may keep keys there too.

A key belongs to another model if the prefix of that goes on where this one ends: ``P:sub``, known by its
``P:sub/meta``. Else an id in the set of all ids was written by this library, and any other hash at ``P:<id>``
is a record if it holds a declared field, or the marker of records without one, and if its id does not go on
behind that of another key, as in ``profile:1:settings`` beside ``profile:1``. Who knows better says so by
``is_record``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from aioredisca.compiler.loads import load_call
from aioredisca.errors import WrongType
from aioredisca.persistence import asking
from aioredisca.storage.keys import Keys, id_text
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Store

IsRecord = Callable[[str], bool]

_BOUNDARY = re.compile("[:/]")
_SIGNATURE = re.compile(rb"\d+/")


async def ids_of_hashes(store: Store, schema: Schema) -> AsyncIterator[list[str]]:
    """The ids that the hashes under the prefix would have, page by page; SCAN may name one twice."""
    stem = len(schema.records.encode())
    async for keys in asking.scan_keys(store, schema.records, "TYPE", "hash"):
        yield [id_text(key[stem:]) for key in keys]


async def records_among(
    store: Store, schema: Schema, ids: Sequence[str], is_record: IsRecord | None = None
) -> tuple[list[str], list[str]]:
    """Those of *ids* that are records of the model, and those that are not known to be.

    In neither are those of a model with a longer prefix, and those gone meanwhile. Up to four round trips.
    """
    others = await nested(store, schema, ids)
    mine = [id for id in ids if id not in others]
    known, blank = await _look(store, schema, mine)
    unknown = [id for id in mine if id not in known]
    there = await _existing(store, schema.keys, [id for id in unknown if id in blank])
    if is_record is None:
        refused = await _continuing(store, schema.keys, unknown)
    else:
        refused = {id for id in unknown if not is_record(id)}
    ours = [id for id in mine if id in known or not (id in blank or id in refused)]
    return ours, [id for id in unknown if id in there or (id in refused and id not in blank)]


async def nested(store: Store, schema: Schema, ids: Iterable[str]) -> set[str]:
    """Those of *ids* whose keys belong to a model of a longer prefix.

    An HGET for each place where it may end.
    """
    return await nested_under(store, schema.keys, ids)


async def nested_under(store: Store, keys: Keys, ids: Iterable[str]) -> set[str]:
    """The same of a prefix of which there may be no class."""
    heads = {id: _heads(id) for id in ids}
    asked = list(dict.fromkeys(head for some in heads.values() for head in some))
    if not asked:
        return set()
    calls = [Call(("HGET", f"{keys.record(head)}/meta", "signature")) for head in asked]
    replies = await store.transport().send_all(calls)
    models = {
        head
        for head, reply in zip(asked, replies, strict=True)
        if isinstance(reply, bytes) and _SIGNATURE.match(reply)
    }
    return {id for id, some in heads.items() if not models.isdisjoint(some)}


def _heads(id: str) -> list[str]:
    """What stands in an id before each of its ``:`` and ``/``."""
    return [id[: found.start()] for found in _BOUNDARY.finditer(id)]


async def _look(store: Store, schema: Schema, ids: Sequence[str]) -> tuple[set[str], set[str]]:
    """The ids that the library has written, and those whose hashes hold no declared field and no marker."""
    calls = [Call(("ZSCORE", schema.keys.ids, id.encode("utf-8", "surrogateescape"))) for id in ids]
    loads = [load_call(schema, id, schema.read_fields) for id in ids]
    replies = await store.transport().send_all([*calls, *loads])
    if all(isinstance(reply, WrongType) for reply in replies[: len(ids)]):  # somebody else's: it knows none
        replies[: len(ids)] = [None] * len(ids)
    asking.unrefused(replies)
    known = {id for id, score in zip(ids, replies, strict=False) if score is not None}
    rows = zip(ids, replies[len(ids) :], strict=True)
    return known, {id for id, row in rows if row.count(None) == len(row)}


async def _existing(store: Store, keys: Keys, ids: Iterable[str]) -> set[str]:
    """Those of *ids* at whose keys there is something."""
    asked = list(dict.fromkeys(ids))
    if not asked:
        return set()
    replies = await asking.read_together(store, [Call(("EXISTS", keys.record(id))) for id in asked])
    return {id for id, reply in zip(asked, replies, strict=True) if reply}


async def _continuing(store: Store, keys: Keys, ids: Iterable[str]) -> set[str]:
    """Those of *ids* that go on behind a ``:`` where there is a key of what stands before it."""
    heads = {id: [head for head in _heads(id) if head and id[len(head)] == ":"] for id in ids}
    there = await _existing(store, keys, (head for some in heads.values() for head in some))
    return {id for id, some in heads.items() if not there.isdisjoint(some)}
