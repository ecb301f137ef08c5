"""What readers ask, and how an answer is judged while others write.

Records that stand still must be in every answer that they match and in no other. Those that move may be in it or
not, but what is told of them must match.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

STILL = 40
"""Records that nobody changes: ``still-0`` and so on."""

OF_EACH = 3
"""Records that one writer has for itself."""

Values = dict[str, Any]


def values(id: str, stamp: int, *, nones: bool) -> Values:
    """What a record holds after the write *stamp* of it."""
    dice = random.Random(f"{id}/{stamp}")
    return {
        "group": f"g{dice.randrange(3)}",
        "name": f"n{dice.randrange(5)}",
        "code": f"{id}/{stamp}",
        "size": None if nones and dice.random() < 0.2 else dice.randrange(10),
        "labels": {label for label in "abc" if dice.random() < 0.4},
        "stamp": stamp,
    }


def still(*, nones: bool) -> dict[str, Values]:
    """The records that stand still."""
    return {f"still-{n}": values(f"still-{n}", 0, nones=nones) for n in range(STILL)}


@dataclass(frozen=True)
class Question:
    """A query of the class, and whether values match it."""

    query: Callable[[Any], Any]
    matches: Callable[[Values], bool]

    def wrong(self, kept: dict[str, Values], rows: Iterable[Any]) -> str:
        """What is wrong with an answer, or nothing."""
        found = {row.id: {name: getattr(row, name) for name in values("", 0, nones=False)} for row in rows}
        wanted = {id for id, one in kept.items() if self.matches(one)}
        told = {id for id in found if id.startswith("still-")}
        if told != wanted:
            return f"lacks {sorted(wanted - told)}, has {sorted(told - wanted)} too many"
        strange = [id for id, one in found.items() if not self.matches(one)]
        return f"{strange} do not match" if strange else ""

    def wrong_count(self, kept: dict[str, Values], count: int, moving: int) -> str:
        """The same of a number."""
        least = sum(1 for one in kept.values() if self.matches(one))
        return "" if least <= count <= least + moving else f"{count} is not {least} to {least + moving}"


def questions(version: Any) -> dict[str, Question]:
    """What a class can be asked."""
    fields = version.fields
    found = {"group": Question(lambda item: item.group == "g1", lambda one: one["group"] == "g1")}
    if "index" in fields.get("name", {}):
        found["name"] = Question(lambda item: item.name == "n2", lambda one: one["name"] == "n2")
    if fields.get("name", {}).get("index") == "sorted":
        found["name begins"] = Question(
            lambda item: item.name.startswith("n"), lambda one: one["name"].startswith("n")
        )
    if "unique" in fields.get("code", {}):
        found["code"] = Question(
            lambda item: item.code == "still-3/0", lambda one: one["code"] == "still-3/0"
        )
    if ("group", "code") in version.unique:
        group = values("still-3", 0, nones=False)["group"]
        found["together"] = Question(
            lambda item: (item.group == group) & (item.code == "still-3/0"),
            lambda one: (one["group"], one["code"]) == (group, "still-3/0"),
        )
    if "index" in fields.get("size", {}):
        found["size"] = Question(
            lambda item: item.size.between(3, 6),
            lambda one: one["size"] is not None and 3 <= one["size"] <= 6,
        )
        if "required" not in fields["size"]:
            found["size none"] = Question(lambda item: item.size.is_none(), lambda one: one["size"] is None)
    if "index" in fields.get("labels", {}):
        found["labels"] = Question(lambda item: item.labels.has("a"), lambda one: "a" in one["labels"])
    if ("group", "size") in version.index:
        found["pair"] = Question(
            lambda item: (item.group == "g1") & (item.size >= 4),
            lambda one: one["group"] == "g1" and one["size"] is not None and one["size"] >= 4,
        )
    return found
