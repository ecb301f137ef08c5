"""Uniques of classes with partitions hold over all partitions, and cost two round trips."""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable
from contextlib import nullcontext
from typing import Any

import pytest

from aioredisca import (
    AlreadyExists,
    BulkError,
    Database,
    Gone,
    Integer,
    Model,
    OutcomeUnknown,
    String,
    Unavailable,
    UniqueViolation,
    conf,
    session,
    sweep,
)
from aioredisca.compiler.claims.calls import Claim, claim_call, claim_outcome
from aioredisca.persistence import claims
from aioredisca.storage.partitions import partition_of_id

from ..support.claiming import Guest, drained, state_of

MANY = [f"{number:02}" for number in range(40)]
"""Ids in all partitions."""


async def trips(db: Database, work: Awaitable[Any]) -> int:
    before = db.round_trips
    await work
    return db.round_trips - before


async def warm(db: Database) -> None:
    """All partitions are declared, and all scripts are known."""
    await Guest.save_many([Guest.new(id, email=id, number=int(id)) for id in MANY])
    await Guest.save_many([_set(Guest(id), email=f"{id}@") for id in MANY])
    await Guest.new("w", owner="w", slug="w").save()
    with pytest.raises(UniqueViolation):
        await Guest.new("x", email="x", owner="w", slug="w").save()
    await Guest("w").delete()


def _set(record: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(record, name, value)
    return record


async def test_a_value_is_taken_in_all_partitions(db: Database) -> None:
    await Guest.new("ada", email="ada@x.yz", owner="ada", slug="home").save()
    for id in MANY:
        for values in ({"email": "ada@x.yz"}, {"owner": "ada", "slug": "home", "email": id}):
            with pytest.raises(UniqueViolation) as caught:
                await Guest.new(id, **values).save()
            assert caught.value.holder == "ada"
            assert caught.value.fields == (("email",) if len(values) == 1 else ("owner", "slug"))
            assert caught.value.instance.id == id
    state = await state_of(db)
    assert (state.records, state.dead, state.owed, state.broken) == (1, [], 0, [])
    await Guest("ada").delete()
    await Guest.new("bob", email="ada@x.yz", owner="ada", slug="home").save()


@pytest.mark.one_node
async def test_what_each_verb_costs(db: Database) -> None:
    await warm(db)
    fresh = Guest.new("a", email="a", number=1000, owner="a", slug="a")
    assert await trips(db, fresh.save()) == 2
    assert await trips(db, Guest.new("b", name="b").save()) == 1
    assert await trips(db, _set(Guest("a"), name="c").save()) == 1
    assert await trips(db, _set(Guest("a"), name="d", email="a").save()) == 2
    assert await trips(db, Guest.get("a")) == 1
    assert await trips(db, _set(Guest("a"), email="b").save()) == 4
    assert await trips(db, _set(fresh, slug="b").save()) == 4
    assert await trips(db, _set(Guest("a"), slug="c").save()) == 5  # the server tells the other part
    assert await trips(db, _set(Guest("a"), email=None).save()) == 3
    assert await trips(db, Guest("b").delete()) == 1
    assert await trips(db, Guest("a").delete()) == 3
    many = [Guest.new(f"m{id}", email=f"m{id}") for id in MANY]
    assert await trips(db, Guest.save_many(many)) == 2
    assert await trips(db, Guest.delete_many(many)) == 3


@pytest.mark.one_node
async def test_what_a_refusal_costs(db: Database) -> None:
    await warm(db)
    await Guest.new("a", email="a", number=1000).save()
    before = db.round_trips
    with pytest.raises(UniqueViolation):
        await Guest.new("b", email="a").save()
    assert db.round_trips - before == 2
    with pytest.raises(AlreadyExists):  # what it has claimed is handed back
        await Guest.new("a", email="b").save()
    assert db.round_trips - before == 2 + 5
    state = await state_of(db)
    assert (state.dead, state.owed, state.broken) == ([], 0, [])


async def test_a_value_that_was_given_up_is_free(db: Database) -> None:
    await Guest.new("a", email="1", number=1).save()
    await _set(Guest("a"), email="2", number=None).save()
    await Guest.new("b", email="1", number=1).save()
    await _set(await Guest.get("b"), owner="o", slug="s").save()
    await _set(await Guest.get("b"), slug="t").save()
    await Guest.new("c", owner="o", slug="s").save()
    with pytest.raises(UniqueViolation):
        await _set(Guest("c"), slug="t").save()
    await Guest("b").incr(Guest.number, 5)
    await Guest.new("d", number=1).save()
    with pytest.raises(UniqueViolation) as caught:
        await Guest("d").incr(Guest.number, 5)
    assert caught.value.holder == "b"
    await Guest.where(Guest.name == None).scan().delete()  # noqa: E711
    state = await state_of(db)
    assert (state.records, state.dead, state.owed, state.broken) == (0, [], 0, [])


async def test_a_claim_of_nobody_is_taken(db: Database) -> None:
    """A process that died between its claim and its write leaves such."""
    schema = Guest.__mapper__.schema(db)
    await warm(db)
    await Guest.new("gone").save()
    for dead in ("gone", "never"):
        claim = Claim("email", b"e", dead.encode(), 7)
        call = claim_call(schema.place_of_claim(b"e"), [claim])
        assert claim_outcome(await db.transport().send(call), [claim]) == [None]
        await Guest.new("heir", email="e").save()
        assert await trips(db, Guest("heir").delete()) == 3
    state = await state_of(db)
    assert (state.dead, state.owed) == ([], 0)


async def test_a_batch(db: Database) -> None:
    """Records of one partition are written or refused together; one value is not for two."""
    await Guest.new("holder", email="taken").save()
    other = next(id for id in MANY if partition_of_id(id, 8) != partition_of_id("03", 8))
    twins = [Guest.new(id, email="same" if id in ("03", other) else id) for id in MANY]
    with pytest.raises(BulkError) as caught:
        await Guest.save_many(twins)
    assert isinstance(caught.value.__cause__ or caught.value.args[-1], UniqueViolation)
    assert await Guest.all().count() == 1 + caught.value.saved
    assert await Guest.where(Guest.email == "same").count() == 1
    refused = await Guest.save_many(
        [Guest.new(f"r{id}", email="taken" if id == "05" else f"r{id}") for id in MANY], skip_conflicts=True
    )
    assert [record.id for record, _ in refused] == ["r05"]
    state = await state_of(db)
    assert (state.dead, state.owed, state.broken) == ([], 0, [])


async def test_a_session_may_not_swap_values(db: Database) -> None:
    """Two records in two places cannot change at once: what one gives up is free when it has done so."""
    await Guest.new("a", email="1").save()
    await Guest.new("b", email="2").save()
    async with session() as unit:
        _set(await Guest.get("a"), email="2")
        _set(await Guest.get("b"), email="1")
        with pytest.raises(UniqueViolation):
            await unit.flush()
        unit.discard()
    assert [(await Guest.get(id)).email for id in "ab"] == ["1", "2"]
    state = await state_of(db)
    assert (state.dead, state.owed, state.broken) == ([], 0, [])


async def test_get_or_create(db: Database) -> None:
    made, created = await Guest.get_or_create(email="1", defaults={"name": "x"})
    found, again = await Guest.get_or_create(email="1", defaults={"name": "y"})
    assert (created, again, found.id, found.name) == (True, False, made.id, "x")
    found, again = await Guest.update_or_create(email="1", defaults={"name": "y", "number": 3})
    assert (again, (await Guest.get(made.id)).name) == (False, "y")
    with pytest.raises(UniqueViolation):
        await Guest.get_or_create(email="2", defaults={"number": 3})
    await Guest(made.id).delete()
    _, created = await Guest.update_or_create(email="1", defaults={"owner": "o", "slug": "s"})
    assert created
    found, again = await Guest.get_or_create(owner="o", slug="s")
    assert (again, found.email) == (False, "1")
    state = await state_of(db)
    assert (state.dead, state.owed, state.broken) == ([], 0, [])


class Losing:
    """A transport that loses the answer to one of its trips."""

    def __init__(self, transport: Any, lost: int) -> None:
        self._transport, self._left = transport, lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def send_all(self, calls: Any) -> Any:
        self._left -= 1
        replies = await self._transport.send_all(calls)
        if self._left == 0:
            raise OutcomeUnknown("lost")
        return replies


@pytest.mark.parametrize(
    ("lost", "told"),
    [(1, Unavailable), (2, OutcomeUnknown), (3, None), (4, None)],
    ids="claim write release ack".split(),
)
async def test_a_lost_answer(
    db: Database, monkeypatch: pytest.MonkeyPatch, lost: int, told: type[Exception] | None
) -> None:
    """Whatever trip it was, to save again settles it; what is released later harms nobody."""
    await warm(db)
    guest, make = await Guest.get("03"), Database.transport
    guest.email = "lost"
    mortal = Losing(db.transport(), lost)
    with monkeypatch.context() as patch, nullcontext() if told is None else pytest.raises(told):
        patch.setattr(Database, "transport", lambda self: mortal)
        await guest.save()
    assert Database.transport is make
    await guest.save()
    assert (await Guest.get("03")).email == "lost"
    await drained(db)
    state = await state_of(db)
    assert (state.dead, state.owed, state.broken) == ([], 0, [])


async def test_gone_meanwhile(db: Database) -> None:
    with pytest.raises(Gone):
        await _set(Guest("none"), email="1").save(mode="update")
    await Guest.new("other", email="1").save()


# -- records that end ------------------------------------------------------------------------------


@conf(partitions=8, ttl=dt.timedelta(hours=1))
class Visit(Model):
    code = String(unique=True)
    number = Integer(unique=True)
    name = String(index=True)


async def test_values_of_records_that_ended_are_free(db: Database) -> None:
    short = dt.timedelta(milliseconds=80)
    for id in ("a", "b", "c"):
        await Visit.new(id, code=id, number=ord(id)).save(ttl=short)
    time.sleep(0.2)
    await Visit.new("d", code="a").save()  # another one
    await Visit.new("b", code="x").save()  # the same once more
    await Visit.new("e", code="b").save()
    await sweep(Visit)
    state = await state_of(db, Visit)
    assert (state.records, state.dead, state.owed, state.broken) == (3, [], 0, [])


async def test_classes_without_partitions_claim_nothing(db: Database, raw: Any) -> None:
    class Plain(Model):
        email = String(unique=True)

    await Plain.new("1", email="1").save()
    await Plain("1").delete()
    assert raw.keys("*") == [b"plain/meta"]


def test_ids_of_this_file_are_in_all_partitions() -> None:
    assert {partition_of_id(id, 8) for id in MANY} == {*range(8)}
    assert claims.ATTEMPTS > 10


@pytest.mark.asyncio_only
async def test_who_is_overtaken_in_all_values_gets_the_record_of_the_faster(db: Database) -> None:
    """Which of its values a creator is refused for first is chance: the key decides."""
    for number in range(8):
        key: dict[str, Any] = {"number": number} if number % 2 else {"email": f"{number}@x.yz"}
        more: dict[str, Any] = {"email": f"{number}@x.yz"} if number % 2 else {"number": number}
        for verb in (Guest.get_or_create, Guest.update_or_create):
            found = await asyncio.gather(*(verb(**key, defaults=more) for _ in range(8)))
            assert len({guest.id for guest, _ in found}) == 1
            await found[0][0].delete()


async def test_a_creator_is_refused_for_a_value_of_another_record(db: Database) -> None:
    await Guest.new("ada", email="ada@x.yz").save()
    with pytest.raises(UniqueViolation, match="email"):
        await Guest.get_or_create(number=7, defaults={"email": "ada@x.yz"})
    assert not (await state_of(db)).dead
