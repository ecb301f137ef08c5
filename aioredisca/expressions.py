"""Conditions as frozen data: what a query asks, with no idea how it will be answered. All pure.

A condition knows the hash field it looks at, its operands as canonical text, and how to judge one stored
value (:meth:`holds`): every row an index yields is judged by it before it is handed out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class exclusive(Generic[T]):
    """A bound that is itself left out: ``User.age.range(minval=exclusive(5))``."""

    value: T


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range, as the text of a score."""

    score: str
    inclusive: bool = True

    @property
    def text(self) -> str:
        """As ZRANGEBYSCORE and ZCOUNT take it."""
        return self.score if self.inclusive else f"({self.score}"

    @property
    def outside(self) -> str:
        """The end of what lies just outside of a lower bound, as ZCOUNT takes it."""
        return f"({self.score}" if self.inclusive else self.score


@dataclass(frozen=True, slots=True)
class All:
    """Every record."""

    key: str | None = None

    def holds(self, raw: bytes | None) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Equals:
    """The field holds exactly this value."""

    key: str
    value: bytes

    def holds(self, raw: bytes | None) -> bool:
        return raw == self.value


@dataclass(frozen=True, slots=True)
class IsNone:
    """The field holds no value."""

    key: str

    def holds(self, raw: bytes | None) -> bool:
        return raw is None


@dataclass(frozen=True, slots=True)
class Between:
    """The score of the field's value lies within the bounds; None is an open end."""

    key: str
    low: Bound | None
    high: Bound | None
    score: Callable[[bytes], str] = field(compare=False, repr=False)

    def holds(self, raw: bytes | None) -> bool:
        if raw is None:
            return False
        try:
            score = float(self.score(raw))
        except ValueError:
            return False
        return self._above(score) and self._below(score)

    def _above(self, score: float) -> bool:
        low = self.low
        return low is None or score > float(low.score) or (low.inclusive and score == float(low.score))

    def _below(self, score: float) -> bool:
        high = self.high
        return high is None or score < float(high.score) or (high.inclusive and score == float(high.score))


Condition = All | Equals | IsNone | Between
