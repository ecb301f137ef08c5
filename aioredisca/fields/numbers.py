"""The fields whose values have an order, and so a range index: numbers and times."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from fractions import Fraction
from typing import Any, ClassVar, Generic, Literal, Never, overload

from typing_extensions import TypeVar, Unpack

from aioredisca.compiler.changes import Increment
from aioredisca.errors import UsageError
from aioredisca.fields.base import Field, Opt, Options, ordered_limits
from aioredisca.storage import codecs
from aioredisca.storage.schema import IndexKind

V = TypeVar("V")

ORDERED: tuple[IndexKind, ...] = ("range", "exact")


class Number(Field[V], Generic[V]):
    """What Integer, Float and Decimal share: bounds."""

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ORDERED
    minval: Any = None
    maxval: Any = None
    places: int | None = None
    """Decimal places of every value; None where there is no such limit, and no exact sum on the server."""

    def _bound_by(self, minval: Any, maxval: Any) -> None:
        ordered_limits(minval, maxval, "minval, maxval")
        self.minval, self.maxval = minval, maxval

    def check(self, value: Any) -> None:
        if self.minval is not None and value < self.minval:
            raise ValueError(f"is less than {self.minval}")
        if self.maxval is not None and value > self.maxval:
            raise ValueError(f"is more than {self.maxval}")

    def increment(self, by: Any, low: Any, high: Any, owner: type[Any]) -> Increment:
        """What to add on the server, and the bounds of the result: those given and the field's own."""
        if self.places is None or not self._is_plain():
            cure = "it takes an Integer, or a Decimal with places=, with no method overridden"
            raise UsageError(f"{owner.__name__}.{self.name}: incr() must be exact: {cure}")
        lows = [limit for limit in (self.minval, self._limit(low, owner)) if limit is not None]
        highs = [limit for limit in (self.maxval, self._limit(high, owner)) if limit is not None]
        scale = 10**self.places
        return Increment(
            self.key,
            self._units(by, owner),
            math.ceil(Fraction(max(lows)) * scale) if lows else None,
            math.floor(Fraction(min(highs)) * scale) if highs else None,
            self.places,
        )

    def _is_plain(self) -> bool:
        """Whether no class of a user's own changes what values mean: the server cannot know of it."""
        kind = next(kind for kind in type(self).__mro__ if kind.__module__ == __name__)
        names = ("coerce", "check", "to_db", "from_db", "score")
        return all(getattr(type(self), name) is getattr(kind, name) for name in names)

    def _limit(self, value: Any, owner: type[Any]) -> Any:
        return None if value is None else self._operand(value, owner)

    def _units(self, value: Any, owner: type[Any]) -> int:
        number, places = decimal.Decimal(self._operand(value, owner)), self.places or 0
        if codecs.decimal_places(number) > places:
            raise self._refuse(owner, f"has more than {places} digits after the point", value)
        units = codecs.scaled(number, places)
        if abs(units) > codecs.EXACT_INTEGERS:
            raise self._refuse(owner, "lies beyond 2**53, where the server cannot count exactly", value)
        return units


class Integer(Number[int | Opt], Generic[Opt]):
    """A whole number of any size. Takes int, whole float and Decimal, and text of digits.

    ``minval`` ``maxval``  limits, both included.

    A range index holds integers up to 2**53 either side of zero; beyond, use ``index="exact"``.
    """

    places = 0
    quick = staticmethod(codecs.digits_integer)

    digits_are_scores = True

    @overload
    def __init__(
        self: Integer[None],
        *,
        minval: int | None = ...,
        maxval: int | None = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Integer[Never],
        *,
        minval: int | None = ...,
        maxval: int | None = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        *,
        minval: int | None = None,
        maxval: int | None = None,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(required=required, **options)
        self._bound_by(minval, maxval)

    def short(self, value: Any) -> tuple[Any, bytes] | None:
        low, high = self.minval, self.maxval
        if (
            type(value) is int
            and -codecs.EXACT_INTEGERS <= value <= codecs.EXACT_INTEGERS
            and (low is None or low <= value)
            and (high is None or value <= high)
        ):
            return value, b"%d" % value
        return None

    def coerce(self, value: Any) -> int:
        return codecs.read_integer(value)

    def to_db(self, value: int) -> str:
        return codecs.integer_text(value)

    def from_db(self, text: str) -> int:
        return codecs.text_integer(text)

    def view(self, raw: bytes) -> str | bytes | int:
        try:
            return self.from_db(raw.decode())
        except ValueError:
            return super().view(raw)

    def score(self, value: int) -> str:
        if abs(value) > codecs.EXACT_INTEGERS:
            raise ValueError('lies beyond 2**53, where a range index is not exact: declare index="exact"')
        return str(value)

    def _raw_score(self, raw: bytes) -> str:
        plain = raw.isdigit() and len(raw) < 16 and raw[:1] != b"0"
        return raw.decode() if plain else super()._raw_score(raw)


class Float(Number[float | Opt], Generic[Opt]):
    """A floating-point number, stored so that it reads back exactly. -0.0 is 0.0; NaN is refused.

    ``minval`` ``maxval``  limits, both included.
    """

    quick = staticmethod(codecs.plain_float)

    digits_are_scores = True

    @overload
    def __init__(
        self: Float[None],
        *,
        minval: float | None = ...,
        maxval: float | None = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Float[Never],
        *,
        minval: float | None = ...,
        maxval: float | None = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        *,
        minval: float | None = None,
        maxval: float | None = None,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(required=required, **options)
        self._bound_by(minval, maxval)

    def short(self, value: Any) -> tuple[Any, bytes] | None:
        low, high = self.minval, self.maxval
        if (
            type(value) is float
            and -math.inf < value < math.inf  # and no NaN
            and (low is None or low <= value)
            and (high is None or value <= high)
        ):
            number = value + 0.0
            return number, codecs.float_text(number).encode()
        return None

    def coerce(self, value: Any) -> float:
        return codecs.read_float(value)

    def to_db(self, value: float) -> str:
        return codecs.float_text(value)

    def from_db(self, text: str) -> float:
        return codecs.read_float(text)

    def score(self, value: float) -> str:
        if value in (float("inf"), float("-inf")):
            raise ValueError("is infinite, which a range index cannot hold")
        return codecs.float_text(value)


class Decimal(Number[decimal.Decimal | Opt], Generic[Opt]):
    """A decimal number, exact. 1.10 and 1.1 are one value. NaN and infinity are refused.

    ``places``             digits after the point; more are refused. Needed for a range index, which orders
                           by the number scaled to an integer of up to 2**53.
    ``minval`` ``maxval``  limits, both included.
    """

    @overload
    def __init__(
        self: Decimal[None],
        *,
        places: int | None = ...,
        minval: decimal.Decimal | int | None = ...,
        maxval: decimal.Decimal | int | None = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Decimal[Never],
        *,
        places: int | None = ...,
        minval: decimal.Decimal | int | None = ...,
        maxval: decimal.Decimal | int | None = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        *,
        places: int | None = None,
        minval: decimal.Decimal | int | None = None,
        maxval: decimal.Decimal | int | None = None,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(required=required, **options)
        if self.index == "range" and places is None:
            raise UsageError('a range index of a Decimal needs places=, or declare index="exact"')
        if places is not None and not 0 <= places <= 15:
            raise UsageError("places= is a number from 0 to 15")
        self.places = places
        self._bound_by(minval, maxval)

    def coerce(self, value: Any) -> decimal.Decimal:
        return codecs.read_decimal(value)

    def check(self, value: decimal.Decimal) -> None:
        super().check(value)
        if self.places is not None and codecs.decimal_places(value) > self.places:
            raise ValueError(f"has more than {self.places} digits after the point")

    def to_db(self, value: decimal.Decimal) -> str:
        return codecs.decimal_text(value)

    def from_db(self, text: str) -> decimal.Decimal:
        return codecs.text_decimal(text)

    def score(self, value: decimal.Decimal) -> str:
        assert self.places is not None
        if codecs.decimal_places(value) > self.places:
            return repr(float(value.scaleb(self.places)))  # a bound between two storable values
        units = codecs.scaled(value, self.places)
        if abs(units) > codecs.EXACT_INTEGERS:
            raise ValueError(
                f"lies beyond 2**53 units of {self.places} places, where a range index is not exact"
            )
        return str(units)


class DateTime(Field[dt.datetime | Opt], Generic[Opt]):
    """A moment, to the microsecond, always aware and in UTC.

    Takes aware datetimes of any zone, naive ones as UTC, and numbers as seconds since 1970 (what redisca
    stored). A range index holds the years 1900 to 2112, exact to the microsecond.
    """

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ORDERED

    quick = staticmethod(codecs.plain_datetime)

    @overload
    def __init__(
        self: DateTime[None], *, required: Literal[False] = ..., **options: Unpack[Options]
    ) -> None: ...
    @overload
    def __init__(self: DateTime[Never], *, required: Literal[True], **options: Unpack[Options]) -> None: ...
    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)

    def coerce(self, value: Any) -> dt.datetime:
        return codecs.read_datetime(value)

    def to_db(self, value: dt.datetime) -> str:
        return codecs.datetime_text(value)

    def from_db(self, text: str) -> dt.datetime:
        return codecs.text_datetime(text)

    def view(self, raw: bytes) -> str | bytes | int:
        text = super().view(raw)
        return int(text) if isinstance(text, str) and text.removeprefix("-").isdecimal() else text

    def score(self, value: dt.datetime) -> str:
        if not 1900 <= value.year <= 2112:
            raise ValueError("lies outside the years 1900 to 2112, where a range index is not exact")
        return codecs.datetime_text(value)


class Date(Field[dt.date | Opt], Generic[Opt]):
    """A calendar day. Takes a date or text of the form YYYY-MM-DD."""

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ORDERED

    @overload
    def __init__(self: Date[None], *, required: Literal[False] = ..., **options: Unpack[Options]) -> None: ...
    @overload
    def __init__(self: Date[Never], *, required: Literal[True], **options: Unpack[Options]) -> None: ...
    def __init__(self, *, required: bool = False, **options: Unpack[Options]) -> None:
        super().__init__(required=required, **options)

    def coerce(self, value: Any) -> dt.date:
        return codecs.read_date(value)

    def to_db(self, value: dt.date) -> str:
        return value.isoformat()

    def from_db(self, text: str) -> dt.date:
        return codecs.text_date(text)

    def score(self, value: dt.date) -> str:
        return str(value.toordinal())
