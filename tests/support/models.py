"""Models that tests of several folders share. Those of blocking code are in blocking.py.

A test that needs a field more, or a name of its own, has its own model beside it.
"""

from __future__ import annotations

from aioredisca import Email, Integer, Model, String


class User(Model):
    """Somebody: found by one, by many, and in an order."""

    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
