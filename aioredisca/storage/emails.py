"""E-mail addresses in one canonical form: lower case, NFC, the domain in ASCII. Pure.

Two addresses that look alike must not both be unique, so that outside of ASCII a local part holds only what
RFC 8264 lets an identifier hold: letters, digits and marks that have no other form and can be seen. A domain
in another script is stored by its ASCII name (``xn--...``), which the extra ``email`` finds.
"""

from __future__ import annotations

import re
import unicodedata

from aioredisca.storage.codecs import kind, plain, writable

MAX_EMAIL = 254

_ATOM = r"[^\s@.<>()\[\],;:\\\"\x00-\x1f\x7f]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])\Z")

_LETTERS = frozenset({"Ll", "Lu", "Lt", "Lo", "Lm", "Nd", "Mn", "Mc"})
_UNSEEN = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Letters and marks that show as nothing (Default_Ignorable_Code_Point)."""


def read_email(value: object) -> str:
    """The one form of an address. Length first, and the pattern is linear: no slow input exists."""
    value = plain(value)
    if not isinstance(value, str):
        raise ValueError(f"takes a string, not {kind(value)}")
    if len(value) > MAX_EMAIL:
        raise ValueError(f"is longer than {MAX_EMAIL} characters")
    email = email_form(writable(value))
    if not email.isascii():
        email = _seen(email)
    if not _EMAIL.match(email):
        raise ValueError("is no e-mail address")
    if len(email) > MAX_EMAIL:  # which it has become
        raise ValueError(f"is longer than {MAX_EMAIL} characters")
    return email


def email_form(text: str) -> str:
    """An e-mail address, or the beginning of one, in its one form: lower-cased and NFC."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def is_email(text: str) -> bool:
    """Whether ASCII *text* is an e-mail address in its one canonical form already."""
    return len(text) <= MAX_EMAIL and text.islower() and _EMAIL.match(text) is not None


def _seen(email: str) -> str:
    """An address that is not all ASCII, its domain in ASCII. ValueError where it looks like another."""
    local, at, domain = email.rpartition("@")
    for atom in local.split("."):
        _check_atom(atom)
    return local + at + (domain if domain.isascii() else _ascii_domain(domain))


def _check_atom(atom: str) -> None:
    other = [c for c in atom if not c.isascii()]
    strange = (c for c in other if unicodedata.category(c) not in _LETTERS or _UNSEEN.match(c))
    if bad := next(strange, None):
        raise ValueError(
            f"holds the character U+{ord(bad):04X}: outside of ASCII it has letters and digits only"
        )
    if atom and unicodedata.category(atom[0])[0] == "M":
        raise ValueError("holds a combining mark that stands on nothing")
    if unicodedata.normalize("NFKC", atom) != atom:
        raise ValueError("holds a character that is another form of a plain one, as full-width letters are")


def _ascii_domain(domain: str) -> str:
    try:
        import email_validator  # late: hardly a program needs it
    except ImportError:
        raise ValueError(
            "has a domain outside of ASCII: pip install 'aioredisca[email]' to take it"
        ) from None
    try:
        found = email_validator.validate_email(
            f"x@{domain}", check_deliverability=False, test_environment=True
        )
    except email_validator.EmailNotValidError:
        raise ValueError("is no e-mail address: no domain is called so") from None
    return found.ascii_domain.lower()
