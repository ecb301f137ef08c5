"""Somebody else's value of another type at any key of the library: nothing is lost, and the key is named."""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioredisca import Database, ListOf, Model, String, WrongType, reindex
from aioredisca.maintenance.reindexing import Run

from ..support.drift import drift, lost
from ..support.tagged import called, place_of
from .fault_models import MODELS, VERBS, Rich, Simple, stage

pytestmark = pytest.mark.one_slot

INDEXES = "ids u/email r/age r/price h/name n/name n/age x/name/Ada x/name/Eve".split()
KEYS = {
    "simple": [*INDEXES, "meta", "l/parts/1", "l/hits/1", "child/x/parent/1", "guest/n/host"],
    "rich": [
        *INDEXES,
        *"s/word n/word x/tags/red x/tags/green u/owner/slug c/city/age/Rome c/city/age/Bern".split(),
    ],
}
PER_PUSH = 2


def keys_for(model: str, verb: str, *, full: bool) -> list[str]:
    """All keys, or a few that differ from verb to verb."""
    keys = [name if name.startswith(("child", "guest")) else f"{model}/{name}" for name in KEYS[model]]
    if full:
        return keys
    first = zlib.crc32(verb.encode())
    return [keys[(first + 7 * n) % len(keys)] for n in range(PER_PUSH)]


def records(raw: Any) -> dict[bytes, Any]:
    """Every record without its marker, and every collection."""
    found = {key: raw.hgetall(key) for key in raw.keys("*:*") if raw.type(key) == b"hash"}
    for fields in found.values():
        fields.pop(b"_", None)
    found |= {key: raw.get(key) for key in raw.keys("*/l/hits/*") if raw.type(key) == b"string"}
    return found | {
        key: raw.lrange(key, 0, -1) for key in raw.keys("*/l/parts/*") if raw.type(key) == b"list"
    }


async def refused(verb: Awaitable[Any]) -> WrongType | None:
    """The error that a verb meets."""
    try:
        await verb
    except WrongType as error:
        return error
    return None


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("model", [Simple, Rich], ids=["simple", "rich"])
async def test_a_foreign_type_at_any_key_loses_nothing(
    db: Database, raw: Any, full: bool, model: Any, verb: str
) -> None:
    for key in keys_for(model.getprefix(), verb, full=full):
        raw.flushall()
        db.facts.index_states.clear()
        await stage(model)
        foreign = raw.rpush if key.endswith("hits/1") else raw.set
        foreign(key, "mine")
        before = records(raw)
        if (error := await refused(VERBS[verb](model))) is not None:
            known = {key, f"{key.rpartition('/')[0]}/*"}
            found = (
                verb == "update_or_create" and "/c/" in key
            )  # by the server, whose record nobody else knows
            unknown = "query" in verb or found
            assert called(raw, error.key) in known or unknown or key.endswith("meta"), key
            mends = "/l/" not in key  # it mends no collection
            assert ("aioredisca reindex" in error.cure) == mends
            assert records(raw) == before
        place = place_of(raw, key).encode()
        told = f"{place!r} is no hash"  # of meta, which it is
        assert [one for one in lost(raw, MODELS, {place}) if one != told] == [], key
        assert raw.exists(key) or ("/l/" in key and "delete" in verb)
        if full:
            if key.endswith("meta"):
                raw.delete(key)
            for one in MODELS:
                await reindex(one, everything=True)
            assert drift(raw, MODELS) == []


async def test_reindex_takes_the_foreign_key_away(db: Database, raw: Any) -> None:
    await stage(Rich)
    for name in KEYS["rich"]:
        raw.set(f"rich/{name}", "mine")
    raw.delete("rich/x/name/Eve", "rich/c/city/age/Bern", "rich/x/tags/green")
    assert (await reindex(Rich, everything=True)).problems == []
    assert drift(raw, MODELS) == []


class User(Model):
    email = String(unique=True)
    name = String(index=True)


UNBUILT = {
    "cut short": {"e:x:name": "pass", "cur:x:name": "=1", "e:n:name": "pass", "cur:n:name": "=1"},
    "another": {"e:u:email": "wipe"},
    "all": {f"e:{entry}": "wipe" for entry in ("i:", "u:email", "x:name", "n:name")},
}


@pytest.mark.parametrize("way", ["mends", "control"])
@pytest.mark.parametrize("unbuilt", UNBUILT)
@pytest.mark.parametrize("name", ["Ada", "a" * 600], ids=["short", "long"])
async def test_reindex_goes_through_where_a_key_of_a_value_is_none_of_an_index(
    db: Database, raw: Any, unbuilt: str, name: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad way, the control: to build first, which stops there, and to look through what is ready then."""
    if (unbuilt, way) == ("all", "control"):
        pytest.skip("what is emptied needs no room")
    await User.save_many([User.new(str(n), email=f"{n}", name=name) for n in range(5)])
    (key,) = raw.keys("user/[xy]/name/*")
    raw.delete(key)
    raw.set(key, "mine")
    raw.hset("user/meta", mapping={**UNBUILT[unbuilt], "ver": "other"})
    if unbuilt != "all":  # which empties that index, whatever stands there
        with pytest.raises(WrongType) as caught:
            await reindex(User)
        assert "reindex --everything" in caught.value.cure
        if way == "control":
            monkeypatch.setattr(Run, "build_in_any_place", Run.build)
            with pytest.raises(WrongType):
                await reindex(User, everything=True)
            return
    done = await reindex(User, everything=True)
    assert (done.problems, done.unbuilt, done.records) == ([], (), 5)
    assert len(await User.name.find(name)) == 5
    assert drift(raw, [User]) == []
    assert not [field for field in raw.hkeys("user/meta") if field.startswith(b"cur:")]


async def test_an_entry_that_is_to_go_needs_no_key_of_the_right_type(db: Database, raw: Any) -> None:
    """The known-bad way: to stop there, with the claim released and the hash as it was."""
    user = await User.new("1", email="a", name="Ada").save()
    raw.set("user/x/name/Ada", "mine")
    user.name, user.email = "Eve", "b"
    await user.save()
    assert raw.hgetall("user:1") == {b"email": b"b", b"name": b"Eve"}
    assert raw.hgetall("user/u/email") == {b"b": b"1"}
    assert lost(raw, [User]) == []


async def test_the_error_names_the_key_without_the_value_and_the_type(db: Database, raw: Any) -> None:
    user = await User.new("1", email="a", name="Ada").save()
    raw.rpush("user/x/name/secret", "mine")
    user.name, user.email = "secret", "b"
    with pytest.raises(
        WrongType, match=r"the key '(\{\w+\})?user/x/name/\*' holds a list that does not"
    ) as caught:
        await user.save()
    assert (called(raw, caught.value.key or ""), caught.value.held) == ("user/x/name/*", "list")
    assert "secret" not in repr(caught.value) + str(caught.value)
    assert user.getdiff() == {"name": "secret", "email": "b"}
    assert raw.hgetall("user/u/email") == {b"a": b"1"}
    raw.delete("user/x/name/secret")
    await user.save()
    assert drift(raw, [User]) == []


async def test_the_key_is_named_beside_a_stored_value_that_cannot_be_read(db: Database, raw: Any) -> None:
    raw.hset("rich:1", mapping={"tags": "no JSON", "age": "no number"})
    raw.set("rich/x/tags/red", "mine")
    rich = await Rich.get("1")
    rich.tags = {"red"}
    with pytest.raises(WrongType, match=r"the key '(\{\w+\})?rich/x/tags/\*' holds a string"):
        await rich.save()


async def test_the_key_of_a_long_value_is_named(db: Database, raw: Any) -> None:
    user = await User.new("1", email="a", name="a" * 600).save()
    (key,) = raw.keys("user/y/name/*")
    raw.delete(key)
    raw.set(key, "mine")
    await user.delete()
    with pytest.raises(WrongType, match=r"the key '(\{\w+\})?user/y/name/\*' holds a string"):
        await User.new("2", email="b", name="a" * 600).save()


@pytest.mark.parametrize("compared", [False, True], ids=["fast", "general"])
async def test_a_digest_that_a_failed_write_left_is_not_taken_for_an_old_one(
    db: Database, raw: Any, compared: bool
) -> None:
    """The known-bad way: the next write of that value removes its own entry."""
    long, other = "a" * 600, "b" * 600
    user = await User.new("1", email="a", name=long).save()
    await User.new("3", email="c", name=other).save()
    digest: bytes = raw.hget("user/h/name", "3")
    raw.hset("user/h/name", "1", digest)  # as a write leaves it that stops before the hash
    raw.sadd(b"user/y/name/" + digest, "1")
    user.name = other
    await user.save(if_unchanged=compared)
    assert raw.smembers(b"user/y/name/" + digest) == {b"1", b"3"}
    assert lost(raw, [User]) == []


async def test_each_sort_of_key_has_the_cure_that_helps(db: Database, raw: Any) -> None:
    """The known-bad way: `reindex --everything` for all, which mends indexes and nothing else."""

    class Shelf(Model):
        name = String(index=True)
        log = ListOf(String())

    shelf = await Shelf.new("1", name="a").save()
    raw.set("shelf:x", "mine")
    loads: list[Callable[[], Awaitable[Any]]] = [
        lambda: Shelf.get("x"),
        lambda: Shelf("x").load(),
        lambda: Shelf("x").load(raw=True),
    ]
    for load in loads:
        with pytest.raises(WrongType, match=r"no record: move it away, or take another id$") as caught:
            await load()
        assert called(raw, caught.value.key or "") == "shelf:x"
    raw.set("shelf/l/log/1", "mine")
    verbs: list[Callable[[], Awaitable[Any]]] = [lambda: shelf.log.append("a"), lambda: shelf.log.range()]
    for verb in verbs:
        with pytest.raises(WrongType, match=r"rename or delete it$") as caught:
            await verb()
        assert called(raw, caught.value.key or "") == "shelf/l/log/1"
    with pytest.raises(
        WrongType, match=r"^a key of this model .* record or a collection is to be renamed"
    ) as caught:
        await Shelf.get_many(["1", "x"])
    assert (called(raw, caught.value.key or ""), caught.value.held) == ("", "")
    raw.delete("shelf:x", "shelf/l/log/1", "shelf/meta")
    raw.set("shelf/meta", "mine")
    verbs = [lambda: Shelf.new("2").save(), lambda: reindex(Shelf, everything=True)]
    for verb in verbs:
        with pytest.raises(WrongType, match=r"run `aioredisca reindex`, which writes its own$") as caught:
            await verb()
        assert called(raw, caught.value.key or "") == "shelf/meta"
    raw.delete("shelf/meta")  # as it says
    assert (await reindex(Shelf)).problems == []
    assert [one.id for one in await (Shelf.name == "a")] == ["1"]
    assert drift(raw, [Shelf]) == []
