"""Where blocking code may run: run(), loops, threads and processes."""

from __future__ import annotations

import asyncio
import builtins
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aioredisca import Database, DriverMisuse, NotFound, conf, session, sync
from aioredisca.sync import String, allow_blocking, iterate, run

from ..support.blocking import Twin, User
from ..support.drift import drift
from ..support.patience import limit
from ..support.servers import Server

# -- run -----------------------------------------------------------------------------------------


def test_run_finishes_any_operation_of_the_library(url: str, db: Database) -> None:
    user = run(Twin.new("1", name="Ada", age=1).save())
    assert run(Twin.get("1")) == user
    assert run(Twin("1")) == user
    assert run(Twin.age >= 0) == [user]
    assert run(Twin.age.find(1)) == [user]
    assert list(iterate(aiter(Twin.all()))) == [user]
    with pytest.raises(NotFound):
        run(Twin.get("nobody"))


async def test_run_refuses_to_stop_a_running_loop(db: Database, driver: str) -> None:
    if driver == "blocking":
        assert run(Twin("1").exists()) is False  # nothing runs here that could be stopped
        return
    with pytest.raises(DriverMisuse, match="blocking code inside a running task would stop its event loop"):
        run(Twin("1").exists())
    with pytest.raises(DriverMisuse, match=r"with allow_blocking\(\)"):
        User.get("1")
    with allow_blocking():
        assert User("1").exists() is False
    with pytest.raises(DriverMisuse):
        User("1").exists()


async def test_blocking_may_be_allowed_for_good(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "allow_blocking", True)
    assert User("1").exists() is False


async def test_ipython_whose_cells_run_in_a_loop_may_block(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    assert User("1").exists() is False


@pytest.mark.asyncio_only
async def test_a_callback_of_a_loop_is_no_task_and_may_block(db: Database) -> None:
    answers = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: answers.set_result(User("1").exists()))
    assert await answers is False


def test_run_refuses_what_awaits_more_than_the_database() -> None:
    async def sleeper() -> None:
        await asyncio.sleep(0)

    with pytest.raises(DriverMisuse, match="awaited something that is not this library's database"):
        run(sleeper())

    async def items() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)

    it = iterate(items())
    assert next(it) == 1
    with pytest.raises(DriverMisuse):
        next(it)


def test_an_awaitable_without_a_loop_is_told() -> None:
    """As by a framework that drives coroutines by hand."""
    operation = Twin("1").exists()
    with pytest.raises(DriverMisuse, match=r"no asyncio event loop is running: await this under asyncio"):
        operation.send(None)


# -- loops, threads, processes -------------------------------------------------------------------


def test_one_database_serves_one_loop_after_another(url: str, db: Database) -> None:
    async def work() -> int:
        await Twin.new(age=1).save()
        return await Twin.all().count()

    assert [asyncio.run(work()) for _ in range(3)] == [1, 2, 3]


def test_loops_of_several_threads_work_side_by_side(url: str, db: Database) -> None:
    async def work(number: int) -> None:
        for i in range(20):
            await Twin.new(f"{number}-{i}", age=i).save()

    threads = [threading.Thread(target=lambda n=n: asyncio.run(work(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run(Twin.all().count()) == 80


def test_threads_share_blocking_models(url: str, db: Database, raw: Any) -> None:
    errors = list[BaseException]()

    def work(number: int) -> None:
        try:
            for i in range(25):
                User.new(f"{number}-{i}", name="x", age=i).save()
                assert User.get(f"{number}-{i}").age == i
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert User.name.find("x") == sorted(User.all(), key=lambda user: user.id)
    assert len(User.all()) == 200
    assert drift(raw, [User]) == []


class Language(sync.Model):
    code = String()


class LookedUp(sync.Json[dict[str, str]]):
    """Its values are checked by a look into the database, as blocking code may."""

    def check(self, value: Any) -> None:
        super().check(value)
        if not Language(value["lang"]).exists():
            raise ValueError("is in no language that is known")


class Text(sync.Model):
    data = LookedUp()


@pytest.mark.parametrize("most", [1, 2])
def test_bulk_writes_whose_fields_ask_the_database_do_not_wait_for_each_others_connections(
    server: Server, most: int
) -> None:
    """The known-bad way: each holds a connection and waits for another, until the time is up."""
    conf.db = Database(server.url, max_connections=most, timeout=limit(3))
    Language.new("en", code="en").save()
    texts = [Text.new(str(number), data={"lang": "en"}) for number in range(12)]
    Text.save_many(texts)
    for text in texts:
        assert text.data is not None
        text.data["more"] = "x"
    texts[-1].data = {"lang": "en", "more": "y"}
    halves = [
        threading.Thread(target=Text.save_many, args=(texts[half::2],), kwargs={"batch": 1})
        for half in (0, 1)
    ]
    started = time.monotonic()
    for thread in halves:
        thread.start()
    for thread in halves:
        thread.join()
    assert time.monotonic() - started < limit(1)
    assert [text.getdiff() for text in texts] == [{}] * 12
    blocking: Any = conf.db._transports.blocking
    assert len(blocking._idle) <= most
    conf.db.close()


@pytest.mark.parametrize("how", ["blocking", "asyncio"])
def test_a_fork_opens_connections_of_its_own(server: Server, db: Database, how: str) -> None:
    """As under gunicorn --preload: the parent used its connections before."""
    User.new("parent", age=1).save()
    asyncio.run(touch_and_close(db))
    pid = os.fork()
    if pid == 0:
        try:
            if how == "blocking":
                for i in range(20):
                    User.new(f"child{i}", age=2).save()
            else:
                asyncio.run(create_children())
            os._exit(0)
        except BaseException:
            os._exit(1)
    for i in range(20):
        User.new(f"parent{i}", age=1).save()
    assert os.waitpid(pid, 0)[1] == 0
    assert User.all().count() == 41


async def touch_and_close(db: Database) -> None:
    with allow_blocking():
        User("x").exists()
    async with session():
        await Twin("x").exists()
    await db.aclose()


async def create_children() -> None:
    with allow_blocking():
        for i in range(20):
            User.new(f"child{i}", age=2).save()


# -- where databases come from -------------------------------------------------------------------


@pytest.mark.slow
def test_threads_that_touch_a_found_record_at_once_lose_nothing(url: str, db: Database) -> None:
    """What was found is laid out at the first look, whoever looks."""
    User.new("1", name="Ada", age=1).save()
    before, wrong = sys.getswitchinterval(), list[Any]()

    def work(record: User, gate: threading.Barrier, name: str, value: Any) -> None:
        try:
            gate.wait()
            setattr(record, name, value)
            assert bool(record)
        except BaseException as error:
            wrong.append(error)

    sys.setswitchinterval(1e-6)
    try:
        for _ in range(300):
            (found,), gate = User.all(), threading.Barrier(2)
            jobs = [
                threading.Thread(target=work, args=(found, gate, name, value))
                for name, value in (("name", "Bob"), ("age", 2))
            ]
            for job in jobs:
                job.start()
            for job in jobs:
                job.join()
            assert wrong == []
            assert found.getdiff() == {"name": "Bob", "age": 2}
    finally:
        sys.setswitchinterval(before)
