"""The names that a piece of Lua takes from outside and those that it leaves behind, as its compiler sees them."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import lupa.lua51 as lua  # type: ignore[import-untyped]

GETGLOBAL, SETGLOBAL = 5, 7


@dataclass
class Names:
    """``free``: names that are no locals of the text; ``made``: those of them that it assigns to; ``left``: its
    own locals that are still there at its end."""

    free: set[str] = field(default_factory=set[str])
    made: set[str] = field(default_factory=set[str])
    left: set[str] = field(default_factory=set[str])


def names_of(code: str) -> Names:
    """The names of a Lua 5.1 chunk, read off its bytecode."""
    try:  # one local more, so that a block at the end of the text is over before its end
        dumped = _compiled(code + "\nlocal last")
    except SyntaxError:  # it ends with a return
        dumped = _compiled(code)
    found = Names()
    _Bytecode(dumped).function(found)
    found.left.discard("last")
    return found


def _compiled(code: str) -> bytes:
    runtime: Any = lua.LuaRuntime(encoding=None)
    compiler = runtime.eval(
        b"function(text) local made, why = loadstring(text) return {made and string.dump(made), why} end"
    )
    answer = compiler(code.encode())
    if not answer[1]:
        raise SyntaxError(answer[2].decode())
    dumped: bytes = answer[1]
    return dumped


class _Bytecode:
    """Reads what string.dump() of Lua 5.1 has written on this kind of machine."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 12  # behind the header

    def take(self, form: str) -> Any:
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def text(self) -> str:
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size : self.at - 1].decode("latin-1") if size else ""

    def many(self, read: Any) -> list[Any]:
        return [read() for _ in range(self.take("i"))]

    def constant(self) -> Any:
        kind = self.take("B")
        return self.text() if kind == 4 else self.take("d") if kind == 3 else kind and self.take("B")

    def function(self, names: Names, inner: bool = False) -> None:
        self.text()
        self.at += 12  # lines, and how many of what
        code, constants = self.many(lambda: self.take("I")), self.many(self.constant)
        uses = [(step & 63, constants[step >> 14]) for step in code if step & 63 in (GETGLOBAL, SETGLOBAL)]
        names.free |= {name for _, name in uses}
        names.made |= {name for how, name in uses if how == SETGLOBAL}
        self.many(lambda: self.function(names, inner=True))
        self.many(lambda: self.take("i"))
        local = self.many(lambda: (self.text(), self.take("i"), self.take("i")))
        self.many(self.text)
        if not inner:
            names.left |= {name for name, _, end in local if end == len(code) - 1}
