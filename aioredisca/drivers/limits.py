"""The limits of a Database: how many connections, and how long things may take. All pure."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping

from aioredisca.errors import UsageError
from aioredisca.storage.facts import MAX_ARGUMENTS

BACKOFF = 0.01
"""Seconds before the second try to connect, at most; they double with each failure, up to 64 times that."""

MAX_CONNECTIONS = 100_000
MAX_SECONDS = 1_000_000
"""Eleven days: more than anybody waits, and less than what clocks and selectors overflow at."""

MAX_REPLICAS = 100
"""More than anybody has of one server."""

MIN_ARGUMENTS = 1000
"""What every server must take: a record with 400 fields is one call."""

_SERVERLESS = re.compile(r"\.serverless\.[\w-]+\.cache\.amazonaws\.com(\.cn)?$")
_SERVERLESS_ARGUMENTS = 3999


def max_arguments_at(hosts: Iterable[str]) -> int:
    """How many arguments of one command the server at *hosts* takes, as far as its name tells."""
    return _SERVERLESS_ARGUMENTS if any(map(_SERVERLESS.search, hosts)) else MAX_ARGUMENTS


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


def check_wait(wait: object, transport: str, *, memory: bool) -> None:
    """UsageError for a number of replicas that cannot be waited for."""
    if isinstance(wait, bool) or not isinstance(wait, int) or not 0 <= wait <= MAX_REPLICAS:
        raise UsageError(f"Database(wait={wait!r}): is how many replicas, from 0 to {MAX_REPLICAS}")
    if wait and memory:
        raise UsageError(f"Database(wait={wait!r}): memory:// has no replicas")
    if wait and transport in ("fast", "public"):
        raise UsageError(
            f"Database(wait={wait!r}, transport={transport!r}): to wait holds a connection up, so each call "
            f'needs one of its own: leave transport="auto"'
        )


def pause(failures: int) -> float:
    """Seconds before the next try to connect: at random, so that many processes do not come back at once."""
    return random.uniform(0, BACKOFF * 2 ** min(failures, 6))
