"""Many records that end, under writers and readers of several processes: ``nox -s expiry-soak`` takes a million."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aioredisca import Database, conf, sweep
from aioredisca.sync import run

from ..support.patience import limit
from ..support.servers import Server
from ..support.soaking import BATCH, QUESTIONS, Soaked, milliseconds

RECORDS = int(os.environ.get("REDISCA_SOAK", "5000"))
FULL = RECORDS > 100_000
SPREAD = 60_000 if FULL else 1500
"""Milliseconds: the longest TTL."""

WRITERS = READERS = 2
ROOT = Path(__file__).parents[2]


class Role:
    """A process that plays one, and what it notes."""

    def __init__(self, folder: Path, role: str, url: str, *numbers: int) -> None:
        self.path = folder / f"{role}{numbers[0]}"
        command = [sys.executable, "-m", "tests.support.soaking", role, url, *map(str, numbers)]
        with self.path.open("w") as notes:
            self.process = subprocess.Popen(command, stdout=notes, cwd=ROOT)

    def notes(self) -> list[list[Any]]:
        """Once it has ended."""
        assert self.process.wait(limit(60)) == 0
        return [json.loads(line) for line in self.path.read_text().splitlines()]


def judge(
    batches: dict[str, tuple[int, int, int]], seen: list[list[Any]]
) -> tuple[int, int, list[list[Any]]]:
    """How many answers were of the living, how many of what is over, and those that were wrong."""
    living = over = 0
    wrong = list[list[Any]]()
    for one in seen:
        name, kind, first, last, answer = one
        begun, done, ttl = batches[name]
        if first > done + ttl:
            over, wanted = over + 1, 0
        elif first >= done and last <= begun + ttl:
            living, wanted = living + 1, QUESTIONS[kind][1]
        else:
            continue  # it began or ended meanwhile: nobody knows
        if answer != wanted:
            wrong.append(one)
    return living, over, wrong


def test_control_the_judge_tells_what_is_wrong() -> None:
    batches = {"0/0": (100, 102, 10)}
    right = [["0/0", "get", 102, 110, 1], ["0/0", "get", 113, 114, 0], ["0/0", "get", 111, 112, 1]]
    assert judge(batches, right) == (1, 1, [])
    late, early = ["0/0", "get", 113, 114, 1], ["0/0", "count by value", 103, 110, 49]
    assert judge(batches, [late, early]) == (1, 1, [late, early])


def left_alone(pid: int) -> bool:
    """Let nothing take the processor from the server while it works: then its slow log tells of its own time.

    Real-time priority, where this process may give it. Else what the log shows is partly others' work.
    """
    try:
        os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(10))
    except (AttributeError, PermissionError):
        return False
    return True


def test_every_answer_is_right_and_nothing_stays(server: Server, tmp_path: Path) -> None:
    before = conf._db
    with server.client() as client:
        client.config_set("slowlog-log-slower-than", 10_000)
        client.slowlog_reset()
        client.hset("progress", "begun", 0)
        if FULL:
            alone = left_alone(server.process.pid)
            sys.stdout.write(f"the server {'is left alone' if alone else 'shares its core'}: ")
        conf.db = Database(server.url)
        try:
            soak(server.url, client, tmp_path)
        finally:
            conf.db.close()
            conf._db = before
            client.config_set("slowlog-log-slower-than", -1)


def soak(url: str, client: Any, folder: Path) -> None:
    started = time.monotonic()
    writers = [Role(folder, "write", url, n, RECORDS // BATCH // WRITERS, SPREAD) for n in range(WRITERS)]
    readers = [Role(folder, "read", url, n, WRITERS) for n in range(READERS)]
    largest = 0

    def look() -> int:
        nonlocal largest
        now = milliseconds(client)
        largest = max(largest, client.zcount("soak/t", "-inf", f"({now}"))
        return now

    while any(one.process.poll() is None for one in writers):
        look()
        time.sleep(0.05)
    written = time.monotonic() - started
    batches = {name: (first, last, ttl) for one in writers for name, first, last, ttl in one.notes()}
    end = max(last + ttl for _, last, ttl in batches.values())
    while look() <= end + 200:
        time.sleep(0.05)
    client.delete("progress")
    living, over, wrong = judge(batches, [line for one in readers for line in one.notes()])
    begun = time.monotonic()
    left = run(sweep(Soaked))
    slow = client.slowlog_get(1000)
    figures = (
        f"{len(batches) * BATCH:,} records in {written:.1f} s; {living:,} answers of living ones and {over:,} of "
        f"what was over, {len(wrong)} wrong; largest backlog {largest:,}; {left:,} swept at the end in "
        f"{time.monotonic() - begun:.1f} s; {len(slow)} commands above 10 ms, the longest "
        f"{max((one['duration'] for one in slow), default=0) / 1000:.1f} ms\n"
    )
    sys.stdout.write(figures)
    assert wrong == []
    assert living
    assert over
    assert len(batches) == RECORDS // BATCH
    assert client.keys("*") == [b"soak/meta"]
