"""The Lua scripts: read from ``lua/``, composed, and named by their SHA-1.

The write script is composed per set of classes: a table of their declarations, then the parts that they
need, then ``write.lua``. Only class declarations enter its text, each through :func:`quote`; data comes in
ARGV.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from importlib import resources
from weakref import WeakKeyDictionary

from .schema import Compound, FieldSpec, Referrer, Schema
from .types import Script


@cache
def stored(*names: str) -> Script:
    """The script in ``lua/<name>.lua``, as it is; of several files one after the other."""
    return script_of("".join(map(_body, names)))


def script_of(text: str) -> Script:
    """A script of this text, with the name that the server gives it."""
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _body(name: str) -> str:
    return resources.files("aioredisca").joinpath("lua", f"{name}.lua").read_text("utf-8")


@lru_cache(maxsize=1024)
def write_script(
    declarations: tuple[str, ...], fixed: int, parts: tuple[str, ...] = (), main: str = "write"
) -> Script:
    """A script that writes, for classes with these rendered *declarations* and so many *fixed* keys."""
    classes = ",\n".join(declarations)
    names = ("batch", "indexes", *(name for name in parts if name != "cascade"), "commit")
    late = ("cascade", main) if "cascade" in parts else (main,)
    bodies = "\n".join(_body(name) for name in (*names, *late))
    return script_of(f"local CLASSES = {{{classes}}}\nlocal FIXED = {fixed}\n{bodies}")


def write_parts(
    schemas: Iterable[Schema], *, counts: bool = False, cascades: bool = False
) -> tuple[str, ...]:
    """The parts of a script that only some classes and changes need, by name."""
    needed = {name for name, wanted in (("count", counts), ("cascade", cascades)) if wanted}
    for schema in schemas:
        needed |= {spec.index for spec in schema.indexes if spec.index in ("sorted", "tags")}
        needed |= {"compounds"} if schema.compounds else set()
    return tuple(sorted(needed))


_plain: WeakKeyDictionary[Schema, dict[int, str]] = WeakKeyDictionary()
"""Declarations of classes that nothing refers to, by the number of their first key; none lives by them."""


def declaration(schema: Schema, first: int, referrers: Sequence[str] = ()) -> str:
    """The class as a Lua table; its fixed keys are numbered from *first* on (KEYS counts from 1)."""
    if referrers:
        return _declaration(schema, first, referrers)
    known = _plain.setdefault(schema, {})
    if first not in known:  # to write it out takes longer than to save a record
        known[first] = _declaration(schema, first, ())
    return known[first]


def _declaration(schema: Schema, first: int, referrers: Sequence[str]) -> str:
    number = first + 2
    indexes, compounds = list[str](), list[str]()
    for spec in schema.tracked:
        indexes.append(_index(schema, spec, number))
        number += len(schema.slots(spec))
    for compound in schema.compounds:
        compounds.append(_compound(schema, compound, number))
        number += int(compound.unique)
    return (
        f"{{meta={first},ids={first + 1},signature={quote(schema.signature)},"
        f"witness={'true' if schema.required else 'false'},"
        f"required={_strings(schema.required)},"
        f"declared={_strings(tuple(schema.by_key))},"
        f"{_listed('compounds', compounds)}"
        f"{_listed('collections', map(quote, schema.collections))}"
        f"{_listed('referrers', referrers)}"
        f"{f'name={quote(schema.model)},' if referrers else ''}"
        f"indexes={{{','.join(indexes)}}}}}"
    )


def _listed(name: str, items: Iterable[str]) -> str:
    """A list of the class, left out where it would be empty."""
    text = ",".join(items)
    return f"{name}={{{text}}}," if text else ""


def referrer(one: Referrer, number: int) -> str:
    """A reference to a class, for its declaration; *number* is that of the class that refers."""
    return (
        f"{{class={number},index={one.schema.index_numbers[one.field]},stem={quote(one.stem)},"
        f"act={quote(one.action)},label={quote(one.label)}}}"
    )


def _index(schema: Schema, spec: FieldSpec, number: int) -> str:
    parts = [f"field={quote(spec.key)}"]
    parts += [f"{name}={number + i}" for i, (name, _) in enumerate(schema.slots(spec))]
    if spec.index and spec.index != "range":
        parts.append(f"kind={quote(spec.index)}")
    return f"{{{','.join(parts)}}}"


def _compound(schema: Schema, compound: Compound, number: int) -> str:
    members = ",".join(str(schema.index_numbers[name]) for name in compound.fields)
    if compound.unique:
        return f"{{members={{{members}}},fields={_strings(compound.fields)},unique={number}}}"
    return (
        f"{{members={{{members}}},kind='pair',stem={quote(f'c/{compound.fields[0]}/{compound.fields[1]}/')}}}"
    )


def _strings(names: tuple[str, ...]) -> str:
    return f"{{{','.join(map(quote, names))}}}"


def quote(text: str) -> str:
    """*text* as a Lua string literal; every byte that is no letter or digit is written as a number."""
    return (
        '"' + "".join(chr(b) if chr(b).isalnum() and b < 128 else f"\\{b:03d}" for b in text.encode()) + '"'
    )
