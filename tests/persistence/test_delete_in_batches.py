"""A delete and other writes in one call: what refers to a deleted record is sought in the call, too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioredisca import (
    Database,
    Gone,
    Integer,
    Model,
    Reference,
    Restricted,
    String,
    UsageError,
    conf,
    session,
)

from ..support.drift import drift

pytestmark = pytest.mark.one_slot


@conf(prefix="batch-parent")
class Parent(Model):
    name = String()


@conf(prefix="batch-child")
class Child(Model):
    parent = Reference(Parent, index=True, on_delete="cascade")
    code = String(unique=True)
    n = Integer(index=True)


@conf(prefix="batch-grandchild")
class Grandchild(Model):
    child = Reference(Child, required=True, index=True, on_delete="cascade")


@conf(prefix="batch-note", unique=[("parent", "n")], index=[("parent", "n")])
class Note(Model):
    parent = Reference(Parent, index=True, on_delete="nullify")
    about = Reference(Child, index=True, on_delete="nullify")
    n = Integer(index=True)


@conf(prefix="batch-hold")
class Hold(Model):
    parent = Reference(Parent, index=True, on_delete="restrict")
    child = Reference(Child, index=True, on_delete="restrict")


@conf(prefix="batch-bound")
class Bound(Model):
    parent = Reference(Parent, children=True, index=True, on_delete="restrict")


@conf(prefix="batch-keyed")
class Keyed(Model):
    parent = Reference(Parent, children=True, index=True, on_delete="cascade")


@conf(prefix="batch-pair")
class Pair(Model):
    one = Reference(Parent, index=True, on_delete="cascade")
    two = Reference(Parent, index=True, on_delete="nullify")


@conf(prefix="batch-ring")
class Ring(Model):
    boss = Reference("Ring", index=True, on_delete="cascade")
    mate = Reference("Ring", index=True, on_delete="cascade")


MODELS = (Parent, Child, Grandchild, Note, Hold, Bound, Keyed, Pair, Ring)


async def left() -> dict[str, list[str]]:
    return {model.__name__: await model.all().ids() for model in MODELS if await model.all().ids()}


async def two_parents() -> None:
    await Parent.save_many([Parent.new("1"), Parent.new("2")])


@pytest.mark.on_cluster
async def test_a_new_child_goes_with_its_parent(db: Database, raw: Any) -> None:
    await two_parents()
    async with session(autosave=True) as work:
        child = Child.new("c", parent="1", code="x", n=1)
        Keyed.new("a", parent=Parent("1"))
        work.delete(Parent("1"))
        await work.flush()
        assert not child
        with pytest.raises(UsageError, match="was deleted and nothing was set since"):
            await child.save()
    assert await left() == {"Parent": ["2"]}
    assert not raw.keys("batch-*/x/*")
    assert drift(raw, MODELS) == []


async def test_a_new_child_that_went_along_claims_nothing(db: Database, raw: Any) -> None:
    await two_parents()
    async with session(autosave=True) as work:
        Child.new("c", parent="1", code="x")
        Child.new("d", parent="2", code="y")
        work.delete(Parent("1"))
    await Child.new("e", parent="2", code="x").save()
    assert await left() == {"Parent": ["2"], "Child": ["d", "e"]}
    assert drift(raw, MODELS) == []


async def test_a_child_moved_to_the_parent_goes_with_it(db: Database, raw: Any) -> None:
    await two_parents()
    await Child.new("c", parent="2", code="x", n=1).save()
    async with session(autosave=True) as work:
        child = await Child.get("c")
        child.parent = "1"  # type: ignore[assignment]
        child.n = 9
        work.delete(Parent("1"))
    assert await left() == {"Parent": ["2"]}
    assert drift(raw, MODELS) == []


async def test_a_child_moved_away_stays(db: Database, raw: Any) -> None:
    await two_parents()
    await Child.save_many([Child.new("c", parent="1"), Child.new("d", parent="1")])
    async with session(autosave=True) as work:
        (await Child.get("c")).parent = "2"  # type: ignore[assignment]
        (await Child.get("d")).parent = None
        work.delete(Parent("1"))
    assert await left() == {"Parent": ["2"], "Child": ["c", "d"]}
    assert (await Child.get("d")).parent is None
    assert drift(raw, MODELS) == []


async def test_a_new_chain_goes_to_its_end(db: Database, raw: Any) -> None:
    await two_parents()
    await Child.new("stored", parent="1").save()
    async with session(autosave=True) as work:
        Child.new("c", parent="1")
        Grandchild.new("g", child="c")
        Grandchild.new("h", child="stored")
        note = Note.new("n", about="c", n=1)
        work.delete(Parent("1"))
    assert await left() == {"Parent": ["2"], "Note": ["n"]}
    assert raw.hgetall("batch-note:n") == {b"n": b"1"}
    assert note.n == 1
    assert drift(raw, MODELS) == []


async def test_a_new_circle_ends(db: Database, raw: Any) -> None:
    await Ring.new("root").save()
    async with session(autosave=True) as work:
        Ring.new("x", boss="root", mate="y")
        Ring.new("y", mate="x")
        Ring.new("self", boss="x", mate="self")
        Ring.new("free", mate="free")
        work.delete(Ring("root"))
    assert await left() == {"Ring": ["free"]}
    assert drift(raw, MODELS) == []


async def test_a_new_child_is_told_of_no_parent(db: Database, raw: Any) -> None:
    await two_parents()
    await Note.new("old", parent="2", n=1).save()
    async with session(autosave=True) as work:
        Note.new("n", parent="1", n=1)
        Note.new("m", parent="1")  # holds nothing else
        (await Note.get("old")).parent = "1"  # type: ignore[assignment]
        work.delete(Parent("1"))
    assert [(await Note.get(id)).parent for id in ("n", "m", "old")] == [None, None, None]
    assert raw.hgetall("batch-note:n") == {b"n": b"1"}
    assert raw.hgetall("batch-note:m") == {b"_": b"1"}
    assert raw.hgetall("batch-note:old") == {b"n": b"1"}
    assert await (Note.parent == None).count() == 3  # noqa: E711
    assert drift(raw, MODELS) == []


async def test_a_record_knows_which_reference_was_taken_away(db: Database, raw: Any) -> None:
    """What the session shows is what is stored: the next save compares with it."""
    await two_parents()
    await Note.new("old", parent="2", n=1).save()
    async with session() as work:
        new, old = Note.new("new", parent="1", n=2), await Note.get("old")
        old.parent = "1"  # type: ignore[assignment]
        work.delete(Parent("1"))
        await work.flush()
        for note in (new, old):
            assert (note.parent, note.getdiff()) == (None, {})
            note.n = 7 if note is new else 8
            await note.save(if_unchanged="record")
            note.parent = "2"  # type: ignore[assignment]
        await work.flush()
    assert raw.hgetall("batch-note:new") == {b"n": b"7", b"parent": b"2"}
    assert raw.hgetall("batch-note:old") == {b"n": b"8", b"parent": b"2"}
    assert drift(raw, MODELS) == []


@pytest.mark.parametrize("bound", [False, True], ids=["cascade", "restrict"])
async def test_references_too_long_for_a_key_are_found_by_their_digests(
    db: Database, raw: Any, bound: bool
) -> None:
    """Prefix and id of a reference with children=True may be longer than what key names hold."""
    long, other = "x" * 512, "y" * 512
    await Parent.save_many([Parent.new(long), Parent.new(other), Parent.new("1")])
    assert await Parent(long).delete()  # nobody refers to it
    await Parent.new(long).save()
    await Keyed.save_many([Keyed.new("a", parent=Parent(long)), Keyed.new("b", parent=Parent(other))])
    if bound:
        await Bound.new("h", parent=Parent(long)).save()
        with pytest.raises(Restricted):
            await Parent(long).delete()
        await Bound("h").delete()
    async with session(autosave=True) as work:
        Keyed.new("c", parent=Parent(long))
        (await Keyed.get("b")).parent = Parent("1")
        work.delete(Parent(long))
        work.delete(Parent(other))
    assert await Keyed.all().ids() == ["b"]
    assert drift(raw, MODELS) == []


async def test_an_undeclared_record_that_gains_a_field_sheds_the_marker(db: Database, raw: Any) -> None:
    await two_parents()
    note = Note.new("n")
    note["free"] = "x"
    await note.save()
    assert raw.hgetall("batch-note:n") == {b"free": b"x", b"_": b"1"}
    async with session(autosave=True) as work:
        changed = await Note.get("n")
        changed.parent, changed.n = "1", 4  # type: ignore[assignment]
        work.delete(Parent("1"))
    assert raw.hgetall("batch-note:n") == {b"free": b"x", b"n": b"4"}
    assert drift(raw, MODELS) == []


@pytest.mark.parametrize("stored", [False, True], ids=["new", "moved"])
async def test_restrict_sees_the_batch(db: Database, raw: Any, stored: bool) -> None:
    await two_parents()
    if stored:
        await Hold.new("h", parent="2").save()
    before = {key: raw.dump(key) for key in raw.keys("batch-*:*")}
    async with session() as work:
        hold = await Hold.get("h") if stored else Hold.new("h")
        hold.parent = "1"  # type: ignore[assignment]
        (await Parent.get("2")).name = "never"
        parent = Parent("1")
        work.delete(parent)
        with pytest.raises(Restricted) as caught:
            await work.flush()
        assert (caught.value.field, caught.value.holder) == ("Hold.parent", "h")
        assert caught.value.instance is parent
        assert {key: raw.dump(key) for key in raw.keys("batch-*:*")} == before
        hold.parent = "2"  # type: ignore[assignment]
        await work.flush()
    assert not await Parent("1").exists()
    assert drift(raw, MODELS) == []


async def test_restrict_of_a_chain_in_the_batch(db: Database, raw: Any) -> None:
    await two_parents()
    async with session() as work:
        Child.new("c", parent="1")
        hold = Hold.new("h", child="c")
        work.delete(Parent("1"))
        with pytest.raises(Restricted) as caught:
            await work.flush()
        assert (caught.value.model, caught.value.id, caught.value.field) == ("Child", "c", "Hold.child")
        hold.child = None
        await work.flush()
    assert await left() == {"Parent": ["2"], "Hold": ["h"]}
    assert drift(raw, MODELS) == []


async def test_one_that_goes_twice_and_one_that_is_deleted_anyway(db: Database, raw: Any) -> None:
    await two_parents()
    await Pair.new("deleted", one="1", two="2").save()
    async with session(autosave=True) as work:
        Pair.new("both", one="1", two="2")
        Pair.new("same", one="1", two="1")
        Pair.new("lost", two="2")
        work.delete(Parent("1"))
        work.delete(Parent("2"))
        work.delete(Pair("deleted"))
    assert await Pair.all().ids() == ["lost"]
    assert raw.hgetall("batch-pair:lost") == {b"_": b"1"}
    assert drift(raw, MODELS) == []


async def test_a_child_whose_record_is_gone_is_told_so(db: Database) -> None:
    await two_parents()
    await Child.new("c", parent="2").save()
    async with session() as work:
        child = await Child.get("c")
        child.parent = "1"  # type: ignore[assignment]
        work.delete(Parent("1"))
        await Child.__mapper__.detached("c").delete()
        with pytest.raises(Gone):
            await work.flush()


@pytest.mark.asyncio_only  # the same call in both colours
async def test_a_big_batch_of_new_children_counts_once(server: Any, db: Database, raw: Any) -> None:
    await two_parents()
    async with session(autosave=True) as work:
        made = [Child.new(parent="1") for _ in range(2600)]
        work.delete(Parent("1"))
    assert len(made) == 2600
    assert await left() == {"Parent": ["2"]}
    assert drift(raw, MODELS) == []


async def _by_hand(work: Any) -> None:
    await work.flush()


async def _by_class(work: Any) -> None:
    await Child.save_all()


@pytest.mark.parametrize("flush", [_by_hand, _by_class], ids=["flush", "save_all"])
async def test_a_flush_in_parts_leaves_nothing_dangling(
    db: Database, raw: Any, flush: Callable[[Any], Awaitable[None]]
) -> None:
    await two_parents()
    async with session(autosave=True) as work:
        Child.new("c", parent="1")
        work.delete(Parent("1"))
        await flush(work)
    assert await left() == {"Parent": ["2"]}
    assert drift(raw, MODELS) == []
