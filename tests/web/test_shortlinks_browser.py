"""The short-link example in a real browser: ``nox -s web-browser``. Needs Debian's chromium."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ..support.patience import wait_until
from .test_shortlinks import LONG, PASSWORD, Site

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.memory_only,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium"),
]

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SIZES = {"desktop": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site("memory://") as started:
        yield started


@pytest.fixture
def window(site: Site, tmp_path: Path) -> Iterator[Open]:
    """Opens a window of a person of its own, with the service in it. Errors of scripts fail the test."""
    failures: list[str] = []
    with playwright.sync_playwright() as driver, ExitStack() as opened:

        def open_window(size: str = "desktop", scheme: str = "light") -> Any:
            context = driver.chromium.launch_persistent_context(
                tmp_path / str(len(list(tmp_path.iterdir()))),
                executable_path=CHROMIUM,
                args=FLAGS,
                viewport=SIZES[size],
                color_scheme=scheme,
            )
            opened.callback(context.close)
            page = context.pages[0]
            page.set_default_timeout(15_000)
            page.on("pageerror", lambda error: failures.append(str(error)))
            page.goto(site.url)
            return page

        yield open_window
        assert failures == []


def sign_up(page: Any, name: str) -> None:
    page.get_by_role("navigation").get_by_role("link", name="Sign up").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign up").click()
    playwright.expect(page.get_by_role("heading", name="Your links")).to_be_visible()


def shorten(page: Any, slug: str, tags: str = "") -> None:
    page.get_by_label("Address").fill(LONG)
    page.get_by_label("Short name").fill(slug)
    page.get_by_label("Tags").fill(tags)
    page.get_by_role("button", name="Shorten").click()


def clicks(page: Any, slug: str) -> Any:
    """The counter of an own link."""
    return page.locator(".row", has=page.get_by_role("link", name=slug)).locator("[data-clicks]")


@pytest.mark.parametrize("size", SIZES)
def test_a_link_from_sign_up_to_sign_out(site: Site, window: Open, size: str) -> None:
    """The way of issue 4, in two windows of two people."""
    expect = playwright.expect
    slug, owner, other = f"way-{size}", window(size), window(size)
    sign_up(owner, f"owner-{size}")
    shorten(owner, slug, "#browser")
    expect(clicks(owner, slug)).to_have_text("0")

    sign_up(other, f"other-{size}")
    shorten(other, slug)
    field = other.get_by_label("Short name")
    expect(field).to_be_focused()
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("Short name is taken already.")
    expect(other.get_by_label("Address")).to_have_value(LONG)

    other.goto(site.url)
    row = other.locator("#leaders li", has=other.get_by_role("link", name=slug, exact=True))
    expect(row.locator("b")).to_have_text("0")
    with other.context.expect_page():
        row.get_by_role("link").click()  # opens another tab
    expect(clicks(owner, slug)).to_have_text("1")  # moves by itself, in the window of somebody else
    expect(row.locator("b")).to_have_text("1")

    edit = owner.get_by_role("link", name=f"Edit {slug}").get_attribute("href")
    answer = other.goto(site.url + edit)
    assert answer.status == 403
    expect(other.get_by_role("heading")).to_have_text("This link belongs to somebody else.")

    owner.goto(site.url)
    owner.get_by_role("button", name="Sign out").click()
    expect(owner.get_by_role("navigation").get_by_role("link", name="Sign in")).to_be_visible()
    owner.goto(site.url + edit)
    expect(owner).to_have_url(f"{site.url}/sign-in")


def test_a_link_that_ends_and_a_code_for_the_phone(site: Site, window: Open) -> None:
    page, phone, expect = window(), window("phone"), playwright.expect
    sign_up(page, "two-devices")
    page.get_by_label("Hours").fill("0.5")
    shorten(page, "half-an-hour")
    page.get_by_role("link", name="Edit half-an-hour").click()
    expect(page.get_by_label("Hours")).to_have_value(re.compile(r"0\.[45]\d*"))
    page.get_by_label("Hours").fill("0.00001")
    page.get_by_role("button", name="Save").click()
    wait_until(lambda: page.goto(site.url + "/half-an-hour").status == 404)

    page.goto(site.url)
    page.get_by_role("button", name="Sign in on another device").click()
    code = page.locator("#code").text_content()
    phone.goto(site.url + "/sign-in")
    phone.get_by_label("Code").fill(code)
    phone.get_by_role("button", name="Sign in by code").click()
    expect(phone.get_by_role("heading", name="Your links")).to_be_visible()
    page.goto(site.url + "/sign-in")
    page.get_by_label("Code").fill(code)
    page.get_by_role("button", name="Sign in by code").click()
    field = page.get_by_label("Code")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(field).to_have_accessible_description("Code is not known, or no longer.")


def test_the_keyboard_is_enough(window: Open) -> None:
    """Sign up, shorten, meet a taken name, mend it, search and sign out without a mouse."""
    page, expect = window(), playwright.expect
    press, write = page.keyboard.press, page.keyboard.type

    press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    press("Enter")
    press("Tab")
    expect(page.get_by_role("main").get_by_role("link", name="Sign up")).to_be_focused()
    press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    write("keys")
    press("Tab")
    write(PASSWORD)
    press("Enter")
    expect(page.get_by_role("heading", name="Your links")).to_be_visible()

    press("Tab")  # the first is the way past the bar
    press("Enter")
    press("Tab")
    for text in (LONG, "redis"):
        write(text)
        press("Tab")
    press("Enter")
    expect(page.get_by_label("Short name")).to_be_focused()
    press("Control+a")
    write("keyboard")
    press("Enter")
    expect(clicks(page, "keyboard")).to_have_text("0")

    press("Tab")
    press("Shift+Tab")
    press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    write("keyb")
    press("Enter")
    expect(page.get_by_role("heading", name="Links for “keyb”")).to_be_visible()
    expect(page.locator(".row")).to_have_count(1)
    while page.evaluate("document.activeElement.textContent") != "Sign out":
        press("Tab")
    press("Enter")
    expect(page.get_by_role("main").get_by_role("link", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_no_page_is_wider_than_the_screen(window: Open, size: str, scheme: str) -> None:
    page = window(size, scheme)
    sign_up(page, f"wide-{size}-{scheme}")
    shorten(
        page, f"a-name-as-long-as-it-gets-{size}-{scheme}"[:40].rstrip("-"), "first, second, third, fourth"
    )
    page.get_by_role("button", name="Sign in on another device").click()
    playwright.expect(page.locator("#code")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"]
    for path in ("/", "/search", "/sign-in", "/nothing"):
        page.goto(page.url.split("/", 3)[0] + "//" + page.url.split("/", 3)[2] + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES[size]["width"], path
