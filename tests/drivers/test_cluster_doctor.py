"""``aioredisca doctor`` of a cluster: every node is asked, and what cures are told are true there."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import Database
from aioredisca.maintenance.diagnosing import diagnose
from aioredisca.maintenance.server_report import Finding

from ..support.cluster import Cluster, aclose


async def examined(database: Database) -> list[Finding]:
    found = await diagnose(database)
    await aclose(database)
    return found


async def test_what_one_node_can_is_asked_as_its_models_would(cluster: Cluster) -> None:
    found = {one.topic: one for one in await examined(Database(cluster.url))}
    assert found["cluster"].text.startswith("nodes that serve slots: 3; ")
    assert found["SORT_RO"].level == ("note" if cluster.kind == "redis62" else "ok")
    assert found["keys"].text == "0 at this node"
    assert {one.level for one in found.values()} <= {"ok", "note", "warning"}


async def test_what_is_wrong_with_any_node_is_told_with_its_place(cluster: Cluster) -> None:
    for node in cluster.masters:
        node.ask("CONFIG", "SET", "maxmemory", "1gb")
        node.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            found = [one for one in await examined(Database(cluster.url)) if one.topic == "eviction"]
        finally:
            node.ask("CONFIG", "SET", "maxmemory", 0)
            node.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
        worst = found[-1]
        assert (worst.level, "maxmemory-policy allkeys-lru" in worst.text) == ("warning", True)
        assert len(found) == 1 or worst.text.startswith(f"{node.place}: ")


async def test_a_node_that_does_not_answer_is_a_failure(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nodes(self: Database) -> dict[str, Any]:
        return {**await asked(self), "127.0.0.1:1": Database("redis://127.0.0.1:1").transport()}

    asked = Database.nodes
    monkeypatch.setattr(Database, "nodes", nodes)
    (failed,) = [one for one in await examined(Database(cluster.url)) if one.level == "failure"]
    assert failed.text.startswith("cannot connect to 127.0.0.1:1")


async def test_elsewhere_there_are_no_nodes(db: Database) -> None:
    assert db.clustered or await db.nodes() == {}
