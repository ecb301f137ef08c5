"""A replica whose master has stopped is told of no end, and answers exactly all the same."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, NotFound, String, conf

from ..conftest import _binary
from ..support.patience import limit
from ..support.servers import Server


@conf(prefix="seat", ttl=None)
class Seat(Model):
    place = String(unique=True)
    row = Integer(index=True)
    name = String(index=True)


def _milliseconds(client: Any) -> int:
    seconds, micros = client.time()
    return int(seconds) * 1000 + int(micros) // 1000


@pytest.fixture
def pair(backend: str, server: Server) -> Iterator[tuple[Server, Server]]:
    """A master and its replica, up to date."""
    own = _binary(backend)
    with (
        Server(backend, own) as master,
        Server(backend, own, "--replicaof", "127.0.0.1", str(master.port)) as copy,
    ):
        end = time.monotonic() + limit(2)
        with copy.client() as client:
            while client.info("replication").get("master_link_status") != "up":
                assert time.monotonic() < end, "the replica does not connect"
                time.sleep(0.01)
        yield master, copy
        master.process.send_signal(signal.SIGCONT)


async def test_a_replica_of_a_stopped_master_is_exact(pair: tuple[Server, Server]) -> None:
    master, copy = pair
    before, conf._db = conf._db, None
    try:
        conf.db = Database(master.url)
        await Seat.save_many([Seat.new(str(n), place=f"p{n}", row=n % 2, name="n") for n in range(20)])
        assert await (Seat.row == 1).expire(0.5) == 10
        raw: Any = conf.db.sync_client
        raw.execute_command("WAIT", 1, int(limit(1) * 1000))
        over = max(raw.zrange("seat/t", 0, -1, withscores=True), key=lambda entry: entry[1])[1]
        raw.close()
        master.process.send_signal(signal.SIGSTOP)
        conf.db = Database(copy.url)
        reader: Any = conf.db.sync_client
        while _milliseconds(reader) <= over + 2:
            time.sleep(0.01)
        reader.close()
        assert (await Seat.all().count(), len(await Seat.all().ids())) == (10, 10)
        assert (await (Seat.row == 1).count(), await (Seat.row == 1).ids()) == (0, [])
        assert await (Seat.name == "n").count() == 10
        assert (await (Seat.row >= 0).count(), len(await (Seat.row >= 0))) == (10, 10)
        assert await (Seat.place == "p1").ids() == []
        assert await (Seat.place == "p2").ids() == ["2"]
        with pytest.raises(NotFound):
            await Seat.get("1")
    finally:
        conf._db = before
