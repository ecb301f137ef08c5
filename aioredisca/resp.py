"""Requests in RESP, for commands that are made so often that all but one argument is laid out. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def form(before: Sequence[str], after: Sequence[str]) -> bytes:
    """A command of one argument between those *before* and *after*: ``form % (len(argument), argument)``."""
    count = len(before) + 1 + len(after)
    head = b"*%d\r\n" % count + b"".join(map(_string, before))
    tail = b"".join(map(_string, after))
    return head.replace(b"%", b"%%") + b"$%d\r\n%b\r\n" + tail.replace(b"%", b"%%")


def _string(text: str) -> bytes:
    raw = text.encode()
    return b"$%d\r\n%b\r\n" % (len(raw), raw)
