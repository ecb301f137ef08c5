"""The models of the dump: every field kind, every index, every setting that shows in a key.

This file and ``make_dump.py`` run with the library of today and with older ones, so they use public names only.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import itertools
import uuid
from typing import Any

from aioredisca import (
    UUID,
    Bool,
    Bytes,
    Counter,
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
    conf,
    sync,
)


class Colour(enum.Enum):
    RED = "red"
    GREEN = "grün"


class Level(enum.Enum):
    LOW = 1
    HIGH = 2


class IPv4(Field[ipaddress.IPv4Address | None]):
    """A field of a user's own."""

    index_kinds = ("range", "exact")

    def coerce(self, value: Any) -> ipaddress.IPv4Address:
        return ipaddress.IPv4Address(value)

    def from_db(self, text: str) -> ipaddress.IPv4Address:
        return ipaddress.IPv4Address(text)

    def score(self, value: Any) -> str:
        return str(int(value))


made = itertools.count(1)


def made_id() -> str:
    """An id as the class makes it, but the same in each run."""
    return f"made-{next(made)}"


@conf(prefix="dlang")
class Language(Model):
    name = String(unique=True)


@conf(prefix="ddia")
class Dialect(Language):
    region = String(index=True)


@conf(prefix="dkind", id=made_id)
class Kind(Model):
    """One field of each kind and each index that it can have. None is required: a record may hold nothing."""

    text = String(index=True)
    ordered = String(index="sorted")
    code = String(unique=True)
    both = String(unique=True, index=True)
    nfc = String(normalize="NFC")
    email = Email(field="eml", unique=True, index="sorted")
    number = Integer(index=True)
    wide = Integer(index="exact")
    lone = Integer()
    ratio = Float(index=True)
    exact_ratio = Float(index="exact")
    price = Decimal(places=2, index=True)
    exact_price = Decimal(index="exact")
    flag = Bool(index=True)
    at = DateTime(index=True)
    exact_at = DateTime(index="exact")
    day = Date(index=True)
    exact_day = Date(index="exact")
    uid = UUID(index=True, unique=True)
    colour = Enum(Colour, index=True)
    level = Enum(Level, index=True)
    blob = Bytes(index=True)
    data = Json[Any]()
    labels = Tags(index=True)
    bare = Tags()
    language = Reference(Language, index=True)
    any_language = Reference(Language, children=True, index=True)
    password = Password()
    old_password = MD5Pass(index=True)
    ip = IPv4(index=True, unique=True)


@conf(prefix="dperson", unique=[("family", "given")], index=[("family", "born"), ("country", "height")])
class Person(Model):
    """Required fields, and several of them together."""

    family = String(required=True)
    given = String(index="sorted")
    born = Date(required=True, index=True)
    country = String(index=True)
    height = Integer(required=True, index=True)
    visits = Integer(new=0, index=True)
    note = String()


@conf(prefix="d:äpfel", namespace="app:", tag=True, id=made_id)
class Apple(Model):
    """All that shows in a key: a namespace, a tag, letters beyond ASCII, ids that a function makes."""

    kind = String(index=True, new="Boskop")
    weight = Float(index=True)
    parent = Reference(lambda: Apple, index=True, on_delete="nullify", check=False)


@conf(prefix="dauthor")
class Author(Model):
    name = String(index=True)
    books = Counter()


@conf(prefix="dbook")
class Book(Model):
    title = String(unique=True)
    author = Reference(Author, index=True, on_delete="cascade")
    log = ListOf(String(), field="history")


@conf(prefix="dremark")
class Remark(Model):
    text = String()
    book = Reference(Book, index=True, on_delete="nullify")


@conf(prefix="dloan")
class Loan(Model):
    book = Reference(Book, index=True, on_delete="restrict", required=True)


@conf(prefix="dboard")
class Board(Model):
    """Collections of all four kinds."""

    title = String(index=True)
    log = ListOf(String())
    numbers = ListOf(Integer())
    players = SetOf(Reference(Author))
    days = SetOf(Date())
    scores = SortedSet(String())
    visits = Counter()


class Shared:
    """Fields of two classes, one of each colour."""

    name = String(index=True)
    nick = String(unique=True)
    age = Integer(index=True)
    tags = Tags(index=True)


@conf(prefix="dshared", id=made_id)
class Waited(Shared, Model): ...


@conf(prefix="dshared", id=made_id)
class Blocking(Shared, sync.Model): ...


def grown(prefix: str, *, before: bool) -> Any:
    """A class as it was *before*, or as it is since it keeps indexes. Each replaces the one before."""

    class Grown(Model):
        name = String(index=not before)
        number = Integer(index=not before)

    return conf(prefix=prefix)(Grown)


MODELS: tuple[Any, ...] = (
    *(Language, Dialect, Kind, Person, Apple, Author),
    *(Book, Remark, Loan, Board, Waited),
)
"""Those of asyncio; ``Blocking`` lies in the same place as ``Waited``."""

HASH = Hash("$scrypt$ln=4,r=8,p=1$c2FsdHNhbHRzYWx0c2E$MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY")
UTC = datetime.UTC
LONG = "länger " * 90
"""A value that stands in an index by its digest."""

WHOLE: dict[str, Any] = {
    "text": "Ada",
    "ordered": "Ada\0\1\2b",
    "code": "c1",
    "both": "b/1",
    "nfc": "Cafe\u0301",
    "email": "Ada@Example.com",
    "number": -42,
    "wide": 10**30,
    "lone": 7,
    "ratio": 0.1,
    "exact_ratio": 1e300,
    "price": decimal.Decimal("9.90"),
    "exact_price": decimal.Decimal("0.000001"),
    "flag": True,
    "at": datetime.datetime(2024, 2, 29, 12, 30, 0, 250000, UTC),
    "exact_at": datetime.datetime(1969, 12, 31, 23, 59, 59, 1, UTC),
    "day": datetime.date(2024, 2, 29),
    "exact_day": datetime.date(1, 1, 1),
    "uid": uuid.UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
    "colour": Colour.GREEN,
    "level": Level.HIGH,
    "blob": bytes(range(256)),
    "data": {"ä": [1, 2.5, None, {"b": True}], "a": "\U0001f600"},
    "labels": {"new", "ä/ö", '"\\'},
    "bare": {"x"},
    "language": "en",
    "any_language": "en",
    "password": HASH,
    "old_password": "geheim",
    "ip": "10.0.0.9",
}
"""A value for every field of :class:`Kind`."""
