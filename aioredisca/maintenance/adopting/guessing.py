"""What kind of field a hash field might be, by the values that stand in it. Pure.

A kind fits if it reads all of the values. What it would write otherwise is counted: an index knows values by
their bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from aioredisca.storage import codecs, emails
from aioredisca.storage.keys import LONG_VALUE

FEW = 20
"""So many values tell nothing of how many there are."""

_TIMES = re.compile(
    r"(^|_)(at|on|date|day|time|ts|created|updated|modified|changed|seen|born|birthday|birth|expires?|until|since"
    r"|last|joined|start|end|login|timestamp)(_|$)"
)
_SECRETS = re.compile(r"pass|pwd|token|secret|api_?key|hash|pin$|otp", re.IGNORECASE)
_NUMBERED = re.compile(r"(^|_)(id|no|number|code|sku|ref|serial)$", re.IGNORECASE)
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")
_TRUTH = {"true", "false", "yes", "no", "t", "f", "on", "off", "none"}
_SECONDS = (1e8, 4.2e9)
"""1973 to 2103."""


@dataclass
class Guess:
    """A kind of field, as a class body would have it.

    ``kind``     the name of the field's class.
    ``options``  what it is given, name -> source text.
    ``notes``    what speaks for it, and what does not fit.
    ``odd``      how many values it would write otherwise than they stand there.
    ``misfits``  how many values a better kind would not read, which is why it is text.
    ``differ``   how many values there are of it, each counted once, however it is written.
    """

    kind: str
    options: dict[str, str] = field(default_factory=dict[str, str])
    notes: list[str] = field(default_factory=list[str])
    odd: int = 0
    misfits: int = 0
    differ: int = 0

    @property
    def indexed(self) -> bool:
        return not self.options.keys().isdisjoint({"unique", "index"})


def guess(key: str, raws: Sequence[bytes]) -> Guess:
    """What the hash field *key* might be, which holds *raws*."""
    found = _guess(key, raws)
    found.differ = found.differ or len(set(raws))
    if _SECRETS.search(key) and found.kind not in ("MD5Pass", "Password"):
        found.options["secret"] = "True"
    return found


def _guess(key: str, raws: Sequence[bytes]) -> Guess:
    try:
        texts = [raw.decode() for raw in raws]
    except UnicodeDecodeError:
        return Guess("Bytes", notes=["not all of it is text in UTF-8"])
    for kind, fits in _KINDS:
        if (odd := _odd(texts, fits)) is not None:
            found = Guess(kind, odd=odd, differ=len({*map(fits, texts)}) if odd else 0)
            return _ADJUST[kind](key, texts, found) if kind in _ADJUST else found
    return _text(key, texts)


def _odd(texts: Sequence[str], canonical: Callable[[str], str]) -> int | None:
    """How many of *texts* a kind would write otherwise; None where it cannot read them all."""
    odd = 0
    try:
        for text in texts:
            odd += canonical(text) != text
    except ValueError:
        return None
    return odd


def _digits(text: str) -> str:
    return codecs.integer_text(codecs.text_integer(_bare(text)))


def _point(text: str) -> str:
    return codecs.float_text(codecs.text_float(_bare(text)))


def _bare(text: str) -> str:
    """*text*, which a number would not lose the beginning of, as it would that of a postal code."""
    if re.match(r"[+]|-?0\d", text):
        raise ValueError("a number would lose what it begins with")
    return text


def _truth(text: str) -> str:
    if text not in ("0", "1"):
        raise ValueError("is neither 0 nor 1")
    return text


def _json(text: str) -> str:
    if not text.startswith(("[", "{")):
        raise ValueError("is a plain value")
    return codecs.json_text(codecs.text_json(text))


def _tags(text: str) -> str:
    if not text.startswith("["):
        raise ValueError("is no list")
    elements = codecs.text_strings(text)
    if any(not 1 <= len(element.encode()) <= LONG_VALUE for element in elements):
        raise ValueError("has elements that no index holds")
    return codecs.json_text(sorted(elements))


def _hash(text: str) -> str:
    if not text.startswith(("$argon2", "$scrypt$")):
        raise ValueError("is no hash of a password")
    return text


_KINDS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("Bool", _truth),
    ("Integer", _digits),
    ("Float", _point),
    ("Date", lambda text: codecs.text_date(text).isoformat()),
    ("UUID", lambda text: codecs.text_uuid(text).hex),
    ("Email", emails.read_email),
    ("Tags", _tags),
    ("Json", _json),
    ("Password", _hash),
)
"""Kinds and the text that they would write for a stored one, the narrowest first."""


# -- what a kind must be told, or is not after all -------------------------------------------------


def _bool(key: str, texts: Sequence[str], found: Guess) -> Guess:
    if len(set(texts)) == 2 and len(texts) >= FEW:
        return found
    return _integer(key, texts, Guess("Integer", notes=["perhaps a Bool: nothing but 0 and 1"]))


def _integer(key: str, texts: Sequence[str], found: Guess) -> Guess:
    numbers = [*map(int, texts)]
    low, high = min(numbers), max(numbers)
    if _times(numbers):
        if _TIMES.search(key.lower()):
            return Guess("DateTime", notes=["seconds since 1970"])
        found.notes.append("perhaps a DateTime: would be seconds since 1970")
    elif _times([number / 1000 for number in numbers]):
        found.notes.append("would be milliseconds since 1970, where a DateTime has seconds")
    if max(-low, high) > codecs.EXACT_INTEGERS:
        found.options["index"] = '"exact"'
        found.notes.append("too large for a range index")
    if not _SECRETS.search(key):
        found.notes.append(f"{low:,} to {high:,}")
    return found


def _float(key: str, texts: Sequence[str], found: Guess) -> Guess:
    numbers = [*map(float, texts)]
    if _times(numbers) and _TIMES.search(key.lower()):
        odd = _odd(texts, lambda text: codecs.datetime_text(codecs.text_datetime(text)))
        if odd is not None:
            return Guess("DateTime", notes=["seconds since 1970"], odd=odd)
    as_decimals = _odd(texts, lambda text: codecs.decimal_text(codecs.text_decimal(text)))
    places = max(len(text.partition(".")[2]) for text in texts)
    if as_decimals is not None and (as_decimals < found.odd or (_scale(texts) and places <= 4)):
        return Guess("Decimal", {"places": str(places)}, odd=as_decimals)
    if any(number in (float("inf"), float("-inf")) for number in numbers):
        found.options["index"] = "None"
        found.notes.append("holds what is infinite, which no range index does")
    return found


def _scale(texts: Sequence[str]) -> bool:
    """Whether all have as many digits behind the point, as amounts of money do."""
    return len({len(text.partition(".")[2]) for text in texts}) == 1 and len(texts) >= FEW


def _times(numbers: Sequence[float]) -> bool:
    return all(_SECONDS[0] <= number <= _SECONDS[1] for number in numbers)


def _uuid(key: str, texts: Sequence[str], found: Guess) -> Guess:
    if _SECRETS.search(key) and all(len(text) == 32 for text in texts) and "token" not in key:
        return Guess("MD5Pass", notes=["32 hex digits, as the MD5 of a password"])
    return found


_ADJUST: dict[str, Callable[[str, Sequence[str], Guess], Guess]] = {
    "Bool": _bool,
    "Integer": _integer,
    "Float": _float,
    "UUID": _uuid,
}


def _text(key: str, texts: Sequence[str]) -> Guess:
    """Text, and why it is no more than that."""
    longest = max(map(len, texts))
    found = Guess("String", notes=[f"up to {longest:,} characters"])
    if all(_ISO.fullmatch(text) for text in texts):
        found.options["index"] = '"sorted"'
        found.notes.append("moments in ISO 8601, in order as text; a DateTime has seconds since 1970")
    elif {text.lower() for text in texts} <= _TRUTH:
        found.notes.append("truth values in words; a Bool has 1 and 0")
    else:
        found.misfits, kind = _mixed(texts)
        if found.misfits:
            found.notes.append(f"mixed: all but {found.misfits:,} of {len(texts):,} would be {kind}")
    return found


def _mixed(texts: Sequence[str]) -> tuple[int, str]:
    """How many values are in the way of a kind that nine in ten have, and which."""
    for kind, fits in _KINDS[1:]:
        bad = sum(_odd([text], fits) is None for text in texts)
        if bad <= len(texts) / 10 and len(texts) >= FEW:
            return bad, kind
    return 0, ""


# -- indexes ---------------------------------------------------------------------------------------


def suggest_index(key: str, found: Guess, raws: Sequence[bytes]) -> None:
    """What index would help: a unique one where all differ, others where few do or an order is likely."""
    if len(raws) < FEW or "index" in found.options or found.kind in _WITHOUT:
        if found.options.get("index") == "None":
            del found.options["index"]
        return
    unique = found.differ == len(raws) and _names_one(key, found, raws)
    if unique:
        found.options["unique"] = "True"
        found.notes.append(f"all {len(raws):,} differ")
    elif found.kind in _ORDERED:
        found.options["index"] = "True"
    elif found.kind in ("Bool", "Email", "Tags") or found.differ <= max(FEW, len(raws) // 20):
        found.options["index"] = "True"
        found.notes.append(f"{found.differ:,} different")


def _names_one(key: str, found: Guess, raws: Sequence[bytes]) -> bool:
    """Whether values that all differ are likely to stay so."""
    if found.kind == "String":
        return all(len(raw) <= 64 and not re.search(rb"\s", raw) for raw in raws)
    return found.kind in ("Email", "UUID") or (found.kind == "Integer" and bool(_NUMBERED.search(key)))


_ORDERED = ("Integer", "Float", "Decimal", "DateTime", "Date")
_WITHOUT = ("Json", "Password", "MD5Pass", "Bytes")
