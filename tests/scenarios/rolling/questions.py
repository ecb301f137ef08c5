"""What readers ask, and how an answer is judged while others write.

Records that nobody changes any more must be in every answer that they match and in no other: those that stood still
all the time, and those that a writer has settled, of which it told the others. Those that move may be in it or not,
but what is told of them must match.
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
        """What is wrong with an answer, or nothing. *kept* are the records that nobody changes any more."""
        found = {row.id: {name: getattr(row, name) for name in values("", 0, nones=False)} for row in rows}
        wanted = {id for id, one in kept.items() if self.matches(one)}
        lacks, strange = wanted - found.keys(), [id for id, one in found.items() if not self.matches(one)]
        texts = [f"lacks {sorted(lacks)}"] if lacks else []
        return ", ".join([*texts, f"{strange} do not match"] if strange else texts)

    def wrong_count(self, kept: dict[str, Values], count: int, others: int) -> str:
        """The same of a number, where there are so many *others* at most."""
        least = sum(1 for one in kept.values() if self.matches(one))
        return "" if least <= count <= least + others else f"{count} is not {least} to {least + others}"


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
