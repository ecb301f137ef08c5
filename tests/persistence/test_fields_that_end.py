"""Fields that end by themselves: no other write changes when, and the record stays as it is."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import (
    Database,
    Decimal,
    Gone,
    Json,
    Model,
    Reference,
    StaleWrite,
    String,
    Tags,
    UsageError,
    conf,
    session,
    sync,
)
from aioredisca.compiler.rendering import rendered
from aioredisca.compiler.scripts import get_or_create_script, write_script

from ..support.drift import drift
from ..support.ending import (
    DAY,
    HAVE_NONE,
    HOUR,
    PAST,
    Both,
    Login,
    Strict,
    a_record,
    kinds,
    left,
    near,
    ttl_of,
)
from ..support.proxy import Proxy


@conf(prefix="blocking")
class Blocking(sync.Model):
    code = sync.String(ttl=HOUR)


class Child(Login):
    other = String()


@pytest.fixture(autouse=True)
def able(backend: str) -> None:
    if backend in HAVE_NONE:
        pytest.skip("no field ends on this server")


# -- when a value ends -----------------------------------------------------------------------------


@kinds
async def test_a_value_lasts_from_the_save_that_sets_it(raw: Any, kind: Any) -> None:
    one = await a_record(kind)
    assert near(left(raw, one, "code"), ttl_of(kind))
    assert (left(raw, one, "note"), left(raw, one, "loose"), left(raw, one, "tries")) == (-1, -1, -2)
    assert drift(raw, [kind]) == []


@kinds
async def test_when_it_has_ended_the_record_holds_none(raw: Any, kind: Any) -> None:
    one = await a_record(kind)
    assert await one.expire_field(kind.code, 0.001) is True
    seconds = time.monotonic() + 60
    while raw.hget(one.getkey(), "code") is not None and time.monotonic() < seconds:
        time.sleep(0.001)
    assert await one.expire_field(kind.code, 60) is False
    assert one.code == "abc"  # as it was loaded
    assert (await kind.get("1")).code is None
    assert (await one.reload()).code is None
    assert [found.id for found in await (kind.code == None).scan()] == ["1"]  # noqa: E711
    assert await (kind.code == "abc").scan() == []
    assert await kind.all().count() == 1


@kinds
async def test_a_save_of_other_fields_changes_no_end(raw: Any, kind: Any) -> None:
    one = await a_record(kind)
    await one.expire_field(kind.code, DAY)
    for change in ({"note": "other"}, {"user": "other"}, {"note": None, "loose": "x"}, {"loose": None}):
        for name, value in change.items():
            setattr(one, name, value)
        await one.save()
        assert near(left(raw, one, "code"), DAY)
    await (kind.user == "other").update(note="again")
    await kind.update_or_create(user="other", defaults={"note": "once more"})
    await one.save(mode="upsert")
    assert near(left(raw, one, "code"), DAY)
    assert (await kind.get("1")).note == "once more"


@kinds
async def test_control_a_write_of_all_fields_takes_the_end(raw: Any, kind: Any) -> None:
    """The known-bad way, by which the test above fails."""
    one = await a_record(kind)
    await one.expire_field(kind.code, DAY)
    raw.hset(one.getkey(), mapping=raw.hgetall(one.getkey()) | {b"note": b"other"})
    assert left(raw, one, "code") == -1


async def save(kind: Any, one: Any) -> None:
    one.code = "new"
    await one.save()


async def save_more(kind: Any, one: Any) -> None:
    one.code, one.user, one.note = "new", "u2", None
    await one.save()


async def save_many(kind: Any, one: Any) -> None:
    one.code = "new"
    await kind.save_many([one, kind.new("2", user="u2", code="new")])


async def in_session(kind: Any, one: Any) -> None:
    async with session():
        found = await kind.get("1")
        found.code = "new"
        await kind.save_all()


async def flushed(kind: Any, one: Any) -> None:
    async with session() as unit:
        (await kind.get("1")).code = "new"
        kind.new("2", user="u2", note="x")
        await unit.flush()


async def update(kind: Any, one: Any) -> None:
    assert await (kind.user == "u1").update(code="new") == 1


async def update_or_create(kind: Any, one: Any) -> None:
    _, created = await kind.update_or_create(user="u1", defaults={"code": "new"})
    assert not created


async def create(kind: Any, one: Any) -> None:
    await one.delete()
    await kind.new("1", user="u1", code="new").save()


async def get_or_create(kind: Any, one: Any) -> None:
    await one.delete()
    made, created = await kind.get_or_create(user="u1", defaults={"code": "new"})
    assert created
    one.__init__(made.id)


async def by_key(kind: Any, one: Any) -> None:
    one["code"] = "new"
    await one.save(if_unchanged=True)


WRITES = [
    save,
    save_more,
    save_many,
    in_session,
    flushed,
    update,
    update_or_create,
    create,
    get_or_create,
    by_key,
]


@kinds
@pytest.mark.parametrize("write", WRITES)
async def test_each_write_of_the_value_gives_it_its_end_anew(raw: Any, kind: Any, write: Any) -> None:
    one = await a_record(kind)
    await one.expire_field(kind.code, DAY)
    await write(kind, one)
    found = await (kind.user == ("u2" if write is save_more else "u1"))
    assert [record.code for record in found] == ["new"]
    assert near(left(raw, found[0], "code"), ttl_of(kind))
    assert drift(raw, [kind]) == []


@kinds
async def test_a_new_value_of_a_field_that_ends_when_told_lasts_for_ever(raw: Any, kind: Any) -> None:
    one = await a_record(kind)
    await one.expire_field(kind.loose, DAY)
    one.loose = "other"
    await one.save()
    assert left(raw, one, "loose") == -1


@kinds
async def test_a_value_that_is_taken_away_has_no_end(raw: Any, kind: Any) -> None:
    one = await a_record(kind)
    one.code = None
    await one.save()
    assert left(raw, one, "code") == -2


# -- counting --------------------------------------------------------------------------------------


@kinds
async def test_a_count_lasts_from_its_beginning(raw: Any, kind: Any) -> None:
    """As with INCR: each step would prolong it for ever else."""
    one = await a_record(kind)
    assert await one.incr(kind.tries) == 1
    assert near(left(raw, one, "tries"), HOUR)
    await one.expire_field(kind.tries, DAY)
    assert await one.incr(kind.tries) == 2
    assert near(left(raw, one, "tries"), DAY)
    await one.expire_field(kind.tries, None)
    assert await one.incr(kind.tries) == 3
    assert left(raw, one, "tries") == -1
    await one.expire_field(kind.tries, PAST)
    assert await one.incr(kind.tries) == 1
    assert near(left(raw, one, "tries"), HOUR)


@kinds
async def test_a_count_by_query_is_a_new_value(raw: Any, kind: Any) -> None:
    one = await a_record(kind, tries=1)
    await one.expire_field(kind.tries, DAY)
    await (kind.user == "u1").incr(kind.tries, 2)
    assert (await kind.get("1")).tries == 3
    assert near(left(raw, one, "tries"), HOUR)


# -- the record stays ------------------------------------------------------------------------------


def end(raw: Any, record: Any, name: str) -> None:
    """End a field as time does, without the library."""
    raw.execute_command("HPEXPIREAT", record.getkey(), 1, "FIELDS", 1, name)


async def created(kind: Any, one: Any) -> None:
    one.code = "abc"
    await one.save()


async def updated(kind: Any, one: Any) -> None:
    one.note = "x"
    await one.save()
    one.code = "abc"
    await one.save()
    one.note = None
    await one.save()


async def updated_beside(kind: Any, one: Any) -> None:
    one.code = "abc"
    await one.save()
    for note in ("x", None):
        one.note = note
        await one.save()


async def counted(kind: Any, one: Any) -> None:
    one.note = "x"
    await one.save()
    await one.incr(kind.tries)
    one.note = None
    await one.save()


async def told(kind: Any, one: Any) -> None:
    one.loose = "abc"
    await one.save()
    await one.expire_field(kind.loose, DAY)


@kinds
@pytest.mark.parametrize("way", [created, updated, updated_beside, counted, told])
async def test_a_record_stays_when_its_last_field_ends(raw: Any, kind: Any, way: Any) -> None:
    one = kind.new("1", **({"user": "u1"} if kind is Strict else {}))
    await way(kind, one)
    for name in ("code", "tries", "loose"):
        end(raw, one, name)
    assert await one.exists()
    assert (await kind.get("1")).code is None
    assert [found.id for found in await kind.all()] == ["1"]
    assert drift(raw, [kind]) == []
    for note in ("again", None):
        one.note = note
        await one.save()
    assert await kind.all().count() == 1
    assert await one.delete() is True
    assert drift(raw, [kind]) == []


async def test_control_without_a_marker_it_goes(raw: Any) -> None:
    one = await Login.new("1", code="abc").save()
    raw.hdel("login:1", "_")
    end(raw, one, "code")
    assert not await one.exists()
    assert drift(raw, [Login]) != []


async def test_a_record_from_before_the_declaration_stays(raw: Any) -> None:
    """What is stored holds no marker: the first end puts it there."""
    one = await Login.new("1", code="abc").save()
    raw.hdel("login:1", "_")
    raw.execute_command("HPERSIST", "login:1", "FIELDS", 1, "code")
    assert await one.expire_field(Login.code, PAST) is True
    assert await one.exists()


@pytest.mark.on_cluster
async def test_a_record_ends_with_its_fields(raw: Any) -> None:
    one = await a_record(Both)
    one.code = "new"
    await one.save(ttl=DAY)
    assert near(raw.pttl("both:1"), DAY)
    await one.expire(PAST)
    with pytest.raises(Gone):
        await one.expire_field(Both.code, 60)
    with pytest.raises(Gone):
        one.code = "x"
        await one.save()
    assert raw.keys("both:*") == []
    assert drift(raw, [Both]) == []


# -- expire_field() --------------------------------------------------------------------------------


@kinds
async def test_expire_field_answers_whether_there_is_a_value(raw: Any, kind: Any) -> None:
    one = await a_record(kind)
    assert await one.expire_field(kind.tries, 60) is False
    assert await one.expire_field(kind.tries, None) is False
    assert await one.expire_field(kind.code, DAY) is True
    assert near(left(raw, one, "code"), DAY)
    assert await one.expire_field(kind.code, dt.datetime.now(dt.UTC) + HOUR) is True
    assert near(left(raw, one, "code"), HOUR)
    assert await one.expire_field(kind.code, None) is True
    assert left(raw, one, "code") == -1
    assert await one.expire_field(kind.code, None) is True  # it has no end
    assert await one.expire_field(kind.code, PAST) is True
    assert await one.expire_field(kind.code, 60) is False
    assert await kind("1").expire_field(kind.loose, 60) is True  # a handle will do


@kinds
async def test_without_a_record_it_is_gone(raw: Any, kind: Any) -> None:
    with pytest.raises(Gone):
        await kind("none").expire_field(kind.code, 60)
    assert raw.keys(f"{kind.getprefix()}:*") == []


async def test_the_longest_that_a_server_takes(raw: Any) -> None:
    one = await a_record(Login)
    assert await one.expire_field(Login.code, dt.timedelta(milliseconds=2**45)) is True
    assert left(raw, one, "code") > 2**44
    assert await one.expire_field(Login.code, dt.datetime(4199, 1, 1, tzinfo=dt.UTC)) is True
    assert left(raw, one, "code") > 2**45


class Basket(Model):
    tags = Tags(ttl=HOUR)
    data = Json[dict[str, int]](ttl=HOUR)
    price = Decimal(places=2, ttl=HOUR)
    owner = Reference(Login, ttl=HOUR)


async def test_every_kind_of_field_may_end(raw: Any) -> None:
    one = await Basket.new("1", tags={"a"}, data={"a": 1}, price="1.50", owner="1").save()
    for name in ("tags", "data", "price", "owner"):
        assert near(left(raw, one, name), HOUR)
    await one.expire_field(Basket.tags, DAY)
    assert one.data is not None
    one.data["a"] = 2  # changed in place
    with pytest.raises(UsageError, match="has a change that is not saved"):
        await one.expire_field(Basket.data, DAY)
    await one.save()
    assert near(left(raw, one, "tags"), DAY)
    assert near(left(raw, one, "data"), HOUR)
    await one.incr(Basket.price)
    assert (await Basket.get("1")).price == 2.5


async def test_an_ended_value_is_no_longer_what_was_loaded(db: Database) -> None:
    await a_record(Login)
    one = await Login.get("1")
    await Login("1").expire_field(Login.code, PAST)
    one.code = "new"
    with pytest.raises(StaleWrite):
        await one.save(if_unchanged=True)
    one.revert()
    one.note = "other"
    with pytest.raises(StaleWrite):
        await one.save(if_unchanged=[Login.code])


def test_the_blocking_face(db: Database, raw: Any) -> None:
    one = Blocking.new("1", code="abc").save()
    assert near(left(raw, one, "code"), HOUR)
    assert one.expire_field(Blocking.code, DAY) is True
    assert near(left(raw, one, "code"), DAY)
    assert one.expire_field(Blocking.code, PAST) is True
    assert Blocking.get("1").code is None
    with pytest.raises(Gone):
        Blocking("2").expire_field(Blocking.code, DAY)


# -- what it costs ---------------------------------------------------------------------------------


async def test_one_round_trip_each(proxied: Database, proxy: Proxy) -> None:
    one = await a_record(Login)
    one.code = "b"
    await one.save()
    await one.expire_field(Login.code, 60)

    async def saved() -> None:
        one.code, one.note = "c", "d"
        await one.save()

    operations: list[Callable[[], Any]] = [lambda: one.expire_field(Login.code, DAY), saved]
    for operation in operations:
        with proxy.count() as count:
            await operation()
        assert (count.trips, count.commands) == (1, ["EVALSHA"])


class Plain(Model):
    user = String(unique=True)
    code = String()
    note = String()


@pytest.mark.memory_only
async def test_classes_without_pay_nothing(db: Database) -> None:
    """Their scripts know nothing of it, and hold the very same text as one written before there was such."""
    plain, ending = ((rendered(kind.__mapper__.schema(db), 1),) for kind in (Plain, Login))
    for make in (write_script, get_or_create_script):
        assert "HPEXPIRE" not in make(plain, ()).text
        assert "HPEXPIRE" in make(ending, ()).text  # a control


@pytest.mark.memory_only
async def test_records_with_such_fields_are_not_remembered(db: Database) -> None:
    """Nobody would tell the client that a field has ended."""

    @conf(prefix="cached", cache=10)
    class Cached(Model):
        code = String(ttl=HOUR)

    @conf(prefix="control", cache=10)
    class Control(Model):
        code = String()

    assert Cached.__mapper__.schema(db).cache_region is None
    assert Control.__mapper__.schema(db).cache_region is not None


async def test_it_is_inherited_with_the_field(raw: Any) -> None:
    one = await Child.new("1", code="abc", other="x").save()
    assert near(left(raw, one, "code"), HOUR)
