"""redis-om with hashes; its indexes are those of RediSearch."""

from typing import Any

import aredis_om
from aredis_om import Field, HashModel, Migrator

NAME = "redis-om"
PACKAGES = ["redis-om==1.2.0"]
SEARCH = True
NOTE = "does not check that e-mail addresses are unique"

Person: Any = None


async def open(port: int) -> None:
    global Person
    database = aredis_om.get_redis_connection(
        url=f"redis://127.0.0.1:{port}/0?decode_responses=True&max_connections=2000"
    )

    class Stored(HashModel, index=True):  # type: ignore[call-arg]
        number: int = Field(primary_key=True)
        email: str = Field(index=True)
        name: str
        city: str = Field(index=True)
        age: int = Field(index=True, sortable=True)

        class Meta:
            pass

    Stored.Meta.database = database
    Person = Stored


async def close() -> None:
    await Person.Meta.database.aclose()


async def prepare() -> None:
    await Migrator().run()


def person(number: int) -> Any:
    return Person(
        number=number,
        email=f"person{number}@example.com",
        name=f"Person {number}",
        city=f"City {number % 50}",
        age=number % 90,
    )


async def bulk(first: int, number: int) -> None:
    await Person.add([person(i) for i in range(first, first + number)])


async def create(number: int) -> None:
    await person(number).save()


async def get(number: int) -> tuple[object, ...]:
    found = await Person.get(number)
    return found.email, found.name, found.city, found.age


async def hold(number: int) -> Any:
    return await Person.get(number)


async def update(held: Any, number: int) -> None:
    await held.update(name=f"Renamed {number}")


async def delete(number: int) -> None:
    await Person.delete(number)
