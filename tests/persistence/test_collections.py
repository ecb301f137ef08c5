"""Collections of a record: their verbs, their values, and that they live and die with it."""

from __future__ import annotations

import asyncio
import datetime as dt
import decimal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from aioredisca import (
    CorruptRecord,
    Counter,
    Database,
    DateTime,
    Decimal,
    Gone,
    Json,
    ListOf,
    Model,
    OutcomeUnknown,
    PermissionDenied,
    Reference,
    SchemaMismatch,
    SessionClosed,
    SetOf,
    SortedSet,
    StoreError,
    String,
    UsageError,
    ValidationError,
    conf,
    reindex,
    session,
    sync,
)

from ..support.drift import drift
from ..support.hostile import hostile, is_text
from ..support.patience import insist
from ..support.proxy import Proxy
from ..support.servers import Server


class Fan(Model):
    name = String(index=True)


class Game(Model):
    title = String(unique=True)
    log = ListOf(String(maxlen=100))
    moves = ListOf(Json[Any]())
    times = ListOf(DateTime(), field="t")
    fans = SetOf(Reference(Fan))
    prizes = SetOf(Decimal(places=2))
    scores = SortedSet(String())
    visits = Counter()


# -- verbs -----------------------------------------------------------------------------------------


@pytest.mark.on_cluster
async def test_a_list(db: Database, raw: Any) -> None:
    game = await Game.new("1").save()
    assert await game.log.range() == []
    assert (await game.log.pop(), await game.log.pop_first(), await game.log.get(0)) == (None, None, None)
    assert await game.log.append("c", "d") == 2
    assert await game.log.prepend("a", "b") == 4
    assert await game.log.range() == ["a", "b", "c", "d"]
    assert await game.log.range(1, 2) == ["b", "c"]
    assert await game.log.range(-2) == ["c", "d"]
    assert (await game.log.get(0), await game.log.get(-1), await game.log.get(9)) == ("a", "d", None)
    assert (await game.log.pop(), await game.log.pop_first(), await game.log.len()) == ("d", "a", 2)
    assert await game.log.append("b", "x") == 4
    assert await game.log.remove("b") == 2
    await game.log.trim(-1, -1)
    assert await game.log.range() == ["x"]
    assert raw.lrange("game/l/log/1", 0, -1) == [b"x"]
    assert (await game.log.clear(), await game.log.clear()) == (True, False)
    assert repr(game.log) == "<Game('1').log>"


async def test_a_set(db: Database, raw: Any) -> None:
    game = await Game.new("1").save()
    assert await game.fans.add(Fan("a"), Fan("b"), "a") == 2  # type: ignore[arg-type]
    assert await game.fans.members() == {Fan("a"), Fan("b")}
    assert (await game.fans.contains(Fan("a")), await game.fans.contains(Fan("z"))) == (True, False)
    assert await game.fans.discard(Fan("a"), Fan("z")) == 1
    assert await game.fans.len() == 1
    assert raw.smembers("game/l/fans/1") == {b"b"}
    await game.prizes.add(decimal.Decimal("1.10"), decimal.Decimal("1.1"))
    assert raw.smembers("game/l/prizes/1") == {b"1.1"}
    assert await game.prizes.contains(decimal.Decimal("1.100"))
    assert await game.fans.clear()
    assert await game.fans.members() == set()


async def test_a_sorted_set(db: Database) -> None:
    game = await Game.new("1").save()
    assert await game.scores.add("ada", 3)
    assert not await game.scores.add("ada", 5)
    assert await game.scores.update({"bob": 7, "eve": 0.1, "ada": 4}) == 2
    assert await game.scores.incr("eve", 2.5) == 2.6
    assert await game.scores.incr("new") == 1.0
    assert await game.scores.top(2) == [("bob", 7.0), ("ada", 4.0)]
    assert await game.scores.bottom(1) == [("new", 1.0)]
    assert await game.scores.between(1, 4) == [("new", 1.0), ("eve", 2.6), ("ada", 4.0)]
    assert (await game.scores.rank("bob"), await game.scores.rank("nobody")) == (0, None)
    assert (await game.scores.score("eve"), await game.scores.score("nobody")) == (2.6, None)
    assert await game.scores.discard("eve", "nobody") == 1
    assert await game.scores.len() == 3


@pytest.mark.on_cluster
async def test_a_counter_is_exact_to_64_bits(db: Database) -> None:
    game = await Game.new("1").save()
    assert await game.visits.get() == 0
    assert (await game.visits.incr(), await game.visits.incr(-3)) == (1, -2)
    assert await game.visits.incr(2**53 + 3) == 2**53 + 1
    assert await game.visits.get() == 2**53 + 1
    await game.visits.clear()
    assert await game.visits.incr(2**63 - 1) == 2**63 - 1
    with pytest.raises(StoreError):
        await game.visits.incr()
    assert await game.visits.get() == 2**63 - 1


async def test_values_are_those_of_their_field(db: Database, raw: Any) -> None:
    game = await Game.new("1").save()
    moment = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
    await game.times.append(moment)
    assert raw.lrange("game/l/t/1", 0, -1) == [b"1709208000"]
    assert await game.times.range() == [moment]
    await game.moves.append({"b": 1, "a": [None]}, "text", 5)
    assert await game.moves.range() == [{"b": 1, "a": [None]}, "text", 5]
    texts = [text for text in hostile(3, 300) if is_text(text) and len(text) <= 100]
    await game.log.append(*texts)
    assert await game.log.range() == texts
    raw.rpush("game/l/t/1", "never")
    with pytest.raises(CorruptRecord) as caught:
        await game.times.range()
    assert (caught.value.field, "never" in str(caught.value)) == ("times", False)


async def test_what_cannot_be_held_is_refused_before_any_io(db: Database, raw: Any) -> None:
    game = Game("1")
    refused: list[Callable[[], Any]] = [
        lambda: game.log.append("x" * 101),
        lambda: game.log.append(None),  # type: ignore[arg-type]
        lambda: game.log.append("fine", "\ud800"),
        lambda: game.fans.add(Game("1")),  # type: ignore[arg-type]
        lambda: game.prizes.add(decimal.Decimal("0.001")),
        lambda: game.scores.add("x", float("nan")),
        lambda: game.scores.add("x", float("inf")),
        lambda: game.scores.add("x", "1"),  # type: ignore[arg-type]
        lambda: game.scores.incr("x", True),
        lambda: game.visits.incr(2**63),
        lambda: game.visits.incr(1.0),  # type: ignore[arg-type]
        lambda: Game("").log.append("x"),
    ]
    for operation in refused:
        with pytest.raises(ValidationError):
            await operation()
    wrong: list[Callable[[], Any]] = [
        lambda: game.log.append(),
        lambda: game.log.append(*["x"] * 1001),
        lambda: game.scores.top(0),
        lambda: Game.new("1").log.append("x"),
    ]
    for operation in wrong:
        with pytest.raises(UsageError):
            await operation()
    with pytest.raises(UsageError, match=r"Game\.log is a collection"):
        game.log = ["x"]  # type: ignore[assignment]
    assert raw.keys("*") == []


# -- they live and die with the record -------------------------------------------------------------


@pytest.mark.parametrize("of", [str, "String", None, String])
@pytest.mark.parametrize("kind", [ListOf, SetOf, SortedSet])
def test_what_is_no_field_holds_no_values(kind: Any, of: Any) -> None:
    with pytest.raises(UsageError, match=r"as in ListOf\(String\(\)\)"):
        kind(of)


async def fill(game: Game) -> None:
    await game.log.append("a")
    await game.moves.append(1)
    await game.fans.add(Fan("f"))
    await game.scores.add("x", 1)
    await game.visits.incr()


async def test_a_record_that_is_not_there_has_none(db: Database, raw: Any) -> None:
    for game in (Game("never"), await Game.new("1").save()):
        await Game("1").delete()
        changes: list[Callable[[], Any]] = [
            lambda game=game: game.log.append("a"),  # type: ignore[misc]
            lambda game=game: game.fans.add(Fan("f")),  # type: ignore[misc]
            lambda game=game: game.scores.incr("a"),  # type: ignore[misc]
            lambda game=game: game.visits.incr(),  # type: ignore[misc]
            lambda game=game: game.visits.clear(),  # type: ignore[misc]
        ]
        for change in changes:
            with pytest.raises(Gone) as caught:
                await change()
            assert caught.value.instance is game
        assert (await game.log.range(), await game.visits.get()) == ([], 0)
    assert raw.keys("*") == [b"game/meta"]


async def test_they_go_with_their_record_however_it_goes(db: Database, raw: Any) -> None:
    games = [await Game.new(id).save() for id in ("1", "a:b", "x/y", "ü")]
    for game in games:
        await fill(game)
    assert drift(raw, [Game]) == []
    assert len(raw.keys("game/l/*")) == 20
    await games[0].delete()
    await Game.delete_many(["a:b"])
    async with session(autosave=True) as work:
        work.delete(Game("x/y"))
    assert drift(raw, [Game]) == []
    assert len(raw.keys("game/l/*")) == 5
    again = await Game.new("1").save()
    assert await again.log.range() == []
    raw.delete("game:ü")  # a foreign delete leaves them, and the check sees it
    assert len([text for text in drift(raw, [Game]) if "belongs to no record" in text]) == 5
    assert not await games[3].delete()
    assert drift(raw, [Game]) == []


@pytest.mark.one_slot
@pytest.mark.on_cluster
async def test_they_go_with_a_cascade(db: Database, raw: Any) -> None:
    class Club(Model):
        name = String()

    @conf(prefix="squad")  # other tests have teams, and references to them
    class Team(Model):
        club = Reference(Club, index=True, on_delete="cascade")
        log = ListOf(String())

    await Club.new("1").save()
    team = await Team.new("1", club="1").save()
    await team.log.append("x")
    await Club("1").delete()
    assert sorted(raw.keys("*")) == [b"club/meta", b"squad/meta"]


@pytest.mark.asyncio_only
async def test_writes_and_deletes_at_once_leave_no_orphan(db: Database, raw: Any) -> None:
    await Game.save_many([Game.new(str(i)) for i in range(50)])
    writes = (insist(partial(Game(str(i % 50)).log.append, "x")) for i in range(500))
    deletes = (insist(Game(str(i)).delete) for i in range(50))
    results = await asyncio.gather(*writes, *deletes, return_exceptions=True)
    assert {type(result) for result in results} <= {int, bool, Gone}
    assert drift(raw, [Game]) == []
    await Game.new("n").save()
    await asyncio.gather(*(insist(Game("n").visits.incr) for _ in range(500)))
    assert await Game("n").visits.get() == 500


async def test_a_class_that_does_not_know_them_may_not_write_once_the_other_took_over(
    url: str, db: Database, raw: Any
) -> None:
    @conf(prefix="game", db=Database(url))
    class Older(Model):
        title = String(unique=True)

    older = await Older.new("0", title="t").save()
    game = await Game.new("1").save()
    await fill(game)
    assert [found.id for found in await Game.all()] == ["0", "1"]  # a collection needs not be built
    await reindex(Game, force=True)
    with pytest.raises(SchemaMismatch, match="took its place"):
        await older.delete()  # it would leave the collections behind
    assert raw.hget("game/meta", "e:l:log") == b"ready"
    await reindex(Older)
    assert await game.log.range() == ["a"]  # what only a collection holds is not thrown away
    with pytest.raises(SchemaMismatch):
        await game.log.append("b")
    await reindex(Game)
    await game.log.append("b")
    assert drift(raw, [Game]) == []


async def test_reindex_keeps_them(db: Database, raw: Any) -> None:
    game = await Game.new("1", title="t").save()
    await fill(game)
    done = await reindex(Game, everything=True)
    assert (done.records, done.problems, done.built) == (1, [], ("u:title",))
    assert (await game.log.range(), await game.visits.get()) == (["a"], 1)
    assert drift(raw, [Game]) == []


# -- declarations, sessions, faults ----------------------------------------------------------------


def test_declarations_that_cannot_be_are_refused() -> None:
    refused: list[Callable[[], Any]] = [
        lambda: ListOf(String(index=True)),
        lambda: SetOf(Json[Any]()),
        lambda: SortedSet(Json[Any]()),
        lambda: type("Bad", (Model,), {"save": Counter()}),
        lambda: type("Bad", (Model,), {"_log": Counter()}),
        lambda: type("Bad", (Model,), {"log": Counter(field="a/b")}),
        lambda: type("Bad", (Model,), {"a": Counter(field="x"), "b": Counter(field="x")}),
    ]
    for make in refused:
        with pytest.raises(UsageError):
            make()


async def test_late_inherited_and_hidden_collections(db: Database, raw: Any) -> None:
    class Shared:
        log = ListOf(String())

    class Base(Shared, Model):
        name = String()

    class Child(Base):
        log = None  # type: ignore[assignment]
        extra = Counter()

    Base.late = Counter()  # type: ignore[attr-defined]
    assert Base.__mapper__.schema(db).collections == ("log", "late")
    assert Child.__mapper__.schema(db).collections == ("late", "extra")
    base = await Base.new("1").save()
    await base.log.append("x")
    assert await base.late.incr() == 1  # type: ignore[attr-defined]
    assert sorted(Base.getfields()) == ["name"]
    assert base.export() == {}
    with pytest.raises(UsageError, match="in use already"):
        Base.later = Counter()  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match="in use already"):
        del Base.late  # type: ignore[attr-defined]


async def test_a_closed_session_changes_nothing(db: Database) -> None:
    await Game.new("1").save()
    async with session():
        game = await Game.get("1")
        await game.log.append("x")
    with pytest.raises(SessionClosed):
        await game.log.append("y")
    assert await game.log.range() == ["x"]


async def test_one_round_trip_each(proxied: Database, proxy: Proxy) -> None:
    game = await Game.new("1").save()
    await fill(game)
    verbs: list[tuple[str, Callable[[], Any]]] = [
        ("EVALSHA", lambda: game.log.append("x", "y")),
        ("EVALSHA", lambda: game.log.pop()),
        ("EVALSHA", lambda: game.scores.update({"a": 1, "b": 2})),
        ("EVALSHA", lambda: game.visits.incr()),
        ("LRANGE", lambda: game.log.range(0, 9)),
        ("SMEMBERS", lambda: game.fans.members()),
        ("ZREVRANGE", lambda: game.scores.top(10)),
        ("GET", lambda: game.visits.get()),
        ("EVALSHA", lambda: game.delete()),
    ]
    for command, verb in verbs:
        with proxy.count() as count:
            await verb()
        assert (count.trips, count.commands) == (1, [command])


async def test_a_change_without_an_answer_is_unknown(proxied: Database, proxy: Proxy) -> None:
    game = await Game.new("1").save()
    await game.visits.incr()
    proxy.lose_next_reply()
    with pytest.raises(OutcomeUnknown):
        await game.visits.incr()
    assert await game.visits.get() == 2  # it was sent, and not sent twice


async def test_a_missing_right_is_named(server: Server, db: Database, driver: str) -> None:
    await Game.new("1").save()
    with server.client() as admin:
        rules = ["reset", "on", ">secret", "~*", "&*", "+@all", "-rpush"]
        admin.execute_command("ACL", "SETUSER", "app", *rules)
        restricted = Database(f"redis://app:secret@127.0.0.1:{server.port}/0")
        async with session(restricted):
            with pytest.raises(PermissionDenied):
                await Game("1").log.append("x")
        admin.acl_deluser("app")
    restricted.close() if driver == "blocking" else await restricted.aclose()


# -- the blocking face -----------------------------------------------------------------------------


@conf(prefix="game")
class BlockingGame(sync.Model):
    title = sync.String(unique=True)
    log = sync.ListOf(sync.String(maxlen=100))
    moves = sync.ListOf(sync.Json[Any]())
    times = sync.ListOf(sync.DateTime(), field="t")
    fans = sync.SetOf(sync.String())
    prizes = sync.SetOf(sync.Decimal(places=2))
    scores = sync.SortedSet(sync.String())
    visits = sync.Counter()


@pytest.mark.blocking_only
async def test_the_blocking_face_has_the_same_verbs(db: Database, raw: Any) -> None:
    game = BlockingGame.new("1").save()
    assert (game.log.append("b", "c"), game.log.prepend("a"), game.log.range(0, 1)) == (2, 3, ["a", "b"])
    assert (game.log.pop(), game.log.pop_first(), game.log.get(0), game.log.len()) == ("c", "a", "b", 1)
    game.log.trim(0, 0)
    assert (game.log.remove("b"), game.log.clear()) == (1, False)
    assert (game.fans.add("a", "b"), game.fans.discard("a"), game.fans.contains("b")) == (2, 1, True)
    assert (game.fans.members(), game.fans.len()) == ({"b"}, 1)
    assert (game.scores.add("a", 1), game.scores.update({"b": 2}), game.scores.incr("a", 4)) == (True, 1, 5)
    assert (game.scores.top(1), game.scores.bottom(1)) == ([("a", 5.0)], [("b", 2.0)])
    assert (game.scores.between(0, 3), game.scores.score("a"), game.scores.rank("b")) == ([("b", 2.0)], 5, 1)
    assert (game.scores.discard("a"), game.scores.len(), game.visits.incr(2), game.visits.get()) == (
        1,
        1,
        2,
        2,
    )
    assert repr(game.visits) == "<BlockingGame('1').visits>"
    assert drift(raw, [BlockingGame]) == []
    game.delete()
    assert raw.keys("*") == [b"game/meta"]


@pytest.mark.blocking_only
async def test_the_blocking_face_counts_and_obtains(db: Database) -> None:
    class User(sync.Model):
        email = sync.Email(unique=True)
        seen = sync.Integer(index=True)

    user, created = User.get_or_create(email="a@b.cc", defaults={"seen": 1})
    assert (created, user.incr(User.seen, 4), user.seen) == (True, 5, 5)
    user, created = User.update_or_create(email="a@b.cc", defaults={"seen": 9})
    assert (created, user.seen) == (False, 9)


def test_both_faces_have_the_same_views() -> None:
    from aioredisca.persistence import collections as views
    from aioredisca.sync import collections as sync_views

    for name in ("ListHandle", "SetHandle", "SortedHandle", "HashHandle", "CounterHandle"):
        one, other = getattr(views, name), getattr(sync_views, name)
        verbs = [verb for verb in dir(one) if not verb.startswith("_")]
        assert verbs == [verb for verb in dir(other) if not verb.startswith("_")]
        for verb in verbs:
            assert getattr(one, verb).__doc__ == getattr(other, verb).__doc__
            assert getattr(one, verb).__annotations__ == getattr(other, verb).__annotations__
