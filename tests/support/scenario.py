"""What programs do with a database, each once: to be carried out on servers that are not as others are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aioredisca import (
    Counter,
    Database,
    Email,
    Integer,
    ListOf,
    Model,
    StaleWrite,
    String,
    Tags,
    UniqueViolation,
    conf,
    health,
    session,
)

Step = tuple[str, Any, Callable[[], Awaitable[Any]]]
"""A name, what comes of it where all is well, and what is done."""

MANY = 1000
"""Records of one batch, where the server takes that."""


def person_of(db: Database, *, tag: bool = False) -> Any:
    """A model with all kinds of indexes; with *tag* all of its keys are in one slot."""

    @conf(db=db, prefix="person", tag=tag, index=[("name", "age")])
    class Person(Model):
        name = String(index=True)
        age = Integer(index=True)
        city = String(index="sorted")
        mail = Email(unique=True)
        labels = Tags(index=True)
        logs = ListOf(String())
        hits = Counter()

    return Person


async def carry_out(db: Database, *, tag: bool = False) -> dict[str, Any]:
    """All of it, in order: by name, the steps that came to something else than they should, and to what."""
    wrong = dict[str, Any]()
    for name, wanted, step in _steps(db, person_of(db, tag=tag)):
        try:
            found = await step()
        except Exception as error:
            found = f"{type(error).__name__}: {error}"
        if found != wanted:
            wrong[name] = found
    return wrong


def _steps(db: Database, person: Any) -> list[Step]:
    return [*_reads(person), *_writes(person), *_bulk(person), ("health", None, lambda: health.check(db))]


def _made(person: Any, id: str, name: str, age: int | None, *labels: str) -> Any:
    return person.new(id, name=name, age=age, city=f"{name}{id}", mail=f"{id}@b.cc", labels={*labels})


async def _ids(query: Any) -> list[str]:
    return [one.id for one in await query]


def _mails(count: int) -> list[str]:
    """Of so many records, and of others that there are not."""
    return [f"{i if i < count else f'nobody{i}'}@b.cc" for i in range(1000)]


def _reads(person: Any) -> list[Step]:
    async def save() -> list[str]:
        made = [_made(person, str(i), "abc"[i % 3], i * 10 if i < 5 else None, f"t{i % 2}") for i in range(6)]
        return [(await one.save()).id for one in made]

    async def load() -> tuple[Any, ...]:
        one = await person.get("1")
        return one.name, one.age, one.city, one.mail, one.labels

    async def several() -> list[Any]:
        return [one and one.age for one in await person.get_many(["1", "9", "2"])]

    async def page() -> tuple[list[str], list[str]]:
        first = await person.all().order_by(person.age).page(size=4)
        rest = await person.all().order_by(person.age).page(size=4, after=first.next)
        return [one.id for one in first], [one.id for one in rest]

    async def in_order() -> list[str]:
        some = person.name.in_([*"ab", *map(str, range(998))]) & (person.age <= 10)
        return [*await _ids(some.order_by(person.age.desc()).limit(5))]

    async def streamed() -> list[str]:
        return [one.id async for one in (person.age >= 30)]

    async def counts() -> tuple[int, ...]:
        both = (person.name == "a") & person.labels.has("t1")
        return await (person.age >= 20).count(), await both.count(), await person.all().count()

    async def totals() -> Any:
        found = await (person.age <= 50).aggregate(person.age, by=person.name)
        return {name: one.sum for name, one in found.items()}

    async def choice() -> set[str]:
        return {one.id for one in await person.name.choice("a", count=2)}

    return [
        ("save", ["0", "1", "2", "3", "4", "5"], save),
        ("get", ("b", 10, "b1", "1@b.cc", {"t1"}), load),
        ("get_many", [10, None, 20], several),
        ("a value", ["0", "3"], lambda: _ids(person.name == "a")),
        ("a value, known to be few", ["0", "3"], lambda: _ids(person.name == "a")),
        ("a range of ids", ["2", "3", "4"], lambda: (person.age >= 20).ids()),
        ("a range", ["2", "3", "4"], lambda: _ids(person.age >= 20)),
        ("all", ["0", "1", "2", "3", "4", "5"], lambda: person.all().ids()),
        ("an order", ["4", "3", "2", "1", "0", "5"], lambda: _ids(person.all().order_by(person.age.desc()))),
        ("a page", (["0", "1", "2", "3"], ["4", "5"]), page),
        ("texts", ["1", "4"], lambda: _ids(person.city.startswith("b"))),
        ("and", ["3"], lambda: _ids((person.name == "a") & (person.age >= 10))),
        ("or", ["0", "3", "4"], lambda: _ids((person.name == "a") | (person.age >= 40))),
        ("not", ["1", "2", "4", "5"], lambda: _ids(person.name != "a")),
        ("one of a few", ["0", "1", "3", "4"], lambda: _ids(person.name.in_(["a", "b"]))),
        ("one of a thousand", ["0", "1"], lambda: _ids(person.mail.in_(_mails(2)))),
        ("one of a thousand, in an order", ["1", "0"], in_order),
        ("tags", ["1", "3", "5"], lambda: _ids(person.labels.has("t1"))),
        ("a unique value", ["1"], lambda: _ids(person.mail == "1@b.cc")),
        ("no value", ["5"], lambda: _ids(person.age.is_none())),
        ("a stream", ["3", "4"], streamed),
        ("counts", (3, 1, 6), counts),
        ("an aggregate", {"a": 30, "b": 50, "c": 20}, totals),
        ("a choice", {"0", "3"}, choice),
    ]


def _writes(person: Any) -> list[Step]:
    async def counted() -> int:
        return int(await person("1").incr(person.age, 5))

    async def found_or_created() -> tuple[bool, bool, str]:
        one, created = await person.get_or_create(mail="z@b.cc", defaults={"name": "z"})
        _, again = await person.get_or_create(mail="z@b.cc", defaults={"name": "y"})
        return created, again, one.name

    async def duplicate() -> str:
        try:
            await person.new("d", mail="1@b.cc").save()
        except UniqueViolation as error:
            return error.holder
        return "saved"

    async def stale() -> str:
        one, other = await person.get("2"), await person.get("2")
        other.age = 77
        await other.save()
        one.age = 5
        try:
            await one.save(if_unchanged=True)
        except StaleWrite as error:
            return ", ".join(error.fields)
        return "saved"

    async def unit() -> tuple[int, str]:
        async with session(autosave=True):
            one = await person.get("3")
            one.age = 11
            person.new("s", name="a", age=1, mail="s@b.cc")
        return (await person.get("3")).age, (await person.get("s")).mail

    async def collections() -> tuple[list[str], int]:
        one = await person.get("1")
        await one.logs.append("x", "y")
        await one.hits.incr(3)
        return await one.logs.range(), await one.hits.get()

    async def deleted() -> tuple[bool, bool]:
        return await person("4").delete(), await person("4").exists()

    return [
        ("incr", 15, counted),
        ("get_or_create", (True, False, "z"), found_or_created),
        ("a duplicate", "1", duplicate),
        ("a stale write", "age", stale),
        ("a unit of work", (11, "s@b.cc"), unit),
        ("collections", (["x", "y"], 3), collections),
        ("delete", (True, False), deleted),
    ]


def _bulk(person: Any) -> list[Step]:
    def made(name: str, count: int) -> list[Any]:
        return [_made(person, f"{name}{i}", name, i, "m") for i in range(count)]

    async def hundred() -> int:
        await person.save_many(made("m", 100))
        return int(await (person.name == "m").count())

    async def many() -> int:
        await person.save_many(made("n", MANY), batch=MANY)
        return int(await (person.name == "n").count())

    async def rows() -> tuple[int, int]:
        found = await (person.name == "n")
        return len(found), sum(one.age for one in found)

    async def updated() -> tuple[int, int]:
        return await (person.name == "m").update(age=3), await (person.age == 3).count()

    return [
        ("save_many of 100", 100, hundred),
        ("save_many of many", MANY, many),
        ("rows of many", (MANY, sum(range(MANY))), rows),
        ("update by query", (100, 101), updated),
        ("delete by query", 100, lambda: (person.name == "m").delete()),
        ("delete_many", MANY, lambda: person.delete_many([f"n{i}" for i in range(MANY)], batch=MANY)),
    ]
