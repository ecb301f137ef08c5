"""Reads made by a belief: the word that proves it comes behind the data, over the same connection."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import pytest

from aioredisca import Database, Unavailable, WrongType
from aioredisca.compiler.scripts import script_of
from aioredisca.drivers import wire
from aioredisca.types import Call, Changed, Proof

from ..support.patience import insist
from ..support.proxy import Proxy
from ..support.servers import Server
from .support import LONG, Form, ask, every, incr, opened, ping, shared, turns

META, OTHER = "a/meta", "b/meta"


@pytest.fixture
def database(server: Server, form: Form) -> Iterator[Database]:
    database = Database(server.url, transport=form, **LONG)
    yield database
    database.close()


@pytest.fixture
def counted(proxy: Proxy, form: Form) -> Iterator[Database]:
    """The same behind a proxy that counts."""
    database = Database(proxy.url, transport=form, **LONG)
    yield database
    database.close()


def read(key: str = "data", ver: bytes = b"v", meta: str = META) -> Call:
    return Call(("GET", key), proof=Proof(meta, ver))


def script(text: str, ver: bytes = b"v", meta: str = META, *, writes: bool = False) -> Call:
    """One that no server has seen."""
    proof = None if writes else Proof(meta, ver)
    return Call((), script_of(f"local _ = {random.randrange(10**9)} {text}"), (meta,), writes, proof=proof)


async def set_word(database: Database, ver: str, meta: str = META) -> None:
    await database.transport().send(Call(("HSET", meta, "ver", ver), writes=True))
    await database.transport().send(Call(("SET", "data", "d"), writes=True))


@every
async def test_an_answer_counts_while_the_word_is_the_same(database: Database) -> None:
    transport = database.transport()
    assert await transport.send(read(ver=b"")) is None  # that there is none is a word, too
    await set_word(database, "v")
    assert await transport.send(read()) == b"d"
    assert await transport.send_all([read()]) == [b"d"]
    for ver in (b"", b"w", b"vv"):
        with pytest.raises(Changed):
            await transport.send(read(ver=ver))
    found = await transport.send_all(
        [read(), ping("p"), read(ver=b"w"), read(meta=OTHER), read("b/x", b"", OTHER)]
    )
    assert [type(one) if isinstance(one, Exception) else one for one in found] == [
        *(b"d", b"p", Changed, Changed, None)
    ]


@every
async def test_a_word_that_changes_while_the_data_is_read_is_seen(database: Database) -> None:
    """By a word that comes before the data, or over another connection, nothing would be known of this."""
    text = "redis.call('HSET', KEYS[1], 'ver', 'w') return 'short'"
    changing = Call(("EVAL", text, 1, META), proof=Proof(META, b"v"))
    await set_word(database, "v")
    with pytest.raises(Changed):
        await database.transport().send(changing)
    assert await database.transport().send(read(ver=b"w")) == b"d"
    await set_word(database, "v")
    found = await database.transport().send_all([read(), changing, ping("p")])
    assert [type(one) for one in found] == [Changed, Changed, bytes]


@every
async def test_a_script_that_is_unknown_goes_again_with_what_came_beside_it(
    counted: Database, proxy: Proxy
) -> None:
    """And with a word of its own: what was read before is proved by what comes last, on one connection."""
    await set_word(counted, "v")
    transport = counted.transport()
    assert await transport.send(script("return 'x'")) == b"x"
    with proxy.count() as count:
        assert await transport.send_all([read(), script("return 'y'"), read()]) == [b"d", b"y", b"d"]
    asked = [name.removesuffix("_RO") for name in count.commands]
    assert asked == ["GET", "EVALSHA", "GET", "HGET", "GET", "EVAL", "GET", "HGET"]
    assert count.trips == 2
    with pytest.raises(Changed):
        await transport.send(script("return 'z'", b"w"))


@every
async def test_where_the_connection_ends_before_the_word_the_data_is_asked_for_again(
    counted: Database, proxy: Proxy
) -> None:
    """The word of another connection may be that of another server, or of a later time."""
    await set_word(counted, "v")
    for ver in (b"v", b"w"):
        proxy.cut_after(len(b"$1\r\nd\r\n"))
        with proxy.count() as count:
            if ver == b"v":
                assert await counted.transport().send(read()) == b"d"
            else:
                with pytest.raises(Changed):
                    await counted.transport().send(read(ver=ver))
        assert count.commands == ["GET", "HGET"] * 2
    proxy.cut_after(len(b"$1\r\nd\r\n"))
    with proxy.count() as count:
        assert await counted.transport().send_all([read(), read()]) == [b"d", b"d"]
    assert count.commands == ["GET", "GET", "HGET"] * 2


@every
@pytest.mark.parametrize("size", range(0, 24, 5))
async def test_wherever_the_connection_ends_the_answer_is_whole(
    counted: Database, proxy: Proxy, size: int
) -> None:
    await set_word(counted, "v")
    proxy.cut_after(size)
    assert await counted.transport().send_all([read(), script("return 'x'"), read()]) == [b"d", b"x", b"d"]


@every
async def test_a_word_that_is_refused_is_the_answer(database: Database, server: Server) -> None:
    await set_word(database, "v")
    await database.transport().send(Call(("SET", OTHER, "x"), writes=True))
    with pytest.raises(WrongType):
        await database.transport().send(read(meta=OTHER))
    found = await database.transport().send_all([read(), read(meta=OTHER)])
    assert found[0] == b"d"
    assert isinstance(found[1], WrongType)
    assert await database.transport().send(read()) == b"d"


# -- many at once ----------------------------------------------------------------------------------


@shared
@pytest.mark.asyncio_only
async def test_many_share_a_word_for_each_meta(counted: Database, proxy: Proxy) -> None:
    await set_word(counted, "v")
    await set_word(counted, "o", OTHER)
    transport = counted.transport()
    with proxy.count() as count:
        work = [transport.send(read()) for _ in range(200)]
        work += [transport.send(read(ver=b"o", meta=OTHER)) for _ in range(200)]
        work += [transport.send(ping("p")) for _ in range(50)]
        found = await asyncio.gather(*work)
    assert found == [b"d"] * 400 + [b"p"] * 50
    assert len(count.commands) <= 450 + 3  # the first goes at once; behind the rest goes one word for each
    with proxy.count() as count:
        assert await asyncio.gather(*(transport.send(ping("p")) for _ in range(50))) == [b"p"] * 50
    assert set(count.commands) == {"ECHO"}  # what believes nothing pays nothing


@shared
@pytest.mark.asyncio_only
async def test_each_is_judged_by_its_own_belief(database: Database) -> None:
    await set_word(database, "v")
    transport = database.transport()
    beliefs = [random.choice([b"v", b"w", b""]) for _ in range(300)]
    found = await asyncio.gather(*(transport.send(read(ver=one)) for one in beliefs), return_exceptions=True)
    assert [not isinstance(one, Changed) for one in found] == [one == b"v" for one in beliefs]


@shared
@pytest.mark.asyncio_only
async def test_callers_that_have_gone_are_passed_over(database: Database) -> None:
    await set_word(database, "v")
    transport = database.transport()
    for moment in range(5):
        tasks = [asyncio.ensure_future(transport.send(read())) for _ in range(100)]
        await turns(moment)
        for task in tasks[::3]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert found[1::3] == [b"d"] * len(found[1::3])
        assert await transport.send(ping("next")) == b"next"


@shared
@pytest.mark.asyncio_only
async def test_reads_behind_a_write_that_goes_again_are_proved_behind_it(database: Database) -> None:
    """The script of the write is unknown at first: what was read too early counts for nothing."""
    transport = database.transport()
    for number in range(20):
        await set_word(database, "v")
        write = script(
            "redis.call('HSET', KEYS[1], 'ver', 'w') return redis.call('SET', 'data', 'e')", writes=True
        )
        work: list[Any] = [transport.send(read()) for _ in range(number)]
        work += [transport.send(write), transport.send(read()), transport.send(script("return 'x'"))]
        work += [transport.send_all([read(ver=b"w"), ping("p")]), transport.send(incr("n"))]
        found = await asyncio.gather(*work, return_exceptions=True)
        assert found[:number] == [b"d"] * number
        assert [type(one) for one in found[number + 1 : number + 3]] == [Changed, Changed]
        assert found[number + 3 :] == [[b"e", b"p"], number + 1]


@shared
@pytest.mark.asyncio_only
async def test_of_many_on_the_way_all_come_back(counted: Database, proxy: Proxy) -> None:
    await set_word(counted, "v")
    transport = counted.transport()
    for size in range(0, 900, 90):
        proxy.cut_after(size)
        found = await asyncio.gather(*(transport.send(read()) for _ in range(100)))
        assert found == [b"d"] * 100


@every
@pytest.mark.asyncio_only
async def test_a_word_that_never_comes_is_waited_for_as_any_answer(proxy: Proxy, form: Form) -> None:
    """Something in between lets the data pass, and then nothing more."""
    async with opened(proxy.url, form, timeout=0.5) as database:
        await insist(lambda: ask(database, Call(("SET", "data", "d"), writes=True)))
        assert await insist(lambda: ask(database, read(ver=b""))) == b"d"
        proxy.stall_after(len(b"$1\r\nd\r\n"))
        with pytest.raises(Unavailable):
            await database.transport().send(read(ver=b""))
        assert await insist(lambda: ask(database, read(ver=b""))) == b"d"


@shared
@pytest.mark.asyncio_only
async def test_of_many_each_is_told_when_the_word_does_not_come(proxy: Proxy, form: Form) -> None:
    """The data of nearly all is there; that the last has gone is no reason to wait for the word for ever."""
    async with opened(proxy.url, form, timeout=0.5) as database:
        await insist(lambda: ask(database, Call(("SET", "data", "d"), writes=True)))
        assert await insist(lambda: ask(database, read(ver=b""))) == b"d"
        transport = database.transport()
        proxy.stall_after(10 * len(b"$1\r\nd\r\n"))
        work = [asyncio.ensure_future(transport.send(read(ver=b""))) for _ in range(10)]
        await turns(2)
        work[-1].cancel()
        found = await asyncio.gather(*work, return_exceptions=True)
        answered = [one for one in found[:-1] if not isinstance(one, Unavailable)]
        assert answered in ([], [b"d"])  # the first may have had a word of its own
        assert await insist(lambda: ask(database, read(ver=b""))) == b"d"


def test_what_is_believed_is_said_once() -> None:
    calls = [read(), read(), ping("x"), read(meta=OTHER)]
    assert wire.metas_of(calls) == (META, OTHER)
    assert wire.metas_of([ping("x")]) == ()
    judged = wire.proven(calls, [b"1", b"2", b"3", b"4"], {META: b"v", OTHER: None})
    assert judged[:3] == [b"1", b"2", b"3"]
    assert isinstance(judged[3], Changed)
