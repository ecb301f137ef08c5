"""Raw FT.SEARCH through redis.asyncio: each row becomes a dict of str, int and float values.

RESP2 with decode_responses, as the reply is then a flat list of texts. Prefixes are asked of TAG fields with
CASESENSITIVE, which are exact; DIALECT 2.
"""

from __future__ import annotations

import sys
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

EVERYTHING = 100_000


def _tag(text: str) -> str:
    return "".join(c if c.isalnum() or ord(c) > 127 else f"\\{c}" for c in text)


class Search(Contender):
    packages = ("redis", "hiredis")

    def __init__(self, url: str) -> None:
        self.client = Redis.from_url(url, protocol=2, decode_responses=True)

    async def load(self) -> None:
        exact = ("TAG", "CASESENSITIVE")
        await self.client.execute_command(
            *("FT.CREATE", "ft", "ON", "HASH", "PREFIX", 1, "ft:", "SCHEMA"),
            *("icao", *exact, "name", *exact, "country", *exact, "tz", *exact),
            *("elevation", "NUMERIC", "INDEXMISSING", "SORTABLE"),
        )
        everything = airports()
        for first in range(0, len(everything), 1000):
            async with self.client.pipeline(transaction=False) as pipe:
                for one in everything[first : first + 1000]:
                    held = {name: value for name, value in one.items() if value is not None}
                    pipe.hset(f"ft:{one['icao']}", mapping=held)
                await pipe.execute()

    def codes(self, rows: Any) -> list[str]:
        return [row["icao"] for row in rows]

    async def rows(self, query: str, *options: Any, limit: tuple[int, int] = (0, EVERYTHING)) -> Any:
        reply = await self.client.execute_command(
            *("FT.SEARCH", "ft", query, "RETURN", len(FIELDS), *FIELDS),
            *(*options, "LIMIT", *limit, "DIALECT", 2),
        )
        return [self._row(flat) for flat in reply[2::2]]

    @staticmethod
    def _row(flat: list[str]) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(FIELDS)
        for i in range(0, len(flat), 2):
            name = flat[i]
            row[name] = READ[name](flat[i + 1]) if name in READ else flat[i + 1]
        return row

    async def count(self, query: str) -> int:
        reply = await self.client.execute_command("FT.SEARCH", "ft", query, "LIMIT", 0, 0, "DIALECT", 2)
        return int(reply[0])

    def questions(self) -> dict[str, Asked]:
        country, zone = SELECTIVE
        us, chicago = "@country:{US}", f"@tz:{{{_tag(CHICAGO)}}}"
        top_us = self._asked(us, "SORTBY", "elevation", "DESC", limit=(0, TOP))
        count_us = self._counted(f"{us} @elevation:[{US_FEET} +inf]")
        others = f"-@tz:{{{_tag(CHICAGO)}}} -@tz:{{{_tag(NEW_YORK)}}}"
        wide = f"@country:{{{'|'.join(SOME)}}} | @elevation:[{HIGH_FEET} +inf] | @name:{{{WIDE_PREFIX}*}}"
        return {
            "1": self._asked(f"@country:{{{country}}} @tz:{{{_tag(zone)}}}"),
            "2": self._asked(f"@country:{{FI}} @elevation:[{FINNISH_FEET} +inf]"),
            "3": self._asked(f"@country:{{{'|'.join(FEW)}}}"),
            "4": self._asked(f"{us} {others}", limit=(0, LIMIT)),
            "5": self._asked(f"@name:{{{PREFIX}*}}"),
            "6": top_us,
            "6p": top_us,
            "6b": self._asked("@country:{FI}", "SORTBY", "elevation", "DESC", limit=(0, TOP)),
            "7": count_us,
            "7p": count_us,
            "7b": self._counted(f"{us} {chicago}"),
            "8": self._asked(f"{us} ismissing(@elevation)"),
            "9": self._asked(
                f"@elevation:[{PAGED_FEET} +inf]", "SORTBY", "elevation", "ASC", limit=(PAGE_OFFSET, PAGE)
            ),
            "10": self._asked(f"@country:{{{'|'.join(MANY)}}}"),
            "11": self._asked(wide),
            "12": self._asked(f"{us} @elevation:[{RARE_FEET} +inf] @name:{{{RARE_PREFIX}*}}"),
        }

    def _asked(self, query: str, *options: Any, limit: tuple[int, int] = (0, EVERYTHING)) -> Asked:
        return lambda: self.rows(query, *options, limit=limit)

    def _counted(self, query: str) -> Asked:
        return lambda: self.count(query)


if __name__ == "__main__":
    serve(Search(sys.argv[1]))
