"""The classes of this process: which is the last of its name, and which keeps a prefix of a store."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

from aioredisca.errors import UsageError
from aioredisca.storage.schema import Schema
from aioredisca.types import Store

if TYPE_CHECKING:
    from aioredisca.model.metaclass import ModelType

_newest: dict[tuple[str, str], ReferenceType[ModelType]] = {}
"""Module and qualified name -> the class defined last under it: a redefinition replaces."""

_generation = 0


def generation() -> int:
    """A number that changes whenever a class is defined, changed or configured."""
    return _generation


def note_change() -> None:
    """A class was defined, changed or configured."""
    global _generation
    _generation += 1


def register(model: ModelType) -> None:
    """*model* is defined: it takes the place of what was called so before."""
    _newest[model.__module__, model.__qualname__] = ref(model)
    note_change()


def is_newest(model: ModelType) -> bool:
    """Whether no other class was defined under the name of *model* since."""
    newest = _newest.get((model.__module__, model.__qualname__))
    return newest is not None and newest() is model


def live_models() -> list[ModelType]:
    """All classes that are in use, each in its last definition."""
    return [model for model in (reference() for reference in list(_newest.values())) if model is not None]


def named(owner: ModelType, name: str) -> ModelType:
    """The class called *name* of the owner's colour: of the same module first, else the only one."""
    colour = owner.__mapper__.colour
    found = [c for c in live_models() if c.__name__ == name and c.__mapper__.colour is colour]
    near = [c for c in found if c.__module__ == owner.__module__] or found
    if len(near) > 1:
        scope = owner.__qualname__.rpartition(".")[0]
        near = [c for c in near if c.__qualname__.rpartition(".")[0] == scope] or near
    if len(near) != 1:
        names = ", ".join(sorted(f"{c.__module__}.{c.__qualname__}" for c in near)) or "none"
        raise UsageError(f"a reference of {owner.__name__} names {name!r}: classes of that name: {names}")
    return near[0]


# -- prefixes --------------------------------------------------------------------------------------


def claim_prefix(store: Store, model: ModelType, schema: Schema) -> None:
    """UsageError where another class of this process keeps other things under the same prefix.

    Keys that could be of either are refused in other Databases of the same server as well, where their
    addresses tell that it is the same.
    """
    claims = store.facts.classes
    base = schema.keys.base
    for facts in list(store.facts.neighbours):
        for other_base, other in _live(facts.classes):
            if facts is store.facts or _rivals(model, other):
                _refuse_nested(model, base, other, other_base)
    for other_base, other in _live(claims):
        if other_base != base:
            continue
        if _rivals(model, other) and _meet_by_name(model, other):
            raise UsageError(
                f"{_full(model)} and {_full(other)} are two classes of one name and would share the records "
                f"of {base!r}: give one of them another prefix by @conf(prefix=...), or the same to both, "
                f"if these are the same records"
            )
        elif _rivals(model, other) and other.__mapper__.schema(store).storage != schema.storage:
            raise UsageError(
                f"{_full(model)} and {_full(other)} share the prefix {base!r} but are stored differently: "
                f"give one of them another by @conf(prefix=...)"
            )
    claims[base, _full(model)] = ref(model)


_MEETS = re.compile(r":|/[cehklnorstuxy](/|$)")
"""How a longer prefix goes on that is among the records of the shorter one, or among its indexes."""


def _refuse_nested(model: ModelType, base: str, other: ModelType, other_base: str) -> None:
    short, long = sorted([base, other_base], key=len)
    rest = long.removeprefix(short)
    if rest != long and _MEETS.match(rest):
        raise UsageError(
            f"{_full(model)} and {_full(other)}: the prefix {long!r} starts with {short + rest[0]!r}, "
            f"so a key could belong to either; give one of them another by @conf(prefix=...), or another "
            f"namespace"
        )


def _live(claims: dict[tuple[str, str], ReferenceType[Any]]) -> Iterator[tuple[str, ModelType]]:
    for (base, _), reference in list(claims.items()):
        other = reference()
        if other is not None:
            yield base, other


def _rivals(model: ModelType, other: ModelType) -> bool:
    """Whether two classes are really two: a redefined class, or one made in a function, gives way."""
    local = "<locals>" in model.__qualname__ or "<locals>" in other.__qualname__
    return other is not model and not local and is_newest(other)


def _meet_by_name(model: ModelType, other: ModelType) -> bool:
    """Whether two classes have one prefix because they are called alike, and not because somebody said so.

    The two colours of one list of fields are meant to share it, and so is a module that runs as ``__main__``.
    """
    mine, others = model.__mapper__, other.__mapper__
    if (mine.names_prefix and others.names_prefix) or _file(model) == _file(other):
        return False
    return mine.colour is others.colour or mine.by_key.keys() != others.by_key.keys()


def _file(model: ModelType) -> object:
    """Where the module of a class was read from: something of its own, where nobody knows."""
    return getattr(sys.modules.get(model.__module__), "__file__", None) or model


def _full(model: ModelType) -> str:
    return f"{model.__module__}.{model.__qualname__}"
