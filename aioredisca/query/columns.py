"""Columns: a field bound to the class it was read from, as in ``User.age``. They make conditions.

``BaseColumn`` makes them lazy queries; the verbs that do the work have a colour: :class:`Column` here
has coroutines, its sibling in sync/ plain methods.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from aioredisca.compiler.conditions import And, IsNone, Not, Or, exclusive
from aioredisca.errors import UsageError
from aioredisca.fields import password, predicates
from aioredisca.frames import hiding
from aioredisca.query.spec import QuerySpec
from aioredisca.types import MISSING, Missing

if TYPE_CHECKING:
    from aioredisca.compiler.conditions import Condition
    from aioredisca.fields.base import Field
    from aioredisca.fields.password import Hash, Password
    from aioredisca.model.model import Model
    from aioredisca.model.record import Record
    from aioredisca.query.query import Query

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R", bound="Record")
R_contra = TypeVar("R_contra", bound="Record", contravariant=True)
M = TypeVar("M", bound="Model")
Q = TypeVar("Q")


class Output(Generic[R_contra, T_co]):
    """A column seen as a source of values: what verbs that take columns accept."""

    __slots__ = ()


class BaseColumn(Output[R, T], Generic[R, T, Q]):
    """``User.age``: comparing it makes a query of the class it was read from.

    Two columns are equal when they name the same declared field, and hash alike, so that they live in
    sets and dicts; comparing one to a value makes a query instead. Operands are coerced as in an assignment.
    """

    __slots__ = ("_field", "_mapper", "_model")

    def __init__(self, field: Field[T], model: type[R]) -> None:
        self._field, self._model, self._mapper = field, model, model.__mapper__

    @property
    def field(self) -> Field[T]:
        """The declared field, shared by all classes that inherit it."""
        return self._field

    @property
    def model(self) -> type[R]:
        """The class this column was read from."""
        return self._model

    def __repr__(self) -> str:
        return f"<{self._mapper.name}.{self._field.name}>"

    def __hash__(self) -> int:
        return hash((self._field.name, id(self._field)))

    def _query(self, condition: Condition, *, children: bool = False) -> Q:
        return cast("Q", self._mapper.colour.query(QuerySpec(self._model, condition, children=children)))

    def _equals(self, value: Any, children: bool = False) -> Q:
        return self._query(predicates.equals(self._field, value, self._mapper), children=children)

    def _range(self, minval: Any, maxval: Any, children: bool = False) -> Q:
        return self._query(predicates.between(self._field, minval, maxval, self._mapper), children=children)

    def _ordered(self, value: Any) -> Any:
        if value is None:
            raise UsageError(
                f"{self!r}: None has no order; ask `{self._model.__name__}.{self._field.name}.is_none()`"
            )
        return value

    # -- conditions --------------------------------------------------------------------------------

    @hiding
    def __eq__(self, other: T) -> Q:  # type: ignore[override]  # a query, as in every ORM
        if isinstance(other, BaseColumn):
            return cast("Q", cast("BaseColumn[Any, Any, Any]", other)._field is self._field)
        return self._equals(other)

    @hiding
    def __ne__(self, other: T) -> Q:  # type: ignore[override]
        if isinstance(other, BaseColumn):
            return cast("Q", cast("BaseColumn[Any, Any, Any]", other)._field is not self._field)
        return self._query(Not(predicates.equals(self._field, other, self._mapper)))

    @hiding
    def __ge__(self, other: T) -> Q:
        return self._range(self._ordered(other), None)

    @hiding
    def __gt__(self, other: T) -> Q:
        return self._range(exclusive(self._ordered(other)), None)

    @hiding
    def __le__(self, other: T) -> Q:
        return self._range(None, self._ordered(other))

    @hiding
    def __lt__(self, other: T) -> Q:
        return self._range(None, exclusive(self._ordered(other)))

    @hiding
    def between(self, low: T | exclusive[T], high: T | exclusive[T]) -> Q:
        """The records whose value lies within both bounds, themselves included but for ``exclusive(x)``.

        No I/O. ValidationError for a bound that the field cannot read.
        """
        return self._range(self._ordered(low), self._ordered(high))

    @hiding
    def in_(self, values: Iterable[T]) -> Q:
        """The records that hold one of *values*; None among them finds those without. No I/O.

        UsageError for more than 1,000 values.
        """
        return self._query(predicates.any_of(self._field, values, self._mapper))

    @hiding
    def not_in(self, values: Iterable[T]) -> Q:
        """The records that hold none of *values*, those without a value among them. No I/O."""
        return self._query(Not(predicates.any_of(self._field, values, self._mapper)))

    def is_none(self) -> Q:
        """The records that hold no value. No I/O."""
        return self._query(IsNone(self._field.key))

    def not_none(self) -> Q:
        """The records that hold a value. No I/O."""
        return self._query(Not(IsNone(self._field.key)))

    @hiding
    def startswith(self: BaseColumn[R, str, Q] | BaseColumn[R, str | None, Q], prefix: str) -> Q:
        """The records whose text begins with *prefix*, which is brought into the form of the field. No I/O.

        It takes ``String(index="sorted")``, or ``scan()``.
        """
        column = cast("BaseColumn[R, Any, Q]", self)
        return column._query(predicates.starts_with(column._field, prefix, column._mapper))

    @hiding
    def has(self: BaseColumn[R, set[str], Q] | BaseColumn[R, set[str] | None, Q], element: str) -> Q:
        """The records whose Tags hold *element*. No I/O."""
        return cast("BaseColumn[R, Any, Q]", self)._having([element], And)

    @hiding
    def has_all(
        self: BaseColumn[R, set[str], Q] | BaseColumn[R, set[str] | None, Q], elements: Iterable[str]
    ) -> Q:
        """The records whose Tags hold all of *elements*; without any, every record. No I/O."""
        return cast("BaseColumn[R, Any, Q]", self)._having(elements, And)

    @hiding
    def has_any(
        self: BaseColumn[R, set[str], Q] | BaseColumn[R, set[str] | None, Q], elements: Iterable[str]
    ) -> Q:
        """The records whose Tags hold one of *elements*; without any, no record. No I/O."""
        return cast("BaseColumn[R, Any, Q]", self)._having(elements, Or)

    def _having(self, elements: Iterable[Any], join: type[And | Or]) -> Q:
        if isinstance(elements, str | bytes) or not isinstance(elements, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(f"{self!r}: has_all() and has_any() take several elements; ask has() for one")
        return self._query(
            join(tuple(predicates.has(self._field, element, self._mapper) for element in elements))
        )

    @hiding
    def of(self, target: T) -> Q:
        """The records that refer to *target*: a relation read backwards. No I/O."""
        return self._equals(target)

    # -- order -------------------------------------------------------------------------------------

    def desc(self) -> Descending[R, T]:
        """This column, falling: for ``order_by()``. No I/O."""
        return Descending(self)


class Descending(Output[R, T]):
    """A column to order by, from its largest value down."""

    __slots__ = ("column",)

    descending = True

    def __init__(self, column: BaseColumn[R, T, Any]) -> None:
        self.column = column

    @property
    def field(self) -> Field[T]:
        """The declared field."""
        field: Any = self.column.field  # which checkers take for the value of the field
        return cast("Field[T]", field)

    def __repr__(self) -> str:
        return f"{self.column!r}.desc()"


def page(query: Any, start: int | None, num: int | None) -> Any:
    """*query* cut as redisca's ``start`` and ``num`` say."""
    if start is not None:
        query = query.offset(start)
    return query if num is None else query.limit(num)


class Column(BaseColumn[M, T, "Query[M]"], Generic[M, T]):
    """A column of an asyncio model."""

    __slots__ = ()

    @hiding
    async def find(self, value: T, *, children: bool = False) -> list[M]:
        """Return the records that hold *value*, with ``children`` those of subclasses too.

        EVALSHA or SORT_RO, one round trip per 1,000 records. NotIndexed without an index.
        """
        return await self._equals(value, children)

    @hiding
    async def range(
        self,
        minval: T | exclusive[T] | None = None,
        maxval: T | exclusive[T] | None = None,
        start: int | None = None,
        num: int | None = None,
        *,
        children: bool = False,
    ) -> list[M]:
        """Return the records whose value lies within the bounds, in its order (ties by id).

        Bounds are included unless given as ``exclusive(value)``; None is an open end. ``start`` records
        are passed over and at most ``num`` returned. EVALSHA, one round trip per 1,000 records.
        """
        query = page(self._range(minval, maxval, children), start, num)
        return cast("list[M]", await query)

    @hiding
    async def choice(
        self, val: T | Missing = MISSING, count: int = 1, *, children: bool = False
    ) -> list[M] | None:
        """Return up to *count* random records that hold *val* (any value if none is given), each once.

        None where there is no such record; UsageError above 1,000. EVALSHA, one round trip.
        """
        query = self._query_of(val, children)
        return await query.random(count) or None

    def _query_of(self, val: Any, children: bool) -> Query[M]:
        return self._range(None, None, children) if val is MISSING else self._equals(val, children)


class Limited(BaseColumn[R, T, Q]):
    """A column that only classes have whose records end: UsageError for a condition of another class."""

    __slots__ = ()

    def _query(self, condition: Condition, *, children: bool = False) -> Q:
        self._mapper.lifetime.need_limit()
        return super()._query(condition, children=children)


class LimitedColumn(Limited[M, T, "Query[M]"], Column[M, T]):
    """``Login.expires_at`` of an asyncio model."""

    __slots__ = ()


class PasswordColumn(Column[M, T]):
    """``User.password`` of an asyncio model."""

    __slots__ = ()

    async def hash(self, plain: str) -> Hash:
        """Return the hash of *plain*, made in a thread. ValidationError if the field refuses it. No I/O."""
        work = password.make_hash(password_field(self), self._mapper, plain)
        del plain  # no frame of an error holds it
        return await work

    async def verify(self, record: M | None, plain: str) -> bool:
        """Return whether *plain* is the password of *record*, found out in a thread. No I/O.

        False for None and for a record without a password, in the same time as for a wrong password: the
        answer does not tell who has an account. Where the stored hash is weaker than new ones (MD5 always
        is), the right password puts a better one into the record; save it to keep that. NotLoaded for a
        handle that was never loaded.
        """
        work = password.verify(password_field(self), self._mapper, record, plain)
        del plain  # no frame of an error holds it
        return await work

    async def upgrade(self, record: M) -> bool:
        """Put a strong hash over a bare MD5, whose plain text nobody knows; return whether there was one.

        For data of redisca. Save the record to keep it. No I/O.
        """
        return await password.upgrade(password_field(self), self._mapper, record)


def password_field(column: Any) -> Password[Any]:
    """The field of a column of passwords."""
    return cast("Password[Any]", column.field)
