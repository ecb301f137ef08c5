"""redis.asyncio by hand: sets, sorted sets and pipelined HMGETs, each query written with care.

Defaults of redis.asyncio but ``decode_responses``, and no transactions in pipelines. Sets are never fetched
where the server can combine them; orders are paged. Rows become dicts of str, int and float values.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from questions import (
    CHICAGO,
    FEW,
    FIELDS,
    FINNISH_FEET,
    HIGH_FEET,
    LIMIT,
    MANY,
    NEW_YORK,
    PAGE,
    PAGE_OFFSET,
    PAGED_FEET,
    PREFIX,
    RARE_FEET,
    RARE_PREFIX,
    READ,
    SELECTIVE,
    SOME,
    TOP,
    US_FEET,
    WIDE_PREFIX,
    airports,
)
from redis.asyncio import Redis
from serving import Asked, Contender, serve

CHUNK = 200
HEIGHTS, NAMES, UNKNOWN = "hand:by:elevation", "hand:by:name", "hand:no:elevation"


def _country(code: str) -> str:
    return f"hand:country:{code}"


def _zone(name: str) -> str:
    return f"hand:tz:{name}"


def _heights_in(code: str) -> str:
    return f"hand:by:country:elevation:{code}"


def _icao(member: str) -> str:
    return member.rpartition("\0")[2]


class Hand(Contender):
    packages = ("redis", "hiredis")

    def __init__(self, url: str) -> None:
        self.client = Redis.from_url(url, decode_responses=True)

    def pipe(self) -> Any:
        return self.client.pipeline(transaction=False)

    async def load(self) -> None:
        everything = airports()
        for first in range(0, len(everything), 1000):
            pipe = self.pipe()
            for one in everything[first : first + 1000]:
                self._save(pipe, one)
            await pipe.execute()

    @staticmethod
    def _save(pipe: Any, one: dict[str, Any]) -> None:
        icao = one["icao"]
        pipe.hset(f"hand:{icao}", mapping={name: value for name, value in one.items() if value is not None})
        pipe.sadd(_country(one["country"]), icao)
        pipe.sadd(_zone(one["tz"]), icao)
        pipe.zadd(NAMES, {f"{one['name']}\0{icao}": 0})
        if one["elevation"] is None:
            pipe.sadd(UNKNOWN, icao)
        else:
            pipe.zadd(HEIGHTS, {icao: one["elevation"]})
            pipe.zadd(_heights_in(one["country"]), {icao: one["elevation"]})

    def codes(self, rows: Any) -> list[str]:
        return [row["icao"] for row in rows]

    async def rows(self, codes: Iterable[str]) -> list[dict[str, Any]]:
        """Two trips for every query of rows: the ids, then the fields."""
        pipe = self.pipe()
        for icao in codes:
            pipe.hmget(f"hand:{icao}", FIELDS)
        return [self._row(values) for values in await pipe.execute()]

    @staticmethod
    def _row(values: list[str | None]) -> dict[str, Any]:
        row: dict[str, Any] = dict(zip(FIELDS, values, strict=True))
        for name, read in READ.items():
            if row[name] is not None:
                row[name] = read(row[name])
        return row

    # -- the queries -------------------------------------------------------------------------------

    async def of_two(self) -> Any:
        country, zone = SELECTIVE
        return await self.rows(await self.client.sinter(_country(country), _zone(zone)))

    async def of_range(self) -> Any:
        return await self.rows(
            await self.client.zrange(_heights_in("FI"), FINNISH_FEET, "+inf", byscore=True)
        )

    async def of_countries(self, codes: Iterable[str]) -> Any:
        return await self.rows(await self.client.sunion(map(_country, codes)))

    async def of_not(self) -> Any:
        found = await self.client.sdiff(_country("US"), _zone(CHICAGO), _zone(NEW_YORK))
        return await self.rows(sorted(found)[:LIMIT])

    def _with_prefix(self, client: Any, prefix: str) -> Any:
        return client.zrange(NAMES, f"[{prefix}", f"({prefix}\xff", bylex=True)

    async def of_prefix(self) -> Any:
        return await self.rows(map(_icao, await self._with_prefix(self.client, PREFIX)))

    async def top_by_pair(self, code: str) -> Any:
        return await self.rows(await self.client.zrange(_heights_in(code), 0, TOP - 1, desc=True))

    async def top_by_paging(self) -> Any:
        """Down the order of all, until there are enough of the country."""
        found, start = list[str](), 0
        while len(found) < TOP:
            some = await self.client.zrange(HEIGHTS, start, start + CHUNK - 1, desc=True)
            if not some:
                break
            flags = await self.client.smismember(_country("US"), some)
            found += [icao for icao, flag in zip(some, flags, strict=True) if flag]
            start += CHUNK
        return await self.rows(found[:TOP])

    async def count_by_pair(self) -> Any:
        return await self.client.zcount(_heights_in("US"), US_FEET, "+inf")

    async def count_in_client(self) -> Any:
        pipe = self.pipe()
        pipe.smembers(_country("US"))
        pipe.zrange(HEIGHTS, US_FEET, "+inf", byscore=True)
        members, high = await pipe.execute()
        return len(members.intersection(high))

    async def count_of_two(self) -> Any:
        return await self.client.sintercard(2, [_country("US"), _zone(CHICAGO)])

    async def of_unknown(self) -> Any:
        return await self.rows(await self.client.sinter(_country("US"), UNKNOWN))

    async def page(self) -> Any:
        low = await self.client.zrange(
            HEIGHTS, PAGED_FEET, "+inf", byscore=True, offset=PAGE_OFFSET, num=PAGE
        )
        return await self.rows(low)

    async def of_any(self) -> Any:
        pipe = self.pipe()
        pipe.sunion(map(_country, SOME))
        pipe.zrange(HEIGHTS, HIGH_FEET, "+inf", byscore=True)
        self._with_prefix(pipe, WIDE_PREFIX)
        members, high, named = await pipe.execute()
        return await self.rows({*members, *high, *map(_icao, named)})

    async def of_three(self) -> Any:
        named = [_icao(member) for member in await self._with_prefix(self.client, RARE_PREFIX)]
        pipe = self.pipe()
        pipe.smismember(_country("US"), named)
        pipe.zmscore(HEIGHTS, named)
        flags, heights = await pipe.execute()
        return await self.rows(
            icao
            for icao, flag, height in zip(named, flags, heights, strict=True)
            if flag and height is not None and height >= RARE_FEET
        )

    def questions(self) -> dict[str, Asked]:
        return {
            "1": self.of_two,
            "2": self.of_range,
            "3": lambda: self.of_countries(FEW),
            "4": self.of_not,
            "5": self.of_prefix,
            "6": lambda: self.top_by_pair("US"),
            "6p": self.top_by_paging,
            "6b": lambda: self.top_by_pair("FI"),
            "7": self.count_by_pair,
            "7p": self.count_in_client,
            "7b": self.count_of_two,
            "8": self.of_unknown,
            "9": self.page,
            "10": lambda: self.of_countries(MANY),
            "11": self.of_any,
            "12": self.of_three,
        }


if __name__ == "__main__":
    serve(Hand(sys.argv[1]))
