"""The house keeps its rules: nobody uses private parts across folders, no folder and no module grows too large.

``python tools/house.py --all`` shows where.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import house

ROOT = Path(__file__).parent.parent

RECORD = """
class Record:
    __slots__ = ("_row", "id")

    def __init__(self):
        self._state = None

    def _load(self):
        return self._state


def _helper():
    pass
"""

USER = """
from aioredisca.model.record import Record, _helper


class User(Record):
    _mine: int = 0

    def run(self, other, connection):
        self._load()
        super()._load()
        other._mine
        other._state = 1
        getattr(other, "_row")
        vars(other)["_load"]
        connection._sock
        other.__class__, other.id
"""


def made(root: Path, files: dict[str, str]) -> house.House:
    """A small package."""
    for name, text in files.items():
        place = root / house.PACKAGE / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, "utf-8")
    return house.read(root)


def test_the_house_is_in_order() -> None:
    assert house.problems(house.read(ROOT)) == []


def test_crossings_are_found(tmp_path: Path) -> None:
    found = made(tmp_path, {"model/record.py": RECORD, "query/user.py": USER, "query/lua/a.lua": "-- a\n"})
    crossings = found.crossings()
    assert [crossing.use.name for crossing in crossings] == ["_helper", "_state", "_row", "_load"]
    assert {crossing.owners for crossing in crossings} == {("model/record.py",)}
    assert len(house.problems(found)) == 4
    assert all(
        text.startswith("private name across folders: query/user.py:") for text in house.problems(found)
    )
    assert [crossing.use.text for crossing in found.crossings(inherited=True)] == [
        "self._load",
        "super()._load",
    ]
    assert [use.text for use in found.foreign()] == ["connection._sock"]
    assert found.lua == {"query/lua/a.lua": 1}


def test_neighbours_in_a_folder_may(tmp_path: Path) -> None:
    found = made(tmp_path, {"model/record.py": RECORD, "model/user.py": USER})
    assert [crossing.across for crossing in found.crossings()] == [False] * 4
    assert house.problems(found) == []


def test_a_folder_below_is_another_folder(tmp_path: Path) -> None:
    found = made(tmp_path, {"model/record.py": RECORD, "model/parts/user.py": USER})
    assert len(house.problems(found)) == 4


def test_what_both_define_is_told_apart(tmp_path: Path) -> None:
    both = "class Row:\n    def _load(self, other):\n        other._load()\n"
    found = made(tmp_path, {"model/record.py": RECORD, "query/row.py": both})
    assert found.crossings() == []
    assert [crossing.use.text for crossing in found.unclear()] == ["other._load"]


@pytest.mark.parametrize(("folder", "most"), [("model", house.MOST_MODULES), (".", house.MOST_AT_TOP)])
def test_a_folder_that_is_too_large(tmp_path: Path, folder: str, most: int) -> None:
    files = {f"{folder}/part{number}.py": "" for number in range(most)} | {f"{folder}/__init__.py": ""}
    assert house.problems(made(tmp_path, files)) == []
    assert len(house.problems(made(tmp_path, {f"{folder}/more.py": ""}))) == 1


def test_a_module_that_is_too_long(tmp_path: Path) -> None:
    assert house.problems(made(tmp_path, {"a.py": "x = 1\n" * house.MOST_LINES})) == []
    assert len(house.problems(made(tmp_path, {"a.py": "x = 1\n" * (house.MOST_LINES + 1)}))) == 1


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, {"model/record.py": RECORD, "query/user.py": USER})
    assert house.main([str(tmp_path), "--check"]) == 1
    assert "4 breaches" in capsys.readouterr().out
    assert house.main([str(tmp_path)]) == 0
    assert "private crossings: 6 (4 names)" in capsys.readouterr().out
