"""Errors of redis-py -> errors of ours: the only place where they are translated.

Their texts can carry values, so they are never chained.
"""

from __future__ import annotations

import re

import redis.exceptions as client

from aioredisca.errors import (
    IncompatibleServer,
    OutcomeUnknown,
    PermissionDenied,
    RediscaError,
    StoreError,
    Unavailable,
    WrongType,
)

BROKEN = (client.ConnectionError, client.TimeoutError, client.InvalidResponse, OSError)
"""What the client raises when a connection cannot be had, or breaks."""

NO_LOGIN = (client.AuthenticationError, client.AuthorizationError, client.ResponseError)
"""What the client raises for an answer that refuses. To it the first two are connection errors as well."""

ANSWERS = (*NO_LOGIN, client.BusyLoadingError)
"""What the client raises for an error reply. Everything else means that the connection is of no more use."""

_MOVING = "TRYAGAIN"
_UNAVAILABLE = {
    "BUSY": "a script is running",
    "CLUSTERDOWN": "the cluster is down: some of its slots have no server",
    "DENIED": "it is in protected mode: give it a password, or a network of its own",
    "LOADING": "it is loading its data: try again in a moment",
    "MASTERDOWN": "its primary is down, and it is a replica: name another server",
    "MISCONF": "it cannot save to disk and refuses writes: see its log and its disk",
    "NOREPLICAS": "too few replicas are connected: see its min-replicas-to-write",
    "OOM": "its memory is full: it refuses writes that need more until maxmemory is raised or data deleted",
    "READONLY": "it is a read-only replica: name its primary in the URL, or its sentinels",
    _MOVING: "the cluster is moving these keys",
    "UNBLOCKED": "it changed its role",
}
_LEFT = {"READONLY", "LOADING", "MASTERDOWN"}
"""What a server that is no primary, or not yet, refuses calls with."""

_FULL_HOUSE = "max number of clients"
_CLUSTER = re.compile(r"^(MOVED|ASK|CROSSSLOT)\b|non local key in a cluster|same (hash|key)? ?slot")
_ELSEWHERE = re.compile(r"(?:(MOVED|ASK) )?(\d+) (\S*):(\d+)$")
"""What a node says of the slot and of who serves it; newer redis-py takes the code off."""

_CODE = re.compile(r"[A-Z]+\b")
_DENIED = re.compile(
    r"NOPERM|ACL failure|has no permissions|can't run this command|can't access at least one of the keys"
)
_NO_SCRIPTS = re.compile(r"scripting engine|\b(eval|evalsha) (is )?not (support|allow)", re.IGNORECASE)
_UNDECLARED = re.compile(
    r"(undeclared|non[ -]?declared) key|keys?\b.{0,40} not declared|passed using the KEYS arr",
    re.IGNORECASE,
)
"""What servers and proxies answer that look at the keys of scripts: Dragonfly, Kvrocks, Tair, GeminiDB."""

_NO_LOGIN = re.compile(r"^Protocol error: unauthenticated")
"""What Redis 7 answers to a long command before a login, where a short one gets NOAUTH."""

_COMMAND = re.compile(r"run the '([\w|]+)' command|can't run this command")
_WRAPPING = re.compile(r"Error running script \(call to \w+\): @user_script:\d+: @user_script: \d+: -?")
"""What Redis 6.2 puts before the error of a command inside a script."""

_NO_DATABASE = "DB index is out of range"
_ARGUMENTS = re.compile(r", with args beginning with.*", re.DOTALL)
"""What servers repeat of a command that they do not know: values may be among it."""

_TRACE = re.compile(r"\s*(script: \S*,? ?on @user_script:\d+\.?)$")


class Elsewhere(StoreError):
    """A node of a cluster says that another serves the key: nothing ran. Who knows of clusters asks there.

    ``host`` is empty where the node does not tell its name. ``asking``: only of this call, and told of it.
    """

    def __init__(self, slot: int, host: str, port: int, *, asking: bool = False) -> None:
        super().__init__(slot, host, port)
        self.slot, self.host, self.port, self.asking = slot, host, port, asking

    def __str__(self) -> str:
        return (
            f"this server is a node of a cluster, and the keys are on others as well: write "
            f"redis+cluster://{self.host or 'host'}:{self.port} in the URL, or rediss+cluster:// for TLS"
        )


class Moving(Unavailable):
    """A node of a cluster does not take this while the slot is on its way to another: nothing ran."""


def is_unknown(error: Exception) -> bool:
    """Whether an error reply says that the server has no such command. Some do not name it."""
    return str(error).lower().startswith("unknown command")


def refusal(error: Exception, *, scripted: bool = False) -> RediscaError:
    """The error of ours that an error reply means, one to a script if it is *scripted*.

    Error replies say that nothing ran.
    """
    text = _WRAPPING.sub("", str(error))
    if scripted and (is_unknown(error) or _NO_SCRIPTS.search(text)):
        return IncompatibleServer(
            "runs no scripts, and every write and query is one (sentinels run none: name them by "
            "redis+sentinel://)"
        )
    if _UNDECLARED.search(text):
        return IncompatibleServer(
            "lets scripts reach none but the keys that a call declares, and nobody knows those of old values "
            "before it runs"
        )
    if isinstance(error, client.NoPermissionError) or _DENIED.search(text):
        return _denied(text)
    if trouble := _trouble(error, text):
        kind = Moving if trouble == _UNAVAILABLE[_MOVING] else Unavailable
        return kind(f"the database does not take this now: {trouble}")
    found = _ELSEWHERE.match(text)
    if found and (code := found[1] or _code_of(error)) in ("MOVED", "ASK"):
        return Elsewhere(int(found[2]), found[3], int(found[4]), asking=code == "ASK")
    if isinstance(error, client.ClusterCrossSlotError) or _CLUSTER.search(text):
        return StoreError(
            "this server is a node of a cluster, and the keys are on others as well: write redis+cluster:// "
            "in the URL, which puts a model in one slot; models that are changed or asked together share one "
            'with conf(tag="shop")'
        )
    if isinstance(error, client.AuthenticationError | client.AuthorizationError) or _NO_LOGIN.search(text):
        return Unavailable(
            f"the database refuses the login ({text.rstrip('.')}): see user and password in its URL"
        )
    return WrongType() if "WRONGTYPE" in text else StoreError(_other(error, text))


def _other(error: Exception, text: str) -> str:
    """What is said of any other refusal."""
    if is_unknown(error):
        return (
            f"{_ARGUMENTS.sub('', text).rstrip()}: docs/servers.md tells which servers will do; a sentinel is"
            f" named by redis+sentinel://host:26379/mymaster/0"
        )
    if _NO_DATABASE in text:
        return (
            "the server has no database of the number that the URL ends in: take another one, or a "
            "namespace; its setting databases says how many there are"
        )
    return _first_line(text)


def is_no_primary(reply: object) -> bool:
    """Whether an error reply says that the server is not the primary, or not yet."""
    if not isinstance(reply, Exception):
        return False
    found = _CODE.match(_WRAPPING.sub("", str(reply)))
    return bool(found and found[0] in _LEFT) or _code_of(reply) in _LEFT


def _trouble(error: Exception, text: str) -> str:
    """Why the server takes nothing now, if the reply says so by its code."""
    found = _CODE.match(text)
    code = found[0] if found else ""
    return _UNAVAILABLE.get(code) or _UNAVAILABLE.get(_code_of(error), "")


def _code_of(error: Exception) -> str:
    """redis-py takes the code off the text of errors that have a class of their own."""
    kinds: dict[type[Exception], str] = {
        client.OutOfMemoryError: "OOM",
        client.ReadOnlyError: "READONLY",
        client.BusyLoadingError: "LOADING",
        client.MasterDownError: "MASTERDOWN",
        client.ClusterDownError: "CLUSTERDOWN",
        client.TryAgainError: _MOVING,
        client.MovedError: "MOVED",
        client.AskError: "ASK",
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


def no_connection(place: str, error: BaseException) -> Unavailable:
    """Nothing was sent: no connection could be had."""
    reason = _first_line(str(error)) if str(error) else "no answer in time"
    if _FULL_HOUSE in reason:
        return Unavailable(
            f"{place} has no room for another client: raise its maxclients, or lower max_connections of the "
            f"Database"
        )
    if reason.startswith("DENIED"):
        return Unavailable(f"{place} does not let this client in: {_UNAVAILABLE['DENIED']}")
    cure = tls_cure(reason) or (
        "start a server there, or set conf.db or $REDISCA_URL to where yours is (memory:// needs none)"
    )
    return Unavailable(f"cannot connect to {place} ({reason}): {cure}")


def tls_cure(reason: str) -> str:
    """What to do where one of two sides speaks TLS, or is not trusted by the other; nothing elsewhere."""
    if "certificate verify failed" in reason:
        return (
            "its certificate is not trusted, or is that of another host: name who has signed it by "
            "ssl_ca_certs= in the URL, and the host as the certificate does"
        )
    if "[SSL" in reason or "_ssl.c" in reason:
        return "if it does not speak TLS, begin the URL with redis or valkey"
    if "closed by server" in reason:
        return "it hung up at once: if it speaks TLS, begin the URL with rediss or valkeys"
    return ""


def busy(place: str, seconds: float) -> Unavailable:
    """Nothing was sent: all connections stayed in use."""
    return Unavailable(
        f"no connection to {place} came free within {seconds:g} s: raise max_connections of the Database"
    )


def stuck(place: str, seconds: float) -> Unavailable:
    """Nothing was sent: the server has not read for so long what was sent before."""
    return Unavailable(
        f"{place} took no request within {seconds:g} s: it is overloaded or stopped; try again"
    )


def lost(place: str, error: BaseException | None, *, writes: bool) -> StoreError:
    """The connection broke, or the time was up, after something was sent."""
    timed_out = isinstance(error, TimeoutError | client.TimeoutError)
    reason = "no answer in time" if timed_out else "the connection was lost"
    if writes:
        return OutcomeUnknown(
            f"{place}: {reason} after a write was sent, so it may have happened or not; "
            f"nothing was sent twice"
        )
    return Unavailable(f"{place}: {reason}; only reads were on the way, try again")


def check_waited(place: str, told: object, wait: int, seconds: float) -> None:
    """OutcomeUnknown unless so many replicas have what was written, by what WAIT has *told*."""
    if isinstance(told, int) and told >= wait:
        return
    if isinstance(told, Exception):
        reason = f"the server refused to wait for replicas ({told}): a user needs the rule +wait"
    else:
        reason = f"{told} of {wait} replicas had the write after {seconds:g} s"
    raise OutcomeUnknown(f"{place}: {reason}; it has happened, and a fail-over may lose it")


def no_entry(place: str, error: Exception) -> Exception:
    """The error of ours for a connection that could not be made."""
    if isinstance(error, NO_LOGIN):
        return refusal(error)
    return no_connection(place, error) if isinstance(error, BROKEN) else error
