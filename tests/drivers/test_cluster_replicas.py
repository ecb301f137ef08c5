"""``Database(read_from="replica")``: replicas answer loads and queries, and nothing that is written by."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, Reference, String, UniqueViolation, UsageError, conf, sync
from aioredisca.drivers import walks
from aioredisca.drivers.cluster import routing
from aioredisca.drivers.cluster.slots import slot_of_key
from aioredisca.types import Call, ReadFrom

from ..conftest import _binary
from ..support.cluster import Cluster, Node, aclose
from ..support.patience import wait_until


@conf(tag=True)
class Page(Model):
    name = String(unique=True)
    kind = String(index=True)
    n = Integer(index=True)


@conf(tag="page")
class Link(Model):
    page = Reference(Page)


@contextmanager
def reading(cluster: Cluster, read_from: ReadFrom) -> Iterator[Database]:
    before, conf.db = conf.db, Database(cluster.url, read_from=read_from)
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
    return calls(node, "evalsha_ro", "evalsha", "hget")


def calls(node: Node, *names: str) -> int:
    """How often it has carried out these commands."""
    with node.client() as client:
        stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in names)


def caught_up(cluster: Cluster, node: Node) -> None:
    master = cluster.master_of(slot_of_key("{page}"))
    offset = master.ask("INFO", "replication")["master_repl_offset"]
    wait_until(lambda: node.ask("INFO", "replication")["slave_repl_offset"] >= offset)


@pytest.fixture(scope="module")
def trio(backend: str) -> Iterator[Cluster]:
    """A master with two replicas."""
    with Cluster(backend, _binary(backend), 1, 2) as cluster:
        yield cluster


@pytest.mark.parametrize("read_from", ["replica", "primary"])
async def test_who_answers(pairs: Cluster, read_from: ReadFrom) -> None:
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


@pytest.mark.parametrize("read_from", ["replica", "primary"])
async def test_a_query_says_who_answers(pairs: Cluster, read_from: ReadFrom) -> None:
    """Whatever the Database says, which is the other one here; and of all that a query may be asked for."""
    pairs.empty()
    replica = replica_of(pairs)
    with reading(pairs, "primary" if read_from == "replica" else "replica") as database:
        await Page.save_many([Page.new(str(n), name=f"x{n}", kind=f"k{n % 2}", n=n) for n in range(10)])
        await Link.new("1", page="1").save()
        caught_up(pairs, replica)
        for query in (Page.all(), Page.where((Page.n >= 0) & (Page.kind == "k1")), Link.all()):
            await query  # which proves what is believed of the indexes
        some, whole = (Page.n >= 5).read_from(read_from), Page.all().read_from(read_from)
        odd = Page.kind == "k1"
        asks: list[Any] = [
            lambda: some,
            lambda: odd.read_from(read_from),  # the commonest, which goes its own way
            lambda: some & odd,
            lambda: odd & some,
            lambda: some.where(odd).order_by(Page.n).limit(2),
            some.count,
            (some | odd).count,
            whole.order_by(Page.n).first,
            some.ids,
            lambda: some.values(Page.name),
            lambda: some.aggregate(Page.n, by=Page.kind),
            lambda: whole.page(size=3),
            lambda: whole.random(3),
        ]
        for number, ask in enumerate(asks):
            before = asked(replica)
            await ask()
            assert (asked(replica) > before) == (read_from == "replica"), number
        loads = list[int]()
        for links in (Link.all(), Link.all().prefetch("page")):
            before = calls(replica, "hmget")
            (link,) = await links.read_from(read_from)
            assert link.page is not None
            loads.append(calls(replica, "hmget") - before)
        assert loads[1] - loads[0] == (read_from == "replica")
        before = asked(replica)
        assert (await some.update(kind="k2"), await some.delete()) == (5, 5)
        assert asked(replica) - before <= 1
        await aclose(database)


def test_of_two_that_are_joined_the_primary_counts() -> None:
    said: dict[ReadFrom | None, Any] = {None: Page.n > 1}
    said |= {who: (Page.n > 1).read_from(who) for who in ("primary", "replica")}
    wanted = [None, "primary", "replica", "primary", "primary", "primary", "replica", "primary", "replica"]
    pairs = [(one, other) for one in said.values() for other in said.values()]
    for join in (operator.and_, operator.or_):
        assert [join(one, other)._spec.read_from for one, other in pairs] == wanted
    assert [one.where(other)._spec.read_from for one, other in pairs] == wanted


async def test_without_a_cluster_there_is_one_to_ask(db: Database) -> None:
    class Note(Model):
        n = Integer(index=True)

    class Blocking(sync.Model):
        n = sync.Integer(index=True)

    await Note.new("1", n=1).save()
    for who in ("primary", "replica"):
        assert len(await (Note.n == 1).read_from(who)) == 1
        assert (Blocking.n == 1).read_from(who)._spec.read_from == who
    with pytest.raises(UsageError, match=r"read_from\(\) takes one of primary, replica, not 'nearest'"):
        Note.all().read_from("nearest")  # type: ignore[arg-type]


@pytest.mark.parametrize("stays", [True, False], ids=["stays", "control"])
async def test_replicas_do_not_go_on_with_each_other_s_sets(
    trio: Cluster, monkeypatch: pytest.MonkeyPatch, stays: bool
) -> None:
    """A place in a set is that of one server: of another the query would answer short. The control does."""
    if not stays:
        monkeypatch.setattr(routing, "place_of", lambda call: "")
        monkeypatch.setattr(
            routing, "bound", lambda call, node: walks.bound(call, walks.place_of(call) or node)
        )
    trio.empty()
    with reading(trio, "replica") as database:
        await Page.save_many([Page.new(str(n), kind="k", n=n % 2) for n in range(5000)], batch=1000)
        for replica in trio.nodes[1:]:
            caught_up(trio, replica)
        found = list[Any]()
        for _ in range(3):
            found += [len(await (Page.kind == "k")), len(await ((Page.kind == "k") & (Page.n == 1)).ids())]
            found += [await ((Page.kind == "k") & (Page.n == 1)).scan().count() * 2]
            found += [len(await Page.where(Page.kind == "k").values(Page.n))]
        await aclose(database)
    assert ({*found} <= {5000, 2500}) == stays, found


async def test_a_replica_that_is_gone_is_left_out(pairs: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else each read that comes to it would wait until it is sure that nobody is there."""
    pairs.empty()
    replica = replica_of(pairs)
    with reading(pairs, "replica") as database:
        await Page.save_many([Page.new(str(n), kind="k", n=n) for n in range(10)])
        caught_up(pairs, replica)
        router: Any = database.transport()
        tried, replica_for = list[bool](), type(router)._replica_for

        def noted(self: Any, *args: Any) -> Any:
            node = replica_for(self, *args)
            tried.append(node is not None)
            return node

        monkeypatch.setattr(type(router), "_replica_for", noted)
        replica.kill()
        try:
            for _ in range(5):
                assert (await Page.get("1")).n == 1
                assert len(await Page.get_many(["1", "2"])) == 2
            assert tried == [True, *[False] * 9]
            router._left_out = dict.fromkeys(router._left_out, 0.0)
            assert await router.send_all([Call(("HGET", "{page}:1", "n"), read_from=None)]) == [b"1"]
        finally:
            pairs.bring_back(replica)
        for node in router._left_out:
            router._left_out[node] -= routing.QUIET
        caught_up(pairs, replica)
        before = calls(replica, "hmget")
        assert (await Page.get("1")).n == 1
        assert calls(replica, "hmget") > before
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
