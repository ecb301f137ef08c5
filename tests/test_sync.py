"""The blocking face: the same words without await, the same answers, and where it may not run."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import gc
import inspect
import os
import re
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis
import redis.asyncio

import aioredisca
from aioredisca import Database, DriverMisuse, Model, NotFound, UsageError, conf, session, sync
from aioredisca.sync import Email, Integer, Reference, String, allow_blocking, iterate, run

from .support.drift import drift
from .support.servers import Server


class User(sync.Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    friend = Reference("User")


class Admin(User):
    pass


class Twin(Model):
    name = String(index=True)
    age = Integer(index=True)


# -- the whole tour, blocking ----------------------------------------------------------------------


def test_a_tour_without_await(url: str, db: Database, raw: Any) -> None:
    user = User.new("1", email="a@b.cc", name="Ada", age=3).save()
    assert user.exists()
    assert User("1").load(raw=True).raw_export() == {"email": "a@b.cc", "name": "Ada", "age": 3}
    assert User.get("1") == user
    assert User.get_many(["1", "2"]) == [user, None]
    with pytest.raises(NotFound):
        User.get("2")
    assert User.email.find("a@b.cc") == [user]
    assert User.name.find("Ada") == User.age.range(minval=3) == [user]
    assert User.name.choice("Ada") == [user]
    assert User.name.choice("nobody") is None
    user.age = 4
    user.save(if_unchanged=True)
    assert raw.hget("user:1", "age") == b"4"
    assert user.reload().age == 4
    assert User.save_many([User.new(str(i), age=i) for i in range(5, 9)]) == []
    assert User.all().count() == 5
    assert User.delete_many(["5", "6", "nobody"]) == 2
    assert user.delete()
    assert not user.delete()
    assert drift(raw, [User]) == []


def test_reading_what_is_not_loaded_loads_it(url: str, db: Database, raw: Any) -> None:
    User.new("1", name="Ada", friend="2").save()
    User.new("2", name="Bob").save()
    user = User("1")
    before = db.round_trips
    assert user.name == "Ada"
    assert user.age is None
    assert db.round_trips == before + 1
    assert user.friend is not None
    assert user.friend.name == "Bob"
    assert db.round_trips == before + 2
    raw.hset("user:1", "extra", "5")
    fresh = User("1")
    assert fresh["extra"] == "5"
    assert len(fresh) == 3
    assert User("1")["name"] == "Ada"
    assert User("nobody").name is None
    assert not hasattr(User("1"), "__await__")


def test_a_blocking_query_is_fetched_once_when_it_is_looked_at(url: str, db: Database) -> None:
    User.save_many([User.new(str(i), age=i) for i in range(5)])
    assert User.age.find(77) == []  # the server knows the script from here on
    query = User.age >= 1
    before = db.round_trips
    assert not query.loaded()
    assert len(query) == 4
    assert query[0].age == 1
    assert [user.age for user in query[1:3]] == [2, 3]
    assert User("3") in query
    assert [user.age for user in query] == [1, 2, 3, 4]
    assert query.loaded()
    assert db.round_trips == before + 1
    User("3").delete()
    assert len(query) == 4
    query.unload()
    assert len(query) == 3
    first, one = query.first(), (User.age == 4).one()
    assert first is not None
    assert (first.id, one.id) == ("1", "4")
    assert query.exists()
    assert query.count() == 3
    assert query.ids() == ["1", "2", "4"]
    assert [user.id for user in query.limit(2)] == ["1", "2"]
    assert [user.id for user in query.stream()] == ["1", "2", "4"]
    with pytest.raises(TypeError, match="a query has no truth value"):
        bool(query)


class Item(sync.Model):
    name = String(index="sorted")
    kind = String(index=True)
    size = Integer(index=True)
    labels = sync.Tags(index=True)
    plain = String()
    owner = Reference(User, index=True)


def test_every_verb_of_a_blocking_query(url: str, db: Database, raw: Any) -> None:
    """Each verb of test_query_verbs.py once without await, by what it gives."""
    User.new("ada", name="Ada", age=36).save()
    kinds = ["a", "b", "a", "b", None, "a"]
    Item.save_many(
        [
            Item.new(str(i), name=f"n{5 - i}", kind=kind, size=i or None, labels={f"l{i % 2}"}, owner="ada")
            for i, kind in enumerate(kinds)
        ]
    )
    a, big = Item.kind == "a", Item.size >= 3

    def names(found: Any) -> str:
        return "".join(item.id for item in found)

    assert names(a & big) == "5"
    assert names(a | big) == "02345"
    assert names(~a) == "134"
    assert names(Item.where(a, ~big)) == "02"
    assert names(a.where(big)) == "5"
    assert names(Item.size.in_([1, None])) == "01"
    assert names(Item.kind.not_in(["a", None])) == "13"
    assert names(Item.size.between(2, 3)) == "23"
    assert names(Item.size.is_none()) == "0"
    assert names(Item.kind.not_none() & Item.name.startswith("n5")) == "0"
    assert names(Item.labels.has("l1")) == "135"
    assert names(Item.labels.has_all(["l0", "l1"])) == ""
    assert names(Item.labels.has_any(["l0", "l1"])) == "012345"
    assert names(Item.owner.of(User("ada")) & a) == "025"
    assert names(Item.all().order_by(Item.kind.desc(), Item.size)) == "132504"
    assert names(Item.all().order_by(Item.size.desc()).limit(3).offset(1)) == "432"
    assert names((Item.plain == None).scan()) == "012345"  # noqa: E711
    assert [item.id for item in big.stream()] == ["3", "4", "5"]
    assert (len(a), a[1].id, names(a[1:]), Item("2") in a, Item("1") in a) == (3, "2", "25", True, False)
    assert a.values(Item.size, Item.name) == [(None, "n5"), (2, "n3"), (5, "n0")]
    assert big.values(Item.size) == [3, 4, 5]
    assert Item.all().aggregate(Item.size).sum == 15
    assert Item.all().aggregate(by=Item.kind)["a"].count == 3
    assert len(a.random(2)) == 2
    assert {item.id for item in a.random(2)} <= {"0", "2", "5"}
    assert (a.count(), a.exists(), (Item.kind == "z").exists()) == (3, True, False)
    assert (Item.kind == "z").one_or_none() is None
    assert (Item.size == 3).one_or_none() == Item("3")
    with pytest.raises(UsageError, match="more than one"):
        a.one_or_none()
    (part,) = (Item.size == 3).only(Item.name)
    assert part.name == "n2"
    before = db.round_trips
    assert part.kind == "b"  # what was left out is loaded when it is read
    assert db.round_trips == before + 1
    loaded = a.prefetch(Item.owner).load()
    before = db.round_trips
    assert [item.owner.name for item in loaded if item.owner] == ["Ada"] * 3
    assert db.round_trips == before
    page = Item.all().order_by(Item.size).page(4)
    assert names(page) == "1234"
    assert names(Item.all().order_by(Item.size).page(4, after=page.next)) == "50"
    assert a.explain().count == 3
    assert a.update(plain="x") == 3
    assert a.incr(Item.size, 10) == 3
    assert Item("0").load().size == 10
    assert a.delete() == 3
    assert names(Item.all()) == "134"
    assert drift(raw, [Item, User]) == []


def test_bounds_may_be_text_as_in_redisca(url: str, db: Database) -> None:
    User.save_many([User.new(str(i), age=i) for i in range(6)])
    assert [u.age for u in User.age.range("(1", "4")] == [2, 3, 4]
    assert [u.age for u in User.age.range("-inf", "(2")] == [0, 1]
    assert [u.age for u in User.age.range(minval="4", maxval="+inf")] == [4, 5]
    with pytest.raises(aioredisca.ValidationError):
        User.age.range("", 5)


def test_sessions_block_too(url: str, db: Database, raw: Any) -> None:
    with sync.session(autosave=True) as unit:
        user = User.new("1", name="Ada")
        assert User("1") is user
        Admin.new("2", name="Bob")
        unit.flush()
        assert raw.exists("user:1", "admin:2") == 2
        User.save_all()
        user.name = "Eve"
        with sync.session(join=True) as joined:
            assert joined is unit
    assert raw.hget("user:1", "name") == b"Eve"
    with pytest.raises(ZeroDivisionError):
        with sync.session(autosave=True):
            User("1").name = "x"
            raise ZeroDivisionError
    assert raw.hget("user:1", "name") == b"Eve"
    assert [u.name for u in User.name.find("Eve", children=True)] == ["Eve"]


# -- one core for both -----------------------------------------------------------------------------

BLOCKING_ONLY = {"allow_blocking", "iterate", "run"}
ASYNC_ONLY = {"Reindexed", "reindex"}  # reindex is run by `run(reindex(Model))`, as any operation


def test_both_faces_export_the_same_names() -> None:
    assert set(sync.__all__) - BLOCKING_ONLY == set(aioredisca.__all__) - ASYNC_ONLY
    for name in set(sync.__all__) & set(aioredisca.__all__) - {
        "Model",
        "Column",
        "Query",
        "Session",
        "session",
    }:
        assert getattr(sync, name) is getattr(aioredisca, name)


PAIRS = [(Model, sync.Model), (aioredisca.Column, sync.Column), (aioredisca.Session, sync.Session)]
PAIRS.append((aioredisca.Query, sync.Query))
QUERY_ONLY_BLOCKING = {"load", "loaded", "unload", "stream"}


@pytest.mark.parametrize(("coloured", "blocking"), PAIRS, ids=lambda given: given.__name__)
def test_every_public_verb_exists_in_both_colours_with_one_signature_and_one_doc(
    coloured: Any, blocking: Any
) -> None:
    mine = {name for name in dir(coloured) if not name.startswith("_") and name != "mro"}
    theirs = {name for name in dir(blocking) if not name.startswith("_") and name != "mro"}
    assert theirs - mine == (QUERY_ONLY_BLOCKING if coloured is aioredisca.Query else set())
    assert mine <= theirs
    for name in mine:
        ours, other = inspect.getattr_static(coloured, name), inspect.getattr_static(blocking, name)
        ours, other = getattr(ours, "__func__", ours), getattr(other, "__func__", other)
        if not inspect.isfunction(ours) or ours is other:
            continue
        assert list(inspect.signature(ours).parameters) == list(inspect.signature(other).parameters), name
        assert not inspect.iscoroutinefunction(other), name
        assert first_line(ours) == first_line(other), name
    assert inspect.iscoroutinefunction(Model.save)
    assert inspect.iscoroutinefunction(Model.get)
    assert not inspect.iscoroutinefunction(sync.Model.get)


def test_queries_and_columns_say_the_same_in_both_colours() -> None:
    """Whole docstrings, not first lines: one verb costs the same either way."""
    for coloured, blocking in (PAIRS[1], PAIRS[3]):
        for name in dir(coloured):
            verb = getattr(coloured, name)
            if not name.startswith("_") and inspect.isfunction(verb):
                ours, theirs = inspect.getdoc(verb), inspect.getdoc(getattr(blocking, name))
                assert ours == theirs or name == "range", name  # blocking ranges take redisca's text too


def test_every_verb_says_what_it_costs() -> None:
    for kind in (aioredisca.Model, aioredisca.Query, aioredisca.Column, aioredisca.Session):
        for name in dir(kind):
            verb = inspect.getattr_static(kind, name)
            verb = getattr(verb, "__func__", verb)
            if not name.startswith("_") and inspect.isfunction(verb):
                assert re.search("No I/O|round trip", inspect.getdoc(verb) or ""), f"{kind.__name__}.{name}"
    for load in (Model.get, sync.Model.get):
        assert "HMGET, one round trip" in (inspect.getdoc(load) or "")


def first_line(function: Any) -> str:
    return re.sub(r"\s+", " ", (inspect.getdoc(function) or "undocumented").partition("\n")[0])


async def test_both_colours_of_one_declaration_share_the_store(db: Database, raw: Any) -> None:
    @conf(prefix="twin")
    class Blocking(sync.Model):
        name = String(index=True)
        age = Integer(index=True)

    await Twin.new("1", name="Ada", age=3).save()
    with allow_blocking():
        found = Blocking.name.find("Ada")
        assert [record.age for record in found] == [3]
        found[0].age = 4
        found[0].save()
    assert (await Twin.get("1")).age == 4
    assert drift(raw, [Twin]) == []


# -- run -------------------------------------------------------------------------------------------


def test_run_finishes_any_operation_of_the_library(url: str, db: Database) -> None:
    user = run(Twin.new("1", name="Ada", age=1).save())
    assert run(Twin.get("1")) == user
    assert run(Twin("1")) == user
    assert run(Twin.age >= 0) == [user]
    assert run(Twin.age.find(1)) == [user]
    assert list(iterate(aiter(Twin.all()))) == [user]
    with pytest.raises(NotFound):
        run(Twin.get("nobody"))


async def test_run_refuses_to_stop_a_running_loop(db: Database, driver: str) -> None:
    if driver == "blocking":
        assert run(Twin("1").exists()) is False  # nothing runs here that could be stopped
        return
    with pytest.raises(DriverMisuse, match="blocking code inside a running task would stop its event loop"):
        run(Twin("1").exists())
    with pytest.raises(DriverMisuse, match=r"with allow_blocking\(\)"):
        User.get("1")
    with allow_blocking():
        assert User("1").exists() is False
    with pytest.raises(DriverMisuse):
        User("1").exists()


async def test_blocking_may_be_allowed_for_good(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf, "allow_blocking", True)
    assert User("1").exists() is False


async def test_ipython_whose_cells_run_in_a_loop_may_block(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builtins, "__IPYTHON__", True, raising=False)
    assert User("1").exists() is False


@pytest.mark.asyncio_only
async def test_a_callback_of_a_loop_is_no_task_and_may_block(db: Database) -> None:
    answers = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: answers.set_result(User("1").exists()))
    assert await answers is False


def test_run_refuses_what_awaits_more_than_the_database() -> None:
    async def sleeper() -> None:
        await asyncio.sleep(0)

    with pytest.raises(DriverMisuse, match="awaited something that is not this library's database"):
        run(sleeper())

    async def items() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0)

    it = iterate(items())
    assert next(it) == 1
    with pytest.raises(DriverMisuse):
        next(it)


def test_an_awaitable_without_a_loop_is_told() -> None:
    """As by a framework that drives coroutines by hand."""
    operation = Twin("1").exists()
    with pytest.raises(DriverMisuse, match=r"no asyncio event loop is running: await this under asyncio"):
        operation.send(None)


# -- loops, threads, processes ---------------------------------------------------------------------


def test_one_database_serves_one_loop_after_another(url: str, db: Database) -> None:
    async def work() -> int:
        await Twin.new(age=1).save()
        return await Twin.all().count()

    assert [asyncio.run(work()) for _ in range(3)] == [1, 2, 3]


def test_loops_of_several_threads_work_side_by_side(url: str, db: Database) -> None:
    async def work(number: int) -> None:
        for i in range(20):
            await Twin.new(f"{number}-{i}", age=i).save()

    threads = [threading.Thread(target=lambda n=n: asyncio.run(work(n))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run(Twin.all().count()) == 80


def test_threads_share_blocking_models(url: str, db: Database, raw: Any) -> None:
    errors = list[BaseException]()

    def work(number: int) -> None:
        try:
            for i in range(25):
                User.new(f"{number}-{i}", name="x", age=i).save()
                assert User.get(f"{number}-{i}").age == i
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert User.name.find("x") == sorted(User.all(), key=lambda user: user.id)
    assert len(User.all()) == 200
    assert drift(raw, [User]) == []


class Language(sync.Model):
    code = String()


class LookedUp(sync.Json[dict[str, str]]):
    """Its values are checked by a look into the database, as blocking code may."""

    def check(self, value: Any) -> None:
        super().check(value)
        if not Language(value["lang"]).exists():
            raise ValueError("is in no language that is known")


class Text(sync.Model):
    data = LookedUp()


@pytest.mark.parametrize("limit", [1, 2])
def test_bulk_writes_whose_fields_ask_the_database_do_not_wait_for_each_others_connections(
    server: Server, limit: int
) -> None:
    """The known-bad way: each holds a connection and waits for another, until the time is up."""
    conf.db = Database(server.url, max_connections=limit, timeout=2)
    Language.new("en", code="en").save()
    texts = [Text.new(str(number), data={"lang": "en"}) for number in range(12)]
    Text.save_many(texts)
    for text in texts:
        assert text.data is not None
        text.data["more"] = "x"
    texts[-1].data = {"lang": "en", "more": "y"}
    halves = [
        threading.Thread(target=Text.save_many, args=(texts[half::2],), kwargs={"batch": 1})
        for half in (0, 1)
    ]
    started = time.monotonic()
    for thread in halves:
        thread.start()
    for thread in halves:
        thread.join()
    assert time.monotonic() - started < 1
    assert [text.getdiff() for text in texts] == [{}] * 12
    assert conf.db._transports.blocking is not None
    assert len(conf.db._transports.blocking._idle) <= limit
    conf.db.close()


@pytest.mark.parametrize("how", ["blocking", "asyncio"])
def test_a_fork_opens_connections_of_its_own(server: Server, db: Database, how: str) -> None:
    """As under gunicorn --preload: the parent used its connections before."""
    User.new("parent", age=1).save()
    asyncio.run(touch_and_close(db))
    pid = os.fork()
    if pid == 0:
        try:
            if how == "blocking":
                for i in range(20):
                    User.new(f"child{i}", age=2).save()
            else:
                asyncio.run(create_children())
            os._exit(0)
        except BaseException:
            os._exit(1)
    for i in range(20):
        User.new(f"parent{i}", age=1).save()
    assert os.waitpid(pid, 0)[1] == 0
    assert User.all().count() == 41


async def touch_and_close(db: Database) -> None:
    with allow_blocking():
        User("x").exists()
    async with session():
        await Twin("x").exists()
    await db.aclose()


async def create_children() -> None:
    with allow_blocking():
        for i in range(20):
            User.new(f"child{i}", age=2).save()


# -- where databases come from ---------------------------------------------------------------------


def test_memory_databases_are_private_or_shared_by_name() -> None:
    one, two = Database("memory://"), Database("memory://")
    shared, again = Database("memory://shop"), Database("memory://shop")
    for first, second, seen in ((one, two, False), (shared, again, True)):
        with sync.session(first):
            User.new("1", name="Ada").save()
        with sync.session(second):
            assert User("1").exists() is seen
    for database in (one, two, shared, again):
        database.close()


@pytest.mark.parametrize("url", ["http://x", "redis:/x", "redis://", "localhost:6379", "redis://h:p/0", ""])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Database(url)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://localhost/shop", "'shop' is no number of a database"),
        ("redis://localhost/0/1", "'0/1' is no number of a database"),
        ("redis://localhost/0?timeout=3&max_conections=5", "unknown option: max_conections, timeout"),
        ("redis://localhost/0?socket_timeout=soon", "Invalid value for 'socket_timeout'"),
    ],
)
def test_a_slip_in_a_url_is_told_and_not_passed_over(url: str, text: str) -> None:
    """redis-py would write into database 0 and leave out the option."""
    with pytest.raises(UsageError, match=text):
        Database(url)
    assert Database("redis://localhost/0?decode_responses=True&ssl_cert_reqs=none&client_name=shop")


def test_senseless_limits_are_refused() -> None:
    for name in ("max_connections", "timeout", "connect_timeout"):
        with pytest.raises(UsageError, match=rf"{name}=0\): must be more than 0"):
            Database("memory://", **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        Database("memory://", namespace="a b")
    with pytest.raises(UsageError, match="a database is a URL or a redis-py client, not int"):
        Database(5)


def test_urls_carry_databases_limits_and_unix_sockets(server: Server) -> None:
    port = server.port
    database = Database(f"valkey://127.0.0.1:{port}/3?max_connections=2&socket_timeout=1.5")
    with sync.session(database):
        User.new("1", name="Ada").save()
    with server.client() as client:
        client.select(3)
        assert client.exists("user:1")
    assert (database._address.max_connections, database._address.timeout) == (2, 1.5)
    database.close()
    assert repr(Database("unix:///run/redis.sock?db=2")).startswith("<Database unix:///run/redis.sock")


async def test_a_client_that_is_handed_in_is_read_and_not_used(server: Server, driver: str) -> None:
    port = server.port
    strange: list[Any] = [
        redis.Redis(port=port, db=1, decode_responses=True, protocol=3),
        redis.asyncio.Redis(port=port, db=1, decode_responses=True, protocol=3),
    ]
    for client in strange:
        database = Database(client)
        async with session(database):
            await Twin.new("1", name="\u00e4", age=1).save()
            assert (await Twin.get("1")).name == "\u00e4"
            assert await (Twin.age >= 0).count() == 1
        assert repr(database) == f"<Database localhost:{port}/1>"
        if driver == "asyncio":
            await database.aclose()
        database.close()
        if isinstance(client, redis.Redis):
            client.close()
        async with session(database):
            await Twin("1").delete()  # it can be used again
        await database.aclose() if driver == "asyncio" else database.close()
    await strange[1].aclose() if driver == "asyncio" else None


@pytest.mark.asyncio_only
async def test_connections_are_bounded_and_reused(server: Server) -> None:
    before = server.clients()
    database = Database(server.url, max_connections=3)
    async with session(database):
        await asyncio.gather(*(Twin(str(i)).exists() for i in range(200)))
    assert len(server.clients() - before) <= 3
    await database.aclose()


@pytest.mark.asyncio_only
async def test_a_storm_of_cancellations_mixes_nothing_up(db: Database, raw: Any) -> None:
    """Each answer names its id, so an answer that reached the wrong caller would show."""
    await Twin.save_many([Twin.new(str(i), name=f"n{i}", age=i) for i in range(50)])
    wrong = answered = 0

    async def ask(number: int) -> None:
        nonlocal wrong, answered
        twin = await Twin.get(str(number % 50))
        answered += 1
        wrong += twin.name != f"n{number % 50}"

    for wave in range(40):
        tasks = [asyncio.create_task(ask(wave * 50 + i)) for i in range(50)]
        await asyncio.sleep(0.0004 * (wave % 5))
        for task in tasks[:: 1 + wave % 3]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert wrong == 0
    assert answered > 100
    assert await Twin.all().count() == 50
    assert drift(raw, [Twin]) == []
    await db.aclose()


class Request:
    """What a context variable of a program may hold."""


_request: contextvars.ContextVar[Request] = contextvars.ContextVar("request")


@pytest.mark.asyncio_only
@pytest.mark.parametrize("control", [False, True])
async def test_no_task_is_pinned_to_the_first_request(url: str, control: bool) -> None:
    """What the library starts in the background must not inherit the context of whoever came first.

    A session would not show it, for it is cleared when it closes. The control is a task that does inherit.
    """
    database, stop = Database(url, timeout=0.1), asyncio.Event()
    token = _request.set(Request())
    reference = weakref.ref(_request.get())
    async with session(database):
        with allow_blocking():
            User("1").exists()
        await Twin("1")
    task = asyncio.create_task(stop.wait()) if control else None
    _request.reset(token)
    del token
    await asyncio.sleep(0.2)  # a deadline keeps its context until it is due
    gc.collect()
    assert (reference() is not None) is control
    stop.set()
    if task is not None:
        await task
    await database.aclose()


def test_threads_that_touch_a_found_record_at_once_lose_nothing(url: str, db: Database) -> None:
    """What was found is laid out at the first look, whoever looks."""
    User.new("1", name="Ada", age=1).save()
    before, wrong = sys.getswitchinterval(), list[Any]()

    def work(record: User, gate: threading.Barrier, name: str, value: Any) -> None:
        try:
            gate.wait()
            setattr(record, name, value)
            assert bool(record)
        except BaseException as error:
            wrong.append(error)

    sys.setswitchinterval(1e-6)
    try:
        for _ in range(300):
            (found,), gate = User.all(), threading.Barrier(2)
            jobs = [
                threading.Thread(target=work, args=(found, gate, name, value))
                for name, value in (("name", "Bob"), ("age", 2))
            ]
            for job in jobs:
                job.start()
            for job in jobs:
                job.join()
            assert wrong == []
            assert found.getdiff() == {"name": "Bob", "age": 2}
    finally:
        sys.setswitchinterval(before)
