"""Several records in one atomic call: uniques are judged on the final state, all or nothing is written."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from aioredisca import (
    AlreadyExists,
    BulkError,
    Database,
    DateTime,
    Email,
    Field,
    Gone,
    Integer,
    Json,
    Model,
    String,
    UniqueViolation,
    UsageError,
    ValidationError,
    session,
)
from aioredisca.compiler.changes import Change, Mode
from aioredisca.compiler.writes import Refusal, write_call, write_outcome
from aioredisca.fields.access import is_changed
from aioredisca.persistence import asking as storage

from ..support.drift import drift
from ..support.patience import limit, until
from ..support.proxy import Proxy
from ..support.servers import Server


class User(Model):
    email = Email(unique=True)
    name = String(index=True)


class Post(Model):
    slug = String(unique=True)
    rank = Integer(index=True)


@pytest.mark.on_cluster
async def test_two_uniques_swap_in_one_batch(db: Database, raw: Any) -> None:
    a = await User.new("a", email="x@x.xx").save()
    b = await User.new("b", email="y@y.yy").save()
    async with session(autosave=True):
        first, second = await User.get_many(["a", "b"])
        assert first is not None
        assert second is not None
        first.email, second.email = second.email, first.email
    assert [user.email for user in (await a.reload(), await b.reload())] == ["y@y.yy", "x@x.xx"]
    assert drift(raw, [User]) == []


async def test_a_value_freed_in_a_batch_can_be_taken_in_it(db: Database, raw: Any) -> None:
    await User.new("a", email="x@x.xx").save()
    await User.new("b", email="y@y.yy").save()
    async with session(autosave=True) as unit:
        unit.delete(User("a"))
        User.new("c", email="x@x.xx")
        (await User("b")).email = None
        User.new("d", email="y@y.yy")
    assert (await User.email.find("x@x.xx"))[0].id == "c"
    assert (await User.email.find("y@y.yy"))[0].id == "d"
    assert drift(raw, [User]) == []


async def test_two_claims_of_one_value_in_a_batch_refuse_it_whole(db: Database, raw: Any) -> None:
    users = [User.new("a", email="x@x.xx"), User.new("b", email="x@x.xx")]
    with pytest.raises(BulkError) as caught:
        await User.save_many(users)
    assert isinstance(caught.value.cause, UniqueViolation)
    assert {caught.value.cause.holder, caught.value.failed.id} == {"a", "b"}
    assert caught.value.saved == 0
    assert raw.keys("user:*") == []
    assert all(user.getdiff() for user in users)
    assert drift(raw, [User]) == []


@pytest.mark.one_slot
@pytest.mark.on_cluster
async def test_a_unit_over_two_classes_is_written_whole_or_not_at_all(db: Database, raw: Any) -> None:
    await Post.new("taken", slug="s").save()
    with pytest.raises(UniqueViolation) as caught:
        async with session(autosave=True):
            User.new("a", email="x@x.xx")
            Post.new("p", slug="s")
    assert (caught.value.field, caught.value.holder) == ("slug", "taken")
    assert caught.value.instance.id == "p"
    assert raw.keys("user:*") == []
    async with session(autosave=True):
        User.new("a", email="x@x.xx")
        Post.new("p", slug="t", rank=1)
    assert await (User.email == "x@x.xx")
    assert await (Post.rank == 1)
    assert drift(raw, [User, Post]) == []


async def test_a_claim_whose_record_was_deleted_behind_our_back_is_free(db: Database, raw: Any) -> None:
    await User.new("a", email="x@x.xx").save()
    raw.delete("user:a")
    await User.new("b", email="x@x.xx").save()
    assert [user.id for user in await User.email.find("x@x.xx")] == ["b"]
    assert raw.hgetall("user/u/email") == {b"x@x.xx": b"b"}


async def test_nobody_gives_up_the_claim_of_another(db: Database, raw: Any) -> None:
    """A program that writes beside us may give two records one value: the claim is that of one of them."""
    await User.save_many([User.new("a"), User.new("b", email="x@x.xx"), User.new("c")])
    for id in ("a", "c"):
        raw.hset(f"user:{id}", "email", "x@x.xx")
    user = await User.get("a")
    user.email = None
    await user.save()
    await User("c").delete()
    assert raw.hgetall("user/u/email") == {b"x@x.xx": b"b"}
    with pytest.raises(UniqueViolation):
        await User.new("d", email="x@x.xx").save()
    assert drift(raw, [User]) == []


async def test_save_many_writes_in_atomic_batches_and_resumes_after_a_refusal(db: Database, raw: Any) -> None:
    await User.new("old", email="57@x.xx").save()
    users = [User.new(f"{i:03}", email=f"{i}@x.xx") for i in range(100)]
    with pytest.raises(BulkError) as caught:
        await User.save_many(users, batch=10)
    assert caught.value.saved == 50
    assert caught.value.failed is users[57]
    assert caught.value.instance is users[57]
    assert [bool(user.getdiff()) for user in users] == [False] * 50 + [True] * 50
    users[57].email = "free@x.xx"
    assert await User.save_many(users, batch=10) == []
    assert await User.all().count() == 101
    assert drift(raw, [User]) == []


async def test_what_was_prepared_ahead_and_not_sent_is_as_if_never_begun(db: Database, raw: Any) -> None:
    """The batch behind a refused one was begun while that was on its way; it is changed, and saved, later."""
    await User.new("old", email="3@x.xx").save()
    users = [User.new(f"{i:03}", email=f"{i}@x.xx") for i in range(30)]
    with pytest.raises(BulkError):
        await User.save_many(users, batch=10)
    behind = users[10]
    assert (behind.getdiff(), behind.loaded(), repr(behind)) == ({"email": "10@x.xx"}, True, NEW_010)
    await User.new("010", email="eve@x.xx").save()
    with pytest.raises(AlreadyExists):  # nothing of it counts as sent: no record there can be its own
        await behind.save()
    assert await User("011").exists() is False


NEW_010 = "<User '010' new, 1 changed>"


class Unlucky(Integer):
    """A field that cannot be indexed at one value, which is noticed when the call is made."""

    def from_db(self, text: str) -> int:
        if text == "13":
            raise ZeroDivisionError
        return super().from_db(text)


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
async def test_a_call_that_cannot_be_made_leaves_every_change_pending(
    db: Database, raw: Any, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In its own turn or ahead of it, whatever the error: nothing may count as sent."""

    class Draw(Model):
        number = Unlucky(index="range")
        name = String()

    draws = [Draw.new(str(i), number=i, name="a") for i in range(11, 16)]
    with pytest.raises(ZeroDivisionError):
        await Draw.save_many(draws, batch=batch)
    pending = [draw for draw in draws if draw.__state__.layers.diff]
    assert len(pending) == (3 if batch < 3 else 5)
    assert not any(draw.__state__.layers.inflight for draw in draws)
    assert all(draw.__state__.layers.diff == {"number": draw.id.encode(), "name": b"a"} for draw in pending)
    for interrupted in (KeyboardInterrupt, MemoryError):
        with monkeypatch.context() as patched:
            patched.setattr("aioredisca.persistence.executor.write_call", _raising(interrupted))
            with pytest.raises(interrupted):
                await Draw.save_many(pending, batch=batch)
    draws[2].number = 16
    assert await Draw.save_many(draws, batch=batch) == []
    assert [raw.hgetall(f"draw:{i}")[b"name"] for i in range(11, 16)] == [b"a"] * 5
    assert raw.hget("draw:13", "number") == b"16"
    assert drift(raw, [Draw]) == []


def _raising(error: type[BaseException]) -> Any:
    def make(changes: Any) -> Any:
        raise error

    return make


class Words(Field[list[Any]]):
    """A field of a program's own, which raises what it likes."""

    mutable = True

    def to_db(self, value: Any) -> str:
        return ",".join(value)

    def from_db(self, text: str) -> list[str]:
        return text.split(",")


@pytest.mark.asyncio_only
async def test_a_value_spoilt_while_its_batch_is_on_its_way_does_not_touch_the_next(
    db: Database, raw: Any
) -> None:
    class Note(Model):
        words = Words()

    await Note.new("x", words=["a"]).save()
    async with session():
        notes = [Note.new(str(i), words=["a"]) for i in range(6)]
        words: Any = notes[0].words
        task = asyncio.create_task(Note.save_many(notes, batch=2))
        await asyncio.sleep(0)
        words.append(5)
        assert await task == []
        words.pop()
        assert [raw.exists(f"note:{i}") for i in range(6)] == [1] * 6
        assert not any(is_changed(note) or note.__state__.layers.inflight for note in notes)
        assert await Note.save_many(notes, batch=2) == []


async def test_what_is_wrong_in_a_later_batch_is_told_when_its_turn_comes(db: Database, raw: Any) -> None:
    class Note(Model):
        items = Json[list[int]]()

    notes = [await Note.new(str(i), items=[i]).save() for i in range(9)]
    for note in notes:
        assert note.items is not None
        note.items.append(1)
    spoilt: Any = notes[4].items
    spoilt.append(object())
    with pytest.raises(BulkError) as caught:
        await Note.save_many(notes, batch=3)
    assert (caught.value.saved, type(caught.value.cause)) == (3, ValidationError)
    assert caught.value.failed is notes[4]
    assert [note for note in notes if not is_changed(note)] == notes[:3]  # the batch before has learnt of it
    assert [raw.hget(f"note:{i}", "items") for i in (2, 3, 6)] == [b"[2,1]", b"[3]", b"[6]"]
    spoilt.pop()
    assert await Note.save_many(notes, batch=3) == []
    assert [raw.hget(f"note:{i}", "items") for i in (2, 4, 8)] == [b"[2,1]", b"[4,1]", b"[8,1]"]


@pytest.mark.asyncio_only
async def test_bulk_writes_of_the_same_records_in_any_order_do_not_wait_for_each_other_for_ever(
    db: Database, raw: Any
) -> None:
    users = [await User.new(f"{i:03}", name="a").save() for i in range(60)]
    for name in "bcdef":
        for user in users:
            user.name = name
        orders = [random.sample(users, len(users)) for _ in range(5)]
        async with asyncio.timeout(limit(10)), asyncio.TaskGroup() as group:
            for order in orders:
                group.create_task(User.save_many(order, batch=7))
        assert {raw.hget(f"user:{i:03}", "name") for i in range(60)} == {name.encode()}
    assert drift(raw, [User]) == []


@pytest.mark.asyncio_only
async def test_a_cancelled_bulk_write_leaves_what_was_not_sent_pending(
    proxied: Database, proxy: Proxy, server: Server
) -> None:
    await User.new("warm").save()
    users = [User.new(f"{i:03}", email=f"{i}@x.xx") for i in range(30)]
    proxy.delay = 1.5
    with proxy.count() as count:
        task = asyncio.create_task(User.save_many(users, batch=10))
        await until(lambda: count.trips)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    proxy.delay = 0
    assert all(user.getdiff() for user in users)
    assert await User.save_many(users, batch=10) == []  # the first ten meet their own records
    assert await User.all().count() == 31
    with server.client() as plain:
        assert drift(plain, [User]) == []


@pytest.mark.on_cluster
async def test_save_many_can_leave_out_what_conflicts(db: Database, raw: Any) -> None:
    await User.new("3", email="free@x.xx").save()
    await User.new("old", email="7@x.xx").save()
    users = [User.new(str(i), email=f"{i}@x.xx") for i in range(20)]
    refused = await User.save_many(users, batch=6, skip_conflicts=True)
    assert [(user.id, type(error)) for user, error in refused] == [
        ("3", AlreadyExists),
        ("7", UniqueViolation),
    ]
    assert await User.all().count() == 20
    assert drift(raw, [User]) == []


async def test_fields_of_any_name_are_written_alone_and_in_bulk(db: Database, raw: Any) -> None:
    class Odd(Model):
        share = Integer(field="100%d", index=True)
        text = String(field="%b ä *", index=True)

    for number in range(3):
        odd = await Odd.new(f"%{number}s", share=number, text="%d").save()
        odd["%un*known%%"] = "%"
        odd.text = f"%{number}"
        await odd.save()
    await Odd.save_many([Odd.new(f"{number}", share=number, text="%3") for number in range(3, 6)])
    assert raw.hgetall("odd:%1s") == {b"100%d": b"1", "%b ä *".encode(): b"%1", b"%un*known%%": b"%"}
    assert [odd.id for odd in await Odd.share.range(1, 4)] == ["%1s", "%2s", "3", "4"]
    assert [odd.text for odd in await Odd.text.find("%2")] == ["%2"]
    assert drift(raw, [Odd]) == []


@pytest.mark.slow
@pytest.mark.parametrize("names", [20, 600], ids=["few", "more than are kept"])
async def test_records_of_ever_other_hash_fields_are_written(db: Database, raw: Any, names: int) -> None:
    user = await User.new("1", email="a@b.cc").save()
    for number in range(names):
        user[f"f{number}"] = number
        await user.save()
    assert raw.hlen("user:1") == names + 1
    assert raw.hget("user:1", f"f{names - 1}") == str(names - 1).encode()


async def test_ids_of_others_that_are_no_text_are_written_and_deleted(db: Database, raw: Any) -> None:
    class Thing(Model):
        name = String(index=True)

    await Thing.new("1", name="a").save()
    for id in (b"\xff", b"\xfe", b"\xfd"):
        raw.hset(b"thing:" + id, "name", "a")
        raw.sadd("thing/x/name/a", id)
        raw.zadd("thing/ids", {id: 0})
    found = await Thing.all()
    assert [thing.name for thing in found] == ["a"] * 4
    for thing in found:
        thing.name = "b"
        await thing.save()
        await thing.reload()
        thing.name = "c"
    await Thing.save_many(found)
    assert raw.smembers("thing/x/name/c") == {b"1", b"\xff", b"\xfe", b"\xfd"}
    await found[-1].delete()
    assert await Thing.all().delete() == 3
    assert raw.keys("thing:*") == []


async def test_a_bulk_write_is_judged_as_a_whole_before_any_io(db: Database, raw: Any) -> None:
    class Other(Model):
        name = String()

    good = User.new("1", email="a@b.cc")
    with pytest.raises(UsageError, match="two instances"):
        await User.save_many([good, User.new("1")])
    with pytest.raises(UsageError, match="writes its own records"):
        await User.save_many([good, Other.new("2")])  # type: ignore[list-item]
    with pytest.raises(ValidationError, match="empty id"):
        await User.save_many([good, User("")])
    with pytest.raises(UsageError, match="batch"):
        await User.save_many([good], batch=0)
    assert raw.keys("*") == []
    assert await User.save_many([good, good]) == []  # the same instance twice is one record
    assert await User.save_many([]) == []


async def test_a_value_spoilt_in_place_is_named_by_a_bulk_write_or_left_out(db: Database, raw: Any) -> None:
    class Doc(Model):
        data: Json[Any] = Json()

    docs: list[Any] = [Doc.new(str(i), data=[]) for i in range(5)]
    docs[3].data.append({1})
    with pytest.raises(BulkError) as caught:
        await Doc.save_many(docs, batch=2)
    assert (caught.value.saved, caught.value.failed) == (2, docs[3])
    assert type(caught.value.cause) is ValidationError
    assert docs[2].getdiff() == {"data": "[]"}
    refused = await Doc.save_many(docs, batch=2, skip_conflicts=True)
    assert [doc for doc, _ in refused] == [docs[3]]
    assert await Doc.all().ids() == ["0", "1", "2", "4"]
    assert drift(raw, [Doc]) == []


async def test_one_id_is_no_list_of_ids(db: Database, raw: Any) -> None:
    """The known-bad way deletes the records of its letters."""
    await User.save_many([User.new(id) for id in "abc"])
    uses: tuple[Any, ...] = (User.delete_many, User.get_many, User.save_many)
    for use in uses:
        with pytest.raises(UsageError, match="takes a list of records or ids") as caught:
            await use("ab")
        assert "ab" not in str(caught.value)
    assert await User.all().ids() == ["a", "b", "c"]


async def test_delete_many_takes_records_and_ids_and_counts_what_was_there(db: Database, raw: Any) -> None:
    users = [User.new(str(i), email=f"{i}@x.xx") for i in range(250)]
    await User.save_many(users)
    assert await User.delete_many([*users[:100], *(str(i) for i in range(100, 260))], batch=60) == 250
    assert raw.keys("*") == [b"user/meta"]


async def test_a_batch_with_a_vanished_record_is_refused_and_says_which(db: Database) -> None:
    users = [await User.new(str(i), name="a").save() for i in range(3)]
    await User("1").delete()
    for user in users:
        user.name = "b"
    with pytest.raises(BulkError) as caught:
        await User.save_many(users)
    assert isinstance(caught.value.cause, Gone)
    assert caught.value.failed is users[1]
    assert [user.name for user in await User.all()] == ["a", "a"]


@pytest.mark.slow
async def test_a_flush_of_more_than_5000_records_is_refused_before_io(db: Database, raw: Any) -> None:
    async with session() as unit:
        users = [User.new(str(i)) for i in range(5001)]
        with pytest.raises(UsageError, match="5,001"):
            await unit.flush()
        assert raw.keys("*") == []
        unit.discard()
        del users
    async with session(autosave=True):
        for i in range(5000):
            User.new(str(i))
    assert await User.all().count() == 5000
    assert drift(raw, [User]) == []


# -- one record and many ---------------------------------------------------------------------------


class Some:
    """What both classes store."""

    email = String(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    when = DateTime(index=True)
    note = String()


class Alone(Some, Model):
    pass


class Among(Some, Model):
    pass


CHOICES: dict[str, list[bytes | None]] = {
    "email": [None, b"a", b"b", b"c"],
    "name": [None, b"Ada", b"x" * 600, b"y" * 600],
    "age": [None, b"1", b"2"],
    "when": [None, b"1577836800", b"1577836800.000005"],
    "note": [None, b"n"],
}


def contents(raw: Any, prefix: bytes) -> dict[bytes, Any]:
    """All keys of a model, without its prefix, and what they hold."""
    reads = {
        b"hash": raw.hgetall,
        b"set": raw.smembers,
        b"zset": lambda key: raw.zrange(key, 0, -1, False, True),
    }
    keys = [key for key in raw.keys(prefix + b"*") if key != prefix + b"/meta"]  # which names versions
    return {key.removeprefix(prefix): reads[raw.type(key)](key) for key in keys}


@pytest.mark.slow
async def test_a_record_alone_is_written_as_it_is_among_others(db: Database, raw: Any) -> None:
    """By other parts of the script: fast_single.lua, and the functions that write a batch."""
    dice = random.Random(1)
    schemas = {model: model.__mapper__.schema(db) for model in (Alone, Among)}
    for model in schemas:
        await model.new("other").save()
    for _ in range(120):
        mode: Mode = dice.choice(["create", "update", "upsert", "upsert", "delete"])
        values = {name: dice.choice(CHOICES[name]) for name in CHOICES if dice.random() < 0.5}
        sets = {} if mode == "delete" else {name: raw for name, raw in values.items() if raw is not None}
        drops = () if mode == "delete" else tuple(name for name, value in values.items() if value is None)
        id, note = str(dice.randrange(4)), {"note": str(dice.random()).encode()}
        outcomes = list[Any]()
        for model, schema in schemas.items():
            change, other = Change(schema, id, mode, sets, drops), Change(schema, "other", "upsert", note)
            together = [[change], [other]] if model is Alone else [[change, other]]
            replies = [write_outcome(await storage.read(db, write_call(changes))) for changes in together]
            outcomes.append(replies[0] if isinstance(replies[0], Refusal) else replies[0][0])
            if isinstance(replies[0], Refusal) and model is Among:
                await storage.read(db, write_call([other]))
        assert outcomes[0] == outcomes[1], (mode, sets, drops)
        assert contents(raw, b"alone") == contents(raw, b"among")
    assert drift(raw, [Alone, Among]) == []
