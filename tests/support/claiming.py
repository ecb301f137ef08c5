"""What claims over partitions must be, seen from all that is stored, and writers who die at any step."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aioredisca import Database, Gone, Integer, Model, RediscaError, String, conf
from aioredisca.compiler.claims.wanted import claims_of
from aioredisca.errors import AlreadyExists, Unavailable, UniqueViolation
from aioredisca.persistence import claims
from aioredisca.persistence.asking import read_together
from aioredisca.storage.keys import read_claim
from aioredisca.types import Call


@conf(partitions=8, unique=[("owner", "slug")])
class Guest(Model):
    email = String(unique=True)
    number = Integer(unique=True)
    owner = String()
    slug = String()
    name = String(index=True)


@dataclass
class State:
    """Faults of claims. ``dead`` and ``owed`` are none of safety: a crash leaves them."""

    duplicates: list[Any] = field(default_factory=list[Any])
    unclaimed: list[Any] = field(default_factory=list[Any])
    dead: list[Any] = field(default_factory=list[Any])
    owed: int = 0
    records: int = 0

    @property
    def broken(self) -> list[Any]:
        return [*self.duplicates, *self.unclaimed]


async def state_of(db: Database, model: Any = Guest) -> State:
    """What stands in all partitions of *model*."""
    schema, found = model.__mapper__.schema(db), State()
    held, claimed = dict[tuple[str, bytes], list[bytes]](), dict[tuple[str, bytes], bytes]()
    for part in schema.parts:
        calls = [Call(("ZRANGE", part.keys.ids, 0, -1)), Call(("LLEN", part.keys.owed))]
        calls += [Call(("HGETALL", part.keys.claims(of))) for of in schema.claimed]
        ids, owed, *tables = await read_together(db, calls)
        found.owed += owed
        for of, table in zip(schema.claimed, tables, strict=True):
            for value, text in zip(table[::2], table[1::2], strict=True):
                assert schema.place_of_claim(value) is part
                claimed[of, value] = read_claim(text)[1]
        hashes = await read_together(db, [Call(("HGETALL", part.records + id.decode())) for id in ids])
        for id, one in zip(ids, hashes, strict=True):
            found.records += bool(one)
            raw = {name.decode(): value for name, value in zip(one[::2], one[1::2], strict=True)}
            for of, value in claims_of(schema.claimed, raw).items():
                held.setdefault((of, value), []).append(id)
    for key, holders in held.items():
        if len(holders) > 1:
            found.duplicates.append((key, holders))
        if claimed.get(key) not in holders:
            found.unclaimed.append((key, holders, claimed.get(key)))
    found.dead = [(key, id) for key, id in claimed.items() if id not in held.get(key, [])]
    return found


async def drained(db: Database, model: Any = Guest) -> None:
    """Release all that is owed."""
    for part in model.__mapper__.schema(db).parts:
        await claims.drain(db, part)


class Killed(BaseException):
    """A writer is no more."""


class Mortal:
    """A transport by which writers die before and after any round trip, with a *chance*, and are slow at times."""

    def __init__(self, transport: Any, chance: float) -> None:
        self._transport, self._chance = transport, chance

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    async def _step(self) -> None:
        if random.random() < 0.3:
            await asyncio.sleep(random.uniform(0, 0.004))
        if random.random() < self._chance:
            raise Killed

    async def send(self, *given: Any) -> Any:
        await self._step()
        reply = await self._transport.send(*given)
        await self._step()
        return reply

    async def send_all(self, calls: Any) -> Any:
        await self._step()
        replies = await self._transport.send_all(calls)
        await self._step()
        return replies


VALUES, IDS = "abcdefgh", [str(number) for number in range(12)]


async def disturb(model: Any, rounds: int, dice: random.Random) -> Counter[str]:
    """Create, change and delete a few records that want a few values; what came of it."""
    seen = Counter[str]()
    for _ in range(rounds):
        try:
            await _disturb_once(model, dice)
            seen["ok"] += 1
        except Killed:
            seen["killed"] += 1
        except (AlreadyExists, UniqueViolation, Gone, Unavailable) as error:
            seen[type(error).__name__] += 1
        except RediscaError as error:
            if type(error).__name__ != "BulkError":
                raise
            seen["BulkError"] += 1
    return seen


def _some(dice: random.Random) -> dict[str, Any]:
    every: dict[str, Any] = {
        "email": dice.choice(VALUES),
        "number": dice.randrange(8),
        "owner": dice.choice("xy"),
        "slug": dice.choice("mn"),
        "name": dice.choice(VALUES),
    }
    names: Sequence[str] = dice.sample([*every], dice.randint(1, 5))
    return {name: None if dice.random() < 0.15 else every[name] for name in names}


async def _disturb_once(model: Any, dice: random.Random) -> None:
    id, what = dice.choice(IDS), dice.random()
    if what < 0.35:
        await model.new(id, **_some(dice)).save()
    elif what < 0.65:
        record = model(id)
        for name, value in _some(dice).items():
            setattr(record, name, value)
        await record.save(mode=dice.choice(["update", "upsert"]))
    elif what < 0.72:
        await model(id).incr(model.number)
    elif what < 0.80:
        await model.save_many([model.new(one, **_some(dice)) for one in dice.sample(IDS, 3)])
    elif what < 0.84:
        await model.where(model.name == dice.choice(VALUES)).update(slug=dice.choice("mn"))
    elif what < 0.87:
        await model.get_or_create(email=dice.choice(VALUES), defaults={"number": dice.randrange(8)})
    elif what < 0.90:
        await model.where(model.name == dice.choice(VALUES)).delete()
    else:
        await model(id).delete()
