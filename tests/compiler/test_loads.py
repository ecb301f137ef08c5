"""Reads of records, and the stored signature: which commands, and what their replies mean."""

from __future__ import annotations

from typing import Any

import hiredis

from aioredisca.compiler.loads import (
    exists_call,
    load_all_call,
    load_call,
    read_all_fields,
    read_fields,
    record_call,
    records_call,
)
from aioredisca.compiler.signature import (
    Probe,
    change_meta_call,
    meta_call,
    probe_call,
    read_probe,
)
from aioredisca.storage.keys import Keys
from aioredisca.storage.meta import Edit, Meta
from aioredisca.storage.schema import Compound, FieldSpec, Schema

ROW = Schema(
    "Row",
    Keys("", "row"),
    (
        FieldSpec("size", index="range", score=lambda raw: str(int(raw))),
        FieldSpec("city", index="exact"),
        FieldSpec("note"),
    ),
    (Compound(("city", "size")),),
)
CACHED = Schema("Row", ROW.keys, ROW.fields, ROW.compounds, cache=5)


def commands(data: bytes) -> list[Any]:
    reader, found = hiredis.Reader(), list[Any]()
    reader.feed(data)
    while (command := reader.gets()) is not False:
        found.append(command)
    return found


# -- records ---------------------------------------------------------------------------------------


def test_loads_ask_for_the_declared_fields() -> None:
    fields = ("size", "city", "note", "_")
    assert commands(record_call(ROW, "\udcff").packed) == [
        [b"HMGET", b"row:\xff", *(f.encode() for f in fields)]
    ]
    remembered = record_call(CACHED, "1")
    assert (remembered.args, remembered.packed) == (("HMGET", "row:1", *fields), b"")
    assert remembered.cache_region is CACHED.cache_region is not None
    assert load_call(ROW, "1", ["note"]).args == ("HMGET", "row:1", "note")
    assert load_all_call(ROW, "1").args == ("HGETALL", "row:1")
    assert exists_call(ROW, "1").args == ("EXISTS", "row:1")


def test_many_records_are_one_call_that_says_how_many() -> None:
    other = Schema("Other", Keys("", "other"), (FieldSpec("a", required=True),))
    call = records_call([(CACHED, ["1", "%b"]), (other, ["x"])])
    assert (call.commands, call.writes, call.cache_region) == (3, False, None)
    assert [command[:2] for command in commands(call.packed)] == [
        [b"HMGET", b"row:1"],
        [b"HMGET", b"row:%b"],
        [b"HMGET", b"other:x"],
    ]


def test_a_record_is_there_if_any_field_or_the_marker_is() -> None:
    assert read_fields(("a", "_"), [b"1", None]) == {"a": b"1"}
    assert read_fields(("a", "_"), [None, b""]) == {"a": None}
    assert read_fields(("a", "_"), [None, None]) is None
    assert read_all_fields(ROW, []) is None
    assert read_all_fields(ROW, [b"\xff", b"1", b"note", b"n", b"_", b""]) == {
        "size": None,
        "city": None,
        "note": b"n",
        "\udcff": b"1",
    }


# -- meta ---------------------------------------------------------------------------------


def test_a_probe_looks_at_every_kind_of_key_and_leaves_none() -> None:
    one, two = probe_call(ROW), probe_call(ROW)
    token, *checks = one.args
    assert str(token).startswith("probe-")
    assert two.args[0] != token  # it must be nobody's
    kinds = dict(zip(checks[1::2], checks[::2], strict=True))
    keys = ROW.keys
    assert kinds == {
        keys.record(str(token)): "h",
        keys.ids: "z",
        keys.meta: "h",
        keys.range("size"): "r",  # named twice: by itself, and for the compound
        keys.none("size"): "s",
        keys.digests("city"): "h",
        keys.none("city"): "s",
        keys.exact("city", str(token).encode()): "s",
        keys.compound("city", "size", str(token).encode()): "z",
    }
    assert one.keys == ROW.fixed_keys


def test_what_a_probe_found() -> None:
    assert read_probe([[], 0, b""]) == Probe(Meta(), 0)
    meta = [b"ver", b"abc", b"e:x:city", b"ready"]
    found = read_probe([meta, 3, b"allkeys-lru", b"ZADD", b"row/ids", b"HGET", b"row/h/city"])
    assert (found.meta.ver, found.meta.states, found.size) == (b"abc", {"x:city": "ready"}, 3)
    assert found.eviction == "allkeys-lru"
    assert found.missing == (("ZADD", "row/ids"), ("HGET", "row/h/city"))
    assert meta_call(ROW.keys).args == ("HGETALL", "row/meta")


def test_a_change_of_meta_says_what_it_expects() -> None:
    change = Edit({"ver": b"a"}, {"ver": b"b", "e:i:": "ready"}, ("cur:i:",), ("row/ids",), "i:", (b"gone",))
    call = change_meta_call(ROW.keys, change)
    assert call.args == (1, "i:", 1, 2, "ver", b"a", "ver", b"b", "e:i:", "ready", "cur:i:")
    assert (call.keys, call.writes) == (("row/meta", "row/bad", "row/ids", b"gone"), True)
