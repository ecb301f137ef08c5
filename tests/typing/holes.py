"""What checkers cannot see, pinned as it is: a hole that closes is good news and fails the test."""

from __future__ import annotations

from aioredisca import Integer, Model, Reference, SetOf, String


class User(Model):
    name = String(index=True)
    age = Integer(index=True)


class Admin(User):
    level = Integer()


class Friendly(Model):
    friends = SetOf(Reference(User))  # E: pyrefly


class Clashes(Model):
    get = String()  # E: mypy pyrefly


async def unseen(user: User, admin: Admin, flag: bool) -> None:
    User.new(name=5)  # HOLE: values of new() are Any; refused at run time
    User.name == 5  # HOLE: object.__eq__ takes anything; refused at run time
    User.age >= None  # HOLE: fits a nullable field; refused at run time with the cure
    await user.save(if_unchanged=[Admin.level])  # E: pyright pyrefly
    await admin.save(if_unchanged=[User.name])  # E: mypy
    if not User.all():  # E: pyright
        pass
    if 0 <= User.age <= 9:  # E: pyright
        pass
    String(required=flag)  # E: mypy
    User.nmae = "x"  # E: mypy pyright
