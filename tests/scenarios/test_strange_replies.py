"""What answers may be no Redis, or have something before it that is none: each verb, each kind of wrong reply."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import hiredis
import pytest
import redis.exceptions

from aioredisca import (
    Counter,
    Database,
    Email,
    Float,
    Integer,
    Json,
    ListOf,
    Model,
    RediscaError,
    Reference,
    SetOf,
    SortedSet,
    StoreError,
    String,
    Tags,
    health,
    reindex,
    session,
)

from ..support.servers import Server

Verb = Callable[[], Awaitable[Any]]

WRONG: dict[str, Any] = {
    "int": 7,
    "minus": -1,
    "nil": None,
    "empty text": b"",
    "text": b"x",
    "empty list": [],
    "ints": [7, 7, 7],
    "texts": [b"a", b"b"],
    "nils": [None, None],
    "ok": [b"OK"],
    "refusal": [b"UNIQUE", 9],
    "nested": [[b"a"], [7]],
    "map": {b"a": 1},
    "push": hiredis.PushNotification([b"message", b"a", b"b"]),
    "bool": True,
    "double": 1.5,
    "set": {b"a"},
    "error": [redis.exceptions.ResponseError("ERR x")],
    "nested error": [b"0", 0, [redis.exceptions.ResponseError("ERR x")]],
    "plain word": "QUEUED",
}
BENT: dict[str, Callable[[Any], Any]] = {
    "short": lambda reply: reply[:-1],
    "long": lambda reply: [*reply, None],
    "of ints": lambda reply: [7 for _ in reply],
    "of errors": lambda reply: [redis.exceptions.ResponseError("ERR x") for _ in reply],
    "of nils": lambda reply: [None for _ in reply],
    "within short": lambda reply: [part[:-1] if isinstance(part, list) else part for part in reply],
    "within ints": lambda reply: [[7] * len(part) if isinstance(part, list) else part for part in reply],
}
NEVER_RIGHT = {"map", "push", "double", "set", "plain word", "nested error"}


class Team(Model):
    name = String(unique=True)


class Man(Model):
    email = Email(unique=True)
    name = String(index=True)
    age = Integer(index=True)
    size = Float()
    tags = Tags(index=True)
    data: Json[Any] = Json()
    team = Reference(Team, index=True, on_delete="nullify")
    notes = ListOf(String())
    likes = SetOf(String())
    ranks = SortedSet(String())
    seen = Counter()


def verbs() -> Iterator[tuple[str, Verb]]:
    man = Man("1")
    age, name = Man.age, Man.name

    async def flush(number: int) -> None:
        async with session() as work:
            mine = await Man.get(str(number))
            mine.name = "flushed"
            work.delete(Man("3"))
            await work.flush()

    async def change(**values: Any) -> Any:
        one = await Man.get("1")
        for field, value in values.items():
            setattr(one, field, value)
        return await one.save(if_unchanged=True)

    async def stream() -> list[Any]:
        return [one async for one in Man.where(age >= 0)]

    yield "get", lambda: Man.get("1")
    yield "get_many", lambda: Man.get_many(["1", "2", "404"])
    yield "load", lambda: Man("1").load()
    yield "load raw", lambda: Man("1").load(raw=True)
    yield "reload", lambda: Man("1").reload()
    yield "exists", lambda: man.exists()
    yield "create", lambda: Man.new("9", email="n@x.de", name="n", tags={"t"}).save()
    yield "change", lambda: change(name="other", size=1.5)
    yield "upsert", lambda: Man("8").save(mode="upsert")
    yield "delete", lambda: Man("3").delete()
    yield "delete referred", lambda: Team("1").delete()
    yield "incr", lambda: man.incr(age)
    yield "get_or_create", lambda: Man.get_or_create(email="a@x.de", defaults={"name": "a"})
    yield "update_or_create", lambda: Man.update_or_create(email="a@x.de", defaults={"name": "b"})
    yield "save_many", lambda: Man.save_many([Man.new(f"m{i}", name="m") for i in range(3)], batch=2)
    yield "delete_many", lambda: Man.delete_many(["2", "3"])
    yield "flush", lambda: flush(1)
    yield "find", lambda: _of(Man.where(name == "a"))
    yield "find unique", lambda: _of(Man.where(Man.email == "a@x.de"))
    yield "range", lambda: _of(Man.where(age >= 1))
    yield "tree", lambda: _of(Man.where((age >= 1) & ~(name == "q") | Man.tags.has("t")))
    yield "scan", lambda: _of(Man.where(Man.size > 0).scan())
    yield "ordered", lambda: _of(Man.all().order_by(age.desc()).limit(2))
    yield "sorted here", lambda: _of(Man.all().order_by(name, age))
    yield "prefetch", lambda: _of(Man.all().prefetch(Man.team))
    yield "only", lambda: _of(Man.all().only(name))
    yield "stream", stream
    yield "first", lambda: Man.all().first()
    yield "one_or_none", lambda: Man.where(name == "a").one_or_none()
    yield "query exists", lambda: Man.all().exists()
    yield "count", lambda: Man.where(name == "a").count()
    yield "count range", lambda: Man.where(age >= 1).count()
    yield "count tree", lambda: Man.where((age >= 1) & (name == "a")).count()
    yield "ids", lambda: Man.all().ids()
    yield "values", lambda: Man.all().values(name, age)
    yield "random", lambda: Man.all().random(2)
    yield "choice", lambda: name.choice("a", count=1)
    yield "aggregate", lambda: Man.all().aggregate(age)
    yield "aggregate by", lambda: Man.all().aggregate(age, by=name)
    yield "page", lambda: Man.all().order_by(age).page(1)
    yield "explain", lambda: Man.where(age >= 1).explain()
    yield "update by query", lambda: Man.where(name == "a").update(age=5)
    yield "delete by query", lambda: Man.where(name == "b").delete()
    yield "incr by query", lambda: Man.where(name == "a").incr(age)
    yield "append", lambda: man.notes.append("x")
    yield "prepend", lambda: man.notes.prepend("x")
    yield "pop", lambda: man.notes.pop()
    yield "pop_first", lambda: man.notes.pop_first()
    yield "remove", lambda: man.notes.remove("x")
    yield "trim", lambda: man.notes.trim(0, 5)
    yield "list range", lambda: man.notes.range()
    yield "list get", lambda: man.notes.get(0)
    yield "list len", lambda: man.notes.len()
    yield "clear", lambda: man.notes.clear()
    yield "add", lambda: man.likes.add("x")
    yield "discard", lambda: man.likes.discard("x")
    yield "contains", lambda: man.likes.contains("x")
    yield "members", lambda: man.likes.members()
    yield "set len", lambda: man.likes.len()
    yield "rank add", lambda: man.ranks.add("x", 1)
    yield "rank update", lambda: man.ranks.update({"x": 1, "y": 2})
    yield "rank incr", lambda: man.ranks.incr("x")
    yield "rank discard", lambda: man.ranks.discard("x")
    yield "score", lambda: man.ranks.score("x")
    yield "rank", lambda: man.ranks.rank("x")
    yield "top", lambda: man.ranks.top(2)
    yield "bottom", lambda: man.ranks.bottom(2)
    yield "between", lambda: man.ranks.between(0, 9)
    yield "rank len", lambda: man.ranks.len()
    yield "count up", lambda: man.seen.incr()
    yield "count get", lambda: man.seen.get()
    yield "reindex", lambda: reindex(Man)
    yield "health", lambda: health.check()


async def _of(query: Any) -> list[Any]:
    found: list[Any] = await query
    return found


NAMES = [name for name, _ in verbs()]


class Liar:
    """Stands in for the transport, and answers the call of one place wrongly."""

    def __init__(self, transport: Any, place: int, wrong: Callable[[Any], Any]) -> None:
        self._send, self._send_all = transport.send, transport.send_all
        self._place, self._wrong, self.calls = place, wrong, 0

    async def send(self, call: Any, overlap: Any = None) -> Any:
        return self._bent(await self._send(call))

    async def send_all(self, calls: Any) -> Any:
        return [self._bent(reply) for reply in await self._send_all(calls)]

    def _bent(self, reply: Any) -> Any:
        self.calls += 1
        if self.calls - 1 != self._place or isinstance(reply, Exception):
            return reply
        try:
            return self._wrong(reply)
        except TypeError:  # it is no list
            return reply


def _always(wrong: Any, reply: Any) -> Any:
    return wrong


def kinds() -> Iterator[tuple[str, Callable[[Any], Any]]]:
    for name, wrong in WRONG.items():
        yield name, partial(_always, wrong)
    yield from BENT.items()


@pytest.mark.parametrize("name", NAMES)
async def test_a_reply_of_another_form_is_told(
    server: Server, db: Database, monkeypatch: pytest.MonkeyPatch, name: str, driver: str, full: bool
) -> None:
    """Where the indexes of the class are known. Each colour tries the half of it per push."""
    some = slice(None) if full else slice(driver == "blocking", None, 2)
    await _try_all(db, monkeypatch, name, [*kinds()][some], known=True)


@pytest.mark.parametrize(
    "name", ["get", "create", "find", "flush", "delete referred", "get_or_create", "append"]
)
async def test_the_same_before_anything_is_known(
    server: Server, db: Database, monkeypatch: pytest.MonkeyPatch, name: str, driver: str, full: bool
) -> None:
    some = slice(None) if full else slice(driver == "blocking", None, 2)
    await _try_all(db, monkeypatch, name, [*kinds()][some], known=False)


async def _try_all(
    db: Database, monkeypatch: pytest.MonkeyPatch, name: str, wrongs: list[Any], *, known: bool
) -> None:
    transport: Any = db.transport()
    honest, client = (transport.send, transport.send_all), db.sync_client
    states = db.facts.index_states
    await _fill()
    believed = {**states}
    for kind, wrong in wrongs:
        place, calls = 0, 1
        while place < min(calls, 6):
            verb = dict(verbs())[name]
            states.clear()
            states.update(believed if known else {})
            liar = Liar(transport, place, wrong)
            monkeypatch.setattr(transport, "send", liar.send)
            monkeypatch.setattr(transport, "send_all", liar.send_all)
            raised = await _tried(verb)
            transport.send, transport.send_all = honest
            calls, place = liar.calls, place + 1
            if known and kind in NEVER_RIGHT and name not in ("health", "reindex") and calls == 1:
                assert isinstance(raised, StoreError), (kind, place)
        if name not in READS:
            client.flushall()
            states.clear()
            await _fill()
    client.close()
    client.connection_pool.disconnect()


READS = {*NAMES[:6], *NAMES[NAMES.index("find") : NAMES.index("update by query")]}


async def _tried(verb: Verb) -> RediscaError | None:
    """Do it, and look at all that comes of it: nothing but an error of ours may be raised."""
    try:
        found = await verb()
    except RediscaError as error:
        return error
    except ExceptionGroup as error:
        raise AssertionError(error) from error
    for record in found if isinstance(found, list) else [found]:
        if isinstance(record, Man):
            for attribute in Man.__mapper__.fields:
                with suppress(RediscaError):
                    getattr(record, attribute)
    return None


async def _fill() -> None:
    await Team.new("1", name="team").save()
    await Man.new("1", email="a@x.de", name="a", age=3, size=1.0, tags={"t"}, team="1", data=[1]).save()
    await Man.new("2", name="b", age=4, size=2.0).save()
    await Man.new("3", name="b", age=5).save()
    await Man("1").notes.append("x", "y")
    await Man("1").ranks.update({"x": 1, "y": 2})
    await Man("1").likes.add("x")
