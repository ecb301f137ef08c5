"""Record ids: ordered by time, unguessable enough not to collide, safe after a fork."""

from __future__ import annotations

import os
import time

_last = 0


def hexid() -> str:
    """Return a new id of 24 hex digits: 48 bits of milliseconds, then 48 random bits.

    Ids made by one process sort in the order they were made (ties of threads aside). An id is hard to
    guess, but no secret: where it must be one, use ``conf(id=secrets.token_urlsafe)``.
    """
    return f"{intid():024x}"


def intid() -> int:
    """Return a new id as one integer of 96 bits (see :func:`hexid`). Too wide for a range index."""
    global _last
    fresh = (time.time_ns() // 1_000_000) << 48 | int.from_bytes(os.urandom(6), "big")
    # A clock that stands or goes back must not break the order: go on from the last id, with a random
    # step, so that two processes with one clock do not march in step.
    if fresh <= _last:
        fresh = _last + 1 + int.from_bytes(os.urandom(4), "big")
    _last = fresh
    return fresh
