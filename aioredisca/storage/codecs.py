"""Value <-> text: one canonical text for each value, so that equal values are equal bytes. All pure.

``read_*`` takes what a program assigns and answers the value of the field's type, or raises ValueError
with the reason. ``*_text`` writes such a value, ``text_*`` reads what was written (and what redisca
wrote). ``*_score`` is the text of the number that a range index orders by.

Text that means a number, a truth value, a moment, a day or a UUID is ASCII, without blanks and underscores.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
import math
import re
import sys
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, cast

EXACT_INTEGERS = 2**53
"""Up to here, either side of zero, a double tells every integer from the next."""

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
MAX_DIGITS = 4300
"""Digits of the longest whole number that Python reads and writes, unless it is told otherwise."""

_INTEGER = re.compile(rf"[+-]?[0-9]{{1,{MAX_DIGITS}}}\Z")
_NUMBER = re.compile(
    r"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf|infinity|nan)\Z", re.I | re.A
)
_MARKS = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[\]{}]')
"""Strings of a JSON text, and the brackets outside of them."""

_TRUTHS = {"1": True, "true": True, "0": False, "false": False}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}\Z")
_MOMENT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?\Z"
)
_UUID_CHARACTERS = set("0123456789abcdefABCDEFurnURNidID-{}:")
_SECONDS = re.compile(r"(-?)([0-9]{1,18})(?:\.([0-9]{1,6}))?\Z")


def kind(value: object) -> str:
    """The type of a refused value, for the reason of an error (never the value itself)."""
    return type(value).__name__


def plain(value: Any) -> Any:
    """Text and numbers as what they are, without what a subclass makes of them, as enums do."""
    if type(value) in _PLAIN:  # as nearly always
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__index__(value)
    if isinstance(value, float):
        return float.__float__(value)
    return decimal.Decimal(value) if isinstance(value, decimal.Decimal) else value


def whole_in(value: Any, least: float, most: float) -> int | None:
    """*value*, if it is a whole number from *least* to *most*; a bool is none."""
    number = plain(value)
    fits = isinstance(number, int) and not isinstance(number, bool) and least <= number <= most
    return number if fits else None


_PLAIN = frozenset({str, int, bool, float, decimal.Decimal})

# -- text ------------------------------------------------------------------------------------------


def read_string(value: object) -> str:
    value = plain(value)
    if isinstance(value, str):
        return writable(value)
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal):
        raise ValueError(f"takes a string, not {kind(value)}")
    return integer_text(value) if isinstance(value, int) else str(value)


def as_text(raw: bytes) -> str | bytes:
    """Stored bytes as text, or as they are where they are no UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def writable(text: str) -> str:
    """*text* if UTF-8 can write it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds a lone surrogate, which UTF-8 cannot write") from None
    return text


def read_items(value: Any) -> list[Any]:
    """The items of an iterable that means several values, as a string and a mapping do not."""
    if not _is_several(value):
        raise ValueError(f"takes a set or another iterable of strings, not {kind(value)}")
    return [*value]


def _is_several(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | bytearray | Mapping)


def read_bytes(value: object) -> bytes:
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise ValueError(f"takes bytes, not {kind(value)}")


# -- numbers ---------------------------------------------------------------------------------------


def _is_finite(value: float | decimal.Decimal) -> bool:
    """As math does, which refuses a signaling NaN."""
    return value.is_finite() if isinstance(value, decimal.Decimal) else math.isfinite(value)


def read_integer(value: object) -> int:
    value = plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float | decimal.Decimal) and _is_finite(value):
        whole: int = math.trunc(text_decimal(value) if isinstance(value, decimal.Decimal) else value)
        if whole == value:
            return whole
        raise ValueError("takes a whole number, and this one has a fraction")
    if isinstance(value, str) and _INTEGER.match(value):
        return int(value)
    raise ValueError(f"takes a whole number, not {kind(value)}")


def integer_text(value: int) -> str:
    try:
        return str(value)
    except ValueError:
        raise ValueError(f"has more than {sys.get_int_max_str_digits():,} digits") from None


def text_integer(text: str) -> int:
    if not _INTEGER.match(text):
        raise ValueError("is no integer")
    return int(text)


def digits_integer(raw: bytes) -> int:
    """The integer of stored digits without a sign. ValueError for anything else."""
    if not raw.isdigit():
        raise ValueError("is no plain integer")
    return int(raw)


def plain_float(raw: bytes) -> float:
    """The number of stored text. ValueError where it is none, or must be looked at more closely."""
    number = float(raw)
    if number - number:  # infinite, or NaN
        raise ValueError("is no plain number")
    return number + 0.0


def read_float(value: object) -> float:
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal | str):
        raise ValueError(f"takes a number, not {kind(value)}")
    if isinstance(value, str) and not is_number(value):
        raise ValueError("is no number that fits a float")
    return text_float(value)


def is_number(text: str) -> bool:
    """Whether *text* writes a number plainly: no blanks, no underscores, no digits but 0 to 9."""
    return _NUMBER.match(text) is not None


def text_float(text: Any) -> float:
    try:
        number = float(text)
    except (ValueError, OverflowError):
        raise ValueError("is no number that fits a float") from None
    if math.isnan(number):
        raise ValueError("NaN is not a value")
    return number + 0.0  # -0.0 becomes 0.0


def float_text(value: float) -> str:
    return repr(value)


def read_decimal(value: object) -> decimal.Decimal:
    value = plain(value)
    if isinstance(value, bool) or not isinstance(value, int | float | decimal.Decimal | str):
        raise ValueError(f"takes a decimal number, not {kind(value)}")
    if isinstance(value, str) and not is_number(value):
        raise ValueError("is no decimal number")
    return text_decimal(repr(float(value)) if isinstance(value, float) else value)


def text_decimal(text: Any) -> decimal.Decimal:
    try:
        number = decimal.Decimal(text)
    except decimal.InvalidOperation:
        raise ValueError("is no decimal number") from None
    if not number.is_finite():
        raise ValueError("NaN and infinity are not values")
    return _normal_decimal(number)


def _normal_decimal(number: decimal.Decimal) -> decimal.Decimal:
    """Without trailing zeros and exponent: 1.10, 1.1 and 11E-1 are one value. Exact at any precision."""
    sign, digits, exponent = number.as_tuple()
    text = "".join(map(str, digits)).lstrip("0")
    if not text:
        return decimal.Decimal(0)
    stripped = text.rstrip("0")
    places = len(stripped) - len(text) - int(exponent)
    if max(len(stripped), places, len(stripped) - places) > MAX_DIGITS:
        raise ValueError(f"has more than {MAX_DIGITS:,} digits")
    if places < 0:
        stripped, places = stripped + "0" * -places, 0
    return decimal.Decimal((sign, tuple(map(int, stripped)), -places))


def decimal_text(value: decimal.Decimal) -> str:
    """Without the zeros that a scale adds, as without an exponent."""
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def to_scale(value: decimal.Decimal, places: int) -> decimal.Decimal:
    """*value* with so many *places*, exactly; as it is where it has more."""
    sign, digits, exponent = value.as_tuple()
    zeros = places + int(exponent)
    return decimal.Decimal((sign, digits + (0,) * zeros, -places)) if zeros > 0 else value


def decimal_digits(value: decimal.Decimal) -> int:
    """How many digits it takes to write *value*, with those after the point; a 0 before the point is none."""
    return len(decimal_text(value).lstrip("-").replace(".", "").removeprefix("0"))


def decimal_places(value: decimal.Decimal) -> int:
    return max(0, -int(value.as_tuple().exponent))


def scaled(value: decimal.Decimal, places: int) -> int:
    """*value* in units of its last allowed place, exactly."""
    sign, digits, exponent = value.as_tuple()
    whole: int = int("".join(map(str, digits))) * 10 ** (places + int(exponent))
    return -whole if sign else whole


def unscaled(units: int, places: int) -> decimal.Decimal:
    """The number of so many *units* of the last of *places*, exactly."""
    return decimal.Decimal((units < 0, tuple(map(int, str(abs(units)))), -places))


def read_bool(value: object) -> bool:
    """True and False, 1 and 0, and the texts of either; everything else is refused rather than guessed at."""
    value = plain(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int) and value in (0, 1):
        return value == 1
    if isinstance(value, str) and (truth := _TRUTHS.get(value.lower())) is not None:
        return truth
    raise ValueError(f"takes True or False, not {kind(value)}")


def text_bool(text: str) -> bool:
    return plain_bool(text.encode())


def plain_bool(raw: bytes) -> bool:
    """The truth value as it is stored. ValueError for anything else."""
    if raw == b"1":
        return True
    if raw == b"0":
        return False
    raise ValueError("is no plain truth value")


def bool_text(value: bool) -> str:
    return "1" if value else "0"


# -- time ------------------------------------------------------------------------------------------


def utcnow() -> dt.datetime:
    """The present moment, aware, in UTC: ``DateTime(new=utcnow)``."""
    return dt.datetime.now(dt.UTC)


def read_datetime(value: object) -> dt.datetime:
    """Aware, in UTC. Naive datetimes are taken as UTC, numbers as seconds since 1970, text as ISO 8601."""
    if isinstance(value, dt.datetime):
        return _as_utc(_plain_moment(value))
    value = plain(value)
    if isinstance(value, str):
        return _as_utc(_iso_moment(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"takes a datetime, its ISO text or a timestamp, not {kind(value)}")
    try:
        return EPOCH + dt.timedelta(seconds=value)
    except (OverflowError, ValueError):
        raise ValueError("is outside the years 1 to 9999") from None


def _plain_moment(value: dt.datetime) -> dt.datetime:
    """A moment without what a subclass adds: nanoseconds, say, which are not stored."""
    if type(value) is dt.datetime:
        return value
    day = (value.year, value.month, value.day)
    time = (value.hour, value.minute, value.second, value.microsecond)
    return dt.datetime(*day, *time, tzinfo=value.tzinfo, fold=value.fold)


def _iso_moment(text: str) -> dt.datetime:
    found = _MOMENT.match(text.upper())
    try:
        if found:
            return dt.datetime.fromisoformat(found[0])
    except ValueError:
        pass  # as for a 30th of February
    raise ValueError("is no moment of the form YYYY-MM-DDTHH:MM:SS, with up to six decimals and a zone")


def _as_utc(value: dt.datetime) -> dt.datetime:
    if value.tzinfo is None:
        return value.replace(tzinfo=dt.UTC)
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999 in UTC") from None


def datetime_text(value: dt.datetime) -> str:
    """Seconds since 1970, with up to six decimals, by integer arithmetic only."""
    since = value - EPOCH
    micros = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
    seconds, rest = divmod(abs(micros), 1_000_000)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"{'-' if micros < 0 else ''}{seconds}{fraction}"


def text_datetime(text: str) -> dt.datetime:
    found = _SECONDS.match(text)
    if not found:
        raise ValueError("is no timestamp")
    sign, seconds, fraction = found.groups()
    micros = int(seconds) * 1_000_000 + int((fraction or "").ljust(6, "0"))
    try:
        return EPOCH + dt.timedelta(microseconds=-micros if sign else micros)
    except OverflowError:
        raise ValueError("is outside the years 1 to 9999") from None


def plain_datetime(raw: bytes) -> dt.datetime:
    """The moment of stored seconds since 1970. ValueError for any before, and what is none."""
    seconds, point, fraction = raw.partition(b".")
    if not seconds.isdigit() or len(seconds) > 10 or (point and not fraction.isdigit()) or len(fraction) > 6:
        raise ValueError("is no plain timestamp")
    if not point:
        return dt.datetime.fromtimestamp(int(seconds), dt.UTC)
    return EPOCH + dt.timedelta(0, int(seconds), int(fraction.ljust(6, b"0")))


def read_date(value: object) -> dt.date:
    if isinstance(value, dt.datetime):
        raise ValueError("takes a date, not a datetime: say which zone's day by .date()")
    if isinstance(value, dt.date):
        return value if type(value) is dt.date else dt.date(value.year, value.month, value.day)
    if isinstance(value, str) and _DAY.match(value):
        return text_date(plain(value))
    if isinstance(value, str):
        raise ValueError("is no date of the form YYYY-MM-DD")
    raise ValueError(f"takes a date, not {kind(value)}")


def text_date(text: str) -> dt.date:
    try:
        if _DAY.match(text):
            return dt.date.fromisoformat(text)
        if text.isascii():  # others may have stored 2024-2-9
            return dt.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=dt.UTC).date()
    except ValueError:
        pass
    raise ValueError("is no date of the form YYYY-MM-DD")


# -- other -----------------------------------------------------------------------------------------


def read_uuid(value: object) -> uuid.UUID:
    if isinstance(value, uuid.UUID):
        return value if type(value) is uuid.UUID else uuid.UUID(int=value.int)
    if isinstance(value, str):
        return text_uuid(plain(value))
    raise ValueError(f"takes a UUID, not {kind(value)}")


def text_uuid(text: str) -> uuid.UUID:
    try:
        if not (set(text) - _UUID_CHARACTERS):  # uuid takes what int does, underscores too
            return uuid.UUID(text)
    except ValueError:
        pass
    raise ValueError("is no UUID")


def json_text(value: Any) -> str:
    """Canonical JSON: sorted keys, no spaces, so that equal values are equal text."""
    try:
        return writable(
            json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        )
    except (TypeError, RecursionError) as error:
        raise ValueError(f"cannot be written as JSON: {error}") from None


def text_json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("is no JSON") from None


def json_depth(text: str) -> int:
    """How many lists and objects of a JSON *text* lie in each other at most."""
    depth = deepest = 0
    for mark in _MARKS.findall(text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark, 0)
        deepest = max(deepest, depth)
    return deepest


def text_strings(text: str) -> set[str]:
    """The elements of a JSON list of strings."""
    found = text_json(text)
    if not isinstance(found, list) or not all(isinstance(item, str) for item in cast("list[object]", found)):
        raise ValueError("is no list of strings")
    return set(cast("list[str]", found))
