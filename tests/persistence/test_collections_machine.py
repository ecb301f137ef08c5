"""State machines of every collection, against Python's list, set, dict and int, while their record comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from aioredisca import Counter, Database, Gone, HashOf, Integer, ListOf, Model, SetOf, SortedSet, String, conf
from aioredisca.drivers.run import run

from ..support.drift import drift
from ..support.servers import Server

MOST = 4

numbers = st.integers(0, 4)
many = st.lists(numbers, min_size=1, max_size=6)
places = st.integers(-7, 7)
lists = st.sampled_from(["loose", "recent"])
sets = st.sampled_from(["left", "right"])
words = st.sampled_from("abcde")
scores = st.sampled_from([-1.5, 0.0, 0.1, 1.0, 2.0])


class Shelf(Model):
    loose = ListOf(Integer())
    recent = ListOf(Integer(), maxlen=MOST)
    left = SetOf(Integer())
    right = SetOf(Integer())
    board = SortedSet(String())
    prices = HashOf(Integer())
    visits = Counter()


@conf(ttl=3600)
class EndingShelf(Shelf):
    """One whose record may be over, and what it held still be there."""


class Machine(RuleBasedStateMachine):
    """One record; ``held`` is what its collections must hold, None while there is no record."""

    url: ClassVar[str]
    driver: ClassVar[str]
    kind: ClassVar[type[Shelf]]

    @initialize()
    def start(self) -> None:
        self.database = Database(self.url)
        self.raw = self.database.sync_client
        self.raw.flushall()
        self.before, conf.db = conf._db, self.database
        self.runner = asyncio.Runner() if self.driver == "asyncio" else None
        self.shelf: Any = self.kind("1")
        self.held: dict[str, Any] | None = None
        self.it_comes()

    def teardown(self) -> None:
        if self.runner is not None:
            self.runner.close()
        conf._db = self.before
        self.raw.connection_pool.disconnect()
        self.database.close()

    def do(self, operation: Coroutine[Any, Any, Any]) -> Any:
        return run(operation) if self.runner is None else self.runner.run(operation)

    def changed(self, verb: Callable[[], Coroutine[Any, Any, Any]], model: Callable[[Any], Any]) -> None:
        """What *verb* answers is what *model* makes of what is held; Gone without a record."""
        if self.held is None:
            with pytest.raises(Gone):
                self.do(verb())
        else:
            assert self.do(verb()) == model(self.held)
        self.agrees()

    # -- the record --------------------------------------------------------------------------------

    @rule()
    def it_comes(self) -> None:
        if self.held is None:
            self.do(self.kind.new("1").save())
            self.held = {"loose": [], "recent": [], "left": set(), "right": set(), "board": {}, "prices": {}}
            self.held["visits"] = 0
        self.agrees()

    @rule()
    def it_goes(self) -> None:
        self.do(self.shelf.delete())
        self.held = None
        self.agrees()
        assert drift(self.raw, [self.kind]) == []

    @rule()
    def it_ends(self) -> None:
        """Nothing that the library does takes away what is left."""
        if self.kind is EndingShelf and self.held is not None:
            assert self.raw.pexpireat(self.shelf.getkey(), 1)
            self.held = None
        self.agrees()

    # -- lists -------------------------------------------------------------------------------------

    @rule(name=lists, values=many)
    def append(self, name: str, values: list[int]) -> None:
        self.changed(lambda: getattr(self.shelf, name).append(*values), added(name, values, last=True))

    @rule(name=lists, values=many)
    def prepend(self, name: str, values: list[int]) -> None:
        self.changed(lambda: getattr(self.shelf, name).prepend(*values), added(name, values, last=False))

    @rule(name=lists, values=many, unique=st.booleans())
    def push(self, name: str, values: list[int], unique: bool) -> None:
        def model(held: Any) -> int:
            for value in values:
                if unique:
                    held[name] = [one for one in held[name] if one != value]
                held[name] = [value, *held[name]]
            held[name] = bounded(name, held[name], last=False)
            return len(held[name])

        self.changed(lambda: getattr(self.shelf, name).push(*values, unique=unique), model)

    @rule(name=lists, value=numbers, beside=numbers, before=st.booleans())
    def insert(self, name: str, value: int, beside: int, before: bool) -> None:
        def model(held: Any) -> int | None:
            if beside not in held[name]:
                return None
            held[name].insert(held[name].index(beside) + (not before), value)
            held[name] = bounded(name, held[name], last=not before)
            assert value in held[name]
            return len(held[name])

        where = {"before": beside} if before else {"after": beside}
        self.changed(lambda: getattr(self.shelf, name).insert(value, **where), model)

    @rule(name=lists, place=places, value=numbers)
    def set_a_place(self, name: str, place: int, value: int) -> None:
        def model(held: Any) -> bool:
            try:
                held[name][place] = value
            except IndexError:
                return False
            return True

        self.changed(lambda: getattr(self.shelf, name).set(place, value), model)

    @rule(name=lists, values=st.lists(numbers, max_size=6))
    def replace(self, name: str, values: list[int]) -> None:
        def model(held: Any) -> int:
            held[name] = bounded(name, [*values], last=True)
            return len(held[name])

        self.changed(lambda: getattr(self.shelf, name).replace(*values), model)

    @rule(name=lists, verb=st.sampled_from(["pop", "pop_first", "wait_pop", "wait_pop_first"]))
    def pop(self, name: str, verb: str) -> None:
        given = (0,) if "wait" in verb else ()

        def model(held: Any) -> int | None:
            return held[name].pop(0 if "first" in verb else -1) if held[name] else None

        self.changed(lambda: getattr(getattr(self.shelf, name), verb)(*given), model)

    @rule(name=lists, value=numbers)
    def remove(self, name: str, value: int) -> None:
        def model(held: Any) -> int:
            there = len(held[name])
            held[name] = [one for one in held[name] if one != value]
            return there - len(held[name])

        self.changed(lambda: getattr(self.shelf, name).remove(value), model)

    @rule(name=lists, start=places, stop=places)
    def trim(self, name: str, start: int, stop: int) -> None:
        def model(held: Any) -> None:
            held[name] = cut(held[name], start, stop)

        self.changed(lambda: getattr(self.shelf, name).trim(start, stop), model)

    # -- sets --------------------------------------------------------------------------------------

    @rule(name=sets, values=many)
    def add(self, name: str, values: list[int]) -> None:
        def model(held: Any) -> int:
            new = {*values} - held[name]
            held[name] |= new
            return len(new)

        self.changed(lambda: getattr(self.shelf, name).add(*values), model)

    @rule(name=sets, values=many)
    def discard(self, name: str, values: list[int]) -> None:
        def model(held: Any) -> int:
            gone = {*values} & held[name]
            held[name] -= gone
            return len(gone)

        self.changed(lambda: getattr(self.shelf, name).discard(*values), model)

    @rule(name=sets)
    def pop_any(self, name: str) -> None:
        if self.held is None:
            return
        popped = self.do(getattr(self.shelf, name).pop())
        assert popped in self.held[name] or (popped is None and not self.held[name])
        self.held[name] -= {popped}
        self.agrees()

    # -- the sorted set ----------------------------------------------------------------------------

    @rule(values=st.dictionaries(words, scores, min_size=1))
    def score(self, values: dict[str, float]) -> None:
        def model(held: Any) -> int:
            new = values.keys() - held["board"].keys()
            held["board"].update(values)
            return len(new)

        self.changed(lambda: self.shelf.board.update(values), model)

    @rule(value=words, by=scores)
    def incr_a_score(self, value: str, by: float) -> None:
        def model(held: Any) -> float:
            held["board"][value] = held["board"].get(value, 0.0) + by
            return float(held["board"][value])

        self.changed(lambda: self.shelf.board.incr(value, by), model)

    @rule(count=st.integers(1, 3), highest=st.booleans())
    def pop_scores(self, count: int, highest: bool) -> None:
        def model(held: Any) -> Any:
            popped = ranked(held["board"])[:count] if highest else ranked(held["board"])[::-1][:count]
            for value, _ in popped:
                del held["board"][value]
            return popped

        board = self.shelf.board
        self.changed(lambda: board.pop_max(count) if highest else board.pop_min(count), model)

    @rule(start=places, stop=places)
    def trim_ranks(self, start: int, stop: int) -> None:
        if not start < 0 <= stop:
            self.changed(
                lambda: self.shelf.board.trim_by_rank(start, stop),
                lambda held: kept(held, cut(ranked(held["board"]), start, stop)),
            )

    @rule(low=scores, high=scores)
    def trim_scores(self, low: float, high: float) -> None:
        self.changed(
            lambda: self.shelf.board.trim_by_score(low, high),
            lambda held: kept(held, [pair for pair in held["board"].items() if low <= pair[1] <= high]),
        )

    @rule(low=scores, high=scores, limit=st.none() | st.integers(1, 3), reverse=st.booleans())
    def ranges(self, low: float, high: float, limit: int | None, reverse: bool) -> None:
        board = self.shelf.board
        within = [pair for pair in ranked((self.held or {}).get("board", {})) if low <= pair[1] <= high]
        wanted = (within if reverse else within[::-1])[:limit]
        assert self.do(board.between(low, high, limit=limit, reverse=reverse)) == wanted
        assert self.do(board.count(low, high)) == len(within)

    # -- the hash and the counter ------------------------------------------------------------------

    @rule(values=st.dictionaries(words, numbers, min_size=1))
    def price(self, values: dict[str, int]) -> None:
        def model(held: Any) -> int:
            new = values.keys() - held["prices"].keys()
            held["prices"].update(values)
            return len(new)

        self.changed(lambda: self.shelf.prices.update(values), model)

    @rule(name=words, value=numbers, first=st.booleans())
    def price_one(self, name: str, value: int, first: bool) -> None:
        def model(held: Any) -> bool:
            new = name not in held["prices"]
            if new or not first:
                held["prices"][name] = value
            return new

        prices = self.shelf.prices
        self.changed(lambda: prices.add(name, value) if first else prices.set(name, value), model)

    @rule(name=words, by=st.integers(-(2**55), 2**55))
    def incr_a_price(self, name: str, by: int) -> None:
        def model(held: Any) -> Any:
            held["prices"][name] = held["prices"].get(name, 0) + by
            return held["prices"][name]

        self.changed(lambda: self.shelf.prices.incr(name, by), model)

    @rule(name=words)
    def pop_a_price(self, name: str) -> None:
        self.changed(lambda: self.shelf.prices.pop(name), lambda held: held["prices"].pop(name, None))

    @rule(by=st.integers(-(2**55), 2**55))
    def count(self, by: int) -> None:
        def model(held: Any) -> Any:
            held["visits"] += by
            return held["visits"]

        self.changed(lambda: self.shelf.visits.incr(by), model)

    @rule(name=st.sampled_from(["loose", "left", "board", "prices", "visits"]))
    def clear(self, name: str) -> None:
        def model(held: Any) -> bool:
            there = self.raw.exists(getattr(self.shelf, name).getkey()) == 1
            held[name] = type(held[name])()
            return there

        if self.held is None or name == "visits":  # of which 0 may be there, or nothing
            return
        there = bool(self.held[name])
        self.changed(lambda: getattr(self.shelf, name).clear(), lambda held: model(held) or there)

    # -- what must hold after every step -----------------------------------------------------------

    def agrees(self) -> None:
        async def read() -> dict[str, Any]:
            one = self.shelf
            return {
                "loose": await one.loose.range(),
                "recent": await one.recent.range(),
                "left": await one.left.members(),
                "right": await one.right.members(),
                "board": dict(await one.board.top(99)),
                "prices": await one.prices.items(),
                "visits": await one.visits.get(),
            }

        empty = {
            "loose": [],
            "recent": [],
            "left": set[int](),
            "right": set[int](),
            "board": {},
            "prices": {},
        }
        wanted: dict[str, Any] = {**empty, "visits": 0} if self.held is None else self.held
        assert self.do(read()) == wanted
        assert len(wanted["recent"]) <= MOST

    @rule(value=numbers, name=words)
    def reads(self, value: int, name: str) -> None:
        one, held = self.shelf, self.held
        wanted: Any = held or {
            "loose": [],
            "left": set[int](),
            "right": set[int](),
            "board": {},
            "prices": {},
        }

        async def read() -> tuple[Any, ...]:
            return (
                await one.loose.contains(value),
                await one.left.contains_many(value, value + 1),
                await one.left.union(one.right),
                await one.left.intersection(one.right),
                await one.left.difference(one.right),
                await one.board.contains(name),
                await one.board.rank(name),
                await one.prices.contains(name),
                await one.prices.get_many(name, "a"),
                sorted(await one.prices.keys()),
                (await one.loose.len(), await one.left.len(), await one.board.len(), await one.prices.len()),
                {*await one.left.random(9)},
            )

        left, right, prices = wanted["left"], wanted["right"], wanted["prices"]
        ranks = [member for member, _ in ranked(wanted["board"])]
        assert self.do(read()) == (
            value in wanted["loose"],
            [value in left, value + 1 in left],
            left | right,
            left & right,
            left - right,
            name in ranks,
            ranks.index(name) if name in ranks else None,
            name in prices,
            [prices.get(name), prices.get("a")],
            sorted(prices),
            (len(wanted["loose"]), len(left), len(ranks), len(prices)),
            left,
        )


def bounded(name: str, values: list[int], *, last: bool) -> list[int]:
    """No more than fit in, the first or the *last*."""
    if name == "loose":
        return values
    return values[-MOST:] if last else values[:MOST]


def added(name: str, values: list[int], *, last: bool) -> Callable[[Any], int]:
    def model(held: Any) -> int:
        held[name] = bounded(name, held[name] + values if last else values + held[name], last=last)
        return len(held[name])

    return model


def cut(values: list[Any], start: int, stop: int) -> list[Any]:
    """The values from *start* to *stop*, both included, as Redis counts."""
    first = max(start + len(values), 0) if start < 0 else start
    last = stop + len(values) if stop < 0 else stop
    return values[first : last + 1] if last >= 0 else []


def ranked(board: dict[str, float]) -> list[tuple[str, float]]:
    """The highest first."""
    return sorted(board.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)


def kept(held: Any, pairs: list[tuple[str, float]]) -> int:
    """How many a board loses that keeps *pairs*."""
    lost = len(held["board"]) - len(pairs)
    held["board"] = dict(pairs)
    return lost


@pytest.mark.parametrize("kind", [Shelf, EndingShelf])
def test_collections_behave_as_those_of_python(
    url: str, backend: str, driver: str, full: bool, kind: Any
) -> None:
    class Case(Machine):
        pass

    Case.url, Case.driver, Case.kind = url, driver, kind
    case = Case.TestCase
    case.settings = settings(
        max_examples=500 if full else 2 if backend == "memory" else 8,
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case("runTest").debug()


def test_the_model_itself_notices_a_list_that_is_not_bounded(
    server: Server, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: without the trim the machine fails."""

    class Case(Machine):
        pass

    monkeypatch.setattr(Shelf.recent, "__maxlen__", None)
    Case.url, Case.driver, Case.kind = server.url, driver, Shelf
    case = Case.TestCase
    case.settings = settings(
        max_examples=50,
        stateful_step_count=20,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        database=None,
        phases=[Phase.generate],
    )
    with pytest.raises(AssertionError):
        case("runTest").debug()
