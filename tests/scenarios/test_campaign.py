"""A campaign of faults: killed and frozen servers, answers cut at every byte, no memory at any write.

After each no claim and no entry is missing, no batch is written by half, and every acknowledged write is there.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from aioredisca import Conflict, Database, Integer, Model, PermissionDenied, StoreError, String, Tags, conf
from aioredisca.compiler import scripts
from aioredisca.compiler.parts import Part
from aioredisca.errors import UsageError

from ..persistence.test_rights import close, restrict
from ..support.drift import drift, lost
from ..support.patience import until
from ..support.proxy import Proxy
from ..support.servers import Server
from .fault_models import MODELS, VERBS, Simple, stage
from .test_foreign_types import records


class Note(Model):
    owner = String(unique=True)
    name = String(index=True)
    age = Integer(index=True)


WRITERS = 20


class Writers:
    """Tasks that create and change records of their own, and what of it was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged = dict[str, int]()
        self.sent = dict[str, int]()
        self.stopped = False

    async def write(self, number: int) -> None:
        records = 0
        while not self.stopped:
            id = f"{number}-{records % 5}"
            age = self.sent[id] = self.sent.get(id, 0) + 1
            records += 1
            note = Note.new(id, owner=f"{id}/{age}", name=f"name {age % 7}", age=age)
            while True:  # until it is settled
                try:
                    await note.save(mode="upsert")
                    break
                except StoreError:
                    if self.stopped:
                        return
                    await asyncio.sleep(0.01)
            self.acknowledged[id] = age

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.write(number)) for number in range(WRITERS)]
        yield
        self.stopped = True
        await asyncio.gather(*tasks)

    async def go_on(self, writes: int) -> None:
        """Until so many more writes were acknowledged."""
        wanted = sum(self.acknowledged.values()) + writes
        await until(lambda: sum(self.acknowledged.values()) > wanted)

    def missing(self, raw: Any) -> list[str]:
        """Acknowledged writes that are not there."""
        stored = {id: int(raw.hget(f"note:{id}", "age") or 0) for id in self.sent}
        return [id for id, age in self.acknowledged.items() if not age <= stored[id] <= self.sent[id]]


@pytest.mark.asyncio_only
@pytest.mark.parametrize("fault", ["killed", "frozen"])
async def test_a_server_that_is_killed_or_frozen_loses_no_acknowledged_write(
    durable: Server, monkeypatch: pytest.MonkeyPatch, full: bool, fault: str
) -> None:
    database = Database(durable.url, timeout=1)
    monkeypatch.setattr(conf, "_db", database)
    writers = Writers()
    async with writers.at_work():
        for _ in range(20 if full else 1):
            await writers.go_on(100)
            if fault == "killed":
                durable.kill()
                durable.restart()
            else:
                durable.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(1.2)
                durable.process.send_signal(signal.SIGCONT)
        await writers.go_on(20)
    with durable.client() as raw:
        assert drift(raw, [Note]) == []
        assert writers.missing(raw) == []
    await database.aclose()


def test_control_a_write_that_is_missing_is_found(raw: Any) -> None:
    writers = Writers()
    writers.sent, writers.acknowledged = {"1": 3}, {"1": 2}
    raw.hset("note:1", "age", 1)
    assert writers.missing(raw) == ["1"]


# -- answers cut ----------------------------------------------------------------------------------


CUT_PER_PUSH = ("create", "update", "delete", "batch")


@pytest.mark.parametrize("verb", VERBS)
async def test_an_answer_that_is_cut_at_any_byte_leaves_all_or_nothing(
    server: Server, driver: str, monkeypatch: pytest.MonkeyPatch, full: bool, verb: str
) -> None:
    if not full and verb not in CUT_PER_PUSH:
        pytest.skip("in the full session")
    proxy = Proxy(server.port, settle=0.005)
    database = Database(proxy.url)
    monkeypatch.setattr(conf, "_db", database)
    with server.client() as raw:
        await stage(Simple)
        before = records(raw)
        dumps = {key: raw.dump(key) for key in raw.keys("*")}
        await VERBS[verb](Simple)
        size, done = 0, {}
        cuts: list[int] = [-1]
        while cuts:
            cut = cuts.pop()
            raw.flushall()
            for key, dump in dumps.items():
                raw.restore(key, 0, dump)
            begun = proxy.answered_bytes
            if cut >= 0:
                proxy.cut_after(cut)
            with suppress(StoreError, UsageError, *([] if cut < 0 else [Conflict])):
                await VERBS[verb](Simple)
            proxy.cut_at = None
            if cut < 0:
                size, done = proxy.answered_bytes - begun, records(raw)
                cuts = [*range(size)] if full else [0, size // 2, size - 1]
                continue
            after = records(raw)
            assert drift(raw, MODELS) == [], cut
            whole = len(after) in (len(before), len(done))  # ids are random
            assert whole if verb == "get_or_create" else after in (before, done), cut
    await close(database, driver)
    proxy.close()


# -- no memory ------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
async def test_no_memory_at_a_write_leaves_all_or_nothing(
    server: Server, db: Database, raw: Any, verb: str
) -> None:
    await stage(Simple)
    before = records(raw)
    raw.config_set("maxmemory", "1")
    denied = False
    try:
        await VERBS[verb](Simple)
    except StoreError:
        denied = True
    finally:
        raw.config_set("maxmemory", "0")
    assert denied is (records(raw) == before)
    assert drift(raw, MODELS) == []


async def test_memory_that_ends_within_many_writes_leaves_whole_batches(
    server: Server, db: Database, raw: Any, full: bool
) -> None:
    met = 0
    for room in range(0, 2_000_000, 20_000 if full else 400_000):
        raw.execute_command("FLUSHALL", "SYNC")  # what is freed later would be room as well
        await until(lambda: raw.info("memory")["lazyfree_pending_objects"] == 0)
        db.facts.index_states.clear()
        await Note.new("first").save()
        raw.config_set("maxmemory", raw.info("memory")["used_memory"] + room)
        notes = [Note.new(str(n), owner=str(n), name="x" * 5000 + str(n), age=n) for n in range(300)]
        try:
            await Note.save_many(notes, batch=10)
        except StoreError:
            met += 1
        finally:
            raw.config_set("maxmemory", "0")
        assert raw.zcard("note/ids") % 10 == 1
        assert drift(raw, [Note]) == []
    assert met


# -- control --------------------------------------------------------------------------------------


@pytest.mark.asyncio_only
async def test_control_entries_removed_before_the_hash_are_missed(
    server: Server, raw_admin: Any, driver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The known-bad order, as it once was."""
    right = scripts._index_calls

    def wrong(classes: Any, fenced: bool) -> Part:
        part = right(classes, fenced)
        early = "for _, one in ipairs(waiting) do send(one[1], one[2], one[3], one[4], 1, #one[4]) end"
        return Part(part.name, (*part.needs, "waiting", "send"), part.gives, f"{part.code}\n{early}")

    monkeypatch.setattr(scripts, "_index_calls", wrong)

    @conf(prefix="badly")
    class Badly(Model):
        called = String(
            index=True
        )  # names that no other class has: scripts are kept by what a class declares
        marks = Tags(index=True)

    database = restrict(server, raw_admin, "~*", "&*", "+@all")
    monkeypatch.setattr(conf, "_db", database)
    record = await Badly.new("1", called="Ada").save()
    raw_admin.execute_command("ACL", "SETUSER", "app", "-hset")
    record.called = "Eve"
    with pytest.raises(PermissionDenied):
        await record.save()
    assert lost(raw_admin, [Badly]) == ["b'badly/x/called/Ada' lacks {b'1'}"]
    await close(database, driver)


@pytest.fixture
def raw_admin(server: Server) -> Iterator[Any]:
    with server.client() as client:
        yield client
        client.acl_deluser("app")
