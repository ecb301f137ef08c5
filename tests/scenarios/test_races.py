"""Many writers at once: exactly one wins, nobody's change is lost, every index equals its hash."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from aioredisca import (
    AlreadyExists,
    Database,
    Gone,
    Integer,
    Model,
    StaleWrite,
    UniqueViolation,
    conf,
    sync,
)

from ..support.drift import drift
from ..support.models import User


class Counter(Model):
    n = Integer()


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_of_100_writers_of_one_unique_value_exactly_one_wins(
    db: Database, raw: Any, backend: str, full: bool
) -> None:
    rounds = 10_000 if full else 5 if backend == "memory" else 50
    for number in range(rounds):
        users = [User.new(f"{number}-{i}", email="taken@x.yz") for i in range(100)]
        results = await asyncio.gather(*(user.save() for user in users), return_exceptions=True)
        winners = [user for user, result in zip(users, results, strict=True) if result is user]
        losers = [result for result in results if isinstance(result, UniqueViolation)]
        assert len(winners) == 1
        assert len(losers) == 99
        assert {(loser.field, loser.holder) for loser in losers} == {("email", winners[0].id)}
        await winners[0].delete()
        if number % 10 == 0:
            assert drift(raw, [User]) == []
    assert drift(raw, [User]) == []
    assert raw.keys("user[:/]*") == [b"user/meta"]


@pytest.mark.asyncio_only
async def test_the_control_of_that_race_has_more_winners(server: Any) -> None:
    """Check, then write, as mappers without scripts do: the race is real."""
    client = Database(server.url).client
    broken = 0

    async def claim(number: int, i: int) -> bool:
        if await client.hexists("claims", str(number)):
            return False
        await client.hset("claims", str(number), str(i))
        return True

    for number in range(20):
        winners = sum(await asyncio.gather(*(claim(number, i) for i in range(20))))
        broken += winners != 1
    await client.aclose()
    await client.connection_pool.disconnect()
    assert broken > 10


@pytest.mark.asyncio_only
async def test_of_8_creators_of_one_id_one_wins_even_with_equal_values(db: Database) -> None:
    for number in range(20):
        jobs = [User.new(f"job-{number}", name="claimed").save() for _ in range(8)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert sum(isinstance(result, AlreadyExists) for result in results) == 7


async def increments(times: int, safely: bool) -> None:
    for _ in range(times):
        while True:
            counter = await Counter.get("c")
            counter.n = (counter.n or 0) + 1
            try:
                await counter.save(if_unchanged=safely)
                break
            except StaleWrite:
                pass


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_500_increments_with_retry_on_stale_write_give_exactly_500(
    db: Database, backend: str, full: bool
) -> None:
    # All at once in the matrix: each must try again some hundred times.
    tasks = 500 if full else 5 if backend == "memory" else 20
    await Counter.new("c", n=0).save()
    await asyncio.gather(*(increments(500 // tasks, safely=True) for _ in range(tasks)))
    assert (await Counter.get("c")).n == 500


@pytest.mark.asyncio_only
async def test_the_control_of_the_increments_loses_some(server: Any, db: Database) -> None:
    await Counter.new("c", n=0).save()
    await asyncio.gather(*(increments(10, safely=False) for _ in range(20)))
    assert ((await Counter.get("c")).n or 0) < 200


@pytest.mark.asyncio_only
async def test_readers_beside_300_saves_see_every_record_whole(server: Any, db: Database) -> None:
    """Name and age change together, so a half-written record or row would show."""
    user = await User.new("1", email="a@x.yz", name="0", age=0).save()
    saving = True

    async def write() -> None:
        nonlocal saving
        for number in range(1, 301):
            user.name, user.age = str(number), number
            await user.save()
        saving = False

    async def read(ask: Callable[[], Awaitable[list[User]]]) -> int:
        seen = set[int | None]()
        while saving:
            for found in await ask():
                assert (found.name, found.email) == (str(found.age), "a@x.yz")
                seen.add(found.age)
        return len(seen)

    async def get() -> list[User]:
        return [await User.get("1")]

    async def one() -> list[User]:
        return [await User.all().one()]

    _, *counts = await asyncio.gather(
        write(),
        read(get),
        read(one),
        read(lambda: User.email.find("a@x.yz")),
        read(lambda: User.age.range(0)),
    )
    assert min(counts) > 10


async def test_two_stale_copies_with_different_fields_both_survive(db: Database, raw: Any) -> None:
    await User.new("1", email="a@b.cc", name="Rome", age=5).save()
    first, second = await User.get("1"), await User.get("1")
    first.age = 20
    second.name = "Bern"
    await first.save()
    await second.save()
    user = await User.get("1")
    assert (user.age, user.name) == (20, "Bern")
    assert drift(raw, [User]) == []
    assert await (User.age == 5) == []
    assert await (User.name == "Rome") == []


async def test_stale_copies_of_one_indexed_field_leave_no_stale_entry(db: Database, raw: Any) -> None:
    await User.new("1", name="one").save()
    first, second = await User.get("1"), await User.get("1")
    first.name = "two"
    second.name = "three"
    await first.save()
    await second.save()
    assert drift(raw, [User]) == []
    assert [user.id for user in await User.name.find("three")] == ["1"]


async def test_a_save_after_a_delete_by_somebody_else_does_not_resurrect(db: Database, raw: Any) -> None:
    await User.new("1", email="a@b.cc", age=1).save()
    copy = await User.get("1")
    await User("1").delete()
    copy.age = 2
    with pytest.raises(Gone):
        await copy.save()
    assert raw.keys("user:*") == []
    await copy.save()  # said again, it is a create, of all that is known
    assert (await User.get("1")).email == "a@b.cc"
    assert drift(raw, [User]) == []


@pytest.mark.blocking_only
def test_threads_race_alike(server: Any) -> None:
    class Person(sync.Model):
        email = sync.Email(unique=True)

    database = Database(server.url)
    before, conf.db = conf._db, database
    try:
        for number in range(20):
            won = list[str]()

            def claim(i: int, number: int = number, won: list[str] = won) -> None:
                with suppress(UniqueViolation):
                    won.append(Person.new(f"{number}-{i}", email=f"{number}@x.yz").save().id)

            threads = [threading.Thread(target=claim, args=(i,)) for i in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert len(won) == 1
    finally:
        conf._db = before
        database.close()
