"""Password hashes of others, to be verified and replaced: of bcrypt, Werkzeug (Flask) and Django. Pure.

::

    $2b$12$<53 characters>                             bcrypt; $2a$ and $2y$ too
    scrypt:32768:8:1$<salt>$<hex>                      Werkzeug
    pbkdf2:sha256:600000$<salt>$<hex>                  Werkzeug; sha1 and sha512 too
    pbkdf2_sha256$600000$<salt>$<base64>               Django; pbkdf2_sha1 too
    scrypt$16384$<salt>$8$5$<base64>                   Django
    bcrypt_sha256$$2b$12$<...>   bcrypt$$2b$12$<...>   Django
    !<40 characters>                                   Django, where there is no password

Django's ``argon2$argon2id$...`` is argon2 with a word before it: hashing.py reads it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aioredisca.errors import UsageError

try:
    import bcrypt
except ImportError:  # the extra `password`
    bcrypt: Any = None  # type: ignore[no-redef]

MAX_MEMORY = 1 << 30
"""Bytes that a stored hash may ask for."""

MAX_ROUNDS = 10_000_000
"""Rounds of PBKDF2 that it may ask for: some seconds."""

MAX_COST = 17
"""The cost of bcrypt that it may ask for: some seconds."""

UNUSABLE = "unusable"
"""The scheme of what no password matches."""

_BCRYPT = re.compile(r"(?:(bcrypt|bcrypt_sha256)\$)?(\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53})\Z")
_PBKDF2 = re.compile(
    r"(?:pbkdf2:(sha1|sha256|sha512):([0-9]{1,8})\$([^$]{1,128})\$([0-9a-f]{40,128})"
    r"|pbkdf2_(sha1|sha256)\$([0-9]{1,8})\$([^$]{1,128})\$([A-Za-z0-9+/]{20,128}={0,2}))\Z"
)
_SCRYPT = re.compile(
    r"(?:scrypt:([0-9]{1,8}):([0-9]{1,2}):([0-9]{1,2})\$([^$]{1,128})\$([0-9a-f]{128})"
    r"|scrypt\$([0-9]{1,8})\$([^$]{1,128})\$([0-9]{1,2})\$([0-9]{1,2})\$([A-Za-z0-9+/]{86}==))\Z"
)

_UNUSABLE = re.compile(r"!(?:[A-Za-z0-9]{40})?\Z")


@dataclass(frozen=True, slots=True)
class ForeignHash:
    """A hash that others made, and what tells whether it was made of some bytes."""

    scheme: str
    matches: Callable[[bytes], bool] = field(repr=False)


def read(stored: str) -> ForeignHash | None:
    """The hash that *stored* is; None for other text, and for one that asks too much."""
    if _UNUSABLE.match(stored):
        return ForeignHash(UNUSABLE, lambda secret: False)
    return _read_bcrypt(stored) or _read_pbkdf2(stored) or _read_scrypt(stored)


def scrypt_memory(n: int, r: int, p: int) -> int:
    """Bytes that scrypt takes."""
    return 128 * r * (n + p + 2)


def _read_bcrypt(stored: str) -> ForeignHash | None:
    found = _BCRYPT.match(stored)
    if not found or not 4 <= int(found[3]) <= MAX_COST:
        return None
    digested = found[1] == "bcrypt_sha256"
    return ForeignHash(found[1] if digested else "bcrypt", partial(_bcrypt_matches, found[2], digested))


def _bcrypt_matches(stored: str, digested: bool, secret: bytes) -> bool:
    if bcrypt is None:
        raise UsageError(
            "a stored password is hashed by bcrypt: pip install 'aioredisca[password]' to verify it"
        )
    if digested:
        secret = hashlib.sha256(secret).hexdigest().encode()
    try:
        return bool(bcrypt.checkpw(secret[:72], stored.encode()))  # more it has never looked at
    except ValueError:  # a salt that means nothing
        return False


def _read_pbkdf2(stored: str) -> ForeignHash | None:
    if not (found := _PBKDF2.match(stored)):
        return None
    digest, rounds, salt, expected = found.groups()[:4] if found[1] else found.groups()[4:]
    if not 1 <= int(rounds) <= MAX_ROUNDS:
        return None
    made = partial(hashlib.pbkdf2_hmac, digest, salt=salt.encode(), iterations=int(rounds))
    return ForeignHash(f"pbkdf2_{digest}", partial(_digest_matches, made, expected))


def _read_scrypt(stored: str) -> ForeignHash | None:
    if not (found := _SCRYPT.match(stored)):
        return None
    if found[1]:
        n, r, p, salt, expected = found.groups()[:5]
    else:
        n, salt, r, p, expected = found.groups()[5:]
    memory = scrypt_memory(int(n), int(r), int(p))
    if memory > MAX_MEMORY:
        return None
    made = partial(
        hashlib.scrypt, salt=salt.encode(), n=int(n), r=int(r), p=int(p), maxmem=memory + (1 << 20)
    )
    return ForeignHash("scrypt", partial(_digest_matches, made, expected))


def _digest_matches(made: Callable[[bytes], bytes], expected: str, secret: bytes) -> bool:
    try:
        found = made(secret)
    except ValueError:  # parameters that mean nothing
        return False
    return any(
        hmac.compare_digest(text, expected) for text in (found.hex(), base64.b64encode(found).decode())
    )
