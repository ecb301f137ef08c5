"""What a feed says that a store holds, for comparing the two: entries are played back as docs/storage.md has them."""

from __future__ import annotations

from typing import Any

KINDS = {b"c": "create", b"u": "update", b"d": "delete", b"e": "expire"}


def told(raw: Any, key: str) -> list[tuple[str, str, dict[str, str]]]:
    """The entries of the stream *key*: kind, id, and what is told of fields."""
    found = list[tuple[str, str, dict[str, str]]]()
    for _, entry in raw.xrange(key):
        fields = {name.decode(): value.decode() for name, value in entry.items() if name not in (b"k", b"i")}
        found.append((KINDS[entry[b"k"]], entry[b"i"].decode(), fields))
    return found


def replayed(entries: list[tuple[str, str, dict[str, str]]]) -> dict[str, dict[str, str]]:
    """The records that there are when all *entries* have been played, each with what it holds."""
    records = dict[str, dict[str, str]]()
    for kind, id, fields in entries:
        if kind in ("delete", "expire"):
            del records[id]
            continue
        assert (id in records) == (kind == "update"), f"{kind} of {id}"
        record = records.setdefault(id, {})
        for name, value in fields.items():
            if name[0] == "=":
                record[name[1:]] = value
            elif name[0] == "-":
                record.pop(name[1:], None)
    return records


def stored(raw: Any, prefix: str, *, without: tuple[str, ...] = ()) -> dict[str, dict[str, str]]:
    """The records of a model as they are stored, *without* some fields."""
    found = dict[str, dict[str, str]]()
    for id in raw.zrange(f"{prefix}/ids", 0, -1):
        hash = raw.hgetall(f"{prefix}:{id.decode()}")
        fields = {name.decode(): value.decode() for name, value in hash.items()}
        found[id.decode()] = {name: text for name, text in fields.items() if name not in ("_", *without)}
    return found
