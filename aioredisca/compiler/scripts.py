"""The scripts that are sent: which parts of ``lua/`` follow each other, and the SHA-1 that names the whole.

``lua/README.md`` tells of the compositions. The script of a write is composed per set of classes: their
declarations, the parts that they and the changes need, and one call per index (rendering.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Literal

from aioredisca.compiler.parts import Part, complete, only_if, part, parts
from aioredisca.compiler.rendering import Rendered
from aioredisca.types import Script

Answer = Literal["rows", "count", "plan", "ordered"]
"""What a query is to answer: rows as they are found, a number, how it would be done, rows in an order."""

_COMMON = ("shared/call", "shared/holds", "read/leaves", "read/tree", "read/walk")

QUERY_PARTS: dict[Answer, tuple[str, ...]] = {
    "rows": ("shared/call", "read/whole_index", *_COMMON[1:], "read/rows", "read/unordered"),
    "count": (*_COMMON, "read/count"),
    "plan": (*_COMMON, "read/strategy", "read/explain"),
    "ordered": (*_COMMON, "read/rows", "read/strategy", "read/ordered"),
}
"""What the script of a query is composed of: to define what is not used takes time, too."""

Small = Literal["choose", "collect", "declare", "probe"]

SMALL_PARTS: dict[Small, tuple[str, ...]] = {
    "choose": ("shared/call", "small/choose"),
    "collect": ("shared/call", "shared/signature", "small/collect"),
    "declare": ("shared/call", "small/declare"),
    "probe": ("shared/call", "small/probe"),
}

WriteExtra = Literal["increment", "cascade"]

WRITE_EXTRAS: tuple[WriteExtra, ...] = ("increment", "cascade")
"""Parts of a write that only some changes need."""

_KINDS = ("unique", "exact", "range", "sorted", "tags", "compounds")
"""The parts of the kinds of indexes. The script of a class has those that it uses."""


def script_of(text: str) -> Script:
    """A script of this text, with the name that the server gives it."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@cache
def query_script(answer: Answer) -> Script:
    """The script of one step of a query."""
    return script_of(complete(parts(*QUERY_PARTS[answer])))


@cache
def small_script(name: Small) -> Script:
    """The script ``lua/small/<name>.lua``."""
    return script_of(complete(parts(*SMALL_PARTS[name])))


@lru_cache(maxsize=1024)
def write_script(classes: tuple[Rendered, ...], extras: tuple[WriteExtra, ...]) -> Script:
    """A script that writes records of these *classes*, with the *extras* that only some changes need."""
    fast = classes[0].fast if len(classes) == 1 and not extras else ()
    counts, cascades = ([f"write/{name}"] if name in extras else [] for name in WRITE_EXTRAS)
    return script_of(
        complete(
            [
                *_rules(classes, always=bool(cascades)),
                *fast,
                *_taken(classes),
                *parts(*counts, "write/judge", *cascades),
                *_written(classes),
                Part("reply", ("reply",), (), "return reply"),
            ]
        )
    )


@lru_cache(maxsize=1024)
def get_or_create_script(classes: tuple[Rendered, ...]) -> Script:
    """A script that creates a record of the one class in *classes*, or finds it, or updates it."""
    return script_of(
        complete(
            [
                *_rules(classes, always=True),
                *_taken(classes),
                *parts("write/get_or_create_pick", "write/judge"),
                *_written(classes),
                part("write/get_or_create_reply"),
            ]
        )
    )


def _rules(classes: Sequence[Rendered], *, always: bool) -> list[Part]:
    """The rules that the paths of a write share. What an index says is looked at for uniques, or *always*."""
    holds = ["shared/holds"] if always or any("unique" in one.kinds for one in classes) else []
    return parts("shared/call", "shared/signature", *holds)


def _taken(classes: Sequence[Rendered]) -> list[Part]:
    """The declarations, and what takes the records from ARGV."""
    declarations = ",\n".join(one.declaration for one in classes)
    text = f"local FIXED = {sum(one.fixed for one in classes)}\nlocal CLASSES = {{{declarations}}}"
    head = Part("declarations", (), ("FIXED", "CLASSES"), text)
    return [head, part("write/parse"), only_if("careful", [part("write/preconditions")])]


def _written(classes: Sequence[Rendered]) -> list[Part]:
    """What a script does to the indexes, if any changes, and to the hashes."""
    kinds = [f"write/{name}" for name in _KINDS if any(name in one.kinds for one in classes)]
    indexes = [*parts("write/indexes", *kinds), _index_calls(classes)]
    return [part("write/touched"), only_if("touched", indexes), part("write/commit")]


def _index_calls(classes: Sequence[Rendered]) -> Part:
    """One call per index, in the order that ``lua/write/indexes.lua`` tells."""
    claims = ["write_claims()"] if any("unique" in one.kinds for one in classes) else []
    lines = ["local list, refusal"]
    lines += _for_each([[_judged(call) for call in one.judges] for one in classes])
    lines += _for_each([one.enters for one in classes])
    lines += claims
    lines += _for_each([one.leaves for one in classes])
    calls = [call for one in classes for call in (*one.judges, *one.enters, *one.leaves)]
    needs = {call.partition("(")[0]: None for call in (*calls, *claims)}
    return Part("calls of the indexes", ("CLASSES", *needs), (), "\n".join(lines))


def _for_each(calls: Iterable[Sequence[str]]) -> list[str]:
    """The *calls* of each class, for the groups of it whose indexes change: ``list``."""
    lines = list[str]()
    for number, own in enumerate(calls, 1):
        if own:
            lines += [f"list = CLASSES[{number}].list", "if list then", *own, "end"]
    return lines


def _judged(call: str) -> str:
    return f"refusal = {call}\nif refusal then return refusal end"
