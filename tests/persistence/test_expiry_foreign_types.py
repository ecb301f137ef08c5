"""Keys of another type in the places of classes whose records end: a refused write has changed no record, and what
is over goes all the same.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, WrongType, conf, reindex, sweep

from ..support.drift import drift
from ..support.tagged import base_of

HOUR = dt.timedelta(hours=1)


@conf(prefix="room", ttl=HOUR)
class Room(Model):
    """With the fast paths of a simple class."""

    place = String(unique=True)
    name = String(index=True)
    row = Integer(index=True)
    note = String()


@conf(prefix="theatre", ttl=HOUR, index=[("name", "row")])
class Hall(Model):
    """Without them."""

    place = String(unique=True)
    name = String(index=True)
    row = Integer(index=True)
    note = String()


KINDS = pytest.mark.parametrize("kind", [Room, Hall])


def changed(record: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(record, name, value)
    return record


WRITES: dict[str, Callable[[Any], Any]] = {
    "create": lambda one: type(one).new("2", place="B1").save(),
    "save_many": lambda one: type(one).save_many([type(one).new("2", place="B1")]),
    "delete": lambda one: one.delete(),
    "persist": lambda one: one.persist(),
    "save an indexed field": lambda one: changed(one, name="m").save(),
    "save an indexed field, ttl": lambda one: changed(one, name="m").save(ttl=9),
    "save another field for ever": lambda one: changed(one, note="y").save(ttl=None),
}
OF_MOMENTS: dict[str, Callable[[Any], Any]] = {
    **WRITES,
    "expire": lambda one: one.expire(9),
    "touch": lambda one: one.touch(),
    "save another field, ttl": lambda one: changed(one, note="y").save(ttl=9),
}


def records(kind: Any, raw: Any) -> dict[bytes, tuple[Any, bool]]:
    """What records hold, and whether they end."""
    return {key: (raw.hgetall(key), raw.pttl(key) > 0) for key in raw.keys(f"{kind.getprefix()}:*")}


async def refused(kind: Any, raw: Any, name: str, write: Callable[[Any], Any]) -> None:
    one = await kind.new("1", place="A1", name="n", row=3, note="x").save()
    place = f"{kind.getprefix()}/{name}"
    raw.delete(place)
    raw.set(place, "foreign")
    before = records(kind, raw)
    with pytest.raises(WrongType) as error:
        await write(one)
    assert error.value.key == f"{base_of(kind)}/{name}"
    assert records(kind, raw) == before


@KINDS
@pytest.mark.parametrize("verb", OF_MOMENTS)
async def test_in_the_place_of_the_moments_it_is_met_before_a_record_changes(
    db: Database, raw: Any, kind: Any, verb: str
) -> None:
    await refused(kind, raw, "t", OF_MOMENTS[verb])


@KINDS
@pytest.mark.parametrize("verb", WRITES)
async def test_in_the_place_of_the_notes_it_is_met_before_a_record_changes(
    db: Database, raw: Any, kind: Any, verb: str
) -> None:
    await refused(kind, raw, "t/n", WRITES[verb])


@KINDS
@pytest.mark.parametrize("name", ["t", "t/n"])
async def test_it_is_mended_as_the_error_says(db: Database, raw: Any, kind: Any, name: str) -> None:
    await refused(kind, raw, name, WRITES["persist"])
    await reindex(kind, everything=True)
    assert drift(raw, [kind]) == []
    assert dt.timedelta(0) < await kind("1").ttl() <= HOUR


@KINDS
@pytest.mark.parametrize("place", ["u/place", "x/name/n", "n/row", "r/row"])
async def test_in_the_place_of_an_index_it_keeps_nothing_that_is_over(
    db: Database, raw: Any, kind: Any, place: str
) -> None:
    prefix = kind.getprefix()
    row = None if place == "n/row" else 3
    await kind.new("1", place="A1", name="n", row=row).save()
    raw.zadd(f"{prefix}/t", {"1": 1})
    raw.delete(f"{prefix}:1", f"{prefix}/{place}")
    raw.set(f"{prefix}/{place}", "foreign")
    assert await sweep(kind) == 1
    assert await sweep(kind) == 0
    assert raw.get(f"{prefix}/{place}") == b"foreign"
    raw.delete(f"{prefix}/{place}")
    assert raw.keys("*") == [f"{prefix}/meta".encode()]


@KINDS
async def test_a_new_record_does_not_fail_by_what_is_over(db: Database, raw: Any, kind: Any) -> None:
    prefix = kind.getprefix()
    await kind.new("1", place="A1", name="n").save()
    raw.zadd(f"{prefix}/t", {"1": 1})
    raw.delete(f"{prefix}:1", f"{prefix}/x/name/n")
    raw.set(f"{prefix}/x/name/n", "foreign")
    await kind.new("1", place="A1", name="m").save()  # one of that id, which takes away what is left
    assert [await (kind.name == "m").ids(), await kind.all().ids()] == [["1"], ["1"]]


async def test_in_the_place_of_a_record_it_is_named(db: Database, raw: Any) -> None:
    one = await Room.new("1", place="A1").save()
    raw.delete("room:1")
    raw.set("room:1", "foreign", ex=3600)
    with pytest.raises(WrongType, match="holds something that is no record") as error:
        await changed(one, note="y").save()
    assert error.value.key == one.getkey()
