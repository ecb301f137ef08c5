"""The models that most tests of queries ask, and how they are filled."""

from __future__ import annotations

from typing import Any

from aioredisca import DateTime, Decimal, Float, Integer, Json, Model, Reference, String, Tags, conf


class Country(Model):
    name = String(required=True, unique=True)


class City(Model):
    name = String(unique=True)
    country = Reference(Country, index=True)


@conf(unique=[("owner", "slug")], index=[("country", "size")])
class Row(Model):
    email = String(unique=True)
    country = String(index=True)
    city = Reference(City, index=True)
    size = Integer(index=True, minval=-(2**40))
    ratio = Float()
    price = Decimal(places=2)
    when = DateTime(index=True)
    name = String(index="sorted")
    tags = Tags(index=True)
    owner = Integer()
    slug = String()
    note: Json[Any] = Json()
    hidden = String(index=True, secret=True)


async def rows(count: int, **make: Any) -> None:
    made = [{name: value(i) for name, value in make.items()} for i in range(count)]
    await Row.save_many([Row.new(f"{i:05}", **values) for i, values in enumerate(made)])


def ids(found: Any) -> list[str]:
    return [row.id for row in found]
