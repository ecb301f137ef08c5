"""Every call gives the event loop a turn, wherever the data lies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from aioredisca import Bool, Counter, Database, Integer, ListOf, Model, NotFound, String, session
from tests.support.patience import limit

pytestmark = pytest.mark.asyncio_only

Verb = Callable[[], Coroutine[Any, Any, Any]]


class Job(Model):
    done = Bool(index=True)
    name = String(unique=True)
    tries = Integer(index=True)
    log = ListOf(String())
    visits = Counter()


async def found() -> list[Job]:
    return await (Job.tries >= 0)


async def streamed() -> None:
    async for _ in Job.all():
        pass


async def missing() -> None:
    with pytest.raises(NotFound):
        await Job.get("nobody")


async def flushed() -> None:
    async with session(Job.getdb(), autosave=True):
        Job.new(name=None, tries=1)


JOB = Job("1")
VERBS: dict[str, Verb] = {
    "get": lambda: Job.get("1"),
    "missing": missing,
    "get_many": lambda: Job.get_many(["1", "2"]),
    "reload": lambda: Job("1").reload(),
    "exists": lambda: Job("1").exists(),
    "save": lambda: Job.new(name=None).save(),
    "save_many": lambda: Job.save_many([Job.new(), Job.new()]),
    "delete": lambda: Job("9").delete(),
    "incr": lambda: Job("1").incr(Job.tries),
    "get_or_create": lambda: Job.get_or_create(name="x"),
    "find": lambda: Job.done.find(False),
    "range": found,
    "stream": streamed,
    "count": lambda: Job.all().count(),
    "page": lambda: Job.all().page(),
    "values": lambda: Job.all().values(Job.tries),
    "update": lambda: Job.all().update(done=False),
    "flush": flushed,
    "append": lambda: Job("1").log.append("x"),
    "counter": lambda: Job("1").visits.incr(),
}


@pytest.mark.parametrize("transport", ["auto", "public", "pool"])
@pytest.mark.parametrize("verb", [*VERBS])
async def test_a_call_gives_the_loop_a_turn(url: str, verb: str, transport: Any) -> None:
    async with session(Database(url, transport=transport)) as unit:
        await Job.new("1", name="one", tries=1, done=False).save()
        turns: list[int] = []
        asyncio.get_running_loop().call_soon(turns.append, 1)
        unit.discard()
        await VERBS[verb]()
        assert turns


async def test_waiting_for_another_task_comes_to_its_end(db: Database) -> None:
    await Job.new("1", done=False).save()

    async def work() -> None:
        job = await Job.get("1")
        job.done = True
        await job.save()

    task = asyncio.create_task(work())
    async with asyncio.timeout(limit(5)):
        while not (await Job.get("1")).done:
            pass
    await task


async def test_a_time_limit_holds(db: Database) -> None:
    await Job.new("1", done=False).save()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            while not (await Job.get("1")).done:
                pass
    assert (await Job.get("1")).done is False
