"""Queries of one value or one range, which take a way of their own, and when they leave it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import pytest

from aioredisca import (
    Database,
    Integer,
    Model,
    NotIndexed,
    StoreError,
    String,
    conf,
    session,
)
from aioredisca.compiler.conditions import Between, Bound, Equals
from aioredisca.compiler.planner import plan
from aioredisca.compiler.queries import query_call, whole_index_call
from aioredisca.drivers.aio.multiplexer import Multiplexer
from aioredisca.drivers.blocking.pool import BlockingTransport
from aioredisca.query import lookup
from aioredisca.query.lookup import MAX_SMALL
from aioredisca.types import Call

from ..support.drift import drift
from ..support.proxy import Proxy
from ..support.servers import Server
from ..support.tagged import base_of


class Item(Model):
    kind = String(index=True)
    size = Integer(index=True)
    note = String()


SCRIPT, PLAIN = ["EVALSHA_RO", "HGET"], ["SORT_RO", "HGET"]
"""What a look-up sends: the word behind the data proves what it was made by."""


async def items(number: int, kind: str = "a", first: int = 0) -> None:
    await Item.save_many(
        [Item.new(f"{i:05}", kind=kind, size=i, note="x") for i in range(first, first + number)]
    )


async def warm_up() -> None:
    """Let this process and the server learn what they learn once."""
    await items(1, "warm")
    await Item.kind.find("warm")
    await Item.size.range(0, 1)
    await Item("00000").delete()


@pytest.fixture
def sorting(server: Server) -> None:
    """The server sorts without writing. Without that, every look-up is a script."""
    if server.kind == "redis62":
        pytest.skip("Redis 6.2 has no SORT_RO")


def ids(found: Sequence[Item]) -> list[str]:
    return [item.id for item in found]


@pytest.mark.usefixtures("sorting")
async def test_a_value_that_few_records_hold_goes_without_a_script(
    proxied: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    await warm_up()
    await items(20)
    for commands in (SCRIPT, PLAIN, PLAIN):
        with proxy.count() as count:
            found = await Item.kind.find("a")
        assert (count.trips, count.commands) == (1, commands)
        assert ids(found) == [f"{i:05}" for i in range(20)]
        assert (found[3].kind, found[3].size, found[3].note) == ("a", 3, "x")
    with proxy.count() as count:
        assert await Item.kind.find("nobody") == await Item.kind.find("nobody") == []
    assert count.commands == SCRIPT + PLAIN
    later = time.monotonic() + lookup.FRESH + 1
    monkeypatch.setattr("aioredisca.query.lookup.monotonic", lambda: later)
    with proxy.count() as count:
        await Item.kind.find("a")
    assert count.commands == SCRIPT  # what was seen that long ago is not believed


@pytest.mark.slow
@pytest.mark.usefixtures("sorting")
async def test_a_value_that_has_grown_meanwhile_is_found_whole(proxied: Database, proxy: Proxy) -> None:
    await warm_up()
    await items(1000)
    assert len(await Item.kind.find("a")) == 1000
    with proxy.count() as count:
        assert len(await Item.kind.find("a")) == 1000
    assert (count.trips, count.commands) == (1, PLAIN)
    await items(1500, first=1000)
    with proxy.count() as count:
        found = await Item.kind.find("a")
    assert ids(found) == [f"{i:05}" for i in range(2500)]
    assert count.commands[:4] == PLAIN + SCRIPT
    with proxy.count() as count:
        await Item.kind.find("a")
    assert PLAIN[0] not in count.commands  # it is not taken for small again


@pytest.mark.usefixtures("sorting")
@pytest.mark.asyncio_only
async def test_many_tasks_may_look_up_one_value_at_once(proxied: Database, proxy: Proxy) -> None:
    await warm_up()
    await items(5)
    await Item.kind.find("a")
    with proxy.count() as count:
        found = await asyncio.gather(*(query_of("a") for _ in range(20)))
    assert [len(one) for one in found] == [5] * 20
    assert count.commands.count("SORT_RO") == 20
    assert 1 <= count.commands.count("HGET") <= 6  # one word behind each packet


async def query_of(kind: str) -> list[Item]:
    return await (Item.kind == kind)


async def test_rows_that_lie_are_dropped_and_counted_either_way(db: Database, raw: Any) -> None:
    await items(6)
    await Item.kind.find("a")
    raw.hset("item:00001", "kind", "b")
    raw.delete("item:00002")
    raw.hset("item:00003", "size", "77")
    for _ in range(2):
        assert ids(await Item.kind.find("a")) == ["00000", "00003", "00004", "00005"]
    assert ids(await Item.size.range(3, 5)) == ["00004", "00005"]
    assert db.stale_rows == {base_of(Item): 5}


async def test_odd_values_and_ids(db: Database, raw: Any) -> None:
    kinds = ["", "%d", "*", "#", "a%b%%", "\r\n$5\r\n", "ä€😀", "x" * 511, "y" * 513, "->", "nosort"]
    for number, kind in enumerate(kinds):
        await Item.new(f"%{number}*", kind=kind, size=-number).save()
    for _ in range(2):
        for number, kind in enumerate(kinds):
            (found,) = await Item.kind.find(kind)
            assert (found.id, found.kind, found.size) == (f"%{number}*", kind, -number)
    assert ids(await Item.size.range(-2, -1)) == ["%2*", "%1*"]
    assert drift(raw, [Item]) == []


async def test_ids_of_others_that_are_no_text(db: Database, raw: Any) -> None:
    await items(1)
    for id in (b"\xff", b"\xc3\xa4"):
        raw.hset(b"item:" + id, mapping={"kind": "a", "size": "5"})
        raw.sadd("item/x/kind/a", id)
    for _ in range(2):
        assert ids(await Item.kind.find("a")) == ["00000", "ä", "\udcff"]


@pytest.mark.usefixtures("sorting")
async def test_a_refusal_later_on_is_no_end(server: Server, raw: Any) -> None:
    """A user may lose the right to SORT_RO, which takes that to read every key."""
    raw.acl_setuser("bob", enabled=True, passwords=["+pw"], keys=["*"], commands=["+@all"])
    url = server.url.replace("redis://", "redis://bob:pw@")
    async with session(Database(url)) as own:
        await items(3)
        for _ in range(2):
            assert len(await Item.kind.find("a")) == 3
        raw.acl_setuser("bob", commands=["-sort_ro"])
        own._unit.mapped.clear()
        for _ in range(2):
            assert len(await Item.kind.find("a")) == 3
        assert own.db.facts.sort_in_scripts is False
        own.db.close()
    raw.acl_deluser("bob")


@pytest.mark.usefixtures("sorting")
async def test_where_it_is_refused_by_itself_alone_it_is_tried_once(
    proxied: Database, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by something in between that knows the commands of its time."""
    await warm_up()
    await items(3)
    await Item.kind.find("a")

    refused = list[bytes]()

    def refusing(send: Any) -> Any:
        async def refuse(self: Any, call: Call, overlap: Any = None) -> Any:
            if call.packed.split(b"\r\n", 3)[2:3] != [b"SORT_RO"]:
                return await send(self, call, overlap)
            refused.append(call.packed)
            raise StoreError("unknown command 'SORT_RO'")

        return refuse

    transport: Any
    for transport in (BlockingTransport, Multiplexer):
        monkeypatch.setattr(transport, "send", refusing(transport.send))
    for _ in range(5):
        with proxy.count() as count:
            assert len(await Item.kind.find("a")) == 3
        assert (count.trips, count.commands) == (1, SCRIPT)
    assert len(refused) == 1


def test_a_look_up_asks_what_a_scan_asks() -> None:
    schema = Item.__mapper__.schema(conf.db)
    fields = tuple(schema.by_key)
    make = whole_index_call(schema, fields)
    for condition, given in (
        (Equals("kind", b"a"), ("S", schema.keys.exact("kind", b"a"))),
        (Between("size", Bound("1"), Bound("5", inclusive=False), str), ("Z", "item/r/size", "1", "(5")),
    ):
        asked = query_call(plan(schema, condition), "rows", fields, sort=True)
        assert [_text(arg) for arg in make(*given).args] == [_text(arg) for arg in asked.args]
        assert make(*given).script is asked.script
        assert make(*given).keys == asked.keys


def _text(arg: object) -> str:
    return "" if arg == b"" else str(arg)


async def test_what_is_remembered_is_bounded(db: Database) -> None:
    await items(1)
    few = db.facts.small_values
    few |= dict.fromkeys((b"%d" % n for n in range(MAX_SMALL + 1)), 0.0)
    assert len(await Item.kind.find("a")) == 1
    assert len(few) <= 1


async def test_a_session_gets_its_own_instances(db: Database) -> None:
    await items(3)
    async with session():
        held = await Item.get("00001")
        held.note = "mine"
        for _ in range(2):
            found = await Item.kind.find("a")
            assert found[1] is held
            assert (found[1].note, found[2].note) == ("mine", "x")


async def test_an_index_that_is_not_built_is_told_as_ever(db: Database, raw: Any) -> None:
    await items(2)
    raw.hset("item/meta", "e:x:kind", "pass")
    db.facts.index_states.clear()
    with pytest.raises(NotIndexed):
        await Item.kind.find("a")


async def test_both_ways_find_the_same(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await items(30, "a")
    await items(30, "b", first=30)

    @conf(prefix="part")
    class Part(Item):
        pass

    await Part.new("p", kind="a", size=3).save()
    for query in (
        Item.kind == "a",
        Item.size.between(5, 40),
        Item.size >= 55,
        Item.kind == "c",
        Item.size < 0,
    ):
        straight = [*ids(await query), *ids(await query)]
        with monkeypatch.context() as patched:
            patched.setattr(lookup, "_lookup_of", lambda *_: None)
            assert straight == ids(await query) * 2
    assert ids(await Item.kind.find("a", children=True))[-1] == "p"
