"""What a query costs: explain(), no write, one round trip."""

from __future__ import annotations

from collections import Counter as Tally
from typing import Any

import pytest

from aioredisca import Database

from ..support.proxy import Proxy
from ..support.tagged import base_of
from .support import Row, rows

# -- explaining ----------------------------------------------------------------------------------


@pytest.mark.on_cluster
async def test_explain_tells_plan_counts_keys_and_warns_of_scans(db: Database) -> None:
    await rows(50, size=lambda i: i, country=lambda i: "FI" if i % 5 else "SE", slug=lambda i: "x")
    shown = await ((Row.country == "SE") & (Row.size >= 10)).explain()
    assert shown.count == 8
    row = base_of(Row)
    assert {driver.key for driver in shown.drivers} <= {
        f"{row}/x/country/SE",
        f"{row}/r/size",
        f"{row}/c/country/size/SE",
    }
    assert f"{row}/ids" in shown.keys
    assert shown.warnings == ()
    assert "condition  (Equals country & Between size)" in str(shown)
    scan = await (Row.slug == "x").scan().explain()
    assert scan.count == 50
    assert "has no index" in scan.warnings[0]
    unsorted = await (Row.country == "FI").order_by(Row.slug).limit(3).explain()
    assert any("no index keeps this order" in text for text in unsorted.warnings)
    hidden = await (Row.hidden == "top-secret-value").explain()
    assert "top-secret" not in str(hidden) + repr(hidden)
    assert "top-secret" not in repr(Row.hidden == "top-secret-value")


async def test_a_read_writes_nothing(proxied: Database, proxy: Proxy, raw: Any) -> None:
    await rows(30, size=lambda i: i, country=lambda i: "FI", name=lambda i: f"n{i}", tags=lambda i: {"a"})
    before = contents(raw)
    writes = _writes(raw)
    query = (Row.country == "FI") & ~(Row.size == 3) | Row.name.startswith("n1")
    for ask in (
        query.ids,
        query.count,
        query.exists,
        query.random,
        query.explain,
        query.aggregate,
        query.page,
    ):
        await ask()
    await query.order_by(Row.size.desc(), Row.name)
    await query.order_by(Row.name)[3:5]
    assert _writes(raw) == writes
    assert contents(raw) == before


def contents(raw: Any) -> dict[bytes, Any]:
    """Everything in the store. Not by DUMP: a set that is read may be laid out anew."""
    readers = {
        b"hash": raw.hgetall,
        b"set": raw.smembers,
        b"zset": lambda key: raw.zrange(key, 0, -1, withscores=True),
    }
    return {key: readers[raw.type(key)](key) for key in raw.scan_iter()}


def _writes(raw: Any) -> Tally[str]:
    """How often each command that writes was called."""
    stats = raw.info("commandstats")
    words = (
        "set",
        "hset",
        "sadd",
        "zadd",
        "del",
        "unlink",
        "sort",
        "zunionstore",
        "sinterstore",
        "rename",
        "expire",
    )
    return Tally({word: stats.get(f"cmdstat_{word}", {}).get("calls", 0) for word in words})


async def test_every_query_of_up_to_a_page_is_one_round_trip(proxied: Database, proxy: Proxy) -> None:
    await rows(
        300,
        size=lambda i: i,
        country=lambda i: ["FI", "SE", "NO"][i % 3],
        name=lambda i: f"n{i:03}",
        tags=lambda i: {f"t{i % 4}"},
        email=lambda i: f"e{i}",
        owner=lambda i: i,
        slug=lambda i: "s",
    )
    await (Row.all() & Row.all()).ids()
    queries: list[Any] = [
        (Row.country == "FI") & (Row.size > 10),
        (Row.country == "FI") | (Row.size > 290) | Row.name.startswith("n00"),
        ~(Row.country == "FI") & ~Row.tags.has("t1"),
        Row.country.in_(["FI", "NO"]),
        Row.tags.has_all(["t1"]) & Row.name.startswith("n1"),
        (Row.size > 10).order_by(Row.name).limit(20),
        (Row.country == "SE").order_by(Row.size.desc())[5:15],
        (Row.country == "SE").order_by(Row.country, Row.name.desc()),
        Row.where(Row.owner == 7, Row.slug == "s"),
        (Row.email == "e5") | (Row.email == "e6"),
        (Row.slug == "s").scan(),
    ]
    for query in queries:
        asks = [query.ids, query.count, query.first, query.exists, query.aggregate]
        for ask in asks:
            with proxy.count() as count:
                await ask()
            assert (count.trips, len(count.commands), count.commands[-1]) == (1, 2, "HGET"), (
                query,
                ask,
                count.commands,
            )
        with proxy.count() as count:
            assert await query
        assert (count.trips, len(count.commands), count.commands[-1]) == (1, 2, "HGET"), query
    with proxy.count() as count:
        await Row.all().page(50)
    assert count.trips == 1


# -- relations -----------------------------------------------------------------------------------


async def test_exactly_a_page_of_records_is_one_round_trip(proxied: Database, proxy: Proxy) -> None:
    await rows(
        1000,
        size=lambda i: i,
        country=lambda i: "FI",
        name=lambda i: f"n{i:04}",
        tags=lambda i: {"t", f"t{i % 2}"},
        slug=lambda i: "s",
    )
    queries: list[Any] = [
        Row.all(),
        Row.country == "FI",
        Row.size >= 0,
        Row.name.startswith("n"),
        Row.country.in_(["FI", "SE"]),
        (Row.country == "FI") & Row.tags.has("t"),
        (Row.country == "FI") & (Row.size >= 0),
        (Row.size < 500) | (Row.size >= 500),
        Row.tags.has_any(["t0", "t1"]),
        Row.all().order_by(Row.size).limit(1000),
        (Row.country == "FI").order_by(Row.name.desc()),
    ]
    for query in queries:
        await query  # the server learns the script
        with proxy.count() as count:
            assert len(await query) == 1000
        assert count.trips == 1, query
