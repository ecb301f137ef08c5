"""What each fast path is worth: client and server CPU of one operation with it and without it, in turns.

    python benchmarks/fast_paths.py [--rounds 15] [--server valkey9]

A fast path does what another way does as well, only sooner. Each is switched off in turn, so that the other
way does the work, and medians over the rounds are shown as ratios, without : with. The comments in the code
that justify a fast path cite these figures.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parent.parent)]

from aioredisca import Database, Integer, Model, String, conf  # noqa: E402
from aioredisca.compiler import batches  # noqa: E402
from aioredisca.model.mapper import Mapper  # noqa: E402
from aioredisca.query import lookup  # noqa: E402
from tests.support.servers import KINDS, Server  # noqa: E402

Step = Callable[[], Awaitable[object]]


class Plain(Model):
    """A record of usual size, without an index on what is updated."""

    email = String(unique=True)
    city = String(index=True)
    age = Integer()
    name = String()
    note = String()


async def _not_simple(spec: object) -> None:
    return None


def _never(value: object) -> None:
    return None


def _one_by_one(mapper: Any, places: Any, rows: Any) -> list[Any]:
    return [mapper.hydrate(places, id, row) for id, row in rows]


def _without_decoding() -> Callable[[], None]:
    fields = [*Plain.__mapper__.fields.values()]
    before = [field.__access__ for field in fields]
    for field in fields:
        field.__access__ = (*field.__access__[:2], None)

    def back() -> None:
        for field, access in zip(fields, before, strict=True):
            field.__access__ = access

    return back


def _without_accepting() -> Callable[[], None]:
    codecs = [field.__codec__ for field in Plain.__mapper__.fields.values()]
    before = [codec.accept_fast for codec in codecs]
    for codec in codecs:
        codec.accept_fast = _never

    def back() -> None:
        for codec, accept in zip(codecs, before, strict=True):
            codec.accept_fast = accept

    return back


def _patched(owner: Any, name: str, other: Any) -> Callable[[], Callable[[], None]]:
    def off() -> Callable[[], None]:
        before = getattr(owner, name)
        setattr(owner, name, other)
        return lambda: setattr(owner, name, before)

    return off


async def _update() -> None:
    record = Plain("1")
    record.name = "Ada"
    await record.save()


async def _find() -> None:
    await (Plain.city == "few")


async def _find_many() -> None:
    await (Plain.city == "many")


async def _make() -> None:
    Plain.new("1", email="ada@b.cc", city="Rome", age=36, name="Ada", note="-")


async def _assign() -> None:
    record = Plain("1")
    record.city, record.age, record.name = "Rome", 36, "Ada"


async def _read() -> None:
    for record in RECORDS:
        record.__state__.values.clear()
        record.city, record.age, record.name  # noqa: B018


RECORDS: list[Any] = []

CASES: dict[str, tuple[Step, int, Callable[[], Callable[[], None]]]] = {
    # the operation, how often in a round, and what switches the fast path off
    "lookup: find 3 of one value": (_find, 300, _patched(lookup, "records", _not_simple)),
    "lookup: find 500 of one value": (_find_many, 10, _patched(lookup, "records", _not_simple)),
    "hydrate_many: find 500 of one value": (_find_many, 20, _patched(Mapper, "hydrate_many", _one_by_one)),
    "fast_call: update one record": (_update, 300, _patched(batches, "fast_call", _never)),
    "accept_fast: new() of 5 fields": (_make, 2000, _without_accepting),
    "accept_fast: assign 3 fields": (_assign, 2000, _without_accepting),
    "decode_fast: read 3 fields of 500 records": (_read, 20, _without_decoding),
}


async def _cpu(raw: Any, step: Step, times: int) -> tuple[float, float]:
    """Microseconds of the client and of the server for one *step*."""
    served, begun = _served(raw), time.process_time()
    for _ in range(times):
        await step()
    spent = time.process_time() - begun
    return spent / times * 1e6, (_served(raw) - served) / times * 1e6


def _served(raw: Any) -> float:
    found = raw.info("cpu")
    return float(found["used_cpu_user"] + found["used_cpu_sys"])


async def _measure(raw: Any, rounds: int) -> None:
    print(f"{'fast path: operation':44} {'client with':>12} {'without':>9} {'client':>7} {'server':>7}")
    for name, (step, times, off) in CASES.items():
        fast, slow = list[tuple[float, float]](), list[tuple[float, float]]()
        for _ in range(rounds):
            fast.append(await _cpu(raw, step, times))
            back = off()
            try:
                slow.append(await _cpu(raw, step, times))
            finally:
                back()
        mine, other = (statistics.median(one[0] for one in taken) for taken in (fast, slow))
        client = statistics.median(b[0] / a[0] for a, b in zip(fast, slow, strict=True))
        # less than 2 ms in a round is what INFO takes
        servers = [b[1] / a[1] for a, b in zip(fast, slow, strict=True) if a[1] * times > 2000]
        server = f"{statistics.median(servers):7.2f}" if servers else f"{'-':>7}"
        print(f"{name:44} {mine:9.1f} us {other:6.1f} us {client:7.2f} {server}", flush=True)


async def _main(server: Server, rounds: int) -> None:
    conf.db = Database(server.url)
    raw = server.client()
    for n in range(1, 504):
        city = "many" if n > 3 else "few"
        await Plain.new(str(n), email=f"{n}@b.cc", city=city, age=n, name="N", note="-").save()
    RECORDS.extend(await (Plain.city == "many"))
    await _measure(raw, rounds)
    raw.close()


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--server", default="valkey9")
    given = parser.parse_args()
    kind = next(kind for kind in KINDS if kind.name == given.server)
    found = kind.find()
    if found is None:
        sys.exit(f"there is no {given.server} here")
    with Server(kind.name, found) as server:
        asyncio.run(_main(server, given.rounds))


if __name__ == "__main__":
    main()
