"""What a class body declares: its fields and collections, found over the MRO and checked.

UsageError says what is wrong, and the cure, when the class is made.
"""

from __future__ import annotations

import difflib
from collections.abc import Container, Iterable, Mapping
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

from aioredisca.errors import UsageError
from aioredisca.fields.base import Field
from aioredisca.fields.collections import Collection
from aioredisca.model.lookalikes import refuse_slot
from aioredisca.storage.keys import bad_field
from aioredisca.storage.schema import Compound

if TYPE_CHECKING:
    from aioredisca.fields.codec import Codec
    from aioredisca.model.mapper import Mapper

RESERVED = frozenset(
    """
    Create Read Update all changes delete delete_many depends exists expire expire_field expires_at export
    fill_new free free_all get get_many get_or_create getdb getdiff getfields getid getkey getorigin getprefix
    id incr inheritors load loaded new persist pop raw_export reload revert save save_all save_many touch ttl
    unload update update_or_create upsert watch where
    apply defaults
    model_computed_fields model_config model_construct model_copy model_dump model_dump_json model_extra
    model_fields model_fields_set model_json_schema model_parametrized_name model_post_init model_rebuild
    model_validate model_validate_json model_validate_strings
    """.split()
)
"""Names no field may have. Pinned by a test.

The public names of Model, and those of work already planned; what verbs take beside fields by name
(``defaults``); the verbs of ``Create[...]``, ``Update[...]`` and ``Read[...]``, those of pydantic among them.
"""

MAKERS = frozenset({"__init__", "__new__", "__setattr__"})
"""What a class may define to have a say in how its instances are made and filled."""

Filling = tuple[str, str, Field[Any], "Codec | None"]
"""A name, its hash field, the field and its codec, None where setting takes more than accepting a value."""


def find_members(model: type) -> tuple[dict[str, Field[Any]], dict[str, Collection]]:
    """The fields and collections of a class over its MRO, mixins included, with their names checked."""
    fields, collections = dict[str, Field[Any]](), dict[str, Collection]()
    for owner in reversed(model.__mro__):
        for name, value in vars(owner).items():
            if isinstance(value, Field):
                fields[name] = value
            else:
                _refuse_class(model, name, value)
                if name in fields and isinstance(value, MemberDescriptorType):
                    refuse_slot(model.__name__, name)
                fields.pop(name, None)
            if isinstance(value, Collection):
                collections[name] = value
            else:
                collections.pop(name, None)
    for name, member in (fields | collections).items():
        check_name(model, name, member)
    _check_kept(model)
    _check_keys(model, fields)
    _check_keys(model, collections)
    _check_also(model, fields)
    return fields, collections


def check_name(model: type, name: str, member: Field[Any] | Collection) -> None:
    """UsageError where a field or a collection cannot be called so."""
    where, kind = f"{model.__name__}.{name}", type(member).__name__
    if member.name != name:
        raise UsageError(f"{where}: this very field object is {member.name!r} already; make another")
    if name.startswith("_"):
        cure = f'{name.strip("_")} = {kind}(field="{member.key}")'
        raise UsageError(f"{where}: names that start with _ are private; write {cure}")
    if name in RESERVED:
        raise UsageError(f'{where}: {name!r} is part of Model; write {name}_ = {kind}(field="{member.key}")')
    # the name of a collection is a part of keys, as that of an indexed field is
    if reason := bad_field(member.key, indexed=isinstance(member, Collection) or member.__codec__.indexed):
        what = "name" if isinstance(member, Collection) else "hash field"
        raise UsageError(f"{where}: {reason}; give it another {what} by field=")


def _refuse_class(model: type, name: str, value: object) -> None:
    if isinstance(value, type) and issubclass(value, Field) and value.__name__ != name:
        raise UsageError(f"{model.__name__}.{name} is a class of fields: write {value.__name__}()")


def _check_kept(model: type) -> None:
    state = next(vars(owner)["__state__"] for owner in model.__mro__ if "__state__" in vars(owner))
    if not isinstance(state, MemberDescriptorType):
        raise UsageError(f"{model.__name__}.__state__ belongs to the library: call yours otherwise")


def _check_keys(model: type, members: Mapping[str, Field[Any] | Collection]) -> None:
    names = dict[str, str]()
    for name, member in members.items():
        if names.setdefault(member.key, name) != name:
            raise UsageError(
                f"{model.__name__}: {names[member.key]} and {name} share the hash field {member.key!r}"
            )


def _check_also(model: type, fields: Mapping[str, Field[Any]]) -> None:
    owners = {field.key: name for name, field in fields.items()}
    for name, field in fields.items():
        for other in field.also:
            if other == field.key or owners.setdefault(other, name) != name:
                raise UsageError(
                    f"{model.__name__}.{name}: also={other!r} is the hash field of {owners[other]} already"
                )


def nearest(name: str, fields: Iterable[str], collections: Container[str]) -> str:
    """A hint at the field that was meant by *name*, for the text of an error."""
    if name == "id":
        return "; the id is the first argument of new(), and stays"
    if name in ("expires_at", "ttl"):
        return ": expire() and persist(), of a record or of a query, and save(ttl=) say when records end"
    if name in collections:
        return ": it is a collection, which changes by its own verbs once the record is saved"
    close = difflib.get_close_matches(name, fields, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


def no_field(model: str, name: str) -> str:
    """Why a value that was assigned in the place of a verb is kept nowhere."""
    cure = "expire() or save(ttl=) say when a record ends" if name == "ttl" else "call it"
    return f"{model}.{name} is a verb and no field, so nothing would be stored: {cure}"


# -- how instances are made ------------------------------------------------------------------------


def makes_plainly(model: type) -> bool:
    """Whether instances are made as this library makes them: no class of a user's has a say in it."""
    return not any(_has_a_say(owner) for owner in model.__mro__) and _is_ours(_caller(type(model)))


def _has_a_say(owner: type) -> bool:
    return not _is_ours(owner) and owner is not object and not MAKERS.isdisjoint(vars(owner))


def _caller(metaclass: type) -> type:
    """The metaclass that says what calling a class does."""
    return next(one for one in metaclass.__mro__ if "__call__" in vars(one))


def _is_ours(owner: type) -> bool:
    return owner.__module__.partition(".")[0] == "aioredisca"


def fillings(fields: Mapping[str, Field[Any]], *, plain: bool) -> tuple[Filling, ...]:
    """What filling a new record takes, field by field."""
    found = list[Filling]()
    for name, field in fields.items():
        codec = field.__codec__
        plainly = plain and codec.sets_plainly and not field.mutable
        found.append((name, field.key, field, codec if plainly else None))
    return tuple(found)


# -- indexes over several fields -------------------------------------------------------------------


def compounds(mapper: Mapper) -> tuple[Compound, ...]:
    """The indexes over several fields, by ``conf(unique=, index=)``. UsageError where one cannot be."""
    together = [Compound(_members(mapper, "unique", names), True) for names in mapper.setting("unique") or ()]
    pairs = [Compound(_members(mapper, "index", names)) for names in mapper.setting("index") or ()]
    for _, second in mapper.setting("index") or ():
        if mapper.fields[second].index != "range":
            raise UsageError(
                f"{mapper.name}: conf(index=) orders by {second!r}, which needs a range index of its own"
            )
    return (*together, *pairs)


def _members(mapper: Mapper, setting: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The hash fields of the attributes that a compound index names."""
    for name in names:
        where = f"{mapper.name}: conf({setting}=) names {name!r}"
        if name not in mapper.fields:
            raise UsageError(f"{where}: there is no such field{mapper.nearest(name)}")
        field = mapper.fields[name]
        if not field.__codec__.comparable:
            raise UsageError(f"{where}: a {type(field).__name__} field cannot be part of it")
        if field.ttl is not None:
            raise UsageError(
                f"{where}: a field with ttl= cannot be part of it, which would outlive its value"
            )
        if reason := bad_field(field.key, indexed=True):
            raise UsageError(f"{where}: {reason}; give it another hash field by field=")
    return tuple(mapper.fields[name].key for name in names)
