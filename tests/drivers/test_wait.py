"""``Database(wait=1)``: a write that a replica does not have yet is not told as done.

And with unique values over partitions: no value is given twice by a fail-over, for each trip of such a write is waited
for, the claim first of all.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, OutcomeUnknown, String, Unavailable, UsageError, conf
from aioredisca.drivers.cluster.slots import slot_of_key

from ..conftest import _binary
from ..support.cluster import Cluster, Node, aclose
from ..support.patience import limit, wait_until
from ..support.servers import Server


class Note(Model):
    name = String(unique=True)
    n = Integer(index=True)


@conf(prefix="given", partitions=8)
class Given(Model):
    name = String(unique=True)


@pytest.fixture
def copied(backend: str, server: Server) -> Iterator[tuple[Server, Server]]:
    """A server, and its replica."""
    binary = _binary(backend)
    with (
        Server(backend, binary, "--repl-diskless-sync-delay", "0") as first,
        Server(backend, binary, "--replicaof", "127.0.0.1", str(first.port)) as copy,
    ):
        wait_until(lambda: is_followed(first))
        yield first, copy


def is_followed(first: Server) -> bool:
    with first.client() as client:
        client.set("mark", 1)
        return bool(client.wait(1, 1000) == 1)


@pytest.fixture
def waiting(copied: tuple[Server, Server]) -> Iterator[Database]:
    before = conf._db
    conf.db = Database(copied[0].url, wait=1, timeout=limit(1))
    yield conf.db
    conf.db.close()
    conf._db = before


@contextmanager
def cut_off(first: Any, copy: Any) -> Iterator[None]:
    """Nothing of what is written to the *first* meanwhile ever gets to its *copy* by the link that is open now."""
    copy.process.send_signal(signal.SIGSTOP)
    try:
        with first.client() as client:
            client.execute_command("CLIENT", "KILL", "TYPE", "slave")
        yield
    finally:
        copy.process.send_signal(signal.SIGCONT)


async def test_what_is_told_as_done_is_at_the_replica(
    waiting: Database, copied: tuple[Server, Server]
) -> None:
    with copied[1].client() as copy:
        for n in range(50):
            await Note.new(str(n), name=f"n{n}", n=n).save()
            assert copy.hget(f"note:{n}", "n") == b"%d" % n
        await Note.save_many([Note.new(f"m{n}", name=f"m{n}", n=n) for n in range(50)])
        assert copy.hlen("note/u/name") == 100
        await Note("1").delete()
        assert not copy.exists("note:1")
    assert await (Note.n >= 0).count() == 99
    await aclose(waiting)


async def test_what_no_replica_has_is_of_unknown_outcome(
    waiting: Database, copied: tuple[Server, Server]
) -> None:
    conf.db = database = Database(copied[0].url, wait=1, timeout=2)
    await Note.new("1", name="n1", n=1).save()
    await Given.save_many(
        [Given.new(f"a{n}", name=f"a{n}") for n in range(40)]
    )  # all partitions are declared
    with cut_off(*copied):
        note = Note.new("2", name="n2", n=2)
        with pytest.raises(OutcomeUnknown, match=r"0 of 1 replicas had the write after 1 s; it has happened"):
            await note.save()
        assert (await Note.get("2")).n == 2  # reads wait for nobody
        with pytest.raises(OutcomeUnknown):  # what is there already is no surer
            await note.save()
        with pytest.raises(
            Unavailable, match="0 of 1 replicas"
        ):  # the claim is in doubt, so nothing is written
            await Given.new("2", name="n2").save()
        assert not await Given("2").exists()
    wait_until(lambda: is_followed(copied[0]))
    await note.save()
    await Given.new("2", name="n2").save()
    await aclose(database)
    database.close()
    await aclose(waiting)


async def test_control_without_it_a_write_waits_for_nobody(
    waiting: Database, copied: tuple[Server, Server]
) -> None:
    conf.db = database = Database(copied[0].url, timeout=0.4)
    with cut_off(*copied):
        await Note.new("2", name="n2", n=2).save()
    await aclose(database)
    database.close()
    await aclose(waiting)


async def test_a_user_who_may_not_wait_is_told(waiting: Database, copied: tuple[Server, Server]) -> None:
    first = copied[0]
    with first.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "+@all", "-wait")
    conf.db = database = Database(f"redis://app:pw@127.0.0.1:{first.port}/0", wait=1)
    with pytest.raises(OutcomeUnknown, match=r"\+wait"):
        await Note.new("2", name="n2", n=2).save()
    with first.client() as client:
        client.execute_command("ACL", "DELUSER", "app")
    await aclose(database)
    database.close()
    await aclose(waiting)


@pytest.mark.memory_only
def test_what_cannot_be_waited_for_is_refused() -> None:
    for wait in (-1, True, 1.5, "1", 1000, None):
        with pytest.raises(UsageError, match="is how many replicas"):
            Database("redis://localhost", wait=wait)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="memory:// has no replicas"):
        Database("memory://", wait=1)
    with pytest.raises(UsageError, match="leave transport="):
        Database("redis://localhost", wait=1, transport="fast")
    Database("memory://", wait=0)


# -- a fail-over between a claim and what it is for ------------------------------------------------


def apart(pairs: Cluster, database: Database) -> tuple[str, list[str], Node]:
    """A value, ids of records that are on other nodes than its claim, and the node of that."""
    schema = Given.__mapper__.schema(database)

    def node_of(place: Any) -> Node:
        return pairs.master_of(slot_of_key(place.keys.meta))

    claims = node_of(schema.place_of_claim(b"taken"))
    ids = [str(n) for n in range(100) if node_of(schema.place_of_record(str(n))) is not claims]
    return "taken", ids[:2], claims


@pytest.mark.slow
@pytest.mark.asyncio_only
@pytest.mark.parametrize("wait", [1, 0], ids=["waits", "control"])
async def test_no_value_is_given_twice_by_a_fail_over(pairs: Cluster, wait: int) -> None:
    """The claim never gets to the replica that takes over; the record is on another node, and stays."""
    pairs.empty()
    before = conf._db
    conf.db = database = Database(pairs.plain_url, wait=wait, timeout=4)
    try:
        await Given.save_many(
            [Given.new(f"first{n}", name=f"first{n}") for n in range(40)]
        )  # declared everywhere
        value, ids, master = apart(pairs, database)
        (copy,) = [one for one in pairs.nodes if one.role() == "slave" and _follows(one, master)]
        with cut_off(master, copy):
            saved = await is_saved(ids[0], value)
            master.kill()
        assert saved is not bool(wait)
        wait_until(lambda: pairs.is_up() and master not in pairs.find_masters())
        pairs.bring_back(master)  # else the one that took over has no replica
        end = time.monotonic() + limit(5)
        while not await is_saved(ids[1], value):
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
        holders = [id for id in ids if await Given(id).exists()]
        assert holders == (ids[1:] if wait else ids)  # two, which is what a fail-over without a wait may do
    finally:
        if master.process.poll() is not None:
            pairs.bring_back(master)
        await aclose(database)
        database.close()
        conf._db = before


async def is_saved(id: str, value: str) -> bool:
    try:
        await Given.new(id, name=value).save()
    except (Unavailable, OutcomeUnknown):
        return False
    return True


def _follows(one: Node, master: Node) -> bool:
    return int(one.ask("INFO", "replication")["master_port"]) == master.port
