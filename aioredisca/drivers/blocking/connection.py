"""A connection of blocking code: one round trip at a time.

There are two forms, which behave alike, as of the asyncio lines (lines.py). ``FastPeer`` lets redis-py
connect, then talks over its socket itself. ``PublicPeer`` uses nothing but redis-py's public methods.
"""

from __future__ import annotations

import select
import socket
from abc import ABC, abstractmethod
from typing import Any, cast
from weakref import finalize

import hiredis
import redis.connection as client
import redis.exceptions

from aioredisca.drivers import wire
from aioredisca.drivers.settings import Settings
from aioredisca.types import Reply

READ_SIZE = 64 * 1024
"""Bytes that are read at once, at most."""

_NOTHING = object()


class Peer(ABC):
    """A connection that redis-py makes. It is closed when nobody refers to it any more."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        # redis-py's own is part of a cycle, in which the socket may be the first to go, and says so.
        finalizer: Any = finalize(self, connection.disconnect)
        finalizer.atexit = False

    def connect(self) -> None:
        """Connect and log in, anew if it was connected."""
        self._connection.disconnect()
        self._connection.connect()

    def disconnect(self) -> None:
        self._connection.disconnect()

    def is_dirty(self) -> bool:
        """Whether there is something to read before anything was asked: the end, above all."""
        try:
            return bool(self._connection.can_read())
        except wire.BROKEN:
            return True

    @abstractmethod
    def send(self, data: bytes) -> None:
        """Send *data*."""

    @abstractmethod
    def read(self, count: int) -> list[Reply]:
        """The *count* answers to what was sent; refusals stand in the list."""


class FastPeer(Peer):
    """A peer that reads and writes the socket itself, once redis-py has connected and logged in."""

    @staticmethod
    def fits(connection: Any) -> bool:
        """Whether *connection* is what this class knows: redis-py's own reading and writing of a socket."""
        kind, known = cast("Any", type(connection)), cast("Any", client.AbstractConnection)
        return (
            kind.read_response is known.read_response
            and kind.send_packed_command is known.send_packed_command
            and hasattr(connection, "_sock")
            and hasattr(select, "poll")
        )

    def connect(self) -> None:
        super().connect()
        self._socket: socket.socket = self._connection._sock
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._buffer = bytearray(READ_SIZE)
        self._reader: Any = hiredis.Reader(  # its types know no buffer but bytes
            protocolError=redis.exceptions.InvalidResponse,
            replyError=cast("Any", client.DefaultParser).parse_error,
            notEnoughData=_NOTHING,
        )

    def is_dirty(self) -> bool:
        return bool(self._poll.poll(0))

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def read(self, count: int) -> list[Reply]:
        replies: list[Reply] = []
        reader, buffer = self._reader, self._buffer
        while len(replies) < count:
            size = self._socket.recv_into(buffer)
            if not size:
                raise ConnectionError("closed by the server")
            reader.feed(buffer, 0, size)
            while (reply := reader.gets()) is not _NOTHING:
                replies.append(reply)
        return replies


class PublicPeer(Peer):
    """A peer over the public methods of a redis-py connection."""

    def send(self, data: bytes) -> None:
        self._connection.send_packed_command([data])

    def read(self, count: int) -> list[Reply]:
        return [self._read_one() for _ in range(count)]

    def _read_one(self) -> Reply:
        try:
            return self._connection.read_response(disable_decoding=True, disconnect_on_error=False)
        except wire.ANSWERS as error:
            return error


def new_peer(settings: Settings, options: dict[str, Any]) -> Peer:
    """A peer, not connected yet."""
    connection = settings.sync_class(**options)
    form = FastPeer if settings.transport != "public" and FastPeer.fits(connection) else PublicPeer
    return form(connection)
