"""Health is red where every write would fail, and green without leaving anything behind."""

from __future__ import annotations

import pytest

from aioredisca import Database, Model, PermissionDenied, String, Unavailable, conf, health
from aioredisca.drivers.run import driving

from ..conftest import _binary
from ..support.patience import insist
from ..support.servers import Server


class Item(Model):
    name = String(index=True)


async def _closed(database: Database) -> None:
    if not driving():
        await database.aclose()
    database.close()


@pytest.mark.parametrize("used", [True, False], ids=["in use", "unused"])
async def test_where_every_write_fails(own: Server, used: bool) -> None:
    database = Database(own.url)
    before, conf.db = conf.db, database
    try:
        if used:
            await insist(Item.new("1", name="a").save)
        await health.check()
        with own.client() as plain:
            keys = plain.dbsize()
            plain.config_set("maxmemory", "1")
            with pytest.raises(Unavailable, match="its memory is full"):
                await health.check()
            plain.config_set("maxmemory", "0")
            await health.check()
            plain.config_set("min-replicas-to-write", "1")
            with pytest.raises(Unavailable, match="too few replicas"):
                await health.check()
            plain.config_set("min-replicas-to-write", "0")
            await health.check()
            assert plain.dbsize() == keys
            plain.config_set("replica-serve-stale-data", "yes")
            plain.replicaof("127.0.0.1", "1")
            with pytest.raises(Unavailable, match="it is a read-only replica: name its primary"):
                await health.check()
    finally:
        await _closed(database)
        conf.db = before


async def test_nothing_stays_and_it_is_one_round_trip(db: Database, raw: object) -> None:
    await Item.new("1", name="a").save()
    client = db.sync_client
    before = {key: client.dump(key) for key in client.scan_iter()}
    await health.check()
    trips = db.round_trips
    await health.check()
    assert db.round_trips == trips + 1
    assert {key: client.dump(key) for key in client.scan_iter()} == before
    client.close()
    client.connection_pool.disconnect()


async def test_without_a_model_in_use_a_denied_key_proves_nothing(server: Server) -> None:
    with server.client() as plain:
        plain.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", "~mine:*", "+@all")
    database = Database(server.url.replace("redis://", "redis://app:pw@"))
    try:
        await health.check(database)
        with server.client() as plain:
            plain.execute_command("ACL", "SETUSER", "app", "-eval", "-evalsha", "-eval_ro", "-evalsha_ro")
        with pytest.raises(PermissionDenied):
            await health.check(database)
    finally:
        await _closed(database)
        with server.client() as plain:
            plain.execute_command("ACL", "DELUSER", "app")


async def test_a_node_of_a_cluster_is_told_as_that(server: Server, backend: str) -> None:
    with Server(backend, _binary(backend), "--cluster-enabled", "yes") as node:
        database = Database(node.url)
        before, conf.db = conf.db, database
        try:
            with node.client() as plain:
                plain.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
            with pytest.raises(Unavailable, match="the cluster is down: some of its slots have no server"):
                await Item.get("1")
        finally:
            await _closed(database)
            conf.db = before
