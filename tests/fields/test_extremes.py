"""What a field takes, it reads again, and so does whoever is shown it as JSON: of every kind, at the extremes."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioredisca import (
    UUID,
    Bool,
    Bytes,
    CorruptRecord,
    Database,
    Date,
    DateTime,
    Decimal,
    Email,
    Enum,
    Field,
    Float,
    Hash,
    Integer,
    Json,
    ListOf,
    MD5Pass,
    Model,
    Password,
    Reference,
    SetOf,
    SortedSet,
    String,
    Tags,
    UsageError,
    ValidationError,
)
from aioredisca.pydantic import Create, Read
from aioredisca.storage.codecs import as_text, json_depth

from ..support.drift import drift

D = decimal.Decimal
UTC = dt.UTC


class Right(enum.IntFlag):
    READ = 1
    WRITE = 2
    ALL = 3


class Strict(enum.Flag):
    A = 1
    B = 2
    HUGE = 1 << 200


class Thrown(enum.IntFlag, boundary=enum.EJECT):
    A = 1
    B = 2


class Trimmed(enum.IntFlag, boundary=enum.CONFORM):
    A = 1
    B = 2


class Named(str, enum.Enum):  # noqa: UP042
    RED = "red"


class Of(enum.Enum):
    """Whose values are members themselves, and which knows more than its members."""

    RED = Named.RED
    NONE = ""
    ZERO = 0

    @classmethod
    def _missing_(cls, value: object) -> Any:
        if value == "made up":
            made = object.__new__(cls)
            made._name_, made._value_ = "MADE", value
            return made
        return cls.RED if value == "RED" else None


MD5 = "0123456789abcdef0123456789abcdef"
KINDS: dict[str, Callable[..., Field[Any]]] = {
    "string": String,
    "nfkd": lambda **more: String(normalize="NFKD", **more),
    "email": Email,
    "integer": Integer,
    "floating": Float,
    "decimal": Decimal,
    "price": lambda **more: Decimal(places=2, maxdigits=4300, **more),
    "boolean": Bool,
    "when": DateTime,
    "day": Date,
    "uid": UUID,
    "right": lambda **more: Enum(Right, **more),
    "strict": lambda **more: Enum(Strict, **more),
    "thrown": lambda **more: Enum(Thrown, **more),
    "trimmed": lambda **more: Enum(Trimmed, **more),
    "of": lambda **more: Enum(Of, **more),
    "blob": Bytes,
    "other": lambda **more: Reference("Widest", **more),
    "data": Json,
    "deep": lambda **more: Json(maxdepth=190, **more),
    "tags": Tags,
    "md5": MD5Pass,
    "password": Password,
}
HASHED = {"md5"}
"""What is given is not what is kept."""
UNSEEN = {"md5", "password"}
"""Secret, and so in no answer."""


def nested(depth: int) -> Any:
    value: Any = 0
    for level in range(depth):
        value = [value] if level % 2 else {"[": value}
    return value


FLAGS: list[Any] = [0, 1, 2, 3, 4, 8, 11, -1, -2, 1 << 200, 10**4400]
EXTREMES: dict[str, list[Any]] = {
    "string": ["", "\x00\x1f\x7f\ufeff\uffff\U0010ffff", "x" * 1000, "\ud800", 10**4299, 10**4300, 0.1, D("1E+9")],
    "nfkd": ["\ufdfa" * 50, "\ufb01", "\u0344"],
    "email": ["a" * 240 + "@b.cc", "\u0130" * 120 + "@x.yz", "\u1e9b\u0323@x.yz", "\uac00@x.yz"],
    "integer": [0, -0.0, 2**53, 2**53 + 1, 2**63, 2**64, -(10**3999), 10**4000 - 1, 10**4299, 10**4300 - 1,
                1 - 10**4300, 10**4300, 10**5000, "0" * 4299 + "1", "9" * 4300, "9" * 4301, 1e308, D("1E+4299")],
    "floating": [0.0, -0.0, 5e-324, -5e-324, 1.7976931348623157e308, float("inf"), -float("inf"), 2**1023, 0.1],
    "decimal": [D("1E+999"), D("1E+1000"), D("1E-1000"), D("1E-1001"), D("123E+998"), D("9" * 1000), D("-0E+5000"),
                D("1." + "0" * 3000), D("0." + "0" * 999 + "1"), 10**1000 - 1, 10**4400, 1e308, 5e-324, "1e9999999"],
    "price": [D("1E+999"), D("1E+4299"), D("1E+4300"), D("9" * 4298 + ".99"), D("-0.01"), D("1.10"), "17.5"],
    "boolean": [True, False, 0, 1, "TRUE", "0"],
    "when": [dt.datetime.min, dt.datetime.max, dt.datetime.max.replace(tzinfo=UTC), 0, -0.5, 253402300799,
             dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=-14))), dt.datetime(1969, 12, 31, 23, 59, 59, 1),
             dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=14))), -62135596800, "9999-12-31T23:59:59.999999Z"],
    "day": [dt.date.min, dt.date.max, "0999-01-01"],
    "uid": [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)],
    "right": [Right.READ | Right.WRITE, ~Right.READ, Right(0), *FLAGS],
    "strict": [Strict.A | Strict.HUGE, Strict(0), ~Strict.A, *FLAGS],
    "thrown": [Thrown.A | Thrown.B, *FLAGS],
    "trimmed": [Trimmed.A | Trimmed.B, *FLAGS],
    "of": [*Of, "red", "RED", "made up", 0],
    "blob": [b"", bytes(range(256)), b"\xff" * 1000],
    "other": ["\x00", "x" * 512, "\u00e9" * 256, "a/b:c{d}*", 10**500, 10**5000, b"\xff"],
    "data": [None, 0, "", [], {}, nested(99), nested(100), nested(101), nested(254), nested(2000), 10**4299, 10**4300,
             1e308, 5e-324, {"": {"\x00\u2028": ["\uffff", "\\\"[[[["]}}, "[" * 500, ['"[' * 150], {"a": "\ud800"}],
    "deep": [nested(190), nested(191), [nested(189)] * 20],
    "tags": [set(), {"\x00", "\u00e9" * 256, "x" * 512, '"', "\\"}, {"x" * 513}, {""}, {str(i) for i in range(1000)}],
    "md5": ["", "x" * 1000],
    "password": [Hash(MD5)],
}  # fmt: skip

DIGITS = st.integers(0, 4400)
BIG = st.builds(
    lambda sign, size, more: sign * (10**size + more), st.sampled_from([1, -1]), DIGITS, st.integers()
)
DECIMALS = st.builds(
    lambda sign, digits, exponent: D((sign, digits, exponent)),
    st.integers(0, 1),
    st.lists(st.integers(0, 9), min_size=1, max_size=30).map(tuple),
    st.integers(-1100, 1100) | st.integers(-5, 5),
)
MOMENTS = st.datetimes(timezones=st.none() | st.timezones())
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
) | st.integers(0, 300).map(nested)
ADDRESSES = st.builds(
    lambda local, rest: f"{local}@{rest}",
    st.text(min_size=1, max_size=130),
    st.sampled_from(["b.cc", "X.YZ"]),
)
RANDOM: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text() | BIG | DECIMALS | st.floats(),
    "nfkd": st.text(),
    "email": ADDRESSES,
    "integer": st.integers() | BIG | st.floats() | DECIMALS,
    "floating": st.floats() | BIG | DECIMALS,
    "decimal": DECIMALS | BIG | st.floats(),
    "price": st.decimals(places=2) | DECIMALS | BIG,
    "boolean": st.booleans(),
    "when": MOMENTS | st.integers() | st.floats(),
    "day": st.dates(),
    "uid": st.uuids(),
    "right": st.integers(-20, 20),
    "strict": st.integers(-20, 20),
    "thrown": st.integers(-20, 20),
    "trimmed": st.integers(-20, 20),
    "of": st.sampled_from([*Of]),
    "blob": st.binary(),
    "other": st.text(min_size=1) | BIG,
    "data": TREES,
    "deep": TREES,
    "tags": st.sets(st.text()),
    "md5": st.text(),
    "password": st.sampled_from([Hash(MD5)]),
}

Widest: Any = type("Widest", (Model,), {name: kind() for name, kind in KINDS.items()})
RANGED = [name for name, kind in KINDS.items() if "range" in kind().index_kinds and name != "decimal"]
EXACT = [name for name, kind in KINDS.items() if "exact" in kind().index_kinds]
Ranged: Any = type(
    "Ranged", (Model,), {name: KINDS[name](index=True) for name in RANGED} | {"tags": Tags(index=True)}
)
Exact: Any = type("Exact", (Model,), {name: KINDS[name](index="exact", unique=True) for name in EXACT})
DISTINCT = KINDS.keys() - {"data", "deep", "tags", "password"}
Held: Any = type(
    "Held",
    (Model,),
    {f"list_{name}": ListOf(kind()) for name, kind in KINDS.items()}
    | {f"set_{name}": SetOf(KINDS[name]()) for name in DISTINCT}
    | {f"sorted_{name}": SortedSet(KINDS[name]()) for name in DISTINCT},
)


def taken(model: Any, name: str, given: list[Any]) -> Iterator[tuple[Any, Any, bytes]]:
    """Of the values that are given, what a field takes: value, what it becomes, how it is stored."""
    mapper = model.__mapper__
    codec = mapper.fields[name].__codec__
    for value in given:
        try:
            kept, raw = codec.accept(value, mapper)
        except ValidationError:
            continue
        if raw is not None:
            yield value, kept, raw


def _no_constant(text: str) -> Any:
    raise AssertionError(f"{text} is no JSON")


def check(model: Any, name: str, value: Any, kept: Any, raw: bytes) -> None:
    mapper = model.__mapper__
    codec = mapper.fields[name].__codec__
    read = codec.read(raw, mapper)
    assert (read, type(read)) == (kept, type(kept))
    if codec.decode_fast is not None:
        with suppress(ValueError):  # the slow way is for it
            assert codec.decode_fast(raw) == kept
    if name not in HASHED:
        assert codec.accept(kept, mapper) == (kept, raw)
    record = model.new("1", **{name: value})
    assert getattr(record, name) == kept
    for text in (as_text(raw), raw, record[name]):
        written = model.new("1")
        written[name] = text
        assert (getattr(written, name), written.getdiff()) == (kept, record.getdiff())
    if name not in UNSEEN:
        check_json(model, name, record, kept)


def check_json(model: Any, name: str, record: Any, kept: Any) -> None:
    shown = Read[model].model_validate(record)
    text = shown.model_dump_json()
    assert json.loads(json.dumps(shown.model_dump(mode="json"), allow_nan=False)) == json.loads(
        text, parse_constant=_no_constant
    )
    body = Create[model].model_validate_json(json.dumps({name: json.loads(text)[name]}))
    assert getattr(body, name) == kept


CASES = [(model, name) for model in (Widest, Ranged, Exact) for name in model.getfields()]
IDS = [f"{model.__name__}-{name}" for model, name in CASES]


@pytest.mark.parametrize(("model", "name"), CASES, ids=IDS)
def test_what_a_field_takes_it_reads_again_at_the_extremes(model: Any, name: str) -> None:
    found = list(taken(model, name, EXTREMES[name]))
    assert found
    for value, kept, raw in found:
        check(model, name, value, kept, raw)


@pytest.mark.parametrize(("model", "name"), CASES, ids=IDS)
@given(data=st.data())
def test_what_a_field_takes_it_reads_again(model: Any, name: str, data: Any) -> None:
    for value, kept, raw in taken(model, name, [data.draw(RANDOM[name])]):
        check(model, name, value, kept, raw)


@pytest.mark.slow
async def test_what_is_taken_is_saved_loaded_and_found_again(db: Database, raw: Any) -> None:
    for model, name in CASES:
        for value, kept, stored in taken(model, name, EXTREMES[name]):
            await model.new("1", **{name: value}).save(mode="upsert")
            record = await model.get("1")
            assert getattr(record, name) == kept
            assert raw.hget(f"{model.getprefix()}:1", name) == stored
            assert not record.getdiff()
            if model is not Widest and name not in HASHED | {"tags"}:
                assert [one.id for one in await (getattr(model, name) == value)] == ["1"]
    assert drift(raw, [Widest, Ranged, Exact]) == []


async def test_what_a_collection_takes_it_gives_again(db: Database) -> None:
    record = await Held.new("1").save()
    for name in KINDS:
        found = [(value, kept) for value, kept, _ in taken(Widest, name, EXTREMES[name])]
        values, kept = [value for value, _ in found], [one for _, one in found]
        many = getattr(record, f"list_{name}")
        await many.append(*values)
        assert await many.range() == kept
        if name in DISTINCT:
            one = getattr(record, f"set_{name}")
            await one.add(*values)
            assert await one.members() == set(kept)
            assert await one.contains(values[-1])
            ranked = getattr(record, f"sorted_{name}")
            for value in values:
                await ranked.add(value, 1)
            assert {value for value, _ in await ranked.top(100)} == set(kept)
        for value in EXTREMES[name]:  # what a field refuses, a collection of it refuses as well
            if value is not None and not list(taken(Widest, name, [value])):
                with pytest.raises(ValidationError):
                    await many.append(value)


# -- limits of their own ---------------------------------------------------------------------------


class Limited(Model):
    whole = Integer(maxdigits=16)
    price = Decimal(places=2, maxdigits=5)
    data = Json[Any](maxdepth=2)
    plain = Integer()


def test_limits_of_digits_and_depth() -> None:
    record = Limited.new(
        "1", whole=10**16 - 1, price=D("123.45"), data=[{"a": 1}, ["[[["]], plain=10**4300 - 1
    )
    refused: list[tuple[str, Any, str]] = [
        ("whole", 10**16, "has more than 16 digits"),
        ("whole", -(10**16), "has more than 16 digits"),
        ("price", D("1234.56"), "has more than 5 digits"),
        ("price", D("123456"), "has more than 5 digits"),
        ("data", [[[]]], "has lists and objects more than 2 deep"),
        ("data", {"a": {"b": {}}}, "has lists and objects more than 2 deep"),
        ("plain", 10**4300, "has more than 4,300 digits"),
    ]
    for name, value, reason in refused:
        with pytest.raises(ValidationError) as caught:
            setattr(record, name, value)
        assert caught.value.reason == reason
    with pytest.raises(ValidationError, match="deep"):
        record["data"] = "[[[]]]"
    record.price = D("0.01")
    record.price = D("12345")
    assert record.price == D("12345.00")
    record.price = record.price


def test_limits_that_could_not_be_kept_are_refused() -> None:
    wrong: list[Callable[[], object]] = [
        *(lambda n=n: Integer(maxdigits=n) for n in (0, 15, 4301, True, None, "20", 20.5)),
        *(lambda n=n: Decimal(maxdigits=n) for n in (0, 4301)),
        *(lambda n=n: Json(maxdepth=n) for n in (0, 191, True, None, "20", 20.5)),
    ]  # fmt: skip
    for declare in wrong:
        with pytest.raises(UsageError, match="is a number from"):
            declare()


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("0", 0),
        ('"[[["', 0),
        ("[]", 1),
        ('{"[":[1,"]\\"[["]}', 2),
        ('[[],["\\\\"],[[]]]', 3),
        ('"\\\\\\"["', 0),
    ],
)
def test_depth_of_json(text: str, depth: int) -> None:
    assert json_depth(text) == depth


async def test_what_is_stored_beyond_a_limit_is_read_all_the_same(db: Database, raw: Any) -> None:
    deep = json.dumps(nested(300))
    raw.hset("limited:1", mapping={"whole": "9" * 4300, "price": "9" * 4300, "data": deep})
    record = await Limited.get("1")
    assert record.whole == 10**4300 - 1
    assert record.price == 10**4300 - 1
    assert record.data == nested(300)
    raw.hset("limited:1", mapping={"whole": "9" * 4301, "price": "1e4300"})
    record = await Limited.get("1")
    for name in ("whole", "price"):
        with pytest.raises(CorruptRecord):
            getattr(record, name)


def test_numbers_that_python_does_not_write_are_refused_where_text_is_made_of_them() -> None:
    huge = 10**5000
    record = Widest.new("1")
    asked: list[Callable[[], object]] = [
        lambda: Widest(huge),
        lambda: Widest.new(huge),
        lambda: Widest.integer == huge,
        lambda: Widest.integer.in_([huge]),
        lambda: Widest.string == huge,
        lambda: record.__setitem__("free", huge),
        lambda: record.__setitem__("integer", huge),
        lambda: Widest.new("1", other=huge),
        lambda: Widest.new("1", data=[huge]),
    ]
    for ask in asked:
        with pytest.raises(ValidationError, match="digits"):
            ask()


def test_a_process_that_writes_fewer_digits_refuses_what_it_could_not_read() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(640)
    try:
        assert list(taken(Widest, "integer", [10**640 - 1]))
        for value in (10**640, -(10**640), "1" * 641):
            assert not list(taken(Widest, "integer", [value]))
        for value, kept, raw in taken(Widest, "decimal", [D("1E+999"), D("9" * 1000)]):
            check(Widest, "decimal", value, kept, raw)
    finally:
        sys.set_int_max_str_digits(before)
