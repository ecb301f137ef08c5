"""What bounded lists, sets read together, trims and hashes refuse, hold and cost."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from aioredisca import (
    UUID,
    Bool,
    Bytes,
    CorruptRecord,
    Database,
    Date,
    DateTime,
    Decimal,
    Email,
    Enum,
    Float,
    Gone,
    HashOf,
    Integer,
    Json,
    ListOf,
    MD5Pass,
    Model,
    PermissionDenied,
    Reference,
    SetOf,
    SortedSet,
    StoreError,
    String,
    Tags,
    UsageError,
    ValidationError,
    WrongType,
    conf,
    export_records,
    import_records,
    sync,
)

from ..support.drift import drift
from ..support.ending import PAST
from ..support.proxy import Proxy
from ..support.servers import Server


class Colour(enum.Enum):
    RED = "red"


class Shop(Model):
    name = String(index=True)
    seen = ListOf(String(maxlen=10), maxlen=3)
    notes = ListOf(String())
    likes = SetOf(Integer())
    words = SetOf(String())
    board = SortedSet(String())
    prices = HashOf(Decimal(places=2), field="p")
    stock = HashOf(Integer())
    few = HashOf(Integer(minval=0))


@conf(ttl=3600, prefix="stall")
class Stall(Model):
    likes = SetOf(Integer())


async def test_the_last_things_seen(db: Database, raw: Any) -> None:
    shop = await Shop.new("1").save()
    assert await shop.seen.push("a") == 1
    assert await shop.seen.push("b", "c") == 3
    assert await shop.seen.push("a", unique=True) == 3
    assert await shop.seen.range() == ["a", "c", "b"]
    assert await shop.seen.push("x", "y", "x", unique=True) == 3
    assert await shop.seen.range() == ["x", "y", "a"]
    assert (await shop.seen.contains("y"), await shop.seen.contains("c")) == (True, False)
    assert await shop.seen.append("1", "2", "3", "4") == 3
    assert await shop.seen.range() == ["2", "3", "4"]
    assert await shop.seen.insert("new", before="2") == 3
    assert await shop.seen.range() == ["new", "2", "3"]
    assert await shop.seen.insert("end", after="3") == 3
    assert await shop.seen.range() == ["2", "3", "end"]
    assert await shop.seen.insert("x", before="nothing") is None
    assert (await shop.seen.set(-1, "E"), await shop.seen.set(3, "E")) == (True, False)
    assert await shop.seen.replace("a", "b", "c", "d") == 3
    assert raw.lrange(shop.seen.getkey(), 0, -1) == [b"b", b"c", b"d"]
    assert (await shop.seen.replace(), await shop.seen.len()) == (0, 0)


async def test_a_list_that_was_longer_is_cut_by_what_adds_to_it(db: Database, raw: Any) -> None:
    shop = await Shop.new("1").save()
    raw.rpush(shop.seen.getkey(), *"abcdef")
    assert await shop.seen.len() == 6
    assert await shop.seen.push("x") == 3
    assert await shop.seen.range() == ["x", "a", "b"]


@pytest.mark.one_node
async def test_keys_are_told(db: Database) -> None:
    shop = Shop("a:b")
    assert (shop.seen.getkey(), shop.prices.getkey()) == ("shop/l/seen/a:b", "shop/l/p/a:b")
    with pytest.raises(ValidationError):
        Shop("").seen.getkey()


async def test_a_hash(db: Database, raw: Any) -> None:
    shop = await Shop.new("1").save()
    D = decimal.Decimal
    assert await shop.prices.set("tea", D("1.50")) is True
    assert await shop.prices.set("tea", D("1.60")) is False
    assert (await shop.prices.add("tea", D(9)), await shop.prices.add("milk", D(2))) == (False, True)
    assert await shop.prices.update({"ü": D(3), "": D(0), "tea": D(4)}) == 2
    assert raw.hgetall(shop.prices.getkey()) == {b"tea": b"4", b"milk": b"2", "ü".encode(): b"3", b"": b"0"}
    assert await shop.prices.items() == {"tea": D(4), "milk": D(2), "ü": D(3), "": D(0)}
    assert sorted(await shop.prices.keys()) == ["", "milk", "tea", "ü"]
    assert await shop.prices.get_many("tea", "no", "milk") == [D(4), None, D(2)]
    assert (await shop.prices.get("no"), await shop.prices.contains("ü")) == (None, True)
    assert (await shop.prices.pop("tea"), await shop.prices.pop("tea")) == (D(4), None)
    assert await shop.prices.discard("milk", "no") == 1
    assert await shop.prices.len() == 2
    assert await shop.stock.incr("tea", 2**53 + 3) == 2**53 + 3
    assert await shop.stock.incr("tea", -2) == 2**53 + 1
    raw.hset(shop.stock.getkey(), "tea", str(2**63 - 1))
    with pytest.raises(StoreError):
        await shop.stock.incr("tea")
    assert await shop.stock.get("tea") == 2**63 - 1
    for refused in (shop.prices, shop.few):
        with pytest.raises(UsageError, match="must be exact"):
            await refused.incr("tea")
    assert drift(raw, [Shop]) == []
    await shop.delete()
    assert raw.keys("*/l/*") == []


async def test_what_others_wrote_into_a_hash_is_corrupt_and_not_shown(db: Database, raw: Any) -> None:
    shop = await Shop.new("1").save()
    raw.hset(shop.stock.getkey(), b"\xff", "1")
    with pytest.raises(CorruptRecord):
        await shop.stock.keys()
    raw.delete(shop.stock.getkey())
    raw.hset(shop.stock.getkey(), "a", "secret")
    with pytest.raises(CorruptRecord) as caught:
        await shop.stock.items()
    assert "secret" not in str(caught.value)


async def test_sets_are_read_together(db: Database) -> None:
    one, other = await Shop.new("1").save(), await Shop.new("2").save()
    await one.likes.add(1, 2, 3)
    await other.likes.add(3, 4)
    assert await one.likes.union(other.likes) == {1, 2, 3, 4}
    assert await one.likes.intersection(other.likes, one.likes) == {3}
    assert await one.likes.difference(other.likes) == {1, 2}
    assert await one.likes.union() == {1, 2, 3}
    assert await one.likes.union(Shop("never").likes) == {1, 2, 3}
    assert await one.likes.contains_many(1, 9, 3) == [True, False, True]
    assert {*await one.likes.random(2)} < {1, 2, 3}
    assert len(await one.likes.random()) == 1
    assert await other.likes.pop() in {3, 4}
    for wrong in (other.words, [1], other.seen):
        with pytest.raises(UsageError):
            await one.likes.union(wrong)  # type: ignore[arg-type]


async def test_sets_of_records_that_are_over_count_for_nothing(db: Database, raw: Any) -> None:
    one, other = await Stall.new("1").save(), await Stall.new("2").save()
    await one.likes.add(1, 2)
    await other.likes.add(2, 3)
    before = db.round_trips
    assert await one.likes.union(other.likes) == {1, 2, 3}
    assert db.round_trips - before == 1
    raw.pexpireat(other.getkey(), 1)
    assert raw.smembers(other.likes.getkey()) == {b"2", b"3"}
    assert await one.likes.union(other.likes) == {1, 2}
    assert await one.likes.intersection(other.likes) == set()
    assert await one.likes.difference(other.likes) == {1, 2}
    assert await other.likes.difference(one.likes) == set()
    await one.expire(PAST)
    assert await one.likes.union(other.likes) == set()


async def test_another_database_is_none_to_combine_with(url: str, db: Database) -> None:
    @conf(prefix="shop", db=Database(url))
    class Far(Model):
        likes = SetOf(Integer())

    with pytest.raises(UsageError, match="different databases"):
        await Shop("1").likes.union(Far("1").likes)


async def test_sets_in_several_slots_are_not_read_together(clustered: Database) -> None:
    @conf(partitions=4, prefix="part")
    class Part(Model):
        likes = SetOf(Integer())

    parts = [await Part.new(str(n)).save() for n in range(8)]
    for part in parts:
        await part.likes.add(1)
    together = 0
    for other in parts[1:]:
        if other.likes.getkey().partition("}")[0] == parts[0].likes.getkey().partition("}")[0]:
            assert await parts[0].likes.union(other.likes) == {1}
            together += 1
        else:
            with pytest.raises(UsageError, match="different slots"):
                await parts[0].likes.union(other.likes)
    assert 0 < together < 7


async def test_trims_and_ranges_of_scores(db: Database) -> None:
    shop = await Shop.new("1").save()
    await shop.board.update(dict(zip("abcdef", range(6), strict=True)))
    assert await shop.board.between(1, 9, limit=2) == [("b", 1.0), ("c", 2.0)]
    assert await shop.board.between(1, 9, limit=2, reverse=True) == [("f", 5.0), ("e", 4.0)]
    assert await shop.board.count(2, float("inf")) == 4
    assert (await shop.board.contains("a"), await shop.board.contains("z")) == (True, False)
    assert await shop.board.trim_by_rank(0, 4) == 1
    assert await shop.board.pop_min() == [("b", 1.0)]
    assert await shop.board.trim_by_score(3, 4) == 2
    assert await shop.board.pop_max(5) == [("e", 4.0), ("d", 3.0)]
    assert await shop.board.pop_max() == []


async def test_bad_input_is_refused_before_any_io(db: Database, raw: Any) -> None:
    shop = Shop("1")
    refused: list[Callable[[], Any]] = [
        lambda: shop.seen.push("x" * 11),
        lambda: shop.seen.push(None, unique=True),  # type: ignore[arg-type]
        lambda: shop.seen.insert("a", before="x" * 11),
        lambda: shop.seen.set(0, "x" * 11),
        lambda: shop.seen.replace("a", None),  # type: ignore[arg-type]
        lambda: shop.prices.set("a", decimal.Decimal("0.001")),
        lambda: shop.prices.set(1, decimal.Decimal(1)),  # type: ignore[arg-type]
        lambda: shop.prices.get("\ud800"),
        lambda: shop.stock.incr("a", 2**63),
        lambda: shop.likes.contains_many(1, "x"),  # type: ignore[arg-type]
        lambda: shop.board.trim_by_score(float("nan"), 1),
        lambda: shop.board.count("a", 1),  # type: ignore[arg-type]
    ]
    for operation in refused:
        with pytest.raises(ValidationError):
            await operation()
    wrong: list[Callable[[], Any]] = [
        lambda: shop.seen.push(),
        lambda: shop.seen.insert("a"),
        lambda: shop.seen.insert("a", before="b", after="c"),
        lambda: shop.seen.set("0", "a"),  # type: ignore[arg-type]
        lambda: shop.seen.replace(*["a"] * 1001),
        lambda: shop.prices.update([("a", 1)]),  # type: ignore[arg-type]
        lambda: shop.prices.discard(),
        lambda: shop.likes.random(0),
        lambda: shop.board.pop_min(1001),
        lambda: shop.board.pop_max(0),
        lambda: shop.board.trim_by_rank(-2, 2),
        lambda: shop.board.between(0, 1, limit=0),
        lambda: Shop.new("1").stock.incr("a"),
    ]
    for operation in wrong:
        with pytest.raises(UsageError):
            await operation()
    for most in (0, -1, 1.5, True, "3", 2**32):
        with pytest.raises(UsageError, match="maxlen"):
            ListOf(String(), maxlen=most)  # type: ignore[arg-type]
    assert raw.keys("*") == []


async def test_without_a_record_nothing_is_changed(db: Database, raw: Any) -> None:
    shop = Shop("never")
    changes: list[Callable[[], Any]] = [
        lambda: shop.seen.push("a", unique=True),
        lambda: shop.seen.insert("a", before="b"),
        lambda: shop.seen.set(0, "a"),
        lambda: shop.seen.replace("a"),
        lambda: shop.likes.pop(),
        lambda: shop.board.pop_min(),
        lambda: shop.board.trim_by_rank(0, 0),
        lambda: shop.board.trim_by_score(0, 1),
        lambda: shop.stock.set("a", 1),
        lambda: shop.stock.add("a", 1),
        lambda: shop.stock.update({"a": 1}),
        lambda: shop.stock.incr("a"),
        lambda: shop.stock.pop("a"),
        lambda: shop.stock.discard("a"),
    ]
    for change in changes:
        with pytest.raises(Gone):
            await change()
    assert (await shop.stock.items(), await shop.stock.get_many("a"), await shop.likes.random()) == (
        {},
        [None],
        [],
    )
    assert raw.keys("*/l/*") == []


async def test_one_round_trip_each(proxied: Database, proxy: Proxy) -> None:
    shop = await Shop.new("1").save()
    await shop.stock.set("a", 1)
    verbs: list[tuple[str, Callable[[], Any]]] = [
        ("EVALSHA", lambda: shop.seen.push("a", "b", unique=True)),
        ("EVALSHA", lambda: shop.seen.insert("c", after="a")),
        ("EVALSHA", lambda: shop.seen.replace("a", "b")),
        ("EVALSHA", lambda: shop.stock.incr("a")),
        ("EVALSHA", lambda: shop.stock.pop("a")),
        ("EVALSHA", lambda: shop.board.trim_by_score(0, 1)),
        ("LPOS", lambda: shop.seen.contains("a")),
        ("SUNION", lambda: shop.likes.union(Shop("2").likes)),
        ("SMISMEMBER", lambda: shop.likes.contains_many(1, 2)),
        ("HGETALL", lambda: shop.stock.items()),
        ("ZCOUNT", lambda: shop.board.count(0, 1)),
    ]
    for command, verb in verbs:
        with proxy.count() as count:
            await verb()
        assert (count.trips, count.commands) == (1, [command])


DENIED: list[tuple[str, Callable[[Shop], Any]]] = [
    ("ltrim", lambda shop: shop.seen.push("new")),
    ("lpush", lambda shop: shop.seen.push("b", unique=True)),
    ("rpush", lambda shop: shop.seen.replace("new")),
    ("hdel", lambda shop: shop.stock.pop("a")),
    ("hget", lambda shop: shop.stock.incr("a")),
]


@pytest.mark.parametrize(("command", "verb"), DENIED, ids=[command for command, _ in DENIED])
async def test_of_several_commands_none_runs_if_one_is_denied(
    server: Server, db: Database, driver: str, command: str, verb: Callable[[Shop], Any]
) -> None:
    shop = await Shop.new("1").save()
    await shop.seen.append("a", "b")
    await shop.stock.set("a", 1)
    with server.client() as admin:
        rules = ["reset", "on", ">pw", "~*", "&*", "+@all", f"-{command}"]
        admin.execute_command("ACL", "SETUSER", "few", *rules)
        conf.db = few = Database(f"redis://few:pw@127.0.0.1:{server.port}/0")
        with pytest.raises(PermissionDenied):
            await verb(Shop("1"))
        conf.db = db
        few.close() if driver == "blocking" else await few.aclose()
        admin.execute_command("ACL", "DELUSER", "few")
    if server.kind != "redis62":  # which cannot be asked
        assert await shop.seen.range() == ["a", "b"]
    assert await shop.stock.items() == {"a": 1}


async def test_a_key_of_another_type_is_named_and_kept(db: Database, raw: Any) -> None:
    shop = await Shop.new("1").save()
    raw.set(shop.seen.getkey(), "x")
    raw.set(shop.stock.getkey(), "x")
    verbs: list[Callable[[], Any]] = [
        lambda: shop.seen.replace("a"),
        lambda: shop.seen.push("a", unique=True),
        lambda: shop.seen.set(0, "a"),
        lambda: shop.stock.incr("a"),
        lambda: shop.stock.items(),
    ]
    for verb in verbs:
        with pytest.raises(WrongType):
            await verb()
    assert (raw.get(shop.seen.getkey()), raw.get(shop.stock.getkey())) == (b"x", b"x")


# -- the blocking face -----------------------------------------------------------------------------


@conf(prefix="shop")
class BlockingShop(sync.Model):
    name = sync.String(index=True)
    seen = sync.ListOf(sync.String(maxlen=10), maxlen=3)
    notes = sync.ListOf(sync.String())
    likes = sync.SetOf(sync.Integer())
    words = sync.SetOf(sync.String())
    board = sync.SortedSet(sync.String())
    prices = sync.HashOf(sync.Decimal(places=2), field="p")
    stock = sync.HashOf(sync.Integer())
    few = sync.HashOf(sync.Integer(minval=0))


@pytest.mark.blocking_only
async def test_the_blocking_face_has_the_same_verbs(db: Database, raw: Any) -> None:
    shop, other = BlockingShop.new("1").save(), BlockingShop.new("2").save()
    assert (shop.seen.push("a", "b"), shop.seen.push("a", unique=True)) == (2, 2)
    assert (shop.seen.insert("c", before="b"), shop.seen.set(0, "x"), shop.seen.contains("c")) == (
        3,
        True,
        True,
    )
    assert (shop.seen.replace("y"), shop.seen.wait_pop(), shop.seen.wait_pop_first(0)) == (1, "y", None)
    assert (shop.likes.add(1, 2), other.likes.add(2)) == (2, 1)
    assert shop.seen.getkey() == Shop("1").seen.getkey()
    assert (shop.likes.union(other.likes), shop.likes.intersection(other.likes)) == ({1, 2}, {2})
    assert (shop.likes.difference(other.likes), shop.likes.contains_many(2, 3)) == ({1}, [True, False])
    assert ({*shop.likes.random(5)}, other.likes.pop()) == ({1, 2}, 2)
    with pytest.raises(UsageError, match="sets of records"):
        shop.likes.union(Shop("2").likes)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"not set$"):  # which may hold what no text shows
        shop.likes.union({1})  # type: ignore[arg-type]
    assert shop.board.update({"a": 1, "b": 2, "c": 3}) == 3
    assert (shop.board.count(1, 2), shop.board.contains("a"), shop.board.trim_by_rank(0, 1)) == (2, True, 1)
    assert (shop.board.pop_min(), shop.board.pop_max(), shop.board.trim_by_score(0, 1)) == (
        [("b", 2.0)],
        [("c", 3.0)],
        0,
    )
    assert (shop.stock.set("a", 1), shop.stock.add("a", 2), shop.stock.update({"b": 3})) == (True, False, 1)
    assert (shop.stock.incr("a", 4), shop.stock.get("a"), shop.stock.get_many("a", "z")) == (5, 5, [5, None])
    assert (shop.stock.items(), shop.stock.keys(), shop.stock.contains("b")) == (
        {"a": 5, "b": 3},
        ["a", "b"],
        True,
    )
    assert (shop.stock.pop("a"), shop.stock.discard("b"), shop.stock.len()) == (5, 1, 0)
    assert drift(raw, [BlockingShop]) == []


# -- values are those of every kind of field ----------------------------------------------------------

MOMENT = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
KINDS: list[tuple[Any, Any, bytes]] = [
    (String(), "ü\0", "ü\0".encode()),
    (Email(), "a@b.cc", b"a@b.cc"),
    (Bytes(), b"\xff\0", b"\xff\0"),
    (Integer(), 10**20, b"1" + b"0" * 20),
    (Float(), 0.1, b"0.1"),
    (Decimal(places=2), decimal.Decimal("1.5"), b"1.5"),
    (Bool(), False, b"0"),
    (DateTime(), MOMENT, b"1709208000"),
    (Date(), MOMENT.date(), b"2024-02-29"),
    (UUID(), uuid.UUID(int=1), b"0" * 31 + b"1"),
    (Enum(Colour), Colour.RED, b"red"),
    (Json[Any](), {"a": [1]}, b'{"a":[1]}'),
    (Tags(), {"a", "b"}, b'["a","b"]'),
    (Reference(Shop), Shop("1"), b"1"),
    (MD5Pass(), "5f4dcc3b5aa765d61d8327deb882cf99", b""),
]


@pytest.mark.memory_only
@pytest.mark.parametrize(("of", "value", "stored"), KINDS, ids=[type(of).__name__ for of, *_ in KINDS])
async def test_values_of_every_kind(db: Database, raw: Any, of: Any, value: Any, stored: bytes) -> None:
    class Holder(Model):
        some = ListOf(of, maxlen=5)
        named = HashOf(of)

    holder = await Holder.new("1").save()
    await holder.some.push(value, value, unique=True)
    await holder.named.set("a", value)
    (kept,) = raw.lrange(holder.some.getkey(), 0, -1)
    assert kept == stored or not stored
    (found,), items = await holder.some.range(), await holder.named.items()
    assert items == {"a": found}
    if stored:
        assert found == value
        assert await holder.some.contains(value)
    if not of.mutable:

        class Held(Model):
            some = SetOf(of)
            ranked = SortedSet(of)

        held = await Held.new("1").save()
        await held.some.add(value)
        await held.ranked.add(value, 1)
        assert await held.some.members() == {found}
        assert await held.ranked.top(1) == [(found, 1.0)]


# -- export, import --------------------------------------------------------------------------------


async def lines_of(model: Any) -> list[str]:
    return [line async for line in export_records(model)]


async def test_they_are_exported_and_imported(db: Database, raw: Any) -> None:
    shop = await Shop.new("1", name="a").save()
    await shop.stock.update({"b": 2, "a": 1, **{f"n{n}": n for n in range(900)}})
    raw.rpush(shop.seen.getkey(), *"abcde")  # longer than it may be: an older class had no bound
    raw.hset(shop.few.getkey(), b"\xff", "1")
    lines = await lines_of(Shop)
    before = {key: raw.dump(key) for key in raw.keys("*/l/*")}
    held = {"stock": await shop.stock.items(), "seen": await shop.seen.range()}
    assert '"collections_as_stored":["seen","few"]' in lines[1]
    await shop.delete()
    done = await import_records(lines, Shop)
    assert (done.records, done.left_out) == (1, 0)
    assert {*raw.keys("*/l/*")} == before.keys()
    assert {"stock": await shop.stock.items(), "seen": await shop.seen.range()} == held
    assert raw.hgetall(shop.few.getkey()) == {b"\xff": b"1"}
    assert drift(raw, [Shop]) == []
    await shop.delete()
    bad = [
        '{"id":"1","collections":{"seen":["a","b","c","d"]}}',
        '{"id":"2","collections":{"stock":[["a"]]}}',
        '{"id":"3","collections":{"stock":[["a","x"]]}}',
        '{"id":"4","collections":{"few":[[{"base64":"/w=="},"1"]]}}',
    ]
    done = await import_records([lines[0], *bad], Shop)
    assert (done.records, done.left_out) == (0, 4)
    assert raw.keys("*/l/*") == []
