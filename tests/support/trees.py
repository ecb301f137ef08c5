"""Random conditions, and what they mean in plain Python: the reference that the query engine is held to."""

from __future__ import annotations

import operator
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Values = dict[str, Any]
Holds = Callable[[Values], bool]


@dataclass(frozen=True)
class Tree:
    """A condition for the library, and the same as a function of the values of a record."""

    condition: Any
    holds: Holds
    text: str


class Trees:
    """Makes conditions on a model with the fields that :data:`DOMAIN` names."""

    def __init__(self, model: Any, chance: random.Random, *, ids: int) -> None:
        self.model, self.random, self.ids = model, chance, ids

    def tree(self, depth: int) -> Tree:
        roll = self.random.random()
        if depth == 0 or roll < 0.2:
            return self.leaf()
        if roll < 0.4:
            inner = self.tree(depth - 1)
            return Tree(~inner.condition, lambda row: not inner.holds(row), f"~{inner.text}")
        join, word, every = self.random.choice([(operator.and_, "&", all), (operator.or_, "|", any)])
        parts = [self.tree(depth - 1) for _ in range(self.random.randint(2, 3))]
        condition = parts[0].condition
        for part in parts[1:]:
            condition = join(condition, part.condition)
        text = f"({f' {word} '.join(part.text for part in parts)})"
        return Tree(condition, lambda row: every(part.holds(row) for part in parts), text)

    def leaf(self) -> Tree:
        makers = [self.country, self.tag, self.number, self.ratio, self.text, self.prefix, self.unique]
        makers += [self.none, self.any_of, self.everything]
        return self.random.choice(makers)()

    def _compared(self, name: str, value: Any, word: str) -> Tree:
        def holds(row: Values) -> bool:
            held = row[name]
            return held is not None and bool(OPERATORS[word](held, value))

        column = getattr(self.model, name)
        return Tree(OPERATORS[word](column, value), holds, f"{name} {word} {value!r}")

    def _equality(self, name: str, value: Any) -> Tree:
        column = getattr(self.model, name)
        if self.random.random() < 0.3:
            return Tree(column != value, lambda row: row[name] != value, f"{name} != {value!r}")
        return Tree(column == value, lambda row: row[name] == value, f"{name} == {value!r}")

    def country(self) -> Tree:
        return self._equality("country", self.random.choice(COUNTRIES))

    def unique(self) -> Tree:
        return self._equality("code", f"c{self.random.randrange(self.ids + 3)}")

    def number(self) -> Tree:
        if self.random.random() < 0.3:
            return self._equality("height", self.random.choice(HEIGHTS))
        if self.random.random() < 0.3:
            low, high = sorted(self.random.choices(HEIGHTS, k=2))
            return Tree(
                self.model.height.between(low, high),
                lambda row: row["height"] is not None and low <= row["height"] <= high,
                f"{low} <= height <= {high}",
            )
        return self._compared("height", self.random.choice(HEIGHTS), self.random.choice(list(OPERATORS)))

    def ratio(self) -> Tree:
        return self._compared("ratio", self.random.choice(RATIOS), self.random.choice(list(OPERATORS)))

    def text(self) -> Tree:
        if self.random.random() < 0.3:
            return self._equality("name", self.random.choice(NAMES))
        return self._compared("name", self.random.choice(NAMES), self.random.choice(list(OPERATORS)))

    def prefix(self) -> Tree:
        prefix = self.random.choice(PREFIXES)
        return Tree(
            self.model.name.startswith(prefix),
            lambda row: row["name"] is not None and row["name"].startswith(prefix),
            f"name starts with {prefix!r}",
        )

    def tag(self) -> Tree:
        some = self.random.sample(TAGS, self.random.randint(1, 3))
        kind = self.random.choice(["has", "has_all", "has_any"])
        asked = some[0] if kind == "has" else some
        every = any if kind == "has_any" else all
        wanted = some[:1] if kind == "has" else some
        return Tree(
            getattr(self.model.tags, kind)(asked),
            lambda row: row["tags"] is not None and every(tag in row["tags"] for tag in wanted),
            f"tags {kind} {asked!r}",
        )

    def none(self) -> Tree:
        name = self.random.choice(["country", "height", "name", "tags"])
        column = getattr(self.model, name)
        if self.random.random() < 0.5:
            return Tree(column.is_none(), lambda row: row[name] is None, f"{name} is None")
        return Tree(column.not_none(), lambda row: row[name] is not None, f"{name} is not None")

    def any_of(self) -> Tree:
        domains: list[tuple[str, list[Any]]] = [("country", COUNTRIES), ("height", HEIGHTS), ("name", NAMES)]
        name, domain = self.random.choice(domains)
        some = [*self.random.sample(domain, self.random.randint(0, 4)), *self.random.choice([[], [None]])]
        column = getattr(self.model, name)
        if self.random.random() < 0.3:
            return Tree(column.not_in(some), lambda row: row[name] not in some, f"{name} not in {some!r}")
        return Tree(column.in_(some), lambda row: row[name] in some, f"{name} in {some!r}")

    def everything(self) -> Tree:
        return Tree(self.model.all(), lambda row: True, "all")


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}
COUNTRIES = ["FI", "US", "BR", "", "a|b", "Ä", "x" * 500, "nowhere"]
HEIGHTS = [-5, 0, 1, 2, 3, 10, 100, 2**53]
RATIOS = [-1.5, 0.0, 0.1, 1e300, 0.30000000000000004]
NAMES = [
    "",
    "A",
    "Aa",
    "A\x00b",
    "A\x01",
    "A\x01b",
    "A\x02",
    "B",
    "Ä",
    "Äb",
    "\U0001f600",
    "La Paz",
    "~",
    "z" * 300,
]
PREFIXES = ["", "A", "A\x00", "A\x01", "Ä", "\U0001f600", "La", "Q"]
TAGS = ["red", "blue", "a|b", "ä", '"', "\\", "\x00"]


def random_values(chance: random.Random, number: int) -> Values:
    """The values of one record, some of them missing."""

    def maybe(value: Any, likely: float = 0.85) -> Any:
        return value if chance.random() < likely else None

    return {
        "code": maybe(f"c{number}"),
        "country": maybe(chance.choice(COUNTRIES[:-1])),
        "height": maybe(chance.choice(HEIGHTS)),
        "ratio": maybe(chance.choice(RATIOS)),
        "name": maybe(chance.choice(NAMES)),
        "tags": maybe(set(chance.sample(TAGS, chance.randint(0, 3)))),
        "plain": maybe(chance.choice("abc")),
    }


def ordered(rows: dict[str, Values], by: list[tuple[str, bool]]) -> list[str]:
    """The ids of *rows* by fields, (name, descending): None last, ties by id in the last direction."""
    ids = sorted(rows, key=str.encode, reverse=bool(by) and by[-1][1])
    for name, descending in reversed(by):
        held = [id for id in ids if rows[id][name] is not None]
        held.sort(key=lambda id: _key(rows[id][name]), reverse=descending)
        ids = held + [id for id in ids if rows[id][name] is None]
    return ids


def _key(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
