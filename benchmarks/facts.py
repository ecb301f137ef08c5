"""What is not a time per operation: bytes per record, round trips, import time, making records of replies."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import hiredis
import pydantic
import redis

from aioredisca import Database, DateTime, Float, Integer, Model, Query, String, conf
from tests.support.proxy import Proxy

from .contenders._people import NEEDED
from .harness import Absent, Contender, Work, ready
from .stage import Stage

OBJECTS = 20_000
IMPORT_ROUNDS = 25
HYDRATE = 1000
HYDRATE_ROUNDS = 31
EMPTY, REDIS, OURS, OPENED = (
    "pass",
    "import redis.asyncio",
    "import aioredisca",
    "import aioredisca; aioredisca.Database('redis://localhost')",
)
TRIPS = (  # those that write come last: the store is filled once
    Work("get", 1, 1),
    *(Work("find", 1, 1, size) for size in (1, 1000)),
    Work("range_", 1, 1),
    Work("get_many", 1, 1, 1000),
    *(Work(operation, 1, 1) for operation in ("update", "create", "delete")),
)
SETTLE = 0.004
"""Silence that ends a request at the proxy: there are peers that make thousands of them."""


@dataclass
class Facts:
    """What was found; a part that could not be had is empty.

    ``objects``  how many records the bytes were found with.
    ``bytes``    per record, by server, by contender.
    ``imports``  the milliseconds of each statement, round by round, the same round at the same place.
    ``trips``    round trips and number of commands, by contender and title of the work.
    ``hydrate``  microseconds per object, round by round: "lazy", "eager", "pydantic".
    """

    objects: int = OBJECTS
    bytes: dict[str, dict[str, float]] = field(default_factory=dict)
    imports: dict[str, list[float]] = field(default_factory=dict)
    trips: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)
    hydrate: dict[str, list[float]] = field(default_factory=dict)

    def import_ratio(self, what: str = OURS) -> float:
        """How many times the time of redis.asyncio it takes, that of an empty program taken off."""
        rounds = zip(self.imports[EMPTY], self.imports[REDIS], self.imports[what], strict=True)
        return statistics.median((own - empty) / (base - empty) for empty, base, own in rounds)

    def hydrate_ratio(self, way: str) -> float:
        """How many times as fast as pydantic it is."""
        rounds = zip(self.hydrate["pydantic"], self.hydrate[way], strict=True)
        return statistics.median(base / own for base, own in rounds)


def gather(stages: Sequence[Stage], environments: Path, *, quick: bool) -> Facts:
    """All of it."""
    part = 5 if quick else 1
    facts = Facts(OBJECTS // part)
    for stage in stages:
        facts.bytes[stage.server] = bytes_each(stage, facts.objects)
        for name, counts in trips(stage, environments).items():
            facts.trips.setdefault(name, counts)
    with redis.Redis(port=stages[0].port) as client:
        client.flushall()
    facts.imports = import_times(IMPORT_ROUNDS // part)
    facts.hydrate = asyncio.run(hydrate(stages[0].port, HYDRATE_ROUNDS // part))
    return facts


# -- bytes -----------------------------------------------------------------------------------------


def bytes_each(stage: Stage, number: int) -> dict[str, float]:
    """What a record with unique, exact and range index takes in the server, by contender."""
    found = dict[str, float]()
    with redis.Redis(port=stage.port) as client:
        for contender in stage.contenders:
            if "own_ids" not in contender.operations:
                continue
            client.flushall()
            contender.ask(do="own_ids", first=10_000_000, number=1)  # what is there once, such as scripts
            before = _used(client)
            answer = contender.ask(do="own_ids", first=0, number=number)
            _wait_for_indexes(client)
            if "error" in answer:
                print(f"bytes of {contender.name}: {answer['error']}")
            else:
                found[contender.name] = (_used(client) - before) / number
        client.flushall()
    return found


def _used(client: Any) -> int:
    used: int = client.info("memory")["used_memory"]
    return used


def _wait_for_indexes(client: Any) -> None:
    """RediSearch indexes in the background what it did not see being written."""
    if not any(module[b"name"] == b"search" for module in client.module_list()):
        return
    for name in client.execute_command("FT._LIST"):
        while _indexing(client.execute_command("FT.INFO", name)):
            time.sleep(0.05)


def _indexing(info: Any) -> bool:
    pairs = info if isinstance(info, dict) else dict(zip(info[::2], info[1::2], strict=True))
    return str(pairs.get(b"indexing", 0)).strip("b'") != "0"


# -- round trips -----------------------------------------------------------------------------------


def trips(stage: Stage, environments: Path) -> dict[str, dict[str, tuple[int, int]]]:
    """Round trips and commands of one operation each, connecting and loading of scripts not counted."""
    proxy = Proxy(stage.port, settle=SETTLE)
    try:
        return {
            contender.name: _trips_of(contender, proxy, stage, environments)
            for contender in stage.contenders
            if "get" in contender.operations
        }
    finally:
        proxy.close()


def _trips_of(
    contender: Contender, proxy: Proxy, stage: Stage, environments: Path
) -> dict[str, tuple[int, int]]:
    found = dict[str, tuple[int, int]]()
    try:
        twin = Contender(contender.file, environments, proxy.port, stage.core)
    except Absent as error:
        print(f"round trips of {contender.name}: {error}")
        return found
    with redis.Redis(port=stage.port) as client:
        client.flushall()
    contender.ask(do="fill", records=max(NEEDED.values()))
    for work in TRIPS:
        if not contender.takes(work):
            continue
        answer = twin.ask(**ready(work), check=False)
        with proxy.count() as count:
            if "error" not in answer:
                answer = twin.ask(do="run", operation=work.operation, count=1, tasks=1)
        if "error" in answer:
            print(f"round trips of {contender.name}, {work.title}: {answer['error']}")
        else:
            found[_short(work)] = count.trips, len(count.commands)
    twin.close()
    return found


def _short(work: Work) -> str:
    return f"{work.name} {work.size:,}" if work.size else work.name


# -- import ----------------------------------------------------------------------------------------


def import_times(rounds: int) -> dict[str, list[float]]:
    """The milliseconds of new Pythons that do nothing but this, in turns."""
    # Compiled files, as an installed package has them.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    times: dict[str, list[float]] = {code: [] for code in (EMPTY, REDIS, OURS, OPENED)}
    for number in range(-1, max(rounds, 3)):  # the first one only writes .pyc files
        for code in times if number % 2 else reversed(list(times)):
            began = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], check=True, env=environment)
            if number >= 0:
                times[code].append((time.perf_counter() - began) * 1e3)
    return times


# -- hydrate ---------------------------------------------------------------------------------------


class Plain(pydantic.BaseModel):
    """Six fields, as pydantic has them."""

    name: str
    email: str
    age: int
    created: datetime
    city: str
    score: float


class Member(Model):
    """The same as a model."""

    name = String()
    email = String()
    age = Integer()
    created = DateTime()
    city = String()
    score = Float()


async def hydrate(port: int, rounds: int) -> dict[str, list[float]]:
    """From the bytes of a reply of 1,000 records to objects, without a server in between.

    Ours: the reply to a query, from asking to the list, with a transport that answers at once. "lazy"
    leaves the fields unread, "eager" reads all of them. pydantic: HGETALL of each, in RESP3 and decoded,
    by ``model_validate``, all fields read.
    """
    before, conf.db = conf.db, Database(f"redis://127.0.0.1:{port}/0")
    try:
        query, plain = await _replies()
        transport: Any = conf.db.transport()
        transport.execute = lambda calls: _parsed(query)
        ways: dict[str, Callable[[], Any]] = {"lazy": _lazy, "eager": _eager}
        times: dict[str, list[float]] = {"lazy": [], "eager": [], "pydantic": []}
        for number in range(-2, max(rounds, 3)):
            for name in times if number % 2 else reversed(list(times)):
                began = time.perf_counter()
                made = await ways[name]() if name in ways else _validated(plain)
                took = time.perf_counter() - began
                if len(made) != HYDRATE:
                    raise RuntimeError(f"{name}: {len(made)} records")
                del made  # not in the time of the next one
                if number >= 0:
                    times[name].append(took / HYDRATE * 1e6)
        del transport.execute
        return times
    finally:
        await conf.db.aclose()
        conf.db = before


async def _replies() -> tuple[bytes, bytes]:
    """What a server sends for the query, and for HGETALL of all."""
    transport: Any = conf.db.transport()
    await Member.save_many([_member(number) for number in range(HYDRATE)])
    execute, caught = transport.execute, list[Any]()

    async def catch(calls: Sequence[Any]) -> list[Any]:
        caught.append(await execute(calls))
        replies: list[Any] = caught[-1]
        return replies

    transport.execute = catch
    members = await _query()
    transport.execute = execute
    if len(caught) != 1:
        raise RuntimeError(f"the query took {len(caught)} round trips")
    plain = b"".join(_map(_hash(member)) for member in members)
    return _resp(caught[0][0]), plain


def _member(number: int) -> Member:
    return Member.new(
        f"{number:04}",
        name=f"Person {number}",
        email=f"person{number}@example.com",
        age=number % 90,
        created=datetime.fromtimestamp(1_700_000_000 + number, UTC),
        city=f"City {number % 50}",
        score=number / 7,
    )


def _hash(member: Member) -> dict[str, str]:
    values = {name: getattr(member, name) for name in Plain.model_fields}
    return {k: v.isoformat() if isinstance(v, datetime) else str(v) for k, v in values.items()}


def _resp(value: Any) -> bytes:
    """A reply as it goes over the wire."""
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%s\r\n" % (len(value), value)
    return b"*%d\r\n%s" % (len(value), b"".join(_resp(one) for one in value))


def _map(pairs: dict[str, str]) -> bytes:
    """A hash as RESP3 has it."""
    parts = (_resp(text.encode()) for pair in pairs.items() for text in pair)
    return b"%%%d\r\n%s" % (len(pairs), b"".join(parts))


async def _parsed(reply: bytes) -> list[Any]:
    reader = hiredis.Reader()
    reader.feed(reply)
    return [reader.gets()]


def _query() -> Query[Member]:
    return Member.all().limit(HYDRATE)


async def _lazy() -> list[Any]:
    return await _query()


async def _eager() -> list[Any]:
    return [(m.name, m.email, m.age, m.created, m.city, m.score) for m in await _query()]


def _validated(reply: bytes) -> list[Any]:
    reader = hiredis.Reader(encoding="utf-8")
    reader.feed(reply)
    validate = Plain.model_validate
    found = [validate(reader.gets()) for _ in range(HYDRATE)]
    return [(m.name, m.email, m.age, m.created, m.city, m.score) for m in found]
