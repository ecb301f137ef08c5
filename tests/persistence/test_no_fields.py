"""Records of classes without any field: what tells that there is one is the marker, by each path of a write."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import Database, ListOf, Model, String, conf


def made(name: str, collections: int, **settings: Any) -> Any:
    body = {f"l{number}": ListOf(String()) for number in range(collections)}
    return conf(prefix=name.lower(), **settings)(type(name, (Model,), body))


CLASSES = [
    made("Bare", 0),
    made("Listed", 1),
    made("ManyListed", 20),  # more than the fast path takes
    made("BareThatEnds", 0, ttl=3600),
    made("ManyListedThatEnd", 20, ttl=3600),
]


@pytest.mark.parametrize("model", CLASSES)
async def test_a_record_of_no_field_is_stored(db: Database, raw: Any, model: Any) -> None:
    one = await model.new("1").save()
    assert await one.exists()
    assert await model.save_many([model.new("2"), model.new("3")]) == []
    assert await model.all().ids() == ["1", "2", "3"]
    assert raw.hgetall(f"{model.getprefix()}:2") == {b"_": b"1"}
    assert await one.delete()
    assert await model.all().ids() == ["2", "3"]
