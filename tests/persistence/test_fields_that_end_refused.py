"""Fields that cannot end: told where they are declared, or before anything is written."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from aioredisca import (
    Database,
    Integer,
    ListOf,
    Model,
    NotFound,
    PermissionDenied,
    RediscaError,
    Reference,
    SetOf,
    String,
    Unavailable,
    Unsupported,
    UsageError,
    conf,
    health,
    session,
)

from ..support.ending import ALL, HAVE_NONE, HOUR, PAST, Login, Strict, a_record, kinds
from ..support.servers import Server

able = pytest.mark.usefixtures("a_server_with")


@pytest.fixture
def a_server_with(backend: str) -> None:
    if backend in HAVE_NONE:
        pytest.skip("no field ends on this server")


# -- declared --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: String(ttl=60, index=True), "goes without index="),
        (lambda: String(ttl=None, unique=True), "goes without unique="),
        (lambda: String(ttl=60, required=True), "goes without required="),
        (lambda: Reference("Login", ttl=60, index=True, on_delete="cascade"), "goes without index="),
        (lambda: Reference("Login", ttl=60, on_delete="cascade"), "index=True"),
        (lambda: String(ttl=0), "a millisecond or more; give None"),
        (lambda: String(ttl=-1), "a millisecond or more"),
        (lambda: String(ttl=True), "a timedelta or seconds"),
        (lambda: String(ttl="60"), "a timedelta or seconds"),  # type: ignore[call-overload]  # pyright: ignore
        (lambda: String(ttl=2**36), "at most 2\\*\\*45"),
        (lambda: String(ttl=1e30), "at most 2\\*\\*45"),
        (lambda: ListOf(String(ttl=60)), "of a collection do not end one by one"),
        (lambda: SetOf(String(ttl=None)), "of a collection do not end one by one"),
    ],
)
def test_what_cannot_end_is_refused_where_it_is_declared(made: Callable[[], Any], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        made()


@pytest.mark.memory_only
@pytest.mark.parametrize(
    "settings", [{"unique": [("code", "name")]}, {"index": [("code", "size")]}], ids=["unique", "index"]
)
async def test_no_index_over_several_fields_takes_one_that_ends(db: Database, settings: Any) -> None:
    @conf(prefix="together", **settings)
    class Together(Model):
        code = String(ttl=60)
        name = String()
        size = Integer(index=True)

    with pytest.raises(UsageError, match="a field with ttl= cannot be part of it"):
        await Together.new(code="x").save()


# -- before any I/O


@able
async def test_what_cannot_end_is_refused_before_any_io(db: Database) -> None:
    one = await Login.new("1", user="u", code="abc", note="x").save()
    before = db.facts.round_trips
    for column, why in (
        (Login.user, "an index knows it"),
        (Strict.code, "takes a column of Login"),
        (Login.note, "declare it with ttl="),
        ("code", "takes a column of Login"),
    ):
        with pytest.raises(UsageError, match=why):
            await one.expire_field(column, 60)  # type: ignore[arg-type]  # pyright: ignore
    for given in (
        0,
        -1,
        True,
        "60",
        float("nan"),
        2**48,
        dt.timedelta(0),
        dt.datetime(2031, 1, 1),
        dt.datetime.max.replace(tzinfo=dt.UTC),
    ):
        with pytest.raises(UsageError):
            await one.expire_field(Login.code, given)  # type: ignore[arg-type]  # pyright: ignore
    one.code = "new"
    with pytest.raises(UsageError, match="has a change that is not saved"):
        await one.expire_field(Login.code, 60)
    with pytest.raises(UsageError, match="is not saved yet"):
        await Login.new(code="x").expire_field(Login.code, 60)
    with pytest.raises(UsageError, match="an index knows it, or it is required"):
        await Strict("1").expire_field(Strict.user, 60)
    assert db.facts.round_trips == before


# -- servers and rights ----------------------------------------------------------------------------


async def test_a_server_without_is_told_and_nothing_is_written(
    db: Database, raw: Any, backend: str, driver: str
) -> None:
    if backend not in HAVE_NONE:
        pytest.skip("fields end on this server")
    raw.hset("login:1", mapping={"code": "abc"})
    for kind in ALL:
        one = kind.new("2", user="u", code="abc")
        for write in (
            one.save,
            lambda kind=kind, one=one: kind.save_many([one]),
            lambda kind=kind: kind.get_or_create(user="u", defaults={"code": "abc"}),
            lambda kind=kind: kind("1").expire_field(kind.code, 60),
            lambda kind=kind: kind("1").expire_field(kind.code, PAST),
        ):
            with pytest.raises(Unsupported, match=r"has no HPEXPIRE: use Redis from 7\.4 or"):
                await write()
        with pytest.raises(NotFound):
            await kind.get("2")
    with pytest.raises(Unsupported):
        await health.check(db)
    assert raw.keys("*") == [b"login:1"]
    assert raw.hgetall("login:1") == {b"code": b"abc"}


def redefined(*, ends: bool) -> Any:
    class Redefined(Model):
        code = String(ttl=HOUR) if ends else String()

    return Redefined


async def test_a_class_that_was_in_use_without_is_told_as_well(db: Database, raw: Any, backend: str) -> None:
    """What its probe has found tells nothing of one whose fields end."""
    if backend not in HAVE_NONE:
        pytest.skip("fields end on this server")
    await redefined(ends=False).new("1", code="abc").save()
    with pytest.raises(Unsupported):
        await redefined(ends=True).new("2", code="abc").save()
    assert raw.keys("redefined:*") == [b"redefined:1"]


@pytest.fixture
def admin(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client
        client.acl_deluser("app")


def restricted(server: Server, admin: Any, *rules: str) -> Database:
    admin.execute_command("ACL", "SETUSER", "app", "reset", "on", ">secret", "~*", "&*", "+@all", *rules)
    return Database(f"redis://app:secret@127.0.0.1:{server.port}/0")


def dumped(admin: Any) -> dict[bytes, Any]:
    return {key: admin.dump(key) for key in admin.keys("*")}


@able
@kinds
@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_a_missing_right_is_named_before_anything_is_written(
    server: Server, db: Database, admin: Any, driver: str, kind: Any, when: str
) -> None:
    await a_record(kind)
    admin.hdel(kind("1").getkey(), "_")  # so that a marker that is put there first would be seen
    database = restricted(server, admin, "-hpexpire")
    async with session(database):
        new = kind.new("3", user="u3", code="abc")
        for write in (
            new.save,
            lambda: kind.save_many([new]),
            lambda: kind.update_or_create(user="u1", defaults={"code": "new", "note": None}),
            lambda: (kind.user == "u1").update(code="new", note=None),
            lambda: kind("1").expire_field(kind.loose, 60),
        ):
            if when == "meanwhile":  # the probe of the first write has found nothing wrong
                admin.execute_command("ACL", "SETUSER", "app", "+hpexpire")
                await kind.new("2", user="u2", code="abc").save(mode="upsert")
                admin.execute_command("ACL", "SETUSER", "app", "-hpexpire")
            before = dumped(admin)
            with pytest.raises(PermissionDenied) as caught:
                await write()
            assert "+hpexpire" in caught.value.rule.split()
            assert dumped(admin) == before
        new.free_all()
    database.close() if driver == "blocking" else await database.aclose()


@able
async def test_control_a_right_that_is_not_tried_leaves_half_a_write(server: Server, admin: Any) -> None:
    client = restricted(server, admin, "-hpexpire").sync_client
    script = "redis.call('HSET', KEYS[1], 'a', '1') redis.call('HPEXPIRE', KEYS[1], '1', 'FIELDS', '1', 'a')"
    with pytest.raises(redis.exceptions.ResponseError):
        client.eval(script, 1, "login:1")
    assert admin.keys("*") == [b"login:1"]
    client.close()
    client.connection_pool.disconnect()


async def test_without_a_server_bad_use_is_told_all_the_same() -> None:
    database = Database("redis://127.0.0.1:1/0")
    async with session(database):
        with pytest.raises(UsageError):
            await Login("1").expire_field(Login.note, 60)
        with pytest.raises(Unavailable):  # a control
            await Login("1").expire_field(Login.code, 60)


class Plain(Model):
    note = String()


TROUBLES = {
    "replica": ("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
    "full": ("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
    "alone": ("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
}


@able
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_server_that_takes_no_writes_now_is_told_as_ever(
    server: Server, db: Database, admin: Any, trouble: str
) -> None:
    begin, end = TROUBLES[trouble]
    admin.execute_command(*begin.split())
    try:
        told = list[tuple[Any, str]]()
        for record in (Plain.new("1", note="x"), Login.new("1", code="abc")):
            with pytest.raises(RediscaError) as caught:
                await record.save()
            told.append((type(caught.value), str(caught.value)))
        assert told[0] == told[1]
        assert told[0][0] is not PermissionDenied
    finally:
        admin.execute_command(*end.split())
    await Login.new("1", code="abc").save()
