"""The scenarios: what changes, who writes and reads meanwhile, and what befalls them. And the controls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

from . import kinds
from .kinds import UNREADABLE, Kind, Record
from .operating import Operator
from .processes import Clock, Failover, Finder, Reader, Reader1, Writer, Writer1
from .world import ABSENT, ACCEPTED, PASS, READY, UNKNOWN, WIPE, Process, Rules, Scenario

ONE_FIELD: tuple[Record, ...] = (None, (1,), (2,))
NULLABLE: tuple[Record, ...] = (None, (None,), (1,))  # an index of nones is asked for content 1
TWO_FIELDS: tuple[Record, ...] = (None, (1, 1), (2, 1), (1, 2), (1, None))
TAGS: tuple[Record, ...] = (None, ("a",), ("ab",), ("b",), ("",))
SPOILED: tuple[Record, ...] = (None, (1,), (2,), (UNREADABLE,))

Make = Callable[[Sequence[Record]], Kind]

KINDS: dict[str, tuple[Make, tuple[Record, ...]]] = {
    "exact": (kinds.exact, ONE_FIELD),
    "range": (kinds.scores, ONE_FIELD),
    "unique": (kinds.claims, ONE_FIELD),
    "sorted": (kinds.texts, ONE_FIELD),
    "digests": (kinds.digests, ONE_FIELD),
    "none": (kinds.nones, NULLABLE),
    "tags": (kinds.tags, TAGS),
    "pair": (kinds.pairs, TWO_FIELDS),
    "unique together": (kinds.joint_claims, TWO_FIELDS),
}

PLAIN = ("exact", "range", "unique")
"""The three ways in which an index is kept: a key per value, a member per record, a claim."""

LARGE = {
    "three versions",
    "three versions, operators of two",
    "ten minutes, prepared",
    "optional to required",
    "layout 1 beside 2, an index added",
    "add exact and unique at once",
}
"""What takes more than half a second, and is left to the full session."""

ADD, REMOVE, CHANGE = ((), (0,)), ((0,), ()), ((0,), (1,))

RECORDS = ((1, 1), (1, 2), (1, 0))


def made(*names: str, contents: tuple[Record, ...] | None = None) -> tuple[Kind, ...]:
    """Indexes of these kinds."""
    return tuple(KINDS[name][0](contents or KINDS[name][1]) for name in names)


def scenario(
    name: str,
    indexes: tuple[Kind, ...],
    versions: Sequence[Sequence[int]],
    *processes: Process,
    states: Sequence[str] = (),
    permits: Sequence[str] = (ACCEPTED, UNKNOWN),
    records: Sequence[tuple[int, ...]] = RECORDS,
    **more: Any,
) -> Scenario:
    """Two versions, the first of which writes, and nothing indexed yet, unless said."""
    held = tuple(states) or (ABSENT,) * len(indexes)
    sets = tuple(frozenset(one) for one in versions)
    return Scenario(name, indexes, sets, processes, records, tuple(permits), held, **more)


def small() -> Iterator[Scenario]:
    """What every push looks at."""
    for kind in KINDS:
        one = made(kind)
        few = RECORDS if kind == "unique" else ((1, 2),)
        yield scenario(
            f"add {kind}",
            one,
            ADD,
            Writer(0, 1),
            Writer(1, 1),
            Reader(left=1),
            Operator(1, crashes=0),
            records=few,
            complete=1,
        )
    for kind in PLAIN:
        yield scenario(
            f"remove {kind}",
            made(kind),
            REMOVE,
            Operator(1, "before", 0),
            Writer(0, 1),
            Writer(1, 1, 0),
            Reader(left=1),
            Operator(1, crashes=0),
            states=[READY],
            records=[(1, 2)],
            complete=1,
        )
    yield from (one for one in _others(Writer(0, 1), Writer(1, 1)) if one.name not in LARGE)


def full() -> Iterator[Scenario]:
    """Every kind with more of everything."""
    for kind, (_, contents) in KINDS.items():
        one, n = made(kind), 2 if len(contents) == 3 else 1
        yield scenario(f"add {kind}", one, ADD, Writer(0, n), Writer(1, n), Reader(), Operator(1), complete=1)
        yield scenario(
            f"add {kind}, two operators",
            one,
            ADD,
            Writer(0, 1),
            Writer(1, 1),
            Reader(left=1),
            Operator(1),
            Operator(1, crashes=0),
            complete=1,
        )
        yield scenario(
            f"add {kind}, rollback meanwhile",
            one,
            ADD,
            Writer(0, 1),
            Writer(1, 1),
            Reader(left=1),
            Operator(1, crashes=0),
            Operator(0, "before", 0),
            Operator(0, crashes=0),
        )
        yield scenario(
            f"add {kind}, failover",
            one,
            ADD,
            Writer(0, 1),
            Writer(1, 1),
            Reader(left=1),
            Operator(1, crashes=0),
            Failover(),
        )
        yield scenario(
            f"remove {kind}",
            one,
            REMOVE,
            Operator(1, "before"),
            Writer(0, n),
            Writer(1, n, 0),
            Reader(),
            Operator(1),
            states=[READY],
            complete=1,
        )
        yield scenario(
            f"remove {kind}, failover",
            one,
            REMOVE,
            Operator(1, "before", 0),
            Writer(0, 1),
            Writer(1, 1, 0),
            Reader(left=1),
            Operator(1, crashes=0),
            Failover(),
            states=[READY],
            rules=Rules(retires_by_declaring=True),
        )
        yield scenario(
            f"remove {kind} and back",
            one,
            REMOVE,
            Operator(1, "before", 0),
            Writer(0, 1),
            Writer(1, 1, 0),
            Reader(left=1),
            Operator(1, crashes=0),
            Operator(0),
            states=[READY],
        )
        yield scenario(
            f"verify {kind}, any drift",
            one,
            [(0,), (0,)],
            Writer(0, n),
            Operator(0, "verify"),
            states=[READY],
            planted=garbage(one[0]),
            records=[(1, 2), (1, 1), (1, 0), (0, 0)],
        )
        yield scenario(
            f"distrust {kind}",
            one,
            [(0,), (0,)],
            Writer(0, n),
            Reader(),
            Operator(0, "distrust"),
            Operator(0, waits=2),
            states=[READY],
            complete=0,
        )
        yield scenario(
            f"add {kind}, read by a script",
            one,
            ADD,
            Writer(0, 1),
            Writer(1, 1),
            Reader(),
            Operator(1),
            complete=1,
            rules=Rules(word="in script"),
        )
        yield scenario(
            f"empty store, both declare {kind}",
            one,
            ADD,
            Writer(0, n),
            Writer(1, n),
            Reader(),
            Operator(1),
            permits=[UNKNOWN, UNKNOWN],
            records=[(0, 0)],
            complete=1,
            rules=Rules(late_is_refused=True),
        )
    for first, second in (
        ("exact", "range"),
        ("range", "exact"),
        ("unique", "exact"),
        ("exact", "unique"),
        ("exact", "sorted"),
    ):
        yield scenario(
            f"change {first} to {second}",
            made(first, second),
            CHANGE,
            Operator(1, "before", 0),
            Writer(0, 1),
            Writer(1, 1, 0),
            Reader(left=1),
            Reader((1,), 1),
            Operator(1),
            states=[READY, ABSENT],
            records=[(1, 2), (1, 0)],
            complete=1,
        )
    yield from _others(Writer(0, 1), Writer(1, 1), crashes=1)


def garbage(kind: Kind) -> list[tuple[int, ...]]:
    """What an index may hold that is not right: anything where it is small, else every second place."""
    held = 1 + max(what for row in kind.demands for some in row for _, what in some)
    return [*product(range(held), repeat=kind.size)][:: 1 if kind.size <= 4 else 7]


def _others(old: Writer, new: Writer, crashes: int = 0) -> Iterator[Scenario]:
    """What is not the same for every kind."""
    operator = Operator(1, crashes=crashes)
    for pair in ("exact", "unique"), ("unique", "exact"):
        yield scenario(
            f"add {' and '.join(pair)} at once",
            made(*pair),
            [(), (0, 1)],
            old,
            new,
            Reader(left=1),
            operator,
            complete=1,
        )

    required = (kinds.scores(NULLABLE, 0), kinds.nones(NULLABLE, 0, 1))
    asks = (Reader((1,), 1), Reader((0, 1), 1))
    yield scenario(
        "required to optional",
        required,
        [(0,), (0, 1)],
        old,
        new,
        *asks,
        operator,
        states=[READY, ABSENT],
        records=[(2, 2), (2, 0)],
        writes=((0, 2), (0, 1, 2)),
        complete=1,
    )
    yield scenario(
        "optional to required",
        required,
        [(0, 1), (0,)],
        Operator(1, "before", 0),
        old,
        Writer(1, 1, 0),
        *asks,
        operator,
        states=[READY, READY],
        records=[(1, 2), (2, 0)],
        writes=((0, 1, 2), (0, 2)),
        complete=1,
    )

    two = (kinds.claims(TWO_FIELDS[:4], 0), kinds.pairs(TWO_FIELDS[:4]))
    yield scenario(
        "a pair added beside a unique",
        two,
        [(0,), (0, 1)],
        old,
        new,
        Reader((1,), 1),
        operator,
        states=[READY, ABSENT],
        records=[(1, 2), (2, 3)],
        complete=1,
    )

    three = made("exact", "range")
    third = [(), (0,), (0, 1)]
    yield scenario(
        "three versions",
        three,
        third,
        Writer(0, 1),
        Writer(1, 1),
        Writer(2, 1),
        Reader((0,), 1),
        operator,
        permits=[ACCEPTED, UNKNOWN, UNKNOWN],
        records=[(1, 2)],
        rules=Rules(late_is_refused=True),
    )
    yield scenario(
        "three versions, operators of two",
        three,
        third,
        Writer(1, 1),
        Reader((0,), 1),
        operator,
        Operator(2, crashes=0),
        permits=[UNKNOWN, UNKNOWN, UNKNOWN],
        records=[(1, 2)],
        rules=Rules(late_is_refused=True),
    )

    polite = Rules(polite=True)
    yield scenario(
        "ten minutes, add", made("exact"), ADD, old, new, Clock(2), operator, records=[(1, 2)], rules=polite
    )
    yield scenario(
        "ten minutes, prepared",
        made("exact"),
        ADD,
        Operator(1, "before", 0),
        old,
        new,
        Clock(2),
        operator,
        records=[(1, 2)],
        rules=polite,
    )

    yield scenario(
        "ten minutes, three versions",
        made("exact", "range"),
        third,
        Writer(1, 1),
        Writer(2, 1),
        Clock(1),
        operator,
        permits=[ACCEPTED, UNKNOWN, UNKNOWN],
        records=[(1, 2)],
        rules=Rules(polite=True, late_is_refused=True),
    )

    timed = (kinds.exact(ONE_FIELD), kinds.ends(ONE_FIELD))
    some = ((0, 1), (0, 1, 2))
    yield scenario(
        "records that end from now on",
        timed,
        [(0,), (0, 1)],
        old,
        Operator(1, "before", 0),
        new,
        Reader((1,), 1),
        operator,
        states=[READY, ABSENT],
        records=[(1, 0), (1, 1)],
        writes=some,
        ends=1,
        complete=1,
    )
    yield scenario(
        "records that end no more",
        timed,
        [(0, 1), (0,)],
        old,
        Operator(1, "before", 0),
        new,
        Reader((0,), 1),
        operator,
        states=[READY, READY],
        records=[(1, 2)],
        writes=some[::-1],
        ends=1,
        rules=Rules(late_is_refused=True),
        complete=1,
    )

    legacy = (kinds.ids(ONE_FIELD), kinds.exact(ONE_FIELD))
    yield scenario(
        "records without meta",
        legacy,
        [(0, 1), (0, 1)],
        Writer(1, 1),
        Reader((1,), 1),
        Reader((0,), 1),
        Operator(0, crashes=crashes),
        permits=[UNKNOWN, UNKNOWN],
        ids=0,
        complete=0,
    )

    yield scenario(
        "layout 1 beside 2, an index added",
        made("range", "exact"),
        [(0,), (0, 1)],
        Writer1(),
        Reader1(),
        Writer(0, 1),
        new,
        Reader((1,), 1),
        operator,
        states=[READY, ABSENT],
        records=[(1, 2)],
        complete=1,
        layout1=frozenset([0]),
    )

    spoiled = made("exact", contents=SPOILED)
    yield scenario(
        "an unreadable record left out",
        spoiled,
        ADD,
        old,
        new,
        Reader(left=1),
        operator,
        records=[(1, 3), (3, 3)],
        writes=((0, 1, 2), (0, 1, 2)),
        complete=1,
        rules=Rules(leaves_out=True),
    )
    yield scenario(
        "an unreadable record keeps one index unbuilt, the other is built",
        made("exact", "range", contents=SPOILED),
        [(), (0, 1)],
        new,
        Reader((1,), 1),
        operator,
        records=[(1, 3)],
        writes=((0, 1, 2), (0, 1, 2)),
        complete=1,
    )

    for lookups in ("by state", "by word"):
        rules = Rules(lookups=lookups)
        for does, kind in (("cascade", "exact"), ("get_or_create", "unique")):
            yield scenario(
                f"{does} while it is added, {lookups}",
                made(kind),
                ADD,
                old,
                Finder(1, does),
                new,
                operator,
                records=[(1, 2), (0, 2)],
                rules=rules,
            )
            yield scenario(
                f"{does} while it is removed, {lookups}",
                made(kind),
                REMOVE,
                Operator(1, "before", 0),
                Writer(1, 1, 0),
                Finder(0, does),
                operator,
                states=[READY],
                records=[(1, 2), (0, 2)],
                rules=rules,
            )

    lease = Rules(lease="compared")
    yield scenario(
        "the lease",
        made("exact"),
        ADD,
        Operator(1),
        Operator(1, crashes=0),
        Operator(1, crashes=0),
        Clock(1),
        records=[(1, 2)],
        rules=lease,
    )


def controls() -> Iterator[Scenario]:
    """Known-bad ways, each of which must come to a violation."""
    x, u = made("exact"), made("unique")
    kept = [(0,), (0,)]
    one = [(1, 2)]
    operator = Operator(1, crashes=0)
    gone = Operator(1, "before", 0)
    yield scenario(
        "today, an index added", x, ADD, Writer(0, 1), Writer(1, 1), operator, rules=Rules(today=True)
    )
    yield scenario(
        "today, an index removed",
        x,
        REMOVE,
        Reader(),
        operator,
        states=[READY],
        records=one,
        rules=Rules(today=True, word="none", retires_by_declaring=True),
    )
    yield scenario(
        "today, --everything",
        x,
        kept,
        Reader(),
        Operator(0, "distrust", 0),
        Operator(0, crashes=0),
        states=[READY],
        rules=Rules(word="none"),
    )
    yield scenario(
        "emptied before it is said",
        x,
        kept,
        Reader(),
        Operator(0, "distrust", 0),
        states=[READY],
        rules=Rules(wipes_when_said=False),
    )
    yield scenario(
        "no word is read",
        made("range"),
        REMOVE,
        gone,
        Writer(1, 1, 0),
        Reader(),
        states=[READY],
        rules=Rules(word="none"),
    )
    yield scenario(
        "the word before the data",
        x,
        REMOVE,
        gone,
        Writer(1, 1, 0),
        Reader(),
        states=[READY],
        rules=Rules(word="before"),
    )
    yield scenario(
        "the word is the state",
        x,
        REMOVE,
        gone,
        Writer(1, 1, 0),
        Reader(left=1),
        Operator(0, crashes=0),
        states=[READY],
        rules=Rules(word_is="state"),
    )
    yield scenario(
        "the word is a counter, failover",
        x,
        REMOVE,
        Operator(0, crashes=0),
        gone,
        Writer(1, 1),
        Reader(),
        Failover(),
        states=[PASS],
        permits=[ACCEPTED, ACCEPTED],
        rules=Rules(word_is="counter"),
        records=one,
    )
    yield scenario(
        "old versions go on while it is built",
        x,
        ADD,
        Writer(0),
        Writer(1),
        operator,
        rules=Rules(ends_old=False),
    )
    yield scenario(
        "operators without a fence",
        x,
        ADD,
        Writer(1, 1),
        operator,
        Operator(0, "before", 0),
        operator,
        states=[WIPE],
        permits=[ACCEPTED, ACCEPTED],
        rules=Rules(fenced=False),
        records=one,
    )
    yield scenario(
        "no cursor compared, failover",
        x,
        ADD,
        Writer(1, 1),
        operator,
        Failover(),
        rules=Rules(compares_cursor=False),
    )
    yield scenario(
        "duplicates forgotten by a crash", u, ADD, Operator(1), Operator(1), rules=Rules(keeps_bad=False)
    )
    yield scenario(
        "the flip looks before its script",
        x,
        ADD,
        Operator(1, "before", 0),
        Writer(0, 1),
        Clock(1),
        operator,
        records=one,
        rules=Rules(polite=True, seen_in_script=False),
    )
    yield scenario(
        "versions demoted without a stamp",
        x,
        ADD,
        Operator(1, "before", 0),
        operator,
        records=one,
        rules=Rules(polite=True, demotion_stamps=False),
    )
    yield scenario(
        "versions ended that were not demoted",
        x,
        ADD,
        operator,
        records=one,
        rules=Rules(polite=True, demotes_first=False),
    )
    timed = (kinds.exact(ONE_FIELD), kinds.ends(ONE_FIELD))
    yield scenario(
        "versions that differ in whether records end",
        timed,
        [(0,), (0, 1)],
        Operator(1, "before", 0),
        Writer(1, 1),
        Writer(0, 1),
        operator,
        states=[READY, ABSENT],
        records=one,
        writes=((0, 1), (0, 1, 2)),
        ends=1,
        rules=Rules(ends_agree=False),
    )
    for does, kind in (("cascade", "exact"), ("get_or_create", "unique")):
        yield scenario(
            f"{does} by what a process believes",
            made(kind),
            REMOVE,
            gone,
            Writer(1, 1, 0),
            Finder(0, does),
            states=[READY],
            records=[(0, 2)],
            rules=Rules(lookups="believed"),
        )
    yield scenario(
        "a lease deleted whoever holds it",
        x,
        ADD,
        Operator(1),
        Operator(1, crashes=0),
        Operator(1, crashes=0),
        Clock(1),
        records=one,
        rules=Rules(lease="deleted"),
    )
    yield scenario(
        "layout 1 beside 2, an index removed",
        made("range"),
        REMOVE,
        gone,
        Reader1(),
        Writer(1, 1, 0),
        states=[READY],
        records=one,
        layout1=frozenset([0]),
    )
    for kind in PLAIN:
        yield scenario(
            f"a version that does not keep {kind} is accepted",
            made(kind),
            ADD,
            Writer(0, 1),
            states=[READY],
            records=one,
        )
