"""As by_hand.py, with the blocking client."""

from typing import Any

import redis
from by_hand import fields, store

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


def get(number: int) -> tuple[object, ...]:
    found = client.hgetall(f"person:{number}")
    return found[b"email"].decode(), found[b"name"].decode(), found[b"city"].decode(), int(found[b"age"])


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
