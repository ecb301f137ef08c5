"""Who refers to a class, with ``on_delete=``: what a delete must look at.

Only classes that this process knows count. What was found is kept per database until a class is defined,
changed or configured.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from aioredisca.errors import UsageError
from aioredisca.model.metaclass import ModelType, generation, live_models
from aioredisca.model.sessions import BaseSession
from aioredisca.storage.schema import Referrer, Schema
from aioredisca.types import Store

if TYPE_CHECKING:
    from aioredisca.fields.reference import Reference


@dataclass(frozen=True, slots=True)
class _Link:
    """A reference with ``on_delete=`` from *model* to the class whose keys start with *base*."""

    base: str
    model: ModelType
    field: Reference[Any, Any]
    stem: str

    @property
    def label(self) -> str:
        return f"{self.model.__name__}.{self.field.name}"


def referrers_of(schema: Schema, store: Store, session: BaseSession | None) -> tuple[Referrer, ...]:
    """The references that a delete of a record of *schema* reaches, those by way of others too."""
    kept = store.facts.referrers
    now, found = kept.get(schema.keys.base, (-1, ()))
    if now != generation():
        found = _closure(schema, store, session)
        kept[schema.keys.base] = (generation(), found)
    return found


def _closure(schema: Schema, store: Store, session: BaseSession | None) -> tuple[Referrer, ...]:
    links, bases = list(_links(store, session)), [schema.keys.base]
    reached = dict[tuple[str, str, str], Referrer]()
    for base in bases:  # grows while it is walked
        for link in links:
            if link.base == base:
                one = _referrer(link, store, session)
                reached[base, one.schema.keys.base, one.field] = one
                if one.action == "cascade" and one.schema.keys.base not in bases:
                    bases.append(one.schema.keys.base)
    found = tuple(reached.values())
    _refuse_slots(schema, found)
    return found


def _links(store: Store, session: BaseSession | None) -> Iterator[_Link]:
    """All references with ``on_delete=`` to classes in *store*."""
    for model in live_models():
        for field in model._fields.values():
            if getattr(field, "on_delete", None) is not None:
                reference = cast("Reference[Any, Any]", field)
                for target, stem in _targets(reference, model):
                    if target._store(session) is store:
                        yield _Link(target._keys(store).base, model, reference, stem)


def _targets(field: Reference[Any, Any], model: ModelType) -> list[tuple[Any, str]]:
    """The classes of a reference; none where they do not exist yet, for then no record can hold it."""
    try:
        return field.stems(model)
    except (UsageError, NameError):
        return []


def _referrer(link: _Link, store: Store, session: BaseSession | None) -> Referrer:
    if link.model._store(session) is not store:
        raise UsageError(f"{link.label} refers to another database, where its on_delete= cannot be kept")
    assert link.field.on_delete is not None
    schema, key = link.model._schema(store), link.field.key
    return Referrer(link.base, schema, key, link.stem, link.field.on_delete, link.label)


def _refuse_slots(schema: Schema, found: tuple[Referrer, ...]) -> None:
    bases = {schema.keys.base, *(one.schema.keys.base for one in found)}
    if len(bases) > 1 and any(keys.tag for keys in (schema.keys, *(one.schema.keys for one in found))):
        label = next(one.label for one in found if one.schema.keys.base != schema.keys.base)
        raise UsageError(
            f"{label}: on_delete= needs both classes in one slot, and conf(tag=True) gives each its own"
        )
