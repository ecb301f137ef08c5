"""The processes of the soak of records that end: ``python -m tests.support.soaking ROLE URL ...``.

A batch of records is written at once with one TTL, so that all of it ends in one millisecond. Everybody notes the
server's clock before and after each call, as lines of JSON; ``test_expiry_soak.py`` judges them afterwards.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aioredisca import Database, NotFound, conf, sync
from aioredisca.sync import Integer, String

BATCH = 50


@conf(prefix="soak", ttl=None)
class Soaked(sync.Model):
    token = String(unique=True)
    batch = String(index=True)
    number = Integer(index=True)


@dataclass(frozen=True)
class Batch:
    """One of a writer: its records have numbers of their own in a row."""

    writer: int
    place: int

    @property
    def first(self) -> int:
        return (self.writer * 10**6 + self.place) * BATCH

    @property
    def name(self) -> str:
        return f"{self.writer}/{self.place}"

    def records(self) -> list[Soaked]:
        numbers = range(self.first, self.first + BATCH)
        return [Soaked.new(str(n), token=f"t{n}", batch=self.name, number=n) for n in numbers]


def _exists(id: str) -> int:
    try:
        Soaked.get(id)
    except NotFound:
        return 0
    return 1


QUESTIONS: dict[str, tuple[Callable[[Batch], int], int]] = {
    # what is asked of a batch, and what is answered while it lives
    "count by value": (lambda batch: (Soaked.batch == batch.name).count(), BATCH),
    "ids by value": (lambda batch: len((Soaked.batch == batch.name).ids()), BATCH),
    "count by range": (
        lambda batch: Soaked.number.between(batch.first, batch.first + BATCH - 1).count(),
        BATCH,
    ),
    "find by range": (lambda batch: sum(1 for _ in Soaked.number.between(batch.first, batch.first + 4)), 5),
    "by unique": (lambda batch: sum(1 for _ in (Soaked.token == f"t{batch.first}")), 1),
    "get": (lambda batch: _exists(str(batch.first + 1)), 1),
}


def note(line: list[Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")


def milliseconds(client: Any) -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def write(client: Any, writer: int, batches: int, spread: int) -> None:
    """Write *batches*, with TTLs of up to *spread* milliseconds."""
    dice = random.Random(writer)
    for place in range(batches):
        batch, ttl = Batch(writer, place), dice.randint(1, spread)
        first = milliseconds(client)
        Soaked.save_many(batch.records(), ttl=ttl / 1000)
        note([batch.name, first, milliseconds(client), ttl])
        client.hset("progress", writer, place)


def read(client: Any, reader: int, writers: int) -> None:
    """Ask about batches of any age, once all have begun, until there is no progress any more."""
    dice = random.Random(-reader)
    while progress := client.hgetall("progress"):
        if len(progress) <= writers:
            time.sleep(0.01)
            continue
        writer = dice.randrange(writers)
        newest = int(progress[str(writer).encode()])
        oldest = dice.choice([0, max(0, newest - 200), newest])
        batch, kind = Batch(writer, dice.randint(oldest, newest)), dice.choice([*QUESTIONS])
        first = milliseconds(client)
        answer = QUESTIONS[kind][0](batch)
        note([batch.name, kind, first, milliseconds(client), answer])


def main() -> None:
    """Play one role."""
    role, url, *words = sys.argv[1:]
    conf.db = Database(url)
    client, numbers = conf.db.sync_client, [int(word) for word in words]
    if role == "write":
        write(client, *numbers)
    else:
        read(client, *numbers)


if __name__ == "__main__":
    main()
