"""What checkers must infer. Every line is clean in all of them."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any, Never, assert_type

from aioredisca import (
    UUID,
    Aggregate,
    Bool,
    Bytes,
    Change,
    Changes,
    Column,
    Counter,
    Database,
    Date,
    DateTime,
    Decimal,
    Email,
    Enum,
    Explanation,
    Field,
    Float,
    HashOf,
    Integer,
    Json,
    ListOf,
    MD5Pass,
    Model,
    Page,
    Query,
    RediscaError,
    Reference,
    Session,
    SetOf,
    SortedSet,
    String,
    Tags,
    conf,
    exclusive,
    hexid,
    intid,
    reindex,
    retry_on_conflict,
    session,
    sync,
    utcnow,
)
from aioredisca.persistence.collections import HashHandle, ListHandle


class Colour(enum.Enum):
    RED = "red"


class Shared:
    """A plain mixin for both colours."""

    note = String()

    def shout(self) -> str | None:
        return self.note and self.note.upper()


@conf(prefix="lng")
class Language(Model):
    name = String(required=True)


class User(Shared, Model):
    string = String(minlen=1, index=True)
    must = String(required=True)
    email = Email(unique=True)
    integer = Integer(index=True, minval=0)
    floating = Float()
    money = Decimal(places=2)
    on = Bool()
    when = DateTime(new=utcnow)
    day = Date()
    uid = UUID()
    colour = Enum(Colour)
    hard = Enum(Colour, required=True)
    blob = Bytes()
    data = Json[dict[str, int]]()
    tags = Tags(index=True, maxitems=5)
    labels = Tags(required=True)
    log = ListOf(String())
    numbers = SetOf(Integer())
    board = SortedSet(String())
    recent = ListOf(String(), maxlen=10)
    prices = HashOf(Decimal(places=2))
    visits = Counter()
    tight = Json[list[str], Never](required=True)
    password = MD5Pass()
    lang = Reference(Language, index=True, on_delete="nullify")
    later = Reference(lambda: Country)
    sure = Reference(Language, required=True)
    named = Reference("Language")
    named_sure = Reference("Language", required=True)


class Admin(User):
    level = Integer()


class Country(Model):
    name = String()


class BlockingUser(Shared, sync.Model):
    name = String()
    age = Integer(required=True)


def values(user: User) -> None:
    assert_type(user.string, str | None)
    assert_type(user.must, str)
    assert_type(user.email, str | None)
    assert_type(user.integer, int | None)
    assert_type(user.floating, float | None)
    assert_type(user.money, decimal.Decimal | None)
    assert_type(user.on, bool | None)
    assert_type(user.when, dt.datetime | None)
    assert_type(user.day, dt.date | None)
    assert_type(user.uid, uuid.UUID | None)
    assert_type(user.colour, Colour | None)
    assert_type(user.hard, Colour)
    assert_type(user.blob, bytes | None)
    assert_type(user.data, dict[str, int] | None)
    assert_type(user.tags, set[str] | None)
    assert_type(user.labels, set[str])
    user.tags = ["a"]
    user.labels = frozenset("a")
    user.tags = None
    assert_type(user.tight, list[str])
    assert_type(user.password, str | None)
    assert_type(user.lang, Language | None)
    assert_type(user.later, Country | None)
    assert_type(user.sure, Language)
    assert_type(user.named, Any | None)
    assert_type(user.named_sure, Any)
    assert_type(user.note, str | None)
    assert_type(user.id, str)
    assert_type(user.shout(), str | None)
    user.string = "x"
    user.string = None
    user.must = "x"
    user.integer = 5
    user.lang = Language("en")


def columns() -> None:
    assert_type(User.string, Column[User, str | None])
    assert_type(User.must, Column[User, str])
    assert_type(Admin.string, Column[Admin, str | None])
    assert_type(BlockingUser.name, sync.Column[BlockingUser, str | None])
    assert_type(User.string == "x", Query[User])
    assert_type(User.integer >= 5, Query[User])
    assert_type(Admin.integer < 5, Query[Admin])
    assert_type(BlockingUser.age > 5, sync.Query[BlockingUser])
    assert_type(User.all(), Query[User])
    assert_type((User.integer >= 5).limit(3).offset(1)[2:], Query[User])
    assert_type(Shared.note, String[None])


async def verbs(user: User) -> None:
    assert_type(User("1"), User)
    assert_type(await User("1"), User)
    assert_type(await User.get("1"), User)
    assert_type(await Admin.get(1), Admin)
    assert_type(await User.get_many(["1"]), list[User | None])
    assert_type(User.new("1", string="x"), User)
    assert_type(await user.save(), User)
    assert_type(await user.save(mode="create", if_unchanged=[User.string]), User)
    assert_type(await user.save(if_unchanged="record"), User)
    assert_type(await user.load(raw=True), User)
    assert_type(await user.reload(), User)
    assert_type(await user.delete(), bool)
    assert_type(await user.exists(), bool)
    assert_type(await user.incr(User.integer, -5, min=0), int)
    assert_type(await user.incr(User.money, decimal.Decimal("0.5"), max=3), decimal.Decimal)
    assert_type(await User.get_or_create(email="a@b.cc", defaults={"string": "x"}), tuple[User, bool])
    assert_type(await Admin.update_or_create(email="a@b.cc"), tuple[Admin, bool])
    assert_type(user.log, ListHandle[str])
    assert_type(await user.log.append("a", "b"), int)
    assert_type(await user.log.range(0, 9), list[str])
    assert_type(await user.log.pop(), str | None)
    assert_type(await user.numbers.members(), set[int])
    assert_type(await user.board.top(10), list[tuple[str, float]])
    assert_type(await user.board.incr("a", 2), float)
    assert_type(await user.visits.incr(), int)
    assert_type(User.log, ListOf[str])
    assert_type(User.prices, HashOf[decimal.Decimal])
    assert_type(user.prices, HashHandle[decimal.Decimal])
    assert_type(await user.prices.items(), dict[str, decimal.Decimal])
    assert_type(await user.prices.get("a"), decimal.Decimal | None)
    assert_type(await user.prices.set("a", decimal.Decimal(1)), bool)
    assert_type(await user.log.push("a", unique=True), int)
    assert_type(await user.log.wait_pop(5), str | None)
    assert_type(await user.log.insert("a", before="b"), int | None)
    assert_type(await user.numbers.union(user.numbers), set[int])
    assert_type(await user.numbers.random(2), list[int])
    assert_type(await user.board.pop_min(), list[tuple[str, float]])
    assert_type(await User.save_many([user], skip_conflicts=True), list[tuple[User, RediscaError]])
    assert_type(await User.delete_many([user, "2", 3]), int)
    assert_type(User.inheritors(), set[type[User]])
    user.get("name", 5)
    user["extra"] = 2.5


@conf(ttl=60)
class Login(Model):
    name = String(required=True)


@conf(ttl=60)
class BlockingLogin(sync.Model):
    name = String(required=True)


async def ends(login: Login, blocking: BlockingLogin, moment: dt.datetime) -> None:
    assert_type(Login.expires_at, Column[Login, dt.datetime | None])
    assert_type(await login.expires_at(), dt.datetime | None)
    assert_type(Login.expires_at < moment, Query[Login])
    assert_type(Login.expires_at.is_none() | (Login.expires_at == moment), Query[Login])
    assert_type(Login.all().order_by(Login.expires_at.desc()), Query[Login])
    assert_type(await Login.expires_at.range(moment, None), list[Login])
    assert_type(await Login.all().values(Login.name, Login.expires_at), list[tuple[str, dt.datetime | None]])
    assert_type(await Login.all().aggregate(Login.expires_at), Aggregate[dt.datetime | None])
    assert_type(BlockingLogin.expires_at, sync.Column[BlockingLogin, dt.datetime | None])
    assert_type(blocking.expires_at(), dt.datetime | None)
    assert_type(BlockingLogin.expires_at >= moment, sync.Query[BlockingLogin])


async def queries() -> None:
    assert_type(await (User.integer >= 5), list[User])
    assert_type(await User.string.find("x"), list[User])
    assert_type(await User.integer.range(1, exclusive(5), start=0, num=3, children=True), list[User])
    assert_type(await User.string.choice("x", 3), list[User] | None)
    assert_type(await User.all().first(), User | None)
    assert_type(await User.all().one(), User)
    assert_type(await User.all().count(), int)
    assert_type(await User.all().ids(), list[str])
    assert_type(await User.all().exists(), bool)
    async for found in User.all():
        assert_type(found, User)
    assert_type(aiter(User.all()), AsyncIterator[User])


async def joining() -> None:
    assert_type((User.integer >= 5) & ~(User.must == "x"), Query[User])
    assert_type((User.integer >= 5) | (User.string != "x"), Query[User])
    assert_type(User.where(User.integer >= 5, User.must == "x"), Query[User])
    assert_type(Admin.where(User.integer >= 5, Admin.level == 1), Query[Admin])
    assert_type(User.integer.in_([1, 2, None]), Query[User])
    assert_type(User.must.not_in(["a"]), Query[User])
    assert_type(User.integer.between(1, exclusive(5)), Query[User])
    assert_type(User.string.is_none() | User.string.not_none(), Query[User])
    assert_type(User.string.startswith("x"), Query[User])
    assert_type(User.must.startswith("x"), Query[User])
    assert_type(User.labels.has("x"), Query[User])
    assert_type(User.tags.has_any(["x"]) & User.labels.has_all({"y"}), Query[User])
    assert_type(User.lang.of(Language("en")), Query[User])
    assert_type(User.all().order_by(User.integer.desc(), User.string).scan(), Query[User])
    assert_type(User.all().only(User.integer).prefetch(User.lang, "lang"), Query[User])
    assert_type((User.integer >= 1).read_from("replica").order_by(User.integer), Query[User])
    assert_type(await User.where(User.must == "x"), list[User])


async def figures() -> None:
    assert_type(await User.all().values(User.integer), list[int | None])
    assert_type(await User.all().values(User.must, User.integer), list[tuple[str, int | None]])
    assert_type(
        await User.all().values(User.must, User.on, User.day), list[tuple[str, bool | None, dt.date | None]]
    )
    assert_type(await User.all().one_or_none(), User | None)
    assert_type(await User.all().random(3), list[User])
    assert_type(await User.all().page(5, after=None), Page[User])
    assert_type((await User.all().page(5)).items, list[User])
    assert_type((await User.all().page(5)).next, str | None)
    assert_type(await User.all().explain(), Explanation)
    assert_type(await User.all().update(string="x"), int)
    assert_type(await User.all().delete(), int)
    assert_type(await User.all().limit(1).update(string="x", returning=True), list[User])
    assert_type(await User.all().limit(1).delete(returning=True), list[User])
    assert_type(await User.all().incr(User.integer, 5), int)
    assert_type(await User.all().incr(User.money), int)
    assert_type(await User.all().aggregate(User.integer), Aggregate[int | None])
    groups = await User.all().aggregate(User.integer, by=User.must)
    assert_type(groups, dict[str, Aggregate[int | None]])


def blocking_figures() -> None:
    query = (BlockingUser.age > 5) & ~(BlockingUser.name == "x")
    assert_type(query, sync.Query[BlockingUser])
    assert_type(BlockingUser.where(query), sync.Query[BlockingUser])
    assert_type(query.read_from("primary"), sync.Query[BlockingUser])
    assert_type(query.values(BlockingUser.age), list[int])
    assert_type(query.page(5), Page[BlockingUser])
    assert_type(query.update(name="x"), int)
    assert_type(query.limit(1).update(name="x", returning=True), list[BlockingUser])
    assert_type(query.delete(returning=True), list[BlockingUser])
    assert_type(query.aggregate(BlockingUser.age), Aggregate[int])


def blocking(user: BlockingUser) -> None:
    assert_type(BlockingUser.get("1"), BlockingUser)
    assert_type(user.save(), BlockingUser)
    assert_type(user.delete(), bool)
    assert_type(user.age, int)
    assert_type(BlockingUser.name.find("x"), list[BlockingUser])
    assert_type(BlockingUser.age.range("(1", 5), list[BlockingUser])
    assert_type((BlockingUser.age >= 5)[0], BlockingUser)
    assert_type((BlockingUser.age >= 5)[0:2], list[BlockingUser])
    assert_type(len(BlockingUser.all()), int)
    for found in BlockingUser.all():
        assert_type(found, BlockingUser)
    assert_type(BlockingUser.all().stream(), Iterator[BlockingUser])
    assert_type(sync.run(User.get("1")), User)
    assert_type(sync.run(User.integer >= 5), list[User])
    with sync.session(autosave=True) as unit:
        unit.flush()


async def others() -> None:
    async with session(autosave=True) as unit:
        assert_type(unit, Session)
        await unit.flush()
    user = User("1")
    async with session(if_unchanged="record") as unit:
        unit.require(user, User.integer >= 5, User.string == "x")
        unit.require_unchanged(user, User.integer, User.string)
        unit.incr(user, User.integer, -1, min=0)
        unit.incr(user, User.money, 2)
        unit.incr(user, User.visits)
        unit.append(user, User.log, "x")
        unit.add(user, User.numbers, 1)
        unit.set_scores(user, User.board, {"x": 1.5})
    assert_type(await User.upsert("1", incr={User.integer: 1}, string="x"), User)
    assert_type(await user.incr(User.integer, create=True), int)
    async for attempt in retry_on_conflict(5):
        async with attempt as unit:
            assert_type(unit, Session)
    for again in sync.retry_on_conflict():
        with again as blocking_unit:
            assert_type(blocking_unit, sync.Session)
    conf.db = "memory://"
    assert_type(conf.db, Database)
    assert_type(hexid(), str)
    assert_type(intid(), int)
    done = await reindex(User)
    assert_type(done.records, int)


async def feeds(user: User) -> None:
    async with User.changes("0", group="g", consumer="c") as changes:
        assert_type(changes, Changes[User])
        async for change in changes:
            assert_type(change, Change[User])
            assert_type(change.id, str)
            assert_type(await changes.ack(change), int)
    assert_type(changes.cursor, str)
    async for kind, id, record in (User.integer >= 5).watch():
        assert_type(id, str)
        assert_type(record, User | None)
        if kind == "exit":
            break


def blocking_feeds() -> None:
    for change in BlockingUser.changes():
        assert_type(change, Change[BlockingUser])
    for _, _, record in BlockingUser.all().watch():
        assert_type(record, BlockingUser | None)


class Slug(String[None]):
    """A field of one's own."""

    def check(self, value: str) -> None:
        if " " in value:
            raise ValueError("holds a space")


class Point(Field[tuple[int, int] | None]):
    """Another, from the ground up."""


class Place(Model):
    slug = Slug(unique=True, required=False)
    at = Point()


def own(place: Place) -> None:
    assert_type(place.slug, str | None)
    assert_type(place.at, tuple[int, int] | None)
    assert_type(Place.slug == "x", Query[Place])
