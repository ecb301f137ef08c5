"""References that are loaded with the records, a round trip for each level."""

from __future__ import annotations

import pytest

from aioredisca import Database, UsageError

from ..support.proxy import Proxy
from .support import City, Country, Row, ids, rows


async def places() -> None:
    await Country.save_many([Country.new(code, name=code) for code in ("FI", "SE")])
    await City.save_many([City.new(f"c{i}", name=f"c{i}", country=["FI", "SE"][i % 2]) for i in range(4)])
    await rows(20, city=lambda i: f"c{i % 5}" if i % 7 else None)  # c4 is nowhere


async def test_prefetch_is_one_round_trip_a_level(proxied: Database, proxy: Proxy) -> None:
    await places()
    await Row.all().first()
    with proxy.count() as count:
        found = await Row.all().prefetch(Row.city, "city.country")
    assert count.trips == 3
    with proxy.count() as count:
        for row in found:
            if row.city is None:
                assert int(row.id) % 7 == 0
            elif row.city.id == "c4":
                assert not row.city  # the target is gone: an empty record
            else:
                assert row.city.country is not None
                assert row.city.country.name == ["FI", "SE"][int(row.city.id[1]) % 2]
    assert count.trips == 0
    assert found[1].city is found[6].city  # one object for one record
    with proxy.count() as count:
        assert len([row async for row in Row.all().prefetch("city.country")]) == 20
    assert count.trips == 3


async def test_prefetch_goes_where_the_models_go_only(db: Database) -> None:
    for wrong in ("cty", "city.nme", "size", "city.", ""):
        with pytest.raises(UsageError, match="has no reference"):
            Row.all().prefetch(wrong)
    with pytest.raises(UsageError, match="did you mean 'city'"):
        Row.all().prefetch("cty")
    with pytest.raises(UsageError):
        Row.all().prefetch(5)  # type: ignore[arg-type]


async def test_a_relation_is_read_backwards(db: Database) -> None:
    await places()
    city = await City.get("c1")
    assert ids(await Row.city.of(city)) == ["00001", "00006", "00011", "00016"]
    assert ids(await (Row.city.of(city) & Row.city.not_none()).limit(2)) == ["00001", "00006"]
