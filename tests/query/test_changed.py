"""What a process believes of a store is read once. When it is so no more, a query asks again or says so."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aioredisca import Database, Integer, Model, NotIndexed, StoreError, String, conf, reindex
from aioredisca.drivers import wire
from aioredisca.persistence import readiness
from aioredisca.types import Call

from ..support.patience import limit
from ..support.servers import Server


class Town(Model):
    name = String(index="sorted")
    land = String(index=True)
    size = Integer(index=True)


def without(url: str) -> Any:
    """The same class as another process has it, of another release: without the index of land."""

    @conf(prefix="town", db=Database(url))
    class Without(Model):
        name = String(index="sorted")
        land = String()
        size = Integer(index=True)

    return Without


TOWNS = 25
FEW = [f"{i:03}" for i in range(0, TOWNS, 5)]


def ids(found: Any) -> list[str]:
    return [one.id for one in found]


async def _streamed(query: Any) -> list[str]:
    return [one.id async for one in query]


async def _drawn() -> list[str]:
    return sorted(ids(await (Town.land == "it").random(1000)))


async def _paged() -> list[str]:
    found, after = list[str](), None
    while True:
        page = await (Town.land == "it").order_by(Town.size).page(2, after)
        found += ids(page.items)
        if (after := page.next) is None:
            return found


async def _explained() -> int:
    return (await (Town.land == "it").explain()).count


async def _awaited(query: Any) -> list[str]:
    return ids(await query)


READS: dict[str, tuple[Callable[[], Awaitable[Any]], Any]] = {
    "look up": (lambda: _awaited(Town.land == "it"), FEW),
    "two indexes": (lambda: _awaited((Town.land == "it") & (Town.size >= 10)), FEW[2:]),
    "in an order": (lambda: _awaited((Town.land == "it").order_by(Town.size.desc())), FEW[::-1]),
    "in two orders": (lambda: _awaited((Town.land == "it").order_by(Town.land, Town.size)), FEW),
    "the first": (lambda: _awaited((Town.land == "it").order_by(Town.size).limit(2)), FEW[:2]),
    "count of others": (lambda: ((Town.land != "fr") & (Town.size < 3)).count(), 2),
    "ids": (lambda: (Town.land == "it").ids(), FEW),
    "values": (lambda: (Town.land == "it").values(Town.size), [0, 5, 10, 15, 20]),
    "exists": (lambda: (Town.land == "it").exists(), True),
    "count": (lambda: (Town.land == "it").count(), 5),
    "count of two": (lambda: ((Town.land == "it") & (Town.size >= 10)).count(), 3),
    "aggregate": (lambda: (Town.land == "it").aggregate(), None),
    "drawn": (_drawn, FEW),
    "paged": (_paged, FEW),
    "explained": (_explained, 5),
    "streamed": (lambda: _streamed(Town.land == "it"), FEW),
    "streamed in order": (lambda: _streamed((Town.land == "it").order_by(Town.size)), FEW),
}
"""Each kind of read that goes by the index of land, and its whole answer."""

SOME = ("look up", "in an order", "count", "streamed in order")


@pytest.fixture
def reads(backend: str) -> list[str]:
    """The names of those to try: all on a real server, some in memory, where Lua takes its time."""
    return [name for name in READS if backend != "memory" or name in SOME]


async def asked(name: str) -> bool:
    """Whether that read finds all there is; what it finds is never less."""
    read, wanted = READS[name]
    try:
        found = await read()
    except NotIndexed:
        return False
    if name == "aggregate":
        found, wanted = found.count, 5
    assert found == wanted, name  # which is what control tests see
    return True


async def towns() -> None:
    lands = ("it", "fr", "de", "at", "ch")
    made = [Town.new(f"{i:03}", name=f"n{i}", land=lands[i % 5], size=i) for i in range(TOWNS)]
    await Town.save_many(made)
    assert ids(await (Town.land == "it")) == FEW  # from here on the store is known


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that some reads take several steps."""
    monkeypatch.setattr("aioredisca.compiler.queries.PAGE", 3)
    monkeypatch.setattr("aioredisca.query.lookup.PAGE", 3)


async def test_an_index_that_another_process_took_away_is_told(
    url: str, db: Database, reads: list[str]
) -> None:
    await towns()
    states = {**db.facts.index_states}
    await reindex(without(url))
    for name in reads:
        db.facts.index_states.update(states)  # as a process that has not asked since
        assert await asked(name) is False


async def test_where_the_index_is_still_there_it_is_asked_again(
    db: Database, raw: Any, reads: list[str]
) -> None:
    await towns()
    for name in reads:
        raw.hset("town/meta", "ver", name)
        assert await asked(name) is True
        assert db.facts.index_states[Town.__mapper__.schema(db).name].proof.ver == name.encode()


async def test_a_scan_that_is_allowed_goes_on_without_the_index(url: str, db: Database, raw: Any) -> None:
    for make in (
        lambda query: _awaited(query),
        lambda query: _awaited(query.order_by(Town.size)),
        lambda query: _awaited(query.order_by(Town.size).limit(10)),
        lambda query: _streamed(query),
        lambda query: _streamed(query.order_by(Town.size)),
        lambda query: query.ids(),
    ):
        raw.flushdb()
        readiness.forget(db, [Town.__mapper__.schema(db)])
        await towns()
        lose_index(raw)
        assert await make((Town.land == "it").scan()) == FEW
        lose_index(raw)
        assert await (Town.land == "it").scan().count() == 5


async def test_a_stream_goes_on_or_ends_and_never_begins_anew(db: Database, raw: Any) -> None:
    await towns()
    for change in (renew_index, lose_index):
        found = list[str]()
        stream = aiter((Town.land == "it").order_by(Town.size).scan())
        found.append((await anext(stream)).id)
        change(raw)
        if change is lose_index:
            with pytest.raises(NotIndexed):
                found += [one.id async for one in stream]
            assert found == FEW[: len(found)]
        else:
            found += [one.id async for one in stream]
            assert found == FEW


async def test_an_order_is_kept_without_the_index_that_kept_it(db: Database, raw: Any) -> None:
    await towns()
    last = [f"{i:03}" for i in range(TOWNS - 1, TOWNS - 4, -1)]
    states = {**db.facts.index_states}
    raw.delete("town/r/size")
    raw.hset("town/meta", mapping={"e:r:size": "announced", "ver": "another"})
    for order in ([Town.size.desc()], [Town.size.desc(), Town.name]):
        db.facts.index_states.update(states)
        for _ in range(2):
            assert await _awaited(Town.all().order_by(*order).limit(3)) == last
            assert await _streamed(Town.all().order_by(*order).limit(3)) == last
    with pytest.raises(NotIndexed):
        await (Town.size > 3)


async def test_what_the_library_of_before_has_declared_has_no_word(db: Database, raw: Any) -> None:
    await towns()
    raw.delete("town/meta")
    raw.hset("town/meta", mapping={"signature": "1/i:/r?:size/s?:name/x?:land", "unbuilt": ""})
    for name in SOME:
        assert await asked(name) is True
    assert db.facts.index_states[Town.__mapper__.schema(db).name].proof.ver == b""


async def test_a_store_that_nobody_has_declared_is_empty_until_somebody_does(
    url: str, db: Database, raw: Any
) -> None:
    assert await (Town.land == "it") == []
    await without(url).new("1", land="it").save()
    with pytest.raises(NotIndexed):  # the other class maintains no such index
        await (Town.land == "it")


async def test_an_index_that_is_not_declared_is_not_ready_though_there_are_no_records(
    url: str, db: Database
) -> None:
    """Processes that do not maintain it may write at any moment."""
    record = await without(url).new("1", land="it").save()
    await record.delete()
    with pytest.raises(NotIndexed):
        await (Town.land == "it")
    record.land = "it"
    await record.save()
    with pytest.raises(NotIndexed):
        await (Town.land == "it")


# -- changes at any moment -------------------------------------------------------------------------


def lose_index(raw: Any) -> None:
    """Another process takes the index of land away: first it says so, then it drops it."""
    raw.hset("town/meta", mapping={"e:x:land": "announced", "ver": raw.incr("words")})
    for key in raw.keys("town/x/land/*"):
        raw.delete(key)


def renew_index(raw: Any) -> None:
    """It is built anew: all the same is there, under another word."""
    held = {key: raw.dump(key) for key in raw.keys("town/x/land/*")}
    lose_index(raw)
    for key, value in held.items():
        raw.restore(key, 0, value)
    raw.hset("town/meta", mapping={"e:x:land": "ready", "ver": raw.incr("words")})


class Meddler:
    """Stands in for the transport: before the call of one number it changes the store."""

    def __init__(self, transport: Any, number: int, change: Callable[[], None]) -> None:
        self._transport, self._number, self._change, self.calls = transport, number, change, 0

    def itself(self, _: Database | None = None) -> Meddler:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def send(self, call: Call, overlap: Any = None) -> Any:
        self._meddle()
        return self._transport.send(call, overlap)

    def send_all(self, calls: Any) -> Any:
        self._meddle()
        return self._transport.send_all(calls)

    def _meddle(self) -> None:
        if self.calls == self._number:
            self._change()
        self.calls += 1


@pytest.mark.parametrize("change", [lose_index, renew_index])
async def test_at_whatever_moment_it_changes_no_answer_falls_short(
    db: Database,
    raw: Any,
    monkeypatch: pytest.MonkeyPatch,
    reads: list[str],
    change: Callable[[Any], None],
) -> None:
    await towns()
    for name in reads:
        whole = await moments(db, raw, monkeypatch, name, change)
        expected = [change is renew_index] * (len(whole) - 1) + [True]  # at last it comes too late
        assert whole == expected, name


async def moments(
    db: Database, raw: Any, patch: pytest.MonkeyPatch, name: str, change: Callable[[Any], None]
) -> list[bool]:
    """Whether the read finds all, with the *change* before each of its calls, and after all of them."""
    schema, found = Town.__mapper__.schema(db), list[bool]()
    saved = {key: raw.dump(key) for key in raw.keys("town/*")}
    while True:
        for key, value in saved.items():
            raw.restore(key, 0, value, replace=True)
        readiness.forget(db, [schema])
        assert await asked(name)
        meddler = Meddler(db.transport(), len(found), lambda: change(raw))
        with patch.context() as patched:
            patched.setattr(Database, "transport", meddler.itself)
            found.append(await asked(name))
        if meddler.calls <= len(found) - 1:  # it came too late
            return found


async def test_control_by_a_belief_for_life_answers_fall_short(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    await towns()
    states = {**db.facts.index_states}
    lose_index(raw)
    monkeypatch.setattr(wire, "judged", lambda reply, proof, word: reply)
    for name in reads:
        db.facts.index_states.update(states)
        with pytest.raises(AssertionError, match=name):
            await asked(name)


async def test_a_store_that_never_rests_is_told(
    db: Database, raw: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await towns()
    monkeypatch.setattr(readiness, "DECLARATIONS", 5)
    restless = Restless(db.transport(), raw)
    monkeypatch.setattr(Database, "transport", restless.itself)
    for name in ("look up", "count", "streamed"):
        with pytest.raises(StoreError, match="changed 5 times"):
            await asked(name)
    restless.rests = True
    assert await asked("look up")


class Restless(Meddler):
    """Every call finds another word."""

    def __init__(self, transport: Any, raw: Any) -> None:
        super().__init__(transport, -1, lambda: None)
        self.raw, self.rests = raw, False

    def _meddle(self) -> None:
        if not self.rests:
            self.raw.hset("town/meta", "ver", self.raw.incr("words"))


async def test_readers_beside_somebody_who_takes_the_index_away_and_brings_it_back(
    server: Server, db: Database, full: bool, driver: str
) -> None:
    """What happens between the data and its word happens on the server, at its own times."""
    await towns()
    with meddling(db, 2000 if full else 100) as busy:
        if driver == "blocking":
            found = await _ask_while(busy)
        else:
            found = [
                one for some in await asyncio.gather(*(_ask_while(busy) for _ in range(10))) for one in some
            ]
    assert {True, False} == {*found}


async def _ask_while(busy: Callable[[], bool]) -> list[bool]:
    names, found = ["look up", "two indexes", "count", "paged"], list[bool]()
    while busy():
        found += [await asked(name) for name in names]
    return found


@contextmanager
def meddling(db: Database, times: int) -> Iterator[Callable[[], bool]]:
    """A thread that changes the store so often; whether it is still at work."""

    def work() -> None:
        raw = db.sync_client
        for _ in range(times):
            renew_index(raw)
            time.sleep(0.002)
        raw.close()

    thread = threading.Thread(target=work)
    thread.start()
    yield thread.is_alive
    thread.join(limit(30))
    assert not thread.is_alive()
