"""When a record ends: seconds, timedeltas and moments that users give, as texts that ``ends.lua`` reads."""

from __future__ import annotations

import datetime as dt
from typing import TypeAlias

from aioredisca.errors import UsageError

Duration: TypeAlias = "dt.timedelta | float"
"""A timedelta, or seconds."""

MAX_MOMENT = 2**53
"""Milliseconds since 1970: what scores hold exactly. The year 287,396."""

AS_IT_WAS = ""
NEVER = "p"

MAX_LIFE = MAX_MOMENT // 2
"""Milliseconds that a record may last, so that it ends before MAX_MOMENT, whenever it begins."""

MAX_FIELD_MOMENT = 2**46
"""Milliseconds since 1970: before this every field ends. Redis 8.2 takes no more. The year 4199."""

MAX_FIELD_LIFE = MAX_FIELD_MOMENT // 2
"""Milliseconds that a field may last."""

_FORMS = {
    "expire()": "a timedelta, seconds or a moment, a datetime with a zone; persist() lets it live for ever",
    "expire_field()": "a timedelta, seconds, a moment, or None for never",
    "ttl": "a timedelta or seconds, or None for never; expire() takes a moment",
}
"""What may be given, by where it is; elsewhere it is a declaration."""

_AT_ONCE = {
    "expire()": "delete() one to end it now",
    "expire_field()": "set it to None to end it now",
    "ttl": "give None for never; delete() one to end it now",
}
"""What was meant, perhaps, by less than a millisecond."""

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)


def milliseconds(given: object, what: str, whose: str = "record", most: int = MAX_LIFE) -> int:
    """A duration in milliseconds. UsageError for what is none, or is none that a record can last."""
    if isinstance(given, dt.timedelta):
        number = given // _MILLISECOND
    elif isinstance(given, int | float) and not isinstance(given, bool):
        # Rounded as a timedelta is: 1.001 * 1000 is less than 1001. NaN, too, is too much.
        number = int(round(given * 1000, 3)) if abs(given) < MAX_MOMENT else MAX_MOMENT
    else:
        forms = _FORMS.get(what, "a timedelta or seconds, or None: never, unless it is told to end")
        raise UsageError(f"{what}={given!r}: give {forms}")
    if number < 1:
        cure = _AT_ONCE.get(what, "give None where it lives for ever, unless it is told to end")
        raise UsageError(f"{what}={given!r}: a {whose} lasts a millisecond or more; {cure}")
    if number > most:
        raise UsageError(f"{what}={given!r}: a {whose} lasts at most 2**{most.bit_length() - 1} milliseconds")
    return number


def field_milliseconds(given: object, what: str) -> int:
    """The same for a field."""
    return milliseconds(given, what, "field", MAX_FIELD_LIFE)


def lasting(given: Duration, what: str) -> str:
    """From now on."""
    return f"r{milliseconds(given, what)}"


def lasting_if_new(number: int) -> str:
    """For a record that is created; others end when they did."""
    return f"n{number}"


def ending(given: Duration | dt.datetime) -> str:
    """In a while, or at a moment, which may be past. UsageError for a moment without a zone."""
    if not isinstance(given, dt.datetime):
        return lasting(given, "expire()")
    return f"a{_since_epoch(given, 'expire()')}"


def field_ending(given: Duration | dt.datetime | None) -> tuple[str | int, ...]:
    """The same for a field, None for never: the command that says so, and what comes before its fields."""
    if given is None:
        return ("HPERSIST",)
    if isinstance(given, dt.datetime):
        number = _since_epoch(given, "expire_field()")
        if number >= MAX_FIELD_MOMENT:
            raise UsageError(
                f"expire_field(): {given} is too far: a field ends before the year 4200, or never"
            )
        return ("HPEXPIREAT", number)
    return ("HPEXPIRE", field_milliseconds(given, "expire_field()"))


def _since_epoch(given: dt.datetime, verb: str) -> int:
    if given.utcoffset() is None:
        raise UsageError(f"{verb} takes a moment with a zone, as of datetime.now(UTC); this one has none")
    return max(0, since_1970(given)[0])


def since_1970(given: dt.datetime) -> tuple[int, dt.timedelta]:
    """The whole milliseconds to an aware moment, and what is left of it."""
    return divmod(given - _EPOCH, _MILLISECOND)


def score(raw: bytes) -> str:
    """The milliseconds of a moment that the server told of. ValueError for what is no such number."""
    if not raw.isdigit() or len(raw) > 19:
        raise ValueError("is no number of milliseconds")
    return raw.decode()


def moment(number: float) -> dt.datetime:
    """The moment of so many milliseconds since 1970, in UTC; the last that there is for what lies beyond."""
    try:
        return _EPOCH + dt.timedelta(milliseconds=int(number))
    except OverflowError:
        return dt.datetime.max.replace(tzinfo=dt.UTC)
