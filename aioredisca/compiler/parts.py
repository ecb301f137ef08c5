"""The parts in ``lua/``: read, made bare, and put together so that each finds what it needs.

A part begins with two lists: ``-- needs:`` the names that parts before it give, ``-- gives:`` those that
parts behind it may use. Comments, indentation and blank lines are not sent: to edit them changes no SHA.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from aioredisca.compiler.positions import NAMES


class BrokenScript(RuntimeError):
    """A mistake in this package: a part of a script does not find what it needs."""


@dataclass(frozen=True, slots=True)
class Part:
    """Lua text, with the names that it takes from before and those that it leaves to what follows."""

    name: str
    needs: tuple[str, ...]
    gives: tuple[str, ...]
    code: str


@cache
def part(name: str) -> Part:
    """The part in ``lua/<name>.lua``."""
    text = source(name)
    needs, gives = declared(text, name)
    return Part(name, needs, gives, filled(bare(text)))


@cache
def marked(name: str, needed: Mark, *others: Mark) -> Part:
    """The same with the lines behind ``--claims``, of a class whose uniques hold over all its partitions, or
    behind ``--feed``, of one with a feed, or both."""
    text = source(name)
    needs, gives = declared(text, name)
    for mark in (needed, *others):
        text, needs = text.replace(f"--{mark} ", ""), (*needs, _NEEDED[mark])
    return Part(name, needs, gives, filled(bare(text)))


Mark = Literal["claims", "feed"]

_NEEDED: dict[Mark, str] = {"claims": "vacate", "feed": "tell"}
"""What the lines behind each mark need."""


def parts(*names: str) -> list[Part]:
    """The parts of these names, in order."""
    return [part(name) for name in names]


def source(name: str) -> str:
    """The file ``lua/<name>.lua`` as it is."""
    return resources.files("aioredisca.compiler").joinpath("lua", f"{name}.lua").read_text("utf-8")


def declared(text: str, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What a part begins with: names it needs and names it gives. Long lists go on by ``--   ``."""
    lines = re.match(r"-- needs:(.*(?:\n--   .*)*)\n-- gives:(.*(?:\n--   .*)*)\n", text)
    if lines is None:
        raise BrokenScript(f"lua/{name}.lua does not begin with its needs and gives")
    needs, gives = (tuple(re.findall(r"\w+", line)) for line in lines.groups())
    return needs, gives


_STRING = r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|\[(?P<level>=*)\[.*?\](?P=level)\]"""
_GAP = r"(?:\s+|--(?:\[(?P<deep>=*)\[.*?\](?P=deep)\]|[^\n]*))+"
_TOKENS = re.compile(f"(?P<string>{_STRING})|(?P<gap>{_GAP})", re.DOTALL)


def bare(text: str) -> str:
    """Lua *text* without comments, indentation and blank lines. Strings stay as they are."""
    return _TOKENS.sub(_narrowed, text).strip()


def _narrowed(found: re.Match[str]) -> str:
    if found["string"] is not None:
        return found[0]
    return "\n" if "\n" in found[0] else " "


def filled(code: str) -> str:
    """*code* with each ``$NAME`` as positions.py has it. KeyError for a name that it has not."""
    return re.sub(r"\$([A-Z][A-Z_]*)", lambda found: NAMES[found[1]], code)


def joined(name: str, some: Iterable[Part]) -> Part:
    """These parts one after the other, as one: it needs what they do not give each other in time."""
    needs, gives, codes = dict[str, None](), dict[str, None](), list[str]()
    for one in some:
        needs.update(dict.fromkeys(need for need in one.needs if need not in gives))
        gives.update(dict.fromkeys(one.gives))
        codes.append(one.code)
    return Part(name, tuple(needs), tuple(gives), "\n".join(codes))


def only_if(condition: str, some: Iterable[Part]) -> Part:
    """These parts as a block that is not even built where the call does not need it; it gives nothing."""
    block = joined(condition, some)
    return Part(condition, (condition, *block.needs), (), f"if {condition} then\n{block.code}\nend")


def complete(some: Iterable[Part]) -> str:
    """The text of a whole script. BrokenScript for a part that needs what no part before it gives."""
    known, codes = set[str](), list[str]()
    for one in some:
        if missing := [need for need in one.needs if need not in known]:
            raise BrokenScript(f"the part {one.name} needs {', '.join(missing)}, which none before it gives")
        known.update(one.gives)
        codes.append(one.code)
    return "\n".join(codes) + "\n"


def quote(text: str) -> str:
    """*text* as a Lua string literal; every byte that is no letter or digit is written as a number."""
    return (
        '"' + "".join(chr(b) if chr(b).isalnum() and b < 128 else f"\\{b:03d}" for b in text.encode()) + '"'
    )


def listed(names: Iterable[str]) -> str:
    """*names* as Lua string literals with commas between."""
    return ",".join(map(quote, names))


def maker(name: str, items: Iterable[str]) -> str:
    """A function that makes a list of strings."""
    return f"{name}=function() return {{{listed(items)}}} end,"
