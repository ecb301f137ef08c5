"""Conditions on one field, made of what a program gives: operands are coerced as in an assignment.

Each function takes the field and the mapper of the class that it was read from.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from aioredisca.compiler.conditions import (
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
from aioredisca.errors import NotIndexed, UsageError
from aioredisca.fields.tags import Tags, TagsCodec
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
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise UsageError(f"{where}: in_() takes several values; ask == for one")
    given = list(values)
    known = [_encoded(field, value, mapper) for value in given if value is not None]
    some = AnyOf(field.key, tuple(dict.fromkeys(known)))
    if len(some.values) > MAX_IN_VALUES:
        raise UsageError(f"{where}: in_() takes at most {MAX_IN_VALUES:,} values, not {len(some.values):,}")
    return some if len(known) == len(given) else Or((some, IsNone(field.key)))


def between(field: Field[Any], minval: Any, maxval: Any, mapper: Mapper) -> Condition:
    """The field lies within the bounds; None is an open end."""
    if "range" in field.index_kinds:
        low, high = _bound(field, minval, mapper), _bound(field, maxval, mapper)
        return Between(field.key, low, high, field.__codec__.raw_score, field.__codec__.digits_are_scores)
    if "sorted" in field.index_kinds:
        return TextBetween(field.key, _edge(field, minval, mapper), _edge(field, maxval, mapper))
    raise NotIndexed(mapper.name, field.name, f"a {type(field).__name__} field has no order")


def starts_with(field: Field[Any], prefix: Any, mapper: Mapper) -> StartsWith:
    """The text of the field begins with *prefix*."""
    if "sorted" not in field.index_kinds:
        raise NotIndexed(mapper.name, field.name, f"a {type(field).__name__} field has no beginning")
    refused = field.__codec__.refused
    if not isinstance(prefix, str):
        raise refused(mapper, f"startswith takes a string, not {type(prefix).__name__}", prefix)
    try:
        return StartsWith(field.key, codecs.plain(prefix).encode())
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
    return accepted[1] if accepted else codec.encode(codec.operand(value, mapper))


def _bound(field: Field[Any], value: Any, mapper: Mapper) -> Bound | None:
    if value is None:
        return None
    operand, inclusive = _operand(field, value, mapper)
    try:
        return Bound(field.score(operand), inclusive=inclusive)
    except ValueError as error:
        raise field.__codec__.refused(mapper, str(error), value) from None


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
