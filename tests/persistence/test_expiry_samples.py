"""Samples of a class that slides with each load: they are no load by id."""

from __future__ import annotations

import datetime as dt
import time
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, conf


@conf(prefix="visit", ttl=dt.timedelta(hours=1), sliding="load")
class Visit(Model):
    user = String(index=True)
    age = Integer(index=True)


@pytest.mark.parametrize("over", [False, True])
async def test_a_sample_prolongs_nobody(db: Database, raw: Any, over: bool) -> None:
    visits = [Visit.new(str(n), user="ada", age=n) for n in range(4)]
    await Visit.save_many(visits)
    if over:  # then what one index knows is not drawn from it, either
        await visits[0].expire(0.001)
        while raw.exists("visit:0"):
            time.sleep(0.01)
        time.sleep(0.01)
    before = raw.zrange("visit/t", 0, -1, withscores=True)
    time.sleep(0.01)
    for _ in range(10):
        assert len(await (Visit.user == "ada").random(9)) == (3 if over else 4)
        assert len(await ((Visit.user == "ada") & (Visit.age >= 2)).random(9)) == 2
    assert raw.zrange("visit/t", 0, -1, withscores=True) == before
