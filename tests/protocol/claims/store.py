"""The state of all partitions, and the scripts that change it: each a function, atomic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

ABSENT, LIVE, ENDS, OVER = "absent", "live", "ends", "over"
"""What there is of a record: OVER is dead by the clock, and still there."""

Key = tuple[Any, ...]
"""A unique and a value of it."""

Values = tuple["str | None", ...]
Request = tuple[Any, ...]
"""The name of a script, and its arguments."""


class Record(NamedTuple):
    life: str
    values: Values

    @property
    def lives(self) -> bool:
        return self.life in (LIVE, ENDS)


class World(NamedTuple):
    """Tuples by id, and by key; what nobody but the invariants reads comes last.

    ``history``  what each node was before what its replica is known to have.
    """

    records: tuple[Record, ...]
    claims: tuple[tuple[int, int] | None, ...]
    epochs: tuple[int, ...]
    owed: tuple[frozenset[tuple[Key, int]], ...]
    processes: tuple[Any, ...]
    again: tuple[Request, ...] = ()
    """Requests that arrive once more."""
    crashes: int = 0
    history: tuple[tuple[Any, ...], ...] = ()
    versions: tuple[int, ...] = ()
    failed: int = -1
    """Which node fell back, when one has."""

    def after(self, at: int, process: Any, **changes: Any) -> World:
        """As it is when process *at* has gone on to *process*."""
        processes = (*self.processes[:at], process, *self.processes[at + 1 :])
        return self._replace(processes=processes, **changes)


@dataclass(frozen=True)
class Rules:
    """The protocol as it is built. A control changes one of them, and must fail."""

    compares_epoch: bool = True
    """Whether a write compares the epoch that was known before its claims."""
    compares_claims: bool = True
    """Whether it looks, in its script, for a claim on each value that it makes the record hold."""
    verify_bumps: bool = True
    verify_passes: bool = True
    """Whether the epoch that a verify answers with passes that of the claim."""
    take_compares: bool = True
    release_compares: bool = True
    giving_bumps: bool = True
    """Whether a write or a delete that gives a value up bumps the epoch."""
    burying_bumps: bool = True
    buries: frozenset[str] = frozenset(["verify", "write", "abort"])
    """Which scripts take away a record that is over before anything is decided."""
    claims_all_again: bool = True
    hands_back: bool = True
    """Whether claims of a write that was refused are handed back."""
    hands_rest_back: bool = True
    """Whether a write hands back what was claimed for it and is not held afterwards."""
    released_first: bool = True
    """Whether a claim is released before that is forgotten."""
    asks_holder: bool = True
    renews: bool = True
    """Whether a claim that stands is written once more."""


class Store:
    """A world that may be changed, by the scripts."""

    def __init__(self, world: World, keys: dict[Key, int], rules: Rules, shape: Shape) -> None:
        self.records, self.claims = [*world.records], [*world.claims]
        self.epochs, self.owed = [*world.epochs], [*world.owed]
        self.keys, self.rules, self.shape = keys, rules, shape
        self.written: int | None = None
        """The node that was changed: those of records come first."""

    def call(self, request: Request) -> Any:
        """The reply to *request*."""
        name, *given = request
        return getattr(self, name)(*given)

    # -- in the partition of a value ---------------------------------------------------------------

    def claim(
        self, key: Key, id: int, epoch: int, holder: int = -1, before: int = 0
    ) -> tuple[int, int] | None:
        place = self.keys[key]
        held = self.claims[place]
        if held is not None and held[1] == id:
            self.claims[place] = (max(held[0], epoch), id)
            if self.rules.renews or self.claims[place] != held:
                self.written = len(self.records) + place
            return None
        taken = held is not None and held[1] == holder and (held[0] < before or not self.rules.take_compares)
        if held is None or taken:
            self.claims[place] = (epoch, id)
            self.written = len(self.records) + place
            return None
        return held

    def release(self, key: Key, id: int, before: int) -> None:
        place = self.keys[key]
        held = self.claims[place]
        if held is not None and held[1] == id and (held[0] < before or not self.rules.release_compares):
            self.claims[place] = None
            self.written = len(self.records) + place

    def holder(self, key: Key) -> tuple[int, int] | None:
        return self.claims[self.keys[key]]

    # -- in the partition of a record --------------------------------------------------------------

    def look(self, id: int) -> tuple[int, Values]:
        record = self.records[id]
        return self.epochs[self.shape.bucket(id)], record.values if record.lives else self.shape.nothing

    def verify(self, id: int, key: Key, epoch: int) -> int:
        """0 where the record lives and holds the value, else the epoch."""
        self._bury_if_over(id, "verify")
        if self.shape.holds(self.records[id], key):
            return 0
        bucket = self.shape.bucket(id)
        passed = max(self.epochs[bucket], epoch) if self.rules.verify_passes else self.epochs[bucket]
        if self.rules.verify_bumps:
            self.epochs[bucket] = passed + 1
        self.written = id
        return passed + 1

    def write(self, id: int, mode: str, sets: Any, again: bool, epoch: int, claims: frozenset[Key]) -> Any:
        self._bury_if_over(id, "write")
        record, shape, rules = self.records[id], self.shape, self.rules
        before = record.values if record.lives else shape.nothing
        changes = dict(sets)
        after = tuple(changes.get(field, value) for field, value in enumerate(before))
        if mode == "delete":
            after = shape.nothing
        elif mode == "update" and not record.lives:
            return ("gone",)
        elif mode == "create" and record.lives and not (again and after == before):
            return ("exists",)
        holds, held = shape.keys_of(after), shape.keys_of(before)
        wants = holds - held
        stale = rules.compares_epoch and self.epochs[shape.bucket(id)] != epoch
        if wants and (stale or (rules.compares_claims and not wants <= claims)):
            return ("claim", self.epochs[shape.bucket(id)], wants)
        gives = held - holds
        if rules.hands_rest_back:
            gives |= claims - holds
        life = (
            ABSENT
            if mode == "delete"
            else record.life
            if record.lives
            else ENDS
            if mode == "ending"
            else LIVE
        )
        self.records[id] = Record(life, after)
        self.written = id
        return ("ok", self._give(id, gives, rules.giving_bumps))

    def abort(self, id: int, claims: frozenset[Key]) -> frozenset[tuple[Key, int]]:
        self._bury_if_over(id, "abort")
        return self._give(id, frozenset(key for key in claims if not self.shape.holds(self.records[id], key)))

    def sweep(self, id: int) -> frozenset[tuple[Key, int]]:
        """Take the record away if it is over."""
        if self.records[id].life == OVER:
            self._bury(id)
        self.written = id  # what is released by it is waited for, too
        return self.owed[id]

    def touch(self, id: int) -> bool:
        """Let a record end later. It must not be over."""
        if self.records[id].lives:
            self.records[id] = Record(ENDS, self.records[id].values)
            self.written = id
        return self.records[id].lives

    def waiting(self, id: int) -> frozenset[tuple[Key, int]]:
        self.written = id
        return self.owed[id]

    def forget(self, id: int, key: Key, epoch: int) -> None:
        self.owed[id] -= {(key, epoch)}
        self.written = id

    def _give(self, id: int, keys: frozenset[Key], bumps: bool = True) -> frozenset[tuple[Key, int]]:
        """Claims that are to be released; what else waits for that goes along."""
        if not keys:
            return frozenset()
        bucket = self.shape.bucket(id)
        epoch = self.epochs[bucket] + 1
        if bumps:
            self.epochs[bucket] = epoch
        self.owed[id] |= {(key, epoch) for key in keys}
        self.written = id
        return self.owed[id]

    def _bury_if_over(self, id: int, script: str) -> None:
        if self.records[id].life == OVER and script in self.rules.buries:
            self._bury(id)

    def _bury(self, id: int) -> None:
        keys = self.shape.keys_of(self.records[id].values)
        self.records[id] = Record(ABSENT, self.shape.nothing)
        self._give(id, keys, self.rules.burying_bumps)
        self.written = id


class Shape(NamedTuple):
    """What a class is: so many fields, each unique, or unique together."""

    fields: int = 1
    together: bool = False
    values: str = "ab"
    shared: bool = False
    """Whether all ids share an epoch."""
    kind: Literal["claims"] = "claims"

    @property
    def nothing(self) -> Values:
        return (None,) * self.fields

    @property
    def keys(self) -> list[Key]:
        if self.together:
            return [("&", one, two) for one in self.values for two in self.values]
        return [(field, value) for field in range(self.fields) for value in self.values]

    def bucket(self, id: int) -> int:
        return 0 if self.shared else id

    def keys_of(self, values: Values) -> frozenset[Key]:
        if self.together:
            return frozenset() if None in values else frozenset([("&", *values)])
        return frozenset((field, value) for field, value in enumerate(values) if value is not None)

    def holds(self, record: Record, key: Key) -> bool:
        return record.lives and key in self.keys_of(record.values)
