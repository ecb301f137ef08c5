"""A write that was given up does not happen later, over what others have written since."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from aioredisca import Counter, Database, Integer, ListOf, Model, OutcomeUnknown, String, conf
from aioredisca.drivers.fence import endings, introduction
from aioredisca.storage.facts import Peer, StoreFacts
from aioredisca.types import Call

from ..support.proxy import Proxy
from ..support.servers import Server
from .support import Form, every, incr

fences = pytest.mark.parametrize("fenced", [True, False], ids=["fenced", "control"])


class Doc(Model):
    name = String(unique=True)
    n = Integer()
    tags = ListOf(String())
    seen = Counter()


@contextmanager
def opened(url: str, form: Form, fenced: bool = True) -> Iterator[Database]:
    before, conf.db = conf.db, Database(url, transport=form, timeout=0.8)
    conf.db.facts.fences = fenced
    try:
        yield conf.db
    finally:
        conf.db.close()
        conf.db = before


@every
@fences
async def test_a_late_write_overwrites_nothing(
    proxy: Proxy, server: Server, form: Form, fenced: bool
) -> None:
    """The control: without the fence it does."""
    with opened(proxy.url, form, fenced) as database:
        await Doc.new("1", name="first").save()
        doc = await Doc.get("1")
        doc.name = "late"
        proxy.hold_next_request()
        with pytest.raises(OutcomeUnknown, match=r"no answer in time.*save\(\) again settles it"):
            await doc.save()
        await doc.save()  # settles it
        other = await Doc.get("1")
        other.name = "acknowledged"
        await other.save()
        proxy.release()
        assert (await Doc.get("1")).name == ("acknowledged" if fenced else "late")
        assert await (Doc.name == "acknowledged").count() == fenced
        await _closed(database)


@pytest.mark.slow
@every
@fences
async def test_a_late_count_is_not_counted(proxy: Proxy, form: Form, fenced: bool) -> None:
    with opened(proxy.url, form, fenced) as database:
        doc = await Doc.new("1", n=0).save()
        verbs: list[Any] = [lambda: doc.incr(Doc.n), lambda: doc.seen.incr(), lambda: doc.tags.append("x")]
        tried = verbs if form == "fast" else verbs[:1]  # what is above the transport is the same in all forms
        for verb in tried:
            proxy.hold_next_request()
            with pytest.raises(OutcomeUnknown, match="twice"):
                await verb()
            await verb()
            proxy.release()
        counted = [(await Doc.get("1")).n, await doc.seen.get(), await doc.tags.len()]
        assert counted[: len(tried)] == [1 if fenced else 2] * len(tried)
        await _closed(database)


@every
@fences
@pytest.mark.asyncio_only
async def test_a_cancelled_write_that_comes_late(proxy: Proxy, form: Form, fenced: bool) -> None:
    """Nobody waits for it any more; whoever writes next does not wait for its answer either, or behind it."""
    with opened(proxy.url, form, fenced) as database:
        transport = database.transport()
        await transport.send(Call(("SET", "k", "0"), writes=True))
        proxy.hold_next_request()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await transport.send(Call(("SET", "k", "late"), writes=True))
        await asyncio.sleep(0.7)  # by then a shared connection has given it up as well
        await transport.send(Call(("SET", "k", "2"), writes=True))
        proxy.release()
        assert await transport.send(Call(("GET", "k"))) == (b"2" if fenced else b"late")
        await database.aclose()


async def test_the_cure_depends_on_what_was_asked(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    doc = await Doc.new("1", name="a", n=1).save()
    await Doc.get_or_create(name="warm")
    transport = db.transport()
    send = transport.send

    async def lost(call: Call, overlap: Any = None) -> Any:
        if call.writes:
            raise OutcomeUnknown("lost")
        return await send(call, overlap)

    monkeypatch.setattr(transport, "send", lost)
    cures: list[tuple[Any, str]] = [
        (
            lambda: Doc(
                "1",
            ).save(mode="upsert"),
            r"save\(\) again settles it",
        ),
        (lambda: Doc.save_many([Doc.new("9", name="i")]), r"save\(\) again settles it"),
        (lambda: doc.delete(), r"delete\(\) again settles it"),
        (lambda: Doc.delete_many(["1"]), r"delete\(\) again settles it"),
        (lambda: doc.incr(Doc.n), "to count again may count twice"),
        (lambda: doc.tags.append("x"), "may do it twice: read the collection first"),
        (lambda: doc.seen.incr(), "may do it twice: read the collection first"),
        (lambda: Doc.get_or_create(name="b"), "called again, it finds the record"),
        (lambda: Doc.update_or_create(name="b", defaults={"n": 1}), "called again, it finds the record"),
        (lambda: (Doc.name == "warm").update(n=2), "look at the records before you do it again"),
        (lambda: (Doc.name == "warm").incr(Doc.n), "look at the records before you do it again"),
    ]
    for verb, cure in cures:
        with pytest.raises(OutcomeUnknown, match=cure) as caught:
            await verb()
        assert ("settles" in str(caught.value)) == ("settles" in cure)
    assert "look at what is stored" in str(OutcomeUnknown("x"))


@every
async def test_without_the_right_all_else_goes_on(server: Server, form: Form) -> None:
    parts = (
        [] if server.kind == "redis62" else [["-client|info"], ["-client|kill"]]
    )  # it takes a right as a whole
    for rules in (*parts, ["-client"]):
        with server.client() as plain:
            plain.execute_command("ACL", "SETUSER", "app", "reset", "on", ">pw", "~*", "+@all", *rules)
        url = server.url.replace("redis://", "redis://app:pw@")
        with opened(url, form) as database:
            database.facts.given_up.add(Peer("1", "127.0.0.1:1", place_of(database)))
            assert await database.transport().send(incr("n"))
            assert (database.facts.fences, database.facts.given_up) == (False, set())
            await _closed(database)
    with server.client() as plain:
        plain.execute_command("ACL", "DELUSER", "app")


@every
async def test_a_connection_of_somebody_else_with_the_same_id_stays(server: Server, form: Form) -> None:
    """After a restart the server gives the same ids to others: the address tells them apart."""
    with server.client() as plain:
        mine = plain.client_id()
        with opened(server.url, form) as database:
            database.facts.given_up.add(Peer(str(mine), "127.0.0.1:1", place_of(database)))
            await database.transport().send(incr("n"))
            assert not database.facts.given_up
            assert plain.client_id() == mine
            await _closed(database)


def test_what_the_server_answers_in_another_form_is_no_fence() -> None:
    for answer in (None, 7, b"", b"OK", [b"id=1"], RuntimeError("no"), b"id=x addr=y "):
        facts = StoreFacts(given_up={Peer("1", "a:1", "a")})
        talk = introduction(facts, "a")
        assert next(talk) == ("CLIENT", "INFO")
        with pytest.raises(StopIteration) as done:
            talk.send(answer)
        assert (done.value.value, facts.fences, facts.given_up) == (None, False, set())
    facts = StoreFacts(given_up={Peer("7", "[::1]:5", "a")})
    talk = endings(facts, "a")
    assert next(talk) == ("CLIENT", "KILL", "ID", "7", "ADDR", "[::1]:5")
    with pytest.raises(StopIteration):
        talk.send(0)
    assert (facts.fences, facts.given_up) == (True, set())


def place_of(database: Database) -> str:
    return database._address.place


async def _closed(database: Database) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    await database.aclose()
