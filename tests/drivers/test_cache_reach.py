"""conf(cache=n): a write forgets all that it may have changed, also the records that only the server found."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioredisca import Database, Email, Integer, Model, NotFound, Reference, String, conf, session
from aioredisca.drivers.aio.tracking import ClientCache
from aioredisca.types import CacheRegion, Call

from ..support.servers import Server

pytestmark = pytest.mark.asyncio_only


@conf(cache=1000)
class Owner(Model):
    email = Email(unique=True)
    name = String(index=True)
    n = Integer(index=True)


@conf(cache=1000)
class Kept(Model):
    owner = Reference(Owner, index=True, on_delete="cascade")
    reader = Reference(Owner, index=True, on_delete="nullify")


@conf(cache=1000)
class Deep(Model):
    kept = Reference(Kept, index=True, on_delete="cascade")


@conf(cache=1000)
class Aside(Model):
    name = String()


ROUNDS = 50


@pytest.fixture
def rounds(full: bool) -> int:
    return 2000 if full else ROUNDS


async def is_there(model: Any, id: str) -> bool:
    try:
        await model.get(id)
    except NotFound:
        return False
    return True


async def test_what_a_delete_took_along_is_forgotten(server: Server, db: Database, rounds: int) -> None:
    stale = 0
    for number in range(rounds):
        await Owner.new("o").save()
        await Kept.new("k", owner="o").save()
        await Deep.new("d", kept="k").save()
        assert await is_there(Kept, "k")
        assert await is_there(Deep, "d")
        if number % 3 == 0:
            await Owner("o").delete()
        elif number % 3 == 1:
            await Owner.all().delete()
        else:
            async with session(autosave=True) as work:
                work.delete(Owner("o"))
        stale += await is_there(Kept, "k") + await is_there(Deep, "d") + await is_there(Owner, "o")
    assert stale == 0


async def test_what_lost_its_reference_is_forgotten(server: Server, db: Database, rounds: int) -> None:
    stale = 0
    await Kept.new("k").save()
    for _ in range(rounds):
        await Owner.new("o").save()
        kept = await Kept.get("k")
        kept.reader = "o"  # type: ignore[assignment]
        await kept.save()
        assert (await Kept.get("k")).reader == Owner("o")
        await Owner.delete_many(["o"])
        stale += (await Kept.get("k")).reader is not None
    assert stale == 0


async def test_what_update_or_create_wrote_is_read_anew(server: Server, db: Database, rounds: int) -> None:
    stale = 0
    owner, _ = await Owner.get_or_create(email="a@b.cc")
    for number in range(rounds):
        await Owner.get(owner.id)
        await Owner.update_or_create(email="a@b.cc", defaults={"n": number})
        stale += (await Owner.get(owner.id)).n != number
        await (Owner.email == "a@b.cc").update(name=f"n{number}")
        stale += (await Owner.get(owner.id)).name != f"n{number}"
        await (Owner.email == "a@b.cc").incr(Owner.n, 1)
        stale += (await Owner.get(owner.id)).n != number + 1
    assert stale == 0


async def test_other_classes_stay_in_memory(server: Server, db: Database) -> None:
    await Aside.new("a", name="x").save()
    await Owner.save_many([Owner.new("o", email="a@b.cc"), Owner.new("p")])
    await Kept.new("k").save()
    for model, id in ((Aside, "a"), (Owner, "p"), (Kept, "k")):
        await model.get(id)
    assert db.cached == {"aside": 1, "owner": 1, "kept": 1}
    await Owner("o").delete()
    assert db.cached == {"aside": 1, "owner": 1}
    await Owner.get_or_create(email="a@b.cc")  # finds or creates, and changes nothing that it finds
    assert db.cached == {"aside": 1, "owner": 1}
    await Owner.update_or_create(email="a@b.cc", defaults={"n": 1})
    assert db.cached == {"aside": 1}


async def test_a_write_given_up_forgets_as_well(server: Server, db: Database) -> None:
    await Owner.new("o").save()
    await Kept.new("k", owner="o").save()
    await Kept.get("k")
    await Owner("never").delete()  # the server learns the script
    await Kept.get("k")
    deleting = asyncio.create_task(Owner("o").delete())
    await asyncio.sleep(0)
    deleting.cancel()
    await asyncio.gather(deleting, return_exceptions=True)
    assert db.cached.get("kept", 0) == 0


def test_a_load_under_way_is_not_kept() -> None:
    held, region = ClientCache(), CacheRegion("kept", 10)
    held.connection = type("Line", (), {"silent": lambda self: False})()
    loads = {
        name: Call(("HMGET", f"{name}:1"), cache_region=CacheRegion(name, 10)) for name in ("kept", "owner")
    }
    held.expect(loads.values())
    held.forget_regions(("kept",))
    for call in loads.values():
        held.keep(call, [b"old"])
    assert held.sizes() == {"owner": 1}
    assert held.get(region, "kept:1") is None
