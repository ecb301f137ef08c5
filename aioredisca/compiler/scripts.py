"""The Lua scripts: read from ``lua/``, composed, and named by their SHA-1.

The write script is composed per set of classes: a table of their declarations, the parts that they and the
changes need, and one call per index. Only class declarations enter its text, each through :func:`quote`;
data comes in ARGV.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from string import Template

from aioredisca.storage.keys import MARKER
from aioredisca.storage.schema import Referrer, Schema
from aioredisca.types import Script


@cache
def stored(*names: str) -> Script:
    """The script in ``lua/<name>.lua``, as it is; of several files one after the other."""
    return script_of("".join(map(_body, names)))


def script_of(text: str) -> Script:
    """A script of this text, with the name that the server gives it."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _body(name: str) -> str:
    return resources.files("aioredisca.compiler").joinpath("lua", f"{name}.lua").read_text("utf-8")


@lru_cache(maxsize=1024)
def write_script(classes: tuple[Rendered, ...], parts: tuple[str, ...]) -> Script:
    """A script that writes records of these *classes*, with the *parts* that only some changes need.

    ``lua/write.lua`` tells how all parts follow each other.
    """
    counts, cascades = ([name] if name in parts else [] for name in WRITE_PARTS)
    judged = _bodies(*counts, "prepare", *cascades, "touched")
    single = classes[0].single if len(classes) == 1 and not parts else ""
    return script_of(single + _taken(classes) + judged + _index_calls(classes) + _bodies("commit", "reply"))


@lru_cache(maxsize=1024)
def obtain_script(classes: tuple[Rendered, ...]) -> Script:
    """A script that creates a record of the one class in *classes*, or finds it: ``lua/obtain.lua``."""
    judged = _bodies("obtain", "prepare", "touched")
    return script_of(_taken(classes) + judged + _index_calls(classes) + _bodies("commit", "found"))


WRITE_PARTS = ("count", "cascade")
"""What only some changes need."""

_KINDS = ("unique", "exact", "range", "sorted", "tags", "compounds")
"""The files of the kinds of indexes. The script of a class has those that it uses."""


def _bodies(*names: str) -> str:
    return "\n".join(map(_body, names))


def _taken(classes: Sequence[Rendered]) -> str:
    """The beginning of a script: the declarations, and what takes the records from ARGV and reads them."""
    declarations = ",\n".join(one.declaration for one in classes)
    head = f"local FIXED = {sum(one.fixed for one in classes)}\nlocal CLASSES = {{{declarations}}}\n"
    taken = head + _bodies("write", "batch")
    return taken + _only_if("careful", _body("expect")) + _only_if("reading", _body("read"))


def _only_if(condition: str, text: str) -> str:
    """*text* as a part that is not even built where the call does not need it."""
    return f"if {condition} then\n{text}\nend\n"


def _index_calls(classes: Sequence[Rendered]) -> str:
    """What a script does to the indexes, if any changes."""
    kinds = [name for name in _KINDS if any(name in one.kinds for one in classes)]
    lines = [_bodies("indexes", *kinds), "local list, refusal"]
    lines += _for_each([[_judged(call) for call in one.judges] for one in classes])
    lines += _for_each([one.enters for one in classes])
    lines += [_body("claims")] if "unique" in kinds else []
    lines += _for_each([one.leaves for one in classes])
    return _only_if("touched", "\n".join(lines))


def _for_each(calls: Iterable[Sequence[str]]) -> list[str]:
    """The *calls* of each class, for the groups of it whose indexes change: ``list``."""
    lines = list[str]()
    for number, own in enumerate(calls, 1):
        if own:
            lines += [f"list = CLASSES[{number}].list", "if list then", *own, "end"]
    return lines


def _judged(call: str) -> str:
    return f"refusal = {call}\nif refusal then return refusal end"


@dataclass(frozen=True, slots=True)
class Rendered:
    """A class as Lua text: its declaration, how many fixed keys it has, and the calls for its indexes.

    ``judges`` answer a refusal or nothing, ``enters`` add entries in keys that values name, ``leaves``
    do the rest. ``kinds`` are the files that have the functions. ``single`` is ``single.lua`` for this
    class, or empty.
    """

    declaration: str
    fixed: int
    judges: tuple[str, ...]
    enters: tuple[str, ...]
    leaves: tuple[str, ...]
    kinds: frozenset[str]
    single: str


def rendered(schema: Schema, first: int) -> Rendered:
    """The class as Lua text; its fixed keys are numbered from *first* on (KEYS counts from 1)."""
    known = schema.compiled.rendered
    if first not in known:  # to write it out takes longer than to save a record
        known[first] = _rendered(schema, first, "")
    return known[first]


def rendered_for_cascade(schema: Schema, first: int, referrers: Sequence[str]) -> Rendered:
    """The same with what ``cascade.lua`` must know, and the references to it, see :func:`referrer`."""
    tracked = _maker("tracked", [spec.key for spec in schema.tracked], always=True)
    more = f"name={quote(schema.model)},{tracked}"
    return _rendered(schema, first, more + (f"referrers={{{','.join(referrers)}}}," if referrers else ""))


def _rendered(schema: Schema, first: int, more: str) -> Rendered:
    keys = {key: f"KEYS[{number}]" for number, key in enumerate(schema.fixed_keys, first)}
    judges, enters, leaves = list[str](), list[str](), list[str]()
    for spec in schema.tracked:
        slots = {name: keys[key] for name, key in schema.slots(spec)}
        field = quote(spec.key)
        if spec.unique:
            judges.append(f"claim(list, {slots['unique']}, {field}, change)")
        if spec.index in ("exact", "tags"):
            enters.append(f"enter_{spec.index}(list, {field})")
            digests = f", {slots['digests']}" if spec.index == "exact" else ""
            leaves.append(f"leave_{spec.index}(list, {field}{digests})")
        elif spec.index:
            leaves.append(f"write_{spec.index}(list, {field}, {slots[spec.index]})")
        if spec.nullable:
            leaves.append(f"write_none(list, {field}, {slots['none']})")
    for compound in schema.compounds:
        names = ", ".join(map(quote, compound.fields))
        if compound.unique:
            key = keys[schema.keys.unique_together(compound.fields)]
            judges.append(f"claim(list, {key}, {{{names}}}, change_together, held_together)")
        else:
            enters.append(f"enter_pair(list, {names}, {keys[schema.keys.range(compound.fields[1])]})")
            leaves.append(f"leave_pair(list, {names})")
    leaves.append(f"write_ids(list, {keys[schema.keys.ids]})")
    return Rendered(
        _declaration(schema, first, more),
        len(keys),
        tuple(judges),
        tuple(enters),
        tuple(leaves),
        _kinds(schema),
        _single(schema) if first == 1 and is_simple(schema) else "",
    )


def is_simple(schema: Schema) -> bool:
    """Whether ``single.lua`` knows all indexes of a class, and its text stays short."""
    few = len(schema.tracked) <= MAX_TRACKED and len(schema.fields) <= MAX_SINGLE
    return (
        few and not schema.compounds and {spec.index for spec in schema.indexes} <= {"exact", "range", None}
    )


MAX_TRACKED = 16
"""Indexed fields of a class that ``single.lua`` is written out for."""

MAX_SINGLE = 400
"""Fields that ``single.lua`` takes."""


def _single(schema: Schema) -> str:
    """``single.lua`` for one class."""
    slots = {key: f"KEYS[{number}]" for number, key in enumerate(schema.fixed_keys, 1)}
    tracked = [
        {"tracked": "", "field": quote(spec.key), "n": str(n), "at": str(n + 1)}
        | {name: slots[key] for name, key in schema.slots(spec)}
        for n, spec in enumerate(schema.tracked, 1)
    ]
    required = [{"required": "", "field": quote(name)} for name in schema.required]
    rows: list[dict[str, str]] = [*tracked, *required, *([] if required else [{"marker": ""}])]
    whole = {
        "signature": quote(schema.signature),
        "fields": _listed([_witness(schema), *(spec.key for spec in schema.tracked)]),
        "declared": _listed(schema.by_key),
        "collections": _listed(schema.collections),
    }

    def written_out(part: re.Match[str]) -> str:
        return "".join(Template(part[2]).substitute(whole, **row) for row in rows if part[1] in row)

    text = re.sub(r"^ *--each (\w+)\n(.*?)^ *--end\n", written_out, _body("single"), flags=re.S | re.M)
    code = text[text.index("\nif ") :]
    return Template(code).substitute(whole)


def _kinds(schema: Schema) -> frozenset[str]:
    kinds: set[str] = {spec.index for spec in schema.indexes if spec.index}
    if schema.compounds:
        kinds.add("compounds")
    if any(spec.unique for spec in schema.indexes) or any(one.unique for one in schema.compounds):
        kinds.add("unique")
    return frozenset(kinds)


def _declaration(schema: Schema, first: int, more: str) -> str:
    """The class as a Lua table. What few changes need is made by functions, for each call builds all."""
    lists = _missing(schema.required)
    lists += "" if schema.required else _maker("declared", tuple(schema.by_key), always=True)
    lists += _maker("collections", schema.collections)
    head = f"meta={first},signature={quote(schema.signature)},witness={quote(_witness(schema))}"
    return f"{{{head},base=false,list=false,{lists}{more}}}"


def _witness(schema: Schema) -> str:
    """The field that tells that there is a record."""
    return schema.required[0] if schema.required else MARKER


def _listed(names: Iterable[str]) -> str:
    return ",".join(map(quote, names))


def _missing(required: Sequence[str]) -> str:
    """A function that answers the first required field without a value, left out where there is none."""
    loop = f"for _, field in ipairs({{{_listed(required)}}}) do"
    body = f"{loop} if not columns[field] then return field end end"
    return f"missing=function(columns) {body} end," if required else ""


def _maker(name: str, items: Sequence[str], *, always: bool = False) -> str:
    """A function that makes a list of strings, left out where it would be empty."""
    return f"{name}=function() return {{{_listed(items)}}} end," if items or always else ""


def referrer(one: Referrer, number: int) -> str:
    """A reference to a class, for its declaration; *number* is that of the class that refers."""
    return (
        f"{{class={number},field={quote(one.field)},stem={quote(one.stem)},"
        f"act={quote(one.action)},label={quote(one.label)}}}"
    )


def quote(text: str) -> str:
    """*text* as a Lua string literal; every byte that is no letter or digit is written as a number."""
    return (
        '"' + "".join(chr(b) if chr(b).isalnum() and b < 128 else f"\\{b:03d}" for b in text.encode()) + '"'
    )
