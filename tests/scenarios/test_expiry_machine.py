"""A state machine of records that end, against a plain Python model, judged at the server's own clock.

When a call sets an end, the model knows it by the clock before and after the call; a check asks the clock before
and after its questions. A record that ends in between is neither alive nor over: the check is made again.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aioredisca import (
    AlreadyExists,
    BulkError,
    Conflict,
    Counter,
    Database,
    Email,
    Gone,
    Integer,
    ListOf,
    Model,
    Reference,
    String,
    Tags,
    ValidationError,
    conf,
    session,
    sweep,
)
from aioredisca.drivers.run import run

STEPS = 50

Row = dict[str, Any]


@conf(prefix="mpass", ttl=None, unique=[("owner", "slug")], index=[("owner", "age")])
class Pass(Model):
    """Every kind of index, and collections: the general script."""

    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    code = String(index="sorted")
    tags = Tags(index=True)
    owner = String()
    slug = String()
    note = String()
    log = ListOf(String())
    seen = Counter()


@conf(prefix="mseat", ttl=None)
class Seat(Model):
    """The fast paths of a simple class."""

    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    note = String()


@conf(prefix="mchild", ttl=None)
class Child(Model):
    """Goes with the record that it refers to."""

    of = Reference(Pass, index=True, on_delete="cascade")
    seat = Reference(Seat, index=True, on_delete="cascade")


IDS = st.sampled_from(["1", "2", "3", "a:b", "ü"])
KINDS = st.sampled_from([Pass, Seat])
CHOICES: dict[str, list[Any]] = {
    "email": [None, "a@x.yz", "b@x.yz", "c@x.yz"],
    "name": [None, "", "Rome", "Bern", "x" * 600, "y" * 600],
    "age": [None, -2, 0, 1, 3],
    "note": [None, "n", "m"],
    "code": [None, "", "a", "ab", "a\1"],
    "tags": [None, {"red"}, {"red", "a/b"}, {"green"}],
    "owner": [None, "1:a", "b"],
    "slug": [None, "x", "y"],
}
VALUES = st.fixed_dictionaries({}, optional={name: st.sampled_from(some) for name, some in CHOICES.items()})
MILLISECONDS = st.integers(1, 60)
TTLS = st.none() | st.just("as it was") | MILLISECONDS
"""None for ever."""


@dataclass
class Known:
    """A record: what it holds, and between which milliseconds it ends; None never."""

    row: Row
    first: float | None = None
    last: float | None = None


QUESTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Row], bool]]] = {
    "all": (lambda kind: kind.all(), lambda row: True),
    "exact": (lambda kind: kind.name == "Rome", lambda row: row.get("name") == "Rome"),
    "long": (lambda kind: kind.name == "x" * 600, lambda row: row.get("name") == "x" * 600),
    "none": (lambda kind: kind.name.is_none(), lambda row: row.get("name") is None),
    "not": (lambda kind: kind.name != "Rome", lambda row: row.get("name") != "Rome"),
    "in": (lambda kind: kind.name.in_(["Rome", "Bern"]), lambda row: row.get("name") in ("Rome", "Bern")),
    "not in": (lambda kind: kind.name.not_in(["Rome", ""]), lambda row: row.get("name") not in ("Rome", "")),
    "range": (lambda kind: kind.age >= 0, lambda row: row.get("age", -9) >= 0),
    "order": (lambda kind: kind.all().order_by(kind.age.desc()).limit(100), lambda row: True),
    "unique": (lambda kind: kind.email == "a@x.yz", lambda row: row.get("email") == "a@x.yz"),
    "or": (
        lambda kind: (kind.name == "Rome") | (kind.age == 1),
        lambda row: row.get("name") == "Rome" or row.get("age") == 1,
    ),
    "and": (
        lambda kind: (kind.name == "Rome") & (kind.age <= 1),
        lambda row: row.get("name") == "Rome" and row.get("age", 9) <= 1,
    ),
}
MORE: dict[str, tuple[Callable[[Any], Any], Callable[[Row], bool]]] = {
    "sorted": (lambda kind: kind.code.startswith("a"), lambda row: row.get("code", "").startswith("a")),
    "tags": (lambda kind: kind.tags.has("red"), lambda row: "red" in row.get("tags", ())),
    "pair": (
        lambda kind: (kind.owner == "b") & (kind.age >= 0),
        lambda row: row.get("owner") == "b" and row.get("age", -9) >= 0,
    ),
    "together": (
        lambda kind: (kind.owner == "b") & (kind.slug == "x"),
        lambda row: (row.get("owner"), row.get("slug")) == ("b", "x"),
    ),
}


def claims(row: Row) -> set[tuple[Any, ...]]:
    """The unique values that a record claims."""
    single = {("email", row["email"])} if row.get("email") is not None else set[tuple[Any, ...]]()
    together = (row.get("owner"), row.get("slug"))
    return single if None in together else single | {together}


_AT_ONCE = "return {redis.call('HGETALL', KEYS[1]), redis.call('PTTL', KEYS[1]), redis.call('TIME')}"


class Machine(RuleBasedStateMachine):
    """``store`` is what must be stored, by class and id."""

    url: ClassVar[str]
    driver: ClassVar[str]
    slack: ClassVar[int]
    """Milliseconds by which the keys of fakeredis may end beside their moment: there time goes on in a script."""

    @initialize()
    def start(self) -> None:
        self.database = Database(self.url)
        self.raw = self.database.sync_client
        self.raw.flushall()
        self.before = conf._db
        conf.db = self.database
        self.runner = asyncio.Runner() if self.driver == "asyncio" else None
        self.store: dict[Any, dict[str, Known]] = {Pass: {}, Seat: {}}
        self.turn = 0

    def teardown(self) -> None:
        try:
            self.nothing_stays()
        finally:
            if self.runner is not None:
                self.runner.close()
            conf._db = self.before
            self.raw.close()
            self.database.close()

    def nothing_stays(self) -> None:
        """When all has ended and been swept, the store is what it was."""
        for kind, some in self.store.items():
            for id in {*some, "1", "2", "3", "a:b", "ü"}:
                with suppress(Gone):
                    self.do(kind(id).expire(dt.timedelta(milliseconds=1)))
        time.sleep((5 + self.slack) / 1000)
        for id in self.do(Child.all().ids()):
            self.do(Child(id).delete())
        for kind in (Pass, Seat, Child):  # at last, for a child may end while others are deleted
            self.do(sweep(kind))
        left = [key for key in self.raw.scan_iter("*") if not key.endswith(b"/meta")]
        assert left == []

    def do(self, operation: Awaitable[Any]) -> Any:
        async def body() -> Any:
            return await operation

        return run(body()) if self.runner is None else self.runner.run(body())

    # -- what the store should do ------------------------------------------------------------------

    def now(self) -> int:
        seconds, micros = self.raw.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def timed(self, operation: Awaitable[Any]) -> tuple[Any, int, int]:
        """What *operation* answers or raises, and the clock before and after it."""
        first = self.now()
        try:
            found = self.do(operation)
        except Conflict as error:
            found = error
        return found, first, self.now()

    def alive(self, kind: Any, id: str, first: int, last: int) -> bool | None:
        """Whether there is a record all the time from *first* to *last*; None where it ends within."""
        known = self.store[kind].get(id)
        if known is None:
            return False
        if known.first is None or known.last is None or known.first - self.slack >= last:
            return True
        return False if known.last + self.slack < first else None

    def believe(self, kind: Any) -> None:
        """Read what is stored off the keys: of a call whose outcome hangs on what ended meanwhile."""
        stem, fields = kind.__mapper__.stem(conf.db), kind.__mapper__.fields
        self.store[kind] = {}
        for key in self.raw.scan_iter(stem + "*"):
            pairs, left, (seconds, micros) = self.raw.eval(_AT_ONCE, 1, key)
            held = dict(zip(pairs[::2], pairs[1::2], strict=True))
            if left == -2 or not held:
                continue
            row = {
                name: field.__codec__.read(held[field.key.encode()], kind.__mapper__)
                for name, field in fields.items()
                if field.key.encode() in held
            }
            at = None if left == -1 else int(seconds) * 1000 + int(micros) // 1000 + left
            known = Known(row) if at is None else Known(row, at - 1, at + 2)
            self.store[kind][key.decode()[len(stem) :]] = known

    def put(self, kind: Any, id: str, row: Row, first: float | None, last: float | None) -> None:
        held = {name: value for name, value in row.items() if value is not None}
        self.store[kind][id] = Known(held, first, last)

    # -- rules -------------------------------------------------------------------------------------

    @rule(kind=KINDS, id=IDS, values=VALUES, mode=st.sampled_from(["create", "upsert", "update"]), ttl=TTLS)
    def save(self, kind: Any, id: str, values: Row, mode: Any, ttl: Any) -> None:
        own = {name: value for name, value in values.items() if name in kind.__mapper__.fields}
        record = kind(id)
        for name, value in own.items():
            setattr(record, name, value)
        more = {} if ttl == "as it was" else {"ttl": None if ttl is None else ttl / 1000}
        if not own and not more:
            return
        outcome, first, last = self.timed(record.save(mode=mode, **more))
        exists = self.alive(kind, id, first, last)
        row = {**(self.store[kind][id].row if exists else {}), **own}
        rivals = [
            self.alive(kind, other, first, last)
            for other, known in self.store[kind].items()
            if other != id and claims(known.row) & claims(row)
        ]
        if exists is None or None in rivals:
            self.believe(kind)
        elif mode == "create" and exists:
            assert isinstance(outcome, AlreadyExists)
        elif mode == "update" and not exists:
            assert isinstance(outcome, Gone)
        elif True in rivals:
            assert type(outcome).__name__ == "UniqueViolation"
        else:
            assert outcome is record
            was = self.store[kind].get(id) if exists else None
            if ttl == "as it was":
                self.put(kind, id, row, was.first if was else None, was.last if was else None)
            elif ttl is None:
                self.put(kind, id, row, None, None)
            else:
                self.put(kind, id, row, first + ttl, last + ttl)

    @rule(kind=KINDS, id=IDS)
    def delete(self, kind: Any, id: str) -> None:
        outcome, first, last = self.timed(kind(id).delete())
        exists = self.alive(kind, id, first, last)
        assert exists is None or outcome is exists
        self.store[kind].pop(id, None)

    @rule(
        kind=KINDS, id=IDS, how=MILLISECONDS | st.none() | st.integers(-5, 50).map(lambda number: (number,))
    )
    def give_an_end(self, kind: Any, id: str, how: Any) -> None:
        at = self.now() + how[0] if isinstance(how, tuple) else 0
        if how is None:
            operation = kind(id).persist()
        elif isinstance(how, tuple):
            moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=at)
            operation = kind(id).expire(moment)
        else:
            operation = kind(id).expire(how / 1000)
        outcome, first, last = self.timed(operation)
        exists = self.alive(kind, id, first, last)
        if exists is None:
            self.believe(kind)
        elif not exists:
            assert isinstance(outcome, Gone)
        else:
            assert outcome is None
            row = self.store[kind][id].row
            if how is None:
                self.put(kind, id, row, None, None)
            elif isinstance(how, tuple):
                self.put(kind, id, row, at, at)
            else:
                self.put(kind, id, row, first + how, last + how)

    @rule(
        kind=KINDS, milliseconds=MILLISECONDS, what=st.sampled_from(["update", "expire", "delete", "persist"])
    )
    def by_query(self, kind: Any, milliseconds: int, what: str) -> None:
        query = kind.age >= 0
        operation = {
            "update": lambda: query.update(note="q"),
            "expire": lambda: query.expire(milliseconds / 1000),
            "delete": lambda: query.delete(),
            "persist": lambda: query.persist(),
        }[what]()
        outcome, first, last = self.timed(operation)
        states = [
            self.alive(kind, id, first, last)
            for id, known in self.store[kind].items()
            if known.row.get("age", -9) >= 0
        ]
        assert None in states or outcome == sum(map(bool, states))
        self.believe(kind)

    @rule(
        kind=KINDS, email=st.sampled_from(CHOICES["email"][1:]), values=VALUES, ttl=TTLS, update=st.booleans()
    )
    def obtain(self, kind: Any, email: str, values: Row, ttl: Any, update: bool) -> None:
        defaults = {n: v for n, v in values.items() if n in kind.__mapper__.fields and n != "email"}
        more = {} if ttl == "as it was" else {"ttl": None if ttl is None else ttl / 1000}
        verb = kind.update_or_create if update else kind.get_or_create
        outcome, first, last = self.timed(verb(email=email, defaults=defaults, **more))
        holders = [id for id, known in self.store[kind].items() if known.row.get("email") == email]
        states = [self.alive(kind, id, first, last) for id in holders]
        if None not in states and not isinstance(outcome, Exception):
            record, created = outcome
            assert created is (True not in states)
            assert created or record.id == holders[states.index(True)]
        self.believe(kind)

    @rule(kind=KINDS, rows=st.dictionaries(IDS, VALUES, max_size=4), ttl=TTLS)
    def save_many(self, kind: Any, rows: dict[str, Row], ttl: Any) -> None:
        records = []
        for id, values in rows.items():
            record = kind(id)
            for name, value in values.items():
                if name in kind.__mapper__.fields:
                    setattr(record, name, value)
            records.append(record)
        more = {} if ttl == "as it was" else {"ttl": None if ttl is None else ttl / 1000}
        with suppress(BulkError):
            self.do(kind.save_many(records, **more))
        self.believe(kind)

    @rule(changes=st.dictionaries(st.tuples(KINDS, IDS), st.none() | VALUES, max_size=4))
    def unit_of_work(self, changes: dict[tuple[Any, str], Row | None]) -> None:
        async def unit() -> None:
            async with session(autosave=True) as work:
                for (kind, id), values in changes.items():
                    record = kind(id)
                    if values is None:
                        work.delete(record)
                    for name, value in (values or {}).items():
                        if name in kind.__mapper__.fields:
                            setattr(record, name, value)

        self.timed(unit())
        for kind in (Pass, Seat):
            self.believe(kind)

    @rule(kind=KINDS, id=IDS)
    def have_a_child(self, kind: Any, id: str) -> None:
        field = "of" if kind is Pass else "seat"
        with suppress(Conflict, ValidationError):  # there may be no such parent
            self.do(Child.new(f"{field}{id}", **{field: id}).save(ttl=0.05))

    @rule(kind=KINDS, id=IDS)
    def collect(self, kind: Any, id: str) -> None:
        operation = Pass(id).log.append("x") if kind is Pass else Seat(id).incr(Seat.age)
        outcome, first, last = self.timed(operation)
        exists = self.alive(kind, id, first, last)
        assert exists is None or isinstance(outcome, Gone) is not exists
        self.believe(kind)

    @rule(kind=KINDS, milliseconds=st.integers(0, 30))
    def wait(self, kind: Any, milliseconds: int) -> None:
        time.sleep(milliseconds / 1000)

    @rule(kind=KINDS)
    def sweep(self, kind: Any) -> None:
        self.do(sweep(kind))

    @rule()
    def forget_scripts(self) -> None:
        self.raw.script_flush()

    # -- what must hold after every step -----------------------------------------------------------

    @invariant()
    def every_answer_is_of_the_living(self) -> None:
        if not hasattr(self, "store"):
            return
        for kind in (Pass, Seat):
            while not self.answers(kind):
                time.sleep(0.002)

    def answers(self, kind: Any) -> bool:
        """Check what is asked in this turn; False where something ended meanwhile, so that nobody knows."""
        every = [*(QUESTIONS if kind is Seat else {**QUESTIONS, **MORE}).items()]
        self.turn += 1  # some at a time, in turns
        asked = dict(every[(self.turn + n) * 5 % len(every)] for n in range(4))

        async def ask() -> list[tuple[Any, ...]]:
            return [(await make(kind).ids(), await make(kind).count()) for make, _ in asked.values()]

        first = self.now()
        found = self.do(ask())
        there = {id: self.do(kind(id).exists()) for id in self.store[kind]}
        last = self.now()
        states = {id: self.alive(kind, id, first, last) for id in self.store[kind]}
        if None in states.values():
            return False
        assert there == states
        living = {id: self.store[kind][id].row for id, state in states.items() if state}
        for (name, (_, holds)), (ids, count) in zip(asked.items(), found, strict=True):
            wanted = sorted(id for id, row in living.items() if holds(row))
            assert sorted(ids) == wanted, (name, ids, wanted, first, last)
            assert count == len(wanted), (name, count, wanted, first, last)
        return True


@pytest.mark.one_slot
def test_records_that_end_as_a_state_machine(url: str, driver: str, full: bool) -> None:
    class Case(Machine):
        pass

    Case.url, Case.driver = url, driver
    Case.slack = 15 if url.startswith("memory") else 0
    checks = settings(
        max_examples=2000 if full else 2 if url.startswith("memory") else 49,  # a hundred, in both colours
        stateful_step_count=STEPS,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    case = Case.TestCase
    case.settings = checks
    case("runTest").debug()
