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

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MILLISECOND = dt.timedelta(milliseconds=1)


def milliseconds(given: object, what: str) -> int:
    """A duration in milliseconds. UsageError for what is none, or is none that a record can last."""
    if isinstance(given, dt.timedelta):
        number = given // _MILLISECOND
    elif isinstance(given, int | float) and not isinstance(given, bool):
        if not abs(given) < MAX_MOMENT:  # NaN, too
            raise UsageError(f"{what}={given!r}: a record lasts at most 2**53 milliseconds")
        number = int(given * 1000)
    else:
        raise UsageError(f"{what}={given!r}: give a timedelta or seconds")
    if number < 1:
        raise UsageError(
            f"{what}={given!r}: a record lasts a millisecond or more; delete() one to end it now"
        )
    if number > MAX_MOMENT // 2:  # so that it ends before MAX_MOMENT, whenever it begins
        raise UsageError(f"{what}={given!r}: a record lasts at most 2**52 milliseconds, some 142,000 years")
    return number


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
    if given.tzinfo is None:
        raise UsageError("expire() takes a moment with a zone, as of datetime.now(UTC); this one has none")
    return f"a{max(0, since_1970(given)[0])}"


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
