"""Data outlives the library: what an older one wrote is read, changed and written alike by this one.

A dump holds every key that the older library left, what it read of them and, where it changed the store
afterwards, the keys that are otherwise then. The dumps lie beside what made them (tests/support/dumps), with the older library, by the same calls.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aioredisca import Database

from ..support.drift import drift
from ..support.dumps import make_dump
from ..support.dumps.make_dump import differences, dumped, restored
from ..support.dumps.seen import change, seen

FOLDER = Path(make_dump.__file__).parent
DUMPS = {file.stem: json.loads(file.read_text("utf-8")) for file in sorted(FOLDER.glob("*.json"))}


@pytest.fixture(params=sorted(DUMPS))
def dump(request: pytest.FixtureRequest) -> Any:
    return DUMPS[request.param]


async def unlike(dump: Any) -> dict[str, Any]:
    """What the library sees otherwise than the older one did."""
    now: dict[str, Any] = json.loads(make_dump.canonical(await seen()))
    return {part: found for part in now if (found := differences(now[part], dump["seen"][part]))}


def but_meta(keys: dict[str, Any]) -> dict[str, Any]:
    """What is no meta, which the older library had in another layout."""
    return {key: content for key, content in keys.items() if not key.endswith("/meta")}


@pytest.mark.slow
async def test_the_same_calls_leave_the_same_bytes(db: Database, raw: Any, dump: Any) -> None:
    await make_dump.write()
    assert differences(but_meta(dumped(raw)), but_meta(dump["keys"])) == {}
    assert await unlike(dump) == {}


@pytest.mark.slow
async def test_what_was_written_before_is_read_updated_and_deleted(db: Database, raw: Any, dump: Any) -> None:
    restored(raw, dump["keys"])
    assert differences(dumped(raw), dump["keys"]) == {}
    assert await unlike(dump) == {}
    assert differences(dumped(raw), dump["keys"]) == {}  # reading leaves no trace
    models = await change()
    right = {key: content for key, content in (dump["keys"] | dump["changed"]).items() if content is not None}
    assert differences(but_meta(dumped(raw)), but_meta(right)) == {}
    found = dumped(raw)
    signatures = {key: found[key][1]["signature"] for key in found if key.endswith("/meta")}
    kept = [key for key, text in signatures.items() if dump["keys"][key][1]["signature"] == text]
    assert len(kept) > len(signatures) / 2  # its processes may go on writing, but for what was reindexed
    assert drift(raw, models) == []


@pytest.mark.one_node
async def test_one_byte_more_is_found(db: Database, raw: Any, dump: Any) -> None:
    restored(raw, dump["keys"])
    raw.zadd("dkind/r/number", {"whole": -41})
    raw.append("dboard/l/visits/1", "0")
    raw.hset("dkind:whole", "number", "-41")
    assert list(differences(dumped(raw), dump["keys"])) == [
        "dboard/l/visits/1",
        "dkind/r/number",
        "dkind:whole",
    ]
    assert set(await unlike(dump)) == {"records", "answers", "collections"}


def test_a_dump_holds_every_kind_of_key(dump: Any) -> None:
    """The control of the tests above: an empty dump would be alike too."""
    kinds = {key.split("/")[1] for key in dump["keys"] if key.startswith(("dkind/", "dperson/", "dboard/"))}
    assert kinds >= {"ids", "meta", "u", "x", "y", "h", "r", "s", "n", "c", "l"}
    assert {kind for kind, _ in dump["keys"].values()} == {"hash", "set", "zset", "list", "string"}
    assert len(dump["keys"]) > 300
    assert len(dump["changed"]) > 100
    assert all(answer[0] for name, answer in dump["seen"]["answers"].items() if name != "any_language ==")
