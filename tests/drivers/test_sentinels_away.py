"""Sentinels that are away, and errors that say what to do; clients of redis-py of their service."""

from __future__ import annotations

import re
from typing import Any

import pytest
import redis.asyncio.sentinel
import redis.sentinel

from aioredisca import Database, PermissionDenied, StoreError, Unavailable

from ..conftest import _binary
from ..support.oracle import SERVICE, Oracle, url_of
from ..support.sentinels import Sentinel
from ..support.servers import Server, free_port
from .support import LONG, Form
from .watched import READ, ask, both, in_loop, opened, pause

# -- when sentinels are away ----------------------------------------------------------------------


@both
async def test_without_sentinels_what_is_open_goes_on(oracles: list[Oracle], old: Server, form: Form) -> None:
    async with opened(*oracles, form=form, options="?socket_connect_timeout=0.2") as database:
        await ask(database, READ)
        for oracle in oracles:
            oracle.refusal = "ERR no"
        for _ in range(3):
            await pause(0.3)
            assert await ask(database, READ) == b"old"


@both
async def test_a_silent_sentinel_holds_up_one_connection_at_most(
    oracles: list[Oracle], old: Server, form: Form
) -> None:
    oracles[0].delay = 1000
    async with opened(*oracles, form=form, connect_timeout=0.5) as database:
        await ask(database, READ)
        asked = oracles[0].asked
        for _ in range(5):
            with old.client() as client:
                client.client_kill_filter(_type="normal", skipme=True)
            await pause(0.05)
            assert await ask(database, READ) == b"old"
        assert oracles[0].asked == asked == 1
        assert oracles[1].asked >= 6


@both
async def test_errors_say_what_to_do(oracles: list[Oracle], old: Server, form: Form) -> None:
    async def told(database: Database) -> str:
        with pytest.raises(Unavailable) as caught:
            await ask(database, READ)
        return str(caught.value)

    for oracle in oracles:
        oracle.service = "theirs"
    async with opened(*oracles, form=form) as database:
        text = await told(database)
        assert (
            "watch no service called 'shop', but theirs: name one of theirs, as in redis+sentinel://" in text
        )
    for oracle in oracles:
        oracle.service, oracle.flags = SERVICE, "master,s_down"
    async with opened(*oracles, form=form) as database:
        assert "no primary that works now: a fail-over may be under way, try again" in await told(database)
    for oracle in oracles:
        oracle.refusal = "NOAUTH Authentication required."
    async with opened(*oracles, form=form, options="?sentinel_password=geheim") as database:
        text = await told(database)
        assert "refuse the login: see sentinel_username= and sentinel_password=" in text
        assert "geheim" not in text
    port, server = free_port(), f"127.0.0.1:{old.port}"
    for hosts, cure, kind in (
        (f"127.0.0.1:{port}", f"no sentinel answers (127.0.0.1:{port}: ", Unavailable),
        (server, f"at {server} is no sentinel, but another server", StoreError),
        (f"127.0.0.1:{port},{server}", f"at {server} is no sentinel, but another server", Unavailable),
    ):
        database = Database(f"redis+sentinel://{hosts}/shop", transport=form, **LONG)
        with pytest.raises(StoreError, match=re.escape(cure)) as caught:
            await ask(database, READ)
        assert type(caught.value) is kind  # to try again helps where one may come back, and there alone
        database.close()
    for oracle in oracles:
        oracle.refusal, oracle.flags, oracle.names = "", "master", port
    async with opened(*oracles, form=form) as database:
        text = await told(database)
        assert f"cannot connect to 127.0.0.1:{port}" in text
        assert "announce an address that can be reached from here" in text


async def test_sentinels_that_want_a_login_of_their_own(old: Server) -> None:
    with Sentinel(_binary("valkey9"), old.port) as sentinel:
        with sentinel.client() as client:
            client.execute_command("ACL", "SETUSER", "default", "resetpass", ">geheim")
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/{SERVICE}/0"
        for password in ("geheim", "other", ""):
            database = Database(f"{url}?sentinel_password={password}" if password else url, **LONG)
            if password == "geheim":
                assert await ask(database, READ) == b"old"
            else:
                with pytest.raises(Unavailable, match="refuse the login: see sentinel_username="):
                    await ask(database, READ)
            if in_loop():
                await database.aclose()
            database.close()


@both
async def test_rights_that_are_missing_are_named(oracles: list[Oracle], old: Server, form: Form) -> None:
    with old.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "+@all", "-role")
    try:
        database = Database(url_of(*oracles).replace("://", "://app:pw@"), transport=form, **LONG)
        with pytest.raises(PermissionDenied, match=r"\+role"):
            await ask(database, READ)
        database.close()
        wrong = Database(url_of(*oracles).replace("://", "://app:no@"), transport=form, **LONG)
        with pytest.raises(Unavailable, match="refuses the login"):
            await ask(wrong, READ)
        wrong.close()
        for oracle in oracles:
            oracle.refusal = "NOPERM User x has no permissions to run the 'sentinel|masters' command"
        async with opened(*oracles, form=form) as database:
            with pytest.raises(PermissionDenied, match=r"\+sentinel\|masters"):
                await ask(database, READ)
    finally:
        with old.client() as client:
            client.execute_command("ACL", "DELUSER", "app")


# -- clients --------------------------------------------------------------------------------------


async def test_a_client_of_redis_py_is_read(oracles: list[Oracle]) -> None:
    hosts = [("127.0.0.1", oracle.port) for oracle in oracles]
    for module in (redis.sentinel, redis.asyncio.sentinel):
        manager: Any = module
        database = Database(manager.Sentinel(hosts).master_for(SERVICE), **LONG)
        assert await ask(database, READ) == b"old"
        database.close()
        if in_loop():
            await database.aclose()


async def test_raw_clients_follow_the_primary(oracles: list[Oracle], new: Server) -> None:
    async with opened(*oracles) as database:
        for name in (b"old", b"new"):
            if in_loop():
                client = database.client
                assert await client.get("who") == name
                await client.aclose()
            else:
                blocking = database.sync_client
                assert blocking.get("who") == name
                blocking.close()
            for oracle in oracles:
                oracle.names, oracle.epoch = new.port, 2
