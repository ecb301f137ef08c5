"""How meta changes when a version of a class is declared, comes, or takes over: what is in :class:`Meta` ->
what is to be.

Pure. Nothing that is ready is ever emptied by these: an index that a version needs and nobody kept is
announced, and stays so until ``reindex`` takes over (:func:`taken_over`) and builds it; one that nobody needs
is retiring until the same command has dropped it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from aioredisca.storage.meta import (
    ACTIVE,
    ANNOUNCED,
    BARRED,
    COPYING,
    CURSOR,
    ENDED,
    FILLING,
    MOVED,
    MOVING,
    OLD_SIGNATURE,
    OLD_UNBUILT,
    OLD_VERSION,
    PARTITIONS,
    PASS,
    PERMIT,
    READY,
    RETIRING,
    SEEN,
    SIGNATURE,
    STAMPS,
    STATE,
    VER,
    WIPE,
    WRITES,
    Edit,
    Meta,
    word,
)
from aioredisca.storage.schema import EXPIRY_ENTRY, UNBUILT, Schema


def is_index(entry: str) -> bool:
    """Whether an entry is built from the records. Collections, the ends of records and the feed are not."""
    return not entry.startswith(UNBUILT)


def lacked(meta: Meta, schema: Schema) -> frozenset[str]:
    """The entries that every writer must keep, and this version does not."""
    return frozenset(entry for entry, state in meta.states.items() if state in ACTIVE) - schema.entries


def barred(states: Mapping[str, str]) -> bool:
    """Whether the records move from here, or to here, so that no version may write whatever it keeps."""
    return any(entry.startswith(BARRED) and state in ACTIVE for entry, state in states.items())


def moving(states: Mapping[str, str]) -> int:
    """Into how many partitions the records move from here, so that nobody writes; 0 where somebody may."""
    return _number(states, MOVING)


def under_way(states: Mapping[str, str]) -> int:
    """The same, and where they are copied, so that whoever wrote may write on; 0 where they stay."""
    return _number(states, MOVING) or _number(states, COPYING)


def filled(states: Mapping[str, str]) -> bool:
    """Whether records move to here, and are not all here yet."""
    return any(entry.startswith(FILLING) and state == PASS for entry, state in states.items())


def partitions(states: Mapping[str, str]) -> int:
    """In how many partitions the records are kept that have gone from here; 0 where none have."""
    return _number(states, PARTITIONS)


def _number(states: Mapping[str, str], kind: str) -> int:
    found = [entry for entry, state in states.items() if entry.startswith(kind) and state in ACTIVE]
    return int(found[0].removeprefix(kind)) if found else 0


def ends_differ(meta: Meta, schema: Schema) -> bool:
    """Whether others may write that know nothing of records that end, or of more than this version does."""
    return schema.expires != (meta.states.get(EXPIRY_ENTRY) == READY) and bool(meta.keepers(schema.version))


@dataclass(frozen=True, slots=True)
class Plan:
    """The permits and states that meta is to have. Where it has them, there is nothing to do."""

    permits: Mapping[str, str]
    states: Mapping[str, str]
    old: str
    anew: frozenset[str] = field(default_factory=frozenset[str])
    """Entries whose cursors count no more."""

    def with_state(self, entry: str, state: str) -> Plan:
        """The same, but for one entry."""
        return replace(self, states={**self.states, entry: state})

    def ends(self, meta: Meta) -> frozenset[str]:
        """The versions that may write, and may not any more."""
        return frozenset(
            name for name, permit in self.permits.items() if permit == ENDED != meta.permits.get(name)
        )


def declared(meta: Meta, schema: Schema, *, empty: bool) -> Plan:
    """This version begins to write, beside those that do. Call it only if nothing is :func:`lacked`.

    *empty*: there is no record.
    """
    others = meta.keepers(schema.version)
    alone, states = not others, dict(meta.states)
    for entry in schema.entries:
        state = states.get(entry)
        if state is None and alone and (empty or not is_index(entry)):
            states[entry] = READY
        elif entry == EXPIRY_ENTRY and state != READY:
            states[entry], others = READY, {}
        elif state in (None, RETIRING):
            states[entry] = ANNOUNCED
    permits = {name: permit for name, permit in meta.permits.items() if permit == ENDED or name in others}
    permits |= dict.fromkeys(others.keys() - {OLD_VERSION}, STAMPS)
    old = meta.old if meta.old_writes and others else MOVED
    return Plan(permits | {schema.version: WRITES}, states, old)


def coming(meta: Meta, schema: Schema) -> Plan:
    """This version is to be rolled out: what it does not keep retires, what it adds is announced."""
    others = meta.keepers(schema.version)
    states = {
        entry: (RETIRING if entry not in schema.entries else state) for entry, state in meta.states.items()
    }
    for entry in schema.entries:
        if states.get(entry) in (None, RETIRING):
            states[entry] = ANNOUNCED if is_index(entry) or others else READY
    stamping = dict.fromkeys(others.keys() - {OLD_VERSION}, STAMPS)
    permits = {**meta.permits, **stamping, schema.version: WRITES}
    return Plan(permits, states, meta.old if meta.old_writes else MOVED)


def taken_over(meta: Meta, schema: Schema, *, empty: bool = False) -> Plan:
    """This version says which indexes there are. Others may write on if they keep all of these.

    *empty*: there is no record. An index that nobody kept is ready then.
    """
    states = {
        entry: RETIRING if state in ACTIVE and entry not in schema.entries else state
        for entry, state in meta.states.items()
    }
    missing = frozenset(entry for entry in schema.entries if states.get(entry) not in ACTIVE)
    fresh = {entry for entry in missing if not is_index(entry) or (empty and entry not in states)}
    anew = schema.with_dependents(missing - fresh)
    states |= dict.fromkeys(fresh - anew, READY) | dict.fromkeys(anew, WIPE)
    active = {entry for entry, state in states.items() if state in ACTIVE}
    retiring = {entry for entry, state in states.items() if state == RETIRING}
    stay = {
        name: entries
        for name, entries in meta.keepers(schema.version).items()
        if name != OLD_VERSION and active <= entries and entries.isdisjoint(retiring)
    }
    kept = frozenset[str]().union(*stay.values())
    left = [entry for entry, state in states.items() if state == ANNOUNCED and entry not in kept]
    states |= dict.fromkeys(left, RETIRING)
    permits = {name: permit if name in stay else ENDED for name, permit in meta.permits.items()}
    own = meta.permits.get(schema.version, ENDED)
    permits[schema.version] = own if stay and own != ENDED else WRITES
    return Plan(permits, states, MOVED, anew)


def unwatched(meta: Meta, plan: Plan, watched: Collection[str]) -> frozenset[str]:
    """The versions that *plan* ends, and of which nobody knows whether they write: none of their writes was
    noted, which says something only of those that were *watched*."""
    return frozenset(
        name
        for name in plan.ends(meta)
        if name not in meta.seen and not (meta.permits[name] == STAMPS and name in watched)
    )


def stamped(meta: Meta, names: Collection[str]) -> Edit | None:
    """What makes these versions leave the time of their writes; None if they do."""
    sets: dict[str, str | bytes] = {PERMIT + name: STAMPS for name in names if meta.permits[name] == WRITES}
    return Edit({VER: meta.ver}, {**sets, VER: word()}) if sets else None


def edit(meta: Meta, schema: Schema, plan: Plan, absent: tuple[str, ...] = ()) -> Edit | None:
    """What makes *plan* true, for a *schema* that it lets write, while the keys *absent* are; None if it
    is."""
    known = meta.states if meta.ver else dict[str, str]()  # of layout 1 nothing is written that way
    sets: dict[str, str | bytes] = {
        STATE + entry: state for entry, state in plan.states.items() if known.get(entry) != state
    }
    sets |= {PERMIT + name: one for name, one in plan.permits.items() if meta.permits.get(name) != one}
    drops = [STATE + entry for entry in known.keys() - plan.states.keys()]
    for name in meta.permits:
        if plan.permits.get(name) is None:
            drops.append(PERMIT + name)
        if plan.permits.get(name) in (None, ENDED):
            drops += [kind + name for kind, found in _of_version(meta) if name in found]
        elif plan.permits[name] != meta.permits[name] and name in meta.seen:
            drops.append(SEEN + name)  # it says nothing of when it wrote with the other permit
    if plan.old != meta.old:
        sets[OLD_SIGNATURE] = plan.old
        drops.append(OLD_UNBUILT)
    drops += [CURSOR + entry for entry in plan.anew & meta.cursors.keys()]
    if schema.version not in meta.signatures:
        sets[SIGNATURE + schema.version] = schema.signature
    if not (sets or drops):
        return None
    expects: dict[str, str | bytes] = {VER: meta.ver, OLD_SIGNATURE: meta.old}
    return Edit(expects, {**sets, VER: word()}, tuple(drops), absent)


def spread(meta: Meta, count: int, absent: tuple[str, ...]) -> Edit:
    """What makes a class without records keep them in so many partitions, while the keys *absent* are."""
    expects: dict[str, str | bytes] = {VER: meta.ver, OLD_SIGNATURE: meta.old}
    return Edit(
        expects, {f"{STATE}{PARTITIONS}{count}": READY, OLD_SIGNATURE: MOVED, VER: word()}, (), absent
    )


def _of_version(meta: Meta) -> tuple[tuple[str, Mapping[str, str]], ...]:
    return (SIGNATURE, meta.signatures), (SEEN, meta.seen)
