"""``Database(read_from="replica")``: replicas answer loads and queries, and nothing that is written by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from aioredisca import Database, Integer, Model, String, UniqueViolation, UsageError, conf
from aioredisca.drivers.cluster.slots import slot_of_key

from ..support.cluster import Cluster, Node, aclose
from ..support.patience import wait_until


@conf(tag=True)
class Page(Model):
    name = String(unique=True)
    kind = String(index=True)
    n = Integer(index=True)


@contextmanager
def reading(cluster: Cluster, read_from: str) -> Iterator[Database]:
    before, conf.db = conf.db, Database(cluster.url, read_from=read_from)  # type: ignore[arg-type]
    yield conf.db
    conf.db = before


def replica_of(cluster: Cluster) -> Node:
    """The replica of the slot of the model."""
    master = cluster.master_of(slot_of_key("{page}"))
    replicas = {node for node in cluster.running if node not in cluster.masters}
    return next(
        node for node in replicas if int(node.ask("INFO", "replication")["master_port"]) == master.port
    )


def asked(node: Node) -> int:
    """How many reads and scripts it was sent. What it replicates counts there, too, but is no script."""
    with node.client() as client:
        stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha_ro", "evalsha", "hget"))


def caught_up(cluster: Cluster, node: Node) -> None:
    master = cluster.master_of(slot_of_key("{page}"))
    offset = master.ask("INFO", "replication")["master_repl_offset"]
    wait_until(lambda: node.ask("INFO", "replication")["slave_repl_offset"] >= offset)


@pytest.mark.parametrize("read_from", ["replica", "primary"])
async def test_who_answers(pairs: Cluster, read_from: str) -> None:
    """The primary, unless replicas are to be read; and it answers in any case what is written by."""
    pairs.empty()
    replica = replica_of(pairs)
    with reading(pairs, read_from) as database:
        await Page.save_many([Page.new(str(n), name=f"x{n}", kind=f"k{n % 2}", n=n) for n in range(10)])
        caught_up(pairs, replica)
        before = asked(replica)
        for _ in range(5):
            assert (await Page.get("1")).name == "x1"
            assert [page.n for page in await (Page.n >= 7).order_by(Page.n)] == [7, 8, 9]
            assert len(await (Page.kind == "k1")) == 5
            assert await (Page.n < 4).count() == 4
            assert [page and page.n for page in await Page.get_many(["1", "2", "none"])] == [1, 2, None]
        seen = asked(replica) - before
        assert (seen >= 15) == (read_from == "replica"), seen
        before = asked(replica)
        assert await (Page.n >= 8).update(kind="k2") == 2
        assert await (Page.n >= 9).delete() == 1
        page = await Page.get("1")
        page.n = 100
        await page.save()
        with pytest.raises(UniqueViolation):
            await Page.new("new", name="x1").save()
        assert asked(replica) - before <= 1
        await aclose(database)


async def test_without_a_replica_the_primary_answers(pairs: Cluster) -> None:
    pairs.empty()
    replica = replica_of(pairs)
    with reading(pairs, "replica") as database:
        await Page.save_many([Page.new(str(n), name=f"x{n}", kind="k", n=n) for n in range(10)])
        caught_up(pairs, replica)
        assert len(await (Page.n >= 0)) == 10
        replica.kill()
        try:
            for _ in range(5):
                assert (await Page.get("1")).name == "x1"
                assert len(await (Page.n >= 0)) == 10
                assert len(await Page.get_many([str(n) for n in range(10)])) == 10
        finally:
            pairs.bring_back(replica)
        await aclose(database)


async def test_what_a_replica_has_not_heard_of_is_proven_by_the_primary(pairs: Cluster) -> None:
    """The word of the indexes is another there: the query asks the primary, and does not go round in circles."""
    pairs.empty()
    with reading(pairs, "replica") as database:
        await Page.save_many([Page.new(str(n), name=f"x{n}", kind="k", n=n) for n in range(10)])
        caught_up(pairs, replica_of(pairs))
        assert len(await (Page.n >= 0)) == 10
        for state in list(database.facts.index_states.values()):
            object.__setattr__(state, "proof", state.proof._replace(ver=b"another"))
        assert len(await (Page.n >= 0).order_by(Page.n)) == 10
        await aclose(database)


def test_only_a_cluster_has_replicas_to_read() -> None:
    with pytest.raises(UsageError, match=r"write redis\+cluster://"):
        Database("redis://localhost", read_from="replica")
    with pytest.raises(UsageError, match="is one of primary, replica"):
        Database("redis+cluster://a", read_from="nearest")  # type: ignore[arg-type]
