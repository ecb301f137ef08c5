"""A queue of jobs: claimed once, however many workers race; kept by heartbeats, tried again, set aside."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from typing import Any

from aioredisca import DateTime, Integer, Json, Model, String, conf, hexid, utcnow

LEASE = dt.timedelta(seconds=30)
"""For so long a claim holds without a heartbeat."""

TRIES = 3
"""So often a job is tried before it is set aside."""

PAUSE = dt.timedelta(milliseconds=20)
"""How long a job that failed waits: so much the first time, then twice as much each time."""


@conf(prefix="aioredisca-jobs", index=[("state", "due")])
class Job(Model):
    """``open`` jobs are claimed in the order of ``due``: waiting ones from then on, running ones if their
    worker has given no sign of life until then. ``dead`` ones wait for somebody to look at them. One that is
    done is deleted."""

    state = String(index=True, required=True, new="open")
    due = DateTime(index=True, required=True, new=utcnow)
    claim = String(unique=True)
    tries = Integer(required=True, new=0)
    work = Json[Any]()
    error = String()


async def put(work: Any, *, after: dt.timedelta = dt.timedelta()) -> Job:
    """Add a job. One round trip."""
    return await Job.new(work=work, due=utcnow() + after).save()


async def claim() -> Job | None:
    """Take the job that is due longest: nobody else gets it as long as it is kept. Two round trips."""
    now = utcnow()
    due = ((Job.state == "open") & (Job.due <= now)).order_by(Job.due)
    for job in await due.limit(1).update(claim=hexid(), due=now + LEASE, returning=True):
        await job.incr(Job.tries)
        return job
    return None


async def keep(job: Job) -> bool:
    """Give a sign of life; False where another worker has the job by now. One round trip, as below."""
    return await _change(job, due=utcnow() + LEASE)


async def finish(job: Job) -> bool:
    """Delete a job that is done; False where another worker has it by now."""
    return bool(await (Job.claim == job.claim).limit(1).delete(returning=True))


async def fail(job: Job, error: str) -> bool:
    """Let a job be tried again, later each time, or set it aside; False where another worker has it."""
    state = "open" if job.tries < TRIES else "dead"
    return await _change(job, state=state, error=error, claim=None, due=utcnow() + PAUSE * 2**job.tries)


async def _change(job: Job, **values: Any) -> bool:
    """Change a job, as long as it is ours."""
    return bool(await (Job.claim == job.claim).limit(1).update(**values, returning=True))


async def revive() -> int:
    """Give all jobs that were set aside another chance."""
    return await (Job.state == "dead").update(state="open", tries=0, due=utcnow())


async def run(job: Job, do: Callable[[Any], Awaitable[None]]) -> None:
    """Do one job, with a sign of life three times in each lease."""
    if job.tries > TRIES:  # no worker of it lived to say that it fails
        await fail(job, "its workers died")
        return
    beating = asyncio.create_task(_beat(job))
    try:
        await do(job.work)
    except Exception as error:
        await fail(job, repr(error))
    else:
        await finish(job)
    finally:
        beating.cancel()


async def _beat(job: Job) -> None:
    while True:
        await asyncio.sleep(LEASE.total_seconds() / 3)
        await keep(job)


async def work_all(do: Callable[[Any], Awaitable[None]]) -> int:
    """Do jobs until none is open; how often this worker claimed one."""
    count = 0
    while await (Job.state == "open").exists():
        job = await claim()
        if job is None:
            await asyncio.sleep(PAUSE.total_seconds())
            continue
        await run(job, do)
        count += 1
    return count
