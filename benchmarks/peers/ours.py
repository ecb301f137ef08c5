"""aioredisca: loaded records, as ``await query`` yields them; with ``read`` also every field of each."""

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
    SELECTIVE,
    SOME,
    TOP,
    US_FEET,
    WIDE_PREFIX,
    airports,
)
from serving import Asked, Contender, serve

from aioredisca import Database, Float, Integer, Model, String, conf


class Fields:
    """The fields of both models."""

    icao = String(unique=True, required=True)
    name = String(index="sorted", required=True)
    city = String()
    country = String(index=True)
    tz = String(index=True)
    elevation = Integer(index=True)
    lat = Float()
    lon = Float()


@conf(prefix="airport", index=[("country", "elevation")])
class Airport(Fields, Model):
    """With an index over two fields."""


@conf(prefix="plain")
class Plain(Fields, Model):
    """Without one."""


def _all_read(rows: list[Any]) -> list[Any]:
    for row in rows:
        for name in FIELDS:
            getattr(row, name)
    return rows


class Ours(Contender):
    packages = ("aioredisca", "redis", "hiredis")

    def __init__(self, read: bool) -> None:
        self.read = read

    async def load(self) -> None:
        for model in (Airport, Plain):
            await model.save_many([model.new(one["icao"], **one) for one in airports()])

    def codes(self, rows: Any) -> list[str]:
        return [row.icao for row in rows]

    def questions(self) -> dict[str, Asked]:
        asked = _questions()
        if not self.read:
            return asked
        return {name: self._reading(one) for name, one in asked.items()}

    @staticmethod
    def _reading(asked: Asked) -> Asked:
        async def read() -> Any:
            found = await asked()
            return found if isinstance(found, int) else _all_read(found)

        return read


def _questions() -> dict[str, Asked]:
    """Each builds its query anew, as a program does."""
    a = Airport
    country, zone = SELECTIVE

    def rows(make: Any) -> Asked:
        async def ask() -> Any:
            return await make()

        return ask

    def count(make: Any) -> Asked:
        return lambda: make().count()

    def top(model: Any, code: str) -> Any:
        return model.where(model.country == code).order_by(model.elevation.desc()).limit(TOP)

    def high_in_us(model: Any) -> Any:
        return (model.country == "US") & (model.elevation >= US_FEET)

    def page() -> Any:
        found = a.where(a.elevation >= PAGED_FEET).order_by(a.elevation)
        return found.offset(PAGE_OFFSET).limit(PAGE)

    def others() -> Any:
        return ((a.country == "US") & (a.tz != CHICAGO) & (a.tz != NEW_YORK)).limit(LIMIT)

    def wide() -> Any:
        return a.country.in_(SOME) | (a.elevation >= HIGH_FEET) | a.name.startswith(WIDE_PREFIX)

    def rare() -> Any:
        return (a.country == "US") & (a.elevation >= RARE_FEET) & a.name.startswith(RARE_PREFIX)

    return {
        "1": rows(lambda: (a.country == country) & (a.tz == zone)),
        "2": rows(lambda: (a.country == "FI") & (a.elevation >= FINNISH_FEET)),
        "3": rows(lambda: a.country.in_(FEW)),
        "4": rows(others),
        "5": rows(lambda: a.name.startswith(PREFIX)),
        "6": rows(lambda: top(Airport, "US")),
        "6p": rows(lambda: top(Plain, "US")),
        "6b": rows(lambda: top(Airport, "FI")),
        "7": count(lambda: high_in_us(Airport)),
        "7p": count(lambda: high_in_us(Plain)),
        "7b": count(lambda: (a.country == "US") & (a.tz == CHICAGO)),
        "8": rows(lambda: (a.country == "US") & a.elevation.is_none()),
        "9": rows(page),
        "10": rows(lambda: a.country.in_(MANY)),
        "11": rows(wide),
        "12": rows(rare),
    }


if __name__ == "__main__":
    conf.db = Database(sys.argv[1])
    serve(Ours(read="read" in sys.argv[2:]))
