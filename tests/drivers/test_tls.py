"""TLS: URLs and clients of either colour, under both drivers, through a real handshake."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
import trustme
from redis import sentinel
from redis.asyncio import sentinel as asynchronous

from aioredisca import (
    Database,
    DriverMisuse,
    Model,
    String,
    Unavailable,
    session,
)
from aioredisca.drivers.cluster.slots import slot_of_key
from aioredisca.types import Call

from ..support.cluster import Cluster
from ..support.oracle import SERVICE, Oracle
from ..support.patience import limit
from ..support.servers import Server


class User(Model):
    name = String(index=True)


class Terminator:
    """Speaks TLS on a port of 127.0.0.1 and forwards to a plain one, in a thread of its own."""

    def __init__(self, target: int, authority: trustme.CA) -> None:
        self._target = target
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(self._context)
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: None)  # refused handshakes are meant
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._call(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]

    def _call(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._forward, "127.0.0.1", 0, ssl=self._context)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(pump(reader, behind[1]), pump(behind[0], writer))

    def close(self) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> str:
    """A file with the certificate to trust."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


@pytest.fixture
def secure(server: Server, authority: trustme.CA) -> Iterator[int]:
    """The port of a real server that speaks TLS."""
    terminator = Terminator(server.port, authority)
    yield terminator.port
    terminator.close()


async def close(database: Database, driver: str) -> None:
    database.close() if driver == "blocking" else await database.aclose()


@pytest.mark.parametrize("how", ["url", "blocking client", "asyncio client"])
async def test_a_record_goes_over_tls(secure: int, trusted: str, driver: str, how: str) -> None:
    options: dict[str, Any] = {"port": secure, "ssl": True, "ssl_ca_certs": trusted}
    sources: dict[str, Any] = {
        "url": f"rediss://localhost:{secure}/0?ssl_ca_certs={trusted}",
        "blocking client": redis.Redis(**options),
        "asyncio client": redis.asyncio.Redis(**options),
    }
    database = Database(sources[how])
    async with session(database):
        await User.new("1", name="Ada").save()
        assert await User.name.find("Ada") == [User("1")]
    await close(database, driver)


async def test_a_cluster_over_tls_through_other_addresses(
    cluster: Cluster, authority: trustme.CA, trusted: str, driver: str
) -> None:
    """All nodes are reached as redis-py is told to reach them: those that are found, and those that are named."""
    terminators = {node.port: Terminator(node.port, authority) for node in cluster.nodes}
    ports = {port: terminator.port for port, terminator in terminators.items()}
    client = redis.asyncio.RedisCluster(
        host="127.0.0.1",
        port=ports[cluster.nodes[0].port],
        ssl=True,
        ssl_ca_certs=trusted,
        ssl_check_hostname=False,
        address_remap=lambda place: (place[0], ports[place[1]]),
    )
    database = Database(client)
    slots = [slot_of_key(key) for key in ("a", "b", "c", "d")]
    assert len({cluster.master_of(slot).port for slot in slots}) == 3
    for key in ("a", "b", "c", "d"):
        assert await database.transport().send(Call(("SET", key, key), writes=True)) == b"OK"
    cluster.move(slots[0])  # and the node that is named then, too
    assert await database.transport().send(Call(("GET", "a"))) == b"a"
    await close(database, driver)
    for terminator in terminators.values():
        terminator.close()


async def test_a_server_that_is_not_trusted_is_not_talked_to(secure: int, driver: str) -> None:
    database = Database(f"rediss://localhost:{secure}/0")
    async with session(database):
        with pytest.raises(Unavailable, match=r"certificate verify failed.*ssl_ca_certs="):
            await User.new("1", name="Ada").save()
    await close(database, driver)


async def test_a_check_that_asyncio_cannot_make_is_not_left_out(driver: str) -> None:
    database = Database(redis.Redis(port=1, ssl=True, ssl_validate_ocsp=True))
    async with session(database):
        with pytest.raises(DriverMisuse if driver == "asyncio" else Unavailable):
            await User("1").exists()
    await close(database, driver)


@pytest.mark.parametrize("how", ["url", "blocking client", "asyncio client"])
async def test_sentinels_and_their_primary_over_tls(
    secure: int, authority: trustme.CA, trusted: str, driver: str, how: str
) -> None:
    oracle = Oracle(secure)
    oracle.host = "localhost"  # as in the certificate
    before = Terminator(oracle.port, authority)
    options: dict[str, Any] = {"ssl": True, "ssl_ca_certs": trusted}
    place = [("localhost", before.port)]
    blocking: Any = sentinel.Sentinel
    shared: Any = asynchronous.Sentinel
    sources: dict[str, Any] = {
        "url": f"rediss+sentinel://localhost:{before.port}/{SERVICE}/0?ssl_ca_certs={trusted}",
        "blocking client": blocking(place, 0, options, **options).master_for(SERVICE),
        "asyncio client": shared(place, 0, options, **options).master_for(SERVICE),
    }
    database = Database(sources[how])
    async with session(database):
        await User.new("1", name="Ada").save()
        assert await User.name.find("Ada") == [User("1")]
    await close(database, driver)
    plain = Database(f"redis+sentinel://localhost:{before.port}/{SERVICE}/0", connect_timeout=limit(0.1))
    async with session(plain):
        with pytest.raises(Unavailable, match=r"no sentinel answers.*begin the URL with rediss"):
            await User("1").exists()
    await close(plain, driver)
    before.close()
    oracle.stop()
