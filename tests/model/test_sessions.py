"""Sessions: one object per record, loaded once; nothing leaks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aioredisca import (
    Database,
    Email,
    Integer,
    Json,
    Reference,
    SessionClosed,
    String,
    UsageError,
    conf,
    session,
    sync,
)
from aioredisca.model.sessions import Session, current_session

from ..support.proxy import Proxy
from .session_models import Admin, User

# -- identity ------------------------------------------------------------------------------------


async def test_within_a_session_a_record_is_one_object(db: Database) -> None:
    await User.new("1", name="Ada", email="a@b.cc", age=1, friend="1").save()
    assert User("1") is not User("1")
    async with session():
        user = User("1")
        assert User("1") is user
        assert User(1) is not Admin("1")  # type: ignore[arg-type]
        assert await User.get("1") is user
        assert (await User.get_many(["1", "1"])) == [user, user]
        assert (await User.email.find("a@b.cc"))[0] is user
        assert (await (User.age >= 0))[0] is user
        assert await User.name.choice("Ada") == [user]
        assert user.friend is user
        assert [row async for row in User.all()] == [user]
    assert User("1") is not user


async def test_the_first_load_wins_and_reload_refreshes(db: Database, raw: Any) -> None:
    await User.new("1", name="Ada", age=1).save()
    async with session() as unit:
        user = await User("1")
        user.age = 5
        raw.hset("user:1", "name", "Bob")
        await User.age.find(1)
        assert (user.name, user.age) == ("Ada", 5)
        await user.reload()
        assert (user.name, user.age) == ("Bob", 5)
        unit.discard()
        assert user.age == 1


async def test_nobody_is_kept_alive_but_what_was_changed(db: Database) -> None:
    await User.save_many([User.new(str(i), data={"a": 1}) for i in range(4)])
    async with session() as unit:
        clean, changed, touched = await User("1"), await User("2"), await User("3")
        changed.age = 1
        assert touched.data is not None
        touched.data["b"] = 2  # in place: seen only if the object lives
        references = [weakref.ref(record) for record in (clean, changed, touched)]
        del clean, changed, touched
        gc.collect()
        assert [reference() is not None for reference in references] == [False, True, True]
        await unit.flush()
    assert (await User.get("2")).age == 1
    assert (await User.get("3")).data == {"a": 1, "b": 2}


async def test_one_record_has_one_class_and_one_colour_within_a_session(db: Database) -> None:
    @conf(prefix="user")
    class BlockingUser(sync.Model):
        email = Email(unique=True)
        name = String(index=True)
        age = Integer(index=True)
        data = Json[dict[str, int]]()
        friend = Reference("BlockingUser")

    async with session():
        kept = User("1")
        with pytest.raises(UsageError, match="one record has one class and one colour within a session"):
            BlockingUser("1")
        del kept


async def test_free_makes_room_for_a_new_instance(db: Database) -> None:
    with pytest.raises(UsageError, match=r"free\(\) outside a session"):
        User("1").free()
    User.free_all()
    async with session():
        first, second = User("1"), Admin("2")
        first.free()
        assert User("1") is not first
        User.free_all()
        assert Admin("2") is not second


@pytest.mark.asyncio_only
async def test_a_hundred_first_loads_are_one_command_and_one_object(proxied: Database, proxy: Proxy) -> None:
    await User.new("1", name="Ada").save()
    async with session():
        with proxy.count() as count:
            users = await asyncio.gather(*(User.get("1") for _ in range(100)))
    assert count.commands == ["HMGET"]
    assert len({id(user) for user in users}) == 1
    with proxy.count() as control:  # without a session everybody loads an object of his own
        users = await asyncio.gather(*(User.get("1") for _ in range(100)))
    assert control.commands == ["HMGET"] * 100
    assert len({id(user) for user in users}) == 100


@pytest.mark.asyncio_only
async def test_a_cancelled_first_load_does_not_cancel_the_others(proxied: Database, proxy: Proxy) -> None:
    await User.new("1", name="Ada").save()
    async with session():
        leader = asyncio.create_task(User.get("1"))
        await asyncio.sleep(0)
        followers = [asyncio.create_task(User.get("1")) for _ in range(5)]
        await asyncio.sleep(0)
        leader.cancel()
        assert [user.name for user in await asyncio.gather(*followers)] == ["Ada"] * 5


# -- who sees it ---------------------------------------------------------------------------------


@pytest.mark.asyncio_only
async def test_tasks_and_threads_that_inherit_the_context_share_the_session(db: Database) -> None:
    async with session() as unit:
        user = User("1")

        async def child() -> bool:
            return User("1") is user and current_session() is unit

        assert all(await asyncio.gather(child(), child()))
        assert await asyncio.create_task(child())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(child())
        assert task.result()
        assert await asyncio.to_thread(lambda: User("1") is user)
        seen = list[Any]()
        thread = threading.Thread(target=lambda: seen.append(current_session()))
        thread.start()
        thread.join()
        assert seen == [None]
        empty = contextvars.Context()
        assert await asyncio.create_task(child(), context=empty) is False


async def test_a_session_inside_another_is_independent_unless_it_joins(db: Database) -> None:
    async with session() as outer:
        user = User("1")
        async with session() as inner:
            assert inner is not outer
            assert User("1") is not user
        assert current_session() is outer
        async with session(join=True) as joined:
            assert joined is outer
            assert User("1") is user
        assert not outer.closed
        with sync.session() as blocking:
            assert isinstance(blocking, sync.Session)
            with pytest.raises(UsageError, match="is a blocking one: an asyncio session cannot join it"):
                session(join=True)
    async with session(join=True) as alone:
        assert isinstance(alone, Session)
    assert alone.closed
    with pytest.raises(UsageError, match="a session is entered once"):
        async with alone:
            pass


async def test_a_session_left_by_an_abandoned_generator_is_closed_all_the_same(db: Database) -> None:
    async def stream() -> AsyncIterator[int]:
        async with session():
            yield 1

    items = stream()
    assert await anext(items) == 1
    await items.aclose()  # type: ignore[attr-defined]
    assert current_session() is None


# -- after the session ---------------------------------------------------------------------------


async def test_records_of_a_closed_session_can_be_read_and_not_written(db: Database) -> None:
    await User.new("1", name="Ada").save()
    async with session() as unit:
        user = await User("1")
        handle = User("2")
    assert unit.closed
    assert repr(unit) == "<Session closed>"
    assert user.name == "Ada"
    for use in (lambda: setattr(user, "name", "x"), lambda: user.pop("name")):
        with pytest.raises(
            SessionClosed, match=r"belongs to a session that is closed: change it inside"
        ) as caught:
            use()
        assert (caught.value.model, caught.value.id) == ("User", "1")
    with pytest.raises(SessionClosed):
        await user.save()
    with pytest.raises(SessionClosed):
        await user.delete()
    with pytest.raises(SessionClosed):
        await User.save_many([handle])


@pytest.mark.asyncio_only
async def test_tasks_that_outlive_a_session_keep_none_of_its_records(db: Database) -> None:
    await User.save_many([User.new(str(i), name="x" * 100) for i in range(100)])
    stop = asyncio.Event()
    tasks = list[asyncio.Task[Any]]()
    references = list[weakref.ref[Any]]()
    for i in range(100):
        async with session() as unit:
            user = await User(str(i))
            user.age = 1  # held by the session
            tasks.append(asyncio.create_task(stop.wait()))
            references.append(weakref.ref(user))
            del user
            assert unit.dirty
    gc.collect()
    assert [reference() for reference in references] == [None] * 100
    assert current_session() is None
    stop.set()
    await asyncio.gather(*tasks)
    await db.aclose()


_kept: contextvars.ContextVar[Any] = contextvars.ContextVar("kept")


@pytest.mark.asyncio_only
async def test_control_a_session_that_is_not_cleared_lives_as_long_as_the_task() -> None:
    stop = asyncio.Event()
    token = _kept.set(User("1"))
    reference = weakref.ref(_kept.get())
    task = asyncio.create_task(stop.wait())
    _kept.reset(token)
    del token
    gc.collect()
    assert reference() is not None
    stop.set()
    await task
