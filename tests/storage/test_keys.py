"""Keys: what a name may be, that no two things share a key, and that texts keep their order in members."""

from __future__ import annotations

import hashlib
import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aioredisca.storage import keys
from aioredisca.storage.keys import Keys, joined, long_digest, sortable

NULLS = st.binary(max_size=6) | st.lists(st.sampled_from([0, 1, 2, 255]), max_size=6).map(bytes)


def test_every_key_as_docs_storage_md_has_it() -> None:
    mine = Keys("app:", "user")
    assert (mine.base, mine.records, mine.meta, mine.ids) == (
        "app:user", "app:user:", "app:user/meta", "app:user/ids",
    )  # fmt: skip
    assert mine.record("7") == "app:user:7"
    assert mine.unique("email") == "app:user/u/email"
    assert mine.unique_together(("owner", "slug")) == "app:user/u/owner/slug"
    assert mine.range("age") == "app:user/r/age"
    assert mine.sorted("name") == "app:user/s/name"
    assert mine.compound("country", "age", b"\xff") == b"app:user/c/country/age/\xff"
    assert Keys("app:", "user", tag=True).base == "app:{user}"
    assert Keys("app:", "user", tag="shop").record("{7}") == "app:{shop}user:{7}"
    slots = [Keys(*given).slot for given in (("a:", "user"), ("a:", "user", True), ("", "user", "shop"))]
    assert slots == ["", "user", "shop"]


def test_no_two_things_of_a_class_share_a_key() -> None:
    """Names may look like whatever stands behind another name."""
    names = ["a", "b", "u", "r", "s", "c", "x", "n", "d", "meta", "ids"]
    values = [b"", b"a", b"/", b"a/b", b"u/a", b"meta"]
    mine = Keys("", "p")
    found = [mine.meta.encode(), mine.ids.encode()]
    for name in names:
        of_name = (mine.unique, mine.range, mine.sorted, mine.digests, mine.none)
        found += [key(name).encode() for key in of_name]
        found += [_bytes(mine.exact(name, value)) for value in values]
        found += [mine.collection(name, id).encode() for id in ("", "1", "a/b")]
    for one, two in itertools.permutations(names, 2):
        found += [mine.unique_together((one, two)).encode()]
        found += [mine.compound(one, two, value) for value in values]
    assert len(found) == len(set(found))
    records = {mine.record(id).encode() for id in ("", "/ids", "u/a", "meta", "1")}
    assert not records & set(found)


def _bytes(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key


# -- values in keys and members --------------------------------------------------------------------


@given(st.binary(max_size=40))
@example(b"x" * keys.LONG_VALUE)
@example(b"x" * (keys.LONG_VALUE + 1))
def test_a_long_value_stands_in_a_key_by_its_digest(value: bytes) -> None:
    for raw in (value, value * 40):
        digest = hashlib.sha256(raw).hexdigest() if len(raw) > 512 else ""
        assert long_digest(raw) == digest
        key = _bytes(Keys("", "p").exact("f", raw))
        assert key.endswith(digest.encode() or raw)
        assert len(key) <= len(b"p/x/f/") + 2 + 512


@given(NULLS, NULLS, st.text(max_size=3), st.text(max_size=3))
def test_members_of_a_sorted_index_stand_in_the_order_of_their_values(
    one: bytes, two: bytes, id: str, other: str
) -> None:
    members = [sortable(value) + b"\0" + name.encode() for value, name in ((one, id), (two, other))]
    if one != two:
        assert (members[0] < members[1]) is (one < two)
    assert b"\0" not in sortable(one)
    assert sortable(one).replace(b"\1\1", b"\0").replace(b"\1\2", b"\1") == one


PIECES = st.lists(st.sampled_from([1, 49, 50, 58, 97]), max_size=4).map(bytes)  # digits and colons too


@given(st.lists(PIECES, max_size=4), st.lists(PIECES, max_size=4))
@example([b"1:a"], [b"1", b"a"])
@example([b"", b"a"], [b"a", b""])
def test_no_two_lists_of_values_are_joined_to_one(one: list[bytes], two: list[bytes]) -> None:
    assert (joined(one) == joined(two)) is (one == two)


@given(st.binary())
def test_bytes_that_are_no_utf8_survive_in_an_id(raw: bytes) -> None:
    assert keys.id_text(raw).encode("utf-8", "surrogateescape") == raw
    assert keys.id_text(None) == ""


@given(st.text(alphabet="*?[]^\\ab-"))
def test_a_glob_literal_matches_itself_only(text: str) -> None:
    literal = keys.glob_literal(text)
    assert (
        "".join(part for part in literal.replace("\\\\", "\0").replace("\\", "").replace("\0", "\\")) == text
    )
    unescaped = literal.replace("\\\\", "").replace("\\*", "").replace("\\?", "").replace("\\[", "")
    assert not set("*?[") & set(unescaped)


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["user", "a:b", "\u00e4", "x" * 128, "-", "a?[b]"])
def test_good_prefixes(prefix: str) -> None:
    assert keys.bad_prefix(prefix) == ""
    assert keys.bad_namespace(prefix + "/") == ("" if len(prefix) < 128 else keys.bad_namespace("x" * 129))


@pytest.mark.parametrize(
    ("prefix", "reason"),
    [
        ("", "at least one character"),
        (5, "at least one character"),
        (None, "at least one character"),
        ("a/b", "has '/'"),
        ("a{b", "has '{'"),
        ("a}b", "has '}'"),
        ("a*b", "has '*'"),
        ("a b", "has ' '"),
        ("a\nb", r"has '\\n'"),
        ("a\u00a0b", "has "),
        ("x" * 129, "it has 129 bytes of UTF-8, at most 128"),
        ("\u00e4" * 65, "it has 130 bytes of UTF-8, at most 128"),
        ("\ud800", "lone surrogate"),
    ],
)
def test_bad_prefixes_and_namespaces(prefix: object, reason: str) -> None:
    assert re.search(reason, keys.bad_prefix(prefix))
    if isinstance(prefix, str) and prefix and "/" not in prefix:
        assert re.search(reason, keys.bad_namespace(prefix))


def test_a_namespace_may_be_empty_and_hold_slashes() -> None:
    assert keys.bad_namespace("") == keys.bad_namespace("app/one:") == ""
    assert keys.bad_namespace(5) == "a namespace is a string"


def test_fields() -> None:
    assert keys.bad_field("f" * 512, indexed=False) == keys.bad_field("f" * 64, indexed=True) == ""
    assert keys.bad_field("a/b c*\n", indexed=False) == ""
    assert "holds no /" in keys.bad_field("a/b", indexed=True)
    assert "marks empty records" in keys.bad_field("_", indexed=False)
    assert "at most 64" in keys.bad_field("f" * 65, indexed=True)
    assert "at most 512" in keys.bad_field("f" * 513, indexed=False)
    for wrong in ("", None, b"f"):
        assert "at least one character" in keys.bad_field(wrong, indexed=False)


def test_ids() -> None:
    for id in ("1", "x" * 512, "a/b:{c}*\n\0", "\u00e4" * 256):
        assert keys.bad_id(id) == ""
    assert keys.bad_id("") == "an empty id names no record"
    assert "513 bytes" in keys.bad_id("x" * 513)
    assert "514 bytes" in keys.bad_id("\u00e4" * 257)
    assert "lone surrogate" in keys.bad_id("\udc80")
