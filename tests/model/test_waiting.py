"""What waits in a session, a delete or a change, and the verbs that write at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioredisca import (
    Counter,
    Database,
    Integer,
    Json,
    ListOf,
    Model,
    SetOf,
    SortedSet,
    String,
    Tags,
    UsageError,
    conf,
    session,
)

from ..support.drift import drift


@conf(prefix="waiting-thing")
class Thing(Model):
    code = String(unique=True)
    name = String(index=True)
    n = Integer(index=True)
    note: Any = Json()
    tags = Tags(index=True)
    log = ListOf(String())
    likes = SetOf(String())
    board = SortedSet(String())
    hits = Counter()


@conf(prefix="waiting-special")
class Special(Thing):
    pass


async def two() -> None:
    await Thing.save_many(
        [Thing.new(id, code=id, name="a", n=1, note={"k": [1]}, tags=["x"]) for id in ("1", "2")]
    )


REFUSED = r"Thing\('1'\) is to be deleted .*flush\(\) first.*discard\(\)"

VERBS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "append": lambda thing: thing.log.append("x"),
    "prepend": lambda thing: thing.log.prepend("x"),
    "pop": lambda thing: thing.log.pop(),
    "pop_first": lambda thing: thing.log.pop_first(),
    "trim": lambda thing: thing.log.trim(0, 1),
    "remove": lambda thing: thing.log.remove("x"),
    "clear": lambda thing: thing.log.clear(),
    "add": lambda thing: thing.likes.add("x"),
    "discard": lambda thing: thing.likes.discard("x"),
    "add scores": lambda thing: thing.board.add("x", 1.0),
    "incr": lambda thing: thing.hits.incr(),
    "reset": lambda thing: thing.hits.clear(),
    "count": lambda thing: thing.incr(Thing.n),
    "save": lambda thing: thing.save(mode="upsert"),
    "update_or_create": lambda thing: Thing.update_or_create(code="1", defaults={"n": 5}),
    "update": lambda thing: (Thing.name == "a").update(n=5),
    "incr by query": lambda thing: (Thing.name == "a").incr(Thing.n, 1),
}


@pytest.mark.parametrize("loaded", [True, False], ids=["loaded", "handle"])
@pytest.mark.parametrize("verb", [*VERBS])
async def test_what_waits_to_be_deleted_takes_nothing(
    db: Database, raw: Any, verb: str, loaded: bool
) -> None:
    await two()
    await Thing("1").log.append("first")
    before = {key: raw.dump(key) for key in raw.keys("*")}
    async with session() as work:
        thing = await Thing.get("1") if loaded else Thing("1")
        work.delete(thing)
        with pytest.raises(UsageError, match=REFUSED):
            await VERBS[verb](thing)
        assert {key: raw.dump(key) for key in raw.keys("*")} == before
        await work.flush()
    assert await Thing.all().ids() == ["2"]
    assert drift(raw, [Thing]) == []


async def test_others_of_the_class_take_what_they_are_given(db: Database, raw: Any) -> None:
    await two()
    async with session(autosave=True) as work:
        work.delete(Thing("1"))
        assert not (await Thing.update_or_create(code="2", defaults={"n": 5}))[1]
        made, created = await Thing.update_or_create(code="3", defaults={"n": 6})
        assert created
        found, created = await Thing.get_or_create(code="1", defaults={"n": 6})
        assert (found.id, created) == ("1", False)
        assert await (Thing.n >= 5).update(name="b") == 2
    assert sorted(await (Thing.name == "b").ids()) == sorted(["2", made.id])
    async with session(autosave=True) as work:
        work.delete(Thing("2"))
        assert await (Thing.name == "b").delete() == 2
    assert drift(raw, [Thing]) == []


def change_in_place(thing: Thing, field: str, value: str) -> None:
    if field == "note":
        assert thing.note
        thing.note["k"].append(value)
    else:
        assert thing.tags
        thing.tags.add(value)


@pytest.mark.parametrize("field", ["note", "tags"])
async def test_a_value_that_changes_in_place_after_the_delete_is_told(
    db: Database, raw: Any, field: str
) -> None:
    await two()
    before = {key: raw.dump(key) for key in raw.keys("*")}
    async with session() as work:
        thing, other = await Thing.get("1"), await Thing.get("2")
        change_in_place(thing, field, "before")  # goes with it, as an assignment does
        work.delete(thing)
        other.n = 7
        change_in_place(thing, field, "after")
        trips = db.round_trips
        with pytest.raises(UsageError, match=r"Thing\('1'\) .*in place after delete.*revert\(\)") as caught:
            await work.flush()
        assert caught.value.instance is thing
        assert db.round_trips == trips
        assert {key: raw.dump(key) for key in raw.keys("*")} == before
        thing.revert()
        assert work.dirty == (thing, other)
        work.discard()
        change_in_place(thing, field, "kept")
        await work.flush()
    assert "kept" in str((await Thing.get("1")).export()[field])
    assert drift(raw, [Thing]) == []


@pytest.mark.parametrize("field", ["note", "tags"])
async def test_a_value_that_changed_in_place_before_the_delete_goes_with_it(
    db: Database, raw: Any, field: str
) -> None:
    await two()
    async with session(autosave=True) as work:
        thing = await Thing.get("1")
        change_in_place(thing, field, "before")
        work.delete(thing)
    assert await Thing.all().ids() == ["2"]
    assert drift(raw, [Thing]) == []


async def test_revert_lets_the_change_go_and_the_delete_stay(db: Database, raw: Any) -> None:
    await two()
    async with session() as work:
        thing = await Thing.get("1")
        work.delete(thing)
        change_in_place(thing, "note", "after")
        with pytest.raises(UsageError, match="in place after delete"):
            await Thing.save_all()
        thing.revert()
        await work.flush()
    assert await Thing.all().ids() == ["2"]


async def test_a_value_that_cannot_be_saved_goes_with_its_record(db: Database) -> None:
    await two()
    async with session() as work:
        thing = await Thing.get("1")
        assert thing.note
        thing.note["k"].append(object())
        work.delete(thing)
        with pytest.raises(UsageError, match="in place"):
            await work.flush()
        thing.revert()
        await work.flush()
    assert not await Thing("1").exists()


# -- changes that wait, and changes by query -------------------------------------------------------


async def test_update_by_query_comes_after_the_changes_that_wait(db: Database, raw: Any) -> None:
    await two()
    async with session(autosave=True):
        one, two_ = await Thing.get("1"), await Thing.get("2")
        one.n, one.code = 100, "one"
        assert one.note
        one.note["k"].append("waits")
        two_.tags.add("waits")  # type: ignore[union-attr]
        assert await (Thing.name == "a").update(n=5, note={"new": 1}, name="b") == 2
        assert (one.n, one.note, one.name, one.code) == (5, {"new": 1}, "b", "one")
        assert one.getdiff() == {"code": "one"}
        one.name = "c"  # set since: newer
    assert raw.hmget("waiting-thing:1", "n", "code", "name", "note") == [b"5", b"one", b"c", b'{"new":1}']
    assert (await Thing.get("2")).tags == {"x", "waits"}
    assert drift(raw, [Thing]) == []


async def test_update_by_query_to_none(db: Database, raw: Any) -> None:
    await two()
    async with session(autosave=True):
        one = await Thing.get("1")
        one.n = 100
        await Thing.all().update(n=None)
        assert one.n is None
    assert not raw.hexists("waiting-thing:1", "n")


async def test_what_the_query_does_not_match_keeps_its_changes(db: Database, raw: Any) -> None:
    await two()
    async with session(autosave=True):
        one = await Thing.get("1")
        one.n = 100
        assert await (Thing.code == "2").update(n=5) == 1
        assert one.n == 100
    assert raw.hget("waiting-thing:1", "n") == b"100"


async def test_a_new_record_that_waits_learns_nothing(db: Database, raw: Any) -> None:
    await two()
    async with session() as work:
        new = Thing.new("1", n=100)
        await (Thing.code == "1").update(n=5)
        assert new.n == 100
        assert repr(new) == "<Thing '1' new, 1 changed>"
        work.discard()


async def test_children_of_a_query_learn_too(db: Database, raw: Any) -> None:
    await two()
    await Special.new("s", name="a", n=1).save()
    async with session(autosave=True):
        special = await Special.get("s")
        special.n = 100
        await (Special.name == "a").update(n=6)
        assert special.n == 6
    assert raw.hget("waiting-special:s", "n") == b"6"


async def test_incr_by_query_refuses_over_a_change_that_waits(db: Database, raw: Any) -> None:
    await two()
    async with session(autosave=True):
        one = await Thing.get("1")
        one.n = 100
        with pytest.raises(UsageError, match=r"Thing\('1'\)\.n has a change that is not saved"):
            await (Thing.name == "a").incr(Thing.n, 1)
        assert raw.hget("waiting-thing:2", "n") == b"1"  # nothing was counted
        assert await (Thing.code == "2").incr(Thing.n, 1) == 1
        one.revert()
        assert await (Thing.name == "a").incr(Thing.n, 1) == 2
        assert one.n == 2
    assert raw.hget("waiting-thing:1", "n") == b"2"
    assert drift(raw, [Thing]) == []


async def test_without_a_session_instances_stay_as_they_are(db: Database) -> None:
    await two()
    one = await Thing.get("1")
    one.n = 100
    await Thing.all().update(n=5)
    assert one.n == 100
