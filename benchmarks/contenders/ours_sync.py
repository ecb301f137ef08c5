from _people import Row, city_of, fields

from aioredisca import Database, conf, sync

NAME = "aioredisca.sync"
PACKAGES: list[str] = []


class Person(sync.Model):
    email = sync.Email(unique=True)
    name = sync.String()
    city = sync.String(index=True)
    age = sync.Integer(index=True)


def person(number: int) -> Person:
    return Person.new(str(number), **fields(number))


def open(port: int) -> None:
    conf.db = Database(f"redis://127.0.0.1:{port}/0")


def close() -> None:
    conf.db.close()


def bulk(first: int, number: int) -> None:
    Person.save_many([person(first + i) for i in range(number)])


def create(number: int) -> None:
    person(number).save()


def get(number: int) -> Row:
    found = Person.get(str(number))
    return found.email, found.name, found.city, found.age


def get_many(number: int) -> list[Row]:
    found = Person.get_many([str(i) for i in range(number)])
    return [(one.email, one.name, one.city, one.age) for one in found]


def find(size: int) -> list[Row]:
    return [(one.email, one.name, one.city, one.age) for one in Person.city.find(city_of(size))]


def range_(age: int) -> list[Row]:
    return [(one.email, one.name, one.city, one.age) for one in Person.age.range(age, age + 1)]


def hold(number: int) -> Person:
    return Person.get(str(number))


def update(held: Person, number: int) -> None:
    held.name = f"Renamed {number}"
    held.save()


def delete(number: int) -> None:
    Person(str(number)).delete()
