"""Sessions: one object per record, loaded once; all changes saved together or not at all; nothing leaks."""

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
    Model,
    Reference,
    SessionClosed,
    StaleWrite,
    String,
    UniqueViolation,
    UsageError,
    ValidationError,
    conf,
    session,
    sync,
)
from aioredisca.model.sessions import Session, current

from ..support.drift import drift
from ..support.proxy import Proxy


class User(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    data = Json[dict[str, int]]()
    friend = Reference("User")


class Admin(User):
    pass


# -- identity --------------------------------------------------------------------------------------


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


# -- who sees it -----------------------------------------------------------------------------------


@pytest.mark.asyncio_only
async def test_tasks_and_threads_that_inherit_the_context_share_the_session(db: Database) -> None:
    async with session() as unit:
        user = User("1")

        async def child() -> bool:
            return User("1") is user and current() is unit

        assert all(await asyncio.gather(child(), child()))
        assert await asyncio.create_task(child())
        async with asyncio.TaskGroup() as group:
            task = group.create_task(child())
        assert task.result()
        assert await asyncio.to_thread(lambda: User("1") is user)
        seen = list[Any]()
        thread = threading.Thread(target=lambda: seen.append(current()))
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
        assert current() is outer
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
    assert current() is None


# -- unit of work ----------------------------------------------------------------------------------


async def test_all_changes_are_saved_at_the_end_or_none(db: Database, raw: Any) -> None:
    await User.new("1", name="Ada", age=1).save()
    async with session(autosave=True) as unit:
        (await User("1")).age = 2
        User.new("2", name="Bob")
        assert len(unit.dirty) == 2
        assert raw.hget("user:1", "age") == b"1"
    assert raw.hget("user:1", "age") == b"2"
    assert raw.exists("user:2")
    with pytest.raises(ZeroDivisionError):
        async with session(autosave=True):
            (await User("1")).age = 3
            User.new("3")
            raise ZeroDivisionError
    async with session():
        (await User("1")).age = 4
        User.new("4")
    assert raw.hget("user:1", "age") == b"2"
    assert not raw.exists("user:3", "user:4")
    assert drift(raw, [User]) == []


async def test_a_refused_flush_writes_nothing_keeps_everything_and_names_the_record(
    db: Database, raw: Any
) -> None:
    await User.new("1", email="a@b.cc").save()
    async with session() as unit:
        fine, clash = User.new("2", name="x"), User.new("3", email="a@b.cc")
        with pytest.raises(UniqueViolation) as caught:
            await unit.flush()
        assert caught.value.instance is clash
        assert raw.keys("user:*") == [b"user:1"]
        assert (fine.getdiff(), clash.getdiff()) == ({"name": "x"}, {"email": "a@b.cc"})
        clash.email = "free@b.cc"
        await unit.flush()
        assert unit.dirty == ()
    assert sorted(raw.keys("user:*")) == [b"user:1", b"user:2", b"user:3"]
    assert drift(raw, [User]) == []


async def test_a_value_spoilt_in_place_stops_the_flush_before_io_and_is_named(db: Database, raw: Any) -> None:
    await User.save_many([User.new("1", data={"a": 1}), User.new("2", age=2)])
    async with session() as unit:
        spoilt, sound = await User.get("1"), await User.get("2")
        assert spoilt.data is not None
        spoilt.data["a"] = {1}  # type: ignore[assignment]
        sound.age = 3
        new = User.new("3", name="Ada")
        unit.delete(User("4"))
        assert spoilt in unit.dirty
        before = db.round_trips
        with pytest.raises(ValidationError, match=r"User\.data: cannot be written as JSON") as caught:
            await unit.flush()
        assert caught.value.instance is spoilt
        assert db.round_trips == before
        assert (sound.getdiff(), new.getdiff(), len(unit.dirty)) == ({"age": 3}, {"name": "Ada"}, 4)
        spoilt.data = {"a": 2}
        await unit.flush()
        assert unit.dirty == ()
    assert await User.all().ids() == ["1", "2", "3"]
    assert drift(raw, [User]) == []


async def test_deletes_join_the_flush(db: Database, raw: Any) -> None:
    await User.save_many([User.new(str(i), email=f"{i}@x.yz") for i in range(3)])
    async with session(autosave=True) as unit:
        unit.delete(User("0"))
        User.new("9", email="0@x.yz")
        assert raw.exists("user:0")
    assert not raw.exists("user:0")
    assert (await User.email.find("0@x.yz"))[0].id == "9"
    async with session() as unit:
        unit.delete(User("1"))
        unit.discard()
        await unit.flush()
        stranger = Session(db)
        with pytest.raises(UsageError, match="does not belong to this session"):
            stranger.delete(User("1"))
    assert raw.exists("user:1")
    assert drift(raw, [User]) == []


async def test_a_session_deletes_its_own_records_only(db: Database) -> None:
    outside = await User.new("1", name="Ada").save()
    async with session() as unit:
        for wrong in (outside, "1"):
            with pytest.raises(UsageError, match="does not belong to this session"):
                unit.delete(wrong)  # type: ignore[arg-type]
        assert unit.dirty == ()


async def test_an_explicit_save_is_at_once_and_stays(db: Database, raw: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        async with session(autosave=True):
            await User.new("1", name="Ada").save()
            User.new("2")
            raise ZeroDivisionError
    assert raw.exists("user:1")
    assert not raw.exists("user:2")


async def test_save_all_saves_a_class_and_its_subclasses(db: Database, raw: Any) -> None:
    class Other(Model):
        name = String()

    with pytest.raises(UsageError, match=r"save_all\(\) outside a session"):
        await User.save_all()
    async with session() as unit:
        kept = [User.new("1"), Admin.new("2"), Other.new("3")]
        await User.save_all()
        assert [record.getdiff() or bool(unit.dirty) for record in kept]
        assert sorted(raw.keys("*:*")) == [b"admin:2", b"user:1"]
        assert unit.dirty == (kept[2],)


async def test_a_session_may_choose_the_database_of_those_who_name_none(db: Database, raw: Any) -> None:
    other = Database("memory://")

    @conf(db=db)
    class Fixed(Model):
        name = String()

    async with session(other, autosave=True) as unit:
        assert unit.db is other
        user = User.new("1", name="Ada")
        Fixed.new("1", name="x")
        assert user.getdb() is other
    assert sorted(raw.keys("*:1")) == [b"fixed:1"]
    async with session(other):
        assert await User("1").exists()
    assert not await User("1").exists()
    other.close()


async def test_over_two_databases_the_error_says_what_was_written(db: Database, raw: Any) -> None:
    other = Database("memory://")

    @conf(db=other)
    class Away(Model):
        email = Email(unique=True)

    await Away.new("1", email="a@b.cc").save()
    async with session() as unit:
        kept = [User.new("1"), Away.new("2", email="a@b.cc")]
        with pytest.raises(UniqueViolation) as caught:
            await unit.flush()
        assert raw.exists("user:1")
        assert unit.dirty == (kept[1],)
    assert caught.value.__notes__ == [f"already written in this flush: {db!r}"]
    other.close()


# -- after the session -----------------------------------------------------------------------------


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
    assert current() is None
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


# -- two tasks, one instance -----------------------------------------------------------------------


class Naive:
    """The known-bad way: changes are cleared after the write, so what came meanwhile is lost."""

    def __init__(self) -> None:
        self.stored, self.diff = dict[str, int](), dict[str, int]()

    async def put(self, name: str, value: int) -> None:
        self.diff[name] = value
        sent = dict(self.diff)
        await asyncio.sleep(0)
        self.stored.update(sent)
        await asyncio.sleep(0)
        self.diff.clear()


WRITES = 2000


@pytest.mark.asyncio_only
async def test_two_tasks_writing_two_fields_of_one_instance_lose_nothing(db: Database, raw: Any) -> None:
    user = await User.new("1", age=0, name="0").save()
    lost = 0

    async def ages() -> None:
        nonlocal lost
        for value in range(1, WRITES + 1):
            user.age = value
            await user.save()
            lost += raw_age() != value

    async def names() -> None:
        nonlocal lost
        for value in range(1, WRITES + 1):
            user.name = str(value)
            await user.save()
            lost += raw_name() != str(value)

    def raw_age() -> int:
        return int(raw.hget("user:1", "age"))

    def raw_name() -> str:
        return str(raw.hget("user:1", "name").decode())

    await asyncio.gather(ages(), names())
    assert lost == 0
    assert drift(raw, [User]) == []


@pytest.mark.asyncio_only
async def test_control_the_naive_way_loses_it() -> None:
    naive = Naive()
    task = asyncio.create_task(naive.put("a", 1))
    await asyncio.sleep(0)
    naive.diff["b"] = 2  # changed while the write is on its way
    await task
    assert naive.stored == {"a": 1}
    assert naive.diff == {}


@pytest.mark.asyncio_only
async def test_a_change_made_while_a_save_is_on_its_way_is_kept(proxied: Database, proxy: Proxy) -> None:
    """The same as that control, and it is not lost."""
    user = await User.new("1", age=0).save()
    user.age = 1
    proxy.delay = 0.05
    task = asyncio.create_task(user.save())
    await asyncio.sleep(0.01)
    user.age, user.name = 2, "late"
    await task
    assert user.getdiff() == {"age": 2, "name": "late"}
    await user.save()
    again = await User.get("1")
    assert (again.age, again.name) == (2, "late")


@pytest.mark.asyncio_only
async def test_two_sessions_with_stale_copies_are_told(db: Database) -> None:
    await User.new("1", age=0).save()

    async def add() -> None:
        while True:
            async with session():
                user = await User.get("1")
                user.age = (user.age or 0) + 1
                try:
                    await user.save(if_unchanged=True)
                except StaleWrite:
                    continue
                return

    await asyncio.gather(*(add() for _ in range(20)))
    assert (await User.get("1")).age == 20
