"""Reads of records, and the stored signature: which commands, and what their replies mean."""

from __future__ import annotations

from typing import Any

import hiredis
import pytest

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
    build_call,
    declare_call,
    meta_call,
    probe_call,
    read_meta,
    read_probe,
)
from aioredisca.storage.keys import Keys
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


# -- the signature ---------------------------------------------------------------------------------


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
    assert read_probe([b"", b"", b"", b""]) == Probe("", frozenset(), ())
    found = read_probe(
        [b"1/i:", b"x?:city/r?:size", b"allkeys-lru", b"word", b"ZADD", b"row/ids", b"HGET", b"row/h/city"]
    )
    assert found.unbuilt == {"x?:city", "r?:size"}
    assert (found.eviction, found.ver) == ("allkeys-lru", b"word")
    assert found.missing == (("ZADD", "row/ids"), ("HGET", "row/h/city"))
    assert meta_call(ROW).args == ("HMGET", "row/meta", "signature", "unbuilt", "ver")
    assert read_meta([None, None, None]) == Probe("", frozenset(), ())
    assert read_meta([b"1/i:", b"x?:city", b"word"]) == Probe("1/i:", frozenset({"x?:city"}), (), ver=b"word")


@pytest.mark.parametrize(
    ("seen", "legacy", "if_records", "always"),
    [
        (Probe("", frozenset(), ()), False, "c:4:city4:size/i:/r?:size/x?:city", ""),
        (Probe("", frozenset(), ()), True, "c:4:city4:size/i:/r?:size/x?:city", "c:4:city4:size/i:/r?:size/x?:city"),
        (Probe("1/i:/x?:city", frozenset(), ()), False, "c:4:city4:size/r?:size", ""),
        (Probe("1/c:4:city4:size/i:/x?:city", frozenset({"x?:city"}), ()), False, "c:4:city4:size/r?:size/x?:city", "x?:city"),
        (Probe(ROW.signature, frozenset(), ()), False, "", ""),
    ],
    ids=["new", "legacy", "more indexes", "scores anew", "known"],
)  # fmt: skip
def test_what_is_new_is_unbuilt_while_there_are_records(
    seen: Probe, legacy: bool, if_records: str, always: str
) -> None:
    call = declare_call(ROW, seen, legacy=legacy)
    *said, ver = call.args
    assert said == [seen.signature, ROW.signature, if_records, always]
    assert len(str(ver)) == 8
    assert (call.keys, call.writes) == ((ROW.keys.meta, ROW.keys.ids), True)


def test_a_build_says_exactly_what_is_left() -> None:
    call = build_call(ROW, Probe("1/i:", frozenset({"i:"}), ()), frozenset({"x?:city", "r?:size"}))
    assert call.args[:-1] == ("1/i:", ROW.signature, "r?:size/x?:city", "r?:size/x?:city")
