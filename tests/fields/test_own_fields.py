"""Fields of one's own: which methods may be overridden, and that no short cut passes them by."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from aioredisca import Database, DateTime, Decimal, Field, Float, Integer, Model, String, ValidationError

# -- fields of one's own -------------------------------------------------------------------------


class Slug(String):
    """As docs/fields.md shows: one method of an existing field."""

    def coerce(self, value: Any) -> str:
        return super().coerce(value).strip().lower().replace(" ", "-")


class Point(Field[tuple[int, int] | None]):
    """A field from the ground up, with an order of its own."""

    index_kinds: ClassVar[Any] = ("range", "exact")

    def coerce(self, value: Any) -> tuple[int, int]:
        x, y = value
        return int(x), int(y)

    def check(self, value: tuple[int, int]) -> None:
        if min(value) < 0:
            raise ValueError("lies outside")

    def to_db(self, value: tuple[int, int]) -> str:
        return f"{value[0]},{value[1]}"

    def from_db(self, text: str) -> tuple[int, int]:
        x, _, y = text.partition(",")
        return int(x), int(y)

    def score(self, value: tuple[int, int]) -> str:
        return str(value[0] * 1000 + value[1])


class Place(Model):
    slug = Slug(unique=True)
    at = Point(index=True)


async def test_fields_of_ones_own_validate_store_and_are_indexed(db: Database, raw: Any) -> None:
    place = await Place.new("1", slug=" Hello World ", at=(3, 4)).save()
    assert raw.hgetall("place:1") == {b"slug": b"hello-world", b"at": b"3,4"}
    assert await Place.slug.find("Hello World") == [place]
    assert await Place.at.range(minval=(3, 0), maxval=(3, 9)) == [place]
    with pytest.raises(ValidationError, match="lies outside"):
        place.at = (-1, 2)
    assert place.at == (3, 4)


# -- new values and ids --------------------------------------------------------------------------


async def test_a_field_of_ones_own_takes_no_short_cut_of_its_base(db: Database) -> None:
    """String reads its bytes at once; a kind that reads text in its own way must be asked."""

    class Shouted(String[None]):
        def from_db(self, text: str) -> str:
            return text.upper()

    class Upside(Integer[None]):
        def score(self, value: int) -> str:
            return str(-value)

    class Halved(Float[None]):
        def from_db(self, text: str) -> float:
            return float(text) / 2

    class Loud(Model):
        word = Shouted()
        plain = String()
        depth = Upside(index=True)
        half = Halved()

    await Loud.new("1", word="hey", plain="hey", depth=5, half=3.0).save()
    assert [one.id for one in await Loud.depth.range(3, None)] == []
    assert [one.id for one in await (Loud.depth >= 5)] == ["1"]
    assert (await Loud.get("1")).half == 1.5
    loud = await Loud.get("1")
    assert (loud.word, loud.plain) == ("HEY", "hey")
    assert await Loud.all().values(Loud.word) == ["HEY"]


# -- short cuts ----------------------------------------------------------------------------------


def test_a_field_of_ones_own_takes_no_short_cut_past_what_it_overrides() -> None:
    """The known-bad way: a kind that keeps the short cuts of its base forgets its own rules."""

    class Shout:
        def from_db(self, text: str) -> str:
            return text.upper()

        def coerce(self, value: Any) -> str:
            return str(value).lower()

    class Own(Shout, String):  # by a mixin
        pass

    class Limited(Integer):
        def check(self, value: int) -> None:
            if value % 2:
                raise ValueError("is odd")

    class Heir(Limited):
        pass

    class Book(Model):
        title = Own()
        pages = Heir()
        plain = Integer()

    book = Book.new("1", title="Abc", pages=4, plain=3)
    assert (book.title, book["title"]) == ("abc", "abc")
    with pytest.raises(ValidationError, match="is odd"):
        book.pages = 3
    found = Book.__mapper__.hydrate({"title": 0, "pages": 1, "plain": 2}, "1", [b"abc", b"3", b"3"])
    assert (found.title, found.pages, found.plain) == ("ABC", 3, 3)
    title, pages, plain = (Book.__mapper__.fields[name].__codec__ for name in ("title", "pages", "plain"))
    assert title.decode_fast is None
    assert pages.decode_fast is plain.decode_fast is not None
    assert (title.accept_fast("a"), pages.accept_fast(4), plain.accept_fast(4)) == (None, None, (4, b"4"))


def test_a_number_of_ones_own_is_judged_by_its_own_score() -> None:
    """The known-bad way: a kind that keeps the short cut of its base is looked up by another number."""

    class Backwards(Integer):
        def score(self, value: int) -> str:
            return super().score(-value)

    class Tenfold(Integer):
        def from_db(self, text: str) -> int:
            return super().from_db(text) * 10

    kinds = (Integer, Float, DateTime, Decimal, Backwards, Tenfold)
    kind_of_models: Any = type(Model)
    model: Any = kind_of_models("Scored", (Model,), {f"f{n}": kind() for n, kind in enumerate(kinds)})
    judged = [field.__codec__.digits_are_scores for field in model.__mapper__.fields.values()]
    assert judged == [True, True, False, False, False, False]


class Prefixed(String):
    """A field that decides on its hash field itself."""

    def __set_name__(self, owner: type, name: str) -> None:
        super().__set_name__(owner, name)
        self.key = f"p_{name}"


class Unasked(String):
    """One that does not even ask its base."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.key = name, f"u_{name}"


async def test_a_field_may_choose_its_hash_field_late(db: Database, raw: Any) -> None:
    class Odd(Model):
        x = Prefixed()
        y = String(field="x")
        z = Unasked()

    await Odd.new("1", x="X", y="Y", z="Z").save()
    assert raw.hgetall("odd:1") == {b"p_x": b"X", b"x": b"Y", b"u_z": b"Z"}
    odd = await Odd.get("1")
    assert (odd.x, odd.y, odd.z) == ("X", "Y", "Z")
    assert odd.export() == {"x": "X", "y": "Y", "z": "Z"}
