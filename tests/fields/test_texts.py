"""Text that means a value: one rule for all kinds of fields."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

import pytest

from aioredisca import (
    UUID,
    Bool,
    CorruptRecord,
    Database,
    Date,
    DateTime,
    Decimal,
    Float,
    Integer,
    Model,
    ValidationError,
)

NOON = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)
SOME = uuid.UUID("12345678123456781234567812345678")


class Texts(Model):
    integer = Integer(index=True)
    float_ = Float(index=True)
    decimal_ = Decimal(places=3, index=True)
    bool_ = Bool(index=True)
    moment = DateTime(index=True)
    day = Date(index=True)
    uuid_ = UUID(index=True)


TAKEN: list[tuple[str, str, Any]] = [
    *[("integer", text, 17) for text in ("17", "+17", "017")],
    *[("float_", text, 1500.0) for text in ("1500", "1.5e3", "+1500.", "1.5E+03")],
    *[("decimal_", text, decimal.Decimal("17.5")) for text in ("17.5", "17.500", "1.75e1", "+17.5")],
    *[("bool_", text, True) for text in ("1", "true", "True", "TRUE")],
    *[("bool_", text, False) for text in ("0", "false", "False")],
    *[
        ("moment", f"2024-02-29{rest}", NOON)
        for rest in ("T12:30:00Z", "t12:30z", " 12:30", "T14:30:00.000+02:00")
    ],
    ("moment", "2024-02-29T07:30:00-0500", NOON),
    ("moment", "2024-02-29T12:30:00.000001Z", NOON.replace(microsecond=1)),
    ("day", "2024-02-29", NOON.date()),
    *[("uuid_", text, SOME) for text in (SOME.hex, str(SOME), f"{{{SOME}}}", SOME.urn, str(SOME).upper())],
]

REFUSED = {
    "integer": ["1_000", "1.5", "1e3", "true"],
    "float_": ["1_000", "1,5", "0x10", "1e", "nan", "true"],
    "decimal_": ["1_000", "1,5", "inf", "sNaN", "nan", "true"],
    "bool_": ["yes", "no", "on", "t", "2", "None"],
    "moment": ["2024-02-29", "2024-02-30T12:00Z", "1709209800", "2024-02-29T12:30:00.1234567Z", "20240229T123000Z",
               "2024-W09-4T12:30", "2024-02-29T25:00Z", "now"],
    "day": ["2024-2-29", "2024-02-30", "20240229", "2024-02-29T00:00:00", "today"],
    "uuid_": [SOME.hex[:-1], SOME.hex[:-2] + "_1", SOME.hex + "0"],
}  # fmt: skip
PLAIN = {
    "integer": "17", "float_": "17.5", "decimal_": "17.5", "bool_": "1", "moment": "2024-02-29T12:30:00Z",
    "day": "2024-02-29", "uuid_": SOME.hex,
}  # fmt: skip
FOREIGN = str.maketrans("0123456789", "\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669")


@pytest.mark.parametrize(("name", "text", "value"), TAKEN)
async def test_text_that_is_taken(db: Database, name: str, text: str, value: Any) -> None:
    record = await Texts.new("1", **{name: text}).save()
    assert getattr(record, name) == getattr(await Texts.get("1"), name) == value
    assert type(getattr(record, name)) is type(value)
    column: Any = getattr(Texts, name)
    assert await (column == text).ids() == await column.in_([text]).ids() == ["1"]


@pytest.mark.parametrize("name", [*REFUSED])
def test_text_that_is_refused(name: str) -> None:
    plain = PLAIN[name]
    blanks = [f"{blank}{plain}" for blank in " \t\n\u00a0"] + [f"{plain}{blank}" for blank in " \t\n\u00a0\0"]
    foreign = {plain.translate(FOREIGN), plain[:-1] + plain[-1].translate(FOREIGN)} - {plain}
    column: Any = getattr(Texts, name)
    for text in (*REFUSED[name], *blanks, *foreign, ""):
        with pytest.raises(ValidationError):
            Texts.new(**{name: text})
        with pytest.raises(ValidationError):
            _ = column == text
        if text in ("1709209800", "2024-2-29"):
            continue  # as it may be stored
        with pytest.raises(ValidationError):
            Texts.new()[name] = text


async def test_what_others_stored_is_read_as_ever(db: Database, raw: Any) -> None:
    raw.hset("texts:1", mapping={"float_": "1_000", "decimal_": " 5 ", "day": "2024-2-9", "bool_": "true"})
    record = await Texts.get("1")
    assert [record.float_, record.decimal_, record.day] == [1000.0, 5, dt.date(2024, 2, 9)]
    with pytest.raises(CorruptRecord):  # an index would know another text of it
        _ = record.bool_
