"""Who is ended, and when: a version that still writes is not, unless it is said (``force``)."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import (
    AlreadyRunning,
    Database,
    NotIndexed,
    PermissionDenied,
    SchemaMismatch,
    StoreError,
    Unavailable,
    reindex,
)
from aioredisca.maintenance import taking_over
from aioredisca.maintenance.lease import Lease
from aioredisca.persistence import asking

from ..support.drift import drift
from .test_versions import Fields, text, version

OLD: Fields = {"name": text()}
NEW: Fields = {"name": text(index=True)}


def writing_meanwhile(monkeypatch: pytest.MonkeyPatch, model: Any) -> None:
    """The processes of *model* write on while the operator waits for that."""
    wait = Lease.wait

    async def writing(lease: Lease, seconds: float) -> None:
        await model.new("live", name="x").save()
        await wait(lease, seconds)

    monkeypatch.setattr(Lease, "wait", writing)


@pytest.mark.parametrize("stamping", [False, True])
async def test_a_version_that_writes_is_not_ended_though_nobody_had_noted_that(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, stamping: bool
) -> None:
    old, new = version(url, OLD), version(url, NEW)
    await old.new("1", name="a").save()
    if stamping:  # another one came; the old one has not written since
        await new.new("2", name="a").save()
    with monkeypatch.context() as context:
        writing_meanwhile(context, old)
        with pytest.raises(StoreError, match=r"has written \d+ seconds ago"):
            await reindex(new)
    await old.new("3", name="a").save()
    assert raw.hget("ver/meta", "e:x:name") in (None, b"announced")
    await reindex(new, force=True)
    with pytest.raises(SchemaMismatch):
        await old.new("4", name="a").save()
    assert drift(raw, [new]) == []


async def test_one_that_does_not_write_is_ended_after_a_moment(url: str, db: Database, raw: Any) -> None:
    """As in development: the class is edited, and `reindex` run at once."""
    old, new = version(url, OLD), version(url, NEW)
    await old.new("1", name="a").save()
    assert (await reindex(new)).built == ("n:name", "x:name")
    with pytest.raises(SchemaMismatch):
        await old.new("2", name="a").save()


async def test_a_write_between_the_last_look_and_the_end_counts(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = version(url, OLD), version(url, NEW)
    await old.new("1", name="a").save()
    judge = taking_over.TakeOver._refuse_busy

    async def judging(taker: taking_over.TakeOver, *arguments: Any) -> None:
        await judge(taker, *arguments)
        if taker._watched:
            await old.new("late", name="x").save()

    with monkeypatch.context() as context:
        context.setattr(taking_over.TakeOver, "_refuse_busy", judging)
        with pytest.raises(StoreError, match="has written"):
            await reindex(new)
    await old.new("2", name="a").save()


async def test_what_was_noted_before_a_version_came_back_says_nothing(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = version(url, OLD), version(url, NEW)
    await old.new("1", name="a").save()
    await new.new("2", name="a").save()
    await old.new("3", name="a").save()
    stamp = next(name for name in raw.hkeys("ver/meta") if name.startswith(b"seen:"))
    raw.hset("ver/meta", stamp, "1000000")  # long ago
    await reindex(old, before=True)  # and back: it writes without leaving the time
    assert not raw.hexists("ver/meta", stamp)
    writing_meanwhile(monkeypatch, old)
    with pytest.raises(StoreError, match=r"has written \d+ seconds ago"):
        await reindex(new)


@pytest.mark.parametrize(
    "error",
    [Unavailable("a replica"), PermissionDenied("+set", "SET is denied"), AlreadyRunning("Ver", "x", 1)],
)
async def test_who_cannot_build_a_small_store_is_answered_as_without_auto_build(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    old, new = version(url, OLD), version(url, NEW, auto_build=100)
    await old.new("1", name="a").save()

    async def refused(lease: Lease, seconds: float) -> None:
        raise error

    monkeypatch.setattr(Lease, "_ask", refused)
    with pytest.raises(NotIndexed):
        await (new.name == "a")
    await new.new("2", name="a").save()
    gone = version(url, {"code": text(index=True)}, auto_build=100)
    raw.hset("ver/meta", mapping={"e:x:name": "ready", "ver": "other"})
    with pytest.raises(SchemaMismatch):
        await gone.new("3").save()


async def test_all_exact_indexes_are_emptied_in_one_scan(
    url: str, db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "abcdef"
    old = version(url, {name: text() for name in names})
    new = version(url, {name: text(index=True) for name in names})
    await old.save_many([old.new(str(i), **dict.fromkeys(names, str(i))) for i in range(50)])
    for name in names:  # what an older one left
        raw.sadd(f"ver/x/{name}/stale", "1")
        raw.sadd(f"ver/y/{name}/stale", "1")
    scans, ask = list[Any](), asking.read

    async def counting(store: Any, call: Any, *rest: Any) -> Any:
        if call.cursor is not None:
            scans.append(call)
        return await ask(store, call, *rest)

    monkeypatch.setattr(asking, "read", counting)
    await reindex(new, force=True)
    assert len(scans) == 1
    assert drift(raw, [new]) == []
    scans.clear()
    again = version(url, {name: text() for name in names})
    await reindex(again, force=True)
    assert len(scans) == 1
    assert drift(raw, [again]) == []


async def test_writes_of_which_nobody_knows_the_time_are_told_so(url: str, db: Database, raw: Any) -> None:
    """As of a user who may not TIME: that they were just now is not known."""
    old, new = version(url, OLD), version(url, NEW)
    await old.new("1", name="a").save()
    (permit,) = (name for name in raw.hkeys("ver/meta") if name.startswith(b"w:"))
    raw.hset("ver/meta", b"seen:" + permit[2:], "?")
    with pytest.raises(StoreError, match=r"has written, nobody knows when, .*reindex --force"):
        await reindex(new)
    await reindex(new, force=True)
    assert [one.id for one in await (new.name == "a")] == ["1"]
