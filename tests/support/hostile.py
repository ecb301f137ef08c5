"""Strings that somebody may send to break what reads them."""

from __future__ import annotations

import random
from collections.abc import Iterator

PIECES = [
    *(":", "/", "{", "}", "%", "*", "_", "__", "?", "[", "]", "^", "\\", "'", '"', "->", "#", "..", "--"),
    *("\x00", "\n", "\r", "\r\n", "\t", " ", "\x7f", "\x1f", "\u2028", "\ufeff", "\u202e"),
    *("None", "null", "0", "-1", "1e400", "nan", "a", "b", "A", "user", "meta", "ids", "u", "x", "r", "n"),
    *(
        "ä",
        "e\u0301",
        "\u00e9",
        "ß",
        "İ",
        "\U0001f600",
        "\U0001f468\u200d\U0001f469",
        "日本",
        "\ud800",
        "\udfff",
    ),
    *("x" * 60, "y" * 511, "é" * 256, "z" * 10_000),
]


def hostile(seed: int, count: int) -> Iterator[str]:
    """Strings of one to five pieces; some are too long, some no UTF-8."""
    dice = random.Random(seed)
    for _ in range(count):
        yield "".join(dice.choices(PIECES, k=dice.randint(1, 5)))


def is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
