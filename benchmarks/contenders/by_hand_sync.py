"""As by_hand.py, with the blocking client."""

from collections.abc import Iterable
from typing import Any

import redis
from _people import Row, city_of, fields
from by_hand import read, store

NAME = "redis, blocking, by hand"
PACKAGES: list[str] = []
NOTE = "does not check that e-mail addresses are unique"

client: Any


def open(port: int) -> None:
    global client
    client = redis.Redis(port=port)


def close() -> None:
    client.close()


def bulk(first: int, number: int) -> None:
    with client.pipeline(transaction=False) as pipe:
        for i in range(first, first + number):
            store(pipe, i)
        pipe.execute()


def create(number: int) -> None:
    with client.pipeline(transaction=True) as pipe:
        store(pipe, number)
        pipe.execute()


def get(number: int) -> Row:
    return read(client.hgetall(f"person:{number}"))


def _load(ids: Iterable[Any]) -> list[Row]:
    with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hgetall(f"person:{id}")
        return [read(found) for found in pipe.execute()]


def get_many(number: int) -> list[Row]:
    return _load(range(number))


def find(size: int) -> list[Row]:
    ids = client.smembers(f"person/city/{city_of(size)}")
    return _load([id.decode() for id in ids])


def range_(age: int) -> list[Row]:
    ids = client.zrange("person/age", age, age + 1, byscore=True)
    return _load([id.decode() for id in ids])


def hold(number: int) -> dict[str, Any]:
    get(number)
    return fields(number)


def update(held: dict[str, Any], number: int) -> None:
    client.hset(f"person:{number}", mapping={"name": f"Renamed {number}"})


def delete(number: int) -> None:
    values = fields(number)
    with client.pipeline(transaction=True) as pipe:
        pipe.delete(f"person:{number}")
        pipe.srem(f"person/city/{values['city']}", number)
        pipe.srem(f"person/email/{values['email']}", number)
        pipe.zrem("person/age", number)
        pipe.execute()
