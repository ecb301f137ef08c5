"""Handles: the collections of one record, with the verbs that read and change them.

One round trip each, but for those that wait. A change is refused by Gone where there is no record; a read
finds nothing then. Both colours use these coroutines: the blocking ones of sync/ run them.
"""

from __future__ import annotations

from typing import Any

from aioredisca.persistence.collections.counters import CounterHandle
from aioredisca.persistence.collections.handle import INT64, MOST, CollectionHandle
from aioredisca.persistence.collections.hashes import HashHandle
from aioredisca.persistence.collections.lists import ListHandle
from aioredisca.persistence.collections.sets import SetHandle
from aioredisca.persistence.collections.sorted_sets import SortedHandle

__all__ = [
    "HANDLES",
    "INT64",
    "MOST",
    "CollectionHandle",
    "CounterHandle",
    "HashHandle",
    "ListHandle",
    "SetHandle",
    "SortedHandle",
]

HANDLES: dict[str, type[Any]] = {
    "list": ListHandle,
    "set": SetHandle,
    "sorted": SortedHandle,
    "hash": HashHandle,
    "counter": CounterHandle,
}
"""By the kind of the collection, for asyncio models."""
