"""What a class stores, as data: its indexes by name, its fixed keys, and which indexes hang together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioredisca.storage.keys import Keys
from aioredisca.storage.schema import Compound, FieldSpec, Schema, entries_of, fields_of

KEYS = Keys("", "row")


def score(raw: bytes) -> str:
    return str(int(raw))


def elements(raw: bytes) -> tuple[bytes, ...]:
    return tuple(raw.split())


ROW = Schema(
    "Row",
    KEYS,
    (
        FieldSpec("email", unique=True),
        FieldSpec("name", index="sorted"),
        FieldSpec("size", index="range", score=score),
        FieldSpec("code", unique=True, index="exact", required=True),
        FieldSpec("city", index="exact"),
        FieldSpec("tags", index="tags", elements=elements),
        FieldSpec("slug"),
        FieldSpec("note"),
    ),
    (Compound(("city", "size")), Compound(("email", "slug"), unique=True)),
    ("log",),
)


def test_entries_name_every_index_once() -> None:
    assert ROW.entries == {
        "i:", "u:email", "s:name", "r:size", "u:code", "x:code", "x:city", "t:tags",
        "c:4:city4:size", "U:5:email4:slug", "l:log", "n:size", "n:city", "n:name", "n:tags",
    }  # fmt: skip
    assert ROW.index_entries == ROW.entries - {"l:log"}


def test_the_signature_is_the_layout_and_the_sorted_entries() -> None:
    """Written out: a store of today is read with it tomorrow."""
    assert ROW.signature == (
        "2/U:5:email4:slug/c:4:city4:size/i:/l:log/n:city/n:name/n:size/n:tags/r:size/s:name/t:tags/u:code/u:email"
        "/x:city/x:code"
    )
    assert entries_of(ROW.signature) == ROW.entries
    assert entries_of("") == frozenset()
    turned = Schema("Other", KEYS, ROW.fields[::-1], ROW.compounds[::-1], ROW.collections)
    assert turned.signature == ROW.signature
    assert turned.name == ROW.name == ("row", ROW.signature)
    assert turned != ROW  # one object per version of a class


def test_what_has_no_index_is_no_part_of_the_signature() -> None:
    bare = Schema("Row", KEYS, (FieldSpec("slug"), FieldSpec("note", required=True)))
    assert bare.signature == "2/i:"
    assert bare.fixed_keys == ("row/meta", "row/ids")
    assert bare.storage != Schema("Row", KEYS, (FieldSpec("slug"), FieldSpec("note"))).storage


def test_fixed_keys_are_numbered_in_the_order_of_the_fields() -> None:
    slots = {spec.key: ROW.slots(spec) for spec in ROW.fields}
    assert slots == {
        "email": (("unique", KEYS.unique("email")),),
        "name": (("sorted", KEYS.sorted("name")), ("none", KEYS.none("name"))),
        "size": (("range", KEYS.range("size")), ("none", KEYS.none("size"))),
        "code": (("unique", KEYS.unique("code")), ("digests", KEYS.digests("code"))),
        "city": (("digests", KEYS.digests("city")), ("none", KEYS.none("city"))),
        "tags": (("none", KEYS.none("tags")),),
        "slug": (),
        "note": (),
    }
    flat = [key for spec in ROW.fields for _, key in slots[spec.key]]
    assert ROW.fixed_keys == ("row/meta", "row/ids", *flat, "row/u/email/slug")
    assert len(set(ROW.fixed_keys)) == len(ROW.fixed_keys)


def test_tracked_fields_are_those_of_indexes_and_of_compounds() -> None:
    assert [spec.key for spec in ROW.tracked] == ["email", "name", "size", "code", "city", "tags", "slug"]
    assert list(ROW.tracked_keys) == [spec.key for spec in ROW.tracked]
    assert [spec.key for spec in ROW.indexes] == ["email", "name", "size", "code", "city", "tags"]
    assert ROW.exact == ("code", "city")
    assert ROW.scores == {"size": score}
    assert ROW.short == {"name", "city"}  # as they are in members, or in the key of a compound


def test_a_compound_hangs_on_the_index_that_it_takes_its_scores_from() -> None:
    assert ROW.with_dependents(frozenset({"r:size"})) == {"r:size", "c:4:city4:size"}
    for alone in ("x:city", "u:email", "i:", "s:name"):
        assert ROW.with_dependents(frozenset({alone})) == {alone}
    assert ROW.with_dependents(ROW.entries) == ROW.entries


def test_a_load_asks_for_the_marker_where_nothing_must_be_there() -> None:
    assert ROW.read_fields == (*(spec.key for spec in ROW.fields), "_")
    loose = Schema("Row", KEYS, (FieldSpec("a"), FieldSpec("b")))
    assert loose.read_fields == ("a", "b", "_")
    assert loose.places == {"a": 0, "b": 1}
    assert loose.blank == {"a": None, "b": None}
    assert loose.load_form % (5, b"row:1") == (
        b"*5\r\n$5\r\nHMGET\r\n$5\r\nrow:1\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\n_\r\n"
    )


@pytest.mark.parametrize("key", ["name", "city"])
def test_values_in_members_are_short(key: str) -> None:
    ROW.check_indexable(key, b"x" * 512)
    with pytest.raises(ValueError, match="has more than 512 bytes"):
        ROW.check_indexable(key, b"x" * 513)


def test_what_an_index_cannot_hold_is_told() -> None:
    ROW.check_indexable("code", b"x" * 10_000)  # by its digest
    ROW.check_indexable("note", b"x" * 10_000)
    ROW.check_indexable("tags", b" ".join([b"x" * 512] * 5))
    with pytest.raises(ValueError, match="has more than 512 bytes"):
        ROW.check_indexable("tags", b"a " + b"x" * 513)
    with pytest.raises(ValueError):
        ROW.check_indexable("size", b"none")


def test_what_a_write_sends_along_with_a_value() -> None:
    extra = {spec.key: spec.extra for spec in ROW.fields}
    assert extra["size"](b"007") == "7"
    assert extra["city"](b"x" * 512) == extra["email"](b"x" * 600) == extra["note"](b"x" * 600) == ""
    assert len(extra["city"](b"x" * 513)) == 64


@given(st.lists(st.text(min_size=1, max_size=5), min_size=2, max_size=4), st.booleans())
def test_the_fields_of_a_compound_are_read_from_its_name(names: list[str], unique: bool) -> None:
    """Whatever stands in them, digits and colons too."""
    assert fields_of(Compound(tuple(names), unique=unique).entry) == tuple(names)


def test_a_cache_region_is_there_where_something_may_be_remembered() -> None:
    assert ROW.cache_region is None
    cached = Schema("Row", KEYS, (), cache=3)
    assert cached.cache_region is not None
    assert cached.cache_region is cached.cache_region
