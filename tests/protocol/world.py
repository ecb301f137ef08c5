"""The state of the store and of the processes, the rules of the protocol, and what must never happen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from .kinds import Index, Kind

ABSENT, ANNOUNCED, WIPE, PASS, READY, RETIRING = "absent", "announced", "wipe", "pass", "ready", "retiring"

ACTIVE = (WIPE, PASS, READY)
"""What every version that writes must keep."""

UNKNOWN, ACCEPTED, STAMPED, ENDED = "", "1", "s", "x"
"""What the permit of a version says; ENDED is its tombstone."""

NEVER, LATELY, LONG_AGO = 0, 1, 2
"""When a version wrote: within ten minutes, or before."""


class Violation(Exception):
    """Something that must never happen."""


class Meta(NamedTuple):
    """The meta hash, and what was left out. Tuples by version or by entry."""

    ver: int
    permits: tuple[str, ...]
    states: tuple[str, ...]
    cursors: tuple[int, ...]
    bad: tuple[int, ...]
    """The ids left out of each entry, as bits."""
    seen: tuple[int, ...]
    moved: bool = False
    """Whether processes of layout 1 were ended."""


class World(NamedTuple):
    meta: Meta
    records: tuple[int, ...]
    indexes: tuple[Index, ...]
    processes: tuple[Process, ...]
    drawn: int = 1
    """How many words were drawn: no word is drawn twice, whatever a failover undoes."""
    wrote: tuple[int, ...] = ()
    """When each version really wrote. Nobody reads it but the invariant."""
    lease: int = -1
    """Which process holds the lease, as the store says, or none."""
    holder: int = -1
    """Which process believes so with right. Nobody reads it but the invariant."""

    def after(self, at: int, process: Process, **changes: Any) -> World:
        """As it is when process *at* has gone on to *process*."""
        processes = (*self.processes[:at], process, *self.processes[at + 1 :])
        return self._replace(processes=processes, **changes)


class Process(Protocol):
    """Who takes steps: one command or one script each."""

    @property
    def over(self) -> bool: ...

    def steps(self, at: int, world: World, scenario: Scenario) -> Iterator[tuple[str, World]]: ...


@dataclass(frozen=True)
class Rules:
    """The protocol, as it is to be. A control changes one of them, and must fail."""

    word: Literal["after", "before", "none", "in script"] = "after"
    """When a reader reads the word: after the data, on the same connection."""
    word_is: Literal["random", "state", "counter"] = "random"
    fenced: bool = True
    """Whether steps of operators compare word and cursor."""
    compares_cursor: bool = True
    ends_old: bool = True
    """Whether the flip ends versions that do not keep what is built."""
    keeps_bad: bool = True
    """Whether what was left out is kept in the store, or in the operator's memory."""
    leaves_out: bool = False
    """Whether an index that is not unique gets ready without what cannot be indexed."""
    wipes_when_said: bool = True
    """Whether an index is emptied only after its state says so."""
    today: bool = False
    """The scheme before this one: one signature, the last that declares wins."""
    retires_by_declaring: bool = False
    """Whether a declaration retires what the class no longer has."""
    late_is_refused: bool = False
    """Whether a version that lacks a ready index and was never accepted may be refused: documented."""
    ends_agree: bool = True
    """Whether versions that write must agree that records may end."""
    lookups: Literal["by state", "by word", "believed"] = "by state"
    """How a write script that finds records by an index knows that it is ready."""
    seen_in_script: bool = True
    """Whether the flip compares in its script when the versions that it ends wrote last."""
    demotion_stamps: bool = True
    """Whether a version that is stamped from now on counts as having written now."""
    demotes_first: bool = True
    """Whether a version whose writes are not stamped is never ended, but stamped from then on."""
    polite: bool = False
    """Whether the ten minutes are checked: operators do not force."""
    lease: Literal["none", "compared", "deleted"] = "none"
    """Whether operators take the lease, and whether its end compares whose it is."""


@dataclass(frozen=True)
class Scenario:
    """Where a search begins, and what is right.

    ``versions``  the entries that each version of the code declares.
    ``records``   the records to begin with, each a start of its own.
    ``complete``  the version whose reindex ends with its entries ready and no others, if it is not superseded.
    ``planted``   what the first index may hold at the beginning, if it is to be wrong.
    ``writes``    the contents that each version writes; all, unless said.
    """

    name: str
    kinds: tuple[Kind, ...]
    versions: tuple[frozenset[int], ...]
    processes: tuple[Process, ...]
    records: Sequence[tuple[int, ...]]
    permits: tuple[str, ...]
    states: tuple[str, ...]
    complete: int | None = None
    planted: Sequence[Index] = ()
    writes: tuple[tuple[int, ...], ...] = ()
    rules: Rules = field(default_factory=Rules)
    layout1: frozenset[int] = frozenset()
    """The entries that processes of layout 1 keep."""
    ids: int | None = None
    """Which entry is the set of all ids, if it is one of those that change."""
    ends: int | None = None
    """Which entry says that records may end, if there is one: it is never built, so no two versions may differ."""

    def starts(self) -> Iterator[World]:
        """Every state to begin with."""
        none = (0,) * len(self.kinds)
        never = (NEVER,) * len(self.versions)
        meta = Meta(1, self.permits, self.states, none, none, never)
        wrote = tuple(LATELY if permit == ACCEPTED else NEVER for permit in self.permits)
        for records in self.records:
            ready = [kind for kind, state in zip(self.kinds, self.states, strict=True) if state == READY]
            if any(kind.twice(records) for kind in ready):
                continue
            indexes = tuple(
                kind.right(records) if state == READY else (0,) * kind.size
                for kind, state in zip(self.kinds, self.states, strict=True)
            )
            world = World(meta, records, indexes, self.processes)
            if self.rules.polite:
                world = world._replace(wrote=wrote)
            yield world
            for index in self.planted:
                yield world._replace(indexes=(index, *indexes[1:]))

    def check(self, world: World) -> None:
        """What holds in every state."""
        meta, records, indexes, processes, *_ = world
        if self.planted:  # right as soon as everybody is done
            if all(one.over for one in processes) and not meta.bad[0]:
                self._check_index(0, records, indexes[0])
            return
        for entry, state in enumerate(meta.states):
            if state == READY:
                self._check_index(entry, records, indexes[entry])

    def _check_index(self, entry: int, records: tuple[int, ...], index: Index) -> None:
        kind = self.kinds[entry]
        if kind.twice(records):
            raise Violation(f"I3 {kind.name} is ready, and two records hold one value")
        if index != kind.right(records):
            raise Violation(
                f"I2 {kind.name} is ready and holds {index}, the records demand {kind.right(records)}"
            )

    def check_end(self, world: World) -> None:
        """What holds when nobody can take a step."""
        meta = world.meta
        if self.complete is None or any(getattr(one, "at", "") == "superseded" for one in world.processes):
            return
        for entry, state in enumerate(meta.states):
            if entry in self.versions[self.complete]:
                if state != READY and not meta.bad[entry]:
                    raise Violation(f"I5 {self.kinds[entry].name} ends {state}, and nothing is reported")
            elif state != ABSENT or any(world.indexes[entry]):
                raise Violation(f"I5 {self.kinds[entry].name} was to go and ends {state}")
        if meta.permits[self.complete] not in (ACCEPTED, STAMPED):
            raise Violation("I5 the new version may not write")

    def keeps_all(self, version: int, states: Sequence[str]) -> bool:
        """Whether *version* keeps every index that must be kept."""
        return all(entry in self.versions[version] for entry, state in enumerate(states) if state in ACTIVE)

    def announced(self, version: int, states: Sequence[str]) -> tuple[str, ...]:
        """The states when *version* is to come: what it adds is announced, what it lacks is retired."""
        return tuple(
            (ANNOUNCED if state in (ABSENT, RETIRING) else state)
            if entry in self.versions[version]
            else (state if state == ABSENT else RETIRING)
            for entry, state in enumerate(states)
        )

    def stamped(self, version: int, meta: Meta) -> tuple[tuple[str, ...], tuple[int, ...]]:
        """Permits and moments when *version* may write, and the writes of the others are stamped."""
        permits, seen = list(meta.permits), list(meta.seen)
        for other, permit in enumerate(permits):
            if other == version:
                permits[other] = ACCEPTED
            elif permit == ACCEPTED and self.rules.polite:
                permits[other] = STAMPED
                if self.rules.demotion_stamps:
                    seen[other] = LATELY
        return tuple(permits), tuple(seen)

    def ends_differ(self, version: int, meta: Meta) -> bool:
        """Whether a version that writes knows less, or more, than *version* of records that end."""
        if self.ends is None or not self.rules.ends_agree:
            return False
        mine = self.ends in self.versions[version]
        return any(
            permit in (ACCEPTED, STAMPED) and (self.ends in self.versions[other]) != mine
            for other, permit in enumerate(meta.permits)
        )

    def draw(self, world: World) -> tuple[int, int]:
        """A new word, and how many were drawn then."""
        word = world.meta.ver + 1 if self.rules.word_is == "counter" else world.drawn + 1
        return word, world.drawn + 1
