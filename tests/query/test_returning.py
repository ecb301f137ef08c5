"""Changes by query that answer with the records they changed: claims of jobs, whoever races."""

from __future__ import annotations

import datetime as dt
import decimal
import time
from typing import Any

import pytest

from aioredisca import (
    Bool,
    Database,
    DateTime,
    Decimal,
    Integer,
    Model,
    Reference,
    String,
    Tags,
    UniqueViolation,
    UsageError,
    conf,
    session,
)

from ..support.drift import drift
from .support import ids

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


@conf(index=[("status", "due")])
class Job(Model):
    status = String(index=True, new="waiting")
    due = DateTime(index=True, new=NOW)
    worker = String()
    tries = Integer(new=0)
    price = Decimal(places=2, index=True)
    labels = Tags(index=True)
    serial = String(unique=True)
    name = String(index="sorted")


async def jobs(count: int, **values: Any) -> None:
    made = [
        Job.new(f"{i:05}", **{key: one(i) if callable(one) else one for key, one in values.items()})
        for i in range(count)
    ]
    await Job.save_many(made)


async def test_an_update_returns_what_it_has_changed_in_the_order_of_the_query(
    db: Database, raw: Any
) -> None:
    await jobs(20, due=lambda i: NOW - dt.timedelta(seconds=i))
    waiting = Job.status == "waiting"
    found = await waiting.order_by(Job.due).limit(3).update(status="running", worker="ada", returning=True)
    assert [job.getid() for job in found] == ["00019", "00018", "00017"]
    assert {(job.status, job.worker, job.tries) for job in found} == {("running", "ada", 0)}
    assert ids(await (Job.status == "running")) == ["00017", "00018", "00019"]
    found = await waiting.order_by(Job.due.desc()).limit(2).update(status="running", returning=True)
    assert [job.getid() for job in found] == ["00000", "00001"]
    found = await waiting.limit(100).update(status="done", worker=None, returning=True)
    assert [job.getid() for job in found] == [f"{i:05}" for i in range(2, 17)]
    assert await waiting.limit(1).update(status="running", returning=True) == []
    assert await waiting.limit(1).update(status="running", returning=False) == 0
    assert drift(raw, [Job]) == []


async def test_delete_returns_records_as_they_were(db: Database, raw: Any) -> None:
    await jobs(5, name=lambda i: f"n{i}")
    found = await Job.all().order_by(Job.name.desc()).limit(2).delete(returning=True)
    assert [(job.getid(), job.name) for job in found] == [("00004", "n4"), ("00003", "n3")]
    assert [job.name for job in await Job.all().delete(returning=True)] == ["n0", "n1", "n2"]
    assert await Job.all().count() == 0
    assert drift(raw, [Job]) == []


CONDITIONS: list[tuple[str, Any]] = [
    ("exact", lambda: Job.status == "waiting"),
    ("not", lambda: Job.status != "waiting"),
    ("one of", lambda: Job.status.in_(["waiting", "failed", None])),
    ("none", lambda: Job.name.is_none()),
    ("numbers", lambda: (Job.due >= NOW) & (Job.due < NOW + dt.timedelta(seconds=9))),
    ("unique", lambda: Job.serial == "s7"),
    ("texts", lambda: Job.name.between("n1", "n15")),
    ("beginning", lambda: Job.name.startswith("n1")),
    ("element", lambda: Job.labels.has("red") & ~Job.labels.has("blue")),
    ("either", lambda: (Job.status == "failed") | (Job.due >= NOW + dt.timedelta(seconds=17))),
    ("decimal", lambda: Job.price > decimal.Decimal(10)),
    ("not indexed", lambda: (Job.worker == "ada").scan()),
    ("all", lambda: Job.all()),
]


@pytest.mark.parametrize("condition", [one for _, one in CONDITIONS], ids=[name for name, _ in CONDITIONS])
async def test_what_is_changed_is_what_the_query_finds(db: Database, raw: Any, condition: Any) -> None:
    await jobs(
        25,
        status=lambda i: ("waiting", "failed", "done", None)[i % 4],
        due=lambda i: NOW + dt.timedelta(seconds=i),
        worker=lambda i: "ada" if i % 3 else "bob",
        price=lambda i: i,
        labels=lambda i: [{"red"}, {"red", "blue"}, {"blue"}, set()][i % 4],
        serial=lambda i: f"s{i}",
        name=lambda i: f"n{i}" if i % 5 else None,
    )
    for order in ((), (Job.due.desc(),), (Job.status, Job.due.desc())):
        expected = await condition().order_by(*order).limit(7)
        found = await condition().order_by(*order).limit(7).update(tries=1, returning=True)
        assert [job.getid() for job in found] == [job.getid() for job in expected]
        assert {job.tries for job in found} <= {1}
        assert {job.getid() for job in await Job.all() if job.tries} == {job.getid() for job in expected}
        await Job.all().update(tries=0)
    everything = await condition()
    assert len(everything) > 0
    assert ids(await condition().update(tries=2, returning=True)) == ids(everything)
    assert drift(raw, [Job]) == []


async def test_an_entry_that_its_record_denies_chooses_nobody(db: Database, raw: Any) -> None:
    """An index only hints: others may have written, or a server stopped midway."""
    await jobs(4, due=lambda i: NOW + dt.timedelta(seconds=i))
    raw.hset("job:00000", "status", "done")
    raw.delete("job:00001")
    found = (
        await (Job.status == "waiting").order_by(Job.due).limit(1).update(status="running", returning=True)
    )
    assert [job.getid() for job in found] == ["00002"]
    assert raw.hget("job:00000", "status") in ("done", b"done")
    assert not raw.exists("job:00001")


async def test_a_refused_change_leaves_all_as_it_was_and_names_the_record(db: Database, raw: Any) -> None:
    await jobs(3)
    await Job.new("taken", serial="x", status="done").save()
    with pytest.raises(UniqueViolation) as caught:
        await (Job.status == "waiting").limit(2).update(serial="x", worker="ada", returning=True)
    assert caught.value.holder == "taken"
    assert {job.worker for job in await Job.all()} == {None}
    with pytest.raises(UniqueViolation):  # both cannot hold it
        await (Job.status == "waiting").limit(2).update(serial="y", returning=True)
    assert drift(raw, [Job]) == []


async def test_bad_input_is_refused_before_io(db: Database) -> None:
    for wrong in (1, None, "yes"):
        with pytest.raises(UsageError, match="returning="):
            await Job.all().update(status="x", returning=wrong)  # type: ignore[call-overload]
    with pytest.raises(UsageError, match="takes the fields to set"):
        await Job.all().update(returning=True)


class Letter(Model):
    returning = Bool(index=True)


async def test_a_field_called_returning_is_the_field(db: Database) -> None:
    await Letter.new("a", returning=False).save()
    values: Any = {"returning": True}
    assert await Letter.all().update(**values) == 1
    assert (await Letter.get("a")).returning is True


async def test_the_open_session_knows_what_was_changed(db: Database) -> None:
    await jobs(3)
    async with session():
        mine = await Job.get("00000")
        mine.worker = "older"
        (found,) = (
            await (Job.status == "waiting").limit(1).update(status="running", worker="ada", returning=True)
        )
        assert found is mine
        assert (mine.status, mine.worker) == ("running", "ada")
    assert (await Job.get("00000")).worker == "ada"


@conf(ttl=3600)
class Lease(Model):
    status = String(index=True, new="waiting")
    holder = String()


async def test_records_that_are_over_are_never_chosen(db: Database, raw: Any) -> None:
    for i in range(6):
        await Lease.new(f"{i}").save(ttl=dt.timedelta(milliseconds=80) if i < 3 else dt.timedelta(hours=1))
    time.sleep(0.2)
    found = await (Lease.status == "waiting").limit(4).update(status="held", returning=True)
    assert [lease.getid() for lease in found] == ["3", "4", "5"]
    assert await (Lease.status == "held").count() == 3


@conf(partitions=4)
class Spread(Model):
    status = String(index=True, new="waiting")


async def test_with_partitions_each_gives_its_share(db: Database) -> None:
    await Spread.save_many([Spread.new(f"{i}") for i in range(30)])
    seen = list[str]()
    while found := await (Spread.status == "waiting").limit(7).update(status="held", returning=True):
        seen += [one.getid() for one in found]
    assert sorted(seen) == sorted(f"{i}" for i in range(30))
    assert len(await (Spread.status == "held").limit(30).delete(returning=True)) == 30


class Sailor(Model):
    name = String()


class Parrot(Model):
    name = String(index=True)
    owner = Reference(Sailor, index=True, on_delete="cascade")


@pytest.mark.one_slot
async def test_a_delete_that_spreads_returns_what_was_asked_for(db: Database) -> None:
    owners = [await Sailor.new(f"{i}", name=f"o{i}").save() for i in range(3)]
    for owner in owners:
        await Parrot.new(name="rex", owner=owner).save()
    found = await Sailor.all().limit(2).delete(returning=True)
    assert [owner.name for owner in found] == ["o0", "o1"]
    assert await Parrot.all().count() == 1
