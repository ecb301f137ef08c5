"""What is stored: people, their links, and who is signed in.

The fields stand in plain classes, for both colours: the asyncio models follow here, the blocking ones in
admin.py. They are the same records, since they have the same prefixes.
"""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any, Never

from aioredisca import (
    Bool,
    DateTime,
    Integer,
    Model,
    Password,
    Reference,
    String,
    Tags,
    conf,
    utcnow,
)

WORD = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
WEB = re.compile(r"https?://[^\s/?#:]\S*\Z", re.IGNORECASE)

PAGES = frozenset({"codes", "health", "links", "live", "search", "sign-in", "sign-out", "sign-up", "static"})
"""First words of our own addresses, which no link can have."""


# -- fields of our own: always required, so that reading one is typed without None -----------------


class Word(String[Never]):
    """A name that can stand in an address: lower-case letters and digits, joined by dashes."""

    def coerce(self, value: Any) -> str:
        return super().coerce(value).strip().lower()

    def check(self, value: str) -> None:
        super().check(value)
        if not WORD.match(value):
            raise ValueError("can hold letters from a to z and digits, joined by dashes")


class Slug(Word):
    """The short name of a link."""

    def check(self, value: str) -> None:
        super().check(value)
        if value in PAGES:
            raise ValueError("is the name of a page here")


class WebAddress(String[Never]):
    """An address that a browser may be sent to; ``javascript:`` and the like are not."""

    def coerce(self, value: Any) -> str:
        return super().coerce(value).strip()

    def check(self, value: str) -> None:
        super().check(value)
        if not WEB.match(value) or not value.isprintable():
            raise ValueError("must begin with http:// or https:// and hold no spaces")


# -- one list of fields per model, for both colours ------------------------------------------------


class UserFields:
    name = Word(required=True, unique=True, minlen=2, maxlen=24)
    password = Password(required=True, minlen=8)
    admin = Bool(new=False, readonly=True)
    joined = DateTime(new=utcnow, readonly=True)


class LinkFields:
    slug = Slug(required=True, unique=True, index="sorted", minlen=2, maxlen=40)
    target = WebAddress(required=True, maxlen=2000)
    owner = Reference("User", required=True, index=True, on_delete="cascade")
    tags = Tags(index=True, maxitems=8, maxlen=20)
    clicks = Integer(new=0, index=True, readonly=True)
    created = DateTime(new=utcnow, index=True, readonly=True)


class LoginFields:
    """The id is a digest of the token in the cookie: what is stored here signs nobody in."""

    user = Reference("User", required=True, index=True, on_delete="cascade")


NEWEST_OF_OWNER = ("owner", "created")
"""Answers "the links of this person, newest first" from one index."""

STAY = timedelta(days=14)
"""How long a browser stays signed in after its last visit."""


# -- the models for asyncio ------------------------------------------------------------------------


@conf(prefix="user")
class User(UserFields, Model):
    """Somebody with an account."""


@conf(prefix="link", index=[NEWEST_OF_OWNER], ttl=None)
class Link(LinkFields, Model):
    """A short name for a long address, and how often it was followed. It may end: its name is free then."""


@conf(prefix="login", id=secrets.token_urlsafe, ttl=STAY, sliding="load")
class Login(LoginFields, Model):
    """A browser that somebody has signed in with. Each page that it asks for lets it stay as long again."""


@conf(prefix="code", ttl=timedelta(minutes=10))
class Code(Model):
    """Signs its owner in on another device, once, within ten minutes. No two at a time are the same."""

    text = String(required=True, unique=True)
    user = Reference("User", required=True, index=True, on_delete="cascade")


# -- what is asked of them -------------------------------------------------------------------------

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Those that nobody takes for another."""


async def new_code(user: User) -> str:
    """A code that stands for *user* until it is used, or ends."""
    while True:
        text = "".join(secrets.choice(LETTERS) for _ in range(8))
        _, created = await Code.get_or_create(text=text, defaults={"user": user})
        if created:
            return text


async def redeem(text: str) -> User | None:
    """Whom a code stands for. It is used up: of all who send it at once, one delete() is true."""
    code = await (Code.text == text.strip().lower()).first()
    if code is None:
        return None
    user: User | None = await code.user
    return user if await code.delete() else None


def tags_of(text: str) -> set[str]:
    """The tags that somebody typed: words, with or without # and commas."""
    return {*re.sub(r"[#,]", " ", text).lower().split()}
