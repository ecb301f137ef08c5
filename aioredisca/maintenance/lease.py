"""One operator at a time: whoever works on the indexes of a model holds a lease that ends when its holder
does.

It is a politeness. Who works on though the lease ended, because the process stood still, say, is stopped by
the word of meta and its cursors, which each step compares on the server.
"""

from __future__ import annotations

import os
import platform
import secrets
from contextlib import suppress
from time import monotonic
from types import TracebackType

from aioredisca.compiler import positions
from aioredisca.compiler.scripts import small_script
from aioredisca.errors import AlreadyRunning, RediscaError, WrongType
from aioredisca.persistence import asking
from aioredisca.storage.replies import LIST, write_reader
from aioredisca.types import Call, Reply, Store

LASTS = 10.0
"""Seconds."""


class Lease:
    """Held inside ``async with``; :meth:`keep` between steps. AlreadyRunning where somebody else holds it.

    ``model`` is what it is about, for the error; ``lasts`` how many seconds it lasts when nothing is heard;
    ``name`` that of the holder, a new one by default.

    EVALSHA, one round trip to take it, to prolong it, and to give it back.
    """

    def __init__(self, store: Store, key: str, model: str, lasts: float = LASTS, name: str = "") -> None:
        self._store, self._model = store, model
        self.key, self.lasts = key, lasts
        self.name = name or f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._until = 0.0

    async def __aenter__(self) -> Lease:
        await self._ask(self.lasts)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # a task that is cancelled sends nothing more; who presses Ctrl-C may begin again at once
        if error is None or isinstance(error, Exception | KeyboardInterrupt):
            with suppress(RediscaError):  # it ends by itself
                await self._ask(0)

    async def keep(self) -> None:
        """Prolong it, if it is time. Nothing is sent most of the time."""
        if monotonic() > self._until - self.lasts / 2:
            await self._ask(self.lasts)

    async def wait(self, seconds: float) -> None:
        """Hold it for so many seconds, one at most."""
        await self._store.transport().sleep(min(seconds, 1.0))
        await self.keep()

    async def _ask(self, seconds: float) -> None:
        now = monotonic()
        head = positions.Lease(self.name, round(seconds * 1000))
        call = Call((*head,), small_script("lease"), (self.key,), writes=True)
        try:
            holder = await asking.read(self._store, call, LIST)
        except WrongType:
            raise WrongType(self.key, place="collection") from None  # which needs but to go
        if holder:
            raise _held(self._model, holder)
        self._until = now + seconds


@write_reader
def _held(model: str, reply: Reply) -> AlreadyRunning:
    holder, left = reply
    return AlreadyRunning(model, holder.decode("utf-8", "replace"), max(left, 0) / 1000)
