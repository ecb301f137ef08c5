from aioredisca import Database, conf, sync

NAME = "aioredisca.sync"
PACKAGES: list[str] = []


class Person(sync.Model):
    email = sync.Email(unique=True)
    name = sync.String()
    city = sync.String(index=True)
    age = sync.Integer(index=True)


def person(number: int) -> Person:
    return Person.new(
        str(number),
        email=f"person{number}@example.com",
        name=f"Person {number}",
        city=f"City {number % 50}",
        age=number % 90,
    )


def open(port: int) -> None:
    conf.db = Database(f"redis://127.0.0.1:{port}/0")


def close() -> None:
    conf.db.close()


def bulk(first: int, number: int) -> None:
    Person.save_many([person(first + i) for i in range(number)])


def create(number: int) -> None:
    person(number).save()


def get(number: int) -> tuple[object, ...]:
    found = Person.get(str(number))
    return found.email, found.name, found.city, found.age


def hold(number: int) -> Person:
    return Person.get(str(number))


def update(held: Person, number: int) -> None:
    held.name = f"Renamed {number}"
    held.save()


def delete(number: int) -> None:
    Person(str(number)).delete()
