"""A Database of a cluster is closed while calls are on their way."""

from __future__ import annotations

import asyncio

import pytest

from aioredisca import Database, Model, String, Unavailable, conf

from ..support.cluster import Cluster
from ..support.patience import until


@conf(tag=True)
class Leaf(Model):
    name = String()


@pytest.mark.asyncio_only
@pytest.mark.parametrize("turns", [1, 5])
async def test_who_waits_to_hear_of_the_nodes_is_told_and_not_cancelled(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    database = Database(cluster.plain_url)
    monkeypatch.setattr(conf, "_db", database)
    tasks = [asyncio.create_task(Leaf.new(str(n), name="a").save()) for n in range(3)]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[0].cancel()
    await database.aclose()
    cancelled, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [type(other) for other in others] == [Unavailable, Unavailable]
    await Leaf.new("1", name="b").save()  # it can be used again
    await database.aclose()
    await until(lambda: len(asyncio.all_tasks()) == 1)
