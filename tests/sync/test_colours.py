"""Both faces have one core: the same names, signatures and documents."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import aioredisca
from aioredisca import Database, Model, conf, sync
from aioredisca.sync import Integer, String, allow_blocking

from ..support.blocking import Twin
from ..support.drift import drift

BLOCKING_ONLY = {"allow_blocking", "iterate", "run"}
UPKEEP = {"adopt", "check", "export_records", "import_records", "partition", "reindex", "repair", "sweep"}
"""What `run(reindex(Model))` runs, as any operation."""

ASYNC_ONLY = UPKEEP | {"Checked", "Finding", "Imported", "Partitioned", "Proposal", "Reindexed", "Repaired"}


def test_both_faces_export_the_same_names() -> None:
    assert set(sync.__all__) - BLOCKING_ONLY == set(aioredisca.__all__) - ASYNC_ONLY
    for name in set(sync.__all__) & set(aioredisca.__all__) - {
        "Model",
        "Column",
        "Query",
        "Session",
        "session",
        "retry_on_conflict",
        "Changes",
        "Watch",
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
                ours, theirs = doc_of(verb), doc_of(getattr(blocking, name))
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


def doc_of(function: Any) -> str:
    """Its document, as blocking code says it."""
    return (inspect.getdoc(function) or "undocumented").replace("async for", "for")


def first_line(function: Any) -> str:
    return re.sub(r"\s+", " ", doc_of(function).partition("\n")[0])


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
