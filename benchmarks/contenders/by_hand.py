"""What a careful programmer writes with redis.asyncio alone: a hash, two indexes, no check of uniqueness."""

from typing import Any

import redis.asyncio

NAME = "redis.asyncio, by hand"
PACKAGES: list[str] = []
NOTE = "does not check that e-mail addresses are unique"

OPTIONS: dict[str, Any] = {}
client: Any


def fields(number: int) -> dict[str, Any]:
    return {
        "email": f"person{number}@example.com",
        "name": f"Person {number}",
        "city": f"City {number % 50}",
        "age": number % 90,
    }


def store(pipe: Any, number: int) -> None:
    values = fields(number)
    pipe.hset(f"person:{number}", mapping=values)
    pipe.sadd(f"person/city/{values['city']}", number)
    pipe.sadd(f"person/email/{values['email']}", number)
    pipe.zadd("person/age", {str(number): values["age"]})


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


async def create(number: int) -> None:
    async with client.pipeline(transaction=True) as pipe:
        store(pipe, number)
        await pipe.execute()


async def get(number: int) -> tuple[object, ...]:
    found = await client.hgetall(f"person:{number}")
    return found[b"email"].decode(), found[b"name"].decode(), found[b"city"].decode(), int(found[b"age"])


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
