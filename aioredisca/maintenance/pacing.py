"""Going no faster than one is told to, so that others have the server too."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aioredisca.errors import UsageError
from aioredisca.maintenance.lease import Lease
from aioredisca.types import Store

_LONGEST = 0.25
"""Seconds of one rest: whoever cancels it waits no longer."""


class Pace:
    """At most *rate* things a second, on average; None for as fast as it goes."""

    def __init__(self, store: Store, rate: float | None) -> None:
        number = isinstance(rate, int | float) and not isinstance(rate, bool)
        if rate is not None and not (number and 0 < rate < float("inf")):
            raise UsageError(f"rate={rate!r}: it is a number of records a second, or None")
        self._store, self._rate, self._due = store, rate, time.monotonic()

    async def passed(self, count: int) -> None:
        """So many things were done: rest, if that was too fast. Blocks no event loop."""
        if self._rate is None:
            return
        self._due = max(self._due, time.monotonic() - 1) + count / self._rate
        while (rest := self._due - time.monotonic()) > 0:
            await self._store.transport().sleep(min(rest, _LONGEST))


@dataclass
class Steps:
    """How many records were dealt with under a lease, and how many are to be in a second, at most."""

    rate: int | None
    progress: Callable[[int], None] | None
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    async def passed(self, count: int, lease: Lease) -> None:
        """So many more: tell of them, and hold the lease while that was too fast."""
        self.done += count
        if self.progress is not None:
            self.progress(self.done)
        while self.rate and (rest := self.began + self.done / self.rate - time.monotonic()) > 0:
            await lease.wait(rest)
