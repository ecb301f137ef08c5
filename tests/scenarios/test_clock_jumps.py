"""The clock of the server set forward and back: what docs/expiry.md says of it. Needs Debian's libfaketime.

``LIBFAKETIME`` may name the library, libfaketimeMT.so.1.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, UniqueViolation, conf, sweep

from ..support.patience import wait_until
from ..support.servers import KINDS, Server

LIBRARY = os.environ.get("LIBFAKETIME") or next(
    (str(path) for path in Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None
)
pytestmark = pytest.mark.skipif(LIBRARY is None, reason="there is no libfaketime")


@conf(prefix="login", ttl=600)
class Login(Model):
    user = String(index=True)
    token = String(unique=True)
    row = Integer(index=True)


class Clock:
    """That of the server; others go on as they do."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.jump(0)

    def jump(self, seconds: int) -> None:
        """To so many seconds from the real time."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+d}\n")
        new.replace(self.file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def raw(clock: Clock, backend: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of a server with that clock, which all models of the test live on."""
    if backend == "memory":
        pytest.skip("it has the clock of the process")
    for name, value in {
        "LD_PRELOAD": LIBRARY or "",
        "FAKETIME_TIMESTAMP_FILE": str(clock.file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }.items():
        monkeypatch.setenv(name, value)
    binary = next(kind.find() for kind in KINDS if kind.name == backend)
    assert binary
    server = Server(backend, binary)
    monkeypatch.undo()
    before, conf.db = conf._db, Database(server.url)
    with server.client() as client:
        yield client
    conf.db.close()
    conf._db = before
    server.stop()


async def asked(name: str) -> list[Any]:
    query = Login.user == name
    rows = [[one.id for one in await query], [one.id for one in (await query.page(10)).items]]
    return [*rows, await query.ids(), (await query.aggregate()).count]


async def held(token: str) -> bool:
    try:
        other = await Login.new(token=token).save()
    except UniqueViolation:
        return True
    await other.delete()
    return False


async def two() -> None:
    await Login.new("a", user="ada", token="t", row=1).save()
    await Login.new("b", user="ada", row=2).save(ttl=None)


def jump(raw: Any, clock: Clock, seconds: int) -> None:
    """Until the server has heard of it: some do by their next call."""
    clock.jump(seconds)
    wait_until(lambda: abs(raw.time()[0] - time.time() - seconds) < 300)
    raw.exists("login:a")  # deletes it, if it is over


BOTH, ONE = [["a", "b"], ["a", "b"], ["a", "b"], 2], [["b"], ["b"], ["b"], 1]


async def test_forward_all_is_exact(raw: Any, clock: Clock) -> None:
    await two()
    assert (await asked("ada"), await (Login.user == "ada").count(), await held("t")) == (BOTH, 2, True)
    jump(raw, clock, 700)
    assert (await asked("ada"), await (Login.user == "ada").count(), await held("t")) == (ONE, 1, False)
    assert await (Login.row >= 0).count() == 1


@pytest.mark.parametrize("swept", [True, False])
async def test_back_what_was_over_stays_so_but_may_count(raw: Any, clock: Clock, swept: bool) -> None:
    await two()
    jump(raw, clock, 700)
    if swept:
        await sweep(Login)
    jump(raw, clock, 0)
    assert await asked("ada") == ONE
    assert await (Login.user == "ada").count() == (1 if swept else 2)
    assert await held("t") is False
    if not swept:
        await Login.new("a", user="eve").save()
        assert await (Login.user == "ada").count() == 1
        assert await (Login.user == "eve").count() == 1


async def test_back_records_last_longer(raw: Any, clock: Clock) -> None:
    await two()
    jump(raw, clock, -3600)
    left = await Login("a").ttl()
    assert left
    assert left.total_seconds() > 3600
    assert await asked("ada") == BOTH
