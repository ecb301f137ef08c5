"""The Lua scripts: read from ``lua/``, composed, and named by their SHA-1.

The write script is composed per set of classes: a table of their declarations, then the body of
``write.lua``. Only class declarations enter its text, each through :func:`quote`; data comes in ARGV.
"""

from __future__ import annotations

import hashlib
from functools import cache, lru_cache
from importlib import resources

from .schema import FieldSpec, Schema
from .types import Script


@cache
def stored(*names: str) -> Script:
    """The script in ``lua/<name>.lua``, as it is; of several files one after the other."""
    return _script("".join(map(_body, names)))


def _script(text: str) -> Script:
    return Script(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


def _body(name: str) -> str:
    return resources.files("aioredisca").joinpath("lua", f"{name}.lua").read_text("utf-8")


@lru_cache(maxsize=1024)
def write_script(declarations: tuple[str, ...], fixed: int) -> Script:
    """The write script for classes with these rendered *declarations* and so many *fixed* keys."""
    classes = ",\n".join(declarations)
    return _script(f"local CLASSES = {{{classes}}}\nlocal FIXED = {fixed}\n{_body('write')}")


def declaration(schema: Schema, first: int) -> str:
    """The class as a Lua table; its fixed keys are numbered from *first* on (KEYS counts from 1)."""
    number = first + 2
    indexes = list[str]()
    for spec in schema.indexes:
        indexes.append(_index(schema, spec, number))
        number += len(schema.slots(spec))
    return (
        f"{{meta={first},ids={first + 1},signature={quote(schema.signature)},"
        f"witness={'true' if schema.required else 'false'},"
        f"required={_strings(schema.required)},"
        f"declared={_strings(tuple(schema.by_key))},"
        f"indexes={{{','.join(indexes)}}}}}"
    )


def _index(schema: Schema, spec: FieldSpec, number: int) -> str:
    parts = [f"field={quote(spec.key)}"]
    parts += [f"{name}={number + i}" for i, (name, _) in enumerate(schema.slots(spec))]
    if spec.index == "exact":
        parts.append("exact=true")
    return f"{{{','.join(parts)}}}"


def _strings(names: tuple[str, ...]) -> str:
    return f"{{{','.join(map(quote, names))}}}"


def quote(text: str) -> str:
    """*text* as a Lua string literal; every byte that is no letter or digit is written as a number."""
    return (
        '"' + "".join(chr(b) if chr(b).isalnum() and b < 128 else f"\\{b:03d}" for b in text.encode()) + '"'
    )
