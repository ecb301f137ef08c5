"""Loading referred records along with those that refer to them: one round trip a level, however many rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from aioredisca.errors import UsageError
from aioredisca.fields.reference import Reference, ReferenceCodec
from aioredisca.persistence import readiness
from aioredisca.storage.schema import Schema
from aioredisca.types import ReadFrom, Store

if TYPE_CHECKING:
    from aioredisca.model.record import Record
    from aioredisca.query.spec import QuerySpec


def path_of(model: type[Any], given: Any) -> tuple[str, ...]:
    """A column, or text like ``"author.country"``, as attribute names. UsageError where it leads nowhere."""
    names = given if isinstance(given, str) else getattr(getattr(given, "field", None), "name", "")
    path, owner = tuple(names.split(".")), model
    for name in path:
        field = owner.__mapper__.fields.get(name)
        if not isinstance(field, Reference):
            hint = owner.__mapper__.nearest(name) if field is None else f": it is a {type(field).__name__}"
            raise UsageError(f"prefetch({given!r}): {owner.__name__} has no reference {name!r}{hint}")
        owner = cast("ReferenceCodec", field.__codec__).target(owner.__mapper__)
    return path


async def load(spec: QuerySpec[Any], records: Sequence[Any]) -> None:
    """Load what the paths of *spec* lead to from *records*. HMGETs in one round trip per level."""
    for depth in range(max(map(len, spec.prefetch), default=0)):
        # Paths with the same beginning share its levels.
        heads = dict.fromkeys(path[: depth + 1] for path in spec.prefetch if len(path) > depth)
        groups, names = [_follow(records, path[:-1]) for path in heads], [path[-1] for path in heads]
        await _load_all(_targets(groups, names), spec.read_from)


def _follow(records: Iterable[Any], path: Sequence[str]) -> list[Any]:
    """The records that *path* leads to, those that are there."""
    found = list(records)
    for name in path:
        found = [target for record in found if (target := getattr(record, name)) is not None and target]
    return found


def _targets(groups: Sequence[list[Any]], names: Sequence[str]) -> list[Any]:
    """What one reference of each group of records leads to, and is not known. All that name one record share
    one instance."""
    targets = dict[tuple[type[Any], str], Any]()
    for records, name in zip(groups, names, strict=True):
        for record in records:
            handle: Any = getattr(record, name)
            if handle is not None:
                who: Any = (type(handle), handle.__state__.id)
                record.__state__.values[name] = targets.setdefault(who, handle)
    return [target for target in targets.values() if not target.__state__.knows()]


async def _load_all(targets: Sequence[Record], read_from: ReadFrom | None) -> None:
    by_store: dict[Store, dict[Schema, list[Record]]] = {}
    for target in targets:
        mapper = target.__mapper__
        store = mapper.store(target.__state__.unit)
        by_store.setdefault(store, {}).setdefault(mapper.schema(store), []).append(target)
    for store, classes in by_store.items():
        wanted = [(schema, [target.__state__.id for target in some]) for schema, some in classes.items()]
        rows = iter(await readiness.rows(store, wanted, read_from))
        for schema, some in classes.items():
            for target, row in zip(some, rows, strict=False):
                if not target.__state__.knows():
                    target.__mapper__.take_row(target, schema, row)
