"""What travels over a line (lines.py): calls made ready to be sent, with the futures of their callers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aioredisca.drivers import wire
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Call, Reply

if TYPE_CHECKING:
    from aioredisca.drivers.aio.connection import Line


class Flight:
    """A command that only reads, made ready to be sent; its reply goes to a future.

    ``future``   comes to the reply. Whoever waits for it may have gone.
    ``data``     what is sent.
    ``started``  when it began to wait for its line, in seconds of the loop; 0 before.
    ``again``    whether it was sent before, over a line that broke.
    """

    __slots__ = ("again", "data", "future", "started")

    writes = False

    def __init__(self, loop: asyncio.AbstractEventLoop, data: bytes) -> None:
        self.future: asyncio.Future[Any] = asyncio.Future(loop=loop)
        self.data, self.started, self.again = data, 0.0, False

    def take(self, reply: Reply) -> bool:
        """Take the next reply from the server; whether it was the last of this flight."""
        future = self.future
        if future.done():  # nobody waits any more
            return True
        if isinstance(reply, Exception):
            future.set_exception(wire.translated(reply))
        else:
            future.set_result(reply)
        return True

    def fail(self, error: Exception) -> None:
        """There will be no reply."""
        if not self.future.done():
            self.future.set_exception(error)

    def renew(self) -> None:
        """Forget what part of the replies is there: it is sent once more."""
        self.again = True


class Flock(Flight):
    """Commands that only read, sent together: their replies as a list, or the first refusal."""

    __slots__ = ("_replies", "_size")

    def __init__(self, loop: asyncio.AbstractEventLoop, call: Call) -> None:
        super().__init__(loop, call.packed)
        self._size = call.commands
        self._replies: list[Reply] = []

    def take(self, reply: Reply) -> bool:
        self._replies.append(reply)
        if len(self._replies) < self._size:
            return False
        refused = next((one for one in self._replies if isinstance(one, Exception)), None)
        return super().take(self._replies if refused is None else refused)

    def renew(self) -> None:
        super().renew()
        self._replies = []


class Trip(Flight):
    """Calls, whose round trip takes two flights where one of them was refused and is sent in another form.

    ``calls``   what is asked.
    ``writes``  whether any of the calls writes.
    """

    __slots__ = ("_answers", "_exchange", "_owner", "_size", "calls", "writes")

    calls: Sequence[Call]

    def __init__(self, owner: Owner, calls: Sequence[Call]) -> None:
        super().__init__(owner.loop, wire.packed(calls, owner.facts))
        self.calls, self._owner, self._size = calls, owner, len(calls)
        self.writes = True in [call.writes for call in calls]
        self._answers: list[Reply] = []
        self._exchange: wire.Exchange | None = None

    @property
    def next_call(self) -> Call:
        """The call that the next reply belongs to, as long as none was refused."""
        return self.calls[len(self._answers)]

    def take(self, reply: Reply) -> bool:
        answers = self._answers
        answers.append(reply)
        if len(answers) < self._size:
            return False
        if self.writes:
            self._owner.written(self)
        if not self.future.done():
            self._arrive(answers)
        return True

    def _arrive(self, answers: list[Reply]) -> None:
        if self._exchange is None and True not in [isinstance(answer, Exception) for answer in answers]:
            self.future.set_result(answers)
            return
        try:
            self._sort_out(answers)
        except Exception as error:  # whatever it is, somebody waits for it
            self.fail(error)

    def _sort_out(self, answers: list[Reply]) -> None:
        """Some calls were refused: ask in another form what can be asked so, and hand on the rest."""
        if self._exchange is None:
            self._exchange = wire.Exchange(self.calls, self._owner.facts)
        exchange = self._exchange
        exchange.take(answers)
        if exchange.pending:
            self.data, self._size, self._answers = exchange.packed(), len(exchange.pending), []
            self.started, self.again = 0.0, False
            self._owner.submit(self)
        else:
            self._hand_on(exchange.replies)

    def _hand_on(self, replies: list[Reply]) -> None:
        self.future.set_result(replies)

    def fail(self, error: Exception) -> None:
        if self.writes:
            self._owner.written(self)
        super().fail(error)

    def renew(self) -> None:
        super().renew()
        self._answers = []


class LoneTrip(Trip):
    """A trip of one call, as most are: the future comes to its reply."""

    __slots__ = ()

    def __init__(self, owner: Owner, call: Call) -> None:
        Flight.__init__(self, owner.loop, wire.packed_one(call, owner.facts))  # what Trip does takes longer
        self.calls, self.writes, self._owner, self._exchange = (call,), call.writes, owner, None
        self._answers, self._size = [], 1

    def take(self, reply: Reply) -> bool:
        if self.writes:
            self._owner.written(self)
        if self.future.done():
            return True
        if self._exchange is None and not isinstance(reply, Exception):
            self.future.set_result(reply)
        else:
            self._arrive([reply])
        return True

    def _hand_on(self, replies: list[Reply]) -> None:
        (reply,) = replies
        if isinstance(reply, Exception):
            self.future.set_exception(reply)
        else:
            self.future.set_result(reply)


class Owner(Protocol):
    """Whoever gives flights to a line."""

    loop: asyncio.AbstractEventLoop
    facts: StoreFacts

    def submit(self, flight: Flight) -> None:
        """Send *flight*, over whatever line there is."""

    def written(self, trip: Trip) -> None:
        """*trip*, which writes, was answered or given up: from here on its caller goes on."""

    def changed(self) -> None:
        """The line takes flights again, or will take none any more."""

    def lost(
        self, line: Line, sent: Sequence[Flight], unsent: Sequence[Flight], error: BaseException
    ) -> None:
        """The line is gone. The *sent* flights may have been executed or not, the *unsent* were not."""
