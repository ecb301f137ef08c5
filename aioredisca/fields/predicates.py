"""Conditions on one field, made of what a program gives: operands are coerced as in an assignment.

Each function takes the field and the mapper of the class that it was read from.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from aioredisca.compiler.conditions import (
    NOTHING,
    AnyOf,
    Between,
    Bound,
    Condition,
    Edge,
    Equals,
    Has,
    IsNone,
    Or,
    StartsWith,
    TextBetween,
    exclusive,
)
from aioredisca.errors import NotIndexed, UsageError, ValidationError
from aioredisca.fields.numbers import Decimal, Integer, Number
from aioredisca.fields.tags import Tags, TagsCodec
from aioredisca.fields.times import Date, DateTime
from aioredisca.storage import codecs

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.mapper import Mapper

MAX_IN_VALUES = 1000
"""Values that one in_() may list."""


def equals(field: Field[Any], value: Any, mapper: Mapper) -> Equals | IsNone:
    """The field holds *value*."""
    if value is None:
        return IsNone(field.key)
    return Equals(field.key, _encoded(field, value, mapper))


def any_of(field: Field[Any], values: Iterable[Any], mapper: Mapper) -> Condition:
    """The field holds one of *values*, None among them too."""
    where = f"{mapper.name}.{field.name}"
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"{where}: in_() takes several values; ask == for one")
    given = list(values)
    known = [_encoded(field, value, mapper) for value in given if value is not None]
    some = AnyOf(field.key, tuple(dict.fromkeys(known)))
    if len(some.values) > MAX_IN_VALUES:
        raise UsageError(f"{where}: in_() takes at most {MAX_IN_VALUES:,} values, not {len(some.values):,}")
    return some if len(known) == len(given) else Or((some, IsNone(field.key)))


def between(field: Field[Any], minval: Any, maxval: Any, mapper: Mapper) -> Condition:
    """The field lies within the bounds; None is an open end, and so is one beyond what the index can hold."""
    if "range" in field.index_kinds:
        low, high = _bound(field, minval, mapper, -1), _bound(field, maxval, mapper, 1)
        if isinstance(low, Or) or isinstance(high, Or):
            return NOTHING
        return _between(field, low, high)
    if "sorted" in field.index_kinds:
        return TextBetween(field.key, _edge(field, minval, mapper), _edge(field, maxval, mapper))
    raise NotIndexed(mapper.name, field.name, f"a {type(field).__name__} field has no order")


def as_texts(field: Field[Any], asked: Between, mapper: Mapper) -> tuple[str, str, str]:
    """How a server that knows no scores asks for a range: "#" by number or "<" by bytes, and both bounds as
    the field stores them, behind "[" where they are included and "(" where not; empty where there is none.

    UsageError for a field of one's own, whose order only Python knows.
    """
    known = field.__codec__.keeps("to_db", "from_db", "score")
    if known and isinstance(field, Date):
        return "<", _text_bound(asked.low, _day), _text_bound(asked.high, _day)
    if known and isinstance(field, Decimal) and not asked.exact:
        text = partial(_unscaled, places=field.places or 0)
        return "#", _text_bound(asked.low, text), _text_bound(asked.high, text)
    if not known or not isinstance(field, Number | DateTime):
        where = f"{mapper.name}.{field.name}"
        raise UsageError(f"{where}: the server does not know the order of this field; require equal values")
    return "#", _text_bound(asked.low, str), _text_bound(asked.high, str)


def _text_bound(end: Bound | None, text: Callable[[str], str]) -> str:
    return "" if end is None else f"{'[' if end.inclusive else '('}{text(end.score)}"


def _day(score: str) -> str:
    return dt.date.fromordinal(int(score)).isoformat()


def _unscaled(score: str, places: int) -> str:
    return codecs.decimal_text(codecs.unscaled(int(score), places))


def starts_with(field: Field[Any], prefix: Any, mapper: Mapper) -> StartsWith:
    """The text of the field begins with *prefix*."""
    if "sorted" not in field.index_kinds:
        raise NotIndexed(mapper.name, field.name, f"a {type(field).__name__} field has no beginning")
    refused = field.__codec__.refused
    if not isinstance(prefix, str):
        raise refused(mapper, f"startswith takes a string, not {type(prefix).__name__}", prefix)
    try:
        return StartsWith(field.key, field.__codec__.prefix(codecs.plain(prefix)).encode())
    except UnicodeEncodeError:
        raise refused(mapper, "holds a lone surrogate, which UTF-8 cannot write", prefix) from None


def has(field: Field[Any], element: Any, mapper: Mapper) -> Has:
    """The set in the field holds *element*."""
    if not isinstance(field, Tags):
        raise NotIndexed(mapper.name, field.name, f"a {type(field).__name__} field has no elements")
    codec = cast("TagsCodec", field.__codec__)
    return Has(field.key, codec.element_raw(element, mapper), codec.elements)


def _encoded(field: Field[Any], value: Any, mapper: Mapper) -> bytes:
    """*value* as it is stored. What is accepted in one step is coerced in it, too."""
    codec = field.__codec__
    accepted = codec.accept_fast(value)
    if accepted:
        return accepted[1]
    try:
        return codec.encode(codec.operand(value, mapper))
    except ValidationError:
        raise
    except ValueError as error:  # as for an integer of more digits than Python writes
        reason = str(error)
    raise codec.refused(mapper, reason, value)


def _between(field: Field[Any], low: Bound | None, high: Bound | None) -> Between:
    codec = field.__codec__
    if not _measured(field):
        return Between(field.key, low, high, codec.raw_score, codec.digits_are_scores, codec.spells_score)
    measure, decode = codec.measure, codec.decode
    return Between(
        field.key, low, high, lambda raw: measure(decode(raw)), codec.digits_are_scores, exact=True
    )


def _measured(field: Field[Any]) -> bool:
    """Whether no range index, with its limits, orders the values of the field."""
    return field.index != "range" and field.__codec__.keeps("score")


def _bound(field: Field[Any], value: Any, mapper: Mapper, side: int) -> Bound | Or | None:
    """The lower (*side* -1) or upper (1) end. NOTHING for one that leaves no value within the bounds."""
    if value is None:
        return None
    if beyond := _infinite(field, value):
        return None if beyond == side else NOTHING
    codec = field.__codec__
    operand, inclusive = _operand(field, value, mapper)
    try:
        if _measured(field):
            return Bound(codec.measure(operand), inclusive)
        return codec.bound(operand, inclusive, side)
    except ValueError as error:
        beyond, reason = codec.beyond(operand), str(error)
    if not beyond:
        raise codec.refused(mapper, reason, value)
    return None if beyond == side else NOTHING


def _infinite(field: Field[Any], value: Any) -> int:
    """-1 or 1 for a bound that is infinite, where the field has no such values; else 0."""
    outside = isinstance(value, exclusive)
    given: Any = cast("exclusive[Any]", value).value if outside else value
    if not isinstance(given, float | decimal.Decimal) or not isinstance(field, _FINITE):
        return 0
    infinite = given.is_infinite() if isinstance(given, decimal.Decimal) else math.isinf(given)
    return (1 if given > 0 else -1) if infinite else 0


_FINITE = (Integer, Decimal, DateTime)


def _edge(field: Field[Any], value: Any, mapper: Mapper) -> Edge | None:
    if value is None:
        return None
    operand, inclusive = _operand(field, value, mapper)
    return Edge(field.__codec__.encode(operand), inclusive=inclusive)


def _operand(field: Field[Any], value: Any, mapper: Mapper) -> tuple[Any, bool]:
    """A bound as a value, and whether it is itself included."""
    outside = isinstance(value, exclusive)
    given = cast("exclusive[Any]", value).value if outside else value
    accepted = field.__codec__.accept_fast(given)
    return accepted[0] if accepted else field.__codec__.operand(given, mapper), not outside
