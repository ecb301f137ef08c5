"""redisca 1.3, which aioredisca's words come from. It is of 2014 and works with redis-py of before 3.0."""

from typing import Any

import redis
import redisca
from _people import Row, city_of, fields

NAME = "redisca, blocking"
PACKAGES = ["redisca==1.3", "redis==2.10.6", "hiredis==3.5.0"]
NOTE = "checks uniqueness, but two at a time may both succeed"


class Person(redisca.Model):  # type: ignore[misc]
    email = redisca.Email(field="email", unique=True)
    name = redisca.String(field="name")
    city = redisca.String(field="city", index=True)
    age = redisca.Integer(field="age", index=True)


def open(port: int) -> None:
    redisca.conf.db = redis.StrictRedis(host="127.0.0.1", port=port)


def close() -> None:
    pass


def prepare() -> None:
    Person.free_all()


def person(number: int) -> Any:
    made = Person.new(number)
    for name, value in fields(number).items():
        setattr(made, name, value)
    return made


def read(found: Any) -> Row:
    """Its fields; and let go of it, or the next load would find it loaded."""
    values = found.email, found.name, found.city, found.age
    found.free()
    return values


def bulk(first: int, number: int) -> None:
    Person.free_all()
    for i in range(first, first + number):
        person(i)
    Person.save_all()
    Person.free_all()


def own_ids(first: int, number: int) -> None:
    for i in range(first, first + number):
        made = Person.new()
        for name, value in fields(i).items():
            setattr(made, name, value)
    Person.save_all()
    Person.free_all()


def create(number: int) -> None:
    made = person(number)
    made.save()
    made.free()


def get(number: int) -> Row:
    return read(Person(number))


def get_many(number: int) -> list[Row]:
    return [read(Person(i)) for i in range(number)]


def find(size: int) -> list[Row]:
    return [read(one) for one in Person.city.find(city_of(size))]


def range_(age: int) -> list[Row]:
    return [read(one) for one in Person.age.range(age, age + 1)]


def hold(number: int) -> Any:
    held = Person(number)
    held.load()
    return held


def update(held: Any, number: int) -> None:
    held.name = f"Renamed {number}"
    held.save()


def delete(number: int) -> None:
    found = Person(number)
    found.delete()
    found.free()
