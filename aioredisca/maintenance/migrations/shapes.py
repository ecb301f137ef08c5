"""The shape of a model as steps remember it, and what differs between two of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from aioredisca.storage.schema import UNBUILT, Schema

Shape = dict[str, Any]
"""``prefix``, ``fields`` (hash field -> kind and options, as in "Email unique"), and what else is set."""


_ALSO = "also="


@dataclass
class Difference:
    """One thing that changed.

    ``text`` says what. ``lines`` go into the operations; ``names`` are what these import, and from where.
    """

    text: str
    lines: list[str] = field(default_factory=list[str])
    names: dict[str, str] = field(default_factory=dict[str, str])


def path_of(model: Any) -> str:
    """The class as the command line names it."""
    return f"{model.__module__}:{model.__qualname__}"


def shape_of(model: Any) -> Shape:
    """The shape that *model* declares."""
    mapper = model.__mapper__
    shape: Shape = {"prefix": mapper.prefix()}
    for name in ("namespace", "tag"):
        if mapper.setting(name):
            shape[name] = mapper.setting(name)
    if mapper.lifetime.limited:
        shape["expires"] = True
    shape["fields"] = {one.key: _told(one) for one in mapper.fields.values()}
    if mapper.collections:
        shape["collections"] = {one.key: type(one).__name__ for one in mapper.collections.values()}
    for name in ("unique", "index"):
        if mapper.setting(name):
            shape[name] = [list(names) for names in mapper.setting(name)]
    return shape


def _told(one: Any) -> str:
    words = [type(one).__name__, *([one.index] if one.index else [])]
    words += [option for option in ("unique", "required") if getattr(one, option)]
    words += [f"{_ALSO}{name}" for name in one.also]
    return " ".join(words)


def differences(before: Mapping[str, Shape], after: Mapping[str, Shape]) -> Iterator[Difference]:
    """What changed between the shapes of two releases, by the paths of their classes."""
    for path in sorted({*before, *after}):
        old, new = before.get(path), after.get(path)
        if old is None and new is not None:
            yield Difference(f"{path} is new")
        elif old is not None and new is None:
            yield _gone(path, old)
        elif old is not None and new is not None:
            yield from _changed(path, old, new)


def _gone(path: str, old: Shape) -> Difference:
    lines = [
        f"# TODO {path} is declared no more. Moved to another module? Then there is nothing to do.",
        "# Else, when no process has it any more:",
        f"# DeleteModel({_place(old)}),",
    ]
    return Difference(f"{path} is declared no more", lines, _ours("DeleteModel", "At" if _is_at(old) else ""))


def _changed(path: str, old: Shape, new: Shape) -> Iterator[Difference]:
    name = path.rpartition(":")[2]
    if _place(old) != _place(new):
        lines = [
            "# Writers of the old place are refused from here on: see docs/migrations.md for the order.",
            f"MoveModel({_place(old)}, {_place(new)}),",
        ]
        at = "At" if _is_at(old) or _is_at(new) else ""
        yield Difference(f"{name} moves from {_place(old)} to {_place(new)}", lines, _ours("MoveModel", at))
    yield from _by_field(name, _place(new), old["fields"], new["fields"])
    for what in ("collections", "unique", "index", "expires"):
        if old.get(what) != new.get(what):
            text = f"{name}: {what} was {old.get(what)!r} and is {new.get(what)!r}"
            yield Difference(text, [f"# {text}: no stored record has to change for that."])


def _by_field(model: str, where: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[Difference]:
    gone = {key: told for key, told in old.items() if key not in new}
    come = {key: told for key, told in new.items() if key not in old}
    for key, told in gone.items():
        twin = next((other for other, text in come.items() if _kind(text) == _kind(told)), None)
        yield _removed(model, where, key, told, twin)
    for key, told in come.items():
        yield _added(model, key, told)
    for key in old.keys() & new.keys():
        if old[key] != new[key]:
            yield _altered(model, where, key, old[key], new[key])


def _removed(model: str, where: str, key: str, told: str, twin: str | None) -> Difference:
    lines = [f"# TODO {model}: {key} ({told}) is declared no more."]
    if twin:
        lines += [
            f"# Was it renamed to {twin}? Then this belongs in the release before, which declares",
            f'# field="{key}", also="{twin}"; see docs/migrations.md:',
            f'# CopyField({where}, "{key}", "{twin}"),',
        ]
    undo = f', restore="{twin}"' if twin else ""
    lines += ["# When no process reads it any more:", f'# DropField({where}, "{key}"{undo}),']
    return Difference(
        f"{model}.{key} ({told}) is gone", lines, _ours("CopyField" if twin else "", "DropField")
    )


def _added(model: str, key: str, told: str) -> Difference:
    text = f"{model}.{key} ({told}) is new"
    if "required" not in told.split():
        return Difference(text)
    lines = [
        f"# TODO {text}, and required: records that are older have none.",
        f'# Fill({model}, "{key}", ...),',
    ]
    return Difference(text, lines, _ours("Fill"))


def _altered(model: str, where: str, key: str, old: str, new: str) -> Difference:
    text = f"{model}.{key} was {old} and is {new}"
    lines, names = list[str](), list[str]()
    if _kind(old) != _kind(new):
        lines += [
            f"# TODO {text}. Unless both read what the other writes, the new kind takes another hash field,",
            f"# {key}2 say, and both are written for a while; see docs/migrations.md:",
            f'# CopyField({where}, "{key}", "{key}2", lambda text: ...),',
        ]
        names.append("CopyField")
    for twin in [word.removeprefix(_ALSO) for word in new.split() if word.startswith(_ALSO)]:
        if _ALSO + twin not in old.split():
            lines += [
                f"# TODO {text}: what older processes wrote has no {twin}. When none of them is left",
                "# (docs/migrations.md), and with the function of also=, if it has one:",
                f'# CopyField({where}, "{key}", "{twin}"),',
            ]
            names.append("CopyField")
    if "required" in new.split() and "required" not in old.split():
        lines += [f"# TODO {text}: fill the records that have none.", f'# Fill({model}, "{key}", ...),']
        names.append("Fill")
    return Difference(text, lines, _ours(*names))


def index_difference(
    model: Any, schema: Schema, entries: frozenset[str], unbuilt: frozenset[str]
) -> Difference | None:
    """What the store keeps otherwise than *model* declares; None if that is the same, or nothing so far."""
    if not entries:
        return None
    more = schema.index_entries - entries
    less = {one for one in entries - schema.entries if not one.startswith(UNBUILT)}
    parts = [
        f"the store {verb} {', '.join(sorted(some))}"
        for verb, some in (("lacks", more), ("still has", less), ("has not built", unbuilt - more))
        if some
    ]
    if not parts:
        return None
    text = f"indexes of {model.__name__}: {'; '.join(parts)}"
    lines = [
        f"# {text}.",
        "# When this code runs everywhere (docs/deploy.md):",
        f"Reindex({model.__name__}),",
    ]
    return Difference(text, lines, {**_ours("Reindex"), model.__name__: model.__module__})


def _kind(told: str) -> str:
    return told.split()[0]


def _is_at(shape: Shape) -> bool:
    return bool(shape.get("namespace") or shape.get("tag"))


def _place(shape: Shape) -> str:
    """The place of a model as a step writes it."""
    if not _is_at(shape):
        return f'"{shape["prefix"]}"'
    more = "".join(f", {name}={shape[name]!r}" for name in ("namespace", "tag") if name in shape)
    return f'At("{shape["prefix"]}"{more})'


def _ours(*names: str) -> dict[str, str]:
    return {name: "aioredisca.maintenance.migrations" for name in names if name}
