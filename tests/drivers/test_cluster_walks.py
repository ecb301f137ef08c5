"""Walks that go on from a cursor, while the slot in which they walk is served by another node from then on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, Tags, conf
from aioredisca.drivers import walks
from aioredisca.drivers.cluster import routing
from aioredisca.drivers.cluster.slots import slot_of_key
from aioredisca.persistence import asking
from aioredisca.types import Astray, Call, Script

from ..support.cluster import Cluster, aclose

COUNT = 2500

_BEGINNINGS = (b"", b"0", "0", 0)


@conf(tag=True)
class Leaf(Model):
    kinds = Tags(index=True)
    colour = String(index=True)
    n = Integer()


def move(cluster: Cluster, slot: int) -> None:
    source = cluster.master_of(slot)
    target = next(node for node in cluster.masters if node is not source)
    cluster.begin_move(slot, target)
    while cluster.move_keys(slot, source, target, 2000):
        pass
    cluster.end_move(slot, source, target)


@pytest.fixture
def moved(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bool], list[int]]]:
    """Begins to have the slot move each time before a walk goes on for the first time; gives the times so far.

    If it is *told* that a cursor is of another node, that is so. Else a cursor is taken for what it is.
    """
    original, times = walks.bound, list[int]()
    settings = {"told": True, "armed": False}

    def bound(call: Call, node: str) -> Call | Astray:
        if settings["armed"] and call.cursor is not None and call.args[call.cursor] not in _BEGINNINGS:
            settings["armed"] = False
            times.append(1)
            move(cluster, slot_of_key("{leaf}"))
        if settings["told"] or not walks.place_of(call):
            return original(call, node)
        return original(call, walks.place_of(call))

    def arm(told: bool) -> list[int]:
        settings.update(told=told, armed=True)
        return times

    monkeypatch.setattr(routing, "bound", bound)
    yield arm
    settings["armed"] = False


async def by_stream() -> int:
    found = [leaf.id async for leaf in Leaf.kinds.has("a") | Leaf.kinds.has("b") | (Leaf.colour == "blue")]
    assert len(found) == len({*found})
    return len(found)


async def by_value() -> int:
    """The commonest, which goes its own way."""
    return len(await (Leaf.colour == "blue"))


async def by_count() -> int:
    return await (Leaf.kinds.has("a") | Leaf.kinds.has("b") | (Leaf.colour == "blue")).count()


async def by_keys() -> int:
    found = set[bytes]()
    async for keys in asking.scan_keys(Leaf.__mapper__.store(), "{leaf}:"):
        found |= {*keys}
    return len(found)


async def by_members() -> int:
    """Of one set, in pages."""
    found, cursor = set[bytes](), b"0"
    while True:
        call = Call(("SSCAN", "{leaf}/x/colour/blue", cursor, "COUNT", 100), cursor=2)
        cursor, page = await asking.read(Leaf.__mapper__.store(), call)
        found |= {*page}
        if cursor == b"0":
            return len(found)


@pytest.mark.slow
async def test_nothing_is_passed_over(
    cluster: Cluster, clustered: Database, moved: Callable[[bool], list[int]]
) -> None:
    """The control takes cursors for what they are, and misses some."""
    await Leaf.save_many(
        [Leaf.new(str(n), kinds={"a", "b"} if n % 2 else {"c"}, colour="blue", n=n) for n in range(COUNT)]
    )
    ways: list[Callable[[], Awaitable[int]]] = [by_stream, by_value, by_count, by_keys, by_members]
    for way in ways:
        before = len(moved(True))
        assert await way() == COUNT
        assert len(moved(True)) == before + 1, way
    short = list[int]()
    for way in ways:
        moved(False)
        short.append(await way())
    assert any(count != COUNT for count in short), short
    await aclose(clustered)


STEP = Call(("3", b"7", "x"), Script("return {}", "abc"), ("{a}",), cursor=1)


def test_a_cursor_bears_the_name_of_its_node() -> None:
    reply: list[Any]
    ((reply),) = walks.marked([STEP], [[b"a@b", 0, []]], "host:1")
    assert reply == [b"a@b@host:1", 0, []]
    further = replace(STEP, args=("3", reply[0], "x"))
    assert walks.place_of(further) == "host:1"
    here = walks.bound(further, "host:1")
    assert isinstance(here, Call)
    assert here.args == ("3", b"a@b", "x")
    assert isinstance(walks.bound(further, "host:2"), Astray)


@pytest.mark.parametrize("reply", [[b"", 0, []], [b"0", []], 7, [], ValueError()])
def test_at_the_end_there_is_none(reply: Any) -> None:
    assert walks.marked([STEP], [reply], "host:1") == [reply]


def test_a_command_begins_anew_elsewhere() -> None:
    call = walks.bound(Call(("SSCAN", "{a}", b"7@host:1"), cursor=2), "host:2")
    assert isinstance(call, Call)
    assert call.args == ("SSCAN", "{a}", b"0")
    begun = Call(("SSCAN", "{a}", 0), cursor=2)
    assert walks.bound(begun, "host:2") is begun
