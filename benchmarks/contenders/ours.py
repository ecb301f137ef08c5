from _people import Row, changed, city_of, fields

import aioredisca
from aioredisca import Database, Email, Integer, Model, String, conf

NAME = "aioredisca"
PACKAGES: list[str] = []


class Person(Model):
    email = Email(unique=True)
    name = String()
    city = String(index=True)
    age = Integer(index=True)


def person(number: int) -> Person:
    return Person.new(str(number), **fields(number))


async def open(port: int) -> None:
    conf.db = Database(f"redis://127.0.0.1:{port}/0")


async def close() -> None:
    await conf.db.aclose()


async def bulk(first: int, number: int) -> None:
    await Person.save_many([person(first + i) for i in range(number)])


async def own_ids(first: int, number: int) -> None:
    await Person.save_many([Person.new(**fields(first + i)) for i in range(number)])


async def create(number: int) -> None:
    await person(number).save()


async def get(number: int) -> Row:
    found = await Person.get(str(number))
    return found.email, found.name, found.city, found.age


async def get_many(number: int) -> list[Row]:
    found = await Person.get_many([str(i) for i in range(number)])
    return [(one.email, one.name, one.city, one.age) for one in found]


async def find(size: int) -> list[Row]:
    return [(one.email, one.name, one.city, one.age) for one in await Person.city.find(city_of(size))]


async def range_(age: int) -> list[Row]:
    return [(one.email, one.name, one.city, one.age) for one in await Person.age.range(age, age + 1)]


async def hold(number: int) -> Person:
    return await Person.get(str(number))


async def update(held: Person, number: int) -> None:
    held.name = f"Renamed {number}"
    await held.save()


async def change(number: int) -> Person:
    held = await hold(number)
    for name, value in changed(number).items():
        setattr(held, name, value)
    return held


async def save(changed: Person) -> None:
    await changed.save()


async def delete(number: int) -> None:
    await Person(str(number)).delete()


VERSIONS = {"aioredisca": aioredisca.__version__}
