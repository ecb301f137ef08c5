"""What both pools share: each call is a round trip over a connection of its own, and has other forms."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence

from aioredisca.drivers import translate, wire
from aioredisca.drivers.address import Address
from aioredisca.drivers.walks import followed
from aioredisca.errors import RediscaError
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Call, Overlap, Reply


class PooledTransport(ABC):
    """Sends calls by round trips of one connection, however that is done."""

    _address: Address
    facts: StoreFacts

    async def send(self, call: Call, overlap: Overlap | None = None) -> Reply:
        """See :class:`~aioredisca.types.Transport`."""
        if call.cursor is not None and self._address.sentinels is not None:
            (reply,) = await self.send_all((call,))
            return _raised(reply)
        proof = call.proof
        asked = b"" if proof is None else wire.ask_word(proof.meta)
        trip = self._waited_trip if self._address.wait else self._round_trip
        answers = await trip(
            (call.packed or wire.pack(call, self.facts)) + asked,
            (call.commands or 1) + bool(asked),
            call.writes,
            overlap,
        )
        if call.commands:
            return _unrefused(answers)
        if isinstance(answers[0], Exception):
            return await self._sent_anew(call, answers)
        if proof is None:
            return answers[0]
        return _raised(wire.judged(answers[0], proof, answers[1]))

    async def _sent_anew(self, call: Call, answers: list[Reply]) -> Reply:
        """The call was refused: ask in another form, if it has one."""
        exchange = wire.Exchange((call,), self.facts)
        exchange.take(answers[:1])
        (reply,) = await self._finish(exchange, answers[1:])
        return _raised(reply)

    def send_all(self, calls: Sequence[Call]) -> Awaitable[list[Reply]]:
        """See :class:`~aioredisca.types.Transport`."""
        sentinels = self._address.sentinels
        if sentinels is not None and any(call.cursor is not None for call in calls):
            return followed(sentinels, calls, self._send_all)
        return self._send_all(calls)

    async def _send_all(self, calls: Sequence[Call]) -> list[Reply]:
        return await self._finish(wire.Exchange(calls, self.facts))

    async def _finish(self, exchange: wire.Exchange, words: Sequence[Reply] = ()) -> list[Reply]:
        """Ask for what is pending, with the words behind it; *words* came behind what is not."""
        metas = wire.metas_of(exchange.calls)
        asked = wire.ask_words(metas)
        trip = self._waited_trip if self._address.wait else self._round_trip
        while exchange.pending:
            count = len(exchange.pending)
            answers = await trip(exchange.packed() + asked, count + len(metas), exchange.writes, None)
            words = answers[count:]
            exchange.take(answers[:count])
        if not metas:
            return exchange.replies
        return wire.proven(exchange.calls, exchange.replies, dict(zip(metas, words, strict=True)))

    async def _waited_trip(
        self, data: bytes, count: int, writes: bool, overlap: Overlap | None
    ) -> list[Reply]:
        """The same, and ``wait`` replicas have what *writes* have changed. OutcomeUnknown where fewer do in
        time."""
        if not writes:
            return await self._round_trip(data, count, writes, overlap)
        wait, seconds = self._address.wait, self._address.timeout / 2  # the rest is for the way
        data += wire.pack(Call(("WAIT", wait, max(1, int(seconds * 1000)))), self.facts)
        *answers, told = await self._round_trip(data, count + 1, writes, overlap)
        if not all(isinstance(answer, Exception) for answer in answers):  # else nothing has happened
            translate.check_waited(self._address.place, told, wait, seconds)
        return answers

    @abstractmethod
    async def _round_trip(
        self, data: bytes, count: int, writes: bool, overlap: Overlap | None
    ) -> list[Reply]:
        """Send *data* and read *count* answers. Reads are sent once more if the connection breaks.

        No frame that an error leaves by keeps *data*: debuggers would send it away.
        """


def _raised(reply: Reply) -> Reply:
    if isinstance(reply, RediscaError):
        raise reply
    return reply


def _unrefused(answers: list[Reply]) -> list[Reply]:
    if refusal := wire.first_refusal(answers):
        raise refusal
    return answers
