"""docs/cli.md: its commands are run, and print what it shows, but for numbers."""

from __future__ import annotations

import asyncio
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, conf
from aioredisca.maintenance import diagnosing

from ..support.patience import limit
from ..support.servers import Server
from ..test_readme import URL, Page, blocks
from .conftest import Call

PAGE = Path(__file__).parents[2] / "docs" / "cli.md"
COLUMNS = 90


def commands(text: str) -> Iterator[tuple[list[str], str]]:
    """What follows each ``$ aioredisca``, and what is shown below it."""
    for block in blocks(text, "console"):
        for part in re.split(r"^\$ aioredisca ", block.code, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            yield shlex.split(line), shown


def shape(text: str) -> list[str]:
    """Without numbers, and what they move."""
    return re.sub(r"\d[\d.,]*( [kM]?B| bytes)?", "N", text).split()


def test_the_page_shows_what_is_printed(
    call: Call, server: Server, db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server.kind != "valkey9":
        pytest.skip("the page is of Valkey")
    monkeypatch.setattr(
        diagnosing, "SLOW", limit(1)
    )  # else doctor says on a busy machine that it is far away
    text = PAGE.read_text("utf-8")
    page = Page("shop")
    monkeypatch.setitem(sys.modules, "shop", page.module)
    url = f"redis://127.0.0.1:{server.port}/0"
    with asyncio.Runner() as runner:
        for block in blocks(text.replace(URL, url)):
            page.run(block, runner)
    (table,) = blocks(text, "toml")
    (tmp_path / "pyproject.toml").write_text(table.code.replace(URL, url))
    found = 0
    for arguments, shown in commands(text):
        told: Any = call(*(one.replace(URL, url) for one in arguments), columns=COLUMNS)
        assert shape((told.out + told.err).replace(url, URL)) == shape(shown), arguments
        found += 1
    conf.db.close()
    assert found == 8


@pytest.mark.memory_only
def test_only_numbers_may_differ() -> None:
    """The known-bad way: a page that shows another word."""
    assert shape("about 1.5 kB, 3 records") == shape("about 64 bytes,  12 records")
    assert shape("name  exact  ready") != shape("name  exact  unbuilt")
    text = "```console\n$ aioredisca show User 'a b'\nx\n$ aioredisca models\ny\nz\n```\n"
    assert [*commands(text)] == [(["show", "User", "a b"], "x\n"), (["models"], "y\nz\n")]
