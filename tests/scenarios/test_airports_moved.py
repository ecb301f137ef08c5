"""The airports of the world, moved from a store to an empty one: nothing is otherwise afterwards."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, Imported, export_records, import_records

from ..support.drift import drift
from ..support.dumps.make_dump import differences, dumped

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "airports.py"


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_the_airports_come_back_exactly(db: Database, raw: Any, backend: str, full: bool) -> None:
    example: Any = runpy.run_path(str(EXAMPLE), run_name="airports_moved")
    Airport, read_airports = example["Airport"], example["read_airports"]
    airports = read_airports(None if full else 100 if backend == "memory" else 1500)
    await Airport.save_many(airports)
    lines, before = [line async for line in export_records(Airport)], dumped(raw)
    assert len(lines) == len(airports) + 2
    raw.flushdb()
    assert await import_records(lines, Airport) == Imported(records=len(airports))
    again = [line async for line in export_records(Airport)]
    assert again[1:] == lines[1:]  # the header tells the time
    assert differences(dumped(raw), before).keys() <= {"airport/meta"}  # it names this declaration, by chance
    assert drift(raw, [Airport]) == []
