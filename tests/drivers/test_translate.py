"""Errors of redis-py and what they are to us: each kind, and no values in any text."""

from __future__ import annotations

import pickle
from typing import Any, cast

import pytest
import redis.exceptions as client
from redis._parsers.base import BaseParser

from aioredisca import OutcomeUnknown, PermissionDenied, StoreError, Unavailable, WrongType
from aioredisca.drivers.translate import (
    ANSWERS,
    BROKEN,
    Elsewhere,
    Moving,
    busy,
    lost,
    no_connection,
    no_entry,
    refusal,
    stuck,
)

PLACE = "localhost:6379"


def of(text: str) -> Any:
    """The error that redis-py makes of an error reply."""
    return cast("Any", BaseParser).parse_error(text)


INSIDE = "Error running script (call to f_0123abcd): @user_script:12: @user_script: 12: -"  # Redis 6.2
TRACE = " script: 0123abcd, on @user_script:12."  # and later ones

TAKES_NOTHING = [
    ("BUSY Redis is busy running a script.", "a script is running"),
    ("CLUSTERDOWN Hash slot not served", "the cluster is down"),
    ("LOADING Redis is loading the dataset in memory", "it is loading its data"),
    ("MASTERDOWN Link with MASTER is down", "its primary is down"),
    ("MISCONF Redis is configured to save RDB snapshots", "it cannot save to disk and refuses writes"),
    ("NOREPLICAS Not enough good replicas to write.", "too few replicas are connected"),
    ("OOM command not allowed when used memory > 'maxmemory'.", "its memory is full"),
    ("READONLY You can't write against a read only replica.", "it is a read-only replica"),
    ("TRYAGAIN Multiple keys request during rehashing of slot", "the cluster is moving these keys"),
    ("UNBLOCKED force unblock from blocking operation", "it changed its role"),
]


@pytest.mark.parametrize(("text", "reason"), TAKES_NOTHING)
@pytest.mark.parametrize("inside", [False, True], ids=["command", "script of 6.2"])
def test_a_server_that_takes_nothing_now_is_unavailable(text: str, reason: str, inside: bool) -> None:
    error = client.ResponseError(INSIDE + text) if inside else of(text)
    found = refusal(error)
    assert isinstance(found, Unavailable)
    assert str(found).startswith(f"the database does not take this now: {reason}")


DENIED = [
    ("NOPERM this user has no permissions to run the 'hset' command", "+hset"),
    ("NOPERM this user has no permissions to run the 'client|tracking' command", "+client|tracking"),
    ("NOPERM this user has no permissions to access one of the keys used as arguments", "~<prefix>:*"),
    ("ACL failure in script: this user has no permissions to run the 'hset' command" + TRACE, "+hset"),
    (INSIDE + "NOPERM this user has no permissions to run the 'hset' command or its subcommand", "+hset"),
    ("The user executing the script can't run this command or subcommand" + TRACE, "+@read +@write"),
    ("The user executing the script can't access at least one of the keys mentioned" + TRACE, "~<prefix>:*"),
]


@pytest.mark.parametrize(("text", "rule"), DENIED)
def test_a_missing_right_names_the_rule_to_add(text: str, rule: str) -> None:
    found = refusal(of(text))
    assert type(found) is PermissionDenied
    assert rule in str(found)


@pytest.mark.parametrize(
    "text",
    [
        "NOAUTH Authentication required.",
        "WRONGPASS invalid username-password pair or user is disabled.",
        "Protocol error: unauthenticated multibulk length",
    ],
)
def test_a_refused_login_points_to_the_url(text: str) -> None:
    found = refusal(of(text))
    assert isinstance(found, Unavailable)
    assert "the database refuses the login" in str(found)
    assert str(found).endswith("see user and password in its URL")
    assert ".)" not in str(found)


def test_any_other_refusal_is_its_first_line_without_the_trace() -> None:
    assert str(refusal(of("ERR something broke\nline 2"))) == "something broke"
    assert str(refusal(client.ResponseError("ERR it broke" + TRACE))) == "ERR it broke"
    assert str(refusal(client.ResponseError(INSIDE + "ERR it broke"))) == "ERR it broke"
    assert str(refusal(client.ResponseError())) == "the database answered with an error"
    found = refusal(client.ResponseError("WRONGTYPE Operation against a key"))
    assert (type(found), found.__cause__) == (WrongType, None)


@pytest.mark.parametrize(
    "error", [TimeoutError(), client.TimeoutError("Timeout reading"), OSError("x"), None]
)
@pytest.mark.parametrize("writes", [True, False])
def test_a_connection_that_broke(error: Any, writes: bool) -> None:
    found = lost(PLACE, error, writes=writes)
    assert type(found) is (OutcomeUnknown if writes else Unavailable)
    timed_out = isinstance(error, TimeoutError | client.TimeoutError)
    assert f"{PLACE}: {'no answer in time' if timed_out else 'the connection was lost'}" in str(found)
    assert ("look at what is stored before you do it again" in str(found)) is writes


def test_where_nothing_was_sent() -> None:
    assert str(busy(PLACE, 0.50)) == (
        f"no connection to {PLACE} came free within 0.5 s: raise max_connections of the Database"
    )
    assert str(stuck(PLACE, 2.0)).startswith(f"{PLACE} took no request within 2 s")
    assert "(no answer in time): start a server there, or set conf.db" in str(no_connection(PLACE, OSError()))
    assert "(refused): start a server there" in str(no_connection(PLACE, OSError("refused\nmore")))
    for made in (busy(PLACE, 1), stuck(PLACE, 1), no_connection(PLACE, OSError())):
        assert type(made) is Unavailable


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        (
            "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed",
            "ssl_ca_certs= in the URL",
        ),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number", "begin the URL with redis or valkey"),
        ("_ssl.c:989: The handshake operation timed out", "begin the URL with redis or valkey"),
        ("Connection closed by server.", "begin the URL with rediss or valkeys"),
    ],
)
def test_who_speaks_tls_and_who_does_not_is_told(reason: str, cure: str) -> None:
    found = str(no_connection(PLACE, client.ConnectionError(reason)))
    assert found.startswith(f"cannot connect to {PLACE} ({reason}): ")
    assert cure in found
    assert "start a server there" not in found


def test_no_entry_tells_a_refusal_from_a_server_that_is_not_there() -> None:
    assert "refuses the login" in str(no_entry(PLACE, of("WRONGPASS invalid username-password pair")))
    for error in (
        client.ConnectionError("x"),
        client.TimeoutError("x"),
        ConnectionResetError(),
        OSError("x"),
    ):
        assert "cannot connect to" in str(no_entry(PLACE, error))
    mistake = ZeroDivisionError()
    assert no_entry(PLACE, mistake) is mistake  # of the program, not of the server


def test_which_errors_are_answers_and_which_end_a_connection() -> None:
    for text, _ in TAKES_NOTHING:
        assert isinstance(of(text), ANSWERS), text
    assert isinstance(client.NoScriptError(), ANSWERS)
    for error in (
        client.ConnectionError(),
        client.TimeoutError(),
        client.InvalidResponse(),
        BrokenPipeError(),
    ):
        assert not isinstance(error, ANSWERS)
        assert isinstance(error, BROKEN)


@pytest.mark.parametrize(
    "text",
    [
        "MOVED 8620 127.0.0.1:7001",
        "ASK 8620 127.0.0.1:7001",
        "CROSSSLOT Keys in request don't hash to the same slot",
        "Script attempted to access a non local key in a cluster node" + TRACE,
    ],
)
def test_a_node_of_a_cluster_is_told_as_that(text: str) -> None:
    found = refusal(of(text))
    assert isinstance(found, StoreError)
    assert not isinstance(found, Unavailable)
    assert str(found).startswith("this server is a node of a cluster")
    assert "write redis+cluster://" in str(found)
    assert "8620" not in str(found)
    if isinstance(found, Elsewhere):
        assert "write redis+cluster://127.0.0.1:7001 in the URL" in str(found)
        assert (found.host, found.port, found.slot, found.asking) == (
            "127.0.0.1",
            7001,
            8620,
            text[0] == "A",
        )


@pytest.mark.parametrize(
    "error",
    [Elsewhere(8620, "127.0.0.1", 7001, asking=True), Elsewhere(1, "", 7001, asking=False), Moving("x")],
)
def test_what_a_node_of_a_cluster_says_can_be_pickled(error: StoreError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


@pytest.mark.parametrize(
    "text", ["ERR unknown command 'RPUSH', with args beginning with: 'a:1' 'geheim' ", "ERR unknown command"]
)
def test_a_command_that_the_server_does_not_know_is_told_without_what_was_sent(text: str) -> None:
    found = refusal(of(text))
    assert type(found) is StoreError
    assert str(found).startswith("unknown command" + (" 'RPUSH': " if "RPUSH" in text else ": "))
    assert "a sentinel is named by redis+sentinel://" in str(found)
    assert "geheim" not in str(found)
    assert "redis+sentinel://" in str(refusal(of(text), scripted=True))


def test_a_number_of_no_database_is_told_as_that() -> None:
    assert "the number that the URL ends in" in str(refusal(of("ERR DB index is out of range")))


def test_a_server_that_lets_nobody_in() -> None:
    full = no_entry(PLACE, of("ERR max number of clients reached"))
    assert (type(full), str(full).partition(":")[0]) == (Unavailable, PLACE.partition(":")[0])
    assert "raise its maxclients, or lower max_connections" in str(full)
    for error in (
        of("DENIED Redis is running in protected mode"),
        client.ConnectionError("DENIED Redis is"),
    ):
        assert "it is in protected mode" in str(no_entry(PLACE, error))


def test_each_trouble_tells_its_cure() -> None:
    cures = {
        "READONLY You can't write": "name its primary in the URL",
        "OOM command not allowed": "until maxmemory is raised or data deleted",
        "NOREPLICAS Not enough": "see its min-replicas-to-write",
        "MISCONF Redis is": "see its log and its disk",
        "MASTERDOWN Link": "name another server",
        "LOADING Redis is": "try again in a moment",
        "CLUSTERDOWN Hash slot": "some of its slots have no server",
        "NOAUTH Authentication required.": "see user and password in its URL",
    }
    for text, cure in cures.items():
        assert cure in str(refusal(of(text))), text
