"""What it costs that records end: ``python -m benchmarks.expiry``, against the same class without an end.

Both classes take turns with short blocks in one process, on one server. Beside each operation stand its
microseconds without an end and the ratios with one, of the processor time of the client and of the time of
the script on the server (``INFO commandstats``): medians of the pairs of blocks. Then bytes per record.

    python -m benchmarks.expiry [--server path/to/valkey-server] [--pairs 60] [--only create]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from aioredisca import Database, Email, Integer, Model, String, conf
from tests.support.servers import KINDS, Server, version_of

BLOCK = 40
HELD = 200
HOUR = 3600

Step = Callable[[Any, int], Awaitable[object]]


@conf(prefix="plain")
class Plain(Model):
    email = Email(unique=True)
    name = String()
    city = String(index=True)
    age = Integer(index=True)
    visits = Integer(index=True)


@conf(prefix="fixed", ttl=HOUR)
class Fixed(Model):
    """Ends an hour after it was created."""

    email = Email(unique=True)
    name = String()
    city = String(index=True)
    age = Integer(index=True)
    visits = Integer(index=True)


@conf(prefix="sliding", ttl=HOUR, sliding="save")
class Sliding(Model):
    """Ends an hour after it was last saved."""

    email = Email(unique=True)
    name = String()
    city = String(index=True)
    age = Integer(index=True)
    visits = Integer(index=True)


numbers = itertools.count()


def fresh(kind: Any, **more: Any) -> Any:
    number = next(numbers)
    fields = {
        "email": f"person{number}@example.com",
        "name": f"Person {number}",
        "city": f"City {number % 50}",
        "age": number % 100,
        "visits": 0,
    }
    return kind.new(str(number), **fields, **more)


held: dict[Any, list[Any]] = {}


async def create(kind: Any, i: int) -> None:
    await fresh(kind).save()


async def update_indexed(kind: Any, i: int) -> None:
    record = held[kind][i % HELD]
    record.visits = next(numbers)
    await record.save()


async def update_unindexed(kind: Any, i: int) -> None:
    record = held[kind][i % HELD]
    record.name = f"Renamed {next(numbers)}"
    await record.save()


async def save_many(kind: Any, i: int) -> None:
    if i % BLOCK == 0:
        await kind.save_many([fresh(kind) for _ in range(BLOCK)])


async def get(kind: Any, i: int) -> None:
    await kind.get(held[kind][i % HELD].id)


async def find(kind: Any, i: int) -> None:
    await (kind.age == i % 100).limit(10)


async def count(kind: Any, i: int) -> None:
    await (kind.city == f"City {i % 50}").count()


OPERATIONS: dict[str, Step] = {
    step.__name__: step for step in (create, update_indexed, update_unindexed, save_many, get, find, count)
}


def scripts_of(client: Any) -> float:
    """Seconds that the server has spent in scripts, or in what is read without one."""
    stats = client.info("commandstats")
    names = ("evalsha",) if "cmdstat_evalsha" in stats else ("hgetall", "hmget", "scard")
    return sum(float(stats[f"cmdstat_{name}"]["usec"]) for name in names if f"cmdstat_{name}" in stats) / 1e6


async def block(client: Any, step: Step, kind: Any, turn: int) -> tuple[float, float]:
    """What one operation took the client and the server, in seconds."""
    client.config_resetstat()
    begun = time.process_time()
    for i in range(BLOCK):
        await step(kind, turn * BLOCK + i)
    spent = time.process_time() - begun
    return spent / BLOCK, scripts_of(client) / BLOCK


async def measure(client: Any, name: str, kind: Any, pairs: int) -> str:
    """One line: what *name* takes with an end, in ratios to the same without."""
    step, ours, theirs = OPERATIONS[name], list[tuple[float, float]](), list[tuple[float, float]]()
    for turn in range(pairs + 3):
        for one in (Plain, kind) if turn % 2 else (kind, Plain):
            (theirs if one is Plain else ours).append(await block(client, step, one, turn))
    text = f"{name + ', ' + kind.__name__.lower():28}"
    for which in (0, 1):  # of the client, of the server
        plain = [one[which] for one in theirs[3:]]
        ratio = statistics.median(a[which] / b[which] for a, b in zip(ours[3:], theirs[3:], strict=True))
        text += f"{statistics.median(plain) * 1e6:10.1f} us {ratio:6.2f}"
    return text


async def costs(server: Server, options: Any) -> None:
    with server.client() as client:
        print(f"{'':28}{'client':>13}  ratio{'server':>13}  ratio", flush=True)
        for kind in (Plain, Fixed, Sliding):
            held[kind] = [fresh(kind) for _ in range(HELD)]
            await kind.save_many(held[kind])
        for name in options.only or OPERATIONS:
            for kind in (Fixed, Sliding):
                print(await measure(client, name, kind, options.pairs), flush=True)


async def bytes_of(server: Server, kind: Any, number: int = 100_000) -> float:
    """Bytes of a record."""
    global numbers
    numbers = itertools.count()  # both have the same ids and values
    with server.client() as client:
        await kind.save_many([fresh(kind)])
        used = client.info("memory")["used_memory"]
        for _ in range(number // 1000):
            await kind.save_many([fresh(kind) for _ in range(1000)])
        return float(client.info("memory")["used_memory"] - used) / number


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    binary = next(filter(None, (kind.find() for kind in KINDS)), Path("redis-server"))
    parser.add_argument("--server", type=Path, default=binary, help="its binary")
    parser.add_argument("--pairs", type=int, default=60)
    parser.add_argument("--only", action="append", choices=OPERATIONS)
    options = parser.parse_args()
    print(f"{options.server.name} {version_of(options.server)}")
    with on(options.server) as server:
        asyncio.run(costs(server, options))
    bytes_each = list[float]()
    for kind in (Plain, Fixed):
        with on(options.server) as server:
            bytes_each.append(asyncio.run(bytes_of(server, kind)))
    plain, ending = bytes_each
    print(f"bytes per record: {plain:.0f} without an end, {ending - plain:+.0f} with one")


@contextlib.contextmanager
def on(binary: Path) -> Iterator[Server]:
    """A server of its own, where all models are."""
    with Server("expiry", binary) as server:
        conf.db = Database(server.url)
        yield server


if __name__ == "__main__":
    main()
