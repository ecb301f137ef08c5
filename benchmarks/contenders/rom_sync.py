"""rom, blocking. Its ids are numbers that it gives out itself, so person 0 has the id 1."""

from typing import Any

import rom
from _people import Row, city_of, fields

NAME = "rom, blocking"
PACKAGES = ["rom==1.1.2", "hiredis==3.5.0"]

rom.util.use_null_session()  # or the next load would find a person loaded


class Person(rom.Model):  # type: ignore[misc]
    email = rom.Text(unique=True, required=True)
    name = rom.Text()
    city = rom.Text(index=True, keygen=rom.IDENTITY)
    age = rom.Integer(index=True)


def open(port: int) -> None:
    rom.util.set_connection_settings(host="127.0.0.1", port=port)


def close() -> None:
    pass


def read(found: Any) -> Row:
    return found.email, found.name, found.city, found.age


def create(number: int) -> None:
    Person(**fields(number)).save()


def bulk(first: int, number: int) -> None:
    for i in range(first, first + number):
        create(i)


def own_ids(first: int, number: int) -> None:
    bulk(first, number)


def get(number: int) -> Row:
    return read(Person.get(number + 1))


def get_many(number: int) -> list[Row]:
    return [read(one) for one in Person.get([i + 1 for i in range(number)])]


def find(size: int) -> list[Row]:
    return [read(one) for one in Person.query.filter(city=city_of(size)).all()]


def range_(age: int) -> list[Row]:
    return [read(one) for one in Person.query.filter(age=(age, age + 1)).all()]


def hold(number: int) -> Any:
    return Person.get(number + 1)


def update(held: Any, number: int) -> None:
    held.name = f"Renamed {number}"
    held.save()


def delete(number: int) -> None:
    Person.get(number + 1).delete()
