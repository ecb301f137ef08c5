"""An import whose answer was lost is sent again, and takes away nothing that others wrote in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest

from aioredisca import (
    BadLine,
    Counter,
    Database,
    ListOf,
    Model,
    OutcomeUnknown,
    RediscaError,
    String,
    check,
    export_records,
    import_records,
)
from aioredisca.compiler.changes import noted
from aioredisca.maintenance import importing
from aioredisca.maintenance.importing import Import, OnConflict
from aioredisca.persistence import executor

from ..support.drift import drift
from ..support.proxy import Proxy
from ..support.servers import Server

pytestmark = pytest.mark.one_slot


class Card(Model):
    name = String(index=True)
    log = ListOf(String())
    visits = Counter()


async def exported(count: int = 3) -> list[str]:
    """An export of records that are not there any more, in a server that knows the script of an import."""
    cards = [Card.new(str(n), name=f"n{n}") for n in range(count)]
    await Card.save_many(cards)
    for card in cards:
        await card.log.append("a", "b")
        await card.visits.incr(5)
    lines = [line async for line in export_records(Card)]
    await import_records(lines, Card, on_conflict="replace")
    await emptied()
    return lines


async def emptied() -> None:
    for card in await Card.all():
        await card.delete()


def at_first_write(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Do something right before the first batch is sent."""
    sent, todo = executor.carry_out_together, [do]

    async def send(*args: Any) -> Any:
        if todo:
            todo.pop()()
        return await sent(*args)

    monkeypatch.setattr(executor, "carry_out_together", send)


def meanwhile(monkeypatch: pytest.MonkeyPatch, others: Callable[[], object]) -> list[RediscaError]:
    """Let *others* write after each send that got no answer, before the next one."""
    met, after = list[RediscaError](), Import.after

    def and_then(self: Import, one: Any, error: RediscaError) -> Any:
        met.append(error)
        if isinstance(error, OutcomeUnknown):
            others()
        return after(self, one, error)

    monkeypatch.setattr(Import, "after", and_then)
    return met


@pytest.mark.parametrize("noting", ["noted", "control"])
@pytest.mark.parametrize("on_conflict", get_args(OnConflict))
async def test_what_others_write_between_two_sends_stays(
    proxied: Database,
    server: Server,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    on_conflict: OnConflict,
    noting: str,
) -> None:
    with server.client() as raw:
        lines = await exported()

        def others() -> None:
            raw.rpush("card/l/log/1", "theirs")
            raw.incrby("card/l/visits/1", 2)
            raw.hset("card:1", "more", "theirs")

        met = meanwhile(monkeypatch, others)
        at_first_write(monkeypatch, proxy.lose_next_reply)
        if noting == "control":  # each send is another call
            monkeypatch.setattr(importing, "noted", lambda key, call: noted(key, f"{call}:{len(met)}"))
        try:
            done = await import_records(lines, Card, on_conflict=on_conflict)
        except RediscaError:
            assert noting == "control"
            return
        found = raw.lrange("card/l/log/1", 0, -1), raw.get("card/l/visits/1"), raw.hget("card:1", "more")
        expected = [b"a", b"b", b"theirs"], b"7", b"theirs"
        assert isinstance(met[0], OutcomeUnknown)
        if noting == "control":
            assert found != expected or done.records < 3
            return
        assert (found, done.records, done.skipped, done.problems) == (expected, 3, 0, [])
        assert raw.keys("card/import/*") == []
        assert drift(raw, [Card]) == []


async def test_the_note_of_an_import_that_was_cut_short_is_no_fault_and_ends(db: Database, raw: Any) -> None:
    lines = await exported()
    cut = [*lines[:2], lines[1], *lines[2:]]  # the second of two is refused
    with pytest.raises(BadLine):
        await import_records(cut, Card)
    (key,) = raw.keys("card/import/*")
    assert 0 < raw.pttl(key) <= 600_000
    report = await check(Card)
    assert (report.healthy, report.records, report.foreign) == (True, 1, 0)


async def test_an_answer_of_each_batch_is_lost(
    proxied: Database, server: Server, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first batch was done or not, with collections and without."""
    with server.client() as raw:
        lines = await exported()
        for lose in (proxy.lose_next_reply, proxy.refuse_next_request):
            await emptied()
            with monkeypatch.context() as patch:
                met = meanwhile(patch, lambda: None)
                at_first_write(patch, lose)
                done = await import_records(lines, Card)
            assert [type(error) for error in met] == [OutcomeUnknown]
            assert (done.records, done.left_out) == (3, 0)
            assert records([line async for line in export_records(Card)]) == records(lines)
            assert drift(raw, [Card]) == []


def records(lines: list[str]) -> list[str]:
    """The lines without the header, which tells the time."""
    return lines[1:]
