"""Ids: distinct among processes, in the order in which one process made them."""

from __future__ import annotations

import multiprocessing
import re
import time

import pytest

from aioredisca import hexid, intid

from ..conftest import FULL


def test_ids_of_one_process_sort_in_the_order_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [hexid() for _ in range(10_000)]
    assert made == sorted(set(made))
    assert all(re.fullmatch("[0-9a-f]{24}", id) for id in made)
    monkeypatch.setattr(time, "time_ns", lambda: 0)  # the clock goes back
    later = [intid() for _ in range(100)]
    assert int(made[-1], 16) < later[0]
    assert later == sorted(set(later))


def _make(count: int) -> list[str]:
    return [hexid() for _ in range(count)]


IDS = 10_000_000 if FULL else 200_000


def test_ids_of_8_processes_do_not_collide() -> None:
    """Forked, so that a state copied from the parent would make all eight march in step."""
    with multiprocessing.get_context("fork").Pool(8) as pool:
        made = pool.map(_make, [IDS // 8] * 8, chunksize=1)
    assert sum(map(len, made)) == IDS
    assert len(set().union(*made)) == IDS
