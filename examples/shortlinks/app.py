"""The service itself. Endpoints change records; they are saved before the answer leaves, or refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydantic import StringConstraints

from aioredisca.fastapi import install

from .live import Feed, leaders_of_all
from .models import Link, User, new_code, redeem, tags_of
from .pages import HERE, Refused, Text, add_pages, fill, form_of, go_to, hours_left, lifetime, page
from .visitors import OwnLink, SignedIn, Visitor, refuse_forged, sign_in, sign_out, visitor

SHOWN = 20
"""Links on one page."""

Id = Annotated[str, StringConstraints(pattern="^[0-9a-f]{24}$")]
Ids = Annotated[list[Id], Query(default_factory=list, max_length=SHOWN)]
Words = Annotated[str, Query(max_length=80)]

router = APIRouter()
pages = APIRouter(dependencies=[Depends(visitor)])  # which all show who is signed in


# -- looking ---------------------------------------------------------------------------------------


@pages.get("/")
async def home(request: Request, user: Visitor, after: str | None = None) -> Response:
    leaders = await leaders_of_all()
    mine = None
    if user is not None:
        newest = (Link.owner == user).order_by(Link.created.desc())
        mine = await newest.page(size=SHOWN, after=after)
    return page(request, "home.html", leaders=leaders, mine=mine)


@pages.get("/search")
async def search(request: Request, q: Words = "", after: str | None = None) -> Response:
    """Short names that begin with a word; with ``#`` links that have a tag."""
    found = Link.all()
    for word in q.split():
        found = found.where(Link.tags.has(word[1:]) if word[0] == "#" else Link.slug.startswith(word))
    most_clicked = found.order_by(Link.clicks.desc()).prefetch(Link.owner)
    return page(request, "search.html", q=q, found=await most_clicked.page(size=SHOWN, after=after))


@router.get("/live")
async def live(request: Request, id: Ids) -> Response:
    """The counters of the links of a page, as server-sent events."""
    changes = request.app.state.feed.follow(id)
    events = (f"data: {json.dumps(change)}\n\n" if change else ":\n\n" async for change in changes)
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


# -- signing up, in and out ------------------------------------------------------------------------


@pages.get("/sign-up")
async def ask_to_sign_up(request: Request) -> Response:
    return page(request, "sign-up.html")


@pages.post("/sign-up", dependencies=[form_of("sign-up.html")])
async def sign_up(request: Request, name: Text = "", password: Text = "") -> Response:
    user = User.new()
    fill(user, name=name, password=await User.password.hash(password))
    sign_in(request, response := go_to("/"), user)
    return response  # the person and the sign-in are saved now, or neither is


@pages.get("/sign-in")
async def ask_to_sign_in(request: Request) -> Response:
    return page(request, "sign-in.html")


@pages.post("/sign-in", dependencies=[form_of("sign-in.html")])
async def check_sign_in(request: Request, name: Text = "", password: Text = "") -> Response:
    user = await (User.name == name).first()
    if not await User.password.verify(user, password):  # takes as long for names that do not exist
        raise Refused({"password": "does not go with this name"})
    assert user is not None
    sign_in(request, response := go_to("/"), user)
    return response


@pages.post("/codes")
async def make_code(request: Request, user: SignedIn) -> Response:
    return page(request, "code.html", code=await new_code(user))


@pages.post("/sign-in/code", dependencies=[form_of("sign-in.html")])
async def check_code(request: Request, code: Text = "") -> Response:
    user = await redeem(code)
    if user is None:
        raise Refused({"code": "is not known, or no longer"})
    sign_in(request, response := go_to("/"), user)
    return response


@router.post("/sign-out")
async def leave(request: Request) -> Response:
    await sign_out(request, response := go_to("/"))
    return response


# -- links -----------------------------------------------------------------------------------------


@pages.post("/links", dependencies=[form_of("link.html")])
async def create(
    user: SignedIn, slug: Text = "", target: Text = "", tags: Text = "", hours: Text = ""
) -> Response:
    link = Link.new(owner=user)
    fill(link, slug=slug, target=target, tags=tags_of(tags))
    await link.save(ttl=lifetime(hours))
    return go_to("/")


@pages.get("/links/{id}")
async def show(request: Request, link: OwnLink) -> Response:
    tags, hours = ", ".join(sorted(link.tags or ())), hours_left(await link.ttl())
    values = {"slug": link.slug, "target": link.target, "tags": tags, "hours": hours}
    return page(request, "link.html", link=link, values=values)


@pages.post("/links/{id}", dependencies=[form_of("link.html")])
async def change(
    link: OwnLink, slug: Text = "", target: Text = "", tags: Text = "", hours: Text = ""
) -> Response:
    fill(link, slug=slug, target=target, tags=tags_of(tags))
    await link.save(ttl=lifetime(hours))
    return go_to("/")


@pages.post("/links/{id}/delete")
async def delete(link: OwnLink) -> Response:
    await link.delete()
    return go_to("/")


@router.get("/{slug}")
async def follow(slug: str) -> Response:
    """Count the click and go on. The counter is exact, however many people click at once."""
    link = await (Link.slug == slug).one()
    await link.incr(Link.clicks)
    return RedirectResponse(link.target, 302, headers={"Cache-Control": "no-store"})


# -- all of it -------------------------------------------------------------------------------------


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    reading = asyncio.create_task(app.state.feed.run())
    yield
    reading.cancel()


def create_app() -> FastAPI:
    """The service on the database of ``conf.db``."""
    app = FastAPI(lifespan=lifespan, openapi_url=None, dependencies=[Depends(refuse_forged)])
    app.state.feed = Feed()
    install(app, health="/health")  # a session per request, saved before the answer leaves
    add_pages(app)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.include_router(pages)
    app.include_router(router)
    return app
