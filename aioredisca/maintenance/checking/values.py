"""What is wrong with the values of a record, whatever its entries are: one HMGET has read them all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from aioredisca.compiler.changes import Change
from aioredisca.maintenance.checking.faults import Fault, Finding, Kind
from aioredisca.maintenance.checking.places import Layout
from aioredisca.maintenance.checking.records import State, rewrite
from aioredisca.maintenance.checking.together import mend_call
from aioredisca.storage.keys import MARKER
from aioredisca.storage.replies import MISREAD
from aioredisca.types import Call


def canonical_text(codec: Any, raw: bytes, mapper: Any) -> bytes:
    """Stored bytes as the field would write them. ValueError where they cannot be read."""
    value = codec.read(raw, mapper)
    with suppress(ValueError):  # nobody could write it any more, but it stands there and is read
        value = codec.coerce(value, mapper)
    encoded: bytes = codec.encode(value)
    return encoded


def value_faults(layout: Layout, state: State) -> Iterator[Fault]:
    """What is wrong with the values of a record, whatever its entries are. One HMGET has read them."""
    mapper, schema = layout.mapper, layout.schema
    for key, raw in state.raw.items():
        if raw is None or key == MARKER:
            continue
        codec = mapper.by_key[key].__codec__
        encoded: bytes | None = raw
        try:
            if key in schema.tracked_keys:
                encoded = canonical_text(codec, raw, mapper)
                schema.check_indexable(key, encoded)
            else:
                codec.read(raw, mapper)
        except MISREAD:  # a field of one's own may raise any of them
            encoded = None
        if encoded is None:
            yield _of_value("unreadable", layout, state, key)
        elif encoded != raw:
            cure = rewrite(layout, state, {key: encoded})
            yield _of_value("not-canonical", layout, state, key, cure)
    for key in schema.required:
        if state.raw[key] is None:
            yield _of_value("required", layout, state, key)
    yield from _marker_faults(layout, state)


def _of_value(kind: Kind, layout: Layout, state: State, key: str, cure: Change | Call | None = None) -> Fault:
    return Fault(Finding(kind, state.id, layout.mapper.attribute(key)), (kind, state.id, key), cure)


def _marker_faults(layout: Layout, state: State) -> Iterator[Fault]:
    schema, key = layout.schema, layout.schema.keys.record(state.id)
    held = next((name for name, raw in state.raw.items() if raw is not None and name != MARKER), None)
    marked = state.raw[MARKER] is not None
    if held is not None and marked and not schema.field_ttls:
        guards = [(("HGET", key, held), state.raw[held]), (("HGET", key, MARKER), state.raw[MARKER])]
        cure = mend_call(guards, [("HDEL", key, MARKER)])
    elif held is None and not marked and not schema.required:
        nothing = [(("HGET", key, name), None) for name in schema.by_key]
        cure = mend_call([(("TYPE", key), b"hash"), *nothing], [("HSET", key, MARKER, "1")])
    else:
        return
    yield _of_value("marker", layout, state, MARKER, cure)
