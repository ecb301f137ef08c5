"""Values as JSON: the form that web faces give them, without pydantic."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
import math
import uuid
from typing import Any

import pytest

from aioredisca import (
    UUID,
    Bool,
    Bytes,
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
    Reference,
    String,
    Tags,
)
from aioredisca.cli.values import Unreadable, as_json, as_text, size_text, span_text
from aioredisca.fastapi import Read

pytestmark = pytest.mark.memory_only


class Level(enum.IntEnum):
    LOW = 1


class Span(Field[dt.timedelta | None]):
    """A field of one's own, stored as seconds."""

    def to_db(self, value: dt.timedelta) -> str:
        return str(int(value.total_seconds()))

    def from_db(self, text: str) -> dt.timedelta:
        return dt.timedelta(seconds=int(text))


class Everything(Model):
    text = String()
    email = Email()
    whole = Integer()
    part = Float()
    endless = Float()
    exact = Decimal(places=3)
    yes = Bool()
    moment = DateTime()
    fraction = DateTime()
    day = Date()
    key = UUID()
    level = Enum(Level)
    raw = Bytes()
    data: Any = Json()
    tags = Tags()
    other: Any = Reference("Everything")
    span = Span()
    nothing = String()


VALUES: dict[str, Any] = {
    "text": "Zoë\n",
    "email": "a@b.cc",
    "whole": 10**30,
    "part": 0.1,
    "endless": -math.inf,
    "exact": decimal.Decimal("1E+3"),
    "yes": True,
    "moment": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
    "fraction": dt.datetime(2026, 1, 2, 3, 4, 5, 60_000, tzinfo=dt.UTC),
    "day": dt.date(2026, 1, 2),
    "key": uuid.UUID(int=5),
    "level": Level.LOW,
    "raw": b"\xff\x00",
    "data": {"a": [1, None]},
    "tags": {"b", "a"},
    "other": "x",
    "span": dt.timedelta(minutes=2),
    "nothing": None,
}


def test_every_kind_has_the_form_that_read_gives_it() -> None:
    record = Everything.new("1", **VALUES)
    web = json.loads(Read[Everything].model_validate(record).model_dump_json())
    ours = {
        name: json.loads(json.dumps(as_json(field, getattr(record, name))))
        for name, field in Everything.__mapper__.fields.items()
    }
    web.pop("id")
    assert ours == web


def test_every_kind_has_a_text_of_one_line() -> None:
    record = Everything.new("1", **VALUES)
    texts = {
        name: as_text(field, getattr(record, name)) for name, field in Everything.__mapper__.fields.items()
    }
    assert all(text.isprintable() for text in texts.values())
    assert texts["text"] == "Zoë\\n"
    assert texts["data"] == '{"a": [1, null]}'
    assert texts["tags"] == "a, b"
    assert texts["raw"] == "b'\\xff\\x00'"
    assert texts["nothing"] == "–"
    assert as_text(Everything.text.field, Unreadable(b"\x1b")) == "(cannot be read: b'\\x1b')"  # type: ignore[arg-type]


def test_sizes_and_spans_for_people() -> None:
    sizes = [None, 0, 7, 999, 1000, 123_456, 12_000_000]
    assert [size_text(size) for size in sizes] == [
        "–",
        "nothing",
        "about 7 bytes",
        "about 999 bytes",
        "about 1 kB",
        "about 123 kB",
        "about 12 MB",
    ]
    assert [span_text(left) for left in (1, 61_000, 90_000_000)] == ["0:00:01", "0:01:01", "1 day, 1:00:00"]
