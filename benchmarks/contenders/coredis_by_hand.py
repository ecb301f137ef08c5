"""As by_hand.py, with coredis."""

from collections.abc import Iterable
from typing import Any

import coredis
from _people import Row, city_of, fields

NAME = "coredis, by hand"
PACKAGES = ["coredis==6.9.0"]
NOTE = "does not check that e-mail addresses are unique"

client: Any


async def store(pipe: Any, number: int) -> None:
    values = fields(number)
    pipe.hset(f"person:{number}", values)
    pipe.sadd(f"person/city/{values['city']}", [number])
    pipe.sadd(f"person/email/{values['email']}", [number])
    pipe.zadd("person/age", {str(number): values["age"]})


def read(found: dict[bytes, bytes]) -> Row:
    return found[b"email"].decode(), found[b"name"].decode(), found[b"city"].decode(), int(found[b"age"])


async def open(port: int) -> None:
    # Left open until the process ends: it wants to be closed by the task that opened it.
    global client
    client = await coredis.Redis(host="127.0.0.1", port=port).__aenter__()


async def bulk(first: int, number: int) -> None:
    async with client.pipeline(transaction=False) as pipe:
        for i in range(first, first + number):
            await store(pipe, i)


async def create(number: int) -> None:
    async with client.pipeline(transaction=True) as pipe:
        await store(pipe, number)


async def get(number: int) -> Row:
    return read(await client.hgetall(f"person:{number}"))


async def _load(ids: Iterable[Any]) -> list[Row]:
    async with client.pipeline(transaction=False) as pipe:
        found = [pipe.hgetall(f"person:{id}") for id in ids]
    return [read(await one) for one in found]


async def get_many(number: int) -> list[Row]:
    return await _load(range(number))


async def find(size: int) -> list[Row]:
    ids = await client.smembers(f"person/city/{city_of(size)}")
    return await _load([id.decode() for id in ids])


async def range_(age: int) -> list[Row]:
    ids = await client.zrange("person/age", age, age + 1, sortby=coredis.PureToken.BYSCORE)
    return await _load([id.decode() for id in ids])


async def hold(number: int) -> dict[str, Any]:
    await get(number)
    return fields(number)


async def update(held: dict[str, Any], number: int) -> None:
    await client.hset(f"person:{number}", {"name": f"Renamed {number}"})
