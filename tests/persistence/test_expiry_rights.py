"""A database user with the rights that the documentation names may do all that records which end take."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, Integer, ListOf, Model, String, Tags, conf, sweep

from ..support.servers import Server

TEXT = Path(__file__).parents[2].joinpath("docs", "storage.md").read_text(encoding="utf-8")


@conf(prefix="usr", ttl=60, sliding="load", unique=[("name", "slug")], index=[("name", "age")])
class Pass(Model):
    email = String(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    code = String(index="sorted")
    tags = Tags(index=True)
    slug = String()
    log = ListOf(String())


@conf(prefix="usr", ttl=60)
class Seat(Model):
    email = String(unique=True)
    name = String(index=True)
    age = Integer(index=True)


@pytest.fixture
def rights(backend: str, server: Server) -> Iterator[list[str]]:
    """The rules of the user in docs/storage.md, and what stands there of records that end."""
    (block,) = re.findall(r"```text\n(ACL SETUSER app .*?)```", TEXT, re.S)
    (more,) = re.findall(r"Where records end it is `([^`]*)`", TEXT)
    words = [*block.split()[3:], *more.split()]
    yield [word for word in words if backend != "redis62" or not word.endswith("_ro")]
    with server.client() as client:
        client.acl_deluser("app")


@pytest.mark.parametrize("kind", [Pass, Seat])
async def test_the_rights_that_are_documented_are_enough(
    server: Server, rights: list[str], driver: str, kind: Any
) -> None:
    with server.client() as admin:
        admin.flushall()
        admin.execute_command("ACL", "SETUSER", "app", "reset", *rights)
    before, conf._db = conf._db, None
    conf.db = database = Database(f"redis://app:secret@127.0.0.1:{server.port}/0")
    try:
        await kind.save_many([kind.new(str(n), email=str(n), name="n", age=n) for n in range(5)], ttl=60)
        await kind("1").expire(0.001)
        await (kind.age == 2).expire(0.001)
        time.sleep(0.02)
        assert await kind.all().ids() == ["0", "3", "4"]
        assert await (kind.name == "n").count() == len(await (kind.name == "n")) == 3
        assert await kind.all().order_by(kind.expires_at.desc()).limit(1).values(kind.email)
        assert len(await (kind.name == "n").random(2)) == 2
        assert await kind("0").ttl()
        assert await kind("0").expires_at()
        await kind("0").touch()
        await kind("0").persist()
        await kind.get("0", touch=True)
        assert (await kind.get_or_create(email="1", ttl=0.001))[1]
        if kind is Pass:
            await Pass("0").log.append("a")
            assert await Pass("0").log.range() == ["a"]
        time.sleep(0.02)
        await sweep(kind)
        assert await kind("0").delete()
    finally:
        database.close() if driver == "blocking" else await database.aclose()
        conf._db = before
