"""``aioredisca doctor`` of a service that sentinels watch."""

from __future__ import annotations

import pytest

from aioredisca.drivers.database import Database
from aioredisca.maintenance.diagnosing import diagnose
from aioredisca.maintenance.server_report import Finding

from ..support.oracle import Oracle, url_of
from ..support.servers import Server
from .support import LONG
from .watched import in_loop, opened


async def _findings(*oracles: Oracle) -> list[Finding]:
    async with opened(*oracles) as database:
        return [one for one in await diagnose(database) if one.topic == "sentinels"]


async def test_what_sentinels_say(oracles: list[Oracle], old: Server, new: Server) -> None:
    well, cut_off = await _findings(*oracles)
    assert (well.level, well.text) == ("ok", "3, of which 2 must agree, and 2 replicas")
    assert (cut_off.level, "min-replicas-to-write 1" in cut_off.cure) == ("note", True)
    with old.client() as client:
        client.config_set("min-replicas-to-write", 1)
    try:
        assert [one.level for one in await _findings(*oracles)] == ["ok"]
    finally:
        with old.client() as client:
            client.config_set("min-replicas-to-write", 0)


async def test_what_is_wrong_with_them(oracles: list[Oracle], old: Server, new: Server) -> None:
    oracles[1].refusal, oracles[2].service = "ERR no", "other"
    first, second, *_ = await _findings(*oracles)
    assert (first.level, first.text) == ("warning", f"127.0.0.1:{oracles[1].port}: no")
    assert second.text == f"127.0.0.1:{oracles[2].port}: watches no service called 'shop'"
    oracles[1].refusal, oracles[1].names = "", new.port
    oracles[1].epoch = 0
    told = await _findings(*oracles)
    assert f"127.0.0.1:{new.port}" in told[1].text
    assert "several primaries" in told[1].text
    oracles[0].others = oracles[1].others = 1
    oracles[1].names = old.port
    told = await _findings(*oracles)
    assert (told[1].level, "run three" in told[1].cure) == ("warning", True)
    oracles[0].others, oracles[0].replicas, oracles[1].replicas = 2, 0, 0
    assert "give the primary a replica" in (await _findings(*oracles))[1].cure


async def test_without_an_answer_the_cure_is_told(oracles: list[Oracle]) -> None:
    for oracle in oracles:
        oracle.flags = "master,s_down"
    database = Database(url_of(*oracles), **LONG)
    (only,) = await diagnose(database)
    assert (only.topic, only.level) == ("connection", "failure")
    assert "a fail-over may be under way" in only.text
    if in_loop():
        await database.aclose()
    database.close()


@pytest.mark.memory_only
async def test_of_other_databases_nothing_is_said(db: Database) -> None:
    assert await db.sentinels() == {}
    assert not [one for one in await diagnose(db) if one.topic == "sentinels"]
