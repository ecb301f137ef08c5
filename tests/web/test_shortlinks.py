"""The short-link example, as it is started, over HTTP."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from aioredisca import Integer, Model

from ..support.patience import limit
from ..support.proxy import Proxy
from ..support.servers import free_port
from .support import ROOT, Served

pytestmark = [pytest.mark.asyncio_only, pytest.mark.slow]

PASSWORD = "correct horse battery"
LONG = "https://example.com/a/long/address"


class Site(Served):
    """Both faces, served by one command."""

    def __init__(self, url: str, admin_password: str = PASSWORD) -> None:
        self.admin_port, self.written = free_port(), ""
        ports = ("--port", "{port}", "--admin-port", str(self.admin_port))
        given = {"SHORTLINKS_ADMIN_PASSWORD": admin_password}
        super().__init__("-m", "examples.shortlinks", url, *ports, **given)

    def __enter__(self) -> Site:
        super().__enter__()
        return self

    def stop(self) -> str:
        """End it; what it wrote. The first time counts."""
        self.written = self.written or super().stop()
        return self.written

    @property
    def admin_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """One for the tests of this file, which each bring people of their own."""
    with Site("memory://") as started:
        yield started


@pytest.fixture
def stored(server: Any) -> Iterator[Site]:
    """One on a real server."""
    with Site(server.url) as started:
        yield started


@asynccontextmanager
async def browser(site: Site, name: str = "", path: str = "/sign-up") -> AsyncIterator[httpx.AsyncClient]:
    """A client that keeps cookies, signed up if it has a *name*."""
    async with httpx.AsyncClient(base_url=site.url, timeout=limit(5)) as client:
        if name:
            answer = await client.post(path, data={"name": name, "password": PASSWORD})
            assert (answer.status_code, answer.headers["location"]) == (303, "/"), answer.text
        yield client


async def shorten(
    client: httpx.AsyncClient, slug: str, target: str = LONG, tags: str = "", hours: str = ""
) -> httpx.Response:
    given = {"slug": slug, "target": target, "tags": tags, "hours": hours}
    return await client.post("/links", data=given)


async def link_id(client: httpx.AsyncClient, slug: str) -> str:
    """The id of an own link, from the page."""
    page = (await client.get("/")).text
    found = re.search(rf'href="/links/(\w+)" aria-label="Edit {slug}"', page)
    assert found, page
    return found[1]


def errors(page: str) -> dict[str, str]:
    """What stands at the fields of a form that was refused."""
    return dict(re.findall(r'<p class="note error" id="([\w-]+)-note" role="alert">(.*?)</p>', page))


# -- forms -----------------------------------------------------------------------------------------


async def test_a_refused_link_is_shown_at_its_fields(site: Site) -> None:
    async with browser(site, "forms") as client:
        assert (await shorten(client, "taken", tags="#Web, python")).status_code == 303
        page = (await client.get("/")).text
        assert LONG in page
        assert "#web</a>" in page

        again = await shorten(client, "Taken", "https://else.example")
        assert (again.status_code, errors(again.text)) == (409, {"slug": "Short name is taken already."})
        assert 'value="https://else.example"' in again.text

        wrong = await shorten(client, "a b", "javascript:alert(1)", "x" * 21)
        assert (wrong.status_code, {*errors(wrong.text)}) == (422, {"slug", "target", "tags"})
        own = await shorten(client, "search")
        assert errors(own.text) == {"slug": "Short name is the name of a page here."}
        assert (await client.get("/search?q=tak")).text.count('class="row"') == 1


async def test_no_link_hides_behind_a_page(site: Site) -> None:
    source = (ROOT / "examples/shortlinks/app.py").read_text()
    words = {*re.findall(r'"/([a-z][a-z-]*)', source)}
    assert {"health", "links", "sign-up", "static"} <= words
    async with browser(site, "hider") as client:
        for word in words:
            assert errors((await shorten(client, word)).text) == {
                "slug": "Short name is the name of a page here."
            }


async def test_a_name_is_taken_once_and_passwords_are_not_repeated(site: Site) -> None:
    async with browser(site, "twice"), browser(site) as other:
        answer = await other.post("/sign-up", data={"name": "Twice", "password": PASSWORD})
        assert (answer.status_code, errors(answer.text)) == (409, {"name": "Name is taken already."})
        assert PASSWORD not in answer.text
        short = await other.post("/sign-up", data={"name": "other", "password": "short"})
        assert (short.status_code, [*errors(short.text)]) == (422, ["password"])
        assert not other.cookies
        assert (await other.post("/links", data={})).headers["location"] == "/sign-in"


async def test_markup_in_what_was_typed_stays_text(site: Site) -> None:
    async with browser(site, "markup") as client:
        page = await shorten(client, '"><script>', "https://a.example/<script>", "<b>")
        assert "<script>" not in page.text
        assert (await shorten(client, "markup", "https://a.example/<script>", "<b>")).status_code == 303
        for path in ("/", "/search", "/search?q=<script>"):
            shown = (await client.get(path)).text
            assert shown.count("<script") == 1  # our own
            assert "<b>#" not in shown


async def test_search_by_the_beginning_of_a_name_and_by_tags(site: Site) -> None:
    async with browser(site, "finder") as client:
        for slug, tags in (("find-one", "odd"), ("find-two", "even"), ("other-two", "even")):
            await shorten(client, slug, tags=tags)
        for asked, wanted in (
            ("find", {"find-one", "find-two"}),
            ("#even", {"find-two", "other-two"}),
            ("find #even", {"find-two"}),
            ("nothing", set[str]()),
        ):
            page = (await client.get("/search", params={"q": asked})).text
            assert {*re.findall(r'class="slug" href="/([\w-]+)"', page)} == wanted


# -- who may do what -------------------------------------------------------------------------------


async def test_signing_in_and_out(site: Site) -> None:
    async with browser(site, "inout") as client:
        token = client.cookies["login"]
        await client.post("/sign-out")
        assert not client.cookies
        kept = await client.get("/", headers={"cookie": f"login={token}"})
        assert "Sign in" in kept.text  # the token is worth nothing any more

        for name in ("inout", "nobody"):
            wrong = await client.post("/sign-in", data={"name": name, "password": "wrong password"})
            assert (wrong.status_code, errors(wrong.text)) == (
                422,
                {"password": "Password does not go with this name."},
            )
        right = await client.post("/sign-in", data={"name": "InOut", "password": PASSWORD})
        assert right.status_code == 303
        attributes = right.headers["set-cookie"].lower()
        assert "httponly" in attributes
        assert "samesite=lax" in attributes
        assert client.cookies["login"] != token


async def test_nobody_else_can_edit_or_delete_a_link(site: Site) -> None:
    async with browser(site, "mine") as owner, browser(site, "yours") as other, browser(site) as nobody:
        await shorten(owner, "mine-only")
        path = f"/links/{await link_id(owner, 'mine-only')}"
        change = {"slug": "stolen", "target": "https://evil.example", "tags": ""}
        for client, wanted in ((other, 403), (nobody, 303)):
            assert (await client.get(path)).status_code == wanted
            assert (await client.post(path, data=change)).status_code == wanted
            assert (await client.post(f"{path}/delete")).status_code == wanted
        assert (await nobody.get("/mine-only")).headers["location"] == LONG
        assert (await nobody.get("/stolen")).status_code == 404

        assert (await owner.post(path, data={**change, "slug": "moved"})).status_code == 303
        assert (await nobody.get("/moved")).headers["location"] == "https://evil.example"
        assert (await nobody.get("/mine-only")).status_code == 404
        assert (await owner.post(f"{path}/delete")).status_code == 303
        assert (await nobody.get("/moved")).status_code == 404


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),  # another port of this machine
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://behind.a.proxy"}, 303),
        ({}, 303),
    ],
)
async def test_forms_of_other_sites_are_refused(site: Site, headers: dict[str, str], wanted: int) -> None:
    async with browser(site) as client:
        for path in ("/sign-out", "/links", "/links/x/delete"):
            answer = await client.post(path, headers=headers)
            assert answer.status_code == (404 if wanted == 303 and "x" in path else wanted), path
        for path in ("/sign-in", "/sign-up"):
            answer = await client.post(path, headers=headers, data={"name": "", "password": ""})
            assert answer.status_code == (422 if wanted == 303 else wanted), path


# -- clicks ----------------------------------------------------------------------------------------


async def test_200_clicks_at_once_are_200(stored: Site) -> None:
    async with browser(stored, "clicker") as client:
        await shorten(client, "hot")
        answers = await asyncio.gather(*(client.get("/hot") for _ in range(200)))
        assert {(answer.status_code, answer.headers["location"]) for answer in answers} == {(302, LONG)}
        assert ">200</b> clicks" in (await client.get("/search?q=hot")).text
        assert re.search(r">hot</a><b>200</b>", (await client.get("/")).text)  # first of the leaders


async def test_the_known_bad_way_loses_clicks(server: Any, db: Any) -> None:
    class Hot(Model):
        clicks = Integer(new=0)

    async def click() -> None:
        hot = await Hot.get("1")
        hot.clicks = (hot.clicks or 0) + 1
        await hot.save()

    await Hot.new("1").save()
    await asyncio.gather(*(click() for _ in range(200)))
    assert ((await Hot.get("1")).clicks or 0) < 200


async def events(answer: httpx.Response) -> AsyncIterator[Any]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


async def until(arriving: AsyncIterator[Any], clicks: dict[str, int]) -> Any:
    """The first event with these counters."""
    while (change := await anext(arriving))["clicks"] != clicks:
        pass
    return change


async def test_a_click_arrives_at_everybody_who_watches(site: Site) -> None:
    async with browser(site, "watcher") as client, browser(site) as other:
        await shorten(client, "watched")
        id = await link_id(client, "watched")
        async with asyncio.timeout(limit(5)), other.stream("GET", f"/live?id={id}&id={24 * '0'}") as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            arriving = events(answer)
            await until(arriving, {id: 0})
            for _ in range(3):
                await client.get("/watched")
            change = await until(arriving, {id: 3})
            assert {"slug": "watched", "clicks": 3} in change["leaders"]


@pytest.mark.parametrize("query", ["id=", "id=nobody", "id=" + "0" * 25, "&".join(["id=" + "0" * 24] * 21)])
async def test_what_cannot_be_watched_is_refused(site: Site, query: str) -> None:
    """One id that the library refuses would stop the counters of everybody."""
    async with browser(site) as client:
        assert (await client.get(f"/live?{query}")).status_code == 422


# -- the admin page --------------------------------------------------------------------------------


@asynccontextmanager
async def admin_of(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """Signed in at the service; the cookie counts for the admin page, too."""
    async with browser(site) as client:
        given = {"name": "admin", "password": PASSWORD}
        assert (await client.post("/sign-in", data=given)).status_code == 303
        client.base_url = httpx.URL(site.admin_url)
        yield client


async def test_the_admin_page_shows_and_removes_the_same_records(site: Site) -> None:
    async with browser(site, "victim") as client, admin_of(site) as admin:
        for slug in ("shared-one", "shared-two"):
            await shorten(client, slug)
        await client.get("/shared-one")
        page = (await admin.get("/")).text
        assert re.search(
            r"shared-one\s*<td[^>]*>https://example.com/a/long/address\s*<td>victim\s*<td.*>1\s", page
        )

        link, person = (
            re.search(rf'action="(/\w+/\w+/remove)"><button[^>]*aria-label="Remove {name}"', page)
            for name in ("shared-two", "victim")
        )
        assert link
        assert person
        for stranger in (client.cookies, httpx.Cookies()):
            answer = await asyncio.to_thread(httpx.post, f"{site.admin_url}{person[1]}", cookies=stranger)
            assert answer.status_code == 403
        assert (await admin.post(link[1], headers={"sec-fetch-site": "same-site"})).status_code == 403

        assert (await admin.post(link[1])).status_code == 302
        assert [(await client.get(path)).status_code for path in ("/shared-two", "/shared-one")] == [404, 302]
        assert (await admin.post(person[1])).status_code == 302  # links and sign-ins go along
        assert (await client.get("/shared-one")).status_code == 404
        assert "Sign up" in (await client.get("/")).text
        assert (await admin.post(person[1])).status_code == 404


async def test_no_secret_stands_on_a_page_or_in_the_log(stored: Site, raw: Any) -> None:
    async with browser(stored, "secretive") as client, admin_of(stored) as admin:
        await shorten(client, "secret")
        path = f"/links/{await link_id(client, 'secret')}"
        asked = ("/", "/search", "/sign-in", "/sign-up", "/secret", "/nothing", "/health", path)
        seen = [(await client.get(one)).text for one in asked]
        seen += [(await client.post("/sign-up", data={"name": "x", "password": PASSWORD})).text]
        seen += [(await client.post("/sign-in", data={"name": "x" * 600, "password": PASSWORD})).text]
        seen += [(await admin.get("/")).text, stored.stop()]
        tokens = [client.cookies["login"], admin.cookies["login"]]
    hashes = [raw.hget(key, "password").decode() for key in raw.keys("aioredisca-shortlinks:user:*")]
    logins = [key.decode().rpartition(":")[2] for key in raw.keys("aioredisca-shortlinks:login:*")]
    assert len(hashes) == len(logins) == 2
    assert all(hash.startswith("$argon2id$") for hash in hashes)
    for secret in (PASSWORD, *tokens, *hashes, *logins, "argon2", "Traceback"):
        assert not any(secret in text for text in seen), secret


# -- the command -----------------------------------------------------------------------------------


async def test_it_stops_at_once_with_somebody_watching(stored: Site) -> None:
    async with browser(stored) as client, client.stream("GET", "/live") as answer:
        arriving = events(answer)
        await anext(arriving)
        began = time.monotonic()
        printed = await asyncio.to_thread(stored.stop)
        assert time.monotonic() - began < limit(1)
        assert [change async for change in arriving] == []
    assert "Traceback" not in printed
    assert "ERROR" not in printed


async def test_without_its_database_it_says_so_and_goes_on(server: Any) -> None:
    proxy = Proxy(server.port)
    with Site(proxy.url) as site:
        async with browser(site, "patient") as client, client.stream("GET", "/live") as answer:
            arriving = events(answer)
            await anext(arriving)
            proxy.close()
            await asyncio.sleep(1)
            for path, reason in (
                ("/", "cannot be reached"),
                ("/redis", "cannot be reached"),
                ("/health", ""),
            ):
                refused = await client.get(path)
                assert refused.status_code == 503
                assert reason in refused.text
            assert (await client.get("/")).headers["retry-after"] == "1"
            assert (await client.get("/static/icon.svg")).status_code == 200
            failed = await asyncio.to_thread(httpx.get, site.admin_url, cookies=dict(client.cookies))
            assert failed.status_code == 503
        log = site.stop()
    assert "the counters stand still" in log
    assert "Traceback" not in log


async def test_ctrl_c_ends_it_without_a_word() -> None:
    with Site("memory://") as site:
        site.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(site.process.wait, limit(3)) == 0
        assert len(site.stop().splitlines()) == 2  # the two addresses


async def test_a_second_start_finds_what_is_there(server: Any) -> None:
    with Site(server.url, admin_password="") as site:
        async with browser(site, "keeper") as client:
            await shorten(client, "kept")
            cookies = dict(client.cookies)
    made_up = site.stop().split()[-1]
    with Site(server.url) as site:
        answer = await asyncio.to_thread(httpx.get, site.url, cookies=cookies)
        assert "kept" in answer.text
        assert "Sign out" in answer.text
        async with browser(site) as client:
            given = {"name": "admin", "password": made_up}
            assert (await client.post("/sign-in", data=given)).status_code == 303
    assert "password" not in site.stop()


def test_a_bad_url_is_told_in_one_sentence() -> None:
    command = [sys.executable, "-m", "examples.shortlinks", "redis://localhost:1/0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=limit(10))
    assert done.returncode == 1
    assert done.stderr.startswith("Unavailable: cannot connect to localhost:1")
    assert "Traceback" not in done.stderr
