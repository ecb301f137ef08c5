"""What travels over a connection: calls made ready to be sent, with the futures of their callers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from aioredisca.drivers import wire
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Call, Proof, Reply

if TYPE_CHECKING:
    from aioredisca.drivers.aio.connection import Connection


class Request:
    """One call, made ready to be sent; its reply goes to a future. A refused one may go in another form.

    ``future``   comes to the reply. Whoever waits for it may have gone.
    ``calls``    what is asked.
    ``data``     what is sent.
    ``writes``   whether any of the calls writes.
    ``started``  when it began to wait for its connection, in seconds of the loop; 0 before.
    ``resent``   whether it was sent before, over a connection that broke.
    """

    __slots__ = ("_exchange", "_owner", "calls", "data", "future", "resent", "started", "writes")

    calls: Sequence[Call]

    def __init__(self, owner: Owner, call: Call) -> None:
        self.future: asyncio.Future[Any] = asyncio.Future(loop=owner.loop)
        self.data = call.packed or wire.pack(call, owner.facts)
        self.calls, self.writes, self._owner = (call,), call.writes, owner
        self.started, self.resent = 0.0, False
        self._exchange: wire.Exchange | None = None

    def take(self, reply: Reply) -> bool:
        """Take the next reply from the server; whether it was the last of this request."""
        if self.writes and (on_written := self._owner.on_written):
            on_written(self)
        if self.future.done():  # nobody waits any more
            return True
        if isinstance(reply, Exception):
            self._look_into([reply])
        else:
            self.future.set_result(reply)
        return True

    def _look_into(self, answers: list[Reply]) -> None:
        """Some calls were refused, now or before."""
        try:
            self._sort_out(answers)
        except Exception as error:  # whatever it is, somebody waits for it
            self.fail(error)

    def _sort_out(self, answers: list[Reply]) -> None:
        """Ask in another form what can be asked so, and hand on the rest."""
        exchange = self._exchange = self._exchange or wire.Exchange(self.calls, self._owner.facts)
        exchange.take(answers)
        if exchange.pending:
            self._expect(len(exchange.pending))
            self.data, self.resent = exchange.packed(), False
            self._owner.ask_again(self)
        else:
            self._hand_on(exchange.replies)

    def _expect(self, count: int) -> None:
        """So many replies are to come."""

    def _hand_on(self, replies: list[Reply]) -> None:
        (reply,) = replies
        if isinstance(reply, Exception):
            self.future.set_exception(reply)
        else:
            self.future.set_result(reply)

    def fail(self, error: Exception) -> None:
        """There will be no reply."""
        if self.writes and (on_written := self._owner.on_written):
            on_written(self)
        if not self.future.done():
            self.future.set_exception(error)

    def resend(self) -> None:
        """It is to be sent once more: forget what part of the replies is there."""
        self.resent = True

    def pass_over(self, reply: Reply) -> bool:
        """Let the next reply go: all of it is asked once more, in full. Whether it was the last."""
        self._exchange = None
        self.data = wire.pack_all(self.calls, self._owner.facts, range(len(self.calls)))
        return True


class Batch(Request):
    """Several calls, or the several commands of one call: the future comes to the list of their replies.

    Calls that were refused stand in the list as errors. Of commands, the first refusal is all there is.
    """

    __slots__ = ("_answers", "_size")

    def __init__(self, owner: Owner, calls: Sequence[Call]) -> None:
        self.future = asyncio.Future(loop=owner.loop)
        self.data = wire.pack_all(calls, owner.facts)
        self.calls, self._owner = calls, owner
        self.writes = True in [call.writes for call in calls]
        self.started, self.resent, self._exchange = 0.0, False, None
        self._answers: list[Reply] = []
        self._size = calls[0].commands or len(calls)

    @property
    def next_call(self) -> Call:
        """The call that the next reply belongs to, as long as none was refused."""
        return self.calls[len(self._answers)]

    def take(self, reply: Reply) -> bool:
        answers = self._answers
        answers.append(reply)
        if len(answers) < self._size:
            return False
        if self.writes and (on_written := self._owner.on_written):
            on_written(self)
        if self.future.done():
            return True
        if self._exchange is None and True not in [isinstance(answer, Exception) for answer in answers]:
            self._hand_on(answers)
        else:
            self._look_into(answers)
        return True

    def _sort_out(self, answers: list[Reply]) -> None:
        if not self.calls[0].commands:
            super()._sort_out(answers)
        elif refusal := wire.first_refusal(answers):
            self.fail(refusal)

    def _expect(self, count: int) -> None:
        self._answers, self._size = [], count

    def _hand_on(self, replies: list[Reply]) -> None:
        self.future.set_result(replies)

    def resend(self) -> None:
        super().resend()
        self._answers = []

    def pass_over(self, reply: Reply) -> bool:
        self._answers.append(reply)
        if len(self._answers) < self._size:
            return False
        self._expect(self.calls[0].commands or len(self.calls))
        return super().pass_over(reply)


class Proven(Request):
    """A read made by a belief: what it found is handed on when the word behind it has come.

    ``metas``  the keys of the words that it trusts.
    ``found``  the reply, once it is there.
    ``shelf``  where it waits then, with all that its connection has found since the last words.
    """

    __slots__ = ("_alone", "_proof", "found", "metas", "shelf")

    shelf: list[Proven | ProvenBatch]
    found: Reply

    def __init__(self, owner: Owner, call: Call, proof: Proof, *, alone: bool) -> None:
        """*alone*: the future comes to the reply itself, or to its refusal; else to a list of it."""
        super().__init__(owner, call)
        self._alone, self._proof, self.metas = alone, proof, (proof.meta,)

    def take(self, reply: Reply) -> bool:
        if self.future.done():
            return True
        if isinstance(reply, Exception):
            self._look_into([reply])
        else:
            self._hand_on([reply])
        return True

    def _hand_on(self, replies: list[Reply]) -> None:
        (self.found,) = replies
        self.shelf.append(self)

    def prove(self, words: Mapping[str, Reply]) -> None:
        """Hand on what was found: these *words* came behind it, over the same connection."""
        if self.future.done():
            return
        proof = self._proof
        reply = wire.judged(self.found, proof, words[proof.meta])
        if self._alone:
            super()._hand_on([reply])
        else:
            self.future.set_result([reply])


class ProvenBatch(Batch):
    """The same for several calls."""

    __slots__ = ("found", "metas", "shelf")

    shelf: list[Proven | ProvenBatch]
    found: list[Reply]

    def __init__(self, owner: Owner, calls: Sequence[Call], metas: Sequence[str]) -> None:
        super().__init__(owner, calls)
        self.metas = metas

    def _hand_on(self, replies: list[Reply]) -> None:
        self.found = replies
        self.shelf.append(self)

    def prove(self, words: Mapping[str, Reply]) -> None:
        """See :class:`Proven`."""
        if not self.future.done():
            self.future.set_result(wire.proven(self.calls, self.found, words))

    def resend(self) -> None:
        super().resend()  # all of it again: the words of one connection prove nothing of another
        self._exchange = None
        self.data, self._size = wire.pack_all(self.calls, self._owner.facts), len(self.calls)


class Words(Request):
    """What proves the reads that were sent before over a connection, and wait on its *shelf*."""

    __slots__ = ("_metas", "_shelf", "_words")

    def __init__(
        self,
        metas: Sequence[str],
        shelf: list[Proven | ProvenBatch],
        started: float,
        closed: asyncio.Future[Any],
    ) -> None:
        """They are waited for until the connection is *closed*: each of the reads may be given up before."""
        self.data, self.started, self.future = wire.ask_words(metas), started, closed
        self.writes = False
        self._metas, self._shelf, self._words = metas, shelf, dict[str, Reply]()

    def take(self, reply: Reply) -> bool:
        words, shelf = self._words, self._shelf
        words[self._metas[len(words)]] = reply
        if len(words) < len(self._metas):
            return False
        for read in shelf:
            read.prove(words)
        shelf.clear()
        return True


class Owner(Protocol):
    """Whoever gives requests to a connection."""

    loop: asyncio.AbstractEventLoop
    facts: StoreFacts
    on_written: Callable[[Request], None] | None
    """Called with a request that writes, once it was answered or given up: its caller goes on from there."""

    def submit(self, request: Request) -> None:
        """Send *request*, over whatever connection there is."""

    def ask_again(self, request: Request) -> None:
        """Send *request*, which was just refused as it was, before all that came after it."""

    def changed(self) -> None:
        """The connection takes requests again, or will take none any more."""

    def lost(
        self, connection: Connection, sent: Sequence[Request], unsent: Sequence[Request], error: BaseException
    ) -> None:
        """The connection is gone. What was *sent* may have been executed or not, the *unsent* was not."""
