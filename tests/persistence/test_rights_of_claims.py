"""Database users that lack a right which unique values over partitions take: named, and nothing is half-written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, PermissionDenied, String, conf, session
from aioredisca.maintenance.diagnosing import diagnose

from ..support.drift import drift
from ..support.servers import Server
from .test_rights import close, restrict

PATTERNS = "~{held.2.*}held:* ~{held.2.*}held/* ~held/*"


@conf(prefix="held", partitions=2)
class Held(Model):
    name = String(unique=True)
    age = Integer(index=True)


@pytest.fixture
def admin(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client
        client.acl_deluser("app")


def dumped(admin: Any) -> dict[bytes, bytes]:
    return {key: admin.dump(key) for key in admin.keys("*")}


async def fill() -> None:
    await Held.save_many([Held.new(str(n), name=f"n{n}", age=n) for n in range(6)])


@pytest.mark.parametrize("command", ["rpush", "llen", "lrange", "lrem"])
async def test_a_missing_command_is_named_before_anything_is_written(
    server: Server, db: Database, admin: Any, driver: str, command: str
) -> None:
    await fill()
    before = dumped(admin)
    restricted = restrict(server, admin, "~*", "&*", "+@all", f"-{command}")
    async with session(restricted):
        new = Held.new("9", name="n9")
        taken = Held.new("8", name="n1")  # which takes a look at whose it is
        for attempt in (new.save, taken.save, lambda: Held.save_many([new, taken]), Held("1").delete):
            with pytest.raises(PermissionDenied) as caught:
                await attempt()
            assert f"+{command}" in caught.value.rule.split()
        levels = [one.level for one in await diagnose(restricted, [Held.__mapper__.schema(restricted)])]
        assert "failure" in levels
    await close(restricted, driver)
    assert dumped(admin) == before
    assert drift(admin, [Held]) == []


async def test_the_keys_of_all_partitions_are_named_and_are_enough(
    server: Server, db: Database, admin: Any, driver: str
) -> None:
    await fill()
    before = dumped(admin)
    first = f"~{Held.__mapper__.schema(db).all_parts[0].keys.base}*"
    restricted = restrict(server, admin, first, "~held/*", "&*", "+@all")
    async with session(restricted):
        with pytest.raises(PermissionDenied) as caught:
            await Held.save_many([Held.new(str(n), name=f"n{n}") for n in range(10, 20)])
        assert caught.value.rule.endswith(PATTERNS)
    await close(restricted, driver)
    assert dumped(admin) == before
    restricted = restrict(server, admin, *PATTERNS.split(), "&*", "+@all")
    async with session(restricted):
        await Held.save_many([Held.new(str(n), name=f"n{n}") for n in range(10, 20)])
        await Held("1").delete()
        assert await (Held.name == "n12").count() == 1
    await close(restricted, driver)
    assert drift(admin, [Held]) == []
