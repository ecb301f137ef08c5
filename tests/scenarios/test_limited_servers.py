"""On servers that cannot be had here: stand-ins that refuse what those refuse. Each test shows that it can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis.exceptions import ResponseError

from aioredisca import (
    Database,
    IncompatibleServer,
    Model,
    String,
    TooManyArguments,
    check,
    conf,
    export_records,
    health,
    import_records,
    reindex,
    session,
)
from aioredisca.drivers import translate

from ..conftest import _binary
from ..support import limited
from ..support.limited import SERVERLESS_ARGUMENTS, Limited, Rule
from ..support.scenario import carry_out, person_of
from ..support.servers import Server

Opener = Callable[..., Database]


@pytest.fixture
def behind(server: Server) -> Iterator[Opener]:
    """Opens a Database behind a rule, of the server of this test or of another."""
    opened, proxies = list[Database](), list[Limited]()

    def open(rule: Rule, *, of: Server = server, **options: Any) -> Database:
        proxies.append(Limited(of.port, rule))
        opened.append(Database(proxies[-1].url, **options))
        return opened[-1]

    yield open
    for database in opened:
        database.close()
    for proxy in proxies:
        proxy.close()


async def test_all_is_well_where_nothing_is_refused(behind: Opener) -> None:
    assert await carry_out(behind(lambda name, words: None)) == {}


# -- ElastiCache Serverless ------------------------------------------------------------------------


async def test_serverless(behind: Opener) -> None:
    assert await carry_out(behind(limited.serverless, max_arguments=SERVERLESS_ARGUMENTS), tag=True) == {}


async def test_serverless_is_more_than_a_default_database_takes_into_account(behind: Opener) -> None:
    wrong = await carry_out(behind(limited.serverless), tag=True)
    assert {name for name, found in wrong.items() if "number of arguments" in str(found)} == {
        *("one of a thousand", "one of a thousand, in an order", "save_many of many")
    }


def test_serverless_is_known_by_its_address() -> None:
    known = {
        "shop-abc123.serverless.use1.cache.amazonaws.com": 3999,
        "shop-abc123.serverless.cnn1.cache.amazonaws.com.cn": 3999,
        "shop.abc123.0001.use1.cache.amazonaws.com": 2**20,
        "serverless.example.com": 2**20,
    }
    assert {host: Database(f"rediss://{host}").facts.max_arguments for host in known} == known
    clusters = {host: Database(f"rediss+cluster://{host}").facts.max_arguments for host in known}
    assert clusters == known
    assert Database(f"rediss://{next(iter(known))}", max_arguments=2000).facts.max_arguments == 2000


@conf(prefix="wide", tag=True)
class Wide(Model):
    """As many indexes as make a hundred records too many for one call: f0 to f39."""

    f0 = String(index=True)
    f1 = String(index=True)
    f39 = String(index=True)


for _number in range(2, 39):
    setattr(Wide, f"f{_number}", String(index=True))


def wide(id: str, fields: int = 40) -> Wide:
    return Wide.new(id, **{f"f{number}": id[-1] for number in range(fields)})


@pytest.mark.asyncio_only
async def test_batches_are_cut_by_arguments(behind: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of operators, too: half of these records have other fields than the rest, which takes most."""
    db = behind(limited.serverless, max_arguments=SERVERLESS_ARGUMENTS)
    monkeypatch.setattr(conf, "_db", db)
    some = [wide(f"{number:03}", 40 - number % 2) for number in range(110)]
    await Wide.save_many(some, batch=110)
    assert (await Wide.all().count(), await Wide.f39.find("1")) == (110, [])
    assert await Wide.all().update(f39="x") == 110
    client = db.sync_client
    for key in client.scan_iter("{wide}/x/*"):
        client.delete(key)
    client.close()
    done = await reindex(Wide, everything=True)
    assert (done.records, done.problems) == (110, [])
    assert len(await (Wide.f1 == "7")) == 11
    assert len(await (Wide.f39 == "x")) == 110
    assert not (await check(Wide)).found
    lines = [line async for line in export_records(Wide)]
    assert await Wide.all().delete() == 110
    assert (await import_records(lines, Wide)).records == 110
    assert await Wide.delete_many([f"{number:03}" for number in range(110)], batch=110) == 110


async def test_what_cannot_be_cut_is_told_before_anything_is_sent(
    behind: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = behind(limited.serverless, max_arguments=SERVERLESS_ARGUMENTS)
    monkeypatch.setattr(conf, "_db", db)
    await wide("first").save()
    trips = db.round_trips
    with pytest.raises(
        TooManyArguments, match=r"and the database takes 3,999: a flush .* save_many\(\)"
    ) as told:
        async with session(autosave=True):
            for number in range(100):
                wide(str(number))
    assert told.value.most == 3999 < told.value.count
    names = [str(number) for number in range(900)]
    some = Wide.f0.in_(names) | Wide.f1.in_(names)
    with pytest.raises(TooManyArguments, match="ask for fewer"):
        await some
    assert db.round_trips == trips
    assert await Wide.all().ids() == ["first"]


@pytest.mark.parametrize("most", [999, 2**20 + 1, True, 3999.0, "many"])
def test_a_limit_that_is_none(most: Any) -> None:
    with pytest.raises(Exception, match=r"Database\(max_arguments=.*a whole number from 1,000 to 1,048,576"):
        Database("memory://", max_arguments=most)


# -- Garnet ----------------------------------------------------------------------------------------


@pytest.fixture
def without_sort(backend: str) -> Iterator[Server]:
    """A server whose scripts do not find what Garnet lacks."""
    renamed = [part for name in limited.GARNET_LACKS for part in ("--rename-command", name, "")]
    with Server(backend, _binary(backend), *renamed) as server:
        yield server


async def test_garnet(behind: Opener, without_sort: Server) -> None:
    assert await carry_out(behind(limited.garnet, of=without_sort)) == {}


async def test_garnet_to_a_client_that_waits_for_the_name_of_what_is_unknown(
    behind: Opener, without_sort: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translate, "is_unknown", lambda error: "EVALSHA_RO" in str(error))
    wrong = await carry_out(behind(limited.garnet, of=without_sort))
    assert len(wrong) > 20
    assert {str(found) for found in wrong.values()} >= {"StoreError: unknown command"}


# -- Dragonfly -------------------------------------------------------------------------------------


@pytest.mark.memory_only
async def test_dragonfly(monkeypatch: pytest.MonkeyPatch) -> None:
    db = Database(limited.dragonfly_in_memory(monkeypatch))
    assert await carry_out(db) == {}
    assert (db.stale_rows, db.facts.may_sort) == ({}, False)


@pytest.mark.memory_only
async def test_dragonfly_to_a_client_that_believes_in_sort(monkeypatch: pytest.MonkeyPatch) -> None:
    db = Database(limited.dragonfly_in_memory(monkeypatch))
    db.facts.sort_proven = True
    wrong = await carry_out(db)
    assert wrong["a range"] == wrong["tags"] == []


@pytest.mark.one_node
async def test_a_record_without_values_is_found_where_sort_reads_none(
    monkeypatch: pytest.MonkeyPatch, db: Database
) -> None:
    """An answer without a value proves nothing, nor that it is wrong."""
    person = person_of(db)
    await person.new("1", name="").save()
    assert [one.id for one in await (person.name == "")] == ["1"]
    assert [one.id for one in await person.age.find(None)] == ["1"]
    assert db.facts.sort_in_scripts is not False
    await person.new("2", name="a").save()
    assert [one.id for one in await (person.name == "a")] == ["2"]
    assert db.facts.sort_proven


async def test_scripts_say_that_they_reach_what_they_do_not_declare(behind: Opener, server: Server) -> None:
    with server.client() as plain:
        plain.script_flush()
    db = behind(limited.dragonfly)
    assert await carry_out(db) == {}
    client = db.sync_client
    with client, pytest.raises(ResponseError, match="undeclared"):
        client.eval("return 1", 1, "k")


# -- servers that cannot do ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "reason"),
    [(limited.no_scripts, "runs no scripts"), (limited.declared_keys_only, "lets scripts reach none but")],
    ids=["without scripts", "declared keys only"],
)
async def test_what_cannot_be_is_told_by_its_reason(behind: Opener, rule: Rule, reason: str) -> None:
    person = person_of(behind(rule))
    with pytest.raises(IncompatibleServer, match=reason):
        await person.new("1", name="a", mail="a@b.cc").save()
    with pytest.raises(IncompatibleServer, match=reason):
        await (person.name == "a")
    with pytest.raises(IncompatibleServer, match=reason):
        await health.check(person.getdb())
