"""Big things: a class of 300 fields, a record of 20,000, and the borders of the slices in between."""

from __future__ import annotations

import types
from typing import Any

import pytest

from aioredisca import (
    Database,
    Integer,
    ListOf,
    Model,
    String,
    Tags,
    UsageError,
    ValidationError,
    conf,
)
from aioredisca.compiler.rendering import rendered, rendered_for_cascade
from aioredisca.compiler.scripts import (
    QUERY_PARTS,
    SMALL_PARTS,
    WRITE_EXTRAS,
    get_or_create_script,
    query_script,
    small_script,
    write_script,
)
from aioredisca.storage.schema import Schema

from ..support.drift import drift
from ..support.lua_names import names_of


def wide_class(count: int) -> Any:
    """A model of *count* fields; each third has an exact index, each third a range index."""
    fields: dict[str, Any] = {}
    for i in range(count):
        kinds = (String(), String(index=True), Integer(index=True))
        fields[f"f{i}"] = kinds[i % 3] if i else String(unique=True)
    return types.new_class("Wide", (Model,), exec_body=lambda body: body.update(fields))


async def test_a_class_of_300_fields_works(db: Database, raw: Any) -> None:
    wide = wide_class(300)
    record = await wide.new("1", **{f"f{i}": str(i) for i in range(300)}).save()
    assert (await wide.get("1")).f299 == 299
    assert await wide.f0.find("0") == [record]
    assert await wide.f298.find("298") == [record]
    assert await wide.f299.range(299, 300) == [record]
    assert drift(raw, [wide]) == []
    for i in range(300):
        setattr(record, f"f{i}", None if i % 2 else str(i + 1000))
    await record.save(if_unchanged="record")
    assert await wide.f298.find("1298") == [record]
    assert drift(raw, [wide]) == []
    await wide.save_many([wide.new(str(i), f0=str(i)) for i in range(2, 60)])
    await wide.delete_many([str(i) for i in range(1, 60)])
    assert raw.keys("*") == [b"wide/meta"]


def wide_class_of_all_kinds() -> Any:
    """A model of 300 fields, with 60 indexes of each kind that a single field or two can have."""
    fields: dict[str, Any] = {}
    for i in range(300):
        kinds = (Tags(index=True), String(index="sorted"), Integer(index=True), ListOf(String()), Integer())
        fields[f"f{i}"] = kinds[i % 5]
    pairs = [(f"f{i}", f"f{i + 1}") for i in range(1, 300, 5)]
    together = [(f"f{i}", f"f{i + 3}") for i in range(1, 296, 5)]
    wide: Any = types.new_class("WideAll", (Model,), exec_body=lambda body: body.update(fields))
    conf(unique=together, index=pairs)(wide)
    return wide


async def test_a_class_of_300_fields_of_all_kinds_works(db: Database, raw: Any) -> None:
    wide = wide_class_of_all_kinds()
    values: dict[str, Any] = {}
    for i in range(300):
        values |= {f"f{i}": (["x", str(i)], f"v{i}", i, None, i)[i % 5]} if i % 5 != 3 else {}
    record = await wide.new("1", **values).save()
    await record.f3.append("x")
    assert drift(raw, [wide]) == []
    for i in range(0, 300, 2):
        if i % 5 != 3:
            setattr(record, f"f{i}", (["y"], f"w{i}", i + 1, None, None)[i % 5])
    await record.save()
    assert drift(raw, [wide]) == []
    assert await record.incr(wide.f4, 1) == 1
    await record.delete()
    assert raw.keys("*") == [b"wideall/meta"]


class Loose(Model):
    name = String(index=True)


@pytest.mark.parametrize("count", [999, 1000, 1001, 20_000])
async def test_a_record_of_many_undeclared_fields_works(
    db: Database, raw: Any, backend: str, count: int
) -> None:
    count = min(count, 5000) if backend == "memory" else count  # there each takes a call from Lua to Python
    record = Loose.new("1", name="x")
    for i in range(count):
        record[f"k{i}"] = i
    await record.save()
    assert raw.hlen("loose:1") == count + 1
    again = await Loose("1").load(raw=True)
    assert len(again) == count + 1
    assert again[f"k{count - 1}"] == str(count - 1)
    for i in range(count):
        again[f"k{i}"] = None
    await again.save()
    assert raw.hgetall("loose:1") == {b"name": b"x"}
    for i in range(count):
        again[f"k{i}"] = "again"
    again.name = None
    await again.save()
    assert raw.hlen("loose:1") == count + 1
    assert drift(raw, [Loose]) == []
    await again.delete()
    assert raw.keys("*") == [b"loose/meta"]


async def test_a_value_of_a_mebibyte_is_stored_and_one_byte_more_refused(db: Database, raw: Any) -> None:
    record = await Loose.new("1", name="x" * 2**20).save()
    assert (await Loose.get("1")).name == "x" * 2**20
    assert await Loose.name.find("x" * 2**20) == [record]
    with pytest.raises(ValidationError, match="has 1,048,577 bytes, at most 1,048,576 are allowed"):
        record.name = "x" * (2**20 + 1)
    assert drift(raw, [Loose]) == []


@pytest.mark.parametrize("length", [511, 512, 513])
async def test_values_at_the_border_of_key_names_move_between_layouts(
    db: Database, raw: Any, length: int
) -> None:
    record = await Loose.new("1", name="a" * length).save()
    assert drift(raw, [Loose]) == []
    for value in ("b" * 512, "c" * 513, "short", "d" * 600, "d" * 601, "e" * length):
        record.name = value
        await record.save()
        assert await Loose.name.find(value) == [record]
        assert drift(raw, [Loose]) == []
    await record.delete()
    assert raw.keys("*") == [b"loose/meta"]


@pytest.mark.slow
async def test_5000_records_in_one_call_are_written_and_5001_refused(db: Database, raw: Any) -> None:
    records = [Loose.new(str(i), name=f"n{i % 1500}") for i in range(5000)]
    assert await Loose.save_many(records, batch=5000) == []
    assert await Loose.all().count() == 5000
    with pytest.raises(UsageError, match="batch is a number from 1 to 5,000"):
        await Loose.save_many(records, batch=5001)
    assert await Loose.delete_many(records, batch=5000) == 5000
    assert raw.keys("*") == [b"loose/meta"]


# -- the scripts themselves ------------------------------------------------------------------------


def test_scripts_set_no_globals_and_compile_everywhere(url: str, db: Database, raw: Any) -> None:
    """Real servers refuse a global when it is made."""
    schema: Schema = wide_class(300).__mapper__.schema(db)
    texts = [small_script(name).text for name in SMALL_PARTS]
    texts += [query_script(answer, False).text for answer in QUERY_PARTS]
    everything = wide_class_of_all_kinds().__mapper__.schema(db)
    for one in (schema, everything, Loose.__mapper__.schema(db)):
        texts.append(get_or_create_script((rendered(one, 1),), WRITE_EXTRAS).text)
        texts.append(write_script((rendered(one, 1),), ()).text)
        texts.append(write_script((rendered_for_cascade(one, 1, ()),), WRITE_EXTRAS).text)
    for text in texts:
        assert raw.script_load(text)
        assert names_of(text).made == set()


def test_one_script_serves_all_classes_that_are_stored_alike(db: Database) -> None:
    one, two = wide_class(30).__mapper__.schema(db), wide_class(30).__mapper__.schema(db)
    assert write_script((rendered(one, 1),), ()) is write_script((rendered(two, 1),), ())
