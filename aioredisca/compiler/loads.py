"""The calls that read records as they are, and what their replies mean. Queries: queries.py."""

from __future__ import annotations

from collections.abc import Sequence

from aioredisca.storage.keys import MARKER
from aioredisca.storage.replies import reader
from aioredisca.storage.schema import Schema
from aioredisca.types import Call, Raw, ReadFrom, Reply


def load_call(schema: Schema, id: str, fields: Sequence[str]) -> Call:
    return Call(("HMGET", schema.keys.record(id), *fields))


def record_call(schema: Schema, id: str, read_from: ReadFrom | None = None) -> Call:
    """Load the declared fields of a record; the reply may be remembered, if the class wants it."""
    if schema.cache_region is not None:
        args = ("HMGET", schema.records + id, *schema.read_fields)
        return Call(args, cache_region=schema.cache_region, read_from=read_from)
    key = (schema.records + id).encode("utf-8", "surrogateescape")
    return Call((), packed=schema.load_form % (len(key), key), read_from=read_from)


def records_call(wanted: Sequence[tuple[Schema, Sequence[str]]], read_from: ReadFrom | None = None) -> Call:
    """Load the declared fields of many records, which nobody remembers: the replies are one list."""
    commands = list[bytes]()
    for schema, ids in wanted:
        load, stem = schema.load_form, schema.records
        keys = [(stem + id).encode("utf-8", "surrogateescape") for id in ids]
        commands += [load % (len(key), key) for key in keys]
    return Call((), packed=b"".join(commands), commands=len(commands), read_from=read_from)


def load_all_call(schema: Schema, id: str) -> Call:
    return Call(("HGETALL", schema.keys.record(id)))


def exists_call(schema: Schema, id: str) -> Call:
    return Call(("EXISTS", schema.keys.record(id)))


def moment_call(schema: Schema, id: str) -> Call:
    """When a record ends, if it does."""
    return Call(("ZSCORE", schema.keys.moments, id))


@reader
def read_moment(reply: Reply) -> bytes | None:
    """The moment as queries tell of it."""
    return None if reply is None else b"%d" % int(float(reply))


@reader
def read_fields(fields: Sequence[str], values: Sequence[bytes | None]) -> Raw | None:
    """The fields of one record by name, or None where there is no such record."""
    if values.count(None) == len(values):
        return None
    raw = dict(zip(fields, values, strict=True))
    raw.pop(MARKER, None)
    return raw


@reader
def read_all_fields(schema: Schema, reply: Sequence[bytes]) -> Raw | None:
    """Every field of one record by name, declared ones always, or None where there is no such record."""
    if not reply:
        return None
    raw: Raw = dict.fromkeys(schema.by_key)
    raw.update(
        (name.decode("utf-8", "surrogateescape"), value)
        for name, value in zip(reply[::2], reply[1::2], strict=True)
    )
    raw.pop(MARKER, None)
    return raw
