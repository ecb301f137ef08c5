"""Which class of this process keeps which prefix: no key may belong to two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from weakref import ReferenceType, ref

from aioredisca.errors import UsageError
from aioredisca.storage.schema import Schema
from aioredisca.types import Store

if TYPE_CHECKING:
    from aioredisca.model.metaclass import ModelType


def claim_prefix(store: Store, model: ModelType, schema: Schema) -> None:
    """UsageError where another class of this process keeps other things under the same prefix."""
    claims = store.facts.classes
    base = schema.keys.base
    for other_base, other in _live(claims):
        if other_base != base:
            _refuse_nested(model, base, other, other_base)
        elif _rivals(model, other) and other._schemas[store][1].storage != schema.storage:
            raise UsageError(
                f"{_full(model)} and {_full(other)} share the prefix {base!r} but are stored differently: "
                f"give one of them another by @conf(prefix=...)"
            )
    claims[base] = ref(model)


def _refuse_nested(model: ModelType, base: str, other: ModelType, other_base: str) -> None:
    short, long = sorted([base, other_base], key=len)
    if long.startswith(f"{short}:"):
        raise UsageError(
            f"{_full(model)} and {_full(other)}: the prefix {long!r} starts with {short + ':'!r}, "
            f"so a key could belong to either; give one of them another by @conf(prefix=...)"
        )


def _live(claims: dict[str, ReferenceType[ModelType]]) -> Iterator[tuple[str, ModelType]]:
    for base, reference in list(claims.items()):
        other = reference()
        if other is not None:
            yield base, other


def _rivals(model: ModelType, other: ModelType) -> bool:
    """Whether two classes are really two: a redefined class, or one made in a function, gives way."""
    local = "<locals>" in model.__qualname__ or "<locals>" in other.__qualname__
    return other is not model and not local and other._is_newest()


def _full(model: ModelType) -> str:
    return f"{model.__module__}.{model.__qualname__}"
