"""What can be wrong with a store, each kind with its name, and what reports tell of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from aioredisca.compiler.changes import Change
from aioredisca.errors import UsageError
from aioredisca.types import Call

Kind = Literal[
    "no-id",
    "no-entry",
    "score",
    "digest",
    "no-claim",
    "wrong-claim",
    "shared-value",
    "stray-claim",
    "owed",
    "denied-entry",
    "orphan-entry",
    "foreign-type",
    "no-end",
    "end",
    "note",
    "marker",
    "required",
    "unreadable",
    "not-canonical",
    "dangling",
    "record-type",
    "orphan-collection",
    "collection-type",
    "meta",
    "misplaced",
]


@dataclass(frozen=True, slots=True)
class Explained:
    """A kind of fault.

    ``text``    what is wrong.
    ``repair``  what repair does about it, or what a person is to do.
    ``mended``  whether repair mends it: "always", "asked" if its kind is named, or "never".
    """

    text: str
    repair: str
    mended: Literal["always", "asked", "never"] = "always"


KINDS: dict[Kind, Explained] = {
    "no-id": Explained("a record is not in the set of all ids", "adds it"),
    "no-entry": Explained("an index lacks a record", "adds it"),
    "score": Explained("a record has another score than its value", "sets the score"),
    "digest": Explained("the digest of a long value is that of another", "writes the digest"),
    "no-claim": Explained("a record holds a unique value, and nobody claims it", "claims it for the record"),
    "wrong-claim": Explained(
        "a record holds a unique value, and one that does not hold it claims it", "claims it for the record"
    ),
    "shared-value": Explained("two records hold one unique value", "a person changes one of them", "never"),
    "stray-claim": Explained("a claim of a record that does not hold the value", "removes the claim"),
    "owed": Explained("a claim was given up, and is still to be released", "releases it"),
    "denied-entry": Explained("an index says of a record what that denies", "removes the entry"),
    "orphan-entry": Explained("an index names a record that is not there", "removes the entry"),
    "foreign-type": Explained(
        "the key of an index holds another type", "removes the key, then adds what lacks"
    ),
    "no-end": Explained("the key of a record ends, and no moment is known", "takes the end over"),
    "end": Explained("the key of a record and its moment end at different times", "the key decides"),
    "note": Explained("the note of a record that ends is not what its indexes hold", "writes the note"),
    "marker": Explained("the marker stands beside a field, or where no field is, it lacks", "sets it right"),
    "required": Explained("a record lacks a required field", "a person fills it in", "never"),
    "unreadable": Explained(
        "a value cannot be read, or no index could hold it", "a person changes it", "never"
    ),
    "not-canonical": Explained(
        "an indexed value is not written as the library writes it, so that no query finds it",
        "rewrites the value",
        "asked",
    ),
    "dangling": Explained(
        "a reference names a record that is not there",
        "takes the reference away, if it is not required",
        "asked",
    ),
    "record-type": Explained("the key of a record holds another type", "a person moves it away", "never"),
    "orphan-collection": Explained("a collection belongs to no record", "removes it"),
    "collection-type": Explained(
        "the key of a collection holds another type", "a person moves it away", "never"
    ),
    "meta": Explained(
        "the store does not say what this class says of its indexes",
        "`aioredisca reindex` settles it",
        "never",
    ),
    "misplaced": Explained(
        "the records are in another number of partitions than the class declares, or move there",
        "a person does what the finding says",
        "never",
    ),
}
"""The kinds of faults, each with what it is and what repair does."""

assert {*KINDS} == {*get_args(Kind)}


def checked_kinds(kinds: Iterable[str] | None) -> frozenset[Kind]:
    """The kinds that repair is to mend. UsageError for what is none, or cannot be mended."""
    if kinds is None:
        return frozenset(kind for kind, about in KINDS.items() if about.mended == "always")
    if not isinstance(kinds, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"kinds={kinds!r}: it is a list of kinds of faults")
    asked = [kinds] if isinstance(kinds, str) else [*kinds]
    for kind in asked:
        if kind not in KINDS:
            raise UsageError(f"there is no kind of fault {kind!r}: there are {', '.join(KINDS)}")
        if KINDS[kind].mended == "never":
            raise UsageError(f"repair mends no {kind!r}: {KINDS[kind].repair}")
    return frozenset(kind for kind in KINDS if kind in asked)


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. It shows no stored values.

    ``id``      the record that it is of; empty if of none.
    ``place``   the key, with ``*`` for a value in it, or the attribute.
    ``detail``  what else is known: another record, why it was left.
    """

    kind: Kind
    id: str
    place: str
    detail: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, [repr(self.id) if self.id else "", self.place, self.detail]))


@dataclass(frozen=True, slots=True)
class Release:
    """A claim on a value of a unique over all partitions, which its record does not hold: to be released."""

    of: str
    value: bytes = field(repr=False)
    epoch: int
    id: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """A finding while it is dealt with.

    ``what``  tells it from all others: the key and the member at fault.
    ``cure``  what mends it, if it is still so when that arrives.
    """

    finding: Finding
    what: tuple[object, ...] = field(repr=False)
    cure: Change | Call | Release | None = field(default=None, repr=False)


@dataclass
class Tally:
    """How many of each kind there are, with some examples."""

    counts: dict[Kind, int] = field(default_factory=dict[Kind, int])
    examples: list[Finding] = field(default_factory=list[Finding])

    def add(self, finding: Finding, limit: int) -> None:
        count = self.counts.get(finding.kind, 0)
        self.counts[finding.kind] = count + 1
        if count < limit:
            self.examples.append(finding)

    def __bool__(self) -> bool:
        return bool(self.counts)

    @property
    def total(self) -> int:
        return sum(self.counts.values())


@dataclass
class Surveyed:
    """What was looked at.

    ``records``    how many records, and ``entries`` how many index entries, claims and moments.
    ``waiting``    how many records are over and not taken away yet: no fault, `sweep` takes them away.
    ``unsettled``  how many records and entries changed each time that they were looked at once more.
    ``unbuilt``    the indexes that the store calls unbuilt: they were not compared.
    ``misplaced``  whether the records are in another number of partitions than the class declares, or move.
    ``foreign``    how many keys under the prefix belong to somebody else, and ``nested`` how many to models
                   of a longer prefix; some of each. They are left alone.
    """

    model: str
    records: int = 0
    entries: int = 0
    waiting: int = 0
    unsettled: int = 0
    unbuilt: tuple[str, ...] = ()
    misplaced: bool = False
    foreign: int = 0
    foreign_keys: list[str] = field(default_factory=list[str])
    nested: int = 0
    nested_keys: list[str] = field(default_factory=list[str])

    def as_json(self) -> dict[str, Any]:
        """The report as JSON knows it."""
        return asdict(self)


@dataclass
class Checked(Surveyed):
    """What :func:`check` found: ``found.counts`` by kind, ``found.examples`` of each."""

    found: Tally = field(default_factory=Tally)

    @property
    def healthy(self) -> bool:
        """Whether there is no fault."""
        return not self.found

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "healthy": self.healthy}


@dataclass
class Repaired(Surveyed):
    """What :func:`repair` did: ``mended`` (or would be, in a dry run), and ``left`` with the reasons."""

    dry_run: bool = True
    mended: Tally = field(default_factory=Tally)
    left: Tally = field(default_factory=Tally)
