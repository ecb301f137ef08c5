"""The airports of the world, what is asked about them, and the right answers by brute force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import airportsdata

FIELDS = ("icao", "name", "city", "country", "tz", "elevation", "lat", "lon")
READ: dict[str, Any] = {"elevation": int, "lat": float, "lon": float}
"""How the texts of a hash become values; the others are text."""

SELECTIVE = ("US", "America/Phoenix")
CHICAGO, NEW_YORK = "America/Chicago", "America/New_York"
FEW = ("FI", "NO", "PL", "CZ", "TR")
MANY = ("FI", "NO", "PL", "CZ", "TR", "PH", "MY", "ZW", "SE", "IT")
SOME = ("CD", "CN")
FINNISH_FEET, US_FEET, PAGED_FEET, HIGH_FEET = 400, 890, 99, 10_000
PREFIX, WIDE_PREFIX, RARE_PREFIX = "Bro", "Lan", "La"
RARE_FEET = 4000
TOP, PAGE, PAGE_OFFSET, LIMIT = 20, 20, 980, 100

Airport = dict[str, Any]


def airports() -> list[Airport]:
    """All airports; an elevation of 0 stands for one that is not known, and so does an empty city."""
    return [
        {
            "icao": one["icao"],
            "name": one["name"],
            "city": one["city"] or None,
            "country": one["country"],
            "tz": one["tz"],
            "elevation": round(one["elevation"]) or None,
            "lat": one["lat"],
            "lon": one["lon"],
        }
        for one in airportsdata.load().values()
    ]


@dataclass(frozen=True)
class Question:
    """One query: its text, its condition in plain Python, and the part of its matches that is asked for."""

    text: str
    holds: Callable[[Airport], bool]
    count: bool = False
    descending: bool | None = None
    """The direction of an order by elevation; None: no order is asked for."""

    offset: int = 0
    limit: int | None = None


def _feet(one: Airport, least: int) -> bool:
    return one["elevation"] is not None and one["elevation"] >= least


def _wide_or(one: Airport) -> bool:
    return one["country"] in SOME or _feet(one, HIGH_FEET) or one["name"].startswith(WIDE_PREFIX)


def _us(one: Airport) -> bool:
    return bool(one["country"] == "US")


TOP_US = Question("top 20 by elevation in US", _us, descending=True, limit=TOP)
COUNT_US = Question(f"count US & elevation >= {US_FEET}", lambda a: _us(a) and _feet(a, US_FEET), count=True)

QUESTIONS = {
    "1": Question("US & tz Phoenix", lambda a: (a["country"], a["tz"]) == SELECTIVE),
    "2": Question(
        f"FI & elevation >= {FINNISH_FEET}", lambda a: a["country"] == "FI" and _feet(a, FINNISH_FEET)
    ),
    "3": Question("in 5 countries", lambda a: a["country"] in FEW),
    "4": Question(
        "US & not Chicago & not New York, 100 of them",
        lambda a: _us(a) and a["tz"] not in (CHICAGO, NEW_YORK),
        limit=LIMIT,
    ),
    "5": Question(f"name starts with {PREFIX}", lambda a: a["name"].startswith(PREFIX)),
    "6": TOP_US,
    "6p": TOP_US,
    "6b": Question("top 20 by elevation in FI", lambda a: a["country"] == "FI", descending=True, limit=TOP),
    "7": COUNT_US,
    "7p": COUNT_US,
    "7b": Question("count US & tz Chicago", lambda a: _us(a) and a["tz"] == CHICAGO, count=True),
    "8": Question("US & elevation not known", lambda a: _us(a) and a["elevation"] is None),
    "9": Question(
        f"page 50 by elevation >= {PAGED_FEET}",
        lambda a: _feet(a, PAGED_FEET),
        descending=False,
        offset=PAGE_OFFSET,
        limit=PAGE,
    ),
    "10": Question("in 10 countries", lambda a: a["country"] in MANY),
    "11": Question(f"in 2 countries or elevation >= {HIGH_FEET} or name starts with {WIDE_PREFIX}", _wide_or),
    "12": Question(
        f"US & elevation >= {RARE_FEET} & name starts with {RARE_PREFIX}",
        lambda a: _us(a) and _feet(a, RARE_FEET) and a["name"].startswith(RARE_PREFIX),
    ),
}


def matches(question: Question, all_airports: list[Airport]) -> int:
    """How many airports meet the condition."""
    return sum(map(question.holds, all_airports))


def wrong(question: Question, answer: Any, all_airports: list[Airport]) -> str:
    """What is wrong with an answer, a number or a list of icao codes; empty where it is right."""
    by_code = {one["icao"]: one for one in all_airports}
    total = matches(question, all_airports)
    if question.count:
        return "" if answer == total else f"{answer} counted, not {total}"
    found = [by_code[code] for code in answer]
    size = max(0, total - question.offset)
    size = size if question.limit is None else min(size, question.limit)
    if len(found) != size or len(set(answer)) != size:
        return f"{len(set(answer))} rows, not {size}"
    if bad := [one["icao"] for one in found if not question.holds(one)]:
        return f"{len(bad)} rows that do not match, {bad[0]} among them"
    if question.descending is None:
        return ""
    feet = [one["elevation"] for one in all_airports if question.holds(one) and one["elevation"] is not None]
    feet.sort(reverse=question.descending)
    wanted = feet[question.offset : question.offset + size]
    return "" if [one["elevation"] for one in found] == wanted else "the order is wrong"
