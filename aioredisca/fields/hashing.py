"""Password hashes as text: argon2id where argon2-cffi is installed, else scrypt. Pure, and slow on purpose.

::

    $argon2id$v=19$m=65536,t=3,p=4$<salt>$<hash>    the PHC form
    $scrypt$ln=17,r=8,p=1$<salt>$<hash>             the same for scrypt, base64 without padding
    <32 hex digits>                                 MD5, as redisca stored it: read only
    md5+$...                                        one of the first two, over the hex digits of an MD5
    argon2$argon2id$v=19$...                        the first, as Django stores it; argon2i too
    $2b$12$...  pbkdf2:...  scrypt:...              and others that are read only: foreign_hashes.py

What comes from the database is not trusted: a stored hash may not ask for more memory than MAX_MEMORY.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import unicodedata
from typing import Any

from aioredisca.config import conf
from aioredisca.errors import UsageError
from aioredisca.fields import foreign_hashes
from aioredisca.fields.foreign_hashes import MAX_MEMORY, scrypt_memory

try:
    import argon2
except ImportError:  # the extra `password`
    argon2: Any = None  # type: ignore[no-redef]

hasher: Any = argon2 and argon2.PasswordHasher()
"""argon2id with the parameters that argon2-cffi holds right: 64 MiB. None without it."""

SCRYPT = (17, 8, 1)
"""log2 of N, r and p, as OWASP advises: 128 MiB."""

CHEAP = (4, 8, 1)
"""The same for tests, by ``conf.cheap_passwords``: 16 KiB, which protects nothing."""

_MD5 = re.compile(r"[0-9a-f]{32}\Z")
_ARGON2 = re.compile(
    r"\$(argon2id|argon2i)\$v=19\$m=([0-9]{1,8}),t=([0-9]{1,2}),p=([0-9]{1,2})\$[\w+/]{8,128}\$[\w+/]{16,128}\Z",
    re.ASCII,
)
_SCRYPT = re.compile(
    r"\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9]{1,2})\$([\w+/]{11,128})\$([\w+/]{22,128})\Z", re.ASCII
)
_OVER_MD5 = "md5+"
_DJANGO = "argon2"
"""What Django writes before a hash of argon2, which begins with a $ itself."""


def scheme(stored: str) -> str:
    """What *stored* was made by: argon2id, scrypt, md5, md5+argon2id, md5+scrypt, or what is read of others.

    ValueError if it is no hash.
    """
    if _MD5.match(stored):
        return "md5"
    inner = stored.removeprefix(_OVER_MD5)
    over = stored[: len(stored) - len(inner)]
    if (found := _ARGON2.match(inner if over else _of_argon2(stored))) and int(found[2]) * 1024 <= MAX_MEMORY:
        return f"{over}{found[1]}"
    if (found := _SCRYPT.match(inner)) and _scrypt_memory(*map(int, found.groups()[:3])) <= MAX_MEMORY:
        return f"{over}scrypt"
    if not over and (foreign := foreign_hashes.read(stored)):
        return foreign.scheme
    raise ValueError("is no password hash")


def _of_argon2(stored: str) -> str:
    return stored.removeprefix(_DJANGO)


def make(plain: str) -> str:
    """The hash of *plain*, with a salt of its own. 0.1 to 0.5 s, 64 or 128 MiB."""
    return _make(_bytes(plain))


_QUICK = ("md5", "pbkdf2", foreign_hashes.UNUSABLE)
"""What the schemes begin with that tell a wrong guess from a right one too fast."""


def check(plain: str, stored: str) -> tuple[bool, str | None]:
    """Whether *plain* is what *stored* was made of; and if so, the better hash to store instead, if any."""
    right = _matches(plain, stored)
    replaced = right and _outdated(stored)
    quick = scheme(stored).startswith(_QUICK) and not stored.startswith(_OVER_MD5)
    better = make(plain) if quick or replaced else None  # a wrong guess at a quick hash takes as long as any
    return right, better if replaced else None


def over_md5(stored: str) -> str:
    """A strong hash over a bare MD5, for which nobody need know the plain text."""
    return _OVER_MD5 + _make(stored.encode())


def _bytes(plain: str) -> bytes:
    """One text typed on two keyboards must be one password."""
    return unicodedata.normalize("NFC", plain).encode()


def _make(secret: bytes) -> str:
    if hasher is not None and not conf.cheap_passwords:
        return str(hasher.hash(secret))
    salt = os.urandom(16)
    log_n, r, p = cost = CHEAP if conf.cheap_passwords else SCRYPT
    return f"$scrypt$ln={log_n},r={r},p={p}${_text64(salt)}${_text64(_scrypt(secret, salt, *cost))}"


def _matches(plain: str, stored: str) -> bool:
    if foreign := foreign_hashes.read(stored):
        return foreign.matches(plain.encode())  # without NFC, which they do not know of
    kind = scheme(stored)
    digest = hashlib.md5(plain.encode(), usedforsecurity=False).hexdigest()
    if kind == "md5":
        return hmac.compare_digest(digest, stored)
    secret = digest.encode() if kind.startswith(_OVER_MD5) else _bytes(plain)
    if kind.endswith("scrypt"):
        return _scrypt_matches(secret, stored.removeprefix(_OVER_MD5))
    if stored.startswith(_DJANGO):
        secret = plain.encode()
    return _argon2_matches(secret, _of_argon2(stored.removeprefix(_OVER_MD5)))


def _argon2_matches(secret: bytes, stored: str) -> bool:
    if hasher is None:
        raise UsageError(
            "a stored password is hashed by argon2: pip install 'aioredisca[password]' to verify it"
        )
    try:
        return bool(hasher.verify(stored, secret))
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _scrypt_matches(secret: bytes, stored: str) -> bool:
    log_n, r, p, salt, digest = _SCRYPT.match(stored).groups()  # type: ignore[union-attr]
    try:
        found = _scrypt(secret, _bytes64(salt), int(log_n), int(r), int(p))
        return hmac.compare_digest(found, _bytes64(digest))
    except ValueError:  # parameters or base64 that mean nothing
        return False


def _outdated(stored: str) -> bool:
    if conf.cheap_passwords:
        return False  # what protects is not replaced by what does not
    if hasher is not None:
        return not stored.startswith("$argon2id$") or bool(hasher.check_needs_rehash(stored))
    log_n, r, p = SCRYPT
    return not stored.startswith(("$argon2id$", f"$scrypt$ln={log_n},r={r},p={p}$"))


def _scrypt(secret: bytes, salt: bytes, log_n: int, r: int, p: int) -> bytes:
    memory = _scrypt_memory(log_n, r, p) + (1 << 20)
    return hashlib.scrypt(secret, salt=salt, n=1 << log_n, r=r, p=p, maxmem=memory, dklen=32)


def _scrypt_memory(log_n: int, r: int, p: int) -> int:
    return scrypt_memory(1 << log_n, r, p)


def _text64(raw: bytes) -> str:
    return base64.b64encode(raw).decode().rstrip("=")


def _bytes64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4))
