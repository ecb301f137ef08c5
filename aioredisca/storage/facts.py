"""What a process has learned of one database, in one typed place: capabilities, index states, counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from weakref import ReferenceType, WeakSet

from aioredisca.storage.meta import READY
from aioredisca.storage.schema import Referrer
from aioredisca.types import Proof

MAX_ARGUMENTS = 1024 * 1024
"""Arguments of one command that every Redis and Valkey takes; before 7.0 more ended the connection."""


@dataclass(slots=True)
class IndexState:
    """What this process knows of the indexes of one class in one store, and what proves it.

    ``proof``     the word of meta that was read with it, see storage/meta.py: good while that is the same.
    ``states``    of the indexes of the class.
    ``declared``  the store takes what the class writes: that was known once, and each write asks anew.
    ``complete``  all indexes are ready.
    """

    proof: Proof
    states: Mapping[str, str]
    declared: bool = False
    complete: bool = field(init=False)

    def __post_init__(self) -> None:
        self.complete = {*self.states.values()} <= {READY}

    def lacks(self, entry: str) -> bool:
        """Whether an index is not ready."""
        return self.states.get(entry) != READY


class Peer(NamedTuple):
    """A connection, as the server at *place* calls it."""

    id: str
    address: str
    place: str


@dataclass(slots=True, eq=False, weakref_slot=True)
class StoreFacts:
    """Of one database, for as long as the process lives.

    ``read_only_scripts``  EVAL_RO is there: not in Redis 6.2, and not in fakeredis.
    ``sort_in_scripts``    SORT_RO may be called by a script; None: not tried, then as ``read_only_scripts``.
    ``sort_proven``        SORT_RO has answered with a value of a hash field: Dragonfly finds none by it.
    ``sort_alone``         SORT_RO may be called as a command of its own.
    ``tracking``           CLIENT TRACKING is there, and allowed.
    ``fences``             connections can be ended by others: CLIENT INFO and KILL are there, and allowed.
    ``waits``              BLMOVE waits for a list that is not there: not in fakeredis.
    ``whole``              it is known to be no node of a cluster.
    ``max_arguments``      of one command that the server takes, its name among them.
    ``given_up``           connections to be ended before anything else is sent: writes were on their way.
    ``eviction_told``      it was warned of that the server may throw records away.
    ``round_trips``        made so far, connecting not counted.
    ``stale_rows``         rows of an index dropped because their record said otherwise, by key base.
    ``index_states``       by key base and signature of a class.
    ``small_values``       keys of the sets of values that few records held, and until when that is believed.
    ``classes``            the classes that keep a prefix, by key base and full name.
    ``epochs``             by key base of a partition and bucket of ids, as the last reply that told them.
    ``neighbours``         those of all Databases known to be the same one, whose keys may meet: itself, too.
    ``spread``             key bases of classes whose records are known to be in so many partitions.
    ``referrers``          what a delete must look at, by key base; good for one generation of classes.
    """

    read_only_scripts: bool = True
    sort_in_scripts: bool | None = None
    sort_proven: bool = False
    sort_alone: bool = True
    tracking: bool = True
    fences: bool = True
    waits: bool = True
    whole: bool = False
    max_arguments: int = MAX_ARGUMENTS
    given_up: set[Peer] = field(default_factory=set[Peer])
    eviction_told: bool = False
    round_trips: int = 0
    stale_rows: dict[str, int] = field(default_factory=dict[str, int])
    index_states: dict[tuple[str, str], IndexState] = field(default_factory=dict[tuple[str, str], IndexState])
    small_values: dict[bytes, float] = field(default_factory=dict[bytes, float])
    classes: dict[tuple[str, str], ReferenceType[Any]] = field(
        default_factory=dict[tuple[str, str], "ReferenceType[Any]"]
    )
    spread: set[tuple[str, int]] = field(default_factory=set[tuple[str, int]])
    epochs: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    neighbours: WeakSet[StoreFacts] = field(default_factory=lambda: WeakSet[StoreFacts]())
    referrers: dict[str, tuple[int, tuple[Referrer, ...]]] = field(
        default_factory=dict[str, "tuple[int, tuple[Referrer, ...]]"]
    )

    @property
    def may_sort(self) -> bool:
        """Whether SORT_RO may fetch rows inside scripts, as far as is known."""
        return self.read_only_scripts if self.sort_in_scripts is None else self.sort_in_scripts

    def count_stale(self, base: str, count: int) -> None:
        """Rows of an index were dropped because their record said otherwise; *base* is that of its keys."""
        self.stale_rows[base] = self.stale_rows.get(base, 0) + count
