"""The commands of by_hand.py over aioredisca's transport, without its models: what the multiplexer gives."""

from typing import Any

from _people import fields

from aioredisca import Database
from aioredisca.types import Call

NAME = "aioredisca, transport only"
PACKAGES: list[str] = []
NOTE = "no models; does not check that e-mail addresses are unique"

database: Database
BEGIN, END = Call(("MULTI",)), Call(("EXEC",))


async def open(port: int) -> None:
    global database
    database = Database(f"redis://127.0.0.1:{port}/0")


async def close() -> None:
    await database.aclose()


def stored(number: int) -> list[Call]:
    values = fields(number)
    pairs: list[Any] = [part for pair in values.items() for part in pair]
    return [
        Call(("HSET", f"person:{number}", *pairs), writes=True),
        Call(("SADD", f"person/city/{values['city']}", number), writes=True),
        Call(("SADD", f"person/email/{values['email']}", number), writes=True),
        Call(("ZADD", "person/age", values["age"], number), writes=True),
    ]


async def bulk(first: int, number: int) -> None:
    calls = [call for i in range(first, first + number) for call in stored(i)]
    await database.transport().send_all(calls)


async def create(number: int) -> None:
    await database.transport().send_all([BEGIN, *stored(number), END])


async def get(number: int) -> tuple[object, ...]:
    call = Call(("HMGET", f"person:{number}", "email", "name", "city", "age"))
    ((email, name, city, age),) = await database.transport().send_all([call])
    return email.decode(), name.decode(), city.decode(), int(age)


async def hold(number: int) -> dict[str, Any]:
    await get(number)
    return fields(number)


async def update(held: dict[str, Any], number: int) -> None:
    call = Call(("HSET", f"person:{number}", "name", f"Renamed {number}"), writes=True)
    await database.transport().send_all([call])


async def delete(number: int) -> None:
    values = fields(number)
    calls = (
        Call(("DEL", f"person:{number}"), writes=True),
        Call(("SREM", f"person/city/{values['city']}", number), writes=True),
        Call(("SREM", f"person/email/{values['email']}", number), writes=True),
        Call(("ZREM", "person/age", number), writes=True),
    )
    await database.transport().send_all([BEGIN, *calls, END])
