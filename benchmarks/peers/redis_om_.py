"""redis-om: its asyncio HashModel over RediSearch."""

from __future__ import annotations

import os
import sys
from typing import Any

from questions import (
    CHICAGO,
    FEW,
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
    SELECTIVE,
    SOME,
    TOP,
    US_FEET,
    WIDE_PREFIX,
    airports,
)
from serving import Asked, Contender, serve

os.environ["REDIS_OM_URL"] = sys.argv[1]

from aredis_om import Field, HashModel, Migrator, get_redis_connection


class Airport(HashModel, index=True):
    icao: str = Field(index=True, primary_key=True, case_sensitive=True)
    name: str = Field(index=True, case_sensitive=True)
    city: str | None = Field(default=None, index=False)
    country: str = Field(index=True, case_sensitive=True)
    tz: str = Field(index=True, case_sensitive=True)
    elevation: int | None = Field(default=None, index=True, sortable=True)
    lat: float
    lon: float

    class Meta:
        global_key_prefix = "om"
        database = get_redis_connection()


class RedisOm(Contender):
    packages = ("redis-om", "redis", "hiredis", "pydantic")

    async def load(self) -> None:
        await Migrator().run()
        everything = airports()
        for first in range(0, len(everything), 1000):
            async with Airport.db().pipeline(transaction=False) as pipe:
                models = [Airport(**one) for one in everything[first : first + 1000]]
                await Airport.add(models, pipeline=pipe)
                await pipe.execute()

    def codes(self, rows: Any) -> list[str]:
        return [row.icao for row in rows]

    def questions(self) -> dict[str, Asked]:
        """Each builds its query anew, as a program does."""
        a = Airport
        country, zone = SELECTIVE

        def everything(make: Any) -> Asked:
            return lambda: a.find(make()).all()

        def top(code: str) -> Asked:
            return lambda: a.find(a.country == code).sort_by("-elevation").page(0, TOP)

        def count_us() -> Any:
            return a.find((a.country == "US") & (a.elevation >= US_FEET)).count()

        def others() -> Any:
            found = a.find((a.country == "US") & (a.tz != CHICAGO) & (a.tz != NEW_YORK))
            return found.page(0, LIMIT)

        def page() -> Any:
            return a.find(a.elevation >= PAGED_FEET).sort_by("elevation").page(PAGE_OFFSET, PAGE)

        def wide() -> Any:
            high = a.elevation >= HIGH_FEET
            return (a.country << list(SOME)) | high | a.name.startswith(WIDE_PREFIX)

        def rare() -> Any:
            named = a.name.startswith(RARE_PREFIX)
            return (a.country == "US") & (a.elevation >= RARE_FEET) & named

        return {
            "1": everything(lambda: (a.country == country) & (a.tz == zone)),
            "2": everything(lambda: (a.country == "FI") & (a.elevation >= FINNISH_FEET)),
            "3": everything(lambda: a.country << list(FEW)),
            "4": others,
            "5": everything(lambda: a.name.startswith(PREFIX)),
            "6": top("US"),
            "6p": top("US"),
            "6b": top("FI"),
            "7": count_us,
            "7p": count_us,
            "7b": lambda: a.find((a.country == "US") & (a.tz == CHICAGO)).count(),
            "9": page,
            "10": everything(lambda: a.country << list(MANY)),
            "11": everything(wide),
            "12": everything(rare),
        }


if __name__ == "__main__":
    serve(RedisOm())
