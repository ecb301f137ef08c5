"""A state machine against a plain Python model of the store, with the drift check after every step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aioredisca import (
    AlreadyExists,
    BulkError,
    Counter,
    Database,
    Email,
    Gone,
    Integer,
    Json,
    ListOf,
    Model,
    OutOfBounds,
    StaleWrite,
    String,
    Tags,
    UniqueViolation,
    conf,
    session,
)
from aioredisca.drivers.run import run

from ..support.drift import drift

STEPS = 40

IDS = st.sampled_from(["1", "2", "3", "a:b", "x/y", "ü"])
EMAILS = st.none() | st.sampled_from(["a@x.yz", "b@x.yz", "c@x.yz"])
NAMES = st.none() | st.sampled_from(["", "Rome", "Bern", "None", "x" * 600, "y" * 600])
AGES = st.none() | st.integers(-3, 3)
NOTES = st.none() | st.sampled_from([{"a": 1}, {"a": 2}, []])
CODES = st.none() | st.sampled_from(["", "a", "ab", "a\0", "a\1", "a\0b", "\1\1", "é"])
TAGS = st.none() | st.sets(st.sampled_from(["red", "green", "a/b", "\0", '"', "[]"]), max_size=3)
OWNERS = st.none() | st.sampled_from(["1:a", "b", ""])
SLUGS = st.none() | st.sampled_from(["x", "y"])
VALUES = st.fixed_dictionaries(
    {},
    optional={
        "email": EMAILS,
        "name": NAMES,
        "age": AGES,
        "note": NOTES,
        "code": CODES,
        "tags": TAGS,
        "owner": OWNERS,
        "slug": SLUGS,
    },
)
Row = dict[str, Any]


@conf(unique=[("owner", "slug")], index=[("owner", "age")])
class Thing(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    note: Json[Any] = Json()
    code = String(index="sorted")
    tags = Tags(index=True)
    owner = String()
    slug = String(field="slg")
    log = ListOf(String())
    seen = Counter()


def claims(row: Row) -> set[tuple[Any, ...]]:
    """The unique values that a record claims."""
    single = {("email", row["email"])} if row.get("email") is not None else set[tuple[Any, ...]]()
    together = (row.get("owner"), row.get("slug"))
    return single if None in together else single | {together}


def clash(store: dict[str, Row]) -> bool:
    """Whether two records claim one unique value."""
    claimed = [claim for row in store.values() for claim in claims(row)]
    return len(claimed) != len(set(claimed))


@conf(prefix="thing")
class SameThing(Thing):
    """The same records as another process sees them: it shares nothing but the store."""


class Machine(RuleBasedStateMachine):
    """``store`` is what must be stored, ``copies`` what a second client has loaded and not saved yet."""

    url: ClassVar[str]
    driver: ClassVar[str]

    @initialize()
    def start(self) -> None:
        self.database, self.second = Database(self.url), Database(self.url)
        self.raw = self.database.sync_client
        self.raw.flushall()
        self.before = conf._db
        conf.db = self.database
        self.runner = asyncio.Runner() if self.driver == "asyncio" else None
        self.store = dict[str, Row]()
        self.copies = dict[str, tuple[Thing, Row]]()
        SameThing.__mapper__._in_use = False
        conf(db=self.second)(SameThing)

    def teardown(self) -> None:
        if self.runner is not None:
            self.runner.close()
        conf._db = self.before
        self.raw.connection_pool.disconnect()
        self.database.close()
        self.second.close()

    def do(self, operation: Awaitable[Any]) -> Any:
        async def body() -> Any:
            return await operation

        return run(body()) if self.runner is None else self.runner.run(body())

    # -- what the store should do ------------------------------------------------------------------

    def clashes(self, id: str, values: Row) -> bool:
        row = {**self.store.get(id, {}), **values}
        return clash({**self.store, id: row})

    def put(self, id: str, values: Row) -> None:
        row = {**self.store.get(id, {}), **values}
        self.store[id] = {name: value for name, value in row.items() if value is not None}

    def written(self, operation: Awaitable[Any], id: str, values: Row, *, must: bool | None = None) -> None:
        """*operation* writes *values*, or is refused exactly when the model says so."""
        exists = id in self.store
        if must is True and not exists:
            expected: type[Exception] | None = Gone
        elif must is False and exists:
            expected = AlreadyExists
        else:
            expected = UniqueViolation if self.clashes(id, values) else None
        if expected is not None:
            with pytest.raises(expected):
                self.do(operation)
        else:
            self.do(operation)
            self.put(id, values)

    # -- rules -------------------------------------------------------------------------------------

    @rule(id=IDS, values=VALUES)
    def create(self, id: str, values: Row) -> None:
        self.written(Thing.new(id, **values).save(), id, values, must=False)

    @rule(id=IDS, values=VALUES, mode=st.sampled_from(["update", "upsert", "create"]))
    def save_handle(self, id: str, values: Row, mode: Any) -> None:
        thing = Thing(id)
        for name, value in values.items():
            setattr(thing, name, value)
        self.written(  # without values too: what is asked outright is asked of the server
            thing.save(mode=mode), id, values, must={"update": True, "upsert": None, "create": False}[mode]
        )

    @rule(id=IDS)
    def take_a_copy(self, id: str) -> None:
        self.copies[id] = (self.do(SameThing(id).load()), dict(self.store.get(id, {})))

    @precondition(lambda self: self.copies)
    @rule(data=st.data(), values=VALUES, check=st.sampled_from([False, True, "record"]))
    def save_a_stale_copy(self, data: Any, values: Row, check: Any) -> None:
        id = data.draw(st.sampled_from(sorted(self.copies)))
        thing, seen = self.copies.pop(id)
        for name, value in values.items():
            setattr(thing, name, value)
        changed = {name: value for name, value in values.items() if seen.get(name) != value}
        if not changed:
            self.do(thing.save(if_unchanged=check))
            return
        now = self.store.get(id, {})
        names = list(Thing.getfields()) if check == "record" else list(changed)
        stale = {name for name in names if now.get(name) != seen.get(name)} if check else set()
        was_there, is_there = bool(thing.__state__.layers.mode == "update"), id in self.store
        if was_there != is_there:
            with pytest.raises(Gone if was_there else AlreadyExists):
                self.do(thing.save(if_unchanged=check))
        elif stale:
            with pytest.raises(StaleWrite) as caught:
                self.do(thing.save(if_unchanged=check))
            assert set(caught.value.fields) == stale
        else:
            self.written(thing.save(if_unchanged=check), id, changed)

    @precondition(lambda self: self.copies)
    @rule(data=st.data())
    def reload_a_copy(self, data: Any) -> None:
        id = data.draw(st.sampled_from(sorted(self.copies)))
        thing, _ = self.copies[id]
        self.do(thing.reload())
        self.copies[id] = (thing, dict(self.store.get(id, {})))
        assert thing.export() == self.store.get(id, {})

    @rule(id=IDS)
    def delete(self, id: str) -> None:
        assert self.do(Thing(id).delete()) == (id in self.store)
        self.store.pop(id, None)

    @rule(ids=st.lists(IDS, unique=True))
    def delete_many(self, ids: list[str]) -> None:
        assert self.do(Thing.delete_many(ids, batch=2)) == len(set(ids) & self.store.keys())
        for id in ids:
            self.store.pop(id, None)

    @rule(rows=st.dictionaries(IDS, VALUES, max_size=4))
    def save_many(self, rows: dict[str, Row]) -> None:
        """One batch: final state decides, all or nothing."""
        after = {
            **self.store,
            **{id: {n: v for n, v in row.items() if v is not None} for id, row in rows.items()},
        }
        refused = bool(rows.keys() & self.store.keys()) or clash(after)
        things = [Thing.new(id, **row) for id, row in rows.items()]
        if refused:
            with pytest.raises(BulkError):
                self.do(Thing.save_many(things))
        else:
            self.do(Thing.save_many(things))
            self.store = after

    @rule(changes=st.dictionaries(IDS, st.none() | VALUES, max_size=4))
    def unit_of_work(self, changes: dict[str, Row | None]) -> None:
        """Upserts and deletes of several records at once: swaps of uniques included."""
        after = {id: dict(row) for id, row in self.store.items()}
        for id, values in changes.items():
            if values is None:
                after.pop(id, None)
            elif values:
                row = {**after.get(id, {}), **values}
                after[id] = {name: value for name, value in row.items() if value is not None}

        async def unit() -> None:
            async with session(autosave=True) as work:
                for id, values in changes.items():
                    thing = Thing(id)
                    if values is None:
                        work.delete(thing)
                    for name, value in (values or {}).items():
                        setattr(thing, name, value)

        if clash(after):
            with pytest.raises(UniqueViolation):
                self.do(unit())
        else:
            self.do(unit())
            self.store = after

    @rule(id=IDS, age=AGES, extra=st.none() | st.sampled_from(["1", "zwei"]))
    def dict_api(self, id: str, age: int | None, extra: str | None) -> None:
        if id not in self.store:
            return
        thing = Thing(id)
        thing["age"] = age
        thing["extra"] = extra
        self.do(thing.save())
        self.put(id, {"age": age})
        if extra is None:
            return
        thing["extra"] = None
        self.do(thing.save())

    @rule(id=IDS, by=st.integers(-3, 3), low=st.none() | st.integers(-2, 2))
    def count(self, id: str, by: int, low: int | None) -> None:
        operation = Thing(id).incr(Thing.age, by, min=low)
        age = self.store.get(id, {}).get("age", 0) + by
        if id not in self.store:
            with pytest.raises(Gone):
                self.do(operation)
        elif low is not None and age < low:
            with pytest.raises(OutOfBounds):
                self.do(operation)
        else:
            assert self.do(operation) == age
            self.put(id, {"age": age})

    @rule(
        key=st.sampled_from(["a@x.yz", "c@x.yz"]).map(lambda email: {"email": email})
        | st.fixed_dictionaries({"owner": OWNERS.filter(bool), "slug": SLUGS.filter(bool)}),
        values=VALUES,
        update=st.booleans(),
        keep=st.booleans(),
    )
    def obtain(self, key: Row, values: Row, update: bool, keep: bool) -> None:
        defaults = {name: value for name, value in values.items() if name not in key}
        verb = Thing.update_or_create if update else Thing.get_or_create
        matches = [id for id, row in self.store.items() if {**row, **key} == row]
        id = matches[0] if matches else "new"
        changes = {**defaults, **key} if update or not matches else {}
        if self.clashes(id, changes):
            with pytest.raises(UniqueViolation):
                self.do(verb(defaults=defaults, **key))
            return
        thing, created = self.do(verb(defaults=defaults, **key))
        assert created != bool(matches)
        self.put(thing.id, changes)
        assert thing.export() == self.store[thing.id]
        if not keep:
            self.do(thing.delete())
            del self.store[thing.id]

    @rule(id=IDS, log=st.booleans())
    def collect(self, id: str, log: bool) -> None:
        operation = Thing(id).log.append("x") if log else Thing(id).seen.incr()
        if id in self.store:
            self.do(operation)
        else:
            with pytest.raises(Gone):
                self.do(operation)

    @rule()
    def forget_scripts(self) -> None:
        self.raw.script_flush()

    # -- what must hold after every step -----------------------------------------------------------

    @invariant()
    def the_store_is_exact(self) -> None:
        if not hasattr(self, "store"):
            return
        assert drift(self.raw, [Thing]) == []
        ids = sorted(self.store, key=str.encode)
        assert self.do(Thing.all().ids()) == ids
        found = self.do(Thing.get_many(ids))
        assert {id: thing.export() for id, thing in zip(ids, found, strict=True)} == self.store

    @invariant()
    def queries_agree(self) -> None:
        if not hasattr(self, "store"):
            return
        for name in ("Rome", "x" * 600, None):
            matches = [id for id in sorted(self.store, key=str.encode) if self.store[id].get("name") == name]
            assert self.do((Thing.name == name).ids()) == matches
            assert self.do((Thing.name == name).count()) == len(matches)
        aged = sorted((row["age"], id.encode()) for id, row in self.store.items() if "age" in row)
        assert self.do((Thing.age >= -1).ids()) == [id.decode() for age, id in aged if age >= -1]
        for email in ("a@x.yz", "c@x.yz"):
            holders = [id for id, row in self.store.items() if row.get("email") == email]
            assert [thing.id for thing in self.do(Thing.email.find(email))] == holders


@pytest.mark.slow
def test_the_store_behaves_as_the_model_says(url: str, backend: str, driver: str, full: bool) -> None:
    machine: Any = type("Bound", (Machine,), {"url": url, "driver": driver})
    machine.TestCase.settings = settings(
        max_examples=2000 if full else 4 if backend == "memory" else 10 if driver == "blocking" else 25,
        stateful_step_count=STEPS,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    test = machine.TestCase()
    test.runTest()
