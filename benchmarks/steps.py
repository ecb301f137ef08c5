"""How long one step of a query holds the server: the largest over many trees, in milliseconds.

    python benchmarks/steps.py [--records 28298] [--server redis7 --server valkey9] [--trees 60]

A query is answered in steps of one script call each, which examine about 2,000 ids. This runs random trees of
conditions and chosen hard ones (wide ORs, rare matches) as rows, counts, orders, pages, deep offsets and
random samples, and takes the processor time of the main thread over each round trip, by INFO cpu, less what
INFO takes. A query with a step over one millisecond is run three times more, and its smallest largest counts.

The records are the airports of the world, and beyond their number copies of them: other ids and codes, the
same names, countries and time zones, elevations a little off. The first server is loaded; the others start
from its dump where they can read it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE / "peers")]

from ours import Airport  # noqa: E402
from questions import airports  # noqa: E402

from aioredisca import Database, conf  # noqa: E402
from aioredisca.drivers.aio.multiplexer import Multiplexer  # noqa: E402
from tests.support.servers import KINDS, Server, version_of  # noqa: E402

SECONDS = 8.0
"""For one query: what is not read by then is left out."""

CLOSE_LOOK = 1000
REPEATS = 3
ALL = airports()

COPY = """
for _, id in ipairs(ARGV) do
  local v = redis.call('HMGET', 'airport:' .. id, 'name', 'city', 'country', 'tz', 'elevation', 'lat', 'lon')
  for copy = tonumber(KEYS[1]), tonumber(KEYS[2]) do
    local new = id .. '-' .. copy
    local pairs = {'icao', new, 'name', v[1], 'country', v[3], 'tz', v[4], 'lat', v[6], 'lon', v[7]}
    if v[2] then
      pairs[#pairs + 1], pairs[#pairs + 2] = 'city', v[2]
    end
    if v[5] then
      local feet = string.format('%d', tonumber(v[5]) + copy)
      pairs[#pairs + 1], pairs[#pairs + 2] = 'elevation', feet
      redis.call('ZADD', 'airport/r/elevation', feet, new)
      redis.call('ZADD', 'airport/c/country/elevation/' .. v[3], feet, new)
    else
      redis.call('SADD', 'airport/n/elevation', new)
    end
    redis.call('HSET', 'airport:' .. new, unpack(pairs))
    redis.call('HSET', 'airport/u/icao', new, new)
    redis.call('ZADD', 'airport/ids', 0, new)
    redis.call('ZADD', 'airport/s/name', 0, v[1] .. '\\0' .. new)
    redis.call('SADD', 'airport/x/country/' .. v[3], new)
    redis.call('SADD', 'airport/x/tz/' .. v[4], new)
  end
end
"""
"""What save() writes, written by the server itself: a million saves take minutes."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


# -- the records -----------------------------------------------------------------------------------


async def load(server: Server, records: int) -> None:
    await Airport.save_many([Airport.new(one["icao"], **one) for one in ALL[:records]], batch=500)
    wanted, copies = records - len(ALL), 0
    client = server.client()
    script = client.register_script(COPY)
    codes = [one["icao"] for one in ALL]
    while wanted > 0:
        some = codes[:wanted]
        for first in range(0, len(some), 200):
            script(keys=[copies, copies], args=some[first : first + 200])
        wanted, copies = wanted - len(some), copies + 1
    client.close()


async def check(records: int) -> None:
    """The indexes agree on how many there are: what was copied is what save() would have written."""
    everything = await Airport.all().count()
    known, unknown = await Airport.elevation.not_none().count(), await Airport.elevation.is_none().count()
    named = await (Airport.name >= "").count()
    countries = sorted({one["country"] for one in ALL})
    placed = sum([await (Airport.country == code).count() for code in countries])
    if {everything, known + unknown, named, placed} != {records}:
        raise SystemExit(f"the indexes disagree: {everything}, {known}+{unknown}, {named}, {placed}")


# -- the trees -------------------------------------------------------------------------------------


class Trees:
    """Random conditions on airports, of values that some of them hold."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def tree(self, depth: int) -> Any:
        roll = self.random.random()
        if not depth or roll < 0.15:
            return self.leaf()
        if roll < 0.3:
            return ~self.tree(depth - 1)
        parts = [self.tree(depth - 1) for _ in range(self.random.randint(2, 4))]
        found = parts[0]
        for part in parts[1:]:
            found = found & part if roll < 0.65 else found | part
        return found

    def one(self) -> dict[str, Any]:
        return self.random.choice(ALL)

    def leaf(self) -> Any:
        a, one, other = Airport, self.one(), self.one()
        feet = sorted([one["elevation"] or 0, other["elevation"] or 0])
        return self.random.choice(
            [
                lambda: a.country == one["country"],
                lambda: a.tz == one["tz"],
                lambda: a.tz != one["tz"],
                lambda: a.elevation >= feet[1],
                lambda: a.elevation < feet[0],
                lambda: a.elevation.between(*feet),
                lambda: a.elevation.is_none(),
                lambda: a.elevation == feet[0],
                lambda: a.name.startswith(one["name"][: self.random.randint(1, 4)]),
                lambda: a.name >= one["name"],
                lambda: a.icao == one["icao"],
                lambda: a.country.in_([self.one()["country"] for _ in range(self.random.randint(2, 40))]),
                lambda: a.name.in_([self.one()["name"] for _ in range(self.random.randint(2, 40))]),
                lambda: a.elevation.not_in([self.one()["elevation"] for _ in range(3)]),
            ]
        )()


def hard() -> Iterator[tuple[str, Any]]:
    """Conditions that could hold a server for long."""
    a = Airport
    countries = sorted({one["country"] for one in ALL})
    zones = sorted({one["tz"] for one in ALL})
    us = a.country == "US"
    yield "all", a.all()
    yield "in every country", a.country.in_(countries)
    yield "in every time zone or no elevation", a.tz.in_(zones) | a.elevation.is_none()
    yield "OR of three wide ranges", (a.elevation >= 0) | (a.name >= "A") | us
    yield "OR of 26 prefixes", _any_of([a.name.startswith(chr(65 + i)) for i in range(26)])
    yield "not in 100 countries", a.country.not_in(countries[:100])
    yield "US & wide range", us & (a.elevation >= 0)
    yield "US & wide range & wide text", us & (a.elevation >= 0) & (a.name >= "B")
    yield "two wide sets, little in common", us & (a.tz == "America/Toronto")
    yield "wide & rare", (a.elevation >= 0) & a.name.startswith("Zz")
    yield "wide & not wide", (a.elevation >= 0) & ~(a.elevation >= 1) & (a.name >= "A")
    yield "US & not 20 time zones", us & a.tz.not_in(zones[:20])
    yield "NOT of a wide OR", ~((a.elevation >= 0) | us | (a.name < "C"))
    yield (
        "rare AND rare of wide ORs",
        (us | (a.elevation < 0)) & (a.name.startswith("X") | (a.tz == "Asia/Kabul")),
    )


def _any_of(parts: list[Any]) -> Any:
    found = parts[0]
    for part in parts[1:]:
        found = found | part
    return found


# -- what is done with each ------------------------------------------------------------------------


async def _stream(query: Any) -> None:
    async for _ in query:
        pass


async def _pages(query: Any) -> None:
    cursor = None
    for _ in range(5):
        page = await query.page(50, after=cursor)
        cursor = page.next
        if cursor is None:
            break


def verbs(query: Any, records: int) -> Iterator[tuple[str, Callable[[], Awaitable[Any]]]]:
    a = Airport

    def fetched(wanted: Any) -> Callable[[], Awaitable[Any]]:
        async def fetch() -> Any:
            return await wanted

        return fetch

    yield "rows", lambda: _stream(query)
    yield "count", query.count
    yield "exists", query.exists
    for name, column in {
        "elevation": a.elevation,
        "elevation desc": a.elevation.desc(),
        "name": a.name,
    }.items():
        ordered = query.order_by(column)
        yield f"top 20 by {name}", fetched(ordered.limit(20))
        yield f"page 50 by {name}", fetched(ordered.offset(980).limit(20))
        yield f"offset {records // 2} by {name}", fetched(ordered.offset(records // 2).limit(20))
        yield f"cursors by {name}", lambda ordered=ordered: _pages(ordered)
    yield "1,000 by elevation", fetched(query.order_by(a.elevation).limit(1000))
    yield "top 20 by two fields", fetched(query.order_by(a.elevation.desc(), a.name).limit(20))
    yield "limit 100", fetched(query.limit(100))
    yield "cursors by id", lambda: _pages(query)
    yield "random 100", lambda: query.random(100)
    yield "random 1,000", lambda: query.random(1000)


# -- measuring -------------------------------------------------------------------------------------


@dataclass
class Step:
    """One step: its microseconds on the server, and what it belonged to."""

    us: int
    tree: str
    verb: str


class Meter:
    """The processor time of a server, read before and after every round trip of the library.

    Wall time, as SLOWLOG has it, counts what other processes took on a busy machine.
    """

    def __init__(self, server: Server) -> None:
        self.client = server.client()
        self.steps: list[float] = []
        empty = [-self._now() + self._now() for _ in range(50)]
        self.own = statistics.median(empty)

    def _now(self) -> float:
        cpu = self.client.info("cpu")
        return float(cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"]) * 1e6

    async def _timed(self, reply: Callable[[], Awaitable[Any]]) -> Any:
        before = self._now()
        found = await reply()
        self.steps.append(self._now() - before - self.own)
        return found

    def send_all(self, transport: Multiplexer, calls: Any) -> Any:
        return self._timed(lambda: _send_all(transport, calls))

    def send(self, transport: Multiplexer, call: Any) -> Any:
        return self._timed(lambda: _send(transport, call))

    async def largest(self, run: Callable[[], Awaitable[Any]]) -> int:
        """Microseconds of the dearest round trip of a query; the script is in the server already."""
        self.steps.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(SECONDS):
                await run()
        return round(max(self.steps, default=0))


_send_all, _send = Multiplexer.send_all, Multiplexer.send


async def measure(server: Server, trees: list[tuple[str, Any]], records: int) -> list[Step]:
    meter, steps = Meter(server), list[Step]()
    Multiplexer.send_all = lambda transport, calls: meter.send_all(transport, calls)  # type: ignore[method-assign,assignment]
    Multiplexer.send = lambda transport, call, overlap=None: meter.send(transport, call)  # type: ignore[method-assign,assignment]
    for name, query in trees:
        for verb, run in verbs(query, records):
            largest = await meter.largest(run)
            repeats = 0
            while largest > CLOSE_LOOK and repeats < REPEATS:
                largest = min(largest, await meter.largest(run))
                repeats += 1
            steps.append(Step(largest, name, verb))
    return steps


def show(kind: str, records: int, steps: list[Step]) -> list[str]:
    """The lines of one server: the largest of all, then of each verb."""
    steps.sort(key=lambda step: -step.us)
    top = steps[0]
    lines = [f"| {kind} | {records:,} | {len(steps):,} | {top.us / 1000:.2f} | {top.verb}: {top.tree} |"]
    say(lines[0])
    for step in steps[:12]:
        say(f"    {step.us / 1000:6.2f} ms  {step.verb}: {step.tree}")
    return lines


async def _one(server: Server, kind: str, records: int, trees: int, loaded: bool) -> list[str]:
    conf.db = Database(server.url)
    if not loaded:
        start = time.monotonic()
        await load(server, records)
        say(f"{kind}: {records:,} records in {time.monotonic() - start:.0f} s")
    await check(records)
    some = Trees(seed=11)
    # A query knows no name of its own: its repr tells the condition.
    chosen = [*hard(), *((f"random {i}", some.tree(3)) for i in range(trees))]
    steps = await measure(server, chosen, records)
    stale = sum(conf.db.stale_rows.values())
    await conf.db.aclose()
    if stale:
        raise SystemExit(f"{stale} rows were stale: the copies are not what save() writes")
    return show(kind, records, steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--records", type=int, default=len(ALL))
    parser.add_argument("--server", action="append", help="a server by name; repeatable")
    parser.add_argument("--trees", type=int, default=60)
    given = parser.parse_args()
    dump = Path(tempfile.mkdtemp(prefix="bench-steps-"))
    try:
        for kind in KINDS:
            binary = kind.find()
            if given.server and kind.name not in given.server:
                continue
            if binary is None:
                say(f"absent: {kind.name}")
                continue
            label = f"{kind.name} ({version_of(binary)})"
            options = ["--dir", str(dump), "--dbfilename", "dump.rdb"]
            with Server(kind.name, binary, *options) as server:
                client = server.client()
                loaded = client.dbsize() > 0
                asyncio.run(_one(server, label, given.records, given.trees, loaded))
                if not (dump / "dump.rdb").exists():
                    client.execute_command("SAVE")
    finally:
        shutil.rmtree(dump)


if __name__ == "__main__":
    main()
