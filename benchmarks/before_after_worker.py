"""The process of one source tree for ``before_after.py``: runs blocks of operations and says what they cost.

Started with that tree in PYTHONPATH, as ``python -P before_after_worker.py PORT NAMESPACE``; reads one JSON
object a line, answers one a line. It uses public names of aioredisca alone, those that both trees have.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import aioredisca
from aioredisca import Database, Email, Integer, Model, String, conf, session, sync

RECORDS = 1000
"""In the store before; cities hold 20 of them, and so do ages from one to the next."""

HELD = 200
"""So many are loaded, to be updated in turns."""

CITIES, AGES = 50, 100
PATIENCE = 120.0
"""Seconds: a busy machine is no error."""


@conf(prefix="person")
class Person(Model):
    email = Email(unique=True)
    name = String()
    city = String(index=True)
    age = Integer(index=True)
    visits = Integer(index=True)


@conf(prefix="person")
class BlockingPerson(sync.Model):
    email = sync.Email(unique=True)
    name = sync.String()
    city = sync.String(index=True)
    age = sync.Integer(index=True)
    visits = sync.Integer(index=True)


def fields(number: int) -> dict[str, Any]:
    """The values of a person. Those that come later are in no city and of no age that is asked for."""
    here = number < RECORDS
    return {
        "email": f"person{number}@example.com",
        "name": f"Person {number}",
        "city": f"City {number % CITIES}" if here else f"Town {number % CITIES}",
        "age": number % AGES if here else 1000 + number % AGES,
        "visits": 0,
    }


def read(found: list[Any]) -> int:
    """Read the fields of all."""
    return sum(1 for one in found if (one.email, one.name, one.city, one.age))


class Face:
    """What both colours share. ``changes`` numbers what is written, so that each write changes something."""

    kind: Any

    def __init__(self, numbers: itertools.count[int]) -> None:
        self.numbers, self.changes = numbers, itertools.count(1_000_000)
        self.held: list[Any] = []
        self.doomed: list[str] = []

    def fresh(self) -> Any:
        number = next(self.numbers)
        return self.kind.new(str(number), **fields(number))

    def ids(self, first: int, count: int) -> list[str]:
        return [str((first + number) % RECORDS) for number in range(count)]

    def ready(self, operation: str, count: int) -> None:
        """What the next block needs: records to delete, or records that are loaded."""
        if operation == "delete":
            people = [self.fresh() for _ in range(count)]
            self.finish(self.kind.save_many(people))
            self.doomed = [person.id for person in people]
        if operation.startswith("update"):
            self.held = self.finish(self.kind.get_many(self.ids(0, HELD)))

    def finish(self, operation: Any) -> Any:
        return operation

    def block(self, operation: str, count: int, tasks: int) -> None:
        raise NotImplementedError

    def find_composed(self, i: int) -> Any:
        kind = self.kind
        query = (kind.city == f"City {i % CITIES}") & (kind.age >= 30)
        return query.order_by(kind.age.desc()).limit(10)


class Asyncio(Face):
    kind = Person

    def __init__(self, numbers: itertools.count[int]) -> None:
        super().__init__(numbers)
        self.runner = asyncio.Runner()

    def finish(self, operation: Any) -> Any:
        async def waited() -> Any:
            return await operation

        return self.runner.run(waited())

    def block(self, operation: str, count: int, tasks: int) -> None:
        do = getattr(self, operation)

        async def work(start: int) -> None:
            for number in range(start, count, tasks):
                await do(number)

        async def together() -> None:
            async with asyncio.TaskGroup() as group:
                for start in range(tasks):
                    group.create_task(work(start))

        self.runner.run(together() if tasks > 1 else work(0))

    async def get(self, i: int) -> None:
        read([await Person.get(str(i % RECORDS))])

    async def get_many(self, i: int) -> None:
        read(await Person.get_many(self.ids(i * 7, 100)))

    async def create(self, i: int) -> None:
        await self.fresh().save()

    async def update_indexed(self, i: int) -> None:
        person = self.held[i % HELD]
        person.visits = next(self.changes)
        await person.save()

    async def update_unindexed(self, i: int) -> None:
        person = self.held[i % HELD]
        person.name = f"Renamed {next(self.changes)}"
        await person.save()

    async def delete(self, i: int) -> None:
        await Person(self.doomed[i]).delete()

    async def save_many(self, i: int) -> None:
        await Person.save_many([self.fresh() for _ in range(100)])

    async def find_value(self, i: int) -> None:
        read(await (Person.city == f"City {i % CITIES}"))

    async def find_range(self, i: int) -> None:
        read(await Person.age.range(i % (AGES - 1), i % (AGES - 1) + 1))

    async def composed(self, i: int) -> None:
        read(await self.find_composed(i))

    async def count(self, i: int) -> None:
        await (Person.city == f"City {i % CITIES}").count()

    async def incr(self, i: int) -> None:
        await Person(str(i % RECORDS)).incr(Person.visits, 1)

    async def session(self, i: int) -> None:
        async with session(autosave=True):
            for person in await Person.get_many(self.ids(i * 10, 10)):
                assert person is not None
                person.name, person.visits = f"Renamed {i}", next(self.changes)


class Blocking(Face):
    kind = BlockingPerson

    def block(self, operation: str, count: int, tasks: int) -> None:
        do: Callable[[int], None] = getattr(self, operation)
        for number in range(count):
            do(number)

    def get(self, i: int) -> None:
        read([BlockingPerson.get(str(i % RECORDS))])

    def get_many(self, i: int) -> None:
        read(BlockingPerson.get_many(self.ids(i * 7, 100)))

    def create(self, i: int) -> None:
        self.fresh().save()

    def update_indexed(self, i: int) -> None:
        person = self.held[i % HELD]
        person.visits = next(self.changes)
        person.save()

    def update_unindexed(self, i: int) -> None:
        person = self.held[i % HELD]
        person.name = f"Renamed {next(self.changes)}"
        person.save()

    def delete(self, i: int) -> None:
        BlockingPerson(self.doomed[i]).delete()

    def save_many(self, i: int) -> None:
        BlockingPerson.save_many([self.fresh() for _ in range(100)])

    def find_value(self, i: int) -> None:
        read(list(BlockingPerson.city == f"City {i % CITIES}"))

    def find_range(self, i: int) -> None:
        read(list(BlockingPerson.age.range(i % (AGES - 1), i % (AGES - 1) + 1)))

    def composed(self, i: int) -> None:
        read(list(self.find_composed(i)))

    def count(self, i: int) -> None:
        (BlockingPerson.city == f"City {i % CITIES}").count()

    def incr(self, i: int) -> None:
        BlockingPerson(str(i % RECORDS)).incr(BlockingPerson.visits, 1)

    def session(self, i: int) -> None:
        with sync.session(autosave=True):
            for person in BlockingPerson.get_many(self.ids(i * 10, 10)):
                assert person is not None
                person.name, person.visits = f"Renamed {i}", next(self.changes)


class Worker:
    """Both faces on one store of its own, the namespace."""

    def __init__(self, port: int, namespace: str) -> None:
        conf.db = Database(f"redis://127.0.0.1:{port}/0", namespace=namespace, timeout=PATIENCE)
        numbers = itertools.count(RECORDS)
        self.faces = {"asyncio": Asyncio(numbers), "blocking": Blocking(numbers)}

    def fill(self) -> dict[str, Any]:
        """Fill the store, and say which package this is."""
        BlockingPerson.save_many([BlockingPerson.new(str(n), **fields(n)) for n in range(RECORDS)])
        gc.collect()
        gc.freeze()
        return {"package": os.path.dirname(aioredisca.__file__)}

    def ready(self, face: str, operation: str, count: int) -> dict[str, Any]:
        self.faces[face].ready(operation, count)
        gc.collect()
        return {}

    def run(self, face: str, operation: str, count: int, tasks: int) -> dict[str, Any]:
        """The processor time of a block."""
        block, before = self.faces[face].block, time.process_time()
        block(operation, count, tasks)
        return {"cpu": time.process_time() - before}


def main() -> None:
    answers, sys.stdout = os.fdopen(os.dup(1), "w"), sys.stderr  # what else is printed is no answer
    worker = Worker(int(sys.argv[1]), sys.argv[2])
    for line in sys.stdin:
        order = json.loads(line)
        try:
            answer = getattr(worker, order.pop("do"))(**order)
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), file=answers, flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
