"""What debuggers and error trackers send away: the locals of every frame of the library that an error passed."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import aioredisca
from aioredisca import (
    UUID,
    AlreadyExists,
    BulkError,
    Bytes,
    CorruptRecord,
    Database,
    DateTime,
    Email,
    Gone,
    Integer,
    Json,
    ListOf,
    MD5Pass,
    Model,
    NotFound,
    NotIndexed,
    OutcomeUnknown,
    OutOfBounds,
    Password,
    Reference,
    SetOf,
    SortedSet,
    StaleWrite,
    StoreError,
    String,
    Tags,
    Unavailable,
    UniqueViolation,
    UsageError,
    ValidationError,
    conf,
    session,
    sync,
)
from aioredisca.compiler.conditions import exclusive, spelled
from aioredisca.types import Call

from .support.proxy import Proxy

SECRET = "hunter2"
NUMBER = 987654321
MOST = 10**9
HOME = str(Path(aioredisca.__file__).parent)


@conf(unique=[("name", "number")])
class Safe(Model):
    token = String(unique=True)
    name = String(index="sorted")
    pin = String(index=True)
    note = String()
    number = Integer(index=True, maxval=MOST)
    tags = Tags(index=True)


FULL: dict[str, Any] = {
    "token": SECRET, "name": SECRET, "pin": SECRET, "note": SECRET, "number": NUMBER, "tags": [SECRET]
}  # fmt: skip


def frames(error: BaseException) -> Iterator[FrameType]:
    """The frames of this library in all tracebacks that are shown for *error*."""
    while True:
        yield from (
            f for f, _ in traceback.walk_tb(error.__traceback__) if f.f_code.co_filename.startswith(HOME)
        )
        before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if before is None:
            return
        error = before


def leaks(error: BaseException) -> list[str]:
    """Where a planted value shows."""
    found = [name for name, shown in (("repr", repr(error)), ("args", repr(error.args)), ("str", str(error)))
             if SECRET in shown or str(NUMBER) in shown]  # fmt: skip
    for frame in frames(error):
        for name, value in frame.f_locals.items():
            if SECRET in (shown := repr(value)) or str(NUMBER) in shown:
                found.append(f"{frame.f_code.co_filename[len(HOME) :]} {frame.f_code.co_qualname}: {name}")
    return found


async def refused(kind: type[BaseException], operation: Any) -> BaseException:
    with pytest.raises(kind) as caught:
        await operation
    return caught.value


async def test_no_frame_of_a_refused_write_shows_a_value(db: Database, raw: Any) -> None:
    safe = await Safe.new("1", **FULL).save()
    other = {**FULL, "token": "x"}
    errors = [
        await refused(UniqueViolation, Safe.new("2", **FULL).save()),
        await refused(UniqueViolation, Safe.new("2", **other).save()),
        await refused(AlreadyExists, Safe.new("1", **other).save()),
        await refused(BulkError, Safe.save_many([Safe.new("2", **FULL), Safe.new("3", **FULL)])),
        await refused(OutOfBounds, safe.incr(Safe.number, 2 * MOST)),
    ]
    safe.note = SECRET + "2"
    raw.hset("safe:1", "note", SECRET + "3")
    errors.append(await refused(StaleWrite, safe.save(if_unchanged=True)))
    async with session() as unit:
        Safe.new("4", **FULL)
        errors.append(await refused(UniqueViolation, unit.flush()))
        unit.discard()
    await Safe("1").delete()
    errors.append(await refused(Gone, safe.save()))
    raw.set("safe:5", "no hash")
    errors.append(await refused(StoreError, Safe.new("5", **other).save()))
    assert not [found for error in errors for found in leaks(error)]


async def test_no_frame_of_a_refused_question_shows_a_value(db: Database) -> None:
    await Safe.new("1", **FULL).save()
    errors = [
        await refused(NotIndexed, Safe.where(Safe.note == SECRET, Safe.number >= NUMBER)),
        await refused(NotIndexed, (Safe.note == SECRET).count()),
        await refused(NotIndexed, Safe.where(Safe.note.in_([SECRET, "x"])).page()),
        await refused(NotFound, ((Safe.pin == SECRET) & Safe.name.startswith(SECRET + "4")).one()),
        await refused(NotFound, (Safe.tags.has(SECRET + "5") | Safe.name.between(SECRET + "5", "i")).one()),
    ]
    assert not [found for error in errors for found in leaks(error)]


async def test_no_frame_shows_a_value_where_there_is_no_server() -> None:
    async with session(Database("redis://127.0.0.1:1/0", connect_timeout=0.2)):
        errors = [
            await refused(Unavailable, Safe.new("1", **FULL).save()),
            await refused(Unavailable, (Safe.pin == SECRET).count()),
            await refused(Unavailable, (Safe.name >= SECRET).ids()),
        ]
    assert not [found for error in errors for found in leaks(error)]


@pytest.mark.parametrize("transport", ["auto", "public", "pool"])
async def test_no_frame_shows_a_value_that_may_not_have_arrived(proxy: Proxy, transport: Any) -> None:
    database = Database(proxy.url, transport=transport)
    async with session(database):
        await Safe.new("0").save()
        for id, lose in (("1", proxy.lose_next_reply), ("2", proxy.refuse_next_request)):
            lose()
            error = await refused(OutcomeUnknown, Safe.new(id, **FULL).save(mode="upsert"))
            assert not leaks(error)
        proxy.refuse_requests = 2
        assert not leaks(await refused(Unavailable, ((Safe.pin == SECRET) & (Safe.name >= SECRET)).ids()))
    database.close()


# -- one record, without a server ------------------------------------------------------------------


class Small(Model):
    """Refuses what is planted, in every kind of field."""

    name = String(maxlen=3)
    number = Integer(maxval=5)
    mail = Email()
    when = DateTime()
    uid = UUID()
    data = Json[Any](maxbytes=5)
    tags = Tags(maxlen=3)
    other = Reference("Small")
    blob = Bytes(maxbytes=3)
    password = Password(maxlen=3)
    md5 = MD5Pass(maxlen=3)
    log = ListOf(Integer())
    marks = SetOf(Integer())
    top = SortedSet(Integer())


REFUSED: dict[str, Any] = {
    **dict.fromkeys(("name", "mail", "when", "uid", "data", "password", "md5", "number"), SECRET),
    "tags": {SECRET}, "other": [SECRET], "blob": SECRET.encode(),
}  # fmt: skip
KINDS = [kind for kind in REFUSED if kind != "other"]


@pytest.mark.parametrize("colour", [Model, sync.Model])
@pytest.mark.parametrize("name", REFUSED)
def test_no_frame_of_a_refused_assignment_shows_the_value(name: str, colour: Any) -> None:
    model: Any = type("Small", (colour,), {"name": Small.name.field, name: getattr(Small, name).field})
    record = model("1")
    ways: list[Callable[[], object]] = [
        lambda: setattr(record, name, REFUSED[name]),
        lambda: model.new("1", **{name: REFUSED[name]}),
        lambda: record.__setitem__(name, SECRET if name not in ("name", "other") else [SECRET]),
        lambda: record.__setitem__("undeclared", [SECRET]),
        lambda: record.__setitem__("", SECRET),
        lambda: model.new("1", nobody=SECRET),
        lambda: model.new(SECRET * 100),
    ]
    if name == "md5":  # whose raw text is the digest itself
        del ways[2]
    for way in ways:
        with pytest.raises(ValidationError) as caught:
            way()
        assert not leaks(caught.value)
    with pytest.raises(AttributeError) as missing:
        record.nobody = SECRET
    assert not leaks(missing.value)


async def test_no_frame_of_a_value_that_changed_in_place_shows_it(db: Database) -> None:
    record = await Small.new("1", tags=["a"], data=[1]).save()
    record.tags.add(SECRET)  # type: ignore[union-attr]
    errors = [await refused(ValidationError, record.save())]
    with pytest.raises(ValidationError) as caught:
        record.getdiff()
    assert not [found for error in (*errors, caught.value) for found in leaks(error)]
    assert errors[0].instance is record  # type: ignore[attr-defined]


async def test_no_frame_of_what_cannot_be_read_shows_the_stored_bytes(db: Database, raw: Any) -> None:
    stored = b"\xff" + SECRET.encode()
    names = [name for name in KINDS if name != "blob"]
    raw.hset("small:1", mapping=dict.fromkeys(names, stored) | {"blob": SECRET})
    for name in names:
        record = await Small.get("1")
        assert record.blob == SECRET.encode()  # decoded, and held beside
        for look in (lambda r=record, n=name: getattr(r, n), record.export):
            with pytest.raises(CorruptRecord) as caught:
                look()
            assert not leaks(caught.value)
    await Small.new("2").save()
    raw.rpush("small/l/log/2", stored)
    raw.sadd("small/l/marks/2", stored)
    raw.zadd("small/l/top/2", {stored: 1})
    two = Small("2")
    for reads in (two.log.range(), two.log.get(0), two.marks.members(), two.top.top(1), two.log.pop()):
        assert not leaks(await refused(CorruptRecord, reads))


async def test_no_frame_of_a_password_shows_it(db: Database, raw: Any) -> None:
    raw.hset("small:1", "password", SECRET)
    errors = [
        await refused(ValidationError, Small.password.hash(SECRET)),
        await refused(CorruptRecord, Small.password.verify(await Small.get("1"), SECRET)),
        await refused(UsageError, Small.password.verify(Safe("1"), SECRET)),  # type: ignore[arg-type]
    ]
    assert not [found for error in errors for found in leaks(error)]


def test_the_lines_of_a_refused_assignment_are_still_told() -> None:
    with pytest.raises(ValidationError) as caught:
        Small.new("1", number=SECRET)
    told = [frame.f_code.co_name for frame in frames(caught.value)]
    assert told[0] == "new"
    assert "accept" in told


def test_control_a_planted_value_is_found() -> None:
    def raising(value: str) -> None:
        raise ValueError

    with pytest.raises(ValueError, match=r"^$") as caught:
        raising(SECRET)
    frame = next(f for f, _ in traceback.walk_tb(caught.value.__traceback__) if f.f_code.co_name == "raising")
    assert SECRET in repr(frame.f_locals)
    with pytest.raises(ValidationError) as told:
        Safe.__mapper__.fields["number"].__codec__.accept(SECRET, Safe.__mapper__)
    assert any(frame.f_locals.get("value") == SECRET for frame in frames(told.value))


@pytest.mark.parametrize(
    "error", [ValidationError("Safe", "pin", "is no", SECRET), OutOfBounds("Safe", "1", "number", SECRET)]
)
def test_an_error_has_its_value_and_does_not_show_it(error: Any) -> None:
    for one in (error, pickle.loads(pickle.dumps(error))):
        assert one.value == SECRET
        assert SECRET not in f"{one!r} {one.args} {one}"


def test_no_part_of_a_question_or_a_call_shows_a_value() -> None:
    asked = [
        *(Safe.pin == SECRET, Safe.pin.in_([SECRET, "x"]), Safe.name >= SECRET, Safe.name.startswith(SECRET)),
        *(Safe.tags.has(SECRET), Safe.number >= NUMBER, ~(Safe.number < NUMBER)),
    ]
    for query in asked:
        condition = query._spec.condition
        assert SECRET not in repr((query, query._spec, condition))
        assert str(NUMBER) not in repr((query, query._spec, condition))
        assert SECRET in spelled(condition) or str(NUMBER) in spelled(condition)  # what cursors are bound to
    assert SECRET not in repr((exclusive(SECRET), Call((SECRET,), keys=(SECRET,), packed=SECRET.encode())))


def test_what_cursors_are_bound_to_is_as_it_was() -> None:
    """So that the cursors of clients stay good."""
    condition = ((Safe.pin == "a") | (Safe.name >= "b")) & ~Safe.number.between(1, 2)
    assert spelled((condition._spec.condition,)) == (
        "(And(parts=(Or(parts=(Equals(key='pin', value=b'a'), TextBetween(key='name', low=Edge(value=b'b', "
        "inclusive=True), high=None))), Not(part=Between(key='number', low=Bound(score='1', inclusive=True), "
        "high=Bound(score='2', inclusive=True))))),)"
    )
