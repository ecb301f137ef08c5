"""redis-om with hashes; its indexes are those of RediSearch."""

from typing import Any

import aredis_om
from _people import Row, city_of, fields
from aredis_om import Field, HashModel, Migrator

NAME = "redis-om"
PACKAGES = ["redis-om==1.2.0"]
SEARCH = True
NOTE = "does not check that e-mail addresses are unique"

Person: Any = None
Own: Any = None


async def open(port: int) -> None:
    global Person, Own
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

    class Named(HashModel, index=True):  # type: ignore[call-arg]
        email: str = Field(index=True)
        name: str
        city: str = Field(index=True)
        age: int = Field(index=True, sortable=True)

        class Meta:
            pass

    Stored.Meta.database = Named.Meta.database = database
    Person, Own = Stored, Named


async def close() -> None:
    await Person.Meta.database.aclose()


async def prepare() -> None:
    await Migrator().run()


def person(number: int) -> Any:
    return Person(number=number, **fields(number))


def read(found: Any) -> Row:
    return found.email, found.name, found.city, found.age


async def bulk(first: int, number: int) -> None:
    await Person.add([person(i) for i in range(first, first + number)])


async def own_ids(first: int, number: int) -> None:
    await Own.add([Own(**fields(i)) for i in range(first, first + number)])


async def create(number: int) -> None:
    await person(number).save()


async def get(number: int) -> Row:
    return read(await Person.get(number))


async def find(size: int) -> list[Row]:
    return [read(one) for one in await Person.find(Person.city == city_of(size)).all()]


async def range_(age: int) -> list[Row]:
    found = await Person.find((Person.age >= age) & (Person.age <= age + 1)).all()
    return [read(one) for one in found]


async def hold(number: int) -> Any:
    return await Person.get(number)


async def update(held: Any, number: int) -> None:
    await held.update(name=f"Renamed {number}")


async def delete(number: int) -> None:
    await Person.delete(number)
