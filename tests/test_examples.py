"""The examples run as they stand, and show what they promise."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .support.patience import limit
from .support.proxy import Proxy
from .support.servers import Server

FULL = os.environ.get("REDISCA_FULL") == "1"
ROOT = Path(__file__).parent.parent
STEPS = 18
EARLIER = re.compile(r"Delete ([\d,]+) airports of an earlier run")


def airports(*arguments: str, columns: int = 80, expect: int = 0) -> str:
    """What examples/airports.py prints; every warning is an error in it."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "examples/airports.py", *arguments],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1", "PYTHONUTF8": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=limit(20),
    )
    assert (done.returncode, done.stderr) == (expect, ""), done.stdout + done.stderr
    return done.stdout


def figures(printed: str) -> dict[str, int]:
    """The table at the end: step -> round trips."""
    _, _, table = printed.rpartition("round trips \n")
    found = re.findall(r"^  (\S.*?) {2,}([\d,]+) *$", table, re.MULTILINE)
    return {title: int(count.replace(",", "")) for title, count in found}


def panels(printed: str) -> dict[int, str]:
    """The numbered steps: number -> what stands in the frame."""
    found = re.finditer(r"^╭─ (\d+)\. .*?^╰─.*?$", printed, re.MULTILINE | re.DOTALL)
    return {int(frame[1]): frame[0] for frame in found}


def check_tour(printed: str) -> None:
    """Every step shows its result and as many round trips as the library promises."""
    shown = panels(printed)
    assert list(shown) == [*range(1, STEPS + 1)]
    for number, wanted in {
        1: ("Helsinki Vantaa Airport", "─ 1 round trip ─"),
        2: ("Turku Airport", "─ 1 round trip ─"),
        3: ("10,046", "─ 2 round trips ─"),
        4: ("FI", "─ 1 round trip ─"),
        5: ("EFHK", "EFAA", "─ 1 round trip ─"),
        6: ("Enontekio", "1,005", "─ 1 round trip ─"),
        7: ("Vuotso", "─ 1 round trip ─"),
        8: ("EFET", "─ 2 round trips ─"),
        9: ("Europe/Mariehamn: 2, highest 17", "─ 1 round trip ─"),
        10: ("airport/c/country/elevation/FI", "estimated 9", "─ 2 round trips ─"),
        11: ("5 airports in Finland", "─ 2 round trips ─"),
        12: ("15,000", "─ 3 round trips ─"),
        13: ("UniqueViolation on icao, held by ", "─ 1 round trip ─"),
        14: ("StaleWrite on elevation; saved after a reload", "─ 6 round trips ─"),
        15: ("nothing found", "─ 3 round trips ─"),
        16: ("closed: 1, for ", "; then: 0", "─ 5 round trips ─"),
        17: ("one is same: True; stored city: Vantaa", "─ 3 round trips ─"),
        18: ("Vantaa", "─ 3 round trips ─"),
    }.items():
        for text in wanted:
            assert text in shown[number]


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80, 120])
def test_a_small_tour_on_memory_fits_the_terminal(columns: int) -> None:
    printed = airports("--limit", "300", "--clean", columns=columns)
    check_tour(printed)
    assert "300 airports saved in 3 round trips" in printed
    assert figures(printed)["Delete all airports"] == 4
    assert max(len(line) for line in printed.splitlines()) <= columns
    assert "…" not in printed


@pytest.mark.slow
def test_the_smallest_tour_runs() -> None:
    assert list(panels(airports("--limit", "10"))) == [*range(1, STEPS + 1)]


@pytest.mark.slow
def test_its_round_trips_are_those_that_a_proxy_counts_and_a_second_run_starts_anew(server: Server) -> None:
    """The known-bad way: counting calls instead of round trips, which hides a script that is sent twice."""
    proxy, plain = Proxy(server.port), server.client()
    plain.set("theirs", "1")
    try:
        for left in (0, 299):
            with proxy.count() as counted:
                printed = airports(proxy.url, "--limit", "300")
            check_tour(printed)
            found = EARLIER.search(printed)
            assert (int(found[1]) if found else 0) == left
            steps = figures(printed)
            assert steps.pop("all") == counted.trips == sum(steps.values())
        airports(proxy.url, "--limit", "10", "--clean")
        assert plain.keys("*") == [b"theirs"]
    finally:
        plain.close()
        proxy.close()


@pytest.mark.parametrize(
    ("arguments", "expect", "text"),
    [
        (["http://localhost"], 1, "UsageError: a database URL starts with"),
        (["redis://localhost:1/0"], 1, "Unavailable: cannot connect to localhost:1"),
    ],
    ids=["no database", "no server"],
)
def test_a_bad_url_is_told_in_one_sentence(arguments: list[str], expect: int, text: str) -> None:
    printed = airports(*arguments, expect=expect)
    assert text in printed.replace("\n", " ")
    assert "Traceback" not in printed


@pytest.mark.slow
def test_the_whole_world(backend: str, url: str) -> None:
    """On memory, where it takes a minute, with the full figures only: the small tours run there."""
    if backend == "memory" and not FULL:
        pytest.skip("REDISCA_FULL=1 runs it on memory, too")
    printed = airports(*([] if backend == "memory" else [url]))
    check_tour(printed)
    count = re.search(r"^([\d,]+) airports saved in ([\d,]+) round trips", printed, re.MULTILINE)
    assert count
    saved, trips = (int(figure.replace(",", "")) for figure in count.groups())
    assert saved > 28_000
    assert trips == -(-saved // 100)


def test_the_queue_does_every_job_and_sets_aside_what_always_fails() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.jobs"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=limit(20),
    )
    wanted = "62 claims by 5 workers of 50 jobs; set aside 13 after 3 tries (RuntimeError('job 13 fails'))\n"
    assert (done.returncode, done.stderr, done.stdout) == (0, "", wanted)
