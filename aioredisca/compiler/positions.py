"""What stands where in the arguments of the scripts: one table for Python and Lua.

Each tuple is a run of arguments, in order. ``$QUERY_LIMIT`` in Lua is the place of ``limit`` in the run that
:data:`RUNS` calls QUERY, from 1 on; ``$QUERY_SIZE`` how many they are; ``$QUERY_NAMES`` all names, for a
``local`` that takes the whole run.
"""

from __future__ import annotations

from typing import NamedTuple

from aioredisca.compiler.changes import BATCH, MAX_BATCH
from aioredisca.storage.keys import LONG_VALUE, MARKER, MOMENT
from aioredisca.types import Arg


class Query(NamedTuple):
    """Before the fields of a query."""

    limit: int
    offset: int
    cursor: bytes
    page: int
    may_sort: int
    prove: int
    records: str
    width: int


class Order(NamedTuple):
    """The order of a query, behind its fields and before its tree."""

    kind: str
    field: str
    descending: int
    index_key: int
    none: int
    implies: int


class Choose(NamedTuple):
    """Before the fields of random records."""

    kind: str
    low: Arg
    high: Arg
    wanted: int
    records: str
    width: int


class Group(NamedTuple):
    """Before the names of a group of changes; the last ten tell how many of each kind follow."""

    class_number: int
    mode: str
    care: str | int
    declared: int
    rows: int
    free: int
    drops: int
    reads: int
    sets: int
    others: int
    extras: int
    expected: int
    parents: int
    sums: int
    tokens: int


class Increment(NamedTuple):
    """At the end of a row, for each number that is added to."""

    by: int
    low: int | str
    high: int | str
    places: int


class Add(NamedTuple):
    """Before the arguments of a command that adds to a collection of a record."""

    record: int
    key: int
    name: str
    command: str
    arguments: int


class Unique(NamedTuple):
    """Behind the groups of a get-or-create, before fields, values, and ids that are not to be updated."""

    index_key: int
    state: str
    value: bytes
    members: int
    waiting: int


class Build(NamedTuple):
    """Behind the groups of records that are indexed anew, before what meta must hold and the entries."""

    expected: int
    entries: int
    cursor: bytes
    mended: int


class Take(NamedTuple):
    """Before a query, its condition, and the change of one record: how many arguments and keys each has."""

    word: bytes
    records: str
    query: int
    query_keys: int
    judged: int
    fixed: int


class Fast(NamedTuple):
    """Before the pairs of a change of one record. Gaps are filled in per call."""

    asks: str
    id: None
    mode: str
    declared: str
    last_pair: str
    last_extra: str


class Plain(NamedTuple):
    """Before the pairs of an update of fields that no index knows."""

    asks: str
    declared: str


class Collect(NamedTuple):
    """Before the commands on a collection."""

    permit: str


class FieldEnd(NamedTuple):
    """Before what the command takes in front of its fields."""

    permit: str
    field: str
    command: Arg


class ChangeMeta(NamedTuple):
    """Before the pairs that meta must hold, those to set, and the fields to drop."""

    absent: int
    whole: str
    expected: int
    set: int


class Lease(NamedTuple):
    """All of a lease."""

    holder: str
    lasts: int


class Sweep(NamedTuple):
    """Before the fields and the entries of a sweep."""

    kind: str
    width: int


class Fence(NamedTuple):
    """Before the claims that were made for a record of a write."""

    number: int
    epoch: int
    claims: int


class Claim(NamedTuple):
    """One claim on a value: *before* the epoch in it, it may be *taken from* that id."""

    key: int
    value: bytes
    id: bytes
    epoch: int
    taken_from: bytes = b""
    before: int | str = ""


class Release(NamedTuple):
    """One claim to be released, if it was made *before* that epoch."""

    key: int
    value: bytes
    id: bytes
    before: int


class Verify(NamedTuple):
    """One claim, to be compared with what its record holds."""

    of: str
    value: bytes
    id: bytes
    epoch: int


class Abort(NamedTuple):
    """One claim that is handed back."""

    of: str
    value: bytes
    id: bytes


class FeedRead(NamedTuple):
    """All of a read of a feed."""

    place: str
    exact: int
    most: int
    kept: int


class FeedGroup(NamedTuple):
    """All of what a consumer of a feed asks for."""

    group: str
    consumer: str
    most: int
    idle: int
    own: str
    start: str


class Exchange(NamedTuple):
    """Before the records whose fields are exchanged: what their meta held."""

    signature: str
    word: bytes


class Finish(NamedTuple):
    """Before the entries that a meta of layout 1 has: what marks places that none may write to."""

    word: bytes
    signature: str
    gone: str
    coming: str


class Journal(NamedTuple):
    """The last of a batch of a migration: see ``lua/migrate/fence.lua``."""

    holder: str
    milliseconds: int
    field: str
    seen: bytes
    moved: bytes
    leaves: int
    settles: int


RUNS: dict[str, type[tuple[object, ...]]] = {
    "QUERY": Query,
    "ORDER": Order,
    "CHOOSE": Choose,
    "GROUP": Group,
    "INCREMENT": Increment,
    "ADD": Add,
    "UNIQUE": Unique,
    "BUILD": Build,
    "TAKE": Take,
    "FAST": Fast,
    "PLAIN": Plain,
    "COLLECT": Collect,
    "FIELD_END": FieldEnd,
    "CHANGE_META": ChangeMeta,
    "LEASE": Lease,
    "SWEEP": Sweep,
    "FENCE": Fence,
    "CLAIM": Claim,
    "RELEASE": Release,
    "VERIFY": Verify,
    "ABORT": Abort,
    "FEED_READ": FeedRead,
    "FEED_GROUP": FeedGroup,
    "EXCHANGE": Exchange,
    "FINISH": Finish,
    "JOURNAL": Journal,
}
"""What Lua calls each run."""

ASKS_FAST, ASKS_PLAIN = "", "-"
"""What asks for a fast path in the place of the number of groups."""


def _named(prefix: str, names: tuple[str, ...]) -> dict[str, str]:
    places = {f"{prefix}_{name.upper()}": str(place) for place, name in enumerate(names, 1)}
    return {**places, f"{prefix}_SIZE": str(len(names)), f"{prefix}_NAMES": ", ".join(names)}


NAMES: dict[str, str] = {
    name: text
    for prefix, run in RUNS.items()
    for name, text in _named(prefix, getattr(run, "_fields")).items()  # noqa: B009
} | {
    "MARKER": f"'{MARKER}'",
    "MOMENT": "'{}'".format(MOMENT.replace("\0", "\\0")),
    "LONG_VALUE": str(LONG_VALUE),
    "MAX_BATCH": str(MAX_BATCH),
    "BATCH": str(BATCH),
    "ALSO_OWED": "8",
}
"""What stands for each ``$NAME`` in the Lua text."""
