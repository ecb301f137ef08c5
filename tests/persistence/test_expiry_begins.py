"""A class with records that begins to have an end for them, and one that no longer has."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from aioredisca import Database, Model, SchemaMismatch, String, conf, reindex

from ..support.drift import drift
from ..support.patience import wait_until

HOUR = dt.timedelta(hours=1)


def declared(**settings: Any) -> Any:
    """The class as it stands in the next version of a program: the definition before it is no longer there."""

    @conf(prefix="cart", **settings)
    class Cart(Model):
        owner = String(unique=True)
        kind = String(index=True)

    return Cart


async def two(kind: Any) -> None:
    await kind.new("1", owner="ada", kind="a").save()
    await kind.new("2", owner="bob", kind="a").save()


async def test_an_end_is_added(db: Database, raw: Any) -> None:
    await two(declared())
    ending = declared(ttl=60)
    assert await (ending.kind == "a").count() == 2
    with pytest.raises(SchemaMismatch, match="reindex"):  # the class without ends would break what it keeps
        await ending.new("3", owner="eve", kind="a").save()
    await reindex(ending)
    assert await ending.expires_at.is_none().ids() == ["1", "2"]
    assert await (ending.kind == "a").count() == 2
    assert await ending("1").ttl() is None
    await ending.new("3", owner="eve", kind="a").save()
    assert await ending.all().order_by(ending.expires_at).ids() == ["3", "1", "2"]
    assert await ending.expires_at.is_none().expire(HOUR) == 2
    assert await ending.expires_at.is_none().count() == 0
    assert await ending("1").ttl() > dt.timedelta(minutes=30)
    assert drift(raw, [ending]) == []


@pytest.mark.parametrize("sliding", ["save", "load"])
async def test_one_that_slides_is_added(db: Database, sliding: str) -> None:
    await two(declared())
    ending = declared(ttl=60, sliding=sliding)
    await reindex(ending)
    await ending.get("1")
    assert (await ending("1").ttl() is None) == (sliding == "save")
    found = await ending.get("2")
    found.kind = "b"
    await found.save()
    assert await ending("2").ttl() is not None


async def test_an_end_is_taken_away(db: Database, raw: Any) -> None:
    ending = declared(ttl=3600)
    await two(ending)
    plain = declared()
    with pytest.raises(SchemaMismatch):
        await plain.new("3", owner="eve").save()
    await reindex(plain)
    await plain.new("3", owner="eve", kind="a").save()
    assert await plain("1").ttl() is not None
    raw.pexpireat("cart:1", 1)
    assert await (plain.kind == "a").ids() == ["2", "3"]
    assert await (plain.kind == "a").count() == 3
    await plain.new("4", owner="ada", kind="a").save()  # free
    await reindex(plain, everything=True)
    assert await (plain.kind == "a").count() == 3


async def test_an_end_that_was_taken_away_comes_back(db: Database, raw: Any) -> None:
    """What is known of ends is kept; of ids that were made anew meanwhile a reindex of everything hears."""
    ending = declared(ttl=0.05)
    await two(ending)
    plain = declared()
    await reindex(plain)
    await plain("1").delete()
    await plain.new("1", owner="ada", kind="a").save()
    wait_until(lambda: not raw.exists("cart:2"))
    ending = declared(ttl=3600)
    await reindex(ending, everything=True)
    assert await (ending.kind == "a").ids() == await ending.expires_at.is_none().ids() == ["1"]
    assert await (ending.kind == "a").count() == 1
    assert drift(raw, [ending]) == []


async def test_all_are_let_live_before_it_is_taken_away(db: Database, raw: Any) -> None:
    ending = declared(ttl=3600)
    await two(ending)
    assert await ending.expires_at.not_none().persist() == 2
    plain = declared()
    await reindex(plain)
    assert raw.pttl("cart:1") == raw.pttl("cart:2") == -1
    assert await (plain.kind == "a").count() == 2
    assert drift(raw, [plain]) == []  # nothing is kept of ends that there are no more


async def test_none_takes_the_place_of_an_end(db: Database, raw: Any) -> None:
    await two(declared(ttl=3600))
    open_ended = declared(ttl=None)
    await open_ended.new("3", owner="eve", kind="a").save()
    assert await open_ended.expires_at.is_none().ids() == ["3"]
    assert await open_ended("1").ttl() is not None
    await open_ended("1").expire(dt.datetime(2020, 1, 1, tzinfo=dt.UTC))
    assert await (open_ended.kind == "a").ids() == ["2", "3"]
    assert await (open_ended.kind == "a").count() == 2
    assert drift(raw, [open_ended]) == []
