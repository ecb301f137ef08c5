"""Values of records for people and for machines: secret ones hidden, and what cannot be read told as such."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import enum
import json
import math
import uuid
from dataclasses import dataclass
from typing import Any

from rich import filesize

from aioredisca.cli.app import printable
from aioredisca.errors import CorruptRecord
from aioredisca.fields.base import Field
from aioredisca.fields.scalars import Json
from aioredisca.fields.tags import Tags
from aioredisca.storage.replies import MISREAD

SECRET = "(secret)"
"""What stands in the place of a value that is not to be shown."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """What stands in the place of a value that its field cannot read, or that is missing and required.

    ``raw``     the stored bytes, where they may be shown.
    ``absent``  nothing is stored.
    """

    raw: bytes | None = None
    absent: bool = False

    def __str__(self) -> str:
        if self.absent:
            return "(nothing, and required)"
        return f"(cannot be read: {self.raw!r})" if self.raw is not None else "(cannot be read)"


def value_in(record: Any, field: Field[Any]) -> Any:
    """The value of a loaded record that may be shown."""
    try:
        value = getattr(record, field.name)
    except CorruptRecord:
        return Unreadable()
    return SECRET if field.secret and value is not None else value


def value_of(mapper: Any, field: Field[Any], raw: bytes | None) -> Any:
    """The same for stored bytes."""
    if raw is None:
        return Unreadable(absent=True) if field.required and field.missing is None else None
    try:
        value = field.__codec__.read(raw, mapper)
    except MISREAD:
        return Unreadable(None if field.secret else raw)
    return SECRET if field.secret else value


def as_json(field: Field[Any], value: Any) -> Any:
    """A value that is not secret in the form that web faces give it; None for what cannot be read."""
    if value is None or isinstance(field, Json):
        return value
    match value:
        case Unreadable():
            return None
        case enum.Enum():
            return value.value
        case bytes():
            return base64.b64encode(value).decode()
        case dt.datetime():
            return value.isoformat().replace("+00:00", "Z")
        case dt.date():
            return value.isoformat()
        case decimal.Decimal() if field.__codec__.keeps("to_db"):
            return format(value, "f")
        case uuid.UUID():
            return str(value)
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        case str() | int() | float():
            return value
        case _:
            return _stored(field, value)


def _stored(field: Any, value: Any) -> Any:
    """Of a kind that JSON has nothing for: its text, or that of its elements."""
    if isinstance(field, Tags):
        return sorted(value)
    if isinstance(value, set | frozenset | list | tuple):
        return [*value]
    stored = field.to_db(value)
    return stored if isinstance(stored, str) else base64.b64encode(stored).decode()


def as_text(field: Field[Any], value: Any) -> str:
    """A value for a terminal: nothing in it is obeyed."""
    if value is None:
        return "–"
    if value is SECRET or isinstance(value, Unreadable | bytes):
        return printable(str(value))
    if isinstance(field, Json):
        return printable(json.dumps(value, ensure_ascii=False))
    shown = as_json(field, value)
    if isinstance(field, Tags):
        return ", ".join(map(printable, shown)) or "(none)"
    return printable(shown if isinstance(shown, str) else str(shown))


def index_text(fields: tuple[str, ...]) -> str:
    """What an index is over."""
    return ", ".join(fields) or "(all records)"


def size_text(size: int | None) -> str:
    """A number of bytes that was estimated; None where nobody knows."""
    if not size:
        return "–" if size is None else "nothing"
    return f"about {filesize.decimal(size, precision=0)}"


def span_text(milliseconds: int) -> str:
    """How long until something ends."""
    return str(dt.timedelta(seconds=-(-milliseconds // 1000)))
