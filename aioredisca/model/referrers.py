"""Who refers to a class, with ``on_delete=``: what a delete must look at. And whom a write refers to.

Only classes that this process knows count. What was found is kept per database until a class is defined,
changed or configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.changes import Parents
from aioredisca.errors import UsageError
from aioredisca.fields.base import Field
from aioredisca.fields.reference import Reference, ReferenceCodec
from aioredisca.model.registry import generation, live_models
from aioredisca.storage.keys import Keys
from aioredisca.storage.schema import Referrer, Schema
from aioredisca.types import Store

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class _Link:
    """A reference with ``on_delete=`` from the class of *mapper* to the *target*."""

    target: Mapper
    mapper: Mapper
    field: Reference[Any, Any]
    stem: str

    @property
    def label(self) -> str:
        return f"{self.mapper.name}.{self.field.name}"


def referrers_of(schema: Schema, store: Store, unit: UnitOfWork | None) -> tuple[Referrer, ...]:
    """The references that a delete of a record of *schema* reaches, those by way of others too."""
    kept = store.facts.referrers
    now, found = kept.get(schema.keys.base, (-1, ()))
    if now != generation():
        found = _closure(schema, store, unit)
        kept[schema.keys.base] = (generation(), found)
    return found


def checked(fields: Iterable[Field[Any]]) -> tuple[Reference[Any, Any], ...]:
    """The references among *fields* that say ``check=``."""
    found: list[Reference[Any, Any]] = [field for field in fields if isinstance(field, Reference)]
    return tuple(field for field in found if field.__checks__)


def parents_of(mapper: Mapper, sets: Mapping[str, bytes], store: Store, unit: UnitOfWork | None) -> Parents:
    """The records that must be there for *sets* to be written, as checked references in it name them."""
    asked = [(field, sets[field.key]) for field in mapper.checked if field.key in sets]
    return tuple((field.key, *_parent(mapper, field, raw, store, unit)) for field, raw in asked)


def _parent(
    mapper: Mapper, field: Reference[Any, Any], raw: bytes, store: Store, unit: UnitOfWork | None
) -> tuple[str, str, bool]:
    """Its key, what the keys of its class start with, and whether its records may end."""
    codec: Any = field.__codec__
    target, id = codec.named(raw.decode("utf-8", "surrogateescape"), mapper)
    if target.__mapper__.store(unit) is not store:
        where = f"{mapper.name}.{field.name}"
        raise UsageError(f"{where} refers to another database, where it cannot be checked: check=False")
    keys = _in_one_slot(mapper, field, target.__mapper__, store)
    return keys.record(id), keys.base, target.__mapper__.lifetime.limited


def refuse_slots(mapper: Mapper, store: Store) -> None:
    """UsageError for a reference that asks for what needs both classes in one slot of a cluster."""
    apart = store.clustered or mapper.partitions > 1
    for field in checked(mapper.fields.values()) if apart else ():
        for target, _ in _targets(field.__codec__, mapper):
            if target.__mapper__.store() is store:
                _in_one_slot(mapper, field, target.__mapper__, store)


def _in_one_slot(mapper: Mapper, field: Reference[Any, Any], target: Mapper, store: Store) -> Keys:
    """The keys of the *target* of a reference; UsageError where they are in another slot."""
    keys, where = target.keys(store), f"{mapper.name}.{field.name}"
    spread = [one.name for one in (mapper, target) if one.partitions > 1]
    if spread:
        wants = "on_delete= needs" if field.on_delete else "check= needs"
        raise UsageError(
            f"{where}: {wants} both classes in one slot, and {' and '.join(spread)} has partitions: write "
            f"check=False, without on_delete="
        )
    if mapper.keys(store).slot == keys.slot:
        return keys
    cure = f'give {mapper.name} and {target.name} one tag, as in @conf(tag="shop")'
    if field.on_delete:
        raise UsageError(f"{where}: on_delete= needs both classes in one slot: {cure}")
    raise UsageError(
        f"{where} refers to another slot, where it cannot be checked: {cure}, or write check=False"
    )


def _closure(schema: Schema, store: Store, unit: UnitOfWork | None) -> tuple[Referrer, ...]:
    links, bases = list(_links(store, unit)), [schema.keys.base]
    reached = dict[tuple[str, str, str], Referrer]()
    for base in bases:  # grows while it is walked
        for link in links:
            if link.target.keys(store).base == base:
                one = _referrer(link, base, store, unit)
                reached[base, one.schema.keys.base, one.field] = one
                if one.action == "cascade" and one.schema.keys.base not in bases:
                    bases.append(one.schema.keys.base)
    return tuple(reached.values())


def _links(store: Store, unit: UnitOfWork | None) -> Iterator[_Link]:
    """All references with ``on_delete=`` to classes in *store*."""
    for model in live_models():
        for field in model.__mapper__.fields.values():
            if isinstance(field, Reference) and field.on_delete is not None:
                for target, stem in _targets(field.__codec__, model.__mapper__):
                    if target.__mapper__.store(unit) is store:
                        yield _Link(target.__mapper__, model.__mapper__, field, stem)


def _targets(codec: Any, mapper: Mapper) -> list[tuple[Any, str]]:
    """The classes of a reference; none where they do not exist yet, for then no record can hold it."""
    reference: ReferenceCodec = codec
    try:
        return reference.stems(mapper)
    except (UsageError, NameError):
        return []


def _referrer(link: _Link, base: str, store: Store, unit: UnitOfWork | None) -> Referrer:
    if link.mapper.store(unit) is not store:
        raise UsageError(f"{link.label} refers to another database, where its on_delete= cannot be kept")
    assert link.field.on_delete is not None
    _in_one_slot(link.mapper, link.field, link.target, store)
    schema, key = link.mapper.schema(store), link.field.key
    return Referrer(base, schema, key, link.stem, link.field.on_delete, link.label)
