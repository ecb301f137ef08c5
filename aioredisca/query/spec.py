"""``QuerySpec``: what a query asks for, as frozen data. What runs it is in execution.py and mutations.py."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aioredisca.compiler.conditions import All, And, Condition, Not, Or, join
from aioredisca.errors import UsageError
from aioredisca.types import ReadFrom

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")

MAX_DEPTH = 100
"""How deep conditions stand within one another; a chain of one operator is one level."""


@dataclass(frozen=True, slots=True)
class Ordering:
    """A field to order by. Records without a value come last, whatever the direction."""

    field: Field[Any]
    descending: bool = False


@dataclass(frozen=True, slots=True)
class QuerySpec(Generic[R]):
    """A class, a condition, an order, and how much of it.

    ``scan``      parts of the condition that no index answers are allowed: every candidate is read.
    ``only``      the fields to load; None for all.
    ``prefetch``  the references to load along, as attribute names.
    ``depth``     how many levels of conditions within conditions there are.
    ``read_from``  who answers, in a cluster; None: whom the Database reads from.
    """

    model: type[R]
    condition: Condition = All()  # noqa: RUF009  # frozen
    order: tuple[Ordering, ...] = ()
    offset: int = 0
    limit: int | None = None
    children: bool = False
    scan: bool = False
    only: tuple[Field[Any], ...] | None = None
    prefetch: tuple[tuple[str, ...], ...] = ()
    depth: int = 1
    read_from: ReadFrom | None = None

    @property
    def mapper(self) -> Mapper:
        """What the library keeps of the class."""
        return self.model.__mapper__

    @property
    def whole(self) -> bool:
        """Whether it asks for every match."""
        return not self.offset and self.limit is None

    @property
    def loads(self) -> list[str] | None:
        """The hash fields to load, those of references to load along among them; None for all."""
        if self.only is None:
            return None
        along = (self.mapper.fields[path[0]] for path in self.prefetch)
        return list(dict.fromkeys(field.key for field in (*self.only, *along)))

    def sliced(self, start: int, stop: int | None) -> QuerySpec[R]:
        """From *start* to before *stop*, counted from the start of what this spec yields."""
        limit = None if stop is None else max(0, stop - start)
        if self.limit is not None:
            rest = max(0, self.limit - start)
            limit = rest if limit is None else min(limit, rest)
        return replace(self, offset=self.offset + start, limit=limit)

    def least(self, limit: int | None) -> QuerySpec[R]:
        """At most *limit* records of it."""
        if limit is None or (self.limit is not None and self.limit <= limit):
            return self
        return replace(self, limit=limit)

    def joined(self, other: QuerySpec[Any], *, either: bool) -> QuerySpec[R]:
        """Both conditions (or *either*), for the class that has all the fields of both."""
        for spec in (self, other):
            if not spec.whole or spec.order or spec.only or spec.prefetch:
                raise UsageError(
                    "conditions are joined before they are ordered, limited or sliced: "
                    "write (a & b).order_by(...).limit(n)"
                )
        kind, both = Or if either else And, (self.read_from, other.read_from)
        depth = max(one.depth + (not isinstance(one.condition, kind)) for one in (self, other))
        return replace(
            self,
            model=_common(self.model, other.model),
            condition=join(kind, self.condition, other.condition),
            depth=_checked(depth),
            children=self.children or other.children,
            scan=self.scan or other.scan,
            read_from="primary" if "primary" in both else self.read_from or other.read_from,
        )

    def inverted(self) -> QuerySpec[R]:
        """The records that this condition does not hold for."""
        if not self.whole or self.order or self.only or self.prefetch:
            raise UsageError("a condition is inverted before it is ordered, limited or sliced: ~(condition)")
        if isinstance(self.condition, Not):
            return replace(self, condition=self.condition.part)
        return replace(self, condition=Not(self.condition), depth=_checked(self.depth + 1))

    def where(self, other: QuerySpec[Any]) -> QuerySpec[R]:
        """This spec narrowed by a condition; what comes after the condition stays."""
        if not self.whole:
            raise UsageError("where() comes before limit(), offset() and slices")
        shaped = bool(self.order or self.only or self.prefetch)
        bare = replace(self, order=(), only=None, prefetch=()) if shaped else self
        joined = bare.joined(other, either=False)
        if joined.model is not self.model:
            raise UsageError(f"a condition on {other.model.__name__} does not fit {self.model.__name__}")
        if not shaped:
            return joined
        return replace(joined, order=self.order, only=self.only, prefetch=self.prefetch)


def _checked(depth: int) -> int:
    if depth > MAX_DEPTH:
        raise UsageError(f"conditions stand within one another at most {MAX_DEPTH} deep")
    return depth


def _common(one: type[Any], other: type[Any]) -> Any:
    """The more special of two classes, which has the fields of both."""
    if issubclass(one, other):
        return one
    if issubclass(other, one):
        return other
    raise UsageError(f"conditions on {one.__name__} and {other.__name__} cannot be joined: two models")
