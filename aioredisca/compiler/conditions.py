"""Conditions as frozen data: what a query asks, with no idea how it will be answered. All pure.

A condition knows the hash fields it looks at and its operands as canonical text. One on a single field knows
which stored values it :meth:`admits`; :func:`judge` makes of a condition what judges rows: every row that an
index yields is judged before it is handed out. No repr shows an operand, for debuggers send them away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar, cast

from aioredisca.types import Stored

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class exclusive(Generic[T]):
    """A bound that is itself left out: ``User.age.range(minval=exclusive(5))``."""

    value: T = field(repr=False)


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range of numbers, as the text of a score."""

    score: str = field(repr=False)
    inclusive: bool = True

    @property
    def text(self) -> str:
        """As ZRANGEBYSCORE and ZCOUNT take it."""
        return self.score if self.inclusive else f"({self.score}"


@dataclass(frozen=True, slots=True)
class Edge:
    """One end of a range of texts, as stored bytes."""

    value: bytes = field(repr=False)
    inclusive: bool = True


def edge_text(edge: Edge | None) -> bytes:
    """An end as scripts take it: the text behind [ or (, nothing where it is open."""
    return b"" if edge is None else (b"[" if edge.inclusive else b"(") + edge.value


# -- conditions on one field -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Equals:
    """The field holds exactly this value."""

    key: str
    value: bytes = field(repr=False)

    def admits(self, value: bytes | None) -> bool:
        return value == self.value


@dataclass(frozen=True, slots=True)
class AnyOf:
    """The field holds one of these values."""

    key: str
    values: tuple[bytes, ...] = field(repr=False)

    def admits(self, value: bytes | None) -> bool:
        return value in self.values


@dataclass(frozen=True, slots=True)
class IsNone:
    """The field holds no value."""

    key: str

    def admits(self, value: bytes | None) -> bool:
        return value is None


@dataclass(frozen=True, slots=True)
class Between:
    """The score of the field's value lies within the bounds; None is an open end.

    ``digits``   a value that is stored as up to 15 digits has that number as its score.
    ``spelled``  the number that a value spells is its score: the server judges it without knowing the kind.
    ``exact``    scores are decimal numbers of any size, which only rows are judged by: no index holds them.
    """

    key: str
    low: Bound | None
    high: Bound | None
    score: Callable[[bytes], str] = field(compare=False, repr=False)
    digits: bool = field(default=False, compare=False, repr=False)
    spelled: bool = field(default=False, compare=False, repr=False)
    exact: bool = field(default=False, compare=False, repr=False)
    _from: float | Decimal = field(init=False, compare=False, repr=False)
    _to: float | Decimal = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Read the bounds once, not for each row."""
        number = Decimal if self.exact else float
        object.__setattr__(self, "_from", number(self.low.score if self.low else "-inf"))
        object.__setattr__(self, "_to", number(self.high.score if self.high else "inf"))

    def admits(self, value: bytes | None) -> bool:
        if value is None:
            return False
        try:
            plain = self.digits and value.isdigit() and len(value) < 16
            score = int(value) if plain else (Decimal if self.exact else float)(self.score(value))
        except ValueError:
            return False
        if self._from < score < self._to:  # as nearly always, where an index has found it
            return True
        above = score > self._from or (score == self._from and (self.low is None or self.low.inclusive))
        below = score < self._to or (score == self._to and (self.high is None or self.high.inclusive))
        return above and below

    def narrowed(self, other: Between) -> Between:
        """What lies within both."""
        lows = [bound for bound in (self.low, other.low) if bound]
        highs = [bound for bound in (self.high, other.high) if bound]
        number = Decimal if self.exact else float
        low = max(lows, key=lambda bound: (number(bound.score), not bound.inclusive), default=None)
        high = min(highs, key=lambda bound: (number(bound.score), bound.inclusive), default=None)
        return Between(self.key, low, high, self.score, self.digits, self.spelled, self.exact)


@dataclass(frozen=True, slots=True)
class TextBetween:
    """The text of the field lies within the edges, by its bytes; None is an open end."""

    key: str
    low: Edge | None
    high: Edge | None

    def admits(self, value: bytes | None) -> bool:
        low, high = self.low, self.high
        if value is None:
            return False
        above = low is None or value > low.value or (low.inclusive and value == low.value)
        return above and (high is None or value < high.value or (high.inclusive and value == high.value))

    def narrowed(self, other: TextBetween) -> TextBetween:
        """What lies within both."""
        lows = [edge for edge in (self.low, other.low) if edge]
        highs = [edge for edge in (self.high, other.high) if edge]
        low = max(lows, key=lambda edge: (edge.value, not edge.inclusive), default=None)
        high = min(highs, key=lambda edge: (edge.value, edge.inclusive), default=None)
        return TextBetween(self.key, low, high)


@dataclass(frozen=True, slots=True)
class StartsWith:
    """The text of the field begins with this one."""

    key: str
    prefix: bytes = field(repr=False)

    def admits(self, value: bytes | None) -> bool:
        return value is not None and value.startswith(self.prefix)


@dataclass(frozen=True, slots=True)
class Has:
    """The set in the field holds this element."""

    key: str
    element: bytes = field(repr=False)
    elements: Callable[[bytes], tuple[bytes, ...]] = field(compare=False, repr=False)

    def admits(self, value: bytes | None) -> bool:
        if value is None:
            return False
        try:
            return self.element in self.elements(value)
        except ValueError:
            return False


Leaf = Equals | AnyOf | IsNone | Between | TextBetween | StartsWith | Has

# -- conditions on conditions ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class All:
    """Every record."""


@dataclass(frozen=True, slots=True)
class And:
    """All of the parts hold."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the parts holds; without parts, none does."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold. A record without a value is no exception: ``!= "x"`` finds it."""

    part: Condition


Condition = Leaf | All | And | Or | Not

NOTHING = Or(())


def join(kind: type[And | Or], one: Condition, other: Condition) -> And | Or:
    """Both conditions as one, flat: a chain of a thousand is no deeper than one of two."""
    parts = [part.parts if isinstance(part, kind) else (part,) for part in (one, other)]
    return kind((*parts[0], *parts[1]))


def leaves(condition: Condition) -> Iterator[Leaf]:
    """The conditions on one field that a condition is made of."""
    match condition:
        case All():
            return
        case And(parts) | Or(parts):
            for part in parts:
                yield from leaves(part)
        case Not(part):
            yield from leaves(part)
        case _:
            yield condition


def keys_of(condition: Condition) -> Iterator[str]:
    """The hash fields that a condition looks at, some of them twice."""
    return (leaf.key for leaf in leaves(condition))


def spelled(part: Any) -> str:
    """A condition, or a part of one, with all its operands: for what is bound to it. Not to be shown."""
    if isinstance(part, tuple):
        inner = [spelled(one) for one in cast("tuple[object, ...]", part)]
        return f"({', '.join(inner)}{',' * (len(inner) == 1)})"
    if not is_dataclass(part):
        return repr(part)
    inner = [f"{one.name}={spelled(getattr(part, one.name))}" for one in fields(part) if one.compare]
    return f"{type(part).__name__}({', '.join(inner)})"


# -- judging rows ----------------------------------------------------------------------------------

Judge = Callable[[Stored], bool]
"""Whether a condition holds for a record, given the stored values of its fields; None where it has none."""


def judge(condition: Condition, place: Callable[[str], int]) -> Judge:
    """What judges rows, in which the hash field *key* stands at ``place(key)``."""
    match condition:
        case All():
            return lambda row: True
        case And(parts):
            return _all_of([judge(part, place) for part in parts])
        case Or(parts):
            return _any_of([judge(part, place) for part in parts])
        case Not(part):
            holds = judge(part, place)
            return lambda row: not holds(row)
        case Equals(key, value):
            at = place(key)
            return lambda row: row[at] == value
        case leaf:
            at, admits = place(leaf.key), leaf.admits
            return lambda row: admits(row[at])


def _all_of(parts: Sequence[Judge]) -> Judge:
    def holds(row: Stored) -> bool:
        for part in parts:  # noqa: SIM110  # for every row: all() takes twice the time
            if not part(row):
                return False
        return True

    return holds


def _any_of(parts: Sequence[Judge]) -> Judge:
    def holds(row: Stored) -> bool:
        for part in parts:  # noqa: SIM110
            if part(row):
                return True
        return False

    return holds


# -- the normal form -------------------------------------------------------------------------------


def normal(condition: Condition, negated: bool = False) -> Condition:
    """The same condition with NOT only before leaves, flat, and with what is about one field merged."""
    match condition:
        case Not(part):
            return normal(part, not negated)
        case All():
            return NOTHING if negated else condition
        case And(parts) | Or(parts):
            conjunction = isinstance(condition, And) is not negated
            normals = [normal(part, negated) for part in parts]
            return _conjunction(normals) if conjunction else _disjunction(normals)
        case AnyOf(_, ()):
            return All() if negated else NOTHING
        case AnyOf(key, (value,)):
            return normal(Equals(key, value), negated)
        case _:
            return Not(condition) if negated else condition


def _conjunction(parts: list[Condition]) -> Condition:
    flat = list[Condition]()
    for part in parts:
        flat += part.parts if isinstance(part, And) else [part]
    merged = list(dict.fromkeys(_narrowed(part for part in flat if not isinstance(part, All))))
    if NOTHING in merged:
        return NOTHING
    if len(merged) < 2:
        return merged[0] if merged else All()
    return And(tuple(merged))


def _narrowed(parts: Iterator[Condition]) -> Iterator[Condition]:
    """Ranges of one field as one range."""
    numbers, texts = dict[str, Between](), dict[str, TextBetween]()
    for part in parts:
        if isinstance(part, Between):
            numbers[part.key] = part.narrowed(numbers[part.key]) if part.key in numbers else part
        elif isinstance(part, TextBetween):
            texts[part.key] = part.narrowed(texts[part.key]) if part.key in texts else part
        else:
            yield part
    yield from numbers.values()
    yield from texts.values()


def _disjunction(parts: list[Condition]) -> Condition:
    flat = list[Condition]()
    for part in parts:
        flat += part.parts if isinstance(part, Or) else [part]
    merged = list(dict.fromkeys(_gathered(flat)))
    if any(isinstance(part, All) for part in merged):
        return All()
    return merged[0] if len(merged) == 1 else Or(tuple(merged))


def _gathered(parts: list[Condition]) -> Iterator[Condition]:
    """Values of one field as one list of values."""
    values = dict[str, dict[bytes, None]]()
    for part in parts:
        match part:
            case Equals(key, value):
                values.setdefault(key, {})[value] = None
            case AnyOf(key, some):
                values.setdefault(key, {}).update(dict.fromkeys(some))
            case _:
                yield part
    for key, found in values.items():
        yield normal(AnyOf(key, tuple(found)))


# -- in parts --------------------------------------------------------------------------------------


def divided(condition: Condition, most: int) -> list[Condition]:
    """*condition* as several, of which a record meets one at most, with *most* values in each list.

    A list is divided where it is all of the condition, or a part of its AND; any other stays whole.
    """
    whole = normal(condition)
    parts = whole.parts if isinstance(whole, And) else (whole,)
    longest = max(
        (part for part in parts if isinstance(part, AnyOf)), key=lambda one: len(one.values), default=None
    )
    if longest is None or len(longest.values) <= most:
        return [condition]
    rest = tuple(part for part in parts if part is not longest)
    values = longest.values
    some = (AnyOf(longest.key, values[first : first + most]) for first in range(0, len(values), most))
    return [And((one, *rest)) if rest else one for one in some]
