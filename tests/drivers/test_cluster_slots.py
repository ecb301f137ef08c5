"""What a call says of its slot, and what guards a script. No server."""

from __future__ import annotations

from typing import Any

import pytest
from redis.crc import key_slot

from aioredisca import UsageError
from aioredisca.compiler.scripts import UNDECLARED, script_of
from aioredisca.drivers.cluster.slots import GUARD, guarded, is_plain, parts_of, slot_of, slot_of_key
from aioredisca.drivers.cluster.topology import Topology
from aioredisca.errors import Unavailable
from aioredisca.types import Call, Proof, Script

from .support import command

SCRIPT = Script("return #KEYS", "e9a9d1")


@pytest.mark.parametrize(
    "call",
    [
        Call(("HGETALL", "{a}:1")),
        Call(("HGETALL", b"{a}:1")),
        Call(("MEMORY", "USAGE", "{a}:1")),
        Call(("OBJECT", "ENCODING", "{a}:1")),
        Call((1, 2), SCRIPT, ("{a}:1", b"{a}/x")),
        Call((), packed=command("HMGET", "{a}:1", "f")),
        Call((), packed=command("HMGET", "{a}:1", "f") + command("HMGET", "{a}:2", "f"), commands=2),
        Call(("SCAN", "0"), keys=("{a}",)),
    ],
)
def test_the_slot_of_a_call(call: Call) -> None:
    assert slot_of(call) == key_slot(b"a")


@pytest.mark.parametrize(
    "call",
    [
        *(Call((name,)) for name in ("PING", "TIME", "INFO", "DBSIZE")),
        Call(("SCAN", b"0")),
        Call((), SCRIPT),
    ],
)
def test_calls_without_a_key(call: Call) -> None:
    assert slot_of(call) is None


def test_several_slots_in_one_call() -> None:
    with pytest.raises(UsageError, match="several slots"):
        slot_of(Call((), SCRIPT, ("{a}:1", "{b}:1")))


def test_ids_that_are_no_utf_8() -> None:
    assert slot_of_key("\udcff") == key_slot(b"\xff")


def test_a_script_is_guarded_by_a_key_that_it_does_not_see() -> None:
    call = guarded(Call(("x",), SCRIPT, ("{a}/meta", "{a}:1"), writes=True))
    assert call.keys == ("{a}/meta", "{a}:1", b"{a}/meta" + GUARD)
    assert (call.args, call.writes) == (("x",), True)
    assert call.script is not None
    assert call.script.text == "KEYS[#KEYS]=nil return #KEYS"
    assert call.script.sha != SCRIPT.sha
    assert guarded(Call((), SCRIPT, ("{a}b",))).script is call.script  # made once
    assert slot_of(call) == key_slot(b"a")


def test_what_a_script_asks_for_stays_in_its_first_line() -> None:
    call = guarded(Call((), script_of(f"{UNDECLARED}return 1"), ("{a}",)))
    assert call.script is not None
    assert call.script.text == f"{UNDECLARED}KEYS[#KEYS]=nil return 1"


def test_a_script_that_is_laid_out_for_the_wire_is_guarded_as_well() -> None:
    packed = command("EVALSHA", SCRIPT.sha, "2", "{a}/meta", "{a}:1", "first", "")
    call = guarded(Call((), SCRIPT, ("{a}:1",), True, packed=packed))
    assert call.keys == (b"{a}/meta", b"{a}:1", b"{a}/meta" + GUARD)
    assert (call.args, call.packed) == ((b"first", b""), b"")


@pytest.mark.parametrize(
    "call",
    [
        Call(("GET", "{a}")),
        Call((), SCRIPT),
        *(Call((), SCRIPT, (key,)) for key in ("a", "{}a", "a}{", "{a")),
    ],
)
def test_what_needs_no_guard(call: Call) -> None:
    assert guarded(call) is call


def test_what_a_node_can_answer_that_has_its_keys() -> None:
    plain: list[Any] = [Call(("GET", "a")), Call((), packed=command("HMGET", "a", "f"))]
    others = [
        Call((), SCRIPT, ("a",)),
        Call(("GET", "a"), proof=Proof("b", b"")),
        Call((), packed=b"", commands=2),
    ]
    assert [is_plain(call) for call in (*plain, *others)] == [True, True, False, False, False]


def test_the_commands_of_a_call() -> None:
    call = Call((), packed=command("HMGET", "a", "f") + command("HMGET", "b", "f"), commands=2)
    assert [part.args for part in parts_of(call)] == [("HMGET", b"a", b"f"), ("HMGET", b"b", b"f")]


def test_a_topology() -> None:
    one, two, three = ("a", 1), ("b", 2), ("c", 3)
    low, high = [one, three], [two]
    found = Topology({0: low, 1: low, 2: high})
    assert (found.primaries, found.nodes) == ([one, two], {one, two, three})
    assert (found.of(1), found.of(2)) == (one, two)
    assert found.of(None) in found.primaries
    with pytest.raises(Unavailable, match="the cluster is not whole"):
        found.of(3)
    found.move(1, three)
    assert (found.of(0), found.of(1), found.primaries) == (one, three, [one, two, three])
    found.move(3, ("d", 4))
    assert found.of(3) == ("d", 4)
    assert ("d", 4) in found.nodes
