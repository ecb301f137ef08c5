"""``Live``: what enters, changes and leaves the matches of a query, by the feed of its class.

A change says which record to look at; what it is now decides, by the whole condition. So what changes several
times between two looks is told once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeVar

from aioredisca.compiler.conditions import judge
from aioredisca.compiler.loads import load_call, moment_call, read_moment
from aioredisca.errors import UsageError
from aioredisca.persistence import asking
from aioredisca.query import execution
from aioredisca.query.feeds.change import FeedGap
from aioredisca.query.feeds.reading import Feed
from aioredisca.query.scan import Scan
from aioredisca.query.spec import QuerySpec
from aioredisca.storage.keys import MOMENT
from aioredisca.storage.replies import check_row

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")


class Watched(NamedTuple, Generic[R]):
    """One thing that happened to the matches of a query.

    ``kind``    "enter": it matches from now on; "change": it still does; "exit": not any more, or it is gone.
    ``record``  as it is stored now; None for an exit.
    """

    kind: Literal["enter", "change", "exit"]
    id: str
    record: R | None


class Live(Generic[R]):
    """The matches of a query as they were told last, and what happens to them."""

    def __init__(self, spec: QuerySpec[R]) -> None:
        if spec.children or not spec.whole or spec.only is not None or spec.prefetch:
            raise UsageError(
                "watch() follows all matches in one class, as they are: write it behind conditions alone, "
                "without limit(), offset(), slices, only(), prefetch() and classes that inherit"
            )
        self._spec = spec
        self._feed = self._new_feed()
        self._ids = set[str]()
        self._begun = False

    def _new_feed(self) -> Feed[R]:
        return Feed(self._spec.model, None, None, None, 60)

    async def begin(self) -> None:
        """Find the place in the feed from which on changes count."""
        await self._feed.begin()

    async def take(self) -> list[Watched[R]]:
        """What happened next: first that all matches enter. TooManyRows beyond ``conf.max_rows``.

        The round trips of the query; then those of the feed, and one more to look at what has changed.
        """
        while True:
            if not self._begun:
                await self.begin()
                found = await self._look_at_all()
                self._begun = True
            else:
                found = await self._next()
            if found:
                return found

    async def _next(self) -> list[Watched[R]]:
        try:
            changes = await self._feed.take()
        except FeedGap:  # nobody knows which have changed: all of them are looked at
            self._feed, self._begun = self._new_feed(), False
            return []
        return await self._look(dict.fromkeys(change.id for change in changes))

    async def _look_at_all(self) -> list[Watched[R]]:
        """What the query finds, compared with what was told before."""
        records = {record.id: record for record in await execution.records(self._spec)}
        gone = [Watched[R]("exit", id, None) for id in self._ids - records.keys()]
        there = [
            Watched("change" if id in self._ids else "enter", id, record) for id, record in records.items()
        ]
        self._ids = {*records}
        return [*gone, *there]

    async def _look(self, ids: Iterable[str]) -> list[Watched[R]]:
        found = list[Watched[R]]()
        for id, record in zip(ids, await self._matching([*ids]), strict=True):
            known = id in self._ids
            if record is not None:
                self._ids.add(id)
                found.append(Watched("change" if known else "enter", id, record))
            elif known:
                self._ids.discard(id)
                found.append(Watched("exit", id, None))
        return found

    async def _matching(self, ids: Sequence[str]) -> list[R | None]:
        """The records of *ids* that match now, None in the place of others. One round trip."""
        store, mapper = self._feed.store, self._spec.mapper
        schema = mapper.schema(store)
        names = schema.read_fields
        calls = [load_call(schema.of(id), id, names) for id in ids]
        if schema.expires:
            calls += [moment_call(schema.of(id), id) for id in ids]
        rows = await asking.read_together(store, calls)
        holds = judge(self._condition(), {**schema.places, MOMENT: len(names)}.__getitem__)
        found = list[R | None]()
        for number, id in enumerate(ids):
            row: list[bytes | None] = rows[number]
            check_row(row, names)
            moment = read_moment(rows[len(ids) + number]) if schema.expires else None
            matches = row.count(None) < len(row) and holds([*row, moment])
            found.append(mapper.hydrate_many(schema.places, [(id, row)])[0] if matches else None)
        return found

    def _condition(self) -> Any:
        """As the query itself judges its rows."""
        store, mapper = self._feed.store, self._spec.mapper
        return Scan(
            self._spec, self._spec.model, place=(store, mapper.schema(store).all_parts[0])
        ).plan.condition
