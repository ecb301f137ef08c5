"""The drift check: a full SCAN in which every record has exactly its entries, and nothing else is there.

It knows the storage contract (docs/storage.md) on its own, not through the library's code.
"""

from __future__ import annotations

import hashlib
import json
from binascii import crc32
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from .tagged import as_they_lie

LONG = 512
_END = "return {redis.call('PTTL', KEYS[1]), redis.call('TIME')}"


@dataclass
class Layout:
    """What one model keeps under its key base."""

    base: bytes
    declared: set[bytes]
    unique: set[bytes] = field(default_factory=set[bytes])
    exact: set[bytes] = field(default_factory=set[bytes])
    ranges: dict[bytes, Callable[[bytes], float]] = field(
        default_factory=dict[bytes, Callable[[bytes], float]]
    )
    nullable: set[bytes] = field(default_factory=set[bytes])
    sorted: set[bytes] = field(default_factory=set[bytes])
    tags: set[bytes] = field(default_factory=set[bytes])
    together: list[tuple[bytes, ...]] = field(default_factory=list[tuple[bytes, ...]])
    pairs: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    collections: set[bytes] = field(default_factory=set[bytes])
    expires: bool = False
    feeds: bool = False
    fields_end: bool = False
    whole: bytes = b""
    """Of a partition: the base of the class without partitions, which keeps a meta alone."""
    parts: tuple[bytes, ...] = ()
    """Of a partition: the bases of all, which have claims on what is unique over them."""


def layouts_of(model: Any) -> list[Layout]:
    """The layout of a model class in its database: of each of its partitions, if it has such."""
    layout = layout_of(model)
    parts = model.__mapper__.schema(model.__mapper__.store()).parts
    bases = tuple(part.keys.base.encode() for part in parts)
    return [replace(layout, base=base, whole=layout.base, parts=bases) for base in bases] or [layout]


def layout_of(model: Any) -> Layout:
    """The layout of a model class in its database."""
    schema = model.__mapper__.schema(model.__mapper__.store())
    layout = Layout(schema.keys.base.encode(), {spec.key.encode() for spec in schema.fields})
    for spec in schema.fields:
        name = spec.key.encode()
        if spec.unique:
            layout.unique.add(name)
        if spec.index == "exact":
            layout.exact.add(name)
        if spec.index == "range":
            score = spec.score
            layout.ranges[name] = lambda raw, score=score: float(score(raw))  # type: ignore[misc]
        if spec.index == "sorted":
            layout.sorted.add(name)
        if spec.index == "tags":
            layout.tags.add(name)
        if spec.index and not spec.required:
            layout.nullable.add(name)
    for compound in schema.compounds:
        names = tuple(name.encode() for name in compound.fields)
        if compound.unique:
            layout.together.append(names)
        else:
            layout.pairs.append((names[0], names[1]))
    layout.collections = {name.encode() for name in schema.collections}
    layout.expires, layout.feeds = schema.expires, bool(schema.feed)
    layout.fields_end = bool(schema.field_ttls)
    return layout


def drift(raw: Any, models: Iterable[Any]) -> list[str]:
    """Everything in the store that is not as the records demand, as sentences. Empty is right."""
    raw = as_they_lie(raw)
    keys, expected, problems = _demanded(raw, models)
    for key, content in expected.items():
        found = _content(raw, key)
        if found != content:
            problems.append(f"{key!r} holds {found!r}, the records demand {content!r}")
        keys.discard(key)
    problems += [f"{key!r} belongs to no record" for key in sorted(keys)]
    return problems


def lost(raw: Any, models: Iterable[Any], but: Iterable[bytes] = ()) -> list[str]:
    """Claims and entries that the records demand and that are missing or wrong, as sentences.

    What is there beside them is harmless (docs/storage.md, "When a write fails midway"), and so are the
    digests of long values. *but* are keys that somebody else has taken.
    """
    raw = as_they_lie(raw)
    _, expected, problems = _demanded(raw, models)
    for key, content in expected.items():
        if key in but or b"/h/" in key:
            continue
        found = _content(raw, key)
        if isinstance(content, dict) and isinstance(found, dict):
            missing: Any = {name: value for name, value in content.items() if found.get(name) != value}
        elif isinstance(content, set) and isinstance(found, set):
            missing = content - found
        else:
            missing = content
        if missing:
            problems.append(f"{key!r} lacks {missing!r}")
    return [text for text in problems if "the marker stands" not in text]


def _demanded(raw: Any, models: Iterable[Any]) -> tuple[set[bytes], dict[bytes, Any], list[str]]:
    """The keys that are no record's, what the indexes are to hold, and what is wrong with the records."""
    layouts = [
        one for model in models for one in ([model] if isinstance(model, Layout) else layouts_of(model))
    ]
    keys = set(raw.scan_iter(count=1000))
    expected = dict[bytes, Any]()
    problems = list[str]()
    for layout in layouts:
        records = {key for key in keys if key.startswith(layout.base + b":")}
        for key in records:
            if raw.type(key) != b"hash":
                problems.append(f"{key!r} is no hash")
                continue
            id = key[len(layout.base) + 1 :]
            _expect(layout, id, raw.hgetall(key), expected, problems)
            if layout.expires:
                _expect_end(layout, id, raw, expected, problems)
            keys.discard(key)
            keys -= {layout.base + b"/l/" + name + b"/" + id for name in layout.collections}
        meta = layout.base + b"/meta"
        if meta in keys and raw.type(meta) != b"hash":
            problems.append(f"{meta!r} is no hash")
        keys -= {meta, layout.whole + b"/meta", layout.base + b"/bad", layout.base + b"/lease"}
        keys -= (
            {layout.base + b"/f"} if layout.feeds else set()
        )  # what it says is compared in support/feeds.py
        keys -= {layout.base + b"/e"} if layout.parts else set()
    notes = {key for key in keys if b"/import/" in key}
    keys -= {key for key in notes if raw.pttl(key) > 0}  # of imports that were cut short
    return keys, expected, problems


def _expect(
    layout: Layout, id: bytes, record: dict[bytes, bytes], expected: dict[bytes, Any], problems: list[str]
) -> None:
    base = layout.base
    declared = {name: value for name, value in record.items() if name in layout.declared}
    if record.get(b"_") != (None if declared else b"1") and not (declared and layout.fields_end):
        problems.append(
            f"{base + b':' + id!r}: the marker stands although there is a field, or the other way round"
        )
    expected.setdefault(base + b"/ids", {})[id] = 0.0
    for name in layout.unique & declared.keys():
        claims = expected.setdefault(base + b"/u/" + name, {})
        if claims.setdefault(declared[name], id) != id:
            problems.append(f"two records hold {name!r} = {declared[name]!r}")
        _expect_claim(layout, id, name, declared[name], expected, problems)
    for name in layout.ranges.keys() & declared.keys():
        try:
            expected.setdefault(base + b"/r/" + name, {})[id] = layout.ranges[name](declared[name])
        except ValueError:
            problems.append(f"{base + b':' + id!r}: {name!r} = {declared[name]!r} has no score")
    for name in layout.exact & declared.keys():
        value = declared[name]
        if len(value) > LONG:
            digest = hashlib.sha256(value).hexdigest().encode()
            expected.setdefault(base + b"/h/" + name, {})[id] = digest
            expected.setdefault(base + b"/y/" + name + b"/" + digest, set()).add(id)
        else:
            expected.setdefault(base + b"/x/" + name + b"/" + value, set()).add(id)
    for name in layout.sorted & declared.keys():
        value = declared[name].replace(b"\1", b"\1\2").replace(b"\0", b"\1\1")
        expected.setdefault(base + b"/s/" + name, {})[value + b"\0" + id] = 0.0
    for name in layout.tags & declared.keys():
        for element in json.loads(declared[name]):
            expected.setdefault(base + b"/x/" + name + b"/" + element.encode(), set()).add(id)
    for names in layout.together:
        if declared.keys() >= set(names):
            claims = expected.setdefault(base + b"/u/" + b"/".join(names), {})
            value = b"".join(b"%d:%s" % (len(declared[name]), declared[name]) for name in names)
            if claims.setdefault(value, id) != id:
                problems.append(f"two records hold {names!r} = {value!r}")
            _expect_claim(layout, id, b"/".join(names), value, expected, problems)
    for first, second in layout.pairs:
        if declared.keys() >= {first, second}:
            key = base + b"/c/" + first + b"/" + second + b"/" + declared[first]
            expected.setdefault(key, {})[id] = layout.ranges[second](declared[second])
    for name in layout.nullable - declared.keys():
        expected.setdefault(base + b"/n/" + name, set()).add(id)


def _expect_claim(
    layout: Layout, id: bytes, of: bytes, value: bytes, expected: dict[bytes, Any], problems: list[str]
) -> None:
    """What is unique over partitions is claimed in that of the value. The epoch is not looked at."""
    if layout.parts:
        base = layout.parts[crc32(value) % len(layout.parts)]
        if expected.setdefault(base + b"/k/" + of, {}).setdefault(value, id) != id:
            problems.append(f"two records of two partitions hold {of!r} = {value!r}")


def _expect_end(layout: Layout, id: bytes, raw: Any, expected: dict[bytes, Any], problems: list[str]) -> None:
    """A record that ends stands in the moments, and its entries in the notes."""
    base = layout.base
    left, (seconds, micros) = raw.eval(_END, 1, base + b":" + id)  # at one moment
    if left < 0:
        return
    moment = raw.zscore(base + b"/t", id)
    if moment is None or abs(moment - (int(seconds) * 1000 + int(micros) // 1000 + left)) > 100:
        problems.append(f"{base + b':' + id!r} ends in {left} ms, and its moment is {moment!r}")
    expected.setdefault(base + b"/t", {})[id] = moment
    note = b"".join(sorted(_noted(raw.hget(base + b"/t/n", id) or b"")))
    wanted = b"".join(sorted(_entries(base, id, expected)))
    if note != wanted:
        problems.append(f"the note of {base + b':' + id!r} is {note!r}, its entries {wanted!r}")
    if wanted:
        expected.setdefault(base + b"/t/n", {})[id] = raw.hget(base + b"/t/n", id)


def _entries(base: bytes, id: bytes, expected: dict[bytes, Any]) -> list[bytes]:
    """What stands of a record in its indexes, as notes say it."""
    found = list[bytes]()
    for key, content in expected.items():
        name = key[len(base) + 1 :]
        if not key.startswith(base + b"/") or name in (b"ids", b"t", b"t/n"):
            continue
        text = b"%d:%b" % (len(name), name)
        if name[:1] == b"u":
            found += [b"u" + text + b"%d:%b" % (len(v), v) for v, owner in content.items() if owner == id]
        elif name[:1] == b"s":
            found += [b"m" + text + b"%d:%b" % (len(m), m) for m in content if m.endswith(b"\0" + id)]
        elif id in content:
            found.append({b"h": b"h", b"r": b"z", b"c": b"z"}.get(name[:1], b"s") + text)
    return found


def _noted(note: bytes) -> list[bytes]:
    """The entries of a note."""
    found, at = list[bytes](), 0
    while at < len(note):
        first, texts = at, 2 if note[at : at + 1] in b"um" else 1
        at += 1
        for _ in range(texts):
            colon = note.index(b":", at)
            at = colon + 1 + int(note[at:colon])
        found.append(note[first:at])
    return found


def _content(raw: Any, key: bytes) -> Any:
    kind = raw.type(key)
    if kind == b"hash" and b"/k/" in key:
        return {value: held.partition(b":")[2] for value, held in raw.hgetall(key).items()}
    if kind == b"hash":
        return raw.hgetall(key)
    if kind == b"set":
        return raw.smembers(key)
    if kind == b"zset":
        return dict(raw.zrange(key, 0, -1, withscores=True))
    return kind
