"""Operands take the form that stored values have, beginnings and elements of values too."""

from __future__ import annotations

import decimal
import unicodedata
from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import (
    Database,
    DateTime,
    Decimal,
    Email,
    Float,
    Integer,
    Model,
    SetOf,
    String,
    Tags,
    UsageError,
    ValidationError,
)

from .support import ids


class Upper(String):
    def coerce(self, value: Any) -> str:
        return super().coerce(value).upper()


class Padded(String):
    def coerce(self, value: Any) -> str:
        return super().coerce(value).strip().zfill(5)


class Picky(String):
    def coerce(self, value: Any) -> str:
        if len(value) < 3:
            raise ValueError("is too short")
        return super().coerce(value).upper()


class OwnEmail(Email):
    def coerce(self, value: Any) -> str:
        return super().coerce(value.removeprefix("mailto:"))


class LowerTags(Tags):
    def coerce(self, value: Any) -> set[str]:
        return {element.lower() for element in super().coerce(value)}


class Person(Model):
    email = Email(index="sorted")
    own_email = OwnEmail(index="sorted")
    name = String(index="sorted", normalize="NFC")
    wide = String(index="sorted", normalize="NFKC")
    code = Upper(index="sorted")
    number = Padded(index="sorted")
    picky = Picky(index="sorted")
    plain = String(index="sorted")
    tags = LowerTags(index=True)
    aliases = SetOf(Email())


P: Any = Person
NFD = unicodedata.normalize("NFD", "Ren\u00e9e")


async def filled() -> None:
    await Person.new(
        "1", email="Ada@Example.com", own_email="Ada@Example.com", name=NFD, wide="\uff21bc", code="fin",
        number="42", picky="finland", plain="Ada", tags=["Red", "BLUE"],
    ).save()  # fmt: skip


@pytest.mark.parametrize(
    ("column", "prefix", "found"),
    [
        ("email", "Ada", True), ("email", "ADA@EX", True), ("email", "ada@example.com", True), ("email", "", True),
        ("email", "b", False), ("own_email", "Ada", True), ("own_email", "Ada@Example.com", True),
        ("name", NFD[:5], True), ("name", "Ren\u00e9", True), ("name", NFD, True), ("name", "ren", False),
        ("wide", "\uff21\uff42", True), ("wide", "Ab", True), ("code", "fi", True), ("code", "FI", True),
        ("code", "fo", False), ("number", "0004", True), ("number", "00042", True), ("number", "4", False),
        ("picky", "FI", True), ("picky", "finl", True), ("plain", "Ada", True), ("plain", "ada", False),
    ],
)  # fmt: skip
async def test_a_prefix_takes_the_form_of_the_field(
    db: Database, column: str, prefix: str, found: bool
) -> None:
    await filled()
    asked = getattr(Person, column).startswith(prefix)
    assert ids(await asked) == (["1"] if found else [])
    assert await asked.count() == found
    assert ids(await (asked & (Person.plain == "Ada")).scan()) == (["1"] if found else [])


async def test_other_operands_take_the_form_of_the_field(db: Database) -> None:
    await filled()
    for asked in [
        *(P.email == "ADA@example.com", P.email.in_(["ADA@example.com"]), P.email >= "ADA@example.com"),
        *(
            P.email.between("ADA@A.com", "ADA@Z.com"),
            P.name == NFD,
            P.name <= NFD,
            P.name.in_([NFD]),
            P.code == "fin",
        ),
        *(P.code >= "fin", P.number == "42", P.number.between(" 41", "43"), P.wide == "Abc"),
        *(P.tags.has("RED"), P.tags.has_all(["RED", "Blue"]), P.tags.has_any(["x", "RED"])),
    ]:
        assert ids(await asked) == ["1"], asked
    person = await Person.get("1")
    await person.aliases.add("A@B.com")
    assert await person.aliases.contains("a@b.COM")


def test_what_is_no_prefix_is_refused() -> None:
    for prefix in (5, None, b"a", "\ud800"):
        with pytest.raises(ValidationError):
            P.email.startswith(prefix)
    with pytest.raises(ValidationError):
        P.tags.has("")


@pytest.mark.parametrize("kind", [Integer, Decimal, Float, DateTime])
def test_a_signaling_nan_is_refused_like_another(kind: Any) -> None:
    """It raises where it is only compared."""
    field = kind(places=2, index=True) if kind is Decimal else kind(index=True)
    model: Any = type("Nans", (Model,), {"value": field})
    nan = decimal.Decimal("sNaN")
    asks: tuple[Callable[[], object], ...] = (
        *(lambda: model.value >= nan, lambda: model.value < nan, lambda: model.value.between(nan, nan)),
        *(lambda: model.value == nan, lambda: model.new("1", value=nan)),
    )
    for ask in asks:
        with pytest.raises(ValidationError) as caught:
            ask()
        assert "convert" not in str(caught.value)


def test_in_of_what_cannot_be_iterated_is_told() -> None:
    for wrong in (Integer, Person, 5, None, "text"):
        with pytest.raises(UsageError, match="takes several values"):
            P.code.in_(wrong)
