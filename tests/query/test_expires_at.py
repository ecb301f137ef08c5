"""Finding records by the moment at which they end: ``Login.expires_at`` as a column, against brute force in Python."""

from __future__ import annotations

import base64
import datetime as dt
import pickle
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from aioredisca import (
    Database,
    Integer,
    Model,
    Reference,
    String,
    UsageError,
    ValidationError,
    conf,
    exclusive,
    sweep,
)
from aioredisca.compiler import parts, scripts
from aioredisca.compiler.conditions import Bound
from aioredisca.fields.times import ExpiresAtCodec
from aioredisca.persistence import executor
from aioredisca.storage.moments import since_1970

from ..support.drift import drift
from ..support.tagged import base_of
from .support import ids

UTC = dt.UTC
MS = dt.timedelta(milliseconds=1)
FAR = dt.datetime(9000, 1, 1, tzinfo=UTC)


class Fields:
    user = String(index=True)
    token = String(unique=True)
    size = Integer(index=True)
    word = String(index="sorted")
    note = String()


@conf(ttl=None)
class Login(Fields, Model):
    pass


@conf(prefix="phone-login")
class Phone(Login):
    number = String()


class Plain(Fields, Model):
    login = Reference(Login)


@dataclass
class Known:
    """A record that lives, as the tests know it."""

    id: str
    user: str
    size: int
    word: str | None
    at: dt.datetime | None


def soon() -> dt.datetime:
    """A moment that no test lasts until, to the millisecond."""
    now = dt.datetime.now(UTC) + dt.timedelta(hours=6)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def wait(raw: Any, milliseconds: int) -> None:
    seconds, micros = raw.time()
    until = seconds * 1000 + micros / 1000 + milliseconds
    while seconds * 1000 + micros / 1000 <= until:
        time.sleep(0.001)
        seconds, micros = raw.time()


def end(raw: Any, records: Sequence[Any]) -> None:
    """Leave of *records* what is left when their moment has come: all but their keys."""
    prefix, past = records[0].getprefix(), raw.time()[0] * 1000 - 1
    raw.zadd(f"{prefix}/t", dict.fromkeys((record.id for record in records), past))
    raw.unlink(*(record.getkey() for record in records))


async def filled(
    raw: Any, base: dt.datetime, *, seed: int = 0, count: int = 30, model: Any = Login, over: bool = True
) -> list[Known]:
    """Records with few moments, so that many are alike, some for ever; and some that are *over*, still in indexes."""
    rng = random.Random(seed)
    moments = [*(base + k * MS for k in range(6)), FAR]
    known = list[Known]()
    for number in range(count):
        at = rng.choice([*moments, None, None])
        one = Known(
            f"{model.__name__[0]}{rng.randrange(1000):03}-{number}",
            rng.choice("ab"),
            rng.randrange(5),
            rng.choice(["x", "y", None]),
            at,
        )
        known.append(one)
        record = model.new(one.id, user=one.user, size=one.size, word=one.word, token=one.id, note=one.user)
        await record.save(ttl=None if at is None else 3600)
        if at is not None:
            await record.expire(at)
    if over:
        others = [model.new(f"over{n}", user="a", size=n, token=f"over{n}", note="a") for n in range(4)]
        assert await model.save_many(others, ttl=3600) == []
        end(raw, others)
    return known


def in_order(known: Sequence[Known], *by: tuple[Callable[[Known], Any], bool]) -> list[str]:
    """The ids by several keys, each falling or not: None last, ties by id in the direction of the last."""
    found = sorted(known, key=lambda one: one.id, reverse=by[-1][1])
    for key, falling in reversed(by):
        held = sorted((one for one in found if key(one) is not None), key=key, reverse=falling)
        found = held + [one for one in found if key(one) is None]
    return [one.id for one in found]


def moment_of(one: Known) -> dt.datetime | None:
    return one.at


Holds = Callable[[dt.datetime | None], bool]


def conditions(model: Any, a: dt.datetime, b: dt.datetime) -> Iterator[tuple[str, Any, Holds]]:
    """What can be asked of the column, and for which moments it holds."""
    at = model.expires_at
    yield "==", at == a, lambda m: m == a
    yield "!=", at != a, lambda m: m != a
    yield "<", at < a, lambda m: m is not None and m < a
    yield "<=", at <= a, lambda m: m is not None and m <= a
    yield ">", at > a, lambda m: m is not None and m > a
    yield ">=", at >= a, lambda m: m is not None and m >= a
    yield "between", at.between(a, b), lambda m: m is not None and a <= m <= b
    yield "within", at.between(exclusive(a), exclusive(b)), lambda m: m is not None and a < m < b
    yield "in", at.in_([a, b]), lambda m: m in (a, b)
    yield "in or never", at.in_([a, b, None]), lambda m: m in (a, b, None)
    yield "not in", at.not_in([a, b]), lambda m: m not in (a, b)
    yield "none", at.is_none(), lambda m: m is None
    yield "not none", at.not_none(), lambda m: m is not None
    yield "~", ~(at < a), lambda m: m is None or m >= a
    yield "|", (at < a) | (at > b), lambda m: m is not None and (m < a or m > b)
    yield "&", (at >= a) & (at != b), lambda m: m is not None and m >= a and m != b
    yield "~|", ~((at == a) | at.is_none()), lambda m: m is not None and m != a


def bounds(base: dt.datetime) -> list[dt.datetime]:
    """Moments that records have, others, and some between two milliseconds."""
    half = dt.timedelta(microseconds=500)
    past, zone = base - dt.timedelta(days=1), dt.timezone(dt.timedelta(hours=2))
    found = [past, dt.datetime(1900, 1, 1, tzinfo=UTC), base - half, FAR, dt.datetime.max.replace(tzinfo=UTC)]
    found += [base + k * MS for k in range(6)] + [base + k * MS + half for k in range(6)]
    return [*found, (base + 2 * MS).astimezone(zone)]


async def check(query: Any, wanted: Sequence[Known]) -> None:
    expected = sorted(one.id for one in wanted)
    assert sorted(ids(await query)) == expected
    assert await query.count() == len(expected)
    assert await query.exists() is bool(expected)


# -- conditions ------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("over", [True, False], ids=["some over", "none over"])
async def test_every_condition_finds_what_it_says(db: Database, raw: Any, over: bool) -> None:
    base, rng = soon(), random.Random(over)
    known = await filled(raw, base, seed=int(over), over=over)
    for _ in range(4):
        a, b = sorted(rng.sample(bounds(base), 2))
        for name, query, holds in conditions(Login, a, b):
            wanted = [one for one in known if holds(one.at)]
            try:
                await check(query, wanted)
                await check(query & (Login.user == "a"), [one for one in wanted if one.user == "a"])
                both = [one for one in known if one in wanted or one.size < 2]
                await check(query | (Login.size < 2), both)
                rest = [one for one in wanted if not (one.word == "x" and one.size > 2)]
                await check(query & ~((Login.word == "x") & (Login.size > 2)), rest)
                noted = [one for one in wanted if one.user == "b"]
                assert sorted(ids(await (query & (Login.note == "b")).scan())) == sorted(o.id for o in noted)
            except AssertionError as error:
                raise AssertionError(f"{name} {a} {b}") from error


async def test_a_bound_between_two_milliseconds_is_compared_to_the_microsecond(db: Database) -> None:
    base = soon()
    await Login.new("a").save(ttl=3600)
    await Login("a").expire(base + dt.timedelta(microseconds=900))  # it ends at base: nothing is finer
    micro = dt.timedelta(microseconds=1)
    assert await Login("a").expires_at() == base
    at = Login.expires_at
    for holds in (at > base - micro, at >= base - micro, at < base + micro, at <= base + micro, at == base):
        assert await holds.ids() == ["a"]
    for fails in (at >= base + micro, at > base, at < base, at <= base - micro, at == base + micro):
        assert await fails.ids() == []
    assert await at.between(exclusive(base - micro), exclusive(base + micro)).ids() == ["a"]
    assert await at.between(base + micro, base + 999 * micro).ids() == []


async def test_subclasses_are_asked_along(db: Database, raw: Any) -> None:
    base = soon()
    known = await filled(raw, base, seed=1, count=12) + await filled(raw, base, seed=2, count=12, model=Phone)
    wanted = [one for one in known if one.at is not None and one.at < base + 4 * MS]
    found = await Login.expires_at.range(None, exclusive(base + 4 * MS), children=True)
    assert ids(found) == in_order(wanted, (moment_of, False))
    assert {type(one) for one in found} == {Login, Phone}
    some = await Login.expires_at.range(None, exclusive(base + 4 * MS), 2, 5, children=True)
    assert ids(some) == in_order(wanted, (moment_of, False))[2:7]
    assert await (Phone.expires_at < base).ids() == []
    mixed = (Phone.number == "1") & (Login.expires_at == FAR)
    assert await mixed.scan().ids() == []


@pytest.mark.parametrize("over", [True, False])
async def test_of_one_unique_value_the_moment_is_known(db: Database, raw: Any, over: bool) -> None:
    """A query that is answered by a quick way otherwise."""
    base = soon()
    known = await filled(raw, base, over=over)
    one = next(one for one in known if one.at is not None and one.at != FAR)
    mine = Login.token == one.id
    assert await mine.values(Login.expires_at, Login.user) == [(one.at, one.user)]
    assert ids(await mine.order_by(Login.expires_at).limit(3)) == [one.id]
    assert ids(await (mine & (Login.expires_at == one.at))) == [one.id]
    assert await (mine & (Login.expires_at != one.at)).ids() == []


async def test_random_records_and_streams(db: Database, raw: Any) -> None:
    base = soon()
    known = await filled(raw, base)
    wanted = {one.id for one in known if one.at is not None}
    assert {one.id for one in await Login.expires_at.not_none().random(100)} == wanted
    chosen = await Login.expires_at.choice(count=3)
    assert chosen is not None
    assert {one.id for one in chosen} < wanted
    streamed = [one.id async for one in Login.all().order_by(Login.expires_at.desc())]
    assert streamed == in_order(known, (moment_of, True))


# -- orders ----------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_orders_by_the_moment(db: Database, raw: Any) -> None:
    base = soon()
    known = await filled(raw, base, count=40)
    at, size = Login.expires_at, lambda one: one.size
    orders: list[tuple[Any, Any]] = [
        ((at,), ((moment_of, False),)),
        ((at.desc(),), ((moment_of, True),)),
        ((at, Login.size.desc()), ((moment_of, False), (size, True))),
        ((at.desc(), Login.word), ((moment_of, True), (lambda one: one.word, False))),
        ((Login.user, at.desc()), ((lambda one: one.user, False), (moment_of, True))),
    ]
    for columns, keys in orders:
        for query, some in (
            (Login.all(), known),
            (Login.user == "a", [one for one in known if one.user == "a"]),
            (at > base + 2 * MS, [one for one in known if one.at is not None and one.at > base + 2 * MS]),
            (at.is_none() | (Login.size > 1), [one for one in known if one.at is None or one.size > 1]),
        ):
            expected, ordered = in_order(some, *keys), query.order_by(*columns)
            assert ids(await ordered) == expected
            for offset, limit in ((0, 3), (2, 5), (0, 100), (len(expected) - 2, 10), (len(expected), 1)):
                found = await ordered.offset(max(0, offset)).limit(limit)
                assert ids(found) == expected[max(0, offset) :][:limit]
    assert ids(await (at >= base)) == in_order(
        [one for one in known if one.at is not None], (moment_of, False)
    )


@pytest.mark.parametrize("falling", [False, True])
async def test_pages_stay_right_while_records_come_and_go(db: Database, raw: Any, falling: bool) -> None:
    base = soon()
    known = await filled(raw, base, count=40)
    query = Login.all().order_by(Login.expires_at.desc() if falling else Login.expires_at)
    expected, rng = in_order(known, (moment_of, falling)), random.Random(4)
    seen, moved, cursor = list[str](), set[str](), None
    for step in range(100):
        page = await query.page(7, after=cursor)
        seen += ids(page)
        cursor = page.next
        if cursor is None:
            break
        assert len(page) == 7
        gone, other, ended = rng.sample(expected, 3)
        moved |= {gone, other, ended}
        await Login(gone).delete()
        for id in (other, ended):
            if await Login(id).exists():
                await (Login(id).persist() if rng.random() < 0.5 else Login(id).expire(base + 3 * MS))
        await Login.new(f"M{step}", user="a").save(ttl=None if step % 2 else 3600)
        if await Login(ended).exists():
            await Login(ended).expire(MS)
            wait(raw, 2)
    assert cursor is None
    left = [id for id in expected if id not in moved]
    assert [id for id in seen if id in left] == left
    assert not {id for id in seen if id.startswith("over")}


@pytest.mark.slow
async def test_many_for_ever_and_many_that_are_over(db: Database, raw: Any) -> None:
    """Those that are over are not walked; the tail of those for ever goes on by cursors."""
    base = soon()
    later = [Login.new(f"f{n:04}", user="a") for n in range(2300)]
    await Login.save_many(later, batch=500)
    await Login.save_many([Login.new(f"e{n}", user="b") for n in range(20)], ttl=3600)
    await (Login.user == "b").expire(base)
    over = [Login.new(f"o{n}", user="c") for n in range(2300)]
    await Login.save_many(over, batch=500, ttl=3600)
    end(raw, over)
    query = Login.all().order_by(Login.expires_at)
    await query.limit(1)  # the server learns of the scripts
    await query.count()
    before = db.round_trips
    assert len(await query.limit(20)) == 20
    assert len(await (Login.expires_at <= base).limit(5)) == 5
    assert await (Login.expires_at <= base).count() == 20
    assert db.round_trips - before == 3
    seen, cursor = list[str](), None
    while True:
        page = await query.page(1000, after=cursor)
        seen, cursor = seen + ids(page), page.next
        if cursor is None:
            break
    assert seen == [f"e{n}" for n in sorted(range(20), key=str)] + [one.id for one in later]
    assert await Login.expires_at.is_none().count() == 2300
    down = await query.order_by(Login.expires_at.desc()).limit(25).ids()
    assert down == [f"e{n}" for n in sorted(range(20), key=str, reverse=True)] + [
        one.id for one in later[:-6:-1]
    ]


# -- values ----------------------------------------------------------------------------------------


async def test_values_and_aggregates(db: Database, raw: Any) -> None:
    base = soon()
    known = await filled(raw, base)
    expected = {one.id: one.at for one in known}
    found = await Login.all().values(Login.token, Login.expires_at)
    assert dict(found) == expected
    assert {value.tzinfo for _, value in found if value is not None} == {UTC}
    assert await Login.all().order_by(Login.expires_at).limit(1).values(Login.expires_at) == [
        min(at for at in expected.values() if at is not None)
    ]
    held = [one for one in known if one.at is not None]
    all_of = await Login.all().aggregate(Login.expires_at)
    assert (all_of.count, all_of.sum, all_of.avg) == (len(held), None, None)
    assert (all_of.min, all_of.max) == (min(expected[one.id] or FAR for one in held), FAR)
    by_user = await Login.all().aggregate(Login.expires_at, by=Login.user)
    assert {user: one.count for user, one in by_user.items()} == {
        user: sum(one.user == user for one in held) for user in {one.user for one in known}
    }
    by_moment: dict[Any, Any] = await Login.all().aggregate(by=Login.expires_at)
    assert {at: one.count for at, one in by_moment.items()} == {
        at: sum(one.at == at for one in known) for at in set(expected.values())
    }


async def test_what_is_found_is_loaded_without_it(db: Database, raw: Any) -> None:
    base = soon()
    await filled(raw, base)
    for record in await (Login.expires_at >= base):
        assert {*record.export()} <= {"user", "token", "size", "word", "note"}
        assert b"\0expires_at" not in pickle.dumps(record)  # which takes along all that is known of it
        assert record.loaded()
        record.note = "seen"
        await record.save()
    (some,) = await (Login.expires_at >= base).only(Login.user).limit(1)
    assert some.user in ("a", "b")
    await sweep(Login)
    assert drift(raw, [Login]) == []
    assert not [key for key in raw.scan_iter("login:*") for name in raw.hkeys(key) if b"expires" in name]


async def test_a_record_that_somebody_deleted_is_not_found(db: Database, raw: Any) -> None:
    base = soon()
    for id in "abc":
        await Login.new(id).save(ttl=3600)
        await Login(id).expire(base)
    raw.delete("login:b")
    assert await Login.all().values(Login.expires_at) == [base, base]
    assert ids(await (Login.expires_at == base)) == ["a", "c"]
    assert ids(await Login.all().order_by(Login.expires_at).limit(5)) == ["a", "c"]
    assert await Login.expires_at.is_none().ids() == []


# -- changes by query ------------------------------------------------------------------------------


async def test_what_ends_soon_is_prolonged_or_deleted(db: Database, raw: Any) -> None:
    base = soon()
    known = await filled(raw, base)
    early = [one.id for one in known if one.at is not None and one.at < base + 3 * MS]
    assert await (Login.expires_at < base + 3 * MS).expire(FAR) == len(early)
    assert {await Login(id).expires_at() for id in early} == {FAR}
    never = sum(one.at is None for one in known)
    assert await Login.expires_at.is_none().update(note="for ever") == never
    assert await (Login.expires_at == FAR).delete() == sum(one.at == FAR or one.id in early for one in known)
    await sweep(Login)
    assert drift(raw, [Login]) == []


async def test_a_change_by_query_leaves_who_was_prolonged_meanwhile(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, write = soon(), executor.write
    for id in "abcd":
        await Login.new(id, user="x").save(ttl=3600)
        await Login(id).expire(base)

    async def after_others(*arguments: Any) -> Any:
        """Between reading and writing *a* gets a later end, and *b* another that still fits."""
        monkeypatch.setattr(executor, "write", write)
        await Login("a").expire(FAR)
        await Login("b").expire(base - MS)
        return await write(*arguments)

    monkeypatch.setattr(executor, "write", after_others)
    assert await (Login.expires_at <= base).delete() == 3
    assert await Login.all().ids() == ["a"]
    await sweep(Login)
    assert drift(raw, [Login]) == []


# -- what is refused -------------------------------------------------------------------------------


async def test_what_is_refused_before_io(db: Database) -> None:
    at, before = Login.expires_at, db.round_trips
    for wrong in (dt.datetime(2031, 1, 1), 5, 5.0, "2031-01-01", True, dt.date(2031, 1, 1), MS):
        asks: tuple[Callable[[Any], Any], ...] = (
            lambda one: at == one,
            lambda one: at < one,
            lambda one: at >= one,
            lambda one: at.in_([one]),
            lambda one: at.between(one, FAR),
        )
        for ask in asks:
            with pytest.raises(
                ValidationError, match=r"Login\.expires_at: takes a (datetime|moment with a zone)"
            ):
                ask(wrong)
    with pytest.raises(UsageError, match="None has no order"):
        at < None
    refused: tuple[Callable[[], Any], ...] = (
        lambda: Plain.expires_at == FAR,
        lambda: Plain.expires_at < FAR,
        lambda: Plain.expires_at.is_none(),
        lambda: Plain.expires_at.in_([FAR]),
        lambda: Plain.all().order_by(Plain.expires_at),
        lambda: Plain.all().order_by(Plain.expires_at.desc()),
    )
    for plain in refused:
        with pytest.raises(UsageError, match=r"records of Plain do not end .* @conf\(ttl=None\)"):
            plain()
    with pytest.raises(UsageError, match="records of Plain do not end"):
        await Plain.all().values(Plain.expires_at)
    with pytest.raises(UsageError, match="is no column of Plain"):
        Plain.all().order_by(Login.expires_at)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no field that is loaded"):
        Login.all().only(at)
    with pytest.raises(UsageError, match="no reference 'expires_at'"):
        Login.all().prefetch(at)
    with pytest.raises(UsageError, match="no field that is loaded or counted in"):
        await Login.all().incr(at)  # type: ignore[type-var]
    with pytest.raises(ValidationError, match=r"no such field: .* of a query, .* say when records end"):
        await Login.all().update(expires_at=FAR)
    with pytest.raises(ValidationError, match="say when records end"):
        Login.new(expires_at=FAR)
    record = Login.new("a", user="x")
    with pytest.raises(UsageError, match="no field that is loaded or counted in"):
        await record.incr(at)  # type: ignore[type-var]
    changed = Login("a")
    changed.user = "x"
    with pytest.raises(UsageError, match="no field that is loaded or counted in"):
        await changed.save(if_unchanged=[at])
    with pytest.raises(UsageError, match=r"Login\.expires_at is no field: expire\(\) or save"):
        record.expires_at = FAR  # type: ignore[assignment]
    assert db.round_trips == before
    for setting in ("unique", "index"):
        names: Any = {setting: [("user", "expires_at")]}
        made: Any = conf(prefix="never", ttl=60, **names)(
            type("Never", (Model,), {"user": String(index=True)})
        )
        with pytest.raises(UsageError, match="names 'expires_at': there is no such field"):
            await made.all()


async def test_altered_cursors_are_refused(db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    base = soon()
    await filled(raw, base)
    query = Login.all().order_by(Login.expires_at)
    cursor = (await query.page(5)).next
    assert cursor is not None
    for wrong in ("", cursor[:-1], cursor.swapcase(), cursor + "A"):
        with pytest.raises(ValidationError, match="cursor"):
            await query.page(5, after=wrong)
    for other in (query.order_by(Login.expires_at.desc()), query.where(Login.expires_at > base), Login.all()):
        with pytest.raises(ValidationError, match="no cursor of this query"):
            await other.page(5, after=cursor)
    monkeypatch.setattr("aioredisca.compiler.cursors._digest", lambda *given: b"0" * 12)  # a digest that fits
    for rank in (b"abc", b"", b"-5", b"1e5", b"1.5", b"nan", b"9" * 20):
        body = b"%d:%b1:x" % (len(rank), rank)
        with pytest.raises(ValidationError, match="no cursor of this query"):
            await query.page(5, after=base64.urlsafe_b64encode(b"0" * 12 + body).decode())
    body = b"1:01:x"
    forged = base64.urlsafe_b64encode(b"0" * 12 + body).decode().rstrip("=")
    assert ids(await query.page(5, after=forged)) == ids(await query.limit(5))


async def test_explain_names_it(db: Database, raw: Any) -> None:
    await filled(raw, soon())
    told = await (Login.expires_at < FAR).explain()
    assert told.condition == "Between expires_at"
    assert [(one.kind, one.key) for one in told.drivers] == [("sorted set, by score", f"{base_of(Login)}/t")]
    assert told.warnings == ()
    assert told.count == await (Login.expires_at < FAR).count()
    ordered = await Login.all().order_by(Login.expires_at).limit(3).explain()
    assert ordered.way.startswith("walk the index of the order")
    assert repr(Login.expires_at) == "<Login.expires_at>"
    assert repr(~(Login.expires_at < FAR)) == "<Query of Login: ~Between expires_at>"


async def test_one_round_trip(db: Database, raw: Any) -> None:
    base = soon()
    await filled(raw, base)
    query = Login.expires_at <= base + MS
    for ask in (
        query.ids,
        query.count,
        query.page,
        Login.all().order_by(Login.expires_at.desc(), Login.size).limit(5).ids,
        Login.expires_at.is_none().count,
    ):
        assert await ask()  # the server learns of the script
        before = db.round_trips
        assert await ask()
        assert db.round_trips - before == 1


# -- controls --------------------------------------------------------------------------------------


@pytest.fixture
def altered(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str, str], None]]:
    """Gives a part of the scripts another text, until the test is over."""
    source, caches = parts.source, (parts.part, scripts.query_script)

    def alter(name: str, old: str, new: str) -> None:
        assert source(name).count(old) == 1
        monkeypatch.setattr(
            parts, "source", lambda asked: source(asked).replace(old, new) if asked == name else source(asked)
        )
        for one in caches:
            one.cache_clear()

    yield alter
    monkeypatch.undo()
    for one in caches:
        one.cache_clear()


Alter = Callable[[str, str, str], None]


async def test_control_without_the_leaf_of_those_that_are_over_they_are_counted(
    db: Database, raw: Any, altered: Alter
) -> None:
    known = await filled(raw, soon())
    others = [one for one in known if one.at != FAR]
    await check(Login.expires_at != FAR, others)
    altered("read/due", "'-inf', '(' .. now", "'-inf', '(0'")
    assert await (Login.expires_at != FAR).count() == len(others) + 4


@pytest.mark.slow
async def test_control_what_is_over_would_be_walked(db: Database, raw: Any, altered: Alter) -> None:
    altered("read/by_moment", "order_key == MOMENTS then\n    first", "false then\n    first")
    with pytest.raises(AssertionError, match="round_trips"):
        await test_many_for_ever_and_many_that_are_over(db, raw)


async def test_control_the_moment_alone_is_no_proof_of_a_record(
    db: Database, raw: Any, altered: Alter
) -> None:
    altered("read/moment", "any(values) or call('EXISTS', records .. id) == 1", "true or any(records)")
    with pytest.raises(AssertionError):
        await test_a_record_that_somebody_deleted_is_not_found(db, raw)


async def test_control_a_bound_cut_to_milliseconds_finds_others(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(self: Any, value: dt.datetime, inclusive: bool, side: int) -> Bound:
        return Bound(str(since_1970(value)[0]), inclusive)

    monkeypatch.setattr(ExpiresAtCodec, "bound", cut)
    with pytest.raises(AssertionError):
        await test_a_bound_between_two_milliseconds_is_compared_to_the_microsecond(db)


async def test_control_what_was_read_and_is_deleted_by_its_id_was_prolonged(db: Database) -> None:
    """The known-bad way: nobody looks again at what it is now."""
    base = soon()
    await Login.new("a").save(ttl=3600)
    await Login("a").expire(base)
    found = await (Login.expires_at <= base)
    await Login("a").expire(FAR)
    assert await Login.delete_many(found) == 1
