"""Counting, and finding or creating, in one atomic call."""

from __future__ import annotations

import asyncio
import decimal
import pickle
from collections import Counter
from functools import partial
from typing import Any

import pytest

from aioredisca import (
    AlreadyExists,
    Bool,
    Conflict,
    CorruptRecord,
    Database,
    Decimal,
    Email,
    Float,
    Gone,
    Integer,
    Model,
    NotIndexed,
    OutcomeUnknown,
    OutOfBounds,
    String,
    Tags,
    UniqueViolation,
    UsageError,
    ValidationError,
    conf,
    session,
)

from ..support.drift import drift
from ..support.patience import insist
from ..support.proxy import Proxy

D = decimal.Decimal


@conf(unique=[("owner", "slug"), ("owner", "level")], index=[("owner", "credits")])
class User(Model):
    email = Email(unique=True)
    name = String(index=True, new="new")
    credits = Integer(index=True, minval=-1000, maxval=2**53)
    seen = Integer()
    level = Integer(index="exact", unique=True)
    money = Decimal(places=2, index=True)
    fine = Decimal(places=15)
    secret = Integer(secret=True, maxval=5)
    owner = String()
    slug = String()
    tags = Tags(index=True)


# -- incr ------------------------------------------------------------------------------------------


@pytest.mark.on_cluster
async def test_counting_keeps_every_index_and_the_instance(db: Database, raw: Any) -> None:
    user = await User.new("1", owner="o").save()
    assert await user.incr(User.credits, 5) == 5  # no value counts as 0
    assert await user.incr(User.credits, -7) == -2
    assert await user.incr(User.seen) == 1
    assert await user.incr(User.level, 3) == 3
    assert (user.credits, user.seen, user.level, user.getdiff()) == (-2, 1, 3, {})
    assert raw.hmget("user:1", "credits", "seen", "level") == [b"-2", b"1", b"3"]
    assert drift(raw, [User]) == []
    assert await (User.credits == -2) == [user]
    assert await User("1").incr(User.level, 1) == 4  # a handle will do
    assert raw.hgetall("user/u/level") == {b"4": b"1"}
    assert drift(raw, [User]) == []


async def test_decimals_are_counted_exactly(db: Database, raw: Any) -> None:
    user = await User.new("1", money="0.1").save()
    assert await user.incr(User.money, D("0.2")) == D("0.3")
    assert await user.incr(User.money, D("-0.3")) == 0
    assert raw.hget("user:1", "money") == b"0"
    assert await user.incr(User.money, D("-0.05")) == D("-0.05")
    assert raw.hget("user:1", "money") == b"-0.05"
    assert await user.incr(User.money, 10) == D("9.95")
    assert await user.incr(User.fine, D("0.000000000000001")) == D("1E-15")
    assert raw.hget("user:1", "fine") == b"0.000000000000001"
    assert drift(raw, [User]) == []
    with pytest.raises(ValidationError, match="more than 2 digits after the point"):
        await user.incr(User.money, D("0.001"))
    with pytest.raises(OutOfBounds):
        await user.incr(User.money, D("0.05"), max=D("9.999"))  # 10.00 lies above


async def test_a_number_that_would_leave_its_bounds_stays(db: Database, raw: Any) -> None:
    user = await User.new("1", credits=3).save()
    with pytest.raises(OutOfBounds) as caught:
        await user.incr(User.credits, -5, min=0)
    error = caught.value
    assert (error.model, error.id, error.field, error.value) == ("User", "1", "credits", 3)
    assert isinstance(error, Conflict)
    assert error.instance is user
    assert "3" not in str(error)
    assert pickle.loads(pickle.dumps(error)).value == 3
    for by, bounds in [(1, {"max": 3}), (-1004, {}), (2**53 - 2, {}), (2**53, {})]:
        with pytest.raises(OutOfBounds):
            await user.incr(User.credits, by, **bounds)
    with pytest.raises(UsageError, match="no number lies within"):
        await user.incr(User.credits, -1, min=2**60)
    assert await user.incr(User.credits, -3, min=0) == 0
    assert await user.incr(User.credits, 2**53, max=2**53) == 2**53
    with pytest.raises(OutOfBounds):
        await user.incr(User.credits, 1)
    with pytest.raises(OutOfBounds) as caught:
        await user.incr(User.secret, 6)
    assert caught.value.value is None
    await user.incr(User.secret, 5)
    with pytest.raises(OutOfBounds) as caught:
        await user.incr(User.secret, 1)
    assert caught.value.value is None
    assert drift(raw, [User]) == []


async def test_the_server_counts_exactly_or_refuses(db: Database, raw: Any) -> None:
    user = await User.new("1", seen=2**53 - 1).save()
    assert await user.incr(User.seen, 1) == 2**53
    with pytest.raises(OutOfBounds):
        await user.incr(User.seen, 1)
    assert raw.hget("user:1", "seen") == str(2**53).encode()
    big = await User.new("2", seen=2**60).save()
    for foreign in (None, "x", "1.5", "1e3", " 1", ""):
        if foreign is not None:
            raw.hset("user:2", "seen", foreign)
        with pytest.raises(CorruptRecord, match="counted on exactly"):
            await big.incr(User.seen, 1)
    with pytest.raises(ValidationError, match="beyond 2\\*\\*53"):
        await user.incr(User.seen, 2**53 + 1)


async def test_what_cannot_be_counted_is_refused_before_any_io(db: Database, raw: Any) -> None:
    class Odd(Integer):
        def check(self, value: int) -> None:
            if value % 2 == 0:
                raise ValueError("is even")

    class Other(Model):
        odd = Odd()
        share = Float()
        loose = Decimal()
        yes = Bool()

    other, user = Other("1"), User("1")
    refused: list[tuple[Any, Any]] = [(other, Other.odd), (other, Other.share), (other, Other.loose)]
    for record, column in [
        *refused,
        (other, Other.yes),
        (other, User.seen),
        (user, User.name),
        (user, "seen"),
    ]:
        with pytest.raises(UsageError):
            await record.incr(column, 1)
    for by in (None, True, 1.5, "x"):
        with pytest.raises(ValidationError):
            await user.incr(User.seen, by)  # type: ignore[type-var]
    user.seen = 5
    with pytest.raises(UsageError, match="not saved"):
        await user.incr(User.seen, 1)
    with pytest.raises(UsageError, match="not saved"):
        await User.new("2").incr(User.seen, 1)
    assert raw.keys("*") == []


async def test_counting_in_a_record_that_is_gone(db: Database, raw: Any) -> None:
    user = await User.new("1", seen=5).save()
    await User("1").delete()
    with pytest.raises(Gone):
        await user.incr(User.seen, 1)
    with pytest.raises(Gone):
        await User("never").incr(User.seen, 1)
    assert raw.keys("*") == [b"user/meta"]


async def test_a_unique_number_is_counted_within_its_claims(db: Database, raw: Any) -> None:
    await User.new("1", level=1, owner="o").save()
    two = await User.new("2", level=2, owner="o").save()
    with pytest.raises(UniqueViolation):
        await two.incr(User.level, -1)
    assert await two.incr(User.level, 1) == 3
    assert drift(raw, [User]) == []


async def test_other_changes_of_the_instance_stay_pending(db: Database, raw: Any) -> None:
    user = await User.new("1", name="a", tags=["x"]).save()
    user.name = "b"
    assert user.tags is not None
    user.tags.add("y")
    await user.incr(User.seen, 2)
    assert user.getdiff() == {"name": "b", "tags": '["x","y"]'}
    await user.save()
    assert (await User.get("1")).tags == {"x", "y"}
    async with session(autosave=True) as work:
        again = await User.get("1")
        await again.incr(User.seen)
        assert (again.seen, work.dirty) == (3, ())
    assert drift(raw, [User]) == []


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_500_concurrent_counts_are_500(db: Database, raw: Any) -> None:
    await User.new("1", owner="o").save()
    results = await asyncio.gather(*(insist(lambda: User("1").incr(User.credits)) for _ in range(500)))
    assert sorted(results) == list(range(1, 501))
    assert (await User.get("1")).credits == 500
    assert drift(raw, [User]) == []


@pytest.mark.asyncio_only
async def test_of_150_takers_of_100_exactly_100_are_served(db: Database, raw: Any) -> None:
    await User.new("1", credits=100).save()
    takers = (insist(lambda: User("1").incr(User.credits, -1, min=0)) for _ in range(150))
    results = await asyncio.gather(*takers, return_exceptions=True)
    assert Counter(map(type, results)) == {int: 100, OutOfBounds: 50}
    assert (await User.get("1")).credits == 0
    assert drift(raw, [User]) == []


@pytest.mark.asyncio_only
async def test_control_reading_and_saving_loses_counts(db: Database) -> None:
    """The known-bad way."""
    await User.new("1", credits=0).save()

    loaded = [await User.get("1") for _ in range(100)]
    for user in loaded:
        user.credits = (user.credits or 0) + 1
        await user.save()
    assert (await User.get("1")).credits == 1


async def test_a_count_without_an_answer_is_unknown_and_never_sent_twice(
    proxied: Database, proxy: Proxy, server: Any
) -> None:
    user = await User.new("1", credits=1).save()
    await user.incr(User.credits)
    proxy.lose_next_reply()
    with pytest.raises(OutcomeUnknown):
        await user.incr(User.credits)
    with server.client() as client:
        assert client.hget("user:1", "credits") == b"3"
    assert await user.incr(User.credits) == 4


# -- get_or_create, update_or_create ---------------------------------------------------------------


@pytest.mark.on_cluster
async def test_a_record_is_created_once_and_found_after(db: Database, raw: Any) -> None:
    made, created = await User.get_or_create(email="Ada@Example.com", defaults={"seen": 1, "tags": ["x"]})
    assert created
    assert (made.email, made.seen, made.name, made.tags) == ("ada@example.com", 1, "new", {"x"})
    assert (made.loaded(), made.getdiff(), made.__state__.layers.mode) == (True, {}, "update")
    found, created = await User.get_or_create(email="ada@example.com", defaults={"seen": 2})
    assert (created, found, found.seen, found.loaded()) == (False, made, 1, True)
    made.seen = 7
    await made.save()
    assert drift(raw, [User]) == []


async def test_the_defaults_are_given_to_a_record_that_was_there(db: Database, raw: Any) -> None:
    await User.new("1", email="a@b.cc", seen=1, credits=3, owner="o", slug="s").save()
    found, created = await User.update_or_create(email="a@b.cc", defaults={"seen": 2, "credits": None})
    assert (found.id, created, found.seen, found.credits, found.owner) == ("1", False, 2, None, "o")
    found, created = await User.update_or_create(owner="o", slug="s", defaults={"seen": 3})
    assert (found.id, created, found.seen) == ("1", False, 3)
    made, created = await User.update_or_create(slug="t", owner="o", defaults={"seen": 4})
    assert (created, made.seen, made.name) == (True, 4, "new")
    same, created = await User.update_or_create(slug="t", owner="o")
    assert (created, same, same.seen) == (False, made, 4)
    assert drift(raw, [User]) == []


async def test_other_uniques_and_the_keys_own_change(db: Database, raw: Any) -> None:
    await User.new("1", email="a@b.cc", level=1).save()
    with pytest.raises(UniqueViolation) as caught:
        await User.get_or_create(email="b@b.cc", defaults={"level": 1})
    assert (caught.value.field, caught.value.holder) == ("level", "1")
    await User.new("2", email="b@b.cc", level=2).save()
    with pytest.raises(UniqueViolation):
        await User.update_or_create(email="b@b.cc", defaults={"level": 1})
    assert await User.all().ids() == ["1", "2"]
    assert drift(raw, [User]) == []
    raw.hset("user:1", "email", "foreign@b.cc")  # a claim that was left over counts for nothing
    made, created = await User.get_or_create(email="a@b.cc")
    assert created
    assert raw.hget("user/u/email", "a@b.cc") == made.id.encode()


async def test_a_key_that_finds_no_single_record_is_refused_before_any_io(db: Database, raw: Any) -> None:
    refused: list[tuple[dict[str, Any], type[Exception]]] = [
        ({}, UsageError),
        ({"name": "x"}, UsageError),
        ({"owner": "x"}, UsageError),
        ({"email": "a@b.cc", "level": 1}, UsageError),
        ({"email": None}, UsageError),
        ({"emial": "a@b.cc"}, ValidationError),
        ({"email": "nope"}, ValidationError),
        ({"email": "a@b.cc", "defaults": {"email": "b@b.cc"}}, UsageError),
        ({"email": "a@b.cc", "defaults": {"nmae": "b"}}, ValidationError),
        ({"email": "a@b.cc", "defaults": {"seen": "b"}}, ValidationError),
    ]
    for given, error in refused:
        for verb in (User.get_or_create, User.update_or_create):
            with pytest.raises(error):
                await verb(**given)
    with pytest.raises(UsageError, match="owner, slug or owner, level or email or level"):
        await User.get_or_create(name="x")
    assert raw.keys("*") == []


async def test_required_fields_are_needed_only_to_create(db: Database) -> None:
    class Account(Model):
        email = Email(required=True, unique=True)
        name = String(required=True)

    with pytest.raises(ValidationError, match="is required"):
        await Account.get_or_create(email="a@b.cc")
    made, _ = await Account.get_or_create(email="a@b.cc", defaults={"name": "A"})
    assert await Account.get_or_create(email="a@b.cc") == (made, False)
    assert (await Account.update_or_create(email="a@b.cc", defaults={"name": "B"}))[0].name == "B"


async def test_identity_holds_in_a_session(db: Database, raw: Any) -> None:
    await User.new("1", email="a@b.cc", seen=1).save()
    async with session(autosave=True) as work:
        one = await User.get("1")
        one.name = "pending"
        found, _ = await User.get_or_create(email="a@b.cc")
        assert found is one
        found, _ = await User.update_or_create(email="a@b.cc", defaults={"seen": 5})
        assert found is one
        assert (one.seen, one.name, one.getdiff()) == (5, "pending", {"name": "pending"})
        made, created = await User.get_or_create(email="b@b.cc")
        assert created
        assert User(made.id) is made
        with pytest.raises(UniqueViolation):
            await User.update_or_create(level=9, defaults={"email": "a@b.cc"})
        assert work.dirty == (one,)
    assert (await User.get("1")).name == "pending"
    assert len(await User.all()) == 2
    assert drift(raw, [User]) == []


async def test_an_id_of_the_class_that_is_taken(db: Database) -> None:
    @conf(id=lambda: "same")
    class Only(Model):
        email = Email(unique=True)

    await Only.get_or_create(email="a@b.cc")
    with pytest.raises(AlreadyExists):
        await Only.get_or_create(email="b@b.cc")


async def test_an_index_that_is_not_built_finds_nobody(db: Database, raw: Any) -> None:
    raw.hset("user:1", "email", "a@b.cc")
    with pytest.raises(NotIndexed, match="reindex"):
        await User.get_or_create(email="a@b.cc")


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_of_100_callers_one_creates_and_all_get_the_same(db: Database, raw: Any) -> None:
    keys: list[tuple[Any, dict[str, Any]]] = [
        (User.get_or_create, {"email": "x@y.zz"}),
        (User.update_or_create, {"email": "y@y.zz"}),
        (User.get_or_create, {"owner": "o", "slug": "s"}),
    ]
    for verb, key in keys:
        results = await asyncio.gather(
            *(insist(partial(verb, **key, defaults={"seen": i})) for i in range(100))
        )
        assert sum(created for _, created in results) == 1
        assert len({user.id for user, _ in results}) == 1
    assert await User.all().count() == 3
    assert drift(raw, [User]) == []


@pytest.mark.parametrize("loaded", [False, True], ids=["handle", "loaded"])
async def test_update_or_create_comes_after_the_changes_that_wait(
    db: Database, raw: Any, loaded: bool
) -> None:
    await User.new("1", email="a@b.cc", credits=1, seen=1, tags=["a"]).save()
    async with session(autosave=True):
        user = await User.get("1") if loaded else User("1")
        user.credits, user.seen, user.tags = 5, 6, {"b"}
        user.tags.add("c")
        same, created = await User.update_or_create(
            email="a@b.cc", defaults={"credits": 7, "tags": ["d"], "level": None}
        )
        assert (same is user, created, user.credits, user.tags, user.seen) == (True, False, 7, {"d"}, 6)
        assert user.getdiff() == {"seen": 6}
        user.credits = 8  # which is newer still
    assert raw.hgetall("user:1") == {
        **{b"email": b"a@b.cc", b"name": b"new", b"credits": b"8", b"seen": b"6", b"tags": b'["d"]'}
    }
    assert drift(raw, [User]) == []


@pytest.mark.asyncio_only
async def test_what_is_set_while_update_or_create_is_under_way_is_newer(db: Database, raw: Any) -> None:
    await User.new("1", email="a@b.cc", seen=1).save()
    async with session(autosave=True):
        user = await User.get("1")
        user.seen = 600
        task = asyncio.create_task(User.update_or_create(email="a@b.cc", defaults={"seen": 700}))
        await asyncio.sleep(0)
        user.seen = 800
        await task
        assert user.seen == 800
    assert raw.hget("user:1", "seen") == b"800"
    assert drift(raw, [User]) == []


@pytest.mark.asyncio_only
async def test_control_looking_first_creates_twice_or_is_refused(db: Database) -> None:
    """The known-bad way: a query, then a save."""

    seen = [await User.email.find("x@y.zz") for _ in range(2)]
    assert seen == [[], []]
    await User.new(email="x@y.zz").save()
    with pytest.raises(UniqueViolation):
        await User.new(email="x@y.zz").save()


async def test_one_round_trip_each(proxied: Database, proxy: Proxy) -> None:
    user = await User.new("1", email="a@b.cc", credits=0).save()
    await user.incr(User.credits)
    await User.get_or_create(email="a@b.cc")
    await User.update_or_create(email="a@b.cc", defaults={"seen": 1})  # the server knows all scripts now
    for operation in (
        lambda: user.incr(User.credits),
        lambda: User.get_or_create(email="a@b.cc"),
        lambda: User.update_or_create(email="a@b.cc", defaults={"seen": 2}),
        lambda: User.get_or_create(email="b@b.cc"),
    ):
        with proxy.count() as count:
            await operation()
        assert (count.trips, count.commands) == (1, ["EVALSHA"])
