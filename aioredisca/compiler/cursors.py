"""Cursors of keyset pages: where a page ended, as text that programs hand out and get back.

A cursor holds what its last row is ordered by, and the id. It is bound to the query by a digest and decoded
strictly: of another query, or altered, it is refused. With ``conf.secret`` the digest is an HMAC, so that
only cursors which this application made are taken; without, a forged one can but move the position inside
the same query.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

VERSION = b"1"
DIGEST = 12
"""Bytes of digest in a cursor."""


class BadCursor(ValueError):
    """The text is no cursor of this query."""


def encode(query: str, secret: bytes, ranks: Sequence[bytes | None], id: str) -> str:
    """The cursor behind a row of *query* that is ordered by *ranks* and then by *id*."""
    parts = [*ranks, id.encode("utf-8", "surrogateescape")]
    body = b"".join(b"-" if part is None else b"%d:%b" % (len(part), part) for part in parts)
    return base64.urlsafe_b64encode(_digest(query, secret, body) + body).decode().rstrip("=")


def decode(query: str, secret: bytes, cursor: object, ranks: int) -> tuple[list[bytes | None], str]:
    """The ranks (so many) and the id that *cursor* holds. BadCursor where it is none of *query*."""
    if not isinstance(cursor, str) or len(cursor) > 1 << 16:
        raise BadCursor("a cursor is a string")
    try:
        text = str.__str__(cursor) + "=" * (-len(cursor) % 4)
        data = base64.b64decode(text, altchars=b"-_", validate=True)
    except ValueError:
        raise BadCursor("it is no cursor") from None
    digest, body = data[:DIGEST], data[DIGEST:]
    if not hmac.compare_digest(digest, _digest(query, secret, body)):
        raise BadCursor("it is no cursor of this query")
    parts = _parts(body)
    if len(parts) != ranks + 1 or parts[-1] is None:
        raise BadCursor("it is no cursor of this query")
    return parts[:-1], parts[-1].decode("utf-8", "surrogateescape")


def _digest(query: str, secret: bytes, body: bytes) -> bytes:
    name = query.encode("utf-8", "surrogateescape")
    message = b"%b:%d:%b%b" % (VERSION, len(name), name, body)
    return hashlib.blake2b(message, key=hashlib.sha256(secret).digest(), digest_size=DIGEST).digest()


def _parts(body: bytes) -> list[bytes | None]:
    """The parts of a cursor: each its length, ``:`` and its bytes, or ``-`` for none."""
    parts, at = list[bytes | None](), 0
    while at < len(body):
        if body[at : at + 1] == b"-":
            parts.append(None)
            at += 1
            continue
        colon = body.find(b":", at)
        length = body[at:colon] if colon > at else b""
        if not length.isdigit() or len(length) > 7 or colon + 1 + int(length) > len(body):
            raise BadCursor("it is no cursor of this query")
        at = colon + 1 + int(length)
        parts.append(body[colon + 1 : at])
    return parts
