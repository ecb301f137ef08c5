"""Writers and servers that are killed at any moment: a feed and the records never disagree."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing, suppress
from typing import Any

import pytest

from aioredisca import Database, StoreError, conf

from ..support.drift import drift
from ..support.feeds import replayed, stored, told
from ..support.patience import until
from ..support.servers import Server
from .feed_writer import Leaf, write


def agree(raw: Any, prefix: str) -> bool:
    """Whether the feed played back is what is stored, once the last call of who was killed is through."""
    for _ in range(50):
        with suppress(AssertionError, KeyError):  # read while something was written
            if replayed(told(raw, f"{prefix}/f")) == stored(raw, prefix):
                return True
        time.sleep(0.05)
    return False


class Writers:
    """Processes that write, one after the other, each killed at a moment that its seed chooses."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "tests.scenarios.feed_writer", url]
        self.parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def killed(self, seed: int) -> None:
        """Let one begin and kill it; seed 0, the control, kills itself between its two calls."""
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        self.parent.stdin.write(f"{seed}\n".encode())
        self.parent.stdin.flush()
        pid = int(self.parent.stdout.readline())
        time.sleep(random.Random(seed).uniform(0, 0.4))
        if seed:
            os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """End all."""
        assert self.parent.stdin is not None
        assert self.parent.stdout is not None
        with suppress(BrokenPipeError):
            self.parent.stdin.close()
        self.parent.wait()
        self.parent.stdout.close()


@pytest.mark.asyncio_only
@pytest.mark.slow
async def test_a_writer_that_is_killed_leaves_no_record_without_its_entry(
    durable: Server, full: bool
) -> None:
    with closing(Writers(durable.url)) as writers, durable.client() as raw:
        for seed in range(1, 1001 if full else 9):
            writers.killed(seed)
            assert agree(raw, "leaf"), seed
            if raw.xlen("leaf/f") > 20_000:
                raw.flushall()
        assert raw.xlen("leaf/f") > 20
        writers.killed(0)
        writers.close()  # once it is dead
        assert stored(raw, "bare")
        assert replayed(told(raw, "bare/f")) != stored(raw, "bare")  # control: an entry by a second call


@pytest.mark.asyncio_only
async def test_a_server_that_is_killed_keeps_records_and_entries_alike(
    durable: Server, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    database = Database(durable.url, timeout=1)
    monkeypatch.setattr(conf, "_db", database)

    async def at_work(number: int) -> None:
        chosen = random.Random(number)
        while not stopped.is_set():
            with suppress(StoreError):
                await write(chosen, rounds=5)

    for kill in range(20 if full else 1):
        stopped = asyncio.Event()
        with durable.client() as raw:
            raw.flushall()
            tasks = [asyncio.create_task(at_work(number)) for number in range(4)]
            await until(lambda: raw.xlen("leaf/f") > 20)
            await asyncio.sleep(random.Random(kill).uniform(0, 0.3))
            durable.kill()
        stopped.set()
        await asyncio.gather(*tasks)
        durable.restart()
        with durable.client() as raw:
            assert raw.xlen("leaf/f") > 20
            assert agree(raw, "leaf")
            assert drift(raw, [Leaf]) == []
    await database.aclose()
