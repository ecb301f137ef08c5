"""The limits of a Database: how many connections, and how long things may take. All pure."""

from __future__ import annotations

import random
from collections.abc import Mapping

from aioredisca.errors import UsageError

BACKOFF = 0.01
"""Seconds before the second try to connect, at most; they double with each failure, up to 64 times that."""

MAX_CONNECTIONS = 100_000
MAX_SECONDS = 1_000_000
"""Eleven days: more than anybody waits, and less than what clocks and selectors overflow at."""


def check_limits(where: str, given: Mapping[str, object]) -> None:
    """UsageError for a limit that is none. *where* is a format of its name and its value."""
    for name, value in given.items():
        if "connections" in name:
            what, most, fits = "a whole number", MAX_CONNECTIONS, isinstance(value, int)
        else:
            what, most, fits = "seconds as a number", MAX_SECONDS, isinstance(value, int | float)
        # NaN is neither more nor less than anything.
        if not fits or isinstance(value, bool) or not 0 < value <= most:  # type: ignore[operator]
            raise UsageError(f"{where.format(name, value)}: must be more than 0 and at most {most:,}, {what}")


def pause(failures: int) -> float:
    """Seconds before the next try to connect: at random, so that many processes do not come back at once."""
    return random.uniform(0, BACKOFF * 2 ** min(failures, 6))
