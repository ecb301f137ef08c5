"""The life of a contender: a process of its own that loads, answers and times what it is told over a pipe.

One JSON object per line comes in, and one goes out for each::

    {"do": "load"}                              {"seconds": s}
    {"do": "answer", "question": q}             {"answer": a number, or icao codes}
    {"do": "time", "question": q, "seconds": s} {"seconds": median of the calls, "calls": n}
    {"do": "versions"}                          {"versions": {name: version}}
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

Asked = Callable[[], Awaitable[Any]]
MIN_CALLS, MAX_CALLS = 3, 400


class Contender:
    """What a contender gives: how it loads, its queries by number, and the codes in what these return."""

    packages: tuple[str, ...] = ()

    async def load(self) -> None:
        raise NotImplementedError

    def questions(self) -> dict[str, Asked]:
        raise NotImplementedError

    def codes(self, rows: Any) -> list[str]:
        raise NotImplementedError


async def _timed(asked: Asked, seconds: float) -> dict[str, Any]:
    """Call for about so many seconds. The median of the calls: a hiccup of the machine is one call."""
    gc.collect()
    took = list[float]()
    end = time.perf_counter() + seconds
    while len(took) < MIN_CALLS or (time.perf_counter() < end and len(took) < MAX_CALLS):
        start = time.perf_counter()
        await asked()
        took.append(time.perf_counter() - start)
    return {"seconds": statistics.median(took), "calls": len(took)}


async def _answer(contender: Contender, asked: Asked) -> dict[str, Any]:
    found = await asked()
    return {"answer": found if isinstance(found, int) else contender.codes(found)}


async def _do(contender: Contender, order: dict[str, Any]) -> dict[str, Any]:
    if order["do"] == "load":
        start = time.perf_counter()
        await contender.load()
        return {"seconds": time.perf_counter() - start}
    if order["do"] == "versions":
        return {"versions": {name: version(name) for name in contender.packages}}
    asked = contender.questions().get(order["question"])
    if asked is None:
        return {"absent": True}
    if order["do"] == "answer":
        return await _answer(contender, asked)
    return await _timed(asked, order["seconds"])


async def _serve(contender: Contender, replies: Any) -> None:
    for line in sys.stdin:  # blocking: nothing else happens in this process
        try:
            reply = await _do(contender, json.loads(line))
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def serve(contender: Contender) -> None:
    """Serve until standard input ends."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not stand between the replies
    asyncio.run(_serve(contender, replies))
