"""Requests in RESP, for commands that are made so often that most of them is laid out beforehand. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def layout(parts: Sequence[str | None]) -> bytes:
    """A command with gaps, the Nones, to be filled in order: ``layout % (len(one), one, len(two), two)``."""
    strings = [_GAP if part is None else _string(part).replace(b"%", b"%%") for part in parts]
    return b"*%d\r\n" % len(parts) + b"".join(strings)


_GAP = b"$%d\r\n%b\r\n"


def _string(text: str) -> bytes:
    raw = text.encode()
    return b"$%d\r\n%b\r\n" % (len(raw), raw)
