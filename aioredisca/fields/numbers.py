"""The fields of numbers, and what the server is to add to them."""

from __future__ import annotations

import decimal
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Never, overload

from typing_extensions import TypeVar, Unpack

from aioredisca.compiler.changes import Increment
from aioredisca.compiler.conditions import Bound
from aioredisca.errors import UsageError
from aioredisca.fields.base import Field, Opt, Options, ordered_limits
from aioredisca.fields.codec import Codec, FastAccept, FastDecode
from aioredisca.storage import codecs
from aioredisca.storage.schema import IndexKind

if TYPE_CHECKING:
    from aioredisca.model.mapper import Mapper

V = TypeVar("V")

ORDERED: tuple[IndexKind, ...] = ("range", "exact")

MAX_DECIMAL_DIGITS = 1000
"""Digits of a Decimal, unless ``maxdigits`` says otherwise."""


class Number(Field[V], Generic[V]):
    """What Integer, Float and Decimal share: bounds."""

    index_kinds: ClassVar[tuple[IndexKind, ...]] = ORDERED
    minval: Any = None
    maxval: Any = None
    places: int | None = None
    """Decimal places of every value; None where there is no such limit, and no exact sum on the server."""

    def check(self, value: Any) -> None:
        if self.minval is not None and value < self.minval:
            raise ValueError(f"is less than {self.minval}")
        if self.maxval is not None and value > self.maxval:
            raise ValueError(f"is more than {self.maxval}")


def _digits(given: int, least: int, cure: str = "") -> int:
    """What ``maxdigits=`` says. Longer numbers could be written, and never read again."""
    if codecs.whole_in(given, least, codecs.MAX_DIGITS) is None:
        raise UsageError(f"maxdigits={given!r}: is a number from {least} to {codecs.MAX_DIGITS:,}{cure}")
    return given


def countable(mapper: Mapper, field: Field[Any]) -> Number[Any]:
    """*field*, in which can be counted. UsageError for any other."""
    if not isinstance(field, Number):
        raise UsageError(f"{mapper.name}.{field.name}: incr() counts Integer and Decimal fields")
    if field.on_save is not None:
        raise UsageError(
            f"{mapper.name}.{field.name} has on_save=, by which every write gives it another value: nothing "
            f"can count in it"
        )
    return field


def increment(field: Number[Any], by: Any, low: Any, high: Any, mapper: Mapper) -> Increment:
    """What to add on the server, and the bounds of the result: those given and the field's own."""
    places = field.places
    if places is None or not field.__codec__.keeps(*_MEANING):
        cure = "it takes an Integer, or a Decimal with places=, with no method overridden"
        raise UsageError(f"{mapper.name}.{field.name}: incr() must be exact: {cure}")
    lows = [limit for limit in (field.minval, _limit(field, low, mapper)) if limit is not None]
    highs = [limit for limit in (field.maxval, _limit(field, high, mapper)) if limit is not None]
    if lows and highs and max(lows) > min(highs):
        raise UsageError(f"{mapper.name}.{field.name}: no number lies within: min= is above max=")
    scale = 10**places
    return Increment(
        field.key,
        _units(field, by, places, mapper),
        math.ceil(Fraction(max(lows)) * scale) if lows else None,
        math.floor(Fraction(min(highs)) * scale) if highs else None,
        places,
    )


_MEANING = ("coerce", "check", "to_db", "from_db", "score")
"""What changes the meaning of a value where it is overridden: the server cannot know of it."""


def _limit(field: Number[Any], value: Any, mapper: Mapper) -> Any:
    return None if value is None else field.__codec__.operand(value, mapper)


def _units(field: Number[Any], value: Any, places: int, mapper: Mapper) -> int:
    codec = field.__codec__
    number = decimal.Decimal(codec.operand(value, mapper))
    if codecs.decimal_places(number) > places:
        raise codec.refused(mapper, f"has more than {places} digits after the point", value)
    units = codecs.scaled(number, places)
    if abs(units) > codecs.EXACT_INTEGERS:
        raise codec.refused(mapper, "lies beyond 2**53, where the server cannot count exactly", value)
    return units


class NumberCodec(Codec):
    """Of numbers."""

    __slots__ = ()

    def beyond(self, value: Any) -> int:
        return (1 if value > 0 else -1) if self.keeps("score") else 0

    def coerce_stored(self, text: Any, mapper: Mapper) -> Any:
        if isinstance(text, str) and not codecs.is_number(text) and self.keeps("from_db", "coerce_stored"):
            raise ValueError("is no number")  # what others stored so is read; it is not written
        return super().coerce_stored(text, mapper)


class IntegerCodec(NumberCodec):
    """Of whole numbers."""

    __slots__ = ()

    def _fast_accept(self) -> FastAccept:
        field: Number[Any] = self.field  # whose limits are read each time, for they may be changed

        def accept(value: Any) -> tuple[Any, bytes] | None:
            if type(value) is int and -codecs.EXACT_INTEGERS <= value <= codecs.EXACT_INTEGERS:
                low, high = field.minval, field.maxval
                if (low is None or low <= value) and (high is None or value <= high):
                    return value, b"%d" % value
            return None

        return accept

    def _fast_decode(self) -> FastDecode:
        return codecs.digits_integer

    def _digits_are_scores(self) -> bool:
        return True

    def raw_score(self, raw: bytes) -> str:
        if self.digits_are_scores and raw.isdigit() and len(raw) < 16 and (raw[:1] != b"0" or raw == b"0"):
            return raw.decode()
        return super().raw_score(raw)

    def measure(self, value: Any) -> str:
        return codecs.integer_text(value)


class FloatCodec(NumberCodec):
    """Of floating-point numbers."""

    __slots__ = ()

    def _fast_accept(self) -> FastAccept:
        field: Number[Any] = self.field

        def accept(value: Any) -> tuple[Any, bytes] | None:
            if type(value) is float and -math.inf < value < math.inf:  # neither infinite nor NaN
                low, high = field.minval, field.maxval
                if (low is None or low <= value) and (high is None or value <= high):
                    number = value + 0.0
                    return number, codecs.float_text(number).encode()
            return None

        return accept

    def _fast_decode(self) -> FastDecode:
        return codecs.plain_float

    def _digits_are_scores(self) -> bool:
        return True

    def measure(self, value: Any) -> str:
        return codecs.float_text(value)


class DecimalCodec(NumberCodec):
    """Of decimal numbers. Values have the scale that ``places`` says; as text they are canonical."""

    __slots__ = ()

    def coerce(self, value: Any, mapper: Mapper) -> Any:
        return self._to_scale(self.field.coerce(value))

    def coerce_stored(self, text: Any, mapper: Mapper) -> Any:
        return self._to_scale(super().coerce_stored(text, mapper))

    def decode(self, raw: bytes) -> Any:
        return self._to_scale(super().decode(raw))

    def _to_scale(self, value: Any) -> Any:
        places = self.field.places
        if places is None or not isinstance(value, decimal.Decimal) or not self.keeps("to_db"):
            return value
        return codecs.to_scale(value, places)

    def bound(self, value: Any, inclusive: bool, side: int) -> Bound:
        places = self.field.places
        if codecs.decimal_places(value) <= places or not self.keeps("score"):
            return super().bound(value, inclusive, side)
        below = math.floor(Fraction(value) * 10**places)  # it lies between two values that can be stored
        return Bound(self.field.score(codecs.unscaled(below, places)), side > 0)

    def measure(self, value: Any) -> str:
        return codecs.decimal_text(value)


class Integer(Number[int | Opt], Generic[Opt]):
    """A whole number. Takes int, whole float and Decimal, and text of digits.

    ``minval`` ``maxval``  limits, both included.
    ``maxdigits``          digits of a value: at least 16, at most the 4,300 that Python reads, the default.

    A range index holds integers up to 2**53 either side of zero; beyond, use ``index="exact"``.
    """

    places = 0
    __codec_type__ = IntegerCodec

    @overload
    def __init__(
        self: Integer[None],
        *,
        minval: int | None = ...,
        maxval: int | None = ...,
        maxdigits: int = ...,
        required: Literal[False] = ...,
        **options: Unpack[Options],
    ) -> None: ...
    @overload
    def __init__(
        self: Integer[Never],
        *,
        minval: int | None = ...,
        maxval: int | None = ...,
        maxdigits: int = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        *,
        minval: int | None = None,
        maxval: int | None = None,
        maxdigits: int = codecs.MAX_DIGITS,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(required=required, **options)
        ordered_limits(minval, maxval, "minval, maxval")
        self.minval, self.maxval = minval, maxval
        self.maxdigits = _digits(maxdigits, 16, "; minval= and maxval= set narrower limits")

    def coerce(self, value: Any) -> int:
        return codecs.read_integer(value)

    def check(self, value: int) -> None:
        super().check(value)
        if abs(value) > codecs.EXACT_INTEGERS and abs(value) >= 10**self.maxdigits:
            raise ValueError(f"has more than {self.maxdigits:,} digits")

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


class Float(Number[float | Opt], Generic[Opt]):
    """A floating-point number, stored so that it reads back exactly. -0.0 is 0.0; NaN is refused.

    Takes numbers and text such as "-1.5e3" (no blanks, no underscores).

    ``minval`` ``maxval``  limits, both included.
    """

    __codec_type__ = FloatCodec

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
        ordered_limits(minval, maxval, "minval, maxval")
        self.minval, self.maxval = minval, maxval

    def coerce(self, value: Any) -> float:
        return codecs.read_float(value)

    def to_db(self, value: float) -> str:
        return codecs.float_text(value)

    def from_db(self, text: str) -> float:
        return codecs.text_float(text)

    def score(self, value: float) -> str:
        if value in (float("inf"), float("-inf")):
            raise ValueError("is infinite, which a range index cannot hold")
        return codecs.float_text(value)


class Decimal(Number[decimal.Decimal | Opt], Generic[Opt]):
    """A decimal number, exact. 1.10 and 1.1 are one value. NaN and infinity are refused.

    Takes numbers and text such as "17.50" (no blanks, no underscores).

    ``places``             digits after the point, which all values have then: 17.5 reads as 17.50. More
                           are refused. Needed for a range index, which orders by the number scaled to an
                           integer of up to 2**53.
    ``minval`` ``maxval``  limits, both included.
    ``maxdigits``          digits of a value, before and after the point together, without zeros at the
                           end; 1,000 by default, 4,300 at most.
    """

    __codec_type__ = DecimalCodec

    @overload
    def __init__(
        self: Decimal[None],
        *,
        places: int | None = ...,
        minval: decimal.Decimal | int | None = ...,
        maxval: decimal.Decimal | int | None = ...,
        maxdigits: int = ...,
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
        maxdigits: int = ...,
        required: Literal[True],
        **options: Unpack[Options],
    ) -> None: ...
    def __init__(
        self,
        *,
        places: int | None = None,
        minval: decimal.Decimal | int | None = None,
        maxval: decimal.Decimal | int | None = None,
        maxdigits: int = MAX_DECIMAL_DIGITS,
        required: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(required=required, **options)
        if self.index == "range" and places is None:
            raise UsageError('a range index of a Decimal needs places=, or declare index="exact"')
        if places is not None and not 0 <= places <= 15:
            raise UsageError("places= is a number from 0 to 15")
        self.places = places
        ordered_limits(minval, maxval, "minval, maxval")
        self.minval, self.maxval = minval, maxval
        self.maxdigits = _digits(maxdigits, 1)

    def coerce(self, value: Any) -> decimal.Decimal:
        return codecs.read_decimal(value)

    def check(self, value: decimal.Decimal) -> None:
        super().check(value)
        if self.places is not None and codecs.decimal_places(value) > self.places:
            raise ValueError(f"has more than {self.places} digits after the point")
        if codecs.decimal_digits(value) > self.maxdigits:
            raise ValueError(f"has more than {self.maxdigits:,} digits")

    def to_db(self, value: decimal.Decimal) -> str:
        return codecs.decimal_text(value)

    def from_db(self, text: str) -> decimal.Decimal:
        return codecs.text_decimal(text)

    def score(self, value: decimal.Decimal) -> str:
        assert self.places is not None
        units = codecs.scaled(value, self.places)
        if abs(units) > codecs.EXACT_INTEGERS:
            raise ValueError(
                f"lies beyond 2**53 units of {self.places} places, where a range index is not exact"
            )
        return str(units)
