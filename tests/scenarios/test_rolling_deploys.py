"""Two versions of a model side by side in real processes: no write fails, no answer is wrong, nothing drifts.

``nox -s rolling`` takes every change, in both orders and on every server; a push takes a few.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ..support.servers import Server
from .rolling.judging import Faults
from .rolling.processes import OF_EACH_PROCESS, ROOT, Site, Worker
from .rolling.versions import CHANGES

BEFORE_THIS = "4917a71"
"""The last commit with the scheme before this one: one signature, and the last that declared it won."""

PER_PUSH = {("change the kind", "old first")}


def roll_out(
    site: Site,
    server: Server,
    name: str,
    order: str,
    writes: int,
    prepare: tuple[str, ...] = ("--before",),
    finish: tuple[str, ...] = ("--force",),
) -> Faults:
    """Replace the old version by the new one as docs/deploy.md says, under writers and readers of both.

    *prepare* and *finish* are the options of ``reindex`` before the roll-out, of what takes an index away, and after
    it. Nobody waits ten minutes here.
    """
    change, old, new, faults = CHANGES[name], f"{name}/old", f"{name}/new", Faults()
    site.fill(old)
    moving = 2 * OF_EACH_PROCESS
    at_work = dict[str, Worker]()

    def start(side: str) -> None:
        at_work[side] = site.work(f"{name}/{side}", side, moving)
        at_work[side].go_on(writes)

    if order == "old first":
        start("old")
    if change.goes:
        site.operator(new, "reindex", *prepare).end()
    for side in ("old", "new"):
        if side not in at_work:
            start(side)
    server.kill()
    server.restart()
    for worker in at_work.values():
        worker.go_on(writes)
    told = {"old": at_work["old"].stop()}
    site.operator(new, "reindex", *finish).end()
    at_work["new"].go_on(writes)
    unanswered = at_work["new"].told()["unanswered"]
    at_work["new"].go_on(writes)
    told["new"] = at_work["new"].stop()
    if told["new"]["unanswered"] != unanswered:
        faults.append(f"new: NotIndexed after reindex: {told['new']['unanswered']} since {unanswered}")
    for side, one in told.items():
        faults.of_worker(side, one, change.goes if side == "old" else change.comes)
        faults.of_records(server, one["records"])
    faults += [f"drift: {text}" for text in site.drift(new)]
    return faults


@pytest.mark.slow
@pytest.mark.asyncio_only
@pytest.mark.parametrize("order", ["old first", "new first"])
@pytest.mark.parametrize("change", CHANGES)
def test_no_write_fails_and_no_answer_is_wrong(
    site: Site, durable: Server, full: bool, change: str, order: str
) -> None:
    if not full and (change, order) not in PER_PUSH:
        pytest.skip("in the full session")
    faults = roll_out(site, durable, change, order, 300 if full else 60)
    assert not faults, "\n".join(faults)


@pytest.fixture(scope="session")
def library_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library as it was, from the history."""
    folder = tmp_path_factory.mktemp("before")
    archive = ["git", "-C", str(ROOT), "archive", "-o", str(folder / "it.tar"), BEFORE_THIS, "aioredisca"]
    if subprocess.run(archive, capture_output=True, check=False).returncode:
        pytest.skip("there is no history here")
    shutil.unpack_archive(folder / "it.tar", folder, filter="data")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("order", ["old first", "new first"])
@pytest.mark.parametrize("change", [name for name, one in CHANGES.items() if one.today])
def test_control_the_scheme_before_this_one_shows_its_faults(
    site: Site, durable: Server, full: bool, library_before: Path, change: str, order: str
) -> None:
    if not full:
        pytest.skip("in the full session")
    before = Site(site.url, site.folder, library_before, site.started)
    assert roll_out(before, durable, change, order, 60, prepare=(), finish=())
