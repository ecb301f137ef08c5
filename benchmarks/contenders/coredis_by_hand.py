"""As by_hand.py, with coredis."""

from typing import Any

import coredis

NAME = "coredis, by hand"
PACKAGES = ["coredis==6.9.0"]
NOTE = "does not check that e-mail addresses are unique"

client: Any


def fields(number: int) -> dict[str, Any]:
    return {
        "email": f"person{number}@example.com",
        "name": f"Person {number}",
        "city": f"City {number % 50}",
        "age": number % 90,
    }


async def store(pipe: Any, number: int) -> None:
    values = fields(number)
    pipe.hset(f"person:{number}", values)
    pipe.sadd(f"person/city/{values['city']}", [number])
    pipe.sadd(f"person/email/{values['email']}", [number])
    pipe.zadd("person/age", {str(number): values["age"]})


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


async def get(number: int) -> tuple[object, ...]:
    found = await client.hgetall(f"person:{number}")
    return found[b"email"].decode(), found[b"name"].decode(), found[b"city"].decode(), int(found[b"age"])


async def hold(number: int) -> dict[str, Any]:
    await get(number)
    return fields(number)


async def update(held: dict[str, Any], number: int) -> None:
    await client.hset(f"person:{number}", {"name": f"Renamed {number}"})
