"""What is used of redis-py beyond its public methods: all of it, in one place.

redis-py connects: TLS, login, the database. Then its sockets are taken over, where connections are laid out
as known here. Those that are not are driven over their public methods; only ``hang_up`` looks into them.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
from typing import Any, cast

import hiredis
import redis.asyncio.connection as asynchronous
import redis.connection as blocking
import redis.exceptions

NOTHING = object()
"""What a reader has where the next reply is not whole yet."""


def new_reader() -> Any:  # its own types know no buffer but bytes
    """A parser of replies that makes the errors of redis-py of error replies."""
    return hiredis.Reader(
        protocolError=redis.exceptions.InvalidResponse,
        replyError=cast("Any", blocking.DefaultParser).parse_error,
        notEnoughData=NOTHING,
    )


def stream_of(connection: Any) -> asyncio.Transport | None:
    """The socket of an asyncio *connection*, as a transport, if it is redis-py's own and free to take."""
    writer = getattr(connection, "_writer", None)
    own = (
        _plain(connection, asynchronous.AbstractConnection)
        and isinstance(writer, asyncio.StreamWriter)
        and isinstance(writer.transport.get_protocol(), asyncio.StreamReaderProtocol)
    )
    return cast("asyncio.Transport", cast("Any", writer).transport) if own else None


def has_socket(connection: Any) -> bool:
    """Whether the socket of a blocking *connection*, once it is connected, may be taken over."""
    return _plain(connection, blocking.AbstractConnection) and hasattr(connection, "_sock")


def socket_of(connection: Any) -> socket.socket:
    """The socket of a connected blocking *connection* that has one."""
    return cast("socket.socket", connection._sock)


def takes(kind: Any, option: str) -> bool:
    """Whether connections of *kind* have an option: redis-py from 5.3 to 8 got some of TLS one by one."""
    bases: tuple[Any, ...] = kind.__mro__[:-1]
    return any(option in inspect.signature(base).parameters for base in bases if "__init__" in vars(base))


def _plain(connection: Any, known: Any) -> bool:
    """Whether *connection* reads and writes as redis-py's own do."""
    kind = cast("Any", type(connection))
    return kind.read_response is known.read_response and kind.send_packed_command is known.send_packed_command


async def has_data(connection: Any) -> bool:
    """Whether there is something to read on an asyncio *connection*: redis-py before 8 has another name."""
    look = getattr(connection, "can_read", None) or connection.can_read_destructive
    return bool(await look())


def hang_up(connection: Any) -> None:
    """Close the socket of an asyncio *connection* now, whatever is on the way.

    Its public method is a coroutine, for which there may be no loop any more. It has nothing to close then.
    """
    writer = getattr(connection, "_writer", None)
    connection._writer = connection._reader = None
    if writer is not None:
        abort = getattr(writer.transport, "abort", writer.close)  # fakeredis has no socket
        abort()
