"""Who asks: sign-in by a cookie, and the check that a form was sent from a page of ours."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, HTTPException, Request, Response

from .models import Link, Login, User

COOKIE = "login"
KEEP = 400 * 86400
"""Seconds that browsers keep the cookie, the most they do. The Login ends earlier, and decides."""


def digest(token: str) -> str:
    """The id of the Login that a token stands for. Tokens are random, so a quick hash will do."""
    return hashlib.sha256(token.encode()).hexdigest()


def sign_in(request: Request, response: Response, user: User) -> None:
    """Give the browser a token for *user*. The Login is saved with the request."""
    token = secrets.token_urlsafe()
    Login.new(digest(token), user=user)
    response.set_cookie(
        COOKIE,
        token,
        max_age=KEEP,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


async def sign_out(request: Request, response: Response) -> None:
    """Take the token back, so that nobody who has kept it gets in."""
    await Login(digest(request.cookies.get(COOKIE, ""))).delete()
    response.delete_cookie(COOKIE, httponly=True, samesite="lax")


async def visitor(request: Request) -> User | None:
    """Who is signed in, if anybody is; pages find it in ``request.state`` too."""
    token = request.cookies.get(COOKIE)
    login = await Login(digest(token)) if token else None
    user: User | None = await login.user if login else None
    request.state.visitor = user or None  # false, if it has been deleted just now
    return user or None


Visitor = Annotated[User | None, Depends(visitor)]


async def signed_in(user: Visitor) -> User:
    """Who is signed in; everybody else is sent to do so."""
    if user is None:
        raise HTTPException(303, headers={"Location": "/sign-in"})
    return user


SignedIn = Annotated[User, Depends(signed_in)]


async def own_link(link: Annotated[Link, Link.depends("id")], user: SignedIn) -> Link:
    """The link of the path, if it belongs to who asks."""
    if link.owner != user:
        raise HTTPException(403, "This link belongs to somebody else.")
    return link


OwnLink = Annotated[Link, Depends(own_link)]


def forged(method: str, header: Callable[[str], str | None]) -> bool:
    """Whether a page of another site made the browser send this form, with our cookie.

    Browsers say in ``Sec-Fetch-Site`` where a request comes from, older ones in ``Origin``. What sends
    neither is no browser, and has no cookie to be abused. This saves a hidden token in every form.
    """
    if method in ("GET", "HEAD", "OPTIONS"):
        return False
    if (site := header("sec-fetch-site")) is not None:
        return site not in ("same-origin", "none")
    origin = header("origin")
    return origin is not None and urlsplit(origin).netloc != header("host")


async def refuse_forged(request: Request) -> None:
    """A dependency of the whole app."""
    if forged(request.method, request.headers.get):
        raise HTTPException(403, "This form was sent from another site.")
