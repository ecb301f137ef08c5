"""Claims of jobs by many workers at once: each job once, in few round trips, and none idle while jobs wait."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioredisca import Database, Query, StaleWrite, utcnow
from examples.jobs import queue
from examples.jobs.queue import Job

from ..support.drift import drift

Claim = Callable[[], Awaitable[Job | None]]


async def fill(count: int) -> None:
    early = utcnow() - dt.timedelta(hours=1)
    await Job.save_many(
        [Job.new(f"{i:05}", work=i, due=early + dt.timedelta(seconds=i)) for i in range(count)]
    )


def first() -> Query[Job]:
    return ((Job.state == "open") & (Job.due <= utcnow())).order_by(Job.due)


async def race(workers: int, claim: Claim) -> tuple[list[str], int]:
    """The ids that were claimed until nobody got one, and how often one got nothing while jobs waited."""
    claimed, idle = list[str](), 0

    async def work() -> None:
        nonlocal idle
        while True:
            job = await claim()
            if job is None:
                if not await first().exists():
                    return
                idle += 1
            else:
                claimed.append(job.getid())

    await asyncio.gather(*(work() for _ in range(workers)))
    return claimed, idle


async def one_call() -> Job | None:
    for job in await first().limit(1).update(state="running", claim=None, returning=True):
        return job
    return None


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_20_workers_claim_1000_jobs_each_once(db: Database, raw: Any, backend: str, full: bool) -> None:
    count = 60 if backend == "memory" else 1000 if full else 250
    await fill(count)
    before = db.round_trips
    claimed, idle = await race(20, queue.claim)
    trips = db.round_trips - before
    assert sorted(claimed) == [f"{i:05}" for i in range(count)]
    assert claimed[0] == "00000"
    assert idle == 0
    assert (trips - 2 * 20) / count <= 2.5  # each worker asks twice in the end
    assert {job.tries for job in await Job.all()} == {1}
    assert drift(raw, [Job]) == []


async def naively() -> Job | None:
    """As one writes it first."""
    job = await first().first()
    if job is not None:
        job.state = "running"
        await job.save()
    return job


async def guarded() -> Job | None:
    """As one writes it then: each claims what all others claim, too."""
    while (job := await first().first()) is not None:
        job.state = "running"
        try:
            await job.save(if_unchanged=True)
        except StaleWrite:
            continue
        return job
    return None


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_control_the_naive_form_gives_jobs_to_several(db: Database, backend: str) -> None:
    if backend == "memory":
        pytest.skip("there a task goes on until it is through")
    await fill(30)
    claimed, _ = await race(10, naively)
    assert max(Counter(claimed).values()) > 1


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_control_the_guarded_form_takes_many_round_trips(db: Database, backend: str) -> None:
    if backend == "memory":
        pytest.skip("there a task goes on until it is through")
    await fill(30)
    before = db.round_trips
    claimed, _ = await race(10, guarded)
    assert sorted(claimed) == [f"{i:05}" for i in range(30)]
    assert (db.round_trips - before - 2 * 10) / 30 > 2.5


async def test_a_claim_is_one_round_trip(db: Database) -> None:
    await fill(3)
    await one_call()
    before = db.round_trips
    assert await one_call() is not None
    assert db.round_trips == before + 1


async def test_the_recipe_keeps_finishes_and_fails_what_is_claimed(db: Database, raw: Any) -> None:
    assert await queue.claim() is None
    await queue.put("soon", after=dt.timedelta(hours=1))
    await queue.put("now")
    job = await queue.claim()
    assert job is not None
    assert (job.work, job.tries) == ("now", 1)
    assert await queue.claim() is None
    assert await queue.keep(job)
    assert await queue.fail(job, "it burns")
    assert not await queue.keep(job)
    assert not await queue.finish(job)
    await Job.all().update(due=utcnow() - dt.timedelta(seconds=1))
    await (Job.error == None).scan().delete()  # noqa: E711
    again = await queue.claim()
    assert again is not None
    assert (again.error, again.tries) == ("it burns", 2)
    await Job.all().update(due=utcnow() - dt.timedelta(seconds=1))  # its worker died
    other = await queue.claim()
    assert other is not None
    assert other.tries == 3
    assert not await queue.finish(again)
    assert await queue.fail(other, "again")
    assert await queue.claim() is None
    assert [job.error for job in await (Job.state == "dead")] == ["again"]
    assert await queue.revive() == 1
    last = await queue.claim()
    assert last is not None
    assert await queue.finish(last)
    assert await Job.all().count() == 0
    assert drift(raw, [Job]) == []
