"""The models that most tests of one record share."""

from __future__ import annotations

from aioredisca import Bool, DateTime, Email, Integer, Json, Model, String


class User(Model):
    email = Email(field="eml", unique=True)
    name = String(index=True)
    age = Integer(index=True)
    active = Bool()
    made = DateTime()
    data = Json[dict[str, int]]()


class Account(Model):
    owner = String(required=True)
    note = String()
