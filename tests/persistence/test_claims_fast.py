"""A new record of a class with partitions whose uniques are single fields: written by the straight code."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, UniqueViolation, check, conf
from aioredisca.compiler.batches import fast_call
from aioredisca.compiler.changes import Change, Fence, Mode
from aioredisca.storage.partitions import bucket_of


@conf(partitions=8)
class Visitor(Model):
    email = String(unique=True)
    phone = String(unique=True)
    age = Integer(index=True)
    note = String()


def place(db: Database, id: str) -> Any:
    return Visitor.__mapper__.schema(db).of(id)


async def trips(db: Database, doing: Any) -> int:
    before = db.round_trips
    await doing
    return db.round_trips - before


async def sound() -> None:
    assert not (await check(Visitor)).found.counts


@pytest.mark.parametrize(
    ("mode", "sets", "drops", "claims", "fast"),
    [
        ("create", {"email": b"a"}, (), [("email", b"a")], True),
        ("create", {"email": b"a", "phone": b"1"}, (), [("email", b"a"), ("phone", b"1")], True),
        ("create", {"age": b"1"}, (), [], True),
        ("update", {"age": b"1"}, (), [], True),
        ("update", {"age": b"1"}, ("note",), [], True),
        ("upsert", {"age": b"1"}, (), [], True),
        ("create", {"email": b"a", "phone": b"1"}, (), [("email", b"a")], False),
        ("create", {"email": b"a"}, (), [("email", b"b")], False),
        ("create", {"email": b"a"}, (), [("email", b"a"), ("phone", b"1")], False),
        ("create", {"email": b"a"}, (), [], False),
        ("update", {"email": b"a"}, (), [("email", b"a")], False),
        ("update", {"age": b"1"}, ("email",), [], False),
        ("upsert", {"email": b"a"}, (), [("email", b"a")], False),
        ("delete", {}, (), [], False),
    ],
)
def test_straight_is_what_gives_up_no_value_and_sets_what_was_claimed(
    db: Database,
    mode: Mode,
    sets: dict[str, bytes],
    drops: tuple[str, ...],
    claims: list[tuple[str, bytes]],
    fast: bool,
) -> None:
    change = Change(place(db, "1"), "1", mode, sets, drops)
    fences = [Fence(0, 0, claims)] if claims else []
    assert (fast_call(change, *fences) is not None) is fast


async def test_a_record_is_written_with_its_claims_and_indexes(db: Database) -> None:
    for number in range(30):  # all partitions are known
        await Visitor.new(f"w{number}", email=f"w{number}").save()
    assert await trips(db, Visitor.new("ada", email="a@x", phone="1", age=36, note="n").save()) <= 3
    (ada,) = await Visitor.where(Visitor.email == "a@x")
    assert (ada.id, ada.phone, ada.age, ada.note) == ("ada", "1", 36, "n")
    assert [one.id for one in await Visitor.where(Visitor.age == 36)] == ["ada"]
    with pytest.raises(UniqueViolation, match="ada"):
        await Visitor.new("b", email="b@x", phone="1").save()
    ada.age = 37
    assert await trips(db, ada.save()) == 1
    ada.email = "new@x"
    await ada.save()
    assert (await Visitor.new("c", email="a@x").save()).id == "c"
    assert await ada.delete()
    assert (await Visitor.new("d", email="new@x", phone="1").save()).id == "d"
    await sound()


@pytest.mark.parametrize("known", [0, 9])
async def test_by_an_epoch_that_has_moved_on_nothing_is_written(db: Database, raw: Any, known: int) -> None:
    """Control: written all the same, the claim would be of the old epoch, which others may take away."""
    await Visitor.new("w", email="w").save()
    schema, id = place(db, "ada"), b"ada"
    raw.hset(schema.keys.epochs, bucket_of(id), 5)
    db.facts.epochs[schema.keys.base, bucket_of(id)] = known
    await Visitor.new("ada", email="a@x", age=1).save()
    claimed = Visitor.__mapper__.schema(db).place_of_claim(b"a@x").keys.claims("email")
    assert raw.hget(claimed, "a@x") == b"5:ada" if known < 5 else raw.hget(claimed, "a@x") is not None
    assert (await Visitor.get("ada")).age == 1
    await sound()


@pytest.mark.asyncio_only
async def test_of_many_who_want_one_value_one_gets_it(db: Database) -> None:
    for turn in range(10):
        racers = [Visitor.new(f"{turn}-{n}", email=f"v{turn}").save() for n in range(10)]
        found = await asyncio.gather(*racers, return_exceptions=True)
        assert sum(isinstance(one, Visitor) for one in found) == 1
        assert {type(one) for one in found} == {Visitor, UniqueViolation}
    await sound()
