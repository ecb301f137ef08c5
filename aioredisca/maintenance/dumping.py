"""The records of models as lines of JSON: written here, read again by importing.py.

A stream is, for each model, a header, a line per record in the order of the ids, and a line that ends it.
Stored bytes stand in it as text, or in base64 where they are no UTF-8, so that nothing is lost and nothing is
rounded. docs/data.md tells what a line holds.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from aioredisca.compiler.loads import load_all_call
from aioredisca.fields.scalars import Json
from aioredisca.fields.tags import Tags
from aioredisca.maintenance.lines import FORMAT, PAGE, models_of, readable, shown, text_of, writes
from aioredisca.persistence import asking, readiness
from aioredisca.storage.keys import MARKER, Keys, id_text
from aioredisca.storage.replies import LIST, check_values, of_kind
from aioredisca.storage.schema import IDS_ENTRY, Schema
from aioredisca.types import Call, Reply, Store

if TYPE_CHECKING:
    from aioredisca.fields.base import Field
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record

PART = 1000
"""Values of a collection of one round trip."""


async def export_records(
    *models: type[Record],
    secrets: bool = True,
    undeclared: bool = True,
    values: bool = False,
    progress: Callable[[int], None] | None = None,
) -> AsyncIterator[str]:
    """The records of *models* as lines of JSON without their ends, which :func:`import_records` takes.

    ``secrets``     whether values of ``secret=True`` fields are among them, hashes of passwords, say.
    ``undeclared``  whether hash fields that a class does not declare are.
    ``values``      values for people instead of stored text, by attribute, without secrets and undeclared
                    fields. Nobody can import that.
    ``progress``    called with the number of records so far.

    Models that checked references name come before those that name them. Each record is as it was at one
    moment, its collections as they were at another; what is written meanwhile may or may not be there.
    NotIndexed while the set of all ids is not built. ZRANGEBYLEX, then HGETALL per record with ZSCORE, PTTL,
    HPEXPIRETIME, LRANGE, SSCAN, ZSCAN and GET where the class has what they tell: two round trips per 200
    records. Collections take more for each further 1,000 values.
    """
    done = 0
    for model in parents_first(models_of(models, "export_records()")):
        mapper: Mapper = model.__mapper__
        export = Export(
            mapper,
            mapper.schema(mapper.store()),
            secrets=secrets and not values,
            undeclared=undeclared and not values,
            values=values,
        )
        await readiness.ready_in_all(export.store, export.schema.all_parts)
        for part in export.schema.all_parts:
            await readiness.ready_to_read(export.store, part, {IDS_ENTRY: ""})
        yield _line(export.header())
        count = 0
        async for ids in export.ids():
            for line in await export.lines(ids):
                count += 1
                yield line
            if progress is not None:
                progress(done + count)
        yield _line({"end": export.mapper.name, "records": count})
        done += count


def parents_first(models: Sequence[Any]) -> list[Any]:
    """*models*, each behind those that its checked references name, where that can be."""
    found = list[Any]()

    def take(model: Any, above: tuple[Any, ...]) -> None:
        if model in found or model in above:
            return
        for parent in models:
            if parent is not model and _names(model.__mapper__, parent):
                take(parent, (*above, model))
        found.append(model)

    for model in models:
        take(model, ())
    return found


def _names(mapper: Mapper, parent: Any) -> bool:
    """Whether a checked reference of a class names *parent*."""
    return any(
        parent is target
        for field in mapper.fields.values()
        if getattr(field, "__checks__", False)
        for target, _ in field.__codec__.stems(mapper)  # type: ignore[attr-defined]
    )


class Export:
    """One model on its way out, from where its *schema* has it."""

    def __init__(
        self,
        mapper: Mapper,
        schema: Schema,
        *,
        secrets: bool = True,
        undeclared: bool = True,
        values: bool = False,
    ) -> None:
        self.mapper, self.schema = mapper, schema
        self.store: Store = mapper.store()
        self.undeclared, self.values = undeclared, values
        self.fields = [field for field in self.mapper.fields.values() if secrets or not field.secret]
        self.ending = [field.key for field in self.fields if field.ttl is not None] if not values else []
        self.collections: list[Any] = [] if values else [*self.mapper.collections.values()]

    def header(self) -> dict[str, Any]:
        schema = self.schema
        return {
            "aioredisca": FORMAT,
            "model": self.mapper.name,
            "prefix": schema.keys.prefix,
            "fields": {self._name(field): type(field).__name__ for field in self.fields},
            "collections": {one.key: one.__kind__ for one in self.collections},
            "exported": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            **({"values": True} if self.values else {}),
        }

    def _name(self, field: Field[Any]) -> str:
        return field.name if self.values else field.key

    async def ids(self, last: bytes = b"") -> AsyncIterator[list[bytes]]:
        """The ids of all records in their order, those behind *last*, a page at a time.

        Each partition is asked for some behind the last one. Up to the end of the first page that was full,
        these are all; what comes behind is asked for again.
        """
        parts = self.schema.all_parts
        size = max(PAGE // len(parts), min(PAGE, 20))
        while True:
            after = b"(" + last if last else b"-"
            calls = [Call(("ZRANGEBYLEX", part.keys.ids, after, "+", "LIMIT", 0, size)) for part in parts]
            replies = await asking.read_together(self.store, calls)
            pages = [of_kind(reply, LIST, call) for reply, call in zip(replies, calls, strict=True)]
            for page in pages:
                check_values(page)
            found = sorted(id for page in pages for id in page)
            if full := [page[-1] for page in pages if len(page) == size]:
                found = found[: bisect_right(found, min(full))]
            for first in range(0, len(found), PAGE):
                yield found[first : first + PAGE]
            if not full:
                return
            last = found[-1]

    async def lines(self, ids: Sequence[bytes]) -> list[str]:
        """The lines of those of *ids* that are there."""
        return [_line(record) for record in await self.records(ids)]

    async def records(self, ids: Sequence[bytes]) -> list[dict[str, Any]]:
        """What these lines hold."""
        places = [self.schema.of(id_text(id)) for id in ids]
        parts = [*dict.fromkeys(places)]
        calls = [
            call for id, part in zip(ids, places, strict=True) for call in self._calls(part, id_text(id))
        ]
        clocks = [asking.time_call(part.keys) for part in parts]
        replies = await asking.read_together(self.store, [*clocks, *calls])
        now = {
            part: int(seconds) * 1000 + int(micros) // 1000
            for part, (seconds, micros) in zip(parts, replies, strict=False)
        }
        width, found = len(calls) // len(ids), list[dict[str, Any]]()
        for place, (id, part) in enumerate(zip(ids, places, strict=True)):
            row = replies[len(parts) + place * width : len(parts) + (place + 1) * width]
            if row[0]:
                found.append(await self._record(part.keys, id, row, now[part]))
        return found

    def _calls(self, schema: Schema, id: str) -> list[Call]:
        """What tells all of a record, but for what large collections hold beyond their first part."""
        keys = schema.keys
        calls = [load_all_call(schema, id)]
        if schema.expires:
            calls += [Call(("ZSCORE", keys.moments, id)), Call(("PTTL", keys.record(id)))]
        if self.ending:
            ends = Call(("HPEXPIRETIME", keys.record(id), "FIELDS", len(self.ending), *self.ending))
            calls.append(ends)
        return calls + [_FIRST[one.__kind__](keys.collection(one.key, id)) for one in self.collections]

    async def _record(self, keys: Keys, id: bytes, row: Sequence[Reply], now: int) -> dict[str, Any]:
        rest = iter(row)
        pairs = next(rest)
        stored = dict(zip(pairs[::2], pairs[1::2], strict=True))
        line: dict[str, Any] = {"id": text_of(id), "fields": self._declared(stored)}
        if self.undeclared and (others := self._others(stored)):
            line["others"] = others
        if not self.values and (odd := self._as_stored(stored)):
            line["as_stored"] = odd
        if self.schema.expires:
            score, left = next(rest), next(rest)
            if left != -1:
                line["expires_at"] = int(float(score)) if score else now + left
        if self.ending:
            moments = zip(self.ending, next(rest) or (), strict=True)
            if ends := {key: moment for key, moment in moments if moment > 0}:
                line["ends"] = ends
        held = dict[str, Any]()
        odd_collections = list[str]()
        for one, reply in zip(self.collections, rest, strict=True):
            key = keys.collection(one.key, id_text(id))
            if content := await _whole(self.store, one.__kind__, key, reply):
                held[one.key] = shown(one.__kind__, content)
                if not readable(one, content, self.mapper):
                    odd_collections.append(one.key)
        if held:
            line["collections"] = held
        if odd_collections:
            line["collections_as_stored"] = odd_collections
        return line

    def _declared(self, stored: dict[bytes, bytes]) -> dict[str, Any]:
        found = dict[str, Any]()
        for field in self.fields:
            raw = stored.get(field.key.encode())
            if raw is not None:
                found[self._name(field)] = self._value(field, raw) if self.values else text_of(raw)
        return found

    def _value(self, field: Field[Any], raw: bytes) -> Any:
        """A value for people: what JSON has, moments in ISO 8601, else its text; None where unreadable."""
        try:
            value: Any = field.__codec__.read(raw, self.mapper)
        except ValueError:
            return None
        if isinstance(value, dt.date):
            return value.isoformat()
        if isinstance(field, Tags | Json):
            return json.loads(raw)
        if isinstance(value, float) and math.isinf(value):  # of which JSON has none: as the web faces tell it
            return "Infinity" if value > 0 else "-Infinity"
        return value if isinstance(value, bool | int | float) else text_of(raw)

    def _others(self, stored: dict[bytes, bytes]) -> list[list[Any]]:
        declared = {MARKER.encode(), *(key.encode() for key in self.mapper.by_key)}
        return [[text_of(name), text_of(stored[name])] for name in sorted(stored.keys() - declared)]

    def _as_stored(self, stored: dict[bytes, bytes]) -> list[str]:
        """The fields whose bytes they would not write themselves: others wrote them, or an older class."""
        return [
            field.key
            for field in self.fields
            if (raw := stored.get(field.key.encode())) is not None
            and not writes(field.__codec__, raw, self.mapper)
        ]


def _line(content: dict[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


# -- collections -----------------------------------------------------------------------------------

_FIRST: dict[str, Callable[[str], Call]] = {
    "list": lambda key: Call(("LRANGE", key, 0, PART - 1)),
    "set": lambda key: Call(("SSCAN", key, 0, "COUNT", PART), cursor=2),
    "sorted": lambda key: Call(("ZSCAN", key, 0, "COUNT", PART), cursor=2),
    "hash": lambda key: Call(("HSCAN", key, 0, "COUNT", PART), cursor=2),
    "counter": lambda key: Call(("GET", key)),
}
"""The first part of a collection, by its kind."""

_SCANS = {"set": "SSCAN", "sorted": "ZSCAN", "hash": "HSCAN"}
"""What reads the parts behind it."""


async def _whole(store: Store, kind: str, key: str, first: Reply) -> Any:
    """All that a collection holds, in an order of its own; nothing where there is none."""
    if kind == "counter":
        return first
    if kind == "list":
        return await _listed(store, key, first)
    command, (cursor, values) = _SCANS[kind], first
    while cursor != b"0":
        cursor, more = await asking.read(store, Call((command, key, cursor, "COUNT", PART), cursor=2), LIST)
        values += more
    if kind == "set":
        return sorted(set(values))
    pairs = dict(zip(values[::2], values[1::2], strict=True)).items()
    return sorted(pairs) if kind == "hash" else sorted(pairs, key=lambda pair: (float(pair[1]), pair[0]))


async def _listed(store: Store, key: str, first: list[bytes]) -> list[bytes]:
    found = part = first
    while len(part) == PART:
        call = Call(("LRANGE", key, len(found), len(found) + PART - 1))
        part = await asking.read(store, call, LIST)
        found = found + part
    return found
