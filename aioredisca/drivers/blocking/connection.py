"""A connection of blocking code: one round trip at a time.

There are two forms, which behave alike, as those of asyncio do (aio/connection.py). ``SocketConnection`` lets
redis-py connect, then talks over its socket itself. ``StreamConnection`` uses its public methods alone.
"""

from __future__ import annotations

import select
from abc import ABC, abstractmethod
from typing import Any
from weakref import finalize

from aioredisca.drivers import internals, translate
from aioredisca.drivers.address import Address
from aioredisca.drivers.fence import Talk, forget_others, introduction
from aioredisca.drivers.sentinels import Node
from aioredisca.storage.facts import Peer, StoreFacts
from aioredisca.types import Reply

READ_SIZE = 64 * 1024
"""Bytes that are read at once, at most."""


class Connection(ABC):
    """Talks over a connection that redis-py makes, the raw one; closed when nobody refers to it any more.

    ``peer``   what the server calls it.
    ``place``  where it leads to, and ``node`` the same, where sentinels name the server.
    """

    def __init__(self, raw: Any, facts: StoreFacts) -> None:
        self._raw, self._facts, self.place = raw, facts, ""
        self.node: Node | None = None
        self.peer: Peer | None = None
        # redis-py's own is part of a cycle, in which the socket may be the first to go, and says so.
        finalizer: Any = finalize(self, raw.disconnect)
        finalizer.atexit = False

    def connect(self, address: Address) -> None:
        """Connect to *address* and log in, anew if it was connected.

        Of a primary that sentinels have named it is known then that it is one.
        """
        self._raw.disconnect()
        self.place = address.place
        if address.sentinels is not None:
            self.node = self._raw.host, self._raw.port = address.node
        try:
            self._raw.connect()
        except UnicodeError as error:  # somebody has announced a name that no host can have
            raise ConnectionError(str(error)) from None
        if address.sentinels is not None:
            self.hold(address.sentinels.verified(address.node))
            forget_others(self._facts, address.place)
        self.peer = self.hold(introduction(self._facts, self.place))

    def hold(self, talk: Talk) -> Peer | None:
        """Say what *talk* says, and tell it the answers; what it comes to."""
        answer: Reply = None
        while True:
            try:
                command = talk.send(answer)
            except StopIteration as done:
                peer: Peer | None = done.value
                return peer
            self._raw.send_command(*command, check_health=False)
            answer = self._read_one()

    def _read_one(self) -> Reply:
        try:
            return self._raw.read_response(disable_decoding=True, disconnect_on_error=False)
        except translate.ANSWERS as error:
            return error

    def disconnect(self) -> None:
        self._raw.disconnect()

    def is_dirty(self) -> bool:
        """Whether there is something to read before anything was asked: the end, above all."""
        try:
            return bool(self._raw.can_read())
        except translate.BROKEN:
            return True

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send *data*."""

    @abstractmethod
    def read(self, count: int) -> list[Reply]:
        """The *count* answers to what was sent; refusals stand in the list."""


class SocketConnection(Connection):
    """Reads and writes the socket itself, once redis-py has connected and logged in."""

    def connect(self, address: Address) -> None:
        if address.sentinels is not None:  # they may name another by then, if this one stands still
            self._raw.socket_timeout = address.connect_timeout
        super().connect(address)
        self._socket = internals.socket_of(self._raw)
        if address.sentinels is not None:
            self._socket.settimeout(address.timeout)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._buffer = bytearray(READ_SIZE)
        self._parser = internals.new_reader()

    def is_dirty(self) -> bool:
        return bool(self._poll.poll(0))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self, count: int) -> list[Reply]:
        replies: list[Reply] = []
        reader, buffer = self._parser, self._buffer
        while len(replies) < count:
            size = self._socket.recv_into(buffer)
            if not size:
                raise ConnectionError("closed by the server")
            reader.feed(buffer, 0, size)
            while (reply := reader.gets()) is not internals.NOTHING:
                replies.append(reply)
        if len(replies) > count:
            raise ConnectionError("more answers than questions")
        return replies


class StreamConnection(Connection):
    """Sends and reads by the public methods of redis-py's connection."""

    def send(self, data: bytes) -> None:
        self._raw.send_packed_command([data])

    def read(self, count: int) -> list[Reply]:
        return [self._read_one() for _ in range(count)]


def new_connection(address: Address, options: dict[str, Any], facts: StoreFacts) -> Connection:
    """A connection in the fastest form that its class and the system allow, not connected yet."""
    raw = address.sync_class(**options)
    fast = address.transport != "public" and internals.has_socket(raw) and hasattr(select, "poll")
    return SocketConnection(raw, facts) if fast else StreamConnection(raw, facts)
