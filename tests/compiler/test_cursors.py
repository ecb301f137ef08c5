"""Cursors: what was put in comes out, for the same query and secret only."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from aioredisca.compiler.cursors import DIGEST, BadCursor, decode, encode

RANKS = st.lists(st.none() | st.binary(max_size=20), max_size=3)
IDS = st.binary(max_size=20).map(lambda raw: raw.decode("utf-8", "surrogateescape"))


@pytest.mark.slow
@given(st.text(), st.binary(), RANKS, IDS)
@example("q", b"", [None, b"", b"-", b"1:a"], "")
@example("q", b"", [b"x" * 5000], "\udcff")
@example("\udcff", b"", [], "x")
def test_a_cursor_gives_back_what_it_was_made_of(
    query: str, secret: bytes, ranks: list[bytes | None], id: str
) -> None:
    assume(not any(0xD800 <= ord(c) < 0xDC80 for c in query))
    cursor = encode(query, secret, ranks, id)
    assert decode(query, secret, cursor, len(ranks)) == (ranks, id)
    assert cursor.isascii()
    assert not set(cursor) & set("+/=&? \n")  # it stands in URLs


@given(RANKS, IDS, st.data())
def test_a_cursor_of_another_query_secret_or_order_is_refused(
    ranks: list[bytes | None], id: str, data: Any
) -> None:
    cursor = encode("query", b"secret", ranks, id)
    for query, secret, count in (
        ("query2", b"secret", len(ranks)),
        ("quer", b"secret", len(ranks)),
        ("query", b"Secret", len(ranks)),
        ("query", b"", len(ranks)),
        ("query", b"secret", len(ranks) + 1),
        ("query", b"secret", len(ranks) - 1),
    ):
        with pytest.raises(BadCursor, match="it is no cursor of this query"):
            decode(query, secret, cursor, count)


@given(RANKS, IDS, st.data())
def test_one_bit_changed_anywhere_is_refused(ranks: list[bytes | None], id: str, data: Any) -> None:
    raw = bytearray(base64.urlsafe_b64decode(encode("query", b"", ranks, id) + "=="))
    bit = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadCursor):
        decode("query", b"", base64.urlsafe_b64encode(raw).decode().rstrip("="), len(ranks))


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
@example("")
@example("\u00e9")
@example("A" * (1 << 16))
@example("A" * ((1 << 16) + 1))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BadCursor):
        decode("query", b"", text, 1)


@pytest.mark.parametrize("wrong", [None, 5, b"x", ["x"]])
def test_what_is_no_text_is_refused(wrong: object) -> None:
    with pytest.raises(BadCursor, match="a cursor is a string"):
        decode("query", b"", wrong, 0)


def test_a_body_is_read_strictly_even_by_who_knows_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a secret anybody can make the digest: what stands behind it must be whole all the same."""
    from aioredisca.compiler import cursors

    def forged(body: bytes) -> str:
        digest = cursors._digest("query", b"", body)
        assert len(digest) == DIGEST
        return base64.urlsafe_b64encode(digest + body).decode().rstrip("=")

    assert decode("query", b"", forged(b"1:a-2:id"), 2) == ([b"a", None], "id")
    for body in (
        b"",
        b"-",
        b"1:a",
        b"9:a",
        b":a",
        b"x:a",
        b"+1:a1:b",
        b"1:a1:b1:c1:d",
        b"12345678:a",
        b"1:a1:b-",
        b"1:a-9:i",
    ):
        with pytest.raises(BadCursor):
            decode("query", b"", forged(body), 2)
