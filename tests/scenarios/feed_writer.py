"""Processes that write records of a class with a feed until they are killed: ``python -m ... URL``."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from contextlib import suppress
from typing import Any

from aioredisca import Conflict, Integer, Model, String, conf, session


@conf(feed=True)
class Leaf(Model):
    name = String(index=True)
    size = Integer(index=True)
    code = Integer(unique=True)


@conf(prefix="bare")
class Bare(Model):
    """The same without a feed: the control writes one by a second call."""

    name = String(index=True)


async def write(chosen: random.Random, rounds: int | None = None) -> None:
    """Write by all verbs, at random; for ever, unless *rounds* says otherwise."""
    while rounds is None or rounds > 0:
        rounds = None if rounds is None else rounds - 1
        id, number = str(chosen.randrange(20)), chosen.randrange(9)
        with suppress(Conflict):
            match chosen.randrange(6):
                case 0:
                    await Leaf.new(id, name="new", size=number, code=number).save()
                case 1:
                    await Leaf(id).incr(Leaf.size, number)
                case 2:
                    await Leaf(id).delete()
                case 3:
                    leaves = [Leaf.new(str(n), name="bulk") for n in range(number, number + 5)]
                    await Leaf.save_many(leaves, skip_conflicts=True)
                case 4:
                    await (Leaf.size == number).update(name="found", size=number + 1)
                case _:
                    async with session() as s:
                        for leaf in await Leaf.get_many([id, str(number)]):
                            if leaf is not None:
                                leaf.name = f"unit {number}"
                        await s.flush()


async def write_in_two_calls(database: Any) -> None:
    """What a feed is without one script: killed between the two calls, sooner or later."""
    client = database.client
    for n in range(20):
        await Bare.new(str(n), name="x").save()
        if n == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        await client.xadd("bare/f", {"k": "c", "i": str(n), "=name": "x"})


def child(seed: int) -> int:
    """Fork a process that writes, for ever, or as the control does, seed 0; its id."""
    pid = os.fork()
    if not pid:
        asyncio.run(write(random.Random(seed)) if seed else write_in_two_calls(conf.db))
    return pid


async def warm_up() -> None:
    """Make once what each child would make: modules, scripts. They connect anew."""
    await write(random.Random(0), rounds=20)
    await conf.db.aclose()


if __name__ == "__main__":  # a child for each number that is read
    conf.db = sys.argv[1]
    asyncio.run(warm_up())
    for line in sys.stdin:
        pid = child(int(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        os.waitpid(pid, 0)
