"""A class in partitions: where its records lie, what its verbs cost, and what it is refused."""

from __future__ import annotations

import time
from typing import Any

import pytest
from redis.crc import key_slot

from aioredisca import (
    BulkError,
    Database,
    Gone,
    Integer,
    ListOf,
    Model,
    NotFound,
    Reference,
    SchemaMismatch,
    String,
    UsageError,
    conf,
    session,
    sweep,
)
from aioredisca.storage.partitions import partition_of_id, tags

from ..support.drift import drift
from ..support.slots import judge_slots
from ..support.tagged import base_of

MANY = 8


@conf(partitions=MANY, ttl=None, index=[("city", "age")])
class Person(Model):
    name = String(required=True)
    city = String(index=True)
    age = Integer(index=True)
    notes = ListOf(String())


async def fill(count: int = 60) -> list[Person]:
    people = [Person.new(f"p{n}", name=f"n{n}", city="ab"[n % 2], age=n) for n in range(count)]
    await Person.save_many(people)
    return people


# -- where ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [2, 8, 64, 256])
def test_the_slots_of_all_partitions_are_spread_evenly(count: int) -> None:
    slots = [key_slot(tag.encode()) for tag in tags("user", count)]
    assert [slot * count // 16_384 for slot in slots] == [*range(count)]


def test_ids_are_spread_evenly() -> None:
    held = [0] * 64
    for number in range(64_000):
        held[partition_of_id(f"{number}", 64)] += 1
    assert min(held) > 800
    assert max(held) < 1200


async def test_a_record_and_all_of_it_lie_in_the_partition_of_its_id(db: Database, raw: Any) -> None:
    person = await Person.new("ada", name="Ada", city="a", age=36).save()
    await person.notes.append("first")
    tag = tags("person", MANY)[partition_of_id("ada", MANY)]
    keys = {key.decode() for key in raw.scan_iter()}
    beside = {key for key in keys if not key.startswith(f"{{{tag}}}person")}
    assert beside == {f"{base_of(Person)}/meta"}
    assert raw.hget(f"{{{tag}}}person:ada", "name") == b"Ada"
    assert person.getkey() == Person("ada").getkey() == f"{{{tag}}}person:ada"


@pytest.mark.memory_only
async def test_no_call_touches_two_slots(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    judge_slots(monkeypatch)
    people = await fill()
    async with session(autosave=True):
        for person in await Person.where(Person.age < 20):
            person.age = 100 + (person.age or 0)
        Person.new("more", name="m", age=1)
    await people[3].notes.append("x")
    await people[3].expire(3600)
    assert await Person.where(Person.age >= 100).update(city="c") == 20
    assert await Person.where(Person.city == "c").delete() == 20
    assert len(await Person.get_many([person.id for person in people])) == 60
    assert await Person.all().count() == 41
    assert await sweep(Person) == 0


# -- what it costs -------------------------------------------------------------------------------------


@pytest.mark.one_node
async def test_one_round_trip_each(db: Database) -> None:
    people = await fill()

    async def costs(wanted: int, doing: Any) -> None:
        before = db.round_trips
        await doing
        assert db.round_trips - before == wanted

    for number in range(MANY * 4):  # whatever is asked once of each partition
        await Person.new(f"warm{number}", name="w").save()
    await Person.all().count()
    await Person.where(Person.city == "a").order_by(Person.age.desc()).limit(5)  # its script is known now
    await costs(1, Person.get("p7"))
    await costs(1, Person.get_many([person.id for person in people]))
    await costs(1, Person.new("new", name="n").save())
    await costs(1, Person.save_many([Person.new(f"m{n}", name="m", city="m") for n in range(40)]))
    await costs(1, Person.where(Person.city == "a").order_by(Person.age.desc()).limit(5))
    await costs(1, Person.where(Person.city == "a").count())
    await costs(1, Person.where(Person.city == "a").first())
    await costs(1, people[1].delete())
    await costs(1, Person.delete_many(people[2:30]))

    async def flush() -> None:
        async with session() as unit:
            for number in range(20):
                Person.new(f"s{number}", name="s")
            await unit.flush()

    await costs(1, flush())


# -- what it does --------------------------------------------------------------------------------------


@pytest.mark.on_cluster
async def test_every_verb_finds_its_record(db: Database) -> None:
    people = await fill()
    ada = people[5]
    ada.age = 500
    await ada.save()
    assert (await Person.get("p5")).age == 500
    await ada.incr(Person.age, 1)
    assert (await Person.where(Person.age == 501).one()).id == "p5"
    await ada.notes.append("a", "b")
    assert await ada.notes.range(0, -1) == ["a", "b"]
    assert await Person("p5").exists()
    await ada.expire(3600)
    assert await ada.ttl()
    await ada.persist()
    assert await ada.ttl() is None
    assert await ada.delete()
    assert not await Person("p5").exists()
    with pytest.raises(NotFound):
        await Person.get("p5")
    with pytest.raises(Gone):
        await Person("p5").notes.append("c")
    assert drift(db.sync_client, [Person]) == []


async def test_records_that_end_are_gone_from_all_answers(db: Database) -> None:
    await fill(40)
    for number in range(20):
        await Person(f"p{number}").expire(0.02)
    time.sleep(0.05)
    assert await Person.all().count() == 20
    assert len(await Person.all()) == 20
    assert [person.age for person in await Person.all().order_by(Person.age).limit(3)] == [20, 21, 22]
    await sweep(Person)
    assert drift(db.sync_client, [Person]) == []


async def test_a_sample_is_drawn_of_all_partitions_alike(db: Database) -> None:
    """Control: where each partition gave as many, records of small ones would come twice as often."""
    ids = [f"p{n}" for n in range(200)]
    small = [id for id in ids if partition_of_id(id, MANY) == 0][:2]
    large = [id for id in ids if partition_of_id(id, MANY) == 1][:18]
    await Person.save_many([Person.new(id, name="n") for id in small + large])
    drawn = [person.id for _ in range(200) for person in await Person.all().random(2)]
    assert 15 <= sum(id in small for id in drawn) <= 70  # 40 in the mean; half of all else


async def test_a_batch_that_is_refused_says_what_was_written(db: Database) -> None:
    await Person.new("p3", name="here").save()
    people = [Person.new(f"p{n}", name="n") for n in range(20)]
    with pytest.raises(BulkError) as caught:
        await Person.save_many(people)
    lost = partition_of_id("p3", MANY)
    beside = [n for n in range(20) if partition_of_id(f"p{n}", MANY) == lost]
    assert caught.value.saved == 20 - len(beside)
    assert await Person.all().count() == 1 + 20 - len(beside)
    refused = await Person.save_many(people, skip_conflicts=True)
    assert [person.id for person, _ in refused] == ["p3"]
    assert await Person.all().count() == 20
    assert drift(db.sync_client, [Person]) == []


async def test_a_flush_that_is_refused_says_what_was_written(db: Database) -> None:
    await Person.new("p3", name="here").save()
    async with session() as unit:
        for number in range(20):
            Person.new(f"p{number}", name="n")
        with pytest.raises(Exception, match="p3") as caught:
            await unit.flush()
        error: Any = caught.value
        written, unwritten = {id for _, id in error.written}, {id for _, id in error.unwritten}
        assert "p3" in unwritten
        assert written | unwritten == {f"p{n}" for n in range(20)}
    stored = {person.id for person in await Person.all()}
    assert stored == written | {"p3"}


# -- what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [0, 3, -2, 2048, True, "8", 2.0])
def test_a_number_that_cannot_be_is_refused(given: Any) -> None:
    with pytest.raises(UsageError, match="power of two"):
        conf(partitions=given)


async def test_one_tag_and_many_partitions_do_not_go_together(db: Database) -> None:
    @conf(tag="shop", partitions=2)
    class Both(Model):
        name = String()

    with pytest.raises(UsageError, match="choose"):
        await Both.new("1", name="n").save()


@pytest.mark.parametrize("more", [{"on_delete": "cascade"}, {"check": True}])
async def test_references_that_need_one_slot_are_refused_before_io(db: Database, more: Any) -> None:
    class Pet(Model):
        owner = Reference(Person, index=True, **more)

    before = db.round_trips
    with pytest.raises(UsageError, match="has partitions"):
        await Pet.new("1", owner="p1").save()
    assert db.round_trips == before


async def test_a_plain_reference_is_followed(db: Database) -> None:
    class Friend(Model):
        person = Reference(Person, index=True)

    await fill(5)
    await Friend.save_many([Friend.new(str(n), person=f"p{n}") for n in range(5)])
    friends = await Friend.all().prefetch("person")
    assert [friend.person.age for friend in friends if friend.person] == [0, 1, 2, 3, 4]


async def test_another_number_of_partitions_is_refused(url: str, db: Database) -> None:
    await fill(3)

    def another(**settings: Any) -> Any:
        @conf(prefix="person", db=Database(url), **settings)
        class Other(Model):
            name = String(required=True)
            city = String(index=True)

        return Other

    for settings in ({}, {"partitions": 16}):
        other = another(**settings)
        with pytest.raises(SchemaMismatch, match=f"partitions={MANY}"):
            await other.new("x", name="x").save()
        with pytest.raises(SchemaMismatch, match=f"partitions={MANY}"):
            await other.where(other.city == "a")
    with pytest.raises(SchemaMismatch, match=f"partitions={MANY}"):
        await another(partitions=16).get("p1")


async def test_partitions_for_a_class_that_has_records_are_refused(url: str, db: Database) -> None:
    class Thing(Model):
        name = String(index=True)

    await Thing.new("1", name="n").save()

    @conf(prefix="thing", db=Database(url), partitions=4)
    class Spread(Model):
        name = String(index=True)

    for doing in (Spread.new("2", name="n").save, Spread("1").load, Spread.all().count):
        with pytest.raises(SchemaMismatch, match="aioredisca partition"):
            await doing()
    assert await Thing("1").delete()
    await Spread.new("2", name="n").save()  # nothing is there to be moved
    assert await Spread.all().count() == 1
