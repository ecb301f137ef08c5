"""The models that most tests of one record share."""

from __future__ import annotations

from aioredisca import Bool, DateTime, Email, Integer, Json, Model, String, conf


class User(Model):
    email = Email(field="eml", unique=True)
    name = String(index=True)
    age = Integer(index=True)
    active = Bool()
    made = DateTime()
    data = Json[dict[str, int]]()


@conf(index=[("kind", "size")])
class Titled(Model):
    """Its writes take the general script."""

    kind = String(index=True)
    size = Integer(index=True)
    title = String(index="sorted")


class Account(Model):
    owner = String(required=True)
    note = String()
