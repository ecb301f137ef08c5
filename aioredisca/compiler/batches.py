"""Changes -> what the scripts that write take: groups for ``write.lua``, calls of ``single.lua``. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from typing import TYPE_CHECKING

from aioredisca.compiler.scripts import MAX_SINGLE, is_simple, rendered, stored, write_script
from aioredisca.storage.keys import LONG_VALUE, MARKER, long_digest
from aioredisca.storage.resp import layout
from aioredisca.storage.schema import Schema
from aioredisca.types import Arg, Call, Raw, Script

if TYPE_CHECKING:
    from aioredisca.compiler.writes import Change, Mode

MAX_LAYOUTS = 256
"""How many forms of calls are kept for one class: one for each choice of fields."""

_CODES: dict[Mode, str] = {
    "create": "c",
    "update": "u",
    "upsert": "s",
    "delete": "d",
    "index": "i",
    "incr": "n",
}


class NoScore(ValueError):
    """A number that no range index holds, as others may have stored it: the script must not come upon it."""

    def __init__(self, change: Change, key: str, reason: str) -> None:
        super().__init__(reason)
        self.change, self.key = change, key


class WriteLayouts:
    """What the arguments of every change of a class take from it."""

    __slots__ = ("_layouts", "compounds", "single", "tracked")

    def __init__(self, schema: Schema) -> None:
        self.single = write_script((rendered(schema, 1),), ()) if is_simple(schema) else None
        self.tracked = schema.tracked_keys
        self.compounds = [compound.fields for compound in schema.compounds]
        self._layouts = dict[tuple[str | None, ...], bytes]()
        """Calls by what they differ in beside values."""

    def extras(self, change: Change) -> dict[str, bytes]:
        """What goes along with the values: scores that differ from them, digests of long ones."""
        found: dict[str, bytes] = {}
        schema, sets = change.schema, change.sets
        if change.increment is not None:  # room for the score of the sum, where that is not its text
            key = change.increment.key
            return {key: b""} if key in schema.scores and change.increment.places else {}
        for name, score in schema.scores.items():
            if (raw := sets.get(name)) is not None:
                try:
                    text = score(raw).encode()
                except ValueError as error:
                    raise NoScore(change, name, str(error)) from None
                if text != raw:
                    found[name] = text
        for name in schema.exact:
            if (raw := sets.get(name)) is not None and len(raw) > LONG_VALUE:
                found[name] = long_digest(raw).encode()
        return found

    def layout(self, script: Script, change: Change, extras: Mapping[str, bytes]) -> bytes:
        """The call of ``single.lua``, with gaps for the key and the id, the values and the extras."""
        shape = (change.mode, *change.sets, None, *change.drops, None, *extras)
        return self._layouts.get(shape) or self._keep(shape, self._parts(script, change, extras))

    def unindexed_layout(self, script: Script, change: Change) -> bytes:
        """The call of ``unindexed.lua``, with gaps for the key and the values."""
        shape = (*change.sets,)
        return self._layouts.get(shape) or self._keep(shape, self._unindexed_parts(script, change))

    def _keep(self, shape: tuple[str | None, ...], parts: Sequence[str | None]) -> bytes:
        if len(self._layouts) >= MAX_LAYOUTS:  # hash fields may have any names
            self._layouts.clear()
        found = self._layouts[shape] = layout(parts)
        return found

    def _unindexed_parts(self, script: Script, change: Change) -> list[str | None]:
        schema, sets = change.schema, change.sets
        marked = not schema.required and not schema.by_key.keys().isdisjoint(sets)
        found = ["EVALSHA", script.sha, "2", schema.keys.meta, None]
        found += [schema.signature, MARKER if marked else ""]
        for name in sets:
            found += [name, None]
        return found

    def _parts(self, script: Script, change: Change, extras: Mapping[str, bytes]) -> list[str | None]:
        schema, sets = change.schema, change.sets
        keys: list[str | None] = [*schema.fixed_keys, None]
        declared = int(not schema.by_key.keys().isdisjoint(sets))
        last = 6 + 2 * len(sets)
        found = ["EVALSHA", script.sha, str(len(keys)), *keys]
        found += ["", None, _CODES[change.mode], str(declared), str(last), str(last + 2 * len(extras))]
        for name in (*sets, *extras):
            found += [name, None]
        return [*found, *change.drops]

    def also_read(self, changed: Sequence[str]) -> list[str]:
        """The other members of the compounds that change with *changed* fields."""
        members = [fields for fields in self.compounds if not {*fields}.isdisjoint(changed)]
        return [name for name in dict.fromkeys(chain(*members)) if name not in changed]


def _layouts_of(schema: Schema) -> WriteLayouts:
    found = schema.compiled.writes
    if found is None:
        found = schema.compiled.writes = WriteLayouts(schema)
    return found


class _Group:
    """Changes of one class and mode that name the same fields, as ``write.lua`` reads them.

    ``head``  the arguments before the rows; one of them, ``COUNT``, is the number of rows.
    """

    COUNT = 4

    __slots__ = ("_change", "_extras", "_names", "head")

    def __init__(self, known: WriteLayouts, number: int, change: Change, extras: Mapping[str, bytes]) -> None:
        tracked = known.tracked
        sets = [name for name in change.sets if name in tracked]
        others = [name for name in change.sets if name not in tracked]
        drops = [name for name in change.drops if name in tracked]
        free = [name for name in change.drops if name not in tracked]
        if change.increment is not None:
            (sets if change.increment.key in tracked else others).append(change.increment.key)
        elif change.mode == "delete":
            drops = [*tracked]
        reads = [*change.expect, *known.also_read([*sets, *drops])]
        declared = not change.schema.by_key.keys().isdisjoint([*sets, *others])
        care = "p" if change.skip else int(change.again)
        self._change, self._extras, self._names = change, extras, (*sets, *others)
        self.head: list[Arg] = [number, _CODES[change.mode], care, int(declared), 0]
        self.head += (
            len(free),
            len(drops),
            len(reads),
            len(sets),
            len(others),
            len(extras),
            len(change.expect),
        )
        self.head += (*free, *drops, *reads, *sets, *others, *extras)

    def takes(self, change: Change, extras: Mapping[str, bytes]) -> bool:
        """Whether *change* is one more of them. One that may be passed over is always alone."""
        first = self._change
        return (
            change.mode == first.mode
            and change.sets.keys() == first.sets.keys()
            and change.drops == first.drops
            and extras.keys() == self._extras.keys()
            and [*change.expect] == [*first.expect]
            and change.again == first.again
            and not (change.skip or first.skip or change.increment or first.increment)
        )

    def row(self, change: Change, extras: Mapping[str, bytes]) -> list[Arg]:
        """The values of one of them."""
        if change.increment is not None:
            room = [""] * (1 + len(extras))
            return [*room, *_expected(change.expect), *change.increment.arguments()]
        sets = change.sets
        row: list[Arg] = [sets[name] for name in self._names]
        if extras:
            row += [extras[name] for name in self._extras]
        if change.expect:
            row += _expected(change.expect)
        return row


def _expected(expect: Raw) -> list[Arg]:
    return [b"" if value is None else b"=" + value for value in expect.values()]


def grouped(changes: Sequence[Change], numbers: Mapping[str, int], *, alone: bool) -> list[Arg]:
    """*changes* in groups, or each *alone* in one; *numbers* are those of the classes, by key base."""
    found: list[Arg] = [0]
    groups = count = count_at = 0
    for schema, own in groupby(changes, key=lambda change: change.schema):
        known, number = _layouts_of(schema), numbers[schema.keys.base]
        group: _Group | None = None
        for change in own:
            extras = known.extras(change)
            if alone or group is None or not group.takes(change, extras):
                group = _Group(known, number, change, extras)
                groups, count, count_at = groups + 1, 0, len(found) + group.COUNT
                found += group.head
            count += 1
            found[count_at] = count
            found += group.row(change, extras)
    found[0] = groups
    return found


def single(change: Change) -> Call | None:
    """The call that writes *change*, if ``unindexed.lua`` or ``single.lua`` can carry it out."""
    sets, mode = change.sets, change.mode
    special = change.expect or change.again or change.skip or change.increment or change.referrers
    if special or mode == "index" or len(sets) + len(change.drops) > MAX_SINGLE:
        return None
    known = _layouts_of(change.schema)
    if mode == "update" and sets and not change.drops and known.tracked.isdisjoint(sets):
        return _unindexed(known, change)
    return None if known.single is None else _single(known, known.single, change)


def _unindexed(known: WriteLayouts, change: Change) -> Call:
    script, key = stored("unindexed"), _key(change)
    gaps: list[int | bytes] = [len(key), key]
    for value in change.sets.values():
        gaps += (len(value), value)
    return Call((), script, (key,), True, None, known.unindexed_layout(script, change) % (*gaps,))


def _single(known: WriteLayouts, script: Script, change: Change) -> Call:
    extras = known.extras(change)
    id, key = change.id.encode("utf-8", "surrogateescape"), _key(change)
    gaps: list[int | bytes] = [len(key), key, len(id), id]
    for value in (*change.sets.values(), *extras.values()):
        gaps += (len(value), value)
    return Call((), script, (key,), True, None, known.layout(script, change, extras) % (*gaps,))


def _key(change: Change) -> bytes:
    return (change.schema.records + change.id).encode("utf-8", "surrogateescape")
