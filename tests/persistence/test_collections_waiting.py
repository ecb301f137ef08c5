"""Pops that wait: what they give, to whom, and that nothing is lost."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from aioredisca import (
    Database,
    Gone,
    Integer,
    ListOf,
    Model,
    PermissionDenied,
    UsageError,
    WrongType,
    conf,
    sync,
)
from aioredisca.drivers.run import run
from aioredisca.persistence.collections import lists
from aioredisca.types import WAIT

from ..support.patience import limit, until, wait_until
from ..support.servers import Server


class Queue(Model):
    jobs = ListOf(Integer())


@conf(prefix="queue")
class BlockingQueue(sync.Model):
    jobs = sync.ListOf(sync.Integer())


@conf(ttl=3600)
class EndingQueue(Model):
    jobs = ListOf(Integer())


async def test_what_is_there_needs_no_waiting(db: Database) -> None:
    queue = await Queue.new("1").save()
    await queue.jobs.append(1, 2, 3)
    assert await queue.jobs.wait_pop() == 3
    assert await queue.jobs.wait_pop_first(5) == 1
    assert await queue.jobs.wait_pop(timeout=0) == 2
    assert await queue.jobs.wait_pop_first(timeout=0) is None


async def test_it_comes_back_with_nothing_when_the_time_is_over(db: Database) -> None:
    queue = await Queue.new("1").save()
    before = time.monotonic()
    assert await queue.jobs.wait_pop(0.2) is None
    assert time.monotonic() - before >= 0.2


@pytest.mark.asyncio_only
async def test_who_waits_has_it_as_soon_as_it_is_there(db: Database) -> None:
    queue = await Queue.new("1").save()
    waiting = asyncio.create_task(queue.jobs.wait_pop_first())
    await asyncio.sleep(0.1)
    assert not waiting.done()
    assert await queue.jobs.len() == 0  # others go on meanwhile
    await queue.jobs.append(7, 8)
    assert await asyncio.wait_for(waiting, limit(1)) == 7
    assert await queue.jobs.range() == [8]


@pytest.mark.blocking_only
async def test_threads_wait_in_the_blocking_face(db: Database, raw: Any) -> None:
    queue, found = BlockingQueue.new("1").save(), list[int | None]()
    thread = threading.Thread(target=lambda: found.append(queue.jobs.wait_pop(limit(1))))
    thread.start()
    time.sleep(0.1)
    assert found == []
    BlockingQueue("1").jobs.append(7)
    thread.join(limit(1))
    assert found == [7]
    assert queue.jobs.wait_pop_first(0.05) is None


@pytest.mark.asyncio_only
async def test_each_value_goes_to_one_of_many_who_wait(db: Database) -> None:
    queue, taken = await Queue.new("1").save(), list[int]()

    async def worker() -> None:
        while (job := await queue.jobs.wait_pop_first()) is not None and job >= 0:
            taken.append(job)

    async with asyncio.timeout(limit(5)):
        workers = [asyncio.create_task(worker()) for _ in range(5)]
        for job in range(40):
            await queue.jobs.append(job)
        await until(lambda: len(taken) == 40)
        await queue.jobs.append(*[-1] * 5)
        await asyncio.gather(*workers)
    assert sorted(taken) == [*range(40)]


@pytest.mark.asyncio_only
async def test_nothing_is_lost_by_those_who_give_up(server: Server, db: Database) -> None:
    """Not even by one that is cancelled when the server has answered already."""
    queue = await Queue.new("1").save()
    with server.client() as raw:
        for number in range(20):
            waiting = asyncio.create_task(queue.jobs.wait_pop_first())
            await until(lambda: raw.info("clients")["blocked_clients"] == 1)
            raw.rpush(queue.jobs.getkey(), number)  # this loop hears of it later
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert await queue.jobs.wait_pop_first(0) == number


async def test_a_look_takes_nothing_away(server: Server, db: Database) -> None:
    """What is on its way to somebody who is gone by then stays in the list; by BLPOP it does not: the control."""
    queue = await Queue.new("1").save()
    with server.client() as raw:
        key = queue.jobs.getkey()
        for command, left in (("BLMOVE", [b"1", b"2"]), ("BLPOP", [b"2"])):
            with server.client() as one:
                connection = one.connection_pool.get_connection()
                given = (key, key, "LEFT", "LEFT", "0") if command == "BLMOVE" else (key, "0")
                connection.send_command(command, *given)
                wait_until(lambda: raw.info("clients")["blocked_clients"] == 1)
                raw.rpush(key, "1", "2")
                connection.disconnect()
            assert raw.lrange(key, 0, -1) == left, command
            raw.delete(key)


async def test_a_record_that_goes_meanwhile_is_gone(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "WAIT", 0.2)
    queue = await Queue.new("1").save()
    timer = threading.Timer(0.1, lambda: raw.delete(queue.getkey()))
    timer.start()
    with pytest.raises(Gone):
        await queue.jobs.wait_pop(limit(1))
    timer.join()
    with pytest.raises(Gone):
        await Queue("never").jobs.wait_pop(0)


async def test_what_a_record_has_left_that_is_over_is_not_taken(db: Database, raw: Any) -> None:
    queue = await EndingQueue.new("1").save()
    await queue.jobs.append(1)
    raw.pexpireat(queue.getkey(), 1)
    with pytest.raises(Gone):
        await queue.jobs.wait_pop(1)
    assert raw.lrange(queue.jobs.getkey(), 0, -1) == [b"1"]


async def test_bad_timeouts_are_refused_before_any_io(db: Database, raw: Any) -> None:
    queue = Queue("1")
    for timeout in (-1, float("nan"), "1", True):
        with pytest.raises(UsageError, match="number of seconds"):
            await queue.jobs.wait_pop(timeout)  # type: ignore[arg-type]
    assert raw.keys("*") == []


async def test_another_type_and_a_missing_right_are_told(server: Server, db: Database, driver: str) -> None:
    queue = await Queue.new("1").save()
    with server.client() as raw:
        raw.set(queue.jobs.getkey(), "x")
        with pytest.raises(WrongType, match="l/jobs/1"):
            await queue.jobs.wait_pop(1)
        raw.delete(queue.jobs.getkey())
        raw.execute_command("ACL", "SETUSER", "few", "reset", "on", ">pw", "~*", "&*", "+@all", "-blmove")
        few = Database(f"redis://few:pw@127.0.0.1:{server.port}/0")
        conf.db = few
        with pytest.raises(PermissionDenied, match="blmove"):
            await Queue("1").jobs.wait_pop(1)
        conf.db = db
        raw.execute_command("ACL", "DELUSER", "few")
    few.close() if driver == "blocking" else await few.aclose()


@pytest.mark.parametrize("trouble", ["CLIENT KILL ID", "CLIENT UNBLOCK"])
async def test_who_is_cut_off_waits_on(server: Server, db: Database, trouble: str) -> None:
    """As by a primary that becomes a replica (UNBLOCKED), or is gone."""
    queue = await Queue.new("1").save()

    def waits(raw: Any) -> list[str]:
        return [one["id"] for one in raw.client_list() if "b" in one["flags"]]

    def disturb() -> None:
        with server.client() as raw:
            wait_until(lambda: waits(raw))
            (id,) = waits(raw)
            raw.execute_command(*trouble.split(), id, *(["ERROR"] if "UNBLOCK" in trouble else []))
            wait_until(lambda: waits(raw) not in ([], [id]) or "UNBLOCK" in trouble)
            raw.rpush(queue.jobs.getkey(), 5)

    thread = threading.Thread(target=disturb)
    thread.start()
    assert await queue.jobs.wait_pop(limit(1)) == 5
    thread.join()


async def test_it_has_a_connection_of_its_own_which_is_closed_with_the_others(
    server: Server, db: Database, driver: str
) -> None:
    queue = await Queue.new("1").save()
    with server.client() as raw:
        before = len(raw.client_list())
        await queue.jobs.wait_pop(0.01)
        await queue.jobs.wait_pop(0.01)
        assert len(raw.client_list()) == before + 1
        db.close() if driver == "blocking" else await db.aclose()
        wait_until(lambda: len(raw.client_list()) <= before)


async def test_round_trips_of_one_who_waits(server: Server, db: Database) -> None:
    queue = await Queue.new("1").save()
    before = db.round_trips
    assert await queue.jobs.wait_pop(0.05) is None
    assert db.round_trips - before == 3  # it looks, waits, looks
    assert WAIT == 5.0


@pytest.mark.asyncio_only
async def test_both_colours_wait_on_one_list(server: Server, db: Database) -> None:
    queue = await Queue.new("1").save()
    found = list[Any]()
    thread = threading.Thread(target=lambda: found.append(run(Queue("1").jobs.wait_pop(limit(1)))))
    thread.start()
    waiting = asyncio.create_task(queue.jobs.wait_pop(limit(1)))
    await asyncio.sleep(0.1)
    await queue.jobs.append(1)
    await queue.jobs.append(2)
    found.append(await waiting)
    await asyncio.to_thread(thread.join)
    assert sorted(found) == [1, 2]


async def test_in_a_cluster(clustered: Database, driver: str) -> None:
    queue = await Queue.new("1").save()
    assert await queue.jobs.wait_pop(0.05) is None
    await queue.jobs.append(1)
    assert await queue.jobs.wait_pop() == 1
