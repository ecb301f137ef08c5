"""``Scan``: one condition read from one class, page by page, each row judged before it is handed on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from . import storage
from .errors import NotIndexed, StoreError, Unavailable
from .expressions import All, Between, Condition, Equals, IsNone
from .plan import Row, Source, read_fields, read_page, select_call, source_of
from .schema import Schema
from .types import Call, Raw, Reply, Store

if TYPE_CHECKING:
    from .record import Record

R = TypeVar("R", bound="Record")


class Scan(Generic[R]):
    """A position in an index: what was read last (``rows``) and where to go on.

    An index only hints. A row whose record is gone or does not hold what was asked for is dropped and
    counted in ``Database.stale_rows``; where a limit is set, further rows take its place.
    """

    def __init__(
        self,
        model: type[R],
        condition: Condition,
        fields: Sequence[str] | None,
        *,
        offset: int = 0,
        limit: int | None = None,
    ) -> None:
        self.model, self.condition = model, condition
        self.store: Store = model._store()
        self.schema: Schema = model._schema(self.store)
        self.source = self._source()
        self.fields = tuple(self.schema.read_fields if fields is None else self._proof())
        self.rows: list[tuple[str, Raw]] = []
        self.done = limit == 0
        self._offset, self._limit, self._cursor = offset, limit, b""
        self._seen: set[str] = set()

    @property
    def field(self) -> str:
        """The attribute that the condition is about."""
        return "id" if self.condition.key is None else self.model._attribute(self.condition.key)

    def _source(self) -> Source:
        source = source_of(self.schema, self.condition)
        if source is None:
            raise NotIndexed(self.model.__name__, self.field, self._why())
        return source

    def _why(self) -> str:
        spec = self.schema.by_key[str(self.condition.key)]
        if isinstance(self.condition, IsNone):
            return (
                "required fields are never None"
                if spec.required
                else "declare it with index=True to ask for None"
            )
        if isinstance(self.condition, Between) and spec.indexed:
            return "its index has no order"
        return ""

    def _proof(self) -> tuple[str, ...]:
        """The fewest fields that prove a row: the record is there and holds what was asked for."""
        if isinstance(self.condition, Equals | Between):
            return (self.condition.key,)
        if self.schema.required:
            return tuple(dict.fromkeys([self.schema.required[0], *filter(None, [self.condition.key])]))
        return self.schema.read_fields

    @property
    def unordered(self) -> bool:
        """Whether rows come as a set yields them: in no order, and some of them twice while it changes."""
        return self.source.kind == "set" and self._limit is None

    # -- one page ----------------------------------------------------------------------------------

    def _call(self, sort: bool) -> Call:
        return select_call(
            self.schema,
            self.source,
            self.fields,
            offset=self._offset,
            limit=self._limit,
            cursor=self._cursor,
            sort=sort,
        )

    async def advance(self) -> None:
        """Read the next page into ``rows``, which may be empty. EVALSHA, one round trip."""
        await self.first_pages([self])

    @classmethod
    async def first_pages(cls, scans: Sequence[Scan[Any]]) -> None:
        """Read the next page of every scan, in one round trip per database."""
        ready = [scan for scan in scans if not scan.done]
        replies = await cls._execute(
            [(scan.store, scan._call(storage.may_sort(scan.store))) for scan in ready]
        )
        for scan, reply in zip(ready, replies, strict=True):
            scan._take(await scan._without_sort() if isinstance(reply, StoreError) else reply)

    async def _without_sort(self) -> Reply:
        """The same page without SORT_RO. Where that works, SORT_RO is never tried again."""
        reply = await storage.read(self.store, self._call(sort=False))
        storage.never_sort(self.store)
        return reply

    @classmethod
    async def together(cls, calls: Sequence[tuple[Store, Call]]) -> list[Reply]:
        """The replies to calls of several databases, in one round trip each; a refusal is raised."""
        replies = await cls._execute(calls)
        for reply in replies:
            if isinstance(reply, StoreError):
                raise reply
        return replies

    @staticmethod
    async def _execute(calls: Sequence[tuple[Store, Call]]) -> list[Reply]:
        replies = list[Reply]([None] * len(calls))
        for store in dict.fromkeys(store for store, _ in calls):
            places = [place for place, (owner, _) in enumerate(calls) if owner is store]
            for place, reply in zip(
                places, await store.transport().execute([calls[p][1] for p in places]), strict=True
            ):
                if isinstance(reply, Unavailable):
                    raise reply
                replies[place] = reply
        return replies

    def _take(self, reply: Reply) -> None:
        page = read_page(reply, len(self.fields))
        self.rows = list(self.judge(page.rows))
        if self.unordered:
            self.rows = self._fresh(self.rows)
        if self._limit is not None:
            self.rows = self.rows[: self._limit]
            self._limit -= len(self.rows)
        self._cursor, self._offset = page.cursor, page.offset
        self.done = not page.cursor or self._limit == 0

    def _fresh(self, rows: list[tuple[str, Raw]]) -> list[tuple[str, Raw]]:
        """Without what came before, and sorted by id."""
        fresh = {id: raw for id, raw in rows if id not in self._seen}
        self._seen |= fresh.keys()
        return sorted(fresh.items(), key=by_id)

    # -- one row -----------------------------------------------------------------------------------

    def judge(self, rows: Iterable[Row]) -> Iterable[tuple[str, Raw]]:
        """The rows whose records hold what was asked for, as fields by name."""
        for id, values in rows:
            raw = read_fields(self.fields, values)
            if raw is not None and (
                self.condition.key is None or self.condition.holds(raw.get(self.condition.key))
            ):
                yield id, raw
            else:
                stale = self.store.memory.setdefault("stale", {})
                stale[self.schema.keys.base] = stale.get(self.schema.keys.base, 0) + 1

    def record(self, id: str, raw: Raw) -> R:
        """The row as an instance."""
        return self.model._found(id, raw)

    def rank(self, id: str, raw: Raw) -> tuple[float, bytes]:
        """What orders the rows of several classes: the score where there is one, then the id."""
        score = 0.0
        if not isinstance(self.condition, All) and self.source.kind == "scored":
            stored = raw[str(self.condition.key)]
            score_of = self.schema.by_key[str(self.condition.key)].score
            if stored is not None and score_of is not None:
                score = float(score_of(stored))
        return score, by_id((id, raw))


def by_id(row: tuple[str, Any]) -> bytes:
    """What orders rows by id: its bytes, as the server compares them."""
    return row[0].encode("utf-8", "surrogateescape")
