"""Walks that go on from a cursor, while another server becomes the primary of a service."""

from __future__ import annotations

import pytest

from aioredisca import adopt
from aioredisca.drivers import walks
from aioredisca.types import Astray, Call, Script

from ..support.oracle import Oracle
from ..support.servers import Server
from .support import Form
from .watched import READ, ask, both, opened

COUNT = 2000


@both
@pytest.mark.parametrize("told", [True, False], ids=["told", "control"])
async def test_nothing_is_passed_over(
    oracles: list[Oracle], old: Server, new: Server, form: Form, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control takes a cursor for what it is, and misses some."""
    for server in (old, new):
        with server.client() as client:
            client.sadd("set", *range(COUNT))
    if not told:
        monkeypatch.setattr(walks, "marked", lambda calls, replies, node: replies)
    found, cursor, steps = set[bytes](), b"0", 0
    async with opened(*oracles, form=form) as database:
        while steps == 0 or cursor != b"0":
            call = Call(("SSCAN", "set", cursor, "COUNT", 100), cursor=2)
            (cursor, page), _ = await database.transport().send_all([call, READ])
            found |= {*page}
            steps += 1
            if steps == 10:
                for oracle in oracles:
                    oracle.names, oracle.epoch = new.port, 2
                sentinels = database._address.sentinels
                assert sentinels is not None
                sentinels.heard(("127.0.0.1", new.port))
    assert (len(found) == COUNT) == told, len(found)


@pytest.mark.parametrize("told", [True, False], ids=["told", "control"])
async def test_adopt_passes_over_no_hash(
    oracles: list[Oracle], old: Server, new: Server, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control goes on with the cursor of the old primary at the new one."""
    for server in (old, new):
        with server.client() as client, client.pipeline(transaction=False) as pipe:
            client.flushall()
            for n in range(2 * COUNT):
                pipe.hset(f"user:{n}", "n", n)
            pipe.execute()
    if not told:
        monkeypatch.setattr(walks, "marked", lambda calls, replies, node: replies)
    async with opened(*oracles) as database:

        def replace_primary(_: int) -> None:
            for oracle in oracles:
                oracle.names, oracle.epoch = new.port, 2
            sentinels = database._address.sentinels
            assert sentinels is not None
            sentinels.heard(("127.0.0.1", new.port))

        (model,) = (await adopt(database, sample=1, progress=replace_primary)).models
    assert (model.hashes == 2 * COUNT) == told, model.hashes


@both
async def test_a_script_is_told_that_its_cursor_is_of_another(
    oracles: list[Oracle], old: Server, form: Form
) -> None:
    script = Script("return {'7', ARGV[1]}", "0" * 40)
    async with opened(*oracles, form=form) as database:
        assert await ask(database, READ) == b"old"
        place = f"127.0.0.1:{old.port}".encode()
        first = await ask(database, Call((b"",), script, ("key",), cursor=0))
        assert first == [b"7@" + place, b""]
        assert await ask(database, Call((first[0],), script, ("key",), cursor=0)) == [b"7@" + place, b"7"]
        with pytest.raises(Astray):
            await ask(database, Call((b"7@other:1",), script, ("key",), cursor=0))
