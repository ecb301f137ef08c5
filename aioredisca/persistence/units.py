"""What a session is to require of its records, count in them and add to their collections: in one flush, with
all their changes. Each function makes of what a program gives what the next flush asks of a record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.changes import MOST_COUNTED, Add, More, Requirement
from aioredisca.compiler.conditions import (
    All,
    And,
    AnyOf,
    Between,
    Condition,
    Equals,
    Has,
    IsNone,
    Not,
    Or,
    StartsWith,
    TextBetween,
    edge_text,
    keys_of,
)
from aioredisca.errors import NotLoaded, UsageError, ValidationError
from aioredisca.fields.access import check_changeable, need_id
from aioredisca.fields.numbers import increment
from aioredisca.fields.predicates import as_texts
from aioredisca.persistence.collections.handle import ENDLESS, MOST, score_text
from aioredisca.persistence.pending import (
    counted_in_python,
    not_yet_stored,
    number_field,
    own_field,
    refuse_waiting,
)
from aioredisca.storage.codecs import whole_in
from aioredisca.storage.replies import check_values
from aioredisca.types import Arg, Raw

if TYPE_CHECKING:
    from aioredisca.model.record import Record

_Texts = Callable[[Between], tuple[str, str, str]]
"""How a range is asked for by what is stored: see ``as_texts`` in fields/predicates.py."""


_THERE = Requirement((), ("&", 0))
"""The record is stored."""

# -- what is required ------------------------------------------------------------------------------


def required(record: Record, conditions: Sequence[Condition]) -> More:
    """The stored record is to meet all *conditions*; without one, to be there."""
    mapper = record.__mapper__
    _need_stored(record, "require() looks at")
    for key in (key for one in conditions for key in keys_of(one)):
        if key not in mapper.by_key:
            name = mapper.attribute(key)
            raise UsageError(f"{mapper.name}: require() asks for what a record holds, and {name} is no field")

    def texts(asked: Between) -> tuple[str, str, str]:
        return as_texts(mapper.by_key[asked.key], asked, mapper)

    return More(requires=tuple(part for one in conditions for part in _requirements(one, texts)) or (_THERE,))


def required_unchanged(record: Record, columns: Sequence[object]) -> More:
    """The stored record is to hold in *columns*, or in all fields, what was loaded."""
    mapper, layers = record.__mapper__, record.__state__.layers
    _need_stored(record, "require_unchanged() looks at")
    loaded: Raw = {}
    asked = [own_field(mapper, column, "require_unchanged() takes").key for column in columns]
    for key in asked or mapper.by_key:
        if key not in layers.raw and not layers.complete:
            cure = "require_unchanged() compares with what was loaded: load() first"
            raise NotLoaded(mapper.name, record.__state__.id, mapper.attribute(key), cure)
        loaded[key] = layers.raw.get(key)
    check_values(loaded.values())
    return More(requires=tuple(_unchanged(loaded)) or (_THERE,))


def _need_stored(record: Record, does: str) -> None:
    need_id(record)
    if record.__state__.layers.fresh:
        raise not_yet_stored(record, does)


def _requirements(condition: Condition, texts: _Texts) -> list[Requirement]:
    """A condition in the parts that must all hold: a refusal names the fields of those that do not."""
    parts = condition.parts if isinstance(condition, And) else (condition,)
    return [Requirement(tuple(dict.fromkeys(keys_of(part))), (*_tokens(part, texts),)) for part in parts]


def _unchanged(stored: Raw) -> list[Requirement]:
    """These hash fields hold what they held."""
    return [
        Requirement((key,), ("?", key) if raw is None else ("=", key, 1, raw)) for key, raw in stored.items()
    ]


def _tokens(condition: Condition, texts: _Texts) -> list[Arg]:
    match condition:
        case All():
            return ["&", 0]
        case And(parts):
            return ["&", *_several(parts, texts)]
        case Or(parts):
            return ["|", *_several(parts, texts)]
        case Not(part):
            return ["!", *_tokens(part, texts)]
        case Equals(key, value):
            return ["=", key, 1, value]
        case AnyOf(key, values):
            return ["=", key, len(values), *values]
        case IsNone(key):
            return ["?", key]
        case Between(key):
            kind, low, high = texts(condition)
            return [kind, key, low, high]
        case TextBetween(key, low, high):
            return ["<", key, edge_text(low), edge_text(high)]
        case StartsWith(key, prefix):
            return ["^", key, prefix]
        case Has(key, element):
            return ["@", key, element]


def _several(parts: Sequence[Condition], texts: _Texts) -> list[Arg]:
    return [len(parts), *(token for part in parts for token in _tokens(part, texts))]


# -- what is counted and added ---------------------------------------------------------------------


def counting(record: Record, column: Any, by: Any, low: Any, high: Any) -> More:
    """*by* is to be added to the number in *column*, within the bounds."""
    mapper = record.__mapper__
    check_changeable(record)
    need_id(record)
    field = number_field(mapper, column)
    if field.also:
        raise counted_in_python(mapper, field)
    refuse_waiting(record, field, "incr() counts in")
    return More(sums={field.key: increment(field, by, low, high, mapper)})


def appended(record: Record, collection: object, values: tuple[Any, ...]) -> More:
    """*values* are to come at the end of a list, whose first ones go where it has a ``maxlen``."""
    of = _own(record, collection, "list", "append() takes a ListOf")
    appending = _adding(of, "RPUSH", _raws(record, of, values))
    return appending.and_then(_adding(of, "LTRIM", (-of.__maxlen__, -1))) if of.__maxlen__ else appending


def added(record: Record, collection: object, values: tuple[Any, ...]) -> More:
    """*values* are to be in a set."""
    of = _own(record, collection, "set", "add() takes a SetOf")
    return _adding(of, "SADD", _raws(record, of, values))


def scored(record: Record, collection: object, scores: Mapping[Any, float]) -> More:
    """Values of a sorted set are to have these scores."""
    of = _own(record, collection, "sorted", "set_scores() takes a SortedSet")
    if not isinstance(scores, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("set_scores() takes values with their scores, as in {'a': 1.5}")
    raws = _raws(record, of, tuple(scores))
    texts = [_score(record, of, score) for score in scores.values()]
    return _adding(of, "ZADD", [part for pair in zip(texts, raws, strict=True) for part in pair])


def counted_on(record: Record, collection: object, by: Any) -> More:
    """*by* is to be added to a counter."""
    of = _own(record, collection, "counter", "incr() takes a Counter or a column")
    number = whole_in(by, 1 - MOST_COUNTED, MOST_COUNTED - 1)
    if number is None:
        raise _refused(record, of, "counts in a flush by a whole number of up to 18 digits")
    return _adding(of, "INCRBY", [number])


def _own(record: Record, collection: object, kind: str, takes: str) -> Any:
    """*collection*, which is one of this kind of the class of *record*. UsageError for any other."""
    check_changeable(record)
    need_id(record)
    mapper = record.__mapper__
    own = any(one is collection for one in mapper.collections.values())  # `in` would ask a column for `==`
    if not own or getattr(collection, "__kind__", "") != kind:
        raise UsageError(f"{takes} of {mapper.name}, as the class has it; not {collection!r}")
    return collection


def _adding(of: Any, command: str, arguments: Sequence[Arg]) -> More:
    return More(adds=(Add(of.key, command, (*arguments,)),))


def _raws(record: Record, of: Any, values: tuple[Any, ...]) -> list[Arg]:
    if not 1 <= len(values) <= MOST:
        where = f"{record.__mapper__.name}.{of.name}"
        raise UsageError(f"{where}: one call takes 1 to {MOST:,} values, not {len(values):,}")
    found = list[Arg]()
    for value in values:
        raw: bytes | None = of.of.__codec__.accept(value, record.__mapper__)[1]
        if raw is None:
            raise _refused(record, of, "holds values, and None is none")
        found.append(raw)
    return found


def _score(record: Record, of: Any, score: Any) -> str:
    if (text := score_text(score)) is None or text in ENDLESS:
        raise _refused(record, of, "takes a finite int or float as score")
    return text


def _refused(record: Record, of: Any, reason: str) -> ValidationError:
    return ValidationError(record.__mapper__.name, of.name, reason)
