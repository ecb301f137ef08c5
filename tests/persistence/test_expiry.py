"""Records that end: from their moment on they are in no answer, hold no unique value, and leave nothing."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import (
    AlreadyExists,
    Counter,
    Database,
    Email,
    Gone,
    Integer,
    ListOf,
    Model,
    NotFound,
    Reference,
    Restricted,
    SchemaMismatch,
    String,
    Tags,
    UniqueViolation,
    UsageError,
    conf,
    session,
    sweep,
)

from ..support.drift import drift

HOUR = dt.timedelta(hours=1)


@conf(ttl=HOUR, unique=[("owner", "slug")], index=[("owner", "age")])
class Pass(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    code = String(index="sorted")
    tags = Tags(index=True)
    owner = String()
    slug = String()
    note = String()
    log = ListOf(String())
    seen = Counter()


@conf(ttl=None)
class Seat(Model):
    """With the fast paths of a simple class; each lives for ever unless it is told otherwise."""

    place = String(unique=True)
    row = Integer(index=True)
    note = String()


@conf(prefix="slide", ttl=HOUR, sliding="save")
class Slide(Model):
    row = Integer(index=True)
    note = String()


@conf(prefix="loads", ttl=HOUR, sliding="load")
class Loads(Model):
    row = Integer(index=True)
    note = String()


class Plain(Model):
    name = String(index=True)


def full(id: str, **more: Any) -> Pass:
    values = {
        "email": f"{id.lower()}@x.yz",
        "name": "n",
        "age": 3,
        "code": "abc",
        "tags": {"red", "a/b"},
        "owner": "o",
        "slug": id,
        "note": "x",
    }
    return Pass.new(id, **{**values, **more})


async def end(raw: Any, *records: Any) -> None:
    """Let *records* end, and wait until the server's clock says that they have."""
    for record in records:
        await record.expire(dt.timedelta(milliseconds=1))
    wait(raw, 3)


def wait(raw: Any, milliseconds: int) -> None:
    seconds, micros = raw.time()
    until = seconds * 1000 + micros / 1000 + milliseconds
    while seconds * 1000 + micros / 1000 <= until:
        time.sleep(0.001)
        seconds, micros = raw.time()


def near(found: dt.timedelta | None, wanted: dt.timedelta) -> bool:
    """Whether *found* is *wanted*, less the time that a slow machine takes for a test."""
    return found is not None and wanted - dt.timedelta(minutes=5) < found <= wanted


# -- exact from that moment ------------------------------------------------------------------------


QUERIES: dict[str, Callable[[], Any]] = {
    "all": lambda: Pass.all(),
    "exact": lambda: Pass.name == "n",
    "not exact": lambda: Pass.name != "other",
    "in": lambda: Pass.name.in_(["n", "m"]),
    "not in": lambda: Pass.name.not_in(["m"]),
    "range": lambda: Pass.age >= 3,
    "sorted": lambda: Pass.code.startswith("ab"),
    "tags": lambda: Pass.tags.has("red"),
    "none": lambda: Pass.owner == "o",
    "unique": lambda: Pass.email == "a@x.yz",
    "pair": lambda: (Pass.owner == "o") & (Pass.age >= 1),
    "together": lambda: (Pass.owner == "o") & (Pass.slug == "a"),
    "or": lambda: (Pass.name == "n") | (Pass.age == 3),
    "and": lambda: (Pass.name == "n") & (Pass.age == 3) & Pass.tags.has("a/b"),
    "order": lambda: Pass.all().order_by(Pass.age.desc()).limit(10),
    "order of text": lambda: (Pass.name == "n").order_by(Pass.code).limit(10),
    "scan": lambda: (Pass.note == "x").scan(),
}


@pytest.mark.parametrize("kind", QUERIES)
async def test_no_query_finds_or_counts_what_is_over(db: Database, raw: Any, kind: str) -> None:
    await full("a").save()
    await full("b", owner="o", slug="b", email="b@x.yz").save()
    query = QUERIES[kind] if kind != "none" else lambda: Pass.all()
    before = sorted(await query().ids())
    assert "a" in before
    assert await query().count() == len(before)
    await end(raw, Pass("a"))
    rest = [id for id in before if id != "a"]
    assert sorted(await query().ids()) == rest
    assert sorted(one.id for one in await query()) == rest
    assert await query().count() == len(rest)
    assert await query().exists() is bool(rest)
    if not kind.startswith("order"):
        assert [one.id for one in await query().random(5)] == rest
    assert (await query().aggregate()).count == len(rest)
    if kind != "scan" and not kind.startswith("order"):
        assert [one.id for one in (await query().page(5)).items] == rest
    await end(raw, Pass("b"))
    assert (await query().count(), await query().ids()) == (0, [])


async def test_a_record_that_is_over_is_none(db: Database, raw: Any) -> None:
    record, other = await full("a").save(), await Pass.get("a")
    await record.log.append("x")
    await record.seen.incr()
    await end(raw, Pass("a"))
    other.note = "late"
    with pytest.raises(Gone):
        await other.save()
    await other.reload()
    assert await other.exists() is False
    with pytest.raises(NotFound):
        await Pass.get("a")
    assert await Pass.get_many(["a"]) == [None]
    assert await Pass("a").exists() is False
    assert await Pass("a").delete() is False
    for verb in (
        record.log.append("y"),
        record.incr(Pass.age),
        record.expire(5),
        record.persist(),
        record.touch(),
    ):
        with pytest.raises(Gone):
            await verb
    for question in (record.ttl(), record.expires_at()):
        with pytest.raises(NotFound):
            await question


@pytest.mark.on_cluster
async def test_its_unique_values_are_free(db: Database, raw: Any) -> None:
    first = await full("a").save()
    with pytest.raises(UniqueViolation):
        await full("b", email="a@x.yz").save()
    await end(raw, first)
    await full("b", email="a@x.yz", slug="a").save()  # both kinds of uniques
    assert [one.id for one in await (Pass.email == "a@x.yz")] == ["b"]
    await sweep(Pass)
    assert [one.id for one in await (Pass.email == "a@x.yz")] == ["b"]
    assert drift(raw, [Pass]) == []


async def test_a_unique_value_holds_until_it_ends(db: Database, raw: Any) -> None:
    """A hold on a seat: the fast path, and get_or_create."""
    await Seat.new("1", place="A1").save(ttl=30)
    with pytest.raises(UniqueViolation):
        await Seat.new("2", place="A1").save()
    assert (await Seat.get_or_create(place="A1"))[1] is False
    await end(raw, Seat("1"))
    held, created = await Seat.get_or_create(place="A1", ttl=60)
    assert created
    assert near(await held.ttl(), dt.timedelta(seconds=60))
    await end(raw, held)
    await Seat.new("2", place="A1").save()
    await sweep(Seat)
    assert drift(raw, [Seat]) == []


async def test_an_id_can_be_used_again_and_inherits_nothing(db: Database, raw: Any) -> None:
    old = await full("a").save()
    await old.log.append("secret")
    await end(raw, old)
    new = await Pass.new("a", name="m").save()
    assert (await new.log.range(), (await Pass.get("a")).email) == ([], None)
    assert await (Pass.name == "n").count() == 0
    assert await (Pass.name == "m").ids() == ["a"]
    assert near(await new.ttl(), HOUR)
    assert drift(raw, [Pass]) == []
    with pytest.raises(AlreadyExists):
        await Pass.new("a").save()


async def test_an_upsert_after_the_end_creates(db: Database, raw: Any) -> None:
    await end(raw, await full("a").save())
    late = Pass("a")
    late.note = "late"
    await late.save()
    assert (await Pass.get("a")).name is None
    assert await (Pass.name == "n").ids() == []
    assert await Pass.all().ids() == ["a"]
    assert drift(raw, [Pass]) == []


@conf(prefix="keeper", ttl=None)
class Owner(Model):
    name = String()


@conf(prefix="pet", ttl=HOUR)
class Pet(Model):
    owner = Reference(Owner, index=True, on_delete="restrict")


@conf(prefix="tag", ttl=HOUR)
class Tag(Model):
    owner = Reference(Owner, index=True, on_delete="cascade")


@pytest.mark.one_slot
async def test_on_delete_is_judged_by_the_living(db: Database, raw: Any) -> None:
    owner = await Owner.new("o", name="x").save()
    pet = await Pet.new("p", owner=owner).save()
    tag = await Tag.new("t", owner=owner).save()
    with pytest.raises(Restricted):
        await owner.delete()
    await end(raw, pet, tag)
    assert await owner.delete() is True
    await sweep(Pet), await sweep(Tag)
    assert drift(raw, [Owner, Pet, Tag]) == []


@pytest.mark.one_slot
async def test_a_cascade_takes_the_end_of_a_record_along(db: Database, raw: Any) -> None:
    owner = await Owner.new("o").save()
    await Tag.new("t", owner=owner).save()
    await owner.delete()
    assert raw.zcard("tag/t") == raw.hlen("tag/t/n") == 0


# -- what is left ----------------------------------------------------------------------------------


@pytest.mark.on_cluster
async def test_nothing_is_left_after_a_sweep(db: Database, raw: Any) -> None:
    long = "y" * 600
    for number in range(5):
        record = await full(str(number), name=long if number % 2 else "n", slug=str(number)).save()
        await record.log.append("x")
        await record.seen.incr()
    await end(raw, *[Pass(str(number)) for number in range(5)])
    seen = list[int]()
    left = raw.zcard("pass/t")  # each write has taken some away already
    assert await sweep(Pass, progress=seen.append) == left > 0
    assert seen[-1] == left
    assert sorted(raw.scan_iter("*")) == [b"pass/meta"]
    assert await sweep(Pass) == 0


async def test_more_than_a_step_of_a_sweep(db: Database, raw: Any) -> None:
    await Seat.save_many([Seat.new(str(number), row=number) for number in range(250)], ttl=3600)
    assert await Seat.all().expire(dt.timedelta(milliseconds=1)) == 250
    wait(raw, 3)
    assert (await Seat.all().count(), await (Seat.row >= 0).count()) == (0, 0)
    await sweep(Seat)
    assert sorted(raw.scan_iter("*")) == [b"seat/meta"]


# -- when a record ends ----------------------------------------------------------------------------


async def test_the_default_runs_from_the_creation_on(db: Database, raw: Any) -> None:
    record = await full("a").save()
    assert near(await record.ttl(), HOUR)
    at = await record.expires_at()
    assert at is not None
    assert at.tzinfo is dt.UTC
    record.note = "y"
    await record.save()
    record.age = 4
    await record.save()
    assert await record.expires_at() == at
    assert await (Pass.age == 4).update(note="z") == 1
    assert await record.incr(Pass.age) == 5
    assert await record.expires_at() == at
    assert abs(raw.zscore("pass/t", "a") / 1000 - at.timestamp()) < 0.001


async def test_a_save_tells_another(db: Database, raw: Any) -> None:
    record = await full("a").save(ttl=dt.timedelta(minutes=10))
    assert near(await record.ttl(), dt.timedelta(minutes=10))
    await record.save(ttl=1200)  # nothing was changed but that
    assert near(await record.ttl(), dt.timedelta(minutes=20))
    record.note = "y"
    await record.save(ttl=None)
    assert (await record.ttl(), await record.expires_at()) == (None, None)
    assert raw.zcard("pass/t") == raw.hlen("pass/t/n") == 0
    await Pass.save_many([full("b", slug="b"), full("c", slug="c")], ttl=60)
    assert near(await Pass("b").ttl(), dt.timedelta(seconds=60))
    assert near(await Pass("c").ttl(), dt.timedelta(seconds=60))
    assert drift(raw, [Pass]) == []


@pytest.mark.on_cluster
async def test_expire_persist_and_touch(db: Database, raw: Any) -> None:
    record = await full("a").save()
    await record.expire(60)
    assert near(await record.ttl(), dt.timedelta(seconds=60))
    moment = dt.datetime(2100, 1, 1, 12, tzinfo=dt.timezone(HOUR))
    await record.expire(moment)
    assert await record.expires_at() == moment
    await record.touch()
    assert near(await record.ttl(), HOUR)
    await record.persist()
    assert await record.ttl() is None
    record.note = "unsaved"
    await record.expire(dt.datetime(2000, 1, 1, tzinfo=dt.UTC))
    assert await Pass("a").exists() is False
    assert sorted(raw.scan_iter("*")) == [b"pass/meta"]


async def test_of_a_query(db: Database, raw: Any) -> None:
    await Seat.save_many([Seat.new(str(number), row=number % 2) for number in range(6)])
    assert await (Seat.row == 1).expire(60) == 3
    assert near(await Seat("1").ttl(), dt.timedelta(seconds=60))
    assert await Seat("2").ttl() is None
    assert await (Seat.row == 1).persist() == 3
    assert await Seat("1").ttl() is None
    assert drift(raw, [Seat]) == []


async def test_sliding_by_save(db: Database) -> None:
    record = await Slide.new("1", row=1).save()
    await record.expire(60)
    await Slide.get("1")
    assert near(await record.ttl(), dt.timedelta(seconds=60))
    record.note = "x"
    await record.save()
    assert near(await record.ttl(), HOUR)
    assert not near(await record.ttl(), dt.timedelta(seconds=60))
    for change in (record.incr(Slide.row), (Slide.row == 2).update(note="y")):
        await record.expire(60)
        await change
        assert (await record.ttl() or HOUR) > dt.timedelta(minutes=30)


async def test_sliding_by_load(db: Database) -> None:
    record = await Loads.new("1", row=1).save()
    many = await Loads.new("2", row=1).save()
    for load in (
        lambda: Loads.get("1"),
        lambda: Loads("1").load(),
        lambda: record.reload(),
        lambda: Loads("1").load(raw=True),
        lambda: Loads.get_many(["1", "no", "2"]),
    ):
        await record.expire(60)
        await many.expire(60)
        await load()
        assert (await record.ttl() or HOUR) > dt.timedelta(minutes=30)
    assert (await many.ttl() or HOUR) > dt.timedelta(minutes=30)
    with pytest.raises(NotFound):
        await Loads.get("no")
    assert await Loads.get_many(["no"]) == [None]


async def test_what_slides_forgets_another_end(db: Database) -> None:
    """Its next save or load gives it the end of its class again."""
    record = await Loads.new("1", row=1).save()
    for tell in (record.persist, lambda: record.expire(86400), lambda: record.save(ttl=None)):
        await tell()
        await Loads.get("1")
        assert near(await record.ttl(), HOUR)
    await record.persist()
    record.note = "x"
    await record.save()
    assert near(await record.ttl(), HOUR)


async def test_get_and_touch(db: Database) -> None:
    record = await full("a").save()
    await record.expire(60)
    assert (await Pass.get("a", touch=True)).name == "n"
    assert (await record.ttl() or HOUR) > dt.timedelta(minutes=30)
    async with session():
        mine = await Pass.get("a")
        await record.expire(60)
        assert await Pass.get("a", touch=True) is mine
        assert (await record.ttl() or HOUR) > dt.timedelta(minutes=30)
    with pytest.raises(NotFound):
        await Pass.get("b", touch=True)


async def test_sessions_save_what_lives_and_never_raise_the_dead(db: Database, raw: Any) -> None:
    await full("a").save()
    with pytest.raises(Gone):
        async with session(autosave=True):
            mine = await Pass.get("a")
            mine.note = "late"
            await end(raw, Pass("a"))
    assert await Pass("a").exists() is False
    async with session(autosave=True):
        Pass.new("new", name="q")
    assert near(await Pass("new").ttl(), HOUR)


# -- bad values ------------------------------------------------------------------------------------

BAD = [
    0,
    -1,
    True,
    float("nan"),
    float("inf"),
    1e300,
    "60",
    dt.timedelta(0),
    dt.timedelta(-1),
    2**60,
    b"5",
    0.0001,
]


@pytest.mark.parametrize("given", BAD, ids=repr)
async def test_a_bad_duration_is_refused_before_any_io(db: Database, given: Any) -> None:
    record = full("a")
    with pytest.raises(UsageError):
        conf(ttl=given)
    for verb in (
        lambda: record.save(ttl=given),
        lambda: record.expire(given),
        lambda: Pass.save_many([record], ttl=given),
        lambda: Pass.all().expire(given),
        lambda: Pass.get_or_create(email="a@x.yz", ttl=given),
    ):
        with pytest.raises(UsageError):
            await verb()
    assert db.facts.round_trips == 0


class Nowhere(dt.tzinfo):
    """A zone that does not tell how far it is from UTC."""

    def _nothing(self, moment: dt.datetime | None) -> None:
        return None

    utcoffset = dst = tzname = _nothing


async def test_a_moment_without_a_zone_is_refused(db: Database) -> None:
    for zone in (None, Nowhere()):
        with pytest.raises(UsageError, match="zone"):
            await full("a").expire(dt.datetime(2030, 1, 1, tzinfo=zone))


async def test_a_class_whose_records_never_end_says_so(db: Database) -> None:
    record = Plain.new("1", name="x")
    for verb in (
        lambda: record.save(ttl=60),
        lambda: record.save(ttl=None),
        lambda: record.expire(60),
        lambda: record.persist(),
        lambda: record.touch(),
        lambda: Plain.save_many([record], ttl=60),
        lambda: Plain.all().expire(60),
        lambda: Plain.all().persist(),
        lambda: Plain.get("1", touch=True),
        lambda: sweep(Plain),
    ):
        with pytest.raises(UsageError, match=r"@conf\(ttl="):
            await verb()
    assert db.facts.round_trips == 0


def test_settings() -> None:
    @conf(sliding="save")
    class Under(Pass):
        pass

    assert Under.__mapper__.setting("ttl") == 3600_000
    assert conf(ttl=None)(Under).__mapper__.lifetime.limited
    with pytest.raises(UsageError, match="sliding"):
        conf(sliding="always")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="sliding"):
        conf(sliding=[])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no time to prolong"):
        Seat.__mapper__.lifetime.of_touch()


def test_seconds_are_what_a_timedelta_takes_them_for() -> None:
    for number in (*range(1, 3000), 10**9 + 1, 2**52):
        seconds = number / 1000
        assert Pass.__mapper__.lifetime.of_save(seconds) == f"r{number}"
        if number < 2**40:
            assert Pass.__mapper__.lifetime.of_save(dt.timedelta(seconds=seconds)) == f"r{number}"


async def test_processes_that_do_not_know_of_ends_are_kept_out(db: Database) -> None:
    await Seat.new("1", row=1).save()

    @conf(prefix="seat", db=Database(db.url) if hasattr(db, "url") else db)
    class Old(Model):
        place = String(unique=True)
        row = Integer(index=True)

    with pytest.raises((SchemaMismatch, UsageError)):
        await Old.new("2", row=2).save()


# -- foreign hands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Seat, Pass])
async def test_a_key_that_was_given_an_end_by_hand(db: Database, raw: Any, kind: Any) -> None:
    key, moments = kind("1").getkey(), kind.getprefix() + "/t"
    record = await kind.new("1", note="x").save(ttl=None)
    raw.pexpire(key, 60_000)
    assert near(await record.ttl(), dt.timedelta(seconds=60))
    at = await record.expires_at()
    await (kind("1")).incr(kind.row if kind is Seat else kind.age)  # a change that indexes see hears of it
    assert at is not None
    assert abs(raw.zscore(moments, "1") / 1000 - at.timestamp()) < 1
    assert drift(raw, [kind]) == []


@pytest.mark.parametrize("kind", [Seat, Pass])
async def test_a_key_that_was_given_another_end_by_hand(db: Database, raw: Any, kind: Any) -> None:
    record = await kind.new("1", note="x").save(ttl=HOUR)
    raw.persist(record.getkey())
    assert (await record.ttl(), await record.expires_at()) == (None, None)
    raw.pexpire(record.getkey(), 1)
    wait(raw, 5)
    assert await kind.all().ids() == []
    with pytest.raises(NotFound):
        await kind.get("1")
    await kind.new("1", note="y").save()
    assert drift(raw, [kind]) == []


async def test_a_key_that_was_prolonged_by_hand_is_adopted_by_a_sweep(db: Database, raw: Any) -> None:
    await Seat.new("1", row=1).save(ttl=0.02)
    raw.pexpire("seat:1", 60_000)
    wait(raw, 40)
    if not raw.exists("seat:1"):
        pytest.skip("the machine was too slow: it had ended")
    await sweep(Seat)
    assert await (Seat.row == 1).ids() == ["1"]
    assert drift(raw, [Seat]) == []


# -- to the millisecond ----------------------------------------------------------------------------


def milliseconds(raw: Any) -> int:
    seconds, micros = raw.time()
    return int(seconds) * 1000 + int(micros) // 1000


async def test_in_the_very_millisecond_of_its_end_a_record_lives(server: Any, db: Database, raw: Any) -> None:
    """And in the next it does not. Asked again and again around that moment, with the clock before and after."""
    alive = over = 0
    for number in range(200):
        end_at = milliseconds(raw) + 8
        record = await Seat.new(str(number), row=number).save()
        await record.expire(dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=end_at))
        last = 0
        while last <= end_at + 1:
            first = milliseconds(raw)
            found = await (Seat.row == number).count(), await (Seat.row == number).ids()
            last = milliseconds(raw)
            if last <= end_at:
                assert found == (1, [str(number)]), (first, last, end_at)
                alive += last == end_at
            elif first > end_at:
                assert found == (0, []), (first, last, end_at)
                over += first == end_at + 1
        if alive and over:
            return
    pytest.skip("the machine was too slow to ask in that very millisecond")
