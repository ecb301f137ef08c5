"""What fields do in one step is what all steps give."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioredisca import Bool, Date, DateTime, Decimal, Email, Float, Integer, Model, String
from aioredisca.compiler.conditions import Between, Bound
from aioredisca.storage.keys import LONG_VALUE


def settled(*fields: Any) -> list[Any]:
    """Fields as a class has them."""
    for field in fields:
        field.name = field.key = "field"
        field.__codec__.settle()
    return [*fields]


TEXTS = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.floats().map(repr),
    st.from_regex(r"[+-]?[0-9 _]{0,20}(\.[0-9]{0,8})?([eE]-?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["0", "1", "00", "-0", "1.", ".5", "1.0000001", "9" * 30, "nan", "inf", "\u0661"]),
)
QUICK = settled(String(), Email(), Integer(), Float(), Bool(), DateTime())


@pytest.mark.parametrize("field", QUICK, ids=lambda field: type(field).__name__)
@given(raw=st.one_of(st.binary(max_size=20), TEXTS.map(lambda text: text.encode("utf-8", "replace"))))
def test_a_value_that_is_read_in_one_step_is_what_all_steps_give(field: Any, raw: bytes) -> None:
    try:
        quick = field.__codec__.decode_fast(raw)
    except ValueError:
        return
    whole = field.__codec__.decode(raw)
    assert (type(quick), repr(quick)) == (type(whole), repr(whole))


ACCEPTING = settled(
    String(),
    String(minlen=2, maxlen=3, maxbytes=4),
    String(normalize="NFC"),
    String(maxlen=0),
    Email(unique=True),
    Integer(minval=-5, maxval=10, index=True),
    Integer(),
    Float(minval=-1, maxval=1e300, index=True),
    Float(),
    Bool(),
)


@pytest.mark.parametrize("field", ACCEPTING, ids=lambda field: type(field).__name__)
@given(
    value=st.one_of(
        TEXTS,
        st.emails(),
        st.integers(),
        st.floats(),
        st.booleans(),
        st.text(alphabet="a\u00e9\ud800\0", max_size=5),
        st.sampled_from(["x" * 512, "x" * 513, "a@b.cd", "A@b.cd", "e" * 250 + "@b.cd", 2**53, -(2**53) - 1]),
    )
)
def test_a_value_that_is_accepted_in_one_step_is_what_all_steps_give(field: Any, value: Any) -> None:
    class Owner(Model):
        pass

    codec = field.__codec__
    short = codec.accept_fast(value)
    if short is not None:
        accepted, raw = short
        whole, stored = codec._accept(codec.coerce, value, Owner.__mapper__)
        assert (type(accepted), repr(accepted), raw) == (type(whole), repr(whole), stored)
        assert len(raw) <= LONG_VALUE


SCORED = settled(
    Integer(index=True), Float(index=True), DateTime(index=True), Date(index=True), Decimal(places=2)
)
BOUNDS = st.one_of(st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))
DIGITS = st.one_of(
    st.integers(0, 10**17).map(str),
    st.sampled_from([4512671999, 4512672000, 253402300799, 253402300800, 10**15 - 1, 10**15]).map(
        str
    ),  # ends
    st.from_regex(r"0{0,3}[0-9]{1,17}(\.[0-9]{1,7})?", fullmatch=True),
)


@pytest.mark.parametrize("field", SCORED, ids=lambda field: type(field).__name__)
@given(
    raw=st.one_of(TEXTS, DIGITS).map(lambda text: text.encode("utf-8", "replace")), low=BOUNDS, high=BOUNDS
)
@example(raw=b"253402300800", low=0, high=1e18)  # seconds beyond the year 9999
@example(raw=b"1700000000000", low=0, high=1e18)  # milliseconds
@example(raw=b"00012", low=11, high=13)
def test_digits_are_judged_as_every_other_number_is(field: Any, raw: bytes, low: float, high: float) -> None:
    bounds = Bound(repr(low)), Bound(repr(high), inclusive=False)
    codec = field.__codec__
    quick = Between("field", *bounds, codec.raw_score, codec.digits_are_scores)
    assert quick.admits(raw) is Between("field", *bounds, codec.raw_score).admits(raw)
