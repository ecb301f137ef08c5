"""What ends by itself in the short-link example: links, sign-ins, and codes for another device."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from aioredisca import Model, String, conf

from ..support.patience import becomes, wait_until
from .test_shortlinks import LONG, Site, admin_of, browser, errors, link_id, shorten

pytestmark = [pytest.mark.asyncio_only, pytest.mark.slow]

DAY = 24 * 3600_000
"""In milliseconds."""

STORE = "aioredisca-shortlinks"


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site("memory://") as started:
        yield started


@pytest.fixture
def stored(server: Any) -> Iterator[Site]:
    """One on a real server."""
    with Site(server.url) as started:
        yield started


def end(raw: Any, key: bytes) -> None:
    """Let a record end now, as the server would."""
    raw.pexpire(key, 1)
    wait_until(lambda: not raw.exists(key))


# -- links -----------------------------------------------------------------------------------------


async def test_a_link_lasts_as_long_as_was_typed_and_its_name_is_free_then(stored: Site, raw: Any) -> None:
    async with browser(stored, "brief") as client, browser(stored, "heir") as other:
        assert (await shorten(client, "sale", hours="24")).status_code == 303
        path = f"/links/{await link_id(client, 'sale')}"
        key = f"{STORE}:link:{path.rpartition('/')[2]}"
        assert 0.9 * DAY < raw.pttl(key) <= DAY
        assert errors((await shorten(other, "sale")).text) == {"slug": "Short name is taken already."}
        assert (await other.get("/sale")).status_code == 302

        page = (await client.get(path)).text
        shown = re.search(r'name="hours" value="([\d.]+)"', page)
        assert shown
        assert 21 < float(shown[1]) <= 24
        change = {"slug": "sale", "target": LONG, "tags": ""}
        assert (await client.post(path, data={**change, "hours": ""})).status_code == 303
        assert raw.pttl(key) == -1
        assert 'name="hours" value=""' in (await client.get(path)).text

        assert (await client.post(path, data={**change, "hours": "0.00001"})).status_code == 303

        async def status() -> int:
            return (await other.get("/sale")).status_code

        await becomes(status, 404)
        assert "sale" not in (await client.get("/")).text
        assert "row" not in (await client.get("/search?q=sale")).text
        assert (await client.post(path, data=change)).status_code == 404
        assert (await shorten(other, "sale", "https://heir.example")).status_code == 303
        assert (await client.get("/sale")).headers["location"] == "https://heir.example"


@pytest.mark.parametrize("hours", ["0", "-1", "soon", "nan", "inf", "1e-9", "1e9", "9" * 400])
async def test_what_is_no_time_is_told_at_its_field(site: Site, hours: str) -> None:
    async with browser(site) as client:
        given = {"name": f"ends{abs(hash(hours))}"[:24], "password": "correct horse battery"}
        await client.post("/sign-up", data=given)
        answer = await shorten(client, "bad-hours", hours=hours)
        wanted = {"hours": "Hours must be a number above 0, up to ten years."}
        assert (answer.status_code, errors(answer.text)) == (422, wanted)
        assert (await client.get("/bad-hours")).status_code == 404


# -- sign-ins --------------------------------------------------------------------------------------


async def test_each_visit_prolongs_a_sign_in_and_without_one_it_ends(stored: Site, raw: Any) -> None:
    async with browser(stored, "visitor") as client:
        (key,) = raw.keys(f"{STORE}:login:*")
        assert raw.pttl(key) > 13 * DAY
        raw.pexpire(key, 60_000)
        assert "Sign out" in (await client.get("/search")).text
        assert raw.pttl(key) > 13 * DAY
        end(raw, key)
        assert "Sign out" not in (await client.get("/")).text
        assert (await client.post("/links", data={})).headers["location"] == "/sign-in"


async def test_so_does_the_admin_page(stored: Site, raw: Any) -> None:
    async with admin_of(stored) as admin:
        (key,) = raw.keys(f"{STORE}:login:*")
        raw.pexpire(key, 60_000)
        assert (await admin.get("/")).status_code == 200
        assert raw.pttl(key) > 13 * DAY
        end(raw, key)
        assert (await admin.get("/")).status_code == 403


# -- codes -----------------------------------------------------------------------------------------


async def code_of(client: httpx.AsyncClient) -> str:
    found = re.search(r'<output id="code">([a-z2-9]{8})</output>', (await client.post("/codes")).text)
    assert found
    return found[1]


async def test_a_code_signs_in_once(stored: Site, raw: Any) -> None:
    async with browser(stored, "twofold") as client:
        code = await code_of(client)
        (key,) = raw.keys(f"{STORE}:code:*")
        assert 0 < raw.pttl(key) <= 600_000

        async def use() -> tuple[int, dict[str, str]]:
            async with browser(stored) as other:
                answer = await other.post("/sign-in/code", data={"code": f" {code.upper()} "})
                if answer.status_code == 303:
                    assert "twofold" in (await other.get("/")).text
                return answer.status_code, errors(answer.text)

        answers = await asyncio.gather(*(use() for _ in range(10)))
        refused = (422, {"code": "Code is not known, or no longer."})
        assert sorted(answers, key=lambda answer: answer[0]) == [(303, {}), *[refused] * 9]
        assert raw.exists(key) == 0


async def test_a_code_that_is_over_signs_nobody_in(stored: Site, raw: Any) -> None:
    async with browser(stored, "late") as client, browser(stored) as other:
        code = await code_of(client)
        (key,) = raw.keys(f"{STORE}:code:*")
        end(raw, key)
        answer = await other.post("/sign-in/code", data={"code": code})
        assert (answer.status_code, [*errors(answer.text)]) == (422, ["code"])
        assert not other.cookies
        assert (await other.post("/codes")).headers["location"] == "/sign-in"


async def test_control_a_code_that_is_looked_at_and_then_deleted_works_twice(server: Any, db: Any) -> None:
    """The known-bad way: not asking who deleted it."""

    @conf(ttl=600)
    class Code(Model):
        text = String(unique=True)

    async def redeem() -> bool:
        code = await (Code.text == "x").first()
        if code is None:
            return False
        await code.delete()
        return True

    await Code.new(text="x").save()
    assert sum(await asyncio.gather(*(redeem() for _ in range(10)))) > 1
