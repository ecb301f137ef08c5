"""The drift check: a full SCAN in which every record has exactly its entries, and nothing else is there.

It knows the storage contract (docs/storage.md) on its own, not through the library's code.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

LONG = 512


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


def layout_of(model: Any) -> Layout:
    """The layout of a model class in its database."""
    schema = model._schema(model._store())
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
        if spec.index and not spec.required:
            layout.nullable.add(name)
    return layout


def drift(raw: Any, models: Iterable[Any]) -> list[str]:
    """Everything in the store that is not as the records demand, as sentences. Empty is right."""
    layouts = [model if isinstance(model, Layout) else layout_of(model) for model in models]
    keys = set(raw.scan_iter(count=1000))
    expected = dict[bytes, Any]()
    problems = list[str]()
    for layout in layouts:
        records = {key for key in keys if key.startswith(layout.base + b":")}
        for key in records:
            if raw.type(key) != b"hash":
                problems.append(f"{key!r} is no hash")
                continue
            _expect(layout, key[len(layout.base) + 1 :], raw.hgetall(key), expected, problems)
            keys.discard(key)
        meta = layout.base + b"/meta"
        if meta in keys and raw.type(meta) != b"hash":
            problems.append(f"{meta!r} is no hash")
        keys.discard(meta)
    for key, content in expected.items():
        found = _content(raw, key)
        if found != content:
            problems.append(f"{key!r} holds {found!r}, the records demand {content!r}")
        keys.discard(key)
    problems += [f"{key!r} belongs to no record" for key in sorted(keys)]
    return problems


def _expect(
    layout: Layout, id: bytes, record: dict[bytes, bytes], expected: dict[bytes, Any], problems: list[str]
) -> None:
    base = layout.base
    declared = {name: value for name, value in record.items() if name in layout.declared}
    if record.get(b"_") != (None if declared else b"1"):
        problems.append(
            f"{base + b':' + id!r}: the marker stands although there is a field, or the other way round"
        )
    expected.setdefault(base + b"/ids", {})[id] = 0.0
    for name in layout.unique & declared.keys():
        claims = expected.setdefault(base + b"/u/" + name, {})
        if claims.setdefault(declared[name], id) != id:
            problems.append(f"two records hold {name!r} = {declared[name]!r}")
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
    for name in layout.nullable - declared.keys():
        expected.setdefault(base + b"/n/" + name, set()).add(id)


def _content(raw: Any, key: bytes) -> Any:
    kind = raw.type(key)
    if kind == b"hash":
        return raw.hgetall(key)
    if kind == b"set":
        return raw.smembers(key)
    if kind == b"zset":
        return dict(raw.zrange(key, 0, -1, withscores=True))
    return kind
