"""Sessions and their end: all changes saved together or not at all, and none lost among tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioredisca import (
    Database,
    Email,
    Model,
    SessionClosed,
    StaleWrite,
    String,
    UniqueViolation,
    UsageError,
    ValidationError,
    conf,
    session,
)
from aioredisca.model.sessions import Session

from ..support.drift import drift
from ..support.patience import until
from ..support.proxy import Proxy
from .session_models import Admin, User

# -- unit of work --------------------------------------------------------------------------------


@pytest.mark.on_cluster
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


@pytest.mark.on_cluster
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


async def test_what_is_to_be_deleted_takes_no_changes_until_the_flush(db: Database, raw: Any) -> None:
    """They would go with it: a new record of the same id, and every other way to change one."""
    await User.new("1", name="Ada", age=1, data={"a": 1}).save()
    async with session() as unit:
        user = await User.get("1")
        user.age = 2
        unit.delete(user)
        unit.delete(user)

        def change(name: str, value: Any) -> None:
            setattr(user, name, value)

        before = db.round_trips
        refused = pytest.raises(
            UsageError, match=r"User\('1'\) is to be deleted .*flush\(\) first.*discard\(\)"
        )
        for wrong in (
            lambda: User.new("1", name="new"),
            lambda: change("name", "x"),
            lambda: change("name", None),
            lambda: user.__setitem__("free", "x"),
            user.fill_new,
        ):
            with refused:
                wrong()
        for verb in (user.save, lambda: User.save_many([user]), lambda: user.incr(User.age)):
            with refused:
                await verb()
        assert (db.round_trips, user.data, user.age, unit.dirty) == (before, {"a": 1}, 2, (user,))
        await unit.flush()
        assert not raw.exists("user:1")
        assert User.new("1", name="new") is user
        await unit.flush()
        assert raw.hgetall("user:1") == {b"name": b"new"}
        unit.delete(user)
        unit.discard()
        user.age = 3
        await unit.flush()
    assert raw.hgetall("user:1") == {b"name": b"new", b"age": b"3"}
    assert drift(raw, [User]) == []


@pytest.mark.parametrize("way", ["one", "many"])
async def test_what_was_deleted_at_once_is_not_deleted_by_the_flush(db: Database, raw: Any, way: str) -> None:
    await User.new("1", name="Ada").save()
    async with session(autosave=True) as unit:
        user = await User.get("1")
        unit.delete(user)
        assert await (user.delete() if way == "one" else User.delete_many([user]))
        assert unit.dirty == ()
        User.new("1", name="new")
    assert raw.hgetall("user:1") == {b"name": b"new"}
    assert drift(raw, [User]) == []


@pytest.mark.asyncio_only
async def test_of_two_flushes_at_once_the_second_has_nothing_to_do(db: Database, raw: Any) -> None:
    await User.new("1", name="Ada").save()
    async with session() as unit:
        unit.delete(await User.get("1"))
        User.new("2", name="Bob")
        await asyncio.gather(unit.flush(), unit.flush())
        assert unit.dirty == ()
    assert await User.all().ids() == ["2"]
    assert drift(raw, [User]) == []


async def test_new_does_not_drop_what_waits_under_its_id(db: Database, raw: Any) -> None:
    async with session(autosave=True) as unit:
        first = User.new("1", name="Ada")
        User("2").name = "Bob"
        for id in ("1", "2"):
            with pytest.raises(UsageError, match="changes in this session that are not saved"):
                User.new(id, age=3)
        first.revert()
        assert User.new("1", age=4) is first  # there is nothing to lose
        assert len(unit.dirty) == 2
    assert raw.hgetall("user:1") == {b"age": b"4"}
    assert raw.hgetall("user:2") == {b"name": b"Bob"}
    assert drift(raw, [User]) == []


async def test_a_refused_delete_is_still_to_come(db: Database, raw: Any) -> None:
    await User.save_many([User.new("1", name="Ada"), User.new("2", email="a@b.cc")])
    async with session() as unit:
        user = await User.get("1")
        unit.delete(user)
        clash = User.new("3", email="a@b.cc")
        with pytest.raises(UniqueViolation):
            await unit.flush()
        with pytest.raises(UsageError, match="is to be deleted"):
            user.name = "x"
        clash.email = None
        await unit.flush()
    assert await User.all().ids() == ["2", "3"]


async def test_a_session_deletes_its_own_records_only(db: Database) -> None:
    outside = await User.new("1", name="Ada").save()
    async with session() as unit:
        for wrong, reason in (
            (outside, "belong to this session: load or name it anew"),
            ("1", "takes a record"),
            (User, "and not User"),
        ):
            with pytest.raises(UsageError, match=reason):
                unit.delete(wrong)  # type: ignore[arg-type]
        assert unit.dirty == ()
        inside = User("1")
    with pytest.raises(SessionClosed):
        unit.require(inside)  # no flush would ask for it
    with pytest.raises(UsageError, match="it is closed: open a new one"):
        unit.require(User("1"))


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


# -- two tasks, one instance ---------------------------------------------------------------------


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


@pytest.mark.slow
@pytest.mark.asyncio_only
async def test_two_tasks_writing_two_fields_of_one_instance_lose_nothing(
    db: Database, raw: Any, backend: str
) -> None:
    writes = 200 if backend == "memory" else 2000
    user = await User.new("1", age=0, name="0").save()
    lost = 0

    async def ages() -> None:
        nonlocal lost
        for value in range(1, writes + 1):
            user.age = value
            await user.save()
            lost += raw_age() != value

    async def names() -> None:
        nonlocal lost
        for value in range(1, writes + 1):
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
    proxy.delay = 0.5
    with proxy.count() as count:
        task = asyncio.create_task(user.save())
        await until(lambda: count.trips)
    proxy.delay = 0
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
