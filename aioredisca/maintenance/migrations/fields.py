"""Operations on hash fields that no index knows of: what a class is to read next, or reads no more.

They need no class. A field that is to be indexed is filled before the class that indexes it is deployed, and
removed after the last one that did is gone. See docs/migrations.md for which release does what.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

from aioredisca.compiler.positions import Exchange
from aioredisca.compiler.scripts import migrate_script
from aioredisca.errors import MigrationError, UsageError
from aioredisca.maintenance.migrations.operations import Operation
from aioredisca.maintenance.migrations.places import Kept, Place, listed, parts_of, place
from aioredisca.maintenance.migrations.records import read_records, told
from aioredisca.maintenance.migrations.walking import Prepared, Refused, Step
from aioredisca.storage.keys import Keys, bad_field
from aioredisca.storage.replies import check_rows
from aioredisca.types import Arg, Call, Raw, Reply, Store

Text = str | None


class CopyField(Operation):
    """Write the hash field *source* of every record to the hash field *into* as well, where it is not there
    yet.

    ``convert``  makes the text that *into* holds of the stored text (docs/storage.md); None: nothing stands
                 there.

    For a rename or a change of type: run it once all processes write both, by ``also=`` of the field. Undone
    by removing *into*.
    """

    def __init__(
        self, model: Place, source: str, into: str, convert: Callable[[str], Text] | None = None
    ) -> None:
        self.place, self.source, self.into, self.convert = place(model), source, into, convert
        _check_names(source, into)
        _check_function(convert)
        self.title = f"copy {source} of {self.place} to {into}"

    async def up(self, step: Step) -> None:
        await _derive(step, self.title, self.place.keys(step.store), (self.source,), (self.into,), self._make)

    async def down(self, step: Step) -> None:
        await DropField(self.place, self.into).up(step)

    def _make(self, values: Sequence[bytes | None]) -> Sequence[bytes | None]:
        (raw,) = values
        return [raw if raw is None or self.convert is None else _raw(self.convert(_text(raw)))]


class SplitField(Operation):
    """Make several hash fields of one, which stays: ``split`` takes its stored text and returns theirs.

    Undone by removing them.
    """

    def __init__(
        self, model: Place, source: str, into: Sequence[str], split: Callable[[str], Sequence[Text]]
    ) -> None:
        self.place, self.source, self.into, self.split = place(model), source, (*into,), split
        _check_names(source, *self.into)
        _check_function(split)
        self.title = f"split {source} of {self.place} into {', '.join(self.into)}"

    async def up(self, step: Step) -> None:
        await _derive(step, self.title, self.place.keys(step.store), (self.source,), self.into, self._make)

    async def down(self, step: Step) -> None:
        for name in self.into:
            await DropField(self.place, name).up(step)

    def _make(self, values: Sequence[bytes | None]) -> Sequence[bytes | None]:
        (raw,) = values
        if raw is None:
            return [None] * len(self.into)
        found = [_raw(text) for text in self.split(_text(raw))]
        if len(found) != len(self.into):
            raise UsageError(f"split= made {len(found)} values for {len(self.into)} fields")
        return found


class JoinFields(Operation):
    """Make one hash field of several, which stay: ``join`` takes their stored texts, None for what is not
    there.

    Undone by removing it.
    """

    def __init__(self, model: Place, sources: Sequence[str], into: str, join: Callable[..., Text]) -> None:
        self.place, self.sources, self.into, self.join = place(model), (*sources,), into, join
        _check_names(*self.sources, into)
        _check_function(join)
        self.title = f"join {', '.join(self.sources)} of {self.place} into {into}"

    async def up(self, step: Step) -> None:
        await _derive(step, self.title, self.place.keys(step.store), self.sources, (self.into,), self._make)

    async def down(self, step: Step) -> None:
        await DropField(self.place, self.into).up(step)

    def _make(self, values: Sequence[bytes | None]) -> Sequence[bytes | None]:
        if values.count(None) == len(values):
            return [None]
        return [_raw(self.join(*(None if raw is None else _text(raw) for raw in values)))]


class DropField(Operation):
    """Remove a hash field that no class reads any more from every record.

    ``restore``  the field that holds the same since it was renamed, ``convert`` makes the old text of its
                 text: so it can be undone.
    """

    def __init__(
        self, model: Place, field: str, restore: str = "", convert: Callable[[str], Text] | None = None
    ) -> None:
        self.place, self.field, self.restore, self.convert = place(model), field, restore, convert
        _check_names(field, *([restore] if restore else []))
        _check_function(convert)
        self.title = f"remove {field} from {self.place}"
        self.reversible = bool(restore)

    async def up(self, step: Step) -> None:
        keys = self.place.keys(step.store)
        await _derive(step, self.title, keys, (), (self.field,), lambda values: [None])

    async def down(self, step: Step) -> None:
        await CopyField(self.place, self.restore, self.field, self.convert).up(step)


def _check_names(*names: str) -> None:
    for name in names:
        if reason := bad_field(name, indexed=False):
            raise UsageError(f"{name!r}: {reason}")
    if len({*names}) < len(names):
        raise UsageError(f"{', '.join(names)}: a field cannot be made of itself")


def _check_function(given: object) -> None:
    if given is not None and not callable(given):
        raise UsageError(f"takes a function of stored text, not {given!r}")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _raw(text: Text) -> bytes | None:
    if text is None:
        return None
    if not isinstance(text, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"a function of stored text returns text or None, not {type(text).__name__}")
    return text.encode("utf-8", "surrogateescape")


# -- how it is done ----------------------------------------------------------------------------------

Make = Callable[[Sequence[bytes | None]], Sequence[bytes | None]]


async def _derive(
    step: Step, title: str, keys: Keys, sources: Sequence[str], into: Sequence[str], make: Make
) -> None:
    parts = await parts_of(step.store, keys)
    await step.walk(title, *((part, _Exchange(step.store, part, sources, into, make)) for part in parts))


class _Exchange:
    """Fills the fields *into* with what *make* makes of the *sources*, if all are as they were read."""

    def __init__(
        self, store: Store, keys: Keys, sources: Sequence[str], into: Sequence[str], make: Make
    ) -> None:
        self.store, self.keys, self.make = store, keys, make
        self.sources, self.into = sources, into
        self.names = (*sources, *into)
        self.kept = Kept("", b"", frozenset())

    async def begin(self, *, dry_run: bool) -> None:
        self.kept = await listed(self.store, self.keys)
        if found := self.kept.indexed & {*self.into}:
            raise MigrationError(
                "",
                f"the store has indexes of {', '.join(sorted(found))} in {self.keys.base!r}, which only "
                f"writes of the class keep right: run this before such a class is deployed, or after "
                f"`aioredisca reindex` has dropped them, or use each()",
            )

    async def prepare(self, ids: Sequence[str], left: dict[str, str]) -> Prepared:
        calls = {id: Call(("HMGET", self._record(id), *self.names)) for id in ids}
        rows = await read_records(self.store, self.keys, calls, left)
        check_rows([*rows.values()], len(self.names))
        changes = dict[str, tuple[Raw, Raw]]()
        for id, row in rows.items():
            if id in left or row.count(None) == len(row):
                continue
            before = dict(zip(self.into, row[len(self.sources) :], strict=True))
            try:
                after = dict(zip(self.into, self.make(row[: len(self.sources)]), strict=True))
            except Exception as error:
                left[id] = told(error)
                continue
            if after != before:
                changes[id] = dict(zip(self.names, row, strict=True)), after
        if not changes:
            return Prepared()
        return Prepared(self._call(changes), [*changes], len(changes))

    def _record(self, id: str) -> bytes:
        return self.keys.record(id).encode("utf-8", "surrogateescape")

    def _call(self, changes: dict[str, tuple[Raw, Raw]]) -> Call:
        arguments = list[Arg](Exchange(self.kept.signature, self.kept.word))
        for expected, given in changes.values():
            arguments += [len(expected), len(given)]
            for name, raw in chain(expected.items(), given.items()):
                arguments += [name, b"" if raw is None else b"=" + raw]
        keys: list[Arg] = [self.keys.meta, *map(self._record, changes)]
        return Call((*arguments,), migrate_script("exchange"), (*keys,), writes=True)

    async def refused(self, reply: Reply, prepared: Prepared) -> Refused | None:
        if reply[0] == b"META":
            await self.begin(dry_run=False)
        return None if reply[0] == b"OK" else Refused(again=True)
