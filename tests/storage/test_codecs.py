"""Value <-> text: what is read is written in one canonical form and read back; what cannot be is refused."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import math
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioredisca.storage import codecs, emails

D = decimal.Decimal
UTC = dt.UTC

INTEGERS = st.integers() | st.integers(-(10**300), 10**300)
MOMENTS = st.datetimes(timezones=st.just(UTC))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)


# -- round trips -----------------------------------------------------------------------------------


@given(INTEGERS)
@example(2**53 + 1)
@example(-(10**3999))
def test_integers(value: int) -> None:
    text = codecs.integer_text(value)
    assert codecs.text_integer(text) == codecs.read_integer(text) == codecs.read_integer(value) == value
    if value >= 0:
        assert codecs.digits_integer(text.encode()) == value


@given(st.floats(allow_nan=False))
@example(-0.0)
@example(5e-324)
@example(1.7976931348623157e308)
@example(math.inf)
def test_floats(value: float) -> None:
    read = codecs.read_float(value)
    text = codecs.float_text(read)
    assert codecs.read_float(text) == read == value
    assert text != "-0.0"
    if math.isfinite(value):
        plain = codecs.plain_float(text.encode())
        assert (plain, math.copysign(1, plain)) == (read, math.copysign(1, read))
        assert repr(codecs.plain_float(b"-0.0")) == "0.0"


@given(st.decimals(allow_nan=False, allow_infinity=False, places=None) | st.integers().map(D))
@example(D("1e999"))
@example(D("-1e-999"))
@example(D("-0.00"))
@example(D("110e-2"))
def test_decimals(value: D) -> None:
    digits = len(value.as_tuple().digits) + abs(int(value.as_tuple().exponent))
    if digits > codecs.MAX_DIGITS:
        return
    with decimal.localcontext(prec=1):  # exact at any precision
        read = codecs.read_decimal(value)
        text = codecs.decimal_text(read)
        again = codecs.text_decimal(text)
    assert read == again == value
    assert read.as_tuple() == again.as_tuple()
    assert "E" not in text
    assert text == "0" or not text.startswith("-0.") or text.rstrip("0") == text
    assert "." not in text or not text.endswith("0")
    places = codecs.decimal_places(read)
    assert D(codecs.scaled(read, places)).scaleb(-places, decimal.Context(prec=9000)) == value
    assert codecs.scaled(read, places + 3) == codecs.scaled(read, places) * 1000


@given(MOMENTS)
@example(dt.datetime.min.replace(tzinfo=UTC))
@example(dt.datetime.max.replace(tzinfo=UTC))
@example(dt.datetime(1969, 12, 31, 23, 59, 59, 999999, UTC))
def test_datetimes(value: dt.datetime) -> None:
    text = codecs.datetime_text(value)
    assert codecs.text_datetime(text) == codecs.read_datetime(value) == value
    assert D(text) * 10**6 == (value - codecs.EPOCH) // dt.timedelta(microseconds=1)
    assert not ("." in text and text.endswith("0"))
    try:
        assert codecs.plain_datetime(text.encode()) == value
    except ValueError:
        assert value < codecs.EPOCH or len(text.partition(".")[0]) > 10


@given(
    st.datetimes(min_value=dt.datetime(2, 1, 1), max_value=dt.datetime(9998, 1, 1), timezones=st.timezones())
)
def test_datetimes_of_any_zone_are_one_moment(value: dt.datetime) -> None:
    read = codecs.read_datetime(value)
    assert read == value.astimezone(UTC)
    assert read.tzinfo is UTC


@given(st.dates())
@example(dt.date.min)
@example(dt.date.max)
def test_dates(value: dt.date) -> None:
    assert codecs.text_date(value.isoformat()) == codecs.read_date(value) == value
    assert codecs.read_date(value.isoformat()) == value


@given(st.uuids())
def test_uuids(value: uuid.UUID) -> None:
    for text in (str(value), value.hex, str(value).upper(), value.urn):
        assert codecs.text_uuid(text) == codecs.read_uuid(text) == value
    assert codecs.read_uuid(value) is value


@given(JSON)
def test_json(value: Any) -> None:
    text = codecs.json_text(value)
    assert codecs.text_json(text) == json.loads(json.dumps(value))
    assert codecs.json_text(codecs.text_json(text)) == text
    if isinstance(value, dict):
        assert codecs.json_text(dict(reversed(value.items()))) == text


@given(st.sets(st.text()))
def test_sets_of_strings(value: set[str]) -> None:
    assert codecs.text_strings(codecs.json_text(sorted(value))) == value


@pytest.mark.parametrize("value", [True, False])
def test_truth_values(value: bool) -> None:
    text = codecs.bool_text(value)
    for given_ in (value, text, int(value)):
        assert codecs.read_bool(given_) is value
    assert codecs.plain_bool(text.encode()) is value


@given(st.text())
def test_strings(value: str) -> None:
    assert codecs.read_string(value) == codecs.writable(value) == value


@given(st.binary())
def test_bytes(value: bytes) -> None:
    assert codecs.read_bytes(value) == codecs.read_bytes(bytearray(value)) == value


@given(st.emails())
def test_emails_are_read_to_one_form_which_stays(value: str) -> None:
    try:
        read = emails.read_email(value)
    except ValueError:  # quoted ones, and addresses of hosts, are none for us
        return
    assert emails.read_email(read) == emails.read_email(value.upper()) == read
    assert emails.is_email(read)
    assert emails.is_email(value) is (read == value)


# -- what is taken for what ------------------------------------------------------------------------


class Colour(int, enum.Enum):
    RED = 7


GIVEN: list[tuple[Callable[[Any], Any], Any, Any]] = [
    (codecs.read_string, 5, "5"),
    (codecs.read_string, 1.5, "1.5"),
    (codecs.read_string, D("1.50"), "1.50"),
    (codecs.read_integer, Colour.RED, 7),
    (codecs.read_integer, 12.0, 12),
    (codecs.read_integer, 1e300, int(1e300)),
    (codecs.read_integer, D("3.00"), 3),
    (codecs.read_integer, "+007", 7),
    (codecs.text_integer, "-0", 0),
    (codecs.read_float, "1e3", 1000.0),
    (codecs.read_float, 2**53, 9007199254740992.0),
    (codecs.read_decimal, 0.1, D("0.1")),
    (codecs.read_decimal, "11E-1", D("1.1")),
    (codecs.read_decimal, 10**999, D(10**999)),
    (codecs.read_datetime, 0, codecs.EPOCH),
    (codecs.read_datetime, -0.5, dt.datetime(1969, 12, 31, 23, 59, 59, 500000, UTC)),
    (codecs.read_datetime, dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=UTC)),
    (codecs.text_datetime, "-0.5", dt.datetime(1969, 12, 31, 23, 59, 59, 500000, UTC)),
    (codecs.text_datetime, "1.000001", codecs.EPOCH + dt.timedelta(seconds=1, microseconds=1)),
    (codecs.plain_datetime, b"1.5", codecs.EPOCH + dt.timedelta(seconds=1.5)),
    (emails.read_email, "Foo@Bar.COM", "foo@bar.com"),
    (emails.read_email, "JOSE\u0301@x.es", "jos\u00e9@x.es"),
    (codecs.read_items, ("a", "b"), ["a", "b"]),
    (codecs.read_items, iter("ab"), ["a", "b"]),
]


@pytest.mark.parametrize(("read", "value", "expected"), GIVEN)
def test_other_types_are_read_as_the_value_that_they_equal(
    read: Callable[[Any], Any], value: Any, expected: Any
) -> None:
    found = read(value)
    assert (type(found), found) == (type(expected), expected)


REFUSED: list[tuple[Callable[[Any], Any], Any, str]] = [
    (codecs.read_string, True, "takes a string, not bool"),
    (codecs.read_string, b"a", "takes a string, not bytes"),
    (codecs.read_string, "a\ud800", "lone surrogate"),
    (emails.read_email, 5, "takes a string, not int"),
    (emails.read_email, "a@b", "is no e-mail address"),
    (emails.read_email, "a@b.c", "is no e-mail address"),
    (emails.read_email, "a@b.cc\n", "is no e-mail address"),
    (emails.read_email, "a@-b.cc", "is no e-mail address"),
    (emails.read_email, "a..b@c.dd", "is no e-mail address"),
    (emails.read_email, "a" * 248 + "@b.info", "longer than 254"),
    (emails.read_email, "\udc00@b.cc", "lone surrogate"),
    (codecs.read_bytes, "a", "takes bytes, not str"),
    (codecs.read_bytes, memoryview(b"a"), "takes bytes, not memoryview"),
    (codecs.read_items, "ab", "not str"),
    (codecs.read_items, {"a": 1}, "not dict"),
    (codecs.read_items, 5, "not int"),
    (codecs.read_integer, True, "takes a whole number, not bool"),
    (codecs.read_integer, 1.5, "has a fraction"),
    (codecs.read_integer, D("1.5"), "has a fraction"),
    (codecs.read_integer, math.nan, "takes a whole number, not float"),
    (codecs.read_integer, math.inf, "takes a whole number, not float"),
    (codecs.read_integer, "1.0", "takes a whole number, not str"),
    (codecs.read_integer, "1_0", "takes a whole number, not str"),
    (codecs.read_integer, "\u0661", "takes a whole number, not str"),
    (codecs.read_integer, "1\n", "takes a whole number, not str"),
    (codecs.text_integer, "", "is no integer"),
    (codecs.text_integer, " 1", "is no integer"),
    (codecs.text_integer, "1" * 4301, "is no integer"),
    (codecs.digits_integer, b"-1", "is no plain integer"),
    (codecs.digits_integer, b"", "is no plain integer"),
    (codecs.digits_integer, b"1_0", "is no plain integer"),
    (codecs.plain_float, b"inf", "is no plain number"),
    (codecs.plain_float, b"nan", "is no plain number"),
    (codecs.plain_float, b"1e999", "is no plain number"),
    (codecs.read_float, True, "takes a number, not bool"),
    (codecs.read_float, "nan", "NaN is not a value"),
    (codecs.read_float, 10**400, "is no number that fits a float"),
    (codecs.read_float, "x", "is no number that fits a float"),
    (codecs.read_float, None, "takes a number, not NoneType"),
    (codecs.read_decimal, True, "takes a decimal number, not bool"),
    (codecs.read_decimal, "x", "is no decimal number"),
    (codecs.read_decimal, D("NaN"), "NaN and infinity"),
    (codecs.read_decimal, "-Infinity", "NaN and infinity"),
    (codecs.read_decimal, D("1e4300"), "has more than 4,300 digits"),
    (codecs.read_decimal, D("1e-4301"), "has more than 4,300 digits"),
    (codecs.read_decimal, D("1" + "0" * 4299 + "1"), "has more than 4,300 digits"),
    (codecs.read_bool, 2, "takes True or False, not int"),
    (codecs.read_bool, "yes", "takes True or False, not str"),
    (codecs.read_bool, 1.0, "takes True or False, not float"),
    (codecs.plain_bool, b"2", "is no plain truth value"),
    (codecs.plain_bool, b"", "is no plain truth value"),
    (codecs.read_datetime, True, "takes a datetime, its ISO text or a timestamp, not bool"),
    (codecs.read_datetime, "2024-01-01", "is no moment of the form"),
    (codecs.read_datetime, dt.date(2024, 1, 1), "takes a datetime, its ISO text or a timestamp, not date"),
    (codecs.read_datetime, 1e300, "outside the years 1 to 9999"),
    (codecs.read_datetime, math.nan, "outside the years 1 to 9999"),
    (codecs.read_datetime, dt.datetime.max.replace(tzinfo=dt.timezone(dt.timedelta(hours=-1))), "in UTC"),
    (codecs.text_datetime, "1.0000001", "is no timestamp"),
    (codecs.text_datetime, "--1", "is no timestamp"),
    (codecs.text_datetime, "+1", "is no timestamp"),
    (codecs.text_datetime, "9" * 18, "outside the years 1 to 9999"),
    (codecs.plain_datetime, b"-1", "is no plain timestamp"),
    (codecs.plain_datetime, b"1.", "is no plain timestamp"),
    (codecs.plain_datetime, b"1.0000001", "is no plain timestamp"),
    (codecs.plain_datetime, b"10000000000", "is no plain timestamp"),
    (codecs.read_date, dt.datetime(2024, 1, 1), "takes a date, not a datetime"),
    (codecs.read_date, 5, "takes a date, not int"),
    (codecs.text_date, "2024-02-30", "is no date of the form YYYY-MM-DD"),
    (codecs.text_date, "24-1-1", "is no date of the form YYYY-MM-DD"),
    (codecs.read_uuid, 5, "takes a UUID, not int"),
    (codecs.text_uuid, "1234", "is no UUID"),
    (codecs.json_text, {1, 2}, "cannot be written as JSON"),
    (codecs.json_text, "\ud800", "lone surrogate"),
    (codecs.text_json, "{", "is no JSON"),
    (codecs.text_json, "[" * 100_000, "is no JSON"),
    (codecs.text_strings, '["a",1]', "is no list of strings"),
    (codecs.text_strings, '{"a":1}', "is no list of strings"),
]


@pytest.mark.parametrize(
    ("read", "value", "reason"), REFUSED, ids=[f"{read.__name__}-{i}" for i, (read, *_) in enumerate(REFUSED)]
)
def test_what_is_no_such_value_is_refused_with_the_reason(
    read: Callable[[Any], Any], value: Any, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        read(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_has_no_such_numbers(value: float) -> None:
    with pytest.raises(ValueError):
        codecs.json_text([value])


def test_json_that_never_ends_is_refused() -> None:
    endless = list[Any]()
    endless.append(endless)
    with pytest.raises(ValueError):
        codecs.json_text(endless)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    for read in (
        emails.read_email,
        codecs.read_integer,
        codecs.text_integer,
        codecs.read_float,
        codecs.read_decimal,
        codecs.read_bool,
        codecs.text_datetime,
        codecs.text_date,
        codecs.text_uuid,
        codecs.text_json,
        codecs.text_strings,
    ):
        with suppress(ValueError):
            read(text)
