"""Slots that move from node to node while models are written and read."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, RediscaError, StoreError, String, Unavailable, conf
from aioredisca.drivers.cluster import routing
from aioredisca.drivers.cluster.slots import SLOTS, slot_of_key

from ..support.cluster import Cluster, Node
from ..support.patience import limit


@conf(tag=True)
class Part(Model):
    name = String(unique=True)
    kind = String(index=True)
    place = String(index=True)
    n = Integer(index=True)


@conf(prefix="other")
class Other(Part): ...


@pytest.fixture
def hasty(cluster: Cluster) -> Iterator[Database]:
    """A database that waits half a second at most for a slot to come to rest."""
    before, conf.db = conf.db, Database(cluster.plain_url, timeout=0.5, connect_timeout=limit(1))
    yield conf.db
    conf.db.close()
    conf.db = before


def dump(*nodes: Node) -> dict[bytes, bytes]:
    """All that they hold, as bytes that are equal for equal values."""
    found = dict[bytes, bytes]()
    for node in nodes:
        with node.client() as client:
            found.update(
                {key: client.execute_command("DUMP", key) for key in client.execute_command("KEYS", "*")}
            )
    return found


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
async def test_a_write_is_refused_whole_while_its_slot_is_on_its_way(
    cluster: Cluster, hasty: Database, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    """Nothing is half-written, however long the slot takes. The control, without the guard, leaves a half."""
    parts = [Part.new(str(n), name=f"x{n}", kind="a", place="here", n=n) for n in range(2)]
    others = [Part.new("other", name="other", kind="b", place="here", n=0), Part.new("none", name="none")]
    others.append(Part.new("long", name="long", kind="k" * 600, place="p" * 600))
    await Part.save_many([*parts, *others])  # so that all keys are there that a script declares
    if not is_guarded:
        monkeypatch.setattr(routing, "guarded", lambda call: call)
    with cluster.moving(slot_of_key("{part}")) as (source, target):
        before, errors = dump(source, target), list[Exception]()
        for part in parts:
            # the set of b is there, that of the new place is not: a script gets as far as from the one to the other
            part.name, part.kind, part.place, part.n = f"y{part.id}", "b", f"new{part.id}", 100 + int(part.id)
            try:
                await part.save()
            except StoreError as error:
                errors.append(error)
        after = dump(source, target)
        assert len(errors) == len(parts)
        if is_guarded:
            assert {type(error) for error in errors} == {Unavailable}
            assert "moving the slot of this key for longer than the timeout" in str(errors[0])
            assert after == before
        else:
            assert after[b"{part}/x/kind/b"] != before[b"{part}/x/kind/b"]
            assert all(after[key] == before[key] for key in before if key.startswith(b"{part}:"))
    if is_guarded:
        for part in parts:
            await part.save()
        assert [part.name for part in await (Part.n >= 100).order_by(Part.n)] == [f"y{n}" for n in range(2)]


@pytest.mark.parametrize("is_guarded", [True, False], ids=["guarded", "control"])
async def test_a_query_does_not_answer_short_while_its_slot_is_on_its_way(
    cluster: Cluster, hasty: Database, monkeypatch: pytest.MonkeyPatch, is_guarded: bool
) -> None:
    """Keys of one query are on two nodes. Without the guard, it stops in the middle or finds the half of them."""
    await Part.save_many([Part.new(str(n), name=f"x{n}", kind="a", n=n) for n in range(20)])
    assert len(await (Part.n >= 0).order_by(Part.n)) == 20  # which proves what is believed of the indexes
    if not is_guarded:
        monkeypatch.setattr(routing, "guarded", lambda call: call)
    found = list[Any]()
    with cluster.moving(slot_of_key("{part}")) as (source, target):
        cluster.move_keys(slot_of_key("{part}"), source, target, 12)
        for _ in range(3):
            try:
                found.append(len(await (Part.n >= 0).order_by(Part.n)))
            except StoreError as error:
                found.append(type(error))
    assert {*found} == {Unavailable} if is_guarded else 20 not in found
    assert len(await (Part.n >= 0).order_by(Part.n)) == 20


class Load:
    """Writers and readers of some models, and what was acknowledged."""

    def __init__(self, models: list[type[Part]], workers: int, pause: float) -> None:
        self.models, self.workers, self._pause = models, workers, pause
        self.stored, self.parts = dict[tuple[int, str], int](), dict[tuple[int, str], Part]()
        self.errors, self.done, self.writes, self.reads = list[Exception](), False, 0, 0

    async def work(self, number: int) -> None:
        """Write and read until it is done. Each worker has ids of its own."""
        dice = random.Random(number)
        while not self.done:
            which = dice.randrange(len(self.models))
            try:
                await self._step(which, f"{number}-{dice.randrange(20)}", dice.randrange(1000))
            except RediscaError as error:
                self.errors.append(error)
            await asyncio.sleep(self._pause)

    async def _step(self, which: int, id: str, n: int) -> None:
        model = self.models[which]
        part = self.parts.get((which, id)) or model.new(id)
        part.name, part.kind, part.n = f"{id} {n}", f"k{n % 7}", n
        await part.save()
        self.parts[which, id] = part
        self.stored[which, id] = n
        self.writes += 1
        assert (await model.get(id)).n == n
        assert id in [one.id for one in await ((model.n == n) & (model.kind == f"k{n % 7}"))]
        self.reads += 2

    async def judge(self) -> None:
        """Everything acknowledged is there, by every index, and nothing else."""
        for which, model in enumerate(self.models):
            stored = {id: n for (of, id), n in self.stored.items() if of == which}
            found = {one.id: one.n for one in await (model.n >= 0).limit(10_000)}
            assert found == stored
            for kind in range(7):
                ids = {one.id for one in await (model.kind == f"k{kind}").limit(10_000)}
                assert ids == {id for id, n in stored.items() if n % 7 == kind}
            for id, n in stored.items():
                assert (await (model.name == f"{id} {n}").one()).id == id


def move_slots(cluster: Cluster, load: Load, models: list[type[Part]], count: int, atomic: bool) -> None:
    """Move *count* slots one after the other, among them those of the models again and again."""
    own = [slot_of_key(f"{{{model.__mapper__.prefix()}}}") for model in models]
    try:
        for number in range(count):
            slot = own[number // 5 % len(own)] if number % 5 == 0 else number * 16 % SLOTS
            source = cluster.master_of(slot)
            target = random.choice([node for node in cluster.masters if node is not source])
            if atomic:
                cluster.move_at_once(slot, source, target)
            else:
                cluster.move(slot, target)
    finally:
        load.done = True


@pytest.mark.parametrize("way", ["keys", "atomic"])
async def test_slots_move_under_load(cluster: Cluster, full: bool, way: str, driver: str) -> None:
    """No error reaches the user, nothing is lost, and no index is off."""
    if way == "atomic" and cluster.kind != "valkey9":
        pytest.skip("only Valkey 9 moves slots at once")
    before, conf.db = conf.db, Database(cluster.url)
    models: list[type[Part]] = [Part, Other]
    load = Load(models, 4, 0 if full else 0.01)
    count = (1000 if full else 16) if way == "keys" else (100 if full else 6)
    mover = threading.Thread(target=move_slots, args=(cluster, load, models, count, way == "atomic"))
    mover.start()
    try:
        if driver == "asyncio":
            await asyncio.gather(*(load.work(number) for number in range(load.workers)))
        else:
            await _blocking_work(load)
    finally:
        load.done = True
        mover.join()
    assert load.errors == []
    assert load.writes > 10
    await load.judge()
    if driver == "asyncio":
        await conf.db.aclose()
    conf.db.close()
    conf.db = before


async def _blocking_work(load: Load) -> None:
    end = time.monotonic() + limit(600)
    while not load.done and time.monotonic() < end:
        await load._step(random.randrange(2), f"0-{random.randrange(20)}", random.randrange(1000))
