"""Calls run in the order in which they are made, also where a script is unknown and goes once more in full."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from aioredisca import Database, Model, OutcomeUnknown, String, conf
from aioredisca.compiler.scripts import script_of
from aioredisca.drivers.run import run
from aioredisca.types import Call

from ..support.proxy import Proxy
from ..support.servers import Server
from .support import LONG, Form, ask, every, opened, reads, shared
from .support import command as packed

pytestmark = pytest.mark.asyncio_only


def fresh_write(key: str, value: int) -> Call:
    """A write by a script that no server has seen."""
    text = f"redis.call('RPUSH', KEYS[1], ARGV[1]) return {random.randrange(10**9)}"
    return Call((value,), script_of(text), (key,), writes=True)


def fresh_read(key: str) -> Call:
    text = f"local _ = {random.randrange(10**9)} return redis.call('LLEN', KEYS[1])"
    return Call((), script_of(text), (key,))


def length(key: str) -> Call:
    return Call(("LLEN", key))


@shared
async def test_what_is_read_after_a_write_sees_it(server: Server, form: Form) -> None:
    async with opened(server.url, form) as database:
        await ask(database, length("none"))
        for number in range(20):
            key = f"a{number}"
            calls = [fresh_write(key, 1), length(key), fresh_write(key, 2), fresh_read(key), length(key)]
            replies = await asyncio.gather(*(asyncio.ensure_future(ask(database, call)) for call in calls))
            assert [replies[1], replies[3], replies[4]] == [1, 2, 2], number


@shared
async def test_many_kinds_of_reads_after_many_unknown_writes(server: Server, form: Form) -> None:
    """Lists of commands, several calls together, and a cancelled one: all behind 50 unknown scripts."""
    async with opened(server.url, form) as database:
        transport = database.transport()
        await ask(database, length("none"))
        work = list[Any]()
        for number in range(50):
            work.append(transport.send(fresh_write("k", number)))
            work.append(transport.send(reads(packed("LLEN", "k"), packed("LINDEX", "k", "-1"))))
            work.append(transport.send_all([length("k"), fresh_read("k")]))
            work.append(transport.send(length("k")))
            if number % 10 == 3:
                work[-1].cancel()
        replies: list[Any] = await asyncio.gather(*work, return_exceptions=True)
        for number in range(50):
            _, both, together, alone = replies[4 * number : 4 * number + 4]
            if number % 10 == 3:
                assert isinstance(alone, asyncio.CancelledError)
                alone = number + 1
            seen = {both[0], int(both[1]) + 1, *together, alone}
            if (
                server.kind == "redis62"
            ):  # without EVALSHA_RO they are asked again, behind what was sent meanwhile
                assert min(seen) > number
            else:
                assert seen == {number + 1}
        assert await ask(database, Call(("LRANGE", "k", 0, -1))) == [str(i).encode() for i in range(50)]


@every
async def test_within_one_round_trip(server: Server, form: Form) -> None:
    async with opened(server.url, form) as database:
        assert (await ask(database, fresh_write("k", 1), length("k"), length("k")))[1:] == [1, 1]


def test_within_one_round_trip_of_blocking_code(server: Server) -> None:
    database = Database(server.url, **LONG)
    assert run(ask(database, fresh_write("k", 1), length("k"), length("k")))[1:] == [1, 1]
    database.close()


@shared
async def test_a_connection_that_breaks_meanwhile_loses_nothing(proxy: Proxy, form: Form) -> None:
    """The answers to what is sent once more are lost: reads come back, of the write nobody knows."""
    async with opened(proxy.url, form) as database:
        await ask(database, length("none"))
        write = asyncio.ensure_future(ask(database, fresh_write("k", 1)))
        read = asyncio.ensure_future(ask(database, length("k")))
        await asyncio.sleep(0)
        with proxy.count() as count:
            while not count.commands:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            proxy.lose_next_reply()
            await asyncio.wait([write, read])
        assert write.exception() is None or isinstance(write.exception(), OutcomeUnknown)
        assert read.result() == await ask(database, length("k"))


class Note(Model):
    text = String()


@shared
async def test_a_record_is_read_as_it_was_saved(server: Server, form: Form) -> None:
    """The same by the verbs of models, whose scripts are forgotten by the server each time."""
    async with opened(server.url, form) as database:
        before, conf.db = conf.db, database
        try:
            with server.client() as plain:
                note = await Note.new("1", text="").save()
                for number in range(20):
                    plain.script_flush()
                    note.text = str(number)
                    saving = asyncio.create_task(note.save())
                    loading = asyncio.create_task(Note.get("1"))
                    await saving
                    assert (await loading).text == str(number)
        finally:
            conf.db = before
