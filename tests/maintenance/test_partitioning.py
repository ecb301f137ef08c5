"""``partition``: a class moves into another number of partitions and back. Nothing is lost wherever it is cut short,
and whoever does not know of it is refused."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from aioredisca import (
    AlreadyRunning,
    Database,
    Integer,
    ListOf,
    Model,
    RediscaError,
    SchemaMismatch,
    StoreError,
    String,
    UsageError,
    check,
    conf,
    export_records,
    partition,
)
from aioredisca.maintenance.inspecting import summary
from aioredisca.maintenance.partitioning import steps
from aioredisca.maintenance.partitioning.copying import Copying
from aioredisca.maintenance.partitioning.moving import _Move
from aioredisca.storage.partitions import tags

from ..support.drift import drift
from ..support.planting import Lang, Live, Strict, fill

PREFIX = "moved"


def place(count: int, base: type[Any] = Live) -> Any:
    """A class of those records, declared in so many partitions."""
    more: dict[str, Any] = {"partitions": count} if count > 1 else {}

    @conf(prefix=PREFIX, **more)
    class Moved(base):  # type: ignore[misc]
        pass

    return Moved


class Small(Model):
    """As little as shows all that is moved."""

    name = String(unique=True)
    age = Integer(index=True)
    log = ListOf(String())


async def fill_small(model: Any, count: int = 12) -> None:
    await model.save_many([model.new(f"{n:02}", name=f"n{n}", age=n % 3) for n in range(count)])
    await model("03").log.append("a", "b")


async def dumped(model: Any) -> list[Any]:
    return [json.loads(line) for line in [line async for line in export_records(model)][1:]]


def left_behind(raw: Any, *counts: int) -> set[bytes]:
    """The keys that a class leaves where its partitions were: their meta."""
    bases = {f"{{{tag}}}{PREFIX}" for count in counts for tag in tags(PREFIX, count)}
    return {f"{base}/meta".encode() for base in bases} & {*raw.scan_iter(count=1000)}


def misplaced(raw: Any, models: Any, *counts: int) -> list[str]:
    """What is wrong in the store, but for what was *left_behind*."""
    known = {f"{key!r} belongs to no record" for key in left_behind(raw, *counts)}
    return [text for text in drift(raw, models) if text not in known]


def as_another(url: str) -> Database:
    """The database as a process sees it that has just begun, which all models live in from here on."""
    conf.db = Database(url)
    return conf.db


class Died(BaseException):
    """The process is no more."""


@contextmanager
def dying_at(cursor: bytes) -> Generator[None]:
    """Who moves the class dies when it is so far."""
    go_on = _Move.go_on

    async def died(self: Any, reached: bytes) -> None:
        if reached.startswith(cursor):
            raise Died
        await go_on(self, reached)

    with pytest.MonkeyPatch.context() as patched, pytest.raises(Died):
        patched.setattr(_Move, "go_on", died)
        yield


@pytest.mark.slow
async def test_all_that_is_stored_moves_there_and_back(db: Database, raw: Any, url: str) -> None:
    one = place(1)
    await fill(90, one)
    raw.hset(f"{PREFIX}:v5", mapping={b"\xff\x00": b"\xfe", "more": "undeclared"})
    raw.hset(f"{PREFIX}:v7", "size", "07")  # not written as the library does
    before = await dumped(one)
    now = 1
    for count in (8, 4, 16, 1, 8, 1):
        as_another(url)
        model, seen = place(count), list[int]()
        told = await partition(model, dry_run=True)
        assert (told.before, told.now, told.records, told.left_out, told.done) == (now, count, 91, 0, False)
        done = await partition(model, progress=seen.append)
        assert (done.before, done.now, done.records, done.left_out, done.done) == (now, count, 91, 0, True)
        assert seen[-1] == 91
        assert await dumped(model) == before
        assert (await check(model)).healthy
        assert misplaced(raw, (model, Lang, Strict), 4, 8, 16) == []
        again = await partition(model)
        assert (again.before, again.records, again.done) == (count, 0, True)
        now = count
    conf.db.close()


async def test_who_is_refused_and_who_goes_on(db: Database, raw: Any, url: str) -> None:
    for before, now in ((1, 4), (4, 8), (8, 1)):
        await _while_it_moves(raw, url, before, now)


async def _while_it_moves(raw: Any, url: str, before: int, now: int) -> None:
    raw.flushall()
    old_db = as_another(url)
    old = place(before, Small)
    await fill_small(old)
    await old.where(old.age == 1).count()
    as_another(url)
    new = place(now, Small)
    with pytest.raises(SchemaMismatch):
        await new.new("x").save()
    with dying_at(steps.ONCE):
        await partition(new)

    for number, begun in enumerate((old_db, as_another(url))):  # who read and wrote goes on, and nobody else
        conf.db = begun
        await old.new(f"w{number}", name=f"w{number}", age=1).save()
        await old("03").log.append(str(number))
        await old(f"0{number}").delete()
        for record in await old.where(old.age == 1):
            await record.incr(old.age, 0)
        with pytest.raises(SchemaMismatch, match=r"move into|stand in one|are kept in"):
            await new.new("x").save()
        with pytest.raises(SchemaMismatch):
            await new.all()
    wanted = await dumped(old)
    raw.delete(f"{PREFIX}/lease")
    as_another(url)
    with dying_at(steps.COPIED):
        await partition(new)

    conf.db = old_db  # who reads goes on, and nobody writes
    assert await old.where(old.age == 1).count() == 5
    assert (await old.get("03")).name == "n3"
    assert await dumped(old) == wanted
    for refused in (old.new("x").save, old.where(old.age == 1).delete):
        with pytest.raises(SchemaMismatch, match=f"move into {'one' if now == 1 else now}"):
            await refused()
    for begun in (old_db, as_another(url)):
        conf.db = begun
        with pytest.raises(SchemaMismatch, match=r"move into|stand in one|are kept in"):
            await new.new("x").save()
        with pytest.raises(SchemaMismatch):
            await new.all()

    raw.delete(f"{PREFIX}/lease")  # as time does
    as_another(url)
    assert (await partition(new)).done
    assert await dumped(new) == wanted
    await new.new("x", age=1).save()
    assert misplaced(raw, (new,), before) == []

    conf.db = old_db  # that knows of nothing: it is refused, and writes nothing beside
    for late in (old.new("y").save, lambda: old.where(old.age == 1), lambda: old.all().count()):
        with pytest.raises(SchemaMismatch, match="records are kept in"):
            await late()
    as_another(url)
    assert misplaced(raw, (new,), before) == []


@pytest.mark.memory_only
@pytest.mark.asyncio_only
async def test_without_what_stays_behind_an_old_process_would_write_into_the_void(
    db: Database, raw: Any, url: str
) -> None:
    """The control of the test before."""
    old, new = place(4, Small), place(8, Small)
    await fill_small(old)
    conf.db = Database(url)
    assert (await partition(new)).done
    raw.delete(*left_behind(raw, 4))
    conf.db = db
    await old.new("y").save()
    assert misplaced(raw, (new,), 4)


# -- cut short -------------------------------------------------------------------------------------


class Mortal:
    """A transport that sends so many calls, and no more; the last one with or without its answer."""

    def __init__(self, transport: Any, calls: int, answers: bool) -> None:
        self._transport, self.left, self._answers = transport, calls, answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def send(self, *arguments: Any) -> Any:
        return await self._sent(lambda: self._transport.send(*arguments))

    async def send_all(self, *arguments: Any) -> Any:
        return await self._sent(lambda: self._transport.send_all(*arguments))

    async def _sent(self, send: Callable[[], Any]) -> Any:
        self.left -= 1
        if self.left < 0 and self._answers:
            raise Died
        reply = await send()
        if self.left < 0:
            raise Died
        return reply


async def cut_short(db: Database, work: Callable[[], Any], calls: int, answers: bool = True) -> int:
    """Do *work*, which dies after so many calls; how many it did not need."""
    mortal = Mortal(db.transport(), calls, answers)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Database, "transport", lambda self: mortal)
        try:
            await work()
        except Died:
            return 0
    return int(mortal.left)


async def cut_anywhere(
    url: str, raw: Any, before: int, now: int, calls: int, answers: bool, undo: bool
) -> int:
    raw.flushall()
    as_another(url)
    old, new = place(before, Small), place(now, Small)
    await fill_small(old)
    wanted = await dumped(old)
    left = await cut_short(as_another(url), lambda: partition(new), calls, answers)
    raw.delete(f"{PREFIX}/lease")
    as_another(url)
    flipped = undo and (await partition(new, dry_run=True)).before == now
    if undo and random.random() < 0.3:
        with suppress(StoreError):  # all is copied: too late
            await cut_short(conf.db, lambda: partition(new, undo=True), random.randrange(30), answers)
        raw.delete(f"{PREFIX}/lease")
        as_another(url)
    begun = undo and not flipped
    try:
        done = await partition(new, undo=undo)
    except StoreError:  # all is copied: it is not undone any more
        done, flipped = await partition(new), True
        assert begun
    stays = old if undo and not flipped else new
    assert done.done
    as_another(url)
    assert await dumped(stays) == wanted
    assert misplaced(raw, (stays,), 1, 2, 4) == []
    await stays.new("x", name="x", age=1).save()
    assert await stays.where(stays.age == 1).count() == 5
    return left


@pytest.mark.asyncio_only
@pytest.mark.parametrize("undo", [False, True], ids=["goes on", "undone"])
@pytest.mark.parametrize(("before", "now"), [(1, 4), (4, 2), (4, 1)])
async def test_it_is_cut_short_after_any_call(
    db: Database, raw: Any, url: str, before: int, now: int, undo: bool, full: bool
) -> None:
    """After every call, with and without its answer. A push tries some of them."""
    pace = 1 if full else 29
    calls = random.randrange(pace)
    while not await cut_anywhere(url, raw, before, now, calls, random.random() < 0.5, undo):
        calls += random.randrange(1, 2 * pace) if pace > 1 else 1
    assert calls > 40


@pytest.mark.asyncio_only
async def test_who_stood_still_and_goes_on_when_all_is_done_writes_nothing(
    db: Database, raw: Any, url: str
) -> None:
    old, new = place(1, Small), place(4, Small)
    await fill_small(old)
    reached, go_on = asyncio.Event(), asyncio.Event()
    write = Copying.copy

    async def stand_still(self: Any, *arguments: Any, **how: Any) -> Any:
        reached.set()
        await go_on.wait()
        return await write(self, *arguments, **how)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Copying, "copy", stand_still)
        conf.db = Database(url)
        first = asyncio.ensure_future(partition(new))
        await asyncio.wait_for(reached.wait(), 30)
    with pytest.raises(AlreadyRunning):
        await partition(new)
    raw.delete(f"{PREFIX}/lease")  # as time does
    as_another(url)
    assert (await partition(new)).done
    record = await new.get("03")
    record.name = "later"
    await record.save()
    await new("05").delete()
    go_on.set()
    with pytest.raises(RediscaError):
        await first
    as_another(url)
    assert (await new.get("03")).name == "later"
    assert await new.all().count() == 11
    assert misplaced(raw, (new,)) == []


# -- what cannot be moved --------------------------------------------------------------------------


async def test_where_a_record_cannot_be_moved_nothing_is(db: Database, raw: Any, url: str) -> None:
    old, new = place(1, Small), place(4, Small)
    await fill_small(old)
    raw.hset(f"{PREFIX}:03", "age", "secret")
    as_another(url)
    for told in (await partition(new, dry_run=True), await partition(new)):
        assert (told.left_out, told.records, told.done) == (1, 11, False)
        ((id, error),) = told.problems
        assert id == "03"
        assert "secret" not in str(error)
    conf.db = db
    await old.new("x").save()
    raw.hset(f"{PREFIX}:03", "age", "0")
    as_another(url)
    assert (await partition(new)).done


async def test_what_is_spoiled_meanwhile_waits_for_a_person(db: Database, raw: Any, url: str) -> None:
    old, new = place(1, Small), place(4, Small)
    await fill_small(old)
    await cut_short(as_another(url), lambda: partition(new), 25)
    raw.delete(f"{PREFIX}/lease")
    raw.hset(f"{PREFIX}:03", "age", "secret")
    as_another(url)
    told = await partition(new)
    assert (told.left_out, told.done, told.problems[0][0]) == (1, False, "03")
    with pytest.raises(StoreError, match="move into 4 partitions: let that be done"):
        await partition(new, 8)
    assert (await partition(new, undo=True)).done
    as_another(url)
    await old.new("x", age=1).save()
    assert await old.where(old.age == 1).count() == 5
    raw.hset(f"{PREFIX}:03", "age", "0")
    assert (await partition(new)).done
    as_another(url)
    assert (await new.get("03")).age == 0
    assert misplaced(raw, (new,)) == []


@conf(prefix=PREFIX)
class Less(Model):
    """A version that knows less than ``Small``."""

    name = String(unique=True)
    age = Integer()


async def test_what_the_class_does_not_keep_is_not_lost(db: Database, raw: Any, url: str) -> None:
    await fill_small(place(1, Small))
    as_another(url)
    with pytest.raises(SchemaMismatch, match="it would be lost"):
        await partition(Less, 4)


async def test_records_that_are_not_listed_are_not_forgotten(db: Database, raw: Any) -> None:
    raw.hset(f"{PREFIX}:1", mapping={"name": "x"})
    with pytest.raises(StoreError, match="not listed: `aioredisca reindex` first"):
        await partition(place(4, Small))


async def test_a_class_without_records_is_told_as_well(db: Database, raw: Any) -> None:
    new = place(4, Small)
    assert (await partition(new)).done
    await fill_small(new)
    assert misplaced(raw, (new,)) == []


async def test_bad_arguments_are_told_before_anything_is_asked(db: Database) -> None:
    wrong: Any
    for wrong in (7, "Small", Small("1")):
        with pytest.raises(UsageError, match="takes a model class"):
            await partition(wrong)
    for wrong in (0, 3, -1, True, "8", 2048):
        with pytest.raises(UsageError, match="power of two"):
            await partition(Small, wrong)
    for wrong in (0, -1):
        with pytest.raises(UsageError, match="rate="):
            await partition(Small, 4, rate=wrong)

    @conf(tag="shop")
    class Tagged(Model):
        name = String()

    with pytest.raises(UsageError, match="tag="):
        await partition(Tagged, 4)
    assert db.facts.round_trips == 0


# -- in a cluster ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_in_a_cluster(clustered: Database, cluster: Any) -> None:
    one = place(1)
    await fill(60, one)
    before = await dumped(one)
    for count in (8, 4, 1, 16):
        as_another(cluster.url)
        model = place(count)
        assert (await partition(model)).done
        assert await dumped(model) == before
        assert (await check(model)).healthy
        conf.db.close()


async def told(model: Any) -> str:
    """What check and summary both say of where the records are."""
    why = (await summary(model)).misplaced
    found = [str(one) for one in (await check(model)).found.examples if one.kind == "misplaced"]
    assert bool(found) == bool(why)
    assert all(why in one for one in found)
    return why


async def test_who_looks_in_another_number_of_partitions_is_told_where_the_records_are(db: Database) -> None:
    for count in (1, 8):
        assert await told(place(count, Small)) == ""  # an empty store
    await fill_small(place(1, Small))
    assert await told(place(1, Small)) == ""
    assert "`aioredisca partition`" in await told(place(8, Small))
    await partition(place(8, Small))
    assert await told(place(8, Small)) == ""
    for count in (1, 16):
        assert "@conf(partitions=8)" in await told(place(count, Small))
