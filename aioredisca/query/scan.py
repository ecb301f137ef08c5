"""``Scan``: one spec carried out on one class, or one of its partitions, step by step.

Each row is judged before it is handed on.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeAlias, TypeVar

from aioredisca.compiler.conditions import judge
from aioredisca.compiler.planner import Order, Plan, Walk, plan
from aioredisca.compiler.queries import (
    ASK_WITHOUT_ORDER,
    Row,
    is_sorted,
    plan_at,
    query_call,
    read_rows,
    read_step,
    shows_values,
)
from aioredisca.errors import StoreError, Unavailable
from aioredisca.persistence import readiness
from aioredisca.query.spec import QuerySpec
from aioredisca.storage.keys import MARKER, MOMENT
from aioredisca.storage.replies import MISREAD, check_values, strange
from aioredisca.storage.schema import Schema
from aioredisca.types import Astray, Call, Changed, Proof, Raw, ReadFrom, Reply, Store, Stored

if TYPE_CHECKING:
    from aioredisca.model.record import Record

R = TypeVar("R", bound="Record")
P = ParamSpec("P")
T = TypeVar("T")
Found: TypeAlias = "tuple[str, Stored, Scan[R]]"
"""One match: its id, the id and what it holds in the fields of its scan, and that scan. Plain, for there are
many."""


class Scan(Generic[R]):
    """A position in what a spec finds in one class: the rows read last, and where to go on.

    ``ordered``  whether the server keeps the order. Else rows come as they are found, all of them, and
                 whoever reads them sorts and cuts.

    An index only hints. A row whose record is gone or does not hold what was asked for is dropped and
    counted in ``Database.stale_rows``; where a limit is set, further rows take its place.
    """

    def __init__(
        self,
        spec: QuerySpec[R],
        model: type[R],
        fields: Sequence[str] | None = None,
        place: tuple[Store, Schema] | None = None,
    ) -> None:
        self.spec, self.model = spec, model
        self.mapper = mapper = model.__mapper__
        if place is None:
            store = mapper.store()
            place = store, mapper.schema(store)
        self.store: Store
        self.schema: Schema
        self.store, self.schema = place
        self.plan = self._plan()
        self.proof: Proof | None = None
        """What the plan was made by, once the scan is ready."""
        self._places = {key: place for place, key in enumerate(self._read(fields), 1)}
        self.holds = judge(self.plan.condition, self._places.__getitem__)
        """Whether the values of a row meet the condition."""
        # Whether a record without any value matches: then the marker has to tell that there is one.
        self._blank = self.holds([None] * (1 + len(self._places)))
        marker = (MARKER,) if self._blank and fields is None else ()
        self.fields: tuple[str, ...] = (*self._places, *marker)
        self.rows: list[Found[R]] = []
        self.done = spec.limit == 0
        self.ordered = False
        self.gave_up = False
        """Whether the last step only told that the order is too dear: it begins anew without."""
        self.read_from: ReadFrom = spec.read_from or self.store.read_from
        self._walk: Walk | None = None
        self._want: int | None = None
        self._offset, self._cursor = 0, b""
        self._seen: set[str] = set()
        # A record that holds nothing of what is read must be proved to be there, if that is enough to match.
        # A required field would not tell: it may be younger than the record.
        self._prove = self._blank and MARKER not in self.fields

    def at(self, part: Schema) -> Scan[R]:
        """The same, not begun, in another partition of the class."""
        other = copy(self)
        other.schema, other.plan, other.rows, other._seen = part, plan_at(self.plan, part), [], set()
        return other

    def begin(self, reply: Reply, proof: Proof) -> None:
        """Take *reply*, which somebody else has got by that *proof*, as that to the first step."""
        self.proof = proof
        self._take(reply)

    def _plan(self, unbuilt: frozenset[str] = frozenset()) -> Plan:
        order = [Order(one.field.key, one.descending) for one in self.spec.order]
        return plan(
            self.schema,
            self.spec.condition,
            order,
            scan=self.spec.scan,
            unbuilt=unbuilt,
            attribute=self.mapper.attribute,
        )

    def _read(self, fields: Sequence[str] | None) -> Iterable[str]:
        """*fields* (None: the declared ones), and what it takes to judge and to order a row."""
        declared = self.schema.by_key
        if fields is None and not self.schema.expires:
            return declared
        asked = dict.fromkeys([*(declared if fields is None else fields), *self.plan.read])
        return {MOMENT: None, **asked} if MOMENT in asked else asked  # first, as lua/read/moment.lua has it

    async def ready(self) -> None:
        """Check that the store has built every index of the plan. No I/O but once per process and model."""
        self.proof = readiness.complete(self.store, self.schema)
        if self.proof is not None:
            return
        unbuilt, lacking = frozenset[str](), await self._lacking()
        while not lacking <= unbuilt:  # what answers in the place of an index may be unbuilt as well
            unbuilt |= lacking
            self.plan = self._plan(unbuilt)
            lacking = await self._lacking()
        if lacking:
            await self.need_indexes()

    async def _lacking(self) -> frozenset[str]:
        """The indexes of the plan that the store has not built."""
        lacking, self.proof = await readiness.lacking(self.store, self.schema, self.plan.entries)
        return frozenset(lacking)

    async def need_indexes(self) -> None:
        """NotIndexed unless the store has built every index of the plan as it is."""
        names = {entry: self._name(key) for entry, key in self.plan.entries.items()}
        self.proof = await readiness.ready_to_read(self.store, self.schema, names)

    async def look_again(self) -> None:
        """The store has changed: go on by what it says now. Changed where it lacks an index of the plan."""
        assert self.proof is not None
        self.read_from = "primary"  # it may be a replica that has not heard of it
        readiness.distrust(self.store, self.schema, self.proof)
        lacking, self.proof = await readiness.lacking(self.store, self.schema, self.plan.entries)
        if lacking:
            raise Changed

    def walk_anew(self) -> None:
        """Begin anew, past the rows that came before. Changed in a count, where none are known.

        By the primary, with which scans beside it may go on that a replica does not answer.
        """
        if not self._cursor:
            raise Changed
        self._cursor, self.read_from = b"", "primary"

    def _name(self, key: str) -> str:
        """What an index is of; nothing for the set of all records."""
        return self.mapper.attribute(key) if key else ""

    # -- how to read -------------------------------------------------------------------------------

    def in_order(self, walk: Walk, *, want: int | None = None, offset: int = 0, cursor: bytes = b"") -> None:
        """Let the server walk an order: *want* rows of it (None: all) after *offset* others."""
        self.ordered, self._walk, self._want = True, walk, want
        self._offset, self._cursor = offset, cursor

    def go_on(self, walk: Walk, *, want: int, cursor: bytes) -> None:
        """Go on in an order behind *cursor*, once it was done."""
        self.in_order(walk, want=want, cursor=cursor)
        self.done = False

    @property
    def sorted(self) -> bool:
        """Whether rows come in the order of the plan, though nobody asked the server for it."""
        single = self.plan.single
        if single is None or self.plan.walk is None or self.plan.walk.descending:
            return False
        return single.kind in "AH" if self.plan.walk.kind == "id" else single.key == self.plan.walk.key

    def _call(self, sort: bool) -> Call:
        exact = self.plan.exact
        return query_call(
            self.plan,
            "rows",
            self.fields,
            walk=self._walk,
            limit=self._want if exact else None,
            offset=self._offset,
            cursor=self._cursor,
            sort=sort,
            prove=self._prove,
        )

    # -- one step ----------------------------------------------------------------------------------

    async def advance(self) -> None:
        """Read the next rows into ``rows``, which may be none. EVALSHA, one round trip."""
        await self.advance_all([self])

    @classmethod
    async def advance_all(cls, scans: Sequence[Scan[Any]]) -> None:
        """Read the next rows of every scan, in one round trip per database."""
        ready = [scan for scan in scans if not scan.done]
        replies = await ask(ready, lambda scan: scan._call(scan.store.facts.may_sort))
        for scan, reply in zip(ready, replies, strict=True):
            scan._take(await scan._made_sure(reply))

    async def _made_sure(self, reply: Reply) -> Reply:
        """*reply*, or what comes without SORT_RO where that is refused, or may find no hash fields."""
        if isinstance(reply, StoreError):
            return await self._without_sort()
        facts, width = self.store.facts, len(self.fields)
        if facts.sort_proven or not is_sorted(reply):
            return reply
        facts.sort_proven = shows_values(reply, width)
        if facts.sort_proven:
            return reply
        (other,) = await together([self], lambda scan: scan._call(sort=False))
        if shows_values(other, width):
            facts.sort_in_scripts = False
        return other

    async def _without_sort(self) -> Reply:
        """The same step without SORT_RO. Where that works, SORT_RO is never tried again."""
        (reply,) = await together([self], lambda scan: scan._call(sort=False))
        self.store.facts.sort_in_scripts = False
        return reply

    def _take(self, reply: Reply) -> None:
        step = read_step(reply)
        if step.cursor == ASK_WITHOUT_ORDER:
            self.ordered, self._walk, self._want, self._offset, self._cursor = False, None, None, 0, b""
            self.rows, self.gave_up = [], True
            return
        self.gave_up = False
        found = read_rows(step.found, len(self.fields))
        if {len(row) for _, row in found} - {1 + len(self.fields)}:
            raise strange()
        self.rows = self.judged(found)
        if not self.ordered:
            self.rows = self._fresh(self.rows) if step.cursor or self._seen else self.rows
        elif self._want is not None:
            self.rows = self.rows[: self._want]
            self._want -= len(self.rows)
        self._cursor, self._offset = step.cursor, step.offset
        self.done = not step.cursor or self._want == 0

    def _fresh(self, rows: list[Found[R]]) -> list[Found[R]]:
        """Without what came before: a set that changes while it is read may yield a member twice."""
        fresh = {row[0]: row for row in rows if row[0] not in self._seen}
        self._seen |= fresh.keys()
        return list(fresh.values())

    # -- rows --------------------------------------------------------------------------------------

    def judged(self, found: Sequence[Row]) -> list[Found[R]]:
        """The rows whose records hold what was asked for."""
        try:
            return self._judged(found)
        except MISREAD:
            for _, row in found:
                check_values(row)
            raise

    def _judged(self, found: Sequence[Row]) -> list[Found[R]]:
        holds, width = self.holds, len(self.fields)
        if self._blank and not self._prove:  # else the server has left out what does not exist
            rows: list[Found[R]] = [
                (id, row, self)
                for id, row in found
                if (row[1] is not None or row.count(None) < width) and holds(row)
            ]
        else:
            rows = [(id, row, self) for id, row in found if holds(row)]
        if self.plan.exact and len(rows) < len(found):
            self.store.facts.count_stale(self.schema.keys.base, len(found) - len(rows))
        return rows

    def value(self, row: Stored, key: str) -> bytes | None:
        """What *row* holds of a hash field that was asked for."""
        return row[self._places[key]]

    def raw(self, row: Stored) -> Raw:
        """A row by name."""
        return dict(zip(self.fields, row[1:], strict=False))

    def rank(self, row: Stored, key: str) -> Any:
        """What orders *row* by a hash field, or None where it holds nothing that can be read."""
        raw = self.value(row, key)
        if type(raw) is not bytes:
            return None
        try:
            return self.mapper.asked[key].__codec__.rank(raw)
        except ValueError:
            return None

    def records(self, rows: Iterable[Found[R]]) -> list[R]:
        """Rows as instances."""
        loads, mapper = self.spec.loads, self.mapper
        if loads is None:
            places = self._places
            if MOMENT in places:  # which no record holds
                places = {key: place for key, place in places.items() if key != MOMENT}
            return mapper.hydrate_many(places, [(id, row) for id, row, _ in rows])
        return [
            mapper.hydrate_partial(id, {key: self.value(row, key) for key in loads}) for id, row, _ in rows
        ]


# -- asking, by what is believed ---------------------------------------------------------------------------


CallOf: TypeAlias = Callable[[Scan[Any]], Call]
"""What makes the call of a step of a scan."""


async def together(scans: Sequence[Scan[Any]], call_of: CallOf) -> list[Reply]:
    """The replies to one step of each scan, as :func:`ask` has them; the first refusal is raised."""
    replies = await ask(scans, call_of)
    for reply in replies:
        if isinstance(reply, StoreError):
            raise reply
    return replies


async def ask(scans: Sequence[Scan[Any]], call_of: CallOf) -> list[Reply]:
    """The replies to one step of each scan, in one round trip per database; refusals stand in the list.

    Each was true of the store as its scan believes it to be. Where the store has changed, the scan looks
    again, and the same step is asked once more: cursors stay good, they are values or places in a set. Where
    the store now lacks an index of the plan, Changed leaves: whoever began begins anew.
    """
    replies = await _execute(scans, call_of)
    for _ in range(readiness.DECLARATIONS):
        places = [place for place, reply in enumerate(replies) if isinstance(reply, Changed)]
        if not places:
            return replies
        for place in places:
            if isinstance(replies[place], Astray):
                scans[place].walk_anew()
            else:
                await scans[place].look_again()
        again = await _execute([scans[place] for place in places], call_of)
        for place, reply in zip(places, again, strict=True):
            replies[place] = reply
    raise readiness.restless(scans[0].schema.model)


async def _execute(scans: Sequence[Scan[Any]], call_of: CallOf) -> list[Reply]:
    if len(scans) == 1:
        (scan,) = scans
        return _available(await scan.store.transport().send_all((_call(scan, call_of),)))
    replies = list[Reply]([None] * len(scans))
    for store in dict.fromkeys(scan.store for scan in scans):
        places = [place for place, scan in enumerate(scans) if scan.store is store]
        calls = [_call(scans[place], call_of) for place in places]
        answers = await store.transport().send_all(calls)
        for place, reply in zip(places, _available(answers), strict=True):
            replies[place] = reply
    return replies


def _call(scan: Scan[Any], call_of: CallOf) -> Call:
    call = call_of(scan)
    call.proof, call.read_from = scan.proof, scan.read_from
    return call


def _available(replies: list[Reply]) -> list[Reply]:
    for reply in replies:
        if isinstance(reply, Unavailable):
            raise reply
    return replies


def anew(
    verb: Callable[Concatenate[QuerySpec[R], P], Awaitable[T]],
) -> Callable[Concatenate[QuerySpec[R], P], Coroutine[Any, Any, T]]:
    """*verb*, which hands on nothing before it is done: begun anew where an index is lost meanwhile.

    Then that is NotIndexed, or the query does without.
    """

    @functools.wraps(verb)
    async def begun_anew(spec: QuerySpec[R], /, *args: P.args, **named: P.kwargs) -> T:
        for _ in range(readiness.DECLARATIONS):
            try:
                return await verb(spec, *args, **named)
            except Changed:
                continue
        raise readiness.restless(spec.model.__name__)

    return begun_anew
