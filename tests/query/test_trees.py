"""Random trees of conditions against brute force in Python: objects, ids, counts, orders, pages, cursors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from aioredisca import Database, Float, Integer, Model, String, Tags, conf
from aioredisca.drivers.run import run

from ..support.drift import drift
from ..support.trees import Tree, Trees, Values, ordered, random_values

FEW, RECORDS = 150, 400


@conf(unique=[("country", "code")], index=[("country", "height")])
class Place(Model):
    code = String(unique=True)
    country = String(index=True)
    height = Integer(index=True)
    ratio = Float(index=True)
    name = String(index="sorted")
    tags = Tags(index=True)
    plain = String()
    mark = String()  # that none has


@conf(partitions=4)
class Spread(Place):
    """The same in a few partitions, which are asked for all that is wanted."""


@conf(partitions=32)
class Strewn(Place):
    """The same in many, which are asked for their share of it."""


ORDERS: list[list[tuple[str, bool]]] = [
    [],
    [("height", False)],
    [("height", True)],
    [("name", False)],
    [("name", True)],
    [("plain", False)],
    [("country", True), ("name", False)],
    [("height", True), ("plain", True)],
    [("plain", False), ("height", True)],
]


def columns(model: Any, by: list[tuple[str, bool]]) -> list[Any]:
    return [getattr(model, name).desc() if falling else getattr(model, name) for name, falling in by]


async def fill(count: int, seed: int = 7, model: Any = Place) -> dict[str, Values]:
    chance = random.Random(seed)
    rows = {f"{number:04}": random_values(chance, number) for number in range(count)}
    await model.save_many([model.new(id, **values) for id, values in rows.items()])
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("model", [Place, Spread, Strewn])
def test_random_trees_find_what_brute_force_finds(
    db: Database, backend: str, driver: str, full: bool, model: Any
) -> None:
    """Each tree is drawn by Hypothesis, so that one which fails is made as small as it can be.

    Most of them on a real server under asyncio: what is asked is the same everywhere.
    """
    examples = 25 if backend == "memory" else 60 if driver == "blocking" else 200
    examples = examples if model is Place else examples // 3
    with asyncio.Runner() as loop:
        do: Callable[[Any], Any] = run if driver == "blocking" else loop.run
        rows = do(fill(FEW, model=model))

        @settings(
            max_examples=3000 if full else examples,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(chance=st.randoms(use_true_random=False), by=st.sampled_from(ORDERS))
        def check(chance: random.Random, by: list[tuple[str, bool]]) -> None:
            do(_agrees(model, rows, Trees(model, chance, ids=len(rows)).tree(4), by, chance))

        check()
    assert drift(db.sync_client, [model]) == []


async def _agrees(
    model: Any, rows: dict[str, Values], tree: Tree, by: list[tuple[str, bool]], chance: random.Random
) -> None:
    """Every verb that finds or counts gives what *tree* holds for, in the order *by*."""
    expected = ordered({id: row for id, row in rows.items() if tree.holds(row)}, by)
    query = model.where(tree.condition).order_by(*columns(model, by))
    note(f"{tree.text} by {by}")
    found = await query
    if not by:  # one range alone comes in its own order, which pages and slices must keep to
        assert sorted(place.id for place in found) == expected
        expected = [place.id for place in found]
    assert [place.id for place in found] == expected
    assert all(place.export() == _held(rows[place.id]) for place in found)
    assert await query.ids() == expected
    assert await query.count() == len(expected)
    assert await query.exists() == bool(expected)
    start, size = chance.randrange(30), chance.randrange(1, 40)
    assert await query[start : start + size].ids() == expected[start : start + size], (start, size)
    assert await query[start : start + size].count() == len(expected[start : start + size])
    if chance.randrange(3) == 0:  # chosen by the server, and judged there
        changed = await query.limit(size).update(mark=None, returning=True)
        assert [place.id for place in changed] == expected[:size], size
        assert all(place.export() == _held(rows[place.id]) for place in changed)
    if chance.randrange(4) == 0:
        size = chance.randrange(5, 60)
        assert await to_the_end(query, size) == expected, f"pages of {size}"
        first = await query.first()
        assert (first.id if first else None) == (expected[0] if expected else None)
        streamed = [place.id async for place in query]
        assert (streamed if by else sorted(streamed)) == (expected if by else sorted(expected))


def _held(values: Values) -> Values:
    return {name: value for name, value in values.items() if value is not None}


async def to_the_end(query: Any, size: int, pause: Callable[[], Awaitable[None]] | None = None) -> list[str]:
    """The ids of all pages of *query*, by their cursors."""
    found, cursor = list[str](), None
    while True:
        if pause is not None:
            await pause()
        page = await query.page(size, after=cursor)
        found += [record.id for record in page]
        assert len(page) <= size
        if page.next is None:
            return found
        cursor = page.next


BIG = 6000
"""More than one step examines, so that walks, counts and sorts go on by cursors."""


@pytest.mark.slow
async def test_trees_over_many_records_go_on_by_cursors(
    db: Database, backend: str, driver: str, full: bool
) -> None:
    """Each order once; on a real server under asyncio twice, with other trees."""
    count = 2500 if backend == "memory" else BIG
    rows = await fill(count)
    trees = Trees(Place, random.Random(3), ids=count)
    chance = random.Random(4)
    rounds = 1 if backend == "memory" or driver == "blocking" else 2
    for number in range(200 if full else rounds * len(ORDERS)):
        tree = trees.tree(3)
        by = ORDERS[number % len(ORDERS)]
        expected = ordered({id: row for id, row in rows.items() if tree.holds(row)}, by)
        query = Place.where(tree.condition).order_by(*columns(Place, by))
        if not by:
            found = await query.ids()
            assert sorted(found) == expected, tree.text
            expected = found
        assert await query.ids() == expected, tree.text
        assert await query.count() == len(expected), tree.text
        start, size = chance.randrange(len(expected) + 1), chance.choice([1, 20, 500, 1500])
        part = await query[start : start + size].ids()
        assert part == expected[start : start + size], (tree.text, by, start, size)
        if number % 3 == 0:
            assert await to_the_end(query, 999) == expected, (tree.text, by)
            assert sorted([place.id async for place in query]) == sorted(expected), tree.text


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_beside_writers_every_row_met_the_condition_and_pages_miss_nothing(
    db: Database, backend: str, full: bool
) -> None:
    """Writers change every fourth record; the others must come exactly once, in order."""
    count = 5 if backend == "memory" else 20
    rows = await fill(RECORDS)
    touched = {id for id in rows if int(id) % 4 == 0}
    stop = asyncio.Event()

    async def write(worker: int) -> int:
        chance, done = random.Random(worker), 0
        mine = [id for id in touched if int(id) // 4 % count == worker]
        while not stop.is_set():
            place = Place(chance.choice(mine))
            for name, value in random_values(chance, int(place.id)).items():
                if name != "code":
                    setattr(place, name, value)
            await place.save()
            done += 1
            await asyncio.sleep(0)
        return done

    writers = [asyncio.create_task(write(worker)) for worker in range(count)]
    try:
        trees = Trees(Place, random.Random(5), ids=RECORDS)
        for number in range(6 if backend == "memory" else 120 if full else 24):
            tree = trees.tree(3)
            by = ORDERS[number % 5]
            still = ordered(
                {id: row for id, row in rows.items() if id not in touched and tree.holds(row)}, by
            )
            query = Place.where(tree.condition).order_by(*columns(Place, by))
            for place in await query:
                assert tree.holds(values_of(place)), tree.text
            everything = await to_the_end(query, 17, pause=lambda: asyncio.sleep(0.001))
            pages = [id for id in everything if id not in touched]
            assert (pages if by else sorted(pages)) == still, (tree.text, by)
    finally:
        stop.set()
        written = await asyncio.gather(*writers)
    assert min(written) > 0
    assert drift(db.sync_client, [Place]) == []


def values_of(place: Place) -> Values:
    return place.export(keep_none=True)


def test_the_reference_itself_can_tell_right_from_wrong() -> None:
    """Control: trees and orders differ where they should, so that equality above means something."""
    rows = {f"{n:04}": random_values(random.Random(n), n) for n in range(100)}
    trees = Trees(Place, random.Random(1), ids=100)
    some = [trees.tree(4) for _ in range(50)]
    sizes = {len([row for row in rows.values() if tree.holds(row)]) for tree in some}
    assert len(sizes) > 10
    assert len({tuple(ordered(rows, by)) for by in ORDERS}) == len(ORDERS)
