"""What each kind of index keeps of records, as tables: what a record demands, and what a write makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Record = tuple[object, ...] | None
"""The values of a record, or none if there is no such record. Contents are numbers into a row of these."""

Index = tuple[int, ...]
"""What an index holds at each of its places; 0 is nothing."""

IDS = (0, 1)

UNREADABLE = "unreadable"
"""A value that no index can hold."""

Entries = Iterable[tuple[object, object, int]]
"""The key of an entry, its member, and what it holds there."""


@dataclass(frozen=True)
class Kind:
    """One index.

    ``demands``  by id and content: the (place, held) that such a record must have.
    ``keys``     the places of each key of the server: what one UNLINK empties.
    ``asked``    the (place, held) that the question of a reader is about.
    ``bad``      the contents that cannot be indexed.
    """

    name: str
    size: int
    demands: tuple[tuple[frozenset[tuple[int, int]], ...], ...]
    keys: tuple[frozenset[int], ...]
    asked: frozenset[tuple[int, int]]
    unique: bool
    bad: frozenset[int]

    def change(self, index: Index, id: int, before: int, after: int) -> Index:
        """What a write script makes of it; *before* is what the stored hash holds."""
        old, new = self.demands[id][before], self.demands[id][after]
        if old == new:
            return index
        held = list(index)
        for place, what in old - new:
            if not self.unique or held[place] == what:
                held[place] = 0
        for place, what in new - old:
            held[place] = what
        return tuple(held)

    def add(self, index: Index, id: int, content: int) -> Index:
        """What building it makes of it, for one record."""
        return self.change(index, id, 0, content)

    def right(self, records: Sequence[int]) -> Index:
        """What it must hold."""
        index = (0,) * self.size
        for id, content in enumerate(records):
            index = self.add(index, id, content)
        return index

    def taken(self, index: Index, records: Sequence[int], id: int, content: int, before: int = 0) -> bool:
        """Whether another record holds a value: by a claim, which counts while its record holds the value."""
        if not self.unique:
            return False
        for place, mine in self.demands[id][content] - self.demands[id][before]:
            claim = index[place]
            if claim and claim != mine and (place, claim) in self.demands[claim - 1][records[claim - 1]]:
                return True
        return False

    def twice(self, records: Sequence[int]) -> bool:
        """Whether two records hold one value."""
        places = [{place for place, _ in self.demands[id][content]} for id, content in enumerate(records)]
        return self.unique and bool(places[0] & places[1])

    def answer(self, index: Index) -> frozenset[tuple[int, int]]:
        """What a reader is told."""
        return frozenset(one for one in self.asked if index[one[0]] == one[1])

    def truth(self, records: Sequence[int]) -> frozenset[tuple[int, int]]:
        """What a reader must be told."""
        found = frozenset[tuple[int, int]]()
        for id, content in enumerate(records):
            found |= self.demands[id][content] & self.asked
        return found

    def wipe(self, index: Index, records: Sequence[int], step: int) -> Index | None:
        """Step *step* of emptying it before it is built; None if there is none. Claims are swept, never wiped."""
        if not self.unique:
            return self.unlink(index, step)
        if step == self.size:
            return None
        claim = index[step]
        denied = claim and (step, claim) not in self.demands[claim - 1][records[claim - 1]]
        return put(index, step, 0) if denied else index

    def unlink(self, index: Index, step: int) -> Index | None:
        """Step *step* of dropping it; None if there is none."""
        if step == len(self.keys):
            return None
        return tuple(0 if place in self.keys[step] else held for place, held in enumerate(index))

    def deny(self, index: Index, records: Sequence[int], place: int) -> Index:
        """Remove what stands at *place* if no record demands it."""
        right = any((place, index[place]) in self.demands[id][records[id]] for id in IDS)
        return index if right else put(index, place, 0)


def put(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _kind(
    name: str,
    contents: Sequence[Record],
    entries: Callable[[int, tuple[object, ...]], Entries],
    *,
    field: int | None = None,
    ask: int = 1,
    unique: bool = False,
) -> Kind:
    bad = frozenset(
        number
        for number, record in enumerate(contents)
        if record is not None and field is not None and record[field] == UNREADABLE
    )
    places, keys = dict[tuple[object, object], int](), dict[object, set[int]]()

    def table(id: int, content: int) -> frozenset[tuple[int, int]]:
        record, found = contents[content], set[tuple[int, int]]()
        for key, member, held in entries(id, record) if record is not None and content not in bad else ():
            place = places.setdefault((key, member), len(places))
            keys.setdefault(key, set()).add(place)
            found.add((place, held))
        return frozenset(found)

    demands = tuple(tuple(table(id, content) for content in range(len(contents))) for id in IDS)
    asked = demands[0][ask] | demands[1][ask]
    emptied = tuple(frozenset(some) for some in keys.values())
    return Kind(name, len(places), demands, emptied, asked, unique, bad)


# -- the kinds, as docs/storage.md has them ------------------------------------------------------------


def exact(contents: Sequence[Record], field: int = 0) -> Kind:
    """x: a set of ids per value."""
    return _kind(
        "exact", contents, lambda id, one: [] if one[field] is None else [(one[field], id, 1)], field=field
    )


def scores(contents: Sequence[Record], field: int = 0) -> Kind:
    """r: one sorted set, id -> score."""
    return _kind(
        "range",
        contents,
        lambda id, one: [] if one[field] is None else [("r", id, int(str(one[field])))],
        field=field,
    )


def texts(contents: Sequence[Record], field: int = 0) -> Kind:
    """s: one sorted set, members are value and id."""
    return _kind("sorted", contents, lambda id, one: [("s", (one[field], id), 1)], field=field)


def tags(contents: Sequence[Record], field: int = 0) -> Kind:
    """t: a set of ids per element of the value, which is a text of one letter each."""
    return _kind("tags", contents, lambda id, one: [(tag, id, 1) for tag in str(one[field])], field=field)


def digests(contents: Sequence[Record], field: int = 0) -> Kind:
    """x of long values: a set of ids per digest, and the digest by id."""
    return _kind(
        "digests",
        contents,
        lambda id, one: [(one[field], id, 1), ("h", id, int(str(one[field])))],
        field=field,
    )


def nones(contents: Sequence[Record], field: int = 0, ask: int = 1) -> Kind:
    """n: the ids without a value."""
    return _kind("none", contents, lambda id, one: [("n", id, 1)] if one[field] is None else [], ask=ask)


def pairs(contents: Sequence[Record]) -> Kind:
    """c: per value of the first field a sorted set, id -> score of the second."""
    return _kind(
        "pair",
        contents,
        lambda id, one: [] if None in one else [(one[0], id, int(str(one[1])))],
    )


def claims(contents: Sequence[Record], field: int = 0) -> Kind:
    """u: one hash, value -> id."""
    return _kind(
        "unique",
        contents,
        lambda id, one: [] if one[field] is None else [("u", one[field], id + 1)],
        field=field,
        unique=True,
    )


def joint_claims(contents: Sequence[Record]) -> Kind:
    """U: one hash, values together -> id."""
    return _kind(
        "unique together", contents, lambda id, one: [] if None in one else [("U", one, id + 1)], unique=True
    )


def ids(contents: Sequence[Record]) -> Kind:
    """i: the set of all ids."""
    return _kind("ids", contents, lambda id, one: [("i", id, 1)])


def ends(contents: Sequence[Record]) -> Kind:
    """e: what is noted of records that end, which those of content 2 do."""
    return _kind("ends", contents, lambda id, one: [("t", id, 1)] if one == contents[2] else [], ask=2)
