"""Two versions of a class beside each other: who may write, what is answered meanwhile, and what is left in the end.

The rows of the table in docs/deploy.md. ``Old`` and ``New`` stand for two processes: each has a Database of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aioredisca import (
    Database,
    Integer,
    Model,
    NotIndexed,
    RediscaError,
    Reference,
    SchemaMismatch,
    StoreError,
    String,
    Tags,
    Unavailable,
    UniqueViolation,
    conf,
    reindex,
)
from aioredisca.persistence import asking

from ..support.drift import drift
from ..support.servers import Server

Fields = dict[str, Callable[[], Any]]


def version(url: str | Database, fields: Fields, prefix: str = "ver", **settings: Any) -> Any:
    """A class with these *fields*, as a process of its own has it."""
    made = {"note": String(), **{name: make() for name, make in fields.items()}}
    model: Any = type("Ver", (Model,), {"__module__": __name__, "__qualname__": "f.<locals>.Ver", **made})
    return conf(prefix=prefix, db=Database(url) if isinstance(url, str) else url, **settings)(model)


async def seeded(model: Any, count: int = 230) -> None:
    await model.save_many([model.new(str(i), **values(model, i)) for i in range(count)])


def values(model: Any, i: int) -> dict[str, Any]:
    some = {
        "name": f"n{i % 7}" if i % 5 else None,
        "size": i % 9,
        "code": f"c{i}",
        "tags": {"all", f"t{i % 3}"},
    }
    names = model.__mapper__.fields
    return {name: value for name, value in some.items() if name in names}


def text(**how: Any) -> Callable[[], Any]:
    return lambda: String(**how)


ADDED: dict[str, tuple[Fields, Fields, dict[str, Any], dict[str, Any]]] = {
    "exact": ({"name": text()}, {"name": text(index=True)}, {}, {}),
    "sorted": ({"name": text()}, {"name": text(index="sorted")}, {}, {}),
    "range": ({"size": Integer}, {"size": lambda: Integer(index=True)}, {}, {}),
    "unique": ({"code": text()}, {"code": text(unique=True)}, {}, {}),
    "tags": ({"tags": Tags}, {"tags": lambda: Tags(index=True)}, {}, {}),
    "pair": (
        {"name": text(), "size": lambda: Integer(index=True)},
        {"name": text(), "size": lambda: Integer(index=True)},
        {},
        {"index": [("name", "size")]},
    ),
    "together": (
        {"name": text(), "code": text()},
        {"name": text(), "code": text()},
        {},
        {"unique": [("name", "code")]},
    ),
    "kind": ({"size": lambda: Integer(index="exact")}, {"size": lambda: Integer(index=True)}, {}, {}),
    "exact to tags": ({"tags": text(index=True)}, {"tags": lambda: Tags(index=True)}, {}, {}),
    "optional": (
        {"size": lambda: Integer(index=True, required=True)},
        {"size": lambda: Integer(index=True)},
        {},
        {},
    ),
}


def pair_of(url: str, name: str) -> tuple[Any, Any]:
    """Two versions of which the second adds something; the other way round, it takes something away."""
    old, new, old_settings, new_settings = ADDED[name]
    return version(url, old, **old_settings), version(url, new, **new_settings)


async def both_write(models: Sequence[Any], name: str) -> None:
    """Every version creates, changes and deletes."""
    for place, model in enumerate(models):
        first = f"{name}{place}"
        tags = {"tags": '["x"]'} if isinstance(model.__mapper__.fields.get("tags"), String) else {}
        for i in range(3):
            await model.new(
                f"{first}-{i}",
                **{**values(model, i), "code": f"{first}-{i}", **tags}
                if "code" in model.__mapper__.fields
                else {**values(model, i), **tags},
            ).save()
        one = await model.get(f"{first}-1")
        one.note, changed = "changed", values(model, 6)
        for attribute, value in {**changed, **tags}.items():
            if attribute != "code":
                setattr(one, attribute, value)
        await one.save()
        await (await model.get(f"{first}-2")).delete()


def state(raw: Any, entry: str) -> bytes | None:
    found: bytes | None = raw.hget("ver/meta", f"e:{entry}")
    return found


def own(model: Any, other: Any) -> set[str]:
    """The entries that only one of two versions keeps."""
    return {*(model.__mapper__.schema(model.__mapper__.store()).index_entries)} - {
        *(other.__mapper__.schema(other.__mapper__.store()).index_entries)
    }


@pytest.mark.parametrize("name", [name for name in ADDED if name not in ("kind", "exact to tags")])
async def test_an_index_is_added_and_taken_away_again(url: str, db: Database, raw: Any, name: str) -> None:
    old, new = pair_of(url, name)
    await seeded(old)
    added = own(new, old)
    await both_write([new, old], "a")  # the new one first, and the old one goes on
    assert {state(raw, entry) for entry in added} == {b"announced"}
    done = await reindex(new, force=True)
    assert (set(done.built), done.problems) == (added, [])
    assert drift(raw, [new]) == []
    with pytest.raises(SchemaMismatch, match="took its place"):
        await old.new("late", **values(old, 1)).save()
    await both_write([new], "b")
    assert drift(raw, [new]) == []
    # and back: nobody is refused before it is said that the index goes
    back = pair_of(url, name)[0]
    with pytest.raises(SchemaMismatch):
        await back.new("x", **values(back, 1)).save()
    await reindex(back, before=True)
    assert {state(raw, entry) for entry in added} == {b"retiring"}
    await both_write([back, new], "c")
    done = await reindex(back, force=True)
    assert set(done.dropped) == added
    assert drift(raw, [back]) == []


async def test_a_field_becomes_required_once_no_record_lacks_it(url: str, db: Database, raw: Any) -> None:
    strict, loose = pair_of(url, "optional")
    await loose.save_many([loose.new(str(i), size=i or None) for i in range(30)])
    with pytest.raises(StoreError, match="an order by it would pass them over"):
        await reindex(strict, before=True)
    one = await loose.get("0")
    one.size = 99
    await one.save()
    await reindex(strict, before=True)
    assert [found.id for found in await strict.all().order_by(strict.size).limit(2)] == ["1", "2"]
    assert (await reindex(strict, force=True)).dropped == ("n:size",)
    assert drift(raw, [strict]) == []


@pytest.mark.parametrize("name", ["kind", "exact to tags"])
async def test_the_kind_of_an_index_is_changed(url: str, db: Database, raw: Any, name: str) -> None:
    old, new = pair_of(url, name)
    for i in range(130):
        tags = {"tags": '["all"]'} if name != "kind" else {"size": i % 9}
        await old.new(str(i), **tags).save()
    with pytest.raises(SchemaMismatch, match="--before"):
        await new.new("x").save()
    await reindex(new, before=True)
    await both_write([new, old], "a")
    with pytest.raises(NotIndexed):
        await ((new.size == 3) if name == "kind" else new.tags.has("all"))
    await reindex(new, force=True)
    assert drift(raw, [new]) == []
    assert len(await ((new.size == 3) if name == "kind" else new.tags.has("all"))) > 10


async def test_a_unique_whose_value_two_hold_is_parked_and_holds_up_nothing_else(
    url: str, db: Database, raw: Any
) -> None:
    old = version(url, {"code": text(), "size": Integer})
    new = version(url, {"code": text(unique=True), "size": lambda: Integer(index=True)})
    await old.save_many([old.new(str(i), code=f"c{i % 140}", size=i) for i in range(150)])
    done = await reindex(new)
    assert (done.left_out, done.unbuilt) == (10, ("u:code",))
    assert {type(error) for _, error in done.problems} == {UniqueViolation}
    assert done.built == ("n:size", "r:size")
    assert len(await (new.size >= 0)) == 150
    with pytest.raises(NotIndexed):
        await new.get_or_create(code="c1")
    with pytest.raises(UniqueViolation):
        await new.new("x", code="c1").save()
    assert (await reindex(new, left_out="exclude")).unbuilt == ("u:code",)  # never a unique one
    for i in range(140, 150):
        one = await new.get(str(i))
        one.code = f"d{i}"
        await one.save()
    assert (await reindex(new)).built == ("u:code",)
    assert raw.exists("ver/bad") == 0
    assert drift(raw, [new]) == []


@pytest.mark.parametrize("kind", ["exact", "sorted"])
async def test_an_index_answers_in_the_place_of_a_unique_that_is_not_built(
    url: str, db: Database, raw: Any, kind: Any
) -> None:
    old = version(url, {"code": text(index=kind)})
    new = version(url, {"code": text(index=kind, unique=True)})
    bare = version(url, {"code": text(unique=True)}, "bare")
    await old.save_many([old.new(str(i), code=f"c{i % 20}") for i in range(23)])
    await bare.new("1", code="a").save()
    raw.hset("bare/meta", mapping={"e:u:code": "announced", "ver": "other"})
    with pytest.raises(NotIndexed):  # the control: nothing else answers
        await (bare.code == "a")
    assert [one.id for one in await (bare.code == "a").scan()] == ["1"]
    await new.new("9", code="c9").save(mode="upsert")
    assert state(raw, "u:code") == b"announced"
    assert [one.id for one in await (new.code == "c1")] == ["1", "21"]
    assert await new.code.in_(["c2", "c9"]).count() == 3
    assert [one.id async for one in ~(new.code == "c0") & (new.code == "c9")] == ["9"]
    assert (await reindex(new, force=True)).unbuilt == ("u:code",)  # two hold one value
    assert [one.id for one in await (new.code == "c1")] == ["1", "21"]
    entry = f"e:{kind[0].replace('e', 'x')}:code"
    raw.hset("ver/meta", mapping={entry: "pass", "ver": "another"})
    with pytest.raises(NotIndexed):  # neither is there
        await (new.code == "c1")
    assert [one.id for one in await (new.code == "c1").scan()] == ["1", "21"]
    raw.hset("ver/meta", mapping={entry: "ready", "ver": "a third"})
    for i in range(20, 23):
        await (await new.get(str(i))).delete()
    assert (await reindex(new, force=True)).built == ("u:code",)
    assert [one.id for one in await (new.code == "c1")] == ["1"]
    assert "hash" in str(await (new.code == "c1").explain())  # by the claims from now on


async def test_what_answers_in_the_place_of_a_compound_index_may_be_unbuilt_too(
    url: str, db: Database, raw: Any
) -> None:
    fields: Fields = {"name": text(index=True), "size": lambda: Integer(index=True)}
    model = version(url, fields, index=[("name", "size")])
    await seeded(model, 20)
    asked = (model.name == "n1") & (model.size >= 3)
    found = [one.id for one in await asked]
    raw.hset("ver/meta", mapping={"e:c:4:name4:size": "announced", "e:r:size": "announced", "ver": "other"})
    with pytest.raises(NotIndexed):
        await asked
    assert found == [one.id for one in await asked.scan()] != []


async def test_records_that_an_index_cannot_hold_are_excluded_on_request(
    url: str, db: Database, raw: Any
) -> None:
    new = version(url, {"size": lambda: Integer(index=True), "name": text(index=True)})
    await seeded(new, 20)
    raw.hset("ver:3", mapping={"size": "many", "name": "n1"})
    raw.hset("ver/meta", "e:r:size", "announced")
    done = await reindex(new)
    assert (done.left_out, done.unbuilt) == (1, ("r:size",))
    with pytest.raises(NotIndexed):
        await (new.size >= 0)
    done = await reindex(new, left_out="exclude")
    assert (done.built, done.left_out) == (("r:size",), 1)
    assert len(await (new.size >= 0)) == 19
    raw.hset("ver:3", "size", "3")
    assert (await reindex(new)).problems == []
    assert len(await (new.size >= 0)) == 20
    assert raw.exists("ver/bad") == 0


@pytest.mark.one_slot
async def test_what_reads_indexes_inside_a_write_is_told_in_the_script(
    url: str, db: Database, raw: Any
) -> None:
    """Another process lets go of the index; this one still believes in it."""
    store = Database(url)
    model = version(store, {"code": text(unique=True)})
    child = version(store, {"boss": lambda: Reference(model, index=True, on_delete="cascade")}, "child")
    boss, _ = await model.get_or_create(code="a")
    await child.new("1", boss=boss).save()
    raw.hset("ver/meta", mapping={"e:u:code": "retiring", "ver": "other"})
    with pytest.raises(NotIndexed):
        await model.get_or_create(code="a")
    raw.hset("child/meta", mapping={"e:x:boss": "pass", "ver": "other"})
    with pytest.raises(NotIndexed):
        await boss.delete()
    assert raw.exists(f"ver:{boss.id}") == 1


# -- cut short, and done by two --------------------------------------------------------------------


class Killed(BaseException):
    """What ends a process in the middle."""


def killed_after(monkeypatch: pytest.MonkeyPatch, calls: int) -> None:
    """Let so many calls of the operator travel; the last of them is carried out, and nobody hears of it."""
    left = [calls]

    def killing(ask: Any) -> Any:
        async def asked(*arguments: Any) -> Any:
            reply = await ask(*arguments)
            left[0] -= 1
            if left[0] < 0:
                raise Killed
            return reply

        return asked

    monkeypatch.setattr(asking, "read", killing(asking.read))
    monkeypatch.setattr(asking, "read_together", killing(asking.read_together))


async def killed_and_resumed(
    raw: Any, model: Any, patch: pytest.MonkeyPatch, writes: Callable[[int], Any]
) -> int:
    """Run reindex, killed after one call more each time, with writes between; how often."""
    calls = 0
    while True:
        with patch.context() as context:
            killed_after(context, calls)
            try:
                await reindex(model, force=True)
                return calls
            except Killed:
                calls += 1
        raw.delete("ver/lease")
        await writes(calls)


async def test_killed_after_any_call_and_run_again_it_ends_as_it_must(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields: Fields = {"name": text(), "size": lambda: Integer(index="exact"), "code": text()}
    more: Fields = {"name": text(index=True), "size": lambda: Integer(index=True), "code": text(unique=True)}
    old, new = version(url, fields), version(url, more, index=[("name", "size")])
    await seeded(old, 250)
    await reindex(new, before=True)

    async def writes(turn: int) -> None:
        one = await new.get(str(turn))
        one.size, one.name = turn % 4, f"m{turn % 3}"
        await one.save()
        await new.delete_many([str(turn + 100)])
        await new.new(f"late{turn}", **{**values(new, turn), "code": f"late{turn}"}).save()

    await writes(0)
    assert await killed_and_resumed(raw, new, monkeypatch, writes) > 8
    assert drift(raw, [new]) == []
    assert raw.exists("ver/lease", "ver/bad") == 0


@pytest.mark.slow
async def test_killed_after_each_call_of_one_run(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    for calls in range(0, 60, 1 if full else 13):
        raw.flushall()
        old, new = pair_of(url, "exact")
        await seeded(old, 130)
        with monkeypatch.context() as context:
            killed_after(context, calls)
            try:
                await reindex(new)
            except Killed:
                raw.delete("ver/lease")
        await both_write([new], "between")
        await reindex(new)
        assert drift(raw, [new]) == []
        assert state(raw, "x:name") == b"ready"


async def test_rolled_back_in_the_middle_both_ways_end_as_they_must(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    old, new = pair_of(url, "exact")
    await seeded(old, 120)
    for calls in range(0, 40, 1 if full else 7):
        await reindex(old, force=True)
        await reindex(new, before=True)
        with monkeypatch.context() as context:
            killed_after(context, calls)
            try:
                await reindex(new, force=True)
            except Killed:
                raw.delete("ver/lease")
        await reindex(old, before=True)
        await both_write([old], f"o{calls}-")
        with pytest.raises(NotIndexed):
            await (new.name == "n1")
        await reindex(old, force=True)
        assert drift(raw, [old]) == []


@pytest.mark.slow
async def test_a_replica_that_lags_takes_over_and_the_operator_goes_on(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, backend: str, full: bool
) -> None:
    """The store is as it was some calls earlier: what was done meanwhile is gone, cursors too."""
    if backend == "memory":
        pytest.skip("it has no DUMP")
    old, new = pair_of(url, "exact")
    await seeded(old, 350)
    for taken, back in [(n, n + m) for n in range(4, 16, 1 if full else 5) for m in (2, 3)]:
        with monkeypatch.context() as context:
            context.setattr(asking, "read", failing_over(raw, asking.read, taken, back))
            await reindex(new, force=True)
        assert drift(raw, [new]) == []
        assert state(raw, "x:name") == b"ready"
        await reindex(old, before=True)
        await reindex(old, force=True)


def failing_over(raw: Any, ask: Any, taken: int, back: int) -> Any:
    """After so many calls the store becomes what it was some calls before."""
    calls, snapshot = [0], dict[bytes, bytes]()

    async def asked(*arguments: Any) -> Any:
        reply = await ask(*arguments)
        calls[0] += 1
        if calls[0] == taken:
            snapshot.update({key: raw.dump(key) for key in raw.scan_iter()})
        elif calls[0] == back:
            raw.flushall()
            for key, value in snapshot.items():
                raw.restore(key, 0, value)
        return reply

    return asked


# -- the first roll-out of this layout --------------------------------------------------------------

OLDER_SCRIPT = "return {redis.call('HGET', KEYS[1], 'signature') == ARGV[1]}"
"""What a write of layout 1 compares first."""


async def test_processes_of_layout_1_write_on_until_the_first_take_over(
    url: str, db: Database, raw: Any
) -> None:
    older = "1/i:/r?:size/x?:name"
    raw.hset("ver/meta", mapping={"signature": older, "unbuilt": "x?:name"})
    raw.hset("ver:1", mapping={"name": "a", "size": "1"})
    raw.zadd("ver/ids", {"1": 0})
    raw.zadd("ver/r/size", {"1": 1})
    new = version(url, {"size": lambda: Integer(index=True), "name": text(index=True)})
    assert [one.id for one in await (new.size == 1)] == ["1"]  # what was built is
    with pytest.raises(NotIndexed):
        await (new.name == "a")
    await new.new("2", name="b", size=2).save()
    assert raw.hget("ver/meta", "signature").decode() == older
    assert state(raw, "r:size") == b"ready"
    assert state(raw, "x:name") == b"announced"
    gone = version(url, {"size": lambda: Integer(index=True)})
    with pytest.raises(SchemaMismatch):  # what the older ones read must stay
        await version(url, {"name": text(index=True)}).new("3").save()
    with pytest.raises(RediscaError, match="knew no states"):
        await reindex(gone, before=True)
    await reindex(new)
    assert raw.hget("ver/meta", "signature") == b"2/!:moved"
    assert raw.hexists("ver/meta", "unbuilt") == 0
    assert drift(raw, [new]) == []
    await reindex(gone, before=True)


# -- conf(auto_build=) ------------------------------------------------------------------------------


async def test_a_small_store_is_built_by_whoever_meets_it_first(url: str, db: Database, raw: Any) -> None:
    old = version(url, {"name": text()})
    await old.save_many([old.new(str(i), name="a") for i in range(20)])
    small = version(url, {"name": text(index=True)}, auto_build=19)
    await small.new("x", name="a").save()
    with pytest.raises(NotIndexed, match=r"conf\(auto_build=19\) does where there are no more records"):
        await (small.name == "a")
    enough = version(url, {"name": text(index=True)}, auto_build=100)
    assert len(await (enough.name == "a")) == 21
    with pytest.raises(SchemaMismatch):  # it was ended
        await old.new("y").save()
    less = version(url, {"name": text()}, auto_build=100)
    await less.new("z").save()
    assert drift(raw, [less]) == []


async def test_a_version_that_is_to_be_replaced_deletes_where_memory_is_full(
    server: Server, db: Database, raw: Any, url: str
) -> None:
    """The time that its writes leave takes memory, a delete gives some back."""
    old = version(url, {"name": text(index=True)})
    await seeded(old, 3)
    await version(url, {"name": text(index=True), "size": lambda: Integer(index=True)}).new("3").save()
    assert b"s" in raw.hgetall("ver/meta").values()
    raw.config_set("maxmemory", "1")
    try:
        assert await old("1").delete()
        with pytest.raises(Unavailable):  # a control
            await old.new("4", name="other").save()
    finally:
        raw.config_set("maxmemory", "0")
    assert (raw.exists("ver:1"), raw.exists("ver:4")) == (0, 0)
