"""Sorted text, elements, and several fields together: what stands in the store, and what is refused."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from aioredisca import (
    Database,
    Email,
    Integer,
    Json,
    Model,
    NotIndexed,
    PermissionDenied,
    SchemaMismatch,
    StoreError,
    String,
    Tags,
    UniqueViolation,
    UsageError,
    ValidationError,
    conf,
    reindex,
    session,
)

from ..support.drift import drift
from ..support.hostile import hostile, is_text
from ..support.servers import Server


@conf(unique=[("owner", "slug")], index=[("country", "height")])
class Place(Model):
    name = String(index="sorted")
    tags = Tags(index=True)
    owner = String()
    slug = String(field="slg")
    country = String(maxbytes=100_000)
    height = Integer(index=True)


# -- what is stored --------------------------------------------------------------------------------


async def test_every_kind_stands_where_the_contract_says(db: Database, raw: Any) -> None:
    await Place.new("1", name="a\0b\1", tags={"x", "é"}, owner="o", slug="s", country="FI", height=5).save()
    await Place.new("2", name="a", tags=[], owner="o", country="FI").save()
    await Place.new("3").save()
    assert raw.zrange("place/s/name", 0, -1) == [b"a\x002", b"a\1\1b\1\2\x001"]
    assert raw.smembers("place/n/name") == {b"3"}
    assert raw.hget("place:1", "tags") == '["x","é"]'.encode()
    assert raw.hget("place:2", "tags") == b"[]"
    assert raw.smembers("place/x/tags/é".encode()) == {b"1"}
    assert raw.smembers("place/n/tags") == {b"3"}
    assert raw.hgetall("place/u/owner/slg") == {b"1:o1:s": b"1"}
    assert raw.zrange("place/c/country/height/FI", 0, -1, withscores=True) == [(b"1", 5.0)]
    meta = raw.hgetall("place/meta")
    signature = b"2/U:5:owner3:slg/c:7:country6:height/i:/n:height/n:name/n:tags/r:height/s:name/t:tags"
    version = hashlib.sha256(signature).hexdigest()[:16].encode()
    assert len(meta.pop(b"ver")) == 8
    assert meta == {
        b"signature": b"2/!:moved",
        b"w:" + version: b"1",
        b"sig:" + version: signature,
        **{b"e:" + entry: b"ready" for entry in signature.split(b"/")[1:]},
    }
    assert drift(raw, [Place]) == []
    await Place.delete_many(["1", "2", "3"])
    assert raw.keys("*") == [b"place/meta"]


async def test_one_member_may_change_alone(db: Database, raw: Any) -> None:
    await Place.new("1", owner="o", slug="s", country="FI", height=2**53).save()
    for name, value in [("country", "SE"), ("height", -(2**53)), ("slug", "t"), ("owner", "p")]:
        handle = Place("1")
        setattr(handle, name, value)
        await handle.save()
        assert drift(raw, [Place]) == []
    assert raw.zrange("place/c/country/height/SE", 0, -1, withscores=True) == [(b"1", -(2.0**53))]
    assert raw.hkeys("place/u/owner/slg") == [b"1:p1:t"]
    handle = Place("1")
    handle.height = handle.slug = None
    await handle.save()
    assert not raw.keys("place/c/*")
    assert not raw.keys("place/u/*")
    assert drift(raw, [Place]) == []


async def test_values_together_are_unique_and_none_may_repeat(db: Database, raw: Any) -> None:
    await Place.new("1", owner="o", slug="s").save()
    await Place.new("2", owner="o").save()
    await Place.new("3", owner="o").save()
    with pytest.raises(UniqueViolation) as caught:
        await Place.new("4", owner="o", slug="s").save()
    assert (caught.value.field, caught.value.holder) == ("owner, slug", "1")
    assert str(caught.value) == (
        "Place: owner, slug are unique together and Place('1') holds these values already"
    )
    second = Place("2")
    second.slug = "s"
    with pytest.raises(UniqueViolation):
        await second.save()
    async with session(autosave=True):  # a swap is judged on its final state
        one, two = Place("1"), Place("2")
        one.slug, two.slug = "z", "s"
    assert drift(raw, [Place]) == []
    await Place.new("x", owner="1:a", slug="").save()  # lengths are part of the claim
    await Place.new("y", owner="1", slug=":a").save()
    assert drift(raw, [Place]) == []


async def test_a_claim_together_that_was_left_over_is_taken_over(db: Database, raw: Any) -> None:
    await Place.new("1", owner="o", slug="s").save()
    raw.hset("place:1", "slg", "other")
    await Place.new("2", owner="o", slug="s").save()
    assert raw.hget("place/u/owner/slg", "1:o1:s") == b"2"


async def test_hostile_values_keep_the_indexes_exact(db: Database, raw: Any) -> None:
    dice = random.Random(5)
    texts = [text for text in hostile(21, 400) if is_text(text) and 0 < len(text.encode()) <= 512]
    for first in range(0, len(texts), 100):
        batch = texts[first : first + 100]
        records = [
            Place.new(
                text, name=text, tags=dice.sample(texts, 3), owner=text, slug=str(i), country=text, height=i
            )
            for i, text in enumerate(dict.fromkeys(batch))
        ]
        await Place.save_many(records)
        for record in records[::2]:
            record.name, record.country = dice.choice(texts), dice.choice(texts)
            record.tags = set(dice.sample(texts, 2))
        await Place.save_many(records)
        assert drift(raw, [Place]) == []
        loaded = await Place.get_many([record.id for record in records])
        assert [(r and r.tags, r and r.name) for r in loaded] == [(r.tags, r.name) for r in records]
        await Place.delete_many(records)
    assert raw.keys("*") == [b"place/meta"]


async def test_a_sorted_index_is_in_the_order_of_values_then_ids(db: Database, raw: Any) -> None:
    values = [
        "",
        "\0",
        "\0\0",
        "\1",
        "\1\1",
        "\1\2",
        "\2",
        "a",
        "a\0",
        "a\0b",
        "a\1",
        "aa",
        "é",
        "\U0001f600",
    ]
    await Place.save_many(
        [Place.new(f"{id}{i}", name=v) for i, v in enumerate(values) for id in ("z", "\xff")]
    )
    members = raw.zrange("place/s/name", 0, -1)
    ids = [member.split(b"\0")[-1].decode() for member in members]
    expected = sorted((v.encode(), f"{id}{i}".encode()) for i, v in enumerate(values) for id in ("z", "\xff"))
    assert ids == [id.decode() for _, id in expected]


# -- tags in memory --------------------------------------------------------------------------------


async def test_tags_change_in_place_and_are_saved(db: Database, raw: Any) -> None:
    await Place.new("1", tags=["b", "a", "b"]).save()
    place = await Place.get("1")
    assert place.tags == {"a", "b"}
    assert place.tags is not None
    place.tags.add("c")
    place.tags.discard("a")
    assert place.getdiff() == {"tags": '["b","c"]'}
    await place.save()
    assert place.getdiff() == {}
    assert (await Place.get("1")).tags == {"b", "c"}
    assert drift(raw, [Place]) == []
    place["tags"] = '["z","y"]'
    assert place.tags == {"y", "z"}
    with pytest.raises(ValidationError):
        place["tags"] = '{"z":1}'
    place.tags = None
    await place.save()
    assert raw.smembers("place/n/tags") == {b"1"}


def test_tags_take_iterables_of_strings_and_refuse_the_rest() -> None:
    place = Place.new("1")
    for good in ({"a"}, frozenset("a"), ["a"], ("a",), iter(["a"]), (x for x in "a"), {"a": 1}.keys()):
        place.tags = good  # type: ignore[assignment]
        assert place.tags == {"a"}
    for bad in ("a", b"a", {"a": 1}, 5, [None], [b"a"], [True], [""], ["x" * 513], ["é" * 257], ["\ud800"]):
        with pytest.raises(ValidationError):
            place.tags = bad  # type: ignore[assignment]
    place.tags = [str(i) for i in range(1000)]
    with pytest.raises(ValidationError, match="has 1,001 elements, at most 1,000 are allowed"):
        place.tags = [str(i) for i in range(1001)]
    mapper = Place.__mapper__
    codec: Any = mapper.fields["tags"].__codec__
    assert codec.element_raw("é", mapper) == "é".encode()
    with pytest.raises(ValidationError, match="513 bytes"):
        codec.element_raw("x" * 513, mapper)

    class Limited(Model):
        tags = Tags(minlen=2, maxlen=3, maxitems=2)

    for refused in (["a"], ["abcd"], ["ab", "cd", "ef"]):
        with pytest.raises(ValidationError):
            Limited.new(tags=refused)


async def test_stored_tags_that_are_none_have_no_entries_to_leave(db: Database, raw: Any) -> None:
    await Place.new("1", tags=["a"]).save()
    for foreign in (b"nope", b'{"a":1}', b'["a",5]', b"[]"):
        raw.hset("place:1", "tags", foreign)
        handle = Place("1")
        handle.tags = ["b"]
        await handle.save()
        assert raw.smembers("place/x/tags/b") == {b"1"}
    assert raw.hget("place:1", "tags") == b'["b"]'


# -- limits and declarations -----------------------------------------------------------------------


def test_values_that_stand_in_members_or_keys_are_short() -> None:
    place = Place.new("1", slug="x" * 600)
    for name in ("name", "country"):
        with pytest.raises(ValidationError, match="has 513 bytes, at most 512 are allowed"):
            setattr(place, name, "x" * 513)
    place.name = place.country = "é" * 256

    class Child(Place):
        pass

    with pytest.raises(ValidationError):
        Child.new("1").country = "x" * 513

    @conf(index=[])
    class Free(Place):
        pass

    Free.new("1").country = "x" * 513


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"unique": [("ownr", "slug")]}, "names 'ownr': there is no such field; did you mean 'owner'?"),
        ({"unique": [("tags", "slug")]}, "a Tags field cannot be part of it"),
        ({"unique": [("data", "slug")]}, "a Json field cannot be part of it"),
        ({"unique": [("odd", "slug")]}, "holds no /"),
        ({"index": [("height", "slug")]}, "orders by 'slug', which needs a range index of its own"),
        ({"index": [("slug", "size")]}, "orders by 'size', which needs a range index of its own"),
    ],
)
async def test_names_are_checked_at_the_first_use(db: Database, settings: Any, text: str) -> None:
    @conf(**settings)
    class Wrong(Model):
        owner = String()
        slug = String()
        odd = String(field="o/dd")
        tags = Tags()
        data = Json[Any]()
        height = Integer(index=True)
        size = Integer(index="exact")

    with pytest.raises(UsageError) as caught:
        await Wrong.new("1").save()
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"unique": ["owner"]},
        {"unique": "owner"},
        {"unique": [("owner",)]},
        {"unique": [("owner", "owner")]},
        {"unique": [("owner", 5)]},
        {"index": [("a", "b", "c")]},
        {"index": [("a",)]},
    ],
)
def test_lists_of_another_shape_are_refused_at_once(settings: Any) -> None:
    with pytest.raises(UsageError, match="conf"):
        conf(**settings)


def test_kinds_that_a_field_cannot_have_are_refused() -> None:
    for make in (lambda: Tags(unique=True), lambda: Integer(index="sorted"), lambda: String(index="tags")):
        with pytest.raises(UsageError):
            make()
    assert (Email(index="sorted").index, Tags(index=True).index) == ("sorted", "tags")


async def test_compounds_are_inherited_and_replaced_as_a_whole(db: Database, raw: Any) -> None:
    class Child(Place):
        pass

    @conf(unique=[("owner", "name")])
    class Other(Place):
        pass

    assert Child.__mapper__.schema(db).compounds == Place.__mapper__.schema(db).compounds
    assert [c.fields for c in Other.__mapper__.schema(db).compounds] == [
        ("owner", "name"),
        ("country", "height"),
    ]
    await Other.new("1", owner="a", name="b", country="c", height=1).save()
    await Child.new("1", owner="a", slug="b", country="c", height=1).save()
    assert drift(raw, [Other, Child]) == []
    with pytest.raises(UsageError, match="in use already"):
        conf(unique=[])(Child)


# -- the signature, reindex, rights ----------------------------------------------------------------


def plain_class() -> Any:
    @conf(prefix="place")
    class Plain(Model):
        name = String()
        tags = Tags()
        owner = String()
        slug = String(field="slg")
        country = String()
        height = Integer(index=True)

    return Plain


@pytest.mark.slow
async def test_new_kinds_are_built_by_reindex_and_dropped_again(url: str, db: Database, raw: Any) -> None:
    plain = plain_class()
    conf(db=Database(url))(plain)
    await plain.save_many(
        [
            plain.new(
                str(i), name=f"n{i}", tags=["all", str(i)], owner="o", slug=str(i), country="FI", height=i
            )
            for i in range(120)
        ]
    )
    await plain.new("none").save()
    place = Place("5")
    place.country = "SE"
    await place.save()  # kept up to date, though not built
    with pytest.raises(NotIndexed):
        await (Place.name == None)  # noqa: E711
    await plain.new("x").save()  # as long as it must
    with pytest.raises(StoreError, match="has written 0 seconds ago"):
        await reindex(Place)
    done = await reindex(Place, force=True)
    assert (done.records, done.problems) == (122, [])
    assert done.built == ("U:5:owner3:slg", "c:7:country6:height", "n:name", "n:tags", "s:name", "t:tags")
    with pytest.raises(SchemaMismatch):
        await plain.new("y").save()
    assert drift(raw, [Place]) == []
    raw.zadd("place/c/country/height/FI", {"ghost": 1})
    raw.hset("place/u/owner/slg", "1:a1:b", "ghost")
    raw.delete("place/s/name")
    assert (await reindex(Place, everything=True)).records == 122
    assert drift(raw, [Place]) == []
    await reindex(plain)
    assert drift(raw, [plain]) == []


async def test_reindex_reports_what_the_new_kinds_cannot_hold(url: str, db: Database, raw: Any) -> None:
    raw.hset("place:1", mapping={"owner": "a", "slg": "b"})
    raw.hset("place:2", mapping={"owner": "a", "slg": "b"})
    raw.hset("place:3", mapping={"name": "x" * 513})
    raw.hset("place:4", mapping={"country": "x" * 513})
    raw.hset("place:5", mapping={"tags": '["' + "x" * 513 + '"]'})
    raw.hset("place:6", mapping={"tags": '["b","a"]', "name": "n", "country": "c", "height": "+3"})
    done = await reindex(Place)
    kinds = sorted((id in "12", type(error).__name__) for id, error in done.problems)
    assert kinds == [(False, "CorruptRecord")] * 5 + [(True, "UniqueViolation")]  # two of one record
    assert done.left_out == 5
    assert next(e.field for _, e in done.problems if isinstance(e, UniqueViolation)) == "owner, slug"
    for id in ("2", "3", "4", "5"):
        raw.delete(f"place:{id}")
    assert (await reindex(Place, canonical=True)).problems == []
    assert raw.hget("place:6", "tags") == b'["a","b"]'
    assert drift(raw, [Place]) == []


async def test_a_range_index_that_is_rebuilt_takes_its_compounds_along(
    url: str, db: Database, raw: Any
) -> None:
    @conf(prefix="p", index=[("country", "height")])
    class Loose(Model):
        country = String()
        height = Integer(index=True)

    @conf(prefix="p", index=[("country", "height")], db=Database(url))
    class Strict(Model):
        country = String()
        height = Integer(index=True, required=True)

    await Loose.new("1", country="FI", height=1).save()
    done = await reindex(Strict)
    assert (done.built, done.dropped) == ((), ("n:height",))  # nobody is without a height
    await reindex(Loose)
    await Loose.new("2", country="FI").save()
    done = await reindex(Strict)
    assert (done.built, done.unbuilt, done.incomplete) == ((), ("r:height",), {"height": 1})
    done = await reindex(Strict)  # what was left out is looked at for each of its entries, and is one record
    assert (done.unbuilt, done.incomplete) == (("r:height",), {"height": 1})
    with pytest.raises(NotIndexed):
        await (Strict.height > 0)
    # the index would pass one over, so it is not used
    assert [one.id for one in await Strict.all().order_by(Strict.height)] == ["1", "2"]
    await Strict("2").delete()
    assert (await reindex(Strict)).built == ("r:height",)
    assert drift(raw, [Strict]) == []


@pytest.mark.parametrize("command", ["zscore", "zadd", "zrem", "sadd", "srem"])
async def test_a_right_that_the_new_kinds_need_is_named_first(
    server: Server, db: Database, driver: str, command: str
) -> None:
    with server.client() as admin:
        rules = ["reset", "on", ">secret", "~*", "&*", "+@all", f"-{command}"]
        admin.execute_command("ACL", "SETUSER", "app", *rules)
        restricted = Database(f"redis://app:secret@127.0.0.1:{server.port}/0")
        async with session(restricted):
            with pytest.raises(PermissionDenied) as caught:
                await Place.new("1", country="FI", height=1).save()
        assert f"+{command}" in caught.value.rule.split()
        assert admin.keys("*") == []
        admin.acl_deluser("app")
    restricted.close() if driver == "blocking" else await restricted.aclose()
