"""Limits over many partitions: each is asked for its share first, whichever way it finds its rows."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from aioredisca import Database, Integer, Model, conf
from aioredisca.compiler import parts, scripts


@conf(partitions=16)
class Spread(Model):
    age = Integer(index=True)
    low = Integer(index=True)
    high = Integer(index=True)


def forget() -> None:
    for cache in (parts.part, scripts.query_script):
        cache.cache_clear()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Servers that give up orders which are dear at few rows, as they do at thousands."""
    source = parts.source

    def changed(name: str) -> str:
        text = source(name).replace("TABLE = 2000, 500, 1000,", "TABLE = 10, 5, 10,")
        return text.replace("max(100, min(BUDGET", "max(10, min(BUDGET")

    monkeypatch.setattr(parts, "source", changed)
    forget()
    yield
    forget()


@pytest.mark.usefixtures("hasty")
async def test_rows_that_come_in_no_order_are_all_there_at_once(db: Database) -> None:
    """Control: who went on behind the last of them got some twice, and others not at all."""
    dice = random.Random(3)
    every = [
        Spread.new(f"{n}", age=dice.randrange(10**6), low=dice.randrange(1000), high=dice.randrange(1000))
        for n in range(3000)
    ]
    await Spread.save_many(every)
    found = [one for one in every if (one.low or 0) < 100 and (one.high or 0) < 990]
    want = [one.id for one in sorted(found, key=lambda one: (one.age or 0, one.id))]
    query = Spread.where((Spread.low < 100) & (Spread.high < 990)).order_by(Spread.age)
    for limit in (10, 28, 37, 46, 64):
        assert await query.limit(limit).ids() == want[:limit]
