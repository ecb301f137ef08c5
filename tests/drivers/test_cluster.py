"""A cluster of three masters: every call comes to the node that serves its slot, in both colours."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
import warnings
from dataclasses import replace
from typing import Any, cast

import pytest
import redis
import redis.asyncio

from aioredisca import (
    Database,
    Integer,
    Model,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RediscaError,
    StoreError,
    String,
    TooManyArguments,
    Unavailable,
    UniqueViolation,
    UsageError,
    conf,
)
from aioredisca.drivers.cluster.routing import PAUSE
from aioredisca.drivers.cluster.slots import slot_of_key
from aioredisca.drivers.run import run
from aioredisca.drivers.translate import Elsewhere
from aioredisca.types import Call, Proof

from ..support.cluster import Cluster, aclose
from ..support.patience import limit
from .support import Form, every, incr

PREFIXES = ("aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh")
"""Of models whose slots are on all three nodes."""


@conf(tag=True)
class Base(Model):
    name = String(unique=True)
    kind = String(index=True)
    n = Integer(index=True)


def models() -> list[type[Base]]:
    return [conf(prefix=prefix)(type(f"M{prefix}", (Base,), {})) for prefix in PREFIXES]


def served_by(cluster: Cluster) -> set[int]:
    return {cluster.master_of(slot_of_key(f"{{{prefix}}}")).port for prefix in PREFIXES}


async def fill(model: type[Base]) -> None:
    await model.save_many([model.new(str(n), name=f"x{n}", kind=f"k{n % 2}", n=n) for n in range(20)])


@every
async def test_models_on_all_nodes_work_unchanged(cluster: Cluster, form: Form) -> None:
    assert len(served_by(cluster)) == 3
    before, conf.db = conf.db, Database(cluster.url, transport=form)
    try:
        for model in models():
            await fill(model)
            first = await model.get("1")
            assert (first.name, first.n) == ("x1", 1)
            assert [one.n for one in await (model.n >= 15).order_by(model.n)] == [15, 16, 17, 18, 19]
            assert await (model.kind == "k1").count() == 10
            assert len(await (model.kind == "k0")) == 10
            assert {one.id for one in await model.get_many([str(n) for n in range(20)]) if one} == {
                str(n) for n in range(20)
            }
            with pytest.raises(UniqueViolation):
                await model.new("other", name="x1").save()
            await first.delete()
            with pytest.raises(NotFound):
                await model.get("1")
        await aclose(conf.db)
    finally:
        conf.db = before


@every
async def test_calls_of_several_slots_are_answered_in_their_order(cluster: Cluster, form: Form) -> None:
    database = Database(cluster.url, transport=form)
    transport = database.transport()
    keys = [f"key{n}" for n in range(30)]
    assert len({cluster.master_of(slot_of_key(key)).port for key in keys}) == 3
    await transport.send_all([Call(("SET", key, key), writes=True) for key in keys])
    asked = [Call(("PING",)), *(Call(("GET", key)) for key in keys), Call(("INCR", keys[0]), writes=True)]
    replies = await transport.send_all([*asked, Call(("ECHO", "x"))])
    assert replies[:-2] == [b"PONG", *(key.encode() for key in keys)]
    assert isinstance(replies[-2], StoreError)
    assert replies[-1] == b"x"
    await aclose(database)


async def test_a_call_without_a_key_goes_along_with_the_first_that_has_one(clustered: Database) -> None:
    """The time is asked for beside a record: of the server that holds it."""
    cluster_ports = set[bytes]()
    for key in ("{aa}", "{bb}", "{cc}", "{dd}"):
        _, port = await clustered.transport().send_all(
            [Call(("EXISTS", key)), Call(("CONFIG", "GET", "port"))]
        )
        cluster_ports.add(port[1])
        refused = await clustered.transport().send_all([Call(("CONFIG", "GET", "port")), Call(("GET", key))])
        assert refused[0] == port
    assert len(cluster_ports) > 1


async def test_one_call_over_two_slots_is_refused_before_it_is_sent(clustered: Database) -> None:
    sent = clustered.round_trips
    call = Call((), keys=("{a}1", "{b}1"), packed=b"nonsense")
    with pytest.raises(UsageError, match=r'several slots.*tag="shop"'):
        await clustered.transport().send(call)
    with pytest.raises(UsageError, match="several slots"):
        await clustered.transport().send_all([Call(("PING",)), call])
    assert clustered.round_trips == sent


async def test_a_walk_through_the_keys_visits_all_nodes(cluster: Cluster, clustered: Database) -> None:
    keys = {f"walk{n}".encode() for n in range(500)}
    await clustered.transport().send_all([Call(("SET", key, 1), writes=True) for key in keys])
    found, cursor, pages = set[bytes](), b"0", 0
    while pages == 0 or cursor != b"0":
        cursor, page = await clustered.transport().send(Call(("SCAN", cursor, "COUNT", 50)))
        found.update(page)
        pages += 1
    assert found == keys
    assert pages >= len(keys) / 50


async def test_a_script_that_nobody_knows_goes_in_full_to_each_node(
    cluster: Cluster, clustered: Database
) -> None:
    """As after a fail-over, where the promoted replica knows none."""
    for model in models():
        await fill(model)
    for node in cluster.masters:
        node.ask("SCRIPT", "FLUSH")
    for model in models():
        assert len(await (model.n >= 10).order_by(model.n)) == 10
        await model.new("new", name="new").save()


async def test_a_read_is_proven_on_the_node_that_serves_it(clustered: Database) -> None:
    """The word behind the data is asked of the same node, in the slot of the data."""
    for prefix in PREFIXES:
        await clustered.transport().send(Call(("HSET", f"{{{prefix}}}/meta", "ver", prefix), writes=True))
        good, bad = (Proof(f"{{{prefix}}}/meta", word) for word in (prefix.encode(), b"another"))
        assert await clustered.transport().send(Call(("GET", f"{{{prefix}}}:1"), proof=good)) is None
        with pytest.raises(RediscaError):
            await clustered.transport().send(Call(("GET", f"{{{prefix}}}:1"), proof=bad))


# -- redirects -------------------------------------------------------------------------------------


@every
async def test_a_slot_that_has_moved_is_found_again(cluster: Cluster, form: Form) -> None:
    """MOVED: reads, scripts, many loads in one call, and calls among others in one list."""
    database = Database(cluster.url, transport=form)
    before, conf.db = conf.db, database
    try:
        (model, other, *_) = models()
        await fill(model)
        await fill(other)
        slot = slot_of_key("{aa}")
        source = cluster.move(slot)
        assert len(await model.get_many([str(n) for n in range(20)])) == 20
        cluster.move(slot, source)
        await model.new("new", name="new", n=100).save()
        cluster.move(slot)
        assert [one.id for one in await (model.n >= 100)] == ["new"]
        cluster.move(slot, source)
        loads = [Call(("HGET", f"{{{prefix}}}:1", "n")) for prefix in ("aa", "bb", "aa")]
        assert await database.transport().send_all(loads) == [b"1", b"1", b"1"]
        await aclose(database)
    finally:
        conf.db = before


async def test_plain_calls_follow_a_slot_that_is_on_its_way(cluster: Cluster, clustered: Database) -> None:
    """ASK: what is there still is answered there, what has gone by the node that has it now."""
    model = models()[0]
    await fill(model)
    slot = slot_of_key("{aa}")
    ids, transport = [str(n) for n in range(20)], clustered.transport()
    with cluster.moving(slot) as (source, target):
        cluster.move_keys(slot, source, target, 12)
        before = clustered.round_trips
        loaded = await model.get_many(ids)
        assert [one.n for one in loaded if one is not None] == [*range(20)]
        assert clustered.round_trips - before <= 2 + 12  # those that have gone are asked for one by one
        for id in ids:
            assert (await model.get(id)).n == int(id)
        with pytest.raises(NotFound):
            await model.get("absent")
        assert await transport.send(incr("{aa}counted")) == 1
        assert await transport.send_all([incr("{aa}counted"), Call(("GET", "{aa}counted"))]) == [2, b"2"]
        assert target.ask("CLUSTER", "COUNTKEYSINSLOT", slot) > 5
        assert source.ask("CLUSTER", "COUNTKEYSINSLOT", slot) > 5
    assert (await model.get("7")).n == 7
    assert await transport.send(incr("{aa}counted")) == 3


async def test_a_plain_url_is_told_what_to_write(cluster: Cluster) -> None:
    for node in cluster.masters:
        database = Database(f"redis://127.0.0.1:{node.port}")
        for prefix in PREFIXES:
            call = Call(("GET", f"{{{prefix}}}"))
            if cluster.master_of(slot_of_key(f"{{{prefix}}}")) is node:
                await database.transport().send(call)
                continue
            with pytest.raises(StoreError, match=r"write redis\+cluster://127\.0\.0\.1:\d+ in the URL"):
                await database.transport().send(call)
        with pytest.raises(StoreError, match=r"write redis\+cluster://.*conf\(tag="):
            await database.transport().send(Call(("MGET", "a", "b")))
        await aclose(database)


async def test_a_plain_url_finds_no_record_by_id_and_is_told_why(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the key would be on the node that was asked: it has another in a cluster."""

    class Person(Model):
        name = String()

    monkeypatch.setattr(conf, "_db", Database(cluster.url))
    await Person.new("1", name="Ada").save()
    await aclose(conf.db)
    for node in cluster.masters:
        monkeypatch.setattr(conf, "_db", Database(f"redis://127.0.0.1:{node.port}"))
        for id in map(str, range(1, 9)):
            with pytest.raises(StoreError, match=r"write redis\+cluster://"):
                await Person.get(id)
            with pytest.raises(StoreError, match=r"write redis\+cluster://"):
                await Person(id).load(strict=True)
        await aclose(conf.db)


async def test_a_server_alone_is_asked_once_whether_it_is(
    server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Person(Model):
        name = String()

    monkeypatch.setattr(conf, "_db", Database(server.url))
    for trips in (2, 3, 4):
        with pytest.raises(NotFound):
            await Person.get("1")
        assert conf.db.round_trips == trips
    await aclose(conf.db)


async def test_the_url_of_a_cluster_at_a_server_that_is_none(server: Any) -> None:
    database = Database(f"redis+cluster://127.0.0.1:{server.port}")
    with pytest.raises(UsageError, match="is no cluster: write redis://"):
        await database.transport().send(Call(("GET", "a")))
    await aclose(database)


# -- who may, who is there -------------------------------------------------------------------------


async def test_a_user_with_the_rights_of_the_model_is_enough(cluster: Cluster) -> None:
    """The key that guards a script is one of those that the model's rules allow."""
    for node in cluster.nodes:
        node.ask("ACL", "SETUSER", "app", "reset", "on", ">s3cret", "~{aa}:*", "~{aa}/*", "+@all")
    before, conf.db = conf.db, Database(cluster.url.replace("://", "://app:s3cret@"))
    try:
        await fill(models()[0])
        assert len(await (models()[0].n >= 10)) == 10
        with pytest.raises(PermissionDenied):
            await fill(models()[1])
        await aclose(conf.db)
        conf.db = Database(cluster.url.replace("://", "://app:wr0ng@"))
        with pytest.raises(StoreError, match="refuses the login") as found:
            await models()[0].get("1")
        assert "wr0ng" not in str(found.value)
        await aclose(conf.db)
    finally:
        conf.db = before
        for node in cluster.nodes:
            node.ask("ACL", "DELUSER", "app")


async def test_nobody_is_there() -> None:
    database = Database("redis+cluster://127.0.0.1:9,127.0.0.1:10", timeout=limit(1))
    with pytest.raises(StoreError, match=r"cannot connect to 127\.0\.0\.1:9,127\.0\.0\.1:10"):
        await database.transport().send(Call(("GET", "a")))
    await aclose(database)


async def test_one_seed_of_several_is_enough(cluster: Cluster) -> None:
    alive = cluster.masters[-1].port
    database = Database(f"redis+cluster://127.0.0.1:9,127.0.0.1:{alive}", connect_timeout=limit(1))
    for key in ("a", "b", "c", "d"):
        assert await database.transport().send(Call(("GET", key))) is None
    await aclose(database)


async def test_a_client_of_a_cluster_is_read(cluster: Cluster) -> None:
    port = cluster.masters[0].port
    blocking: Any = redis.RedisCluster(host="127.0.0.1", port=port)
    for client in (blocking, redis.asyncio.RedisCluster(host="127.0.0.1", port=port)):
        database = Database(client)
        assert database.clustered
        assert repr(database).startswith(f"<Database 127.0.0.1:{port}")
        for key in ("a", "b", "c", "d"):
            assert await database.transport().send(Call(("GET", key))) is None
        await aclose(database)
    blocking.close()
    blocking.disconnect_connection_pools()


async def test_raw_clients_are_those_of_a_cluster(clustered: Database) -> None:
    client: Any = clustered.sync_client
    assert isinstance(client, redis.RedisCluster)
    for key in ("a", "b", "c"):
        client.set(key, key)
    assert [await clustered.transport().send(Call(("GET", key))) for key in ("a", "b", "c")] == [
        b"a",
        b"b",
        b"c",
    ]
    client.close()
    cast("Any", client).disconnect_connection_pools()


@pytest.mark.asyncio_only
async def test_a_raw_asyncio_client(clustered: Database) -> None:
    client: Any = clustered.client
    assert isinstance(client, redis.asyncio.RedisCluster)
    await client.set("a", "1")
    assert await client.get("a") == b"1"
    await client.aclose()
    await clustered.aclose()


# -- loops, threads, forks, cancelling -------------------------------------------------------------


def test_each_loop_and_each_thread_has_its_own(cluster: Cluster) -> None:
    database = Database(cluster.url)

    async def ask() -> int:
        keys = [f"key{n}" for n in range(20)]
        found = await asyncio.gather(*(database.transport().send(incr(key)) for key in keys))
        return len(found)

    assert [asyncio.run(ask()) for _ in range(3)] == [20, 20, 20]
    done = list[int]()
    threads = [threading.Thread(target=lambda: done.append(asyncio.run(ask()))) for _ in range(3)]
    threads += [threading.Thread(target=lambda: done.append(run(_blocking(database)))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert done == [20] * 6
    assert run(_value(database, "key3")) == b"9"
    database.close()
    gc.collect()


async def _value(database: Database, key: str) -> Any:
    return await database.transport().send(Call(("GET", key)))


async def _blocking(database: Database) -> int:
    for n in range(20):
        await database.transport().send(incr(f"key{n}"))
    return 20


def test_a_fork_opens_connections_of_its_own(cluster: Cluster) -> None:
    database = Database(cluster.url)
    assert run(_blocking(database)) == 20
    clients = [{one["id"] for one in node.client().client_list()} for node in cluster.masters]
    child = os.fork()
    if not child:
        status = 1
        try:
            asyncio.run(_blocking(database))
            status = 0 if run(_blocking(database)) == 20 else 1
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert run(_blocking(database)) == 20
    after = [{one["id"] for one in node.client().client_list()} for node in cluster.masters]
    assert all(
        before & later for before, later in zip(clients, after, strict=True)
    )  # the parent's are used on
    database.close()


@pytest.mark.asyncio_only
@every
async def test_a_cancelled_task_leaves_the_others_their_answers(
    cluster: Cluster, form: Form, full: bool
) -> None:
    """Every answer is that of its own question, whoever has gone meanwhile."""
    database = Database(cluster.url, transport=form, timeout=limit(5))
    transport = database.transport()
    texts = [f"key{n}" for n in range(50)]
    await transport.send_all([Call(("SET", text, text), writes=True) for text in texts])
    tasks = list[asyncio.Task[Any]]()
    for number in range(10_000 if full else 600):
        text = texts[number % len(texts)]
        tasks.append(asyncio.create_task(_wants(transport, text)))
        if number % 3 == 0:
            tasks[number // 2].cancel()
        if number % 7 == 0:
            await asyncio.sleep(0)
    done = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = {type(one) for one in done}
    assert kinds == {type(None), asyncio.CancelledError}
    assert [await transport.send(Call(("GET", text))) for text in texts] == [text.encode() for text in texts]
    await database.aclose()


@pytest.mark.asyncio_only
async def test_cancelled_before_nodes_are_asked_leaves_nothing_unawaited(clustered: Database) -> None:
    calls = [Call(("GET", f"{{{prefix}}}")) for prefix in PREFIXES]
    await clustered.transport().send_all(calls)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for turns in range(6):
            task = asyncio.ensure_future(clustered.transport().send_all(calls))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        del task
        gc.collect()
    assert [str(one.message) for one in told if one.category is RuntimeWarning] == []


async def _wants(transport: Any, text: str) -> None:
    assert await transport.send(Call(("GET", text))) == text.encode()


async def test_what_some_nodes_have_written_is_told(cluster: Cluster, clustered: Database) -> None:
    """A list of writes to several nodes of which one does not answer: nobody knows, or nothing was done."""
    keys = [f"key{n}" for n in range(10)]
    await clustered.transport().send_all([incr(key) for key in keys])
    router: Any = clustered.transport()
    node = router._topology.of(slot_of_key(keys[0]))
    router.by_node[node] = _Gone()
    router._looked = float("inf")
    with pytest.raises(OutcomeUnknown, match="have written their part"):
        await router.send_all([incr(key) for key in keys])
    del router.by_node[node]
    values = await router.send_all([Call(("GET", key)) for key in keys])
    assert sorted({*values}) == [b"1", b"2"]


class _Gone:
    """A node that is not there."""

    async def send_all(self, calls: Any) -> Any:
        raise Unavailable("gone")

    async def close(self) -> None: ...


@pytest.mark.memory_only
async def test_nodes_that_take_connections_and_say_nothing_are_not_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        database = Database(f"redis+cluster://{place}", connect_timeout=0.1)
        with pytest.raises(Unavailable, match=rf"^cannot connect to {place} \(.*start a server there"):
            await database.transport().send(Call(("PING",)))
        await aclose(database)


async def test_what_one_node_must_not_get_no_other_gets(cluster: Cluster) -> None:
    """More arguments than the servers take: told before anything is sent, wherever it stands in a list."""
    database = Database(cluster.url, max_arguments=1000)
    keys = [f"key{n}" for n in range(10)]
    writes = [incr(key) for key in keys]
    for place in range(len(keys)):
        long = Call(("DEL", *[keys[place]] * 1000), writes=True)
        with pytest.raises(TooManyArguments):
            await database.transport().send_all([*writes[:place], long, *writes[place:]])
    gc.collect()  # which would tell of a coroutine that nobody has awaited
    assert {*await database.transport().send_all([Call(("GET", key)) for key in keys])} == {None}
    await aclose(database)


async def test_two_nodes_that_name_each_other_are_not_asked_without_end(clustered: Database) -> None:
    """As while they do not agree: each of many calls would go to and fro as fast as it can."""
    router: Any = clustered.transport()
    await router.send(Call(("GET", "a")))
    first, second, *_ = router._topology.primaries
    nodes = [_Names(first), _Names(second)]
    real, router.by_node = router.by_node, {first: nodes[1], second: nodes[0]}
    router._topology.move(slot_of_key("a"), first)
    router._looked, router._address = float("inf"), replace(router._address, timeout=0.3)
    with pytest.raises(Unavailable, match="moving the slot of this key"):
        await router.send(Call(("GET", "a")))
    router.by_node = real
    assert 2 <= sum(node.asked for node in nodes) < 0.3 / PAUSE * 5


class _Names:
    """A node that names another."""

    def __init__(self, other: tuple[str, int]) -> None:
        self._other, self.asked = other, 0

    async def send(self, call: Any, overlap: Any = None) -> Any:
        self.asked += 1
        raise Elsewhere(slot_of_key("a"), *self._other, asking=False)
