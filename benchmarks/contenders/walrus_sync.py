"""walrus, blocking: it has no bulk, and no load of several. It knows no id 0, so person 0 has the id 1."""

from typing import Any

import walrus
from _people import Row, city_of, fields

NAME = "walrus, blocking"
PACKAGES = ["walrus==0.9.8", "hiredis==3.5.0"]
NOTE = "does not check that e-mail addresses are unique; what it writes is not atomic"

Person: Any = None


def open(port: int) -> None:
    global Person

    class Stored(walrus.Model):  # type: ignore[misc]
        __database__ = walrus.Database(host="127.0.0.1", port=port)
        number = walrus.IntegerField(primary_key=True)
        email = walrus.TextField(index=True)
        name = walrus.TextField()
        city = walrus.TextField(index=True)
        age = walrus.IntegerField(index=True)

    Person = Stored


def close() -> None:
    Person.__database__.close()


def read(found: Any) -> Row:
    return found.email, found.name, found.city, found.age


def create(number: int) -> None:
    Person.create(number=number + 1, **fields(number))


def fill(first: int, number: int) -> None:
    for i in range(first, first + number):
        create(i)


def get(number: int) -> Row:
    return read(Person.load(number + 1))


def find(size: int) -> list[Row]:
    return [read(one) for one in Person.query(Person.city == city_of(size))]


def range_(age: int) -> list[Row]:
    return [read(one) for one in Person.query(Person.age.between(age, age + 1))]


def hold(number: int) -> Any:
    return Person.load(number + 1)


def update(held: Any, number: int) -> None:
    held.name = f"Renamed {number}"
    held.save()


def delete(number: int) -> None:
    Person.load(number + 1).delete()
