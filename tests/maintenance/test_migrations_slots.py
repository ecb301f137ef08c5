"""Migrations in a cluster: a batch and what is recorded of it are one call, so they lie in one slot."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database, Integer, ListOf, MigrationError, Model, String, UsageError, conf
from aioredisca.maintenance.migrations import At, downgrade, status, upgrade
from aioredisca.maintenance.migrations.journal import Journal
from aioredisca.persistence import asking

from ..support.drift import drift
from ..support.slots import judge_slots

pytestmark = [pytest.mark.memory_only, pytest.mark.one_node]  # they make a cluster of their own

HEAD = "from aioredisca.maintenance.migrations import *\n"


@conf(prefix="mover", tag="shop")
class Mover(Model):
    name = String(index=True)
    lines = ListOf(String())


class Priced(Model):
    price = Integer(index=True)


@pytest.fixture
def judged(url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Database:
    judge_slots(monkeypatch)
    db: Database = request.getfixturevalue("db")
    return db


def write(folder: Path, text: str) -> None:
    (folder / "0001_step.py").write_text(HEAD + text)


def journals(raw: Any) -> list[str]:
    return sorted(key.decode() for key in raw.keys("*migrations*"))


CONVERT = f"""
from {__name__} import Priced
async def up(step):
    await each(step, Priced, convert)
def convert(record):
    if record.price == 150:
        raise ValueError
    record.price += 1000
"""


async def test_a_walk_is_recorded_beside_its_records(judged: Database, raw: Any, tmp_path: Path) -> None:
    await Priced.save_many([Priced.new(f"{n:03}", price=n) for n in range(250)])
    write(tmp_path, CONVERT)
    (report,) = await upgrade(tmp_path)
    assert not report.done
    assert journals(raw) == ["{/migrations}", "{priced}/migrations", "{priced}/migrations/left"]
    (one,) = await status(tmp_path)
    assert (one.state, one.left) == ("running", {"150": "ValueError"})
    await Priced.where(Priced.price == 150).update(price=151)
    (report,) = await upgrade(tmp_path)
    assert report.done
    assert report.counts[0].changed == 1
    assert journals(raw) == ["{/migrations}"]
    assert {name async for name in _prices()} == {1000 + n for n in range(250) if n != 150} | {1151}
    assert drift(raw, [Priced]) == ["b'{/migrations}' belongs to no record"]
    (one,) = await status(tmp_path)
    assert (one.state, one.left) == ("done", {})


async def _prices() -> AsyncGenerator[int]:
    for record in await Priced.all():
        assert record.price is not None
        yield record.price


async def test_a_walk_that_was_cut_short_goes_on_and_changes_none_twice(
    judged: Database, raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Priced.save_many([Priced.new(f"{n:03}", price=n) for n in range(250)])
    write(tmp_path, CONVERT.replace("== 150", "is None"))
    send, batches = Journal.send, list[str]()

    async def cut(self: Journal, *args: Any, **named: Any) -> Any:
        if self.beside:
            batches.append(self.key)
            if len(batches) == 2:
                raise KeyboardInterrupt
        return await send(self, *args, **named)

    monkeypatch.setattr(Journal, "send", cut)
    with pytest.raises(KeyboardInterrupt):
        await upgrade(tmp_path)
    assert journals(raw) == [
        "{/migrations}",
        "{priced}/migrations",
    ]  # and no lease: who stopped gave both back
    (report,) = await upgrade(tmp_path)
    assert report.done
    assert report.counts[0].changed == 150
    assert {price async for price in _prices()} == {1000 + n for n in range(250)}


@pytest.mark.parametrize("forgotten", [0, 1], ids=["nothing", "beside the records"])
async def test_what_a_runner_left_that_was_killed_while_it_forgot_goes_with_the_next(
    judged: Database, raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: int
) -> None:
    await Priced.save_many([Priced.new(f"{n:03}", price=n) for n in range(130)])
    write(tmp_path, CONVERT.replace("== 150", "is None"))
    read, calls = asking.read, list[Any]()

    async def cut(store: Any, call: Any, kinds: Any = ()) -> Any:
        if call.args and call.args[0] == "HDEL":
            calls.append(call)
            if len(calls) > forgotten:
                raise KeyboardInterrupt
        return await read(store, call, kinds)

    with monkeypatch.context() as patch:
        patch.setattr(asking, "read", cut)
        with pytest.raises(KeyboardInterrupt):
            await upgrade(tmp_path)
    assert [one.state for one in await status(tmp_path)] == ["done"]
    assert await upgrade(tmp_path) == []
    assert journals(raw) == ["{/migrations}"]
    assert raw.hkeys("{/migrations}") == [b"step:0001_step"]


async def test_a_runner_whose_lease_was_taken_writes_nothing_more(
    judged: Database, raw: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the records another runner holds the lease, or in the ledger: either stops this one."""
    await Priced.save_many([Priced.new(f"{n:03}", price=n) for n in range(250)])
    write(tmp_path, CONVERT.replace("== 150", "is None"))
    send = Journal.send
    for place in ("{priced}/migrations/lease", "{/migrations}/lease"):

        async def robbed(self: Journal, *args: Any, place: str = place, **named: Any) -> Any:
            if self.beside:
                raw.set(place, "another", px=60_000)
            return await send(self, *args, **named)

        monkeypatch.setattr(Journal, "send", robbed)
        with pytest.raises(MigrationError, match=r"another runner is at work \(another\)"):
            await upgrade(tmp_path)
        raw.delete(place)
    monkeypatch.setattr(Journal, "send", send)
    (report,) = await upgrade(tmp_path)
    assert report.done
    assert {price async for price in _prices()} == {1000 + n for n in range(250)}


async def test_the_control_with_one_journal_for_all_is_refused(
    judged: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def here(self: Journal, *args: Any, **named: Any) -> AsyncGenerator[Journal]:
        yield self

    monkeypatch.setattr(Journal, "of_walk", here)
    await Priced.new("1", price=1).save()
    write(tmp_path, CONVERT)
    with pytest.raises(MigrationError, match="touches"):
        await upgrade(tmp_path)


async def test_a_model_moves_within_its_slot_only(judged: Database, raw: Any, tmp_path: Path) -> None:
    await Mover.save_many([Mover.new(f"{n}", name="x") for n in range(3)])
    await Mover("1").lines.append("a")
    write(tmp_path, 'operations = [MoveModel(At("mover", tag="shop"), "moved")]')
    before = judged.round_trips
    with pytest.raises(MigrationError, match=r"0001_step: .*two slots.*tag=\"shop\".*export"):
        await upgrade(tmp_path)
    assert not raw.exists("{/migrations}", "{/migrations}/lease")
    assert judged.round_trips - before <= 5  # the lease and the ledger, twice: the step was not begun
    write(tmp_path, 'operations = [MoveModel(At("mover", tag="shop"), At("moved", tag="shop"))]')
    await upgrade(tmp_path)
    assert raw.lrange("{shop}moved/l/lines/1", 0, -1) == [b"a"]
    await downgrade(tmp_path)
    assert not raw.keys("{shop}moved*")
    assert journals(raw) == []


@pytest.mark.parametrize("tag", ["", "a b", "{", 3])
def test_a_place_has_a_tag_as_a_class_has(tag: Any) -> None:
    with pytest.raises(UsageError, match="a tag"):
        At("user", tag=tag)
    assert str(At("user", "app:", "shop")) == "app:{shop}user"
    assert str(At("user", tag=True)) == "{user}"
