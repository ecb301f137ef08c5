"""Classes with several indexes of each kind, whose fast path is written out field by field, beside one that never ends."""

from __future__ import annotations

import datetime as dt
import time
from contextlib import nullcontext
from typing import Any

import pytest

from aioredisca import Database, Gone, Integer, Model, String, UniqueViolation, conf, session, sweep
from aioredisca.compiler.conditions import All
from aioredisca.compiler.planner import plan
from aioredisca.compiler.queries import query_call
from aioredisca.model.mapper import Mapper

from ..support.drift import drift


class Fields:
    one = String(unique=True)
    two = String(unique=True)
    kind = String(index=True)
    place = String(index=True)
    size = Integer(index=True)
    age = Integer(index=True)
    note = String()


class Wide(Fields, Model):
    pass


@conf(ttl=3600)
class WideThatEnds(Fields, Model):
    pass


CLASSES = pytest.mark.parametrize("model", [Wide, WideThatEnds])


def wide(model: Any, id: str, **more: Any) -> Any:
    values = {"one": id, "two": id, "kind": "k", "place": "y" * 600, "size": 1, "age": 2}
    return model.new(id, **{**values, **more})


@CLASSES
async def test_each_unique_value_of_several_is_refused(db: Database, raw: Any, model: Any) -> None:
    await wide(model, "a").save()
    for field in ("one", "two"):
        with pytest.raises(UniqueViolation) as refused:
            await wide(model, "b", **{field: "a"}).save()
        assert refused.value.field == field
    await wide(model, "b").save()
    assert drift(raw, [model]) == []


@CLASSES
async def test_each_index_of_several_follows(db: Database, raw: Any, model: Any) -> None:
    record = await wide(model, "a").save()
    for changes in ({"one": "c", "age": 7}, {"kind": None, "place": None}, {"two": None, "size": None}):
        for name, value in changes.items():
            setattr(record, name, value)
        await record.save()
        assert drift(raw, [model]) == []
    await record.delete()
    assert drift(raw, [model]) == []
    assert [*raw.scan_iter("*")] == [f"{model.__name__.lower()}/meta".encode()]


async def test_what_has_ended_leaves_nothing_in_any_of_several(db: Database, raw: Any) -> None:
    for id in ("a", "b", "c"):
        record = await wide(WideThatEnds, id).save(ttl=dt.timedelta(milliseconds=200))
    record.kind, record.age, record.two = None, 9, "z"
    await record.save(ttl=dt.timedelta(milliseconds=1))
    while raw.exists(*[f"widethatends:{id}" for id in "abc"]):
        time.sleep(0.01)
    for field, value in (("one", "a"), ("two", "z")):
        assert await WideThatEnds.where(getattr(WideThatEnds, field) == value).count() == 0
    await wide(WideThatEnds, "d", one="a", two="z").save()
    await sweep(WideThatEnds)
    assert drift(raw, [WideThatEnds]) == []
    assert await WideThatEnds.all().ids() == ["d"]


@conf(ttl=7200, sliding="load")
class Visit(Fields, Model):
    pass


def end(raw: Any, record: Any) -> None:
    """Leave of *record* what is left when its moment has come."""
    raw.zadd(f"{record.getprefix()}/t", {record.id: raw.time()[0] * 1000 - 1})
    raw.unlink(record.getkey())


SAMPLED = [
    lambda: Visit.kind == "k",
    lambda: (Visit.kind == "k") & (Visit.size >= 1),
    lambda: ~(Visit.kind == "x"),
    lambda: Visit.expires_at.not_none(),
]


@pytest.mark.parametrize("query", SAMPLED)
@pytest.mark.parametrize("over", [False, True])
async def test_a_random_sample_prolongs_nothing(db: Database, raw: Any, query: Any, over: bool) -> None:
    visits = [wide(Visit, str(number)) for number in range(5)]
    assert await Visit.save_many(visits, ttl=600) == []
    if over:
        end(raw, visits.pop())
    assert len(await query().random(9)) == len(visits)
    async with session():
        assert len(await query().random(9)) == len(visits)
    assert all(raw.pttl(visit.getkey()) <= 600_000 for visit in visits)
    await Visit.get("0")
    assert raw.pttl(visits[0].getkey()) > 600_000


async def test_a_random_sample_has_others_for_those_that_end_while_it_is_drawn(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    visits = [wide(Visit, str(number)) for number in range(6)]
    assert await Visit.save_many(visits) == []
    found_many, left = Mapper.found_many, list(visits)

    async def late(mapper: Mapper, names: Any, read_from: Any) -> list[Any]:
        if len(left) == len(visits):  # two of the first three end between both steps
            for name in names[:2]:
                left.remove(next(visit for visit in left if visit.id == name))
                end(raw, Visit(name))
        return await found_many(mapper, names, read_from)

    monkeypatch.setattr(Mapper, "found_many", late)
    drawn = await SAMPLED[1]().random(3)
    assert len({visit.id for visit in drawn} & {visit.id for visit in left}) == 3


@pytest.mark.parametrize("asked", [False, True])
async def test_no_flush_brings_back_what_has_ended(db: Database, raw: Any, asked: bool) -> None:
    """Not after Gone was caught either. save() does: that is what it is asked for."""
    await wide(WideThatEnds, "a").save(ttl=dt.timedelta(milliseconds=300))
    with nullcontext() if asked else pytest.raises(Gone):
        async with session(autosave=True) as opened:
            known = await WideThatEnds.get("a")
            while raw.exists("widethatends:a"):
                time.sleep(0.01)
            known.note = "x"
            for _ in range(2):
                with pytest.raises(Gone):
                    await opened.flush()
            if asked:
                await known.save()
    assert raw.exists("widethatends:a") == asked
    await sweep(WideThatEnds)
    assert drift(raw, [WideThatEnds]) == []


async def test_a_count_that_has_begun_goes_on_though_nobody_is_over_any_more(db: Database) -> None:
    """Between its steps a sweep may take away all that were over: it must not begin anew."""
    await WideThatEnds.save_many([wide(WideThatEnds, f"{n:02}") for n in range(10)])
    schema = WideThatEnds.__mapper__.schema(db)
    asked = query_call(plan(schema, All()), "count", cursor=b"1|1|04")  # all ids, behind the fifth
    (reply,) = await db.transport().send_all([asked])
    assert reply[2] == 5
