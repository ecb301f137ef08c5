"""The scripts that are sent: which parts of ``lua/`` follow each other, and the SHA-1 that names the whole.

``lua/README.md`` tells of the compositions. The script of a write is composed per set of classes: their
declarations, the parts that they and the changes need, and one call per index (rendering.py).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from typing import Literal

from aioredisca.compiler.parts import Mark, Part, complete, marked, only_if, part, parts, quote
from aioredisca.compiler.rendering import Rendered
from aioredisca.types import Script

Answer = Literal["rows", "count", "plan", "ordered"]
"""What a query is to answer: rows as they are found, a number, how it would be done, rows in an order."""

_QUICK = ("read/tree_at", "read/one_holder")
_COMMON = ("read/leaves", "read/tree", "read/walk")

QUERY_PARTS: dict[Answer, tuple[str, ...]] = {
    "rows": (*_QUICK, "read/whole_index", *_COMMON, "read/fields", "read/rows", "read/unordered"),
    "count": (*_COMMON, "read/count"),
    "plan": (*_COMMON, "read/strategy", "read/explain"),
    "ordered": (*_QUICK, *_COMMON, "read/fields", "read/rows", "read/strategy", "read/ranks", "read/ordered"),
}
"""What the script of a query is composed of: to define what is not used takes time, too."""

_LIVING = {"read/tree_at": "read/living_at"}
_BY_MOMENT = {
    "read/leaves": "read/due",
    "read/fields": "read/moment",
    "read/strategy": "read/backlog",
    "read/ranks": "read/by_moment",
}
"""What stands in the place of a part, and what follows it, where records end."""

MIGRATE_PARTS = ("exchange", "finish", "move", "nothing", "purge")
"""Scripts of migrations, each of its own."""

TAKE_PARTS = (
    *("read/tree_at", "read/leaves", "read/tree", "take/chosen", "read/walk", "read/fields", "read/rows"),
    *("read/strategy", "read/ranks", "read/ordered"),
)
"""How the records are found that the same call changes: in an order, each judged by itself."""

SMALL_PARTS = (
    *("change_meta", "choose", "evicts", "feed_group", "feed_read", "lease", "look", "mend", "probe"),
    *("rights", "scan", "sweep"),
)

WriteExtra = Literal["requirements", "increment", "cascade", "parents", "after", "adds"]

WRITE_EXTRAS: tuple[WriteExtra, ...] = ("requirements", "increment", "cascade", "parents", "after", "adds")
"""Parts of a write that only some changes need."""

INDEX_PARTS = ("unique", "exact", "range", "sorted", "tags", "compounds")
"""The parts of the kinds of indexes. The script of a class has those that it uses."""

SHARED_PARTS = (
    *(
        "shared/call",
        "shared/stamp",
        "shared/permit",
        "shared/feed",
        "shared/holds",
        "shared/leave",
        "shared/evicts",
        "shared/sortable",
        "shared/score",
    ),
    *("shared/joined", "shared/elements", "shared/clock", "shared/vacate", "shared/over", "shared/noted"),
    *("shared/ends", "shared/claimed", "shared/stream"),
)
"""What several parts need, put in where it is needed first."""


OVER = "shared/over"
"""What takes away records that are over, and what they claim."""

CLAIM_PARTS = ("claims/claim", "claims/release")
"""Scripts of the partition of a value."""

UNDECLARED = "--!df flags=allow-undeclared-keys\n"
"""What scripts begin with, for Dragonfly: they reach keys of values that were stored before, which no call
can declare. A comment to all others."""


def script_of(text: str) -> Script:
    """A script of this text, with the name that the server gives it."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def composed(some: Iterable[Part], *, claims: bool = False, tells: bool = False) -> Script:
    """A script of these parts, with what they share right before the first that needs it.

    So a fast path, which returns, builds nothing that only others need. *claims*: of a class whose uniques
    hold over all its partitions. *tells*: of one with a feed.
    """
    left, found, marks = parts(*SHARED_PARTS), list[Part](), list[Mark]()
    if claims:
        marks.append("claims")
    if tells:
        marks.append("feed")
    if marks:
        left = [marked(one.name, *marks) if one.name == OVER else one for one in left]
    for one in some:
        shared = _shared(one, left)
        left = [other for other in left if other not in shared]
        found += [*shared, one]
    return script_of(UNDECLARED + complete(found))


def _shared(one: Part, left: Sequence[Part]) -> list[Part]:
    """Those of the shared parts that are *left* which this one needs, and which those need."""
    needs, found = {*one.needs}, list[Part]()
    for other in reversed(left):
        if not needs.isdisjoint(other.gives):
            needs.update(other.needs)
            found.insert(0, other)
    return found


@cache
def query_script(answer: Answer, expires: bool) -> Script:
    """The script of one step of a query, for classes whose records end, or for others."""
    names = QUERY_PARTS[answer]
    if expires:
        names = _where_records_end(names)
        if answer == "count":
            names = ("read/living_at", "read/whole_count", *names)
    return composed(parts(*names))


def _where_records_end(names: Sequence[str]) -> tuple[str, ...]:
    both = ((_LIVING.get(name, name), _BY_MOMENT.get(name)) for name in names)
    return tuple(name for pair in both for name in pair if name)


@lru_cache(maxsize=1024)
def take_script(classes: tuple[Rendered, ...], extras: tuple[WriteExtra, ...]) -> Script:
    """A script that changes the records of the class which it finds, by what :func:`write_script` does."""
    names = _where_records_end(TAKE_PARTS) if classes[0].expires else TAKE_PARTS
    given = Part("arguments", (), ("CONDITION",), "local CONDITION = CONDITION")
    find = _function("find", "KEYS, ARGV, CONDITION", composed([given, *parts(*names)]))
    write = _function("write", "KEYS, ARGV", write_script(classes, extras))
    return composed([find, write, part("take/take")])


def _function(name: str, arguments: str, script: Script) -> Part:
    """*script* as a function in another one."""
    text = script.text.removeprefix(UNDECLARED).rstrip()
    return Part(name, (), (name,), f"local function {name}({arguments})\n{text}\nend")


@cache
def small_script(name: str) -> Script:
    """The script ``lua/small/<name>.lua``."""
    return composed([part(f"small/{name}")])


@cache
def migrate_script(name: str) -> Script:
    """The script ``lua/migrate/<name>.lua``."""
    return composed([part(f"migrate/{name}")])


@lru_cache(maxsize=64)
def journaled_script(script: Script) -> Script:
    """*script* between what stops it where another runner is at work and what records that it ran."""
    return composed([part("migrate/fence"), _function("batch", "", script), part("migrate/advance")])


@lru_cache(maxsize=1024)
def write_script(classes: tuple[Rendered, ...], extras: tuple[WriteExtra, ...]) -> Script:
    """A script that writes records of these *classes*, with the *extras* that only some changes need."""
    fast = classes[0].fast if len(classes) == 1 and not extras else ()
    requires, counts, cascades, checks, after, adds = (
        [f"write/{name}"] if name in extras else [] for name in WRITE_EXTRAS
    )
    judged = parts(*_ending(classes), *requires, *counts, "write/judge", *cascades, *checks, *adds)
    reply = Part("the reply", ("reply", "refused"), (), "return refused or reply")
    taken = [*_taken(classes), *parts(*(["write/once"] if after else []))]
    if _tells(classes):
        after, added = [*after, *(["write/after_told"] if after else [])], ["write/added", "write/adds_told"]
    else:
        added = ["write/added"]
    after += added if adds else []
    if not _claims(classes):
        return composed([*fast, *taken, *judged, *_written(classes, after), reply], tells=_tells(classes))
    fences, owed = part("write/fences"), part("write/owed")
    written = [*taken, fences, *judged, *_written(classes, after, fenced=True)]
    return composed([*fast, *written, owed, reply], claims=True, tells=_tells(classes))


@lru_cache(maxsize=1024)
def get_or_create_script(classes: tuple[Rendered, ...], extras: tuple[WriteExtra, ...]) -> Script:
    """A script that creates a record of the one class in *classes*, or finds it, or updates it."""
    checks = ["write/parents"] if "parents" in extras else []
    counts = ["write/increment"] if "increment" in extras else []
    judged = parts(*_ending(classes), "write/get_or_create_pick", *counts, "write/judge", *checks)
    reply = part("write/get_or_create_reply")
    return composed([*_taken(classes), *judged, *_written(classes), reply], tells=_tells(classes))


@lru_cache(maxsize=1024)
def build_script(one: Rendered) -> Script:
    """A script that indexes records of the class anew, while indexes are built."""
    taken, judged = _taken((one,)), parts(*_ending((one,)), "write/judge")
    building, built = part("write/building"), part("write/built")
    written = [*taken, building, *judged, *_written((one,)), built]
    return composed(written, claims=_claims((one,)), tells=one.tells)


@cache
def collect_script(expires: bool, tells: int = 0) -> Script:
    """A script that works on a collection of a record, of a class whose records end, or of another; *tells*:
    how many changes its feed keeps, if it has one."""
    ended, collect = parts(*(["small/ended"] if expires else [])), part("small/collect")
    if not tells:
        return composed([*ended, collect])
    fed = Part("the class", (), ("CLASSES",), f"local CLASSES = {{{{meta=1,feed={quote(str(tells))}}}}}")
    wrapped = Part("collect", collect.needs, ("collect",), f"local function collect()\n{collect.code}\nend")
    return composed([fed, *ended, wrapped, part("small/collect_told")])


@cache
def probe_script(fields_end: bool) -> Script:
    """A script that asks for missing rights, of a class whose fields end, or of another."""
    return composed(parts(*(["small/probe_fields"] if fields_end else []), "small/probe"))


@cache
def field_end_script(expires: bool) -> Script:
    """A script that gives a field another end, of a class whose records end, or of another."""
    return composed(parts(*(["small/ended"] if expires else []), "small/field_end"))


@lru_cache(maxsize=1024)
def sweep_script(one: Rendered) -> Script:
    """A script that takes away what is left of records of the class that are over."""
    declarations = _declarations((one,))
    return composed([declarations, part("small/bury")], claims=_claims((one,)), tells=one.tells)


@cache
def claim_script(name: str) -> Script:
    """The script of one of CLAIM_PARTS."""
    return composed([part(name)])


@lru_cache(maxsize=1024)
def verify_script(one: Rendered) -> Script:
    """A script that compares claims with what records of the class hold."""
    return _of_claims(one, "claims/verify")


@lru_cache(maxsize=1024)
def abort_script(one: Rendered) -> Script:
    """A script that hands claims back."""
    return _of_claims(one, "claims/abort")


def _of_claims(one: Rendered, name: str) -> Script:
    ends = "claims/ending" if one.expires else "claims/living"
    return composed([_declarations((one,)), *parts(ends, name)], claims=True, tells=one.tells)


def _claims(classes: Sequence[Rendered]) -> bool:
    """Whether uniques of the classes hold over all their partitions."""
    return any(one.fences for one in classes)


def _tells(classes: Sequence[Rendered]) -> bool:
    """Whether one of the classes has a feed."""
    return any(one.tells for one in classes)


def _ending(classes: Sequence[Rendered]) -> list[str]:
    return ["write/ending"] if any(one.expires for one in classes) else []


def _fields_ending(classes: Sequence[Rendered]) -> tuple[list[str], list[str]]:
    """What comes before the hashes are written, and what comes behind, where fields end."""
    ends = any(one.fields_end for one in classes)
    return (["write/fields_ending"], ["write/fields_ended"]) if ends else ([], [])


def _taken(classes: Sequence[Rendered]) -> list[Part]:
    """The declarations, and what takes the records from ARGV."""
    return [
        _declarations(classes),
        part("write/parse"),
        only_if("careful", [part("write/preconditions")]),
    ]


def _declarations(classes: Sequence[Rendered]) -> Part:
    declarations = ",\n".join(one.declaration for one in classes)
    text = f"local FIXED = {sum(one.fixed for one in classes)}\nlocal CLASSES = {{{declarations}}}"
    return Part("declarations", (), ("FIXED", "CLASSES"), text)


def _written(classes: Sequence[Rendered], then: Sequence[str] = (), *, fenced: bool = False) -> list[Part]:
    """What a script does to the indexes, if any changes, to the hashes, *then*, and to what ends."""
    kinds = [f"write/{name}" for name in INDEX_PARTS if any(name in one.kinds for one in classes)]
    fence = ["write/fence"] if fenced else []
    indexes = [*parts("write/indexes", *kinds, *fence), _index_calls(classes, fenced)]
    before, after = (parts(*names) for names in _fields_ending(classes))
    if _tells(classes):
        before, after = [*before, part("write/telling")], [*after, part("write/told")]
    after += parts(*then)
    ended = parts("write/ended") if _ending(classes) else []
    hashes = [part("write/touched"), only_if("touched", indexes), part("write/commit")]
    return [*before, *hashes, *after, *ended]


def _index_calls(classes: Sequence[Rendered], fenced: bool) -> Part:
    """One call per index, in the order that ``lua/write/indexes.lua`` tells."""
    lines = ["local list, refusal"]
    lines += _for_each([[_judged(call) for call in one.judges] for one in classes])
    if fenced:
        lines += [*_for_each([one.fences for one in classes]), _judged("unclaimed()")]
    lines += _for_each([one.writes for one in classes])
    needs = dict.fromkeys(re.findall(r"\b\w+(?=\()", "\n".join(lines)))
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
