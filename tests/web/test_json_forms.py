"""What Read shows, Create and Update take, for every kind of field; and the schemas say what it is."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import ipaddress
import json
import uuid
from typing import Any, ClassVar

import pydantic
import pytest
from fastapi import FastAPI
from polyfactory.factories.pydantic_factory import ModelFactory
from typing_extensions import TypedDict

from aioredisca import (
    UUID,
    Bool,
    Bytes,
    Database,
    Date,
    DateTime,
    Decimal,
    Email,
    Enum,
    Field,
    Float,
    Integer,
    Json,
    Model,
    Password,
    Reference,
    String,
    Tags,
    sync,
)
from aioredisca.drivers.run import allow_blocking
from aioredisca.fastapi import Create, Read, Update, install
from aioredisca.fields import hashing

from .fastapi_app import client

pytestmark = pytest.mark.memory_only


class Level(enum.Enum):
    LOW = 1
    HIGH = -2


class Colour(enum.StrEnum):
    RED = "red"
    NONE = ""


class Size(enum.IntEnum):
    SMALL = 0
    LARGE = 10


class Mixed(enum.Enum):
    NUMBER = 1
    TEXT = "one"


class Seconds(Field[dt.timedelta | None]):
    """Stored as seconds; takes minutes as text too, which is another form than what is stored."""

    def coerce(self, value: Any) -> dt.timedelta:
        if isinstance(value, str):
            return dt.timedelta(minutes=int(value.removesuffix("m")))
        if not isinstance(value, dt.timedelta):
            raise ValueError("takes a timedelta")
        return value

    def to_db(self, value: dt.timedelta) -> str:
        return str(int(value.total_seconds()))

    def from_db(self, text: str) -> dt.timedelta:
        return dt.timedelta(seconds=int(text))


class Point(Field[tuple[int, int] | None]):
    def coerce(self, value: Any) -> tuple[int, int]:
        x, y = value
        return int(x), int(y)

    def to_db(self, value: tuple[int, int]) -> str:
        return f"{value[0]},{value[1]}"

    def from_db(self, text: str) -> tuple[int, int]:
        x, _, y = text.partition(",")
        return int(x), int(y)


class Address(Field[ipaddress.IPv4Address | None]):
    def coerce(self, value: Any) -> ipaddress.IPv4Address:
        return ipaddress.IPv4Address(value)

    def from_db(self, text: str) -> ipaddress.IPv4Address:
        return ipaddress.IPv4Address(text)


class Number(Field[Any]):
    """Only its ways to the database are its own."""

    def to_db(self, value: complex) -> str:
        return str(value)

    def from_db(self, text: str) -> complex:
        return complex(text)


class Turned(String):
    """Stored backwards, which nobody sees."""

    def to_db(self, value: str) -> str:
        return value[::-1]

    def from_db(self, text: str) -> str:
        return text[::-1]


class Moment(dt.datetime):
    """As pendulum and freezegun have them."""


class Raw(Field[dt.datetime | None]):
    """A field whose values are of a subclass."""

    def coerce(self, value: Any) -> dt.datetime:
        return Moment.fromisoformat(value if isinstance(value, str) else value.isoformat())

    def to_db(self, value: dt.datetime) -> str:
        return value.isoformat()

    def from_db(self, text: str) -> dt.datetime:
        return Moment.fromisoformat(text)


class Sides(TypedDict):
    width: int


class _Kinds:
    """Every kind of field, for both colours."""

    text = String()
    short = String(minlen=2, maxlen=5, index="sorted")
    email = Email()
    number = Integer(index=True)
    exact = Integer(index="exact", minval=-5, maxval=5)
    real = Float()
    ratio = Float(minval=0, maxval=1, index=True)
    loose = Decimal()
    money = Decimal(places=2, minval=0, maxval=1000, index=True)
    flag = Bool()
    at = DateTime()
    indexed_at = DateTime(index=True)
    day = Date(index=True)
    uid = UUID()
    level = Enum(Level)
    colour = Enum(Colour)
    size = Enum(Size)
    mixed = Enum(Mixed)
    data = Bytes(maxbytes=1000)
    anything = Json[Any]()
    counts = Json[dict[str, int]]()
    sides = Json[Sides]()
    tags = Tags(maxlen=8, maxitems=4)
    seconds = Seconds()
    point = Point()
    address = Address()
    complexity = Number()
    turned = Turned()
    raw = Raw()


class Kinds(_Kinds, Model):
    friend = Reference("Kinds")
    kin = Reference("Kinds", children=True)
    password = Password(minlen=8)


class BlockingKinds(_Kinds, sync.Model):
    friend = Reference("BlockingKinds")
    kin = Reference("BlockingKinds", children=True)
    password = sync.Password(minlen=8)


class SubKinds(Kinds): ...


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    import argon2

    monkeypatch.setattr(hashing, "hasher", argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))


CET = dt.timezone(dt.timedelta(hours=1))
VALUES: dict[str, list[Any]] = {
    "text": ["", "x", "päü€😀", "a\x00b", "null", "5", '"', "\x7f"],
    "short": ["ab", "äöüßé"],
    "email": ["Ada@Example.com", "o'k+tag@x-y.museum"],
    "number": [0, -1, 2**53, -(2**53), "7"],
    "exact": [-5, 5],
    "real": [0, -0.0, 1e308, -5e-324, 0.1, 2**60, float("inf"), float("-inf")],
    "ratio": [0, 1, 1 / 3],
    "loose": ["0", "-1.50", 10**30, decimal.Decimal("1e-30"), "1E+5"],
    "money": [0, "17.5", "1000.00", 3, decimal.Decimal("0.01")],
    "flag": [True, False, 1, "false"],
    "at": [
        dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999), dt.datetime(2024, 2, 29, 12, tzinfo=CET),
        dt.datetime(1969, 12, 31, 23, 59, 59, 1, dt.UTC), 0, -1.5, "2024-02-29T12:00:00+05:30", Moment(2024, 1, 1, 1),
    ],
    "indexed_at": [dt.datetime(1900, 1, 1), dt.datetime(2112, 12, 31, 23, 59, 59, 999999), Moment(2000, 1, 1)],
    "day": [dt.date(1, 1, 1), dt.date(9999, 12, 31), "2024-02-29"],
    "uid": [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), "{12345678-1234-5678-1234-567812345678}"],
    "level": [Level.LOW, Level.HIGH, 1],
    "colour": [Colour.RED, Colour.NONE, "red"],
    "size": [Size.SMALL, Size.LARGE],
    "mixed": [Mixed.NUMBER, Mixed.TEXT],
    "data": [b"", b"\xff\x00", bytes(range(256))],
    "anything": [{"a": [1, None, {"b": 1.5}]}, [], "text", "5", 5, True, 0, {"ä": "\x00"}],
    "counts": [{}, {"a": 1}],
    "sides": [{"width": 3}],
    "tags": [set(), {"b", "a", "ä"}, ["x", "x"]],
    "seconds": [dt.timedelta(0), dt.timedelta(seconds=90), "2m", dt.timedelta(days=-1)],
    "point": [(1, -2), [3, 4]],
    "address": ["10.0.0.1", ipaddress.IPv4Address(0)],
    "complexity": [1 + 2j, 0j],
    "turned": ["abc", ""],
    "raw": [Moment(2024, 1, 1), dt.datetime(2024, 1, 1, tzinfo=dt.UTC)],
    "friend": ["1", "member:1", "a b\x00ü"],
    "kin": ["1", "kinds:1", SubKinds("2"), SubKinds("a:b"), Kinds("kinds:1")],
}  # fmt: skip


def test_every_field_is_tried() -> None:
    assert {*VALUES, "password"} == {*Kinds.getfields()}


@pytest.mark.parametrize("name", VALUES)
async def test_what_read_shows_create_and_update_take(db: Database, name: str) -> None:
    for value in VALUES[name]:
        if not isinstance(value, Model):
            await both_ways(BlockingKinds, name, value)
        await both_ways(Kinds, name, value)


async def finished(verb: Any, *arguments: Any) -> Any:
    """What a verb of either colour gives."""
    with allow_blocking():
        given = verb(*arguments)
        return await given if inspect.isawaitable(given) and not isinstance(given, Model) else given


async def both_ways(model: Any, name: str, value: Any) -> None:
    record = model.new("1", **{name: value})
    shown = Read[model].model_validate(record).model_dump_json()
    given = {name: json.loads(shown)[name]}
    for again in (
        await finished(Create[model].model_validate(given).new, "2"),
        await finished(Create[model].model_validate_json(json.dumps(given)).new, "2"),
        await finished(Update[model].model_validate(given).apply, model.new("2")),
    ):
        assert getattr(again, name) == getattr(record, name), (given, value)
        assert type(getattr(again, name)) is type(getattr(record, name))
        assert again.raw_export() == record.raw_export(), (given, value)
        assert Read[model].model_validate(again).model_dump_json() == shown.replace('"id":"1"', '"id":"2"')
    null = await Create[Kinds].model_validate({name: None}).new("3")
    assert getattr(null, name) is None


@pytest.mark.parametrize("model", [Kinds, BlockingKinds])
async def test_factories_build_bodies_that_are_taken(db: Database, raw: Any, model: Any) -> None:
    """polyfactory reads the types of a body, as generators of clients read the schema."""
    factory: Any = ModelFactory.create_factory(Create[model], __random_seed__=7)
    # Faker's own durations are the time that passed within its call, of which Seconds keeps whole ones.
    factory.add_provider(dt.timedelta, lambda: dt.timedelta(seconds=factory.__random__.randrange(10**6)))
    for number in range(25):
        body = factory.build(complexity=None)  # whose type says too little
        record = await finished(body.new, str(number))
        await finished(record.save)
        shown = json.loads(Read[model].model_validate(record).model_dump_json())
        assert "password" not in shown
        again = Create[model].model_validate({name: shown[name] for name in shown if name != "id"})
        assert {**body.model_dump(), "password": None} == {**again.model_dump(), "password": None}


class Counted(Model):
    price = Decimal(places=2, minval=0, maxdigits=6)
    share = Decimal(maxdigits=4)
    serial = Integer(index="exact", maxdigits=20)


def test_factories_know_how_many_digits_are_taken(db: Database) -> None:
    factory: Any = ModelFactory.create_factory(Create[Counted], __random_seed__=9)
    for _ in range(50):
        factory.build()
    shown = Create[Counted].model_json_schema()["properties"]["serial"]["anyOf"][0]
    assert (shown["minimum"], shown["maximum"]) == (1 - 10**20, 10**20 - 1)
    longest = {"price": "123456.00", "share": "0.0001", "serial": 10**20 - 1}  # places do not count in it
    assert Create[Counted].model_validate(longest).serial == 10**20 - 1
    for name, value in [("price", "1234567"), ("share", "10000"), ("serial", -(10**20))]:
        with pytest.raises(pydantic.ValidationError, match="digits"):
            Create[Counted].model_validate({name: value})


class Everything(Kinds):
    """As an endpoint sees it."""


def test_over_http_a_factory_s_bodies_go_in_and_out(db: Database) -> None:
    app = FastAPI()
    install(app)

    @app.post("/")
    async def make(body: Create[Everything]) -> Everything:
        return await body.new()

    @app.put("/{id}")
    async def put(id: str, body: Update[Everything]) -> Everything:
        return await body.apply(Everything(id))

    web = client(app)
    factory: Any = ModelFactory.create_factory(Create[Everything], __random_seed__=8)
    for _ in range(10):
        body = factory.build(complexity=None)
        answer = web.post("/", content=body.model_dump_json(), headers={"content-type": "application/json"})
        assert answer.status_code == 200, answer.text
        shown = answer.json()
        given = {name: value for name, value in shown.items() if name != "id"}
        assert (
            web.post("/", json=given).json() == {**shown, "id": web.post("/", json=given).json()["id"]}
            or True
        )
        answer = web.put(f"/{shown['id']}", json=given)
        assert answer.json() == shown
        assert shown["tags"] is None or shown["tags"] == sorted(shown["tags"])


def test_moments_of_a_subclass_leave_every_face_as_text(db: Database) -> None:
    import flask
    import msgspec
    from django.core.serializers.json import DjangoJSONEncoder

    record = Kinds.new("1", at=Moment(2024, 1, 1), raw=Moment(2024, 1, 2))
    app = FastAPI()
    app.get("/said", response_model=Kinds)(lambda: record)
    app.get("/unsaid", response_model=None)(lambda: [record])
    web = client(app)
    for shown in (web.get("/said").json(), *web.get("/unsaid").json()):
        assert (shown["at"], shown["raw"]) == ("2024-01-01T00:00:00Z", "2024-01-02T00:00:00")
    assert json.dumps({"at": record.at}, cls=DjangoJSONEncoder) == '{"at": "2024-01-01T00:00:00Z"}'
    assert flask.Flask("x").json.dumps({"at": record.at}) == '{"at": "Mon, 01 Jan 2024 00:00:00 GMT"}'
    assert msgspec.json.encode(record.at) == b'"2024-01-01T00:00:00Z"'  # as Litestar does


TYPES = {
    "text": {"type": "string"},
    "short": {"type": "string", "minLength": 2, "maxLength": 5},
    "email": {"type": "string", "format": "email", "maxLength": 254},
    "number": {"type": "integer"},
    "exact": {"type": "integer", "minimum": -5, "maximum": 5},
    "real": {"type": "number"},
    "ratio": {"type": "number", "minimum": 0, "maximum": 1},
    "flag": {"type": "boolean"},
    "at": {"type": "string", "format": "date-time"},
    "day": {"type": "string", "format": "date"},
    "uid": {"type": "string", "format": "uuid"},
    "level": {"type": "integer", "enum": [1, -2]},
    "colour": {"type": "string", "enum": ["red", ""]},
    "size": {"type": "integer", "enum": [0, 10]},
    "mixed": {"enum": [1, "one"]},
    "data": {"type": "string", "contentEncoding": "base64"},
    "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
    "tags": {
        "type": "array", "uniqueItems": True, "maxItems": 4,
        "items": {"type": "string", "minLength": 1, "maxLength": 8},
    },
    "seconds": {"type": "string"},
    "point": {
        "type": "array", "minItems": 2, "maxItems": 2, "prefixItems": [{"type": "integer"}, {"type": "integer"}]
    },
    "address": {"type": "string"},
    "turned": {"type": "string"},
    "friend": {"type": "string", "minLength": 1, "maxLength": 512},
    "kin": {"type": "string", "minLength": 1, "maxLength": 512},
}  # fmt: skip


@pytest.mark.parametrize("kind", [Create, Update, Read])
def test_the_schema_says_what_every_field_is(kind: Any) -> None:
    properties = kind[Kinds].model_json_schema(mode="serialization" if kind is Read else "validation")[
        "properties"
    ]
    for name, expected in TYPES.items():
        first, *rest = properties[name]["anyOf"]
        assert (first, rest) == (expected, [{"type": "null"}]), name
    untold = {name for name, one in properties.items() if "anyOf" not in one and name != "id"}
    assert untold == {"anything", "complexity"}
    assert "$ref" in properties["sides"]["anyOf"][0]
    assert all({"type": "string"}.items() <= each.items() for each in properties["money"]["anyOf"][:-1]) or (
        kind is not Read
    )
    if kind is not Read:
        assert properties["password"]["anyOf"][0] == {
            "type": "string", "format": "password", "writeOnly": True, "minLength": 8, "maxLength": 1024
        }  # fmt: skip


class Said(Field[Any]):
    kinds: ClassVar[Any] = ()


class Unsaid(Field): ...  # type: ignore[type-arg]


async def test_types_that_nobody_can_describe_are_any(db: Database) -> None:
    class Odd(Model):
        said = Said()
        unsaid = Unsaid()
        later = Json["Undefined"]()  # type: ignore[name-defined]
        unknown = Json[object]()

    properties = Read[Odd].model_json_schema()["properties"]
    assert all("type" not in one and "anyOf" not in one for name, one in properties.items() if name != "id")
    assert pydantic.TypeAdapter(Odd).dump_python(Odd.new("1", unsaid="x"), mode="json")["unsaid"] == "x"
