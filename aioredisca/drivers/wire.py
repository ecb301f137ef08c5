"""How a call becomes bytes, and what its answers make of it: shared by all transports."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import hiredis
import redis.exceptions as client

from aioredisca.drivers import translate
from aioredisca.errors import RediscaError, TooManyArguments
from aioredisca.storage.facts import StoreFacts
from aioredisca.storage.replies import TEXT, strange
from aioredisca.types import Arg, Call, Changed, Proof, Reply, Script

_pack_text = cast("Any", hiredis).pack_command
"""Its types know a command of one word only."""


def _pack_command(command: tuple[Arg, ...]) -> bytes:
    try:
        packed: bytes = _pack_text(command)
    except UnicodeEncodeError:  # the id of somebody else's record, which is no UTF-8
        raw = (arg.encode("utf-8", "surrogateescape") if isinstance(arg, str) else arg for arg in command)
        packed = _pack_text(tuple(raw))
    return packed


def pack(call: Call, facts: StoreFacts, *, full: bool = False) -> bytes:
    """A call as it goes over the wire, its script by its name or in *full*.

    TooManyArguments for more than the server takes. What comes ``packed`` has few.
    """
    if call.packed and not (full and call.script):
        return call.packed
    command = call.args if call.script is None else _script_command(call, facts, full)
    if len(command) > facts.max_arguments:
        raise TooManyArguments(len(command), facts.max_arguments)
    return _pack_command(command)


def check_arguments(call: Call, facts: StoreFacts) -> None:
    """The same TooManyArguments, for who must know before another call is sent."""
    count = len(call.args) + (3 + len(call.keys) if call.script else 0)
    if count > facts.max_arguments:
        raise TooManyArguments(count, facts.max_arguments)


def pack_all(calls: Sequence[Call], facts: StoreFacts, full: Sequence[int] = ()) -> bytes:
    """What one round trip sends. The scripts at the places *full* go in full, the others by their names."""
    if len(calls) == 1:  # as most often
        return pack(calls[0], facts, full=bool(full))
    return b"".join([pack(call, facts, full=place in full) for place, call in enumerate(calls)])


def _script_command(call: Call, facts: StoreFacts, full: bool) -> tuple[Arg, ...]:
    script, keys = cast("Script", call.script), call.keys
    if call.packed:  # by the name of the script, which the server does not know
        return ("EVAL", script.text, *_unpacked(call.packed)[2:])
    verb = "EVAL" if full else "EVALSHA"
    if not call.writes and facts.read_only_scripts:
        verb += "_RO"
    return (verb, script.text if full else script.sha, len(keys), *keys, *call.args)


def _unpacked(command: bytes) -> list[bytes]:
    reader = hiredis.Reader()
    reader.feed(command)
    return cast("list[bytes]", reader.gets())


def first_refusal(answers: Sequence[Reply]) -> RediscaError | None:
    """The error that the first refusal among the answers to reads means: they have no other form."""
    return next((translate.refusal(answer) for answer in answers if isinstance(answer, Exception)), None)


# -- words -----------------------------------------------------------------------------------------
#
# A read may be made by a belief: it names a word of the store that was read before (Proof). The word is asked
# for behind the data, on the same connection: if it is the same then, all in between was so. One word behind
# many reads proves them all.


def metas_of(calls: Sequence[Call]) -> tuple[str, ...]:
    """The keys whose words *calls* trust, each once."""
    if len(calls) == 1:  # as most often
        proof = calls[0].proof
        return () if proof is None else (proof.meta,)
    return tuple({call.proof.meta: None for call in calls if call.proof is not None})


@lru_cache(maxsize=1024)
def ask_word(meta: str) -> bytes:
    """What asks for the word in *meta*, as it goes over the wire."""
    return _pack_command(("HGET", meta, "ver"))


def ask_words(metas: Iterable[str]) -> bytes:
    """The same for several."""
    return b"".join(map(ask_word, metas))


def proven(calls: Sequence[Call], replies: Sequence[Reply], words: Mapping[str, Reply]) -> list[Reply]:
    """The *replies* to *calls*, but Changed in the place of each whose word among *words* is another.

    A refusal in the place of a word stands in that of what it was to prove.
    """
    return [
        reply if (proof := call.proof) is None else judged(reply, proof, words[proof.meta])
        for call, reply in zip(calls, replies, strict=True)
    ]


def judged(reply: Reply, proof: Proof, word: Reply) -> Reply:
    """The same for one."""
    if word == proof.ver:
        return reply
    if isinstance(word, Exception):
        return translate.refusal(word)
    if type(word) not in TEXT:
        return strange()
    return reply if word is None and not proof.ver else Changed()


class Exchange:
    """Calls on their way, of which some may have to go in another form: what to send now, what came of it.

    ``writes``   whether any of the calls writes.
    ``pending``  the places of the calls that are still to be answered.
    ``replies``  what all calls came to, once nothing is pending.
    """

    __slots__ = ("_facts", "_full", "_plain", "calls", "pending", "replies", "writes")

    def __init__(self, calls: Sequence[Call], facts: StoreFacts) -> None:
        self.calls, self._facts = calls, facts
        self._full: Sequence[int] = ()
        self._plain: Sequence[int] = ()
        self.pending: Sequence[int] = range(len(calls))
        self.replies: list[Reply] = []
        self.writes = True in [call.writes for call in calls]

    def packed(self) -> bytes:
        """What the next round trip sends, as it goes over the wire."""
        if len(self.pending) == len(self.calls):
            return pack_all(self.calls, self._facts, self._full)
        full = [place for place, of in enumerate(self.pending) if of in self._full]
        return pack_all([self.calls[of] for of in self.pending], self._facts, full)

    def take(self, answers: list[Reply | Exception]) -> None:
        """Keep the answers; whatever must be asked again in another form stays pending. Nothing of it ran."""
        if len(answers) == len(self.calls) and True not in [isinstance(one, Exception) for one in answers]:
            self.replies, self.pending = answers, ()
        else:
            self._sort_out(answers)

    def _sort_out(self, answers: list[Reply | Exception]) -> None:
        self.replies = self.replies or [None] * len(self.calls)
        pending, behind = list[int](), False
        for place, answer in zip(self.pending, answers, strict=True):
            if behind and not self.calls[place].writes:
                pending.append(place)
            elif not isinstance(answer, Exception):
                self.replies[place] = answer
            elif self._has_another_form(place, answer):
                pending.append(place)
                behind = behind or self.calls[place].writes  # what follows reads too early
            else:
                scripted = self.calls[place].script is not None
                self.replies[place] = translate.refusal(answer, scripted=scripted)
        if pending and not self.writes and metas_of(self.calls):
            pending = [*range(len(self.calls))]  # one word is to prove all of it, on one connection
        self.pending = pending

    def _has_another_form(self, place: int, answer: Exception) -> bool:
        if self.calls[place].script is None:
            return False
        if isinstance(answer, client.NoScriptError) and place not in self._full:
            self._full = [*self._full, place]
            return True
        if self._unknown_verb(place, answer):
            self._facts.read_only_scripts = False  # Redis 6.2 has no EVAL_RO, nor has Garnet
            self._plain = [*self._plain, place]
            return True
        return False

    def _unknown_verb(self, place: int, answer: Exception) -> bool:
        """Whether the server may not know EVAL_RO: some do not name what they lack. Each call asks once."""
        if self.calls[place].writes or place in self._plain or not isinstance(answer, client.ResponseError):
            return False
        return translate.is_unknown(answer)
