"""Classes with several indexes of each kind, whose fast path is written out field by field, beside one that never ends."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, UniqueViolation, conf, sweep

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
