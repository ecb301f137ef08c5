"""What checkers must refuse: after ``# E:`` stand those that do."""

from __future__ import annotations

import datetime as dt

from aioredisca import (
    Counter,
    Enum,
    HashOf,
    Integer,
    ListOf,
    Model,
    Reference,
    SetOf,
    String,
    Tags,
    conf,
    exclusive,
    session,
    sync,
)
from aioredisca.sync import run


class Language(Model):
    name = String()


class User(Model):
    name = String(index=True)
    must = String(required=True)
    age = Integer(index=True)
    lang = Reference(Language)
    tags = Tags(required=True)


class Holder(Model):
    log = ListOf(String(), maxlen=5)
    prices = HashOf(Integer())
    likes = SetOf(Integer())
    names = SetOf(String())
    visits = Counter()


class BlockingHolder(sync.Model):
    log = sync.ListOf(sync.String())


async def collecting(holder: Holder, blocking: BlockingHolder) -> None:
    await holder.log.append(5)  # E: mypy pyright pyrefly
    holder.log.append("x")  # E: mypy pyright pyrefly
    await holder.visits.incr("x")  # E: mypy pyright pyrefly
    await blocking.log.append("x")  # E: mypy pyright pyrefly
    holder.log = ["x"]  # E: mypy pyright pyrefly
    ListOf(str)  # E: mypy pyright pyrefly
    await holder.prices.set("a", "x")  # E: mypy pyright pyrefly
    await holder.prices.set(1, 1)  # E: mypy pyright pyrefly
    await holder.log.push(5, unique=True)  # E: mypy pyright pyrefly
    await holder.likes.union(holder.names)  # E: mypy pyright pyrefly


class BlockingUser(sync.Model):
    name = String(index=True)
    age = Integer()


def assigning(user: User) -> None:
    user.name = 5  # E: mypy pyright pyrefly
    user.must = None  # E: mypy pyright pyrefly
    user.age = "5"  # E: mypy pyright pyrefly
    user.lang = User("1")  # E: mypy pyright pyrefly
    user.tags = "x"  # E: mypy pyright pyrefly
    user.tags = [1]  # E: mypy pyright pyrefly
    user.tags = None  # E: mypy pyright pyrefly
    user.nmae = "x"  # E: mypy pyright pyrefly
    user.nmae  # E: mypy pyright pyrefly
    user.id = "x"  # E: mypy pyright pyrefly


def declaring() -> None:
    String(idnex=True)  # E: mypy pyright pyrefly
    String(index="rangee")  # E: mypy pyright pyrefly
    Tags(index="sorted2")  # E: mypy pyright pyrefly
    conf(index=[("a", "b", "c")])  # E: mypy pyright pyrefly
    Reference(Language, on_delete="delete")  # E: mypy pyright pyrefly
    Integer(minval="5")  # E: mypy pyright pyrefly
    Enum(str)  # E: mypy pyright pyrefly


class Clashes(Model):
    save = String()  # E: mypy pyright pyrefly
    id = String()  # E: mypy pyright pyrefly


async def awaiting(user: User) -> None:
    user.save()  # E: mypy pyright pyrefly
    User.get("1")  # E: mypy pyright pyrefly
    User.name.find("x")  # E: mypy pyright pyrefly
    User.get("1").name  # E: mypy pyright pyrefly
    for _ in User.age >= 3:  # E: mypy pyright pyrefly
        pass
    len(User.all())  # E: mypy pyright pyrefly
    User.all()[0]  # E: mypy pyright pyrefly
    await user.save(mode="insert")  # E: mypy pyright pyrefly
    await user.save(if_unchanged=[Language.name])  # E: mypy pyright pyrefly
    await user.incr(User.name, 1)  # E: mypy pyright pyrefly
    await user.incr(Language.name, 1)  # E: mypy pyright pyrefly
    await user.incr(User.age, "1")  # E: mypy pyright pyrefly
    await user.incr(User.age, 1.5)  # E: mypy pyright pyrefly
    user.incr(User.age)  # E: mypy pyright pyrefly
    await user.save(True)  # E: mypy pyright pyrefly
    with session():  # E: mypy pyright pyrefly
        pass


async def finding() -> None:
    await User.name.find(5)  # E: mypy pyright pyrefly
    await User.age.range(minval="a")  # E: mypy pyright pyrefly
    await User.age.range(exclusive("a"))  # E: mypy pyright pyrefly
    User.age >= "5"  # E: mypy pyright pyrefly
    if User.age >= 3:  # E: pyright
        pass
    User.where(Language.name == "x")  # E: mypy pyright pyrefly
    User.where(User.age)  # E: mypy pyright pyrefly
    User.where("age > 3")  # E: mypy pyright pyrefly
    (User.age >= 3) & (Language.name == "x")  # E: mypy pyright pyrefly
    User.all().order_by(Language.name)  # E: mypy pyright pyrefly
    await User.all().values(Language.name)  # E: mypy pyright pyrefly
    User.age.startswith("1")  # E: mypy pyright pyrefly
    User.name.has("x")  # E: mypy pyright pyrefly
    User.age.in_(["1"])  # E: mypy pyright pyrefly
    User.age.in_(5)  # E: mypy pyright pyrefly
    User.age.between("1", "2")  # E: mypy pyright pyrefly
    User.lang.of(User("1"))  # E: mypy pyright pyrefly
    User.all().only("name")  # E: mypy pyright pyrefly
    User.all().prefetch(User.all())  # E: mypy pyright pyrefly
    User.all().read_from("nearest")  # E: mypy pyright pyrefly
    await User.all().incr(User.name)  # E: mypy pyright pyrefly
    User.where(User.age >= 3 and User.name == "x")  # HOLE: refused at run time with the cure
    User.all().count()  # E: mypy pyright pyrefly
    User.expires_at < 5  # E: mypy pyright pyrefly
    User.all().order_by(Language.expires_at)  # E: mypy pyright pyrefly
    User("1").expires_at < dt.datetime.now(dt.UTC)  # E: mypy pyright pyrefly
    User("1").expires_at = dt.datetime.now(dt.UTC)  # E: mypy pyright pyrefly
    User("1").expires_at()  # E: mypy pyright pyrefly
    await User.save_many([Language("1")])  # E: mypy pyright pyrefly
    async with session() as unit:
        unit.require(User("1"), Language.name == "x")  # E: mypy pyright pyrefly
        unit.incr(User("1"), User.name)  # E: mypy pyright pyrefly
        unit.incr(User("1"), User.age, "1")  # E: mypy pyright pyrefly
        unit.append(User("1"), User.age, 1)  # E: mypy pyright pyrefly


async def colours(user: BlockingUser) -> None:
    await user.save()  # E: mypy pyright pyrefly
    await BlockingUser.get("1")  # E: mypy pyright pyrefly
    await BlockingUser("1")  # E: mypy pyright pyrefly
    await (BlockingUser.age >= 3)  # E: mypy pyright pyrefly
    async for _ in BlockingUser.all():  # E: mypy pyright pyrefly
        pass
    run(BlockingUser.get("1"))  # E: mypy pyright pyrefly
    user.age = "5"  # E: mypy pyright pyrefly
