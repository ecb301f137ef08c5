"""What checkers must make of passwords and of FastAPI: after ``# E:`` stand those that complain."""

from __future__ import annotations

from typing import Annotated, assert_type

from aioredisca import Hash, Model, Password, Session, String, sync
from aioredisca.fastapi import Create, Read, SessionDep, Update


class User(Model):
    name = String()
    password = Password()
    sure = Password(required=True)


class BlockingUser(sync.Model):
    password = sync.Password()


class Other(Model):
    name = String()


async def passwords(user: User) -> None:
    assert_type(user.password, Hash | None)
    assert_type(user.sure, Hash)
    assert_type(await User.password.hash("x"), Hash)
    assert_type(await User.password.verify(user, "x"), bool)
    assert_type(await User.password.verify(None, "x"), bool)
    assert_type(await User.password.upgrade(user), bool)
    user.password = await User.password.hash("x")
    user.password = None
    user.password = "x"  # E: mypy pyright pyrefly
    user.sure = None  # E: mypy pyright pyrefly
    User.password.verify(user, "x")  # E: mypy pyright pyrefly
    await User.password.verify(Other("1"), "x")  # E: mypy pyright pyrefly


def blocking(user: BlockingUser) -> None:
    assert_type(user.password, Hash | None)
    assert_type(BlockingUser.password.hash("x"), Hash)
    assert_type(BlockingUser.password.verify(user, "x"), bool)
    user.password = "x"
    user.password = BlockingUser.password.hash("x")


async def bodies(create: Create[User], update: Update[User], user: User) -> Read[User]:
    assert_type(await create.new(), User)
    assert_type(await create.new("1", name="x"), User)
    assert_type(await update.apply(user), User)
    create.new().name  # E: mypy pyright pyrefly
    await update.apply(Other("1"))  # E: mypy pyright pyrefly
    return Read[User].model_validate(user)


def blocking_bodies(create: Create[BlockingUser], update: Update[BlockingUser], user: BlockingUser) -> None:
    assert_type(create.new(), BlockingUser)
    assert_type(update.apply(user), BlockingUser)


async def endpoint(user: Annotated[User, User.depends("id")], unit: SessionDep) -> User:
    assert_type(user, User)
    assert_type(unit, Session)
    return user
