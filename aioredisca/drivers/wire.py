"""What both transports share: how a call becomes a command, and what an error of the client means.

The only place where exceptions of redis-py are translated. Their texts can carry values, so they are
never chained.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, cast

import hiredis
import redis.exceptions as client

from aioredisca.errors import (
    OutcomeUnknown,
    PermissionDenied,
    RediscaError,
    StoreError,
    Unavailable,
)
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Arg, Call, Reply, Script

BROKEN = (client.ConnectionError, client.TimeoutError, client.InvalidResponse, OSError)
"""What the client raises when a connection cannot be had, or breaks."""

NO_LOGIN = (client.AuthenticationError, client.AuthorizationError, client.ResponseError)
"""What the client raises for an answer that refuses. To it the first two are connection errors as well."""

ANSWERS = (*NO_LOGIN, client.BusyLoadingError)
"""What the client raises for an error reply. Everything else means that the connection is of no more use."""

_pack_text = cast("Any", hiredis).pack_command
"""Its types know a command of one word only."""

_UNAVAILABLE = {
    "BUSY": "a script is running",
    "CLUSTERDOWN": "the cluster is down",
    "LOADING": "it is loading its data",
    "MASTERDOWN": "its primary is down",
    "MISCONF": "it cannot save to disk and refuses writes",
    "NOREPLICAS": "too few replicas are connected",
    "OOM": "its memory is full: it refuses writes that need more",
    "READONLY": "it is a read-only replica",
    "TRYAGAIN": "the cluster is moving these keys",
    "UNBLOCKED": "it changed its role",
}
_CODE = re.compile(r"[A-Z]+\b")
_DENIED = re.compile(
    r"NOPERM|ACL failure|has no permissions|can't run this command|can't access at least one of the keys"
)
_NO_LOGIN = re.compile(r"^Protocol error: unauthenticated")
"""What Redis 7 answers to a long command before a login, where a short one gets NOAUTH."""

_COMMAND = re.compile(r"run the '([\w|]+)' command|can't run this command")
_WRAPPING = re.compile(r"Error running script \(call to \w+\): @user_script:\d+: @user_script: \d+: -?")
"""What Redis 6.2 puts before the error of a command inside a script."""

_TRACE = re.compile(r"\s*(script: \S*,? ?on @user_script:\d+\.?)$")


def _pack(command: tuple[Arg, ...]) -> bytes:
    try:
        packed: bytes = _pack_text(command)
    except UnicodeEncodeError:  # the id of somebody else's record, which is no UTF-8
        raw = (arg.encode("utf-8", "surrogateescape") if isinstance(arg, str) else arg for arg in command)
        packed = _pack_text(tuple(raw))
    return packed


def packed(calls: Sequence[Call], facts: StoreFacts, full: Sequence[int] = ()) -> bytes:
    """What one round trip sends, as it goes over the wire.

    The scripts at the places *full* go in full, the others by their names.
    """
    return b"".join([packed_one(call, facts, full=place in full) for place, call in enumerate(calls)])


def packed_one(call: Call, facts: StoreFacts, *, full: bool = False) -> bytes:
    """The same for one call."""
    if call.packed and not full:
        return call.packed
    return _pack(call.args if call.script is None else _script_command(call, facts, full))


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


class Exchange:
    """The calls of one round trip on their way: what to send now, and what the answers make of it.

    ``writes``   whether any of the calls writes.
    ``pending``  the places of the calls that are still to be answered.
    ``replies``  what all calls came to, once nothing is pending.
    """

    __slots__ = ("_facts", "_full", "calls", "pending", "replies", "writes")

    def __init__(self, calls: Sequence[Call], facts: StoreFacts) -> None:
        self.calls, self._facts = calls, facts
        self._full: Sequence[int] = ()
        self.pending: Sequence[int] = range(len(calls))
        self.replies: list[Reply] = []
        self.writes = calls[0].writes if len(calls) == 1 else True in [call.writes for call in calls]

    def packed(self) -> bytes:
        """What the next round trip sends, as it goes over the wire."""
        if len(self.pending) == len(self.calls):
            return packed(self.calls, self._facts, self._full)
        full = [place for place, of in enumerate(self.pending) if of in self._full]
        return packed([self.calls[of] for of in self.pending], self._facts, full)

    def take(self, answers: list[Reply | Exception]) -> None:
        """Keep the answers; whatever must be asked again in another form stays pending. Nothing of it ran."""
        for answer in answers:
            if isinstance(answer, Exception):
                break
        else:
            if len(answers) == len(self.calls):
                self.replies, self.pending = answers, ()
                return
        self._sort_out(answers)

    def _sort_out(self, answers: list[Reply | Exception]) -> None:
        self.replies = self.replies or [None] * len(self.calls)
        again = list[int]()
        for place, answer in zip(self.pending, answers, strict=True):
            if not isinstance(answer, Exception):
                self.replies[place] = answer
            elif self._has_another_form(place, answer):
                again.append(place)
            else:
                self.replies[place] = translated(answer)
        self.pending = again

    def _has_another_form(self, place: int, reply: Exception) -> bool:
        if isinstance(reply, client.NoScriptError) and place not in self._full:
            self._full = [*self._full, place]
            return True
        if self._unknown_verb(place, reply):
            self._facts.read_only_scripts = False  # Redis 6.2 has no EVAL_RO
            return True
        return False

    def _unknown_verb(self, place: int, reply: Exception) -> bool:
        call = self.calls[place]
        if call.script is None or call.writes or not isinstance(reply, client.ResponseError):
            return False
        return "unknown command" in str(reply).lower() and "_RO" in str(reply)


def note_trips(facts: StoreFacts, count: int = 1) -> None:
    """Count round trips: for ``Database.round_trips``."""
    facts.round_trips += count


def only(replies: list[Reply]) -> Reply:
    """The reply to one call; a refusal is raised."""
    (reply,) = replies
    if isinstance(reply, RediscaError):
        raise reply
    return reply


def answered(answers: list[Reply]) -> list[Reply]:
    """The answers to reads that have no other form; the first refusal is raised."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise translated(answer)
    return answers


def translated(error: Exception) -> RediscaError:
    """The error of ours that an error reply means. Error replies say that nothing ran."""
    text = _WRAPPING.sub("", str(error))
    if isinstance(error, client.NoPermissionError) or _DENIED.search(text):
        return _denied(text)
    found = _CODE.match(text)
    code = found[0] if found else ""
    for word in (code, _code_of(error)):
        if word in _UNAVAILABLE:
            return Unavailable(f"the database does not take this now: {_UNAVAILABLE[word]}")
    if isinstance(error, client.AuthenticationError | client.AuthorizationError) or _NO_LOGIN.search(text):
        return Unavailable(
            f"the database refuses the login ({text.rstrip('.')}): see user and password in its URL"
        )
    return StoreError(_first_line(text))


def _code_of(error: Exception) -> str:
    """redis-py takes the code off the text of errors that have a class of their own."""
    kinds: dict[type[Exception], str] = {
        client.OutOfMemoryError: "OOM",
        client.ReadOnlyError: "READONLY",
        client.BusyLoadingError: "LOADING",
        client.MasterDownError: "MASTERDOWN",
        client.ClusterDownError: "CLUSTERDOWN",
        client.TryAgainError: "TRYAGAIN",
    }
    return next((code for kind, code in kinds.items() if isinstance(error, kind)), "")


def _denied(text: str) -> PermissionDenied:
    found = _COMMAND.search(text)
    if found and found[1]:
        return PermissionDenied(f"+{found[1]}", "the command is denied")
    if found:
        return PermissionDenied("+@read +@write", "a command of the script is denied")
    return PermissionDenied("~<prefix>:* ~<prefix>/*", "a key is denied")


def _first_line(text: str) -> str:
    """The text of a server error without the trace of the script it came from."""
    return _TRACE.sub("", text.splitlines()[0]) if text else "the database answered with an error"


def no_connection(address: str, error: BaseException) -> Unavailable:
    """Nothing was sent: no connection could be had."""
    reason = _first_line(str(error)) if str(error) else "no answer in time"
    return Unavailable(
        f"cannot connect to {address} ({reason}): start a server there, or set conf.db or "
        f"$REDISCA_URL to where yours is (memory:// needs none)"
    )


def busy(address: str, seconds: float) -> Unavailable:
    """Nothing was sent: all connections stayed in use."""
    return Unavailable(
        f"no connection to {address} came free within {seconds:g} s: raise max_connections of the Database"
    )


def stuck(address: str, seconds: float) -> Unavailable:
    """Nothing was sent: the server has not read for so long what was sent before."""
    return Unavailable(
        f"{address} took no request within {seconds:g} s: it is overloaded or stopped; try again"
    )


def lost(address: str, error: BaseException | None, *, writes: bool) -> StoreError:
    """The connection broke, or the time was up, after something was sent."""
    timed_out = isinstance(error, TimeoutError | client.TimeoutError)
    reason = "no answer in time" if timed_out else "the connection was lost"
    if writes:
        return OutcomeUnknown(
            f"{address}: {reason} after a write was sent, so it may have happened or not; "
            f"nothing was sent twice: save() again settles it"
        )
    return Unavailable(f"{address}: {reason}; only reads were on the way, try again")


def no_entry(address: str, error: Exception) -> Exception:
    """The error of ours for a connection that could not be made."""
    if isinstance(error, NO_LOGIN):
        return translated(error)
    return no_connection(address, error) if isinstance(error, BROKEN) else error
