"""A proposal as the text of a model file: classes, with what speaks for each line in a comment."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from typing import Any

from aioredisca.maintenance.adopting.grouping import hashes_text
from aioredisca.maintenance.adopting.guessing import Guess
from aioredisca.model.declaration import RESERVED
from aioredisca.storage.keys import Tag, tagged

WIDTH = 100
"""Where a line of the file is broken."""

IMPORTED = frozenset(
    """
    Bool Bytes Date DateTime Decimal Email Float Integer Json MD5Pass Model Password Reference String Tags
    UUID conf
    """.split()
)
"""What the file may import. No class and no attribute is called so: the lines behind it would get that."""


@dataclass
class Planned:
    """A field of a proposed class: its hash field, what it might be, and how many hashes hold it.

    ``name``      the attribute: the hash field itself where that can be.
    ``is_id``     whether its values are the ids, so that nobody need declare it.
    ``target``    the class whose ids it holds, if any; ``children`` whether behind the prefix.
    """

    key: str
    guess: Guess
    count: int
    is_id: bool = False
    target: ModelPlan | None = None
    children: bool = False
    name: str = ""

    def refers(self, target: ModelPlan, children: bool) -> None:
        """It holds ids of *target*."""
        self.target, self.children = target, children
        kept = {name: text for name, text in self.guess.options.items() if name in ("required", "secret")}
        self.guess.options = {"index": "True", **kept}
        self.guess.odd = 0
        self.guess.notes = [f"ids of {target.name}"]


@dataclass
class ModelPlan:
    """A proposed class.

    ``hashes``     how many hashes of it were found, ``read`` how many of them were read.
    ``canonical``  whether ``reindex --canonical`` is needed: values of indexes are written in other ways.
    ``problems``   what does not fit.
    """

    name: str
    prefix: str
    tag: Tag
    hashes: int
    read: int
    fields: list[Planned] = field(default_factory=list[Planned])
    canonical: bool = False
    problems: list[str] = field(default_factory=list[str])

    @property
    def base(self) -> str:
        return tagged(self.prefix, self.tag)

    def as_json(self) -> dict[str, Any]:
        """All of it, for machines."""
        return {
            "name": self.name,
            "prefix": self.prefix,
            "tag": self.tag,
            "hashes": self.hashes,
            "read": self.read,
            "canonical": self.canonical,
            "problems": self.problems,
            "fields": [
                {
                    "name": one.name,
                    "field": one.key,
                    "kind": "Reference" if one.target else one.guess.kind,
                    "to": one.target.name if one.target else None,
                    "options": one.guess.options,
                    "held": one.count,
                    "different": one.guess.differ,
                    "id": one.is_id,
                    "notes": one.guess.notes,
                }
                for one in self.fields
            ],
        }


def name_classes(models: Sequence[ModelPlan]) -> None:
    """Give each class a name of its own, that can be one."""
    taken: set[str] = {*IMPORTED}
    for plan in models:
        name = f"{plan.name}Record" if keyword.iskeyword(plan.name) or plan.name in IMPORTED else plan.name
        plan.name = _free(name, taken)
        taken.add(plan.name)


def name_fields(models: Sequence[ModelPlan]) -> None:
    """Give each field an attribute of its own, that can be one; the hash field itself, where that can be."""
    classes = {plan.name for plan in models}
    for plan in models:
        taken = {*IMPORTED, *classes}
        for one in sorted(plan.fields, key=lambda one: _attribute(one.key) != one.key):
            one.name = _free(_attribute(one.key), taken)
            taken.add(one.name)


def _attribute(key: str) -> str:
    """An identifier as Python reads it, which is in the form NFKC, for a hash field."""
    letters = unicodedata.normalize("NFKC", key)
    name = "".join(one if f"a{one}".isidentifier() else "_" for one in letters).strip("_") or "field"
    name = unicodedata.normalize("NFKC", name)
    if not name.isidentifier():
        name = f"field_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in RESERVED else name


def _free(name: str, taken: Container[str]) -> str:
    """*name*, or with a number behind it where that is taken."""
    number, found = 2, name
    while found in taken:
        number, found = number + 1, f"{name}{'' if name[-1].isalpha() else '_'}{number}"
    return found


def source_of(models: Sequence[ModelPlan], *, blocking: bool, keys: int, whole: bool) -> str:
    """The text of a model file."""
    ordered = _targets_first(models)
    kinds = {
        "Reference" if one.target else one.guess.kind
        for plan in ordered
        for one in plan.fields
        if not one.is_id
    }
    package = "aioredisca.sync" if blocking else "aioredisca"
    names = sorted({*kinds, "Model", "conf"}, key=lambda name: (name.islower(), name))
    looked = f"{keys:,} keys" if whole else f"the first {keys:,} keys"
    head = (
        f'"""Proposed by `aioredisca adopt` from {looked}: read it, change it, then build the indexes.\n\n'
        '    aioredisca reindex MODULE:CLASS\n"""\n\n'
        f"from {package} import {', '.join(names)}\n"
    )
    return head + "".join(
        _class(plan, {one.name for one in ordered[:place]}) for place, plan in enumerate(ordered)
    )


def _targets_first(models: Sequence[ModelPlan]) -> list[ModelPlan]:
    """*models*, each behind those that it refers to, where that can be."""
    found = list[ModelPlan]()

    def take(plan: ModelPlan, above: tuple[str, ...]) -> None:
        if plan.name in above or plan in found:
            return
        for one in plan.fields:
            if one.target is not None and one.target is not plan:
                take(one.target, (*above, plan.name))
        found.append(plan)

    for plan in models:
        take(plan, ())
    return found


def _class(plan: ModelPlan, before: set[str]) -> str:
    tag = f'"{_escaped(plan.tag)}"' if isinstance(plan.tag, str) else plan.tag
    options = f'prefix="{_escaped(plan.prefix)}"' + (f", tag={tag}" if tag else "")
    counted = f"{hashes_text(plan.hashes)}, {plan.read:,} read"
    lines = ["", "", f"@conf({options})", f"class {plan.name}(Model):", f'    """{counted}.']
    if plan.problems:
        lines += [
            "",
            *(f"    {_escaped(line)}" for problem in plan.problems for line in _wrapped(f"- {problem}")),
        ]
    if plan.canonical:
        lines += [
            "",
            "    Indexed values are written in several ways: `aioredisca reindex --canonical` rewrites them.",
        ]
    lines += ['    """', ""] if len(lines) > 5 else []
    if lines[-1] == f'    """{counted}.':
        lines[-1] += '"""'
        lines.append("")
    body = [_field(one, plan, before) for one in plan.fields]
    return "\n".join([*lines, *(body or ["    pass"])]) + "\n"


def _field(one: Planned, plan: ModelPlan, before: set[str]) -> str:
    notes = "; ".join(
        [*one.guess.notes, *([] if one.count == plan.read else [f"in {one.count:,} of {plan.read:,}"])]
    )
    if one.is_id:
        return f"    # {_escaped(one.key)}: the id once more, which every record has as .id"
    options = {} if one.name == one.key else {"field": f'"{_escaped(one.key)}"'}
    options |= one.guess.options
    given = [f"{name}={text}" for name, text in options.items()]
    kind = one.guess.kind
    if one.target is not None:
        kind, name = "Reference", one.target.name
        given.insert(0, name if name in before else f'"{name}"')
        given += ["children=True"] if one.children else []
    line = f"    {one.name} = {kind}({', '.join(given)})"
    if not notes:
        return line
    if len(line) + len(notes) + 4 <= WIDTH:
        return f"{line}  # {notes}"
    return "\n".join([*(f"    # {text}" for text in _wrapped(notes)), line])


def _wrapped(text: str) -> list[str]:
    """*text* in lines of the file."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and len(lines[-1]) + len(word) + 7 > WIDTH:
            lines.append("  " if lines[0].startswith("- ") else "")
        lines[-1] += f" {word}" if lines[-1].strip() else word
    return lines


def _escaped(text: str) -> str:
    """*text* so that it ends no literal and no comment."""
    return text.encode("unicode_escape").decode().replace('"', '\\"')
