"""Servers that throw records away: told once, or refused; and what a new record finds where one was thrown away."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from aioredisca import (
    Counter,
    Database,
    EvictionWarning,
    ListOf,
    Model,
    SetOf,
    StoreError,
    String,
    Tags,
    UsageError,
    conf,
    health,
    session,
)

from ..support.drift import drift
from ..support.servers import Server


class Basket(Model):
    """Of which each change goes by the fast path."""

    name = String(index=True)
    email = String(unique=True)
    wishes = ListOf(String())
    seen = SetOf(String())
    hits = Counter()


class Tagged(Model):
    """Of which each goes by the general script."""

    name = String(index=True)
    email = String(unique=True)
    tags = Tags(index=True)
    wishes = ListOf(String())
    seen = SetOf(String())
    hits = Counter()


class Plain(Model):
    name = String(index=True)


@conf(ttl=60)
class Passing(Model):
    name = String(index=True)


async def private(model: Any, raw: Any) -> None:
    """The collections of a record whose hash went without the library."""
    record = await model.new("1", name="Ada", email="a").save()
    await record.wishes.append("secret")
    await record.seen.add("secret")
    await record.hits.incr(5)
    raw.delete(record.getkey())


async def by_session(model: Any) -> None:
    async with session(autosave=True):
        model.new("1", name="Eve")
        model.new("2", name="Eve")


CREATES: dict[str, Any] = {
    "new": lambda model: model.new("1", name="Eve").save(),
    "bare": lambda model: model.new("1").save(),
    "handle": lambda model: changed(model("1")).save(),
    "upsert": lambda model: model.new("1", name="Eve").save(mode="upsert"),
    "session": by_session,
    "save_many": lambda model: model.save_many([model.new("2"), model.new("1", name="Eve")]),
}


def changed(record: Any) -> Any:
    record.name = "Eve"
    return record


@pytest.mark.parametrize("create", CREATES)
@pytest.mark.parametrize("model", [Basket, Tagged])
async def test_a_new_record_has_nothing_of_one_that_was_thrown_away(
    db: Database, raw: Any, model: Any, create: str
) -> None:
    await private(model, raw)
    await CREATES[create](model)
    record = await model.get("1")
    assert (await record.wishes.range(), await record.seen.members(), await record.hits.get()) == (
        [],
        set(),
        0,
    )
    assert not raw.keys("*/l/*")


@pytest.mark.parametrize("verb", ["get_or_create", "update_or_create"])
@pytest.mark.parametrize("model", [Basket, Tagged])
async def test_what_is_found_or_created_has_nothing_of_it_either(
    db: Database, raw: Any, model: Any, verb: str
) -> None:
    conf(id=lambda: "1")(model)
    await private(model, raw)
    record, created = await getattr(model, verb)(email="b")
    assert (created, await record.wishes.range(), raw.keys("*/l/*")) == (True, [], [])


@pytest.mark.parametrize("model", [Basket, Tagged])
async def test_a_record_that_is_there_keeps_its_collections(db: Database, raw: Any, model: Any) -> None:
    """Control: whatever writes it but a delete."""
    record = await model.new("1", name="Ada", email="a").save()
    await record.wishes.append("mine")
    await model.new("1", name="Eve").save(mode="upsert")
    await changed(await model.get("1")).save()
    await changed(model("1")).save()
    await model.update_or_create(email="a", defaults={"name": "Bob"})
    await model.save_many([changed(model("1")), model.new("2")])
    assert await record.wishes.range() == ["mine"]
    await record.delete()
    assert not raw.keys("*/l/*")
    assert drift(raw, [model]) == []


# -- the policy ------------------------------------------------------------------------------------


@pytest.fixture
def evicting(server: Server) -> Iterator[Any]:
    """A server that may throw any key away."""
    with server.client() as admin:
        admin.config_set("maxmemory", "1gb")
        admin.config_set("maxmemory-policy", "allkeys-lru")
        yield admin
        admin.config_set("maxmemory", "0")
        admin.config_set("maxmemory-policy", "noeviction")
        admin.acl_deluser("app")


async def closed(database: Database, driver: str) -> None:
    database.close() if driver == "blocking" else await database.aclose()


async def test_it_is_warned_once_by_the_first_write(server: Server, evicting: Any, driver: str) -> None:
    database = Database(server.url)
    async with session(database):
        with pytest.warns(EvictionWarning, match=r"\(maxmemory-policy allkeys-lru\).*noeviction"):
            await Plain.new("1", name="Ada").save()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await Basket.new("1", name="Ada").save()
            await health.check(database)
    await closed(database, driver)


async def test_it_is_told_by_health_before_the_first_write(
    server: Server, evicting: Any, driver: str
) -> None:
    database = Database(server.url)
    with pytest.warns(EvictionWarning):
        await health.check(database)
    await closed(database, driver)


async def test_it_can_be_refused_or_allowed(server: Server, evicting: Any, driver: str) -> None:
    strict, easy = Database(server.url, eviction="refuse"), Database(server.url, eviction="allow")
    async with session(strict):
        for attempt in (Plain.new("1", name="Ada").save, lambda: health.check(strict)):
            with pytest.raises(StoreError, match=r"noeviction.*Database\(eviction='allow'\)"):
                await attempt()
    assert evicting.keys("*") == []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with session(easy):
            await Plain.new("1", name="Ada").save()
    await closed(strict, driver)
    await closed(easy, driver)


@pytest.mark.parametrize(
    ("limit", "policy"), [("0", "allkeys-lru"), ("1gb", "volatile-lru"), ("1gb", "noeviction")]
)
async def test_a_policy_that_takes_no_record_is_fine(
    server: Server, evicting: Any, driver: str, limit: str, policy: str
) -> None:
    evicting.config_set("maxmemory", limit)
    evicting.config_set("maxmemory-policy", policy)
    database = Database(server.url, eviction="refuse")
    async with session(database):
        await Plain.new("1", name="Ada").save()
        await health.check(database)
    await closed(database, driver)


async def test_one_of_keys_that_end_takes_records_that_end(
    server: Server, evicting: Any, driver: str
) -> None:
    evicting.config_set("maxmemory-policy", "volatile-ttl")
    database, strict = Database(server.url), Database(server.url, eviction="refuse")
    told = r"records that end .*\(maxmemory-policy volatile-ttl\).*set the policy to noeviction, "
    async with session(database):
        with pytest.warns(EvictionWarning, match=told):
            await Passing.new("1", name="Ada").save()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await Plain.new("1", name="Ada").save()
    async with session(strict):
        await Plain.new("2", name="Ada").save()
        await health.check(strict)
        for attempt in (Passing.new("2", name="Ada").save, lambda: health.check(strict)):
            with pytest.raises(StoreError, match=r"records that end.*noeviction, or allow it"):
                await attempt()
    assert not evicting.keys("*assing:2")
    await closed(database, driver)
    await closed(strict, driver)


async def test_without_the_right_to_ask_nothing_is_said(server: Server, evicting: Any, driver: str) -> None:
    evicting.execute_command("ACL", "SETUSER", "app", "reset", "on", ">secret", "~*", "&*", "+@all", "-info")
    database = Database(f"redis://app:secret@127.0.0.1:{server.port}/0", eviction="refuse")
    async with session(database):
        await Plain.new("1", name="Ada").save()
        await health.check(database)
    await closed(database, driver)


def test_another_word_is_refused() -> None:
    with pytest.raises(UsageError, match="is one of warn, refuse, allow"):
        Database("memory://", eviction="no")  # type: ignore[arg-type]
