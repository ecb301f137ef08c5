"""Steps beside releases that read and write, runners that are killed, and runners that meet."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aioredisca import (
    Database,
    Email,
    Gone,
    Integer,
    MigrationError,
    Model,
    SchemaMismatch,
    StaleWrite,
    String,
    conf,
    reindex,
)
from aioredisca.maintenance.lease import Lease
from aioredisca.maintenance.migrations import Step, each, status, upgrade
from aioredisca.maintenance.migrations.journal import Journal
from aioredisca.persistence import asking

from ..support.drift import drift
from ..support.patience import limit, until, wait_until

HEAD = "from aioredisca.maintenance.migrations import *\n"
METACLASS: Any = type(Model)
FULL = os.environ.get("REDISCA_FULL") == "1"


def release(url: str, **fields: Any) -> Any:
    """A release of the class in a process of its own: its Database knows nothing of the others."""
    return conf(db=Database(url), prefix="user")(
        METACLASS("User", (Model,), {"__module__": __name__, "age": Integer(index=True), **fields})
    )


def releases(url: str) -> list[Any]:
    """The four releases of a rename: mail; mail and email; email and mail; email. All call it ``email``."""
    return [
        release(url, email=String(field="mail")),
        release(url, email=String(field="mail", also="email")),
        release(url, email=String(also="mail")),
        release(url, email=String()),
    ]


def written(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{len([*folder.glob('*.py')]) + 1:04}_step.py").write_text(HEAD + text)
    return folder


class Traffic:
    """20 writers of some releases. Each change is looked at by another release at once, under the lock of its record."""

    def __init__(self, models: list[Any], ids: list[str], truth: dict[str, str | None]) -> None:
        self.models, self.ids, self.truth = models, ids, truth
        self.locks = {id: asyncio.Lock() for id in ids}
        self.wrong = list[str]()
        self.ended = asyncio.Event()
        self.writes = 0

    async def __aenter__(self) -> Traffic:
        self.tasks = [asyncio.create_task(self._write(number)) for number in range(20)]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.ended.set()
        await asyncio.gather(*self.tasks)

    async def _write(self, number: int) -> None:
        dice = random.Random(number)
        writer = self.models[number % len(self.models)]
        while not self.ended.is_set():
            id, reader = dice.choice(self.ids), dice.choice(self.models)
            async with self.locks[id]:
                value = dice.choice([None, f"{number}-{self.writes}"])
                record = await writer.get(id)
                record.email = value
                record.age = dice.randrange(100)
                await record.save(if_unchanged=dice.choice([True, False]))
                self.truth[id] = value
                seen = (await reader.get(id)).email
                if seen != value:
                    self.wrong.append(f"{id}: wrote {value!r}, read {seen!r}")
                self.writes += 1
            await asyncio.sleep(0)

    async def some(self, count: int) -> None:
        """Let so many changes be made."""
        goal = self.writes + count
        await until(lambda: self.writes >= goal or any(task.done() for task in self.tasks))


async def other_than(models: list[Any], truth: dict[str, str | None]) -> list[str]:
    """The records that one of these releases reads otherwise than they were written last."""
    found = list[str]()
    for model in models:
        for record in await model.get_many([*truth]):
            if record.email != truth[record.id]:
                found.append(f"{record.id}: {record.email!r} is not {truth[record.id]!r}")
    return found


async def naive(step: Path, db: Database) -> None:
    """The control: reads and writes without comparing."""
    client = db.client
    for key in [key async for key in client.scan_iter("user:*")]:
        mail = await client.hget(key, "mail")
        await asyncio.sleep(0)
        await client.hset(key, "email", mail) if mail else await client.hdel(key, "email")
    await client.aclose()


@pytest.mark.slow
@pytest.mark.asyncio_only
@pytest.mark.parametrize("way", ["steps", "control"])
async def test_a_rename_loses_nothing_with_two_releases_side_by_side(
    url: str, db: Database, raw: Any, backend: str, tmp_path: Path, way: str
) -> None:
    if (backend, way) == ("memory", "control"):
        pytest.skip("one server is enough to see what is wrong with it")
    first, second, third, fourth = releases(url)
    count, changes = (40, 60) if backend == "memory" or way == "control" else (200, 300)
    truth: dict[str, str | None] = {str(i): f"m{i}" for i in range(count)}
    await first.save_many([first.new(id, email=value, age=1) for id, value in truth.items()])
    ids = [*truth]
    wrong = list[str]()
    async with Traffic([first, second], ids, truth) as traffic:
        await traffic.some(changes)
    wrong += traffic.wrong + await other_than([first, second], truth)

    copy = written(tmp_path / "copy", 'operations = [CopyField("user", "mail", "email")]\n')
    lost = list[str]()
    for _ in range(20 if way == "control" else 1):
        async with Traffic([second], ids, truth) as traffic:
            await traffic.some(changes // 10)
            await (naive(copy, db) if way == "control" else upgrade(copy, db))
        lost += await other_than([third], truth)
        if lost:
            break
    wrong += traffic.wrong
    if way == "control":
        assert lost
        return
    assert lost == []
    assert [id for id in ids if raw.hget(f"user:{id}", "mail") != raw.hget(f"user:{id}", "email")] == []
    for models in ([second, third], [third, fourth]):
        async with Traffic(models, ids, truth) as traffic:
            await traffic.some(changes)
        wrong += traffic.wrong + await other_than(models, truth)
    written(copy, 'operations = [DropField("user", "mail", restore="email")]\n')
    async with Traffic([fourth], ids, truth) as traffic:
        await traffic.some(changes // 10)
        await upgrade(copy, db)
    wrong += traffic.wrong + await other_than([fourth], truth)
    assert wrong == []
    assert drift(raw, [fourth]) == ["b'/migrations' belongs to no record"]
    assert not any(raw.hexists(f"user:{id}", "mail") for id in ids)


@pytest.mark.asyncio_only
async def test_counting_goes_to_both_fields(url: str, db: Database, raw: Any) -> None:
    model = release(url, points=Integer(also={"score": lambda text: str(10 * int(text))}, maxval=1000))
    await model.new("1", points=1).save()
    await asyncio.gather(*(model("1").incr(model.points, 2) for _ in range(20)))
    assert raw.hmget("user:1", "points", "score") == [b"41", b"410"]
    assert await model("1").incr(model.points, -1) == 40
    with pytest.raises(Exception, match="out of bounds"):
        await model("1").incr(model.points, 2000)
    assert raw.hmget("user:1", "points", "score") == [b"40", b"400"]


# -- conversions under writers ----------------------------------------------------------------------


@pytest.mark.asyncio_only
@pytest.mark.parametrize("way", ["compared", "control"])
async def test_a_conversion_loses_no_write_and_changes_no_record_twice(
    url: str, db: Database, raw: Any, backend: str, way: str
) -> None:
    if (backend, way) == ("memory", "control"):
        pytest.skip("one server is enough to see what is wrong with it")
    count = 60 if backend == "memory" or way == "control" else 200
    mine = conf(db=db, prefix="user")(
        METACLASS("User", (Model,), {"__module__": __name__, "age": Integer(index=True), "seen": Integer()})
    )
    theirs = release(url, seen=Integer())
    await mine.save_many([mine.new(str(i), age=i, seen=0) for i in range(count)])
    ended, made = asyncio.Event(), [0]

    async def write(number: int) -> None:
        dice = random.Random(number)
        while not ended.is_set():
            record = await theirs.get(str(dice.randrange(count)))
            record.seen += 1
            try:
                await record.save(if_unchanged=True)
                made[0] += 1
            except StaleWrite:
                pass
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(write(number)) for number in range(20)]
    if way == "control":  # whole records, written back as they were read
        for i in range(count):
            held = raw.hgetall(f"user:{i}")
            await asyncio.sleep(0.001)
            raw.hset(f"user:{i}", mapping={**held, b"age": b"%d" % (10 * int(held[b"age"]))})
    else:
        await _converted(db, mine)
    ended.set()
    await asyncio.gather(*tasks)
    seen = sum(int(raw.hget(f"user:{i}", "seen")) for i in range(count))
    if way == "control":
        assert seen < made[0]
        return
    assert [raw.hget(f"user:{i}", "age") for i in range(count)] == [b"%d" % (10 * i) for i in range(count)]
    assert seen == made[0]
    assert [text for text in drift(raw, [mine]) if "/migrations" not in text] == []


async def _converted(db: Database, model: Any) -> None:
    def tenfold(record: Any) -> None:
        record.age = 10 * record.age

    journal = Journal(db, Lease(db, "/migrations/lease", "", 30))
    counted = await each(Step(journal, "run", dry_run=False), model, tenfold)
    assert counted.left == {}


# -- runners that are killed, and runners that meet -------------------------------------------------

MODELS = """
from aioredisca import Database, Email, Integer, Model, String, conf

class User(Model):
    mail = Email(unique=True)
    age = Integer(index=True)
    name = String(index=True)
    seen = Integer()
"""

RUNNER = """
import sys
from aioredisca import conf
from aioredisca.maintenance.migrations import upgrade
from aioredisca.drivers.run import run

sys.path.insert(0, "")
conf.db = sys.argv[1]
run(upgrade("migrations", rate=1000, lease=0.5))
"""

STEPS = {
    "copy": 'operations = [CopyField("user", "mail", "email")]\n',
    "each": "from models import User\n\ndef tenfold(user):\n    user.age = user.age * 10\n\n"
    "async def up(step):\n    await each(step, User, tenfold)\n",
    "drop": 'operations = [DropField("user", "old", restore="name")]\n',
    "move": 'from models import User\noperations = [MoveModel("user", "member")]\n',
    "delete": 'operations = [DeleteModel("user")]\n',
}


@pytest.mark.slow
@pytest.mark.asyncio_only
@pytest.mark.parametrize("round_", range(50 if FULL else 1))
@pytest.mark.parametrize("kind", STEPS)
async def test_a_runner_that_is_killed_is_taken_over(
    server: Any,
    url: str,
    db: Database,
    raw: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    round_: int,
) -> None:
    count = 1000 if FULL else 400
    mine = _user("user", db)
    await mine.save_many(
        [mine.new(str(i), mail=f"{i}@x.yz", age=i, name=f"n{i % 7}", seen=0) for i in range(count)]
    )
    for i in range(count if kind == "drop" else 0):
        raw.hset(f"user:{i}", "old", f"n{i % 7}")
    written(tmp_path / "migrations", STEPS[kind])
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "runner.py").write_text(RUNNER)
    ended, made, refused = asyncio.Event(), [0], [0]
    theirs = _user("user", Database(url))

    async def write(number: int) -> None:
        dice = random.Random(number)
        while not ended.is_set():
            try:
                await theirs(str(dice.randrange(count))).incr(theirs.seen)
                made[0] += 1
            except SchemaMismatch:  # of what moves or is deleted
                refused[0] += 1
            except Gone:
                pass
            await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(write(number)) for number in range(20)]
    await asyncio.to_thread(_killed, tmp_path, url, raw, random.Random(f"{kind}{round_}"))
    monkeypatch.syspath_prepend(str(tmp_path))
    await _taken_over(tmp_path / "migrations", db)
    sys.modules.pop("models", None)
    ended.set()
    await asyncio.gather(*tasks)
    assert [one.state for one in await status(tmp_path / "migrations", db)] == ["done"]
    _check(kind, raw, mine, count, made[0])
    if kind == "move":
        member = _user("member", db)
        await reindex(member)
        assert sum([one.seen or 0 async for one in member.all()]) == made[0]
        assert [
            text for text in drift(raw, [member]) if "user" not in text and "/migrations" not in text
        ] == []
        assert refused[0] > 0
        assert raw.hlen("member/u/mail") == count


def _killed(place: Path, url: str, raw: Any, dice: random.Random) -> None:
    """Run the steps in a process, and kill it some time after it has written its first or second batch."""
    runner = subprocess.Popen(
        [sys.executable, "runner.py", url],
        cwd=place,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
    )
    batch = b"%d " % dice.choice([1, 2])
    try:
        wait_until(lambda: any(text.startswith(batch) for text in raw.hvals("/migrations")))
        time.sleep(dice.uniform(0, 0.15))
    finally:
        runner.kill()
        runner.wait(limit(5))


async def _taken_over(folder: Path, db: Database) -> None:
    """Run the steps as soon as the lease of the dead has ended."""
    while True:
        try:
            await upgrade(folder, db)
            return
        except MigrationError as error:
            if "another runner is at work" not in str(error):
                raise
        await asyncio.sleep(0.05)


def _user(prefix: str, db: Database) -> Any:
    fields = {"mail": Email(unique=True), "age": Integer(index=True), "name": String(index=True)}
    return conf(db=db, prefix=prefix)(
        METACLASS("User", (Model,), {"__module__": __name__, **fields, "seen": Integer()})
    )


def _check(kind: str, raw: Any, model: Any, count: int, made: int) -> None:
    if kind == "delete":
        assert raw.keys("user:*") == [] or all(raw.hget(key, "mail") is None for key in raw.keys("user:*"))
        return
    records = [raw.hgetall(f"user:{i}") for i in range(count)]
    assert sum(int(one[b"seen"]) for one in records) == made
    assert [one[b"age"] for one in records] == [
        b"%d" % (i * (10 if kind == "each" else 1)) for i in range(count)
    ]
    if kind == "copy":
        assert [one[b"email"] for one in records] == [one[b"mail"] for one in records]
    if kind == "drop":
        assert not any(b"old" in one for one in records)
    if kind != "move":
        assert drift(raw, [model]) == ["b'/migrations' belongs to no record"]
        assert raw.hlen("user/u/mail") == count


@pytest.mark.one_node
async def test_the_second_of_two_runners_is_told(db: Database, raw: Any, tmp_path: Path) -> None:
    mine = _user("user", db)
    await mine.save_many([mine.new(str(i), age=i) for i in range(150)])
    folder = written(tmp_path / "steps", "operations = [CopyField('user', 'age', 'years')]\n")
    raw.set("/migrations/lease", "host process 1", px=60_000)
    with pytest.raises(MigrationError, match=r"another runner is at work \(host process 1\)"):
        await upgrade(folder, db)
    assert raw.hgetall("/migrations") == {}
    assert raw.hget("user:1", "years") is None
    await upgrade(folder, db, dry_run=True)
    raw.delete("/migrations/lease")
    await upgrade(folder, db)
    assert raw.hget("user:1", "years") == b"1"
    assert raw.exists("/migrations/lease") == 0


@pytest.mark.one_node
@pytest.mark.parametrize("taken", ["lease", "cursor"])
async def test_a_runner_that_outlived_its_lease_writes_nothing_more(
    db: Database, raw: Any, tmp_path: Path, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = _user("user", db)
    await mine.save_many([mine.new(str(i), age=i) for i in range(150)])
    folder = written(tmp_path / "steps", "operations = [CopyField('user', 'age', 'years')]\n")
    sent = asking.read
    calls = [0]

    async def read(store: Any, call: Any, kinds: Any = ()) -> Any:
        if b"=" in b"".join(arg for arg in call.args if isinstance(arg, bytes)) and call.script:
            calls[0] += 1
            if calls[0] == 2:  # between the first batch and the second
                if taken == "lease":
                    raw.set("/migrations/lease", "another")
                else:
                    (name,) = [key for key in raw.hkeys("/migrations") if key.startswith(b"cursor")]
                    raw.hset("/migrations", name, "7:=zzz")
        return await sent(store, call, kinds)

    monkeypatch.setattr(asking, "read", read)
    with pytest.raises(MigrationError, match="another runner"):
        await upgrade(folder, db)
    assert 0 < sum(raw.hexists(f"user:{i}", "years") for i in range(150)) <= 100
    assert raw.get("/migrations/lease") == (b"another" if taken == "lease" else None)
