"""What others do to the keys of records that end: each line of the table in docs/expiry.md, and until when.

A moment that has come is made by its score, not waited for: the server then holds what it would hold.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import (
    Database,
    Integer,
    ListOf,
    Model,
    NotFound,
    String,
    UniqueViolation,
    conf,
    reindex,
    sweep,
)

from ..support.drift import drift

HOUR = dt.timedelta(hours=1)


@conf(prefix="seat", ttl=HOUR)
class Seat(Model):
    """With the fast paths of a simple class."""

    place = String(unique=True)
    name = String(index=True)
    row = Integer(index=True)
    note = String()


@conf(prefix="pass", ttl=HOUR, index=[("name", "row")])
class Pass(Model):
    """Without them."""

    place = String(unique=True)
    name = String(index=True)
    row = Integer(index=True)
    note = String()
    log = ListOf(String())


KINDS = pytest.mark.parametrize("kind", [Seat, Pass])


async def stored(kind: Any, **more: Any) -> Any:
    return await kind.new("1", place="A1", name="n", row=3, note="x").save(**more)


def now(raw: Any) -> int:
    seconds, micros = raw.time()
    return int(seconds) * 1000 + int(micros) // 1000


def moments(kind: Any) -> str:
    return f"{kind.getprefix()}/t"


def comes(kind: Any, raw: Any) -> None:
    """The moment of the record that is known here is past."""
    assert raw.zscore(moments(kind), "1")
    raw.zadd(moments(kind), {"1": now(raw) - 1})


async def found(kind: Any) -> list[str]:
    """By every kind of index alike, and as rows."""
    by: list[list[str]] = [
        await query.ids() for query in (kind.name == "n", kind.row >= 0, kind.place == "A1", kind.all())
    ]
    rows = [[one.id for one in await query] for query in (kind.name == "n", kind.row >= 0, kind.all())]
    assert all(ids == by[0] for ids in [*by, *rows])
    assert await (kind.name == "n").exists() is bool(by[0])
    return by[0]


async def counted(kind: Any) -> int:
    counts: list[int] = [await query.count() for query in (kind.name == "n", kind.row >= 0, kind.all())]
    assert counts == [counts[0]] * 3
    return counts[0]


async def claimed(kind: Any) -> bool:
    """Whether its unique value is held."""
    try:
        other = await kind.new("2", place="A1").save()
    except UniqueViolation:
        return True
    await other.delete()
    return False


async def gone(kind: Any, raw: Any) -> None:
    """No answer but counts has it, and it holds no unique value."""
    with pytest.raises(NotFound):
        await kind.get("1")
    assert await found(kind) == []
    assert await (kind.place == "A1").count() == 0
    assert await claimed(kind) is False


# -- shorter, or away --------------------------------------------------------------------------------


def cut_short(raw: Any, key: str) -> None:
    raw.pexpire(key, 1)
    while raw.exists(key):
        time.sleep(0.001)


HANDS: dict[str, Callable[[Any, str], Any]] = {
    "EXPIRE shorter": cut_short,
    "DEL": lambda raw, key: raw.delete(key),
    "RENAME": lambda raw, key: raw.rename(key, key + "-else"),
    "EXPIREAT in the past": lambda raw, key: raw.expireat(key, 1),
}
TAKEN = pytest.mark.parametrize("hand", HANDS)


@KINDS
@TAKEN
async def test_what_is_taken_away_is_counted_until_its_moment(
    db: Database, raw: Any, kind: Any, hand: str
) -> None:
    record = await stored(kind)
    HANDS[hand](raw, record.getkey())
    await gone(kind, raw)
    assert await counted(kind) == 1
    assert await sweep(kind) == 0  # it knows of a moment to come
    assert await counted(kind) == 1
    comes(kind, raw)
    assert await counted(kind) == 0
    await sweep(kind)
    raw.delete(record.getkey() + "-else")
    assert drift(raw, [kind]) == []
    assert sorted(raw.keys("*")) == [f"{kind.getprefix()}/meta".encode()]


@KINDS
@TAKEN
async def test_or_until_the_next_write_of_that_id(db: Database, raw: Any, kind: Any, hand: str) -> None:
    record = await stored(kind)
    HANDS[hand](raw, record.getkey())
    await kind.new("1", name="m").save()
    raw.delete(record.getkey() + "-else")
    assert [await (kind.name == name).count() for name in "nm"] == [0, 1]
    assert await (kind.row >= 0).count() == 0
    assert drift(raw, [kind]) == []


@KINDS
@TAKEN
async def test_of_one_that_does_not_end_until_it_is_mended(
    db: Database, raw: Any, kind: Any, hand: str
) -> None:
    """As after any DEL by hand: nothing here knows when it would end, or what stands of it."""
    record = await stored(kind, ttl=None)
    HANDS[hand](raw, record.getkey())
    raw.delete(record.getkey() + "-else")
    await gone(kind, raw)
    await sweep(kind)
    assert await counted(kind) == 1
    await reindex(kind, everything=True)
    assert await counted(kind) == 0


async def test_a_record_under_another_name_is_loaded_and_ends_but_is_not_found(
    db: Database, raw: Any
) -> None:
    await stored(Seat)
    raw.rename("seat:1", "seat:else")
    assert (await Seat.get("else")).name == "n"
    assert dt.timedelta() < (await Seat("else").ttl() or dt.timedelta()) <= HOUR
    assert await found(Seat) == []
    await reindex(Seat, everything=True)
    assert await found(Seat) == ["else"]


# -- longer ------------------------------------------------------------------------------------------

LONGER = pytest.mark.parametrize("hand", ["EXPIRE", "PERSIST"])


def prolong(raw: Any, key: str, hand: str) -> None:
    raw.persist(key) if hand == "PERSIST" else raw.pexpire(key, 7200_000)


def as_by_hand(left: dt.timedelta | None, hand: str) -> bool:
    return left is None if hand == "PERSIST" else left is not None and HOUR < left <= 2 * HOUR


@KINDS
@LONGER
async def test_what_is_prolonged_is_not_found_from_its_old_moment_until_a_sweep(
    db: Database, raw: Any, kind: Any, hand: str
) -> None:
    record = await stored(kind)
    prolong(raw, record.getkey(), hand)
    assert (await found(kind), await counted(kind)) == (["1"], 1)
    assert as_by_hand(await record.ttl(), hand)
    comes(kind, raw)
    assert (await found(kind), await counted(kind)) == ([], 0)
    assert (await kind.get("1")).name == "n"
    assert await claimed(kind)  # nobody gets what a record holds that is there
    await sweep(kind)
    assert (await found(kind), await counted(kind)) == (["1"], 1)
    assert as_by_hand(await record.ttl(), hand)
    assert drift(raw, [kind]) == []


@KINDS
@LONGER
@pytest.mark.parametrize("verb", ["touch", "expire", "persist", "save"])
async def test_or_until_a_verb_tells_its_end(db: Database, raw: Any, kind: Any, hand: str, verb: str) -> None:
    record = await stored(kind)
    prolong(raw, record.getkey(), hand)
    comes(kind, raw)
    calls = {
        "touch": record.touch,
        "expire": lambda: record.expire(7200),
        "persist": record.persist,
        "save": lambda: record.save(ttl=None),
    }
    await calls[verb]()
    assert (await found(kind), await counted(kind)) == (["1"], 1)
    assert (await record.ttl() is None) is (verb in ("persist", "save"))
    assert drift(raw, [kind]) == []


@KINDS
async def test_a_new_record_takes_in_what_is_due_as_a_sweep_does(db: Database, raw: Any, kind: Any) -> None:
    record = await stored(kind)
    raw.persist(record.getkey())
    comes(kind, raw)
    for number in range(2, 102):  # one of four looks
        await kind.new(str(number), place=f"A{number}").save(ttl=3600)
    assert await (kind.name == "n").ids() == ["1"]


# -- an end by hand, and other values ----------------------------------------------------------------


@KINDS
async def test_an_end_given_to_one_without_is_taken_over_by_a_save_of_an_indexed_field(
    db: Database, raw: Any, kind: Any
) -> None:
    record = await stored(kind, ttl=None)
    raw.pexpire(record.getkey(), 7200_000)
    record.note = "y"
    await record.save()
    assert raw.zscore(moments(kind), "1") is None
    record.row = 4
    await record.save()
    assert as_by_hand(await record.ttl(), "EXPIRE")
    assert drift(raw, [kind]) == []
    raw.delete(record.getkey())
    comes(kind, raw)
    assert await counted(kind) == 0


@KINDS
async def test_another_value_is_not_found_and_the_old_one_counted_until_the_end(
    db: Database, raw: Any, kind: Any
) -> None:
    record = await stored(kind)
    raw.hset(record.getkey(), "name", "m")
    assert [await (kind.name == name).ids() for name in ("n", "m")] == [[], []]
    assert [await (kind.name == name).count() for name in ("n", "m")] == [1, 0]
    assert await (kind.row >= 0).ids() == ["1"]
    raw.delete(record.getkey())
    comes(kind, raw)
    assert await counted(kind) == 0
    await sweep(kind)
    assert sorted(raw.keys("*")) == [f"{kind.getprefix()}/meta".encode()]


@KINDS
async def test_another_unique_value_frees_the_old_one(db: Database, raw: Any, kind: Any) -> None:
    record = await stored(kind)
    raw.hset(record.getkey(), "place", "B2")
    assert await (kind.place == "A1").ids() == []
    assert await claimed(kind) is False
