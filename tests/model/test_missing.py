"""missing=: what a required field reads as in a record that is older than it; and words for what was mistaken."""

from __future__ import annotations

import typing
from typing import Any

import pytest

from aioredisca import (
    CorruptRecord,
    Database,
    Email,
    FieldUnset,
    Integer,
    Model,
    NotIndexed,
    Reference,
    String,
    Tags,
    UsageError,
    ValidationError,
    conf,
    reindex,
    sync,
)
from aioredisca.pydantic import Read


@conf(prefix="aged")
class Before(Model):
    name = String(index=True)


@conf(prefix="aged")
class Aged(Model):
    name = String(index=True)
    lang = String(required=True, missing="en")
    email = Email(required=True, missing=lambda: "Nobody@Example.com")
    tags = Tags(required=True, missing=set[str])
    bare = String(required=True)


async def test_what_is_older_than_a_required_field_reads_as_missing_says(
    url: str, db: Database, raw: Any
) -> None:
    raw.hset("aged:1", mapping={"name": "Ada", "bare": "x"})
    old = await Aged.get("1")
    assert (old.lang, old.email, old.tags) == ("en", "nobody@example.com", set())
    assert Read[Aged].model_validate(old).model_dump()["lang"] == "en"
    old.name = "Eve"
    await old.save()
    assert raw.hgetall("aged:1") == {b"name": b"Eve", b"bare": b"x"}  # nothing is stored by reading
    raw.hdel("aged:1", "bare")
    with pytest.raises(CorruptRecord, match="bare"):
        assert (await Aged.get("1")).bare


async def test_a_new_record_must_be_given_the_value_all_the_same(db: Database) -> None:
    fresh = Aged.new("2", bare="x", email="a@b.cc", tags=[])
    with pytest.raises(FieldUnset):
        assert fresh.lang
    with pytest.raises(ValidationError, match="lang: is required"):
        await fresh.save()


def test_missing_goes_with_required_only() -> None:
    with pytest.raises(UsageError, match="goes with required=True"):
        String(missing="x")


# -- words -----------------------------------------------------------------------------------------


async def test_a_record_of_a_class_that_was_defined_anew_is_told(db: Database) -> None:
    def author() -> Any:
        class Author(Model):
            name = String()

        return Author

    older, newer = author(), author()

    class Book(Model):
        author = Reference(newer)

    with pytest.raises(ValidationError, match="one of another class Author: if Author was defined anew"):
        Book.new("1", author=older("1"))
    with pytest.raises(UsageError, match="one of another class Author: if Author was defined anew"):
        await newer.save_many([older.new("1")])
    with pytest.raises(ValidationError, match="or its id, not Book"):
        Book.new("1", author=Book("1"))


async def test_the_set_of_all_records_is_no_field(db: Database, raw: Any) -> None:
    raw.hset("before:1", "name", "Ada")
    raw.hset("aged:1", "name", "Ada")
    with pytest.raises(NotIndexed) as caught:
        await Before.all()
    assert str(caught.value) == (
        "the records of Before are not listed: the index is not built yet: `aioredisca reindex` builds it, or tells "
        "which records forbid that"
    )
    assert caught.value.field == ""
    await reindex(Before)
    assert [one.id for one in await Before.all()] == ["1"]


class Hinted(Model):
    name = String()
    count: typing.ClassVar[int] = 0


class SyncHinted(sync.Model):
    age = Integer()


@pytest.mark.parametrize("model", [Hinted, SyncHinted])
def test_the_annotations_of_a_model_can_be_resolved(model: Any) -> None:
    hints = typing.get_type_hints(model)
    assert {name for name in hints if not name.startswith("__")} == ({"count"} if model is Hinted else set())
