"""What a careful programmer writes with redis.asyncio alone: a hash, two indexes, no check of uniqueness."""

from collections.abc import Iterable
from typing import Any
from uuid import uuid4

import redis.asyncio
from _people import Row, city_of, fields

NAME = "redis.asyncio, by hand"
PACKAGES: list[str] = []
NOTE = "does not check that e-mail addresses are unique"

OPTIONS: dict[str, Any] = {}
client: Any


def store(pipe: Any, number: int, id: str = "") -> None:
    values, id = fields(number), id or str(number)
    pipe.hset(f"person:{id}", mapping=values)
    pipe.sadd(f"person/city/{values['city']}", id)
    pipe.sadd(f"person/email/{values['email']}", id)
    pipe.zadd("person/age", {id: values["age"]})


def read(found: dict[bytes, bytes]) -> Row:
    return found[b"email"].decode(), found[b"name"].decode(), found[b"city"].decode(), int(found[b"age"])


async def open(port: int) -> None:
    global client
    client = redis.asyncio.Redis(port=port, max_connections=2000, **OPTIONS)


async def close() -> None:
    await client.aclose()


async def bulk(first: int, number: int) -> None:
    async with client.pipeline(transaction=False) as pipe:
        for i in range(first, first + number):
            store(pipe, i)
        await pipe.execute()


async def own_ids(first: int, number: int) -> None:
    async with client.pipeline(transaction=False) as pipe:
        for i in range(first, first + number):
            store(pipe, i, uuid4().hex)
        await pipe.execute()


async def create(number: int) -> None:
    async with client.pipeline(transaction=True) as pipe:
        store(pipe, number)
        await pipe.execute()


async def get(number: int) -> Row:
    return read(await client.hgetall(f"person:{number}"))


cached_read = get


async def cached(number: int) -> None:
    await client.hgetall(f"person:{number}")


async def _load(ids: Iterable[Any]) -> list[Row]:
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(f"person:{id}")
        return [read(found) for found in await pipe.execute()]


async def get_many(number: int) -> list[Row]:
    return await _load(range(number))


async def find(size: int) -> list[Row]:
    ids = await client.smembers(f"person/city/{city_of(size)}")
    return await _load([id.decode() for id in ids])


async def range_(age: int) -> list[Row]:
    ids = await client.zrange("person/age", age, age + 1, byscore=True)
    return await _load([id.decode() for id in ids])


async def hold(number: int) -> dict[str, Any]:
    await get(number)
    return fields(number)


async def update(held: dict[str, Any], number: int) -> None:
    await client.hset(f"person:{number}", mapping={"name": f"Renamed {number}"})


async def delete(number: int) -> None:
    values = fields(number)
    async with client.pipeline(transaction=True) as pipe:
        pipe.delete(f"person:{number}")
        pipe.srem(f"person/city/{values['city']}", number)
        pipe.srem(f"person/email/{values['email']}", number)
        pipe.zrem("person/age", number)
        await pipe.execute()
