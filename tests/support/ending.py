"""Models with fields that end, one for each way in which a write is carried out."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from aioredisca import Integer, Model, String, conf

HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

HAVE_NONE = ("redis62", "redis7")
"""Servers on which no field ends."""


class Login(Model):
    """Without a required field, written by the fast paths."""

    user = String(unique=True)
    code = String(ttl=HOUR)
    tries = Integer(ttl=HOUR)
    loose = String(ttl=None)
    note = String()


class Strict(Model):
    """With a required field."""

    user = String(unique=True, required=True)
    code = String(ttl=HOUR)
    tries = Integer(ttl=HOUR)
    loose = String(ttl=None)
    note = String()


@conf(unique=[("user", "note")])
class Wide(Model):
    """Written by the general script."""

    user = String(unique=True)
    code = String(ttl=HOUR)
    tries = Integer(ttl=HOUR)
    loose = String(ttl=None)
    note = String()


@conf(ttl=HOUR)
class Both(Model):
    """Records end as well, later."""

    user = String(unique=True)
    code = String(ttl=dt.timedelta(minutes=30))
    tries = Integer(ttl=HOUR)
    loose = String(ttl=None)
    note = String()


ALL: Any = [Login, Strict, Wide, Both]
kinds = pytest.mark.parametrize("kind", ALL)


def left(raw: Any, record: Any, name: str) -> int:
    """Milliseconds that a field has left; -1 for ever, -2 without a value."""
    found: int = raw.execute_command("HPTTL", record.getkey(), "FIELDS", 1, name)[0]
    return found


def near(found: int, wanted: dt.timedelta) -> bool:
    """Whether *found* is *wanted*, less the time that a slow machine takes for a test."""
    return wanted - dt.timedelta(minutes=20) < dt.timedelta(milliseconds=found) <= wanted


def ttl_of(kind: Any) -> dt.timedelta:
    return dt.timedelta(milliseconds=kind.__mapper__.fields["code"].ttl)


async def a_record(kind: Any, id: str = "1", **more: Any) -> Any:
    return await kind.new(
        id, **{"user": f"u{id}", "code": "abc", "loose": "l", "note": f"n{id}", **more}
    ).save()
