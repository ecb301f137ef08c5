"""Clusters on loopback, of any server that is found, stopped by pid.

Nodes take ports below 22768: that of their bus is 10,000 higher, and stays below those that systems hand out.
"""

from __future__ import annotations

import asyncio
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from aioredisca import Database

from .patience import limit
from .servers import _die_with_parent, _major

SLOTS = 16384
NODE_TIMEOUT = 2000
"""Milliseconds after which a node that does not answer counts as gone."""


class Node:
    """One server of a cluster."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        for _ in range(5):  # another process may take the port between the probe and the start
            self.port = _free_port()
            self.start()
            if _comes(lambda: self.process.poll() is not None or self._answers(), 2) and self._answers():
                return
            self.kill()
        raise RuntimeError(f"{binary} does not start")

    def start(self) -> None:
        """Start it, with what its folder holds."""
        home = self._folder / str(self.port)
        home.mkdir(exist_ok=True)
        command = [str(self._binary), "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(home)]
        command += ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0"]
        command += ["--cluster-enabled", "yes", "--cluster-node-timeout", str(NODE_TIMEOUT)]
        if _major(self._binary) >= 7:  # older ones allow it, and do not know the option
            command += ["--enable-debug-command", "yes"]
        die = _die_with_parent if sys.platform == "linux" else None
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=die
        )

    def _answers(self) -> bool:
        try:
            return bool(self.ask("INFO", "server")["process_id"] == self.process.pid)
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def client(self) -> Any:
        """A plain blocking redis-py client of this node, bytes in and out."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis(
            port=self.port, socket_timeout=limit(2), socket_connect_timeout=limit(1), retry=once
        )

    def ask(self, *command: Any) -> Any:
        """The reply to one command."""
        with self.client() as client:
            return client.execute_command(*command)

    @property
    def id(self) -> str:
        """What the cluster calls it."""
        return str(self.ask("CLUSTER", "MYID").decode())

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def is_up(self) -> bool:
        """Whether all slots are served, as far as it knows."""
        try:
            return bool(self.ask("CLUSTER INFO")["cluster_state"] == "ok")
        except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
            return False

    def role(self) -> str:
        return str(self.ask("INFO", "replication")["role"])

    def kill(self) -> None:
        """End it as a power cut does."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(limit(1))
        except subprocess.TimeoutExpired:
            self.kill()


class Cluster:
    """A running cluster: so many *masters* with so many *replicas* each, which it is ready with in two seconds.

    ``nodes``    all of them: the masters first, as they were at the start.
    """

    def __init__(self, kind: str, binary: Path, masters: int = 3, replicas: int = 0) -> None:
        self.kind, self._masters = kind, masters
        self._folder = tempfile.TemporaryDirectory(prefix="aioredisca-test-")
        self.nodes = list[Node]()
        try:
            for _ in range(masters * (1 + replicas)):
                self.nodes.append(Node(binary, Path(self._folder.name)))
            self._join(_major(binary))
        except BaseException:
            self.stop()
            raise

    def _join(self, major: int) -> None:
        masters, replicas = self.nodes[: self._masters], self.nodes[self._masters :]
        for number, node in enumerate(self.nodes, 1):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number)
        for number, node in enumerate(masters):
            first, end = number * SLOTS // len(masters), (number + 1) * SLOTS // len(masters)
            if major >= 7:
                node.ask("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
            else:
                node.ask("CLUSTER ADDSLOTS", *range(first, end))
        for node in self.nodes[1:]:
            self.nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port)
        _await(lambda: all(self._knows_all(node) for node in self.nodes), "nodes do not meet")
        for number, node in enumerate(replicas):
            self._follow(node, masters[number % len(masters)])
        _await(self.is_up, "the cluster does not come up")
        _await(lambda: all(map(_follows, replicas)), "replicas do not follow")
        _await(self._agrees, "nodes do not hear of all replicas")

    def _agrees(self) -> bool:
        """Whether each node that runs names all of them among those that serve slots."""
        named = [{int(one[1]) for slots in self._slots(node) for one in slots[2:]} for node in self.running]
        return all(ports == {node.port for node in self.running} for ports in named)

    def _knows_all(self, node: Node) -> bool:
        return int(node.ask("CLUSTER INFO")["cluster_known_nodes"]) == len(self.nodes)

    @staticmethod
    def _follow(node: Node, master: Node) -> None:
        def followed() -> bool:
            try:
                return bool(node.ask("CLUSTER", "REPLICATE", master.id))
            except redis.ResponseError:  # it has not heard of it yet
                return False

        _await(followed, "a replica does not find its master")

    def is_up(self) -> bool:
        """Whether all nodes that run see all slots served."""
        return all(node.is_up() for node in self.running)

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.process.poll() is None]

    @property
    def masters(self) -> list[Node]:
        """The nodes that serve slots, as one of them says."""
        return self.find_masters()

    def bring_back(self, node: Node) -> None:
        """Start a node again that was killed, whose replica has taken over."""
        node.start()
        _await(
            lambda: node.is_up() and _follows(node) and self.is_up() and self._agrees(),
            "a node does not come back",
        )

    def find_masters(self) -> list[Node]:
        ports = {int(slots[2][1]) for slots in self._slots()}
        return [node for node in self.nodes if node.port in ports]

    def _slots(self, node: Node | None = None) -> Any:
        with (node or self.running[0]).client() as client:
            client.set_response_callback("CLUSTER SLOTS", lambda reply, **_: reply)
            return client.execute_command("CLUSTER SLOTS")

    def master_of(self, slot: int) -> Node:
        """The node that serves *slot*."""
        port = next(int(slots[2][1]) for slots in self._slots() if slots[0] <= slot <= slots[1])
        return next(node for node in self.nodes if node.port == port)

    @property
    def url(self) -> str:
        patience = f"socket_connect_timeout={limit(1):g}&socket_timeout={limit(1):g}"
        return f"{self.plain_url}?{patience}"

    @property
    def plain_url(self) -> str:
        return f"redis+cluster://{','.join(node.place for node in self.nodes)}"

    def empty(self) -> None:
        """Remove all keys."""
        for node in self.masters:
            node.ask("FLUSHALL")

    # -- moving slots ------------------------------------------------------------------------------

    def begin_move(self, slot: int, target: Node) -> Node:
        """Begin to move a slot the old way, key by key; who gives it."""
        source = self.master_of(slot)
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.id)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.id)
        return source

    def move_keys(self, slot: int, source: Node, target: Node, count: int = 10) -> int:
        """Move up to *count* keys of it; how many there were."""
        keys = source.ask("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            source.ask("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        return len(keys)

    def end_move(self, slot: int, source: Node, target: Node) -> None:
        """The slot is that of *target* from now on."""
        for node in (target, source, *self.masters):
            node.ask("CLUSTER", "SETSLOT", slot, "NODE", target.id)

    @contextmanager
    def moving(self, slot: int, target: Node | None = None) -> Iterator[tuple[Node, Node]]:
        """Begin to move a slot, and end it behind; from where to where."""
        source = self.master_of(slot)
        target = target or next(node for node in self.masters if node is not source)
        self.begin_move(slot, target)
        try:
            yield source, target
        finally:
            while self.move_keys(slot, source, target):
                pass
            self.end_move(slot, source, target)

    def move(self, slot: int, target: Node | None = None) -> Node:
        """Move a slot to *target*, or any, as ``redis-cli --cluster reshard`` does; where it was."""
        with self.moving(slot, target) as (source, _):
            return source

    def move_at_once(self, slot: int, source: Node, target: Node) -> None:
        """Move a slot as Valkey 9 does: its keys come first, then the slot is the other's in one moment."""
        source.ask("CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id)
        _await(lambda: self.master_of(slot) is target, "a slot does not move")

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()
        self._folder.cleanup()

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


def _follows(node: Node) -> bool:
    return bool(node.ask("INFO", "replication").get("master_link_status") == "up")


def _comes(look: Callable[[], object], seconds: float) -> bool:
    end = time.monotonic() + limit(seconds)
    while not look():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _await(look: Callable[[], object], trouble: str) -> None:
    if not _comes(look, 15):
        raise RuntimeError(trouble)


def _free_port() -> int:
    """A port that nothing listens on now, nor on that of its bus."""
    while True:
        port = random.randrange(10_000, 22_000)
        if all(_is_free(one) for one in (port, port + 10_000)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


async def aclose(database: Database) -> None:
    """Close what the test has open, whichever driver it runs under."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        database.close()
    else:
        await database.aclose()
