"""The short-link example under a mixed load. REDISCA_FULL=1 makes it a minute long and prints the figures."""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from ..support.patience import limit
from .support import connected, read_answer
from .test_shortlinks import LONG, PASSWORD, Site

pytestmark = [pytest.mark.asyncio_only, pytest.mark.slow]

FULL = os.environ.get("REDISCA_FULL") == "1"
SECONDS, PEOPLE = (60.0, 24) if FULL else (4.0, 6)
LINKS = 5
GROWTH = 20_000
"""How many KiB the process may grow after the first quarter."""

MIX = {"click": 70, "home": 12, "search": 10, "change": 4, "create": 2, "stranger": 2}


class Person:
    """Somebody with a browser, who checks every page for what belongs to others."""

    def __init__(self, number: int, port: int, others: list[Person]) -> None:
        self.name, self.port, self.others = f"p{number}", port, others
        self.slugs = [f"{self.name}-{n}" for n in range(LINKS)]
        self.ids: dict[str, str] = {}
        self.clicked, self.done, self.wrong = Counter[str](), Counter[str](), list[str]()

    def sign_up(self) -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=limit(10)) as client:
            client.post("/sign-up", data={"name": self.name, "password": PASSWORD})
            self.cookie = f"login={client.cookies['login']}"
            for slug in self.slugs:
                client.post("/links", data={"slug": slug, "target": f"{LONG}/{slug}", "tags": self.name})
            found = re.findall(r'href="/links/(\w+)" aria-label="Edit ([\w-]+)"', client.get("/").text)
            self.ids = {slug: id for id, slug in found}

    async def live(self, until: float) -> None:
        async with connected(self.port) as (self.reader, self.writer):
            while time.monotonic() < until:
                (what,) = random.choices([*MIX], [*MIX.values()])
                await getattr(self, what)()
                self.done[what] += 1

    async def ask(
        self, path: str, form: dict[str, str] | None = None, cookie: str | None = None
    ) -> tuple[int, str]:
        body = urlencode(form or {})
        kind = f"content-type: application/x-www-form-urlencoded\r\ncontent-length: {len(body)}\r\n"
        head = (
            f"{'POST' if form else 'GET'} {path} HTTP/1.1\r\nhost: x\r\ncookie: {cookie or self.cookie}\r\n"
        )
        self.writer.write(f"{head}{kind if form else ''}\r\n{body}".encode())
        status, content = await read_answer(self.reader)
        return status, content.decode()

    def expect(self, right: bool, what: str) -> None:
        if not right:
            self.wrong.append(what)

    # -- what people do ----------------------------------------------------------------------------

    async def click(self) -> None:
        slug = random.choice(random.choice(self.others).slugs)
        status, _ = await self.ask(f"/{slug}")
        self.clicked[slug] += 1
        self.expect(status == 302, f"click {status}")

    async def home(self) -> None:
        status, page = await self.ask("/")
        edited = re.findall(r'aria-label="Edit ([\w-]+)"', page)
        own = edited and all(slug.startswith(f"{self.name}-") for slug in edited)
        self.expect(status == 200 and bool(own) and f">{self.name}</span>" in page, f"home {status} {edited}")

    async def search(self) -> None:
        other = random.choice(self.others)
        status, page = await self.ask(f"/search?q=%23{other.name}")
        found = re.findall(r'class="slug" href="/([\w-]+)"', page)
        right = all(slug.startswith(f"{other.name}-") for slug in found) and len(found) >= LINKS
        self.expect(status == 200 and right, f"search {status} {found}")

    async def change(self) -> None:
        slug = random.choice(self.slugs)
        form = {"slug": slug, "target": f"{LONG}/{slug}", "tags": f"{self.name} t{random.randrange(9)}"}
        status, _ = await self.ask(f"/links/{self.ids[slug]}", form)
        self.expect(status == 303, f"change {status}")

    async def create(self) -> None:
        """A name that is taken: the answer is the form, whoever holds it."""
        form = {"slug": random.choice(random.choice(self.others).slugs), "target": LONG, "tags": self.name}
        status, _ = await self.ask("/links", form)
        self.expect(status == 409, f"create {status}")

    async def stranger(self) -> None:
        other = random.choice([one for one in self.others if one is not self])
        status, page = await self.ask(f"/links/{random.choice([*other.ids.values()])}")
        self.expect(status == 403 and other.name not in page, f"stranger {status}")


def resident(pid: int) -> int:
    """The memory of a process, in KiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
async def test_a_mixed_load_meets_no_error_and_nothing_of_others(server: Any, raw: Any) -> None:
    people: list[Person] = []
    with Site(server.url) as site:
        people += [Person(number, site.port, people) for number in range(PEOPLE)]
        await asyncio.gather(*(asyncio.to_thread(person.sign_up) for person in people))
        began = time.monotonic()
        memory = [resident(site.process.pid)]
        running = [asyncio.create_task(person.live(began + SECONDS)) for person in people]
        for _ in range(4):
            await asyncio.sleep(SECONDS / 4)
            memory.append(resident(site.process.pid))
        await asyncio.gather(*running)
        took = time.monotonic() - began
        log = site.stop()
    done = sum((person.done for person in people), Counter[str]())
    wrong = [what for person in people for what in person.wrong]
    clicked = sum((person.clicked for person in people), Counter[str]())
    stored = {slug: count_of(raw, person.ids[slug]) for person in people for slug in person.slugs}
    report(
        f"{done.total():,} requests in {took:.1f} s: {done.total() / took:,.0f} a second; {dict(done)}; "
        f"wrong: {len(wrong)}; memory in KiB, at the start and by quarters: {memory}"
    )
    assert wrong == []
    assert stored == {slug: clicked[slug] for slug in stored}  # exact, link by link
    assert memory[-1] - memory[1] < GROWTH
    assert "Traceback" not in log


def report(figures: str) -> None:
    """Shown by pytest -s."""
    print(figures)  # noqa: T201


def count_of(raw: Any, id: str) -> int:
    return int(raw.hget(f"aioredisca-shortlinks:link:{id}", "clicks"))
