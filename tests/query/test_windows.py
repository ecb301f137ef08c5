"""Conditions, then the order, then how much of it; and what conditions without an index advise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import Database, NotIndexed, UsageError
from aioredisca.query.query import Query

from .support import Row, ids, rows

Shape = Callable[[Query[Row]], Query[Row]]
CUTS: list[Shape] = [
    lambda q: q.limit(3),
    lambda q: q.offset(1),
    lambda q: q[1:3],
    lambda q: q[1:],
    lambda q: q[:3],
]


@pytest.mark.parametrize("cut", CUTS)
def test_what_is_cut_is_neither_narrowed_nor_ordered(cut: Shape) -> None:
    with pytest.raises(UsageError, match=r"order_by\(\) comes before limit\(\), offset\(\) and slices"):
        cut(Row.all()).order_by(Row.size)
    with pytest.raises(UsageError, match=r"where\(\) comes before"):
        cut(Row.all()).where(Row.size > 1)


def test_a_limit_and_an_offset_are_given_once() -> None:
    for limited in (Row.all().limit(3), Row.all()[:3], Row.all()[1:3]):
        with pytest.raises(UsageError, match=r"a limit is given already: .* query\[:n\]"):
            limited.limit(2)
    for moved in (Row.all().offset(1), Row.all()[1:], Row.all()[1:3]):
        with pytest.raises(UsageError, match=r"an offset is given already: .* query\[n:\]"):
            moved.offset(1)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        (lambda q: q.limit(2).offset(1), "12"),
        (lambda q: q.offset(1).limit(2), "12"),
        (lambda q: q[1:].limit(2), "12"),
        (lambda q: q[:3].offset(1), "123"),
        (lambda q: q[1:][1:], "234"),
        (lambda q: q.offset(1)[1:], "234"),
        (lambda q: q.limit(3)[1:], "12"),
        (lambda q: q[:4][1:3][1:], "2"),
        (lambda q: q.limit(2).only(Row.size), "01"),
    ],
)
async def test_windows(db: Database, shape: Shape, found: str) -> None:
    await rows(5, size=lambda i: i)
    for query in (Row.all(), Row.all().order_by(Row.size), Row.size >= 0):
        assert "".join(id[-1] for id in ids(await shape(query))) == found


@pytest.mark.parametrize(
    ("condition", "cure"),
    [
        (
            Row.email.is_none(),
            "claims of unique values tell of no record without one: declare it with index=True",
        ),
        (Row.email.not_none(), "claims of unique values tell of no record without one"),
        (Row.email.in_(["a", None]), "claims of unique values tell of no record without one"),
        (Row.email.not_in([None]), "claims of unique values tell of no record without one"),
        (Row.note == {"a": 1}, r"fields of this kind have none; allow reading every record by \.scan\(\)"),
        (Row.note.is_none(), "fields of this kind have none"),
        (Row.tags == {"a"}, r"ask for its elements by has\(\)"),
    ],
)
async def test_what_helps_is_advised(db: Database, condition: Any, cure: str) -> None:
    await rows(2, email=lambda i: "a" if i else None)
    with pytest.raises(NotIndexed, match=cure):
        await condition
    assert len(await condition.scan()) < 3
