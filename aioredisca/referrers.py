"""Who refers to a class, with ``on_delete=``: what a delete must look at.

Only classes that this process knows count. What was found is kept per database until a class is defined,
changed or configured.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

from .errors import UsageError
from .modeltype import ModelType, generation, live_models
from .schema import Referrer, Schema
from .session import BaseSession
from .types import Store

if TYPE_CHECKING:
    from .reference import Reference


def referrers_of(schema: Schema, store: Store, session: BaseSession | None) -> tuple[Referrer, ...]:
    """The references that a delete of a record of *schema* reaches, those by way of others too."""
    kept: dict[str, tuple[int, tuple[Referrer, ...]]] = store.memory.setdefault("referrers", {})
    now, found = kept.get(schema.keys.base, (-1, ()))
    if now != generation():
        found = _closure(schema, store, session)
        kept[schema.keys.base] = (generation(), found)
    return found


def _closure(schema: Schema, store: Store, session: BaseSession | None) -> tuple[Referrer, ...]:
    everyone = list(_all_referrers(store, session))
    reached, bases = dict[tuple[str, str, str], Referrer](), [schema.keys.base]
    for base in bases:  # grows while it is walked
        for one in everyone:
            if one.base == base:
                reached[base, one.schema.keys.base, one.field] = one
                if one.action == "cascade" and one.schema.keys.base not in bases:
                    bases.append(one.schema.keys.base)
    found = tuple(reached.values())
    _refuse_slots(schema, found)
    return found


def _all_referrers(store: Store, session: BaseSession | None) -> Iterator[Referrer]:
    for model in live_models():
        for field in model._fields.values():
            if getattr(field, "on_delete", None) is not None:
                yield from _referrers_by(model, cast("Reference[Any, Any]", field), store, session)


def _referrers_by(
    model: ModelType, field: Reference[Any, Any], store: Store, session: BaseSession | None
) -> Iterator[Referrer]:
    label, action = f"{model.__name__}.{field.name}", field.on_delete
    for target, stem in _targets(field, model):
        if action and _same_store(model, target, store, session, label):
            base = target._keys(store).base
            yield Referrer(base, model._schema(store), field.key, stem, action, label)


def _targets(field: Reference[Any, Any], model: ModelType) -> list[tuple[Any, str]]:
    """The classes of a reference; none where they do not exist yet, for then no record can hold it."""
    try:
        return field.stems(model)
    except (UsageError, NameError):
        return []


def _same_store(model: ModelType, target: Any, store: Store, session: BaseSession | None, label: str) -> bool:
    """Whether both live in *store*; a reference across databases cannot be looked after."""
    if target._store(session) is not store:
        return False
    if model._store(session) is not store:
        raise UsageError(f"{label} refers to another database, where its on_delete= cannot be kept")
    return True


def _refuse_slots(schema: Schema, found: tuple[Referrer, ...]) -> None:
    bases = {schema.keys.base, *(one.schema.keys.base for one in found)}
    if len(bases) > 1 and any(keys.tag for keys in (schema.keys, *(one.schema.keys for one in found))):
        label = next(one.label for one in found if one.schema.keys.base != schema.keys.base)
        raise UsageError(
            f"{label}: on_delete= needs both classes in one slot, and conf(tag=True) gives each its own"
        )
