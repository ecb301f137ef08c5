"""Updates of fields that no index knows of: a fast path of their own, and the same rules."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import (
    Database,
    Gone,
    Integer,
    Model,
    SchemaMismatch,
    StoreError,
    String,
    Tags,
    conf,
)
from aioredisca.compiler.changes import Change, Mode
from aioredisca.compiler.writes import write_call

from ..support.drift import drift


@conf(unique=[("owner", "slug")], index=[("country", "rank")])
class Page(Model):
    """An index of every kind, so that other writes take the general script."""

    title = String(required=True)
    email = String(unique=True)
    name = String(index=True)
    word = String(index="sorted")
    tags = Tags(index=True)
    owner, slug = String(), String()
    country, rank = String(), Integer(index=True)
    note, size = String(), Integer()


class Bare(Model):
    note, size = String(), Integer()


WAYS: list[tuple[Mode, dict[str, bytes], tuple[str, ...], bool]] = [
    ("update", {"note": b"n"}, (), True),
    ("update", {"note": b"n", "size": b"1", "undeclared": b"x"}, (), True),
    ("update", {"note": b"n"}, ("size",), False),
    ("update", {}, ("size",), False),
    ("upsert", {"note": b"n"}, (), False),
    ("create", {"title": b"t"}, (), False),
    ("delete", {}, (), False),
    *[
        ("update", {"note": b"n", name: b"1"}, (), False)
        for name in ("email", "name", "word", "tags", "owner", "slug", "country", "rank")
    ],
]


@pytest.mark.parametrize(("mode", "sets", "drops", "alone"), WAYS)
async def test_only_updates_that_touch_no_index_go_this_way(
    db: Database, mode: Mode, sets: dict[str, bytes], drops: tuple[str, ...], alone: bool
) -> None:
    call = write_call([Change(Page.__mapper__.schema(db), "1", mode, sets, drops)])
    assert bool(call.packed) is alone


async def test_what_must_be_compared_does_not(db: Database) -> None:
    schema, sets = Page.__mapper__.schema(db), {"note": b"n"}
    for more in ({"expect": {"note": None}}, {"again": True}, {"skip": True}):
        change = Change(schema, "1", "update", sets, **more)
        assert not write_call([change]).packed


async def test_they_are_written_and_everything_else_stays(db: Database, raw: Any) -> None:
    page = await Page.new(
        "1", title="t", email="e", name="n", word="w", tags={"x"}, owner="o", slug="s", country="c", rank=3
    ).save()
    before = raw.hgetall("page:1")
    page.note, page.size = "new", 5
    page["undeclared"] = "more"
    await page.save()
    assert raw.hgetall("page:1") == before | {b"note": b"new", b"size": b"5", b"undeclared": b"more"}
    assert page.getdiff() == {}
    assert (await page.reload()).note == "new"
    assert drift(raw, [Page]) == []


async def test_a_record_that_was_deleted_meanwhile_does_not_come_back(db: Database, raw: Any) -> None:
    page = await Page.new("1", title="t").save()
    await Page("1").delete()
    page.note = "late"
    with pytest.raises(Gone):
        await page.save()
    assert raw.exists("page:1") == 0
    assert page.getdiff()["note"] == "late"
    assert drift(raw, [Page]) == []


async def test_control_hset_brings_a_deleted_record_back_half(db: Database, raw: Any) -> None:
    await Page.new("1", title="t").save()
    await Page("1").delete()
    raw.hset("page:1", "note", "late")
    assert drift(raw, [Page]) != []


async def test_what_is_no_hash_is_refused_and_stays(db: Database, raw: Any) -> None:
    page = await Page.new("1", title="t").save()
    raw.delete("page:1")
    raw.set("page:1", "somebody's")
    page.note = "new"
    with pytest.raises(StoreError, match="holds something that is no record"):
        await page.save()
    assert raw.get("page:1") == b"somebody's"
    assert page.getdiff() == {"note": "new"}


async def test_a_field_that_others_index_meanwhile_is_not_changed_past_that_index(
    db: Database, raw: Any
) -> None:
    bare = await Bare.new("1", note="old").save()
    permit = Bare.__mapper__.schema(db).permit
    raw.hset("bare/meta", mapping={permit: "x", "e:x:note": "ready"})
    bare.note = "new"
    with pytest.raises(SchemaMismatch):
        await bare.save()
    assert raw.hget("bare:1", "note") == b"old"
    raw.hset("bare/meta", permit, "1")
    await bare.save()
    assert raw.hget("bare:1", "note") == b"new"


async def test_a_store_that_was_flushed_is_declared_again_before_it_is_told(db: Database, raw: Any) -> None:
    bare = await Bare.new("1", note="old").save()
    raw.flushall()
    bare.note = "new"
    with pytest.raises(Gone):
        await bare.save()
    await bare.save()
    assert raw.hgetall("bare:1") == {b"note": b"new"}
    assert drift(raw, [Bare]) == []


async def test_the_marker_of_an_empty_record_goes_with_its_first_field(db: Database, raw: Any) -> None:
    await Bare.new("1").save()
    bare = await Bare.get("1")
    bare["undeclared"] = "x"
    await bare.save()
    assert raw.hgetall("bare:1") == {b"_": b"1", b"undeclared": b"x"}
    bare.size = 1
    await bare.save()
    assert raw.hgetall("bare:1") == {b"size": b"1", b"undeclared": b"x"}
    bare.size = None
    await bare.save()
    assert raw.hgetall("bare:1") == {b"_": b"1", b"undeclared": b"x"}
    assert drift(raw, [Bare]) == []


async def test_a_server_that_has_lost_its_scripts_is_sent_the_whole(db: Database, raw: Any) -> None:
    page = await Page.new("1", title="t").save()
    raw.script_flush()
    page.note = "new"
    await page.save()
    assert raw.hget("page:1", "note") == b"new"
