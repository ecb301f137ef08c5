"""Calls as bytes, and what answers make of an exchange: what is asked again, in which form, what is an error."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest
import redis.exceptions as client
from hypothesis import example, given
from hypothesis import strategies as st

from aioredisca import IncompatibleServer, StoreError, Unavailable, WrongType
from aioredisca.drivers.wire import Exchange, first_refusal, pack, pack_all
from aioredisca.storage.facts import StoreFacts
from aioredisca.types import Call, Script

SCRIPT = Script("return ARGV[1]", "a" * 40)
READ = Call(("x",), SCRIPT, ("k",))
WRITE = Call(("x",), SCRIPT, ("k",), writes=True)


def sent(data: bytes) -> list[list[bytes]]:
    """The commands that a server reads."""
    reader = hiredis.Reader()
    reader.feed(data)
    found = list[Any]()
    while (command := reader.gets()) is not False:
        found.append(command)
    return found


# -- packing ---------------------------------------------------------------------------------------


@given(st.lists(st.text() | st.binary() | st.integers(), min_size=1))
@example(["HMGET", "\udcff\u00e4", b"\xff", -1, ""])
@example(["SET", "k", "x" * 100_000])
def test_a_command_is_read_as_it_was_meant(args: list[Any]) -> None:
    call = Call(tuple(args))
    if any(isinstance(arg, str) and any(0xD800 <= ord(c) < 0xDC80 for c in arg) for arg in args):
        with pytest.raises(UnicodeEncodeError):  # no id of anybody
            pack(call, StoreFacts())
        return
    meant = [arg.encode("utf-8", "surrogateescape") if isinstance(arg, str) else arg for arg in args]
    meant = [b"%d" % arg if isinstance(arg, int) else arg for arg in meant]
    assert sent(pack(call, StoreFacts())) == [meant]


@pytest.mark.parametrize(
    ("call", "read_only", "full", "verb"),
    [
        (READ, True, False, b"EVALSHA_RO"),
        (READ, False, False, b"EVALSHA"),
        (READ, True, True, b"EVAL_RO"),
        (READ, False, True, b"EVAL"),
        (WRITE, True, False, b"EVALSHA"),
        (WRITE, True, True, b"EVAL"),
    ],
)
def test_a_script_is_called_by_its_name_and_in_full(
    call: Call, read_only: bool, full: bool, verb: bytes
) -> None:
    named = b"return ARGV[1]" if full else b"a" * 40
    (command,) = sent(pack(call, StoreFacts(read_only_scripts=read_only), full=full))
    assert command == [verb, named, b"1", b"k", b"x"]


def test_what_is_packed_goes_as_it_is_and_in_full_with_its_script() -> None:
    laid = pack(WRITE, StoreFacts())
    call = Call((), SCRIPT, ("k",), writes=True, packed=laid)
    assert pack(call, StoreFacts()) is laid
    assert sent(pack(call, StoreFacts(), full=True)) == [[b"EVAL", b"return ARGV[1]", b"1", b"k", b"x"]]
    several = pack_all([Call(("PING",)), call, READ], StoreFacts(), full=[2])
    assert [command[0] for command in sent(several)] == [b"PING", b"EVALSHA", b"EVAL_RO"]


# -- an exchange -----------------------------------------------------------------------------------

NO_SCRIPT = client.NoScriptError("No matching script. Please use EVAL.")
NO_VERB = client.ResponseError("unknown command 'EVALSHA_RO', with args beginning with: ")
REFUSED = client.ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")


def test_answers_without_a_refusal_are_the_replies() -> None:
    exchange = Exchange([READ, WRITE], StoreFacts())
    assert (exchange.writes, [*exchange.pending]) == (True, [0, 1])
    answers: list[Any] = [b"1", None]
    exchange.take(answers)
    assert (exchange.replies, [*exchange.pending]) == ([b"1", None], [])
    assert not Exchange([READ, Call(("PING",))], StoreFacts()).writes


def test_only_the_unknown_script_is_asked_again_in_full() -> None:
    exchange = Exchange([READ, Call(("PING",)), WRITE], StoreFacts())
    exchange.take([NO_SCRIPT, b"PONG", NO_SCRIPT])
    assert exchange.pending == [0, 2]
    assert [command[:2] for command in sent(exchange.packed())] == [
        [b"EVAL_RO", b"return ARGV[1]"],
        [b"EVAL", b"return ARGV[1]"],
    ]
    exchange.take([b"1", b"2"])
    assert (exchange.replies, exchange.pending) == ([b"1", b"PONG", b"2"], [])


def test_a_script_that_stays_unknown_in_full_is_an_error() -> None:
    exchange = Exchange([WRITE], StoreFacts())
    exchange.take([NO_SCRIPT])
    exchange.take([NO_SCRIPT])
    assert exchange.pending == []
    assert isinstance(exchange.replies[0], StoreError)


def test_a_server_without_read_only_scripts_is_learned_and_asked_in_the_old_form() -> None:
    facts = StoreFacts()
    exchange = Exchange([READ], facts)
    exchange.take([NO_VERB])
    assert (exchange.pending, facts.read_only_scripts) == ([0], False)
    assert sent(exchange.packed())[0][0] == b"EVALSHA"
    exchange.take([NO_SCRIPT])
    assert sent(exchange.packed())[0][0] == b"EVAL"
    exchange.take([b"1"])
    assert exchange.replies == [b"1"]


def test_a_server_that_does_not_name_what_it_lacks_is_asked_once_in_the_old_form() -> None:
    """Garnet: several at once, of which each has its own answer."""
    unnamed = client.ResponseError("unknown command")
    facts = StoreFacts()
    exchange = Exchange([READ, READ], facts)
    exchange.take([unnamed, unnamed])
    assert ([*exchange.pending], facts.read_only_scripts) == ([0, 1], False)
    assert [command[0] for command in sent(exchange.packed())] == [b"EVALSHA"] * 2
    exchange.take([b"1", unnamed])
    assert (exchange.pending, exchange.replies[0]) == ([], b"1")
    assert isinstance(exchange.replies[1], IncompatibleServer)


@pytest.mark.parametrize("call", [WRITE, Call(("EVALSHA_RO", "x"))], ids=["a write", "no script"])
def test_what_has_no_other_form_is_refused_once(call: Call) -> None:
    facts = StoreFacts()
    exchange = Exchange([call], facts)
    exchange.take([NO_VERB])
    assert exchange.pending == []
    assert isinstance(exchange.replies[0], StoreError)
    assert facts.read_only_scripts


def test_a_refusal_stands_in_its_place_translated() -> None:
    exchange = Exchange([READ, WRITE, READ], StoreFacts())
    exchange.take([b"1", REFUSED, client.BusyLoadingError("Redis is loading the dataset in memory")])
    assert exchange.pending == []
    assert [type(reply) for reply in exchange.replies] == [bytes, WrongType, Unavailable]
    assert isinstance(first_refusal([b"1", REFUSED, client.BusyLoadingError("x")]), StoreError)
    assert first_refusal([b"1", None, [b"x"]]) is None
