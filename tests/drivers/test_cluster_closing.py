"""Many ask the nodes of a cluster at once, while it is closed, or nobody answers, or not as a cluster does."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from aioredisca import Database, Model, OutcomeUnknown, String, Unavailable, UsageError, conf
from aioredisca.drivers.cluster import aio, blocking
from aioredisca.drivers.run import run
from aioredisca.types import Call

from ..support.cluster import Cluster, aclose
from ..support.patience import until


@conf(tag=True)
class Leaf(Model):
    name = String()


@pytest.mark.asyncio_only
@pytest.mark.parametrize("turns", [1, 5])
async def test_who_waits_to_hear_of_the_nodes_is_told_and_not_cancelled(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    database = Database(cluster.plain_url)
    monkeypatch.setattr(conf, "_db", database)
    tasks = [asyncio.create_task(Leaf.new(str(n), name="a").save()) for n in range(3)]
    for _ in range(turns):
        await asyncio.sleep(0)
    tasks[0].cancel()
    await database.aclose()
    cancelled, *others = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(cancelled, asyncio.CancelledError)
    assert [type(other) for other in others] == [Unavailable, Unavailable]
    await Leaf.new("1", name="b").save()  # it can be used again
    await database.aclose()
    await until(lambda: len(asyncio.all_tasks()) == 1)


@pytest.mark.parametrize("error", [OutcomeUnknown, Unavailable])
async def test_what_came_of_asking_does_not_replace_what_came_of_a_call(
    clustered: Database, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """The nodes are other servers by now. Whether a call was carried out is told nevertheless."""

    def other(*_: object) -> Any:
        raise UsageError("is no cluster")

    class Gone:
        async def send(self, *_: object) -> Any:
            raise error("lost")

        send_all = send

    await Leaf.new("1", name="a").save()
    router: Any = clustered.transport()
    monkeypatch.setattr(aio, "look", other)
    monkeypatch.setattr(blocking, "look_blocking", other)
    monkeypatch.setattr(router, "_transport", lambda node: Gone())
    write = Call(("SET", "{leaf}a", "1"), writes=True)
    router._looked = 0.0
    with pytest.raises(error):
        await router.send(write)
    router._looked = 0.0
    with pytest.raises(error):
        await router.send_all([write])
    monkeypatch.undo()
    await aclose(clustered)


def test_threads_share_what_came_of_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the last of many would wait as many times as long."""
    errors, together = list[Exception](), threading.Barrier(8)

    def load() -> None:
        together.wait()
        try:
            run(Leaf.get("1"))
        except Unavailable as error:
            errors.append(error)

    with ExitStack() as stack:
        nodes = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        places = ",".join(f"127.0.0.1:{node.getsockname()[1]}" for node in nodes)
        monkeypatch.setattr(conf, "_db", Database(f"redis+cluster://{places}", connect_timeout=0.3))
        threads = [threading.Thread(target=load) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(errors) == 8
        assert len({id(error) for error in errors}) == 8  # none is shared: each has a traceback of its own
        assert sum(map(_connected, nodes)) <= 2 * len(nodes)


def _connected(node: socket.socket) -> int:
    """How many connections were made to it."""
    node.setblocking(False)
    for count in range(100):
        try:
            node.accept()[0].close()
        except BlockingIOError:
            return count
    return 100
