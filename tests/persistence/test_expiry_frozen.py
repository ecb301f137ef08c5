"""Before Redis 7.2 the time of keys stands still in a script: EXISTS answers for what is over by the server's clock.

Each write here waits on the server until the record that it meets has ended, which its EXISTS and HGET do not see.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, Reference, String, ValidationError, conf
from aioredisca.errors import Restricted, UniqueViolation
from aioredisca.persistence import executor

from ..support.altered import altered

WAITS = """local begun = redis.call('TIME')
repeat
  local time = redis.call('TIME')
until time[1] * 1000 + math.floor(time[2] / 1000) > {moment}
"""


@conf(prefix="seat", ttl=None)
class Seat(Model):
    """The fast path."""

    place = String(unique=True)
    row = Integer(index=True)


@conf(prefix="pass", ttl=None, unique=[("owner", "slug")])
class Pass(Model):
    """The general script."""

    email = String(unique=True)
    owner = String()
    slug = String()


@conf(prefix="visit")
class Visit(Model):
    of = Reference(Seat, index=True, check=True)


@conf(prefix="hall")
class Hall(Model):
    name = String()


@conf(prefix="row", ttl=None)
class Row(Model):
    hall = Reference(Hall, index=True, on_delete="restrict")


@pytest.fixture(autouse=True)
def frozen(backend: str) -> None:
    if backend != "redis62":
        pytest.skip("there the clock stands still in a script as well")


class Slowly:
    """Lets every write from now on wait until a moment is past; ``rule`` is whether scripts go by the clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.patch, self.rule = monkeypatch, True

    def until(self, moment: int) -> None:
        def alter(text: str) -> str:
            if not self.rule:  # what EXISTS says, as it was before there was a rule
                text, found = re.subn(r"return moment and tonumber\(moment\) < [^\n]+", "return false", text)
                assert found
            return WAITS.format(moment=moment) + text

        for name in ("write_call", "get_or_create_call"):
            self.patch.setattr(executor, name, altered(getattr(executor, name), alter))


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> Slowly:
    return Slowly(monkeypatch)


async def soon(raw: Any, record: Any) -> int:
    """Let *record* end in a moment; that moment, before which the next call begins."""
    seconds, micros = raw.time()
    moment = int(seconds) * 1000 + int(micros) // 1000 + 300
    await record.expire(dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=moment))
    return moment


async def _claim(raw: Any, slowly: Slowly) -> None:
    slowly.until(await soon(raw, await Seat.new("1", place="A1").save()))
    await Seat.new("2", place="A1").save()


async def _claim_in_general(raw: Any, slowly: Slowly) -> None:
    slowly.until(await soon(raw, await Pass.new("1", email="a", owner="o", slug="s").save()))
    await Pass.new("2", email="a", owner="o", slug="s").save()


async def _obtain(raw: Any, slowly: Slowly) -> None:
    slowly.until(await soon(raw, await Seat.new("1", place="A1").save()))
    assert (await Seat.get_or_create(place="A1"))[1] is True


async def _refer(raw: Any, slowly: Slowly) -> None:
    slowly.until(await soon(raw, await Seat.new("1", place="A1").save()))
    with pytest.raises(ValidationError, match="not stored"):
        await Visit.new("v", of="1").save()


async def _restrict(raw: Any, slowly: Slowly) -> None:
    hall = await Hall.new("h", name="x").save()
    slowly.until(await soon(raw, await Row.new("r", hall=hall).save()))
    assert await hall.delete() is True


CASES = [_claim, _claim_in_general, _obtain, _refer, _restrict]


Case = Callable[[Any, Slowly], Awaitable[None]]


async def _begin() -> None:
    """Declare all classes, so that the calls that follow are single ones."""
    for kind in (Seat, Pass, Visit, Hall, Row):
        await kind.new("0").save()


@pytest.mark.parametrize("case", CASES)
async def test_a_record_that_ends_while_a_script_runs_is_over(
    db: Database, raw: Any, slowly: Slowly, case: Case
) -> None:
    await _begin()
    await case(raw, slowly)


@pytest.mark.parametrize("case", CASES)
async def test_control_by_exists_alone_it_is_not(db: Database, raw: Any, slowly: Slowly, case: Case) -> None:
    await _begin()
    slowly.rule = False
    with pytest.raises((AssertionError, UniqueViolation, Restricted, pytest.fail.Exception)):
        await case(raw, slowly)
