"""``Change``: what a feed says of one change, and ``FeedGap``: that some are there no more."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aioredisca.compiler.feeds.calls import Entry, Kind
from aioredisca.errors import CorruptRecord, StoreError
from aioredisca.storage.replies import MISREAD
from aioredisca.types import Raw

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R_co = TypeVar("R_co", bound="Record", covariant=True)


class FeedGap(StoreError):
    """The feed of a model has lost changes that were to come next: it keeps a bounded number of them.

    ``cursor`` is where that begins which is kept: read the records anew, then go on with ``since=cursor``. A
    group stands there already.
    """

    def __init__(self, model: str, cursor: str, reason: str = "") -> None:
        super().__init__(model, cursor, reason)
        self.model, self.cursor = model, cursor
        self.reason = reason or "the feed was cut, or taken away, behind the place that was read last"

    def __str__(self) -> str:
        return (
            f"changes of {self.model} are lost: {self.reason}. Read the records anew, then go on with "
            f"changes(since=error.cursor); conf(feed=n) keeps more"
        )


@dataclass(frozen=True, slots=True)
class Change(Generic[R_co]):
    """One change of a record, as the feed of its class has it. Its repr shows no values.

    ``kind``         "create", "update", "delete", or "expire": it ended by itself, and was taken away.
    ``id``           of the record.
    ``at``           when it was made, by the clock of the server.
    ``cursor``       ``changes(since=cursor)`` goes on behind it; empty where a group keeps the place.
    ``hidden``       attributes of secret fields that were written: no feed has their values.
    ``collections``  attributes of collections that changed; an update of these has no values.
    ``feed`` ``entry``  the key of the stream, and the id of the entry in it.
    """

    model: type[R_co]
    kind: Kind
    id: str
    at: dt.datetime
    cursor: str = field(repr=False)
    hidden: tuple[str, ...]
    collections: tuple[str, ...]
    feed: str = field(repr=False)
    entry: str
    raw: Raw = field(repr=False)
    """What is told of fields, as it is stored, by hash field; None: it holds no value now."""

    @property
    def values(self) -> dict[str, Any]:
        """The new values of the fields that were written, by attribute; None where there is none now.

        CorruptRecord for a text that the field cannot read, as where its kind has changed since.
        """
        mapper: Any = self.model.__mapper__
        found = dict[str, Any]()
        for key, text in self.raw.items():
            declared = mapper.by_key[key]
            try:
                found[declared.name] = None if text is None else declared.__codec__.read(text, mapper)
            except MISREAD:
                pass
            else:
                continue
            raise CorruptRecord(mapper.name, self.feed, declared.name)
        return found

    @property
    def fields(self) -> tuple[str, ...]:
        """The attributes of all fields that were written."""
        mapper: Any = self.model.__mapper__
        return (*(mapper.attribute(key) for key in self.raw), *self.hidden)


def change_of(model: type[Any], feed: str, entry: Entry, cursor: str) -> Change[Any]:
    """What *entry* says of a record of *model*, without fields that the class does not declare any more."""
    mapper: Any = model.__mapper__
    known = {key: text for key, text in entry.raw.items() if key in mapper.by_key}
    secret = [key for key in known if mapper.by_key[key].secret]
    hidden = [key for key in (*entry.hidden, *secret) if key in mapper.by_key]
    names = {one.key: name for name, one in mapper.collections.items()}
    milliseconds = int(entry.place.partition("-")[0])
    return Change(
        model,
        entry.kind,
        entry.id,
        dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC),
        cursor,
        tuple(mapper.attribute(key) for key in hidden),
        tuple(names[key] for key in entry.collections if key in names),
        feed,
        entry.place,
        {key: text for key, text in known.items() if key not in secret},
    )
