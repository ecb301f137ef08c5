"""Hostile ids, values, field names and prefixes: an exact round trip, or a refusal before any I/O.

And no two things share a key. 10,000 of each per push, 1,000,000 with REDISCA_FULL=1.
"""

from __future__ import annotations

from typing import Any

import pytest

from aioredisca import (
    Bytes,
    Database,
    Json,
    Model,
    String,
    UsageError,
    ValidationError,
    conf,
)
from aioredisca.compiler.parts import quote
from aioredisca.storage.keys import Keys, bad_field, bad_id, bad_prefix

from ..conftest import FULL
from ..support.drift import drift
from ..support.hostile import hostile, is_text

COUNT = 1_000_000 if FULL else 10_000
BATCH = 500


class Note(Model):
    name = String(index=True, maxbytes=100_000)
    text = String(maxbytes=100_000)
    blob = Bytes()
    data = Json[Any]()


@pytest.mark.slow
async def test_values_come_back_exactly_or_are_refused(db: Database, raw: Any) -> None:
    refused = 0
    for first in range(0, COUNT // 4, BATCH):  # both drivers and two servers share the count
        texts = list(hostile(first, BATCH))
        notes, expected = list[Note](), dict[str, str]()
        for i, text in enumerate(texts):
            try:
                note = Note.new(
                    str(i), name=text, text=text, blob=text.encode("utf-8", "surrogatepass"), data=[text]
                )
            except ValidationError:
                assert not is_text(text)
                refused += 1
                continue
            notes.append(note)
            expected[note.id] = text
        await Note.save_many(notes)
        for found in await Note.get_many(list(expected)):
            assert found is not None
            text = expected[found.id]
            assert (found.name, found.text, found.blob, found.data) == (text, text, text.encode(), [text])
        for text in texts[:20]:
            if is_text(text):
                same = sorted((id for id, other in expected.items() if other == text), key=str.encode)
                assert [note.id for note in await Note.name.find(text)] == same
        assert first or drift(raw, [Note]) == []
        await Note.delete_many(notes)
    assert refused > COUNT // 100
    assert raw.keys("*") == [b"note/meta"]


@pytest.mark.slow
async def test_ids_name_their_record_and_no_other_or_are_refused(db: Database, raw: Any) -> None:
    refused = 0
    for first in range(0, COUNT // 4, BATCH):
        saved = dict[str, int]()
        records = list[Note]()
        for i, id in enumerate(hostile(-first - 1, BATCH)):
            try:
                record = Note.new(id, text=str(i))
            except ValidationError:
                assert not is_text(id) or len(id.encode()) > 512
                refused += 1
                continue
            if id not in saved:
                records.append(record)
                saved[id] = i
        await Note.save_many(records)
        found = await Note.get_many(list(saved))
        assert [note.text for note in found if note] == [str(i) for i in saved.values()]
        assert sorted(await Note.all().ids()) == sorted(saved)
        assert first or drift(raw, [Note]) == []
        await Note.delete_many(records)
    assert refused > COUNT // 100
    assert raw.keys("*") == [b"note/meta"]


async def test_field_names_come_back_exactly_or_are_refused(db: Database, raw: Any) -> None:
    taken = refused = 0
    for first in range(0, COUNT // 4, BATCH):
        record, expected = Note.new("1"), dict[bytes, bytes]()
        for i, name in enumerate(hostile(first + 7, BATCH)):
            try:
                record[name] = str(i)
            except ValidationError:
                assert name == "_" or name[:1] == "\0" or not is_text(name) or len(name.encode()) > 512
                refused += 1
                continue
            expected[name.encode()] = str(i).encode()
        await record.save()
        assert {key: value for key, value in raw.hgetall("note:1").items() if key != b"_"} == expected
        assert len(await Note("1").load(raw=True)) == len(expected)
        taken += len(expected)
        await record.delete()
    assert taken > COUNT // 10
    assert refused > COUNT // 100


# -- keys ------------------------------------------------------------------------------------------


def all_keys(prefix: str, field: str, text: str) -> dict[tuple[str, ...], bytes]:
    """Every key of a model, by what it means."""
    keys = Keys("", prefix)
    return {
        ("record", prefix, text): keys.record(text).encode(),
        ("meta", prefix): keys.meta.encode(),
        ("ids", prefix): keys.ids.encode(),
        ("u", prefix, field): keys.unique(field).encode(),
        ("r", prefix, field): keys.range(field).encode(),
        ("n", prefix, field): keys.none(field).encode(),
        ("h", prefix, field): keys.digests(field).encode(),
        ("x", prefix, field, text): keys.exact(field, text.encode()),
    }


def naive_keys(prefix: str, field: str, text: str) -> dict[tuple[str, ...], bytes]:
    """The known-bad way: everything joined by one colon."""
    return {
        ("record", prefix, text): ":".join((prefix, text)).encode(),
        ("u", prefix, field): ":".join((prefix, field)).encode(),
        ("x", prefix, field, text): ":".join((prefix, field, text)).encode(),
    }


def clashes(make: Any, count: int) -> int:
    """How many different things share a key."""
    owner, found = dict[bytes, tuple[str, ...]](), 0
    prefixes = hostile(1, count)
    for prefix, field, text in zip(prefixes, hostile(2, count), hostile(3, count), strict=True):
        if bad_prefix(prefix) or bad_field(field, indexed=True) or bad_id(text):
            continue
        for meaning, key in make(prefix, field, text).items():
            found += owner.setdefault(key, meaning) != meaning
    assert len(owner) > count // 10
    return found


def test_no_two_things_share_a_key() -> None:
    """A prefix and another that goes on with ':' are refused at first I/O: see test_schema."""

    def nested_apart(prefix: str, field: str, text: str) -> dict[tuple[str, ...], bytes]:
        return {} if ":" in prefix else all_keys(prefix, field, text)

    assert clashes(nested_apart, COUNT) == 0


def test_control_joined_keys_clash() -> None:
    assert clashes(naive_keys, 10_000) > 0


def test_prefixes_are_taken_or_refused_for_a_reason() -> None:
    for prefix in hostile(11, COUNT):
        reason = bad_prefix(prefix)
        fine = is_text(prefix) and len(prefix.encode()) <= 128 and not set(prefix) & set("/{}*\0")
        assert bool(reason) == (not fine or any(c.isspace() for c in prefix))
    with pytest.raises(UsageError):
        conf(prefix="a{b}")


# -- what enters the text of a script --------------------------------------------------------------


def test_quote_writes_every_byte_as_itself(url: str, db: Database, raw: Any) -> None:
    every = "".join(map(chr, range(256))) + "\U0001f600]]\"'\\--"
    assert raw.eval(f"return {quote(every)}", 0) == every.encode()
    for text in hostile(5, 300):
        if is_text(text):
            assert raw.eval(f"return {quote(text)}", 0) == text.encode()


def test_control_a_careless_literal_is_code(url: str, db: Database, raw: Any) -> None:
    text = '" .. redis.call("PING")["ok"] .. "'
    assert raw.eval(f'return "{text}"', 0) == b"PONG"
    assert raw.eval(f"return {quote(text)}", 0) == text.encode()
