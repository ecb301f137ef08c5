"""What the handles of all collections share: one record's collection, its key, and calls on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aioredisca.errors import CorruptRecord, UsageError, ValidationError, WrongType
from aioredisca.fields.access import check_changeable, need_id
from aioredisca.persistence import asking, executor
from aioredisca.storage.codecs import plain, whole_in
from aioredisca.storage.replies import LIST, MISREAD, NUMBER, TEXT, check_values, of_kind, strange
from aioredisca.types import Arg, Call, Reply, Store

if TYPE_CHECKING:
    from aioredisca.fields.collections import Collection
    from aioredisca.model.mapper import Mapper
    from aioredisca.model.record import Record
    from aioredisca.storage.schema import Schema

MOST = 1000
"""Values that one call adds or takes away."""

INT64 = 2**63

ENDLESS = ("inf", "-inf")

STATUS = (bytes,)
"""The kind of what a command answers that has nothing to tell."""

NOTHING: dict[tuple[type, ...], tuple[bytes, ...] | int] = {LIST: (), NUMBER: 0}
"""What a command answers that finds no key, by the kinds of its replies; None elsewhere."""


class CollectionHandle:
    """What all handles share."""

    __slots__ = ("_mapper", "_of", "_record")

    def __init__(self, of: Collection, record: Record) -> None:
        self._of: Any = of
        self._record = record
        self._mapper: Mapper = record.__mapper__

    def __repr__(self) -> str:
        return f"<{self._mapper.name}({self._record.__state__.id!r}).{self._of.name}>"

    def getkey(self) -> str:
        """Return the key of the collection. No I/O."""
        return self._key(self._schema(self._store()))

    async def clear(self) -> bool:
        """Empty the collection; return whether it held something. EVALSHA, one round trip."""
        return bool(await self._write(NUMBER, "UNLINK"))

    # -- where it is -------------------------------------------------------------------------------

    def _store(self) -> Store:
        need_id(self._record)
        return self._mapper.store(self._record.__state__.unit)

    def _schema(self, store: Store) -> Schema:
        """The class as it is where the record lies."""
        return self._mapper.schema(store).of(self._record.__state__.id)

    def _key(self, schema: Schema) -> str:
        return schema.keys.collection(self._of.key, self._record.__state__.id)

    # -- calls -------------------------------------------------------------------------------------

    async def _write(self, kinds: tuple[type, ...], command: str, *arguments: Arg) -> Any:
        """What *command* answers, which is of one of *kinds*."""
        return (await self._write_all((kinds, command, *arguments)))[0]

    async def _write_all(self, *steps: tuple[Any, ...]) -> list[Any]:
        """What several commands answer, in one script call: each after the kinds of what it may answer."""
        record = self._record
        check_changeable(record)
        need_id(record)
        if record.__state__.layers.fresh:
            raise UsageError(f"{self!r}: save() the record first, for its collections live with it")
        commands = [part for _, command, *given in steps for part in (command, len(given), *given)]
        answers: list[Reply] = await executor.collect(self._store(), record, self._of.key, commands, LIST)
        if len(answers) != len(steps) or any(
            type(answer) not in kinds for answer, (kinds, *_) in zip(answers, steps, strict=True)
        ):
            raise strange(writes=True)
        return answers

    async def _read(self, kinds: tuple[type, ...], command: str, *arguments: Arg) -> Any:
        """What *command* answers, which is of one of *kinds*; nothing without a record."""
        store = self._store()
        schema = self._schema(store)
        key = self._key(schema)
        call = Call((command, key, *arguments))
        try:
            if not schema.expires:
                return await asking.read(store, call, kinds)
            # One that is over may have left its collections. If it is there before they are read, it was when
            # they held that, whatever becomes of it in between: who comes after it empties them first.
            there, reply = await asking.read_together(store, [self._exists(schema), call])
        except WrongType:
            raise WrongType(key, place="collection") from None
        return of_kind(reply, kinds, call) if there else NOTHING.get(kinds)

    def _exists(self, schema: Schema) -> Call:
        """What asks for the record."""
        return Call(("EXISTS", schema.keys.record(self._record.__state__.id)))

    # -- values ------------------------------------------------------------------------------------

    def _refuse(self, reason: str) -> ValidationError:
        return ValidationError(self._mapper.name, self._of.name, reason)

    def _raw(self, value: Any) -> bytes:
        """One value as it is stored. ValidationError says why not."""
        raw: bytes | None = self._of.of.__codec__.accept(value, self._mapper)[1]
        if raw is None:
            raise self._refuse("holds values, and None is none")
        return raw

    def _raws(self, values: Sequence[Any], least: int = 1) -> list[bytes]:
        if not least <= len(values) <= MOST:
            raise UsageError(f"{self!r}: one call takes {least} to {MOST:,} values, not {len(values):,}")
        return [self._raw(value) for value in values]

    def _values(self, raws: Sequence[bytes | None]) -> list[Any]:
        read = self._of.of.__codec__.read
        try:
            return [None if raw is None else read(raw, self._mapper) for raw in raws]
        except MISREAD:
            check_values(raws)
        del raws  # error trackers send away what frames hold
        raise CorruptRecord(self._mapper.name, self._record.getkey(), self._of.name)

    async def _value(self, command: str, *arguments: Arg, writes: bool = False) -> Any:
        """The one value that a command answers, None where there is none."""
        return self._values([await (self._write if writes else self._read)(TEXT, command, *arguments)])[0]

    def _count(self, count: Any) -> int:
        if (number := whole_in(count, 1, INT64 - 1)) is None:
            raise UsageError(f"{self!r}: a count is a whole number of at least 1, not {count!r:.50}")
        return number

    def _place(self, index: Any) -> int:
        if (place := whole_in(index, -INT64, INT64 - 1)) is None:
            raise UsageError(f"{self!r}: a place is a whole number of 64 bits, not {index!r:.50}")
        return place

    def _whole(self, by: Any) -> int:
        if (number := whole_in(by, -INT64, INT64 - 1)) is None:
            raise self._refuse("counts in integers of 64 bits")
        return number


def score_text(score: Any) -> str | None:
    """A score as it is sent, one of ENDLESS beyond all numbers; None for what is none."""
    score = plain(score)
    if isinstance(score, bool) or not isinstance(score, int | float) or score != score:
        return None
    try:
        return repr(float(score))
    except OverflowError:
        return "inf" if score > 0 else "-inf"


def number_in(text: Any, kind: type[float] = float, *, writes: bool = False) -> float:
    """A number that the server answers as text."""
    try:
        return kind(text)
    except MISREAD:
        pass
    raise strange(writes=writes)
