"""Typing is API: what mypy --strict, pyright strict and pyrefly say of tests/typing/, line by line.

``# E: mypy pyright`` names the checkers that must complain of a line; all others must not. ``# HOLE:``
says why nobody can. Run by `nox -s types`; skipped where the checkers are not installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

FILES = Path(__file__).parent / "typing"
NAMES = ("positive.py", "negative.py", "holes.py", "web.py")

Complaints = set[tuple[str, int]]


def tool(name: str) -> str:
    """The checker of this very environment."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else shutil.which(name) or ""


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=FILES).stdout


def mypy() -> Complaints:
    flags = ("--strict", "--config-file=", "--no-incremental", "--no-error-summary", "--hide-error-context")
    text = output(tool("mypy"), *flags, *NAMES)
    return {(name, int(line)) for name, line in re.findall(r"^(\w+\.py):(\d+): error", text, re.MULTILINE)}


def pyright() -> Complaints:
    text = output(tool("pyright"), "--outputjson", "--pythonpath", sys.executable, "--project", str(FILES))
    found: Complaints = set()
    for one in json.loads(text)["generalDiagnostics"]:
        if one["severity"] == "error":
            found.add((Path(one["file"]).name, one["range"]["start"]["line"] + 1))
    return found


def pyrefly() -> Complaints:
    text = output(tool("pyrefly"), "check", "--output-format=json", *NAMES)
    return {
        (Path(one["path"]).name, one["line"])
        for one in json.loads(text)["errors"]
        if one.get("severity", "error") == "error"
    }


CHECKERS: dict[str, Callable[[], Complaints]] = {"mypy": mypy, "pyright": pyright, "pyrefly": pyrefly}


def marks_of(line: str) -> list[str]:
    return line.partition("  # E:")[2].split()


def expected(checker: str, name: str) -> set[int]:
    lines = (FILES / name).read_text().splitlines()
    marks = ((number, marks_of(line)) for number, line in enumerate(lines, 1))
    return {number for number, checkers in marks if checker in checkers}


@pytest.mark.slow
@pytest.mark.parametrize("checker", CHECKERS)
def test_checkers_say_what_is_written_beside_each_line(checker: str) -> None:
    """Each runs once over all files: most of its time goes to the library and what that stands on."""
    if not tool(checker):
        pytest.skip(f"{checker} is not installed here: nox -s types runs this")
    said = CHECKERS[checker]()
    for name in NAMES:
        assert {line for file, line in said if file == name} == expected(checker, name), name
    assert {file for file, _ in said} <= {*NAMES}


def test_the_marks_are_well_formed() -> None:
    """A misspelt mark would expect nothing and so test nothing."""
    assert expected("mypy", "positive.py") == set()
    for name in NAMES:
        for line in (FILES / name).read_text().splitlines():
            assert set(marks_of(line)) <= CHECKERS.keys()
    assert len(expected("pyright", "negative.py")) > 35
