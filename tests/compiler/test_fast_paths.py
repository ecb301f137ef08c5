"""Which changes a fast path carries out, and which one: what a call asks its script for."""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import Database, Integer, Model, String, conf
from aioredisca.compiler.changes import Change, Increment, Mode, More
from aioredisca.compiler.fast_single import MAX_SINGLE
from aioredisca.compiler.positions import ASKS_FAST, ASKS_PLAIN
from aioredisca.compiler.writes import write_call

pytestmark = pytest.mark.memory_only


class Simple(Model):
    name = String(index=True)
    note = String()


@conf(index=[("name", "age")])
class Paired(Model):
    name, note = String(), String()
    age = Integer(index=True)


def asked(change: Change) -> str | None:
    """What the call asks its script for in place of the number of groups; None for the general script."""
    call = write_call([change])
    if not call.packed:
        return None
    parts = call.packed.split(b"\r\n")[2::2]
    return parts[3 + int(parts[2])].decode()


CHANGES: list[tuple[Mode, dict[str, bytes], tuple[str, ...], str, str | None]] = [
    ("update", {"note": b"n"}, (), ASKS_PLAIN, ASKS_PLAIN),
    ("update", {"other": b"n"}, (), ASKS_PLAIN, ASKS_PLAIN),
    ("update", {"note": b"n", "name": b"n"}, (), ASKS_FAST, None),
    ("update", {"note": b"n"}, ("other",), ASKS_FAST, None),
    ("upsert", {"note": b"n"}, (), ASKS_FAST, None),
    ("create", {"note": b"n"}, (), ASKS_FAST, None),
    ("delete", {}, (), ASKS_FAST, None),
]


@pytest.mark.parametrize(("mode", "sets", "drops", "simple", "paired"), CHANGES)
async def test_each_change_goes_the_shortest_way_that_knows_its_indexes(
    db: Database, mode: Mode, sets: dict[str, bytes], drops: tuple[str, ...], simple: str, paired: str | None
) -> None:
    assert asked(Change(Simple.__mapper__.schema(db), "1", mode, sets, drops)) == simple
    assert asked(Change(Paired.__mapper__.schema(db), "1", mode, sets, drops)) == paired


@pytest.mark.parametrize(
    "more",
    [
        {"expect": {"note": None}},
        {"again": True},
        {"skip": True},
        {"more": More(sums={"age": Increment("age", 1)})},
    ],
)
async def test_what_must_be_compared_or_counted_goes_the_general_way(
    db: Database, more: dict[str, Any]
) -> None:
    assert asked(Change(Simple.__mapper__.schema(db), "1", "update", {"note": b"n"}, **more)) is None


async def test_a_change_of_very_many_fields_goes_the_general_way(db: Database) -> None:
    fields = {f"k{i}": b"v" for i in range(MAX_SINGLE + 1)}
    assert asked(Change(Simple.__mapper__.schema(db), "1", "update", fields)) is None
    fields.pop("k0")
    assert asked(Change(Simple.__mapper__.schema(db), "1", "update", fields)) == ASKS_PLAIN


async def test_both_ways_of_a_class_are_in_one_script(db: Database) -> None:
    plain = write_call([Change(Simple.__mapper__.schema(db), "1", "update", {"note": b"n"})])
    whole = write_call([Change(Simple.__mapper__.schema(db), "1", "update", {"name": b"n"})])
    general = write_call([Change(Simple.__mapper__.schema(db), "1", "update", {"name": b"n"}, again=True)])
    assert plain.script is whole.script is general.script
