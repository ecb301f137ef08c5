"""Classes with every kind of index, and every verb that writes them, for the campaign of faults."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aioredisca import (
    Counter,
    Decimal,
    Email,
    Integer,
    ListOf,
    Model,
    Reference,
    String,
    Tags,
    conf,
    session,
)

LONG = "x" * 600


class Simple(Model):
    """Of which each change of one record goes by the fast path."""

    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    price = Decimal(index=True, places=2)
    note = String()
    parts = ListOf(String())
    hits = Counter()


@conf(unique=[("owner", "slug")], index=[("city", "age")])
class Rich(Model):
    """Of which each goes by the general script."""

    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    price = Decimal(index=True, places=2)
    note = String()
    word = String(index="sorted")
    tags = Tags(index=True)
    owner, slug, city = String(), String(), String()
    parts = ListOf(String())
    hits = Counter()


class Child(Model):
    parent = Reference(Simple, index=True, on_delete="cascade")
    label = String(unique=True)


class Guest(Model):
    host = Reference(Simple, index=True, on_delete="nullify")
    label = String(unique=True)


MODELS: list[Any] = [Simple, Rich, Child, Guest]

FIRST: dict[str, Any] = {"email": "a@x.yz", "name": "Ada", "age": 1, "price": "1.5", "note": "n"}
OTHER: dict[str, Any] = {"email": "b@x.yz", "name": LONG, "age": 2, "price": "2.5", "note": "m"}
RICH_FIRST = {"word": "one", "tags": {"red", "blue"}, "owner": "o", "slug": "s", "city": "Rome"}
RICH_OTHER = {"word": "two", "tags": {"red", "green"}, "owner": "o", "slug": "t", "city": "Bern"}


def values(model: Any, *, other: bool = False) -> dict[str, Any]:
    if model is Simple:
        return OTHER if other else FIRST
    return {**(OTHER if other else FIRST), **(RICH_OTHER if other else RICH_FIRST)}


async def stage(model: Any) -> Any:
    """Record 1 with a value in every field, 2 without any, 4 with some, and what refers to record 1."""
    record = await model.new("1", **values(model)).save()
    await record.parts.append("mine")
    await model.new("2").save()
    await model.new("4", age=4, name="Ada").save()
    if model is Simple:
        await Child.new("c", parent="1", label="c").save()
        await Guest.new("g", host="1", label="g").save()
    return record


def set_all(record: Any, wanted: dict[str, Any]) -> Any:
    for name, value in wanted.items():
        setattr(record, name, value)
    return record


async def create(model: Any) -> Any:
    await model.new("3", **values(model, other=True)).save()


async def create_bare(model: Any) -> Any:
    await model.new("3").save()


async def update(model: Any) -> Any:
    await set_all(await model.get("1"), values(model, other=True)).save()


async def fill(model: Any) -> Any:
    await set_all(await model.get("2"), values(model, other=True)).save()


async def drop(model: Any) -> Any:
    wanted: dict[str, Any] = {name: set() if name == "tags" else None for name in values(model)}
    await set_all(await model.get("1"), {**wanted, "note": "kept"}).save()


async def age_alone(model: Any) -> Any:
    await set_all(await model.get("1"), {"age": 7}).save()


async def note_alone(model: Any) -> Any:
    await set_all(await model.get("1"), {"note": "new"}).save()


async def delete(model: Any) -> Any:
    await model("1").delete()


async def batch(model: Any) -> Any:
    """A create, an update, a drop and a delete in one; a claim passes from one record to the next."""
    async with session(autosave=False) as unit:
        first, second, fourth = await model.get("1"), await model.get("2"), await model.get("4")
        set_all(second, {"email": "a@x.yz", "age": 9, "name": "Ada"})
        set_all(first, {**values(model, other=True), "note": None})
        model.new("3", name="Bob", age=1)
        unit.delete(fourth)
        await unit.flush()


async def many(model: Any) -> Any:
    await model.save_many([model.new(f"m{i}", name="Ada", age=i) for i in range(5)])


async def by_query(model: Any) -> Any:
    await (model.age == 1).update(name="Eve", age=5)


async def delete_by_query(model: Any) -> Any:
    await (model.age == 1).delete()


async def incr(model: Any) -> Any:
    await model("1").incr(model.age, 3)


async def get_or_create(model: Any) -> Any:
    await model.get_or_create(email="c@x.yz", defaults={"name": "Ada", "age": 3})


async def update_or_create(model: Any) -> Any:
    await model.update_or_create(email="a@x.yz", defaults={"name": "Eve", "age": 3})


async def append(model: Any) -> Any:
    await model("1").parts.append("more")


async def count(model: Any) -> Any:
    await model("1").hits.incr(2)


VERBS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    one.__name__: one
    for one in (
        create,
        create_bare,
        update,
        fill,
        drop,
        age_alone,
        note_alone,
        delete,
        batch,
        many,
        by_query,
        delete_by_query,
        incr,
        get_or_create,
        update_or_create,
        append,
        count,
    )
}
