"""The models that the tests of sessions share."""

from __future__ import annotations

from aioredisca import Email, Integer, Json, Model, Reference, String


class User(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    data = Json[dict[str, int]]()
    friend = Reference("User")


class Admin(User):
    pass
