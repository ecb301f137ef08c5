"""Partitions: the slots over which the records of one class are spread, by their ids. Pure.

Partition ``k`` of ``N`` has a tag of its own, whose slot lies in the ``k``-th of ``N`` equal shares of all
slots: nodes that have equal shares of the slots have equal shares of the records. docs/storage.md lists the
keys.
"""

from __future__ import annotations

from binascii import crc32, crc_hqx
from functools import cache
from itertools import count
from typing import Any

SLOTS = 16_384
"""How many a cluster has."""

MAX_PARTITIONS = 1024


def bad_partitions(given: Any) -> str:
    """Why a class cannot have so many partitions, or the empty string."""
    whole = isinstance(given, int) and not isinstance(given, bool)
    if whole and 1 <= given <= MAX_PARTITIONS and given & (given - 1) == 0:
        return ""
    return f"is a power of two from 1 to {MAX_PARTITIONS:,}, so that slots are shared out evenly"


def partition_of(raw: bytes, partitions: int) -> int:
    """Which of so many *partitions* has what is stored under an id, or the claim of a value."""
    return crc32(raw) % partitions


def partition_of_id(id: str, partitions: int) -> int:
    """The same for an id as text."""
    return crc32(id.encode("utf-8", "surrogateescape")) % partitions


BUCKETS = 256
"""Epochs of one partition: a claim that is given up disturbs no more than the writes of one bucket."""


def bucket_of(raw: bytes) -> int:
    """Which epoch of its partition is that of an id. Lua counts as this does: ``lua/shared/vacate.lua``."""
    bucket = 0
    for byte in raw:
        bucket = (bucket * 31 + byte) % BUCKETS
    return bucket


@cache
def tags(prefix: str, partitions: int) -> tuple[str, ...]:
    """What stands in the braces of each partition of a class."""
    return tuple(_tag(f"{prefix}.{partitions}.{number}", number, partitions) for number in range(partitions))


def _tag(stem: str, number: int, partitions: int) -> str:
    candidates = (f"{stem}.{tried}" for tried in count())
    return next(tag for tag in candidates if _slot(tag) * partitions // SLOTS == number)


def _slot(tag: str) -> int:
    """As clusters count it: CRC-16/XMODEM."""
    return crc_hqx(tag.encode(), 0) % SLOTS
