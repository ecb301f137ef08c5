"""What belongs to records elsewhere: their collections, and the records that they refer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aioredisca.compiler.changes import Change
from aioredisca.maintenance.checking.entries import end_of, over
from aioredisca.maintenance.checking.faults import Fault, Finding
from aioredisca.maintenance.checking.places import Layout
from aioredisca.maintenance.checking.records import State
from aioredisca.maintenance.checking.together import Command, look_call, mend_call
from aioredisca.persistence import asking
from aioredisca.storage.keys import id_text
from aioredisca.types import Call, Store


async def collections(store: Store, layout: Layout, keys: Sequence[bytes]) -> list[Fault]:
    """Those of the *keys* of collections whose record is not there, or that hold another type."""
    schema, faults = layout.schema, list[Fault]()
    owners = [(key, layout.owner(key)) for key in keys]
    names = [(key, owner[0], id_text(owner[1])) for key, owner in owners if owner]
    calls = [Call(("EXISTS", schema.keys.record(id))) for _, _, id in names]
    replies = await asking.read_together(store, [*calls, *(Call(("TYPE", key)) for key in keys)])
    suspects = [one for one, there in zip(names, replies, strict=False) if not there]
    for (key, wanted, id), type in zip(names, replies[len(names) :], strict=True):
        if type not in (b"none", wanted):
            finding = Finding(
                "collection-type", id, key.decode("utf-8", "backslashreplace"), f"a {type.decode()}"
            )
            faults.append(Fault(finding, (key, "type")))
    looks: list[list[Command]] = [
        [("EXISTS", schema.keys.record(id)), ("EXISTS", key), *end_of(schema, id)] for key, _, id in suspects
    ]
    seconds = await asking.read_together(store, [look_call(one) for one in looks]) if looks else []
    for (key, _, id), (record, there, *ends) in zip(suspects, seconds, strict=True):
        if there and not record and not over(ends):
            finding = Finding("orphan-collection", id, key.decode("utf-8", "backslashreplace"))
            cure = mend_call([(("EXISTS", schema.keys.record(id)), 0)], [("UNLINK", key)])
            faults.append(Fault(finding, (key,), cure))
    return faults


@dataclass(frozen=True, slots=True)
class _Link:
    """A reference of a record: the hash field *name* and its value, and the key that it names in *store*."""

    state: State
    name: str
    store: Store
    key: str
    raw: bytes = field(repr=False)


async def dangling(store: Store, layout: Layout, states: Sequence[State]) -> list[Fault]:
    """The references of records that name none.

    Records of several classes and databases are no matter of one script, so they are looked at one after the
    other: a reference that is there before and after its record was not is at fault.
    """
    links = [link for state in states for link in _links(layout, state)]
    for _ in range(2):
        links = [link for link, there in zip(links, await _exist(links), strict=True) if not there]
        links = await _still(store, layout, links)
    return [_fault(layout, link) for link in links]


def _links(layout: Layout, state: State) -> list[_Link]:
    found, mapper = list[_Link](), layout.mapper
    for one in layout.references:
        raw, codec = state.raw[one.key], one.__codec__
        try:
            target, id = codec.named(raw.decode(), mapper) if raw else (None, "")
        except ValueError:  # it cannot be read, which is told
            continue
        if target is not None and id:
            theirs: Any = target.__mapper__
            held: Store = theirs.store()
            found.append(_Link(state, one.key, held, theirs.schema(held).of(id).keys.record(id), raw or b""))
    return found


async def _exist(links: Sequence[_Link]) -> list[bool]:
    """Whether there is what each names."""
    there = dict[tuple[int, str], bool]()
    for store in {id(link.store): link.store for link in links}.values():
        keys = list(dict.fromkeys(link.key for link in links if link.store is store))
        replies = await asking.read_together(store, [Call(("EXISTS", key)) for key in keys])
        there.update({(id(store), key): bool(reply) for key, reply in zip(keys, replies, strict=True)})
    return [there[id(link.store), link.key] for link in links]


async def _still(store: Store, layout: Layout, links: Sequence[_Link]) -> list[_Link]:
    """Those that are still as they were."""
    calls = [Call(("HGET", layout.schema.keys.record(link.state.id), link.name)) for link in links]
    replies = await asking.read_together(store, calls) if calls else []
    return [link for link, raw in zip(links, replies, strict=True) if raw == link.raw]


def _fault(layout: Layout, link: _Link) -> Fault:
    state, schema = link.state, layout.schema
    cure = None
    if link.name not in schema.required:
        cure = Change(schema, state.id, "update", {}, (link.name,), {link.name: link.raw})
    finding = Finding("dangling", state.id, layout.mapper.attribute(link.name))
    return Fault(finding, ("dangling", state.id, link.name), cure)
