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
    return Person.new(
        str(number),
        email=f"person{number}@example.com",
        name=f"Person {number}",
        city=f"City {number % 50}",
        age=number % 90,
    )


async def open(port: int) -> None:
    conf.db = Database(f"redis://127.0.0.1:{port}/0")


async def close() -> None:
    await conf.db.aclose()


async def bulk(first: int, number: int) -> None:
    await Person.save_many([person(first + i) for i in range(number)])


async def create(number: int) -> None:
    await person(number).save()


async def get(number: int) -> tuple[object, ...]:
    found = await Person.get(str(number))
    return found.email, found.name, found.city, found.age


async def hold(number: int) -> Person:
    return await Person.get(str(number))


async def update(held: Person, number: int) -> None:
    held.name = f"Renamed {number}"
    await held.save()


async def delete(number: int) -> None:
    await Person(str(number)).delete()


VERSIONS = {"aioredisca": aioredisca.__version__}
