"""Stand-ins for servers that cannot be had here: a proxy in front of a real one, with the rules of another.

It speaks RESP2 and RESP3, one command after the other, in a thread per connection: for blocking and asyncio clients alike.
"""

from __future__ import annotations

import importlib
import socket
import socketserver
import threading
from collections import Counter
from collections.abc import Callable
from io import BufferedIOBase
from typing import Any, cast

import pytest
from redis.crc import key_slot

from .patience import limit

Rule = Callable[[str, list[bytes]], bytes | None]
"""What a server answers to a command of that name, with all of its words; None where it is as any other."""

lua54: Any = importlib.import_module("lupa.lua54")
"""It carries no types."""

_GROUPS = {"ACL", "CLIENT", "CLUSTER", "COMMAND", "CONFIG", "SCRIPT"}
"""Commands whose second word is a part of the name."""

SERVERLESS_ARGUMENTS = 3999
"""Arguments of one command that ElastiCache Serverless takes."""


def garnet(name: str, words: list[bytes]) -> bytes | None:
    """Garnet: what it lacks, it does not name. Start the server behind it without :data:`GARNET_LACKS`."""
    lacks = {
        "SORT",
        "SORT_RO",
        "EVAL_RO",
        "EVALSHA_RO",
        "CLIENT TRACKING",
        "CLIENT TRACKINGINFO",
        "ACL DRYRUN",
    }
    return b"-ERR unknown command\r\n" if name in lacks else None


GARNET_LACKS = ("SORT", "SORT_RO")
"""What scripts of the server behind it must not find either."""


def serverless(name: str, words: list[bytes]) -> bytes | None:
    """ElastiCache Serverless: a cluster behind one address, with limits of its own."""
    if len(words) > SERVERLESS_ARGUMENTS:
        return b"-ERR the number of arguments exceeds the limit\r\n"
    if name in ("SELECT", "CONFIG GET", "CONFIG SET", "DEBUG"):
        return b"-ERR unknown command '%s'\r\n" % name.encode()
    if not name.startswith("EVAL"):
        return None
    keys = words[3 : 3 + int(words[2])]
    if not keys:
        return b"-ERR Lua scripts without any input keys are not supported\r\n"
    return (
        None
        if len({key_slot(key) for key in keys}) == 1
        else b"-CROSSSLOT Keys in request don't hash to the same slot\r\n"
    )


def no_scripts(name: str, words: list[bytes]) -> bytes | None:
    """OCI Cache, sharded: scripts are refused."""
    return b"-ERR unknown command '%s'\r\n" % name.encode() if name.startswith("EVAL") else None


def declared_keys_only(name: str, words: list[bytes]) -> bytes | None:
    """Proxies in front of shards, as of GeminiDB and Tair: a script may call nothing but the words KEYS[...]."""
    refusal = b"-ERR bad lua script for redis cluster, all the keys that the script uses should be passed using the KEYS array\r\n"
    return refusal if name.startswith("EVAL") else None


def dragonfly(name: str, words: list[bytes]) -> bytes | None:
    """Dragonfly, as far as scripts go: one reaches keys that were not declared if its first line says so."""
    if name not in ("EVAL", "EVAL_RO") or words[1].startswith(b"--!df flags=allow-undeclared-keys\n"):
        return None
    return b"-ERR Error running script: @user_script:1: script tried accessing undeclared key, key: k\r\n"


def dragonfly_in_memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of a Dragonfly in this process: SORT reads no hash fields there, and scripts are Lua 5.4."""
    from fakeredis import FakeRedis, FakeServer
    from fakeredis.commands_mixins import scripting_mixin

    monkeypatch.setattr(scripting_mixin, "LUA_MODULE", _Lua54())
    return FakeRedis(server=FakeServer(server_type="dragonfly"))


class _Lua54:
    """Lua 5.4 with ``unpack``, as Dragonfly has it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(lua54, name)

    @staticmethod
    def LuaRuntime(**options: Any) -> Any:
        runtime = lua54.LuaRuntime(**options)
        runtime.execute(b"unpack = table.unpack")
        return runtime


class Limited:
    """Forwards 127.0.0.1:port to a server on another port, but for what *rule* answers.

    ``seen``  how often each command came, by name.
    """

    def __init__(self, target: int, rule: Rule) -> None:
        self.target, self.rule = target, rule
        self.seen = Counter[str]()
        self._server = _Listener(("127.0.0.1", 0), _Talk)
        self._server.limited = self
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    @property
    def url(self) -> str:
        return (
            f"redis://127.0.0.1:{self.port}/0?socket_connect_timeout={limit(1):g}&socket_timeout={limit(1):g}"
        )

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()


class _Listener(socketserver.ThreadingTCPServer):
    daemon_threads = True
    limited: Limited

    def __init__(self, *arguments: Any) -> None:
        self.talks = set[_Talk]()
        super().__init__(*arguments)

    def hang_up(self) -> None:
        for talk in list(self.talks):
            talk.request.shutdown(socket.SHUT_RDWR)


class _Talk(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        listener = cast("_Listener", self.server)
        listener.talks.add(self)
        limited = listener.limited
        try:
            with (
                socket.create_connection(("127.0.0.1", limited.target)) as line,
                line.makefile("rb") as replies,
            ):
                while command := _command(self.rfile):
                    raw, words = command
                    name = _name(words)
                    limited.seen[name] += 1
                    answer = limited.rule(name, words)
                    if answer is None:
                        line.sendall(raw)
                        answer = _reply(replies)
                    self.wfile.write(answer)
        except OSError:
            pass
        finally:
            listener.talks.discard(self)


def _name(words: list[bytes]) -> str:
    name = words[0].decode().upper()
    return f"{name} {words[1].decode().upper()}" if name in _GROUPS and len(words) > 1 else name


def _command(stream: BufferedIOBase) -> tuple[bytes, list[bytes]] | None:
    """The next command as it came, and its words; None at the end."""
    if not (head := stream.readline()):
        return None
    raw, words = [head], list[bytes]()
    for _ in range(int(head[1:])):
        size = stream.readline()
        word = stream.read(int(size[1:]) + 2)
        raw += (size, word)
        words.append(word[:-2])
    return b"".join(raw), words


def _reply(stream: BufferedIOBase) -> bytes:
    """The next reply, whole. OSError where there is none any more."""
    head = stream.readline()
    if not head:
        raise OSError("the server has hung up")
    kind = head[:1]
    if kind in b"+-:_#,(":
        return head
    size = int(head[1:])
    if size < 0:
        return head
    if kind in b"$=":
        return head + stream.read(size + 2)
    return head + b"".join(_reply(stream) for _ in range(2 * size if kind == b"%" else size))
