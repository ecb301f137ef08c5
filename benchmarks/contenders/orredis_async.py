"""orredis, a mapper in Rust: hashes by id, without any index."""

from typing import Any

from _people import Row, fields
from orredis import AsyncStore, Model

NAME = "orredis"
PACKAGES = ["orredis==0.1.7"]
NOTE = "has no indexes and no unique values"

people: Any


class Person(Model):  # type: ignore[misc]
    number: str
    email: str
    name: str
    city: str
    age: int


async def open(port: int) -> None:
    global people
    store = AsyncStore(url=f"redis://127.0.0.1:{port}/0", pool_size=100)
    store.create_collection(model=Person, primary_key_field="number")
    people = store.get_collection(model=Person)


def person(number: int) -> Any:
    return Person(number=str(number), **fields(number))


def read(found: Any) -> Row:
    return found.email, found.name, found.city, found.age


async def bulk(first: int, number: int) -> None:
    await people.add_many([person(i) for i in range(first, first + number)])


async def create(number: int) -> None:
    await people.add_one(person(number))


async def get(number: int) -> Row:
    return read(await people.get_one(id=str(number)))


async def get_many(number: int) -> list[Row]:
    return [read(one) for one in await people.get_many(ids=[str(i) for i in range(number)])]


async def hold(number: int) -> Any:
    return await people.get_one(id=str(number))


async def update(held: Any, number: int) -> None:
    await people.update_one(str(number), data={"name": f"Renamed {number}"})


async def delete(number: int) -> None:
    await people.delete_many(ids=[str(number)])
