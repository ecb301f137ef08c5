"""Models that tests of blocking code share, and a twin of the other colour."""

from __future__ import annotations

from aioredisca import Model, sync
from aioredisca.sync import Email, Integer, Reference, String


class User(sync.Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    friend = Reference("User")


class Twin(Model):
    name = String(index=True)
    age = Integer(index=True)
